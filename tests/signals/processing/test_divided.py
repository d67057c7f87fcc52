# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames that were divided one by one are processed as the counts they were."""

import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series, dose_series_image

EACH = {"maximum": np.max, "sum": np.sum, "exposure": None}


@pytest.mark.parametrize("by", EACH)
@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_a_factor_of_each_spectrum_changes_nothing(by, lazy):
    s = dose_series_image(3, shape=(2, 4), spike_rate=1.0)
    whole = s.process_low_loss()
    divided = s.deepcopy()
    divided.change_dtype("float64")
    times = np.geomspace(1, 30, 9)[:, None, None, None]
    divisor = times if by == "exposure" else 1.0 * EACH[by](s.data, axis=-1, keepdims=True)
    divided.data = divided.data / divisor
    del divided.metadata.Signal.Noise_properties
    divided = divided.as_lazy() if lazy else divided
    with pytest.warns(UserWarning, match="divided by a number of its own"):
        found = divided.process_low_loss()
    with pytest.warns(UserWarning, match="divided by a number of its own"):
        raw = divided.process_low_loss(normalise=False)
    for signal in (found, raw):
        if lazy:
            signal.compute(show_progressbar=False)
            signal.get_noise_variance().compute(show_progressbar=False)
    np.testing.assert_allclose(found.data, whole.data, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(
        found.get_noise_variance().data, whole.get_noise_variance().data, rtol=1e-9
    )
    # Where nothing is normalised, intensities are those of the signal.
    counts = s.process_low_loss(normalise=False)
    np.testing.assert_allclose(raw.data, counts.data / divisor, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        raw.get_noise_variance().data, counts.get_noise_variance().data / divisor**2, rtol=1e-9
    )
    area, of_counts = (
        np.asarray(p.processing_diagnostics()["zero_loss_intensity"].data) for p in (raw, counts)
    )
    np.testing.assert_allclose(area, of_counts / divisor[..., 0], rtol=1e-9)


@pytest.mark.parametrize("normalise", [False, True])
def test_core_losses_too(normalise):
    energy = 400 + 0.5 * np.arange(400)
    expected = 2e4 * (energy / 500) ** -3 + np.where(energy > 532, 600.0, 0.0)
    s = dose_series().inav[:7].isig[:400]
    s.data = np.random.default_rng(0).poisson(expected, (7, 400))
    s.axes_manager[-1].offset, s.axes_manager[-1].scale = 400.0, 0.5
    options = {"background": (430, 520), "align": False, "normalise": normalise}
    options |= {"reference": (532, 560)} if normalise else {}
    whole = s.process_core_loss(**options)
    divisor = np.linspace(1, 30, 7)[:, None]
    s.data = s.data / divisor
    with pytest.warns(UserWarning, match="divided by a number of its own"):
        found = s.process_core_loss(**options)
    back = 1 if normalise else divisor
    np.testing.assert_allclose(found.data * back, whole.data, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        found.get_noise_variance().data * back**2, whole.get_noise_variance().data, rtol=1e-9
    )
