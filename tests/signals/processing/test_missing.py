# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dead channels, NaN in one spectrum, and results of which nothing is left."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series

ENERGY = np.arange(500.0, 740.0)


def low_loss(lazy=False):
    s = dose_series()
    s.change_dtype("float32")
    return s.as_lazy() if lazy else s


def core_loss(seed=0, level=4e3):
    net = 300.0 * (ENERGY > 680) * np.exp(-(ENERGY - 680) / 40)
    counts = level * (ENERGY / 600) ** -3.0 + net
    data = np.random.default_rng(seed).poisson(np.tile(counts.clip(0), (6, 1))).astype(float)
    s = hs.signals.Signal1D(data)
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(offset=500.0, scale=1.0, units="eV", name="Energy loss")
    s.metadata.Signal.quantity = "Electrons (Counts)"
    return s


CHAIN = {"background": (600, 670), "crop": (675, 720)}


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_a_dead_channel_is_bridged_and_named(lazy):
    whole = low_loss().process_low_loss()
    s = low_loss(lazy)
    s.data[:, 400] = np.nan
    with pytest.warns(UserWarning, match=r"channel 400 \(64 eV\) of every spectrum"):
        processed = s.process_low_loss(show_progressbar=False)
    data = np.asarray(processed.data)
    assert np.isfinite(data).all()
    np.testing.assert_allclose(data, whole.data, atol=0.01 * whole.data.max())
    assert np.isnan(np.asarray(s.data)[:, 400]).all()


@pytest.mark.parametrize("channel", [120, 300, 480])
def test_one_missing_value_changes_no_other_spectrum(channel):
    whole = low_loss().process_low_loss()
    s = low_loss()
    s.data[3, channel] = np.nan
    processed = s.process_low_loss()
    others = np.arange(9) != 3
    np.testing.assert_allclose(
        processed.data[others], whole.data[others], atol=1e-4 * whole.data.max()
    )
    assert np.isfinite(processed.data[3]).all()


def test_a_result_without_a_number_is_an_error_that_says_why():
    s = low_loss()
    s.data[:, 43:46] = np.nan
    with (
        pytest.warns(UserWarning, match="channel 43"),
        pytest.raises(ValueError, match=r"NaN everywhere: 9 of 9 spectra .* channel 43"),
    ):
        s.process_low_loss()
    s.data[:] = np.nan
    with pytest.raises(ValueError, match="hold no numbers"):
        s.process_low_loss()


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_missing_values_outside_what_is_used_do_nothing(lazy):
    whole = core_loss().process_core_loss(**CHAIN)
    s = core_loss()
    s.data[:, 20:60] = np.nan
    s.data[2, 235:] = np.inf
    s = s.as_lazy() if lazy else s
    with pytest.warns(UserWarning, match="of every spectrum holds no number"):
        processed = s.process_core_loss(**CHAIN)
    np.testing.assert_allclose(np.asarray(processed.data), whole.data)


def test_a_missing_value_that_is_used_costs_its_spectrum_only():
    s = core_loss()
    whole = s.process_core_loss(**CHAIN)
    s.data[2, 110:130] = np.nan
    missing = np.isnan(s.process_core_loss(**CHAIN).data)
    assert missing[2].all()
    assert missing.sum() == missing[2].sum()
    others = np.arange(6) != 2
    np.testing.assert_allclose(s.process_core_loss(**CHAIN).data[others], whole.data[others])


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_a_background_of_nothing_is_an_error_that_says_why(lazy):
    s = core_loss()
    s.data -= 4e3 * 1.2
    s = s.as_lazy() if lazy else s
    with pytest.raises(ValueError, match=r"background=\(600, 670\) eV is not positive.*dark"):
        s.process_core_loss(**CHAIN)


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_single_spectra_without_a_background_are_said(lazy, caplog):
    s = core_loss()
    s.data[4, :175] -= 6e3
    s.data[2, 110:130] = np.nan
    s = s.as_lazy() if lazy else s
    s.process_core_loss(**CHAIN)
    assert "The mean in background= is below zero in 1 of 6 spectra" in caplog.text
    assert "1 of 6 spectra hold NaN or infinite values in background=" in caplog.text


def test_backgrounds_that_are_noise_alone_have_no_nan_and_no_bias():
    rng = np.random.default_rng(0)
    s = core_loss()
    s.data = rng.normal(0.02, 5.0, (400, ENERGY.size)) + 3.0 * (ENERGY > 680)
    s = hs.signals.Signal1D(s.data)
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(offset=500.0, scale=1.0, units="eV")
    s.data += 0.3 - s.data[:, 100:171].mean()
    net = s.process_core_loss(**CHAIN)
    assert np.isfinite(net.data).all()


def test_twice_and_the_wrong_chain_are_named():
    processed = low_loss().process_low_loss()
    with pytest.raises(ValueError, match="processed twice it means nothing"):
        processed.process_low_loss()
    with pytest.raises(ValueError, match="by process_core_loss after process_low_loss"):
        processed.process_core_loss(background=(5, 9))
    net = core_loss().process_core_loss(**CHAIN)
    with pytest.raises(ValueError, match="what process_core_loss returned"):
        net.process_low_loss()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        part = low_loss().process_low_loss(deconvolve=False, normalise=False)
        assert part.process_low_loss().data.shape[0] == 9


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize("beside", [-2, 0, 1])
def test_a_missing_value_in_one_peak_changes_no_other_spectrum(lazy, beside):
    whole = low_loss().process_low_loss()
    s = low_loss()
    top = int(s.data[5].argmax())
    s.data[5, top + beside] = np.nan
    processed = (s.as_lazy() if lazy else s).process_low_loss(show_progressbar=False)
    data = np.asarray(processed.data)
    assert data.shape == whole.data.shape
    assert processed.axes_manager[-1].offset == whole.axes_manager[-1].offset
    others = np.arange(9) != 5
    np.testing.assert_allclose(data[others], whole.data[others], atol=1e-4 * whole.data.max())
    # A curve through its logarithms tells what was there, also at the top.
    loss = whole.axes_manager[-1].axis > 4
    np.testing.assert_allclose(data[5, loss], whole.data[5, loss], rtol=0.02, atol=2e-4)


@pytest.mark.parametrize("channel", [-4, 0, 3])
def test_a_channel_of_zeros_in_the_peak_is_bridged_and_named(channel):
    whole = dose_series().process_low_loss().integrate_windows()
    s = dose_series()
    top = int(s.data.mean(axis=0).argmax())
    s.data[:, top + channel] = 0
    with pytest.warns(UserWarning, match=rf"channel {top + channel} .* nothing but zeros"):
        areas = s.process_low_loss().integrate_windows()
    np.testing.assert_allclose(areas.data[1:], whole.data[1:], rtol=0.02)


@pytest.mark.parametrize(("first", "size"), [(15, 1), (15, 2), (230, 1)])
def test_hot_channels_are_bridged_and_named(first, size):
    """On the gain side one would be mirrored into the losses."""
    whole = dose_series().process_low_loss().integrate_windows()
    s = dose_series()
    s.data[:, first : first + size] += np.random.default_rng(0).poisson(3e5, (9, size))
    with pytest.warns(UserWarning, match=rf"channel {first} .* than those beside it"):
        areas = s.process_low_loss().integrate_windows()
    np.testing.assert_allclose(areas.data, whole.data, rtol=0.01)


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_missing_ends_of_the_axis_are_left_out_and_said(lazy):
    s = low_loss()
    s.change_dtype("float32")
    whole = s.isig[7:-9].process_low_loss()
    s.data[..., :7] = np.nan
    s.data[..., -9:] = np.nan
    s = s.as_lazy() if lazy else s
    with pytest.warns(
        UserWarning, match="7 channels at the beginning of the axis and 9 at its end"
    ):
        processed = s.process_low_loss()
    if lazy:
        processed.compute()
    np.testing.assert_allclose(processed.data, whole.data, rtol=1e-5, atol=1e-6)
    found, expected = processed.axes_manager[-1], whole.axes_manager[-1]
    assert (found.size, found.offset) == (expected.size, pytest.approx(expected.offset))
    diagnostics = processed.processing_diagnostics(), whole.processing_diagnostics()
    np.testing.assert_allclose(*(each["shift"].data for each in diagnostics), atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "factor"), [("f8", 1e-200), ("f8", 1e100), ("f4", 1e-25), ("f4", 1e14)]
)
def test_intensities_whose_powers_are_no_numbers_are_refused(dtype, factor):
    series = dose_series(seed=3)
    series.data = (series.data * factor).astype(dtype)
    with pytest.raises(
        ValueError, match=r"the largest intensity is .*divide the data by a constant"
    ):
        series.process_low_loss()


@pytest.mark.parametrize(
    ("dtype", "factor"), [("f8", 1e-60), ("f8", 1e60), ("f4", 1e-20), ("f4", 1e8)]
)
def test_a_factor_that_numbers_can_hold_changes_nothing(dtype, factor):
    series = dose_series(seed=3)
    del series.metadata.Signal.Noise_properties
    areas = []
    for scale in (0.1, factor):
        scaled = series._deepcopy_with_new_data((series.data * scale).astype(dtype))
        areas.append(scaled.process_low_loss(show_progressbar=False).integrate_windows())
    np.testing.assert_allclose(areas[1].data, areas[0].data, rtol=2e-5)
