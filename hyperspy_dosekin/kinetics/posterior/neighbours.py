# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames beside their neighbours, of which the noise may be correlated."""

from __future__ import annotations

import torch
from torch import Tensor


def beside(rows: Tensor, columns: Tensor) -> Tensor:
    """What each curve has at some doses, ``(d, n)``, beside columns ``(d, …, n)``."""
    return rows.reshape(len(rows), *[1] * (columns.ndim - 2), rows.shape[-1])


def before(
    columns: Tensor, scale: Tensor, carried: Tensor | None, gapless: bool
) -> tuple[Tensor, Tensor]:
    """What is in the frame before each, and what the last frame hands on.

    A missing frame, whose `scale` is 0, hands on the one before it.
    """
    last = torch.zeros_like(columns[0]) if carried is None else carried
    if gapless:
        return torch.cat([last[None], columns[:-1]]), columns[-1]
    rows = []
    for row, there in zip(columns, scale, strict=True):
        rows.append(last)
        last = torch.where(there == 0, last, row)
    return torch.stack(list(torch.broadcast_tensors(*rows))), last


def last_present(present: Tensor) -> Tensor:
    """Place of the last frame before each that is not missing, −1 where none, ``(n_dose, n)``."""
    place = torch.arange(len(present), device=present.device)[:, None]
    last = torch.cummax(torch.where(present, place, -1), 0).values
    return torch.cat([torch.full_like(last[:1], -1), last[:-1]])


def filtered(columns: Tensor, pair: tuple[Tensor, Tensor]) -> Tensor:
    """Columns ``(n_dose, …, n)`` without what each frame has of the one before it.

    Parameters
    ----------
    columns
        Whitened but for the correlation of neighbours.
    pair
        ρ and 1/√(1 − ρ²) of each frame; the second is 0 where a frame is missing.
    """
    ratio, scale = (beside(each, columns) for each in pair)
    columns = columns + torch.zeros_like(scale)
    last = beside(last_present(pair[1] > 0).clamp(min=0), columns).expand_as(columns)
    return (columns - ratio * columns.gather(0, last)) * scale
