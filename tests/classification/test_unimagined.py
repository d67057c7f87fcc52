# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that the simulator of the package does not make: results hold, or a warning comes."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.fft import dct
from scipy.ndimage import gaussian_filter1d

from hyperspy_dosekin.classification import fitting
from hyperspy_dosekin.classification.blurred_noise import blurring, find_colour, whitening
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
    subtracted, part of it; `read` noise, over `hum` channels alike; `aligned` by interpolation;
    `rows`: offsets of whole spectra; `level` that is left.
    """

    share: tuple[float, ...] = (0.5, 0.3, 0.2)
    gain: float = 0.0
    drift: float = 0.0
    blur: float = 0.0
    spread: float = 0.0
    excess: float = 0.0
    read: float = 0.0
    hum: float = 0.0
    aligned: bool = False
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
        read = rng.standard_normal(counts.shape)
        if self.hum:
            read = gaussian_filter1d(read, self.hum, axis=1)
        counts += self.read * read / read.std() + self.level
        if self.aligned:
            part = rng.random((NUMBER, 1))
            counts = (1 - part) * counts + part * np.roll(counts, -1, axis=1)
        counts += self.rows * rng.standard_normal((NUMBER, 1))
        spectra = counts - (1 + self.excess) * thickness * BELOW
        return self.factor * (spectra / thickness if self.normalised else spectra), label


CASES = {
    "as imagined": Case(),
    "gain of channels": Case(gain=0.02, said="references do not fit"),
    "gain of channels, strong": Case(gain=0.05, false=0.05, said="references do not fit"),
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
    "read noise that is alike": Case(read=6.0, hum=2.0, accuracy=0.95, error=0.035),
    "aligned by interpolation": Case(aligned=True),
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


def blurred(rng, number, blur, white, n_channels=120):
    """Noise of a blur, and as much white noise as a part of it; wrapped, so alike everywhere."""
    noise = rng.standard_normal((number, n_channels))
    if blur:
        noise = gaussian_filter1d(noise, blur, axis=1, mode="wrap")
    return noise / noise.std() + np.sqrt(white) * rng.standard_normal(noise.shape)


@pytest.mark.parametrize(
    ("blur", "white"), [(0.6, 0.0), (1.0, 0.0), (1.0, 0.1), (1.5, 5.0), (2.5, 6.0), (5.0, 6.0)]
)
def test_colour_of_noise_is_found(blur, white):
    noise = blurred(np.random.default_rng(3), 500, blur, white)
    found, reach = find_colour(noise / noise.std(), np.zeros((1, 120)))
    assert reach == 1
    kernel = gaussian_filter1d(np.eye(121)[60], blur)
    expected = (kernel.sum() ** 2 / (kernel**2).sum() + white) / (1 + white)
    assert found[0] == pytest.approx(expected, rel=0.12)
    assert found.mean() == pytest.approx(1)
    # What it filters is white
    left = dct(noise / noise.std() @ whitening(found), norm="ortho", axis=1)
    power = (left**2).mean(axis=0)
    assert power[found > 1] == pytest.approx(1, abs=0.35)


def test_independent_channels_have_no_colour():
    noise = np.random.default_rng(3).standard_normal((500, 120))
    assert find_colour(noise, np.zeros((1, 120))) is None


def test_noise_is_made_with_its_colour():
    noise = blurred(np.random.default_rng(4), 4000, 0.9, 0.05, 80)
    colour, _ = find_colour(noise / noise.std(), np.zeros((1, 80)))
    made = blurring(colour)
    np.testing.assert_allclose((made**2).sum(axis=1)[10:-10], 1, atol=0.03)
    seen = np.corrcoef(noise.T)[40, 30:51]
    assert (made @ made)[40, 30:51] == pytest.approx(seen, abs=0.05)
