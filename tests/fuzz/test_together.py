# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several series fitted together, and whole spectra, with arguments of every kind."""

import inspect
import tempfile
from pathlib import Path

import exspy
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import hyperspy_dosekin
from hyperspy_dosekin.signals.kinetics.options.fit_options import NETWORK_OPTIONS
from hyperspy_dosekin.signals.spectra.fit import fit_dose_spectra
from tests.fuzz.fuzzing import attempt, fuzz, numbers
from tests.fuzz.test_experiments import drawn_options, shown
from tests.fuzz.test_fits import LAWS
from tests.fuzz.things import SPECIAL, eels, hostile, seeds, series, spectra, values, wrong

JOINT = {
    "share": st.sampled_from(
        (
            *(("exponent",), "shape", [], ["rate"], ["nothing"], "exponent"),
            *(("shape", "rate"), ("shape", "rate ratio"), ("dose error",), ("pre-exposure",)),
        )
    ),
    "estimator": st.sampled_from(("exact", "exact", "other")),
    "windows": st.sampled_from((None, "w0", {"one": ["w0"]}, {"other": []})),
    "common_mode": st.booleans(),
    "offset": st.sampled_from((None, 5.0, {"one": 5.0}, {"nobody": 1.0})),
    "law": st.sampled_from(("power law", "first order", *LAWS)),
    "prior": st.sampled_from((None, {"exponent": (1.0, 0.5)})),
    "noise": st.sampled_from(("relative", "absolute", "floor")),
    "nonnegative": st.sampled_from((None, True, False)),
    "correlated": st.sampled_from((None, True, False)),
    "dose_scale": st.sampled_from((None, 1.0, 1e-300)),
    "exponent": st.sampled_from((None, 1.0)),
    "processing_error": st.booleans(),
    "dose_uncertainty": st.sampled_from((None, 0.1, {"scale": 0.1}, {"nothing": 1})),
    "zero_error": st.sampled_from((None, 0.1, 1e300)),
    "device": st.sampled_from(("cpu", "auto")),
}
NAMES = st.lists(hostile, min_size=2, max_size=2, unique=True)


def there_and_back(found):
    """A result from its file says the same as before."""
    with tempfile.TemporaryDirectory() as folder:

        def saved():
            found.save(Path(folder) / "result.hspy")
            return hyperspy_dosekin.load(Path(folder) / "result.hspy")

        again = attempt(saved)
        assert again is None or shown(again) == shown(found)
        assert again is not None or not list(Path(folder).iterdir())


@fuzz(4, often=15)
def test_joint(material):
    ordinary = material.draw(st.sampled_from((True, True, True, False)))
    each = [material.draw(series(ordinary=ordinary, most=1)) for _ in range(2)]
    assume(all(one is not None for one in each))
    names = material.draw(st.one_of(st.just(["one", "other"]), NAMES))
    chosen = drawn_options(material, JOINT, most=2)
    asked = [material.draw(st.one_of(st.sampled_from(names), hostile, wrong)) for _ in range(2)]

    def call(*each, **chosen):
        return hyperspy_dosekin.fit_dose_jointly(
            dict(zip(names, each, strict=True)), show_progressbar=False, **chosen
        )

    found = attempt(call, *each, **chosen)
    if found is None:
        return
    attempt(lambda: (shown(found), found.check(), found.to_dataframe(), found.agrees))
    attempt(lambda: found.ratio((asked[0], "w0"), (asked[1], "w0")))
    attempt(lambda: found[asked[1]])
    assert "<img" not in found._repr_html_()
    there_and_back(found)


@fuzz(2, often=12)
def test_the_order_of_series_does_not_matter(material):
    each = {f"{place}": material.draw(series(most=0)) for place in range(3)}
    assume(all(one is not None for one in each.values()))
    chosen = {"common_mode": material.draw(st.booleans())}

    def fitted(order):
        found = hyperspy_dosekin.fit_dose_jointly(
            {name: each[name] for name in order}, show_progressbar=False, **chosen
        )
        return [numbers(found[name].half_integrity_dose) for name in each]

    one, other = attempt(lambda: fitted("012")), attempt(lambda: fitted("201"))
    assert (one is None) == (other is None)
    for first, second in zip(one or (), other or (), strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-3)


SPECTRA = {
    "n_components": st.sampled_from((None, 1, 1, 2, 3, 9)),
    "energy_range": st.sampled_from((None, (3.0, 20.0), (20.0, 3.0), (3.0, 3.0), (900.0, 999.0))),
    "law": st.sampled_from(("power law", "first order", *LAWS)),
    "exponent": st.sampled_from((None, 1.0, 0.5)),
    "prior": st.sampled_from((None, {"exponent": (1.0, 0.5)})),
    "residue": st.sampled_from((None, 0.0, 5.0, [1.0, 2.0])),
    "nonnegative": st.booleans(),
    "noise": st.sampled_from(("relative", "absolute", "floor")),
    "frame_error": st.sampled_from((0.0, 0.01, 1e300)),
    "processing_error": st.booleans(),
    "spatial": st.sampled_from(("auto", "mean", "pixel", "population", "field")),
    "groups": st.sampled_from((None, None, [0, 0], [0, 1], [1], "two")),
    "dose_axis": st.sampled_from((None, 0, "dose", "nothing")),
    "dose_scale": st.sampled_from((None, 1.0, 1e-300)),
    "dose_uncertainty": st.sampled_from((None, 0.1, {"scale": 0.1})),
}


def fading(material):
    """Spectra of an ordinary series, of a line that fades on one that stays."""
    n = material.draw(st.sampled_from((3, 4, 9)))
    rng = np.random.default_rng(material.draw(seeds))
    space = material.draw(st.sampled_from(((), (2,))))
    energy, dose = np.arange(64) * 0.5 - 5.0, 40.0 * np.arange(1, n + 1)
    lines = [np.exp(-((energy - place) ** 2) / 4) for place in (8.0, 14.0)]
    left = np.exp(-rng.uniform(0.5, 4.0) * dose / dose[-1])
    data = 20.0 + 50.0 * left[:, None] * lines[0] + 30.0 * lines[1]
    data = data + rng.normal(0, 0.5, (*space, n, 64))
    factor = material.draw(st.sampled_from((1.0, 1.0, 1e-30, 1e30)))
    s = eels(np.moveaxis(data, -2, 0) * factor)
    s.axes_manager[-2].name = "dose"
    s.set_dose_axis(dose=dose)
    return s


@fuzz(4, often=15)
def test_spectra(material):
    chosen = drawn_options(material, SPECTRA, ("n_components",), 2)
    signal = fading(material)
    if material.draw(st.integers(0, 4)) == 0:
        hit = values(signal.data.shape, ("float64",), 0.05)
        signal.data = material.draw(hit)
    quantity = material.draw(
        st.one_of(st.sampled_from(("rate", "spectra", "residue", "integrity")), hostile, wrong)
    )
    level = material.draw(st.one_of(st.sampled_from((0.95, 0.0, 1.0)), wrong))

    def call(signal, **chosen):
        return signal.fit_dose_spectra(show_progressbar=False, **chosen)

    found = attempt(call, signal, **chosen)
    if isinstance(found, dict):
        found = next(iter(found.values()))
    if found is None:
        return
    attempt(lambda: (shown(found), found.rank_test, found.to_dataframe(), found.methods_text()))
    attempt(lambda: numbers(found.half_integrity_dose))
    attempt(lambda: found.interval(quantity, level))
    there_and_back(found)


@fuzz(2, often=60)
def test_any_spectra(material):
    signal = material.draw(spectra(most=2))
    assume(isinstance(signal, exspy.signals.EELSSpectrum))
    scale = material.draw(st.sampled_from((*SPECIAL, None, 1.0)))

    def call(signal):
        found = signal.fit_dose_spectra(dose_scale=scale, show_progressbar=False)
        return shown(found)

    attempt(call, signal)


def test_every_option_is_drawn():
    """What is public and not drawn here is forgotten."""
    options = set(inspect.signature(fit_dose_spectra).parameters)
    assert options - set(SPECTRA) == {"self", "show_progressbar"}
    options = set(inspect.signature(hyperspy_dosekin.fit_dose_jointly).parameters)
    # A training takes seconds; its options are those of a single series.
    network = {"seeds", "protocol", *NETWORK_OPTIONS}
    assert options - set(JOINT) - network == {"series", "show_progressbar"}
