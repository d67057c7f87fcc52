# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames one by one: areas, posterior, rules. What feeds and shows it is in `kinetics`."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.live.rules import STOPPED_WIDER
from hyperspy_dosekin.numerics.arguments import check_callable
from hyperspy_dosekin.numerics.stream.latency import LatencyHistogram
from hyperspy_dosekin.signals.kinetics.options.configs import exact_config
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions, takes_fit_options
from hyperspy_dosekin.signals.kinetics.options.offset import known_offset

from .areas import FrameAreas
from .engine import BUDGET, LiveEngine, budget_in_s
from .frames import BrokenFrame, FrameReader
from .growing import Exposure, GrowingSeries, Incidents
from .judge import Judge
from .like_frames import like_frame
from .numbering import FrameNumbers
from .posterior import DosePosterior, posterior_of, widened
from .report import LiveReport
from .settings import settings_of
from .shown import History
from .store import FrameStore

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt
    from hyperspy.axes import BaseDataAxis
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.live.summary import LiveEstimate
    from hyperspy_dosekin.windows.definitions import Window, WindowsLike


class GrowingKinetics:
    """A series that grows and what is known of it; see `LiveKinetics` for the parameters."""

    @takes_fit_options()
    def __init__(
        self,
        windows: WindowsLike | None = None,
        *,
        dose_rate: float | None = None,
        frame_time: float | None = None,
        pre_exposure: float = 0.0,
        offset: BaseSignal | npt.ArrayLike | None = None,
        stop_when: object = None,
        energy_axis: BaseDataAxis | npt.ArrayLike | None = None,
        process: bool | str | Sequence[str] = False,
        store: str | PathLike[str] | None = None,
        on_update: Callable[[DosePosterior], object] | None = None,
        dose_unit: str = "e⁻/Å²",
        budget: float | None = BUDGET,
        **fit_options: object,
    ) -> None:
        self.budget = budget_in_s(budget)
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
        self._numbers = FrameNumbers(self.exposure)
        self._computing = LatencyHistogram()
        #: Why the series may stop; empty where it may not.
        self.stopped_by = ""
        #: What is known after the last frame.
        self.posterior = self._posterior_of(None)
        #: D½ after each frame, for the figure.
        self.history = History()
        check_live_law(self.options.kinetic_law, exact_config(self.options).parameters)
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
        present = {*(() if self._series is None else self._series.places), *self._incidents.broken}
        missing = tuple(number for number in range(self._numbers.next) if number not in present)
        return LiveReport(
            self.n_frames,
            missing,
            dict(self._incidents.broken),
            dict(self._incidents.doubled),
            tuple(self._incidents.late),
            self._numbers.clock_ratio,
            self._computing,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments, as far as a file can hold them."""
        given = self._judge.rules, self._reader.steps, self.dose_unit, self.budget
        return settings_of(self._reader.windows, self.exposure, self.options, *given)

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
        >>> live = hyperspy_dosekin.LiveKinetics([(1, 3)], dose_rate=10.0, frame_time=5.0)
        >>> live.update([3.0]).dose, live.update([2.0], index=3).dose, live.report.missing
        (50.0, 200.0, (1, 2))
        """
        started = clock.perf_counter()
        number, at = self._numbers.of(index, time, dose, self.n_frames)
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

    def _write(self, number: int, frame: object, told: dict[str, Any]) -> None:
        """Write a frame to the store; one that came before stays as it is."""
        assert self._store is not None
        data = np.asarray(getattr(frame, "data", frame))
        if self._series is not None and number in self._series.places:
            self._store.write_broken(number, data, {**told, "doubled": True})
            return
        make = like_frame(frame, self._reader.energy_ev, self.exposure, self.dose_unit)
        self._store.write(number, data, make, told)

    def _break(self, number: int, reason: str) -> DosePosterior:
        if self._series is None or number not in self._series.places:
            self._incidents.broken[number] = reason
        self._numbers.next = max(self._numbers.next, number + 1)
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
        self._numbers.next = max(self._numbers.next, number + 1)
        values, variance = self._curves(areas)
        last = series.add(number, dose, areas)
        if last:
            engine.add(dose, values, variance)
        else:
            self._incidents.late.append(number)
            engine.rebuild(self._frames())
        largest = float(series.dose[-1]) if not last else dose
        self.posterior = self._posterior_of(engine.update(largest, self.budget), largest)
        reason = self._judge.reason(self.posterior, self.exposure.step, engine.caution)
        if reason:
            self._stop(reason)
        if self._judge.certain and engine.caution > 1:
            self.posterior = widened(self.posterior, STOPPED_WIDER)
        self.history.add(self.posterior)
        self._computing.add(clock.perf_counter() - started)
        self._shown()
        if self.on_update is not None and self.on_update(self.posterior) is True:
            self._stop("on_update said so")
        return self.posterior

    def _begin(self, areas: FrameAreas) -> None:
        """Learn from the first frame."""
        space, n_window = areas.values.shape[:-1], areas.values.shape[-1]
        spatial, estimator = self.options.resolved(space)
        self._averaged = bool(space) and spatial == "mean"
        self._space = space = () if self._averaged else space
        config = exact_config(self.options, by_network=estimator == "pinn")
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
        areas = areas.averaged() if self._averaged else areas
        variance = areas.variance
        return areas.values.reshape(-1), None if variance is None else variance.reshape(-1)

    def _frames(self) -> Iterator[tuple[float, np.ndarray, np.ndarray | None]]:
        """All frames, by dose, as the engine takes them."""
        series = self._series
        assert series is not None
        shape = (*(self._reader.shape or ())[:-1], len(self.window_names))
        variance = series.variance
        for place, (dose, values) in enumerate(zip(series.dose, series.values, strict=True)):
            spread = None if variance is None else variance[place].reshape(shape)
            yield float(dose), *self._curves(FrameAreas(values.reshape(shape), spread))

    def _posterior_of(self, estimate: LiveEstimate | None, dose: float = 0.0) -> DosePosterior:
        return posterior_of(
            estimate,
            self.window_names,
            self._space,
            n_frames=self.n_frames,
            dose=dose,
            dose_unit=self.dose_unit,
            level=self._judge.level,
            age=None if self._engine is None else self._engine.age,
        )

    def _shown(self) -> None:
        """Called when there is something new to show."""

    def _stop(self, reason: str) -> None:
        """Say to stop, once."""
        self.stopped_by = self.stopped_by or reason
        self.posterior = replace(self.posterior, stopped_by=self.stopped_by)
