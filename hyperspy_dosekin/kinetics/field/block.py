# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is said of a block of pixels that share something, in one array and one pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hyperspy_dosekin.kinetics.block import (
    LEVEL,
    block_fields,
    interval_names,
    offset_of,
    problem_of,
)
from hyperspy_dosekin.kinetics.estimate.exact_fit import law_dose
from hyperspy_dosekin.kinetics.identifiability import SHARED_NEAR
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.numerics.threads import side_by_side

from .curves import SharedCurves
from .fields import find_fields
from .known import assumed, packed, per_prior
from .lengths import Lengths, field_priors
from .pixels import PixelPrior
from .population import Population
from .posterior import SharedPosterior
from .smooth import Bonds
from .still import moving
from .windows import Pair, correlations_of, fit_pair, heard, moved

#: Populations by the place of the window and the label of the group.
Populations = Mapping[tuple[int, int], Population]
#: How windows go together by the places of two windows and the label of the group.
Pairs = Mapping[tuple[int, int, int], Pair]
#: Place of a window, places of pixels, and their posterior.
Found = tuple[int, np.ndarray, SharedPosterior]


def shared_fields(law: KineticLaw) -> tuple[str, ...]:
    """What the rows of `shared_block` hold, in their order."""
    return (*block_fields(law), "shrinkage")


@dataclass(frozen=True, eq=False)
class SharedBlock:
    """Pixels of a block, group by group and window by window.

    Parameters
    ----------
    populations
        What the pixels of each window and group share.
    dose, dose_scale
        As in `DoseProblem`.
    window_names
        Names of the windows.
    config
        Options.
    pairs
        How windows go together; those that are not there do not.
    """

    populations: Populations
    dose: np.ndarray
    window_names: tuple[str, ...]
    config: ExactConfig
    dose_scale: float | None = None
    pairs: Pairs = field(default_factory=dict)

    def fit(
        self,
        values: np.ndarray,
        variance: np.ndarray | None,
        offset: np.ndarray | None,
        known: np.ndarray,
    ) -> np.ndarray:
        """All rows of a block.

        Parameters
        ----------
        values, variance, offset
            As for `fit_block`.
        known
            What is known of the pixels before their data, ``(…, n_known, n_window)``: the label of
            the group and, where neighbours agree, what they say; see `packed`.

        Returns
        -------
        numpy.ndarray
            Shape ``(…, len(shared_fields(law)), n_window)``.
        """
        law = self.config.parameters.law
        fields = shared_fields(law)
        lead, n_window = values.shape[:-2], values.shape[-2]
        count = values[..., 0, 0].size
        block = np.full((count, len(fields), n_window), np.nan)
        row_of = {name: place for place, name in enumerate(fields)}
        block[:, row_of["dead"]], block[:, row_of["converged"]] = 1.0, 0.0
        block[:, row_of["identifiable"]] = 0.0
        for window, place, posterior in self.posteriors(values, variance, offset, known):
            label = int(np.reshape(known, (-1, *known.shape[-2:]))[place[0], 0, window])
            rows = _rows(posterior, law, self.populations[window, label].least_near)
            for name, value in rows.items():
                block[place, row_of[name], window] = value
        return block.reshape(*lead, -1, n_window)

    def interval(
        self,
        values: np.ndarray,
        variance: np.ndarray | None,
        offset: np.ndarray | None,
        known: np.ndarray,
        *,
        quantity: Quantity,
        level: float,
    ) -> np.ndarray:
        """Lower and upper ends of an interval, ``(…, 2, n_window, n_value)``."""
        lead, n_window = values.shape[:-2], values.shape[-2]
        ends = np.full((values[..., 0, 0].size, 2, n_window, quantity.n_value), np.nan)
        for window, place, posterior in self.posteriors(values, variance, offset, known):
            if quantity.name == "intensity":
                found = posterior.band(quantity.normalised_dose, level)
            else:
                found = posterior.summarise([quantity], [level]).intervals[quantity, level]
            for side in range(2):
                ends[place, side, window] = found[side].reshape(-1, quantity.n_value)
        return ends.reshape(*lead, 2, n_window, quantity.n_value)

    def find_pairs(
        self,
        values: np.ndarray,
        variance: np.ndarray | None,
        offset: np.ndarray | None,
        known: np.ndarray,
        places: np.ndarray,
    ) -> dict[tuple[int, int, int], Pair]:
        """How the windows of a group go together, from some of its pixels.

        Parameters
        ----------
        values, variance, offset, known
            Of the pixels, all of one group, as for `fit`, ``(n, …, n_window, …)``.
        places
            Where they are, in pixels, ``(n, n_axis)``.
        """
        label = int(known[0, 0, 0])
        best, said = {}, known[:, :1]
        if known.shape[1] > 1:
            per_design = per_prior(len(self.config.parameters.free))
            said = np.full((len(known), 1 + per_design, known.shape[2]), float(label))
        for (window, group), population in self.populations.items():
            if group != label:
                continue
            design = population.vector[None]
            if known.shape[1] > 1:
                # What neighbours say is known under the populations of the design alone.
                nearest = population.nearest
                design = population.design[[nearest]]
                columns = slice(1 + nearest * per_design, 1 + (nearest + 1) * per_design)
                said[:, 1:, window] = known[:, columns, window]
            best[window, label] = replace(population, design=design, weight=None)
        alone = replace(self, populations=best, pairs={})
        found = [
            (window, posterior.readings()[0])
            for window, _, posterior in alone.posteriors(values, variance, offset, said)
        ]
        d = len(self.config.parameters.free)
        return {
            (v, w, label): fit_pair(first, second, places, d)
            for (v, first), (w, second) in itertools.combinations(found, 2)
        }

    def neighbours(
        self,
        values: np.ndarray,
        variance: np.ndarray | None,
        offset: np.ndarray | None,
        labels: np.ndarray,
        *,
        lengths: Mapping[tuple[int, int], Lengths],
        workers: int = 1,
    ) -> np.ndarray:
        """What is known of pixels before their data, where their neighbours agree.

        Parameters
        ----------
        values, variance, offset
            Of a whole map or a tile, ``(…space…, n_window, n_dose)``, offset without doses.
        labels
            Groups of the pixels, ``(…space…)``; there is no bond across a border.
        lengths
            Lengths by window and group.
        workers
            Windows and groups that are worked on at a time.

        Returns
        -------
        numpy.ndarray
            Shape ``(…space…, n_known, n_window)``, as `fit` takes it.
        """
        n_window = len(self.window_names)
        d = len(self.config.parameters.free)
        per_design = per_prior(d)
        most = max((len(each.design) for each in self.populations.values()), default=0)
        known = np.full((labels.size, 1 + most * per_design, n_window), np.nan)
        known[:, 0] = labels.reshape(-1, 1)
        every = np.stack(np.unravel_index(np.arange(labels.size), labels.shape), -1)
        bare = known[:, :1]
        alone = replace(self, pairs={})

        def heard_by(found: Found) -> None:
            window, place, posterior = found
            label = int(labels.reshape(-1)[place[0]])
            population, length = self.populations[window, label], lengths[window, label]
            where = place[posterior.curves.alive]
            # Pixels in which nothing happens hear no neighbours, nor do these hear them.
            bare_priors = [PixelPrior.common(each).each(len(where)) for each in population.designs]
            if where.size:
                known[where, 1:, window] = packed(bare_priors)
            curves = posterior.curves.select(moving(population.still, posterior.curves))
            where = place[curves.alive]
            if where.size:
                bonds = Bonds.of(every[where])
                shared, repeats = population.shared, length.repeats
                start = find_fields(curves, shared, bonds, length.best, repeats=repeats, mean=True)
                priors = field_priors(curves, population, bonds, length, start)
                known[where, 1:, window] = packed(priors)

        side_by_side(heard_by, alone.posteriors(values, variance, offset, bare), workers)
        return known.reshape(*labels.shape, -1, n_window)

    def posteriors(
        self,
        values: np.ndarray,
        variance: np.ndarray | None,
        offset: np.ndarray | None,
        known: np.ndarray,
    ) -> Iterator[Found]:
        """Window, places of pixels, and their posterior, for each window and group."""
        for label in sorted({label for _, label in self.populations}):
            pairs = {(v, w): each for (v, w, group), each in self.pairs.items() if group == label}
            alone = self._alone(values, variance, offset, known, label)
            if not any(pair.seen for pair in pairs.values()):
                yield from alone
                continue
            yield from self._together(list(alone), pairs, label)

    def _alone(
        self,
        values: np.ndarray,
        variance: np.ndarray | None,
        offset: np.ndarray | None,
        known: np.ndarray,
        label: int,
    ) -> Iterator[Found]:
        """Posteriors of the windows of a group, each by itself."""
        problem = problem_of(values, variance, self.dose, self.window_names, self.dose_scale)
        n_window = len(self.window_names)
        offset = offset_of(offset, n_window)
        known = np.reshape(known, (-1, *known.shape[-2:]))
        for (window, group), population in self.populations.items():
            place = np.flatnonzero(known[:, 0, window] == label)
            if group != label or not place.size:
                continue
            one = problem.windows([window]).curves(place)
            at = None if offset is None else offset[place, window, None]
            curves = SharedCurves.of(
                one, replace(self.config, offset=at, hierarchy=()), population.scale
            )
            says = known[place[curves.alive], 1:, window]
            assume = assumed(population, says)
            yield window, place, SharedPosterior(curves, assume, place.size, population.still)

    def _together(
        self, found: Sequence[Found], pairs: Mapping[tuple[int, int], Pair], label: int
    ) -> Iterator[Found]:
        """The same with what the other windows of a pixel say."""
        if not found:
            return
        order = [window for window, _, _ in found]
        seen = {
            (order.index(v), order.index(w)): pair for (v, w), pair in pairs.items() if pair.seen
        }
        shares = np.stack([self.populations[window, label].shares for window in order], 1)
        readings = [posterior.readings() for _, _, posterior in found]
        d = len(self.config.parameters.free)
        said = [
            heard([each[design] for each in readings], correlations, d)
            for design, correlations in enumerate(correlations_of(seen, shares))
        ]
        for row, (window, place, posterior) in enumerate(found):
            alive = posterior.curves.alive
            told = [
                replace(each, prior=moved(each.prior, *(part[alive] for part in says[row])))
                for each, says in zip(posterior.assumed, said, strict=True)
            ]
            yield window, place, replace(posterior, assumed=told)


def _rows(posterior: SharedPosterior, law: KineticLaw, least_near: float) -> dict[str, np.ndarray]:
    """Rows of a group of pixels by name, ``(n,)`` each."""
    found = posterior.estimates(SHARED_NEAR)
    rows = {name: found[name] for name in ("amplitude", "offset", "shrinkage")}
    rows["residual_sigma"] = rows["noise_sigma"] = found["sigma"]
    alive = np.isfinite(found["amplitude"])
    held = dict(posterior.parameters.held)
    for parameter in law.parameters:
        name = parameter.name
        rows[name] = np.where(alive, held[name], np.nan) if name in held else found[name]
    values = [rows[parameter.name] for parameter in law.parameters]
    rows["half_integrity_dose"] = law_dose(*values, law=law, level=0.5)
    rows["critical_dose"] = law_dose(*values, law=law, level=float(np.exp(-1.0)))
    rows["dead"], rows["converged"] = 1.0 - alive, 1.0 * alive
    quantities = [Quantity(name) for name in interval_names(law)]
    summary = posterior.summarise(quantities, [LEVEL])
    rows["sd_log_half_dose"] = summary.sd_log_half_dose[:, 0]
    rows["near_estimate"] = summary.near_estimate[:, 0]
    with np.errstate(invalid="ignore"):
        rows["identifiable"] = 1.0 * (found["near_by"] >= least_near)
    for quantity in quantities:
        for end, value in zip(("lower", "upper"), summary.intervals[quantity, LEVEL], strict=True):
            rows[f"{quantity.name} {end}"] = value[:, 0]
    return rows
