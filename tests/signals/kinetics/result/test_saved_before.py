# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results that were saved before numbers, views and face were parted load as they were.

The archive holds four small results of simulated series, each with its printed text, and the
arrays of their maps, all written by that earlier version: a mean fit with known offsets
(``exact``), a map of 3 × 2 pixels (``pixels``), two networks (``network``) and a power law with a
plateau (``law``).
"""

import zipfile
from pathlib import Path

import numpy as np
import pytest

import hyperspy_dosekin

ARCHIVE = Path(__file__).with_name("results_of_the_first_layout.zip")
NAMES = ("exact", "pixels", "network", "law")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("before")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(path)
    return path


@pytest.fixture(scope="module")
def numbers(folder):
    return dict(np.load(folder / "numbers.npz"))


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_the_same_to_the_last_digit(folder, numbers, name):
    result = hyperspy_dosekin.load(folder / f"{name}.hspy")
    compared = 0
    for key, expected in numbers.items():
        which, *words = key.split(" ")
        if which != name:
            continue
        if words[0] == "spread":
            found = result.optimiser_spread[words[1]]
        elif words[-1] in ("lower", "upper"):
            found = result.interval(words[0])[words[-1] == "upper"]
        else:
            found = result.parameters.get(words[0]) or getattr(result, words[0])
        # These are computed anew from what is stored, and processors round differently.
        anew = words[0] == "integrity" or which == "network"
        # The spread is a difference of such numbers.
        tolerance = 1e-10 if words[0] == "spread" else 1e-14 if anew else 0.0
        np.testing.assert_allclose(found.data, expected, rtol=tolerance, err_msg=key)
        compared += 1
    assert compared > 12


@pytest.mark.parametrize("name", NAMES)
def test_text_is_the_same_but_for_further_notes(folder, name):
    lines = str(hyperspy_dosekin.load(folder / f"{name}.hspy")).splitlines()[1:]
    before = (folder / f"{name}.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert [line for line in lines if line[0] in "+|"] == [b for b in before if b[0] in "+|"]
    assert set(before) <= set(lines)


def test_saved_again_they_load_again(folder, tmp_path):
    result = hyperspy_dosekin.load(folder / "pixels.hspy")
    result.save(tmp_path / "again.hspy")
    again = hyperspy_dosekin.load(tmp_path / "again.hspy")
    assert str(again) == str(result)
    np.testing.assert_array_equal(again.maps.fields, result.maps.fields)
