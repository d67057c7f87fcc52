# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intervals of a small field beside those of Hamiltonian Monte Carlo over fields and population.

Run ``python benchmarks/kinetics/field_sampling.py [--size 16] [--draws 1200]``. The chain samples
the kinetic fields of all pixels and all numbers of the population together, with their priors, by
the gradients of Torch (S. Duane et al., doi:10.1016/0370-2693(87)91197-X); lengths, weights of the
bonds and how many neighbours repeat each other are those of the fit. Its step is in units of the
curvature at the fit.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option
from fields import DOSE, simulated

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.field.curves import SharedCurves
from hyperspy_dosekin.kinetics.field.fields import find_fields
from hyperspy_dosekin.kinetics.field.lengths import find_lengths
from hyperspy_dosekin.kinetics.field.population import fit_population
from hyperspy_dosekin.kinetics.field.readout import Sums, readout_after
from hyperspy_dosekin.kinetics.field.repeats import of_patches
from hyperspy_dosekin.kinetics.field.sites import likelihood_of
from hyperspy_dosekin.kinetics.field.smooth import Bonds
from hyperspy_dosekin.kinetics.laws.power_law import half_dose
from hyperspy_dosekin.kinetics.model.config import ExactConfig

LEAPFROGS, WARM_UP = 12, 0.3


class Target:
    """Ln posterior of (numbers of the population, fields in its units) and its gradient."""

    def __init__(self, values):
        size = values.shape[0]
        places = np.argwhere(np.ones((size, size), dtype=bool))
        problem = DoseProblem(DOSE, values.reshape(-1, 1, len(DOSE)), ("w",))
        self.curves = SharedCurves.of(problem, ExactConfig())
        population = fit_population(self.curves, places)
        self.layout, vector = population.layout, torch.as_tensor(population.vector)
        bonds = Bonds.of(places)
        found = find_lengths(self.curves, population.shared, bonds, places, 0.6 * size)[0]
        lengths, self.repeats = found.best, found.repeats
        mode = find_fields(
            self.curves, population.shared, bonds, lengths, repeats=self.repeats, steps=60
        )
        roots = bonds.roots(lengths, mode.weight)
        self.prior = [torch.as_tensor((root @ root).toarray()) for root in roots]
        # Begin at the fit, in units of the curvature there.
        sites = likelihood_of(self.curves, population.shared, mode.field, self.repeats)
        n, d = mode.field.shape
        whole = torch.block_diag(*self.prior).reshape(d, n, d, n)
        for pixel in range(n):
            whole[:, pixel, :, pixel] += torch.as_tensor(sites.curvature[pixel])
        self.start = torch.cat([vector, torch.as_tensor(mode.field.T.copy()).reshape(-1)])
        factor = torch.linalg.cholesky(torch.linalg.inv(whole.reshape(d * n, d * n)))
        covariance = torch.as_tensor(population.covariance)
        self.unit = torch.block_diag(torch.linalg.cholesky(covariance), factor)

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
            found.append(np.log(half_dose(k.exp().numpy(), p.numpy())))
    return np.array(found), float(np.mean(accepted))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--draws", type=int, default=1200)
    parser.add_argument("--noise", type=float, default=0.02)
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    torch.set_num_threads(1)
    series, half, _ = simulated("smooth", 0, options.size, 0.4, options.noise)
    result = series.fit_dose_pinn(spatial="field", show_progressbar=False)
    ends = [np.log(end.data[0]).ravel() for end in result.interval("half_integrity_dose")]
    target = Target(series.data[:, :, 0])
    chain, accepted = sample(target, options.draws)
    low, high = np.quantile(chain, [0.025, 0.975], axis=0)
    truth = half.ravel()
    width = float(np.median((ends[1] - ends[0]) / (high - low)))
    away = float(np.median(np.abs(0.5 * (ends[0] + ends[1] - low - high)) / (high - low)))
    held = [float(((a <= truth) & (truth <= b)).mean()) for a, b in (ends, (low, high))]
    note = f"{options.size} × {options.size}, {options.draws} draws, accepted {accepted:.2f}"
    note += f", repeats {target.repeats:.1f}"
    first = np.median(chain[: len(chain) // 2], 0) - np.median(chain[len(chain) // 2 :], 0)
    note += f"; halves of the chain differ by {np.abs(first).mean():.3f} in ln D½"
    rows.add("width of a field's intervals over those of the chain", asked=None, measured=width,
             unit="×", note=note)  # fmt: skip
    rows.add("middles of the intervals apart, in widths", asked="≤ 0.1", measured=away, unit="")
    rows.add("truths inside: field", asked=None, measured=held[0], unit="")
    rows.add("truths inside: chain", asked=None, measured=held[1], unit="")


if __name__ == "__main__":
    main()
