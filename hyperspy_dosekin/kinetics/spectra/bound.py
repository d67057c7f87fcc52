# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intensities that cannot be negative: the residue where a channel falls, the start where it grows.

How much of a decaying spectrum the residue may hold is what data of a usual series do not say; that
no channel of it can be below zero bounds it. The bound is a careful one: only what lies below zero
by more than the largest of so many channels does by chance speaks against the rates, since channels
that are exactly zero scatter to both sides. Channels are also joined, by 4 and by 16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .number import JOINED


@dataclass(frozen=True, eq=False)
class BoundedSpectra:
    """The whitened spectra, for the bound.

    Parameters
    ----------
    values
        ``(n_frame, n_channel)``.
    inflation
        Correlated channels have sums of so much more variance than independent ones.
    softness
        Standard deviation of the zero of the intensities, in units of the noise of each channel,
        ``(n_channel,)``.
    """

    values: Tensor
    inflation: float
    softness: Tensor

    @property
    def size_of_node(self) -> int:
        """Numbers that a node takes."""
        return 6 * self.values.shape[1]

    def scores(self, columns: Tensor) -> Tensor:
        """The lowest intensity in standard deviations, above what is lowest by chance; ``(n,)``.

        Parameters
        ----------
        columns
            ``(n, n_frame, n_column)``, the constant first, then C − 1 of each component: the first
            spectrum is then that of the beginning, and it less the others is the residue.
        """
        gram = columns.mT @ columns
        size = gram.diagonal(dim1=-2, dim2=-1).clamp(min=1e-200).rsqrt()
        unit = torch.eye(gram.shape[-1]).to(gram)
        inverse = torch.linalg.inv(gram * size[:, :, None] * size[:, None] + 1e-10 * unit)
        inverse = inverse * size[:, :, None] * size[:, None]
        spectra = (inverse @ columns.mT) @ self.values
        start, change = spectra[:, 0], spectra[:, 1:].sum(1)
        residue = torch.ones(gram.shape[-1]).to(gram)
        residue[1:] = -1.0
        variance = torch.stack([(inverse @ residue) @ residue, inverse[:, 0, 0]]).clamp(min=1e-300)
        falls = change >= 0
        # What cancels in the change of a channel is not seen to fall or to grow.
        lowest = None
        for level, each, where in (
            (start - change, variance[0], falls),
            (start, variance[1], ~falls),
        ):
            level = torch.where(where, level, torch.inf)
            for width in JOINED:
                count = level.shape[-1] // width
                if count < 1:
                    continue
                joined = level[:, : count * width].reshape(-1, count, width).mean(-1)
                soft = self.softness[: count * width].reshape(count, width).mean(-1) ** 2
                inflation = 1.0 if width == 1 else self.inflation
                spread = (each[:, None] * inflation / width + soft).sqrt()
                score = (joined / spread).amin(-1) + math.sqrt(2 * math.log(3 * count + 1))
                lowest = score if lowest is None else torch.minimum(lowest, score)
        assert lowest is not None
        return lowest

    def log_factor(self, columns: Tensor) -> Tensor:
        """Log of what the bound does to the likelihood at nodes, ``(n,)``."""
        return -0.5 * self.scores(columns).clamp(max=0.0) ** 2
