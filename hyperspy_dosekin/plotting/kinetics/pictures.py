# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures show: plain arrays and labels, checked once, without any drawing.

In all of them W is the number of windows, doses are cumulative and in the unit `dose_unit` of the
picture, and NaN stands for what does not exist: a missing frame, a half-integrity dose that is
never reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


def _arrays(
    picture: object, dtype: type, shape: tuple[int, ...], required: str, optional: str = ""
) -> None:
    """Replace fields by arrays of a dtype and shape; optional ones may stay ``None``."""
    for name in f"{required} {optional}".split():
        value = getattr(picture, name)
        if value is None and name in optional.split():
            continue
        array = np.asarray(value, dtype=dtype)
        if array.shape != shape:
            raise ValueError(
                f"{type(picture).__name__}.{name} of shape {array.shape} must have shape {shape}; "
                "windows come first, doses or records as the docstring says."
            )
        object.__setattr__(picture, name, array)


def _pairs(picture: object, *names: str) -> None:
    """Bounds of an interval only make sense together."""
    for name in names:
        lower, upper = getattr(picture, f"{name}lower"), getattr(picture, f"{name}upper")
        if (lower is None) != (upper is None):
            raise ValueError(
                f"{type(picture).__name__} has only one of {name}lower and {name}upper; pass both "
                "bounds of the interval or neither (an open one ends in inf or 0)."
            )


def _size(picture: object, name: str) -> int:
    """Length of a 1-D field."""
    array = np.asarray(getattr(picture, name), dtype=float)
    if array.ndim != 1:
        raise ValueError(
            f"{type(picture).__name__}.{name} has {array.ndim} dimensions; pass a 1-D array."
        )
    object.__setattr__(picture, name, array)
    return array.size


def _mappings(picture: object, name: str, shape: tuple[int, ...]) -> None:
    """Replace the entries of a mapping by float arrays of a shape."""
    entries = {str(key): np.asarray(v, dtype=float) for key, v in getattr(picture, name).items()}
    for key, array in entries.items():
        if array.shape != shape:
            raise ValueError(
                f"{type(picture).__name__}.{name}[{key!r}] of shape {array.shape} must have shape "
                f"{shape}."
            )
    object.__setattr__(picture, name, entries)


@dataclass(frozen=True, eq=False, kw_only=True)
class Picture:
    """What all pictures have.

    Parameters
    ----------
    window_names
        W labels.
    dose_unit
        Unit of all doses; empty where it is not known.
    title
        Title of the figure; none if empty.
    energy_windows
        Whether windows are ranges of energy, whose names a figure calls labels.

    Raises
    ------
    ValueError
        If there is no window.
    """

    window_names: tuple[str, ...]
    dose_unit: str = ""
    title: str = ""
    energy_windows: bool = True

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.window_names)
        if not names:
            raise ValueError("window_names is empty; a figure needs at least one window.")
        object.__setattr__(self, "window_names", names)


@dataclass(frozen=True, eq=False, kw_only=True)
class CurvePicture(Picture):
    """Data, fit and integrity of every window against dose.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`.
    dose
        Measured doses, ``(n_dose,)``.
    values
        Data, ``(W, n_dose)``, in the unit named by `quantity`; NaN marks a missing frame.
    grid
        Doses of the curves, ``(n_grid,)``, from 0; may go on beyond the last measured
        dose. Residuals are read off the fit by linear interpolation, so it should be fine.
    fitted
        Fit a C + b in the unit of the data, ``(W, n_grid)``.
    integrity
        C, ``(W, n_grid)``.
    half_dose
        Half-integrity dose D½, ``(W,)``; NaN where C never falls to ½.
    reached
        Whether D½ lies inside the measured range, ``(W,)``.
    sigma
        Standard deviation of the noise of `values`, of the same shape, if known.
    fitted_spread, integrity_spread
        Standard deviation over the members of an ensemble, shapes of `fitted` and `integrity`:
        how far optimisers agree, which is no uncertainty and never drawn as one.
    integrity_lower, integrity_upper
        Interval of C, ``(W, n_grid)``.
    half_dose_lower, half_dose_upper
        Interval of D½, ``(W,)``; open where lower is 0 or upper is inf.
    level
        Probability (or confidence) of the intervals.
    interval_method
        What the intervals are, for instance ``"posterior"``.
    identifiable
        Whether the data determine D½, ``(W,)``; ``None`` if that was not examined.
    adequate
        Whether the law describes the data, ``(W,)``; where not, D½ is marked as doubtful.
    grows
        Whether the amplitude is negative, so that the window grows while C falls, ``(W,)``;
        default nowhere.
    quantity
        Label of the data with its unit.

    Raises
    ------
    ValueError
        If a shape does not fit, or one bound of an interval lacks the other.

    Examples
    --------
    >>> import numpy as np
    >>> dose, grid = np.array([100.0, 200.0, 300.0]), np.linspace(0, 300, 7)
    >>> picture = CurvePicture(
    ...     window_names=("C–O",),
    ...     dose=dose,
    ...     values=np.exp(-dose / 200)[None],
    ...     grid=grid,
    ...     fitted=np.exp(-grid / 200)[None],
    ...     integrity=np.exp(-grid / 200)[None],
    ...     half_dose=[138.6],
    ...     reached=[True],
    ... )
    >>> picture.dose_max
    300.0
    """

    dose: np.ndarray
    values: np.ndarray
    grid: np.ndarray
    fitted: np.ndarray
    integrity: np.ndarray
    half_dose: np.ndarray
    reached: np.ndarray
    sigma: np.ndarray | None = None
    fitted_spread: np.ndarray | None = None
    integrity_spread: np.ndarray | None = None
    integrity_lower: np.ndarray | None = None
    integrity_upper: np.ndarray | None = None
    half_dose_lower: np.ndarray | None = None
    half_dose_upper: np.ndarray | None = None
    level: float = 0.95
    interval_method: str = "posterior"
    identifiable: np.ndarray | None = None
    adequate: np.ndarray | None = None
    grows: np.ndarray | None = None
    quantity: str = "Window area"

    def __post_init__(self) -> None:
        super().__post_init__()
        n_window = len(self.window_names)
        n_dose, n_grid = _size(self, "dose"), _size(self, "grid")
        on_grid = "integrity_spread fitted_spread integrity_lower integrity_upper"
        _arrays(self, float, (n_window, n_dose), "values", "sigma")
        _arrays(self, float, (n_window, n_grid), "fitted integrity", on_grid)
        _arrays(self, float, (n_window,), "half_dose", "half_dose_lower half_dose_upper")
        _arrays(self, bool, (n_window,), "reached", "identifiable adequate grows")
        _pairs(self, "integrity_", "half_dose_")

    @property
    def dose_max(self) -> float:
        """Largest measured dose."""
        return float(np.max(self.dose))

    @property
    def has_data(self) -> np.ndarray:
        """Whether a window has any frame and any curve, ``(W,)``."""
        measured = np.isfinite(self.values).any(axis=1)
        return np.asarray(measured & np.isfinite(self.integrity).any(axis=1))


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
        _arrays(self, float, (_size(self, "value"),), "value", "spread lower upper")
        _pairs(self, "")


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
        _arrays(self, bool, (n_window,), "reached", "identifiable adequate grows")
        estimates = {"rate": self.rate, "exponent": self.exponent, "half_dose": self.half_dose}
        for name, estimate in {**estimates, **self.others}.items():
            size = n_window if estimate is None else estimate.value.size
            if size != n_window:
                raise ValueError(f"{name} has {size} values for {n_window} windows; pass one each.")


@dataclass(frozen=True, eq=False, kw_only=True)
class DiagnosticsPicture(Picture):
    """How far networks are from their law, and how the training got there.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`.
    dose
        Doses at which the law is imposed, ``(n_dose,)``.
    residual
        Distance from the law, dC/dφ + k Cᵖ, ``(W, n_dose)``; NaN where there is none.
    total_rms
        Root mean square of `residual` over windows, ``(n_dose,)``.
    iteration
        Iteration of each record, ``(n_record,)``; may be empty (an estimator without history).
    learning_rate
        Learning rate of each record, ``(n_record,)``; NaN where the optimiser has none.
    terms
        Loss terms by name before their weights, ``(n_record, n_member)``; NaN for a member that
        has ended before.
    n_adam
        Iteration at which the second optimiser takes over; ``None`` if there is one optimiser.
    optimisers
        Names of the optimisers before and after `n_adam`.
    member_labels
        One label for each member, its seed for instance.

    Raises
    ------
    ValueError
        If a shape does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> dose, grid = np.array([100.0, 200.0, 300.0]), np.linspace(0, 300, 7)
    >>> picture = DiagnosticsPicture(
    ...     window_names=("C–O",),
    ...     dose=dose,
    ...     residual=[[0.01, -0.02, 0.01]],
    ...     total_rms=[0.01, 0.02, 0.01],
    ...     iteration=[0, 10, 20],
    ...     learning_rate=[1e-3, 5e-4, 1e-6],
    ...     terms={"data": [[1.0], [0.1], [0.01]]},
    ... )
    >>> picture.residual.shape
    (1, 3)
    """

    dose: np.ndarray
    residual: np.ndarray
    total_rms: np.ndarray
    iteration: np.ndarray
    learning_rate: np.ndarray
    terms: Mapping[str, np.ndarray] = field(default_factory=dict)
    n_adam: int | None = None
    optimisers: tuple[str, str] = ("Adam", "L-BFGS")
    member_labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        n_window = len(self.window_names)
        n_dose, n_record = _size(self, "dose"), _size(self, "iteration")
        _arrays(self, float, (n_window, n_dose), "residual")
        _arrays(self, float, (n_dose,), "total_rms")
        _arrays(self, float, (n_record,), "learning_rate")
        object.__setattr__(self, "member_labels", tuple(str(m) for m in self.member_labels))
        members = {np.shape(term)[-1] if np.ndim(term) else 0 for term in self.terms.values()}
        n_member = len(self.member_labels) or max(members, default=0)
        _mappings(self, "terms", (n_record, n_member))


@dataclass(frozen=True, eq=False, kw_only=True)
class AblationPicture(Picture):
    """Data of every window with several models, continued beyond the measured doses.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`.
    dose
        Measured doses, ``(n_dose,)``.
    values
        Data, ``(W, n_dose)``; NaN marks a missing frame.
    grid
        Doses of the curves, ``(n_grid,)``, going beyond `dose_max`.
    curves
        Curve of each model, ``(W, n_grid)``. The first one is the law: with the data it sets the
        limits of the axes, which other models may leave.
    dose_max
        Largest measured dose; default the largest of `dose`.
    sigma
        Standard deviation of the noise of `values`, of the same shape, if known.
    quantity
        Label of the data with its unit.
    residual_dose
        Doses of the residuals, ``(n_residual,)``; may be empty.
    residuals
        Distance of each model from the law, dC/dφ + k Cᵖ, ``(W, n_residual)``; may be empty.
    r_squared
        Share of the variance of the data that each model explains, ``(W,)``; may be empty.

    Raises
    ------
    ValueError
        If a shape does not fit, or there is no curve.

    Examples
    --------
    >>> import numpy as np
    >>> dose, grid = np.array([100.0, 200.0, 300.0]), np.linspace(0, 300, 7)
    >>> picture = AblationPicture(
    ...     window_names=("C–O",),
    ...     dose=dose,
    ...     values=np.exp(-dose / 200)[None],
    ...     grid=grid,
    ...     curves={"law": np.exp(-grid / 200)[None], "straight line": (1 - grid / 300)[None]},
    ... )
    >>> picture.last_dose
    300.0
    """

    dose: np.ndarray
    values: np.ndarray
    grid: np.ndarray
    curves: Mapping[str, np.ndarray]
    dose_max: float | None = None
    sigma: np.ndarray | None = None
    quantity: str = "Window area"
    residual_dose: np.ndarray = field(default_factory=lambda: np.zeros(0))
    residuals: Mapping[str, np.ndarray] = field(default_factory=dict)
    r_squared: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        n_window = len(self.window_names)
        n_dose, n_grid = _size(self, "dose"), _size(self, "grid")
        n_residual = np.size(self.residual_dose)
        _arrays(self, float, (n_window, n_dose), "values", "sigma")
        _mappings(self, "curves", (n_window, n_grid))
        _mappings(self, "residuals", (n_window, n_residual))
        _mappings(self, "r_squared", (n_window,))
        if not self.curves:
            raise ValueError("curves is empty; pass at least the curve of the law.")

    @property
    def last_dose(self) -> float:
        """Where measuring ended."""
        return float(np.max(self.dose) if self.dose_max is None else self.dose_max)


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
        _arrays(self, float, shape, "half_dose", "lower upper")
        _arrays(self, bool, shape, "reached fitted", "identifiable")
        _pairs(self, "")
        if self.identifiable is not None and self.lower is None:
            raise ValueError("MapPicture has identifiable without lower and upper; pass all three.")
        determined = True if self.identifiable is None else self.identifiable
        states = np.where(determined, np.where(self.reached, 0, 1), 2)
        object.__setattr__(self, "states", np.where(self.fitted, states, 3))

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels (y, x)."""
        return self.half_dose.shape[1], self.half_dose.shape[2]
