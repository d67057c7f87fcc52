# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a kinetic law with a closed form."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .contract import HORIZON, KineticLaw

if TYPE_CHECKING:
    from torch import Tensor


class ClosedForm(KineticLaw):
    """A law with a closed form, `curve`, from which everything else follows.

    Examples
    --------
    >>> import torch
    >>> from hyperspy_dosekin.kinetics import FirstOrder
    >>> isinstance(FirstOrder(), ClosedForm)
    True
    """

    has_exact_solution = True

    @abstractmethod
    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Integrity and minus its derivatives by the parameters on their scale of search.

        Parameters
        ----------
        dose
            Normalised dose, of a shape that broadcasts with the parameters'.
        search
            The parameters on their scale of search (`LawParameter.to_search`), in order.
        slopes
            Which derivatives are wanted; none by default.

        Returns
        -------
        integrity : Tensor
            Of the broadcast shape.
        derivatives : list of Tensor or None
            One for each of `slopes`.

        Examples
        --------
        >>> import torch
        >>> from hyperspy_dosekin.kinetics import FirstOrder
        >>> log_rate = torch.tensor(0.0)  # k = 1
        >>> integrity, by = FirstOrder().curve(torch.tensor(1.0), [log_rate], slopes=[True])
        >>> round(integrity.item(), 4), round(by[0].item(), 4)
        (0.3679, 0.3679)
        """

    def solution(self, dose: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Use the closed form."""
        import torch

        class _Curve(torch.autograd.Function):
            """C in the parameters, once differentiable."""

            @staticmethod
            def forward(ctx, *values):
                search = [
                    p.to_search(v[..., None]) for p, v in zip(self.parameters, values, strict=True)
                ]
                integrity, slopes = self.curve(dose, search, slopes=[True] * len(values))
                ctx.save_for_backward(*values, *slopes)
                return integrity.to(dose.dtype)

            @staticmethod
            @torch.autograd.function.once_differentiable
            def backward(ctx, gradient):
                count = len(self.parameters)
                values, slopes = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
                found = []
                for parameter, value, slope in zip(self.parameters, values, slopes, strict=True):
                    by = -(gradient * slope).sum(-1)
                    by = by / value if parameter.lower > 0 else by
                    found.append(by.sum_to_size(value.shape))
                return tuple(found)

        values = [parameters[parameter.name] for parameter in self.parameters]
        return _Curve.apply(*values)

    def derivatives(
        self, dose: Tensor, parameters: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Use the closed form."""
        values = [parameters[parameter.name][..., None] for parameter in self.parameters]
        search = [p.to_search(v) for p, v in zip(self.parameters, values, strict=True)]
        integrity, slopes = self.curve(dose, search, slopes=[True] * len(values))
        by_parameter = {}
        for parameter, value, slope in zip(self.parameters, values, slopes, strict=True):
            assert slope is not None
            by_parameter[parameter.name] = -slope / value if parameter.lower > 0 else -slope
        return integrity, by_parameter

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """Search for the level on the closed form."""
        import torch

        search = [p.to_search(parameters[p.name].to(torch.float64)) for p in self.parameters]
        search = torch.stack(torch.broadcast_tensors(*search))
        shape, search = search.shape[1:], search.flatten(1)
        low = torch.full_like(search[0], math.log(1e-8))
        high = torch.full_like(low, math.log(HORIZON))
        target = math.log(-math.log(level))
        with torch.no_grad():
            never = self.curve(high.exp(), list(search))[0] > level
            at = 0.5 * (low + high)
            if self.scales:
                at = (target - search[0]).clamp(math.log(1e-8), math.log(HORIZON))
            found, index = at, torch.arange(at.numel(), device=at.device)
            for _ in range(48):
                # Newton's steps in ln(−ln C), a straight line for first order; halves of the
                # bracket where they leave it, and where a law knows the dose.
                integrity, slopes = self.curve(at.exp(), list(search), slopes=[self.scales])
                above = integrity > level
                low, high = torch.where(above, at, low), torch.where(above, high, at)
                at, middle = 0.5 * (low + high), at
                if slopes and slopes[0] is not None:
                    left = integrity.clamp(1e-300, 1 - 1e-16)
                    lost = -left.log()
                    missed = lost.log() - target
                    step = missed * left * lost / slopes[0].clamp(min=1e-300)
                    moved = middle - step
                    inside = (moved > low) & (moved < high)
                    done = ((step.abs() < 1e-13) | never[index]) & torch.isfinite(step)
                    at = torch.where(inside | done, moved, at)
                    found = found.index_copy(0, index, at)
                    left_over = torch.nonzero(~done)[:, 0]
                    if left_over.numel() == 0:
                        break
                    if left_over.numel() < 0.7 * index.numel():
                        index, at, low, high = (each[left_over] for each in (index, at, low, high))
                        search = search[:, left_over]
                else:
                    found = at
        return torch.where(never, torch.inf, found.exp()).reshape(shape)
