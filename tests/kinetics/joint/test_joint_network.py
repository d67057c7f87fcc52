# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One network for several series ends at the exact joint fit."""

from dataclasses import replace

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.joint.fit import fit_jointly
from hyperspy_dosekin.kinetics.joint.network import common_mode_of, fit_joint_network
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.network.certificate import certify
from hyperspy_dosekin.kinetics.network.config import PROTOCOLS, NetworkConfig

EXACT = [ExactConfig(nonnegative=False)] * 2
NETWORK = [NetworkConfig(**{**PROTOCOLS["fast"], "seeds": (1,), "hierarchy": ()})] * 2


def series(seed, rates, frames, noise, missing=False):
    random = np.random.default_rng(seed)
    dose = np.arange(1, frames + 1) / frames
    values = (1 + 0.3 * np.array(rates)[:, None] * dose) ** (-1 / 0.3) + 1
    values += noise * random.normal(size=values.shape)
    if missing:
        values[0, 3] = np.nan
    return DoseProblem((seed + 1) * 700 * dose, values[None], tuple("abc"[: len(rates)]))


@pytest.fixture(scope="module", params=[(9, 0.004, False), (70, 0.01, True)], ids=["few", "many"])
def joint(request):
    frames, noise, missing = request.param
    problems = [
        series(0, (2.0, 1.0, 4.0), frames, noise, missing),
        series(1, (3.0, 1.5), 7, 0.003),
    ]
    fit = fit_jointly(problems, EXACT, ("exponent",), common_mode=False)
    return problems, common_mode_of(problems, EXACT, fit.shape), fit


def fitted(problems, held):
    pairs = zip(problems, EXACT, strict=True)
    return [fit_exact(p, replace(config, held=held)) for p, config in pairs]


def test_equals_the_exact_joint_fit(joint):
    problems, mode, fit = joint
    exact = fitted(problems, mode)
    networks = fit_joint_network(problems, exact, NETWORK, DEFAULT_PRIOR, common_exponent=True)
    for network, one in zip(networks, exact, strict=True):
        certificate = certify(network, one, DEFAULT_PRIOR)
        assert certificate.good.all(), certificate.warnings()
        np.testing.assert_allclose(network.exponent, mode[0][1], atol=0.01)
        np.testing.assert_allclose(network.rate, one.rate, rtol=0.01)
        # Rates are per largest dose of the series.
        assert network.problem is problems[networks.index(network)]
    (low, high), (estimate,) = fit.shape.quantiles((0.025, 0.975))[0], fit.shape.estimate
    assert low < 1.3 < high
    assert abs(mode[0][1] - estimate) < 0.5 * (high - low)


def test_the_common_exponent_is_trained(joint):
    """From an exponent far away it comes most of the way back."""
    problems, mode, _ = joint
    start = (("exponent", mode[0][1] + 0.3),)
    networks = fit_joint_network(
        problems, fitted(problems, start), NETWORK, DEFAULT_PRIOR, common_exponent=True
    )
    assert abs(networks[0].exponent.item(0) - mode[0][1]) < 0.15
    # One number for all windows of all series.
    assert len({value for each in networks for value in each.exponent.ravel()}) == 1


def test_without_a_common_exponent_each_window_has_its_own(joint):
    problems, _, _ = joint
    exact = fitted(problems, ())
    networks = fit_joint_network(problems, exact, NETWORK, DEFAULT_PRIOR, common_exponent=False)
    for network, one in zip(networks, exact, strict=True):
        assert certify(network, one, DEFAULT_PRIOR).good.all()
        assert np.unique(network.exponent).size == network.exponent.size
