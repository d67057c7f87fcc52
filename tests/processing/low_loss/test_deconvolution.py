# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperspy_dosekin.processing.low_loss.deconvolution import band_of, fourier_log
from hyperspy_dosekin.processing.low_loss.peak_shape import reflect

N, ORIGIN = 400, 40
CHANNEL = np.arange(N) - ORIGIN


def zero_loss(sigma=2.0):
    shape = np.exp(-0.5 * (CHANNEL / sigma) ** 2)
    return shape / shape.sum()


def single_scattering(thickness):
    shape = np.where(CHANNEL > 0, CHANNEL * np.exp(-CHANNEL / 18.0), 0.0)
    return thickness * shape / shape.sum()


def plural(single, peak, electrons=1.0):
    """exp(S) by its power series: no transform that the kernel uses."""
    total, order = peak.copy(), peak.copy()
    for number in range(1, 14):
        order = np.convolve(order, single[ORIGIN:])[:N] / number
        total += order
    return electrons * total


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 1.5), st.floats(1, 1e9))
def test_plural_scattering_is_undone_at_any_thickness_and_exposure(thickness, electrons):
    peak, single = zero_loss(), single_scattering(thickness)
    spectrum = plural(single, peak, electrons)[np.newaxis]
    found = fourier_log(spectrum, electrons * peak[np.newaxis], ORIGIN)[0] / electrons
    truth = np.convolve(peak, single[ORIGIN:])[:N]
    # The last channels feel how the spectrum is continued beyond its end.
    np.testing.assert_allclose(found[:-40], truth[:-40], atol=2e-4 * truth.max())


def test_sharpening_restores_what_the_resolution_took():
    peak, single = zero_loss(3.0), single_scattering(0.6)
    spectrum = plural(single, peak)[np.newaxis]
    window = slice(ORIGIN + 6, ORIGIN + 26)
    truth = single[window].sum()
    plain = fourier_log(spectrum, peak[np.newaxis], ORIGIN)[0, window].sum()
    sharp = fourier_log(spectrum, peak[np.newaxis], ORIGIN, resolution="sharpened")[0, window].sum()
    assert abs(sharp / truth - 1) < 0.35 * abs(plain / truth - 1)


def test_noise_of_areas_passes_with_a_gain_of_one():
    """What the recorded variance assumes; single channels are even less noisy.

    Frequencies at which noise exceeds the zero-loss peak are damped by the logarithm.
    """
    rng = np.random.default_rng(3)
    peak, single = 1e6 * zero_loss(), single_scattering(0.5)
    clean = np.tile(plural(single, peak / 1e6, 1e6), (600, 1))
    noise = rng.standard_normal(clean.shape)
    noise[:, : ORIGIN + 20] = 0
    peaks = np.tile(peak, (600, 1))
    difference = fourier_log(clean + noise, peaks, ORIGIN) - fourier_log(clean, peaks, ORIGIN)
    areas = difference[:, ORIGIN + 40 : -40].reshape(600, -1, 20).sum(axis=-1)
    # 600 × 14 areas: known to 1 %; the damping reaches areas of 20 channels a little.
    assert areas.std() == pytest.approx(np.sqrt(20), rel=0.08)
    assert difference[:, ORIGIN + 40 : -40].std() < 1.02


@pytest.mark.parametrize("fwhm", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("resolution", ["zero_loss", "sharpened"])
def test_a_coarse_peak_between_channels_does_not_ring(fwhm, part, resolution):
    place = CHANNEL - part
    peak = np.exp(-0.5 * (place / (fwhm / 2.3548)) ** 2)
    peak /= peak.sum()
    single = single_scattering(0.8)
    found = fourier_log(
        plural(single, peak)[np.newaxis], peak[np.newaxis], ORIGIN + part, resolution=resolution
    )[0]
    # `single` begins with the peak, wherever that is in its channel.
    truth = np.convolve(peak, single[ORIGIN:])[:N]
    far = slice(ORIGIN + 8, N - 40)
    # Sharpening gives back what the peak has taken from the bend of the rise.
    limit = 5e-3 if resolution == "zero_loss" else 0.03
    np.testing.assert_allclose(found[far], truth[far], atol=limit * truth.max())
    assert (
        np.abs(np.diff(found[far], 3)).max()
        < 1e-3 * truth.max() + 2 * np.abs(np.diff(truth[far], 3)).max()
    )


@pytest.mark.parametrize("sigma", [2.0, 5.0])
@pytest.mark.parametrize("resolution", ["zero_loss", "sharpened"])
def test_frequencies_that_the_peak_does_not_have_need_no_logarithm(sigma, resolution):
    rng = np.random.default_rng(1)
    peak = zero_loss(sigma)
    single = np.roll(single_scattering(0.8), 25)
    spectra = rng.poisson(plural(single, peak, 1e7), (40, N)).astype(float)
    peaks = reflect(spectra, ORIGIN)
    band = band_of(peaks.mean(axis=0), np.full(40, 2.3548 * sigma), 1e7 / 40)
    assert band < 1.5 / sigma
    given = {"resolution": resolution}
    whole = fourier_log(spectra, peaks, ORIGIN, **given)
    difference = fourier_log(spectra, peaks, ORIGIN, band=band, **given) - whole
    # What is left out is noise of the peak, with next to no weight.
    far = slice(ORIGIN + int(5 * sigma), None)
    assert difference[:, far].std() < 1e-3 * np.sqrt(spectra[:, far].mean())


@pytest.mark.parametrize("variance", [0.0, 1e9])
def test_a_narrow_peak_or_a_noisy_one_has_all_frequencies(variance):
    peak = 1e5 * zero_loss(0.6 if not variance else 5.0)
    assert band_of(peak, np.array([1.4]), variance) == 0.5


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("thickness", [1.0, 1.5])
@pytest.mark.parametrize("longer", [2.0, 1.5])
def test_an_axis_that_ends_within_plural_losses_has_the_areas_of_a_long_one(
    longer, thickness, kind
):
    """The logarithm has no end, and what is beyond the transforms came back at the beginning."""
    energy = 0.2 * np.arange(2000)
    single = np.exp(-0.5 * ((energy - 22) / 3.5) ** 2) + 0.2 * np.exp(-(((energy - 12) / 3) ** 2))
    single *= thickness / single.sum()
    peak = np.exp(-0.5 * ((energy - 4) / 0.3) ** 2)
    moved = np.exp(np.fft.rfft(single) - single.sum()) * np.fft.rfft(peak)
    spectrum = 1e5 * np.fft.irfft(moved, energy.size)[:320].clip(0)
    zero_loss = 1e5 * np.exp(-single.sum()) * peak[:320]
    both = (each[np.newaxis].astype(kind) for each in (spectrum, zero_loss))
    found = fourier_log(*both, 20, longer=longer)
    for left, right in ((3, 5), (8, 14), (18, 26)):
        truth = single[5 * left : 5 * right].sum() * zero_loss.sum()
        area = found[0, 20 + 5 * left : 20 + 5 * right].sum()
        assert area == pytest.approx(truth, rel=5e-3, abs=2e-3 * thickness * zero_loss.sum())
