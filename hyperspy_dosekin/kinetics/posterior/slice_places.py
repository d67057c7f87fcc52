# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where slices of the last of three parameters stand: by mass, and at frames."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperspy_dosekin.numerics.row_sums import hyperbolic

from .rows import end_weights

# Slices stand as close together as this power of their mass density says, and as this share of the
# highest, where there is none: an end may lie there.
_POWER, _LEAST = 0.5, 0.05
# How often what stands beside each other is averaged: places should change their distance slowly.
_SMOOTHED = 2
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


def between(position: Tensor, known: Tensor, values: Tensor) -> Tensor:
    """Values at other positions, on straight lines between known ones, all ``(…, n)``."""
    right = torch.searchsorted(known.T.contiguous(), position.T.contiguous()).T
    right = right.clamp(1, len(known) - 1)
    first, last = known.gather(0, right - 1), known.gather(0, right)
    share = ((position - first) / (last - first).clamp(min=1e-300)).clamp(-1.0, 2.0)
    return torch.lerp(values.gather(0, right - 1), values.gather(0, right), share)


def by_mass(
    number: int, low: Tensor, high: Tensor, place: Tensor, mass: Tensor
) -> tuple[Tensor, Tensor]:
    """Places of so many slices and their steps, ``(number, n)``, closer together where mass is.

    A posterior may have a narrow peak and half of its mass in a tail that is ten times as long.

    Parameters
    ----------
    low, high
        Their ends, ``(n,)``.
    place, mass
        Other slices, and ln of the mass density there, ``(n_slice, n)``.
    """
    close = (_POWER * (mass - mass.amax(0))).exp() + _LEAST
    for _ in range(_SMOOTHED):
        wider = torch.cat([close[:1], close, close[-1:]])
        close = 0.5 * close + 0.25 * (wider[:-2] + wider[2:])
    first, last = torch.minimum(low, place[0]), torch.maximum(high, place[-1])
    place = torch.cat([first[None], place, last[None]])
    close = torch.cat([close[:1], close, close[-1:]])
    total = ((close[1:] + close[:-1]) * place.diff(dim=0)).cumsum(0)
    total = torch.cat([torch.zeros_like(total[:1]), total])
    ends = between(torch.stack([low, high]), place, total)
    share = torch.linspace(0.0, 1.0, number).to(low)[:, None]
    found = between(torch.lerp(ends[0], ends[1], share), total, place)
    found[0], found[-1] = low, high
    gaps = 0.5 * found.diff(dim=0).clamp(min=1e-300)
    none = torch.zeros_like(gaps[:1])
    return found, torch.cat([gaps, none]) + torch.cat([none, gaps])


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
