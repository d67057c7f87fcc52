# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no argument of anything is refused by its name, every option of every method."""

import inspect

import numpy as np
import pytest
from exspy.signals import EELSSpectrum

import hyperspy_dosekin
from hyperspy_dosekin import data
from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.signals.kinetics.options.fit_options import METHOD_OPTIONS, FitOptions
from tests.fuzz.fuzzing import require_clear
from tests.fuzz.test_fits import a_result

NONSENSE = (
    *("nonsense", object, b"x", 2j, 10**400, {1: 2}, [[1, 2], [3]], [None], (1, 2, 3, "x")),
    np.zeros((2, 0)),
)
#: Arguments that may be anything in a call that ends before they are looked at, or that stand for
#: themselves.
FREE = {"self", "options", "windows", "labels", "show_progressbar", "nuisances", "composition"}


def refuses(call, *accepted):
    """Call with each of the nonsense; all of it must be refused in clear words."""
    for each in NONSENSE:
        if any(each is one for one in accepted):
            continue
        try:
            call(each)
        except Exception as error:
            require_clear(error)
        else:
            pytest.fail(f"{short(each)} was accepted")


#: Options that only the data, or a law, can tell to be wrong.
WITH_DATA = ("device", "law", "offset", "loss", "noise", "dtype")


@pytest.mark.parametrize("name", METHOD_OPTIONS)
def test_options_of_fits(name):
    def fit(each):
        series = a_result().data
        series.fit_dose_pinn(estimator="exact", intervals=False, **{name: each})

    refuses(fit if name in WITH_DATA else lambda each: FitOptions.of(**{name: each}))


ASKED = {
    "name": lambda each: a_result().interval(each),
    "level": lambda each: a_result().interval("rate", each),
    "method": lambda each: a_result().interval("rate", 0.9, each),
    "dose_level": lambda each: a_result().interval("dose_at", dose_level=each),
    "predict": lambda each: a_result().predict(each),
    "dose_at": lambda each: a_result().dose_at(each),
    "integrity": lambda each: a_result().integrity_interval(each),
    "intensity": lambda each: a_result().intensity_interval(each),
    "extent": lambda each: a_result().plot(extent=each),
    "laws": lambda each: hyperspy_dosekin.compare_laws(a_result().data, each),
    "series": lambda each: hyperspy_dosekin.compare_laws(each),
    "prior": lambda each: hyperspy_dosekin.compare_laws(a_result().data, prior=each),
    "path": lambda each: hyperspy_dosekin.load(each),
    "window": lambda each: a_result()[each],
}


@pytest.mark.parametrize("name", ASKED)
def test_questions(name):
    refuses(ASKED[name])


TOGETHER = {
    "share": lambda each: jointly(share=each),
    "conditions": lambda each: conditions(conditions=each),
    **{
        name: lambda each, name=name: conditions(**{name: each})
        for name in ("reference", "shape", "exponent", "offset_ratio", "noise", "dose_scale")
    },
    **{
        name: lambda each, name=name: conditions(**{name: each})
        for name in ("names", "n_draws", "seed", "zero_error", "correlated", "offset")
    },
    "residue": lambda each: spectra(residue=each),
    "groups": lambda each: spectra(groups=each),
}


def jointly(**options):
    each = {"one": a_result().data, "other": a_result().data}
    hyperspy_dosekin.fit_dose_jointly(each, show_progressbar=False, **options)


def conditions(**options):
    options = {"conditions": {"dose_rate": [1, 2, 3]}, **options}
    hyperspy_dosekin.fit_dose_conditions([a_result().data] * 3, **options)


def spectra(**options):
    data.dose_series(processed=True).fit_dose_spectra(show_progressbar=False, **options)


@pytest.mark.parametrize("name", TOGETHER)
def test_fits_of_several_series_and_of_spectra(name):
    refuses(TOGETHER[name])


def test_paths_to_save_to():
    refuses(a_result().save, "nonsense")


SIMULATIONS = {
    "dose_series": {},
    "dose_series_image": {"shape": (2, 2)},
    "annealing_series": {"shape": (1, 2, 2)},
}
METHODS = ("process_low_loss", "process_core_loss", "set_dose_axis", "plot_windows")


def call(name, **options):
    if name in SIMULATIONS:
        return getattr(data, name)(**{**SIMULATIONS[name], **options})
    return getattr(data.dose_series(), name)(**options)


def arguments():
    found = []
    for name in (*SIMULATIONS, *METHODS):
        function = getattr(data if name in SIMULATIONS else EELSSpectrum, name)
        for option, parameter in inspect.signature(function).parameters.items():
            if option not in FREE and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                found.append((name, option))
    return found


@pytest.mark.parametrize(("name", "option"), arguments())
def test_arguments(name, option):
    # Without rows there are no vibrations; what dask does not know as chunks is dask's to tell.
    accepted = {"chunks": NONSENSE, "vibrations": NONSENSE[-1:]}.get(option, ())
    refuses(lambda each: call(name, **{option: each}), *accepted)
