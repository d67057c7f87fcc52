# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The likelihood of trajectories with the readout a·C + b and the noise marginalised.

The same priors of a, b and σ stand before every law, so that only their shapes are compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.posterior.marginal import SIGNAL_TO_NOISE

#: Squares below this share of the signal are rounding.
_FLOOR = 1e-12


@dataclass(frozen=True, eq=False)
class ComparedCurves:
    """Some curves, weighed, with the free offset projected out.

    Parameters
    ----------
    dose
        Normalised, ``(n_dose,)``.
    values
        ``(n, n_dose)``.
    root_weight
        √weight of each value, 0 where it is missing, same shape.
    freedom
        Frames less coefficients of the readout, ``(n,)``.
    offset_free, variance_known
        Whether b is estimated, and whether the values are in units of the noise.
    """

    dose: Tensor
    values: Tensor
    root_weight: Tensor
    freedom: Tensor
    offset_free: bool
    variance_known: bool

    @classmethod
    def of(cls, curves: PreparedCurves, index: Tensor) -> ComparedCurves:
        """Take some of the curves, given by their place in n_curve · n_window."""
        n_dose = curves.values.shape[-1]
        values = torch.as_tensor(curves.values).reshape(-1, n_dose)[index]
        root_weight = torch.ones_like(values)
        if curves.root_weight is not None:
            root_weight = torch.as_tensor(curves.root_weight).reshape(-1, n_dose)[index]
        freedom = torch.as_tensor(curves.freedom).reshape(-1)[index]
        dose = torch.as_tensor(curves.normalised_dose)
        offset_free = not curves.offset_known
        part = cls(
            dose, values * root_weight, root_weight, freedom, offset_free, curves.variance_known
        )
        return cls(
            dose,
            part.projected(part.values[:, None])[:, 0],
            root_weight,
            freedom,
            offset_free,
            curves.variance_known,
        )

    def projected(self, weighed: Tensor) -> Tensor:
        """Rows ``(n, m, n_dose)``, weighed already, less what a free offset explains."""
        if not self.offset_free:
            return weighed
        root = self.root_weight[:, None]
        total = (root * root).sum(-1, keepdim=True)
        return weighed - root * ((weighed * root).sum(-1, keepdim=True) / total)

    def likelihood(self, integrity: Tensor) -> Likelihood:
        """Marginal likelihood of trajectories ``(n, m, n_dose)``."""
        # 1 − C instead of C: exact for small rates, and the same where the offset is free.
        column = integrity - 1.0 if self.offset_free else integrity
        column = self.projected(column * self.root_weight[:, None])
        norm = (column * column).sum(-1)
        product = (column * self.values[:, None]).sum(-1)
        return self._likelihood(column, norm, product)

    def shared_likelihood(self, integrity: Tensor) -> Likelihood:
        """The same of trajectories ``(m, n_dose)`` that all curves share; without columns."""
        column = integrity - 1.0 if self.offset_free else integrity
        weight = self.root_weight**2
        norm = weight @ (column * column).T
        if self.offset_free:
            norm = norm - (weight @ column.T) ** 2 / weight.sum(1, keepdim=True)
        product = (self.values * self.root_weight) @ column.T
        return self._likelihood(column, norm, product)

    def _likelihood(self, column: Tensor, norm: Tensor, product: Tensor) -> Likelihood:
        total = (self.values * self.values).sum(-1, keepdim=True)
        # A column of rounding explains nothing.
        visible = norm > 1e-13
        explained = visible * product * product / norm.clamp(min=1e-30)
        squares = torch.maximum(total - explained, _FLOOR * total)
        return Likelihood(self, column, norm.clamp(min=1e-30), product, explained, squares)


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Likelihood of curves at nodes ``(n, m)``; `column` is ``(n, m, n_dose)``."""

    curves: ComparedCurves
    column: Tensor
    norm: Tensor
    product: Tensor
    explained: Tensor
    squares: Tensor

    def _log(self, squares: Tensor, freedom: Tensor) -> Tensor:
        """Ln of the marginal likelihood, up to a constant of the data."""
        if self.curves.variance_known:
            noise = torch.ones_like(squares)
            deviance = squares + torch.log(self.explained + 1.0)
        else:
            noise = squares / freedom[:, None]
            deviance = freedom[:, None] * torch.log(squares) + torch.log(self.explained + noise)
        signal = 0.5 * torch.log(self.explained / (noise * self.norm) + 1e-12)
        mean, width = SIGNAL_TO_NOISE
        return -0.5 * (deviance + ((signal - mean) / width) ** 2)

    @property
    def log(self) -> Tensor:
        """Ln of the marginal likelihood, up to a constant of the data."""
        return self._log(self.squares, self.curves.freedom)

    def left_out(self, log_prior_weight: Tensor) -> Tensor:
        """Ln of the probability of each frame given the others, summed, ``(n,)``.

        Parameters
        ----------
        log_prior_weight
            ln of the weights that make sums over the nodes integrals over the prior, ``(n, m)``.
        """
        curves, known = self.curves, self.curves.variance_known
        total = torch.zeros_like(curves.freedom)
        amplitude = self.product / self.norm
        freedom = (curves.freedom - 1).clamp(min=1.0)
        weight = curves.root_weight**2
        share = weight / weight.sum(-1, keepdim=True) if curves.offset_free else 0 * weight
        for frame in range(curves.dose.numel()):
            column = self.column[..., frame]
            residual = curves.values[:, None, frame] - amplitude * column
            left = (1 - column**2 / self.norm - share[:, None, frame]).clamp(min=1e-6)
            gone = residual**2 / left
            squares = torch.maximum(self.squares - gone, _FLOOR * self.squares)
            if known:
                of_frame = -0.5 * (gone + math.log(2 * math.pi) - left.log())
            else:
                scale = squares / freedom[:, None]
                of_frame = torch.distributions.StudentT(freedom[:, None]).log_prob(
                    (gone / scale).sqrt()
                ) + 0.5 * (left.log() - scale.log())
            log_weight = log_prior_weight + self._log(squares, freedom)
            found = torch.logsumexp(log_weight + of_frame, 1) - torch.logsumexp(log_weight, 1)
            total = total + torch.where(weight[:, frame] > 0, found, 0.0)
        return torch.where(curves.freedom > 1, total, torch.nan)
