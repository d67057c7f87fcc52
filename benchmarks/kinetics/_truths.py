# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Truths of the benchmarks: laws in closed form, noise and doses that are wrong.

Nothing here is the package's: what it takes for right is measured against this.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import hyperspy.api as hs
import numpy as np
from scipy import special

DOSE_MAX = 1368.0


def power(phi, k, p):
    """C of dC/dφ = −k C^p, element by element."""
    q = np.where(np.abs(p - 1) < 1e-9, 1.0, p - 1)
    with np.errstate(all="ignore"):
        found = np.where(1 + q * k * phi > 0, np.abs(1 + q * k * phi) ** (-1 / q), 0.0)
    return np.where(np.abs(p - 1) < 1e-9, np.exp(-k * phi), found)


def power_log_half(k, p):
    """Ln of the dose at which `power` falls to ½, element by element."""
    q = np.where(np.abs(p - 1) < 1e-9, 1.0, p - 1)
    return np.log(np.where(np.abs(p - 1) < 1e-9, np.log(2.0), np.expm1(q * np.log(2.0)) / q) / k)


def recovery(phi, k, p):
    """DC/dφ = −k C + 0.3 k (1 − C)."""
    return (0.3 + np.exp(-1.3 * k * phi)) / 1.3


def oscillation(phi, k, p):
    """A power law that swings twice by a tenth of itself over the range."""
    return power(phi, k, p) * (1 + 0.1 * np.sin(4 * np.pi * phi))


def late_recovery(phi, k, p):
    """A power law of which 30 % of what was lost comes back after 0.6 of the range."""
    back = np.clip((phi - 0.6) / 0.4, 0, 1)
    return power(phi, k, p) + 0.3 * back * (1 - power(np.minimum(phi, 0.6), k, p))


_SPREADS, _SHARES = np.polynomial.hermite_e.hermegauss(41)
_NORMAL_RATES = (_SPREADS, _SHARES / _SHARES.sum())

LAWS: dict[str, Callable] = {
    "power law": power,
    "first order": lambda phi, k, p: np.exp(-k * phi),
    "delayed": lambda phi, k, p: np.exp(-k * np.maximum(phi - 0.15, 0)),
    "two populations 50/50": lambda phi, k, p: (
        0.5 * np.exp(-2 * k * phi) + 0.5 * np.exp(-k * phi / 5)
    ),
    "two populations 80/20": lambda phi, k, p: (
        0.8 * np.exp(-1.5 * k * phi) + 0.2 * np.exp(-0.05 * k * phi)
    ),
    "plateau": lambda phi, k, p: 0.2 + 0.8 * np.exp(-k * phi),
    "recovery": recovery,
    "oscillation": oscillation,
    "late recovery": late_recovery,
    "diffusion": lambda phi, k, p: special.erfcx(np.sqrt(k * phi)),
    "rates spread by a factor of e": lambda phi, k, p: sum(
        share * np.exp(-k * np.exp(spread) * phi)
        for spread, share in zip(*_NORMAL_RATES, strict=True)
    ),
    "slow start": lambda phi, k, p: np.exp(-0.3 * np.expm1(np.minimum(k * phi, 5))),
}


@contextmanager
def each_by_itself() -> Iterator[None]:
    """Repeats are series of their own, and no pixels of a map that tell each other their noise."""
    with mock.patch("hyperspy_dosekin.signals.kinetics.numbers.pooled.FEWEST_PIXELS", np.inf):
        yield


@dataclass(frozen=True)
class Truth:
    """One kind of series; rates and exponents are drawn for each."""

    law: str = "power law"
    frames: int = 9
    noise: float = 0.01
    b: float = 1.0
    correlation: float = 0.0
    counting: bool = False
    dose_scale_error: float = 0.0
    increment_error: float = 0.0
    frame_error: float = 0.0
    outlier: float = 0.0
    growth: float = 0.0
    loss: float = 0.0
    rate: tuple[float, float] | None = None
    first_order: bool = False

    def draw(self, repeats: int, seed: int) -> "Drawn":
        """Make series; k ~ lognormal, p ~ N(1, 0.7), cut off at the box of the estimator."""
        random = np.random.default_rng(seed)
        k, p = np.zeros(repeats), np.zeros(repeats)
        while (bad := (k < 0.01) | (k > 20) | (p < 0.1) | (p > 5)).any():
            k[bad] = np.exp(random.normal(0, 1, bad.sum()))
            p[bad] = random.normal(1, 0.7, bad.sum())
        if self.rate is not None:
            k = random.uniform(*self.rate, repeats)
        if self.first_order:
            p = np.ones(repeats)
        k, p = k[:, None], p[:, None]
        scale = np.exp(self.dose_scale_error * random.standard_normal((repeats, 1)))
        law = LAWS[self.law]
        shape = (repeats, self.frames)
        true = scale * np.cumsum(1 + self.increment_error * random.standard_normal(shape), axis=1)
        true = true * (1 + self.frame_error * random.standard_normal(shape)) / self.frames
        # Contamination that grows with the dose, and a thickness that all windows follow.
        clean = law(true, k, p) + self.b + self.growth * true
        clean *= 1 - self.loss * -np.expm1(-2 * true)
        error = random.standard_normal(clean.shape)
        if self.correlation:
            for frame in range(1, self.frames):
                error[:, frame] = self.correlation * error[:, frame - 1]
                error[:, frame] += np.sqrt(1 - self.correlation**2) * random.standard_normal(
                    repeats
                )
        if self.outlier:
            place = random.integers(0, self.frames, repeats)
            error[np.arange(repeats), place] += self.outlier * random.choice([-1, 1], repeats)
        values = clean + self.noise * error
        # D½ is counted in true dose; the axis says phi.
        return Drawn(self, values, log_half(law, k, p))


def log_half(law, k, p):
    """Ln of the normalised dose at which C first falls to ½; infinite where never."""
    grid = np.geomspace(1e-4, 1e6, 3000)
    below = law(grid[None], k, p) <= 0.5
    first = np.maximum(below.argmax(axis=1), 1)[:, None]
    low, high = grid[first - 1], grid[first]
    for _ in range(60):
        middle = np.sqrt(low * high)
        above = law(middle, k, p) > 0.5
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(below.any(axis=1), np.log(np.sqrt(low * high))[:, 0], np.inf)


@dataclass(frozen=True)
class Drawn:
    """Simulated intensities ``(n, n_dose)`` with true ln D½ ``(n,)`` in normalised dose."""

    truth: Truth
    values: np.ndarray
    log_half: np.ndarray

    def series(self):
        """The series as a user has it, one pixel for each repeat."""
        n, frames = self.values.shape
        dose = DOSE_MAX * np.arange(1, frames + 1) / frames
        axes = [
            {"size": n, "name": "x"},
            {"size": 1, "name": "window"},
            {"axis": dose, "name": "dose", "units": "e⁻/Å²"},
        ]
        series = hs.signals.Signal1D(self.values[:, None].copy(), axes=axes)
        series.set_signal_type("DoseSeries")
        series.metadata.set_item("Dose.window_names", ["w"])
        series.metadata.set_item("Dose.dose_rate", 1.0)
        if self.truth.counting:
            series.set_noise_variance(
                series._deepcopy_with_new_data(np.full_like(series.data, self.truth.noise**2))
            )
        return series
