# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated physics against independent calculations."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp, trapezoid
from scipy.signal import fftconvolve

from hyperspy_dosekin import LOW_LOSS_WINDOWS
from hyperspy_dosekin.data import dose_series, dose_series_image

QUIET = {"noise": False, "intensity_variation": 0.0, "drift": 0.0}
# Channels that the windows begin and end on, and S to where it ends.
FINE = {"energy_offset": -5.0, "energy_scale": 0.01, "channels": 20501}


def energies(s):
    return s.axes_manager.signal_axes[0].axis


def window_areas(s):
    """Trapezoidal areas, shape (window, dose), for windows that begin and end on channels."""
    energy, areas = energies(s), []
    for left, right in LOW_LOSS_WINDOWS.values():
        inside = (energy > left - 1e-6) & (energy < right + 1e-6)
        assert energy[inside][[0, -1]] == pytest.approx([left, right])
        areas.append(trapezoid(s.data[..., inside], energy[inside], axis=-1))
    return np.array(areas)


def test_processed_areas_and_thickness_equal_the_truth():
    s = dose_series(3, processed=True, t_over_lambda=0.7, **FINE, **QUIET)
    truth = s.metadata.Simulation
    # Trapezoids of 0.01 eV.
    np.testing.assert_allclose(window_areas(s), truth.window_areas, rtol=1e-5)
    # The angular factor is singular, though integrable, at zero energy.
    total = trapezoid(s.data, energies(s), axis=-1)
    np.testing.assert_allclose(total, truth.t_over_lambda, rtol=1e-4)
    assert truth.t_over_lambda[0] < 0.7, "the bands have lost something by the first frame"
    assert s.data.min() >= 0


def test_undamaged_specimen_has_the_thickness_asked_for():
    s = dose_series(dose=[0, 100], t_over_lambda=0.7)
    assert s.metadata.Simulation.t_over_lambda[0] == pytest.approx(0.7, rel=1e-12)


def test_areas_are_affine_in_the_integrity():
    truth = dose_series(t_over_lambda=0.3).metadata.Simulation
    readout = truth.amplitude[:, None] * truth.integrity + truth.offset[:, None]
    np.testing.assert_allclose(readout, truth.window_areas, rtol=1e-12)
    rising = truth.window_areas[:, -1] > truth.window_areas[:, 0]
    np.testing.assert_array_equal(rising, [True, False, False, False])


def test_default_truth_is_that_of_the_paper():
    half = dose_series().metadata.Simulation.half_integrity_dose
    assert np.all(np.abs(half[1:3] - 1000) < 50), "C–C and C–O near 1000 e⁻/Å²"
    assert half[3] > 5 * 1368, "M–O nearly flat"


@pytest.mark.parametrize("pre_exposure", [0.0, 450.0])
def test_integrity_solves_the_differential_equation(pre_exposure):
    kinetics = {"C–C": {"k": 2.1, "p": 1.7}, "C–O": {"k": 2.6, "p": 0.4}, "M–O": {"k": 0.0}}
    truth = dose_series(kinetics=kinetics, pre_exposure=pre_exposure).metadata.Simulation
    np.testing.assert_array_equal(truth.recorded_dose, 152 * np.arange(1, 10))
    np.testing.assert_array_equal(truth.dose, truth.recorded_dose + pre_exposure)
    for window, (k, p) in enumerate([(0.8, 1.2), (2.1, 1.7), (2.6, 0.4), (0.0, 1.0)]):
        per_dose = k / 1368
        assert truth.rate_per_dose[window] == pytest.approx(per_dose)
        solution = solve_ivp(
            lambda _, c, k=per_dose, p=p: -k * np.maximum(c, 0) ** p, (0, 1818 + 1), [1.0],
            t_eval=truth.dose, rtol=1e-11, atol=1e-13,
        )  # fmt: skip
        # Extinction with p < 1 is approached by the solver with its absolute tolerance only.
        np.testing.assert_allclose(truth.integrity[window], solution.y[0], atol=1e-7)
    assert np.isnan(truth.half_integrity_dose[3])
    # p = 0.4: half is lost at (1 − 2^−0.6)/(0.6 k).
    assert truth.half_integrity_dose[2] == pytest.approx(1368 * (1 - 2**-0.6) / (0.6 * 2.6))


def test_pre_exposure_moves_the_series_along_its_curve():
    late = dose_series(pre_exposure=152.0 * 3, processed=True, **QUIET)
    full = dose_series(processed=True, **QUIET)
    np.testing.assert_allclose(late.data[:6], full.data[3:], rtol=1e-12)
    np.testing.assert_array_equal(late.axes_manager[0].axis, full.axes_manager[0].axis)


@pytest.mark.parametrize("t_over_lambda", [0.2, 1.0])
def test_plural_scattering_is_poisson_distributed(t_over_lambda):
    """Against the sum over orders, by linear convolution of S from `processed`."""
    options = {"energy_offset": -5.0, "energy_scale": 0.05, "channels": 2101, **QUIET}
    options |= {"t_over_lambda": t_over_lambda, "electrons": 1.0, "zero_loss_tail": 0.0}
    s = dose_series(**options)
    single = dose_series(processed=True, **options)
    vacuum = dose_series(**(options | {"t_over_lambda": 0.0})).data[0]
    frame, step = 4, 0.05
    scattering = single.data[frame, 100:] * step  # from 0 eV on
    thickness = s.metadata.Simulation.t_over_lambda[frame]
    order, total = np.ones(1), np.zeros(2001)
    for n in range(9):
        share = math.exp(-thickness) / math.factorial(n)
        total[: min(order.size, 2001)] += share * order[:2001]
        order = fftconvolve(order, scattering)
    # Near its end the linear convolution lacks what lies beyond.
    expected, found = fftconvolve(vacuum, total)[:2000], s.data[frame][:2000]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-9)
    assert found[240:].sum() == pytest.approx(expected[240:].sum(), rel=1e-4)


def test_zero_loss_share_is_poissons():
    options = QUIET | {"t_over_lambda": 0.8, "zero_loss_tail": 0.0}
    s = dose_series(**options)
    vacuum = dose_series(**(options | {"t_over_lambda": 0.0}))
    core = np.abs(energies(s) + 0.2) < 0.2
    ratio = s.data[:, core].sum(axis=1) / vacuum.data[:, core].sum(axis=1)
    # Below zero loss only electrons without loss arrive (and 1e-4 of the first losses, blurred).
    np.testing.assert_allclose(ratio, np.exp(-s.metadata.Simulation.t_over_lambda), rtol=1e-3)


def test_fourier_log_deconvolution_recovers_single_scattering():
    options = QUIET | {"energy_offset": -10.0, "energy_scale": 0.1, "channels": 4200}
    s = dose_series(t_over_lambda=1.0, **options)
    vacuum = dose_series(t_over_lambda=0.0, **options)
    truth = s.metadata.Simulation
    zero_loss = np.fft.rfft(vacuum.data / vacuum.data.sum(axis=1, keepdims=True))
    plural = np.fft.rfft(s.data)
    usable = np.abs(zero_loss) > 1e-6
    ratio = np.where(usable, plural, 1.0) / np.where(usable, zero_loss, 1.0)
    logarithm = np.where(usable, np.log(np.abs(ratio)) + 1j * np.unwrap(np.angle(ratio)), 0.0)
    # log of the ratio is ln N − Λ + S̃, and ln N − Λ its value where S̃ has died out.
    zero_loss_electrons = np.log(truth.electrons) - truth.t_over_lambda
    scattering = np.where(usable, logarithm - zero_loss_electrons[:, None], 0.0)
    # Broadened by the zero-loss peak again, which brings its offset of −10 eV along.
    recovered = np.fft.irfft(scattering * zero_loss, s.data.shape[1]) / 0.1
    found = s._deepcopy_with_new_data(recovered)
    # Fine enough that the trapezoidal rule on 0.1 eV is not what is measured.
    np.testing.assert_allclose(window_areas(found), truth.window_areas_at_resolution, rtol=2e-3)


def test_resolution_hardly_moves_area_out_of_windows():
    truth = dose_series().metadata.Simulation
    ratio = truth.window_areas_at_resolution / truth.window_areas
    assert np.all(np.abs(ratio - 1) < [[0.03], [0.015], [0.015], [0.005]])
    assert not np.allclose(ratio, 1, atol=1e-5)


def test_all_electrons_are_counted():
    s = dose_series(**QUIET, electrons=4e5, gain=2.5, channels=4096)
    np.testing.assert_allclose(s.data.sum(axis=1), 4e5 * 2.5, rtol=1e-3)


@pytest.mark.parametrize(
    ("scale", "fwhm", "asymmetry"), [(0.18, 0.6, 0.0), (0.1, 0.6, 0.15), (0.05, 0.3, 0.0)]
)
def test_zero_loss_peak(scale, fwhm, asymmetry):
    drift = np.linspace(-0.3, 0.3, 9)
    options = {"t_over_lambda": 0.0, "zero_loss_fwhm": fwhm, "zero_loss_asymmetry": asymmetry}
    axis = {"energy_offset": -9.0, "energy_scale": scale, "channels": int(18 / scale)}
    s = dose_series(**(QUIET | options | axis | {"drift": drift, "zero_loss_tail": 0.0}))
    energy, peak = energies(s), s.data / s.data.sum(axis=1, keepdims=True)
    centroid = peak @ energy
    np.testing.assert_allclose(centroid, drift, atol=1e-6)
    np.testing.assert_allclose(s.metadata.Simulation.zero_loss_position, drift)
    width = np.sqrt(peak @ energy**2 - centroid**2)
    sigma = fwhm / math.sqrt(8 * math.log(2))
    np.testing.assert_allclose(width, math.hypot(sigma, asymmetry), rtol=1e-5)
    skewness = np.sum(peak * (energy - centroid[:, None]) ** 3, axis=1) / width**3
    expected = 2 * asymmetry**3 / math.hypot(sigma, asymmetry) ** 3
    np.testing.assert_allclose(skewness, expected, rtol=1e-3, atol=1e-6)


def test_tail_falls_like_a_lorentzian():
    s = dose_series(t_over_lambda=0.0, zero_loss_tail=0.02, **QUIET)
    energy = energies(s)
    far = (energy > 4) & (energy < 30)
    lorentzian = 1e7 * 0.18 * 0.02 * 0.3 / np.pi / energy[far] ** 2
    # Broadening changes 1/E² by 3σ²/E², the periodic transform adds its images.
    np.testing.assert_allclose(s.data[0, far], lorentzian, rtol=2e-2)


def test_counting_statistics():
    options = {"rate_variation": 0.0, "thickness_variation": 0.0, "intensity_variation": 0.0}
    options |= {"drift": 0.0, "electrons": 2e5, "gain": 3.0, "read_noise": 5.0, "channels": 300}
    options |= {"shape": (30, 26), "dose": [152, 304, 456]}
    s = dose_series_image(5, **options)
    expected = dose_series_image(5, **options, noise=False).data[:, 0, 0]
    counts = s.data.reshape(3, -1, 300).astype(float)
    number = counts.shape[1]
    variance = 9.0 * expected / 3.0 + 25.0 + 1 / 12
    # 900 channels: the largest of 900 normal deviates stays below 4.5.
    deviation = (counts.mean(axis=1) - expected) / np.sqrt(variance / number)
    assert np.abs(deviation).max() < 4.5
    assert deviation.std() == pytest.approx(1, abs=0.1)
    relative = counts.var(axis=1, ddof=1) / variance
    assert relative.mean() == pytest.approx(1, abs=0.01)
    # Variance of a variance estimate: 2/(n−1), and a little more for Poisson counts.
    assert relative.std() == pytest.approx(math.sqrt(2 / (number - 1)), rel=0.15)


def test_counting_noise_is_independent_between_spectra():
    options = {"rate_variation": 0.0, "thickness_variation": 0.0, "intensity_variation": 0.0}
    s = dose_series_image(shape=(9, 7), drift=0.0, **options)
    counts = s.data[4].reshape(63, -1)[:, 60:260].astype(float)
    deviates = (counts - counts.mean(axis=0)) / np.sqrt(counts.mean(axis=0))
    correlation = np.corrcoef(deviates) - np.eye(63)
    # 200 channels: sd 0.07 for each of 1953 pairs; the common mean makes −1/62.
    assert np.abs(correlation).max() < 0.35


def test_hyperspy_finds_the_variance_of_the_counts():
    options = {"gain": 3.0, "read_noise": 5.0, "drift": 0.0, "intensity_variation": 0.0}
    s = dose_series(2, **options)
    expected = dose_series(2, noise=False, **options)
    s.estimate_poissonian_noise_variance(expected_value=expected)
    variance = s.get_noise_variance().data
    np.testing.assert_allclose(variance, 3.0 * expected.data + 25.0, rtol=1e-12)


def test_processed_noise_has_the_variance_it_states():
    options = {"rate_variation": 0.0, "thickness_variation": 0.0, "intensity_variation": 0.0}
    options |= {"shape": (25, 20), "dose": [152, 304, 456], "channels": 200, "gain": 2.0}
    s = dose_series_image(processed=True, **options)
    clean = dose_series_image(processed=True, noise=False, **options)
    variance = s.get_noise_variance().data
    assert variance.shape == s.data.shape
    deviates = (s.data - clean.data) / np.sqrt(variance)
    assert deviates.mean() == pytest.approx(0, abs=4 / math.sqrt(s.data.size))
    assert deviates.std() == pytest.approx(1, abs=4 / math.sqrt(2 * s.data.size))
    # The variance is that of aligned counts over the square of the zero-loss integral.
    raw = dose_series_image(noise=False, drift=0.0, **options)
    zero_loss = 1e6 * np.exp(-raw.metadata.Simulation.t_over_lambda)[..., None]
    np.testing.assert_allclose(variance, raw.data / 2 / (0.18 * zero_loss) ** 2, rtol=1e-9)
    assert dose_series(processed=True, noise=False).get_noise_variance() is None


def test_beam_current_varies():
    s = dose_series_image(shape=(20, 16), intensity_variation=0.05)
    electrons = s.metadata.Simulation.electrons
    assert electrons.shape == (9, 20, 16)
    # 2880 spectra.
    assert np.log(electrons / 1e6).std() == pytest.approx(0.05, rel=0.05)
    np.testing.assert_allclose(s.data.sum(axis=-1) / electrons, 0.99, atol=0.02)
