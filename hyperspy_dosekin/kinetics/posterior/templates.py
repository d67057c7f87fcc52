# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decays that all curves are compared with: they say where ridges run, far from estimates too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .rows import searched, spread_rows
from .scan import ScanData

# Rates and shapes of the templates.
_TEMPLATES, _TEMPLATE_ROWS = 40, 12
# Curves that are compared with them at once.
_AT_ONCE = 768
# Deviances, and shares of sums of squares, that differ by less are the same.
_SAME = 1e-8


class Templates(NamedTuple):
    """What the decays that all curves are compared with say of their ridges.

    Shapes ``(n_row, 1)``, best rates on these and their deviances ``(n_row, n)``.
    """

    shape: Tensor
    rate: Tensor
    deviance: Tensor

    @classmethod
    def of(cls, data: ScanData, others: Sequence[Tensor] = ()) -> Templates:
        """Compare curves with templates.

        Parameters
        ----------
        others
            Free parameters beyond the second on their scale of search, one number each.
        """
        if data.dose.device.type == "cpu" and data.count > _AT_ONCE:
            # Arrays of all templates stay in the cache.
            every = torch.arange(data.count).split(_AT_ONCE)
            found = [cls.of(data.select(index), others) for index in every]
            rate, deviance = (torch.cat([each[place] for each in found], 1) for place in (1, 2))
            return cls(found[0].shape, rate, deviance)
        free = data.parameters.free
        rate = torch.linspace(*free[0].search_box, _TEMPLATES).to(data.dose)
        shape = rate.new_zeros(1, 1)
        if len(free) > 1:
            ends = rate.new_tensor(free[1].free_box)[:, None]
            shape = spread_rows(ends[0], ends[1], _TEMPLATE_ROWS, free[1])

        def at(log_rate: Tensor) -> list[Tensor]:
            return [*searched(data, log_rate, shape), *others]

        squares = data.sums(at(rate[:, None, None])).squares
        squares = squares.expand(_TEMPLATES, shape.shape[0], data.count)
        # Of decays that one frame alone has seen all rates fit alike: then the first, and not what
        # rounding chooses.
        rising = torch.linspace(1.0, 1.0 + _SAME, _TEMPLATES, dtype=torch.float64).to(rate)
        squares = squares * rising[:, None, None]
        least, place = squares.min(0)
        # A parabola through the best and its neighbours.
        before, behind = (
            squares.gather(0, (place + step).clamp(0, _TEMPLATES - 1)[None])[0] - least
            for step in (-1, 1)
        )
        share = 0.5 * (before - behind) / (before + behind).clamp(min=1e-300)
        best = rate[place] + share.clamp(-0.5, 0.5) * (rate[1] - rate[0])
        least, found = data.deviance_of(least), data.deviance_at(at(best))
        better = found < least - _SAME
        return cls(shape, torch.where(better, best, rate[place]), torch.where(better, found, least))

    def select(self, index: Tensor) -> Templates:
        """Those of some of the curves."""
        return Templates(self.shape, self.rate[:, index], self.deviance[:, index])

    def start(self, data: ScanData) -> Tensor:
        """Free parameters of the best template with priors, ``(n_free, n)``."""
        search = searched(data, self.rate, self.shape.expand(self.rate.shape))
        row = (0.5 * self.deviance - data.parameters.log_prior(search)).argmin(0)[None]
        return torch.cat([each.gather(0, row) for each in search])
