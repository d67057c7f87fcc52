# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doses of every kind on axes of every kind."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tests.fuzz.fuzzing import attempt, fuzz, numbers
from tests.fuzz.things import doses, spectra, wrong

RATES = ("dose_rate", "frame_time", "beam_current", "area", "pre_exposure", "at", "axis")
sensible = {
    "dose_rate": st.sampled_from((3.5, 1e-300, 1e300, 0.0)),
    "frame_time": st.sampled_from((44.0, 1e-300, 1e300)),
    "beam_current": st.sampled_from((5e-11, 1.0, 1e-300)),
    "area": st.sampled_from((100.0, 1e300, 1e-300)),
    "pre_exposure": st.sampled_from((0.0, 20.0, 1e308)),
    "at": st.sampled_from(("end", "middle", "start")),
    "axis": st.sampled_from((None, 0, -1, "dose", "x", 17)),
}


@fuzz(60, often=8)
def test_set_dose_axis(material):
    signal = material.draw(spectra(channels=(0, 1, 3)))
    assume(signal is not None)
    sizes = signal.axes_manager.navigation_shape
    n = material.draw(st.sampled_from(sizes)) if sizes else 3
    options = {}
    if material.draw(st.booleans()):
        options["dose"] = material.draw(doses(n))
    for name in material.draw(st.sets(st.sampled_from(RATES), max_size=3)):
        options[name] = material.draw(st.one_of(sensible[name], sensible[name], wrong))
    before = numbers(signal)
    axes = str(signal.axes_manager.as_dictionary())

    def call(**options):
        signal.set_dose_axis(**options)
        return True

    done = attempt(call, **options)
    after = numbers(signal)
    if not done:
        np.testing.assert_array_equal(after, before)
        assert str(signal.axes_manager.as_dictionary()) == axes
        return
    found = next(each for each in signal.axes_manager.navigation_axes if each.name == "dose")
    doses_found = np.asarray(found.axis)
    assert np.isfinite(doses_found).all()
    assert (doses_found >= 0).all()
    assert (np.diff(doses_found) > 0).all()
    assert sorted(map(str, after.ravel())) == sorted(map(str, before.ravel()))
