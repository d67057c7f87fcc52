# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Levenberg–Marquardt for very many small problems at once, inside a box.

Every problem has its own damping and leaves the batch when it has converged. Bounds are kept by
an active set: a parameter that sits at a bound and is pushed outward is held there for the step.
Steps of one to three parameters are solved in closed form, others by Cholesky decomposition.

What happens to few of the problems is done for those alone, by their indices: a `torch.where` over
all takes several times as long as a product.

Problems are worked on in whole vectors, the last of them repeated where there are too few: sums do
not depend then on how many there are (`row_sums`), and nor does any minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor

from .row_sums import in_whole_vectors

# A finished problem is removed from the batch every so many iterations: copying costs too.
_COMPACT_EVERY = 2
_DAMPING_START, _DAMPING_FALL, _DAMPING_RISE = 1e-3, 0.15, 6.0
_DAMPING_LOWEST, _DAMPING_GIVE_UP = 1e-9, 1e6


class BatchedObjective(Protocol):
    """What is minimised."""

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Objective, half its gradient, half its (Gauss–Newton) Hessian.

        Parameters
        ----------
        parameters
            Shape ``(n_parameter, n_problem)``.

        Returns
        -------
        Shapes ``(n_problem,)``, ``(n_parameter, n_problem)``, ``(n_parameter, n_parameter,
        n_problem)``. The Hessian is positive semidefinite. The minimiser writes into the three.
        """
        ...

    def select(self, index: Tensor) -> BatchedObjective:
        """Select some of the problems by their indices."""
        ...


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a batch of minimisations ended.

    Parameters
    ----------
    parameters
        Shape ``(n_parameter, n_problem)``, inside the box.
    objective
        Shape ``(n_problem,)``.
    converged
        Boolean, shape ``(n_problem,)``: the last step promised less than the tolerance.
    """

    parameters: Tensor
    objective: Tensor
    converged: Tensor


def _solve(hessian: Tensor, gradient: Tensor) -> Tensor:
    """Solve the damped systems; `hessian` is (P, P, N), `gradient` (P, N)."""
    count = gradient.shape[0]
    if count == 1:
        return gradient / hessian[0]
    if count == 2:
        (first, off), (_, second) = hessian
        determinant = first * second
        squared = off * off
        # Rounding may lose a nearly singular system's sign: then take the diagonal alone.
        sound = determinant > squared
        if bool(sound.all()):
            determinant.sub_(squared)
        else:
            off = torch.where(sound, off, 0.0)
            determinant = torch.where(sound, determinant - squared, determinant)
        step = torch.empty_like(gradient)
        torch.mul(second, gradient[0], out=step[0]).addcmul_(off, gradient[1], value=-1)
        torch.mul(first, gradient[1], out=step[1]).addcmul_(off, gradient[0], value=-1)
        return step.div_(determinant)
    if count == 3:
        pivots, (second, third, last) = _pivots(hessian)
        step = gradient.clone()
        step[1].addcmul_(second, step[0], value=-1)
        step[2].addcmul_(third, step[0], value=-1).addcmul_(last, step[1], value=-1)
        for row, pivot in zip(step, pivots, strict=True):
            row.div_(pivot)
        step[1].addcmul_(last, step[2], value=-1)
        step[0].addcmul_(second, step[1], value=-1).addcmul_(third, step[2], value=-1)
        sound = _positive(pivots)
    else:
        matrix, right = hessian.permute(2, 0, 1), gradient.T[..., None]
        factor, info = torch.linalg.cholesky_ex(matrix)
        step, sound = torch.cholesky_solve(right, factor)[..., 0].T, info == 0
    if bool(sound.all()):
        return step
    return torch.where(sound, step, gradient / torch.diagonal(hessian).T)


def _pivots(matrix: Tensor) -> tuple[list[Tensor], tuple[Tensor, Tensor, Tensor]]:
    """D and, row by row, L of L D Lᵀ, of matrices ``(3, 3, N)``."""
    # Torch's decompositions of small matrices take ten times as long.
    first = matrix[0, 0]
    second, third = matrix[1, 0] / first, matrix[2, 0] / first
    middle = torch.addcmul(matrix[1, 1], second, matrix[1, 0], value=-1)
    across = torch.addcmul(matrix[2, 1], third, matrix[1, 0], value=-1)
    last = across / middle
    rest = torch.addcmul(matrix[2, 2], third, matrix[2, 0], value=-1)
    return [first, middle, rest.addcmul_(last, across, value=-1)], (second, third, last)


def _positive(pivots: list[Tensor]) -> Tensor:
    return reduce(torch.logical_and, [pivot > 0 for pivot in pivots])


def _box_step(
    point: Tensor,
    gradient: Tensor,
    hessian: Tensor,
    damping: Tensor,
    lower: Tensor,
    upper: Tensor,
    largest_step: Tensor,
) -> Tensor:
    """Damped step inside the box.

    A parameter at a bound that is pushed outward stays. Where the free step would leave the box,
    the parameters that meet a bound go to it and the others are solved for again, given that.
    """
    tiny = torch.finfo(point.dtype).tiny * 1e8
    damped = hessian.clone()
    for place in range(len(point)):
        damped[place, place].addcmul_(hessian[place, place], damping).add_(tiny)
    step = _solve(damped, -gradient)
    proposal = point + step
    at_edge = torch.minimum(point, proposal) <= lower
    at_edge |= torch.maximum(point, proposal) >= upper
    some = torch.nonzero(reduce(torch.logical_or, at_edge.unbind(0)))[:, 0]
    if some.numel():
        few = point[:, some], gradient[:, some], damped[..., some]
        step[:, some] = _step_at_edges(*few, _boxes(lower, some), _boxes(upper, some))
    # Shortened as a whole, a step stays a descent.
    ratio = step.abs() / largest_step
    return step.div_(reduce(torch.maximum, ratio.unbind(0)).clamp_(min=1.0))


def _boxes(bound: Tensor, index: Tensor) -> Tensor:
    """Bounds of some of the problems, where they differ."""
    return bound if bound.shape[1] == 1 else bound[:, index]


def _step_at_edges(
    point: Tensor, gradient: Tensor, damped: Tensor, lower: Tensor, upper: Tensor
) -> Tensor:
    """Damped step of problems that are at an edge of the box, or would leave it."""
    held = ((point <= lower) & (gradient > 0)) | ((point >= upper) & (gradient < 0))
    step = _held_step(damped, gradient, None, held)
    proposal = point + step
    reach = torch.clamp(proposal, lower, upper)
    outside = proposal != reach
    some = torch.nonzero(reduce(torch.logical_or, outside.unbind(0)))[:, 0]
    if some.numel():
        reach, held = (reach - point)[:, some], (held | outside)[:, some]
        step[:, some] = _held_step(damped[..., some], gradient[:, some], reach, held)
    return step


def _held_step(damped: Tensor, gradient: Tensor, given: Tensor | None, held: Tensor) -> Tensor:
    """Step of the free parameters, where that of the held ones is given, or 0."""
    free = (~held).to(gradient.dtype)
    right = -gradient
    if given is not None:
        given = given * held
        right -= (damped * given).sum(1)
    reduced = damped * (free[:, None] * free)
    torch.diagonal(reduced, dim1=0, dim2=1).copy_(torch.diagonal(damped, dim1=0, dim2=1))
    step = _solve(reduced, right.mul_(free))
    return step if given is None else step.add_(given)


def _secant(
    step: Tensor, change: Tensor, hessian: Tensor, correction: Tensor, worse: Tensor
) -> tuple[Tensor, Tensor]:
    """Correct the Gauss–Newton Hessian by what the gradient was seen to do.

    A symmetric rank-one update of the part that Gauss–Newton leaves out (residuals times second
    derivatives, the logarithm of a sum of squares); it is used where the sum stays safely
    positive definite, and not changed by a step that made things worse.

    Returns
    -------
    The Hessian for the next step and the correction to it.
    """
    count = step.shape[0]
    missed = change - ((hessian + correction) * step).sum(1)
    product = (missed * step).sum(0)
    size = (missed * missed).sum(0) * (step * step).sum(0)
    unsound = product * product <= 1e-8 * size
    scale = product.masked_fill_(unsound, 1.0).reciprocal_().masked_fill_(unsound, 0.0)
    scale[worse] = 0.0
    correction = torch.addcmul(correction, (missed * scale)[:, None], missed[None, :])
    trial = hessian + correction
    if count == 1:
        positive = trial[0, 0] > 0.1 * hessian[0, 0]
    elif count == 2:
        diagonal = trial[0, 0] * trial[1, 1]
        positive = trial[0, 0] > 0.1 * hessian[0, 0]
        positive &= trial[1, 1] > 0.1 * hessian[1, 1]
        positive &= diagonal - trial[0, 1] * trial[0, 1] > 1e-4 * diagonal
    else:
        # Positive even after a part of the Hessian is taken off.
        reduced = torch.sub(trial, hessian, alpha=1e-2)
        if count == 3:
            positive = _positive(_pivots(reduced)[0])
        else:
            positive = torch.linalg.cholesky_ex(reduced.permute(2, 0, 1))[1] == 0
    bent = torch.nonzero(~positive)[:, 0]
    trial[..., bent] = hessian[..., bent]
    return trial, correction


def minimise_batched(
    objective: BatchedObjective,
    start: Tensor,
    lower: Tensor,
    upper: Tensor,
    *,
    largest_step: Tensor,
    tolerance: float,
    max_iterations: int,
    least_gain: float = 0.0,
) -> Minimum:
    """Minimise many small sums of squares, each in the same box.

    Parameters
    ----------
    start
        Shape ``(n_parameter, n_problem)``; moved into the box where it lies outside.
    lower, upper
        Box, shape ``(n_parameter,)``, or that of each problem, of the shape of `start`.
    largest_step
        Largest change of each parameter in one step, shape ``(n_parameter,)``.
    tolerance
        A problem has converged when the next step would lower its objective by less.
    max_iterations
        Steps at most; those that have not converged by then are marked.
    least_gain
        A step that gains no more is not taken: where an objective is flat, rounding would choose.

    Returns
    -------
    Best point found for each problem, not worse than its start.
    """
    lower, upper = lower.reshape(len(start), -1), upper.reshape(len(start), -1)
    largest_step = largest_step[:, None]
    count = start.shape[1]
    best = torch.minimum(torch.maximum(start, lower), upper)
    value = best.new_empty(count)
    converged = torch.zeros(count, dtype=torch.bool, device=start.device)
    if count == 0:
        return Minimum(best, value, converged)
    index = in_whole_vectors(torch.arange(count, device=start.device))
    point = best
    if index.numel() > count:
        point, objective = best[:, index], objective.select(index)
        lower, upper = _boxes(lower, index), _boxes(upper, index)
    damping = torch.full_like(point[0], _DAMPING_START)
    current, gradient, model = objective.evaluate(point)
    correction = torch.zeros_like(model)
    finished = torch.zeros_like(damping, dtype=torch.bool)
    promised_little = torch.zeros_like(finished)
    for iteration in range(max_iterations):
        step = _box_step(point, gradient, model, damping, lower, upper, largest_step)
        proposal = torch.clamp(point + step, lower, upper)
        looked_at = iteration % _COMPACT_EVERY == _COMPACT_EVERY - 1
        if looked_at or iteration == max_iterations - 1:
            # Decrease that the quadratic model promises: −2 g·s − sᵀHs. A negative promise is a
            # step that the box has spoilt: damping will mend it.
            slope = torch.add((model * step).sum(1), gradient, alpha=2)
            promise = slope.mul_(step).sum(0).abs_()
            promised_little = (promise <= tolerance) & (damping < 1.0)
            finished = promised_little | (damping > _DAMPING_GIVE_UP)
        new, new_gradient, new_model = objective.evaluate(proposal)
        worse = torch.nonzero(~(new < current - least_gain))[:, 0]
        new_model, correction = _secant(step, new_gradient - gradient, new_model, correction, worse)
        for kept, other in (
            (proposal, point),
            (new, current),
            (new_gradient, gradient),
            (new_model, model),
        ):
            kept[..., worse] = other[..., worse]
        point, current, gradient, model = proposal, new, new_gradient, new_model
        raised = damping[worse] * _DAMPING_RISE
        damping = damping * _DAMPING_FALL
        damping[worse] = raised
        damping.clamp_(min=_DAMPING_LOWEST)
        if looked_at and bool(finished.any()):
            done = index[finished]
            best[:, done] = point[:, finished]
            value[done] = current[finished]
            converged[done] = promised_little[finished]
            keep = torch.nonzero(~finished)[:, 0]
            if keep.numel() == 0:
                return Minimum(best, value, converged)
            keep = in_whole_vectors(keep)
            index = index[keep]
            point, current, damping = point[:, keep], current[keep], damping[keep]
            gradient, model = gradient[:, keep], model[..., keep]
            correction = correction[..., keep]
            lower, upper = _boxes(lower, keep), _boxes(upper, keep)
            objective = objective.select(keep)
            promised_little = promised_little[keep]
    best[:, index] = point
    value[index] = current
    converged[index] = promised_little
    return Minimum(best, value, converged)
