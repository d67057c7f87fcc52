# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise and nuisances are found in data that were made with known ones."""

from dataclasses import replace

import numpy as np
import pytest

from hyperspy_dosekin.classification.estimation import (
    EstimationOptions,
    estimate_nuisances,
    likeliest,
)
from hyperspy_dosekin.classification.noise import NoiseModel, PrincipalComponents, estimate_noise
from hyperspy_dosekin.classification.nuisances import Nuisances, background_basis, shift_templates
from hyperspy_dosekin.classification.references import ReferenceSet

from .problems import draw, make_nuisances, make_references


@pytest.fixture(scope="module")
def references():
    return make_references()


@pytest.fixture(scope="module")
def estimated(references):
    spectra, _, label = draw(references, make_nuisances(references), 3000)
    noise = estimate_noise(spectra, PrincipalComponents.of(spectra, 8))
    found = estimate_nuisances(spectra, references, noise, np.random.default_rng(1))
    return spectra, label, noise, found


def test_noise_is_that_of_the_simulation(references, estimated):
    spectra, _, noise, _ = estimated
    truth = make_nuisances(references).noise
    # 3000 spectra in 47 channels: each variance to 2.6 %, the mean of them to 0.4 %; the
    # components take a little more noise than their share.
    level = spectra.mean(axis=0)
    assert noise.variance(level).mean() == pytest.approx(truth.variance(level).mean(), rel=0.03)
    assert noise.gain == pytest.approx(truth.gain, abs=0.0015)


def test_noise_of_counts_after_background_subtraction():
    rng = np.random.default_rng(0)
    signal = np.outer(rng.uniform(0.2, 3.0, 4000), np.hanning(61)) + 1.0
    counts = rng.poisson(50 * signal) / 50 - 1.0
    found = estimate_noise(counts, PrincipalComponents.of(counts, 3))
    # variance = (intensity + 1)/50; tolerance: five standard errors of the slope
    assert found.gain == pytest.approx(1 / 50, rel=0.06)
    assert found.offset.mean() == pytest.approx(1 / 50, rel=0.03)


def test_noise_free_data_have_next_to_no_noise():
    clean = np.outer(np.linspace(1, 2, 400), np.hanning(40))
    found = estimate_noise(clean, PrincipalComponents.of(clean, 4))
    assert 0 < found.variance(clean[0]).max() < 1e-4 * clean.var()


def test_nuisances_are_those_of_the_simulation(estimated):
    _, label, _, found = estimated
    # Tolerances: the scatter over seeds is a third of them. The width of the scale is made 7 %
    # wider on purpose.
    assert found.scale_mean == pytest.approx(1.0, abs=0.04)
    assert found.scale_sd == pytest.approx(1.07 * 0.15, rel=0.15)
    assert found.shift_mean_ev == pytest.approx(0.0, abs=0.1)
    assert found.shift_sd_ev == pytest.approx(0.4, rel=0.25)
    assert found.summary()["background_sd"] == pytest.approx(0.04, rel=0.25)
    assert found.class_share == pytest.approx(np.bincount(label) / label.size, abs=0.03)


#: Enough to compare two estimates of the same spectra.
FEW = EstimationOptions(rounds=3)


def test_units_of_the_references_do_not_matter(references, estimated):
    spectra, _, noise, _ = estimated
    spectra = spectra[:300]
    found = estimate_nuisances(spectra, references, noise, np.random.default_rng(1), FEW)
    other = ReferenceSet(
        references.energy_ev, references.spectra * 730, references.class_of, references.names
    )
    again = estimate_nuisances(spectra, other, noise, np.random.default_rng(1), FEW)
    assert again.scale_mean * 730 == pytest.approx(found.scale_mean, rel=0.05)
    assert again.class_share == pytest.approx(found.class_share, abs=0.03)


def test_spectra_of_an_unknown_kind_are_left_out(references, estimated):
    spectra, _, noise, found = estimated
    strange = spectra[:50] + 3.0 * np.sin(np.arange(47) / 2)
    mixed = np.concatenate([strange, spectra[50:1000]])
    again = estimate_nuisances(mixed, references, noise, np.random.default_rng(1))
    assert again.scale_sd == pytest.approx(found.scale_sd, rel=0.15)
    assert again.noise.offset.mean() == pytest.approx(found.noise.offset.mean(), rel=0.1)


def test_uniform_thickness_is_told_from_normal(references):
    truth = replace(make_nuisances(references, noise_sd=0.02, gain=0.0), scale_shape="uniform")
    spectra, _, _ = draw(references, truth, 1000)
    noise = NoiseModel(np.full(47, 0.02**2), 0.0)
    options = EstimationOptions(rounds=8)
    found = estimate_nuisances(spectra, references, noise, np.random.default_rng(0), options)
    assert found.scale_shape == "uniform"


def test_broadening_is_found_by_likelihood(references):
    from scipy.ndimage import gaussian_filter1d

    def broadened(channels):
        spectra = gaussian_filter1d(references.spectra, channels, axis=1, mode="nearest")
        return ReferenceSet(references.energy_ev, spectra, references.class_of, references.names)

    candidates = [broadened(width) for width in (0.1, 2.0, 5.0)]
    spectra, _, _ = draw(candidates[1], make_nuisances(references, noise_sd=0.05), 800)
    assert likeliest(spectra, candidates, np.random.default_rng(0), 600, 4) == 1


def test_templates_move_up_in_energy():
    template = np.eye(1, 20, 8)
    moved = shift_templates(template, np.array([0.0, 3.0, -2.5]))
    assert moved.shape == (1, 3, 20)
    assert moved[0, 0] @ np.arange(20) == 8
    assert moved[0, 1] @ np.arange(20) == pytest.approx(11)
    assert moved[0, 2] @ np.arange(20) == pytest.approx(5.5)


def test_backgrounds_span_power_laws():
    energy = np.linspace(677, 737, 240)
    basis = background_basis(energy)
    assert basis @ basis.T / 240 == pytest.approx(np.eye(2), abs=1e-9)
    for exponent in (1.0, 3.3, 6.0):
        law = (energy / energy[0]) ** -exponent
        rest = law - (basis @ law / 240) @ basis
        assert np.abs(rest).max() < 4e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale_sd": -1.0}, "scale_sd=-1.0"),
        ({"scale_mean": 0.0}, "scale_mean=0.0"),
        ({"scale_shape": "odd"}, "scale_shape='odd'"),
    ],
)
def test_impossible_nuisances_are_refused(references, change, message):
    known = make_nuisances(references)
    with pytest.raises(ValueError, match=message):
        Nuisances(**{**vars(known), **change})
