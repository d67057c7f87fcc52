# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intervals of a small field beside those of Hamiltonian Monte Carlo over fields and population.

Run ``python benchmarks/kinetics/field_sampling.py [--size 16] [--draws 600] [--orders 1 2 4]``. The
chain samples the kinetic fields of all pixels and all numbers of the population together, with
their priors, by the gradients of Torch (S. Duane et al., doi:10.1016/0370-2693(87)91197-X). Weights
of the bonds and how many neighbours repeat each other are those of the fit. A map is kind, seed,
noise and mean ln k.

Without ``--orders`` lengths are those of the fit, and so is the smoothness: the precision of a
field is κ² − ∇² to the power 2. With it the power is 2, 4 or 8, and the chain draws it with the
length, for each field (Gibbs, with the fields as they are or with their modes in units of what is
expected of them). It begins at the most probable of both.

The draws of the chain are also taken as truths: of what is unknown of a map its pixels have most in
common, so that even intervals that are right hold much fewer than 0.95 of some maps.
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
from hyperspy_dosekin.kinetics.field.mixture import Assumed
from hyperspy_dosekin.kinetics.field.population import fit_population
from hyperspy_dosekin.kinetics.field.posterior import SharedPosterior
from hyperspy_dosekin.kinetics.field.readout import Sums, readout_after
from hyperspy_dosekin.kinetics.field.repeats import of_patches
from hyperspy_dosekin.kinetics.field.sites import likelihood_of
from hyperspy_dosekin.kinetics.field.smooth import Bonds
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

LEAPFROGS, WARM_UP, CLIMBS = 10, 0.3, 20
MAPS = (
    "smooth,0,0.02,0.4", "smooth,13,0.01,0.0", "step,13,0.03,0.0",
    "rim,31,0.01,0.4", "step,4,0.03,0.0", "smooth,5,0.05,0.4",
)  # fmt: skip


def intervals(curves, population, bonds, lengths, mode):
    """Ends of the 95 % intervals of ln D½ of a field, ``(2, n)``."""
    priors = field_priors(curves, population, bonds, lengths, mode)
    repeats = lengths.repeats
    assumed = [
        Assumed(shared, prior, repeats if alike else 1.0, weight)
        for shared, prior, alike, weight in zip(
            population.designs, priors, population.shares, population.weights, strict=True
        )
    ]
    half = Quantity("half_integrity_dose")
    found = SharedPosterior(curves, assumed, curves.number).summarise([half])
    return np.log([end[:, 0] for end in found.intervals[half, 0.95]])


def variances(order, length, wave):
    """Variances of the modes of a field of unit variance, by their eigenvalues of −∇²."""
    kappa2 = 8 * (2 * order - 1) / length**2
    line = 2 - 2 * np.cos(2 * np.pi * np.arange(128) / 128)
    whole = ((1 + (line[:, None] + line) / kappa2) ** (-2 * order)).mean()
    return (1 + wave / kappa2) ** (-2 * order) / whole


class Target:
    """Ln posterior of (numbers of the population, fields in its units) and its gradient."""

    def __init__(self, values, inside, orders):
        size = len(inside)
        places = np.argwhere(inside)
        problem = DoseProblem(DOSE, values[inside][:, None], ("w",))
        self.curves = SharedCurves.of(problem, ExactConfig())
        self.population = population = fit_population(self.curves, places)
        self.layout = population.layout
        bonds = Bonds.of(places)
        lengths = find_lengths(self.curves, population.shared, bonds, places, 0.6 * size)[0]
        self.repeats = lengths.repeats
        mode = find_fields(
            self.curves, population.shared, bonds, lengths.best, repeats=self.repeats, mean=True
        )
        self.ends = intervals(self.curves, population, bonds, lengths, mode)
        bound = bonds.differences.T @ (mode.weight[:, None] * bonds.differences.toarray())
        wave, self.modes = np.linalg.eigh(bound)
        wave = np.maximum(wave, 0)
        # Kinds of fields: power and length, and the variances of their modes.
        self.kinds = [(order, float(x)) for order in orders or (1,) for x in lengths.tried]
        self.variance = np.array([variances(*kind, wave) for kind in self.kinds])
        sites = likelihood_of(self.curves, population.shared, mode.field, self.repeats, mode.spread)
        self.bent = sites.curvature
        best = [self.kinds.index((1, x)) for x in lengths.best] if not orders else None
        pull = sites.gradient + np.einsum("nij,nj->ni", sites.curvature, mode.field)
        self.point = torch.as_tensor(np.concatenate([population.vector, mode.field.T.ravel()]))
        self.units = {}
        self.set_kinds(best or self._most_probable(pull))
        self._climb()

    def _whitened(self, kinds):
        """F with F·Fᵀ = (P + H)⁻¹ of the fields ``(d, n)``, and ½ ln |P| |P + H|⁻¹."""
        n, d = len(self.modes), self.layout.d
        scaled = [self.modes * np.sqrt(self.variance[kind]) for kind in kinds]
        whole = np.zeros((d, n, d, n))
        for i, j in np.ndindex(d, d):
            whole[i, :, j] = scaled[i].T @ (self.bent[:, i, j, None] * scaled[j])
        factor = np.linalg.cholesky(whole.reshape(d * n, d * n) + np.eye(d * n))
        root = np.linalg.inv(factor).T.reshape(d, n, d * n)
        found = np.concatenate([each @ part for each, part in zip(scaled, root, strict=True)])
        return found, -np.log(np.diag(factor)).sum()

    def _most_probable(self, pull):
        """Kinds of the highest evidence, with the likelihood as it is near the fit."""

        def evidence(kinds):
            root, determinant = self._whitened(kinds)
            return 0.5 * ((root.T @ pull.T.ravel()) ** 2).sum() + determinant

        kinds = [len(self.kinds) // 2] * self.layout.d
        for place in [*range(self.layout.d)] * 2:
            every = [[*kinds[:place], x, *kinds[place + 1 :]] for x in range(len(self.kinds))]
            kinds = max(every, key=evidence)
        return kinds

    def _climb(self):
        """Begin at the most probable fields of these kinds, with the curvature of the fit."""
        n, root = self.layout.n, torch.as_tensor(self._whitened(self.now)[0])
        for _ in range(CLIMBS):
            value, slope = self.slope(self.point)
            step, size = torch.zeros_like(self.point), 1.0
            step[n:] = root @ (root.T @ slope[n:])
            while size > 1e-3 and not self.value(self.point + size * step) > value:
                size /= 2
            if size > 1e-3:
                self.point = self.point + size * step

    def set_kinds(self, kinds):
        """Priors of the fields, and the units of the steps: the curvature of all together."""
        self.now = tuple(int(kind) for kind in kinds)
        self.prior = [
            torch.as_tensor((self.modes / self.variance[kind]) @ self.modes.T) for kind in self.now
        ]
        if self.now not in self.units:
            self.units[self.now] = self._unit()
        self.unit = self.units[self.now]

    def _unit(self):
        n, number = self.layout.n, len(self.point)
        if not self.units:
            rows = []
            for step in 1e-4 * torch.eye(number, dtype=torch.float64)[:n]:
                ends = [self.slope(self.point + sign * step)[1] for sign in (1, -1)]
                rows.append((ends[1] - ends[0]) / 2e-4)
            self.cross = torch.stack(rows).numpy()
        field = self._whitened(self.now)[0]
        # How the fields follow the numbers, and what is left of the curvature of these.
        follow = -field @ (field.T @ self.cross[:, n:].T)
        left = self.cross[:, :n] + self.cross[:, n:] @ follow
        wide = np.linalg.cholesky(self.population.covariance)
        values, axes = np.linalg.eigh(wide.T @ (left + left.T) @ wide / 2)
        unit = np.zeros((number, number))
        unit[:n, :n] = wide @ (axes / np.sqrt(np.maximum(values, 0.25)))
        unit[n:, :n] = follow @ unit[:n, :n]
        unit[n:, n:] = field
        unit = torch.as_tensor(unit)
        # Where the curvature by differences says too little, the slope along the direction tells.
        for row in range(n):
            step = 0.1 * unit[:, row]
            fall = self.slope(self.point - step)[1] - self.slope(self.point + step)[1]
            unit[:, row] /= max(float(50 * (fall @ step)), 1.0) ** 0.5
        return unit

    def draw_kinds(self, point, random):
        """Other kinds for the fields, and the fields."""
        point, kinds = point.clone(), list(self.now)
        for place, field in enumerate(self.parts(point)[1]):
            mode = self.modes.T @ field.numpy()
            chance = -0.5 * (np.log(self.variance) + mode**2 / self.variance).sum(1)
            chance = np.exp(chance - chance.max())
            kinds[place] = random.choice(len(chance), p=chance / chance.sum())
            # The same modes in units of what is expected of them.
            unit = mode / np.sqrt(self.variance[kinds[place]])
            value = self.likelihood(point)
            for kind in random.integers(len(self.kinds), size=4):
                trial = point.clone()
                found = torch.as_tensor(self.modes @ (unit * np.sqrt(self.variance[kind])))
                self.parts(trial)[1][place] = found
                after = self.likelihood(trial)
                if random.uniform() < np.exp(min(float(after - value), 0.0)):
                    point, value, kinds[place] = trial, after, kind
        self.set_kinds(kinds)
        return point

    def parts(self, point):
        vector, field = point[: self.layout.n], point[self.layout.n :]
        return vector, field.reshape(self.layout.d, -1)

    def free(self, point):
        vector, field = self.parts(point)
        shared = of_patches(self.layout.shared(vector), self.repeats)
        return shared, shared.mean[:, None] + shared.factor @ field

    def likelihood(self, point):
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
        return (likelihood - freedom * shared.sigma.log()) / self.repeats

    def value(self, point):
        vector, field = self.parts(point)
        squares = sum(row @ matrix @ row for row, matrix in zip(field, self.prior, strict=True))
        return self.likelihood(point) + self.layout.log_prior(vector) - 0.5 * squares

    def slope(self, point):
        point = point.detach().requires_grad_()
        value = self.value(point)
        return value.detach(), torch.autograd.grad(value, point)[0]


def sample(target, draws, seed=0):
    """Ln D½ of every pixel, ``(draws, n)``, kinds of the fields, and what was accepted."""
    generator, random = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    point, step, accepted, found, kinds = target.point, 0.12, [], [], []
    warm = int(WARM_UP * draws)
    for number in range(draws + warm):
        if len({order for order, _ in target.kinds}) > 1:
            point = target.draw_kinds(point, random)
        unit = target.unit
        value, slope = target.slope(point)
        momentum = torch.randn(len(point), generator=generator, dtype=point.dtype)
        trial, force, kick = point, slope, momentum
        length = step * random.uniform(0.6, 1.4)
        for _ in range(LEAPFROGS):
            kick = kick + 0.5 * length * (unit.T @ force)
            trial = trial + length * (unit @ kick)
            after, force = target.slope(trial)
            kick = kick + 0.5 * length * (unit.T @ force)
        change = after - value - 0.5 * (kick @ kick - momentum @ momentum)
        chance = float(torch.nan_to_num(change, nan=-1e9).clamp(max=0).exp())
        if random.uniform() < chance:
            point = trial
        if number < warm:
            step *= np.exp(0.1 * (chance - 0.8))
        else:
            accepted.append(chance)
            kinds.append(target.now)
            free = target.free(point)[1]
            lower, upper = (end[:, None] for end in target.curves.box)
            k, p = torch.maximum(torch.minimum(free, upper), lower)
            found.append(power_log_half(k.exp().numpy(), p.numpy()))
    return np.array(found), np.array(kinds), float(np.mean(accepted))


def independent(values):
    """Draws of a number ``(draws,)`` that are as good as independent."""
    away = values - values.mean()
    products = np.fft.irfft(np.abs(np.fft.rfft(away, 2 * len(away))) ** 2)[: len(away)]
    alike = products / products[0]
    end = int(np.argmax(alike < 0.05)) or len(away)
    return len(away) / (1 + 2 * alike[1:end].sum())


def held_by_itself(chain):
    """Share of pixels inside, for every second draw as the truth, by intervals of the others."""
    low, high = np.quantile(chain[::2], [0.025, 0.975], axis=0)
    return ((low <= chain[1::2]) & (chain[1::2] <= high)).mean(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--draws", type=int, default=600)
    parser.add_argument("--orders", type=int, nargs="+", default=())
    parser.add_argument("--maps", nargs="+", default=MAPS)
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    torch.set_num_threads(1)
    widths, middles = [], []
    for each in options.maps:
        kind, seed, noise, mean = each.split(",")
        series, half, inside = simulated(kind, int(seed), options.size, float(mean), float(noise))
        target = Target(series.data[:, :, 0], inside, options.orders)
        chain, kinds, accepted = sample(target, options.draws)
        low, high = np.quantile(chain, [0.025, 0.975], axis=0)
        lower, upper = target.ends
        truth = half[inside]
        widths.append(float(np.median((upper - lower) / (high - low))))
        middles.append(float(np.median(np.abs(lower + upper - low - high) / 2 / (high - low))))
        held = [float(((a <= truth) & (truth <= b)).mean()) for a, b in (target.ends, (low, high))]
        own = held_by_itself(chain)
        powers = [np.mean([2 * target.kinds[x][0] for x in column]) for column in kinds.T]
        print(
            f"{each}: width {widths[-1]:.3f}, middles {middles[-1]:.3f} apart, truths inside "
            f"{held[0]:.3f} (chain {held[1]:.3f}); repeats {target.repeats:.1f}, accepted "
            f"{accepted:.2f}, {independent(chain.mean(1)):.0f} independent draws, mean powers "
            + ", ".join(f"{power:.1f}" for power in powers)
            + f"; own draws inside {own.mean():.3f}, below 0.9 in {(own < 0.9).mean():.2f} of them",
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
