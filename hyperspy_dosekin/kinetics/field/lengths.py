# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Over how many pixels neighbours are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .curves import SharedCurves
from .fields import Mode, find_fields, neighbours_say
from .newton import blocks_of, precision_of
from .pixels import PixelPrior
from .population import Population
from .readout import Shared
from .repeats import repeats_of
from .sites import Sites, likelihood_of
from .smooth import Bonds, factorised, log_determinant

#: Lengths that are tried, in pixels.
LENGTHS = (1.5, 2.5, 4.0, 6.0, 8.5, 12.0, 17.0, 24.0)
# Rounds of lengths and fields, and of fields and how often their pixels repeat each other.
_LENGTH_ROUNDS, _REPEAT_ROUNDS = 2, 2


def log_evidence(sites: Sites, bonds: Bonds, at: Mode, lengths: Sequence[float]) -> float:
    """Ln evidence of lengths, with the likelihood as it is near some fields.

    Parameters
    ----------
    sites
        Their likelihood near the fields.
    at
        The fields, and weights of the bonds.
    lengths
        Length of each field.
    """
    roots = bonds.roots(lengths, at.weight)
    pull = sites.gradient + np.einsum("nij,nj->ni", sites.curvature, at.field)
    factor = factorised(precision_of(roots) + blocks_of(sites.curvature))
    mean = factor.solve(pull.ravel())
    prior = sum(2 * log_determinant(factorised(root)) for root in roots)
    return 0.5 * (prior - log_determinant(factor) + float(pull.ravel() @ mean))


@dataclass(frozen=True, eq=False)
class Lengths:
    """Over how many pixels neighbours are alike.

    Parameters
    ----------
    tried
        Lengths that were tried, ``(n_length,)``.
    chance
        Their probabilities for each field, ``(d, n_length)``.
    repeats
        Neighbours that have one amplitude and offset, see `repeats`.
    """

    tried: np.ndarray
    chance: np.ndarray
    repeats: float = 1.0

    @property
    def best(self) -> tuple[float, ...]:
        """The most probable length of each field."""
        return tuple(float(x) for x in self.tried[self.chance.argmax(axis=1)])

    def drawn(self, number: int) -> list[tuple[float, ...]]:
        """Lengths of the fields in proportion to their probabilities, ``number`` of them."""
        random = np.random.default_rng(1)
        columns = []
        for row in self.chance:
            places = (random.permutation(number) + 0.5) / number
            found = np.searchsorted(np.cumsum(row), places).clip(max=self.tried.size - 1)
            columns.append(self.tried[found])
        return [tuple(float(x) for x in each) for each in zip(*columns, strict=True)]


def find_lengths(
    curves: SharedCurves, shared: Shared, bonds: Bonds, places: np.ndarray, largest: float
) -> tuple[Lengths, Mode]:
    """Find the lengths of the fields by their evidence, and the fields of the best.

    Parameters
    ----------
    curves, shared, bonds
        The pixels, what they share, and their neighbours.
    places
        Where they are, in pixels, ``(n, n_axis)``.
    largest
        Largest length that makes sense, the extent of the pixels.
    """
    tried = np.array([x for x in LENGTHS if x <= max(largest, LENGTHS[1])])
    d = curves.n_parameter
    lengths = (float(tried[tried.size // 2]),) * d
    mode, repeats = None, 1.0
    for _ in range(_REPEAT_ROUNDS):
        mode = find_fields(curves, shared, bonds, lengths, mode, repeats=repeats)
        repeats = repeats_of(curves, shared, mode.field, places)
    mode = find_fields(curves, shared, bonds, lengths, mode, repeats=repeats)
    chance = np.zeros((d, tried.size))
    for _ in range(_LENGTH_ROUNDS):
        sites = likelihood_of(curves, shared, mode.field, repeats)
        for field in range(d):
            evidence = np.array(
                [
                    log_evidence(sites, bonds, mode, (*lengths[:field], x, *lengths[field + 1 :]))
                    for x in tried
                ]
            )
            lengths = (*lengths[:field], float(tried[evidence.argmax()]), *lengths[field + 1 :])
            likely = np.exp(evidence - evidence.max())
            chance[field] = _blurred(likely / likely.sum())
        if lengths == mode.lengths:
            break
        mode = find_fields(curves, shared, bonds, lengths, mode, repeats=repeats)
    return Lengths(tried, chance, repeats), mode


def _blurred(chance: np.ndarray) -> np.ndarray:
    """Probabilities with a share of those next to them: no real field is of this kind exactly."""
    spread = np.array([0.25, 0.5, 0.25])
    found = np.convolve(chance, spread)[1:-1]
    return found / found.sum()


def field_priors(
    curves: SharedCurves,
    population: Population,
    bonds: Bonds,
    lengths: Lengths,
    start: Mode | None = None,
) -> list[PixelPrior]:
    """What neighbours say under each of the populations that stand for what is unknown.

    Parameters
    ----------
    lengths
        Over how many pixels neighbours are alike.
    start
        Fields to begin with.
    """
    found, repeats = [], lengths.repeats
    drawn = lengths.drawn(len(population.design))
    every = zip(population.designs, population.shares, drawn, strict=True)
    for seed, (shared, alike, each) in enumerate(every):
        if not alike:
            # Amplitudes that may be anything in every pixel of a patch would make it wrong and sure
            # (Neyman and Scott): pixels that share nothing do not hear their neighbours either.
            found.append(PixelPrior.common(shared).each(curves.number))
            continue
        # Where the curves lead, not where they led in units of another population.
        there = None if start is None else start.under(population.shared, shared)
        mode = find_fields(
            curves, shared, bonds, each, there, repeats=repeats, mean=True, seed=seed
        )
        found.append(neighbours_say(curves, shared, bonds, mode, seed, repeats))
    return found
