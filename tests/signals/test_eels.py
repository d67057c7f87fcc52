# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``integrate_windows`` and the way to the fit, on EELS signals."""

import dask
import dask.array as da
import exspy
import hyperspy.api as hs
import numpy as np
import pytest
from dask.callbacks import Callback
from hyperspy.axes import DataAxis
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid

import hyperspy_dosekin  # noqa: F401 puts the methods on EELSSpectrum
from hyperspy_dosekin import LOW_LOSS_WINDOWS
from hyperspy_dosekin.signals import DoseSeries, LazyDoseSeries, LazyWindowAreas, WindowAreas

#: Array (dose, y, x, energy).
SHAPE = (6, 5, 3, 64)
OFFSET_EV, SCALE_EV = -2.0, 0.5
ENERGY_EV = OFFSET_EV + SCALE_EV * np.arange(SHAPE[-1])
DOSES = [10.0, 20.0, 35.0, 60.0, 61.0, 90.0]
NAMES = tuple(LOW_LOSS_WINDOWS)
#: float64 sums of about 15 terms: rounding, and no more.
ROUNDING = 1e-12


def calibrate_energy(s, units="eV", factor=1.0):
    axis = s.axes_manager[-1]
    axis.name, axis.units = "Energy loss", units
    axis.offset, axis.scale = OFFSET_EV * factor, SCALE_EV * factor
    return s


def make(dtype=np.float32, *, lazy=False, dose_at=0, shape=SHAPE, binned=True, chunks=None):
    """A dose series image; `dose_at` is the place of the dose among the array's axes."""
    # Counts, with the noise of counts.
    data = np.random.default_rng(0).poisson(100, shape).astype(dtype)
    names = ["dose", "y", "x"] if len(shape) == 4 else ["dose", "y", "x"][: len(shape) - 1]
    names = [*names[1:], names[0]] if dose_at == -1 else names
    if dose_at == 1:
        names = [names[1], names[0], *names[2:]]
    if dose_at:
        data = np.moveaxis(data, 0, dose_at if dose_at > 0 else -2)
    if lazy:
        chunks = chunks or tuple(-(-size // 2) for size in data.shape)
        s = exspy.signals.LazyEELSSpectrum(da.from_array(data, chunks=chunks))
    else:
        s = exspy.signals.EELSSpectrum(data)
    calibrate_energy(s)
    s.axes_manager[-1].is_binned = binned
    for axis, name in zip(reversed(s.axes_manager.navigation_axes), names, strict=True):
        axis.name = name
    if "x" in names:
        s.axes_manager["x"].trait_set(scale=0.4, offset=7.0, units="nm")
    s.set_dose_axis(DOSES[: s.axes_manager["dose"].size], pre_exposure=4.0, axis="dose")
    s.metadata.General.title = "series"
    return s


def state(s):
    noise = s.get_noise_variance()
    return (
        np.array(s.data).tobytes(),
        None if not hasattr(noise, "data") else np.array(noise.data).tobytes(),
        str(s.metadata),
        str(s.original_metadata),
        str(s.axes_manager.as_dictionary()),
        s.data.dtype,
    )


def computed(array):
    return dask.compute(array)[0]


def areas_by_definition(data, windows, axis=ENERGY_EV, is_binned=True):
    """Trapezoidal rule with interpolated ends, one spectrum at a time: (…, window)."""
    density = np.asarray(data, dtype=np.float64) / (np.gradient(axis) if is_binned else 1)
    areas = []
    for left, right in windows.values():
        nodes = np.concatenate([[left], axis[(axis > left) & (axis < right)], [right]])
        lines = np.apply_along_axis(lambda y, x=nodes: np.interp(x, axis, y), -1, density)
        areas.append(trapezoid(lines, nodes))
    return np.stack(areas, axis=-1)


# What comes out


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dose_at", [0, 1, -1])
@pytest.mark.parametrize("binned", [False, True])
def test_a_dose_series_comes_out(dose_at, lazy, binned):
    s = make(dose_at=dose_at, lazy=lazy, binned=binned)
    n = s.integrate_windows()
    assert type(n) is (LazyDoseSeries if lazy else DoseSeries)
    assert isinstance(n.data, da.Array) is lazy
    assert repr(n).endswith("title: Window areas of series, dimensions: (4, 3, 5|6)>")
    assert n.data.dtype == np.float64
    assert n.data.shape == (5, 3, 4, 6)  # y, x, window, dose
    areas = areas_by_definition(s.data, LOW_LOSS_WINDOWS, is_binned=binned)
    place = s.axes_manager["dose"].index_in_array
    np.testing.assert_allclose(computed(n.data), np.moveaxis(areas, place, -1), rtol=ROUNDING)


def test_axes_are_kept():
    s = make()
    n = s.integrate_windows()
    assert [axis.name for axis in n.axes_manager._axes] == ["y", "x", "window", "dose"]
    for name in "yx":
        assert (
            n.axes_manager[name].get_axis_dictionary() == s.axes_manager[name].get_axis_dictionary()
        )
    window = n.axes_manager["window"]
    assert (window.offset, window.scale, window.size, window.navigate) == (0, 1, 4, True)
    dose = n.axes_manager["dose"]
    assert isinstance(dose, DataAxis)
    assert (dose.units, dose.navigate) == ("e⁻/Å²", False)
    np.testing.assert_array_equal(n.dose, np.add(DOSES, 4))


def test_metadata():
    s = make()
    s.metadata.set_item("Sample.description", "MIL-101(Fe)")
    s.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 300)
    n = s.integrate_windows({"b": (4, 7), "a": (1.5, 3)})
    assert n.window_names == ("b", "a")
    assert n.metadata.Dose.as_dictionary() == {
        "pre_exposure": 4.0,
        "source": "dose",
        "window_names": ["b", "a"],
        "window_ranges": [[4.0, 7.0], [1.5, 3.0]],
        "window_units": "eV",
    }
    assert n.metadata.General.title == "Window areas of series"
    assert n.metadata.Sample.description == "MIL-101(Fe)"
    assert n.metadata.Acquisition_instrument.TEM.beam_energy == 300
    assert n.metadata.Signal.signal_type == "DoseSeries"


@pytest.mark.parametrize(
    ("quantity", "binned", "expected"),
    [
        ("Electrons (Counts)", True, "Window area (Counts)"),
        ("Electrons (Counts)", False, "Window area (Counts eV)"),
        (None, True, "Window area"),
        (None, False, "Window area (eV)"),
    ],
)
def test_quantity(quantity, binned, expected):
    s = make(binned=binned)
    if quantity:
        s.metadata.Signal.quantity = quantity
    assert s.integrate_windows().metadata.Signal.quantity == expected


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("shape", [(5, 3, 64), (7, 64), (64,)])
def test_without_a_dose_axis_areas_come_out(shape, lazy):
    data = np.random.default_rng(0).random(shape)
    s = exspy.signals.EELSSpectrum(data)
    s = calibrate_energy(s.as_lazy() if lazy else s)
    for axis in s.axes_manager.navigation_axes:
        axis.scale = 0.3
    n = s.integrate_windows()
    assert type(n) is (LazyWindowAreas if lazy else WindowAreas)
    assert n.window_names == NAMES
    assert n.axes_manager.navigation_shape == (4, *shape[-2::-1])
    assert n.axes_manager.signal_dimension == 0
    assert n.axes_manager[0].name == "window"
    assert [axis.scale for axis in n.axes_manager.navigation_axes[1:]] == [0.3] * (len(shape) - 1)
    np.testing.assert_allclose(
        computed(n.data), areas_by_definition(data, LOW_LOSS_WINDOWS), rtol=ROUNDING
    )
    assert n.metadata.Dose.window_names == list(NAMES)
    assert "pre_exposure" not in n.metadata.Dose


@pytest.mark.parametrize("how", ["name", "index", "axis"])
def test_the_dose_axis_can_be_named(how):
    s = make(dose_at=1)
    s.axes_manager["dose"].trait_set(name="frame", units="")
    assert not isinstance(s.integrate_windows(), DoseSeries)
    frame = s.axes_manager["frame"]
    n = s.integrate_windows(dose_axis={"name": "frame", "index": 1, "axis": frame}[how])
    assert isinstance(n, DoseSeries)
    assert n.axes_manager.signal_axes[0].name == "frame"
    np.testing.assert_array_equal(n.dose, np.add(DOSES, 4))


def test_dose_per_nm2_is_converted():
    s = make()
    s.axes_manager["dose"].trait_set(units="e⁻/nm²", name="fluence")
    n = s.integrate_windows()
    np.testing.assert_allclose(n.dose, np.add(DOSES, 4) / 100, rtol=ROUNDING)
    assert n.axes_manager.signal_axes[0].units == "e⁻/Å²"
    s.set_dose_axis(dose_rate=2.0, frame_time=50.0, axis="fluence")
    s.axes_manager["dose"].units = "e⁻/nm²"
    np.testing.assert_allclose(s.integrate_windows().dose, np.arange(1, 7), rtol=ROUNDING)


def test_equals_numpys_trapezoidal_rule_for_windows_on_channels():
    s = make(binned=False)
    n = s.integrate_windows({"w": (ENERGY_EV[10], ENERGY_EV[50])})
    expected = trapezoid(s.data[..., 10:51].astype(float), ENERGY_EV[10:51])
    np.testing.assert_allclose(n.data[..., 0, :], np.moveaxis(expected, 0, -1), rtol=ROUNDING)


@pytest.mark.parametrize("binned", [True, False])
@pytest.mark.parametrize("lazy", [False, True])
def test_equals_hyperspy_within_its_quadrature_error(binned, lazy):
    """HyperSpy rounds the limits to channels and leaves the last one out."""
    energy = np.arange(0, 40, 0.02)
    curves = [50 + 20 * np.sin(energy / (3 + number)) for number in range(4)]
    s = exspy.signals.EELSSpectrum(np.array(curves))
    s.axes_manager[1].trait_set(scale=0.02, units="eV")
    s.axes_manager[0].trait_set(name="dose", offset=1.0)
    signal = s.as_lazy() if lazy else s
    signal.axes_manager[1].is_binned = binned  # exspy makes every copy binned
    n = signal.integrate_windows()
    for number, (left, right) in enumerate(LOW_LOSS_WINDOWS.values()):
        part = s.isig[left:right]
        part.axes_manager[-1].is_binned = binned
        theirs = part.integrate1D(-1).data
        ours = computed(n.data)[number]
        # One channel of the window, at the largest intensity there.
        error = curves[0].max() * (1 if binned else 0.02)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=error)
        assert np.abs(ours / theirs - 1).max() < 0.02


def test_rois_and_unnamed_windows():
    s = make()
    n = s.integrate_windows([hs.roi.SpanROI(4, 7), hs.roi.SpanROI(10, 15)])
    assert n.window_names == ("1", "2")
    np.testing.assert_array_equal(n.data, s.integrate_windows().inav[1:3].data)


# Energy axis


@pytest.mark.parametrize(
    ("units", "ev"), [("keV", 1e3), ("meV", 1e-3), ("J", 1 / 1.602176634e-19), ("MeV", 1e6)]
)
@pytest.mark.parametrize("binned", [True, False])
def test_other_units_of_energy(units, ev, binned):
    reference = make(binned=binned)
    s = make(binned=binned)
    calibrate_energy(s, units, 1 / ev)
    n = s.integrate_windows()
    np.testing.assert_allclose(n.data, reference.integrate_windows().data, rtol=1e-9)
    # a user's windows are in units of the axis, the record is in eV
    n = s.integrate_windows({"C–C": (4 / ev, 7 / ev)})
    np.testing.assert_allclose(n.metadata.Dose.window_ranges, [[4, 7]], rtol=1e-9)
    np.testing.assert_allclose(n.data, reference.integrate_windows({"C–C": (4, 7)}).data, rtol=1e-9)


@pytest.mark.parametrize("binned", [True, False])
def test_uneven_energy_axis(binned):
    energy = np.cumsum(np.random.default_rng(2).uniform(0.2, 0.8, 64)) - 2
    data = np.random.default_rng(3).random((6, 64))
    axes = [{"axis": DOSES, "name": "dose"}, {"axis": energy, "units": "eV"}]
    s = exspy.signals.EELSSpectrum(data, axes=axes)
    s.axes_manager[-1].is_binned = binned
    expected = areas_by_definition(data, LOW_LOSS_WINDOWS, energy, binned)
    np.testing.assert_allclose(s.integrate_windows().data, expected.T, rtol=ROUNDING)


@pytest.mark.parametrize("binned", [True, False])
def test_descending_energy_axis(binned):
    s = make(binned=binned)
    expected = s.integrate_windows().data
    s.data = s.data[..., ::-1].copy()
    s.axes_manager[-1].trait_set(offset=ENERGY_EV[-1], scale=-SCALE_EV)
    np.testing.assert_allclose(s.integrate_windows().data, expected, rtol=ROUNDING)


# Types, laziness


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "u4", "i8", "f2", "<f4", ">f4", ">f8"])
@pytest.mark.parametrize("lazy", [False, True])
def test_types_and_byte_orders(dtype, lazy):
    s = make(dtype, lazy=lazy)
    n = s.integrate_windows()
    assert n.data.dtype == np.float64
    areas = areas_by_definition(computed(s.data), LOW_LOSS_WINDOWS)
    np.testing.assert_allclose(computed(n.data), np.moveaxis(areas, 0, -1), rtol=ROUNDING)


@settings(max_examples=8, deadline=None)
@given(chunks=st.tuples(*(st.integers(-(-size // 4), size) for size in SHAPE)))
def test_chunks_do_not_matter(chunks):
    expected = make(np.int32).integrate_windows()
    n = make(np.int32, lazy=True, chunks=chunks).integrate_windows()
    areas, variance = dask.compute(n.data, n.get_noise_variance().data)
    np.testing.assert_allclose(areas, expected.data, rtol=ROUNDING)
    np.testing.assert_allclose(variance, expected.get_noise_variance().data, rtol=ROUNDING)


class ComputedTooEarly(Exception):
    pass


def refuse_to_compute(block):
    raise ComputedTooEarly


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("with_variance", [False, True])
@pytest.mark.parametrize("with_dose", [False, True])
def test_lazy_data_are_not_computed(dtype, with_variance, with_dose):
    s = make(dtype, lazy=True)
    s.data = s.data.map_blocks(refuse_to_compute, dtype=dtype, meta=np.empty((), dtype))
    if with_variance:
        s.set_noise_variance(s.deepcopy())
    if not with_dose:
        s.axes_manager["dose"].trait_set(name="frame", units="")
    started = []
    with Callback(start=lambda graph: started.append(graph)):
        n = s.integrate_windows()
        repr(n), repr(n.axes_manager)
    assert not started
    with pytest.raises(ComputedTooEarly):
        n.data.compute()


# Noise


def areas_of_variance(variance, windows=LOW_LOSS_WINDOWS):
    """Σ w² σ² from the response of the areas to each channel: (…, window)."""
    unit = exspy.signals.EELSSpectrum(np.eye(SHAPE[-1]))
    weights = calibrate_energy(unit).integrate_windows(windows).data
    return np.asarray(variance, dtype=float) @ weights**2


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("source", ["counts", "quantity", "number", "signal", "model", "nothing"])
def test_noise_variance(source, lazy):
    s = make(np.int32 if source == "counts" else np.float32, lazy=lazy)
    data = computed(s.data).astype(float)
    expected = {
        "counts": data,
        "quantity": data,
        "number": np.full(SHAPE, 80.0),
        "signal": 1.25 * data + 1,
        "model": (2 * data + 3) * 0.5,
        "nothing": None,
    }[source]
    if source == "quantity":
        s.metadata.Signal.quantity = "Electrons (Counts)"
    elif source == "number":
        s.set_noise_variance(80.0)
    elif source == "signal":
        s.set_noise_variance(s * 1.25 + 1)
    elif source == "model":
        path = "Signal.Noise_properties.Variance_linear_model"
        s.metadata.set_item(
            path, {"gain_factor": 2.0, "gain_offset": 3.0, "correlation_factor": 0.5}
        )
    n = s.integrate_windows()
    variance = n.get_noise_variance()
    if expected is None:
        assert variance is None
        return
    assert type(variance) is type(n)
    assert isinstance(variance.data, da.Array) is lazy
    assert str(variance.axes_manager.as_dictionary()) == str(n.axes_manager.as_dictionary())
    expected = np.moveaxis(areas_of_variance(expected), 0, -1)
    np.testing.assert_allclose(computed(variance.data), expected, rtol=ROUNDING)


def test_an_eager_variance_of_lazy_data_becomes_lazy():
    s = make(lazy=True)
    variance = make() * 1.25 + 1
    s.set_noise_variance(variance)
    n = s.integrate_windows()
    assert type(n.get_noise_variance()) is LazyDoseSeries
    expected = np.moveaxis(areas_of_variance(variance.data), 0, -1)
    np.testing.assert_allclose(computed(n.get_noise_variance().data), expected, rtol=ROUNDING)


def test_negative_counts_have_no_negative_variance():
    s = make(np.int32)
    s.data -= 100
    variance = s.integrate_windows().get_noise_variance().data
    assert variance.min() >= 0
    s.data[:] = -5
    np.testing.assert_array_equal(s.integrate_windows().get_noise_variance().data, 0)


def test_noise_variance_without_a_dose_axis_and_through_slicing():
    s = make(np.int32)
    n = s.inav[..., 2].integrate_windows()
    assert n.get_noise_variance().data.shape == n.data.shape == (5, 3, 4)
    n = s.integrate_windows()
    part = n.inav[1:3]
    np.testing.assert_array_equal(
        part.get_noise_variance().data, n.get_noise_variance().data[..., 1:3, :]
    )


def test_missing_channels_spoil_their_window_of_their_frame_only():
    s = make()
    s.data[2, 1, 0, np.abs(ENERGY_EV - 12).argmin()] = np.nan
    s.data[3, :, :, np.abs(ENERGY_EV - 17).argmin()] = np.nan  # between windows
    is_missing = np.isnan(s.integrate_windows().data)
    assert np.argwhere(is_missing).tolist() == [[1, 0, 2, 2]]


# Bad input, and no side effects


@pytest.mark.parametrize(
    ("windows", "error", "message"),
    [
        ({"C–O": (10, 35)}, ValueError, r"'C–O' \(10, 35\) eV lies outside .* -2 to 29.5 eV"),
        ({"C–O": (15, 10)}, ValueError, "'C–O'.*reversed"),
        ({"C–O": (10, 10)}, ValueError, "'C–O'.*empty"),
        ({"C–O": (10, 10.4)}, ValueError, r"'C–O'.*narrower than one channel \(0.5 eV\).*29.5"),
        ({"C–O": (np.nan, 10)}, ValueError, "'C–O'.*not finite"),
        ({1: (1, 3), "1": (4, 7)}, ValueError, r"\['1'\] repeat"),
        ({}, ValueError, "no window"),
        ([], ValueError, "no window"),
        ({"C–O": 10}, TypeError, "'C–O'.*not a pair"),
        (3.0, TypeError, "describes no windows"),
    ],
)
@pytest.mark.parametrize("method", ["integrate_windows", "fit_dose_pinn"])
def test_bad_windows(windows, error, message, method):
    s = make(lazy=True)
    s.data = s.data.map_blocks(refuse_to_compute, dtype=np.float32, meta=np.empty(()))
    with pytest.raises(error, match=message):
        getattr(s, method)(windows)


@pytest.mark.parametrize(
    ("units", "message"),
    [
        (None, r'has no units.* set s.axes_manager\[-1\].units = "eV"'),
        ("", "'Energy loss' has no units"),
        ("nm", "'nm', which is not an energy"),
        ("1/cm", "'1/cm', which is not an energy"),
        ("electronvolt-ish", "'electronvolt-ish', which pint cannot read"),
        ("(", "which pint cannot read"),
    ],
)
def test_energy_axes_that_are_not_in_units_of_energy(units, message):
    s = make()
    axis = s.axes_manager[-1].get_axis_dictionary() | {"units": units}
    s = exspy.signals.EELSSpectrum(
        s.data, axes=[a.get_axis_dictionary() for a in s.axes_manager._axes[:-1]] + [axis]
    )
    with pytest.raises(ValueError, match=message):
        s.integrate_windows()


def test_data_without_areas():
    # exspy's class is for real data, but nothing stops anybody from putting others in
    s = make()
    s.data = s.data + 1j
    with pytest.raises(TypeError, match=r"complex64 are complex.* s\.real"):
        s.integrate_windows()
    s = make()
    s.data = s.data.astype("U3")
    with pytest.raises(TypeError, match="<U3 are no numbers"):
        s.integrate_windows()
    ragged = np.empty((3,), dtype=object)
    ragged[:] = [np.ones(4), np.ones(5), np.ones(6)]
    ragged = hs.signals.BaseSignal(ragged, ragged=True)
    from hyperspy_dosekin.signals.windows.integrate import integrate_windows

    with pytest.raises(TypeError, match="ragged"):
        integrate_windows(ragged)


def test_bad_dose_axes():
    s = make()
    with pytest.raises(ValueError, match=r"dose_axis='depth' is not .* choose from 'x'"):
        s.integrate_windows(dose_axis="depth")
    with pytest.raises(ValueError, match="not a navigation axis"):
        s.integrate_windows(dose_axis="Energy loss")
    s.axes_manager["x"].name = "dose"
    with pytest.raises(ValueError, match="several navigation axes"):
        s.integrate_windows()


def test_a_variance_of_another_shape_is_left_out():
    s = make()
    s.set_noise_variance(hs.signals.Signal1D(np.ones((6, 5, 3, 2))))
    with pytest.warns(UserWarning, match="the noise variance has the shape"):
        assert s.integrate_windows().get_noise_variance() is None


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, ">i2"])
def test_the_input_does_not_change(dtype, lazy):
    s = make(dtype, lazy=lazy)
    s.set_noise_variance(s.deepcopy())
    s.metadata.set_item("Simulation.truth", np.arange(3))
    before, data = state(s), s.data
    n = s.integrate_windows()
    n.metadata.Simulation.truth[:] = 9
    n.metadata.Dose.pre_exposure = 9.0
    n.axes_manager["x"].scale = 9.0
    n.axes_manager["dose"].axis[:] = 9.0
    assert s.data is data
    assert state(s) == before


# The way to the fit


def test_no_dose_axis_no_fit():
    s = exspy.signals.EELSSpectrum(np.ones(64))
    with pytest.raises(ValueError, match=r"this signal is a single spectrum, .* s\.set_dose"):
        calibrate_energy(s).fit_dose_pinn()
    s = make()
    s.axes_manager["dose"].trait_set(name="frame", units="")
    with pytest.raises(ValueError, match=r"'frame' \(index 2, size 6\); .* s.set_dose_axis\("):
        s.fit_dose_pinn()


def test_the_fit_gets_the_areas_and_the_options(monkeypatch):
    seen = {}

    def fit(self, **options):
        seen.update(series=self, options=options)
        return "result"

    monkeypatch.setattr(DoseSeries, "fit_dose_pinn", fit)
    s = make(np.int32)
    windows = {"C–O": (10, 15)}
    assert s.fit_dose_pinn(windows, seeds=(1, 2), estimator="exact") == "result"
    given = {"seeds": (1, 2), "estimator": "exact"}
    assert seen["options"] == {**given, "show_progressbar": None, "stop": None}
    expected = s.integrate_windows(windows)
    np.testing.assert_array_equal(seen["series"].data, expected.data)
    assert seen["series"].window_names == ("C–O",)
    s.axes_manager["dose"].trait_set(name="frame", units="")
    s.fit_dose_pinn(dose_axis="frame")
    assert seen["series"].window_names == NAMES


# Real files


@pytest.mark.parametrize("lazy", [False, True])
def test_semi_real_image(shared_data, lazy):
    s = hs.load(shared_data("semi_real/dose_series_image.hspy"), lazy=lazy)
    s.set_dose_axis(dose_rate=152 / 44, frame_time=44.0)
    n = s.integrate_windows()
    assert n.data.shape == (18, 14, 4, 9)
    energy = s.axes_manager[-1].axis
    areas = areas_by_definition(np.asarray(s.data), LOW_LOSS_WINDOWS, energy)
    np.testing.assert_allclose(computed(n.data), np.moveaxis(areas, 0, -1), rtol=ROUNDING)
    # raw counts: windows on channels of 0.5 eV, so the variance of the two end channels is a
    # quarter and the areas themselves are little more than it
    variance = computed(n.get_noise_variance().data)
    assert np.all((variance > 0.5 * computed(n.data)) & (variance < computed(n.data)))


def test_real_line_scan_as_a_series(shared_data):
    s = hs.load(shared_data("real/LSMO_linescan_low_loss.hspy"))
    s.set_dose_axis(dose_rate=10.0, frame_time=0.1)
    n = s.integrate_windows()
    assert repr(n).endswith("dimensions: (4|40)>")
    areas = areas_by_definition(s.data, LOW_LOSS_WINDOWS, s.axes_manager[-1].axis)
    # float32 data of both signs: counts after the subtraction of a dark reference
    np.testing.assert_allclose(n.data, areas.T, rtol=1e-6)


@pytest.mark.parametrize("lazy", [False, True])
def test_real_single_spectrum(shared_data, lazy):
    s = hs.load(shared_data("real/eels_spectrum.dm3"), lazy=lazy)
    n = s.integrate_windows()
    areas = areas_by_definition(np.asarray(s.data), LOW_LOSS_WINDOWS, s.axes_manager[-1].axis)
    np.testing.assert_allclose(computed(n.data), areas, rtol=ROUNDING)
    assert n.axes_manager.navigation_shape == (4,)
    assert n.get_noise_variance() is not None  # the file records a gain
    with pytest.raises(ValueError, match="single spectrum"):
        s.fit_dose_pinn()


def test_core_loss_map_has_no_low_loss_windows(shared_data):
    s = hs.load(shared_data("real/CuZn_EELS_mapping_tutorial.hspy"))
    with pytest.raises(ValueError, match=r"'π–π\*' \(1, 3\) eV lies outside .* 700 to 1988 eV"):
        s.integrate_windows()
    n = s.integrate_windows({"Cu": (930, 1000), "Zn": (1020, 1100)})
    assert n.axes_manager.navigation_shape == (2, 40, 50)
