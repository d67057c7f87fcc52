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
from hyperspy_dosekin.kinetics.comparison.curves import ComparedCurves
from hyperspy_dosekin.kinetics.comparison.nodes import WeighedNodes, law_nodes
from hyperspy_dosekin.kinetics.curves.preparation import prepare_curves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw, LawParameter
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law


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


def compared(values, laws, **options):
    n_dose = values.shape[-1]
    dose = 900.0 * np.arange(1, n_dose + 1) / n_dose
    options = {"variance": None, "offset": None, **options}
    return ComparedLaws(
        compare_block(
            values,
            dose_e_per_a2=dose,
            window_names=[str(i) for i in range(values.shape[-2])],
            laws=laws,
            prior=DEFAULT_PRIOR,
            **options,
        )
    )


@pytest.mark.parametrize("known", [False, True], ids=["offset free", "offset known"])
@pytest.mark.parametrize("noise", ["relative", "absolute"])
def test_evidence_and_left_out_are_those_of_quadrature(known, noise):
    values = data(lambda phi: np.exp(-2 * phi), n=3)
    problem = DoseProblem(np.arange(1.0, 10), values, ("w",), np.full(values.shape, 1e-4))
    curves = prepare_curves(
        problem, offset=1.0 if known else None, absolute_variance=noise == "absolute"
    )
    (nodes,) = law_nodes(curves, FIRST, DEFAULT_PRIOR)
    part = ComparedCurves.of(curves, torch.arange(3))
    low, high = FIRST.parameters[0].free_box
    prior = stats.truncnorm(low, high)
    log_rate = np.linspace(low, high, 20001)
    with torch.no_grad():
        at = {"rate": torch.as_tensor(np.exp(log_rate))}
        likelihood = part.likelihood(FIRST.solution(part.dose, at)[None].expand(3, -1, -1))
    density = np.exp(likelihood.log.numpy() - nodes.log_evidence.numpy()[:, None])
    found = integrate.simpson(density * prior.pdf(log_rate), x=log_rate)
    # Of the 3 in ln evidence that decide between laws.
    np.testing.assert_allclose(found, 1, atol=0.08)
    log_prior = torch.as_tensor(prior.logpdf(log_rate))
    expected = likelihood.left_out(log_prior.expand(3, -1))
    # The nodes are those of all frames; without an influential one the posterior is elsewhere.
    np.testing.assert_allclose(nodes.log_predictive, expected, atol=0.5)


def test_evidence_of_two_parameters_is_that_of_a_fine_grid():
    values = data(lambda phi: np.exp(-3 * phi), n=4)
    curves = prepare_curves(DoseProblem(np.arange(1.0, 10), values, ("w",)))
    (nodes,) = law_nodes(curves, POWER, DEFAULT_PRIOR)
    part = ComparedCurves.of(curves, torch.arange(4))
    rate, exponent = (
        np.linspace(*p.free_box, n) for p, n in zip(POWER.parameters, (700, 400), strict=True)
    )
    mesh = [torch.as_tensor(m.ravel()) for m in np.meshgrid(rate, exponent, indexing="ij")]
    with torch.no_grad():
        on = POWER.solution(part.dose, {"rate": mesh[0].exp(), "exponent": mesh[1]})
    low, high = POWER.parameters[1].free_box
    boxed = stats.truncnorm((low - 1) / 0.7, (high - 1) / 0.7, 1, 0.7)
    prior = stats.truncnorm(rate[0], rate[-1]).pdf(mesh[0]) * boxed.pdf(mesh[1])
    log_density = part.shared_likelihood(on).log.numpy() + np.log(prior)
    cell = (rate[1] - rate[0]) * (exponent[1] - exponent[0])
    expected = np.log(np.exp(log_density - log_density.max(1, keepdims=True)).sum(1) * cell)
    np.testing.assert_allclose(nodes.log_evidence, expected + log_density.max(1), atol=0.08)


def test_a_late_start_is_named_with_thirty_frames():
    late = data(lambda phi: np.exp(-3 * np.maximum(phi - 0.15, 0)), n_dose=30)
    found = compared(late, [POWER, FIRST, Late()])
    assert np.mean(found.verdict == 2) > 0.9
    assert (~found.survives[:2]).all()
    half = found.average("log_half_dose", 0.5)
    np.testing.assert_allclose(half, np.log(np.log(2) / 3 + 0.15), atol=0.1)
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
    truth = np.log(np.log(2) / rate[..., 0])
    assert np.mean((low <= truth) & (truth <= high)) > 0.85


def test_the_half_change_dose_hardly_depends_on_the_law():
    found = compared(data(lambda phi: np.exp(-1.2 * phi), n=10), [POWER, FIRST, Late()])

    def width(name):
        return found.average(name, 0.95) - found.average(name, 0.05)

    assert np.median(width("log_half_change")) < 0.3 * np.median(width("log_half_dose"))


def test_levels_are_found_on_the_trajectory():
    rate = torch.tensor([[[0.3], [20.0]]]).expand(1, 2, 5).to(torch.float64)
    nodes = WeighedNodes(np.arange(2), rate, torch.full((2, 5), 0.2), *[torch.zeros(2)] * 3)
    half, change = log_doses(FIRST, nodes)
    assert half.shape == (2, N_VALUES)
    np.testing.assert_allclose(half[:, 0].exp(), np.log(2) / np.array([0.3, 20]), rtol=2e-3)
    of_change = -np.log(0.5 * (1 + np.exp(-np.array([0.3, 20])))) / np.array([0.3, 20])
    np.testing.assert_allclose(change[:, 0].exp(), of_change, rtol=2e-3)


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


def test_quantiles_of_weighed_values_may_be_infinite():
    values = np.array([[3.0, 1.0, np.inf, 2.0]])
    weight = np.full((1, 4), 0.25)
    assert weighed_quantile(values, weight, 0.375).item() == 2.0
    assert weighed_quantile(values, weight, 0.95).item() == np.inf
    assert weighed_quantile(values, weight, 0.0).item() == 1.0
