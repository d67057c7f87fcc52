# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether curves of given shape have b/a in common.

Twice the difference of the highest log likelihoods with a ratio for each curve and with a common
one is compared with that of curves which are drawn with the common ratio that was found. Each
highest likelihood is found for itself, by steps from the best of many nodes: a weak curve may have
its top anywhere, and no grid that suits the data suits all draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.conditions.rate_likelihood import RateScan
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.with_offset import ANGLES, WithOffset
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.scan import ScanData
from hyperspy_dosekin.numerics.batched_minimiser import minimise_batched

from .agreement import drawn_curves, judged

# Nodes of ln k and of θ that are looked at first.
_RATES, _ANGLES = 141, 121
# Steps at most, when there are no more, and the longest in ln k and θ.
_STEPS, _TOLERANCE, _LONGEST = 40, 1e-6, (1.0, 0.3)


@dataclass(frozen=True, eq=False)
class _Together:
    """Deviance of several curves with one θ, an objective of `minimise_batched`.

    Its parameters are θ, where it is not projected out, and ln k of each curve.
    """

    curves: tuple[ScanData, ...]
    with_angle: bool

    def evaluate(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Deviance, half its gradient and half its Hessian."""
        total, gradient, hessian, _ = self.parts(parameters)
        return total, gradient, hessian

    def parts(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """What `evaluate` gives, and what each curve says of θ.

        The last are deviance, half its slope and half its bend by θ with ln k let go, ``(3, n)``.
        """
        first = int(self.with_angle)
        total = parameters.new_zeros(parameters.shape[1])
        gradient = torch.zeros_like(parameters)
        hessian = parameters.new_zeros((len(parameters), *parameters.shape))
        each_says = []
        for place, (each, rate) in enumerate(
            zip(self.curves, parameters[first:], strict=True), first
        ):
            search = [rate, parameters[0]][: 1 + first]
            deviance, slope, bend = each.evaluate(search, [True] * (1 + first))
            total = total + deviance
            gradient[place] += slope[0]
            hessian[place, place] += bend[0, 0]
            if first:
                gradient[0] += slope[1]
                hessian[0, 0] += bend[1, 1]
                hessian[0, place] = hessian[place, 0] = bend[0, 1]
                left = bend[1, 1] - bend[0, 1] ** 2 / bend[0, 0].clamp(min=1e-30)
                each_says.append(torch.stack([deviance, slope[1], left.clamp(min=0.0)]))
        return total, gradient, hessian, each_says

    def select(self, index: Tensor) -> _Together:
        """Some of the problems."""
        return replace(self, curves=tuple(each.select(index) for each in self.curves))

    def lowest(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters and deviance of the minimum that is reached from a start."""
        first = int(self.with_angle)
        rate = self.curves[0].parameters.free[0].search_box
        boxes = [ANGLES][:first] + [rate] * len(self.curves)
        lower, upper = start.new_tensor(boxes).T
        longest = start.new_tensor([_LONGEST[1]] * first + [_LONGEST[0]] * len(self.curves))
        found = minimise_batched(
            self,
            start,
            lower,
            upper,
            largest_step=longest,
            tolerance=_TOLERANCE,
            max_iterations=_STEPS,
        )
        return found.parameters, found.objective


def with_offset(config: ExactConfig) -> ExactConfig:
    """Options of a fit with the offset of the readout in the law."""
    law = WithOffset(config.parameters.law)
    return replace(config, law=law, offset=0.0, nonnegative=False, zero_error=None, hierarchy=())


def ratio_p_value(
    problems: Sequence[DoseProblem],
    configs: Sequence[ExactConfig],
    shape: Sequence[tuple[str, float]],
) -> float:
    """Probability of b/a as unlike as those of some curves if they were the same.

    Parameters
    ----------
    problems, configs
        One for each curve, ``(1, 1, n_dose)``, with the options of its own fit.
    shape
        Values of the parameters of the law but the rate, by name.
    """
    held = [replace(each, prior=None, held=(*each.held, *shape)) for each in configs]
    scans = [RateScan.of(p, with_offset(c)) for p, c in zip(problems, held, strict=True)]
    with torch.no_grad():
        curves, start = _best_start(scans)
        copies = torch.zeros(start.shape[1], dtype=torch.long)
        places, heights = _Together(curves, True).select(copies).lowest(start)
        common = places[:, heights.argmin()]
        random = np.random.default_rng(0)
        taken = 1 + 1 / len(curves)
        curves = tuple(
            drawn_curves(each, [rate, common[:1]], random, taken)
            for each, rate in zip(curves, common[1:, None], strict=True)
        )
        together = _Together(curves, True)
        places, heights = together.lowest(common[:, None].expand(-1, curves[0].count))
        says = torch.stack(together.parts(places)[-1])  # (n_curve, 3, n)
        own = torch.stack([_own(*pair) for pair in zip(curves, held, strict=True)])
        whole = heights - own.sum(0)
        # Without a curve the others go to where their parabola has its bottom.
        deviance, slope, bend = says.unbind(1)
        others = (bend.sum(0) - bend).clamp(min=1e-30)
        single = (deviance - own + slope.square() / others).minimum(whole)
    return judged(torch.cat([single, whole[None]]).T.numpy())[0]


def _best_start(scans: Sequence[RateScan]) -> tuple[tuple[ScanData, ...], Tensor]:
    """The part of each scan that is likeliest, and the best rates of all on nodes of θ."""
    low, high = scans[0].parameters.free[0].search_box
    angle = torch.linspace(*ANGLES, _ANGLES, dtype=torch.float64)
    rate = torch.linspace(low, high, _RATES, dtype=torch.float64)
    here = [rate[:, None, None], angle[:, None]]
    curves, starts = [], [angle]
    for scan in scans:
        part = max(scan.parts, key=lambda part: float(part.log_density(here)[0].max()))
        curves.append(part)
        starts.append(rate[part.deviance_at(here)[..., 0].argmin(0)])
    return tuple(curves), torch.stack(starts)


def _own(curves: ScanData, config: ExactConfig) -> Tensor:
    """Deviance of the likeliest curves with a, b and k of their own, ``(n,)``."""
    free = replace(curves, parameters=config.parameters, share=1.0, pin=1.0).centred()
    low, high = free.parameters.free[0].search_box
    rate = torch.linspace(low, high, _RATES, dtype=torch.float64)
    start = rate[free.deviance_at([rate[:, None]]).argmin(0)]
    return _Together((free,), False).lowest(start[None])[1]
