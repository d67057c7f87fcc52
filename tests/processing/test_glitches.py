# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that stand for none: found where they are, and nothing else."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.stats import norm

from hyperspy_dosekin.processing.glitches import glitches

ENERGY = -10 + 0.2 * np.arange(320)
PEAK = int(np.argmin(np.abs(ENERGY)))
LOSS = PEAK + 65


def counts(electrons=1e6, width=0.3, frames=6, seed=0):
    mean = 0.7 * norm.pdf(ENERGY, 0.05, width) + 0.08 * norm.pdf(ENERGY, 13, 2)
    mean += 0.15 * norm.pdf(ENERGY, 23, 3)
    return np.random.default_rng(seed).poisson(0.2 * electrons * mean, (frames, ENERGY.size))


INTEGERS = [-9999, -1, 1e8, 2**31 - 1, -(2**31), 65535]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("i4", value) for value in INTEGERS),
        *((kind, value) for kind in ("f4", "f8") for value in (*INTEGERS, 1e30, -1e30)),
    ],
)
def test_each_is_found_in_windows_in_the_peak_and_at_ends(kind, value):
    clean = counts().astype(kind)
    assert glitches(clean) is None
    places = [LOSS, PEAK + 1, PEAK + 3, 0, ENERGY.size - 1]
    for rows in ([2], [0, 2, 4]):
        for place in places:
            if value == -1 and place in (0, ENERGY.size - 1):
                continue
            data = clean.copy()
            data[rows, place] = value
            found = np.argwhere(glitches(data))
            assert found.tolist() == [[row, place] for row in rows], (value, place)


@pytest.mark.parametrize("electrons", [300, 3e4, 1e7])
@pytest.mark.parametrize("width", [0.13, 0.3, 1.0])
def test_nothing_is_found_in_counts_spikes_and_saturated_peaks(electrons, width):
    for seed in range(5):
        data = counts(electrons, width, seed=seed)
        assert glitches(data) is None
        assert glitches(data - 3.0 + np.random.default_rng(seed).normal(0, 2, data.shape)) is None
        assert glitches(np.minimum(data, 65535)) is None
        data[seed, LOSS] += 5000
        assert glitches(data) is None


def test_a_spectrum_with_one_is_as_without_it():
    clean = counts()
    window = {"w": (10, 16)}

    def areas(data):
        s = hs.signals.Signal1D(data)
        s.set_signal_type("EELS")
        s.axes_manager[-1].trait_set(offset=-10.0, scale=0.2, units="eV", name="Energy loss")
        return s.process_low_loss(show_progressbar=False).integrate_windows(window).data

    data = clean.copy()
    data[3, LOSS] = -9999
    with pytest.warns(UserWarning, match=r"1 values, such as -9999, in channel 115 \(13 eV\)"):
        found = areas(data)
    np.testing.assert_allclose(found, areas(clean), rtol=5e-3)
