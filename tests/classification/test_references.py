# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""References reach the axis of the data whole, or the message says what is missing."""

import numpy as np
import pytest

from hyperspy_dosekin.classification.readers import read_columns, read_fdmnes, read_feff, reader_for
from hyperspy_dosekin.classification.references import (
    ReferenceSet,
    classes_of,
    find_confusable,
    find_problems,
    resample,
)

AXIS = np.linspace(100, 120, 41)


def test_a_fine_line_between_channels_keeps_its_area():
    own = np.linspace(95, 125, 30_001)
    line = np.exp(-0.5 * ((own - 110.2) / 0.02) ** 2)
    found = resample(AXIS, own, line)
    assert found.sum() * 0.5 == pytest.approx(0.02 * np.sqrt(2 * np.pi), rel=1e-3)
    assert np.interp(AXIS, own, line).max() < 1e-9, "plain interpolation would lose it"


def test_a_coarse_reference_is_interpolated():
    own = np.array([90.0, 105.0, 130.0])
    assert resample(AXIS, own, 2 * own) == pytest.approx(2 * AXIS)


def test_order_and_repeated_energies_do_not_matter():
    own = np.linspace(95, 125, 61)
    values = np.sin(own)
    shuffled = np.random.default_rng(0).permutation(61)
    twice = np.concatenate([shuffled, shuffled[:5]])
    expected = resample(AXIS, own, values)
    assert resample(AXIS, own[twice], values[twice]) == pytest.approx(expected)


def test_broadening_has_the_width_that_was_asked_for():
    own = np.linspace(90, 130, 8001)
    line = np.exp(-0.5 * ((own - 110) / 0.05) ** 2)
    axis = np.linspace(100, 120, 801)
    found = resample(axis, own, line, fwhm_ev=2.0)
    above = axis[found > found.max() / 2]
    assert above[-1] - above[0] == pytest.approx(2.0, abs=0.06)
    area = found.sum() * (axis[1] - axis[0])
    assert area == pytest.approx(0.05 * np.sqrt(2 * np.pi), rel=1e-2)


@pytest.mark.parametrize(
    ("low", "high", "missing"),
    [(104, 130, "100 to 104 eV is"), (90, 117, "117 to 120 eV is"), (101, 118, "118 to 120 eV")],
)
def test_missing_energies_are_named(low, high, missing):
    own = np.linspace(low, high, 50)
    with pytest.raises(ValueError, match=missing):
        resample(AXIS, own, own)


def test_classes_keep_the_order_of_their_labels():
    class_of, names = classes_of(["b", "a", "b", 3])
    assert names == ("b", "a", "3")
    assert class_of.tolist() == [0, 1, 0, 2]


def test_problems_are_named_with_their_pair():
    peak = np.exp(-0.5 * (AXIS - 110) ** 2)
    spectra = np.stack([peak, 0.5 * peak, 0 * peak, 0.5 * peak + 1e-4])
    names = ("high", "low", "empty", "again")
    found = find_problems(
        ReferenceSet(AXIS, spectra, np.arange(4), names), np.full(AXIS.size, 0.01)
    )
    assert any("'empty' is zero" in text for text in found)
    assert any("'high' and 'low' are collinear" in text for text in found)
    assert any("'low' and 'again' are indistinguishable" in text for text in found)
    assert not any("'high' and 'empty'" in text for text in found)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="one class"):
        ReferenceSet(AXIS, np.ones((2, 41)), np.zeros(2, dtype=int), ("a",))


def test_nan_in_a_reference_is_refused():
    spectra = np.ones((2, 41))
    spectra[1, 3] = np.nan
    with pytest.raises(ValueError, match=r"references \[1\]"):
        ReferenceSet(AXIS, spectra, np.arange(2), ("a", "b"))


FILES = {
    "blanks.txt": "# E mu\n 700.0  1.5\n 700.5  2.5\n",
    "tabs.dat": "Energy\tIntensity\n700.0\t1.5\n700.5\t2.5\n",
    "commas.csv": "energy,intensity\n700.0,1.5\n700.5,2.5\n",
    "semicolons.csv": "E;I\n700,0;1,5\n700,5;2,5\n",
    "decimal.txt": "700,0 1,5\n700,5 2,5\n",
    "fortran.txt": "0.7000D+03 1.5\n0.7005D+03 2.5\n",
    "site_conv.txt": "    Energy    <xanes>\n   700.0  1.5\n   700.5  2.5\n",
}


@pytest.mark.parametrize("name", FILES)
def test_two_columns_are_read_from(name, tmp_path):
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    found = reader_for(path)(path)
    assert found.energy_ev == pytest.approx([700.0, 700.5])
    assert found.intensity == pytest.approx([1.5, 2.5])


def test_feff_gives_mu_and_not_its_wave_number(tmp_path):
    path = tmp_path / "xmu.dat"
    header = "# Cr2O3\n#  omega    e    k    mu    mu0     chi     @#\n"
    rows = "  688.1 -1.9 -0.70 0.13 0.12 0.01\n  689.1 -0.9 -0.4 0.33 0.22 0.11\n"
    path.write_text(header + rows, encoding="utf-8")
    assert reader_for(path) is read_feff
    assert read_feff(path).intensity == pytest.approx([0.13, 0.33])


def test_kinds_of_file_are_known_by_name(tmp_path):
    assert reader_for(tmp_path / "a_CONV.txt") is read_fdmnes
    assert reader_for(tmp_path / "a.txt") is read_columns
    assert reader_for(tmp_path / "a.hspy") is None


def test_a_text_without_numbers_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("nothing here\nbut 1 number\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"notes\.txt has 0 lines"):
        read_columns(path)


def test_a_class_between_two_others_is_named():
    x = np.arange(60)
    a, b, c = (np.exp(-0.5 * ((x - place) / 5) ** 2) for place in (20, 40, 12))
    spectra = np.stack([a, 0.5 * a + 0.5 * b, b, c])
    known = ReferenceSet(500.0 + x, spectra, np.arange(4), ("a", "half", "b", "c"))
    (said,) = find_confusable(known, np.full(60, 0.01))
    assert said.startswith("class 'half' lies between 'a' and 'b'")
    far = ReferenceSet(500.0 + x, spectra[[0, 2, 3]], np.arange(3), ("a", "b", "c"))
    assert find_confusable(far, np.full(60, 0.01)) == []
