# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated series as signals: axes, metadata, files, laziness, repeatability, bad options."""

import pickle

import dask
import exspy
import hyperspy.api as hs
import numpy as np
import pytest
from scipy.integrate import trapezoid

from hyperspy_dosekin.data import dose_series, dose_series_image
from hyperspy_dosekin.data.scene import smooth_field

SMALL = {"shape": (5, 3), "dose": [0.0, 40.0, 100.0, 130.0], "channels": 160}


def flatten(node, prefix=""):
    """Leaves of a metadata tree as {path: value}."""
    leaves = {}
    for key, value in node.as_dictionary().items():
        if isinstance(value, dict):
            leaves |= {f"{prefix}{key}.{inner}": item for inner, item in value.items()}
        else:
            leaves[prefix + key] = value
    return leaves


def assert_same_truth(first, second):
    first, second = flatten(first), flatten(second)
    assert first.keys() == second.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(second[key], value, err_msg=key)


def test_series_is_what_loading_a_file_would_give(tmp_path):
    s = dose_series(4, spike_rate=3.0, pre_exposure=20.0)
    assert type(s) is exspy.signals.EELSSpectrum
    assert s.data.dtype == np.int32
    assert s.axes_manager.navigation_shape == (9,)
    assert s.axes_manager.signal_shape == (512,)
    dose, energy = s.axes_manager[0], s.axes_manager[-1]
    assert (dose.name, dose.units, dose.is_uniform) == ("dose", "e⁻/Å²", True)
    np.testing.assert_allclose(dose.axis, 152 * np.arange(1, 10))
    assert (energy.name, energy.units) == ("Energy loss", "eV")
    assert (energy.offset, energy.scale) == (-8.0, 0.18)
    tem = s.metadata.Acquisition_instrument.TEM
    assert (tem.beam_energy, tem.Detector.EELS.exposure) == (300.0, 44.0)
    assert s.metadata.Signal.quantity == "Electrons (Counts)"

    s.save(tmp_path / "series.hspy")
    again = hs.load(tmp_path / "series.hspy")
    assert type(again) is type(s)
    np.testing.assert_array_equal(again.data, s.data)
    np.testing.assert_array_equal(again.axes_manager[0].axis, dose.axis)
    assert_same_truth(s.metadata.Simulation, again.metadata.Simulation)
    assert again.metadata.Simulation.window_names == ["π–π*", "C–C", "C–O", "M–O"]


def test_image_axes_and_truth_shapes(tmp_path):
    s = dose_series_image(spike_rate=1.0, **SMALL)
    assert s.data.shape == (4, 5, 3, 160)
    assert s.axes_manager.navigation_shape == (3, 5, 4)
    assert [axis.name for axis in s.axes_manager.navigation_axes] == ["x", "y", "dose"]
    assert not s.axes_manager["dose"].is_uniform
    np.testing.assert_array_equal(s.axes_manager["dose"].axis, SMALL["dose"])
    truth = s.metadata.Simulation
    assert truth.rate.shape == truth.half_integrity_dose.shape == truth.offset.shape == (4, 5, 3)
    assert truth.integrity.shape == truth.window_areas.shape == (5, 3, 4, 4)
    assert truth.t_over_lambda.shape == truth.electrons.shape == (4, 5, 3)
    readout = truth.amplitude[..., None] * np.moveaxis(truth.integrity, 2, 0)
    areas = np.moveaxis(readout + truth.offset[..., None], 0, 2)
    np.testing.assert_allclose(areas, truth.window_areas, rtol=1e-12)
    s.save(tmp_path / "image.hspy")
    assert_same_truth(truth, hs.load(tmp_path / "image.hspy").metadata.Simulation)


def test_truth_belongs_to_the_pixels():
    """The window's area in the data of a pixel is that pixel's truth, not its neighbour's."""
    axis = {"energy_offset": -1.0, "energy_scale": 0.05, "channels": 400}
    s = dose_series_image(processed=True, noise=False, shape=(5, 3), **axis)
    energy = s.axes_manager[-1].axis
    inside = (energy > 3.999) & (energy < 7.001)
    areas = trapezoid(s.data[..., inside], energy[inside], axis=-1)
    truth = s.metadata.Simulation.window_areas[:, :, 1]
    np.testing.assert_allclose(np.moveaxis(areas, 0, -1), truth, rtol=1e-4)
    assert np.ptp(truth[..., 0]) > 0.05 * truth[..., 0].mean()


def test_dose_axis_needs_no_uniform_steps():
    s = dose_series(dose=[152, 304, 500, 1368], channels=64)
    np.testing.assert_array_equal(s.axes_manager[0].axis, [152, 304, 500, 1368])
    assert s.metadata.Simulation.dose_max == 1368


@pytest.mark.parametrize(
    "options", [{}, {"processed": True}, {"read_noise": 3.0, "spike_rate": 2.0}]
)
def test_seed_decides_everything(options):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (dose_series(seed, **options) for seed in (11, 11, 12))
    np.testing.assert_array_equal(first.data, again.data)
    assert_same_truth(first.metadata.Simulation, again.metadata.Simulation)
    assert np.mean(first.data != other.data) > 0.5
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_seed_decides_the_field():
    rates = [dose_series_image(seed, **SMALL).metadata.Simulation.rate for seed in (1, 1, 2)]
    np.testing.assert_array_equal(rates[0], rates[1])
    assert np.abs(np.log(rates[0] / rates[2])).max() > 0.05


@pytest.mark.parametrize("processed", [False, True])
@pytest.mark.parametrize("chunks", ["auto", 2, (1, 4, 3), ((3, 1), (5,), (1, 2))])
def test_lazy_equals_eager_with_any_chunks(processed, chunks):
    options = SMALL | {"processed": processed, "spike_rate": 2.0, "read_noise": 2.0}
    eager = dose_series_image(6, **options)
    lazy = dose_series_image(6, lazy=True, chunks=chunks, **options)
    assert lazy._lazy
    assert lazy.data.dtype == eager.data.dtype
    if chunks == (1, 4, 3):
        assert lazy.data.chunks == ((1,) * 4, (4, 1), (3,), (160,))
    assert_same_truth(eager.metadata.Simulation, lazy.metadata.Simulation)
    if processed:
        variance = lazy.get_noise_variance().data.compute()
        # Transforms of blocks of another size round differently.
        np.testing.assert_allclose(variance, eager.get_noise_variance().data, rtol=1e-10)
        np.testing.assert_allclose(lazy.data.compute(), eager.data, rtol=1e-7, atol=1e-12)
    else:
        np.testing.assert_array_equal(lazy.data.compute(), eager.data)


def test_lazy_signal_simulates_only_what_is_computed():
    # 4.5 GB of counts if it were computed.
    options = {"chunks": (1, 50, 50), "channels": 1024}
    s = dose_series_image(lazy=True, shape=(400, 300), **options)
    assert type(s) is exspy.signals.LazyEELSSpectrum
    corner = s.data[8, 399:, 290:300]
    keys = [key for key in dask.optimize(corner)[0].__dask_graph__() if "simulate" in str(key)]
    assert 1 <= len(keys) <= 2
    counts = corner.compute()
    assert counts.shape == (1, 10, 1024)
    np.testing.assert_allclose(counts.sum(axis=-1), 1e6, rtol=0.05)


def test_lazy_signal_travels_to_other_processes():
    s = dose_series_image(lazy=True, **SMALL)
    again = pickle.loads(pickle.dumps(s.data))
    np.testing.assert_array_equal(again.compute(), s.data.compute())


@pytest.mark.parametrize("image", [False, True])
def test_spikes_are_where_the_truth_says(image):
    function = dose_series_image if image else dose_series
    options = (SMALL if image else {}) | {"read_noise": 3.0, "gain": 2.0, "electrons": 1e5}
    clean = function(8, **options)
    s = function(8, spike_rate=3.0, spike_height=25.0, **options)
    expected = function(8, noise=False, **options).data
    truth = s.metadata.Simulation
    assert truth.number_of_spikes == len(truth.spikes.channel) > 10
    assert truth.spikes.position.shape == (truth.number_of_spikes, 3 if image else 1)
    added = np.zeros(s.data.shape)
    for where, channel, width in zip(
        truth.spikes.position, truth.spikes.channel, truth.spikes.width, strict=True
    ):
        at = tuple(where)
        noise = np.sqrt(2 * expected[at][channel] + 9)
        added[at][channel : channel + width] += 25 * noise
    # Rounded to counts; everything else is the same in both.
    np.testing.assert_allclose(s.data.astype(float) - clean.data, added, atol=1.01)
    assert set(truth.spikes.width) == {1, 2}
    assert clean.metadata.Simulation.number_of_spikes == 0
    assert not clean.metadata.has_item("Simulation.spikes")


def test_number_of_spikes_follows_the_rate():
    truth = dose_series_image(shape=(20, 16), spike_rate=0.5, channels=64).metadata.Simulation
    # 2880 spectra: 1440 ± 38.
    assert abs(truth.number_of_spikes - 1440) < 4 * 38


def test_camera_saturates():
    s = dose_series(electrons=1e7, dtype="uint16", channels=128)
    assert s.data.dtype == np.uint16
    zero_loss = np.abs(s.axes_manager[-1].axis) < 0.2
    assert np.all(s.data[:, zero_loss] == 65535)
    full = dose_series(electrons=1e7, channels=128)
    below = full.data < 65535
    np.testing.assert_array_equal(s.data[below], full.data[below])


def test_noise_free_counts_are_real_numbers():
    s = dose_series(noise=False, channels=128)
    assert s.data.dtype == np.float64
    assert np.any(s.data != np.rint(s.data))
    assert not s.metadata.has_item("Signal.Noise_properties")
    assert dose_series(noise=False, dtype="float32", channels=128).data.dtype == np.float32


def test_vacuum_and_maps_given_as_arrays():
    thickness = np.linspace(0, 0.8, 15).reshape(5, 3)
    rate = np.linspace(0.5, 2, 15).reshape(5, 3)
    s = dose_series_image(
        **SMALL, t_over_lambda=thickness, kinetics={"C–O": {"k": rate}}, noise=False
    )
    truth = s.metadata.Simulation
    np.testing.assert_array_equal(truth.rate[2], rate)
    assert np.ptp(truth.rate[1]) > 0
    # Dose 0 is the undamaged specimen.
    np.testing.assert_allclose(truth.t_over_lambda[0], thickness, rtol=1e-12)
    np.testing.assert_array_equal(truth.window_areas[0, 0], 0.0)
    energy = s.axes_manager[-1].axis
    # What is left in vacuum is the zero-loss peak and its faint tail.
    assert s.data[0, 0, 0, energy > 5].sum() < 1e-3 * s.data[0, 0, 0].sum()
    assert s.data[0, 4, 2, energy > 5].sum() > 0.2 * s.data[0, 4, 2].sum()


def test_field_is_smooth_and_independent_of_the_sampling():
    fine = smooth_field((60, 40), np.random.default_rng(3))
    coarse = smooth_field((15, 10), np.random.default_rng(3))
    np.testing.assert_allclose(fine.reshape(15, 4, 10, 4).mean(axis=(1, 3)), coarse, atol=0.05)
    assert fine.mean() == pytest.approx(0, abs=1e-12)
    assert fine.std() == pytest.approx(1, abs=0.01)
    assert np.abs(np.diff(fine, axis=0)).max() < 0.3
    assert np.abs(np.diff(fine, axis=1)).max() < 0.4


@pytest.mark.parametrize("variation", [0.0, 0.3])
def test_variation_over_the_field(variation):
    s = dose_series_image(shape=(60, 40), rate_variation=variation, channels=64, dose=[1, 2])
    spread = np.log(s.metadata.Simulation.rate).std(axis=(1, 2))
    # Two fields of unit variance whose correlation over this one field is what it happens to be.
    assert np.all((spread > 0.5 * variation - 1e-12) & (spread < 1.5 * variation + 1e-12))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed=-1"),
        ({"dose": [100]}, "two or more"),
        ({"dose": [300, 200]}, "ascending"),
        ({"dose": [-5, 200]}, "ascending"),
        ({"dose": [5, np.nan]}, "ascending"),
        ({"kinetics": {"C-C": {"k": 1.0}}}, "'C-C'.*π–π"),
        ({"kinetics": {"C–C": {"rate": 1.0}}}, r"\['rate'\].*'k'"),
        ({"kinetics": {"C–C": {"k": -1.0}}}, "not negative"),
        ({"kinetics": {"C–C": {"k": np.inf}}}, "finite"),
        ({"kinetics": {"C–C": {"p": np.nan}}}, "finite"),
        ({"kinetics": {"C–C": {"a": -0.1, "b": 0.05}}}, "would make the band negative"),
        ({"kinetics": {"C–C": {"a": 0.9}}}, "plasmon"),
        ({"kinetics": {"C–C": {"k": [1.0, 2.0]}}}, r"\(2,\)"),
        ({"t_over_lambda": -0.1}, "t_over_lambda=-0.1"),
        ({"t_over_lambda": [0.1, 0.2]}, r"\(2,\)"),
        ({"pre_exposure": -1.0}, "pre_exposure=-1.0"),
        ({"electrons": 0.0}, "electrons=0.0 must be positive"),
        ({"gain": np.nan}, "gain"),
        ({"read_noise": -1.0}, "read_noise"),
        ({"intensity_variation": -1.0}, "intensity_variation"),
        ({"spike_rate": -1.0}, "spike_rate"),
        ({"drift": [0.1, 0.2]}, "9 frames"),
        ({"drift": np.nan}, "drift"),
        ({"energy_scale": 0.0}, "energy_scale"),
        ({"energy_scale": 0.5}, "too coarse"),
        ({"energy_offset": 1.0}, "enclose the zero-loss peak"),
        ({"channels": 40}, "enclose the zero-loss peak"),
        ({"zero_loss_tail": 1.0}, "zero_loss_tail"),
        ({"zero_loss_asymmetry": -0.1}, "zero_loss_asymmetry"),
        ({"dtype": "complex64"}, "dtype='complex64'"),
        ({"dtype": "int32", "noise": False}, "needs a float type"),
        ({"dtype": "int32", "processed": True}, "needs a float type"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        dose_series(**options)


@pytest.mark.parametrize("option", ["channels", "average_of"])
def test_whole_numbers_are_asked_for(option):
    with pytest.raises(TypeError, match=f"{option}=10.5 must be a whole number"):
        dose_series(**{option: 10.5})


@pytest.mark.parametrize("seed", [1.5, "a", None, True])
def test_seed_must_be_an_integer(seed):
    with pytest.raises(TypeError, match="seed"):
        dose_series(seed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (3,)}, r"\(y, x\)"),
        ({"shape": (0, 3)}, r"\(y, x\)"),
        ({"rate_variation": -0.1}, "rate_variation=-0.1"),
        ({"thickness_variation": np.nan}, "thickness_variation"),
        ({"t_over_lambda": np.ones((2, 2)), "shape": (2, 3)}, r"\(2, 3\)"),
        ({"lazy": True, "chunks": (2, 2)}, "chunks"),
    ],
)
def test_bad_image_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        dose_series_image(**options)


def test_unknown_option_is_named():
    with pytest.raises(TypeError, match="exposure"):
        dose_series_image(exposure=3)
