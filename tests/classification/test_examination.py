# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""References that do not fit are named, and those that do are not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from hyperspy_dosekin.classification.examination import zero_of
from hyperspy_dosekin.classification.fitting import fit_model
from hyperspy_dosekin.classification.prediction import predict
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.settings import FitSettings

from .test_likelihood import ENERGY, SHAPES, counted


def counts(number=700, *, moved=0.0, plural=0.0, unknown=0.0, seed=0, **options):
    """Spectra and labels; moved in energy, or scattered twice."""
    _, _, label, thickness = counted(number, unknown=unknown, seed=seed, **options)
    rng = np.random.default_rng(seed + 100)
    shapes = 150 * np.stack([np.interp(ENERGY - moved, ENERGY, shape) for shape in SHAPES])
    if plural:
        loss = ENERGY - ENERGY[0]
        plasmon = 1 / (1 + ((loss - 20) / 5) ** 2)
        again = np.stack([np.convolve(shape, plasmon / plasmon.sum()) for shape in shapes])
        shapes = shapes + plural * again[:, : ENERGY.size]
    net = thickness[:, None] * shapes[label]
    below = 60 * thickness[:, None]
    return rng.poisson(net + below) - below, label


def fitted(spectra, table=100 * SHAPES[:2]):
    references = ReferenceSet(ENERGY, table, np.array([0, 1]), ("low", "high"))
    return fit_model(spectra, references, FitSettings(with_network=False, prior="uniform"))


@pytest.mark.parametrize("seed", [0, 1])
def test_references_that_fit_are_not_complained_about(seed):
    spectra, _ = counts(seed=seed)
    report = fitted(spectra).report
    assert report["problems"] == []
    assert report["notes"] == []
    assert (np.asarray(report["cosine"]) > 0.995).all()
    error = report["data_weight"] * np.abs(report["data_confidence"] - report["data_accuracy"])
    assert error.sum() < 0.01


@pytest.mark.parametrize(
    ("data", "table", "said"),
    [
        ({"moved": 2.0}, 100 * SHAPES[:2], r"\+2\.\d\d eV from the references"),
        ({}, gaussian_filter1d(100 * SHAPES[:2], 3, axis=1), "references do not fit, most in 70"),
        ({"unknown": 0.25}, 100 * SHAPES[:2], "resemble no class"),
        ({}, SHAPES[:2] * [[100], [300]], "not in the same unit"),
        ({}, 100 * SHAPES[[0, 2]], "a reference is wrong and the shift"),
    ],
    ids=["zero", "broadening", "missing", "units", "wrong"],
)
def test_references_that_do_not_fit_are_named(data, table, said):
    spectra, _ = counts(**data)
    problems = "\n".join(fitted(spectra, table).report["problems"])
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(problems)


def test_what_most_spectra_leave_is_said_once_and_hides_no_phase():
    spectra, label = counts(1000, unknown=0.2)
    below = 60.0
    gain = 1 + 0.03 * np.random.default_rng(5).standard_normal(ENERGY.size)
    model = fitted((spectra + below) * gain - below)
    problems = model.report["problems"]
    assert sum("references do not fit" in problem for problem in problems) == 1
    assert any("resemble no class" in problem for problem in problems)
    assert any("beyond novelty 2" in note for note in model.report["notes"])
    assert not any("not like their reference" in problem for problem in problems)
    novelty = predict((spectra + below) * gain - below, model=model)[:, 2]
    assert (novelty[label < 2] > 2).mean() < 0.04
    assert (novelty[label == 2] > 2).mean() > 0.9


def test_what_far_spectra_differ_by_is_said():
    """A background that a twentieth has and the others do not is told from a phase that is not."""
    said = []
    for what in (np.linspace(25, -25, ENERGY.size), 25 * np.sin(np.arange(ENERGY.size) / 2)):
        spectra, _ = counts(700)
        spectra[:40] += what
        (note,) = fitted(spectra).report["notes"]
        assert 5 <= float(note.split(" %")[0]) < 7.5
        said.append(float(note.split("describes ")[1].split(" %")[0]))
    assert said[0] > 80
    assert said[1] < 30


def test_plural_scattering_becomes_a_nuisance():
    spectra, label = counts(plural=1.0)
    model = fitted(spectra)
    assert any("plural scattering" in note for note in model.report["notes"])
    assert len(model.nuisances.background_basis) - model.nuisances.n_misfit == 3
    found = predict(spectra, model=model)
    assert (found[:, :2].argmax(1) == label).mean() > 0.99
    assert (found[:, 2] > 2).mean() < 0.04


def test_another_zero_of_other_data_is_found_and_another_composition_is_not_one():
    spectra, _ = counts()
    model = fitted(spectra)
    moved, label = counts(300, moved=1.0, seed=7)
    zero = zero_of(moved, None, model.likelihood, model.nuisances, ENERGY)
    assert zero == pytest.approx(1.0, abs=0.26)
    there = replace(model, zero_ev=zero)
    assert (predict(moved, model=there)[:, :2].argmax(1) == label).mean() > 0.99
    same, label = counts(600, seed=8)
    only = same[label == 1]
    assert zero_of(only, None, model.likelihood, model.nuisances, ENERGY) == 0
