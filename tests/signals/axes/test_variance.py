# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A noise variance of ours stays in step with its data, or goes and says so."""

import inspect
import warnings

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from exspy.signals import EELSSpectrum
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.data import dose_series, dose_series_image
from hyperspy_dosekin.signals.axes.series_noise import checked_variance
from hyperspy_dosekin.signals.axes.variance import attach_variance, variance_of
from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries

SHAPE = (4, 3, 5, 26)


def patterned(lazy=False, shape=SHAPE):
    """Spectra whose values tell where they come from, with the same values as variance."""
    values = 1000.0 + np.arange(np.prod(shape)).reshape(shape)
    s = hs.signals.Signal1D(da.from_array(values, chunks=(2, 3, 2, 13)) if lazy else values.copy())
    s = s.as_lazy() if lazy else s
    s.set_signal_type("EELS")
    for axis, name, units, scale in zip(
        s.axes_manager._axes, ("time", "y", "x", "Energy loss"), ("s", "nm", "nm", "eV"),
        (1.0, 2.0, 2.0, 0.5), strict=True,
    ):  # fmt: skip
        axis.name, axis.units, axis.scale = name, units, scale
    attach_variance(s, s.data.copy())
    return s


def assert_in_step(s, original=None):
    """The variance is that of the data, or gone with a word."""
    variance = s.metadata.get_item("Signal.Noise_properties.variance")
    if variance is not None and hasattr(s, "_dosekin_in_step"):
        variance = s.get_noise_variance()
    if variance is None:
        return
    assert variance.data.shape == s.data.shape
    np.testing.assert_allclose(np.asarray(variance.data), np.asarray(s.data))


NEW_ENERGY = hs.signals.Signal1D(np.ones(13)).axes_manager[0]
NEW_ENERGY.scale, NEW_ENERGY.offset = 0.9, 0.2

ARGUMENTS = {
    "crop": [((0, 1, 4), {}), ((-1, 2.0, 9.0), {}), (("time", 1.0, 3.0), {})],
    "crop_signal": [((2, 11), {}), ((1.0, 9.0), {})],
    "split": [((), {}), (("x",), {"number_of_parts": 2}), ((-1,), {"step_sizes": [6, 20]})],
    "rebin": [((), {"scale": (1, 1, 1, 2)}), ((), {"new_shape": (5, 1, 2, 13)})],
    "transpose": [((), {}), ((), {"signal_axes": ["x"]}), ((), {"navigation_axes": [2, 0]})],
    "swap_axes": [((0, 2), {})],
    "rollaxis": [((2, 0), {})],
    "interpolate_on_axis": [((NEW_ENERGY, -1), {"inplace": i}) for i in (True, False)],
    "shift1D": [((np.full(SHAPE[:-1], 0.7),), {"crop": c}) for c in (True, False)],
    "align1D": [((), {"crop": True})],
    "align_zero_loss_peak": [((), {"print_stats": False})],
    "interpolate_in_between": [((5, 9), {})],
    "map": [((np.flip,), {"inplace": i}) for i in (True, False)],
    "smooth_savitzky_golay": [((), {"polynomial_order": 1, "window_length": 5})],
    "smooth_lowess": [((), {"smoothing_parameter": 0.2, "number_of_iterations": 1})],
    "smooth_tv": [((), {"smoothing_parameter": 0.2})],
    "filter_butterworth": [((), {"cutoff_frequency_ratio": 0.2, "type": "low"})],
    "gaussian_filter": [((1.0,), {})],
    "hanning_taper": [((), {"channels": 3})],
    "apply_apodization": [((), {"inplace": i}) for i in (True, False)],
    "remove_spikes": [((), {"inplace": i}) for i in (True, False)],
    "remove_background": [(((1.0, 5.0),), {"background_type": "Offset", "fast": True})],
    "change_dtype": [(("float32",), {})],
    "derivative": [((-1,), {})],
    "diff": [((-1,), {})],
    "isig": [],
    "calibrate": [],
    **{name: [((0,), {})] for name in ("sum", "mean", "max", "min", "std", "var", "integrate1D")},
    **{name: [((2.0,), {})] for name in ("__imul__", "__iadd__", "__ipow__", "__mul__", "__sub__")},
    "as_signal1D": [(("time",), {})],
    "as_signal2D": [((("x", "y"),), {})],
    "as_lazy": [((), {})],
    "rechunk": [((), {})],
}  # fmt: skip
#: Of others, or not of data; some open windows or take minutes.
SKIPPED = {
    *("plot", "save", "decomposition", "blind_source_separation", "cluster_analysis"),
    *("estimate_number_of_clusters", "fit_dose_pinn", "classify_vae", "dose_kinetics_tool"),
    *(
        "edges_at_energy",
        "spikes_removal_tool",
        "spikes_diagnosis",
        "create_model",
        "kramers_kronig_analysis",
    ),
    *("process_low_loss", "process_core_loss", "plot_windows", "plot_processing"),
    *(
        "to_device",
        "to_host",
        "get_noise_variance",
        "set_noise_variance",
        "estimate_poissonian_noise_variance",
    ),
}


def calls():
    methods = {
        name
        for name, function in inspect.getmembers(EELSSpectrum, callable)
        if not name.startswith(("_", "plot_", "print_", "set_microscope")) and name not in SKIPPED
    }
    for name in sorted(methods | {n for n in ARGUMENTS if hasattr(EELSSpectrum, n)}):
        for arguments in ARGUMENTS.get(name, [((), {})]):
            yield pytest.param(name, *arguments, id=f"{name}-{arguments[1]}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize(("name", "args", "kwargs"), list(calls()))
def test_no_method_leaves_a_wrong_variance(name, args, kwargs, lazy):
    s = patterned(lazy)
    if name in ("align1D", "align_zero_loss_peak"):
        s.data = s.data.copy()
        s.data[..., 9] *= 4
        attach_variance(s, s.data.copy())
    try:
        made = getattr(s, name)(*args, **kwargs)
    except Exception:
        if name in ARGUMENTS and not lazy:
            raise
        made = None
    if name in ("__imul__", "__iadd__") and not lazy:
        kept = s.get_noise_variance().data
        truth = patterned().data
        np.testing.assert_allclose(kept, 4 * truth if name == "__imul__" else truth)
        return
    made = made if isinstance(made, list | tuple) else [made]
    for each in [s, *made]:
        if isinstance(each, BaseSignal):
            assert_in_step(each)


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_slices_by_value_after_calibration_of_copies(lazy):
    s = patterned(lazy).inav[1:, :, 1:].deepcopy()
    s.set_dose_axis(dose_rate=3.45, frame_time=44.0, pre_exposure=151.8, axis="time")
    s.axes_manager["Energy loss"].offset = -4.0
    s.axes_manager["x"].scale = 0.5
    part = s.inav[2.5:3.5, :, 400.0:700.0].isig[-1.0:3.0]
    assert part.data.shape == (2, 3, 2, 8)
    assert_in_step(part)
    assert variance_of(part) is not None


def test_the_case_of_another_calibration():
    q = dose_series().process_low_loss()
    m = np.arange(9.0)[:, None]
    q.data[:] = m
    q.get_noise_variance().data[:] = m
    q.set_dose_axis(dose_rate=3.45, frame_time=44.0, pre_exposure=151.8)
    c = q.inav[600.0:1000.0]
    np.testing.assert_array_equal(c.data[:, 0], [2, 3, 4])
    np.testing.assert_array_equal(c.get_noise_variance().data[:, 0], [2, 3, 4])


@pytest.mark.parametrize("kind", ["hspy", "zspy"])
def test_files_keep_the_step(tmp_path, kind):
    s = patterned()
    s.set_dose_axis(dose_rate=3.0, frame_time=10.0, axis="time")
    s.save(tmp_path / f"dose_1.5.{kind}")
    loaded = hs.load(tmp_path / f"dose_1.5.{kind}")
    assert_in_step(loaded.inav[:, :, 50.0:100.0])
    assert loaded.get_noise_variance() is not None


@pytest.mark.parametrize("lazy", [False, True])
def test_spectra_of_a_loop_have_their_own_variance(processed, lazy):
    image = processed.as_lazy() if lazy else processed
    variance = processed.get_noise_variance().data.reshape(-1, processed.data.shape[-1])
    for spectrum, expected in zip(image, variance, strict=True):
        np.testing.assert_array_equal(spectrum.get_noise_variance().data, expected)
    np.testing.assert_array_equal(
        np.asarray(image.get_noise_variance().data), processed.get_noise_variance().data
    )


@pytest.mark.parametrize("axis", [None, "x", "time"])
def test_stacks_are_joined(axis):
    s = patterned()
    parts = [s.inav[:, :, i] for i in range(4)] if axis is None else [s.inav[:2], s.inav[2:]]
    if axis == "time":
        parts = [s.inav[:, :, :3], s.inav[:, :, 3:]]
    stacked = hs.stack(parts, axis=axis, show_progressbar=False)
    assert_in_step(stacked)
    assert stacked.get_noise_variance() is not None


def test_a_stack_of_which_one_has_none_goes_without():
    s = patterned()
    first, second = s.inav[:, :, 0], s.inav[:, :, 1] * 1
    stacked = hs.stack([first, second], show_progressbar=False)
    with pytest.warns(UserWarning, match="the noise variance has the shape"):
        assert stacked.integrate_windows({"w": (2, 9)}).get_noise_variance() is None


def test_the_case_of_a_stack_of_processed_frames():
    series = dose_series()
    frames = [series.inav[i].process_low_loss().isig[:500] for i in range(3)]
    stacked = hs.stack(frames, show_progressbar=False)
    areas = stacked.integrate_windows()
    each = [frame.integrate_windows() for frame in frames]
    np.testing.assert_allclose(areas.data, [area.data for area in each])
    expected = [area.get_noise_variance().data for area in each]
    np.testing.assert_allclose(areas.get_noise_variance().data, expected)


def test_arithmetic_loses_the_variance_and_says_so_once():
    double = patterned() * 2
    with pytest.warns(UserWarning, match=r"lost: HyperSpy drops it in arithmetic"):
        areas = double.integrate_windows({"w": (2, 9)})
    assert areas.get_noise_variance() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        double.integrate_windows({"w": (2, 9)})


def test_counts_whose_variance_was_lost_are_no_counts_any_more():
    s = patterned()
    s.metadata.Signal.quantity = "Electrons (Counts)"
    net = s - 900.0
    with pytest.warns(UserWarning, match="lost"):
        assert net.integrate_windows({"w": (2, 9)}).get_noise_variance() is None


@pytest.mark.parametrize("name", ["smooth_savitzky_golay", "shift1D", "map"])
def test_methods_that_change_values_are_named(name):
    s = patterned()
    args, kwargs = ARGUMENTS[name][0]
    with pytest.warns(UserWarning, match=f"^{name} changes data, but not their noise variance"):
        getattr(s, name)(*args, **kwargs)


def test_a_call_that_fails_leaves_everything_as_it_was():
    s = patterned()
    with pytest.raises(TypeError):
        s.map(lambda spectrum: spectrum @ "x", show_progressbar=False)
    assert_in_step(s)
    assert s.get_noise_variance() is not None


def test_variances_of_others_are_hyperspys_affair():
    s = patterned()
    s.set_noise_variance(s.deepcopy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s *= 2
        s.crop(-1, 2, 9)
    assert s.get_noise_variance().data.shape == SHAPE
    with pytest.warns(
        UserWarning, match=r"shape \(4, 3, 5, 26\), but the data have \(4, 3, 5, 7\)"
    ):
        areas = s.integrate_windows({"w": (1.5, 3)})
    assert areas.get_noise_variance() is None


@pytest.mark.parametrize("scale", [(1, 3), (1, 2), (3, 1), (3, 4)])
@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_values_per_ev_are_averaged_in_rebinning(scale, lazy):
    p = dose_series().process_low_loss().isig[:504]
    w = {"w": (10, 15), "v": (20, 25)}
    before = p.integrate_windows(w)
    frames, _ = scale
    p = p.as_lazy() if lazy else p
    after = p.rebin(scale=scale).integrate_windows(w)
    whole = before.data.reshape(2, -1, frames).sum(axis=-1) if frames > 1 else before.data
    # The ends of windows lie elsewhere in a channel.
    np.testing.assert_allclose(after.data, whole, rtol=0.01)
    noise = before.get_noise_variance().data
    noise = noise.reshape(2, -1, frames).sum(axis=-1)
    np.testing.assert_allclose(after.get_noise_variance().data, noise, rtol=0.1)


def test_dose_series_keep_the_step_too():
    series = dose_series(processed=True).integrate_windows()
    assert isinstance(series, DoseSeries)
    series.data = np.arange(36.0).reshape(4, 9)
    attach_variance(series, series.data.copy())
    series.axes_manager[-1].offset += 100
    assert_in_step(series.deepcopy().isig[500.0:1000.0])
    assert_in_step(series.inav[1:])
    series.crop(0, 1, 3)
    assert_in_step(series)
    assert series.get_noise_variance() is not None
    ratio = series / series.isig[0]
    with pytest.warns(UserWarning, match="lost"):
        ratio.fit_dose_pinn(estimator="exact", intervals=False)


@pytest.fixture(scope="module")
def once():
    return dose_series(spike_rate=0.0).process_low_loss()


@pytest.fixture
def processed(once):
    return once.deepcopy()


@pytest.mark.parametrize("factor", [2.0, 1e-3, -1.0])
@pytest.mark.parametrize("how", ["in place", "anew", "elements", "copy", "slice"])
def test_a_variance_follows_a_factor_of_its_data(processed, factor, how):
    before = processed.integrate_windows().get_noise_variance().data
    p = processed.deepcopy() if how == "copy" else processed
    p = p.isig[:] if how == "slice" else p
    if how == "anew":
        p.data = p.data * factor
    elif how == "elements":
        p.data[:] *= factor
    else:
        p.data *= factor
    after = p.integrate_windows().get_noise_variance().data
    np.testing.assert_allclose(after, factor**2 * before, rtol=1e-6)
    np.testing.assert_allclose(p.get_noise_variance().data.shape, p.data.shape)
    # Not a second time.
    again = p.integrate_windows().get_noise_variance().data
    np.testing.assert_allclose(again, after, rtol=1e-12)


def test_a_variance_of_areas_follows_a_factor(processed):
    areas = processed.integrate_windows()
    before = areas.get_noise_variance().data.copy()
    areas.data *= 10
    np.testing.assert_allclose(areas.get_noise_variance().data, 100 * before)


def test_a_variance_of_data_that_were_changed_otherwise_is_dropped(processed):
    processed.data *= np.linspace(0.5, 1.5, 9)[:, np.newaxis]
    with pytest.warns(UserWarning, match="changed in place, and not by a factor"):
        areas = processed.integrate_windows()
    assert areas.get_noise_variance() is None


@pytest.mark.filterwarnings("error:the data have been changed")
def test_a_constant_or_a_few_channels_leave_a_variance_alone(processed):
    before = processed.get_noise_variance().data.copy()
    processed.data += 1.0
    processed.data[:, 100:110] = 0.0
    processed.integrate_windows()
    np.testing.assert_array_equal(processed.get_noise_variance().data, before)


@pytest.mark.parametrize("factor", [1e-4, 1e-2, 1e3])
@pytest.mark.parametrize("number", [False, True], ids=["signal", "number"])
def test_a_variance_set_by_hand_is_compared_with_the_scatter_of_frames(factor, number):
    series = dose_series_image(shape=(4, 5), spike_rate=0.0).process_low_loss().integrate_windows()
    variance = series.get_noise_variance().deepcopy()
    series.set_noise_variance(
        factor * float(np.median(variance.data))
        if number
        else variance._deepcopy_with_new_data(factor * variance.data)
    )
    with pytest.warns(UserWarning, match="times the noise variance that was set"):
        checked = checked_variance(series)
    checked = checked if number else checked.data
    assert 0.4 < np.median(checked) / np.median(variance.data) < 2.5


@pytest.mark.filterwarnings("error:the frames scatter")
def test_a_variance_that_is_right_may_be_set_by_hand():
    series = dose_series(spike_rate=0.0).process_low_loss().integrate_windows()
    variance = series.get_noise_variance().data
    noise = series.get_noise_variance()
    series.set_noise_variance(noise._deepcopy_with_new_data(1.2 * variance))
    np.testing.assert_allclose(checked_variance(series).data, 1.2 * variance)


@pytest.mark.filterwarnings("error:the frames scatter")
@pytest.mark.parametrize("spacing", ["even", "a frame is missing", "growing", "in pairs"])
@pytest.mark.parametrize("counts", [1e4, 1e7])
def test_a_decay_is_no_scatter_however_its_doses_are_spaced(spacing, counts):
    even = np.linspace(0, 1000, 12)
    dose = {
        "even": even,
        "a frame is missing": np.delete(even, 4),
        "growing": np.geomspace(20, 1000, 12),
        "in pairs": np.sort(np.concatenate([even, even + 0.1])),
    }[spacing]
    random = np.random.default_rng(3)
    rate = np.exp(random.normal(0, 0.3, (2, 3, 2, 1))) * 3 / 1000
    mean = counts * (np.exp(-rate * dose) + 0.2)
    axes = [{"size": size} for size in (2, 3, 2)] + [{"axis": dose, "name": "dose"}]
    series = hs.signals.Signal1D(random.poisson(mean).astype(float), axes=axes)
    series.set_signal_type("DoseSeries")
    series.set_noise_variance(series._deepcopy_with_new_data(mean))
    np.testing.assert_array_equal(checked_variance(series).data, mean)
    # One frame may have been left out by its variance.
    without = mean.copy()
    without[..., 5] = 1e30
    series.set_noise_variance(series._deepcopy_with_new_data(without))
    np.testing.assert_array_equal(checked_variance(series).data, without)
    # Ten times the noise is seen.
    series.set_noise_variance(series._deepcopy_with_new_data(mean / 100))
    with pytest.warns(UserWarning, match="scatter with .* times the noise variance"):
        assert 0.4 < np.median(checked_variance(series).data / mean) < 2.5


CHANGES = {
    "factor": lambda data: data * 2,
    "root": lambda data: np.sqrt(np.abs(data)),
    "other frames": lambda data: data[::-1].copy(),
    "a factor for each frame": lambda data: data * np.linspace(1, 3, len(data))[:, np.newaxis],
}
THEN = {
    "inav": lambda q: q.inav[1:5],
    "isig": lambda q: q.isig[:40.0],
    "crop": lambda q: (q.crop_signal(-5.0, 60.0), q)[1],
    "rebin": lambda q: q.rebin(scale=(1, 2)),
    "stack": lambda q: hs.stack([q, q]),
    "lazy": lambda q: q.as_lazy(),
}


@pytest.mark.filterwarnings("ignore:the data have been changed in place")
@pytest.mark.filterwarnings("ignore:the noise variance of these data is lost")
@pytest.mark.parametrize("then", THEN)
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_done_in_place_before_is_known_after(processed, change, then):
    window = {"w": (10, 15)}
    q = processed.deepcopy()
    expected = THEN[then](q.deepcopy()).integrate_windows(window).get_noise_variance()
    q.data = CHANGES[change](q.data)
    found = THEN[then](q).integrate_windows(window).get_noise_variance()
    if change == "factor":
        np.testing.assert_allclose(np.asarray(found.data), 4 * np.asarray(expected.data))
    else:
        assert found is None


def test_signals_without_their_variance_can_be_stacked(processed):
    q = processed.deepcopy()
    q.set_noise_variance(None)
    assert hs.stack([q, q]).data.shape == (2, *q.data.shape)
