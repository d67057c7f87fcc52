# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that the simulator of the package does not make: results hold, or a warning comes."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from hyperspy_dosekin.classification import fitting
from hyperspy_dosekin.classification.blurred_noise import blurring, find_blur, power
from hyperspy_dosekin.classification.calibration import calibration_curve
from hyperspy_dosekin.classification.fitting import fit_model
from hyperspy_dosekin.classification.prediction import predict
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.settings import FitSettings

from .test_likelihood import ENERGY, SHAPES

#: Counts of the line and of the background, and number of spectra.
COUNTS, BELOW, NUMBER = 60.0, 60.0, 800


@dataclass(frozen=True)
class Case:
    """What is odd about spectra.

    `gain`: standard deviation of that of the channels; `drift` over the map, eV; `blur` of the
    lines, and `spread` of the counts by the detector, channels; `excess` of the background that is
    subtracted, part of it; `read` noise; `rows`: offsets of whole spectra; `level` that is left.
    """

    share: tuple[float, ...] = (0.5, 0.3, 0.2)
    gain: float = 0.0
    drift: float = 0.0
    blur: float = 0.0
    spread: float = 0.0
    excess: float = 0.0
    read: float = 0.0
    rows: float = 0.0
    level: float = 0.0
    normalised: bool = False
    factor: float = 1.0
    #: What is asked: accuracy, calibration error, false alarms at most, and a problem that is said.
    accuracy: float = 0.98
    error: float = 0.015
    false: float = 0.025
    said: str = field(default="")
    #: Data sets over which the calibration error is averaged.
    sets: int = 1

    def make(self, seed=0):
        """Spectra of three phases and their labels."""
        rng = np.random.default_rng(seed)
        label = rng.choice(3, NUMBER, p=self.share)
        thickness = rng.lognormal(-0.03, 0.25, (NUMBER, 1))
        moved = 0.2 * rng.standard_normal(NUMBER) + np.linspace(-self.drift, self.drift, NUMBER)
        net = [
            np.interp(ENERGY - shift, ENERGY, SHAPES[k])
            for k, shift in zip(label, moved, strict=True)
        ]
        net = gaussian_filter1d(net, self.blur, axis=1) if self.blur else np.stack(net)
        counts = rng.poisson(thickness * (COUNTS * net + BELOW)).astype(float)
        counts *= 1 + self.gain * rng.standard_normal(ENERGY.size)
        counts = gaussian_filter1d(counts, self.spread, axis=1) if self.spread else counts
        counts += self.read * rng.standard_normal(counts.shape) + self.level
        counts += self.rows * rng.standard_normal((NUMBER, 1))
        spectra = counts - (1 + self.excess) * thickness * BELOW
        return self.factor * (spectra / thickness if self.normalised else spectra), label


CASES = {
    "as imagined": Case(),
    "gain of channels": Case(gain=0.02, said="not like their reference"),
    "gain of channels, strong": Case(gain=0.05, false=0.05, said="not like their reference"),
    # Nothing but neighbours tells the drift, so that the lines of two phases overlap
    "drift of the energy": Case(drift=0.75, accuracy=0.93, error=0.035),
    "another resolution": Case(blur=0.7),
    "no pixel of a class": Case(share=(0.6, 0.4, 0.0)),
    "few pixels of a class": Case(share=(0.6, 0.395, 0.005), accuracy=0.995),
    "background too high": Case(excess=0.03),
    "normalised": Case(normalised=True),
    "rates": Case(factor=37.3),
    "tiny unit": Case(factor=1e-12),
    "counts that spread": Case(spread=1.0, sets=3),
    "counts that spread little": Case(spread=0.6),
    "counts that spread, read noise": Case(spread=1.0, read=3.0, accuracy=0.97, error=0.02),
    "read noise": Case(read=10.0, accuracy=0.96, error=0.025),
    "offsets of spectra": Case(rows=5.0, accuracy=0.97, error=0.02),
    "below zero": Case(level=-20.0, said="residual background"),
}


@pytest.fixture(autouse=True)
def few_simulations_for_the_report(monkeypatch):
    """What is judged here is not what the model says of itself."""
    monkeypatch.setattr(fitting, "_CALIBRATION", 600)


@pytest.mark.parametrize("name", CASES)
def test_classes_probabilities_and_novelty_hold(name):
    case = CASES[name]
    references = ReferenceSet(ENERGY, 100 * SHAPES, np.arange(3), ("low", "high", "other"))
    errors = []
    for seed in range(case.sets):
        spectra, label = case.make(seed)
        model = fit_model(spectra, references, FitSettings(with_network=False))
        found = predict(spectra, model=model)
        assert (found[:, :3].argmax(1) == label).mean() > case.accuracy
        errors.append(calibration_curve(found[:, :3], label).error)
        assert (found[:, 3] > 2).mean() < case.false
        said = "\n".join(model.report["problems"])
        assert case.said in said
        assert bool(said) == bool(case.said)
    assert np.mean(errors) < case.error


@pytest.mark.parametrize(("blur", "white"), [(0.0, 0.0), (0.6, 0.0), (1.0, 0.0), (1.0, 0.1)])
def test_blur_of_noise_is_found(blur, white):
    rng = np.random.default_rng(3)
    kernel = gaussian_filter1d(np.eye(121)[60], blur or 1e-3)
    noise = gaussian_filter1d(rng.standard_normal((500, 120)), blur or 1e-3, axis=1, mode="wrap")
    noise += np.sqrt(white) * rng.standard_normal(noise.shape)
    found = power(120, *find_blur(noise / noise.std()))
    expected = (kernel.sum() ** 2 + white) / ((kernel**2).sum() + white)
    assert found[0] == pytest.approx(expected, rel=0.05)


def test_simulated_noise_is_blurred_alike():
    matrix = blurring(80, 0.9, 0.05)
    np.testing.assert_allclose((matrix**2).sum(axis=1)[10:-10], 1, atol=0.03)
    inner = (matrix @ matrix)[40, 30:51]
    expected = gaussian_filter1d(np.eye(81)[40], 0.9 * np.sqrt(2))[30:51]
    assert inner == pytest.approx(
        (inner[10] - 0.05 * power(80, 0.9, 0.05)[0]) * expected / expected[10]
        + 0.05 * power(80, 0.9, 0.05)[0] * (np.arange(-10, 11) == 0),
        abs=0.02,
    )
