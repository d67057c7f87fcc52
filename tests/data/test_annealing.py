# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated annealing series has the truth that it claims."""

import numpy as np
import pytest

from hyperspy_dosekin.data import annealing_series, reference_spectra
from hyperspy_dosekin.data.annealing import expected

SHAPE = (5, 13, 11)


@pytest.fixture(scope="module")
def series():
    return annealing_series(3, shape=SHAPE, unknown_share=0.1)


def test_shape_axes_and_truth(series):
    assert series.data.shape == (*SHAPE, 160)
    assert series.metadata.Signal.signal_type == "EELS"
    truth = series.metadata.Simulation
    assert truth.label.shape == truth.scale.shape == truth.shift_ev.shape == SHAPE
    assert truth.names[-1] == "unknown"
    assert (truth.label == 4).mean() == pytest.approx(0.1, abs=0.01)
    # phases advance with temperature
    known = np.where(truth.label == 4, np.nan, truth.label)
    means = np.nanmean(known, axis=(1, 2))
    assert (np.diff(means) > 0).all()


def test_noise_is_that_of_the_counts(series):
    truth = series.metadata.Simulation
    clean = expected(series)
    noise = series.data - clean
    background = 2.0 * (np.arange(160) * 0.5 + 670) ** -3.0 / 670**-3.0
    variance = (clean + background) / truth.counts
    # 114 400 squares: 0.4 %
    assert (noise**2 / variance).mean() == pytest.approx(1.0, abs=0.02)
    assert noise.mean() == pytest.approx(0.0, abs=1e-3)


def test_lazy_is_the_same(series):
    lazy = annealing_series(3, shape=SHAPE, unknown_share=0.1, lazy=True)
    assert lazy._lazy
    assert lazy.data.numblocks[0] == SHAPE[0]
    assert (lazy.data.compute() == series.data).all()


@pytest.mark.parametrize("lazy", [False, True])
def test_dead_channels(series, lazy):
    options = {"unknown_share": 0.1, "dead_channels": (3, 80), "lazy": lazy}
    dead = np.asarray(annealing_series(3, shape=SHAPE, **options).data)
    assert np.isnan(dead).any(axis=(0, 1, 2)).nonzero()[0].tolist() == [3, 80]
    np.testing.assert_array_equal(np.delete(dead, (3, 80), -1), np.delete(series.data, (3, 80), -1))
    with pytest.raises(ValueError, match="dead_channels"):
        annealing_series(dead_channels=(160,))


def test_seeds_differ():
    a, b = (annealing_series(seed, shape=(2, 4, 3)).data for seed in (0, 1))
    assert (a != b).any()


def test_references_differ_in_shape_and_cover_the_data(series):
    references = reference_spectra(unknown=True)
    assert references.metadata.References.labels == series.metadata.Simulation.names
    axis = references.axes_manager[-1]
    energy = series.axes_manager[-1].axis
    assert axis.low_value < energy[0]
    assert axis.high_value > energy[-1]
    rows = references.data / np.linalg.norm(references.data, axis=1, keepdims=True)
    cosine = rows @ rows.T
    assert np.abs(cosine[~np.eye(5, dtype=bool)]).max() < 0.995


def test_a_noisy_pixel_is_its_reference_times_its_scale():
    still = annealing_series(
        1, shape=(3, 4, 5), energy_jitter=0, background_variation=0, peak_snr=3000
    )
    truth = still.metadata.Simulation
    references = reference_spectra()
    energy = still.axes_manager[-1].axis
    row = references.data[truth.label[1, 2, 3]]
    at = np.interp(energy, references.axes_manager[-1].axis, row) * truth.scale[1, 2, 3]
    assert still.data[1, 2, 3] == pytest.approx(at, abs=5e-3)


def test_noise_follows_the_thickness_where_the_background_does():
    options = {"shape": (3, 20, 30), "thickness_variation": 0.4, "peak_snr": 5}
    for thick_background in (False, True):
        s = annealing_series(4, thick_background=thick_background, **options)
        scale = s.metadata.Simulation.scale
        noise = (s.data - expected(s))[..., :30].std(axis=-1)
        thin, thick = scale < 0.8, scale > 1.3
        ratio = noise[thick].mean() / noise[thin].mean()
        assert (ratio > 1.25) == thick_background


def test_drift_plural_scattering_and_mixtures_are_those_of_the_truth():
    plain = {"shape": (3, 6, 7), "energy_jitter": 0, "background_variation": 0, "peak_snr": 3000}
    drifted = annealing_series(1, energy_drift=2.0, **plain).metadata.Simulation
    assert drifted.shift_ev[:, 0, 0] == pytest.approx([0, 2, 4])
    mixed = annealing_series(1, mixed_share=1.0, **plain)
    truth = mixed.metadata.Simulation
    assert (truth.second != truth.label).all()
    references = reference_spectra()
    axis, energy = references.axes_manager[-1].axis, mixed.axes_manager[-1].axis
    both = (references.data[truth.label[1, 2, 3]] + references.data[truth.second[1, 2, 3]]) / 2
    at = np.interp(energy, axis, both) * truth.scale[1, 2, 3]
    assert mixed.data[1, 2, 3] == pytest.approx(at, abs=5e-3)
    once = annealing_series(1, **plain)
    twice = annealing_series(1, plural_scattering=0.5, **plain)
    more = (twice.data - once.data).reshape(-1, 160)
    # A plasmon behind the edge: nothing before it, and most some 22 eV on.
    assert np.abs(more[:, :20]).max() < 0.02
    assert (more[:, 100] > 0.05).all()
    assert twice.data == pytest.approx(expected(twice), abs=6e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"plural_scattering": -1}, "plural_scattering=-1"),
        ({"energy_drift": np.nan}, "energy_drift=nan"),
        ({"mixed_share": 2}, "mixed_share=2"),
        ({"shape": (3, 4)}, "shape"),
        ({"shape": (0, 4, 4)}, "shape"),
        ({"peak_snr": 0}, "peak_snr=0"),
        ({"energy_jitter": -1}, "energy_jitter=-1"),
        ({"unknown_share": 1}, "unknown_share=1"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        annealing_series(**options)


def test_references_from_signals_go_through():
    references = reference_spectra()
    again = reference_spectra([references.inav[0], references.inav[2]], ["a", "b"], fwhm_ev=2.0)
    assert again.metadata.References.labels == ["a", "b"]
    assert again.data[0].max() < references.data[0].max()
    with pytest.raises(TypeError, match="fwhm_ev"):
        reference_spectra(fwhm_ev=1.0)
