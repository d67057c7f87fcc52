# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves made ready for an estimator: masked, centred and scaled in float64, weighed.

Centring comes before any change to float32: with an offset far above the amplitude the rounding
of the raw values would be larger than the decay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .problem import DoseProblem

# Degree of the polynomial that stands for a decay where nothing is known of the noise.
_DEGREE = 3
#: Standard deviations of the noise by which an intensity may be measured below zero.
BELOW_ZERO = 3.0
# A curve whose spread is below this share of its largest value is constant to rounding.
_CONSTANT = 64 * np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class PreparedCurves:
    """Curves of a `DoseProblem` without their units.

    Every array is float64 with the first axes ``(n_curve, n_window)``.

    Parameters
    ----------
    normalised_dose
        ``(n_dose,)``.
    values
        ``(y − centre)/unit``, 0 where missing, ``(n_curve, n_window, n_dose)``.
    root_weight
        √weight of each value, 0 where missing, same shape; ``None`` where all are 1.
    centre
        What was taken off: the known offset, or the weighed mean.
    unit
        What the values were divided by.
    offset_known
        Whether `centre` is a known offset.
    variance_known
        Whether the weighed residuals have unit variance.
    freedom
        Frames less free coefficients of the readout.
    n_usable
        Usable frames.
    dead
        No estimate is possible: too few usable doses, or constant to rounding.
    shared
        Errors that the frames share, in standard deviations of the noise of each frame, 0 where
        missing, ``(n_curve, n_window, n_dose, n_error)``; ``None`` where there are none.
    """

    normalised_dose: np.ndarray
    values: np.ndarray
    root_weight: np.ndarray | None
    centre: np.ndarray
    unit: np.ndarray
    offset_known: bool
    variance_known: bool
    freedom: np.ndarray
    n_usable: np.ndarray
    dead: np.ndarray
    shared: np.ndarray | None = None

    @property
    def mean_weight(self) -> np.ndarray:
        """Mean weight of the usable values, ``(n_curve, n_window)``."""
        if self.root_weight is None:
            return np.ones_like(self.unit)
        return (self.root_weight**2).sum(axis=-1) / np.maximum(self.n_usable, 1)

    @property
    def may_be_intensities(self) -> np.ndarray:
        """Whether at most one value is below zero by more than noise explains, by window.

        Intensities are; differences of intensities and standard scores are not.
        """
        raw = self.values + (self.centre / self.unit)[..., None]
        present = np.ones(raw.shape, dtype=bool)
        if self.root_weight is not None:
            present = self.root_weight > 0
        if self.variance_known:
            sigma = np.ones_like(raw)
            if self.root_weight is not None:
                sigma = 1 / np.where(present, self.root_weight, 1.0)
        else:
            # Noise alone makes second differences of √6 σ; a bend makes them larger, never smaller.
            known = present[..., 2:] & present[..., 1:-1] & present[..., :-2]
            bends = np.where(known, np.diff(raw, 2, axis=-1), 0.0)
            number = np.maximum(known.sum(axis=-1, keepdims=True), 1)
            sigma = np.sqrt((bends**2).sum(axis=-1, keepdims=True) / (6 * number))
        slack = 1e-9 * np.abs(raw).max(axis=-1, initial=0.0)
        above = np.where(present, raw + BELOW_ZERO * sigma, np.inf)
        return np.partition(above, 1, axis=-1)[..., 1] >= -slack

    def noise_model(self, noise: str) -> str:
        """How the noise is known: ``"given"``, ``"floor"`` or ``"free"``."""
        if not self.variance_known:
            return "free"
        return "floor" if noise == "floor" else "given"


#: What the parameters are called where they are counted.
_SYMBOLS = {"rate": "rate k", "exponent": "exponent p"}


def check_doses(
    dose: np.ndarray, parameters: Sequence[str], *, offset_free: bool, of: str = ""
) -> int:
    """Number of distinct doses that a window needs: one for each coefficient that is estimated.

    Parameters
    ----------
    dose
        Usable doses, in any order.
    parameters
        Names of the kinetic parameters that are estimated.
    offset_free
        Whether b is estimated.
    of
        What has these doses, for the message.

    Raises
    ------
    ValueError
        If fewer doses differ, saying how many are needed and for what.
    """
    names = [*(_SYMBOLS.get(name, name) for name in parameters), "amplitude a"]
    names += ["offset b"] * offset_free
    present = int(np.unique(dose).size)
    if present < len(names):
        raise ValueError(
            f"{of + ' has ' if of else ''}{present} usable distinct doses, too few: estimating "
            f"{', '.join(names)} of a window needs at least {len(names)}. Record more frames, or "
            "give what is known of offset= or exponent=."
        )
    return len(names)


def broadcast_offset(offset: ArrayLike | None, shape: tuple[int, int]) -> np.ndarray | None:
    """Known offsets as an array ``(n_curve, n_window)``.

    Raises
    ------
    ValueError
        If the shape does not fit.
    """
    if offset is None:
        return None
    array = np.asarray(offset, dtype=np.float64)
    try:
        return np.broadcast_to(array, shape)
    except ValueError as error:
        raise ValueError(
            f"offset of shape {array.shape} does not fit {shape[0]} curves and {shape[1]} windows; "
            f"pass one number, one for each window ({shape[1]},), or an array {shape}."
        ) from error


def filled_variance(variance: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Variances without zeros, which would be infinite weights (a Poisson count of 0 has one)."""
    positive = usable & (variance > 0)
    lowest = np.where(positive, variance, np.inf).min(axis=-1, keepdims=True)
    lowest = np.where(np.isfinite(lowest), lowest, 1.0)
    return np.where(positive, variance, lowest)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what overflows is dead, below
def prepare_curves(
    problem: DoseProblem,
    *,
    offset: ArrayLike | None = None,
    parameters: Sequence[str] = ("rate", "exponent"),
    absolute_variance: bool = True,
) -> PreparedCurves:
    """Mask, centre, scale and weigh the curves of a problem.

    Parameters
    ----------
    offset
        Known b in the unit of the values, broadcastable to ``(n_curve, n_window)``, or ``None``.
    parameters
        Names of the kinetic parameters that will be estimated; each takes a dose.
    absolute_variance
        Whether a given variance is the noise, or only says how frames weigh against each other.

    Raises
    ------
    ValueError
        If the dose axis has too few distinct doses or the offset has the wrong shape.
    """
    required = check_doses(problem.dose, parameters, offset_free=offset is None)
    shape = problem.values.shape[:2]
    known = broadcast_offset(offset, shape)
    usable = problem.usable
    complete = bool(usable.all())
    values = problem.values if complete else np.where(usable, problem.values, 0.0)
    n_usable = usable.sum(axis=-1)
    # In units of the largest value no square can overflow or vanish.
    size = np.abs(values).max(axis=-1, initial=0.0)
    size = np.where(size > 0, size, 1.0)
    values = values / size[..., None]
    weight = unit_variance = None
    if problem.variance is not None:
        variance = filled_variance(problem.variance / size[..., None] / size[..., None], usable)
        if complete and bool((variance == variance[..., :1]).all()):
            unit_variance = variance[..., 0]
        else:
            # Weights with a mean of 1; the unit takes the rest.
            weight = np.where(usable, 1.0 / variance, 0.0)
            unit_variance = n_usable / np.maximum(weight.sum(axis=-1), 1e-300)
            weight = weight * unit_variance[..., None]
        if not absolute_variance:
            unit_variance = None
    elif not complete:
        weight = usable.astype(np.float64)
    if weight is None:
        mean = values.mean(axis=-1)
        centred = values - mean[..., None]
        spread = np.sqrt((centred**2).mean(axis=-1))
    else:
        total = np.maximum(weight.sum(axis=-1), 1e-300)
        mean = (weight * values).sum(axis=-1) / total
        centred = np.where(usable, values - mean[..., None], 0.0)
        spread = np.sqrt((weight * centred**2).sum(axis=-1) / total)
    dead = (spread <= _CONSTANT) | (n_usable < required)
    if not complete or np.any(np.diff(problem.dose) == 0):
        dead |= problem.distinct_doses < required
    centre = mean * size
    if known is not None:
        dead |= ~np.isfinite(known)
        centre = np.where(np.isfinite(known), known, 0.0)
        centred = values - (centre / size)[..., None]
        if weight is not None:
            centred = np.where(usable, centred, 0.0)
        with np.errstate(over="ignore"):  # an offset beyond all measure: dead, see below
            spread = np.sqrt((centred**2).sum(axis=-1) / np.maximum(n_usable, 1))
    # With a known variance the unit is the noise: weighed residuals then have unit variance.
    unit = spread if unit_variance is None else np.sqrt(unit_variance)
    dead |= ~np.isfinite(unit) | ~(unit > 0)
    unit = np.where(dead, 1.0, unit)
    scaled = np.where(dead[..., None], 0.0, centred / unit[..., None])
    return PreparedCurves(
        normalised_dose=problem.normalised_dose,
        values=scaled,
        root_weight=None if weight is None else np.sqrt(weight),
        centre=centre,
        unit=unit * size,
        offset_known=known is not None,
        variance_known=unit_variance is not None,
        freedom=(n_usable - (1 if known is None else 0) - 1).astype(np.float64),
        n_usable=n_usable,
        dead=dead,
        shared=_in_deviations(problem, usable),
    )


def _in_deviations(problem: DoseProblem, usable: np.ndarray) -> np.ndarray | None:
    """Shared errors in standard deviations of the noise, ``(n_curve, n_window, n_dose, n_error)``.

    Where nothing is known of the noise it is what a polynomial leaves of the curve.
    """
    if problem.shared_error is None:
        return None
    if problem.variance is not None:
        deviation = np.sqrt(filled_variance(problem.variance, usable))
    else:
        deviation = _left_by_polynomial(problem, usable)
    shared = np.where(usable, problem.shared_error / deviation, 0.0)
    return np.ascontiguousarray(np.moveaxis(np.nan_to_num(shared), 0, -1))


def _left_by_polynomial(problem: DoseProblem, usable: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise about a polynomial of the dose, ``(…, 1)``."""
    number = problem.dose.size
    degree = min(_DEGREE, max(number - 3, 0))
    count = usable.sum(-1, keepdims=True)
    mean = np.where(usable, problem.values, 0.0).sum(-1, keepdims=True) / np.maximum(count, 1)
    values = np.where(usable, problem.values - mean, 0.0)
    # Orthonormal on the frames that are there, which are others in every curve.
    powers = np.vander(problem.normalised_dose, degree + 1)
    basis = np.linalg.qr(powers)[0]
    left = values - (values @ basis) @ basis.T
    gaps = np.nonzero((count[..., 0] < number) & (count[..., 0] > 0))
    if gaps[0].size:
        basis = np.linalg.qr(powers * usable[gaps][..., None])[0]
        taken = (basis * values[gaps][..., None]).sum(-2, keepdims=True)
        left[gaps] = values[gaps] - (basis * taken).sum(-1)
    square = (left**2).sum(-1, keepdims=True) / np.maximum(count - degree - 1, 1)
    size = np.abs(values).max(-1, keepdims=True, initial=0.0)
    return np.sqrt(np.maximum(square, (_CONSTANT * size) ** 2 + 1e-300))
