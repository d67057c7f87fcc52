# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums over doses of products of decays at many nodes with each other and with measured curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.solution import curve, streams
from hyperspy_dosekin.kinetics.model.shared_error import without_shared
from hyperspy_dosekin.numerics.row_sums import row_sum

from .neighbours import before, beside
from .whitened import WhitenedCurves

# Numbers of a curve that are worked on at once, and of an array in series of more frames: arrays of
# that size stay in the cache, and Python walks over fewer pieces.
_OF_CURVE, _AT_ONCE, _MANY_FRAMES = 256, 2**15, 64
# The same of a law, what of it does not know the dose being worked out once.
_OF_LAW = 2**20


class Products(NamedTuple):
    """Sums over doses of products, free of the offset.

    Of columns with each other (a triangle), the values and a constant; `size` is the first of them
    with the offset, `pin` what was taken off the decay. Of a constant there may be 0, where the
    offset is known and has no bound.
    """

    inner: list[list[Tensor]]
    level: list[Tensor]
    mean: list[Tensor]
    size: Tensor
    pin: Tensor | float


class ProductsOverDoses(WhitenedCurves):
    """Curves to scan, and their products with decays; fields as in `WhitenedCurves`."""

    def _complete(self, search: Sequence[Tensor]) -> list[Tensor]:
        """All parameters of the law on their scale of search, from the free ones."""
        whole = self.parameters.complete(search)
        if self.third is not None:
            name, _ = self.parameters.held[-1]
            names = [parameter.name for parameter in self.parameters.law.parameters]
            whole[names.index(name)] = self.third
        return whole

    def _columns(
        self, search: Sequence[Tensor], slopes: Sequence[bool] = ()
    ) -> Iterator[tuple[slice, list[Tensor], Tensor | float]]:
        """The decay less its pin, and minus its slopes, weighed and filtered, of some doses.

        A few doses at once where a curve has many nodes, so that arrays stay in the cache; many
        where it has few, for which a step of Python would take longer than the arithmetic. How sums
        are rounded must not depend on how many curves there are, but in series of many frames,
        which would take ten times as long. The third is the pin. Where the offset is free any
        constant may be taken off, and nodes that are over before the first frame have 0: of
        differences from 1 only rounding would be left.
        """
        whole = self._complete(search)
        law, number = self.parameters.law, self.dose.numel()
        places = zip(self.parameters.places, slopes, strict=False)
        wanted = [place for place, slope in places if slope]
        flags = [place in wanted for place in range(len(whole))]
        size = max(torch.broadcast_tensors(*whole)[0].numel(), 1)
        curves = torch.broadcast_tensors(*whole)[0].shape[-1]
        step = max((_AT_ONCE if number > _MANY_FRAMES else _OF_CURVE * curves) // size, 1)
        known = max(_OF_LAW // size, 1) if streams(law) else number
        along = [1] * max(each.ndim for each in whole)
        carried: Sequence[Tensor | None] = ()
        pin = self.pin
        for begin in range(0, number, known):
            dose = self.dose[begin : begin + known].reshape(-1, *along)
            integrity, changes = curve(law, dose, whole, slopes=flags)
            if begin == 0 and self.offset_free:
                pin = (integrity[0] > 0.5).to(integrity)
            # What a closed form gives is nobody else's.
            own = streams(law) and self.offset_free
            if isinstance(pin, float) and pin == 0:
                made = [integrity]
            else:
                made = [integrity.sub_(pin) if own else integrity - pin]
            made += [each for place in wanted if (each := changes[place]) is not None]
            for first in range(0, dose.shape[0], step):
                columns = [each[first : first + step] for each in made]
                places = slice(begin + first, begin + first + columns[0].shape[0])
                if self.root_weight is not None:
                    weight = beside(self.root_weight[places], columns[0])
                    columns = [each * weight for each in columns]
                if self.filter_ is not None:
                    ratio, scale = (beside(each[places], columns[0]) for each in self.filter_)
                    carried = carried or [None] * len(columns)
                    pairs = [
                        before(each, scale, last, self._gapless)
                        for each, last in zip(columns, carried, strict=True)
                    ]
                    earlier, carried = zip(*pairs, strict=True)
                    columns = [
                        (each - ratio * old) * scale
                        for each, old in zip(columns, earlier, strict=True)
                    ]
                yield places, columns, pin

    @cached_property
    def _gapless(self) -> bool:
        """Whether no frame is missing."""
        return self.filter_ is None or bool((self.filter_[1] > 0).all())

    @cached_property
    def _twice(self) -> tuple[Tensor, Tensor]:
        """Values and constant whose products with columns take shared errors out of these, too."""
        values, ones = (without_shared(each, self.basis) for each in (self.values, self.ones))
        return values, ones

    def _products(self, search: Sequence[Tensor], slopes: Sequence[bool] = ()) -> Products:
        """Sums over doses of products of the columns with each other, the values, a constant."""
        if self._of_all(search) and not any(slopes):
            return self._products_of_all(search)
        values, ones = self._twice
        count = 1 + sum(slopes)
        errors = [] if self.basis is None else list(self.basis.unbind(1))
        nothing = values.new_zeros(())
        inner = [[nothing] * (i + 1) for i in range(count)]
        level, mean = [nothing] * count, [nothing] * count
        shared = [[nothing] * len(errors) for _ in range(count)]
        # Columns that all curves share, before each has weights of its own.
        common: list[list[Tensor]] = []
        long = self.dose.numel() > _MANY_FRAMES and self.basis is None
        # Without weights a constant is one.
        unweighed = self.root_weight is None and self.filter_ is None and self.basis is None
        # Where the offset is known nobody asks.
        with_mean = self.share is not None or self.bounded
        taken = self.pin
        for places, columns, pin in self._columns(search, slopes):
            taken = pin
            alike = long and columns[0].shape[-1] == 1 < self.count
            if alike:
                common.append([each[..., 0].movedim(0, -1) for each in columns])
            value, one = (beside(each[places], columns[0]) for each in (values, ones))
            for i, each in enumerate(columns):
                for j in range(i + 1):
                    inner[i][j] = _added(inner[i][j], each, columns[j])
                if not alike:
                    level[i] = _added(level[i], each, value)
                if with_mean:
                    mean[i] = _added(mean[i], each, None if unweighed else one)
                for number, error in enumerate(errors):
                    along = beside(error[places], each)
                    shared[i][number] = _added(shared[i][number], each, along)
        if common:
            level = [torch.cat(column, -1) @ values for column in zip(*common, strict=True)]
        return self._without_offset(inner, level, mean, shared, taken)

    @property
    def straight(self) -> bool:
        """Whether the integrity is a straight line in the first parameter."""
        free = self.parameters.free
        return len(free) > 1 and free[0].name == self.parameters.law.linear

    def line(self, others: Sequence[Tensor]) -> tuple[Products, float]:
        """Products of the decay and its change, where the first parameter begins; and that value.

        The change is what the decay has less when the parameter is larger by 1. All values of the
        parameter then need no other decays.

        Parameters
        ----------
        others
            The other free parameters on their scale of search.
        """
        parameter = self.parameters.free[0]
        here = parameter.to_search(others[0].new_tensor([parameter.start]))
        found = self._products([here, *others], [True] + [False] * len(others))
        scale = 1.0 if parameter.lower <= 0 and not parameter.logarithmic else 1 / parameter.start
        (norm,), (cross, square) = found.inner
        inner = [[norm], [cross * scale, square * scale**2]]
        level, mean = ([first, second * scale] for first, second in (found.level, found.mean))
        return Products(inner, level, mean, found.size, found.pin), parameter.start

    def _along_rows(self, search: Sequence[Tensor]) -> Products:
        """Products at nodes of rows from those of one node of each, and of the change there."""
        found, start = self.line(search[1:])
        ((norm,), (cross, square)), (level, change), (mean, tilt) = (
            found.inner, found.level, found.mean
        )  # fmt: skip
        away = start - self.parameters.free[0].from_search(search[0])
        norm = torch.addcmul(norm, torch.addcmul(2 * cross, away, square), away)
        level, mean = torch.addcmul(level, away, change), torch.addcmul(mean, away, tilt)
        return Products([[norm]], [level], [mean], found.size, found.pin)

    def _of_all(self, search: Sequence[Tensor]) -> bool:
        """Whether the decays at nodes are those of all curves, which differ in weights alone."""
        alike = max(each.shape[-1] for each in search) == 1 < self.count
        return alike and self.filter_ is None and self.basis is None and self.third is None

    def _products_of_all(self, search: Sequence[Tensor]) -> Products:
        """The same where the decays are those of all curves, a few nodes at a time.

        Sums are made frame by frame: products of matrices would be faster, but round by how many
        curves there are, and no curve may depend on those beside it.
        """
        whole = self._complete(search)
        along = [1] * max(each.ndim for each in whole)
        integrity, _ = curve(self.parameters.law, self.dose.reshape(-1, *along), whole)
        decay = integrity.flatten(1)[..., None]
        pin = self.pin
        if self.offset_free:
            pin = (decay[0] > 0.5).to(decay)
            decay = decay - pin
            pin = pin.reshape(*integrity.shape[1:-1], 1)
        weight = torch.ones_like(self.ones) if self.root_weight is None else self.root_weight
        square, by_value, by_one = weight * weight, weight * self.values, weight * self.ones
        # Without weights of their own, curves share what does not know the values.
        alike = square.shape[-1] == by_one.shape[-1] == 1 and self.offset_free
        inner, mean = decay.new_zeros(2, decay.shape[1], 1 if alike else self.count)
        level = decay.new_zeros(decay.shape[1], self.count)
        step = max(_AT_ONCE // self.count, 1)
        for first in range(0, decay.shape[1], step):
            part = slice(first, first + step)
            for frame, each in enumerate(decay[:, part]):
                column = each if self.offset_free else each - self.pin
                level[part].addcmul_(column, by_value[frame])
                inner[part].addcmul_(column.square(), square[frame])
                mean[part].addcmul_(column, by_one[frame])
        nodes = integrity.shape[1:-1]
        inner, level, mean = (each.reshape(*nodes, -1) for each in (inner, level, mean))
        return self._without_offset([[inner]], [level], [mean], [[]], pin)

    def _without_offset(
        self,
        inner: list[list[Tensor]],
        level: list[Tensor],
        mean: list[Tensor],
        shared: list[list[Tensor]],
        pin: Tensor | float,
    ) -> Products:
        """Products with shared errors and the offset projected out."""
        size = inner[0][0]
        if self.basis is not None:
            # (1 − B Bᵀ)² takes from products what columns have along the shared errors.
            for number, square in enumerate(self.basis.square().sum(0)):
                for i, row in enumerate(inner):
                    for j in range(i + 1):
                        row[j] = row[j] - (2 - square) * shared[i][number] * shared[j][number]
        if self.share is not None:
            part = self.share / self.weight_sum
            for i, row in enumerate(inner):
                for j in range(i + 1):
                    row[j] = torch.addcmul(row[j], mean[i] * part, mean[j], value=-1.0)
            if not isinstance(self.share, float):
                level = [a - part * self._level * b for a, b in zip(level, mean, strict=True)]
        return Products(inner, level, mean, size, pin)


def _added(total: Tensor, left: Tensor, right: Tensor | None) -> Tensor:
    """A total with the sum over doses of products added to it, in place but at the first time."""
    if left.shape[0] == 1:
        if total.ndim:
            return total.add_(left[0]) if right is None else total.addcmul_(left[0], right[0])
        return left[0].clone() if right is None else left[0] * right[0]
    product = row_sum(left if right is None else left * right)
    return total.add_(product) if total.ndim else product
