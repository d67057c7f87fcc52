# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels that share a population do not claim more than an error they have in common allows."""

import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.signals.axes.shared_error import attach_shared_errors
from hyperspy_dosekin.signals.kinetics.common_error import widened

DOSE = 100.0 * np.arange(1, 10)
#: A drift of one percent of all values from the first frame to the last.
DRIFT = 0.01 * np.linspace(1, -1, 9)
#: D½ of the first-order decay of all pixels.
HALF = 400.0


def series(drift):
    """Pixels of one rate above a large offset, all with the same drift of the normalisation."""
    random = np.random.default_rng(0)
    integrity = np.exp(-np.log(2) * DOSE / HALF)
    amplitude = random.uniform(0.8, 1.2, (6, 8, 1, 1))
    values = (amplitude * integrity + 10) * (1 + drift * DRIFT)
    values = values + 0.02 * random.normal(size=values.shape)
    signal = hs.signals.Signal1D(values)
    signal.axes_manager[-1].scale = signal.axes_manager[-1].offset = 100.0
    signal.set_signal_type("DoseSeries")
    attach_shared_errors(signal, {"normalisation": np.broadcast_to(DRIFT, values.shape)})
    return signal


@pytest.fixture(scope="module")
def drifting():
    return series(1.0)


@pytest.fixture(scope="module")
def result(drifting):
    return drifting.fit_dose_kinetics(law="first order", spatial="population")


def inside(result):
    lower, upper = (end.data for end in result.interval("half_integrity_dose"))
    return ((lower < HALF) & (upper > HALF)).mean()


def test_noise_alone_would_be_wrong(drifting):
    """The drift moves D½ by more than the intervals of all pixels together allow."""
    alone = drifting.fit_dose_kinetics(
        law="first order", spatial="population", processing_error=False
    )
    assert inside(alone) < 0.3
    assert alone.identifiable.data.mean() > 0.7


def test_common_error_is_in_the_intervals(result):
    assert inside(result) > 0.9
    assert result.identifiable.data.mean() < 0.3
    assert "drift of the normalisation" in str(result)


@pytest.mark.parametrize("level", [0.68, 0.99])
def test_other_levels_hold_it_too(result, level):
    lower, upper = (end.data for end in result.interval("half_integrity_dose", level))
    middle = [end.data for end in result.interval("half_integrity_dose", 0.9)]
    wider = (lower < middle[0]).mean() > 0.9 and (upper > middle[1]).mean() > 0.9
    assert bool(wider) is (level > 0.9)


def test_result_of_a_file_is_the_same(result, tmp_path):
    result.save(tmp_path / "shared.hspy")
    same = hyperspy_dosekin.load(tmp_path / "shared.hspy")
    for one, other in zip(
        result.interval("half_integrity_dose", 0.9),
        same.interval("half_integrity_dose", 0.9),
        strict=True,
    ):
        np.testing.assert_allclose(one.data, other.data)


def test_lazy_is_eager(drifting, result):
    lazy = drifting.as_lazy().fit_dose_kinetics(law="first order", spatial="population")
    for one, other in zip(
        result.interval("half_integrity_dose"),
        lazy.compute(show_progressbar=False).interval("half_integrity_dose"),
        strict=True,
    ):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-6)


def test_quadrature():
    shift = np.array([0.0, 0.3])
    lower, upper = widened(
        np.array([90.0, 90.0]), np.array([120.0, np.inf]), np.array([100.0, 100.0]), shift, 0.95,
        logarithmic=True,
    )  # fmt: skip
    np.testing.assert_allclose(lower[0], 90)
    np.testing.assert_allclose(upper, [120, np.inf])
    reach = np.hypot(np.log(100 / 90), 0.3 * 1.959964)
    np.testing.assert_allclose(lower[1], 100 * np.exp(-reach), rtol=1e-6)


def test_network_is_compared_with_the_exact_solution_of_noise_alone(drifting):
    """A network knows nothing of common errors; with them the exact loss would be larger."""
    mean = drifting.mean(axis=(0, 1))
    attach_shared_errors(mean, {"normalisation": np.broadcast_to(DRIFT, mean.data.shape)})
    found = mean.fit_dose_kinetics(estimator="pinn", show_progressbar=False)
    assert found.data.metadata.has_item("Dosekin.shared_errors")
    np.testing.assert_allclose(found.certificate.loss_ratio, 1, atol=0.3)
