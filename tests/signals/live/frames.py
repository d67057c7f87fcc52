# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a detector, and the fit of all of them."""

import exspy
import numpy as np

from hyperspy_dosekin import LiveKinetics

WINDOWS = {"C–C": (4, 7), "C–O": (10, 15), "M–O": (20, 25)}
RATE, TIME = 3.45, 44.0


def counts(n_frame=12, seed=0, space=()):
    """Poisson counts of Gaussian losses that decay, made with NumPy alone."""
    random = np.random.default_rng(seed)
    energy = np.arange(300) * 0.1
    dose = RATE * TIME * np.arange(1, n_frame + 1)
    spectra = np.zeros((n_frame, 300))
    for centre, d_half in ((5.5, 500.0), (12.5, 300.0), (22.5, 900.0)):
        left = 0.5 ** (dose / d_half)[:, None]
        spectra += (200 * left + 100) * np.exp(-0.5 * ((energy - centre) / 1.2) ** 2)
    shape = (n_frame, *space, 300)
    spectra = np.broadcast_to(spectra.reshape(n_frame, *[1] * len(space), 300), shape)
    s = exspy.signals.EELSSpectrum(random.poisson(spectra).astype(np.uint32))
    s.axes_manager[-1].scale, s.axes_manager[-1].units = 0.1, "eV"
    s.axes_manager[-1].is_binned = True
    s.axes_manager._axes[0].name = "dose"
    return s


def frame(s, place):
    axes = [axis.name for axis in s.axes_manager.navigation_axes]
    return s.inav[tuple(place if name == "dose" else slice(None) for name in axes)]


def watched(s, places=None, **options):
    live = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, **options)
    for place in range(s.axes_manager._axes[0].size) if places is None else places:
        live.update(frame(s, place), index=place)
    return live


def offline(s, **options):
    s = s.deepcopy()
    s.set_dose_axis(dose_rate=RATE, frame_time=TIME)
    return s.integrate_windows(WINDOWS).fit_dose_pinn(**options)


def same(first, second, rtol=1e-9):
    names = ["half_integrity_dose", "amplitude", "offset", "rate"]
    for name in [*names, "exponent"] if first.law == "power law" else names:
        one, other = (np.asarray(getattr(each, name).data) for each in (first, second))
        np.testing.assert_allclose(one, other, rtol=rtol, err_msg=name)
