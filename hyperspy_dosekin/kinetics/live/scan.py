# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Likelihood of curves in bins."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.posterior.marginal import StudentShare
from hyperspy_dosekin.kinetics.posterior.scan import ScanData, Sums

# Rounding of a difference of sums.
_ROUNDING = 1e-13
# Degrees of freedom of Student's t have so many binary digits after the first.
_DIGITS = 5
# What parts have that is not the same in all, and decides their density.
_JOINED = ("values", "freedom", "share", "pin", "base", "inner", "log_constant")
# What may be the same of all curves.
_OF_CURVES = ("freedom", "share", "pin", "base", "softness", "log_constant")


class Moments(NamedTuple):
    """Sums over bins at nodes ``(…, n)`` or ``(…, 1)``: of C, its square, its product with values.

    All are weighed; the values are those that a `BinnedScan` holds.
    """

    mean: Tensor
    size: Tensor
    product: Tensor


@dataclass(frozen=True, eq=False)
class BinnedScan(ScanData):
    """Curves in bins, whose frames scatter within them, too.

    Parameters
    ----------
    inner
        Sum of squares within the bins, ``(n,)``.
    width
        Standard deviation of the normalised doses in each bin, ``(n_dose,)``; ``None``: 0.
    few
        Whether there are fewer nodes than tables have, which every frame needs anew.
    decay
        C at the bins and the nodes that are looked at, ``(n_dose, …, n)`` or ``(n_dose, …, 1)``.
    square
        The squares of these, where they are held.
    found
        The sums over bins, where they are known already.
    """

    inner: Tensor | None = None
    width: Tensor | None = None
    few: bool = False
    decay: Tensor | None = None
    square: Tensor | None = None
    found: Sums | None = None

    def single(self) -> BinnedScan:
        """The same in single precision."""
        return replace(self, **_single(self))

    @cached_property
    def _student(self) -> StudentShare:
        if not self.few:
            return super()._student
        # Of many degrees of freedom a table a little beside does as well: it is there already.
        step = 2 ** (torch.log2(self.freedom.clamp(min=1)) - _DIGITS).floor().clamp(min=0)
        return _student_of(tuple(((self.freedom / step).round() * step).tolist()))

    @cached_property
    def total(self) -> Tensor:
        """Sum of squares about the mean (or the known offset), and within the bins, ``(n,)``."""
        assert self.inner is not None
        centred = (self.values * self.values).sum(0)
        if self.share is not None:
            centred = centred - self.share * self._level**2 / self.weight_sum
        return centred + self.inner

    def condensed(self) -> BinnedScan:
        """The same in a single bin that has the same sums, for sums that are known already.

        What is the same of all curves is there once.
        """
        level, root = self._level, self.weight_sum.sqrt()
        squares = (self.values * self.values).sum(0) - level * level / self.weight_sum
        once = {name: _once(getattr(self, name)) for name in _OF_CURVES}
        return replace(
            self,
            dose=self.dose[:1],
            values=(level / root)[None],
            ones=root[None],
            root_weight=None,
            decay=None,
            inner=squares if self.inner is None else squares + self.inner,
            unit=self.unit[:1],
            extent=self.extent[:1],
            **once,
        )

    def select(self, index: Tensor) -> BinnedScan:
        """Select some of the curves, each as often as it is named."""
        inner = self.inner
        if inner is not None:
            inner = inner.expand(self.count).index_select(0, index)
        return replace(super().select(index), inner=inner)

    def moments(self) -> Moments:
        """Sums over all bins at once, with the decay that is held."""
        decay = self.decay
        assert decay is not None
        weight, seen = self.ones * self.ones, self.ones * self.values
        nodes = decay.shape[1:-1]
        # Curves first, as `with_decay` lays them out: one product of matrices for each.
        rows = decay.movedim(-1, 0).flatten(2)
        square = rows * rows if self.square is None else self.square.movedim(-1, 0).flatten(2)
        if len(rows) == 1:
            along = rows[0]
            # Products are laid out by curve, too.
            mean, size, product = weight.T @ along, weight.T @ square[0], seen.T @ along
        else:
            wide = weight.expand_as(seen).T[:, None]
            mean, product = torch.cat([wide, seen.T[:, None]], 1).bmm(rows).unbind(1)
            size = wide.bmm(square)[:, 0]
        return Moments(*(each.T.unflatten(0, nodes) for each in (mean, size, product)))

    def projected(self, moments: Moments) -> Sums:
        """Sums with the readout projected out."""
        mean, size, product = moments
        pin = self.pin
        norm = size - 2 * pin * mean + pin * pin * self.weight_sum
        if self.share is None or not self.offset_free:
            product = product - pin * self._level
        mean = mean - pin * self.weight_sum
        if self.share is None:
            visible = norm > 1e-24
        else:
            before = norm
            norm = norm - self.share * mean * mean / self.weight_sum
            if not self.offset_free:
                product = product - self.share * mean * self._level / self.weight_sum
            visible = norm > 1e-12 * torch.maximum(before, size)
        amplitude = product * (visible / norm.clamp(min=1e-30))
        squares = torch.maximum(self.total - amplitude * product, _ROUNDING * self.total)
        return Sums(squares, norm, amplitude, mean / self.weight_sum)

    def sums(self, search: object) -> Sums:
        """Sums over all bins, or those that are known already."""
        return self.projected(self.moments()) if self.found is None else self.found


@lru_cache(maxsize=16)
def _student_of(freedom: tuple[float, ...]) -> StudentShare:
    return StudentShare(torch.tensor(freedom, dtype=torch.float64))


def joined(parts: list[ScanData]) -> BinnedScan:
    """The parts of a posterior side by side, as if each were further curves.

    Parameters
    ----------
    parts
        One, or that above the bound of the offset and that at it.
    """
    first = parts[0]
    assert isinstance(first, BinnedScan)
    if len(parts) == 1:
        return first

    def beside(name: str, nothing: float = 0.0) -> Tensor:
        found = []
        for part in parts:
            value = getattr(part, name)
            if not isinstance(value, Tensor) or value.shape[-1] == 1 < first.count:
                value = first.freedom.new_tensor(nothing if value is None else value)
                value = value.expand(first.count)
            found.append(value)
        return torch.cat(found, -1)

    own = {name: beside(name) for name in _JOINED}
    if first.ones.shape[-1] > 1:
        own["ones"] = beside("ones")
    # No bound is an infinitely soft one, but for the half of it that is on the right side.
    own["softness"] = beside("softness", torch.inf)
    for place, part in enumerate(parts):
        if not part.bounded:
            own["log_constant"][place * first.count :][: first.count] += math.log(2.0)
    return replace(first, **own, bounded=True)


def _once(value: Tensor | float | None) -> Tensor | float | None:
    """The one value of all curves, where there is one."""
    if isinstance(value, Tensor) and value.numel() and bool((value == value[..., :1]).all()):
        return value[..., :1]
    return value


def _single(thing: BinnedScan | Sums) -> dict[str, Tensor | Sums]:
    """What is in single precision then."""
    found: dict[str, Tensor | Sums] = {}
    for each in fields(thing):
        value = getattr(thing, each.name)
        if isinstance(value, Tensor):
            found[each.name] = value.float() if value.is_floating_point() else value
        elif isinstance(value, Sums):
            found[each.name] = replace(value, **_single(value))
    return found
