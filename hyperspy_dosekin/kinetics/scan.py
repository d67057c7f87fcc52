# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of squares along rows of constant exponent, following the ridge of each curve.

The likelihood of (k, p) is a bent ridge, between a fiftieth of an exponent wide and everything. A
grid that is the same for all curves would miss a narrow one, so each curve has its own: rows of p,
and on every row nodes of ln k about the best rate of that row. Posterior and profile both stand
on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.numerics.batched_minimiser import minimise_batched
from hyperspy_dosekin.numerics.batching import send

from .preparation import PreparedCurves
from .prior import LOG_RATE_BOX, Prior
from .row_objective import RowObjective, rate_and_inverse

#: Mean and standard deviation of ln(|a|/σ) where priors are used: about fifty, with a factor
#: of seven either way. Signals that the noise would hide, and ridges that end at absurd
#: amplitudes, are no more likely than that.
SIGNAL_TO_NOISE = (math.log(50.0), 2.0)


@dataclass(frozen=True, eq=False)
class ScanData:
    """Curves to scan, doses first and curves last, float64.

    Parameters
    ----------
    dose
        ``(n_dose,)``.
    values
        Weighed, free of the offset, ``(n_dose, n)``.
    root_weight
        ``(n_dose, n)`` or ``None``.
    freedom
        Frames less free coefficients of the readout, ``(n,)``.
    offset_free
        Whether the readout has a free offset.
    variance_known
        Whether squares are in units of the noise variance.
    """

    dose: Tensor
    values: Tensor
    root_weight: Tensor | None
    freedom: Tensor
    offset_free: bool
    variance_known: bool

    @classmethod
    def of(cls, curves: PreparedCurves, index: np.ndarray, device: torch.device) -> ScanData:
        """Take some of the curves, given by their place in (n_curve · n_window)."""
        n_dose = curves.values.shape[-1]

        def rows(array: np.ndarray) -> Tensor:
            chosen = np.ascontiguousarray(array.reshape(-1, n_dose)[index].T)
            return send(chosen, device)

        root = None if curves.root_weight is None else rows(curves.root_weight)
        data = cls(
            send(curves.normalised_dose, device),
            rows(curves.values) if root is None else root * rows(curves.values),
            root,
            send(curves.freedom.reshape(-1)[index], device),
            not curves.offset_known,
            curves.variance_known,
        )
        if root is None or not data.offset_free:
            return data
        total = (root * root).sum(0)
        mean = (root * data.values).sum(0) / total
        return cls(
            data.dose,
            data.values - root * mean,
            root,
            data.freedom,
            data.offset_free,
            data.variance_known,
        )

    @property
    def total(self) -> Tensor:
        """Sum of squares about the mean (or the known offset), ``(n,)``."""
        return (self.values * self.values).sum(0)

    def select(self, index: Tensor) -> ScanData:
        """Select some of the curves."""
        root = None if self.root_weight is None else self.root_weight[:, index]
        return ScanData(
            self.dose,
            self.values[:, index],
            root,
            self.freedom[index],
            self.offset_free,
            self.variance_known,
        )

    def squares(self, log_rate: Tensor, exponent: Tensor) -> Tensor:
        """Residual sum of squares alone; see `squares_and_norm`."""
        return self.squares_and_norm(log_rate, exponent)[0]

    def squares_and_norm(self, log_rate: Tensor, exponent: Tensor) -> tuple[Tensor, Tensor]:
        """Residual sum of squares with the readout projected out, and that of the decay itself.

        Parameters
        ----------
        log_rate, exponent
            Shapes that broadcast to ``(…, n)``.

        Returns
        -------
        squares
            ``(…, n)``.
        norm
            Sum of squares of C, weighed and free of the offset: (what is explained)/norm is a².
        """
        scaled, inverse = rate_and_inverse(log_rate, exponent)
        shape = torch.broadcast_shapes(scaled.shape, inverse.shape)
        sums = [torch.zeros(shape).to(scaled) for _ in range(3)]
        for place, dose in enumerate(self.dose.tolist()):
            column = (scaled * dose).clamp_(min=-1.0).log1p_().mul_(inverse)
            # 1 − C instead of C: exact for small rates, and the same where the offset is free.
            column = column.expm1_() if self.offset_free else column.exp_()
            if self.root_weight is not None:
                column = column * self.root_weight[place]
                if self.offset_free:
                    sums[2].add_(column * self.root_weight[place])
            elif self.offset_free:
                sums[2].add_(column)
            sums[0].addcmul_(column, column)
            sums[1].addcmul_(column, self.values[place].expand_as(column))
        norm, product, mean = sums
        if self.offset_free:
            if self.root_weight is None:
                number = float(self.dose.numel())
            else:
                number = (self.root_weight * self.root_weight).sum(0)
            size, norm = norm, norm - mean * mean / number
            # Extinct before the first frame, a curve is constant: nothing is left but rounding.
            visible = norm > 1e-12 * size
        else:
            visible = norm > 1e-24
        explained = visible * product * product / norm.clamp(min=1e-30)
        total = self.total
        # Rounding of the difference: nothing below is told from a perfect fit.
        return torch.maximum(total - explained, 1e-13 * total), norm

    def deviance(self, log_rate: Tensor, exponent: Tensor, *, weigh_signal: bool) -> Tensor:
        """−2 ln likelihood with a, b and (where not known) σ marginalised, up to a constant.

        b is flat and σ has 1/σ. The amplitude is flat in ln|a| but for values that the noise
        hides, ``1/√(a² + σ_a²)``: neither a unit nor the long ridge a → ∞, k → 0 is preferred.

        Parameters
        ----------
        log_rate, exponent
            As for `squares_and_norm`.
        weigh_signal
            Whether ln(|a|/σ) is also expected to be near `SIGNAL_TO_NOISE`.
        """
        squares, norm = self.squares_and_norm(log_rate, exponent)
        explained = self.total - squares
        if self.variance_known:
            noise = torch.ones_like(self.freedom)
            deviance = squares + torch.log(explained + 1.0)
        else:
            noise = squares / self.freedom
            deviance = self.freedom * torch.log(squares) + torch.log(explained + noise)
        if not weigh_signal:
            return deviance
        signal = 0.5 * torch.log(explained / (noise * norm.clamp(min=1e-30)) + 1e-12)
        mean, width = SIGNAL_TO_NOISE
        return deviance + ((signal - mean) / width) ** 2


@dataclass(frozen=True, eq=False)
class Rows:
    """Best rate on rows of constant exponent.

    Parameters
    ----------
    exponent
        ``(n_row, n)``.
    log_rate
        Best ln k of each row, same shape.
    width
        Standard deviation of ln k on the row by the curvature there, same shape.
    squares
        Sum of squares there.
    """

    exponent: Tensor
    log_rate: Tensor
    width: Tensor
    squares: Tensor


def best_on_rows(
    data: ScanData,
    exponent: Tensor,
    start: Tensor,
    prior: Prior | None,
    *,
    box: tuple[float, float] = LOG_RATE_BOX,
    iterations: int = 12,
) -> Rows:
    """Best rate for every row of constant exponent.

    Parameters
    ----------
    data
        The curves.
    exponent, start
        p and a first guess of ln k, ``(n_row, n)``.
    prior
        Prior of ln k that takes part, or ``None``.
    box
        Box of ln k.
    iterations
        Steps at most.
    """
    n_row, n = exponent.shape
    objective = RowObjective.of(data, exponent, prior)
    lower, upper = (start.new_tensor([bound]) for bound in box)
    found = minimise_batched(
        objective,
        start.reshape(1, -1),
        lower,
        upper,
        largest_step=start.new_tensor([1.5]),
        tolerance=1e-3,
        max_iterations=iterations,
    )
    _, _, hessian = objective.evaluate(found.parameters)
    width = hessian[0, 0].clamp(min=1e-12).rsqrt().clamp(max=box[1] - box[0])
    log_rate = found.parameters.reshape(n_row, n)
    squares = data.squares(log_rate, exponent)
    return Rows(exponent, log_rate, width.reshape(n_row, n), squares)


def spread_rows(lower: Tensor, upper: Tensor, count: int) -> Tensor:
    """Rows from `lower` to `upper`, each ``(n,)``, even in √p: ``(count, n)``.

    Between even in p, as the prior is, and even in ln p, as the shapes of decays are.
    """
    share = torch.linspace(0.0, 1.0, count, dtype=lower.dtype, device=lower.device)[:, None]
    root = lower.sqrt() + share * (upper.sqrt() - lower.sqrt())
    return root * root


def row_steps(exponent: Tensor) -> Tensor:
    """Weight of each row in an integral over p (trapezoid), ``(n_row, n)``; 1 for a single row."""
    if exponent.shape[0] == 1:
        return torch.ones_like(exponent)
    gaps = exponent.diff(dim=0) / 2
    weight = torch.zeros_like(exponent)
    weight[:-1] += gaps
    weight[1:] += gaps
    return weight


def interpolate_rows(position: Tensor, known: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation along rows; all ``(n_row, n)``, `known` ascending."""
    place = torch.searchsorted(known.T.contiguous(), position.T.contiguous()).T
    place = place.clamp(1, known.shape[0] - 1)
    left, right = known.gather(0, place - 1), known.gather(0, place)
    share = ((position - left) / (right - left).clamp(min=1e-300)).clamp(0.0, 1.0)
    return values.gather(0, place - 1) * (1 - share) + values.gather(0, place) * share


def log_dose_at(log_rate: Tensor, exponent: Tensor, level: float) -> Tensor:
    """Logarithm of the normalised dose at which C reaches a level in (0, 1)."""
    decades = -math.log(level)
    scaled = (exponent - 1.0) * decades
    # expm1(x)/x is accurate for every x but 0 itself.
    scaled = torch.where(scaled == 0, 1e-30, scaled)
    return (torch.expm1(scaled) / scaled).log() + math.log(decades) - log_rate
