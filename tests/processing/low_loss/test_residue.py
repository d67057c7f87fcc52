# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mirrored peak leaves among the losses, against peaks of which that is known."""

from __future__ import annotations

from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series
from hyperspy_dosekin.processing.low_loss.residue import excess_of, residue_of

VACUUM = Path(__file__).parents[4] / "shared" / "data" / "real" / "EELSfitter" / "Specimen_4"
DISTANCE = np.arange(400.0)


def sides(asymmetry=1.0, end=60):
    """Gain and loss side of a peak four channels wide, with a tail that falls as 1/d."""
    core = np.exp(-0.5 * (DISTANCE / 1.7) ** 2)
    tail = 2e-4 / np.maximum(DISTANCE, 2)
    return (core + tail)[: end + 1], asymmetry * (core + tail)


def test_a_tail_beyond_the_gain_side_is_continued():
    gain, loss = sides()
    found = residue_of(gain, gain, loss[:61], 4.0, number=400, ended=False)
    truth = loss / (2 * gain.sum() - gain[0])
    # The mean level of the last quarter stands for that at the end.
    np.testing.assert_allclose(found[61:], truth[61:], rtol=0.25)
    assert found[:61].max() < 1e-12


def test_asymmetry_near_the_top_is_what_the_mirror_is_wrong_by():
    gain, loss = sides(asymmetry=1.3)
    found = residue_of(gain, gain, loss[:61], 4.0, number=400, ended=True)
    # The wings show that they go on; what they have more is seen there a second time.
    np.testing.assert_allclose(found[:9], 0.3 * gain[:9] / (2 * gain.sum() - gain[0]), rtol=1e-6)
    np.testing.assert_allclose(found[9:61], 0.3 * gain[9:] / (2 * gain.sum() - gain[0]), rtol=0.1)
    assert (found[61:] < 0.3 * loss[61:] / (2 * gain.sum() - gain[0])).all()


def test_no_more_than_the_mirror_image_and_no_negative():
    gain, loss = sides(asymmetry=5.0)
    gain[50:] -= 1e-3
    loss += 1e-6 * DISTANCE**2
    found = residue_of(gain, gain, loss[:61], 4.0, number=80, ended=False)
    assert (found >= 0).all()
    assert found[20] <= gain[20] / (2 * gain.sum() - gain[0]) * (1 + 1e-9)
    assert not residue_of(np.zeros(9), np.zeros(9), np.zeros(9), 4.0, number=5, ended=True).any()


def test_wings_that_fall_together_and_one_is_higher_are_claimed_further_away():
    """A Lorentzian with two widths: 15 widths are mirrored, and losses rise beyond five."""
    gain, loss = (1 / (1 + (DISTANCE / half) ** 2) for half in (3.5, 6.0))
    area, truth = 2 * gain.sum() - gain[0], (loss - gain)
    seen = loss + np.where(DISTANCE > 50, 1e-5 * (DISTANCE - 50) ** 2, 0.0)
    options = {"number": 400, "ended": True, "reach": 150, "loss_side": seen}
    found = area * residue_of(gain[:300], gain[:120], seen[:120], 9.5, **options)
    assert (1.96 * found[19:150] > truth[19:150]).all()
    # Beyond what is mirrored all of the wing is left.
    assert (1.96 * found[151:280] > loss[151:280]).all()
    assert (found[19:280] < 3 * loss[19:280]).all()


@pytest.mark.skipif(not VACUUM.exists(), reason="needs the files of EELSfitter")
def test_real_vacuum_is_nothing_within_what_is_claimed():
    paths = [path for path in sorted(VACUUM.iterdir()) if "Vacuum" in path.name]
    rows = [np.loadtxt(path, delimiter=None if "," not in path.read_text()[:200] else ",").ravel()
            for path in paths]  # fmt: skip
    s = hs.signals.Signal1D(np.stack(rows))
    s.set_signal_type("EELS")
    scale = (45.471 + 4.054) / (s.data.shape[-1] - 1)
    s.axes_manager[-1].trait_set(offset=-4.054, scale=scale, units="eV", name="Energy loss")
    processed = s.process_low_loss(show_progressbar=False)
    areas = processed.integrate_windows({"a": (3, 6), "b": (10, 15), "c": (20, 25)})
    claimed = areas.metadata.Dosekin.zero_loss_residue
    assert (np.abs(areas.data) < 3 * claimed).all()
    # Nor is more claimed than ten times what there is.
    assert (np.abs(areas.data).max(axis=0) > 0.1 * claimed).all()


@pytest.mark.parametrize(
    ("options", "within"),
    [
        ({"energy_offset": -1.2}, 3),
        ({"energy_offset": -0.9, "zero_loss_tail": 0.02}, 3),
        ({"energy_offset": -1.2, "zero_loss_asymmetry": 0.2}, 1.5),
    ],
    ids=["short", "shorter, with a tail", "asymmetric"],
)
def test_a_fitted_peak_leaves_what_is_claimed(options, within):
    s = dose_series(2, **options)
    areas = s.process_low_loss(show_progressbar=False).integrate_windows()
    error = np.abs((areas.data - s.metadata.Simulation.window_areas_at_resolution).mean(axis=1))
    claimed = areas.metadata.Dosekin.zero_loss_residue
    # π–π* is in the tail, and windows further away are right by 2 %.
    assert 0.1 * claimed[0] < error[0] < within * claimed[0]
    assert (error[1:] < 0.02 * areas.data.mean(axis=1)[1:]).all()


@pytest.mark.parametrize("power", [1.5, 2.0])
@pytest.mark.parametrize("first", [-10.0, -40.0, -1.2])
def test_what_a_slowly_falling_tail_leaves_is_claimed(power, first):
    energy = first + 0.1 * np.arange(round((60 - first) / 0.1))
    core = np.exp(-0.5 * (energy / 0.25) ** 2)
    # Twice as high on the loss side.
    wings = np.where(energy > 0, 2, 1) / (1 + np.abs(energy / 0.3) ** power)
    peak = core / core.sum() + 0.03 * wings / wings.sum()
    single = 0.3 * np.exp(-0.5 * ((0.1 * np.arange(4000) - 20) / 3.5) ** 2)
    single *= 0.3 / single.sum()
    plural = np.fft.rfft(peak, 4000) * np.exp(np.fft.rfft(single) - single.sum())
    mean = 1e8 * np.fft.irfft(plural)[: energy.size].clip(0)
    s = hs.signals.Signal1D(np.random.default_rng(3).poisson(mean, (3, energy.size)))
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(offset=first, scale=0.1, units="eV", name="Energy loss")
    # There are no losses below 8 eV.
    areas = s.process_low_loss(show_progressbar=False).integrate_windows({"a": (3, 5), "b": (5, 7)})
    claimed = areas.metadata.Dosekin.zero_loss_residue
    assert (np.abs(areas.data) < 3 * claimed).all()
    assert (np.abs(areas.data).max(axis=0) > 0.1 * claimed).all()


def test_excess_of_the_loss_side_falls_on_as_an_exponential():
    channel = np.arange(60.0)
    gain = 1e5 * np.exp(-0.5 * (channel / 2) ** 2)
    tail = np.where(channel > 2, 8e3 * np.exp(-channel / 3), 0.0)
    options = {"fwhm": 4.7, "number": 60, "ended": True}
    symmetric = residue_of(gain, gain, gain, **options)
    asymmetric = residue_of(gain, gain, gain + tail, **options)
    area = 2 * gain.sum() - gain[0]
    beyond = slice(8, 30)
    np.testing.assert_allclose(excess_of(gain, gain + tail, 4.7)[beyond], tail[beyond], rtol=0.1)
    # It is taken off with the peak, and half of it may be wrong.
    np.testing.assert_allclose(asymmetric[beyond], 0.5 * tail[beyond] / area, rtol=0.1)
    assert (symmetric[beyond] < 1e-12).all()
    # Losses rise there, and are no part of the peak.
    losses = residue_of(gain, gain, gain + 50 * channel, **options)
    assert (losses[beyond] < 1e-2 * asymmetric[8]).all()
