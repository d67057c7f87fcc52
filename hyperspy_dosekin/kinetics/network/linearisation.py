# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Residuals of the network and the Gram matrix of their Jacobian, without the Jacobian.

A residual at a dose depends on the layers at that dose alone. For a layer with inputs H and
gradients D of the residuals at its outputs, the Jacobian by its weights is an outer product
for each dose, and J Jᵀ is the elementwise product of the small Gram matrices H Hᵀ and D Dᵀ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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

#: Parameters of the law and the readout, one for each window, or a single one where it is common.
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
    transposed
        Jᵀ times numbers ``(n, n_residual)`` of members ``(n,)``, by trained parameter.
    """

    residuals: Tensor
    gram: Tensor
    transposed: Callable[[Tensor, Tensor], Parameters]


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
    layers = Layers.of(by_dose, tape, n_dose)
    tied = [name for name in SCALARS if parameters[name].shape[-1] < value.shape[-1]]
    gram = layers.gram() + _gram_of_scalars(columns, tied)
    extra = _extra_residuals(parameters, task, weights)
    rows, mixing = by_dose.transpose(1, 2), None
    if compression is not None:
        mixing = _mixing(rows, compression, weights["data"])
        rows, columns, gram = _mixed(rows, columns, gram, mixing, compression, weights["data"])
    residuals = rows.flatten(1)
    gradients = None
    if extra is not None:
        gradients = _extra_gradients(extra, parameters, trained, value.shape[-1])
        cross = torch.einsum("mswn,mesw->mewn", columns, gradients).flatten(2)
        # What is common to the windows stands at each of them.
        counted = gradients.new_ones(len(SCALARS))
        counted[[SCALARS.index(name) for name in tied]] /= value.shape[-1]
        corner = torch.einsum("mesw,mfsw,s->mef", gradients, gradients, counted)
        top = torch.cat([gram, cross.transpose(1, 2)], dim=2)
        bottom = torch.cat([cross, corner], dim=2)
        residuals = torch.cat([residuals, extra], dim=1)
        gram = torch.cat([top, bottom], dim=1)

    def transposed(dual: Tensor, members: Tensor) -> Parameters:
        by_row = dual[:, : rows[0].numel()].reshape(len(dual), *rows.shape[1:])
        scalars = torch.einsum("mswn,mwn->msw", columns[members], by_row)
        for place in map(SCALARS.index, tied):
            scalars[:, place] = scalars[:, place].sum(-1, keepdim=True)
        if gradients is not None:
            beyond = dual[:, rows[0].numel() :]
            scalars = scalars + torch.einsum("mesw,me->msw", gradients[members], beyond)
        if mixing is not None:
            by_row = torch.einsum("wij,mwi->mwj", mixing, by_row)
        found = layers.transposed(by_row, members)
        for place, name in enumerate(SCALARS):
            if name in trained:
                found[name] = scalars[:, None, place, : parameters[name].shape[-1]]
        return found

    return Linearisation(residuals, gram, transposed)


def _mixing(rows: Tensor, compression: Compression, weight: float) -> Tensor:
    """What turns rows ``(n_member, n_window, n_row)`` into residuals, for each window."""
    n_node, n_row = compression.dose.size, rows.shape[-1]
    mixing = torch.eye(n_row, dtype=rows.dtype, device=rows.device).repeat(rows.shape[1], 1, 1)
    mixing[:, :n_node, :n_node] = torch.as_tensor(compression.mixing).to(rows)
    mixing[:, :n_node] *= math.sqrt(weight)
    return mixing


def _mixed(
    rows: Tensor,
    columns: Tensor,
    gram: Tensor,
    mixing: Tensor,
    compression: Compression,
    weight: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn intensities at nodes, their derivatives and J Jᵀ into those of the residuals."""
    n_node = compression.dose.size
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


@dataclass(frozen=True)
class Layers:
    """Dense layers, and gradients of residuals by their outputs.

    Parameters
    ----------
    tape
        The layers.
    gradients
        Of the residuals of each window by the outputs of each layer, ``(n_member, rows, out)``;
        tangent rows lie below value rows.
    n_row, n_dose
        Rows, and before which of them there is no tangent.
    """

    tape: list[DenseRecord]
    gradients: list[tuple[Tensor, ...]]
    n_row: int
    n_dose: int

    @classmethod
    def of(cls, by_dose: Tensor, tape: list[DenseRecord], n_dose: int) -> Layers:
        """Look back from residuals.

        Parameters
        ----------
        by_dose
            Residuals with a graph, ``(n_member, n_row, n_window)``, each of one dose.
        tape
            The layers that they came from.
        n_dose
            Rows before this one have no tangent.
        """
        outputs = [record.outputs for record in tape]
        gradients = [
            torch.autograd.grad(window.sum(), outputs, retain_graph=True)
            for window in by_dose.unbind(-1)
        ]
        return cls(tape, gradients, by_dose.shape[1], n_dose)

    def gram(self) -> Tensor:
        """J Jᵀ by the weights of the layers; rows are ordered (window, dose)."""
        n_row, n_dose, n_window = self.n_row, self.n_dose, len(self.gradients)
        like = self.gradients[0][0]
        gram = like.new_zeros(len(like), n_window, n_row, n_window, n_row)
        for layer, record in enumerate(self.tape):
            h, dh = _by_kind(record.inputs, n_row, n_dose)
            pairs = [_by_kind(by_window[layer], n_row, n_dose) for by_window in self.gradients]
            d = torch.cat([value for value, _ in pairs], dim=1)
            dd = torch.cat([tangent for _, tangent in pairs], dim=1)
            # A bias acts on values and not on tangents.
            gram += _product(gram, d, d, h @ h.transpose(1, 2) + 1.0)
            gram += _product(gram, dd, dd, dh @ dh.transpose(1, 2))
            mixed = _product(gram, d, dd, h @ dh.transpose(1, 2))
            gram += mixed
            gram += mixed.permute(0, 3, 4, 1, 2)
        return gram.flatten(3, 4).flatten(1, 2)

    def transposed(self, dual: Tensor, members: Tensor) -> Parameters:
        """Jᵀ times numbers, one for each residual of some members, by weight and bias.

        This costs a few products of matrices, a tenth of a pass back through the network.

        Parameters
        ----------
        dual
            ``(n, n_window, n_row)``.
        members
            Which they are, ``(n,)``.
        """
        found: Parameters = {}
        every = torch.cat([dual, dual[..., self.n_dose :]], -1)[..., None].unbind(1)
        for layer, record in enumerate(self.tape):
            outputs = every[0] * self.gradients[0][layer][members]
            for numbers, of_window in zip(every[1:], self.gradients[1:], strict=True):
                outputs.addcmul_(numbers, of_window[layer][members])
            found[f"{record.name}.weight"] = record.inputs[members].transpose(1, 2) @ outputs
            found[f"{record.name}.bias"] = outputs[:, : self.n_row].sum(1, keepdim=True)
        return found


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


def _gram_of_scalars(columns: Tensor, tied: Sequence[str]) -> Tensor:
    """Block-diagonal: a scalar acts on its own window only, but for those common to all."""
    n_member, _, n_window, n_row = columns.shape
    blocks = torch.einsum("mswn,mswk->mwnk", columns, columns)
    gram = columns.new_zeros(n_member, n_window, n_row, n_window, n_row)
    for window in range(n_window):
        gram[:, window, :, window] = blocks[:, window]
    for place in map(SCALARS.index, tied):
        across = torch.einsum("mwn,mvk->mwnvk", columns[:, place], columns[:, place])
        for window in range(n_window):
            across[:, window, :, window] = 0.0
        gram += across
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


def _extra_gradients(
    extra: Tensor, parameters: Parameters, trained: list[str], n_window: int
) -> Tensor:
    """Derivatives by the scalars, ``(n_member, n_extra, scalar, window)``."""
    leaves = [name for name in SCALARS if name in trained]
    gradients = extra.new_zeros(*extra.shape, len(SCALARS), n_window)
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
