# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of spectra of every kind, by references of every kind."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from hyperspy_dosekin import reference_spectra
from tests.fuzz.fuzzing import attempt, fuzz, numbers
from tests.fuzz.things import eels, seeds, spectra, values, wrong

QUICK = {"steps": 1, "evaluate_every": 1, "show_progressbar": False}
OPTIONS = (
    "labels",
    "classifier",
    "prior",
    "spatial",
    "spatial_strength",
    "steps",
    "latent",
    "seed",
)


@st.composite
def references(draw):
    """References, some of which are none."""
    rng = np.random.default_rng(draw(seeds))
    channels = draw(st.sampled_from((64, 64, 63, 1, 0)))
    table = rng.random((draw(st.sampled_from((0, 1, 2, 3))), channels)) + 0.1
    kind = draw(st.sampled_from(("array", "signal", "list", "special", "wrong")))
    if kind == "special" and table.size:
        table.flat[0] = draw(st.sampled_from((np.nan, np.inf, 1e308, -1.0)))
    if kind == "signal" and table.size:
        return eels(table)
    if kind == "list":
        return [eels(row) for row in table if row.size]
    return draw(wrong) if kind == "wrong" else table


@fuzz(6, often=10)
def test_anything_classified(material):
    signal = material.draw(spectra(channels=(0, 1, 7, 64, 64, 64), most=3))
    assume(signal is not None)
    named = material.draw(references())
    chosen = dict(QUICK)
    for option in material.draw(st.sets(st.sampled_from(OPTIONS), max_size=1)):
        chosen[option] = material.draw(st.one_of(st.integers(0, 3), wrong))

    def call(signal, named, **chosen):
        found = signal.classify_vae(named, **chosen)
        return numbers(found.class_map), str(found)

    attempt(call, signal, named, **chosen)


@fuzz(10, often=100)
def test_references(material):
    sources = material.draw(references())
    options = {}
    for option in material.draw(
        st.sets(st.sampled_from(("labels", "shift_ev", "fwhm_ev", "energy_ev")), max_size=2)
    ):
        options[option] = material.draw(st.one_of(values((2,)), wrong))

    def call(sources, **options):
        return numbers(reference_spectra(sources, **options))

    attempt(call, sources, **options)
