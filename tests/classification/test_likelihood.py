# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bayes' rule for single spectra, on counts that were made without the simulator of the package."""

from dataclasses import replace

import numpy as np
import pytest

from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.estimation import estimate_nuisances
from hyperspy_dosekin.classification.explanations import Explainer
from hyperspy_dosekin.classification.fitting import fit_model
from hyperspy_dosekin.classification.foretold import Foretold
from hyperspy_dosekin.classification.noise import (
    NoiseModel,
    PrincipalComponents,
    estimate_noise,
)
from hyperspy_dosekin.classification.nuisances import Nuisances, background_basis
from hyperspy_dosekin.classification.pixel_noise import PixelNoise
from hyperspy_dosekin.classification.prediction import denoise, predict, unmix
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.scales import SCALES
from hyperspy_dosekin.classification.settings import FitSettings

ENERGY = np.arange(690, 745, 0.5)


def line(centre, width):
    return 1 / (1 + ((ENERGY - centre) / width) ** 2)


def step(start):
    return 0.15 * (0.5 + np.arctan((ENERGY - start) / 0.8) / np.pi)


SHAPES = np.stack(
    [
        line(707.7, 0.9) + 0.2 * line(720.7, 1.3) + step(709),
        line(709.3, 0.9) + 0.25 * line(722.3, 1.3) + step(711),
        0.65 * line(706.8, 1.4) + 0.22 * line(719.8, 2.0) + 1.3 * step(708),
    ]
)


def counted(n=1200, counts=150.0, background=60.0, *, unknown=0.0, normalised=False, seed=0):
    """Background-subtracted counts, the background as thick as the specimen, and their truth."""
    rng = np.random.default_rng(seed)
    label = rng.choice(3, n, p=[(1 - unknown) / 2] * 2 + [unknown])
    thickness = rng.lognormal(-0.03, 0.25, (n, 1))
    expected = thickness * (counts * SHAPES[label] + background)
    spectra = rng.poisson(expected) - thickness * background
    unit = thickness if normalised else 1.0
    return spectra / unit, expected / unit**2, label, thickness[:, 0]


def references(factor=100.0):
    return ReferenceSet(ENERGY, factor * SHAPES[:2], np.array([0, 1]), ("low", "high"))


def fitted(spectra, variance=None, **options):
    settings = FitSettings(with_network=False, prior="uniform", **options)
    return fit_model(spectra, references(), settings, variance=variance)


@pytest.fixture(scope="module")
def plain():
    spectra, variance, label, thickness = counted()
    return fitted(spectra), spectra, variance, label, thickness


def test_classes_are_right_and_probabilities_sum_to_one(plain):
    model, spectra, _, label, _ = plain
    found = predict(spectra, model=model)
    assert found.shape == (len(spectra), 3)
    assert found[:, :2].sum(1) == pytest.approx(1, abs=1e-6)
    assert (found[:, :2].argmax(1) == label).mean() > 0.998


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_false_alarms_have_their_rate_in_thin_and_in_thick_parts(normalised, given):
    spectra, variance, _, thickness = counted(normalised=normalised, seed=3)
    known = variance if given else None
    model = fitted(spectra, known)
    novelty = predict(spectra, known, model=model)[:, 2]
    alarm = novelty > 2
    # One in a hundred of 1 500: 5 to 30 by chance in all, up to 11 in a quarter.
    assert 0.003 < alarm.mean() < 0.02
    for part in np.array_split(np.argsort(thickness), 4):
        assert alarm[part].mean() <= 0.03


def test_noise_of_single_spectra_is_that_of_their_counts():
    for normalised in (False, True):
        spectra, variance, _, thickness = counted(normalised=normalised)
        components = PrincipalComponents.of(spectra, 8)
        model = estimate_noise(spectra, components)
        noise = PixelNoise.of(spectra, model, components, variance)
        thick = thickness > np.quantile(thickness, 0.75)
        for found, tolerance in (
            (noise.variance(spectra), 0.1),
            (noise.variance(spectra, variance), 0.04),
        ):
            ratio = (found / variance).mean(axis=1)
            assert ratio.mean() == pytest.approx(1, abs=tolerance)
            assert ratio[thick].mean() == pytest.approx(ratio[~thick].mean(), abs=0.06)


@pytest.mark.parametrize("share", [0.03, 0.3])
def test_an_unknown_phase_is_novel_and_widens_nothing(plain, share):
    spectra, _, label, _ = counted(unknown=share, counts=250, background=100, seed=1)
    model = fitted(spectra)
    novelty = predict(spectra, model=model)[:, 2]
    assert (novelty[label == 2] > 2).mean() > 0.97
    assert (novelty[label < 2] > 2).mean() < 0.03
    clean = plain[0].nuisances
    assert model.nuisances.shift_sd_ev < 2 * clean.shift_sd_ev + 0.02
    assert model.nuisances.strange_share == pytest.approx(share, abs=0.03)


def test_scale_integrals_agree_with_quadrature():
    rng = np.random.default_rng(0)
    mean, sd = 1.3, 0.35
    square = rng.uniform(0.5, 400, 12)
    linear = square * rng.lognormal(np.log(mean), 0.3, 12)
    a = np.linspace(1e-3, 6, 60_001)
    variance = np.log1p((sd / mean) ** 2)
    density = {
        "normal": np.exp(-0.5 * ((a - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi)),
        "uniform": (np.abs(a - mean) < np.sqrt(3) * sd) / (2 * np.sqrt(3) * sd),
        "lognormal": np.exp(-((np.log(a / mean) + variance / 2) ** 2) / (2 * variance))
        / (a * np.sqrt(2 * np.pi * variance)),
    }
    for shape, prior in density.items():
        found = SCALES[shape](linear, square, mean, sd)
        top = linear * a[:, None] - 0.5 * square * a[:, None] ** 2
        peak = top.max(axis=0)
        exact = peak + np.log(np.trapezoid(np.exp(top - peak) * prior[:, None], a, axis=0))
        # Laplace's method is right to a hundredth where the scale is known to a third
        assert found.log_marginal == pytest.approx(exact, abs=0.03), shape
        assert (found.penalty >= 0).all()


def exact_log_odds(spectra, shapes, counts, background, widths):
    """Of the first class, thickness on a grid, each explanation with the noise it foretells."""
    score = np.linspace(-4, 4, 81)
    log = []
    for shape in shapes:
        of_scale = []
        for thick in np.exp(0.25 * score - 0.03):
            signal = thick * counts * shape
            variance = thick * (counts * shape + background)
            curves = widths[:, None] * background_basis(ENERGY)
            covariance = np.diag(variance) + curves.T @ curves
            left = np.linalg.solve(np.linalg.cholesky(covariance), (spectra - signal).T)
            of_scale.append(-0.5 * (left**2).sum(0) - 0.5 * np.linalg.slogdet(covariance)[1])
        log.append(np.logaddexp.reduce(np.array(of_scale) - 0.5 * score[:, None] ** 2, axis=0))
    return log[0] - log[1]


def test_noise_tells_the_thickness_of_classes_that_differ_in_height():
    rng = np.random.default_rng(4)
    shapes, counts, background = np.stack([SHAPES[0], 0.7 * SHAPES[0]]), 150.0, 300.0
    label = rng.integers(0, 2, 400)
    thickness = rng.lognormal(-0.03, 0.25, (400, 1))
    mean = counts * shapes[label] + background
    spectra = rng.poisson(thickness * mean) - thickness * background
    widths = np.array([3.0, 1.0])
    # Of the mean of both classes, which says what the thickness is
    mean_shape = counts * shapes.mean(axis=0)
    noise = NoiseModel(
        np.zeros(ENERGY.size),
        1.0,
        np.full(ENERGY.size, background),
        mean_shape / (mean_shape**2).sum(),
    )
    known = Nuisances(
        noise=noise,
        scale_mean=1.0,
        scale_sd=float(np.sqrt(np.expm1(0.25**2))),
        scale_shape="lognormal",
        shift_mean_ev=0.0,
        shift_sd_ev=1e-3,
        background_basis=background_basis(ENERGY),
        background_mean=np.zeros(2),
        background_covariance=np.diag(widths**2),
        class_share=np.full(2, 0.5),
    )
    rule = Explainer(counts * shapes, np.array([0, 1]), ENERGY)
    exact = exact_log_odds(spectra, shapes, counts, background, widths)
    errors, apart = {}, {}
    for name, foretold in (
        ("unused", None),
        ("used", Foretold(noise, 0.0, np.sqrt(2 / ENERGY.size))),
    ):
        found = rule.explain(spectra, thickness * mean, known, 3, foretold=foretold)
        log = found.by_class(rule.class_of, 2)
        odds = log[:, 0] - log[:, 1]
        errors[name] = ((odds < 0) != label).mean()
        apart[name] = np.median(np.abs(odds - exact))
    assert errors["used"] == pytest.approx(((exact < 0) != label).mean(), abs=0.01)
    assert errors["used"] < 0.8 * errors["unused"]
    assert apart["used"] < 0.2 * apart["unused"]
    # Neither distance nor scale is another
    plain = rule.explain(spectra, thickness * mean, known, 3)
    np.testing.assert_array_equal(found.distance, plain.distance)


def test_blocks_and_units_do_not_matter(plain):
    model, spectra, _, _, _ = plain
    whole = predict(spectra[:300], model=model)
    parts = np.concatenate([predict(spectra[i : i + 75], model=model) for i in range(0, 300, 75)])
    assert parts == pytest.approx(whole, abs=1e-5)
    larger = fitted(1e4 * spectra)
    assert predict(1e4 * spectra[:300], model=larger)[:, :2] == pytest.approx(
        whole[:, :2], abs=0.02
    )


def test_denoised_spectra_are_nearer_to_the_truth_than_principal_components(plain):
    model, spectra, _, label, thickness = plain
    truth = 150 * thickness[:, None] * SHAPES[label]
    components = PrincipalComponents.of(spectra, 10)
    found = denoise(spectra, model=model)
    error = np.sqrt(((found - truth) ** 2).mean())
    assert error < 0.6 * np.sqrt(((components.clean(spectra) - truth) ** 2).mean())


def test_composition_of_mixtures_lies_within_its_intervals(plain):
    model = plain[0]
    rng = np.random.default_rng(5)
    part = rng.uniform(0, 1, (400, 1))
    thickness = rng.lognormal(-0.03, 0.25, (400, 1))
    net = 150 * (part * SHAPES[0] + (1 - part) * SHAPES[1])
    spectra = rng.poisson(thickness * (net + 60)) - 60 * thickness
    found = unmix(spectra, model=model)
    assert found.shape == (400, 7)
    assert found[:, :2].sum(1) == pytest.approx(1, abs=1e-5)
    assert np.sqrt(np.mean((found[:, 0] - part[:, 0]) ** 2)) < 0.06
    inside = (found[:, 2] <= part[:, 0]) & (part[:, 0] <= found[:, 4])
    assert 0.9 < inside.mean() < 0.99
    even = np.abs(part[:, 0] - 0.5) < 0.25
    assert found[even, 6].mean() > 0.9
    pure = unmix(plain[1], model=model)[:, 6]
    # One in fifty is marked by chance.
    assert pure.mean() < 0.04


def test_a_model_without_network_comes_back_from_its_file(plain, tmp_path):
    from hyperspy_dosekin.classification.model_file import load_model, save_model

    model, spectra = plain[:2]
    # A class without signal has no cosine.
    cosine = np.array([0.99, np.nan])
    model = replace(model, report={**model.report, "cosine": cosine})
    save_model(model, tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert np.isnan(again.report["cosine"][1])
    assert predict(spectra[:50], model=again) == pytest.approx(predict(spectra[:50], model=model))
    assert unmix(spectra[:50], model=again) == pytest.approx(unmix(spectra[:50], model=model))


def test_spectra_without_data_give_nan_and_bad_variances_are_not_used(plain):
    model, spectra, variance, _, _ = plain
    rows = spectra[:4].copy()
    rows[1] = np.nan
    noise = variance[:4].copy()
    noise[2, 3] = np.inf
    found = predict(rows, noise, model=model)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2, 3]]).all()
    assert np.isnan(unmix(rows, model=model)[1]).all()


def test_only_the_likelihood_does_without_a_network():
    with pytest.raises(ValueError, match='network=False goes with classifier="likelihood"'):
        FitSettings(classifier="head", with_network=False)


def test_known_nuisances_are_taken_as_they_are(plain):
    known = plain[0].nuisances
    spectra = plain[1]
    settings = FitSettings(with_network=False, network=VAEConfig(seed=1))
    model = fit_model(spectra, references(), settings, nuisances=known)
    assert model.nuisances.scale_sd == known.scale_sd
    found = predict(spectra, model=model)[:, :2]
    assert found == pytest.approx(predict(spectra, model=plain[0])[:, :2], abs=0.1)


def test_a_wide_shift_is_found_from_a_narrow_start():
    rng = np.random.default_rng(2)
    x = np.arange(110)
    rows = np.stack([np.exp(-0.5 * ((x - 40 - d) / 6) ** 2) for d in rng.normal(0, 3, 800)])
    other = np.stack([np.exp(-0.5 * ((x - 60 - d) / 3) ** 2) for d in rng.normal(0, 3, 800)])
    clean = np.concatenate([rows, other])
    spectra = clean + 0.05 * rng.standard_normal(clean.shape)
    two = ReferenceSet(
        ENERGY,
        np.stack([np.exp(-0.5 * ((x - 40) / 6) ** 2), np.exp(-0.5 * ((x - 60) / 3) ** 2)]),
        np.array([0, 1]),
        ("wide", "narrow"),
    )
    noise = estimate_noise(spectra, PrincipalComponents.of(spectra, 10))
    found = estimate_nuisances(spectra, two, noise, np.random.default_rng(0))
    assert found.shift_sd_ev == pytest.approx(1.5, rel=0.1)


def test_what_a_longer_exposure_leaves_is_what_classes_have_in_common():
    from hyperspy_dosekin.classification.prediction import overlap

    rng = np.random.default_rng(4)
    label = rng.integers(0, 2, 1000)
    thickness = rng.lognormal(-0.03, 0.25, (1000, 1))
    heights = np.array([1.0, 0.75])[label, None]
    # Of the same shape: thickness can be taken for class, at any exposure.
    spectra = rng.poisson(thickness * (150 * heights * SHAPES[0] + 60)) - 60 * thickness
    same = ReferenceSet(ENERGY, 100 * SHAPES[[0, 0]] * [[1], [0.75]], np.array([0, 1]), ("a", "b"))
    settings = FitSettings(with_network=False, prior="uniform")
    alike = fit_model(spectra, same, settings)
    assert overlap(spectra[:200], model=alike).mean() > 0.2
    other, *_ = counted(700, counts=25, background=60)
    apart = fitted(other)
    unsure = predict(other, model=apart)[:, :2].max(1) < 0.9
    assert unsure.sum() > 20
    # Noise alone makes these unsure.
    assert overlap(other[unsure], model=apart).mean() < 0.05
