# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Window areas against exact integrals and against the trapezoidal rule of NumPy."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid

from hyperspy_dosekin.windows import integrate as module
from hyperspy_dosekin.windows.definitions import Window, parse_windows
from hyperspy_dosekin.windows.integrate import integrate, integrate_with_noise
from hyperspy_dosekin.windows.weights import window_weights

LEAD = (3, 5, 7)
N_CHANNELS = 64
AXIS = -2.0 + 0.5 * np.arange(N_CHANNELS)
WINDOWS = parse_windows({"low": (-1.3, 4.0), "gap": (11.25, 12.2), "wide": (3.1, 29.4)})
#: float64 sums of about 60 terms: rounding, and no more.
ROUNDING = 1e-12
#: Sums of float32 intensities of one sign are made in float32, over at most 128 channels.
FLOAT32_ROUNDING = 1e-6


def rounding_of(dtype):
    return FLOAT32_ROUNDING if np.dtype(dtype) == np.float32 else ROUNDING


def spectra(dtype=np.float64, lead=LEAD, seed=0):
    values = np.random.default_rng(seed).uniform(1, 200, (*lead, N_CHANNELS))
    return values.astype(dtype)


def area_of_polyline(axis, spectrum, left, right):
    """Trapezoidal rule on the channels inside and on the ends, interpolated: the definition."""
    inside = axis[(axis > left) & (axis < right)]
    nodes = np.concatenate([[left], inside, [right]])
    return trapezoid(np.interp(nodes, axis, spectrum), nodes)


def areas_by_definition(axis, block, windows):
    flat = block.reshape(-1, axis.size).astype(np.float64)
    areas = [[area_of_polyline(axis, row, w.left, w.right) for w in windows] for row in flat]
    return np.reshape(areas, (*block.shape[:-1], len(windows)))


def areas_of(axis, block, windows, *, is_binned=False, **options):
    weights = window_weights(axis, windows, is_binned=is_binned)
    return integrate(block[..., weights.channels], weights, **options)


UNEVEN = np.cumsum(np.random.default_rng(3).uniform(0.1, 0.9, N_CHANNELS)) - 2.0


@pytest.mark.parametrize("axis", [AXIS, UNEVEN], ids=["uniform", "uneven"])
@pytest.mark.parametrize("is_binned", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_area_is_that_of_the_lines_between_channels(axis, workers, is_binned):
    block = spectra()
    windows = [w for w in WINDOWS if w.right < axis[-1]]
    areas = areas_of(axis, block, windows, workers=workers, is_binned=is_binned)
    assert areas.shape == (*LEAD, len(windows))
    assert areas.dtype == np.float64
    density = block / np.gradient(axis) if is_binned else block
    np.testing.assert_allclose(areas, areas_by_definition(axis, density, windows), rtol=ROUNDING)


def test_windows_on_channels_give_numpys_trapezoidal_rule():
    block = spectra()
    first, last = 7, 41
    areas = areas_of(AXIS, block, [Window("w", AXIS[first], AXIS[last])])
    expected = trapezoid(block[..., first : last + 1], AXIS[first : last + 1])
    np.testing.assert_allclose(areas[..., 0], expected, rtol=ROUNDING)


def test_a_window_over_the_whole_axis_is_allowed():
    block = spectra()
    areas = areas_of(AXIS, block, [Window("all", AXIS[0], AXIS[-1])])
    np.testing.assert_allclose(areas[..., 0], trapezoid(block, AXIS), rtol=ROUNDING)


@given(
    left=st.floats(-1.9, 25),
    width=st.floats(0.5, 4),
    slope=st.floats(-50, 50),
    intercept=st.floats(-50, 50),
)
def test_straight_lines_are_integrated_exactly(left, width, slope, intercept):
    right = left + width
    line = intercept + slope * AXIS
    exact = intercept * width + slope * (right**2 - left**2) / 2
    area = areas_of(AXIS, line, [Window("w", left, right)])
    # absolute, because positive and negative parts cancel: terms are at most 50 · 30 · 4
    assert area[0] == pytest.approx(exact, abs=6e3 * ROUNDING, rel=ROUNDING)


@given(left=st.floats(-1.5, 20), width=st.floats(1, 8), move=st.floats(-1e-3, 1e-3))
def test_area_is_continuous_in_the_limits(left, width, move):
    spectrum = spectra(lead=())
    before = areas_of(AXIS, spectrum, [Window("w", left, left + width)])
    after = areas_of(AXIS, spectrum, [Window("w", left, left + width + move)])
    # Moving a limit changes the area by no more than the intensity there; a jump of one channel
    # would be 0.5 times the intensity.
    assert abs(after - before) <= abs(move) * spectrum.max() + 1e-6


@given(left=st.floats(-1.9, 10), first=st.floats(0.5, 8), second=st.floats(0.5, 8))
def test_areas_of_adjacent_windows_add_up(left, first, second):
    spectrum = spectra(lead=(2,))
    middle, right = left + first, left + first + second
    parts = areas_of(AXIS, spectrum, [Window("a", left, middle), Window("b", middle, right)])
    whole = areas_of(AXIS, spectrum, [Window("c", left, right)])
    # 1e-7: a limit within 1e-9 of a channel is moved onto it
    np.testing.assert_allclose(parts.sum(axis=-1), whole[..., 0], rtol=1e-7)


@given(scale=st.floats(1e-3, 1e3), factor=st.floats(1e-3, 1e3))
def test_units_scale_out(scale, factor):
    block = spectra()
    windows = [Window(w.name, w.left * scale, w.right * scale) for w in WINDOWS]
    areas = areas_of(AXIS, block, WINDOWS)
    unbinned = areas_of(AXIS * scale, factor * block, windows)
    np.testing.assert_allclose(unbinned, factor * scale * areas, rtol=1e-9)
    binned = areas_of(AXIS * scale, factor * block, windows, is_binned=True)
    np.testing.assert_allclose(binned, factor * areas / 0.5, rtol=1e-9)


@pytest.mark.parametrize("is_binned", [False, True])
@pytest.mark.parametrize("axis", [AXIS, UNEVEN], ids=["uniform", "uneven"])
def test_direction_of_the_axis_does_not_matter(axis, is_binned):
    block = spectra()
    windows = WINDOWS[:2]
    forward = areas_of(axis, block, windows, is_binned=is_binned)
    backward = areas_of(axis[::-1], block[..., ::-1], windows, is_binned=is_binned)
    np.testing.assert_allclose(backward, forward, rtol=ROUNDING)


def test_binned_areas_are_counts():
    counts = np.full(N_CHANNELS, 8.0)  # 8 counts in each channel of 0.5 eV: 16 per eV
    area = areas_of(AXIS, counts, [Window("w", 3.2, 5.7)], is_binned=True)
    assert area[0] == pytest.approx(16 * 2.5, rel=ROUNDING)
    edges = np.cumsum(np.random.default_rng(1).uniform(0.2, 0.4, N_CHANNELS + 1))
    centres, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    flat = areas_of(centres, 10 * widths, [Window("w", 5, 9)], is_binned=True)
    # 2 %: HyperSpy keeps the centres of uneven bins, not their edges
    assert flat[0] == pytest.approx(40, rel=0.02)


@pytest.mark.parametrize(
    "dtype",
    ["u1", "i1", "u2", "<i2", ">i2", "i4", ">u4", "i8", "u8", "f2", "<f4", ">f4", "f8", ">f8", "?"],
)
@pytest.mark.parametrize("noise", [False, True])
def test_types_and_byte_orders(dtype, noise):
    block = (spectra() / 2).astype(dtype)
    kept = block.copy()
    weights = window_weights(AXIS, WINDOWS)
    if noise:
        areas, variance = integrate_with_noise(block[..., weights.channels], weights)
        expected = block[..., weights.channels].astype(np.float64) @ (weights.weights**2).T
        np.testing.assert_allclose(variance, expected, rtol=ROUNDING)
    else:
        areas = integrate(block[..., weights.channels], weights)
    assert areas.dtype == np.float64
    assert areas.dtype.isnative
    expected = areas_by_definition(AXIS, block.astype(np.float64), WINDOWS)
    np.testing.assert_allclose(areas, expected, rtol=rounding_of(dtype))
    np.testing.assert_array_equal(block, kept)
    assert block.dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "layout",
    [
        lambda a: np.asfortranarray(a),
        lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 0)), 0, -1),
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        lambda a: a[::-1][:, ::-1].copy()[::-1][:, ::-1],
        lambda a: a[..., ::-1].copy()[..., ::-1],
        lambda a: np.swapaxes(np.swapaxes(a, 0, 2).copy(), 0, 2),
    ],
    ids=["fortran", "energy first", "strided", "reversed", "channels reversed", "swapped"],
)
def test_memory_layouts(layout, dtype):
    plain = spectra(dtype)
    block = layout(plain)
    np.testing.assert_array_equal(block, plain)
    np.testing.assert_allclose(
        areas_of(AXIS, block, WINDOWS), areas_of(AXIS, plain, WINDOWS), rtol=rounding_of(dtype)
    )


def test_read_only_data_stay_as_they_are():
    block = spectra(np.float32)
    kept = block.copy()
    block.flags.writeable = False
    areas_of(AXIS, block, WINDOWS)
    np.testing.assert_array_equal(block, kept)


@pytest.mark.parametrize("lead", [(), (1,), (11,), (2, 3), (0,), (3, 0, 2)])
def test_any_number_of_spectra(lead):
    block = spectra(np.float32, lead=lead)
    areas = areas_of(AXIS, block, WINDOWS)
    assert areas.shape == (*lead, 3)
    expected = areas_by_definition(AXIS, block.astype(np.float64), WINDOWS)
    np.testing.assert_allclose(areas, expected, rtol=FLOAT32_ROUNDING)


@settings(max_examples=50)
@given(
    lead=st.lists(st.integers(1, 6), min_size=0, max_size=4).map(tuple),
    values_at_a_time=st.integers(1, 3000),
    workers=st.integers(1, 4),
    dtype=st.sampled_from([np.float32, np.float64, np.uint16]),
)
def test_result_does_not_depend_on_portions_or_threads(lead, values_at_a_time, workers, dtype):
    block = spectra(dtype, lead=lead)
    expected = areas_by_definition(AXIS, block.astype(np.float64), WINDOWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "VALUES_AT_A_TIME", values_at_a_time)
        patch.setattr(module, "FLOAT32_VALUES_AT_A_TIME", values_at_a_time)
        areas = areas_of(AXIS, block, WINDOWS, workers=workers)
    np.testing.assert_allclose(areas, expected, rtol=rounding_of(dtype))


def test_wide_windows_of_float32_are_summed_in_float64():
    axis = np.arange(500.0)
    block = np.random.default_rng(2).random((3, 500)).astype(np.float32)
    window = [Window("w", 10.0, 10.0 + module.FLOAT32_CHANNELS)]
    expected = areas_by_definition(axis, block.astype(np.float64), window)
    np.testing.assert_allclose(areas_of(axis, block, window), expected, rtol=ROUNDING)


def test_threads_are_used_for_large_blocks_only(monkeypatch):
    seen = set()
    original = module._integrate_portions

    def spy(*args):
        seen.add(threading.get_ident())
        original(*args)

    monkeypatch.setattr(module, "_integrate_portions", spy)
    areas_of(AXIS, spectra(), WINDOWS, workers=4)
    assert seen == {threading.get_ident()}
    monkeypatch.setattr(module, "VALUES_AT_A_TIME", N_CHANNELS)
    areas_of(AXIS, spectra(), WINDOWS, workers=4)
    assert len(seen) > 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_channels_spoil_the_windows_they_are_in_and_no_other(dtype, bad):
    windows = [Window("a", 0.0, 2.0), Window("b", 3.1, 5.2), Window("far", 26.0, 28.0)]
    clean = spectra(dtype, lead=(4,))
    expected = areas_of(AXIS, clean, windows)
    # 0 … 2 eV are channels 4 … 8; 9 and 14 eV lie between windows
    for channel, window in [(4, 0), (8, 0), (3, None), (9, None), (32, None), (10, 1), (57, 2)]:
        block = clean.copy()
        block[1, channel] = bad
        areas = areas_of(AXIS, block, windows)
        is_bad = np.zeros(areas.shape, dtype=bool)
        if window is not None:
            is_bad[1, window] = True
        np.testing.assert_array_equal(~np.isfinite(areas), is_bad)
        np.testing.assert_allclose(areas[~is_bad], expected[~is_bad], rtol=ROUNDING)


def test_a_limit_on_a_channel_does_not_read_the_channel_beyond():
    axis = 0.1 * np.arange(50)
    spectrum = np.ones(50)
    spectrum[[2, 8]] = np.nan
    area = areas_of(axis, spectrum, [Window("w", 0.3 - 1e-12, 0.7 + 1e-12)])
    assert area[0] == pytest.approx(0.4, rel=1e-9)


@given(gain=st.floats(0, 10), offset=st.floats(0, 100))
def test_variance_of_areas_follows_the_model_of_the_channels(gain, offset):
    block = spectra(lead=(2, 3))
    weights = window_weights(AXIS, WINDOWS, is_binned=True)
    used = block[..., weights.channels]
    areas, variance = integrate_with_noise(used, weights, gain=gain, offset=offset)
    np.testing.assert_array_equal(areas, integrate(used, weights))
    np.testing.assert_allclose(
        variance,
        (gain * used + offset) @ (weights.weights**2).T,
        rtol=ROUNDING,
        atol=1e-300,  # gains may be as small as numbers get
    )


def test_variance_of_areas_is_that_of_repeated_measurements():
    rng = np.random.default_rng(5)
    expected_counts = 100 + 20 * np.sin(AXIS)
    counts = rng.poisson(expected_counts, size=(40_000, N_CHANNELS))
    weights = window_weights(AXIS, WINDOWS, is_binned=True)
    areas, variance = integrate_with_noise(counts[:, weights.channels], weights)
    # The variance of n repetitions has a relative standard error of √(2/n) = 0.7 %.
    np.testing.assert_allclose(variance.mean(axis=0), areas.var(axis=0), rtol=5 * 0.007)


def test_negative_counts_have_no_negative_variance():
    block = np.full((2, N_CHANNELS), -3.0)
    weights = window_weights(AXIS, WINDOWS)
    used = block[:, weights.channels]
    areas, variance = integrate_with_noise(used, weights)
    assert (areas < 0).all()
    np.testing.assert_array_equal(variance, 0)
    _, variance = integrate_with_noise(used, weights, gain=2.0, offset=1.0)
    np.testing.assert_allclose(variance[0], (weights.weights**2).sum(axis=1), rtol=ROUNDING)


def test_squared_weights_propagate_a_measured_variance():
    weights = window_weights(AXIS, WINDOWS)
    channel_variance = spectra()[..., weights.channels]
    np.testing.assert_allclose(
        integrate(channel_variance, weights.squared()),
        channel_variance @ (weights.weights**2).T,
        rtol=ROUNDING,
    )


def test_only_the_channels_of_the_windows_are_asked_for():
    weights = window_weights(AXIS, [Window("a", 1.2, 2.0), Window("b", 20.1, 21.4)])
    # 1.0 eV (channel 6) … 21.5 eV (channel 47)
    assert weights.channels == slice(6, 48)
    assert weights.spans == (slice(0, 3), slice(38, 42))
    assert weights.names == ("a", "b")


def test_a_block_of_the_wrong_width_is_refused():
    weights = window_weights(AXIS, WINDOWS)
    with pytest.raises(ValueError, match=r"64 channels does not fit .* intensity\[\.\.\., weights"):
        integrate(spectra(), weights)


def test_memory_needed_is_that_of_the_result_and_one_portion():
    import tracemalloc

    block = np.ones((200, 300, N_CHANNELS), dtype=np.uint16)
    weights = window_weights(AXIS, WINDOWS)
    used = block[..., weights.channels]
    tracemalloc.start()
    areas = integrate(used, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # float64 and uint16 buffers of one portion, products and bookkeeping
    assert peak < areas.nbytes + 2 * module.VALUES_AT_A_TIME * 8
    assert used.size * 8 > 10 * (peak - areas.nbytes)
