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


def test_a_peak_is_not_bridged_over():
    block = np.exp(-0.5 * ((CHANNEL - 20) / 1.5) ** 2)[np.newaxis]
    for channel in (19, 20, 21):
        holed = block.copy()
        holed[0, channel] = np.nan
        assert np.isnan(bridge(holed)).any()
    holed = block.copy()
    holed[0, 33] = np.nan
    assert np.isfinite(bridge(holed)).all()


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
