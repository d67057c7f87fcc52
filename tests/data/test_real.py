# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundled file is what its docstring says."""

from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pooch
import pytest

from hyperspy_dosekin.data import lsmo_line_scan, real

ORIGINAL = Path(__file__).parents[2] / "../shared/data/real/LSMO_linescan_low_loss.hspy"


def test_line_scan_is_as_described():
    s = lsmo_line_scan()
    assert s.data.shape == (40, 460)
    assert s.data.dtype == np.float32
    assert s.metadata.Signal.signal_type == "EELS"
    x, energy = s.axes_manager[0], s.axes_manager[-1]
    assert (x.name, x.units) == ("x", "µm")
    assert (energy.units, energy.offset, energy.scale) == ("eV", -30.0, 0.5)
    assert "GPL-3.0" in s.metadata.General.notes
    assert s.metadata.Acquisition_instrument.TEM.beam_energy == 80.0
    lazy = lsmo_line_scan(lazy=True)
    assert lazy._lazy
    np.testing.assert_array_equal(lazy.data.compute(), s.data)


@pytest.mark.skipif(not ORIGINAL.exists(), reason="the original file is not here")
def test_intensities_are_those_of_the_original():
    original = hs.load(ORIGINAL).isig[-30.0:200.0]
    np.testing.assert_array_equal(lsmo_line_scan().data, original.data)


def test_a_file_that_is_missing_or_changed_is_an_error(tmp_path, monkeypatch):
    registry = pooch.create(tmp_path, base_url="", registry=real._REGISTRY.registry)
    monkeypatch.setattr(real, "_REGISTRY", registry)
    with pytest.raises(FileNotFoundError, match=r"lsmo_line_scan\.hspy is missing.*install"):
        lsmo_line_scan()
    (tmp_path / "lsmo_line_scan.hspy").write_bytes(b"something else")
    with pytest.raises(FileNotFoundError, match="changed"):
        lsmo_line_scan()
