# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every pixel says of the numbers of its population, and how its answer follows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.solution import dose_at_level

from .curves import SharedCurves
from .hyper import Layout
from .pixels import PixelNodes, PixelPrior
from .readout import Shared


def pixel_evidence(nodes: PixelNodes, shared: Shared, prior: PixelPrior) -> Tensor:
    """Ln marginal likelihood of every pixel, ``(n,)``."""
    return torch.logsumexp(nodes.log_weight(shared, prior), 0)


def scores(nodes: PixelNodes, layout: Layout, vector: Tensor) -> Tensor:
    """Gradient of the marginal likelihood of every pixel, ``(n_pixel, n)``."""
    return _gradient(partial(pixel_evidence, nodes), nodes.curves.number, layout, vector)


def answer_by_numbers(nodes: PixelNodes, layout: Layout, vector: Tensor) -> Tensor:
    """Gradient of the mean of ln D½ of every pixel after its data, ``(n_pixel, n)``."""
    value = log_half_dose(nodes.curves, nodes.free)

    def mean(shared: Shared, prior: PixelPrior) -> Tensor:
        weight = nodes.log_weight(shared, prior).softmax(0)
        return (weight.nan_to_num(0.0) * value).sum(0)

    return _gradient(mean, nodes.curves.number, layout, vector)


def _gradient(
    function: Callable[[Shared, PixelPrior], Tensor], number: int, layout: Layout, vector: Tensor
) -> Tensor:
    """Gradient of a number of every pixel, ``(n_pixel, n)``, as if each had its own population."""
    with torch.enable_grad():
        at = vector.detach().requires_grad_()
        common = layout.shared(at)
        parts = [getattr(common, each.name) for each in fields(Shared)]
        own = [
            each.detach()[..., None].repeat(*[1] * each.ndim, number).requires_grad_()
            for each in parts
        ]
        shared = Shared(*own)
        value = function(shared, PixelPrior(shared.mean, shared.factor.permute(2, 0, 1)))
        slopes = torch.autograd.grad(value.sum(), own)
        flat = torch.cat([each.reshape(-1) for each in parts])
        ways = torch.eye(len(flat), dtype=flat.dtype)
        by_vector = torch.autograd.grad(flat, at, ways, is_grads_batched=True)[0]
    found = torch.zeros(number, len(vector), dtype=vector.dtype)
    for slope, change in zip(slopes, by_vector.split([p.numel() for p in parts]), strict=True):
        found += slope.reshape(-1, number).T @ change
    return found


def log_half_dose(curves: SharedCurves, free: Tensor) -> Tensor:
    """Ln D½ of parameters ``(d, …)`` on their scale of estimation, within the box of the law."""
    search = curves.search(curves.inside(free))
    dose = dose_at_level(curves.parameters.law, curves.parameters.values(search), 0.5)
    return dose.clamp(max=1e4).log()
