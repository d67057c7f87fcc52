# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The component against high-precision derivatives, an ODE solver and HyperSpy's own machinery."""

from fractions import Fraction

import hyperspy.api as hs
import numpy as np
import pytest
from hyperspy.extensions import ALL_EXTENSIONS
from scipy.integrate import solve_ivp

from hyperspy_dosekin.components import PowerLawDegradation
from hyperspy_dosekin.components.power_law_degradation import _starts

DOSE = np.arange(152.0, 1369.0, 152.0)
DOSE_MAX = 1368.0


def dose_signal(values):
    s = hs.signals.Signal1D(values)
    axis = s.axes_manager.signal_axes[0]
    axis.name, axis.units, axis.offset, axis.scale = "dose", "e⁻/Å²", DOSE[0], DOSE[1] - DOSE[0]
    return s


def truth_maps(shape=(3, 5)):
    """Parameters that all differ from pixel to pixel, on both sides of p = 1 and of a = 0."""
    rng = np.random.default_rng(7)
    k = rng.uniform(1.0, 2.5, shape)
    p = rng.uniform(0.6, 1.8, shape)
    a = rng.uniform(2.0, 6.0, shape) * np.where(np.arange(shape[1]) % 2, -1.0, 1.0)
    b = rng.uniform(7.0, 9.0, shape)
    return {"k": k, "p": p, "a": a, "b": b}


def curves(k, p, a, b):
    """a·C + b by the textbook formula, away from p = 1, for fits that must find it again."""
    phi = DOSE / DOSE_MAX
    k, p, a, b = (np.asarray(v)[..., None] for v in (k, p, a, b))
    return a * np.maximum(1 + (p - 1) * k * phi, 0) ** (-1 / (p - 1)) + b


def fitted_model(s, **values):
    model = s.create_model()
    component = PowerLawDegradation(dose_max=DOSE_MAX, **values)
    model.append(component)
    return model, component


def complex_step(name, parameters, x, step=1e-30):
    """∂f/∂parameter to machine precision: the closed form is analytic, no difference is taken."""
    shifted = {key: complex(value) for key, value in parameters.items()}
    shifted[name] += 1j * step
    k, p, a, b = (shifted[key] for key in "kpab")
    phi = x / DOSE_MAX
    return (a * (1 + (p - 1) * k * phi) ** (-1 / (p - 1)) + b).imag / step


@pytest.mark.parametrize("name", ["k", "p", "a", "b"])
@pytest.mark.parametrize(("k", "p"), [(1.3, 0.5), (1.3, 1.7), (0.2, 3.0), (0.01, 0.4), (9.0, 2.2)])
def test_gradients_equal_complex_step(name, k, p):
    parameters = {"k": k, "p": p, "a": -4.0, "b": 7.0}
    component = PowerLawDegradation(dose_max=DOSE_MAX, **parameters)
    gradient = getattr(component, f"grad_{name}")(DOSE)
    # It is the reference that loses digits: a power of 1 + 1e-3 taken in float64.
    np.testing.assert_allclose(gradient, complex_step(name, parameters, DOSE), rtol=1e-9)


@pytest.mark.parametrize("p", [1.0, 1.0 + 1e-9, 1.0 - 1e-6])
def test_gradient_by_exponent_through_first_order(p):
    component = PowerLawDegradation(k=1.6, p=p, a=3.0, dose_max=DOSE_MAX)
    t = 1.6 * DOSE / DOSE_MAX
    # Limit at p = 1: ∂C/∂p = t²/2·exp(−t); the next order in p−1 is below 1e-5 here.
    np.testing.assert_allclose(component.grad_p(DOSE), 3 * t**2 / 2 * np.exp(-t), rtol=1e-5)
    np.testing.assert_allclose(component.function(DOSE), 3 * np.exp(-t), rtol=1e-5)


def test_gradients_after_extinction_and_at_vanishing_rate():
    # p = 1/2 dies out at φ = 1/((1−p)k) = 0.5.
    component = PowerLawDegradation(k=4.0, p=0.5, a=3.0, b=1.0, dose_max=DOSE_MAX)
    late = DOSE[DOSE > 0.5 * DOSE_MAX]
    assert late.size == 5
    np.testing.assert_array_equal(component.function(late), 1.0)
    for name in "kp":
        np.testing.assert_array_equal(getattr(component, f"grad_{name}")(late), 0.0)
    still = PowerLawDegradation(k=1e-12, p=2.5, a=3.0, dose_max=DOSE_MAX)
    np.testing.assert_allclose(still.grad_k(DOSE), -3 * DOSE / DOSE_MAX, rtol=1e-10)
    np.testing.assert_allclose(still.grad_p(DOSE), 0.0, atol=1e-20)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.3])
def test_function_solves_the_differential_equation(p):
    k, a, b = 1.4, -3.0, 8.0
    solution = solve_ivp(
        lambda _, c: -k * np.maximum(c, 0) ** p, (0, 1), [1.0], t_eval=DOSE / DOSE_MAX,
        rtol=1e-11, atol=1e-13,
    )  # fmt: skip
    component = PowerLawDegradation(k, p, a, b, dose_max=DOSE_MAX)
    np.testing.assert_allclose(component.function(DOSE), a * solution.y[0] + b, rtol=1e-9)


def test_undamaged_at_and_below_zero_dose():
    component = PowerLawDegradation(k=2.0, p=3.0, a=4.0, b=1.0, dose_max=DOSE_MAX)
    np.testing.assert_array_equal(component.function(np.array([-5000.0, -1.0, 0.0])), 5.0)


def test_dose_max_scales_the_axis():
    near = PowerLawDegradation(k=1.4, p=1.6, dose_max=DOSE_MAX)
    per_dose = PowerLawDegradation(k=1.4 / DOSE_MAX, p=1.6)
    np.testing.assert_allclose(near.function(DOSE), per_dose.function(DOSE), rtol=1e-14)


@pytest.mark.parametrize("value", [0.0, -1368.0, np.nan, np.inf])
def test_dose_max_must_be_positive(value):
    with pytest.raises(ValueError, match="largest dose"):
        PowerLawDegradation(dose_max=value)
    component = PowerLawDegradation(dose_max=DOSE_MAX)
    with pytest.raises(ValueError, match="largest dose"):
        component.dose_max = value
    assert component.dose_max == DOSE_MAX


@pytest.mark.parametrize(
    "options",
    [
        {"grad": "analytical"},
        {"grad": "fd"},
        {"grad": "analytical", "bounded": True, "optimizer": "trf"},
        {"grad": "analytical", "bounded": True, "optimizer": "lm"},
    ],
)
def test_fit_recovers_noise_free_truth(options):
    s = dose_signal(curves(2.0, 1.3, 50.0, 20.0))
    model, component = fitted_model(s)
    component.estimate_parameters(s, DOSE[0], DOSE[-1])
    model.fit(**options)
    # The Jacobian's condition number is near 1e3: 1e-5 is what float64 residuals allow for.
    found = [component.k.value, component.p.value, component.a.value, component.b.value]
    np.testing.assert_allclose(found, [2.0, 1.3, 50.0, 20.0], rtol=1e-5)


def test_bounds_hold():
    # A curve that rises while a is fixed positive asks for a negative rate.
    s = dose_signal(1.0 + 0.4 * DOSE / DOSE_MAX)
    model, component = fitted_model(s, k=0.5)
    component.a.value, component.a.free = 1.0, False
    model.fit(bounded=True, optimizer="trf", grad="analytical")
    assert component.k.bmin <= component.k.value < 1e-2
    assert component.p.bmin <= component.p.value <= component.p.bmax


def test_multifit_of_a_map():
    truth = truth_maps()
    s = dose_signal(curves(**truth))
    assert s.axes_manager.navigation_shape == (5, 3)
    model, component = fitted_model(s)
    assert component.estimate_parameters(s, DOSE[0], DOSE[-1])
    model.multifit(grad="analytical", show_progressbar=False)
    for name, expected in truth.items():
        found = getattr(component, name).map["values"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(model.as_signal(show_progressbar=False).data, s.data, rtol=1e-7)


def test_function_nd_equals_function_position_by_position():
    truth = truth_maps()
    s = dose_signal(curves(**truth))
    model, component = fitted_model(s)
    for name, values in truth.items():
        parameter = getattr(component, name)
        parameter.map["values"][:], parameter.map["is_set"][:] = values, True
    stacked = component.function_nd(DOSE)
    assert stacked.shape == (3, 5, 9)
    for row, column in np.ndindex(3, 5):
        at = {name: values[row, column] for name, values in truth.items()}
        one = PowerLawDegradation(dose_max=DOSE_MAX, **at)
        np.testing.assert_allclose(stacked[row, column], one.function(DOSE), rtol=1e-12)
    del model


@pytest.mark.parametrize("fixed", ["a", "b"])
def test_linear_optimiser_with_one_free_linear_parameter(fixed):
    k, p, a, b = 2.0, 1.3, np.linspace(2, 5, 7), 4.0
    if fixed == "a":
        a, b = 3.0, np.linspace(2, 5, 7)
    s = dose_signal(curves(np.full(7, k), np.full(7, p), np.full(7, a), np.full(7, b)))
    model, component = fitted_model(s, k=k, p=p, a=np.mean(a), b=np.mean(b))
    model.set_parameters_not_free(only_nonlinear=True)
    getattr(component, fixed).free = False
    model.assign_current_values_to_all()
    model.multifit(optimizer="lstsq", show_progressbar=False)
    free, expected = ("b", b) if fixed == "a" else ("a", a)
    np.testing.assert_allclose(getattr(component, free).map["values"], expected, rtol=1e-10)


@pytest.mark.parametrize("lazy", [False, True])
def test_estimate_is_close_to_the_curve(lazy):
    truth = truth_maps()
    s = dose_signal(curves(**truth))
    s = s.as_lazy() if lazy else s
    model, component = fitted_model(s)
    assert component.estimate_parameters(s, DOSE[0], DOSE[-1])
    start = np.asarray(model.as_signal(show_progressbar=False).data)
    expected = curves(**truth)
    # Steps of the table: 13 % in k and 0.2 in p; a and b take up most of what is left.
    assert np.all(np.abs(start - expected) < 0.02 * np.ptp(expected, axis=-1, keepdims=True))
    s.axes_manager.indices = (2, 1)
    before = component.k.map["values"].copy()
    alone = PowerLawDegradation(dose_max=DOSE_MAX)
    model.append(alone)
    alone.estimate_parameters(s, DOSE[0], DOSE[-1], only_current=True)
    assert alone.k.value == before[1, 2]
    assert np.sign(alone.a.value) == np.sign(truth["a"][1, 2])


def test_estimate_uses_only_the_range_and_no_missing_frames():
    values = curves(2.0, 1.3, 5.0, 2.0)
    clean = _starts(values[[0, 1, 3, 4, 5, 6]], DOSE[[0, 1, 3, 4, 5, 6]] / DOSE_MAX)
    values[2], values[-2:] = np.nan, 1e6
    s = dose_signal(values)
    _, component = fitted_model(s)
    assert component.estimate_parameters(s, DOSE[0], DOSE[6])
    found = [getattr(component, name).value for name in "kpab"]
    np.testing.assert_allclose(found, clean, rtol=1e-9)
    assert not component.estimate_parameters(s, DOSE[0], DOSE[2])


def test_estimate_of_flat_and_empty_curves_is_finite():
    values = np.stack([np.full(9, 3.0), np.zeros(9), np.full(9, np.nan)])
    k, p, a, b = _starts(values, DOSE / DOSE_MAX)
    np.testing.assert_array_equal([k, p, a], [[1, 1, 1], [1, 1, 1], [0, 0, 0]])
    np.testing.assert_allclose(b, [3.0, 0.0, 0.0])


def test_estimate_on_binned_axis():
    s = dose_signal(curves(2.0, 1.3, 5.0, 2.0) * 152.0)
    s.axes_manager[-1].is_binned = True
    model, component = fitted_model(s)
    component.estimate_parameters(s, DOSE[0], DOSE[-1])
    np.testing.assert_allclose(model.as_signal().data, s.data, rtol=1e-2)
    model.fit(grad="analytical")
    np.testing.assert_allclose([component.k.value, component.a.value], [2.0, 5.0], rtol=1e-5)


def test_model_survives_saving(tmp_path):
    truth = truth_maps()
    s = dose_signal(curves(**truth))
    model, component = fitted_model(s)
    component.dose_max = 2000.0
    component.b.free = False
    for name, values in truth.items():
        parameter = getattr(component, name)
        parameter.map["values"][:], parameter.map["is_set"][:] = values, True
    model.store("damage")
    path = tmp_path / "model.hspy"
    s.save(path)

    restored = hs.load(path).models.restore("damage")
    again = restored[0]
    assert type(again) is PowerLawDegradation
    assert again.dose_max == 2000.0
    assert not again.b.free
    for name, values in truth.items():
        np.testing.assert_array_equal(getattr(again, name).map["values"], values)
    expected = model.as_signal(show_progressbar=False).data
    np.testing.assert_array_equal(restored.as_signal(show_progressbar=False).data, expected)


def test_model_slices_keep_dose_max():
    s = dose_signal(curves(**truth_maps()))
    model, component = fitted_model(s)
    component.dose_max = 2000.0
    component.estimate_parameters(s, DOSE[0], DOSE[-1])
    part = model.inav[1:3, 2]
    assert part[0].dose_max == 2000.0
    np.testing.assert_array_equal(part[0].k.map["values"], component.k.map["values"][2, 1:3])


def test_registered_with_hyperspy():
    component = PowerLawDegradation()
    entry = ALL_EXTENSIONS["components1D"][component._id_name]
    assert entry == {"module": "hyperspy_dosekin.components", "class": "PowerLawDegradation"}
    # A registered class is stored by its identifier; only unregistered ones are pickled.
    assert "_class_dump" not in component.as_dictionary()


def test_exact_rational_value():
    # p = 2: C = 1/(1 + kφ), exact by hand.
    component = PowerLawDegradation(k=3.0, p=2.0, a=7.0, b=0.0, dose_max=4.0)
    expected = 7 / (1 + 3 * Fraction(1, 4))
    assert component.function(np.array([1.0]))[0] == pytest.approx(float(expected), rel=1e-14)
