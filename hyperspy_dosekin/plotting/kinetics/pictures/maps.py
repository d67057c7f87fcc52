# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Half-integrity doses of pixels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hyperspy_dosekin.plotting.kinetics.pictures.base import Picture, arrays, pairs


@dataclass(frozen=True, eq=False, kw_only=True)
class MapPicture(Picture):
    """Maps of the half-integrity dose of every window.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`.
    half_dose
        D½, ``(W, y, x)``; NaN where C never falls to ½ or nothing was fitted.
    reached
        Whether D½ lies inside the measured range, ``(W, y, x)``.
    fitted
        Whether there is an estimate, ``(W, y, x)``.
    identifiable
        Whether the data determine D½, ``(W, y, x)``; ``None`` if that was not examined.
    lower, upper
        Interval of D½, ``(W, y, x)``; needed with `identifiable`.
    level
        Probability (or confidence) of the interval.
    interval_method
        What the interval is.
    pixel_size, units
        Width of a pixel, for a scale bar; none without.

    Raises
    ------
    ValueError
        If a shape does not fit, or the flags come without the interval.

    Examples
    --------
    >>> picture = MapPicture(
    ...     window_names=("C–O",),
    ...     half_dose=np.full((1, 3, 4), 500.0),
    ...     reached=np.ones((1, 3, 4)),
    ...     fitted=np.ones((1, 3, 4)),
    ... )
    >>> picture.shape
    (3, 4)
    """

    half_dose: np.ndarray
    reached: np.ndarray
    fitted: np.ndarray
    identifiable: np.ndarray | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    level: float = 0.95
    interval_method: str = "posterior"
    pixel_size: float | None = None
    units: str = ""
    states: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        n_window = len(self.window_names)
        shape = np.shape(self.half_dose)
        if len(shape) != 3:
            raise ValueError(
                f"MapPicture.half_dose has {len(shape)} dimensions; pass an array (window, y, x)."
            )
        shape = (n_window, *shape[1:])
        arrays(self, float, shape, "half_dose", "lower upper")
        arrays(self, bool, shape, "reached fitted", "identifiable")
        pairs(self, "")
        if self.identifiable is not None and self.lower is None:
            raise ValueError("MapPicture has identifiable without lower and upper; pass all three.")
        determined = True if self.identifiable is None else self.identifiable
        states = np.where(determined, np.where(self.reached, 0, 1), 2)
        object.__setattr__(self, "states", np.where(self.fitted, states, 3))

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels (y, x)."""
        return self.half_dose.shape[1], self.half_dose.shape[2]
