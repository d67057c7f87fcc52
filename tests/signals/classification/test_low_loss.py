# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""References of single scattering, data of plural scattering, and the low loss that tells."""

import exspy
import numpy as np
import pytest

from hyperspy_dosekin import DualVAE
from hyperspy_dosekin.data import annealing_series, reference_spectra

QUICK = {"network": False, "show_progressbar": False}


@pytest.fixture(scope="module")
def series():
    return annealing_series(2, shape=(5, 12, 10), peak_snr=8, plural_scattering=0.8)


@pytest.fixture
def low_loss():
    """As thick as the series: a plasmon at 22 eV, 4 eV wide to either side, in three pixels."""
    energy = np.arange(-15, 80, 0.5)
    plasmon = 1 / (1 + ((energy - 22) / 4) ** 2)
    plasmon /= plasmon[energy >= 0].sum()
    peak = np.exp(-0.5 * (energy / 0.6) ** 2)
    once = peak / peak.sum() + np.where(energy > 2, 0.8 * plasmon, 0)
    signal = exspy.signals.EELSSpectrum(1e4 * np.stack([0.5 * once, once, 1.5 * once]))
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale, axis.units = -15, 0.5, "eV"
    return signal


def test_the_low_loss_explains_what_the_references_do_not(series, low_loss):
    label = series.metadata.Simulation.label
    found = series.classify_vae(reference_spectra(), low_loss=low_loss, **QUICK)
    assert (found.class_map.data == label).mean() > 0.97
    assert (found.novelty.data > 2).mean() < 0.04
    assert not found.report.problems
    (note,) = (note for note in found.report.notes if "low loss" in note)
    assert "0.7" in note or "0.8" in note, "what is lost beyond 80 eV and below 2 eV is little"


def test_a_lazy_or_descending_low_loss_is_the_same(low_loss):
    from hyperspy_dosekin.signals.classification.training_data import read_low_loss

    expected = read_low_loss(low_loss)
    turned = low_loss.deepcopy()
    turned.data = np.ascontiguousarray(turned.data[:, ::-1])
    axis = turned.axes_manager[-1]
    axis.offset, axis.scale = axis.high_value, -axis.scale
    for other in (low_loss.as_lazy(), turned):
        found = read_low_loss(other)
        assert found.density == pytest.approx(expected.density)
        assert found.loss_ev == pytest.approx(expected.loss_ev)


def test_what_is_no_low_loss_is_refused(series, low_loss):
    with pytest.raises(TypeError, match=r"low_loss=3 must be a signal"):
        DualVAE(network=False).fit(series, reference_spectra(), low_loss=3)
    with pytest.raises(ValueError, match=r"no zero-loss peak"):
        series.classify_vae(reference_spectra(), low_loss=low_loss.isig[5.0:], **QUICK)
    vae = DualVAE(network=False).fit(series, reference_spectra(), show_progressbar=False)
    with pytest.raises(ValueError, match=r"low_loss cannot be given with model="):
        series.classify_vae(model=vae, low_loss=low_loss)
