# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What first files have: pedestals, dead channels, saturation, the wrong chain."""

import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series, dose_series_image


def thickness(processed):
    return processed.processing_diagnostics()["t_over_lambda"].data


@pytest.mark.parametrize(
    ("electrons", "pedestal", "begin"),
    [(1e5, 500, -8.0), (1e5, 500, -4.0), (1e6, 100, -4.0), (1e4, 50, -5.0), (1e6, 600, -3.0)],
)
@pytest.mark.filterwarnings("ignore:the noise of the data")
def test_a_pedestal_is_subtracted_where_the_gain_side_is_short(electrons, pedestal, begin, caplog):
    s = dose_series(0, electrons=electrons, spike_rate=0.0).isig[begin:]
    truth = thickness(s.process_low_loss())
    s.data = s.data + pedestal
    processed = s.process_low_loss()
    # The few counts of the tail are in the level, which every channel has.
    np.testing.assert_allclose(thickness(processed), truth, rtol=0.03)
    level = processed.processing_diagnostics()["dark_level"].data
    np.testing.assert_allclose(level, pedestal, rtol=0.07)
    assert "NOT subtracted" not in caplog.text


def test_noise_of_a_pedestal_is_no_energy_gain(caplog):
    s = dose_series_image(0, shape=(3, 4), electrons=2e5, energy_offset=-16.0, channels=560)
    s.data = np.random.default_rng(1).poisson(s.data + 8000)
    s.process_low_loss()
    assert "pedestal" in caplog.text
    assert "energy gains" not in caplog.text


@pytest.mark.filterwarnings("ignore:the noise of the data")
def test_a_pedestal_that_cannot_be_told_is_said(caplog):
    s = dose_series(0, electrons=1e6, spike_rate=0.0).isig[-1.0:]
    s.data = s.data + 600
    s.process_low_loss()
    assert "NOT subtracted" in caplog.text


@pytest.mark.parametrize("electrons", [1e4, 1e7])
@pytest.mark.parametrize("begin", [-8.0, -4.0])
def test_a_tail_is_no_pedestal(electrons, begin):
    s = dose_series(1, electrons=electrons, spike_rate=0.0, zero_loss_asymmetry=0.2).isig[begin:]
    assert "dark" not in s.process_low_loss().metadata.Dosekin.processing.steps


@pytest.mark.filterwarnings("ignore:the noise of the data")
def test_a_pedestal_above_the_peak_is_said_in_plain_numbers(caplog):
    s = dose_series(0, electrons=1e4, spike_rate=0.0)
    s.data = s.data + 4000
    s.process_low_loss()
    assert "times the height" in caplog.text
    assert "e+" not in caplog.text


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bands_of_few_channels_are_no_shifted_gain(scale, caplog):
    s = dose_series(3, electrons=1e8).rebin(scale=(1, scale))
    s.process_low_loss()
    assert "gain seems shifted" not in caplog.text
    # One that is, is still named.
    s.change_dtype("float64")
    s.data[:, 300 // scale] *= 1.05
    s.process_low_loss()
    assert f"Channels {300 // scale} differ" in caplog.text


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize("kind", ["int32", "float32"])
def test_channels_of_zeros_are_bridged_and_named(lazy, kind):
    s = dose_series_image(1, shape=(5, 6), spike_rate=0.0)
    s.change_dtype(kind)
    whole = s.process_low_loss().integrate_windows().data
    s.data[..., [150, 151, 350]] = 0
    s = s.as_lazy() if lazy else s
    with pytest.warns(UserWarning, match=r"channel 150 .*, 151 .*, 350 .* nothing but zeros"):
        processed = s.process_low_loss()
    if lazy:
        processed.compute()
    assert processed.processing_diagnostics()["spikes"].data.mean() <= 0.05
    areas = processed.integrate_windows().data
    assert abs(areas.mean(axis=(0, 1)) / whole.mean(axis=(0, 1)) - 1).max() < 0.02


@pytest.mark.filterwarnings("error:channel")
def test_few_counts_are_no_dead_channels():
    s = dose_series(2, electrons=300, spike_rate=0.0)
    assert (s.data == 0).all(axis=0).any()
    s.process_low_loss(deconvolve=False)


@pytest.mark.parametrize("kind", ["uint8", "int16", "float32"])
def test_saturation_is_seen_at_few_counts(kind, caplog):
    s = dose_series(0, electrons=2e4, spike_rate=0.0)
    s.data = np.minimum(s.data, 255).astype(kind)
    s.process_low_loss(deconvolve=False)
    assert "9 of 9 spectra has a flat top" in caplog.text


@pytest.mark.filterwarnings("error:channel")
@pytest.mark.parametrize("electrons", [300, 1e3, 3e3])
def test_saturation_is_not_seen_in_noise(electrons, caplog):
    for seed in range(3):
        s = dose_series(seed, electrons=electrons, spike_rate=0.0, energy_scale=0.06)
        s.process_low_loss(deconvolve=False, spikes=False)
    assert "flat top" not in caplog.text


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_low_losses_are_named_as_the_wrong_chain_for_core_losses(lazy):
    s = dose_series(0)
    s = s.as_lazy() if lazy else s
    with pytest.raises(ValueError, match=r"low-loss spectra, with a zero-loss peak at 0\.0.* eV"):
        s.process_core_loss(background=(20.0, 30.0), crop=(31.0, 60.0))
    s.isig[20.0:].process_core_loss(background=(21.0, 30.0), crop=(31.0, 60.0))


def test_integers_that_ran_over_are_said(caplog):
    s = dose_series(electrons=3e5, spike_rate=0.0)
    assert s.data.max() > 32767
    s.data = s.data.astype("uint16").view("int16")
    s.process_low_loss()
    assert "have become negative" in caplog.text
    caplog.clear()
    s.data = s.data.view("uint16")
    s.process_low_loss()
    assert "have become negative" not in caplog.text


def test_a_drift_that_leaves_no_gain_side():
    s = dose_series(0, spike_rate=0.0)
    s.data[4] = np.roll(s.data[4], -43)
    s.data[4, -43:] = s.data[4, -44]
    processed = s.process_low_loss()
    assert np.isfinite(np.delete(thickness(processed), 4)).all()


def test_masked_arrays_are_refused():
    s = dose_series(0)
    s.data = np.ma.masked_array(s.data, mask=s.data < 0)
    with pytest.raises(TypeError, match="masked array"):
        s.process_low_loss()
