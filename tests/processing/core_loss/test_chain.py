# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spectra of core losses have nothing to do with those that are processed beside them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperspy_dosekin.processing.core_loss.chain import CoreLossChain, process_spectra

ENERGY = 400.0 + 2.0 * np.arange(130)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    level=st.sampled_from([0.05, 1.0, 300.0]),
    kind=st.sampled_from(["nothing", "below zero", "NaN", "spike"]),
    options=st.sampled_from(
        [
            {},
            {"reference": slice(60, 80)},
            {"reference": slice(60, 80), "reference_background": slice(5, 40)},
        ]
    ),
)
def test_the_numbers_of_a_spectrum_do_not_depend_on_its_neighbours(seed, level, kind, options):
    random = np.random.default_rng(seed)
    expected = level * (ENERGY / 400) ** -random.uniform(1, 6, (7, 1))
    spectra = random.poisson(expected + 0.7 * level * (ENERGY > 510)).astype(float)
    rows = random.choice(7, 3, replace=False)
    value = {"nothing": 0.0, "below zero": -3.0, "NaN": np.nan, "spike": 1e4 * level}[kind]
    spectra[rows, 20 if kind in ("NaN", "spike") else slice(5, 45)] = value
    known = {"align": True, "reference": None, "reference_background": None, "margin": 2}
    known |= {"background": slice(5, 45), "crop": slice(40, 125), "gain": 1.0, "offset": 0.0}
    chain = CoreLossChain(ENERGY, **known | options)
    position, scale = random.uniform(-2, 2, 7), random.uniform(1, 9, 7)

    def run(some):
        parts = spectra[some], position[some], scale[some]
        return process_spectra(*parts, chain=chain, with_variance=True)

    together = run(slice(None))
    alone = [np.concatenate(each) for each in zip(*(run([row]) for row in range(7)), strict=True)]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12 * np.nanmax(np.abs(other)))
