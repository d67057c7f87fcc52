# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of curves whose posterior is a mixture of parts, each placed where its part has mass."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.numerics.batched_minimiser import minimise_batched

from .detail import FINE, USUAL, Detail, few_free, too_coarse
from .nodes import Nodes
from .ridge import rows_and_mass
from .row_nodes import ridge_nodes
from .rows import Rows
from .sampling import sampled_nodes
from .scan import ScanData
from .slices import N_SLICE, SlicedRows, sliced_nodes, sliced_rows
from .templates import Templates
from .whole import Whole

# Curves whose nodes are found at once: 18 × 12 nodes of 512 curves and one part make a MB an
# array, and what single curves need again is done for so many together. Curves in slices have
# thousands of nodes, drawn ones a mixture of many draws.
_PIECE, _SLICED_PIECE, _SAMPLED_PIECE = 768, 48, 32
# Curves in slices whose rows are found at once: they have fewer rows than nodes.
_SLICED_ROWS = 384
# Nodes of a row in a plane, of which the density is evaluated at all.
_ON_ROW = 16
# A part whose mode is so far below that of another in ln density is left out, and one of so small a
# share of the mass, divided by the number of parts: ends of 95 % intervals would move by less than
# a thousandth of their width.
_NEGLIGIBLE, _LEAST_SHARE = 11.0, 1e-4
# So many curves with mass in the same parts are worked on by themselves.
_ALIKE = 128
# Nodes along each of three parameters among which the mode of a part is looked for.
_GRID = (14, 5, 5)


def mixed_nodes(
    index: np.ndarray,
    parts: list[ScanData],
    n_bound: int,
    start: Tensor,
    *,
    finer: bool,
    detail: Detail = USUAL,
) -> Iterator[Nodes]:
    """Nodes of some windows, each by itself, piece by piece.

    Parameters
    ----------
    index
        Places of the curves in ``n_curve · n_window``.
    parts
        Their likelihoods, see `parts_of`; the last `n_bound` of them have the offset at its bound.
    start
        Free parameters of the estimates on their scale of search, ``(n_free, n)``.
    finer
        See `ridge_nodes`.
    detail
        Of laws with one or two free parameters. Curves for which the usual one is too little get
        nodes of their own, after the others.
    """
    parameters = parts[0].parameters
    in_plane = len(parameters.free) < 3
    may_be_coarse = detail == USUAL and len(parameters.free) == 2

    def of(every: Tensor, detail: Detail) -> Iterator[Nodes]:
        few = [some.select(every) for some in parts]
        yield from mixed_nodes(
            index[every.cpu().numpy()], few, n_bound, start[:, every], finer=finer, detail=detail
        )

    if may_be_coarse and bool((few := few_free(parts[0])).any()):
        for chosen, each in ((few, FINE), (~few, USUAL)):
            if bool(chosen.any()):
                yield from of(torch.nonzero(chosen)[:, 0], each)
        return
    coarse = torch.zeros_like(start[0], dtype=torch.bool)
    in_slices = not in_plane and bool(parameters.law.nesting)
    if in_slices and index.size > _SLICED_ROWS and start.device.type == "cpu":
        for every in torch.arange(index.size).split(_SLICED_ROWS):
            yield from of(every, detail)
        return
    free = parts[0].offset_free
    templates = [Templates.of(some) if in_plane else None for some in parts]
    starts = [
        start if some.offset_free == free else _restarted(some, start, known)
        for some, known in zip(parts, templates, strict=True)
    ]
    piece = _PIECE if in_plane else _SLICED_PIECE if in_slices else _SAMPLED_PIECE
    piece //= detail.rows * detail.nodes
    if start.device.type != "cpu":
        piece = index.size
    highest = [some.log_density(list(at))[0] for some, at in zip(parts, starts, strict=True)]
    likely = torch.stack(highest) > torch.stack(highest).amax(0) - _NEGLIGIBLE
    # Where nothing can be computed, the first part shows it.
    likely[0] |= ~likely.any(0)
    rows: list[Rows | SlicedRows | None] = [None] * len(parts)
    masses = torch.full_like(likely, -torch.inf, dtype=start.dtype)
    if in_plane or in_slices:
        for number, (some, at, known) in enumerate(zip(parts, starts, templates, strict=True)):
            where = torch.nonzero(likely[number])[:, 0]
            if where.numel() == 0:
                continue
            chosen = some.select(where), at[:, where]
            if known is None:
                found, mass = sliced_rows(*chosen)
            else:
                found, mass = rows_and_mass(*chosen, known.select(where), detail=detail)
            rows[number] = found.placed(where, index.size)
            masses[number, where] = mass
        enough = masses > masses.logsumexp(0) + math.log(_LEAST_SHARE / len(parts))
        likely &= enough | ~enough.any(0)
    piece = max(2 * piece // (1 + len(parts)), 1)
    # Curves with mass in the same parts are beside each other: what has none costs nothing there.
    kind = (likely * 2 ** torch.arange(len(parts), device=likely.device)[:, None]).sum(0)
    for every in _pieces(kind, piece):
        column = torch.empty_like(kind).index_copy_(0, every, torch.arange(len(every)).to(every))
        found, which = [], []
        for number, some in enumerate(parts):
            few = every[likely[number, every]]
            if few.numel() == 0:
                continue
            data = some.select(few)
            placed = rows[number]
            if isinstance(placed, Rows):
                nodes = ridge_nodes(
                    data,
                    placed.select(few),
                    finer=finer,
                    between=1,
                    number=_ON_ROW,
                    detail=detail,
                )
            elif placed is not None:
                nodes = sliced_nodes(data, placed.select(few))
            else:
                nodes = sampled_nodes(data, starts[number][:, few])
            found.append((*nodes, column[few]))
            which.append(number)
        nodes = Nodes.of_parts(
            index[every.cpu().numpy()],
            parameters,
            _of_all(found, every.numel()),
            ordered=in_plane or in_slices,
            slices=N_SLICE if in_slices else 1,
            n_bound=sum(number >= len(parts) - n_bound for number in which),
            parts=which,
        )
        if may_be_coarse:
            coarse[every] = poor = too_coarse(nodes, finer=finer)
            if bool(poor.any()):
                nodes = nodes.select(torch.nonzero(~poor)[:, 0])
        if nodes.index.size:
            yield nodes
    if bool(coarse.any()):
        yield from of(torch.nonzero(coarse)[:, 0], FINE)


def _pieces(kind: Tensor, size: int) -> Iterator[Tensor]:
    """Places of curves of the same or of similar kinds, ``(n,)``, ascending."""
    alike = min(_ALIKE, size)
    order = kind.argsort(stable=True)
    runs = torch.unique_consecutive(kind[order], return_counts=True)[1].tolist()
    joined = [0]
    for run, before in zip(runs, [0, *runs], strict=False):
        if joined[-1] and max(run, before) >= alike:
            joined.append(0)
        joined[-1] += run
    for part in order.split(joined):
        for some in part.split(size):
            yield some.sort().values


def _of_all(
    found: list[tuple[list[Tensor], Tensor, Tensor]], count: int
) -> list[tuple[list[Tensor], Tensor]]:
    """Nodes of the curves that each part has mass in as nodes of all `count` curves.

    Others have no weight there, and the nodes that they have in another part: what is done with
    nodes must not depend on the curves beside.

    Parameters
    ----------
    found
        Nodes of each part, their weights, and the places of its curves.
    count
        How many curves there are.
    """
    if all(place.numel() == count for _, _, place in found):
        return [(search, log_weight) for search, log_weight, _ in found]
    like = found[0][0]
    own = [each.new_zeros((*each.shape[:-1], count)) for each in like]
    for search, _, place in reversed(found):
        for whole, each in zip(own, search, strict=True):
            whole[..., place] = each
    wide = []
    for search, log_weight, place in found:
        whole = log_weight.new_full((*log_weight.shape[:-1], count), -torch.inf)
        whole[..., place] = log_weight
        nodes = [each.clone() for each in own]
        for of_all, each in zip(nodes, search, strict=True):
            of_all[..., place] = each
        wide.append((nodes, whole))
    return wide


def _restarted(data: ScanData, start: Tensor, templates: Templates | None) -> Tensor:
    """Mode of a part that lies elsewhere than the estimate, ``(n_free, n)``."""
    free = data.parameters.free
    if templates is not None:
        best = templates.start(data)
    else:
        axes = [
            start.new_tensor(np.linspace(*parameter.search_box, number + 2)[1:-1])
            for parameter, number in zip(free, _GRID, strict=True)
        ]
        grid = torch.stack([axis.reshape(-1) for axis in torch.meshgrid(*axes, indexing="ij")])
        best = grid[:, data.log_density([row[:, None] for row in grid])[0].argmax(0)]
    objective = Whole(data)
    lower, upper = start.new_tensor([parameter.search_box for parameter in free]).T
    found = minimise_batched(
        objective,
        best,
        lower,
        upper,
        largest_step=torch.minimum(0.3 * (upper - lower), torch.ones_like(lower)),
        tolerance=1e-3,
        max_iterations=20,
    )
    return found.parameters
