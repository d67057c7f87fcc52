# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mode of a part of the posterior is searched with: all free parameters, and the bound."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .scan import ScanData

# Step over which the slope of a share is taken, in standard deviations.
_STEP = 0.1


@dataclass(frozen=True, eq=False)
class Whole:
    """Deviance in all free parameters, with the bound of b; for `minimise_batched`."""

    data: ScanData

    def select(self, index: Tensor) -> Whole:
        """Some of the curves."""
        return Whole(self.data.select(index))

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `ScanData.evaluate`; with the bound of the offset, where there is one."""
        data = self.data
        value, gradient, hessian = data.evaluate(list(parameters), [True] * len(parameters))
        if not data.bounded:
            return value, gradient, hessian
        # The share of b on the right side of its bound is that of a normal distribution about: of
        # that −(ln Φ)″ is (ln Φ)′² / 2|ln Φ|, nearly.
        share = data.log_share(list(parameters))
        upper = parameters.new_tensor([p.search_box[1] for p in data.parameters.free])[:, None]
        change = []
        for place, row in enumerate(parameters):
            step = _STEP * hessian[place, place].rsqrt()
            step = torch.where(row + step > upper[place], -step, step)
            moved = [*parameters[:place], row + step, *parameters[place + 1 :]]
            change.append((data.log_share(moved) - share) / step)
        slope = torch.stack(change)
        curvature = slope[:, None] * slope / (-2 * share).clamp(min=1e-6)
        return value - 2 * share, gradient - slope, hessian + curvature
