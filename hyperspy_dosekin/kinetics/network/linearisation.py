# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Residuals of the network and the Gram matrix of their Jacobian, without the Jacobian.

A residual at a dose depends on the layers at that dose alone. For a layer with inputs H and
gradients D of the residuals at its outputs, the Jacobian by its weights is an outer product
for each dose, and J Jᵀ is the elementwise product of the small Gram matrices H Hᵀ and D Dᵀ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu

from hyperspy_dosekin.kinetics.network.architecture import (
    DenseRecord,
    Parameters,
    integrity,
    kinetic_parameters,
)
from hyperspy_dosekin.kinetics.network.compression import Compression
from hyperspy_dosekin.kinetics.network.losses import (
    SMALLEST_INTEGRITY,
    LossWeights,
    Task,
    ode_residual,
    prior_residuals,
)

#: Parameters of the law and the readout, one for each window.
SCALARS = ("raw_rate", "raw_exponent", "amplitude", "offset")


@dataclass(frozen=True)
class Linearisation:
    """A least-squares problem at some parameters.

    Parameters
    ----------
    residuals
        With a graph, ``(n_member, n_residual)``; half their sum of squares is the loss.
    gram
        J Jᵀ, ``(n_member, n_residual, n_residual)``.
    """

    residuals: Tensor
    gram: Tensor


def linearise(
    parameters: Parameters, task: Task, weights: LossWeights, trained: list[str]
) -> Linearisation:
    """Linearise the loss at parameters whose trained ones require a gradient.

    The penalty of a misfit is replaced by the square that has its slope there. The terms for
    monotonicity and boundedness are zero on any solution of the law and are left out.
    """
    tape: list[DenseRecord] = []
    value, slope = integrity(parameters, task.features, tape)
    n_dose, n_collocation = task.n_dose, slope.shape[1]
    compression = task.compression
    misfit = parameters["amplitude"] * value[:, :n_dose] + parameters["offset"]
    if compression is None:
        misfit = misfit - task.scores
        data_scale = _data_scale(misfit.detach(), task, weights["data"])
    else:
        data_scale = torch.ones_like(misfit[:1])
    ode_scale = math.sqrt(2 * weights["ode"] / n_collocation)
    ode = ode_residual(parameters, value[:, n_dose:], slope)
    by_dose = torch.cat([data_scale * misfit, ode_scale * ode], dim=1)

    columns = _scalar_columns(parameters, value.detach(), data_scale, ode_scale, trained)
    gram = gram_of_layers(by_dose, tape, n_dose) + _gram_of_scalars(columns)
    extra = _extra_residuals(parameters, task, weights)
    rows = by_dose.transpose(1, 2)
    if compression is not None:
        rows, columns, gram = _mixed(rows, columns, gram, compression, weights["data"])
    residuals = rows.flatten(1)
    if extra is None:
        return Linearisation(residuals, gram)
    gradients = _extra_gradients(extra, parameters, trained)
    cross = torch.einsum("mswn,mesw->mewn", columns, gradients).flatten(2)
    corner = torch.einsum("mesw,mfsw->mef", gradients, gradients)
    top = torch.cat([gram, cross.transpose(1, 2)], dim=2)
    bottom = torch.cat([cross, corner], dim=2)
    return Linearisation(torch.cat([residuals, extra], dim=1), torch.cat([top, bottom], dim=1))


def _mixed(
    rows: Tensor, columns: Tensor, gram: Tensor, compression: Compression, weight: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn intensities at nodes, their derivatives and J Jᵀ into those of the residuals."""
    n_node = compression.dose.size
    _, n_window, n_row = rows.shape
    mixing = torch.eye(n_row, dtype=rows.dtype, device=rows.device).repeat(n_window, 1, 1)
    mixing[:, :n_node, :n_node] = torch.as_tensor(compression.mixing).to(rows)
    mixing[:, :n_node] *= math.sqrt(weight)
    scores = torch.zeros_like(rows[0])
    scores[:, :n_node] = torch.as_tensor(compression.scores).to(rows) * math.sqrt(weight)
    rows = (mixing @ rows[..., None])[..., 0] - scores
    columns = (mixing @ columns[..., None])[..., 0]
    whole = torch.block_diag(*mixing)
    return rows, columns, whole @ gram @ whole.T


def _data_scale(misfit: Tensor, task: Task, weight: float) -> Tensor:
    """Root of the weight of a squared misfit in the least-squares problem."""
    n_summand = misfit.shape[1] * misfit.shape[2]
    return torch.sqrt(weight * task.weights * task.misfit.share(misfit) / n_summand)


def gram_of_layers(by_dose: Tensor, tape: list[DenseRecord], n_dose: int) -> Tensor:
    """J Jᵀ by the weights of the dense layers; rows are ordered (window, dose).

    Parameters
    ----------
    by_dose
        Residuals with a graph, ``(n_member, n_row, n_window)``, each of one dose.
    tape
        The layers that they came from.
    n_dose
        Rows before this one have no tangent.
    """
    n_member, n_row, n_window = by_dose.shape
    gradients = [
        torch.autograd.grad(
            by_dose[..., window].sum(), [record.outputs for record in tape], retain_graph=True
        )
        for window in range(n_window)
    ]
    gram = by_dose.new_zeros(n_member, n_window, n_row, n_window, n_row)
    for layer, record in enumerate(tape):
        h, dh = _by_kind(record.inputs, n_row, n_dose)
        pairs = [_by_kind(by_window[layer], n_row, n_dose) for by_window in gradients]
        d = torch.cat([value for value, _ in pairs], dim=1)
        dd = torch.cat([tangent for _, tangent in pairs], dim=1)
        # A bias acts on values and not on tangents.
        gram += _product(gram, d, d, h @ h.transpose(1, 2) + 1.0)
        gram += _product(gram, dd, dd, dh @ dh.transpose(1, 2))
        mixed = _product(gram, d, dd, h @ dh.transpose(1, 2))
        gram += mixed
        gram += mixed.permute(0, 3, 4, 1, 2)
    return gram.flatten(3, 4).flatten(1, 2)


def _product(like: Tensor, left: Tensor, right: Tensor, of_inputs: Tensor) -> Tensor:
    """Gram matrix of gradients at outputs times that of inputs, of the shape of `like`."""
    of_outputs = (left @ right.transpose(1, 2)).view_as(like)
    return of_outputs.mul_(of_inputs[:, None, :, None, :])


def _by_kind(rows: Tensor, n_row: int, n_dose: int) -> tuple[Tensor, Tensor]:
    """Value rows and tangent rows, both of all doses; measured doses have a zero tangent."""
    value, tangent = rows[:, :n_row], rows[:, n_row:]
    return value, torch.cat([torch.zeros_like(value[:, :n_dose]), tangent], dim=1)


def _scalar_columns(
    parameters: Parameters,
    value: Tensor,
    data_scale: Tensor,
    ode_scale: float,
    trained: list[str],
) -> Tensor:
    """Derivatives by the scalars of the same window, ``(n_member, scalar, n_window, n_row)``."""
    n_dose = data_scale.shape[1]
    rate, exponent = (tensor.detach() for tensor in kinetic_parameters(parameters))
    collocated = value[:, n_dose:].clamp(min=SMALLEST_INTEGRITY)
    powered = collocated**exponent
    columns = torch.zeros(
        value.shape[0], len(SCALARS), value.shape[2], value.shape[1], dtype=value.dtype
    ).to(value.device)
    by_name = {
        "raw_rate": ode_scale * powered * torch.sigmoid(parameters["raw_rate"].detach()),
        "raw_exponent": ode_scale
        * rate
        * powered
        * collocated.log()
        * torch.sigmoid(parameters["raw_exponent"].detach()),
        "amplitude": data_scale * value[:, :n_dose],
        "offset": data_scale,
    }
    for position, name in enumerate(SCALARS):
        if name in trained:
            doses = slice(n_dose, None) if name.startswith("raw") else slice(None, n_dose)
            columns[:, position, :, doses] = by_name[name].transpose(1, 2)
    return columns


def _gram_of_scalars(columns: Tensor) -> Tensor:
    """Block-diagonal: a scalar acts on its own window only."""
    n_member, _, n_window, n_row = columns.shape
    blocks = torch.einsum("mswn,mswk->mwnk", columns, columns)
    gram = columns.new_zeros(n_member, n_window, n_row, n_window, n_row)
    for window in range(n_window):
        gram[:, window, :, window] = blocks[:, window]
    return gram.flatten(3, 4).flatten(1, 2)


def _extra_residuals(parameters: Parameters, task: Task, weights: LossWeights) -> Tensor | None:
    """Residuals of the hierarchy and of the prior, ``(n_member, n_extra)``."""
    extra = []
    if len(task.hierarchy):
        rate, _ = kinetic_parameters(parameters)
        too_slow = rate[:, 0, task.hierarchy[:, 1]] - rate[:, 0, task.hierarchy[:, 0]]
        extra.append(math.sqrt(2 * weights["hierarchy"]) * relu(too_slow))
    if task.prior is not None:
        prior = prior_residuals(parameters, task.prior)
        extra.append(math.sqrt(weights["prior"]) * prior.flatten(1))
    return torch.cat(extra, dim=1) if extra else None


def _extra_gradients(extra: Tensor, parameters: Parameters, trained: list[str]) -> Tensor:
    """Derivatives by the scalars, ``(n_member, n_extra, scalar, window)``."""
    leaves = [name for name in SCALARS if name in trained]
    like = parameters["amplitude"]
    gradients = extra.new_zeros(*extra.shape, len(SCALARS), like.shape[-1])
    for index in range(extra.shape[1]):
        found = torch.autograd.grad(
            extra[:, index].sum(),
            [parameters[name] for name in leaves],
            retain_graph=True,
            allow_unused=True,
        )
        for name, gradient in zip(leaves, found, strict=True):
            if gradient is not None:
                gradients[:, index, SCALARS.index(name)] = gradient[:, 0]
    return gradients
