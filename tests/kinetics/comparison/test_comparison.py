# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws compared: the evidence against quadrature, and what is said of truths of every kind."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from hyperspy_dosekin.kinetics.comparison.comparison import (
    N_VALUES,
    ComparedLaws,
    compare_block,
    log_doses,
    weighed_quantile,
)
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from tests.kinetics.amplitude import log_amplitude


class Late(KineticLaw):
    """Nothing happens up to a dose, then first order."""

    name = "late"
    parameters = (
        LawParameter("rate", 0.01, 20.0, 1.0, logarithmic=True),
        LawParameter("start", 0.0, 0.8, 0.1),
    )

    def rate(self, integrity, parameters, dose):
        return parameters["rate"] * integrity * (dose >= parameters["start"])

    def solution(self, dose, parameters):
        late = (dose - parameters["start"][..., None]).clamp(min=0)
        return (-parameters["rate"][..., None] * late).exp()


POWER, FIRST = kinetic_law("power law"), kinetic_law("first order")


def data(law, *, n=20, n_dose=9, noise=0.01, seed=1):
    phi = np.arange(1, n_dose + 1) / n_dose
    random = np.random.default_rng(seed)
    return 1 + law(phi) + noise * random.standard_normal((n, 1, n_dose))


def compared(values, laws, *, variance=None, offset=None, **options):
    n_dose = values.shape[-1]
    dose = 900.0 * np.arange(1, n_dose + 1) / n_dose
    options = {"noise": "relative", **options}
    return ComparedLaws(
        compare_block(
            values,
            variance,
            offset,
            dose=dose,
            window_names=[str(i) for i in range(values.shape[-2])],
            laws=laws,
            config=ExactConfig(**options),
        )
    )


def evidence(values, law, axes, prior, *, known):
    """Ln evidence up to a constant of the data, with σ unknown, by quadrature of the documents.

    `axes` are the parameters on their scale of estimation, `prior` the density on their mesh.
    """
    n_dose = values.size
    phi = np.arange(1, n_dose + 1) / n_dose
    integrity = law(phi, *(axis[..., None] for axis in np.meshgrid(*axes, indexing="ij")))
    column, target = (integrity, values - 1) if known else (integrity, values - values.mean())
    if not known:
        column = column - column.mean(axis=-1, keepdims=True)
    norm = np.maximum((column**2).sum(-1), 1e-30)
    explained = (column * target).sum(-1) ** 2 / norm
    squares = np.maximum((target**2).sum(-1) - explained, 1e-300)
    freedom = n_dose - (1 if known else 2)
    log_likelihood = -0.5 * (freedom + 1) * np.log(squares)
    log_likelihood += log_amplitude(explained, squares / freedom, norm, freedom)
    highest = log_likelihood.max()
    found = np.exp(log_likelihood - highest) * prior
    for axis in reversed(axes):
        found = integrate.trapezoid(found, x=axis)
    return np.log(found) + highest


@pytest.mark.parametrize("known", [False, True], ids=["offset free", "offset known"])
def test_evidences_differ_as_those_of_quadrature(known):
    values = data(lambda phi: np.exp(-2 * phi), n=4)
    log_rate = np.linspace(np.log(0.01), np.log(200), 1601)
    exponent = np.linspace(0.1, 5, 401)
    mean, width = DEFAULT_PRIOR.log_rate
    ends = (log_rate[[0, -1]] - mean) / width
    of_rate = stats.truncnorm(*ends, mean, width).pdf(log_rate)
    of_exponent = stats.truncnorm(-0.9 / 0.7, 4 / 0.7, 1, 0.7).pdf(exponent)
    hits = np.linspace(0, np.log(10), 401)

    def power(phi, k, p):
        q = np.where(abs(p - 1) < 1e-9, 1e-9, p - 1)
        return np.maximum(1 + q * np.exp(k) * phi, 1e-300) ** (-1 / q)

    found = compared(
        values,
        [FIRST, POWER, kinetic_law("multi-hit")],
        offset=np.ones((4, 1)) if known else None,
    ).field("log_evidence")[..., 0]
    for curve in range(4):
        y = values[curve, 0]
        first = evidence(
            y, lambda phi, k: np.exp(-np.exp(k) * phi), [log_rate], of_rate, known=known
        )
        both = of_rate[:, None] * of_exponent
        of_power = evidence(y, power, [log_rate, exponent], both, known=known)
        both = of_rate[:, None] * np.full(401, 1 / np.log(10))
        of_hits = evidence(
            y,
            lambda phi, k, m: 1 - (1 - np.exp(-np.exp(k) * phi)) ** np.exp(m),
            [log_rate, hits],
            both,
            known=known,
        )
        # Of the 3 in ln evidence that decide between laws.
        np.testing.assert_allclose(found[1, curve] - found[0, curve], of_power - first, atol=0.05)
        np.testing.assert_allclose(found[2, curve] - found[0, curve], of_hits - first, atol=0.05)


@pytest.mark.parametrize("known", [False, True], ids=["offset free", "offset known"])
@pytest.mark.parametrize("noise", ["relative", "absolute"])
def test_left_out_is_the_ratio_of_evidences(known, noise):
    values = data(lambda phi: np.exp(-2 * phi), n=3, noise=0.02)
    offset = np.ones((3, 1)) if known else None
    options = {"noise": noise, "variance": np.full(values.shape, 4e-4), "offset": offset}
    found = compared(values, [FIRST], **options).field("log_predictive")[0, :, 0]
    whole = compared(values, [FIRST], **options).field("log_evidence")[0, :, 0]
    expected = np.zeros(3)
    for frame in range(9):
        without = values.copy()
        without[..., frame] = np.nan
        expected += whole - compared(without, [FIRST], **options).field("log_evidence")[0, :, 0]
    # Up to constants of the data, so that curves are compared with each other.
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=0.7)


def test_a_late_start_is_named_with_thirty_frames():
    late = data(lambda phi: np.exp(-3 * np.maximum(phi - 0.15, 0)), n_dose=30)
    found = compared(late, [POWER, FIRST, Late()])
    assert np.mean(found.verdict == 2) > 0.9
    assert (~found.survives[:2]).all()
    half = found.average("log_half_dose", 0.5)
    np.testing.assert_allclose(half, np.log(900 * (np.log(2) / 3 + 0.15)), atol=0.1)
    assert found.identifiable.mean() > 0.8


def test_nine_frames_cannot_tell():
    found = compared(data(lambda phi: np.exp(-3 * phi)), [POWER, FIRST, Late()])
    assert (found.survives.sum(axis=0) >= 2).all()
    assert np.mean(found.verdict == -1) > 0.5
    np.testing.assert_allclose(found.weights.sum(axis=0), 1)


def test_the_average_is_wider_than_its_laws_and_holds_the_truth():
    random = np.random.default_rng(3)
    phi = np.arange(1, 10) / 9
    rate = np.exp(random.normal(0.5, 0.5, (60, 1, 1)))
    values = 1 + np.exp(-rate * phi) + 0.01 * random.standard_normal((60, 1, 9))
    found = compared(values, [POWER, FIRST])
    low, high = (found.average("log_half_dose", p) for p in (0.025, 0.975))
    truth = np.log(900 * np.log(2) / rate[..., 0])
    assert np.mean((low <= truth) & (truth <= high)) > 0.85


def test_the_half_change_dose_hardly_depends_on_the_law():
    found = compared(data(lambda phi: np.exp(-1.2 * phi), n=10), [POWER, FIRST, Late()])

    def width(name):
        return found.average(name, 0.95) - found.average(name, 0.05)

    assert np.median(width("log_half_change")) < 0.3 * np.median(width("log_half_dose"))


def test_levels_are_found_on_the_trajectory():
    rate = torch.tensor([[0.3, 20.0]], dtype=torch.float64).expand(3 * N_VALUES, 2)[None]
    half, change, integrity = log_doses(FIRST, rate, np.array([0.5, 1.0]))
    assert half.shape == (N_VALUES, 2)
    np.testing.assert_allclose(half[0].exp(), np.log(2) / np.array([0.3, 20]), rtol=1e-6)
    of_change = -np.log(0.5 * (1 + np.exp(-np.array([0.3, 20])))) / np.array([0.3, 20])
    np.testing.assert_allclose(change[0].exp(), of_change, rtol=2e-3)
    np.testing.assert_allclose(integrity[0, :, 0], np.exp([-0.15, -10]))


def test_a_law_with_too_many_coefficients_spoils_nothing():
    values = data(lambda phi: np.exp(-2 * phi), n=2)
    values[0, 0, 4:] = np.nan
    found = compared(values, [POWER, FIRST, kinetic_law("two populations")])
    assert np.isneginf(found.log_evidence[2, 0, 0])
    np.testing.assert_allclose(found.weights[:, 0].sum(axis=0), 1)
    assert np.isfinite(found.average("log_half_dose", 0.5)).all()


def test_bounded_intensities_make_the_average_surer():
    values = data(lambda phi: np.exp(-1.5 * phi), n=10) - 0.98
    laws = [POWER, FIRST, kinetic_law("delayed")]

    def width(**options):
        found = compared(values, laws, **options)
        return found.average("log_half_dose", 0.95) - found.average("log_half_dose", 0.05)

    assert np.median(width(nonnegative=True)) < 0.7 * np.median(width())


def test_recovery_is_seen_where_the_offset_is_known():
    values = data(lambda phi: (0.3 + np.exp(-4 * phi)) / 1.3, n=20)
    laws = [kinetic_law(name) for name in ("power law", "first order", "delayed", "reversible")]
    found = compared(values, laws, offset=np.ones((20, 1)))
    assert (found.best == 3).mean() > 0.8
    truth = np.log(900 * -np.log(0.65 - 0.3) / 4)
    # A power law that begins steeper follows some of these series as well, and is averaged in.
    sure = found.identifiable
    assert sure.mean() > 0.2
    np.testing.assert_allclose(found.average("log_half_dose", 0.5)[sure], truth, atol=0.15)


def test_dead_curves_and_missing_frames_stay_apart():
    values = data(lambda phi: np.exp(-2 * phi), n=3).reshape(3, 1, 9)
    values[0] = 1.0
    values[1, 0, 4] = np.nan
    found = compared(values, [POWER, FIRST])
    assert found.best[:, 0].tolist()[0] == -1
    assert np.isnan(found.log_evidence[:, 0]).all()
    assert np.isfinite(found.log_evidence[:, 1:]).all()
    assert found.verdict[0, 0] == -1
    assert not found.identifiable[0, 0]


def test_a_law_that_does_not_describe_the_data_is_not_named():
    wave = data(lambda phi: np.exp(-2 * phi) + 0.2 * np.sin(12 * phi), n=5, n_dose=40)
    found = compared(wave, [POWER, FIRST])
    assert (found.verdict == -1).all()
    assert not found.described.any()


def test_a_law_that_the_residuals_contradict_weighs_nothing_beside_one_that_they_do_not():
    late = data(lambda phi: np.exp(-3 * np.maximum(phi - 0.15, 0)), n=30, noise=0.005)
    laws = [POWER, FIRST, kinetic_law("delayed")]
    found = compared(late, laws, variance=np.full(late.shape, 0.005**2))
    contradicted = (found.field("smallest_p")[:2] < 1e-3) & found.adequate[2]
    assert contradicted.mean() > 0.4
    assert (found.weights[:2][contradicted] == 0).all()
    assert not found.survives[:2][contradicted].any()
    np.testing.assert_allclose(found.weights.sum(axis=0), 1)


def test_quantiles_of_weighed_values_may_be_infinite():
    values = np.array([[3.0, 1.0, np.inf, 2.0]])
    weight = np.full((1, 4), 0.25)
    assert weighed_quantile(values, weight, 0.375).item() == 2.0
    assert weighed_quantile(values, weight, 0.95).item() == np.inf
    assert weighed_quantile(values, weight, 0.0).item() == 1.0


def test_intervals_hold_an_offset_of_zero_as_those_of_fits_do():
    # Where b is 0 the truth lies at the end of a central interval: .86 of these held it.
    phi, n = np.arange(1, 10) / 9, 150
    noise = 0.01 * np.random.default_rng(11).standard_normal((n, 1, 9))
    values, truth = np.exp(-phi) + noise, np.log(900 * np.log(2))
    variance = np.full(values.shape, 1e-4)
    options = {"variance": variance, "noise": "floor", "nonnegative": True}
    found = compared(values, [POWER, FIRST], **options)
    for ends in (found.average, lambda *about: found.of_laws(*about)[1]):
        low, high = (ends("log_half_dose", p)[..., 0] for p in (0.025, 0.975))
        assert np.mean((low <= truth) & (truth <= high)) > 0.94
    free = compared(values, [POWER, FIRST], **{**options, "nonnegative": False})
    assert np.isnan(free.field("bound_mass")).all()
    # The flag is that of the mixture, and a median is none of an interval.
    assert np.isfinite(found.field("bound_mass")).mean() > 0.5
    middle = found.average("log_half_dose", 0.5)
    assert ((low <= middle[..., 0]) & (middle[..., 0] <= high)).all()
