# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What some frames have left of the zero-loss peak more than others; spectra are NumPy's."""

import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.signals.axes.shared_error import attach_shared_errors, shared_errors_of
from hyperspy_dosekin.signals.processing.zero_loss_drift import NAME, _course_of

DOSE = 130.0 * np.arange(1, 10)
PHI = DOSE / DOSE[-1]
WINDOWS = {"a": (4, 7), "b": (10, 15)}
#: Lines: energy, standard deviation in eV, events, and k.
LINES = np.array([[5.5, 1.0, 0.04, 1.4], [12.5, 1.8, 0.06, 2.2], [22.5, 3.0, 0.2, 0.0]])
HALF = np.log(2) / LINES[:2, 3] * DOSE[-1]
#: Decay of a tail, and standard deviation of the peak, in eV.
FALL, CORE = 1.2, 0.22


def series(space=(), *, tail=0.0, scale=0.1, drift=0.0, electrons=2e7, seed=0):
    """Counts ``(dose, …space…, channel)``; `tail` of the peak moves with dose into its tail."""
    fine, first = 0.02, -8.0
    joined = round(scale / fine)
    loss = fine * np.arange(4096)
    lines = np.exp(-0.5 * ((loss - LINES[:, :1]) / LINES[:, 1:2]) ** 2) * (loss > 1)
    lines /= lines.sum(axis=1, keepdims=True)
    amount = LINES[:, 2] * (0.35 + 0.65 * np.exp(-PHI[:, None] * LINES[:, 3]))
    single = np.fft.rfft(amount @ lines)
    fall = np.exp(-loss / FALL)
    fall = np.fft.rfft(fall / fall.sum())
    energy = first + fine * np.arange(4096)
    place = np.linspace(0, drift, DOSE.size)[:, None]
    peak = np.fft.rfft(np.exp(-0.5 * ((energy - place) / CORE) ** 2))
    peak = peak / peak[:, :1].real * (1 - tail * PHI[:, None] * (1 - fall))
    mean = np.fft.irfft(peak * np.exp(single - amount.sum(axis=1, keepdims=True)))
    size = int(55 / scale)
    mean = mean[:, : size * joined].reshape(DOSE.size, size, joined).sum(axis=-1).clip(0)
    mean = mean.reshape(DOSE.size, *[1] * len(space), size)
    shape = (DOSE.size, *space, size)
    s = hs.signals.Signal1D(np.random.default_rng(seed).poisson(electrons * mean, shape))
    s.set_signal_type("EELS")
    axis = s.axes_manager[-1]
    axis.trait_set(offset=first + 0.5 * (joined - 1) * fine, scale=scale, units="eV")
    # The last navigation axis is the first of the array.
    s.axes_manager.navigation_axes[-1].name = "frame"
    s.set_dose_axis(DOSE)
    return s


def drift(areas):
    return np.asarray(shared_errors_of(areas)[NAME])


def half_dose(areas):
    fit = areas.fit_dose_pinn(estimator="exact", law="first order", show_progressbar=False)
    low, high = (end.data for end in fit.interval("half_integrity_dose"))
    return low, high


def test_a_tail_that_grows_with_dose_is_in_the_intervals():
    areas = series(tail=0.04).process_low_loss(show_progressbar=False).integrate_windows(WINDOWS)
    low, high = half_dose(areas)
    assert ((low <= HALF) & (high >= HALF)).all()
    # Without it the first window is wrong and sure.
    others = {
        name: error / areas.data for name, error in shared_errors_of(areas).items() if name != NAME
    }
    attach_shared_errors(areas, others)
    low, high = half_dose(areas)
    assert not (low <= HALF)[0] or not (high >= HALF)[0]


def test_it_is_as_large_as_the_tail_and_goes_as_it_does():
    tail = 0.04
    areas = series(tail=tail).process_low_loss(show_progressbar=False).integrate_windows(WINDOWS)
    ends = np.array(list(WINDOWS.values()))
    truth = tail * PHI * (np.exp(-ends[:, :1] / FALL) - np.exp(-ends[:, 1:] / FALL))
    truth -= truth.mean(axis=1, keepdims=True)
    found = drift(areas)
    assert np.corrcoef(found[0], truth[0])[0, 1] > 0.98
    # One standard deviation: it may be half of what there is.
    assert 0.5 * np.ptp(truth[0]) < np.ptp(found[0]) < 3 * np.ptp(truth[0])


def test_a_peak_that_stays_has_next_to_none():
    areas = series().process_low_loss(show_progressbar=False).integrate_windows(WINDOWS)
    noise = np.sqrt(areas.get_noise_variance().data)
    assert np.abs(drift(areas)).max() < 2 * noise.mean()


def test_a_place_within_coarse_channels_has_a_course():
    """Over a channel and a half the flank comes and goes, and what is beside it with it."""
    s = series(scale=0.4, drift=0.6)
    windows = {"beside": (1, 2)}
    areas = s.process_low_loss(show_progressbar=False).integrate_windows(windows)
    # Where no loss is, all that changes is what is left of the peak.
    change = areas.data[0] - areas.data[0].mean()
    noise = np.sqrt(areas.get_noise_variance().data[0].mean())
    found = drift(areas)[0]
    assert change.std() > 4 * noise
    assert np.corrcoef(found, change)[0, 1] > 0.9
    assert 0.5 * change.std() < found.std() < 3 * change.std()


def test_pixels_share_it_lazy_or_not_wherever_the_dose_is():
    s = series((2, 3), tail=0.04, electrons=5e6)
    processed = s.process_low_loss(show_progressbar=False)
    areas = processed.integrate_windows(WINDOWS)
    found = drift(areas)
    assert found.shape == (2, 3, 2, 9)
    np.testing.assert_allclose(found, np.broadcast_to(found[0, 0], found.shape), rtol=1e-9)
    assert np.ptp(found, axis=-1).min() > 0
    lazy = s.as_lazy().process_low_loss().integrate_windows(WINDOWS)
    assert hasattr(shared_errors_of(lazy)[NAME], "compute")
    np.testing.assert_allclose(drift(lazy), found, rtol=1e-9, atol=1e-15)
    turned = processed.transpose(navigation_axes=[2, 0, 1])
    assert turned.data.shape[2] == DOSE.size
    np.testing.assert_allclose(drift(turned.integrate_windows(WINDOWS)), found, rtol=1e-9)


@pytest.mark.parametrize("limits", [(1.0, 40.0), (-5.0, 0.6)])
def test_without_what_is_beside_the_peak_none_is_claimed(limits):
    processed = series(tail=0.04).process_low_loss(show_progressbar=False)
    windows = {"w": (4, 7)} if limits[1] > 7 else {"w": (-2, -1)}
    areas = processed.isig[limits[0] : limits[1]].integrate_windows(windows)
    assert NAME not in shared_errors_of(areas)


def test_frames_without_numbers_and_noise_that_is_not_known():
    random = np.random.default_rng(2)
    course = np.linspace(-1, 1, 9)
    areas = 3 + course[:, np.newaxis, np.newaxis] + 0.1 * random.normal(size=(9, 40, 1))
    areas[4] = np.nan
    areas[2, 7] = np.nan
    for variance in (None, np.full(areas.shape, 0.01)):
        found = _course_of(areas[..., 0], variance, 0)
        assert found[4] == 0
        assert np.abs(np.delete(found - course, 4)).max() < 0.1
    # Nothing but noise is no course.
    alone = 0.1 * random.normal(size=(9, 40))
    assert np.abs(_course_of(alone, np.full((9, 40, 1), 0.01), 0)).max() < 0.03
    assert not _course_of(areas[:3, :, 0], None, 0).any()
