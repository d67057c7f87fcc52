# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spectra whose zero-loss peak is not what it seems, and ends that single spectra do not have."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.stats import norm

QUIET = {"show_progressbar": False}
ENERGY = -20 + 0.2 * np.arange(400)


def spectra(data, offset=-20.0):
    s = hs.signals.Signal1D(data)
    s.set_signal_type("EELS")
    axis = s.axes_manager[-1]
    axis.name, axis.units, axis.scale, axis.offset = "Energy loss", "eV", 0.2, offset
    return s


def counts(electrons=1e6, place=0.0):
    drift = place + 0.3 * np.sin(2 * np.arange(9))[:, np.newaxis]
    shape = norm.pdf(ENERGY, drift, 0.3) + 0.3 * norm.pdf(ENERGY, 22.5 + drift, 2.2)
    shape += 0.06 * norm.pdf(ENERGY, 12.5 + drift, 1.5)
    # What scatters twice: half the square.
    shape += 0.045 * norm.pdf(ENERGY, 45 + drift, 3.1) + 0.018 * norm.pdf(ENERGY, 35 + drift, 2.7)
    return np.random.default_rng(0).poisson(0.2 * electrons * shape)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda y: y * np.where(np.arange(400) == 102, 0.5, 1), "Channel 102 (0.4 eV)"),
        (lambda y: (y % 65536).astype("u2"), "too large for the type"),
        (lambda y: y + np.roll(y, -30, -1) // 3, "a higher one that is as narrow"),
        (lambda y: y, ""),
        (lambda y: y // 300, ""),
    ],
    ids=["half-gain", "wrapped", "ghost", "right", "few counts"],
)
def test_what_is_wrong_with_a_peak_is_said(change, words, caplog):
    spectra(change(counts())).process_low_loss(**QUIET)
    assert words in caplog.text
    if not words:
        assert "zero-loss peak" not in caplog.text.replace("The zero-loss peak is not symm", "")


def test_a_loss_is_no_zero_loss_peak_where_the_axis_begins_beyond_it(caplog):
    s = spectra(counts())
    with pytest.raises(ValueError, match="there is no zero-loss peak in the axis, 8 to"):
        s.isig[8.0:].process_low_loss(**QUIET)
    # An axis that nobody calibrated is another matter.
    s.axes_manager[-1].offset = 312.0
    s.process_low_loss(**QUIET)
    assert "the peak at 331.9 eV is taken for the zero-loss peak" in caplog.text


def test_ends_that_moved_spectra_do_not_have_are_left_out():
    data = counts().astype(float)
    whole = spectra(data).process_low_loss(**QUIET).isig[1.0:50.0]
    for row in range(9):
        data[row, : 2 * row] = np.nan
        data[row, 400 - row :] = np.nan
    with pytest.warns(UserWarning, match="16 channels .* and 8 at its end .* in some spectra"):
        processed = spectra(data).process_low_loss(**QUIET)
    assert np.isfinite(processed.data).all()
    areas = (each.integrate_windows({"w": (20.0, 25.0)}).data for each in (processed, whole))
    np.testing.assert_allclose(*areas, rtol=1e-3)
