# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits in pieces, because a device holds no more, are those of the whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.estimate import fit as exact
from hyperspy_dosekin.kinetics.estimate import search as batched_fit
from hyperspy_dosekin.kinetics.estimate.exact_fit import ARRAYS
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior import posterior, profile
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.profile import kinetic_profile
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.kinetics.posterior.scan import ScanData
from hyperspy_dosekin.kinetics.simulation import draw_prior, simulate_curves
from hyperspy_dosekin.numerics import batching

HALF = Quantity("half_integrity_dose")


@pytest.fixture(scope="module")
def problem():
    random = np.random.default_rng(0)
    problem = simulate_curves(random, *draw_prior(random, (23, 3)), noise=0.01).problem
    values = problem.values.copy()
    values[4, 1] = 2.0
    values[7, :, 3] = np.nan
    return replace(problem, values=values, window_names=("C–O", "C–C", "M–O"))


@pytest.fixture
def another_device(monkeypatch):
    """The way of a device that is not the processor, taken on the processor."""

    def through(size):
        real = torch.device("cpu")

        class Other:
            type = "cpu, as another device"

            def __str__(self):
                return "other:0"

        monkeypatch.setattr(exact, "_DEVICE_CURVES", size)
        monkeypatch.setattr(exact, "resolve_device", lambda device: Other())
        monkeypatch.setattr(exact, "Ferry", lambda device: batching.Ferry(real))

    return through


def _assert_same(found, expected):
    pairs = {name: (getattr(found, name), getattr(expected, name)) for name in ARRAYS}
    pairs |= {
        name: (found.parameters[name], expected.parameters[name]) for name in found.parameters
    }
    for name, (ours, whole) in pairs.items():
        # Converged curves leave at every second step, and where all have, before: one may do
        # a step more, which promises less than 1e-7 in deviance, 3e-4 standard deviations.
        np.testing.assert_allclose(ours, whole, rtol=2e-4, err_msg=name)


@pytest.mark.parametrize(
    "options", [{}, {"exponent": "shared"}, {"offset": 5.0}, {"loss": "huber"}]
)
def test_pieces_are_fitted_as_the_whole(problem, another_device, options):
    config = ExactConfig(**options, hierarchy=(("C–O", "C–C"),))
    whole = fit_exact(problem, config)
    another_device(5 * 3)
    _assert_same(fit_exact(problem, config), whole)


def test_offsets_of_pixels_go_with_their_pieces(problem, another_device):
    offset = np.random.default_rng(1).uniform(4.9, 5.1, problem.values.shape[:2])
    whole = fit_exact(problem, ExactConfig(offset=offset))
    another_device(4 * 3)
    _assert_same(fit_exact(problem, ExactConfig(offset=offset)), whole)


def test_out_of_memory_is_noted_in_the_fit(problem, monkeypatch, caplog):
    whole = fit_exact(problem)
    fit = batched_fit.fit_curves

    def limited(curves, *others):
        if len(curves.values) > 6:
            raise torch.OutOfMemoryError("simulated")
        return fit(curves, *others)

    monkeypatch.setattr(batched_fit, "fit_curves", limited)
    found = fit_exact(problem)
    _assert_same(found, whole)
    assert whole.notes == ()
    assert [note.split(" did not")[0] for note in found.notes] == [
        "exact fit: a batch of 23",
        "exact fit: a batch of 11",
    ]
    assert found.notes[0] in caplog.text


@pytest.mark.parametrize(
    ("module", "make"), [(posterior, kinetic_posterior), (profile, kinetic_profile)]
)
def test_intervals_in_a_small_memory(problem, monkeypatch, caplog, module, make):
    options = replace(ExactConfig(), prior=None) if make is kinetic_profile else ExactConfig()
    fit = fit_exact(problem, options)
    whole = make(problem, options, fit=fit).interval(HALF.name)
    made = ScanData.of

    def limited(curves, index, *others):
        if index.size > 20:
            raise torch.OutOfMemoryError("simulated")
        return made(curves, index, *others)

    monkeypatch.setattr(module.ScanData, "of", limited)
    found = make(problem, options, fit=fit)
    ends = found.interval(HALF.name)
    name = "posterior" if make is kinetic_posterior else "profile"
    # Batches leave the search for rows together, when their last one has converged.
    np.testing.assert_allclose(ends, whole, rtol=2e-3)
    assert f"{name}: a batch of 68 did not fit" in caplog.text
    np.testing.assert_array_equal(np.isnan(ends[0]), fit.dead)


def test_no_curves_at_all(problem):
    nothing = fit_exact(replace(problem, values=problem.values[:0]))
    assert nothing.rate.shape == (0, 3)
    assert nothing.converged.dtype == bool
