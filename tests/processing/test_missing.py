# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hyperspy_dosekin.processing.missing import LONGEST, bridge, dead_channels

CHANNEL = np.arange(40.0)


def test_what_is_whole_is_not_copied():
    block = np.ones((3, 8))
    assert bridge(block) is block
    integers = np.ones((3, 8), dtype=int)
    assert bridge(integers) is integers


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("length", [1, 2, LONGEST])
def test_straight_lines_come_back(length, value):
    block = np.tile(100 - CHANNEL, (3, 2, 1)).astype("f4")
    block[1, 0, 10 : 10 + length] = value
    block[:, 1, 30] = value
    before = block.copy()
    made = bridge(block)
    np.testing.assert_allclose(made, np.broadcast_to(100 - CHANNEL, block.shape), rtol=1e-6)
    np.testing.assert_array_equal(block, before)
    assert made.dtype == np.float32


def test_longer_gaps_and_ends_stay_missing():
    block = np.tile(100 - CHANNEL, (2, 1))
    block[0, 5 : 6 + LONGEST] = np.nan
    block[1, [0, -1]] = np.inf
    missing = np.isnan(bridge(block))
    assert missing[0].sum() == LONGEST + 1
    assert np.flatnonzero(missing[1]).tolist() == [0, 39]


def test_a_gap_in_a_peak_is_bridged_by_its_curve():
    block = np.exp(-0.5 * ((CHANNEL - 20) / 1.5) ** 2)[np.newaxis]
    for channel in (18, 19, 20, 21, 33):
        holed = block.copy()
        holed[0, channel] = np.nan
        np.testing.assert_allclose(bridge(holed), block, atol=1e-9)
    # Nothing tells what was in most of a peak, or in one of a channel or two.
    narrow = np.exp(-4 * np.abs(CHANNEL - 20))[np.newaxis]
    for peak, gap in ((block, slice(19, 22)), (narrow, slice(20, 21))):
        holed = peak.copy()
        holed[0, gap] = np.nan
        assert np.isnan(bridge(holed)).any()


def test_a_channel_that_is_stuck_is_dead():
    spectra = np.random.default_rng(0).poisson(200.0 + 4e3 * (np.arange(64) == 8), (6, 64))
    spectra[:, 20] = 900
    spectra[:, 40:42] = 3
    np.testing.assert_array_equal(np.flatnonzero(dead_channels(spectra)), [20, 40, 41])
    # Normalised to their maximum, spectra have one there.
    spectra[:, 30] = 5000
    assert not dead_channels(spectra / spectra.max(axis=-1, keepdims=True))[30]
    # The top of a band that does not change is not stuck.
    assert not dead_channels(np.tile(np.hanning(64), (6, 1))).any()


def test_few_counts_of_a_single_spectrum_may_be_zero():
    counts = np.random.default_rng(0).poisson(3.0, (40, 1, 256))
    assert not any(dead_channels(each).any() for each in counts)


def test_a_zero_in_a_peak_and_what_is_hot_are_dead():
    peak = 1e5 * np.exp(-0.5 * ((np.arange(64) - 30) / 2) ** 2)
    spectra = np.random.default_rng(0).poisson(peak + 2, (6, 64))
    spectra[:, 33] = 0
    spectra[:, 10] += 300
    spectra[:, 50:52] += 900
    np.testing.assert_array_equal(np.flatnonzero(dead_channels(spectra)), [10, 33, 50, 51])
    # The narrowest zero-loss peak is not hot.
    assert not dead_channels(np.where(np.arange(64) == 30, 1000, spectra[:, :1])).any()
