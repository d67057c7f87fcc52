# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options are written once, and every method shows them as its own."""

import inspect
from dataclasses import fields

import exspy
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.signals import eels
from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries
from hyperspy_dosekin.signals.kinetics.options.configs import exact_config
from hyperspy_dosekin.signals.kinetics.options.fit_options import METHOD_OPTIONS, FitOptions

EELS = exspy.signals.EELSSpectrum
FITS = (EELS.fit_dose_pinn, EELS.fit_dose_kinetics, DoseSeries.fit_dose_pinn)
METHODS = {
    **{f"EELSSpectrum.{function.__name__}": function for function in eels.METHODS},
    "DoseSeries.fit_dose_pinn": DoseSeries.fit_dose_pinn,
    "DualVAE": hyperspy_dosekin.DualVAE,
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_name_all_that_they_take(name):
    signature = inspect.signature(METHODS[name])
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert signature.return_annotation not in ("Any", inspect.Signature.empty)


@pytest.mark.parametrize("fit", FITS)
def test_fits_take_every_option_of_the_class_with_its_default(fit):
    parameters = inspect.signature(fit).parameters
    default = FitOptions()
    for entry in fields(FitOptions):
        if entry.name != "network":
            assert parameters[entry.name].default == getattr(default, entry.name)
            assert f"{entry.name}\n" in inspect.getdoc(fit)
    assert {entry.name for entry in fields(NetworkConfig)} <= set(parameters)
    assert inspect.signature(fit).return_annotation == "DoseKinetics"


def test_the_plain_name_is_the_same_function():
    assert EELS.fit_dose_kinetics is EELS.fit_dose_pinn
    assert DoseSeries.fit_dose_kinetics is DoseSeries.fit_dose_pinn


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("estimater", "estimator"), ("adam_epoch", "adam_epochs"), ("offsets", "offset")],
)
def test_a_misspelt_option_is_answered_with_what_was_meant(wrong, meant):
    s = hyperspy_dosekin.data.dose_series(processed=True)
    match = f"no option '{wrong}'; did you mean '{meant}'"
    for call in (s.fit_dose_pinn, s.integrate_windows().fit_dose_kinetics, s.dose_kinetics_tool):
        with pytest.raises(TypeError, match=match):
            call(**{wrong: 1})


def test_a_misspelt_option_of_the_classifier():
    s = hyperspy_dosekin.data.annealing_series(shape=(1, 3, 4))
    with pytest.raises(TypeError, match="classify_vae has no option 'step'; did you mean 'steps'"):
        s.classify_vae(step=3)
    with pytest.raises(TypeError, match="DualVAE has no option 'latents'"):
        hyperspy_dosekin.DualVAE(latents=3)


def test_a_misspelt_choice_too():
    with pytest.raises(ValueError, match="did you mean 'exact'"):
        FitOptions(estimator="exat")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"estimator": "exact", "seeds": (1,)}, "seeds"),
        ({"estimator": "exact", "protocol": "paper"}, "protocol"),
        ({"estimator": "exact", "adam_epochs": 3}, "adam_epochs"),
        ({"estimator": "pinn", "loss": "huber"}, "loss"),
    ],
)
def test_no_option_is_ignored_in_silence(options, named):
    series = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
    with pytest.raises(ValueError, match=f"^'{named}': only the"):
        series.fit_dose_pinn(**options)


def test_a_pair_whose_windows_are_not_there_is_said():
    series = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
    with pytest.warns(UserWarning, match="window 'CO', which is not one of .*did you mean 'C–O'"):
        series.fit_dose_pinn(estimator="exact", hierarchy=[("CO", "C–C")], intervals=False)


def test_options_reach_the_estimators_by_their_names():
    options = FitOptions.of(exponent=1.5, dtype="float32", noise="absolute", device="cpu")
    config = exact_config(options)
    shared = {e.name for e in fields(ExactConfig)} & {e.name for e in fields(FitOptions)}
    assert shared > {"exponent", "dtype", "noise", "device", "hierarchy", "loss", "prior"}
    assert all(
        getattr(config, name) == getattr(options, name) for name in shared - {"offset", "law"}
    )
    assert config.law is options.kinetic_law


def test_given_are_those_that_differ():
    assert FitOptions().given() == {}
    options = {"exponent": 1.0, "adam_epochs": 3}
    assert FitOptions.of(**options).given() == options
    assert set(options) <= set(METHOD_OPTIONS)
