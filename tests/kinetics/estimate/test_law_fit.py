# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any law through the general estimator, against the closed form of the power law and truth."""

import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.block import FIELDS, fit_block
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.estimate.law_fit import fit_law
from hyperspy_dosekin.kinetics.law_block import (
    LawQuantity,
    fit_law_block,
    interval_law_block,
    law_fields,
)
from hyperspy_dosekin.kinetics.laws.closed_forms import FirstOrder, PlateauPowerLaw, PowerLaw
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw, LawParameter
from hyperspy_dosekin.kinetics.laws.power_law import dose_at
from hyperspy_dosekin.kinetics.laws.solution import HORIZON, check_law, dose_at_level, trajectories
from hyperspy_dosekin.kinetics.laws.user_law import UserLaw
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.law_intervals import is_determined
from hyperspy_dosekin.kinetics.simulation import draw_prior, simulate_curves

RATE = LawParameter("rate", 1e-2, 20.0, 1.0, logarithmic=True)
EXPONENT = LawParameter("exponent", 0.1, 5.0, 1.0)
NINE = torch.arange(1, 10, dtype=torch.float64) / 9


def _power(integrity, parameters, dose):
    safe = integrity.clamp(min=1e-300)
    return parameters["rate"] * torch.where(integrity > 0, safe ** parameters["exponent"], 0.0)


USER_POWER = UserLaw(_power, [RATE, EXPONENT], name="my power law")
# An induction dose: the rate begins at 0, which an inverse of the rate could not stand.
SIGMOID = UserLaw(lambda c, p, dose: p["rate"] * 2 * dose * c, [RATE], name="sigmoid")


def _simulated(seed, shape, noise, **options):
    random = np.random.default_rng(seed)
    return simulate_curves(random, *draw_prior(random, shape), noise=noise, **options)


def _block(law, values, offset=None, config=None, dose=None, **options):
    """Fields by name of a block ``(n_curve, n_window, n_dose)``."""
    dose = np.arange(1, values.shape[-1] + 1.0) if dose is None else dose
    names = tuple(f"window {i}" for i in range(values.shape[1]))
    known = None if offset is None else np.broadcast_to(offset, values.shape[:2])
    options = {
        "dose_e_per_a2": dose,
        "window_names": names,
        "config": config or ExactConfig(),
        **options,
    }
    if law is None:
        return dict(
            zip(FIELDS, np.moveaxis(fit_block(values, None, known, **options), 1, 0), strict=True)
        )
    block = fit_law_block(values, None, known, law=law, **options)
    return dict(zip(law_fields(law), np.moveaxis(block, 1, 0), strict=True))


def _nodes(n=400):
    random = np.random.default_rng(0)
    rate = np.exp(random.uniform(np.log(0.01), np.log(20), n))
    return np.stack([rate, random.uniform(0.1, 5, n)])


def test_trajectories_of_many_members_equal_the_closed_form():
    nodes = torch.as_tensor(_nodes().reshape(2, 20, 20))
    found = trajectories(USER_POWER, NINE, nodes)
    assert found.shape == (20, 20, 9)
    # Some dozens of steps of error at most 1e-8 each.
    torch.testing.assert_close(found, trajectories(PowerLaw(), NINE, nodes), atol=1e-6, rtol=0)


@pytest.mark.parametrize("level", [0.5, 0.05])
def test_the_dose_of_a_level_is_that_of_the_closed_form(level):
    nodes = _nodes()
    truth = dose_at(level, *nodes)
    found = dose_at_level(USER_POWER, torch.as_tensor(nodes), level).numpy()
    near = truth < HORIZON
    # The cubic in the last step.
    np.testing.assert_allclose(found[near], truth[near], rtol=1e-4)
    assert np.isinf(found[truth > 1.001 * HORIZON]).all()


def test_a_plateau_above_the_level_is_never_crossed():
    values = torch.tensor([[2.0, 2.0, 2.0], [1.0, 1.0, 1.0], [0.49, 0.501, 0.9]])
    found = dose_at_level(PlateauPowerLaw(), values.double(), 0.5)
    assert found[0].item() == pytest.approx(np.log(0.51 / 0.01) / 2, rel=1e-3)
    assert torch.isinf(found[1:]).all()


def test_a_law_that_depends_on_dose():
    found = trajectories(SIGMOID, NINE, torch.tensor([[0.5, 3.0]]))
    expected = torch.exp(-torch.tensor([[0.5], [3.0]]) * NINE**2)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    dose = dose_at_level(SIGMOID, torch.tensor([[0.5, 3.0]]), 0.5)
    np.testing.assert_allclose(dose, np.sqrt(np.log(2) / np.array([0.5, 3.0])), rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "noise"), [({}, 0.01), ({"offset": 5.0}, 0.01), ({"prior": None}, 0.001)]
)
@pytest.mark.parametrize("with_variance", [False, True])
def test_estimates_equal_those_in_closed_form(options, noise, with_variance):
    problem = _simulated(1, (10, 2), noise, with_variance=with_variance).problem
    exact = fit_exact(problem, ExactConfig(**options))
    found = fit_law(problem, PowerLaw(), ExactConfig(**options))
    # Extinction makes valleys of which either estimator may take another in a few percent.
    close = np.abs(np.log(found.parameters["rate"] / exact.rate)) < 1e-3
    assert close.mean() >= 0.9
    for name, tolerance in (("amplitude", 1e-2), ("offset", 1e-2), ("noise_sigma", 1e-3)):
        ours, theirs = getattr(found, name)[close], getattr(exact, name)[close]
        np.testing.assert_allclose(ours, theirs, rtol=tolerance)
    left = np.isfinite(exact.residual_sigma) & close
    np.testing.assert_allclose(found.residual_sigma[left], exact.residual_sigma[left], rtol=1e-2)
    half = dose_at(0.5, found.parameters["rate"], found.parameters["exponent"])
    np.testing.assert_allclose(found.half_integrity_dose, half, rtol=1e-4)


@pytest.mark.parametrize(("noise", "offset"), [(0.01, 5.0), (0.01, None), (0.002, 5.0)])
def test_intervals_and_flags_equal_those_of_the_posterior_of_the_power_law(noise, offset):
    values = _simulated(2, (10, 2), noise).problem.values
    exact, found = _block(None, values, offset), _block(PowerLaw(), values, offset)
    for name in ("rate", "half_integrity_dose"):
        ends = [np.log(b[f"{name} {e}"]) for b in (exact, found) for e in ("lower", "upper")]
        width = ends[1] - ends[0]
        for end in (0, 1):
            # Two thousand nodes here, some hundred there.
            error = np.abs(ends[2 + end] - ends[end]) / width
            assert np.quantile(error, 0.9) < 0.1
    spread = found["sd_log_half_dose"] / exact["sd_log_half_dose"]
    assert np.quantile(np.abs(spread - 1), 0.9) < 0.1
    assert np.mean(found["identifiable"] == exact["identifiable"]) >= 0.9


def test_a_users_power_law_is_the_power_law():
    values = _simulated(3, (3, 2), 0.01).problem.values
    one, other = _block(PowerLaw(), values, 5.0), _block(USER_POWER, values, 5.0)
    for name, array in one.items():
        # Numerical integration, differentiated numerically.
        np.testing.assert_allclose(other[name], array, rtol=5e-3, atol=1e-5, err_msg=name)


def test_first_order_is_the_power_law_with_exponent_one():
    problem = _simulated(4, (6, 2), 0.01).problem
    exact = fit_exact(problem, ExactConfig(exponent=1.0))
    found = fit_law(problem, FirstOrder())
    np.testing.assert_allclose(found.parameters["rate"], exact.rate, rtol=1e-4)
    np.testing.assert_allclose(found.critical_dose, 1 / exact.rate, rtol=1e-3)


def _plateau_values(plateau, noise=0.002):
    dose = NINE.numpy()
    rate, exponent = np.full_like(plateau, 4.0), np.full_like(plateau, 1.0)
    values = torch.as_tensor(np.stack([rate, exponent, plateau]))
    integrity = trajectories(PlateauPowerLaw(), torch.as_tensor(dose), values).numpy()
    random = np.random.default_rng(5)
    return 2.0 + 3.0 * (integrity + noise * random.normal(size=integrity.shape))


def test_a_plateau_is_found_where_the_offset_is_known_and_only_there():
    plateau = np.array([[0.15, 0.3, 0.7]])
    values = _plateau_values(plateau)
    known = _block(PlateauPowerLaw(), values, 2.0)
    assert np.all(known["plateau lower"] <= plateau)
    assert np.all(known["plateau upper"] >= plateau)
    assert np.max(known["plateau upper"] - known["plateau lower"]) < 0.2
    assert np.isfinite(known["half_integrity_dose"]).tolist() == [[True, True, False]]
    assert np.isinf(known["half_integrity_dose lower"]).tolist() == [[False, False, True]]
    assert known["identifiable"].tolist() == [[1.0, 1.0, 0.0]]
    free = _block(PlateauPowerLaw(), values)
    parameter = PlateauPowerLaw.parameters[2]
    for block, determined in ((known, True), (free, False)):
        ends = block["plateau lower"], block["plateau upper"]
        assert (is_determined(parameter, ExactConfig().prior, *ends) == determined).all()
    assert np.isinf(free["half_integrity_dose upper"]).all()
    assert not free["identifiable"].any()


def test_a_plateau_of_nothing_has_an_interval_from_zero():
    known = _block(PlateauPowerLaw(), _plateau_values(np.zeros((1, 2))), 2.0)
    np.testing.assert_array_equal(known["plateau lower"], 0.0)
    assert np.all(known["plateau upper"] < 0.1)


def test_the_interval_of_a_users_law_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(6)
    rate = np.exp(random.normal(0.5, 0.5, (120, 1)))
    truth = np.exp(-rate[..., None] * NINE.numpy() ** 2)
    values = 4 - 2 * (truth + 0.03 * random.normal(size=truth.shape))
    found = _block(SIGMOID, values, config=ExactConfig(), with_intervals=True)
    covered = (found["rate lower"] <= rate) & (rate <= found["rate upper"])
    # 120 repeats: a standard deviation of the share is 0.020 (0.043 below); three of them.
    assert 0.89 < covered.mean() <= 1.0
    half = np.sqrt(np.log(2) / rate)
    lower, upper = found["half_integrity_dose lower"], found["half_integrity_dose upper"]
    assert 0.89 < np.mean((lower <= half) & (half <= upper)) <= 1.0
    # And they are not wide for nothing: the 68 % interval misses.
    options = {"dose_e_per_a2": np.arange(1, 10.0), "window_names": ("w",), "law": SIGMOID}
    ends = interval_law_block(
        values,
        None,
        None,
        config=ExactConfig(),
        quantity=LawQuantity("rate"),
        level=0.68,
        method="posterior",
        **options,
    )[..., 0]
    inside = (ends[:, 0] <= rate) & (rate <= ends[:, 1])
    assert 0.55 < inside.mean() < 0.81


def test_profile_interval_and_interval_of_the_integrity():
    values = _simulated(7, (3, 2), 0.01).problem.values
    options = {
        "dose_e_per_a2": np.arange(1, 10.0),
        "window_names": ("v", "w"),
        "law": FirstOrder(),
        "config": ExactConfig(),
    }

    def ends(quantity, method, level=0.95):
        found = interval_law_block(
            values, None, None, quantity=quantity, level=level, method=method, **options
        )
        return found[:, 0], found[:, 1]

    fit = fit_law(DoseProblem(np.arange(1, 10.0), values, ("v", "w")), FirstOrder())
    lower, upper = ends(LawQuantity("rate"), "profile")
    assert np.all(lower[..., 0] < fit.parameters["rate"])
    assert np.all(upper[..., 0] > fit.parameters["rate"])
    quantity = LawQuantity("integrity", normalised_dose=(0.0, 0.3, 1.0))
    lower, upper = ends(quantity, "posterior")
    assert lower.shape == (3, 2, 3)
    np.testing.assert_allclose(lower[..., 0], 1.0)
    rate = ends(LawQuantity("rate"), "posterior")
    # C falls with k: the ends of the one are those of the other.
    np.testing.assert_allclose(upper[..., 1:], np.exp(-rate[0] * [0.3, 1.0]), rtol=1e-3)


def test_results_do_not_depend_on_the_other_curves_and_dead_ones_are_nan():
    values = _simulated(8, (5, 2), 0.01).problem.values
    values[1, 0] = 3.0
    values[2, 1, 1:] = np.nan
    together = _block(FirstOrder(), values, 5.0)
    alone = _block(FirstOrder(), values[4:], 5.0)
    for name, array in together.items():
        np.testing.assert_allclose(array[4:], alone[name], rtol=1e-6, err_msg=name)
    assert np.argwhere(together["dead"] == 1).tolist() == [[1, 0], [2, 1]]
    assert np.isnan(together["rate"][together["dead"] == 1]).all()
    assert np.isfinite(together["rate"][together["dead"] == 0]).all()


class Growing(KineticLaw):
    name = "growing"
    parameters = (RATE,)

    def rate(self, integrity, parameters, dose):
        return -parameters["rate"] * integrity

    def solution(self, dose, parameters):
        return 1 + parameters["rate"][..., None] * dose


def _user(function, **boxes):
    return UserLaw(function, boxes or {"rate": (0.1, 9.0, 1.0)}, name="odd")


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (_user(lambda c, p, d: c * float("nan")), "'odd' returned NaN"),
        (_user(lambda c, p, d: (c - 1.5).sqrt()), "'odd' returned NaN"),
        (_user(lambda c, p, d: -p["rate"] * c), "'odd' lets the integrity grow"),
        (Growing(), "'growing' lets the integrity grow"),
        (_user(_power, **{n: (0.1, 2.0, 1.0) for n in "abcd"}), "one to 3"),
        (_user(_power, amplitude=(0.1, 2.0, 1.0)), "amplitude"),
        (_user(_power, **{"two words": (0.1, 2.0, 1.0)}), "two words"),
    ],
)
def test_bad_laws_are_named_before_any_work(law, words):
    with pytest.raises(ValueError, match=words):
        check_law(law, NINE)


def test_options_of_the_power_law_are_refused():
    problem = _simulated(9, (1, 1), 0.01).problem
    for options in ({"exponent": 1.0}, {"loss": "huber"}):
        with pytest.raises(ValueError, match="option of the power law"):
            fit_law(problem, FirstOrder(), ExactConfig(**options))


def test_too_few_doses_are_counted():
    problem = DoseProblem(np.arange(1.0, 5.0), np.random.default_rng(0).random((1, 1, 4)), ("w",))
    with pytest.raises(ValueError, match=r"4 distinct doses.*plateau, amplitude, offset.*5"):
        fit_law(problem, PlateauPowerLaw())
    assert fit_law(problem, PlateauPowerLaw(), ExactConfig(offset=0.0)).dead.shape == (1, 1)


def test_dose_matters_only_relative_to_the_largest():
    values = _simulated(10, (1, 2), 0.01).problem.values
    one = _block(FirstOrder(), values, with_intervals=False)
    other = _block(FirstOrder(), values, dose=152.0 * np.arange(1, 10), with_intervals=False)
    np.testing.assert_allclose(other["rate"], one["rate"], rtol=1e-6)
