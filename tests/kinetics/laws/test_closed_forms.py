# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from hyperspy_dosekin.kinetics.laws.closed_forms import FirstOrder, PowerLaw
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS, kinetic_law, register_law
from hyperspy_dosekin.kinetics.laws.user_law import UserLaw

DOSE = torch.linspace(0, 1, 10, dtype=torch.float64)


def _spread(law):
    """Seven sets of parameters of a law."""
    return {
        parameter.name: torch.linspace(
            parameter.start * 0.4, min(parameter.start * 4, parameter.upper), 7
        ).to(torch.float64)
        for parameter in law.parameters
    }


# Rates that start at 0 or without bound, with which an integration would not begin.
@pytest.mark.parametrize("name", sorted(set(KINETIC_LAWS) - {"multi-hit", "stretched"}))
def test_solution_obeys_the_rate(name):
    law = kinetic_law(name)
    parameters = _spread(law)
    assert law.has_exact_solution
    # A hundred steps of error at most 1e-8 each; a delay makes a corner, at which steps stall.
    torch.testing.assert_close(
        law.solution(DOSE, parameters), law.integrated(DOSE, parameters), atol=2e-6, rtol=0
    )


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("multi-hit", {"rate": 3.0, "hits": 2.5}),
        ("stretched", {"rate": 3.0, "shape": 2.0}),
        ("stretched", {"rate": 3.0, "shape": 0.5}),
    ],
)
def test_a_law_without_a_first_rate_obeys_its_rate_once_it_has_begun(name, at):
    law, start = kinetic_law(name), 0.05

    def solution(dose):
        tensors = {name: torch.tensor([value]).double() for name, value in at.items()}
        return law.solution(torch.as_tensor(np.atleast_1d(dose)), tensors).numpy()[0]

    def slope(dose, integrity):
        tensors = {name: torch.tensor(value).double() for name, value in at.items()}
        rate = law.rate(torch.as_tensor(integrity), tensors, torch.tensor(dose))
        return -rate.numpy()

    found = solve_ivp(slope, (start, 1), solution(start), t_eval=[0.3, 1.0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.y[0], solution([0.3, 1.0]), atol=1e-8)


@pytest.mark.parametrize("name", sorted(KINETIC_LAWS))
@pytest.mark.parametrize("level", [0.5, 0.2])
def test_the_dose_of_a_level_is_where_the_solution_falls_to_it(name, level):
    law, parameters = kinetic_law(name), _spread(kinetic_law(name))
    dose = law.dose_at(level, parameters)
    for place in torch.nonzero(torch.isfinite(dose))[:, 0]:
        at = {key: value[place] for key, value in parameters.items()}
        assert law.solution(dose[place : place + 1], at).item() == pytest.approx(level, abs=1e-9)
    never = torch.isinf(dose)
    if never.any():
        rest = {key: value[never] for key, value in parameters.items()}
        assert (law.solution(torch.tensor([1e4]).double(), rest) > level).all()


def test_gradients_are_exact_also_at_p_1_and_at_extinction():
    rate = torch.tensor([0.5, 2.0, 4.0], dtype=torch.float64, requires_grad=True)
    exponent = torch.tensor([1.0, 1.0, 0.5], dtype=torch.float64, requires_grad=True)

    def solution(rate, exponent):
        return PowerLaw().solution(DOSE, {"rate": rate, "exponent": exponent})

    assert torch.autograd.gradcheck(solution, (rate, exponent))


@pytest.mark.parametrize("name", sorted(KINETIC_LAWS))
def test_derivatives_are_those_of_the_solution(name):
    law = kinetic_law(name)
    parameters = _spread(law)
    value, found = law.derivatives(DOSE, parameters)
    assert value.shape == (7, 10)
    for key, column in found.items():
        step = 1e-6
        shifted = [
            law.solution(DOSE, {**parameters, key: parameters[key] + sign * step})
            for sign in (-1, 1)
        ]
        numeric = (shifted[1] - shifted[0]) / (2 * step)
        # Rounding of the difference quotient, eps/step.
        torch.testing.assert_close(column, numeric, atol=1e-8, rtol=1e-6)


def test_user_law_equals_the_built_in_one():
    law = UserLaw(
        lambda integrity, parameters, dose: (
            parameters["rate"] * integrity * (1 + parameters["boost"] * dose)
        ),
        {"rate": (0.1, 9.0, 1.0), "boost": (0.0, 3.0, 0.5)},
    )
    parameters = {"rate": torch.tensor([0.5, 2.0]), "boost": torch.tensor([0.0, 1.0])}
    value, derivatives = law.derivatives(DOSE, parameters)
    double = {name: tensor.double()[:, None] for name, tensor in parameters.items()}
    time = DOSE + double["boost"] * DOSE**2 / 2
    expected = torch.exp(-double["rate"] * time)
    torch.testing.assert_close(value, expected, atol=1e-7, rtol=0)
    torch.testing.assert_close(derivatives["rate"].double(), -time * expected, atol=1e-6, rtol=0)


def test_extinct_user_law_stays_at_zero():
    law = UserLaw(
        lambda integrity, parameters, dose: parameters["rate"] * torch.ones_like(integrity),
        {"rate": (0.1, 9.0, 1.0)},
        name="constant loss",
    )
    value = law.solution(DOSE, {"rate": torch.tensor([2.0, 0.5])})
    torch.testing.assert_close(
        value, (1 - torch.tensor([[2.0], [0.5]]) * DOSE).clamp(min=0).double(), atol=1e-7, rtol=0
    )


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda c, parameters, dose: c * float("nan"), "'odd'.*NaN"),
        (lambda c, parameters, dose: -parameters["rate"] * c, "'odd'.*grow"),
    ],
)
def test_bad_user_law_is_named(function, words):
    law = UserLaw(function, {"rate": (0.1, 9.0, 1.0)}, name="odd")
    with pytest.raises(ValueError, match=words):
        law.solution(DOSE, {"rate": torch.tensor(1.0)})


def test_unsorted_doses_are_refused():
    with pytest.raises(ValueError, match="ascending"):
        PowerLaw().integrated(DOSE.flip(0), _spread(PowerLaw()))


def test_registry():
    assert isinstance(kinetic_law(), PowerLaw)
    law = FirstOrder()
    assert kinetic_law(law) is law
    with pytest.raises(ValueError, match="not one of"):
        kinetic_law("second order")
    with pytest.raises(ValueError, match="exists already"):
        register_law(FirstOrder())


def test_only_the_rate_has_to_be_written():
    class Minimal(KineticLaw):
        name = "minimal"
        parameters = (LawParameter("rate", 0.1, 10.0, 1.0, logarithmic=True),)

        def rate(self, integrity, parameters, dose):
            return parameters["rate"] * integrity**2

    value = Minimal().solution(DOSE, {"rate": torch.tensor(3.0)})
    np.testing.assert_allclose(value, 1 / (1 + 3 * DOSE), atol=1e-7)


@pytest.mark.parametrize(
    "arguments", [(2.0, 1.0, 1.5, False), (0.0, 1.0, 2.0, False), (0.0, 1.0, 0.5, True)]
)
def test_bad_boxes(arguments):
    lower, upper, start, logarithmic = arguments
    with pytest.raises(ValueError, match="'rate'"):
        LawParameter("rate", lower, upper, start, logarithmic)


def test_parameter_transforms_round_trip():
    parameter = PowerLaw().parameters[0]
    value = torch.tensor([0.02, 1.0, 19.0])
    torch.testing.assert_close(parameter.from_free(parameter.to_free(value)), value)
    assert parameter.free_box == pytest.approx((np.log(1e-2), np.log(200)))
    assert PowerLaw().parameters[1].free_box == (0.1, 5.0)


def test_numpy_laws_need_no_torch():
    code = (
        "import sys, hyperspy_dosekin.kinetics.laws.closed_forms; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
