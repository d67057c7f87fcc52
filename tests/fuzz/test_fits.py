# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits of series of every kind, with options of every kind."""

import dask.array as da
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import hyperspy_dosekin
from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS
from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries, LazyDoseSeries
from tests.fuzz.fuzzing import attempt, fuzz, numbers
from tests.fuzz.things import hostile, seeds, series, wrong

LAWS = sorted(KINETIC_LAWS)
sensible = {
    "estimator": st.just("exact"),
    "spatial": st.sampled_from(("auto", "mean", "pixel", "field", "population")),
    "law": st.sampled_from((*LAWS, "nonsense")),
    "offset": st.sampled_from((0.0, 5.0, [5.0], [1.0, 2.0, 3.0, 4.0], 1e300)),
    "exponent": st.sampled_from((1.0, 0.0, 0.5, "shared", 11.0)),
    "hierarchy": st.sampled_from(
        ((), (("w0", "w1"),), (("w1", "w0"), ("w0", "w1")), (("x", "y"),))
    ),
    "prior": st.sampled_from((None, {"log_rate": (0.0, 1.0)}, {"exponent": (1.0, 1e-300)})),
    "loss": st.sampled_from(("huber", "soft_l1")),
    "noise": st.sampled_from(("relative", "absolute", "floor")),
    "nonnegative": st.booleans(),
    "zero_error": st.sampled_from((0.1, 1e300, 1e-300)),
    "correlated": st.booleans(),
    "dtype": st.sampled_from(("float64", "float32")),
    "intervals": st.booleans(),
    "device": st.sampled_from(("cpu", "auto")),
    "seeds": st.sampled_from(((1,), ())),
    "protocol": st.sampled_from(("fast", "paper")),
    "adam_epochs": st.sampled_from((1, 0)),
}
NAMES = ("rate", "exponent", "rate_per_dose", "half_integrity_dose", "dose_at", "integrity")


@st.composite
def options(draw):
    """Options of a fit, some of them wrong."""
    chosen = {"estimator": "exact", "intervals": draw(st.sampled_from((True, False, False)))}
    for name in draw(st.sets(st.sampled_from(sorted(sensible)), max_size=3)):
        chosen[name] = draw(st.one_of(sensible[name], sensible[name], wrong))
    return chosen


@fuzz(12, often=15)
def test_options(material):
    signal = material.draw(series(most=1))
    assume(signal is not None)
    chosen = material.draw(options())

    def call(signal, **chosen):
        result = signal.fit_dose_pinn(show_progressbar=False, **chosen).compute()
        return result, str(result), result.half_integrity_dose

    attempt(call, signal, **chosen)


@fuzz(12, often=25)
def test_anything_fitted(material):
    signal = material.draw(series(ordinary=False))
    assume(signal is not None)
    law = material.draw(st.sampled_from(("power law", "power law", *LAWS)))

    def call(signal):
        result = signal.fit_dose_pinn(estimator="exact", law=law, show_progressbar=False).compute()
        return result, str(result), result._repr_html_()

    attempt(call, signal)


@fuzz(4, often=150)
def test_questions(material):
    """What is asked of a result, with arguments of every kind."""
    result = a_result()
    name = material.draw(st.one_of(st.sampled_from(NAMES), hostile, wrong))
    level = material.draw(st.one_of(st.sampled_from((0.95, 0.0, 1.0, 1e-9)), wrong))
    method = material.draw(st.one_of(st.sampled_from(("posterior", "profile")), wrong))
    dose = material.draw(st.one_of(st.sampled_from(([0.0, 1.0], [], 3.0, [1e300], [-1.0])), wrong))
    which = material.draw(
        st.sampled_from(
            ("interval", "dose_level", "integrity", "dose_at", "predict", "getitem", "spread")
        )
    )
    ask = {
        "interval": lambda: result.interval(name, level, method),
        "dose_level": lambda: result.interval("dose_at", 0.9, dose_level=level),
        "integrity": lambda: result.integrity_interval(dose, level),
        "dose_at": lambda: result.dose_at(level),
        "predict": lambda: result.predict(dose),
        "getitem": lambda: result[name],
        "spread": lambda: result.intensity_interval(dose),
    }[which]
    attempt(ask)


_result = []


def a_result():
    if not _result:
        made = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
        _result.append(made.fit_dose_pinn(estimator="exact", show_progressbar=False))
    return _result[0]


def fitted(values, dose, chunks=None, **options):
    """The half-integrity doses of an array ``(…, window, dose)``."""
    array = values if chunks is None else da.from_array(values, chunks=chunks)
    axes = [{"size": n, "navigate": True, "name": f"a{i}"} for i, n in enumerate(values.shape[:-2])]
    axes += [
        {"size": values.shape[-2], "navigate": True, "name": "window"},
        {"axis": dose, "navigate": False, "name": "dose", "units": "e⁻/Å²"},
    ]
    signal = (DoseSeries if chunks is None else LazyDoseSeries)(array, axes=axes)
    options = {"hierarchy": (), "intervals": False, **options}
    result = signal.fit_dose_pinn(
        estimator="exact", spatial="pixel", show_progressbar=False, **options
    ).compute()
    return numbers(result.half_integrity_dose)


@fuzz(5, often=5)
def test_units_order_and_chunks_do_not_matter(material):
    rng = np.random.default_rng(material.draw(seeds))
    shape = (*material.draw(st.sampled_from(((2,), (3, 2), (1,)))), 2, 9)
    dose = np.cumsum(rng.uniform(0.3, 2.0, 9))
    rate = rng.uniform(0.5, 4.0, shape[:-1])[..., np.newaxis] / dose[-1]
    values = 5.0 + 20.0 * np.exp(-rate * dose) + rng.normal(0, 0.05, shape)
    law = material.draw(st.sampled_from(("power law", "first order", *LAWS)))
    chunks = tuple(material.draw(st.integers(1, n)) for n in shape)
    factor = material.draw(st.sampled_from((2.0**-20, 4.0, 2.0**60)))

    found = attempt(lambda: fitted(values, dose, law=law))
    assume(found is not None)
    again = attempt(lambda: fitted(values, dose, law=law))
    np.testing.assert_array_equal(again, found)
    lazy = attempt(lambda: fitted(values, dose, chunks, law=law))
    np.testing.assert_allclose(lazy, found, rtol=1e-4)
    scaled = attempt(lambda: fitted(values * factor, dose, law=law))
    np.testing.assert_allclose(scaled, found, rtol=1e-4)
    unit = attempt(lambda: fitted(values, dose * factor, law=law))
    np.testing.assert_allclose(unit, found * factor, rtol=1e-4)
    # HyperSpy's axes are ordered, one way or the other.
    reversed_ = attempt(lambda: fitted(values[..., ::-1], dose[::-1], law=law))
    np.testing.assert_allclose(reversed_, found, rtol=1e-4)


@fuzz(3, often=20)
def test_laws_compared(material):
    signal = material.draw(series(ordinary=material.draw(st.booleans()), most=1))
    assume(signal is not None)
    chosen = {"laws": material.draw(st.one_of(st.lists(st.sampled_from(LAWS), max_size=3), wrong))}
    for name in material.draw(st.sets(st.sampled_from(("offset", "prior", "noise", "spatial")))):
        chosen[name] = material.draw(st.one_of(sensible[name], wrong))
    if chosen["laws"] is None:
        chosen["laws"] = ["power law", "first order"]

    def call(signal, **chosen):
        found = hyperspy_dosekin.compare_laws(signal, show_progressbar=False, **chosen).computed()
        return found, str(found), found.verdict, found.average().half_integrity_dose

    attempt(call, signal, **chosen)
