# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a series after its last frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.results import TabledResult, as_frame

if TYPE_CHECKING:
    from pandas import DataFrame

    from hyperspy_dosekin.kinetics.live.summary import LiveEstimate


#: What is known of each window and pixel, and what its estimates call it.
_ARRAYS = {
    "half_integrity_dose": "half_dose",
    **{name: name for name in ("lower", "upper", "sd_log_half_dose", "integrity", "below")},
}


@dataclass(frozen=True, eq=False, repr=False)
class DosePosterior(TabledResult):
    """Posterior of D½ by window after a frame; `LiveKinetics.update` returns it.

    Arrays are ``(window, …space…)``, NaN where nothing can be said yet.

    Parameters
    ----------
    window_names
        The windows.
    n_frames, dose
        Frames that count, and the dose at the end of the last one.
    dose_unit
        Unit of the doses.
    half_integrity_dose, lower, upper
        Median of D½ and its 95 % interval.
    sd_log_half_dose
        Standard deviation of ln D½, a relative error of D½.
    integrity
        Mean of the integrity at the last dose.
    below, level
        Probability that the integrity is below a level.
    age
        Frames that have come since the numbers of each pixel were found: 0 but for large maps,
        of which some pixels follow after each frame, and all frames after one that came late.
    stopped_by
        Why the series may stop; empty where it may not.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> live = hyperspy_dosekin.LiveKinetics(dose_rate=3.45, frame_time=44.0)
    >>> for frame in s:
    ...     posterior = live.update(frame)
    >>> posterior
    <DosePosterior, 9 frames, 1366 e⁻/Å², 4 windows>
    >>> bool(posterior["C–O"].lower < posterior["C–O"].upper)
    True
    """

    window_names: tuple[str, ...]
    n_frames: int
    dose: float
    dose_unit: str
    half_integrity_dose: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    sd_log_half_dose: np.ndarray
    integrity: np.ndarray
    below: np.ndarray
    level: float
    age: np.ndarray
    stopped_by: str = ""

    def __getitem__(self, name: str) -> DosePosterior:
        """The posterior of one window, whose arrays are ``(…space…)``."""
        if name not in self.window_names:
            raise KeyError(f"there is no window {name!r}, only {list(self.window_names)}.")
        place = self.window_names.index(name)
        chosen = {array: getattr(self, array)[place] for array in (*_ARRAYS, "age")}
        return replace(self, window_names=(name,), **chosen)

    def __iter__(self) -> Iterator[str]:
        """Names of the windows."""
        return iter(self.window_names)

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.window_names)

    def to_dataframe(self) -> DataFrame:
        """Return what is known as a table: one row for each window, or each pixel and window."""
        single = len(self.window_names) == 1 and np.ndim(self.age) == 0
        arrays = {name: np.asarray(getattr(self, name)) for name in (*_ARRAYS, "age")}
        if single:
            arrays = {name: array[None] for name, array in arrays.items()}
        shape = arrays["age"].shape
        places = np.indices(shape).reshape(len(shape), -1)
        columns: dict[str, object] = {
            "window": np.array(self.window_names, dtype=object)[places[0]],
            **{f"axis_{number}_index": index for number, index in enumerate(places[1:])},
            **{name: array.reshape(-1) for name, array in arrays.items()},
            "level": self.level,
            "n_frames": self.n_frames,
            "dose": self.dose,
            "dose_unit": self.dose_unit,
        }
        doses = ("half_integrity_dose", "lower", "upper", "dose")
        return as_frame(columns, units=dict.fromkeys(doses, self.dose_unit))

    @property
    def table(self) -> PrettyTable:
        """One row a window; of maps the medians over the pixels of which something is known."""
        unit = f" ({self.dose_unit})" if self.dose_unit else ""
        table = PrettyTable(["window", f"D½{unit}", "95 % interval", "sd of ln D½", "C now"])
        table.align = "r"
        table.align["window"] = "l"
        single = len(self.window_names) == 1 and np.ndim(self.lower) == 0
        for place, name in enumerate(self.window_names):

            def middle(array: np.ndarray, place: int = place) -> float:
                values = np.asarray(array if single else array[place])
                known = values[np.isfinite(values)]
                return float(np.median(known)) if known.size else np.nan

            lower, upper, spread = map(middle, (self.lower, self.upper, self.sd_log_half_dose))
            if np.isnan(spread):
                table.add_row([name, "–", "–", "–", "–"])
                continue
            table.add_row(
                [
                    name,
                    f"{middle(self.half_integrity_dose):.3g}",
                    f"{lower:.3g} … {upper:.3g}",
                    f"{spread:.2g}",
                    f"{middle(self.integrity):.2f}",
                ]
            )
        return table

    @property
    def headline(self) -> str:
        """Frames and dose, and why to stop."""
        unit = f" {self.dose_unit}" if self.dose_unit else ""
        text = f"{self.n_frames} frames, {self.dose:.4g}{unit}"
        if np.any(self.age):
            text += f"; pixels are up to {int(np.max(self.age))} frames behind"
        return f"{text}; STOP: {self.stopped_by}" if self.stopped_by else text

    def __repr__(self) -> str:
        """One line."""
        unit = f" {self.dose_unit}" if self.dose_unit else ""
        number = len(self.window_names)
        return printable(
            f"<DosePosterior, {self.n_frames} frames, {self.dose:.4g}{unit}, {number} "
            f"window{'s' * (number != 1)}>"
        )

    def _heading(self) -> str:
        return self.headline

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        return [self.table], []


def posterior_of(
    estimate: LiveEstimate | None,
    names: tuple[str, ...],
    space: tuple[int, ...],
    *,
    n_frames: int,
    dose: float,
    dose_unit: str,
    level: float,
    age: np.ndarray | None = None,
) -> DosePosterior:
    """The posterior of all windows from the estimates of their curves.

    Parameters
    ----------
    estimate
        Estimates, ``(n_pixel · n_window,)``; ``None`` where nothing can be said.
    names, space
        The windows, and the sizes of the space axes.
    n_frames, dose, dose_unit, level
        As for `DosePosterior`.
    age
        Frames since each estimate, ``(n_pixel · n_window,)``; by default 0.
    """

    def by_window(array: np.ndarray) -> np.ndarray:
        return np.moveaxis(array.reshape(*space, len(names)), -1, 0).copy()

    nothing = np.full(len(names), np.nan)
    half, lower, upper, spread, integrity, below = (
        nothing if estimate is None else by_window(getattr(estimate, given))
        for given in _ARRAYS.values()
    )
    frames = np.zeros(len(names), dtype=np.int64)
    if estimate is not None and age is not None:
        frames = by_window(age)
    known = half, lower, upper, spread, integrity, below
    return DosePosterior(names, n_frames, dose, dose_unit, *known, level, frames)


def widened(posterior: DosePosterior, factor: float) -> DosePosterior:
    """The same with intervals that are wider in ln D½ about the median.

    Parameters
    ----------
    posterior, factor
        What is known, and how much wider.
    """
    middle = posterior.half_integrity_dose
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = (posterior.lower, posterior.upper)
        lower, upper = (middle * (end / middle) ** factor for end in ends)
    return replace(posterior, lower=lower, upper=upper)
