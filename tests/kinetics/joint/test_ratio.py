# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A common b/a against truths, closed forms and the Cramér–Rao bound."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize

from hyperspy_dosekin.kinetics.conditions.effects import Condition, Design
from hyperspy_dosekin.kinetics.conditions.fit import fit_window
from hyperspy_dosekin.kinetics.conditions.shapes import ratio_ends
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.joint import agreement, ratio_agreement
from hyperspy_dosekin.kinetics.joint.fit import fit_jointly
from hyperspy_dosekin.kinetics.joint.ratio_agreement import ratio_p_value, with_offset
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.laws.with_offset import OFFSET_ANGLE, WithOffset
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

DOSE = np.arange(1, 10) / 9
HALF = Quantity("half_integrity_dose")


def decay(rate, exponent):
    order = exponent - 1
    if abs(order) < 1e-9:
        return np.exp(-rate * DOSE)
    return np.maximum(1 + order * rate * DOSE, 0) ** (-1 / order)


def problem(seed, rates, amplitudes, ratios, noise, exponent=1.3):
    random = np.random.default_rng(seed)
    rows = [
        a * (decay(k, exponent) + r) + noise * a * random.normal(size=9)
        for k, a, r in zip(rates, amplitudes, ratios, strict=True)
    ]
    return DoseProblem(DOSE, np.array(rows)[None], tuple("ab"[: len(rows)]), None, 1.0)


@pytest.mark.parametrize("name", ["power law", "first order"])
def test_derivatives_with_the_offset(name):
    law = WithOffset(kinetic_law(name))
    point = [0.4, 0.2, 0.8][:: 1 if name == "power law" else 2]
    flags = [True] * len(point)

    def at(values):
        search = [torch.tensor(value, dtype=torch.float64) for value in values]
        return law.curve(torch.as_tensor(DOSE), search, slopes=flags)

    for place, found in enumerate(at(point)[1]):
        up, down = list(point), list(point)
        up[place] += 1e-6
        down[place] -= 1e-6
        slope = (at(down)[0] - at(up)[0]) / 2e-6
        np.testing.assert_allclose(found.expand(slope.shape), slope, atol=1e-8)


def test_common_ratio_reaches_the_bound_on_a_narrow_ridge():
    """Three dose rates at so little noise that exponent and ratio lie on a line.

    The bound of ln D½ at a noise of 1 % is 0.133 for these decays.
    """
    noise, truth = 1e-3, np.log(np.log(2))
    rates = np.array([1.0, 3.0, 10.0]) ** 0.3
    design = Design((Condition.of("dose_rate", [1.0, 3.0, 10.0], 1.0),), 3, 1)
    options = with_offset(ExactConfig())
    errors = []
    for seed in range(3):
        given = [problem(seed + 10 * i, [k], [1.0], [1.0], noise, 1.0) for i, k in enumerate(rates)]
        draws, shapes = fit_window(given, [options] * 3, design, number=2000)
        order = shapes[0][draws.shape] - 1
        half = np.log(np.expm1(order * np.log(2)) / order) - draws.log_rate[:, 0]
        low, middle, high = np.quantile(half, [0.025, 0.5, 0.975])
        assert low < truth < high
        errors.append(middle - truth)
        bound = 0.133 * noise / 0.01
        assert 0.8 * bound < half.std() < 1.8 * bound  # five frames say the noise of each
    assert np.sqrt(np.mean(np.square(errors))) < 2 * bound


def joint(ratios, share=True, noise=0.003):
    rates, amplitudes = [(1.0, 2.0), (1.6, 1.2), (2.5, 3.0)], [(1, 1), (1.5, 0.7), (0.8, -2)]
    given = [
        problem(seed, *each, (ratio, 0.4 if each[1][1] > 0 else -1.6), noise)
        for seed, (*each, ratio) in enumerate(zip(rates, amplitudes, ratios, strict=True))
    ]
    names = [("a", "b"), ("a", "b"), ("a", "grows")]
    return fit_jointly(
        given,
        [ExactConfig()] * 3,
        ("exponent",),
        common_mode=False,
        ratios=names if share else None,
    )


def test_ratios_by_name_make_windows_more_certain():
    fit, alone = joint([1.0] * 3), joint([1.0] * 3, share=False)
    for name, truth in {"a": 1.0, "b": 0.4, "grows": -1.6}.items():
        low, middle, high = fit.ratios.ratios[name]
        assert low < truth < high
        assert low < middle < high
    assert list(fit.ratios.p_values) == ["a", "b"]
    assert min(fit.ratios.p_values.values()) > 0.05
    summaries = [[s.posterior.summarise([HALF]) for s in each.series] for each in (fit, alone)]
    sd = np.array([[s.sd_log_half_dose[0] for s in each] for each in summaries])
    assert np.all(sd[0] < 1.1 * sd[1])
    assert sd[0, 0, 0] < 0.6 * sd[1, 0, 0]
    order = 0.3
    for rates, each in zip([(1.0, 2.0), (1.6, 1.2), (2.5, 3.0)], summaries[0], strict=True):
        low, high = np.log(np.stack(each.intervals[HALF, 0.95]))
        truth = np.log((2**order - 1) / order / np.array(rates))
        assert np.all((low < truth) & (truth < high))


def test_false_ratio_is_found():
    fit = joint([1.0, 1.4, 1.0])
    assert fit.ratios.p_values["a"] < 0.01
    assert fit.ratios.p_values["b"] > 0.05
    given = [problem(i, [k], [2.0], [r], 0.003) for i, k, r in ((0, 1.0, 0.5), (1, 2.0, 0.5))]
    assert ratio_p_value(given, [ExactConfig()] * 2, [("exponent", 1.3)]) > 0.05


def test_highest_likelihoods_are_those_of_scipy(monkeypatch):
    """Weak decays in much noise, whose likeliest ratios lie anywhere."""
    noise, rates = 0.03, [1.0, 1.6, 2.5]
    given = [problem(i, [k], [2.0], [1.0], noise) for i, k in enumerate(rates)]
    found = []

    def judged(differences):
        found.append(differences)
        return agreement.judged(differences)

    monkeypatch.setattr(ratio_agreement, "judged", judged)
    assert ratio_p_value(given, [ExactConfig()] * 3, [("exponent", 1.3)]) > 0.01
    values = [each.values[0, 0] for each in given]

    def left(columns, row):
        return row - columns @ np.linalg.lstsq(columns, row, rcond=None)[0]

    def together(x):
        curves = [decay(np.exp(log_rate), 1.3) for log_rate in x[1:]]
        rows = [left((c + x[0])[:, None], v) for c, v in zip(curves, values, strict=True)]
        return 8 * np.log(np.square(rows).sum(1)).sum()

    def alone(x, row):
        columns = np.stack([decay(np.exp(x), 1.3), np.ones(9)], axis=1)
        return 8 * np.log(np.square(left(columns, row)).sum())

    options = {"xatol": 1e-8, "fatol": 1e-8, "maxiter": 2000}
    common = optimize.minimize(
        together, [1.0, *np.log(rates)], method="Nelder-Mead", options=options
    ).fun
    own = 0.0
    for row in values:
        at = min(np.linspace(-4, 4, 161), key=lambda x, row=row: alone(x, row))
        bracket = {"bounds": (at - 0.05, at + 0.05), "method": "bounded"}
        own += optimize.minimize_scalar(alone, args=(row,), **bracket).fun
    assert found[0][0, -1] == pytest.approx(common - own, abs=1e-3)
    assert np.all(found[0] > -1e-6)


def test_ends_where_the_sign_of_the_amplitude_is_not_known():
    angles = np.linspace(1.4, 1.8, 41)
    low, middle, high = ratio_ends(angles, np.ones(41))
    assert (low, high) == (-math.inf, math.inf)
    assert middle == pytest.approx(math.tan(1.6))
    assert WithOffset(kinetic_law("first order")).parameters[-1].name == OFFSET_ANGLE
