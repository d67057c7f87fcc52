# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulations with arguments of every kind."""

from hypothesis import strategies as st

from hyperspy_dosekin import data
from tests.fuzz.fuzzing import attempt, fuzz, numbers, parameters_of
from tests.fuzz.things import wrong

SMALL = {
    "dose_series": {"n_channels": 64},
    "dose_series_image": {"shape": (2, 3), "n_channels": 64},
    "reference_spectra": {},
    "annealing_series": {"shape": (2, 3, 2)},
}


@fuzz(10, often=100)
def test_simulations(material):
    name = material.draw(st.sampled_from(sorted(SMALL)))
    function = getattr(data, name)
    known = ["_", *parameters_of(function)]
    chosen = {k: v for k, v in SMALL[name].items() if k in known}
    for option in material.draw(st.sets(st.sampled_from(known[1:]), max_size=2)):
        chosen[option] = material.draw(st.one_of(st.integers(0, 3), st.floats(), wrong))

    def call(**chosen):
        return numbers(function(**chosen))

    attempt(call, **chosen)
