# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Absorbed doses and cross sections of results."""

import re

import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series

#: ESTAR, water at 300 keV: 2.355 MeV cm²/g; 1 e⁻/Å² is 1e16 electrons in each cm².
MGY_PER_FLUENCE = 2.355 * 1e16 * 1.602176634e-13 * 1e3 / 1e6


@pytest.fixture(scope="module")
def result():
    s = dose_series(processed=True, seed=2)
    s.set_dose_axis(dose_rate=3.45, frame_time=44.0, composition="H2O")
    return s.fit_dose_pinn(estimator="exact", law="first order")


def test_table_has_fluence_dose_and_cross_section(result):
    text = str(result)
    assert "D½ (e⁻/Å²)" in text
    assert "σ (barn)" in text
    assert "Doses in e⁻/Å² are fluences" in text
    assert "At 300 keV 1 e⁻/Å² leaves 3.77 MGy in H2O" in text
    header = [cell.strip() for cell in text.splitlines()[2].split("|")]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| C–O")]
    (cells,) = [[cell.strip() for cell in row] for row in rows]
    half = float(result["C–O"].half_integrity_dose.data[0])
    shown = float(cells[header.index("D½ (MGy)")].replace("\u202f", ""))
    assert shown == pytest.approx(MGY_PER_FLUENCE * half, rel=0.01)


def test_cross_section_is_the_rate_constant(result):
    """ln 2 / D½ in Å², times 1e8 barn."""
    expected = np.log(2) / result.half_integrity_dose.data * 1e8
    np.testing.assert_allclose(result.cross_section.data, expected, rtol=1e-5)
    assert result.cross_section.metadata.Signal.quantity == "Cross section (barn)"


def test_undetermined_windows_have_no_number_to_paste(result):
    undetermined = [
        name
        for name, flag in zip(result.window_names, result.identifiable.data, strict=True)
        if not flag
    ]
    assert undetermined
    for line in str(result).splitlines():
        if any(line.startswith(f"| {name}") for name in undetermined):
            sigma = line.split("|")[-4].strip()
            assert re.match(r"\[|>|<|\(", sigma)


def test_other_laws_and_units_have_no_cross_section():
    s = dose_series(processed=True, seed=2)
    power_law = s.fit_dose_pinn(estimator="exact", intervals=False)
    with pytest.raises(ValueError, match='law="first order"'):
        _ = power_law.cross_section
    assert "barn" not in str(power_law)
    s.axes_manager["dose"].units = "MGy"
    first_order = s.fit_dose_pinn(estimator="exact", law="first order", intervals=False)
    with pytest.raises(ValueError, match="needs a fluence"):
        _ = first_order.cross_section
    assert "fluences" not in str(first_order)
