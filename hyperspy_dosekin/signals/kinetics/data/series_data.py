# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A `DoseSeries` read into plain arrays, in the order that every estimator expects."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.lazy.blocks import as_lazy_as, compute
from hyperspy_dosekin.signals.axes.dose_axis import doses_of
from hyperspy_dosekin.signals.axes.origin import Origin, origin_of
from hyperspy_dosekin.signals.axes.processed import processing_of
from hyperspy_dosekin.signals.axes.series_noise import checked_variance
from hyperspy_dosekin.signals.axes.shared_error import shared_errors_of
from hyperspy_dosekin.signals.kinetics.data.recorded import Recorded, conditions_of

if TYPE_CHECKING:
    from hyperspy.axes import BaseDataAxis

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.windows.definitions import Window


class Series(Protocol):
    """What is read of a `DoseSeries`."""

    data: Any
    metadata: Any
    axes_manager: Any

    @property
    def dose(self) -> np.ndarray:
        """Doses of the frames."""
        ...

    @property
    def window_axis(self) -> BaseDataAxis | None:
        """The axis of windows."""
        ...

    @property
    def window_names(self) -> tuple[str, ...]:
        """Labels of the windows."""
        ...

    @property
    def windows(self) -> tuple[Window, ...] | None:
        """The windows, where they are ranges of a spectrum."""
        ...

    def get_noise_variance(self) -> BaseSignal | float | None:
        """The noise variance, where it is known."""
        ...


@dataclass(frozen=True, eq=False)
class SeriesData:
    """The arrays and labels of a dose series.

    Parameters
    ----------
    dose
        Ascending cumulative doses, ``(n_dose,)``, in `dose_unit`.
    values
        NumPy or dask array ``(…space…, window, dose)``.
    variance
        Its noise variance, an array of the same shape, or ``None``.
    window_names
        One name for each window.
    space_axes
        HyperSpy axis dictionaries of the space axes, in the order of the array.
    title, quantity
        Taken from the metadata.
    dose_metadata
        The ``Dose`` node of the metadata.
    dose_unit
        Unit of the doses; empty where the series does not say.
    windows
        The windows, where they are ranges of a spectrum.
    dose_scale
        Dose that counts as 1 in rates and priors; ``None`` for the largest.
    shared_errors
        Errors that frames share, by name, each one standard deviation, arrays of the shape of the
        values.
    origin
        The spectra that the series was made of, where they are known.
    processing
        What was done to the spectra before, as `processing_of` reads it.
    conditions
        What the metadata say of the experiment, by name.
    """

    dose: np.ndarray
    values: Any
    variance: Any
    window_names: tuple[str, ...]
    space_axes: tuple[dict[str, Any], ...]
    title: str
    quantity: str
    dose_metadata: dict[str, Any]
    dose_unit: str = ""
    windows: tuple[Window, ...] | None = None
    dose_scale: float | None = None
    shared_errors: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    processing: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Recorded] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        """Dose that counts as 1 in rates and priors."""
        return float(self.dose[-1]) if self.dose_scale is None else self.dose_scale

    @property
    def dose_rate(self) -> float | None:
        """Dose rate of all frames in unit of dose per second; ``None`` if unknown or changing."""
        rate = np.unique(self.dose_metadata.get("dose_rate", np.nan))
        return float(rate[0]) if rate.size == 1 and np.isfinite(rate[0]) else None

    @property
    def space_shape(self) -> tuple[int, ...]:
        """Sizes of the space axes."""
        return self.values.shape[:-2]

    @property
    def relative_dose(self) -> np.ndarray | None:
        """Dose of each pixel relative to `dose`, ``(…space…)``, where it is known."""
        relative = self.dose_metadata.get("map")
        return None if relative is None or not self.space_axes else np.asarray(relative)

    @classmethod
    def of(cls, series: Series) -> SeriesData:
        """Read a series, sorting its frames by dose with a warning where they are not sorted.

        Raises
        ------
        TypeError
            If the intensities are complex or not numbers.
        ValueError
            If the doses are negative or not finite.
        """
        values = series.data
        if values.dtype.kind not in "iufb":
            raise TypeError(
                f"a dose series of {values.dtype} cannot be fitted; it must hold real numbers. "
                "Take the modulus or the real part first."
            )
        # Units that cannot be converted stay as they are: counts of frames can be fitted, too.
        dose, dose_unit = doses_of(series.dose, series.axes_manager.signal_axes[0].units)
        _check_doses(dose)
        order = np.argsort(dose, kind="stable")
        ascending = np.array_equal(order, np.arange(dose.size))
        if not ascending:
            warnings.warn(
                "The doses are not ascending; the frames are sorted by dose for the fit.",
                UserWarning,
                stacklevel=2,
            )
            dose = dose[order]
        window = series.window_axis
        axes = [axis for axis in series.axes_manager._axes[:-1] if axis is not window]

        def arranged(array: Any) -> Any:
            array = array if ascending else array[..., order]
            if window is None:
                return array[..., np.newaxis, :]
            return np.moveaxis(array, window.index_in_array, -2)

        metadata = series.metadata
        data = cls(
            dose,
            values,
            _variance_like(series),
            tuple(series.window_names),
            tuple(axis.get_axis_dictionary() for axis in axes),
            metadata.get_item("General.title", ""),
            metadata.get_item("Signal.quantity", "") or "Intensity",
            metadata.Dose.as_dictionary() if metadata.has_item("Dose") else {},
            dose_unit,
            series.windows,
            shared_errors=shared_errors_of(series),
            origin=origin_of(series),
            processing=processing_of(series),
            conditions=conditions_of(series),
        ).each_array(arranged)
        _check_map(metadata.get_item("Dose.map"), data.space_shape)
        return data

    def each_array(self, change: Callable[[Any], Any]) -> SeriesData:
        """The same with values, variance and shared errors each changed in the same way."""
        return replace(
            self,
            values=change(self.values),
            variance=None if self.variance is None else change(self.variance),
            shared_errors={name: change(error) for name, error in self.shared_errors.items()},
        )

    def select(self, places: Sequence[int]) -> SeriesData:
        """Some of the windows, by their places."""
        names = tuple(self.window_names[place] for place in places)
        windows = None if self.windows is None else tuple(self.windows[p] for p in places)
        metadata = {**self.dose_metadata, "window_names": list(names)}
        if windows is not None:
            metadata["window_ranges"] = [[window.left, window.right] for window in windows]
        chosen = list(places)
        return replace(
            self.each_array(lambda array: array[..., chosen, :]),
            window_names=names,
            windows=windows,
            dose_metadata=metadata,
        )

    def averaged(self) -> SeriesData:
        """The mean over space, computed, with the variance of that mean.

        A pixel that misses a frame would move the mean of that frame alone, so a pixel counts
        only where it has all frames of the window that any pixel has.
        """
        if not self.space_shape:
            return self.computed()
        space = tuple(range(len(self.space_shape)))
        finite = np.isfinite(self.values)
        recorded = finite.any(axis=space, keepdims=True)
        whole = (finite | ~recorded).all(axis=-1, keepdims=True)
        used = whole & recorded
        number = used.sum(axis=space)
        sums = [np.where(used, self.values, 0.0).sum(axis=space, dtype=np.float64)]
        if self.variance is not None:
            sums.append(np.where(used, self.variance, 0.0).sum(axis=space, dtype=np.float64))
        # An error that frames share is one for all pixels, too: its mean does not average out.
        of_errors = [
            np.where(used, error, 0.0).sum(axis=space) for error in self.shared_errors.values()
        ]
        n_pixel = int(np.prod(self.space_shape))
        number, *sums = compute(number, *of_errors, *sums)
        of_errors, sums = sums[: len(of_errors)], sums[len(of_errors) :]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(number > 0, sums[0] / number, np.nan)
            variance = np.where(number > 0, sums[1] / number**2, np.nan) if sums[1:] else None
            means = [total / np.maximum(number, 1) for total in of_errors]
            errors = dict(zip(self.shared_errors, means, strict=True))
        left_out = n_pixel - int(number.max(axis=-1).min()) if number.size else 0
        if left_out:
            warnings.warn(
                f"{left_out} of {n_pixel} pixels miss frames and are left out of the mean.",
                UserWarning,
                stacklevel=2,
            )
        return replace(self, values=mean, variance=variance, space_axes=(), shared_errors=errors)

    def computed(self) -> SeriesData:
        """The same in memory."""
        errors = list(self.shared_errors.values())
        values, variance, *errors = compute(self.values, self.variance, *errors)
        named = dict(zip(self.shared_errors, errors, strict=True))
        return replace(self, values=values, variance=variance, shared_errors=named)

    def problem(self, *, quiet: bool = False, shared: bool = False) -> DoseProblem:
        """The fit problem of a series without space axes.

        Parameters
        ----------
        quiet
            Whether to say nothing of missing frames.
        shared
            Whether it knows of the errors that frames share.
        """
        errors = [np.asarray(error)[None] for error in self.shared_errors.values()]
        problem = DoseProblem(
            self.dose,
            np.asarray(self.values, dtype=np.float64)[np.newaxis],
            self.window_names,
            None if self.variance is None else np.asarray(self.variance)[np.newaxis],
            self.dose_scale,
            np.stack(errors) if shared and errors else None,
        )
        missing = ~problem.usable[0]
        if missing.all():
            raise ValueError(
                "no window has a finite intensity at any dose, so there is nothing to fit; look at "
                "the series, and at processing_diagnostics() of the spectra it was made of."
            )
        if missing.any() and not quiet:
            warnings.warn(self._missing_frames(missing), UserWarning, stacklevel=2)
        return problem

    def _missing_frames(self, missing: np.ndarray) -> str:
        """What frames ``(window, dose)`` are missing, in words: by window where these differ."""
        said: dict[str, list[str]] = {}
        for name, gone in zip(self.window_names, missing, strict=True):
            doses = ", ".join(f"{dose:g}" for dose in self.dose[gone])
            frames = f"frames at dose {doses} {self.dose_unit}".rstrip()
            if gone.any():
                said.setdefault("all frames" if gone.all() else frames, []).append(str(name))
        every = len(said) == 1 and len(*said.values()) == len(self.window_names)
        text = "; ".join(
            frames if every else f"{', '.join(names)}: {frames}" for frames, names in said.items()
        )
        text = text[0].upper() + text[1:] if every else text
        return f"{text} hold NaN or infinite intensities and are left out of the fit."


def check_dose_rate(law: KineticLaw, data: SeriesData) -> None:
    """Raise if a law needs other series, or the dose rate, and the series does not say one."""
    if law.needs_series:
        raise ValueError(
            f"one series cannot tell the parameters of the kinetic law {law.name!r}; fit several, "
            f"with other {' or '.join(law.inputs)}, by fit_dose_conditions."
        )
    if law.needs_dose_rate and data.dose_rate is None:
        raise ValueError(
            f"the kinetic law {law.name!r} needs one dose rate for all frames, and "
            f"metadata.Dose.dose_rate is {data.dose_metadata.get('dose_rate')!r}; set it with "
            "set_dose_axis(dose_rate=…, frame_time=…)."
        )


def relative_errors(data: SeriesData) -> dict[str, object]:
    """Shared errors over the values, by name; 0 where these are 0 or missing."""
    usable = np.isfinite(data.values) & (data.values != 0)
    values = np.where(usable, data.values, 1.0)
    return {
        name: np.where(usable, error / values, 0.0) for name, error in data.shared_errors.items()
    }


def _check_doses(dose: np.ndarray) -> None:
    if not np.all(np.isfinite(dose)) or np.any(dose < 0):
        raise ValueError(
            f"doses {dose.tolist()} must be finite and not negative: cumulative dose counts "
            "from zero. Set them with set_dose_axis, or calibrate the signal axis."
        )


def _check_map(relative: Any, shape: tuple[int, ...]) -> None:
    """Refuse a map of relative doses of other pixels, as slicing leaves it."""
    if relative is not None and shape and np.shape(relative) != shape:
        raise ValueError(
            f"metadata.Dose.map holds the relative doses of pixels of the shape "
            f"{np.shape(relative)}, but the series has {shape}; cut it likewise, or delete it."
        )


def _variance_like(series: Series) -> Any:
    """Noise variance as an array of the shape of the series, or ``None``."""
    variance = checked_variance(series)
    if variance is None:
        return None
    array = variance.data if isinstance(variance, BaseSignal) else np.asarray(variance)
    return as_lazy_as(np.broadcast_to(array, series.data.shape), series.data)
