# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames one by one: areas, posterior, rules. What feeds and shows it is in `kinetics`."""

from __future__ import annotations

import math
import time as clock
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import check_callable, real_number
from hyperspy_dosekin.numerics.stream.latency import LatencyHistogram
from hyperspy_dosekin.signals.kinetics.fit import fit_dose_series
from hyperspy_dosekin.signals.kinetics.options import FitOptions, exact_config, known_offset

from .areas import FrameAreas
from .as_series import as_dose_series
from .engine import LiveEngine
from .frames import BrokenFrame, FrameReader
from .growing import MOST_DOSE, Exposure, FrameClock, GrowingSeries, Incidents
from .judge import Judge
from .posterior import DosePosterior
from .report import LiveReport
from .settings import settings_of
from .shown import History
from .store import FrameStore

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries
    from hyperspy_dosekin.signals.kinetics.result import DoseKinetics
    from hyperspy_dosekin.windows.definitions import Window

#: Relative drift of a clock that is worth a word, and frames before it is said.
DRIFT, DRIFT_FRAMES = 0.05, 10


class GrowingKinetics:
    """A series that grows and what is known of it; see `LiveKinetics` for the parameters."""

    def __init__(
        self,
        windows: Any = None,
        *,
        dose_rate: float | None = None,
        frame_time: float | None = None,
        pre_exposure: float = 0.0,
        offset: Any = None,
        stop_when: Any = None,
        energy_axis: Any = None,
        process: bool | str | Sequence[str] = False,
        store: Any = None,
        on_update: Callable[[DosePosterior], object] | None = None,
        dose_unit: str = "e⁻/Å²",
        **fit_options: Any,
    ) -> None:
        self.exposure = Exposure.of(dose_rate, frame_time, pre_exposure)
        self.options = FitOptions.of("LiveKinetics", offset=offset, **fit_options)
        from hyperspy_dosekin.kinetics.live.posterior import check_live_law

        check_callable("on_update", on_update)
        self.on_update = on_update
        self.dose_unit = str(dose_unit)
        self._reader = FrameReader(windows, energy_axis, process)
        self._judge = Judge(stop_when, self.window_names)
        self._space: tuple[int, ...] = ()
        self._averaged = False
        self._engine: LiveEngine | None = None
        self._series: GrowingSeries | None = None
        self._incidents = Incidents()
        self._clock = None if frame_time is None else FrameClock(self.exposure.frame_time or 1.0)
        self._next = 0
        self._computing = LatencyHistogram()
        self._drift_said = False
        #: Why the series may stop; empty where it may not.
        self.stopped_by = ""
        #: What is known after the last frame.
        self.posterior = self._posterior_of(None)
        #: D½ after each frame, for the figure.
        self.history = History()
        config = exact_config(self.options)
        check_live_law(self.options.kinetic_law, config.parameters)
        self._store = None if store is None else FrameStore(store, self.settings)

    # What there is

    @property
    def window_names(self) -> tuple[str, ...]:
        """Names of the windows."""
        return self._reader.names

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows; in eV as soon as a frame with energies has come."""
        return self._reader.windows

    @property
    def n_frames(self) -> int:
        """Frames that count."""
        return 0 if self._series is None else self._series.n_frame

    @property
    def dose(self) -> np.ndarray:
        """Cumulative doses of the frames that count, ascending, ``(n_frame,)``."""
        return np.zeros(0) if self._series is None else self._series.dose

    @property
    def stop(self) -> bool:
        """Whether a rule says to stop."""
        return bool(self.stopped_by)

    @property
    def report(self) -> LiveReport:
        """What came, and how smoothly."""
        present = set() if self._series is None else set(self._series.places)
        present |= set(self._incidents.broken)
        missing = tuple(number for number in range(self._next) if number not in present)
        return LiveReport(
            self.n_frames,
            missing,
            dict(self._incidents.broken),
            dict(self._incidents.doubled),
            tuple(self._incidents.late),
            1.0 if self._clock is None else self._clock.ratio,
            self._computing,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments, as far as a file can hold them."""
        reader = self._reader
        return settings_of(
            reader.windows,
            self.exposure,
            self.options,
            self._judge.rules,
            reader.steps,
            self.dose_unit,
        )

    # Frames

    def update(
        self,
        frame: Any,
        *,
        index: int | None = None,
        time: float | None = None,
        dose: float | None = None,
    ) -> DosePosterior:
        """Take a frame.

        Parameters
        ----------
        frame
            A signal ``(…space…|energy)`` or an array ``(…space…, channel)``.
        index
            Its number, from 0 on; by default the one after the last. Numbers that never come are
            missing frames, whose dose counts. A number that was there is a doubled frame, and is
            left out; one below the last is a late frame, and put in its place.
        time
            Moment of its end in s, on any clock; gives the number where `index` is not given. Only
            the time since the frame before counts, so that a clock that drifts does no harm.
        dose
            Cumulative dose at its end, where it does not follow from rate and time.

        Returns
        -------
        DosePosterior
            What is known now. A frame that cannot be used (other shape, no finite or only equal
            values) changes nothing but the dose; `report` has the reason.

        Raises
        ------
        TypeError, ValueError
            If a number is not possible, or the first frame cannot be understood.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> live = hyperspy_dosekin.LiveKinetics([(1, 3)], dose_rate=10.0, frame_time=5.0)
        >>> live.update([3.0]).dose, live.update([2.0], index=3).dose, live.report.missing
        (50.0, 200.0, (1, 2))
        """
        started = clock.perf_counter()
        number, at = self._numbered(index, time, dose)
        told = {"time": time, "dose": dose}
        try:
            areas = self._reader.read(frame)
        except BrokenFrame as error:
            if self._store is not None:
                self._store.write_broken(number, getattr(frame, "data", frame), told)
            return self._break(number, str(error))
        if self._store is not None:
            self._write(number, frame, told)
        return self._take(number, at, areas, started)

    def _write(self, number: int, frame: Any, told: dict[str, Any]) -> None:
        """Write a frame to the store; one that came before stays as it is."""
        assert self._store is not None
        data = np.asarray(getattr(frame, "data", frame))
        if self._series is not None and number in self._series.places:
            self._store.write_broken(number, data, {**told, "doubled": True})
            return
        self._store.write(
            number, data, self._reader.as_series(frame, self.exposure, self.dose_unit), told
        )

    def _numbered(
        self, index: int | None, time: float | None, dose: float | None
    ) -> tuple[int, float]:
        """Number and dose of a frame."""
        number = self._next
        if index is not None:
            if isinstance(index, bool) or not isinstance(index, int | np.integer) or index < 0:
                raise ValueError(f"index={index!r} must be a whole number, 0 or more.")
            number = int(index)
        if time is not None:
            time = real_number("time", time, "give the moment in s")
            if self._clock is not None:
                number = max(self._clock.index(time), 0) if index is None else number
                self._clock.see(number, time)
                self._say_drift()
        if dose is not None:
            remedy = "give the cumulative dose"
            return number, real_number("dose", dose, remedy, least=0.0, below=MOST_DOSE)
        if not self.exposure.step:
            raise ValueError(
                "dose=None, and neither dose_rate nor frame_time are known; give the cumulative "
                "dose of each frame, update(frame, dose=…)."
            )
        remedy = "check dose_rate, frame_time and the times of the frames"
        return number, real_number("dose", self.exposure.dose(number), remedy, below=MOST_DOSE)

    def _say_drift(self) -> None:
        assert self._clock is not None
        ratio = self._clock.ratio
        if self._drift_said or self.n_frames < DRIFT_FRAMES or abs(ratio - 1) < DRIFT:
            return
        self._drift_said = True
        warnings.warn(
            f"the times of the frames run {ratio:.3f} times as fast as frame_time="
            f"{self.exposure.frame_time:g} s says. Doses follow the numbers of the frames; if the "
            "frame time is wrong, so are they.",
            UserWarning,
            stacklevel=4,
        )

    def _break(self, number: int, reason: str) -> DosePosterior:
        if self._series is None or number not in self._series.places:
            self._incidents.broken[number] = reason
        self._next = max(self._next, number + 1)
        return self.posterior

    def _take(self, number: int, dose: float, areas: FrameAreas, started: float) -> DosePosterior:
        if self._series is None:
            self._begin(areas)
        series, engine = self._series, self._engine
        assert series is not None
        assert engine is not None
        if number in series.places:
            self._incidents.doubled[number] = not series.same(number, areas)
            return self.posterior
        # A number whose frame was broken may come again.
        self._incidents.broken.pop(number, None)
        self._next = max(self._next, number + 1)
        values, variance = self._curves(areas)
        last = series.add(number, dose, areas)
        if last:
            engine.add(dose, values, variance)
        else:
            self._incidents.late.append(number)
            engine.rebuild(self._frames())
        largest = float(series.dose[-1]) if not last else dose
        self.posterior = self._posterior_of(engine.update(largest), largest)
        reason = self._judge.reason(self.posterior, self.exposure.step)
        if reason:
            self._stop(reason)
        self.history.add(self.posterior)
        self._computing.add(clock.perf_counter() - started)
        self._shown()
        if self.on_update is not None and self.on_update(self.posterior) is True:
            self._stop("on_update said so")
        return self.posterior

    def _begin(self, areas: FrameAreas) -> None:
        """Learn from the first frame."""
        space = areas.values.shape[:-1]
        n_window = areas.values.shape[-1]
        spatial, estimator = self.options.resolved(space)
        self._averaged = bool(space) and spatial == "mean"
        space = () if self._averaged else space
        self._space = space
        config = exact_config(self.options, by_network=estimator == "pinn")
        if areas.variance is not None and config.noise == "relative":
            # Residuals that are small by luck would stop a series too soon.
            config = replace(config, noise="floor")
        offset = known_offset(self.options.offset, space, n_window)
        n_curve = n_window * math.prod(space)
        self._engine = LiveEngine(
            config,
            n_curve,
            offset=None if offset is None else offset.reshape(-1),
            dose_scale=self.options.dose_scale,
            level=self._judge.level,
            weighted=areas.variance is not None and not space,
        )
        self._series = GrowingSeries(areas.values.size, areas.variance is not None)

    def _curves(self, areas: FrameAreas) -> tuple[np.ndarray, np.ndarray | None]:
        """Areas and variance as the engine takes them, ``(n_curve,)``."""
        values, variance = areas.values, areas.variance
        if not self._averaged:
            return values.reshape(-1), None if variance is None else variance.reshape(-1)
        axes = tuple(range(values.ndim - 1))
        present = np.isfinite(values)
        number = np.maximum(present.sum(axis=axes), 1)
        mean = np.where(present, values, 0.0).sum(axis=axes) / number
        if variance is None:
            return mean, None
        return mean, np.where(present, variance, 0.0).sum(axis=axes) / number**2

    def _frames(self) -> Iterator[tuple[float, np.ndarray, np.ndarray | None]]:
        """All frames, by dose, as the engine takes them."""
        series = self._series
        assert series is not None
        shape = (*(self._reader.shape or ())[:-1], len(self.window_names))
        variance = series.variance
        for place, (dose, values) in enumerate(zip(series.dose, series.values, strict=True)):
            spread = None if variance is None else variance[place].reshape(shape)
            yield float(dose), *self._curves(FrameAreas(values.reshape(shape), spread))

    def _posterior_of(self, estimate: Any, dose: float = 0.0) -> DosePosterior:
        names = self.window_names
        nothing = np.full(len(names), np.nan)

        def by_window(array: np.ndarray) -> np.ndarray:
            return np.moveaxis(array.reshape(*self._space, len(names)), -1, 0).copy()

        arrays = ("half_dose", "lower", "upper", "sd_log_half_dose", "integrity", "below")
        half, lower, upper, spread, integrity, below = (
            nothing if estimate is None else by_window(getattr(estimate, name)) for name in arrays
        )
        return DosePosterior(
            names,
            self.n_frames,
            dose,
            self.dose_unit,
            half,
            lower,
            upper,
            spread,
            integrity,
            below,
            self._judge.level,
        )

    def _shown(self) -> None:
        """Called when there is something new to show."""

    def _stop(self, reason: str) -> None:
        """Say to stop, once."""
        self.stopped_by = self.stopped_by or reason
        self.posterior = replace(self.posterior, stopped_by=self.stopped_by)

    # Results

    @property
    def series(self) -> DoseSeries:
        """The areas so far, as `integrate_windows` makes them of the whole series.

        Raises
        ------
        ValueError
            If no frame has come that could be used.
        """
        if self._series is None:
            raise ValueError("no frame has come yet that could be used; give some to update().")
        return as_dose_series(self._series, self._reader, self.exposure, self.dose_unit)

    def result(self, *, show_progressbar: bool | None = None, **fit_options: Any) -> DoseKinetics:
        """Fit all frames so far, as `DoseSeries.fit_dose_pinn` does afterwards.

        Parameters
        ----------
        show_progressbar
            Whether to show progress; ``None`` takes HyperSpy's preference.
        **fit_options
            Options of the fit in the place of those given before.

        Returns
        -------
        DoseKinetics
            The result.

        Raises
        ------
        ValueError
            If there are too few frames for the law.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> live = hyperspy_dosekin.LiveKinetics(
        ...     dose_rate=3.45, frame_time=44.0, estimator="exact"
        ... )
        >>> for frame in s:
        ...     _ = live.update(frame)
        >>> live.result()
        <DoseKinetics, 4 windows, 9 doses, exact estimator...>
        """
        options = self.options
        if fit_options:
            options = FitOptions.of("result", **{**options.given(), **fit_options})
        if self._series is not None and len(self._series.dose) < 2:
            raise ValueError("one frame is too few to fit; give further ones to update().")
        return fit_dose_series(self.series, options, show_progressbar=show_progressbar)
