# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is claimed of areas above asymmetric peaks and short gain sides, by peaks of SciPy."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.stats import exponnorm, logistic, norm, skewnorm

from hyperspy_dosekin.processing.low_loss.gain_side import channels_on_pedestal

PEAKS = {
    # Two exponentials, as of a source and a lens, and a skewed one.
    "exponentials": lambda e: (
        0.7 * exponnorm.cdf(e, 1.2, scale=0.18) + 0.3 * exponnorm.cdf(e, 4.0, scale=0.18)
    ),
    "skewed": lambda e: skewnorm.cdf(e, 5, scale=0.7),
}
#: A bump beside the peak, which is not told from a loss.
BUMP = {"bump": lambda e: 0.975 * norm.cdf(e, scale=0.25) + 0.025 * norm.cdf(e, 1.4, 0.3)}
#: Wide ones, of which few channels of the gain side show no more than the flank.
WIDE = {
    "flat top": lambda e: uniform_filter1d(norm.cdf(e, scale=0.25), round(1.0 / (e[1] - e[0]))),
    "logistic": lambda e: logistic.cdf(e, scale=0.2),
    "skewed": PEAKS["skewed"],
}


def processed(kind, first, scale, plasmon=0.3):
    shape = (PEAKS | BUMP | WIDE)[kind]
    energy = first + scale * np.arange(round((50 - first) / scale))
    loss = scale * np.arange(4 * energy.size)
    single = scale * plasmon * norm.pdf(loss, 22, 3)
    peak = shape(energy + scale / 2) - shape(energy - scale / 2)
    plural = np.exp(np.fft.rfft(single) - single.sum())
    mean = 5e6 * np.fft.irfft(np.fft.rfft(peak, loss.size) * plural)[: energy.size]
    s = hs.signals.Signal1D(np.random.default_rng(0).poisson(mean.clip(0), (3, energy.size)))
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(offset=first, scale=scale, units="eV", name="Energy loss")
    return s.process_low_loss(show_progressbar=False)


@pytest.mark.parametrize("kind", PEAKS)
@pytest.mark.parametrize("first", [-2.0, -1.5])
def test_the_resolution_of_the_peak_moves_losses_and_is_claimed(kind, first):
    """On the flank of a plasmon, far from the peak and its tail; all of it stays what it is."""
    windows = {"flank": (14, 18), "all": (10, 34)}
    s = processed(kind, first, 0.1)
    areas = s.integrate_windows(windows)
    zero = -float(np.median(s.processing_diagnostics()["shift"].data))
    place = np.linspace(-3, 12, 15001)
    share = np.diff(PEAKS[kind](place))
    ends = (
        np.array(list(windows.values()))[:, :, np.newaxis] + zero - 0.5 * (place[1:] + place[:-1])
    )
    truth = 0.3 * (np.diff(norm.cdf(ends, 22, 3), axis=1)[:, 0] * share).sum(axis=-1)
    found = areas.data.mean(axis=areas.data.shape.index(3))
    error = np.abs(found - truth)
    claimed = areas.metadata.Dosekin.zero_loss_residue
    assert error[0] < 2 * claimed[0]
    # A skewed peak is known nearly as it is, and next to nothing is wrong.
    assert claimed[0] < (0.015 * truth[0] if kind == "skewed" else 10 * error[0])
    assert error[1] < 0.005 * truth[1]
    assert claimed[1] < 0.01 * truth[1]


@pytest.mark.parametrize("first", [-10.0, -3.0])
def test_vacuum_beside_a_bump_is_nothing_within_what_is_claimed(first):
    """Were it a loss, it would scatter twice; as a part of the peak it does not."""
    areas = processed("bump", first, 0.15, plasmon=0.0).integrate_windows({"w": (2.5, 5)})
    claimed = areas.metadata.Dosekin.zero_loss_residue[0]
    assert abs(areas.data.mean()) < 2 * claimed < 5e-4


def test_vacuum_beyond_the_end_of_a_short_gain_side_is_claimed():
    areas = processed("exponentials", -2.0, 0.15, plasmon=0.0).integrate_windows({"w": (3, 5)})
    assert abs(areas.data.mean()) < 2 * areas.metadata.Dosekin.zero_loss_residue[0]


@pytest.mark.parametrize("kind", WIDE)
@pytest.mark.parametrize("first", [-2.0, -1.5])
def test_a_gain_side_that_ends_in_the_flank_leaves_no_ripples(kind, first, caplog):
    areas = processed(kind, first, 0.1, plasmon=0.1).integrate_windows({"a": (3, 5), "b": (4, 7)})
    found, claimed = areas.data.reshape(-1, 2), areas.metadata.Dosekin.zero_loss_residue
    assert (np.abs(found.mean(axis=0)) < 2 * np.hypot(claimed, 1e-6)).all()
    assert (np.abs(found) < 3e-4).all()
    assert "in its flank" in caplog.text


def test_few_fine_channels_of_a_tail_are_no_pedestal():
    distance = np.abs(np.arange(400) - 22.0)
    core = 1e6 * np.exp(-0.5 * (distance / 2.5) ** 2)
    tail = 2e6 / np.maximum(distance, 6) ** 2
    assert channels_on_pedestal(core + tail, 22, 6.0) == 0
    assert channels_on_pedestal(core + 4000, 22, 6.0) > 3
