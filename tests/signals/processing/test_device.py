# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``device=`` of `process_low_loss` and `process_core_loss`: Torch's processor is the card."""

import sys

import hyperspy.api as hs
import numpy as np
import pytest
import torch

from hyperspy_dosekin.signals.processing import one_pass
from hyperspy_dosekin.signals.processing.record import processing_diagnostics

QUIET = {"show_progressbar": False}
CARD = torch.device("cpu")
ENERGY = np.arange(400) * 0.1 - 8.0


@pytest.fixture(scope="module")
def s():
    """Counts of a peak that drifts and a plasmon, by NumPy alone, with spikes."""
    random = np.random.default_rng(0)
    away = ENERGY - random.uniform(-0.2, 0.2, (8, 5, 1))
    expected = 3e4 * np.exp(-0.5 * (away / 0.3) ** 2) + 5.0
    expected += np.where(away > 2, 400 * np.exp(-0.5 * ((away - 20) / 3) ** 2), 0.0)
    counts = random.poisson(expected).astype(np.int32)
    counts[::3, 1, 250] += 800
    s = hs.signals.Signal1D(counts)
    s.set_signal_type("EELS")
    axis = s.axes_manager[-1]
    axis.scale, axis.offset, axis.units = 0.1, ENERGY[0], "eV"
    s.metadata.set_item("Signal.Noise_properties.Variance_linear_model.gain_factor", 1.0)
    s.metadata.set_item("Signal.Noise_properties.Variance_linear_model.gain_offset", 0.0)
    return s


@pytest.fixture(scope="module")
def core():
    """Counts of a power law and two edges that drift, by NumPy alone, with a spike before one."""
    random = np.random.default_rng(0)
    energy = 400 + np.arange(240.0)
    moved = energy - random.uniform(-0.8, 0.8, (6, 7, 1))
    expected = 900 * (energy / 400) ** -3 + 900 * np.exp(-0.5 * ((moved - 450) / 4) ** 2)
    expected += 150 / (1 + np.exp(540 - moved))
    counts = random.poisson(expected).astype(np.uint16)
    counts[1, 1, 110] += 900
    s = hs.signals.Signal1D(counts)
    s.set_signal_type("EELS")
    s.axes_manager[-1].offset, s.axes_manager[-1].units = 400, "eV"
    return s


CORE_LOSS = {"background": (490, 530), "crop": (532, 620), "rebin": 2.0}
ON_EDGE = {"reference": (425, 475), "reference_background": (404, 424)}


def check(found, expected, tolerance):
    same_spectra(found, expected, tolerance)
    here, there = (processing_diagnostics(each) for each in (found, expected))
    np.testing.assert_array_equal(here["spikes"].data, there["spikes"].data)
    np.testing.assert_allclose(here["t_over_lambda"].data, there["t_over_lambda"].data, tolerance)


def same_spectra(found, expected, tolerance):
    for one, other in (
        (found.data, expected.data),
        (found.get_noise_variance().data, expected.get_noise_variance().data),
    ):
        assert one.dtype == other.dtype
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max()


@pytest.mark.parametrize(("kind", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
def test_eager_and_lazy_results_are_those_of_numpy(s, kind, tolerance):
    expected = s.process_low_loss(dtype=kind, **QUIET)
    assert (processing_diagnostics(expected)["spikes"].data[::3, 1] > 0).all()
    check(s.process_low_loss(dtype=kind, device=CARD, **QUIET), expected, tolerance)
    lazy = s.as_lazy()
    lazy.data = lazy.data.rechunk((3, 5, -1))
    lazy = lazy.process_low_loss(dtype=kind, device=CARD, **QUIET)
    assert lazy._lazy
    lazy.compute(**QUIET)
    check(lazy, expected, tolerance)


def test_peaks_that_are_found_on_the_way(s, monkeypatch):
    monkeypatch.setattr(one_pass, "BOX", 3)
    options = {"survey": "sample", "dtype": "float64", **QUIET}
    check(s.process_low_loss(device=CARD, **options), s.process_low_loss(**options), 1e-10)


@pytest.mark.parametrize(("kind", "tolerance"), [("float64", 1e-10), ("float32", 1e-6)])
@pytest.mark.parametrize("on_edge", [ON_EDGE, {}], ids=["on an edge", "as they are"])
def test_core_losses_are_those_of_numpy(core, on_edge, kind, tolerance):
    options = {**CORE_LOSS, **on_edge, "dtype": kind, **QUIET}
    expected = core.process_core_loss(**options)
    found = core.process_core_loss(device=CARD, **options)
    same_spectra(found, expected, tolerance)
    here, there = (processing_diagnostics(each) for each in (found, expected))
    assert set(here) == set(there)
    for name in here:
        np.testing.assert_allclose(here[name].data, there[name].data, 1e-8)
    lazy = core.as_lazy()
    lazy.data = lazy.data.rechunk((3, 4, -1))
    lazy = lazy.process_core_loss(device=CARD, **options)
    assert lazy._lazy
    lazy.compute(**QUIET)
    same_spectra(lazy, expected, tolerance)


@pytest.mark.parametrize("known", [True, False])
def test_areas_of_windows_are_those_of_numpy(core, known):
    s, windows = core.deepcopy(), [(440.5, 462.25), (532, 620)]
    if known:
        s.set_noise_variance(core.as_signal1D(-1) + 1)
    expected = s.integrate_windows(windows)
    found = s.integrate_windows(windows, device=CARD)
    same_spectra(found, expected, 1e-12)
    lazy = s.as_lazy().integrate_windows(windows, device=CARD)
    assert lazy._lazy
    lazy.compute(**QUIET)
    same_spectra(lazy, expected, 1e-12)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 7.5])
def test_a_device_that_is_not_there_is_refused_before_the_work(s, core, device):
    calls = s.process_low_loss, core.process_core_loss, core.integrate_windows
    for call in calls:
        with pytest.raises(ValueError, match=r"device '?(gpu|cuda:99|7\.5)'? is not .*cpu"):
            call(device=device)


def test_numpy_needs_no_torch(s, core, monkeypatch):
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "torch", None)
        s.inav[:2, :2].process_low_loss(device="cpu", **QUIET)
        core.inav[:2, :2].process_core_loss(device="cpu", **CORE_LOSS, **QUIET)
        core.inav[:2, :2].integrate_windows([(532, 620)], device="cpu")
