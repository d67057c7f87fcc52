# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from hyperspy_dosekin.processing.low_loss.peak_shape import (
    PeakShape,
    fit_zero_loss,
    reflect,
    truncate,
)
from hyperspy_dosekin.processing.low_loss.zero_loss import find_zero_loss
from hyperspy_dosekin.processing.shifting import (
    shift_block,
    shift_cubic,
    shift_linear,
    shift_peak,
    shift_spectra,
    shift_variance,
)

CHANNEL = np.arange(120)


def peak(centre, sigma=1.6, height=1e5):
    centre = np.asarray(centre, dtype=float)[..., np.newaxis]
    return height * np.exp(-0.5 * ((CHANNEL - centre) / sigma) ** 2)


@settings(max_examples=30, deadline=None)
@given(st.floats(20, 90), st.floats(0.8, 6), st.floats(1, 1e7))
def test_position_of_a_gaussian_is_exact_wherever_it_is(centre, sigma, height):
    found = find_zero_loss(peak(centre, sigma, height), widest=30)
    assert found.found
    # Narrower peaks than this are undersampled: the channels do not hold their position exactly.
    assert found.position == pytest.approx(centre, abs=0.02 if sigma < 1.2 else 1e-4)


def test_residual_shift_at_1e5_counts():
    rng = np.random.default_rng(0)
    centre = rng.uniform(30, 80, 400)
    spectra = peak(centre, height=1e5 / (1.6 * np.sqrt(2 * np.pi)))
    found = find_zero_loss(rng.poisson(spectra), widest=30)
    residual = found.position - centre
    # The Cramér-Rao bound is σ/√N = 0.005 channels; the Gaussian weight costs a factor 1.2.
    assert residual.std() < 1.4 * 1.6 / np.sqrt(1e5)
    assert abs(residual.mean()) < 4 * 1.6 / np.sqrt(1e5) / np.sqrt(400)


@pytest.mark.parametrize(("fwhm", "asymmetry"), [(1.6, 0.0), (2.0, 0.6), (2.4, 0.6), (2.6, 0.6)])
def test_few_channels_place_an_asymmetric_peak_the_same_wherever_it_is_in_its_channel(
    fwhm, asymmetry
):
    # Counts that fall on a channel: 64 places in each of them.
    fine = np.arange(-40 * 64, 40 * 64) / 64
    shape = np.exp(-4 * np.log(2) * (fine / fwhm) ** 2)
    if asymmetry:
        tail = np.where(fine >= 0, np.exp(-np.maximum(fine, 0) / asymmetry), 0.0)
        shape = np.fft.irfft(np.fft.rfft(shape) * np.fft.rfft(np.fft.ifftshift(tail)))
    places = np.arange(0, 64, 4)
    counts = np.stack([np.roll(shape, place).reshape(-1, 64).sum(-1) for place in places])
    bias = find_zero_loss(counts, widest=10).position - places / 64
    assert np.ptp(bias) < 0.012


@pytest.mark.parametrize("fwhm", [1.0, 1.5, 2.0, 3.0, 6.0])
@pytest.mark.parametrize("shape", ["Gaussian", "Lorentzian", "split"])
def test_widths_change_smoothly_with_the_place_in_a_channel(shape, fwhm):
    """Peaks that are integrated over channels, a thousand places in one of them."""
    edge = np.arange(130) - 0.5 - np.linspace(63.5, 64.5, 1001)[:, np.newaxis]
    sigma = fwhm / 2.3548
    below = {
        "Gaussian": lambda: ndtr(edge / sigma),
        "Lorentzian": lambda: np.arctan(2 * edge / fwhm) / np.pi,
        "split": lambda: (
            ndtr((edge - 0.35 * fwhm) / (0.6 * sigma)) + ndtr((edge + 0.35 * fwhm) / (0.6 * sigma))
        ),
    }[shape]()
    found = find_zero_loss(1e6 * np.diff(below, axis=-1), widest=30).fwhm
    # Less than a channel of it is that of the channels themselves.
    assert np.abs(np.diff(found)).max() < 0.005
    assert np.ptp(found) < 0.9


def test_a_hot_pixel_beside_the_top_is_not_the_top():
    centre = np.linspace(63.5, 64.5, 11)
    spectra = peak(centre)
    clean = find_zero_loss(spectra, widest=30)
    for beside in (-1, 1):
        hot = spectra.copy()
        hot[np.arange(11), spectra.argmax(axis=-1) + beside] = 2e6
        found = find_zero_loss(hot, widest=30)
        np.testing.assert_allclose(found.fwhm, clean.fwhm, atol=1.5)


def test_losses_and_spikes_do_not_move_the_peak():
    spectrum = peak(40.3) + 300 * (CHANNEL > 44)
    spectrum[100] = 5e5
    assert find_zero_loss(spectrum, widest=30).position == pytest.approx(40.3, abs=5e-3)


@pytest.mark.parametrize(
    "spectrum",
    [
        np.zeros(120),
        np.full(120, np.nan),
        1e5 * (CHANNEL + 1.0) ** -2,  # a core loss
        peak(60, 25),  # a plasmon
        peak(-0.5),
    ],
)
def test_what_is_no_zero_loss_peak(spectrum):
    found = find_zero_loss(spectrum, widest=20)
    assert not found.found
    assert np.isfinite(found.position)


NOISES = {
    "Gaussian": lambda rng: rng.normal(0, 100, 2048),
    "on a pedestal": lambda rng: rng.normal(600, 20, 1024),
    "Poisson": lambda rng: rng.poisson(5, 1024),
    "few counts": lambda rng: rng.poisson(0.1, 1024),
    "correlated": lambda rng: np.convolve(rng.normal(size=1024), np.ones(5), "same"),
    "hot pixels": lambda rng: 500 + rng.normal(0, 5, 1024) + 2e3 * (rng.random(1024) < 2e-3),
    "with a drift": lambda rng: rng.normal(0, 1, 1024) + np.linspace(-2, 2, 1024),
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("widest", [10, 100])
def test_noise_alone_is_refused(noise, widest):
    rng = np.random.default_rng(5)
    spectra = np.array([NOISES[noise](rng) for _ in range(50)])
    assert not find_zero_loss(spectra, widest=widest, gain=1.0).found.any()


def test_faint_peaks_are_found_above_noise_and_pedestal():
    rng = np.random.default_rng(6)
    spectra = rng.poisson(600 + peak(np.full(50, 40.3), 3.0, 500.0))
    found = find_zero_loss(spectra, widest=30)
    assert found.found.all()
    assert not found.saturated.any()
    np.testing.assert_allclose(found.pedestal, 600, atol=40)
    assert np.median(found.fwhm) == pytest.approx(3 * 2.3548, rel=0.15)
    assert np.abs(found.position - 40.3).max() < 1


def test_the_zero_loss_peak_comes_before_a_higher_plasmon():
    spectrum = peak(30.2) + 6 * peak(80.6, 4.0)
    assert find_zero_loss(spectrum, widest=30).position == pytest.approx(30.2, abs=0.01)
    # A gain is lower, and a spike no peak.
    spectrum = peak(60.2) + 0.02 * peak(20.0)
    spectrum[10] = 1e6
    assert find_zero_loss(spectrum, widest=30).position == pytest.approx(60.2, abs=0.01)


@pytest.mark.parametrize("height", [300, 1e4, 1e6])
def test_noise_is_not_saturation(height):
    rng = np.random.default_rng(7)
    spectra = rng.poisson(peak(np.full(300, 60.0), 6.0, height))
    assert find_zero_loss(spectra, widest=30).saturated.mean() < 0.01


def test_saturation_is_a_flat_top():
    clipped = np.minimum(peak([40.2, 50.4]), [[1e9], [5e4]])
    assert find_zero_loss(clipped, widest=30).saturated.tolist() == [False, True]
    assert find_zero_loss(peak(40.0), widest=30, largest_value=1e5).saturated


def test_search_range_decides_between_two_peaks():
    spectrum = peak(30.2) + 3 * peak(80.6)
    assert find_zero_loss(spectrum, widest=30).position == pytest.approx(30.2, abs=1e-3)
    far = find_zero_loss(spectrum, widest=30, search=slice(60, 100))
    assert far.position == pytest.approx(80.6, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.floats(-12, 12), st.floats(-12, 12))
def test_shifts_add_up_and_keep_the_area(first, second):
    spectra = peak([[50.0], [61.5], [58.2]][0]) + 1.0
    shift = np.array([first])
    once = shift_spectra(spectra, shift + second)
    twice = shift_spectra(shift_spectra(spectra, shift), np.array([second]))
    # Aliasing of a Gaussian of 1.6 channels: exp(-2 (π·1.6/2)²) = 3e-6 of its height.
    np.testing.assert_allclose(once, twice, atol=5.0)
    np.testing.assert_allclose(once, peak(50.0 + first + second)[np.newaxis] + 1, atol=5.0)


@settings(max_examples=25, deadline=None)
@given(st.floats(-12, 12), st.floats(0.65, 3))
def test_local_shifts_keep_area_and_centroid_and_do_not_ring(shift, sigma):
    spectra = peak([60.0], sigma)
    for move in (shift_linear, shift_cubic):
        moved = move(spectra, np.array([shift]))
        assert moved.sum() == pytest.approx(spectra.sum(), rel=1e-9)
        assert (moved @ CHANNEL / moved.sum())[0] == pytest.approx(60 + shift, abs=1e-6)
        # Nothing further away than two channels from where there was something.
        far = np.abs(CHANNEL - 60 - shift) > 6 * sigma + 3
        assert np.abs(moved[0, far]).max() < 1e-5
    assert shift_linear(spectra, np.array([shift])).min() >= 0


@pytest.mark.parametrize("fwhm", [1.5, 1.8, 2.2, 3.0, 5.0])
@pytest.mark.parametrize("part", [0.0, 0.21, 0.5, -0.37])
def test_a_peak_is_reflected_at_a_fraction_of_a_channel(fwhm, part):
    sigma = fwhm / 2.3548
    centre = 50 + part
    spectrum = peak([centre], sigma) + 500 * (centre + 4 * fwhm < CHANNEL)
    found = reflect(spectrum, np.array([centre]), 20)[0]
    truth = peak(centre, sigma)
    # Of the peak's height: the mirror image of fewer than two channels is a guess.
    limit = 0.07 if fwhm < 2 else 0.02 if fwhm < 3 else 5e-3
    assert np.abs(found - truth).max() < limit * 1e5
    assert found.sum() == pytest.approx(truth.sum(), rel=limit)
    variance = reflect(spectrum, np.array([centre]), 20, variance=True)
    assert variance.min() >= 0


@pytest.mark.parametrize("part", [0.0, 0.3, -0.5])
def test_a_peak_shape_is_had_anywhere(part):
    shape = PeakShape.sampled(peak(60.0), 60)
    moved = shape.at(np.array([50 + part, 31.0]), 100)
    np.testing.assert_allclose(moved[0], peak(50 + part)[:100], atol=3e-3 * 1e5)
    np.testing.assert_allclose(moved[1], peak(31.0)[:100], atol=1e-6)
    np.testing.assert_allclose(
        shift_peak(peak([60.0]), np.array([part])), peak([60 + part]), atol=3e-3 * 1e5
    )


def test_straight_lines_are_those_of_the_recorded_channels_up_to_the_ends():
    spectra = np.random.default_rng(0).uniform(0, 9, (6, 12))
    shift = np.array([-2.25, -0.75, -0.25, 0.0, 0.4, 3.5])
    for kind in (np.float32, np.float64):
        moved = shift_linear(spectra.astype(kind), shift, np.arange(1.0, 7.0))
        assert moved.dtype == kind
        for row in range(6):
            expected = np.interp(np.arange(12) - shift[row], np.arange(12), spectra[row])
            np.testing.assert_allclose(moved[row], (row + 1) * expected, rtol=1e-6)


def test_noise_stays_white_when_shifted():
    noise = np.random.default_rng(1).standard_normal((4000, 64))
    moved = shift_spectra(noise, np.full(4000, 0.37))[:, 8:-8]
    # The highest frequency, one of 65, cannot be moved by a fraction.
    assert moved.var() == pytest.approx(1, abs=0.02)
    assert (moved[:, 1:] * moved[:, :-1]).mean() == pytest.approx(0, abs=0.01)


def test_variance_moves_with_the_spectrum_and_is_never_negative():
    variance = peak([50.0, 61.5]) + 3
    moved = shift_variance(variance, np.array([2.25, -7.5]))
    assert moved.min() >= 3 - 1e-9
    np.testing.assert_allclose(
        (moved @ CHANNEL) / moved.sum(axis=1), (variance @ CHANNEL) / variance.sum(axis=1)
        + np.array([2.25, -7.5]), atol=0.1,
    )  # fmt: skip


def test_shift_block_crops_and_treats_spectra_one_by_one():
    block = np.stack([peak([40.0, 50.0, 60.0]), peak([41.0, 52.0, 63.0])])
    shift = np.array([[0.5, -0.5, 2.0], [0.0, 1.25, -3.0]])
    moved = shift_block(block, shift, start=4, stop=110, workers=2)
    assert moved.shape == (2, 3, 106)
    single = shift_block(block[1, 2], shift[1, 2], start=4, stop=110)
    np.testing.assert_allclose(single, moved[1, 2], rtol=0, atol=1e-7)


def test_models_of_a_symmetric_peak_agree():
    spectrum = peak(40.0) + 500 * (CHANNEL > 52)
    np.testing.assert_allclose(reflect(spectrum, 40), peak(40.0), atol=1e-6)
    assert reflect(spectrum, 40, 5)[[34, 46]].tolist() == [0, 0]
    assert truncate(spectrum, 49.5).sum() == pytest.approx(peak(40.0).sum())
    at = truncate(spectrum[np.newaxis], np.array([40.2])) - spectrum
    np.testing.assert_allclose(at[0, [40, 41]], [-0.3 * spectrum[40], -spectrum[41]])
    fitted = fit_zero_loss(spectrum, 40, 1.6 * 2.355, CHANNEL - 40)
    np.testing.assert_allclose(fitted, peak(40.0), atol=20)
