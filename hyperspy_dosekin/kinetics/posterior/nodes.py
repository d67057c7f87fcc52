# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weighed nodes of a posterior, whoever has placed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.model.parameters import Parameters

from .distribution import Distribution, Weights


@dataclass(frozen=True, eq=False)
class Nodes:
    """Weighed nodes of some curves.

    Parameters
    ----------
    index
        Place of the curves in ``n_curve · n_window``.
    parameters
        The law with its priors.
    search
        Free parameters on their scale of search, of shapes that broadcast to that of the weights.
    weight
        Probabilities, ``(n_part, n_row, n_node, n)``; those of a curve add up to 1. Parts are those
        of `parts_of`.
    log_evidence
        Logarithm of the integral of likelihood times prior, ``(n,)``, up to a constant that the
        data and the number of frames alone decide: laws may be compared by it.
    ordered
        Whether rows and nodes follow each other, so that weights may be spread between them.
    n_bound
        How many of the parts, the last, have the offset at its bound.
    parts
        Which of all parts these are.
    slices
        How many slices of the last parameter the rows belong to, one after the other.
    """

    index: np.ndarray
    parameters: Parameters
    search: tuple[Tensor, ...]
    weight: Tensor
    log_evidence: Tensor
    ordered: bool
    n_bound: int = 0
    parts: tuple[int, ...] = (0,)
    slices: int = 1

    @classmethod
    def of_parts(
        cls,
        index: np.ndarray,
        parameters: Parameters,
        found: list[tuple[list[Tensor], Tensor]],
        *,
        ordered: bool,
        n_bound: int = 0,
        parts: Sequence[int] | None = None,
        slices: int = 1,
    ) -> Nodes:
        """Put parts together, each with its nodes and the logarithms of their weights."""
        log_weight = _joined([weight for _, weight in found])
        highest = log_weight.amax((0, 1, 2))
        weight = (log_weight - highest).exp_()
        total = weight.sum((0, 1, 2))
        search = tuple(_joined(each) for each in zip(*(s for s, _ in found), strict=True))
        weight /= total
        which = tuple(range(len(found)) if parts is None else parts)
        evidence = highest + total.log()
        return cls(index, parameters, search, weight, evidence, ordered, n_bound, which, slices)

    def select(self, chosen: Tensor) -> Nodes:
        """Those of some of the curves."""
        return replace(
            self,
            index=self.index[chosen.cpu().numpy()],
            search=tuple(each[..., chosen] for each in self.search),
            weight=self.weight[..., chosen],
            log_evidence=self.log_evidence[chosen],
        )

    @cached_property
    def values(self) -> Tensor:
        """All parameters of the law, ``(n_parameter, n_part, n_row, n_node, n)``."""
        return self.parameters.values([each.expand(self.weight.shape) for each in self.search])

    @cached_property
    def bound_mass(self) -> Tensor:
        """Probability of the parts with the offset at its bound, ``(n,)``."""
        return self.weight[len(self.weight) - self.n_bound :].sum((0, 1, 2))

    @cached_property
    def _row_mass(self) -> Tensor:
        """Probabilities of rows, ``(n_part, n_row, 1, n)``."""
        return self.weight.sum(2, keepdim=True)

    def mass(self, chosen: Tensor) -> Tensor:
        """Probability of chosen nodes, or rows ``(n_part, n_row, 1, n)``: ``(n,)``."""
        weight = self._row_mass if chosen.shape[2] == 1 else self.weight
        return (weight * chosen).sum((0, 1, 2))

    @property
    def n_value(self) -> int:
        """Numbers held."""
        return (1 + len(self.search)) * self.weight.numel()

    @cached_property
    def _weights(self) -> Weights:
        return Weights(self.weight, ordered=self.ordered, slices=self.slices)

    @cached_property
    def _row_weights(self) -> Weights:
        return Weights(self._row_mass, ordered=self.ordered, slices=self.slices)

    def distribution(self, values: Tensor) -> Distribution:
        """Distribution of values at the nodes, of shapes that broadcast to that of the weights."""
        by_row = self.ordered and values.shape[2] == 1
        return Distribution(values, self._row_weights if by_row else self._weights)

    def quantiles(self, values: Tensor, probabilities: Tensor) -> Tensor:
        """Quantiles of values at the nodes, ``(n_probability, n)``."""
        return self.distribution(values).quantiles(probabilities)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Arrays of all parts along a new first dimension; that of a single one is not copied."""
    return parts[0][None] if len(parts) == 1 else torch.stack(tuple(parts))
