# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of the law, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hyperspy_dosekin.plotting.kinetics.pictures.base import Picture, arrays, pairs, size_of


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimate:
    """One parameter of every window.

    Parameters
    ----------
    value
        Shape ``(W,)``; NaN where there is none.
    spread
        Standard deviation over the members of an ensemble (*optimiser spread*), ``(W,)``, or
        ``None``.
    lower, upper
        Interval, ``(W,)``, or ``None``; open where lower is 0 or −inf or upper is inf.

    Raises
    ------
    ValueError
        If shapes differ, or one bound lacks the other.

    Examples
    --------
    >>> Estimate(value=[900.0, 300.0], lower=[600.0, 270.0], upper=[np.inf, 340.0]).value
    array([900., 300.])
    """

    value: np.ndarray
    spread: np.ndarray | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None

    def __post_init__(self) -> None:
        arrays(self, float, (size_of(self, "value"),), "value", "spread lower upper")
        pairs(self, "")


@dataclass(frozen=True, eq=False, kw_only=True)
class ParameterPicture(Picture):
    """Parameters of the law and half-integrity dose of every window.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`.
    half_dose
        Half-integrity dose D½.
    reached
        Whether D½ lies inside the measured range, ``(W,)``.
    rate
        k per normalised dose; ``None`` where the law has none.
    exponent
        p; ``None`` where the law has none.
    others
        Further parameters of the law, by label.
    dose_max
        Largest measured dose, marked beside D½; ``None`` leaves it out.
    level
        Probability (or confidence) of the intervals.
    interval_method
        What the intervals are, for instance ``"posterior"``.
    identifiable
        Whether the data determine D½, ``(W,)``; ``None`` if that was not examined.
    adequate
        Whether the law describes the data, ``(W,)``; where not, D½ is marked as doubtful.
    grows
        Whether the amplitude is negative, ``(W,)``; default nowhere.

    Raises
    ------
    ValueError
        If a shape does not fit.

    Examples
    --------
    >>> picture = ParameterPicture(
    ...     window_names=("C–C", "C–O"),
    ...     half_dose=Estimate(value=[900.0, 300.0], lower=[600.0, 270.0], upper=[np.inf, 340.0]),
    ...     reached=[True, True],
    ...     rate=Estimate(value=[1.0, 3.0]),
    ... )
    >>> picture.window_names
    ('C–C', 'C–O')
    """

    half_dose: Estimate
    reached: np.ndarray
    rate: Estimate | None = None
    exponent: Estimate | None = None
    others: Mapping[str, Estimate] = field(default_factory=dict)
    dose_max: float | None = None
    level: float = 0.95
    interval_method: str = "posterior"
    identifiable: np.ndarray | None = None
    adequate: np.ndarray | None = None
    grows: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        n_window = len(self.window_names)
        arrays(self, bool, (n_window,), "reached", "identifiable adequate grows")
        estimates = {"rate": self.rate, "exponent": self.exponent, "half_dose": self.half_dose}
        for name, estimate in {**estimates, **self.others}.items():
            size = n_window if estimate is None else estimate.value.size
            if size != n_window:
                raise ValueError(f"{name} has {size} values for {n_window} windows; pass one each.")
