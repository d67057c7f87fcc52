# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The area of a mirrored peak of few channels, whatever its place in its channel."""

import numpy as np
import pytest
from scipy.special import erf

from hyperspy_dosekin import LOW_LOSS_WINDOWS
from hyperspy_dosekin.data import dose_series
from hyperspy_dosekin.processing.low_loss.coarse_peak import width_of_core, with_its_area
from hyperspy_dosekin.processing.low_loss.peak_shape import reflect
from hyperspy_dosekin.processing.low_loss.zero_loss import find_zero_loss

CENTRE = 20 + np.linspace(-0.5, 0.5, 21)


def peaks(width):
    edge = np.arange(62) - 0.5 - CENTRE[:, None]
    return np.diff(0.5 * erf(edge * 2.3548 / width / np.sqrt(2)), axis=-1)


@pytest.mark.parametrize(("width", "within"), [(1.5, 5e-3), (2.0, 5e-4), (3.0, 2e-4)])
def test_area_does_not_depend_on_the_place_in_the_channel(width, within):
    spectra = peaks(width)
    shown = float(np.median(find_zero_loss(spectra, widest=20).fwhm))
    found = width_of_core(CENTRE, shown)
    assert found == pytest.approx(width, rel=0.03)
    mirrored = reflect(spectra, CENTRE)
    area = with_its_area(mirrored, CENTRE, found).sum(axis=-1)
    np.testing.assert_allclose(area, 1, atol=within)
    assert np.ptp(mirrored.sum(axis=-1)) > 5 * within or width == 1.5


def test_wide_peaks_are_left_alone():
    assert width_of_core(CENTRE, 4.0) is None
    assert width_of_core(CENTRE, np.nan) is None


@pytest.mark.parametrize("normalise", ["total", True])
def test_areas_and_thickness_do_not_follow_the_place_in_the_channel(normalise):
    s = dose_series(
        drift=0.3 * np.linspace(0, 1, 9), noise=False, energy_scale=0.3, channels=360,
        channel_response="integrated", kinetics={n: {"k": 1e-9} for n in LOW_LOSS_WINDOWS},
    )  # fmt: skip
    p = s.process_low_loss(normalise=normalise, deconvolve=False, spikes=False)
    areas = p.integrate_windows().data[2:]
    assert (np.ptp(areas, axis=-1) / areas.mean(axis=-1)).max() < 2e-3
    assert np.ptp(p.processing_diagnostics()["t_over_lambda"].data) < 1.5e-3
