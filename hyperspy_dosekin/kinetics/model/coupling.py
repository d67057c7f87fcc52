# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What estimate and posterior of any kinetic law stand on: its box and priors, and the curves.

The parameters are worked on as shares of their boxes on the scale of estimation (`LawParameter`),
on which they are uniform before the data; a logarithmic ``rate`` and an ``exponent`` have the
normal priors of `Prior`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves, prepare_curves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw, LawParameter
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.scan import SIGNAL_TO_NOISE

#: Nodes of the grid along each parameter, by the number of parameters.
GRID_NODES = {1: (513,), 2: (129, 65), 3: (41, 25, 17)}
#: Curves that are worked on at once, by the number of parameters.
BLOCK = {1: 128, 2: 64, 3: 32}
#: Squares below this share of the signal are rounding.
FLOOR = 1e-13


def known_before(parameter: LawParameter, prior: Prior | None) -> tuple[float, float] | None:
    """Mean and standard deviation of a parameter before the data, on its scale of estimation.

    ``None`` where nothing but its box is assumed.
    """
    if prior is None:
        return None
    if parameter.name == "rate" and parameter.logarithmic:
        return prior.log_rate
    if parameter.name == "exponent" and not parameter.logarithmic:
        return prior.exponent
    return None


@dataclass(frozen=True, eq=False)
class LawModel:
    """A law with its box and priors, in shares of the box.

    Parameters
    ----------
    law
        The law.
    lower, width
        Box on the scale of estimation, ``(n_parameter,)``.
    prior_mean, prior_precision
        Normal priors in shares of the box; the precision is 0 where there is none.
    weigh_signal
        Whether ln(|a|/σ) is expected to be near `scan.SIGNAL_TO_NOISE`.
    """

    law: KineticLaw
    lower: Tensor
    width: Tensor
    prior_mean: Tensor
    prior_precision: Tensor
    weigh_signal: bool

    @classmethod
    def of(cls, law: KineticLaw, config: ExactConfig, device: torch.device) -> LawModel:
        """Take a law with the priors of a configuration."""
        boxes = torch.tensor([p.free_box for p in law.parameters], dtype=torch.float64)
        lower, width = boxes[:, 0], boxes[:, 1] - boxes[:, 0]
        mean, precision = torch.zeros_like(lower), torch.zeros_like(lower)
        for place, parameter in enumerate(law.parameters):
            known = known_before(parameter, config.prior)
            if known is not None:
                mean[place] = (known[0] - lower[place]) / width[place]
                precision[place] = (width[place] / known[1]) ** 2
        lower, width, mean, precision = (t.to(device) for t in (lower, width, mean, precision))
        return cls(law, lower, width, mean, precision, config.prior is not None)

    def without_prior(self) -> LawModel:
        """The same with nothing assumed but the box."""
        none = torch.zeros_like(self.lower)
        return LawModel(self.law, self.lower, self.width, none, none, False)

    def values(self, share: Tensor) -> Tensor:
        """Parameters at shares of the box, ``(n_parameter, …)``."""
        column = (-1, *[1] * (share.ndim - 1))
        free = self.lower.reshape(column) + share * self.width.reshape(column)
        return torch.stack(
            [
                parameter.from_free(row).clamp(parameter.lower, parameter.upper)
                for parameter, row in zip(self.law.parameters, free.unbind(0), strict=True)
            ]
        )

    def shares(self, values: Tensor) -> Tensor:
        """Shares of the box of parameters ``(n_parameter, n)``; the inverse of `values`."""
        free = torch.stack(
            [
                parameter.to_free(row)
                for parameter, row in zip(self.law.parameters, values.unbind(0), strict=True)
            ]
        )
        return ((free - self.lower[:, None]) / self.width[:, None]).clamp(0.0, 1.0)

    def prior_squares(self, share: Tensor) -> Tensor:
        """−2 ln prior at shares of the box ``(n_parameter, …)``, up to a constant."""
        column = (-1, *[1] * (share.ndim - 1))
        distance = share - self.prior_mean.reshape(column)
        return (self.prior_precision.reshape(column) * distance * distance).sum(0)

    def grid(self) -> Tensor:
        """Nodes of the grid that all curves share, ``(n_parameter, n_node)``."""
        counts = GRID_NODES[len(self.law.parameters)]
        # The middles of cells: bounds are the likeliest place for a law to be degenerate.
        axes = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in counts]
        mesh = torch.meshgrid(*axes, indexing="ij")
        return torch.stack([axis.reshape(-1) for axis in mesh]).to(self.lower)


@dataclass(frozen=True, eq=False)
class LawData:
    """Some curves, in the units of `PreparedCurves`.

    Parameters
    ----------
    dose
        ``(n_dose,)``.
    values
        Weighed, free of the offset, ``(n, n_dose)``.
    weight
        Weights of the frames, ``(n, n_dose)``.
    freedom
        Frames less free coefficients of the readout, ``(n,)``.
    offset_free, variance_known
        As in `scan.ScanData`.
    """

    dose: Tensor
    values: Tensor
    weight: Tensor
    freedom: Tensor
    offset_free: bool
    variance_known: bool

    @classmethod
    def of(cls, curves: PreparedCurves, index: np.ndarray, device: torch.device) -> LawData:
        """Take some of the curves, given by their place in (n_curve · n_window)."""
        n_dose = curves.values.shape[-1]

        def rows(array: np.ndarray) -> Tensor:
            return torch.as_tensor(array.reshape(-1, n_dose)[index], device=device)

        values = rows(curves.values)
        weight = torch.ones_like(values)
        if curves.root_weight is not None:
            weight = rows(curves.root_weight) ** 2
        offset_free = not curves.offset_known
        values = weight.sqrt() * values
        if offset_free:
            root = weight.sqrt()
            total = weight.sum(1, keepdim=True)
            values = values - root * ((root * values).sum(1, keepdim=True) / total)
        freedom = torch.as_tensor(curves.freedom.reshape(-1)[index], device=device)
        dose = torch.as_tensor(curves.normalised_dose, device=device)
        return cls(dose, values, weight, freedom, offset_free, curves.variance_known)

    def select(self, index: Tensor) -> LawData:
        """Select some of the curves, each as often as it is named."""
        return LawData(
            self.dose,
            self.values[index],
            self.weight[index],
            self.freedom[index],
            self.offset_free,
            self.variance_known,
        )

    @property
    def total(self) -> Tensor:
        """Sum of squares about the mean (or the known offset), ``(n,)``."""
        return (self.values * self.values).sum(1)

    def squares_and_norm(self, integrity: Tensor) -> tuple[Tensor, Tensor]:
        """Residual squares with the readout projected out, and those of the decay, ``(n, m)``.

        Parameters
        ----------
        integrity
            ``(n, m, n_dose)``, or ``(m, n_dose)`` where all curves share it.
        """
        # 1 − C instead of C: exact for small rates, and the same where the offset is free.
        column = integrity - 1.0 if self.offset_free else integrity
        form = "nmd,nd->nm" if integrity.ndim == 3 else "md,nd->nm"
        weighed = self.weight.sqrt() * self.values
        product = torch.einsum(form, column, weighed)
        norm = torch.einsum(form, column * column, self.weight)
        if self.offset_free:
            size = norm
            mean = torch.einsum(form, column, self.weight)
            norm = norm - mean * mean / self.weight.sum(1, keepdim=True)
            # A constant curve: nothing is left but rounding.
            visible = norm > 1e-12 * size
        else:
            visible = norm > 1e-24
        explained = visible * product * product / norm.clamp(min=1e-30)
        total = self.total[:, None]
        return torch.maximum(total - explained, FLOOR * total), norm

    def fit_deviance(self, squares: Tensor) -> Tensor:
        """−2 ln likelihood at the best readout, ``(n, …)``: what the estimate minimises."""
        if self.variance_known:
            return squares
        freedom = self.freedom.clamp(min=1).reshape(-1, *[1] * (squares.ndim - 1))
        return freedom * torch.log(squares)

    def marginal_deviance(self, squares: Tensor, norm: Tensor, *, weigh_signal: bool) -> Tensor:
        """−2 ln likelihood with a, b and σ marginalised as by `scan.ScanData.deviance`."""
        explained = self.total[:, None] - squares
        if self.variance_known:
            noise = torch.ones_like(squares)
            deviance = squares + torch.log(explained + 1.0)
        else:
            noise = squares / self.freedom[:, None]
            deviance = self.freedom[:, None] * torch.log(squares) + torch.log(explained + noise)
        if not weigh_signal:
            return deviance
        signal = 0.5 * torch.log(explained / (noise * norm.clamp(min=1e-30)) + 1e-12)
        mean, width = SIGNAL_TO_NOISE
        return deviance + ((signal - mean) / width) ** 2


def law_curves(problem: DoseProblem, law: KineticLaw, config: ExactConfig) -> PreparedCurves:
    """Prepare the curves of a problem for a law.

    Raises
    ------
    ValueError
        If the dose axis has fewer distinct doses than there are coefficients to estimate.
    """
    names = [parameter.name for parameter in law.parameters] + ["amplitude"]
    names += ["offset"] if config.offset is None else []
    present = int(np.unique(problem.dose_e_per_a2).size)
    if present < len(names):
        raise ValueError(
            f"{present} distinct doses are too few: estimating {', '.join(names)} of a window "
            f"needs at least {len(names)}. Record more frames, or give the known offset=."
        )
    curves = prepare_curves(
        problem,
        offset=config.offset,
        exponent_free=len(law.parameters) > 1,
        absolute_variance=config.noise == "absolute",
    )
    curves.dead[problem.distinct_doses < len(names)] = True
    return curves


def law_blocks(
    curves: PreparedCurves, model: LawModel, device: torch.device
) -> Iterator[tuple[np.ndarray, LawData]]:
    """Curves that can be fitted, a block at a time, with their places in n_curve · n_window."""
    alive = np.flatnonzero(~curves.dead)
    size = BLOCK[len(model.law.parameters)]
    for begin in range(0, alive.size, size):
        index = alive[begin : begin + size]
        yield index, LawData.of(curves, index, device)
