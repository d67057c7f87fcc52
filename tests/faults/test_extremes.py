# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers where their type ends, and axes without anything: what drawn examples have found."""

import warnings

import dask.array
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin import data, dose
from hyperspy_dosekin.processing.missing import dead_channels
from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries, LazyDoseSeries
from hyperspy_dosekin.windows.definitions import Window
from hyperspy_dosekin.windows.integrate import integrate
from hyperspy_dosekin.windows.weights import window_weights
from tests.fuzz.things import eels

QUIET = {"show_progressbar": False}
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.mark.parametrize(("height", "step"), [(5e31, 1e12), (3e-29, 1e-12), (3.0, 1.0)])
def test_areas_of_float32_beyond_float32(height, step):
    weights = window_weights(step * np.arange(9), [Window("w", 0, 8 * step)])
    rows = np.float32([[height] * 9, [2 * height] * 9, [np.nan] * 9])
    expected = [[8 * height * step], [16 * height * step], [np.nan]]
    np.testing.assert_allclose(integrate(rows, weights), expected, rtol=1e-6)


@pytest.mark.parametrize("chain", ["process_low_loss", "process_core_loss"])
@pytest.mark.parametrize("channels", [1, 2])
def test_spectra_of_one_or_two_channels(chain, channels):
    with pytest.raises(ValueError, match=f"{chain} needs at least 3 channels"):
        getattr(eels(np.ones((4, channels))), chain)(**QUIET)


def test_no_channel_is_dead_beside_infinities():
    spectra = np.full((30, 64), np.inf)
    spectra[1::2] = -np.inf
    spectra[:, 30] = 0
    assert not dead_channels(spectra).any()


def test_dead_channels_of_any_intensity():
    spectra = np.tile(np.linspace(1.0, 2.0, 64), (30, 1))
    spectra[:, 30] = 0
    for factor in (1.0, 1e-300, 1e300):
        assert np.flatnonzero(dead_channels(factor * spectra)).tolist() == [30]
    hole = np.tile(np.float32([1e38, 2e38, 0.0, 3e38, 3e38, 1e38]), (5, 1))
    dead_channels(hole)


def test_few_channels_that_are_left_say_nothing_of_noise():
    # Of integers that never change all but a few channels are stuck, and cut off.
    counts = np.zeros((3, 6, 5, 64), dtype=np.int8)
    counts[..., 20:24] = np.random.default_rng(0).poisson(20, (3, 6, 5, 4))
    for channels in (64, 24, 23):
        spectra = eels(counts[..., :channels], scale=1.0, offset=280.0)
        spectra.metadata.set_item("Signal.Noise_properties.variance", 1e300)
        try:
            spectra.process_core_loss(**QUIET)
        except ValueError as error:
            assert len(str(error)) > 20  # noqa: PT017


def test_numbers_of_atoms_of_any_size():
    many = dose.collision_stopping_power({"C": 1.7e308, "H": 1.7e308}, 300)
    assert many == pytest.approx(dose.collision_stopping_power("CH", 300))


def test_doses_that_no_number_holds():
    with pytest.raises(ValueError, match="beyond the largest number in e/nm"):
        dose.convert(1.7e308, "e/Å^2", "e/nm^2")
    with pytest.raises(TypeError, match="beam_energy"):
        dose.collision_stopping_power("H2O", 10**400)


@pytest.mark.parametrize("order", [5, True, "abcdefghi", [None] * 9, {"a": 1}])
def test_an_order_of_frames_that_is_none(order):
    series = data.dose_series()
    series.metadata.set_item("Dose.frame_order", order)
    series.set_dose_axis(np.arange(1.0, 10))
    assert series.axes_manager[0].axis.tolist() == list(range(1, 10))


def test_an_error_of_dose_zero_beyond_everything():
    series = data.dose_series(processed=True).integrate_windows()
    found = series.fit_dose_pinn(estimator="exact", zero_error=1e300, loss="huber", **QUIET)
    assert not found.identifiable.data.any()


def test_an_error_of_dose_zero_beyond_everything_of_several_series():
    series = [data.dose_series(processed=True).integrate_windows() for _ in range(3)]
    options = {"zero_error": 1e300, **QUIET}
    found = hyperspy_dosekin.fit_dose_jointly(dict(zip("ab", series, strict=False)), **options)
    assert not found["a"].identifiable.data.any()
    conditions = {"dose_rate": [1, 2, 3]}
    hyperspy_dosekin.fit_dose_conditions(series, conditions=conditions, **options)


def test_series_of_no_frame_beside_one_that_has_some():
    whole = data.dose_series_image(processed=True, shape=(2, 3)).integrate_windows()
    none = whole._deepcopy_with_new_data(whole.data[..., :0])
    none.axes_manager[-1].size = 0
    with pytest.raises(ValueError, match=r"fram|dose"):
        hyperspy_dosekin.fit_dose_jointly({"a": whole, "b": none}, **QUIET)


def test_spectra_of_no_frame_or_without_noise():
    spectra = data.dose_series(processed=True)
    none = eels(np.zeros((0, 64)))
    none.axes_manager[0].name, none.axes_manager[0].units = "dose", "e⁻/Å²"
    with pytest.raises(ValueError, match="no frames"):
        none.fit_dose_spectra(**QUIET)
    curves = np.exp(-np.outer(np.arange(1.0, 10), [0.1, 0.7]))
    spectra.data = curves @ np.abs(np.random.default_rng(0).normal(size=(2, 512))) * 1e-299
    spectra.set_noise_variance(None)
    with pytest.raises(ValueError, match=r"no noise of their own|powers|unit"):
        spectra.fit_dose_spectra(n_components=1, **QUIET)


@pytest.mark.parametrize("lazy", [False, True])
def test_infinities_of_both_signs_in_spectra(lazy):
    whole = data.dose_series(processed=True).data[:, np.newaxis, ::4] * [[1.0], [0.9]]
    spectra = eels(whole.astype(np.float32))
    spectra.axes_manager[1].name, spectra.axes_manager[1].units = "dose", "e⁻/Å²"
    spectra.data[2, 0, 7], spectra.data[2, 1, 7] = np.inf, -np.inf
    spectra = spectra.as_lazy() if lazy else spectra
    found = spectra.fit_dose_spectra(1, **QUIET)
    assert np.isfinite(found.spectra.data).mean() > 0.98
    with pytest.raises(ValueError, match="no pixels"):
        spectra._deepcopy_with_new_data(spectra.data[:, :0]).fit_dose_spectra(**QUIET)


def test_simulated_noise_beyond_everything():
    with pytest.raises(ValueError, match=r"peak_snr=1e-300 must be positive"):
        data.annealing_series(shape=(1, 2, 2), peak_snr=1e-300)


def test_claims_and_energies_beyond_the_squares_of_numbers():
    spectra = eels(np.outer([1.0, 2.0, 3.0], np.linspace(9, 1, 64)) * 1e-300)
    spectra.set_noise_variance(spectra._deepcopy_with_new_data(np.full((3, 64), 1e300)))
    spectra.integrate_windows([(4, 7)], dose_axis=0)
    with pytest.raises(ValueError, match=r"must ascend|energy_ev"):
        hyperspy_dosekin.reference_spectra([spectra], energy_ev=[1.7e308, -1.7e308])
    with pytest.raises(ValueError, match="largest number"):
        hyperspy_dosekin.plan_dose_series(1.7e308, noise=0.1, dose_budget=1.0)


def test_options_of_simulations_that_are_none():
    with pytest.raises(TypeError, match="unknown options"):
        data.dose_series_image(options=1)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("factor", [1e76, 1e200, 1e290])
def test_intensities_whose_powers_overflow_are_refused(factor, lazy):
    series = data.dose_series()
    series.data = series.data * factor
    series = series.as_lazy() if lazy else series
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(ValueError, match="divide the data by a constant"):
            series.process_low_loss()


@pytest.mark.parametrize("claim", ["number", "array"])
@pytest.mark.parametrize("lazy", [False, True])
def test_infinite_intensities_and_variances_are_no_reason_to_warn(lazy, claim):
    spectra = eels(np.outer([1.0, 2.0, 3.0], np.linspace(9, 1, 64)))
    spectra.data[0, 20], spectra.data[1, 30] = np.inf, -np.inf
    variance = np.abs(spectra.data) + 1 if claim == "array" else 1.0
    if claim == "array":
        spectra.set_noise_variance(spectra._deepcopy_with_new_data(variance))
    else:
        spectra.metadata.set_item("Signal.Noise_properties.variance", variance)
    spectra = spectra.as_lazy() if lazy else spectra
    areas = spectra.integrate_windows([(4, 7), (10, 15)], dose_axis=0)
    noise = areas.get_noise_variance()
    for each in (areas, noise) if lazy else ():
        each.compute(show_progressbar=False)
    assert np.isinf(areas.data).tolist() == [[True, False, False], [False, True, False]]
    assert np.isfinite(noise.data[:, 2]).all()


def test_channels_of_no_width():
    peak = np.exp(-(np.arange(-40, 160) ** 2) / 50)
    spectra = eels(np.outer([1.0, 2.0, 3.0], peak), scale=1e-140)
    spectra.process_low_loss(deconvolve=False, **QUIET)
    for scale in (1e-300, 1e-320):
        spectra = eels(np.outer([1.0, 2.0, 3.0], peak), scale=scale)
        with pytest.raises(ValueError, match=r"eV wide.*correct the scale"):
            spectra.process_low_loss(**QUIET)


def test_a_law_of_as_many_parameters_as_frames():
    rng = np.random.default_rng(0)
    values = rng.gamma(3.0, 20.0, (4, 4, 5)) * np.exp(-np.arange(5) / 5)
    axes = [*({"size": 4, "name": name, "navigate": True} for name in ("y", "window"))]
    axes += [{"axis": np.arange(1.0, 6), "name": "dose", "navigate": False}]
    series = DoseSeries(np.clip(values, 0, 100).astype("uint16"), axes=axes)
    found = series.fit_dose_pinn(estimator="exact", law="two populations", **QUIET)
    lower, upper = (end.data for end in found.interval("half_integrity_dose"))
    assert (lower <= upper).all()
    assert not found.identifiable.data.any()


def test_lazy_series_without_pixels():
    energies = dask.array.zeros((0, 3, 1, 5))
    series = LazyDoseSeries(energies)
    series.metadata.set_item("Dose.window_names", ["a"])
    found = series.fit_dose_pinn(estimator="exact", **QUIET)
    assert found.half_integrity_dose.data.shape == (1, 0, 3)
    assert "0 of 0" in str(found.compute())


def test_title_that_no_folder_can_have(tmp_path):
    series = data.dose_series(processed=True).integrate_windows({"a" * 300: (10, 15)})
    series.metadata.General.title = "b" * 300
    found = series.fit_dose_pinn(estimator="exact", intervals=False, **QUIET)
    with pytest.raises(ValueError, match=r"title .* 300 bytes.*save as \.hspy"):
        found.save(tmp_path / "result.zspy")
    assert not list(tmp_path.iterdir())
    found.save(tmp_path / "result.hspy")
    assert hyperspy_dosekin.load(tmp_path / "result.hspy").window_names == ("a" * 300,)
