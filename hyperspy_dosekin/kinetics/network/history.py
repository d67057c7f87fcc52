# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened during a training, term by term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True, eq=False)
class History:
    """Loss terms against iteration.

    Parameters
    ----------
    iteration
        Iteration of each record, ``(n_record,)``; L-BFGS goes on counting after Adam.
    learning_rate
        Learning rate of each record, NaN in the L-BFGS phase, which has none.
    terms
        Each loss term before its weight, without causal weights, ``(n_record, n_member)``; NaN
        for a member that had already converged.
    n_adam
        Iterations of the Adam phase: where the optimiser changes.
    """

    iteration: np.ndarray
    learning_rate: np.ndarray
    terms: Mapping[str, np.ndarray]
    n_adam: int

    def total(self, weights: Mapping[str, float]) -> np.ndarray:
        """Weighted sum of the terms, ``(n_record, n_member)``."""
        return sum(
            (weights[name] * term for name, term in self.terms.items()),
            start=np.zeros((self.iteration.size, 1)),
        )


class Recorder:
    """Collects the entries of a `History` while a training runs."""

    def __init__(self, n_member: int) -> None:
        self._n_member = n_member
        self._rows: dict[int, tuple[float, dict[str, np.ndarray]]] = {}
        self.n_adam = 0

    def add(
        self,
        iteration: int,
        terms: Mapping[str, Tensor],
        members: list[int],
        learning_rate: float = np.nan,
    ) -> None:
        """Note the terms of some members at an iteration."""
        empty = {name: np.full(self._n_member, np.nan) for name in terms}
        _, row = self._rows.setdefault(iteration, (learning_rate, empty))
        for name, term in terms.items():
            row[name][members] = term.detach().double().cpu().numpy()

    def history(self) -> History:
        """All that was noted, in the order of the iterations."""
        iterations = sorted(self._rows)
        rows = [self._rows[i] for i in iterations]
        names = rows[0][1] if rows else {}
        return History(
            np.array(iterations, dtype=int),
            np.array([rate for rate, _ in rows], dtype=float),
            {name: np.array([row[name] for _, row in rows]) for name in names},
            self.n_adam,
        )
