# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single precision where noise hides its rounding, and nowhere else."""

import hyperspy.api as hs
import numpy as np
import pytest

QUIET = {"show_progressbar": False}
ENERGY = np.arange(512) * 0.1 - 4.0


def spectra(electrons, noisy, quiet=20.0):
    """Counts of a peak and a plasmon, and of a level far down, by NumPy alone."""
    peak = np.exp(-0.5 * (ENERGY / 0.3) ** 2)
    plasmon = np.where(ENERGY > 3, np.exp(-0.5 * ((ENERGY - 22) / 4) ** 2), 0.0)
    expected = electrons * (0.7 * peak / peak.sum() + 0.3 * plasmon / plasmon.sum())
    expected = np.tile(expected + np.where(ENERGY > 3, quiet, 0.0), (24, 1))
    s = hs.signals.Signal1D(
        np.random.default_rng(0).poisson(expected).astype(float) if noisy else expected
    )
    s.set_signal_type("EELS")
    axis = s.axes_manager[-1]
    axis.scale, axis.offset, axis.units = 0.1, ENERGY[0], "eV"
    if noisy:
        s.metadata.set_item("Signal.Noise_properties.Variance_linear_model.gain_factor", 1.0)
        s.metadata.set_item("Signal.Noise_properties.Variance_linear_model.gain_offset", 0.0)
    return s


@pytest.mark.parametrize("electrons", [1e5, 1e7])
def test_rounding_is_less_than_a_thousandth_of_the_noise(electrons):
    s = spectra(electrons, noisy=True)
    found, exact = (s.process_low_loss(dtype=kind, **QUIET) for kind in (None, "float64"))
    assert found.data.dtype == np.float64
    assert not np.array_equal(found.data, exact.data)
    # By the noise of the expected counts, far from the peak, whose tail is no loss.
    far = slice(60, -8)
    area = 0.7 * electrons * 0.1
    sigma = np.sqrt(np.maximum(s.data.mean(axis=0), 1.0)) / area
    error = (found.data - exact.data)[:, far] / sigma[: found.data.shape[-1]][far]
    assert np.sqrt((error**2).mean()) < 1e-3
    areas, others = found.integrate_windows(), exact.integrate_windows()
    deviation = np.sqrt(others.get_noise_variance().data)
    # Errors of the channels of a window are alike.
    assert np.abs((areas.data - others.data) / deviation).max() < 3e-3


@pytest.mark.parametrize(
    "options",
    [
        {"electrons": 1e5, "noisy": False},
        # The rounding of the plasmon exceeds the noise far down.
        {"electrons": 1e12, "noisy": True},
    ],
    ids=["without noise", "many electrons"],
)
def test_double_precision_where_there_is_little_noise(options):
    s = spectra(**options)
    found, exact = (s.process_low_loss(dtype=kind, **QUIET) for kind in (None, "float64"))
    np.testing.assert_array_equal(found.data, exact.data)
