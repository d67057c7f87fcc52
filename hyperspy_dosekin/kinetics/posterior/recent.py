# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The posteriors of the last few small blocks of curves, for what is asked of them next.

A fit of a few curves takes longer to find its nodes than to read an interval from them, and other
levels and quantities are often asked for one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from hyperspy_dosekin.kinetics.model.config import ExactConfig

from .posterior import KineticPosterior

#: Blocks that are remembered; values of one, and values of its nodes, at most.
_BLOCKS, _VALUES, _NODE_VALUES = 4, 4096, 1_000_000


class Block:
    """What the posterior of a block follows from, compared number by number.

    Parameters
    ----------
    arrays
        Intensities, variance, offset and errors that frames share, or ``None``.
    dose, window_names, dose_scale
        As in `DoseProblem`.
    config
        Options, without the offset; those of another fit are others.
    """

    def __init__(
        self,
        arrays: Sequence[np.ndarray | None],
        dose: np.ndarray,
        window_names: Sequence[str],
        dose_scale: float | None,
        config: ExactConfig,
    ) -> None:
        self._config = config
        self._small = arrays[0] is not None and arrays[0].size <= _VALUES
        self._content: list[object] = [tuple(window_names), dose_scale]
        if self._small:
            self._content += [
                None if a is None else (a.shape, a.dtype.str, a.tobytes()) for a in (*arrays, dose)
            ]

    def posterior(self) -> KineticPosterior | None:
        """Its posterior, if it is remembered."""
        if self._small:
            for other, posterior in tuple(_RECENT):
                if other._config is self._config and other._content == self._content:
                    return posterior
        return None

    def remember(self, posterior: KineticPosterior) -> None:
        """Keep its posterior, the nodes of which have been made, for a while."""
        if self._small and 0 < posterior.n_kept <= _NODE_VALUES and self.posterior() is None:
            _RECENT.append((self, posterior))


_RECENT: deque[tuple[Block, KineticPosterior]] = deque(maxlen=_BLOCKS)
