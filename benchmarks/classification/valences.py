# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""White lines of four valences, made and judged without any code of the package.

`make` draws L₂,₃ spectra like those of iron: the background scales with the thickness, as in any
specimen, counts are Poisson, and there may be an unknown phase, plural scattering, mixtures or
another zero of the energy. `exact` is Bayes' rule with the true distributions of all
nuisances, on grids of thickness and shift, with the noise of each explanation: what single
pixels allow. Nothing here imports hyperspy_dosekin.
"""

from dataclasses import dataclass

import numpy as np

ENERGY = np.arange(690.0, 745.0, 0.25)
NAMES = ("0", "2+", "3+", "4+")
#: Of L₃ and L₂: position (eV), half width (eV), height; and of the continuum: start, height.
_LINES = {
    "0": ((707.7, 1.5, 0.62), (720.8, 2.0, 0.24), (707.5, 0.14)),
    "2+": ((707.9, 0.9, 1.00), (720.9, 1.4, 0.24), (708.5, 0.15)),
    "3+": ((709.3, 0.9, 1.05), (722.5, 1.3, 0.28), (710.5, 0.15)),
    "4+": ((710.1, 1.2, 0.95), (723.4, 1.6, 0.33), (712.0, 0.16)),
    "unknown": ((706.8, 1.4, 0.65), (719.8, 2.0, 0.22), (708.0, 0.195)),
}
#: Thickness, relative to its mean, is lognormal; shifts (eV) and residual backgrounds normal.
THICKNESS_SD, SHIFT_SD, RESIDUAL_SD = 0.25, 0.3, 0.5
#: Plural scattering: a plasmon of this energy and half width (eV).
_PLASMON, _PLASMON_WIDTH = 22.0, 4.0
_NODES = 33


def phase(name, energy=ENERGY):
    """Noise-free spectrum of a phase, in units of the line of 2+."""
    found = np.zeros(np.shape(energy))
    *lines, (start, height) = _LINES[name]
    for position, width, strength in lines:
        found = found + strength / (1 + ((energy - position) / width) ** 2)
    # Two steps, the second half as high.
    for part, moved in ((2 / 3, 0.0), (1 / 3, 13.1)):
        found = found + part * height * (0.5 + np.arctan((energy - start - moved) / 0.8) / np.pi)
    return found


def references(names=NAMES, energy=ENERGY):
    """Spectra of the valences, ``(n, n_channels)``."""
    return np.stack([phase(name, energy) for name in names])


def residual_curve():
    return (ENERGY / ENERGY[0]) ** -3.0


def _plasmon(loss):
    return 1 / (1 + ((loss - _PLASMON) / _PLASMON_WIDTH) ** 2)


def low_loss(plural, counts=1e5, seed=0):
    """Energies and counts of a low loss with that t/λ, as `make` has it: single scattering.

    Losses beyond those that the axis of the core loss holds are there too, and count for nothing.
    """
    energy = np.arange(-20.0, 60.0, 0.25)
    plasmon = _plasmon(energy)
    plasmon /= plasmon[(energy >= 0) & (energy < ENERGY[-1] - ENERGY[0])].sum()
    peak = np.exp(-0.5 * (energy / 0.3) ** 2)
    expected = counts * (peak / peak.sum() + np.where(energy > 3, plural * plasmon, 0))
    return energy, np.random.default_rng(seed).poisson(expected).astype(float)


@dataclass(frozen=True)
class Made:
    """Simulated spectra with their truth.

    ``spectra`` is what the analyst has, ``variance`` the true one of the noise, ``(n, channel)``;
    ``label`` counts the valences, an unknown phase last; ``share`` is the true composition.
    """

    spectra: np.ndarray
    variance: np.ndarray
    label: np.ndarray
    share: np.ndarray
    thickness: np.ndarray
    counts: float
    background: float
    normalised: bool
    clean: np.ndarray


def make(
    seed=0, n=3600, counts=60.0, background=1.0, *, normalised=False, unknown=0.0, plural=0.0,
    mixed=0.0, zero_ev=0.0, share=None, background_varies=True, shift_sd=SHIFT_SD,
):  # fmt: skip
    """Draw spectra.

    ``counts``: at the line of 2+, mean thickness. ``background``: at 700 eV in units of that line.
    ``unknown``: share of an unknown phase. ``plural``: t/λ at the mean thickness. ``mixed``: share
    of pixels that hold two valences half and half. ``normalised``: divided by the thickness.
    """
    rng = np.random.default_rng(seed)
    share = np.full(4, 0.25) if share is None else np.asarray(share, float)
    label = rng.choice(4, n, p=share / share.sum())
    label[rng.random(n) < unknown] = 4
    thickness = rng.lognormal(-0.5 * THICKNESS_SD**2, THICKNESS_SD, n)
    moved = ENERGY - zero_ev - shift_sd * rng.standard_normal((n, 1))
    second = np.where(rng.random(n) < mixed, (label + rng.integers(1, 4, n)) % 4, label)
    second = np.where(label == 4, 4, second)
    single = np.stack([phase(name, moved) for name in (*NAMES, "unknown")])
    row = np.arange(n)
    net = 0.5 * (single[label, row] + single[second, row])
    if plural:
        plasmon = _plasmon(ENERGY - ENERGY[0])
        plasmon /= plasmon.sum()
        again = np.stack([np.convolve(spectrum, plasmon)[: ENERGY.size] for spectrum in net])
        net = net + plural * thickness[:, None] * again
    net = counts * thickness[:, None] * net
    varies = thickness[:, None] if background_varies else 1.0
    below = background * counts * varies * (ENERGY / 700.0) ** -3.0
    residual = RESIDUAL_SD * rng.standard_normal((n, 1)) * residual_curve()
    expected = np.maximum(net + below + residual, 1e-9)
    spectra = rng.poisson(expected) - below
    unit = thickness[:, None] if normalised else 1.0
    composition = np.zeros((n, 5))
    composition[row, label] += 0.5
    composition[row, second] += 0.5
    return Made(
        spectra / unit, expected / unit**2, label, composition, thickness, counts, background,
        normalised, (net + residual) / unit,
    )  # fmt: skip


def exact(made, shares=None, names=NAMES):
    """Probabilities of the valences and the best squared distance, by the true distributions.

    The residual background is integrated analytically, thickness and shift on grids. The distance
    is the smallest over all explanations of the squared residuals, penalised by the priors.
    """
    score = np.linspace(-3.2, 3.2, _NODES)
    weight = -0.5 * score**2 - np.log(np.exp(-0.5 * score**2).sum())
    thickness = np.exp(THICKNESS_SD * score - 0.5 * THICKNESS_SD**2)
    shares = np.full(4, 0.25) if shares is None else shares
    below = made.background * made.counts * (ENERGY / 700.0) ** -3.0
    curve = residual_curve()
    n = len(made.spectra)
    log_class = np.full((n, 4), -np.inf)
    distance = np.full(n, np.inf)
    for k, name in enumerate(NAMES):
        if name not in names:
            continue
        net = made.counts * phase(name, ENERGY - SHIFT_SD * score[:, None])
        for j, t in enumerate(thickness):
            variance = t * (net + below)
            signal = t * net
            residual, sd = curve, RESIDUAL_SD
            if made.normalised:
                signal, variance, sd = net, variance / t**2, RESIDUAL_SD / t
            whole = np.log(variance).sum(1)
            onto = (residual**2 / variance).sum(1)
            bend = 1 / sd**2 + onto
            constant = (signal**2 / variance).sum(1)
            along = (signal * residual / variance).sum(1)
            x = made.spectra
            chi = (x**2) @ (1 / variance).T - 2 * x @ (signal / variance).T + constant
            slope = x @ (residual / variance).T - along
            chi = chi - slope**2 / bend
            log = -0.5 * (chi + whole + np.log(bend * sd**2)) + weight[j] + weight
            distance = np.minimum(distance, (chi + score**2 + score[j] ** 2).min(1))
            log_class[:, k] = np.logaddexp(log_class[:, k], np.logaddexp.reduce(log, axis=1))
    log_class += np.log(shares)
    probability = np.exp(log_class - log_class.max(1, keepdims=True))
    return probability / probability.sum(1, keepdims=True), distance
