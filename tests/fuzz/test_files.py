# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Saved and loaded is the same, whatever things are called."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import hyperspy_dosekin
from tests.fuzz.fuzzing import attempt, fuzz, numbers
from tests.fuzz.test_fits import LAWS
from tests.fuzz.things import hostile, series

MAPS = ("rate", "half_integrity_dose", "amplitude", "offset")


@fuzz(4, often=15)
def test_saved_and_loaded(material):
    signal = material.draw(series(most=1))
    assume(signal is not None)
    n_window = len(signal.window_names)
    names = material.draw(st.lists(hostile, min_size=n_window, max_size=n_window, unique=True))
    signal.metadata.set_item("Dose.window_names", names)
    signal.metadata.set_item("General.title", material.draw(hostile))
    signal.metadata.set_item("General.notes", material.draw(hostile))
    law = material.draw(st.sampled_from(("power law", "power law", *LAWS)))
    suffix = material.draw(st.sampled_from((".hspy", ".hspy", ".zspy")))
    result = attempt(
        lambda: signal.fit_dose_pinn(
            estimator="exact", law=law, intervals=False, show_progressbar=False
        ).compute()
    )
    assume(result is not None)
    html = result._repr_html_()
    assert "<img" not in html
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"result{suffix}"

        def there_and_back():
            result.save(path)
            return hyperspy_dosekin.load(path)

        found = attempt(there_and_back)
        if found is None:
            assert not list(Path(folder).iterdir())
            return
        assert found.window_names == result.window_names
        for name in MAPS:
            if hasattr(result, name):
                np.testing.assert_array_equal(
                    numbers(getattr(found, name)), numbers(getattr(result, name))
                )
        assert str(found) == str(result)
