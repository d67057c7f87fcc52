# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where slices of the last of three parameters stand: by mass, and at frames."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperspy_dosekin.numerics.row_sums import hyperbolic

from .rows import end_weights

# Cells below a frame are even in this root of the distance from it.
_TO_FRAMES = 1.5


def stood(
    number: int, low: Tensor, high: Tensor, middle: Tensor, core: Tensor
) -> tuple[Tensor, Tensor]:
    """Places of so many slices and their steps, ``(n_slice, n)``.

    They are even in the inverse hyperbolic sine of the distance from the middle over the core.

    Parameters
    ----------
    low, high, middle, core
        Ends, and where and within which distance they stand closer together, ``(n,)``.
    """
    first, last = ((torch.stack([low, high]) - middle) / core).asinh()
    share = torch.linspace(0.0, 1.0, number).to(low)[:, None]
    place = torch.lerp(first, last, share)
    sinh, cosh = hyperbolic(place)
    step = core * cosh * (last - first) / (number - 1)
    step = step.clamp(min=1e-300) * end_weights(number).to(low)[:, None]
    return (middle + core * sinh).clamp(low, high), step


def at_frames(frame: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Places and steps of slices of a delay in the middle of cells that begin and end at frames.

    As a function of a delay the density bends sharply, or falls like a wall, at every frame, and
    cells below a frame are the narrower the nearer they are.

    Parameters
    ----------
    frame
        Doses of the frames within the box of the delay, ``(n_dose,)``.
    places
        Of the slices, ``(n_slice, n)``; the first and the last stay at the ends.
    """
    edges = torch.cat([places[:1], 0.5 * (places[1:] + places[:-1]), places[-1:]])
    away = (edges[:, None] - frame[:, None]).abs()
    nearest, own = away.argmin(1), away.argmin(0)
    mutual = own.gather(0, nearest) == torch.arange(len(edges), device=own.device)[:, None]
    # Ends may be far from any frame.
    gaps = edges.diff(dim=0)
    room = torch.cat([gaps[:1], torch.maximum(gaps[1:], gaps[:-1]), gaps[-1:]])
    at_frame = mutual & (away.amin(1) <= 2 * room)
    edges = torch.where(at_frame, frame[nearest], edges)
    # Towards a frame rates grow without a limit: cells are narrower there.
    low = torch.where(at_frame, edges, edges[:1]).cummax(0).values[:-1]
    high = torch.where(at_frame, edges, torch.inf).flip(0).cummin(0).values.flip(0)[1:]
    below = torch.isfinite(high)
    span = torch.where(below, high - low, 1.0).clamp(min=1e-300)

    def moved(place: Tensor) -> Tensor:
        left = (1 - (place - low) / span).clamp(0.0, 1.0)
        return torch.where(below, low + span * (1 - left**_TO_FRAMES), place)

    middle = moved(0.5 * (edges[1:] + edges[:-1]))
    step = moved(edges[1:]) - moved(edges[:-1])
    middle[0], middle[-1] = edges[0], edges[-1]
    return middle, step.clamp(min=1e-300)
