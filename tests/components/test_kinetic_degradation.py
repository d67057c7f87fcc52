# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The component of any law against formulas of its own, and HyperSpy's storing and slicing."""

import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.components import KineticDegradation, PowerLawDegradation
from hyperspy_dosekin.kinetics import UserLaw
from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS

DOSE = np.arange(152.0, 1369.0, 152.0)
PHI = DOSE / DOSE[-1]
QUIET = {"hierarchy": (), "show_progressbar": False, "intervals": False}


def series_of(values):
    space = zip(values.shape[:-1], "yx", strict=False)
    axes = [
        *({"size": size, "name": name} for size, name in space),
        {"size": 1, "name": "window"},
        {"axis": DOSE, "name": "dose", "units": "e⁻/Å²"},
    ]
    series = hs.signals.Signal1D(values[..., None, :].copy(), axes=axes)
    series.set_signal_type("DoseSeries")
    series.metadata.set_item("Dose.window_names", ["w"])
    series.metadata.set_item("Dose.dose_rate", 3.5)
    return series


def delayed(rate, delay):
    return np.exp(-np.asarray(rate)[..., None] * np.maximum(PHI - delay, 0.0))


def test_is_the_formula_and_keeps_the_shape_of_the_doses():
    component = KineticDegradation(
        "power law with plateau", DOSE[-1], rate=2.0, plateau=0.2, amplitude=3.0
    )
    truth = 3.0 * (0.2 + 0.8 * np.exp(-2.0 * PHI))
    np.testing.assert_allclose(component.function(DOSE), truth, rtol=1e-9)
    np.testing.assert_allclose(
        component.function(DOSE[::-1].reshape(3, 3)), truth[::-1].reshape(3, 3), rtol=1e-9
    )
    # Before the first dose nothing is damaged.
    np.testing.assert_allclose(component.function(np.array([-5.0])), 3.0)


def test_is_the_power_law_where_that_is_the_law():
    known = PowerLawDegradation(k=1.7, p=1.4, a=-2.0, b=5.0, dose_max=DOSE[-1])
    same = KineticDegradation(
        "power law", DOSE[-1], rate=1.7, exponent=1.4, amplitude=-2.0, offset=5.0
    )
    np.testing.assert_allclose(same.function(DOSE), known.function(DOSE), rtol=1e-12)


#: Those of one series that have no component of their own.
LAWS = sorted(
    name
    for name, law in KINETIC_LAWS.items()
    if name not in ("power law", "first order") and not law.needs_series
)


@pytest.mark.parametrize("name", LAWS)
def test_as_model_of_every_law(name):
    rate = np.array([[2.0, 3.0, 4.0], [1.5, 2.5, 3.5]])
    noise = np.random.default_rng(0).normal(0, 0.003, (2, 3, DOSE.size))
    known = {} if "plateau" not in name and name != "reversible" else {"offset": 1.0}
    result = series_of(2 * delayed(rate, 0.1) + 1 + noise).fit_dose_pinn(
        estimator="exact", law=name, **known, **QUIET
    )
    model = result.as_model()
    fitted = model.as_signal(show_progressbar=False)
    np.testing.assert_allclose(fitted.data, result.fitted.data, rtol=1e-6, err_msg=name)
    assert [p.name for p in model[0].parameters] == [*result.parameters, "amplitude", "offset"]
    part = model.inav[0, 1, 0].as_signal(show_progressbar=False)
    np.testing.assert_allclose(part.data.ravel(), result.fitted.data[0, 1, 0], rtol=1e-6)


def test_goes_on_to_fit():
    truth = 2 * delayed(np.array([2.5, 3.0]), 0.22) + 1
    model = series_of(truth).create_model()
    component = KineticDegradation("delayed", DOSE[-1], rate=1.5, delay=0.1, amplitude=1.5)
    model.append(component)
    model.multifit(show_progressbar=False, bounded=True)
    np.testing.assert_allclose(component.rate.map["values"].ravel(), [2.5, 3.0], rtol=1e-3)
    np.testing.assert_allclose(component.delay.map["values"].ravel(), 0.22, rtol=1e-3)


def test_a_law_of_the_user_and_one_without_its_code(tmp_path):
    def quick(integrity, parameters, dose):
        return parameters["rate"] * (1 + 2 * integrity) * integrity

    law = UserLaw(quick, {"rate": (0.01, 20.0, 1.0)}, name="autocatalytic")
    result = series_of(2 * delayed([2.0, 3.0], 0.05)).fit_dose_pinn(
        estimator="exact", law=law, **QUIET
    )
    model = result.as_model()
    fitted = result.fitted.data[:, 0]
    found = model.as_signal(show_progressbar=False).data[..., 0, :]
    np.testing.assert_allclose(found, fitted, rtol=1e-5)
    part = model.inav[0, 1].as_signal(show_progressbar=False)
    np.testing.assert_allclose(part.data.ravel(), fitted[1], rtol=1e-5)
    result.save(tmp_path / "one.hspy")
    with pytest.raises(ValueError, match="'autocatalytic' is not stored"):
        hyperspy_dosekin.load(tmp_path / "one.hspy").as_model()


def test_a_stored_model_comes_back():
    s = series_of(2 * delayed([2.0, 3.0], 0.1))
    model = s.create_model()
    component = KineticDegradation("delayed", DOSE[-1], rate=2.0, delay=0.1, amplitude=2.0)
    model.append(component)
    model.store("one")
    again = s.models.restore("one")
    assert again[0].law is component.law
    assert again[0].dose_max == DOSE[-1]
    np.testing.assert_array_equal(again[0].function(DOSE), component.function(DOSE))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="has no parameter 'exponent'; it has rate"):
        KineticDegradation("first order", exponent=1.0)
    with pytest.raises(ValueError, match="dose_max=0"):
        KineticDegradation("first order", dose_max=0)
