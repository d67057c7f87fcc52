# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intervals of a small field beside those of Hamiltonian Monte Carlo over fields and population.

Run ``python benchmarks/kinetics/field_sampling.py [--size 16] [--draws 1200] [--maps ...]``. The
chain samples the kinetic fields of all pixels and all numbers of the population together, with
their priors, by the gradients of Torch (S. Duane et al., doi:10.1016/0370-2693(87)91197-X).
Lengths, weights of the bonds and how many neighbours repeat each other are those of the fit. Its
step is in units of the curvature at the fit. A map is kind, seed, noise and mean ln k.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option
from _truths import power_log_half
from fields import DOSE, simulated

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.field.curves import SharedCurves
from hyperspy_dosekin.kinetics.field.fields import find_fields
from hyperspy_dosekin.kinetics.field.lengths import field_priors, find_lengths
from hyperspy_dosekin.kinetics.field.population import fit_population
from hyperspy_dosekin.kinetics.field.posterior import Assumed, SharedPosterior
from hyperspy_dosekin.kinetics.field.readout import Sums, readout_after
from hyperspy_dosekin.kinetics.field.repeats import of_patches
from hyperspy_dosekin.kinetics.field.sites import likelihood_of
from hyperspy_dosekin.kinetics.field.smooth import Bonds
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

LEAPFROGS, WARM_UP = 12, 0.3
MAPS = (
    "smooth,0,0.02,0.4", "smooth,13,0.01,0.0", "step,13,0.03,0.0",
    "rim,31,0.01,0.4", "step,4,0.03,0.0", "smooth,5,0.05,0.4",
)  # fmt: skip


def intervals(curves, population, bonds, lengths, mode):
    """Ends of the 95 % intervals of ln D½ of a field, ``(2, n)``."""
    priors = field_priors(curves, population, bonds, lengths, mode)
    repeats = lengths.repeats
    assumed = [
        Assumed(shared, prior, repeats if alike else 1.0)
        for shared, prior, alike in zip(population.designs, priors, population.shares, strict=True)
    ]
    half = Quantity("half_integrity_dose")
    found = SharedPosterior(curves, assumed, curves.number).summarise([half])
    return np.log([end[:, 0] for end in found.intervals[half, 0.95]])


class Target:
    """Ln posterior of (numbers of the population, fields in its units) and its gradient."""

    def __init__(self, values, inside):
        size = len(inside)
        places = np.argwhere(inside)
        problem = DoseProblem(DOSE, values[inside][:, None], ("w",))
        self.curves = SharedCurves.of(problem, ExactConfig())
        population = fit_population(self.curves, places)
        self.layout = population.layout
        bonds = Bonds.of(places)
        lengths = find_lengths(self.curves, population.shared, bonds, places, 0.6 * size)[0]
        self.repeats = lengths.repeats
        mode = find_fields(
            self.curves, population.shared, bonds, lengths.best, repeats=self.repeats, mean=True
        )
        self.ends = intervals(self.curves, population, bonds, lengths, mode)
        vector = torch.as_tensor(population.vector)
        roots = bonds.roots(lengths.best, mode.weight)
        self.prior = [torch.as_tensor((root @ root).toarray()) for root in roots]
        # Begin at the fit, in units of the curvature there.
        sites = likelihood_of(self.curves, population.shared, mode.field, self.repeats, mode.spread)
        n, d = mode.field.shape
        whole = torch.block_diag(*self.prior).reshape(d, n, d, n)
        for pixel in range(n):
            whole[:, pixel, :, pixel] += torch.as_tensor(sites.curvature[pixel])
        self.start = torch.cat([vector, torch.as_tensor(mode.field.T.copy()).reshape(-1)])
        factor = torch.linalg.cholesky(torch.linalg.inv(whole.reshape(d * n, d * n)))
        of_numbers = torch.linalg.cholesky(torch.as_tensor(population.covariance))
        self.unit = torch.block_diag(of_numbers, factor)

    def parts(self, point):
        vector, field = point[: self.layout.n], point[self.layout.n :]
        return vector, field.reshape(self.layout.d, -1)

    def free(self, point):
        vector, field = self.parts(point)
        shared = of_patches(self.layout.shared(vector), self.repeats)
        return shared, shared.mean[:, None] + shared.factor @ field

    def value(self, point):
        vector, field = self.parts(point)
        shared, free = self.free(point)
        lower, upper = (end[:, None] for end in self.curves.box)
        free = torch.maximum(torch.minimum(free, upper), lower)
        # Slopes of the law itself: where C reaches 0 those of Torch are no numbers.
        with torch.no_grad():
            integrity, slopes = self.curves.with_slopes(free)
        for slope, row in zip(slopes, free, strict=True):
            integrity = integrity + slope * (row - row.detach())
        sums = Sums.of(self.curves, integrity)
        likelihood = readout_after(self.curves, sums, free, shared).log_likelihood.sum()
        # What is left over in every pixel, not only in every patch, says how large the noise is.
        freedom = (self.repeats - 1) * float((sums.count - 2).sum())
        likelihood = likelihood - freedom * shared.sigma.log()
        squares = sum(row @ matrix @ row for row, matrix in zip(field, self.prior, strict=True))
        return likelihood / self.repeats + self.layout.log_prior(vector) - 0.5 * squares

    def slope(self, away):
        away = away.detach().requires_grad_()
        value = self.value(self.start + self.unit @ away)
        return value.detach(), torch.autograd.grad(value, away)[0]


def sample(target, draws, seed=0):
    """Ln D½ of every pixel, ``(draws, n)``, and the share of accepted steps."""
    random = torch.Generator().manual_seed(seed)
    away = torch.zeros_like(target.start)
    value, slope = target.slope(away)
    step, accepted, found = 0.05, [], []
    warm = int(WARM_UP * draws)
    for number in range(draws + warm):
        momentum = torch.randn(len(away), generator=random, dtype=away.dtype)
        trial, force, kick = away, slope, momentum
        length = step * (0.7 + 0.6 * float(torch.rand(1, generator=random)))
        for _ in range(LEAPFROGS):
            kick = kick + 0.5 * length * force
            trial = trial + length * kick
            after, force = target.slope(trial)
            kick = kick + 0.5 * length * force
        change = after - value - 0.5 * (kick @ kick - momentum @ momentum)
        chance = float(torch.nan_to_num(change, nan=-1e9).clamp(max=0).exp())
        if float(torch.rand(1, generator=random)) < chance:
            away, value, slope = trial, after, force
        if number < warm:
            step *= np.exp(0.1 * (chance - 0.8))
        else:
            accepted.append(chance)
            free = target.free(target.start + target.unit @ away)[1]
            lower, upper = (end[:, None] for end in target.curves.box)
            k, p = torch.maximum(torch.minimum(free, upper), lower)
            found.append(power_log_half(k.exp().numpy(), p.numpy()))
    return np.array(found), float(np.mean(accepted))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--draws", type=int, default=1200)
    parser.add_argument("--maps", nargs="+", default=MAPS)
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    torch.set_num_threads(1)
    widths, middles = [], []
    for each in options.maps:
        kind, seed, noise, mean = each.split(",")
        series, half, inside = simulated(kind, int(seed), options.size, float(mean), float(noise))
        target = Target(series.data[:, :, 0], inside)
        chain, accepted = sample(target, options.draws)
        low, high = np.quantile(chain, [0.025, 0.975], axis=0)
        lower, upper = target.ends
        truth = half[inside]
        widths.append(float(np.median((upper - lower) / (high - low))))
        middles.append(float(np.median(np.abs(lower + upper - low - high) / 2 / (high - low))))
        held = [float(((a <= truth) & (truth <= b)).mean()) for a, b in (target.ends, (low, high))]
        first = np.median(chain[: len(chain) // 2], 0) - np.median(chain[len(chain) // 2 :], 0)
        print(
            f"{each}: width {widths[-1]:.3f}, middles {middles[-1]:.3f} apart, truths inside "
            f"{held[0]:.3f} (chain {held[1]:.3f}); repeats {target.repeats:.1f}, accepted "
            f"{accepted:.2f}, halves of the chain differ by {np.abs(first).mean():.3f} in ln D½",
            flush=True,
        )
    note = f"{options.size} × {options.size}, {options.draws} draws, median of {len(widths)} maps"
    rows.add("width of a field's intervals over those of the chain", asked="≤ 1.1",
             measured=float(np.median(widths)), unit="×",
             note=f"{note}; {min(widths):.2f} to {max(widths):.2f}")  # fmt: skip
    rows.add("middles of the intervals apart, in widths", asked="≤ 0.1",
             measured=float(np.median(middles)), unit="",
             note=f"{max(middles):.3f} at most")  # fmt: skip


if __name__ == "__main__":
    main()
