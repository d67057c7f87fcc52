# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scaling laws by table: ``C = G(kφ; shape)``, with G integrated once for a grid of shapes.

A law whose rate is proportional to k and knows no dose is a function of kφ and of its shape. G is
a cubic in ln(kφ) between nodes, with the slopes of the law itself, and a cubic through the four
nearest shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from hyperspy_dosekin.numerics.ode import integrate_members

#: Range of ln(kφ). Below it the loss is proportional to dose; above it a law is taken to be flat.
LOG_TIME = (math.log(1e-4), 12.0)
_STEP = 0.05
# Shapes along each axis of them, by the number of axes.
_SHAPES = {1: 97, 2: 33}


class Scaling(Protocol):
    """What a table is made from."""

    name: str
    parameters: tuple[Any, ...]

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """Loss of integrity per dose."""
        ...


@dataclass(frozen=True, eq=False)
class ScalingTable:
    """Coefficients of cubics in ln(kφ) for every shape.

    Parameters
    ----------
    cubics
        ``(n_shape · n_cell, 4)``, of the share of a cell.
    n_cell
        Cells of ln(kφ).
    lower, step, count
        First shape, distance and number of shapes along each axis, on the scale of search.
    """

    cubics: Tensor
    n_cell: int
    lower: tuple[float, ...]
    step: tuple[float, ...]
    count: tuple[int, ...]

    def evaluate(self, log_time: Tensor, shapes: Sequence[Tensor]) -> Tensor:
        """Integrity at any ln(kφ) and shapes on the scale of search, which broadcast."""
        table = self.cubics.to(log_time)
        place = (log_time - LOG_TIME[0]) / _STEP
        cell = place.clamp(0, self.n_cell - 1e-6).floor()
        share = (place - cell).clamp(0.0, 1.0)
        cubic = torch.zeros(())
        near = [
            _near(shape, lower, step, count)
            for shape, lower, step, count in zip(
                shapes, self.lower, self.step, self.count, strict=True
            )
        ]
        for row, weight in _products(near, self.count):
            values = table[row * self.n_cell + cell.long()]
            cubic = cubic + torch.as_tensor(weight).to(values)[..., None] * values
        c0, c1, c2, c3 = cubic.unbind(-1)
        integrity = c0 + share * (c1 + share * (c2 + share * c3))
        # Below the table the loss is proportional to dose.
        early = (place.clamp(max=0.0) * _STEP).exp()
        return (1 - early * (1 - integrity)).clamp(0.0, 1.0)

    def log_time_at(self, level: float, shapes: Sequence[Tensor]) -> Tensor:
        """``ln G⁻¹(level)`` for shapes on the scale of search; infinite where never reached."""
        shape = torch.broadcast_tensors(*shapes)[0].shape if shapes else torch.Size([])
        like = shapes[0] if shapes else self.cubics
        low = torch.full(shape, LOG_TIME[0], dtype=torch.float64, device=like.device)
        high = torch.full_like(low, LOG_TIME[1])
        never = self.evaluate(high, shapes) > level
        for _ in range(48):
            middle = 0.5 * (low + high)
            above = self.evaluate(middle, shapes) > level
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return torch.where(never, torch.inf, 0.5 * (low + high))


@dataclass(frozen=True, eq=False)
class DoseTable:
    """Integrity at some doses on a grid of ln k and shapes.

    Parameters
    ----------
    values
        ``(n_rate · n_shape, n_dose)``.
    lower, step, count
        First value, distance and number of nodes along each axis, ln k first.
    """

    values: Tensor
    lower: tuple[float, ...]
    step: tuple[float, ...]
    count: tuple[int, ...]

    def evaluate(
        self, search: Sequence[Tensor], *, slopes: Sequence[bool]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Integrity ``(n_dose, …)``, and minus its derivatives where they are wanted.

        Parameters
        ----------
        search
            Parameters on their scale of search, of one shape ``(…)``.
        slopes
            Which derivatives are wanted.
        """
        shape = search[0].shape
        near = [
            _near(each.reshape(-1), lower, step, count)
            for each, lower, step, count in zip(
                search, self.lower, self.step, self.count, strict=True
            )
        ]
        rows = torch.stack([row for row, _ in _products(near, self.count)], 1)

        def mixed(axis: int | None) -> Tensor:
            weights = torch.stack([weight for _, weight in _products(near, self.count, axis)], 1)
            table = self.values.to(weights)
            found = torch.nn.functional.embedding_bag(
                rows, table, mode="sum", per_sample_weights=weights
            )
            return found.T.reshape(-1, *shape)

        columns: list[Tensor | None] = [
            mixed(axis).neg_().div_(self.step[axis]) if slope else None
            for axis, slope in enumerate(slopes)
        ]
        return mixed(None), columns


def _near(
    value: Tensor, lower: float, step: float, count: int
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """First of the four nodes nearest to values, with their weights and derivatives of these."""
    x = (value - lower) / step
    first = (x.floor() - 1).clamp(0, count - 4)
    a = x - first
    b, c, d = a - 1, a - 2, a - 3
    weights = [-b * c * d / 6, a * c * d / 2, -a * b * d / 2, a * b * c / 6]
    changes = [
        -(c * d + b * d + b * c) / 6,
        (c * d + a * d + a * c) / 2,
        -(b * d + a * d + a * b) / 2,
        (b * c + a * c + a * b) / 6,
    ]
    return first.long(), weights, changes


def _products(
    near: Sequence[tuple[Tensor, list[Tensor], list[Tensor]]],
    count: Sequence[int],
    changed: int | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Rows of all nodes around some values, and their weights; derivatives along one axis."""
    for index in product(range(4), repeat=len(near)):
        row: Any = 0
        weight: Any = 1.0
        for axis, (number, (first, weights, changes)) in enumerate(zip(index, near, strict=True)):
            row = row * count[axis] + first + number
            weight = weight * (changes if axis == changed else weights)[number]
        yield row, weight


_TABLES: WeakKeyDictionary[Any, ScalingTable] = WeakKeyDictionary()
_DOSE_TABLES: WeakKeyDictionary[Any, dict[bytes, DoseTable]] = WeakKeyDictionary()
#: Range of ln k that a table at doses covers, beyond that of any estimator.
LOG_RATE = (math.log(5e-4), math.log(2000.0))
# Tables at doses that are kept for a law.
_KEPT = 8


def dose_table(law: Scaling, dose: Tensor) -> DoseTable:
    """Return the table of a law at some doses ``(n_dose,)``, made when it is first asked for."""
    known = _DOSE_TABLES.setdefault(law, {})
    key = dose.detach().cpu().numpy().tobytes()
    if key not in known:
        while len(known) >= _KEPT:
            known.pop(next(iter(known)))
        table = scaling_table(law)
        number = round((LOG_RATE[1] - LOG_RATE[0]) / _STEP) + 1
        axes = [LOG_RATE[0] + _STEP * torch.arange(number, dtype=torch.float64)]
        axes += [
            low + step * torch.arange(count, dtype=torch.float64)
            for low, step, count in zip(table.lower, table.step, table.count, strict=True)
        ]
        log_rate, *shapes = (each.reshape(-1) for each in torch.meshgrid(*axes, indexing="ij"))
        columns = [
            table.evaluate(log_rate + math.log(max(each, 1e-300)), shapes) for each in dose.tolist()
        ]
        known[key] = DoseTable(
            torch.stack(columns, 1),
            (LOG_RATE[0], *table.lower),
            (_STEP, *table.step),
            (number, *table.count),
        )
    found = known[key]
    if found.values.device != dose.device:
        return DoseTable(found.values.to(dose.device), found.lower, found.step, found.count)
    return found


def scaling_table(law: Scaling) -> ScalingTable:
    """Return the table of a law, made when it is first asked for.

    Parameters
    ----------
    law
        A law whose first parameter is its rate.
    """
    found = _TABLES.get(law)
    if found is None:
        found = _TABLES[law] = _tabulated(law)
    return found


def _tabulated(law: Scaling) -> ScalingTable:
    shapes = law.parameters[1:]
    number = _SHAPES.get(len(shapes), 1)
    boxes = [parameter.search_box for parameter in shapes]
    axes = [torch.linspace(low, high, number, dtype=torch.float64) for low, high in boxes]
    mesh = torch.meshgrid(*axes, indexing="ij") if axes else ()
    members = number ** len(shapes)
    values = {
        parameter.name: parameter.from_search(axis.reshape(-1)).clamp(
            parameter.lower, parameter.upper
        )
        for parameter, axis in zip(shapes, mesh, strict=True)
    }
    values[law.parameters[0].name] = torch.ones(members, dtype=torch.float64)

    def slope(at: Tensor, state: Tensor, index: Tensor) -> Tensor:
        chosen = {name: value[index] for name, value in values.items()}
        return -law.rate(state.clamp(0.0, 1.0), chosen, at).expand_as(state).clamp(min=0.0)

    n_cell = round((LOG_TIME[1] - LOG_TIME[0]) / _STEP)
    log_time = LOG_TIME[0] + _STEP * torch.arange(n_cell + 1, dtype=torch.float64)
    time = log_time.exp()
    ones = torch.ones(members, dtype=torch.float64)
    with torch.no_grad():
        integrity, _ = integrate_members(
            slope,
            ones,
            time,
            tolerance=min(float(getattr(law, "tolerance", 1e-8)), 1e-9),
            what=f"kinetic law {law.name!r}",
        )
        everyone = torch.arange(members)
        rise = torch.stack(
            [slope(t, c, everyone) * t for t, c in zip(time, integrity.T, strict=True)], 1
        )
    rise = torch.where(integrity > 0, rise, 0.0) * _STEP
    left, right = integrity[:, :-1], integrity[:, 1:]
    first, last = rise[:, :-1], rise[:, 1:]
    cubics = torch.stack(
        [left, first, 3 * (right - left) - 2 * first - last, 2 * (left - right) + first + last], -1
    )
    return ScalingTable(
        cubics.reshape(-1, 4),
        n_cell,
        tuple(low for low, _ in boxes),
        tuple((high - low) / (number - 1) for low, high in boxes),
        (number,) * len(shapes),
    )
