# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import warnings

import dask.array as da
import exspy
import hyperspy.api as hs
import numpy as np
import pytest
from hyperspy.axes import DataAxis, UniformDataAxis
from hypothesis import given
from hypothesis import strategies as st

import hyperspy_dosekin  # noqa: F401 puts the methods on EELSSpectrum
from hyperspy_dosekin.signals.axes.dose_axis import dose_unit_factor, find_dose_axis

#: Array (frame, y, x, energy).
SHAPE = (6, 5, 3, 32)
DOSES = [10.0, 20.0, 35.0, 60.0, 61.0, 90.0]
CHARGE_C = 1.602176634e-19


class ComputedTooEarly(Exception):
    pass


def refuse_to_compute(block):
    raise ComputedTooEarly


def make(names=("frame", "y", "x"), shape=SHAPE, lazy=False):
    data = np.random.default_rng(0).integers(0, 999, shape).astype(np.float32)
    s = exspy.signals.EELSSpectrum(data)
    for axis, name in zip(reversed(s.axes_manager.navigation_axes), names, strict=True):
        if name:
            axis.name = name
    s.axes_manager[-1].name = "Energy loss"
    s.axes_manager[-1].units = "eV"
    s.metadata.General.title = "series"
    return s.as_lazy() if lazy else s


def state(s):
    """Everything that must not change: data, metadata and axes."""
    return (
        s.data.tobytes(),
        str(s.metadata),
        str(s.original_metadata),
        str(s.axes_manager.as_dictionary()),
    )


def dose_of(s):
    return s.axes_manager["dose"].axis


# Where the dose comes from


def test_doses_as_given_and_pre_exposure_added():
    s = make()
    s.set_dose_axis(DOSES, pre_exposure=7.5)
    np.testing.assert_array_equal(dose_of(s), np.add(DOSES, 7.5))
    axis = s.axes_manager["dose"]
    assert isinstance(axis, DataAxis)
    assert (axis.units, axis.navigate, axis.index_in_array) == ("e⁻/Å²", True, 0)
    assert s.metadata.Dose.as_dictionary() == {"pre_exposure": 7.5, "source": "dose"}


@pytest.mark.parametrize(("at", "first"), [("end", 150), ("middle", 75), ("start", 0)])
def test_dose_rate_times_frame_time(at, first):
    s = make()
    s.set_dose_axis(dose_rate=3.0, frame_time=50.0, at=at)
    np.testing.assert_allclose(dose_of(s), first + 150 * np.arange(6), rtol=1e-15)
    axis = s.axes_manager["dose"]
    assert isinstance(axis, UniformDataAxis)
    assert (axis.offset, axis.scale) == (first, 150)
    assert s.metadata.Dose.as_dictionary() == {
        "pre_exposure": 0.0,
        "source": "dose_rate",
        "at": at,
        "dose_rate": 3.0,
        "frame_time": 50.0,
    }


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("end", [103, 115, 117, 137, 145, 148]),
        ("middle", [101.5, 109, 116, 127, 141, 146.5]),
        ("start", [100, 103, 115, 117, 137, 145]),
    ],
)
def test_every_frame_may_have_its_own_rate_and_time(at, expected):
    s = make()
    s.set_dose_axis(
        dose_rate=[3, 3, 1, 4, 2, 1], frame_time=[1, 4, 2, 5, 4, 3], pre_exposure=100, at=at
    )
    np.testing.assert_allclose(dose_of(s), expected, rtol=1e-14)
    assert s.metadata.Dose.frame_time == [1, 4, 2, 5, 4, 3]


def test_beam_current_over_area():
    s = make()
    s.set_dose_axis(beam_current=50e-12, area=2000.0, frame_time=0.3)
    electrons = 50e-12 * 0.3 / CHARGE_C
    # 1 nm² is 100 Å²
    np.testing.assert_allclose(dose_of(s), electrons / 2000 / 100 * np.arange(1, 7), rtol=1e-12)
    assert s.metadata.Dose.source == "beam_current"
    assert s.metadata.Dose.dose_rate == pytest.approx(50e-12 / CHARGE_C / 2e5)


def test_current_and_exposure_come_from_the_metadata():
    s = make()
    s.metadata.set_item("Acquisition_instrument.TEM.beam_current", 0.05)  # nA
    s.metadata.set_item("Acquisition_instrument.TEM.Detector.EELS.exposure", 0.3)
    s.set_dose_axis(area=2000.0)
    reference = make()
    reference.set_dose_axis(beam_current=50e-12, area=2000.0, frame_time=0.3)
    np.testing.assert_allclose(dose_of(s), dose_of(reference), rtol=1e-14)


def test_arguments_win_over_metadata():
    s = make()
    s.metadata.set_item("Acquisition_instrument.TEM.beam_current", 9.0)
    s.metadata.set_item("Acquisition_instrument.TEM.Detector.EELS.exposure", 99.0)
    s.set_dose_axis(beam_current=50e-12, area=2000.0, frame_time=0.3)
    assert s.metadata.Dose.frame_time == 0.3
    assert s.metadata.Dose.dose_rate == pytest.approx(50e-12 / CHARGE_C / 2e5)


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ({"Detector.EELS.exposure": 2.0, "Detector.EELS.dwell_time": 0.1}, 2.0),
        ({"Detector.EELS.exposure": 0.0, "Detector.EELS.dwell_time": 0.1}, 0.1),
        ({"dwell_time": 0.1}, 0.1),
    ],
)
def test_exposure_is_preferred_to_dwell_time_and_zero_is_no_record(recorded, expected):
    s = make()
    for key, value in recorded.items():
        s.metadata.set_item(f"Acquisition_instrument.TEM.{key}", value)
    s.set_dose_axis(dose_rate=1.0)
    assert s.metadata.Dose.frame_time == expected


def test_a_frame_time_read_for_scanned_frames_is_pointed_out(caplog):
    s = make()
    s.metadata.set_item("Acquisition_instrument.TEM.Detector.EELS.exposure", 0.02)
    s.set_dose_axis(dose_rate=1.0)
    assert "frame_time = 0.02 s was read from metadata" in caplog.text
    caplog.clear()
    s.set_dose_axis(dose_rate=1.0, frame_time=0.02 * 15)
    assert not caplog.text


@given(
    rate=st.floats(1e-3, 1e4),
    time=st.floats(1e-3, 1e3),
    pre_exposure=st.floats(0, 1e4),
    at=st.sampled_from(["start", "middle", "end"]),
)
def test_constant_rates_always_give_a_uniform_axis(rate, time, pre_exposure, at):
    s = make(names=("frame",), shape=(9, 4))
    s.set_dose_axis(dose_rate=rate, frame_time=time, pre_exposure=pre_exposure, at=at)
    axis = s.axes_manager["dose"]
    share = {"start": 0, "middle": 0.5, "end": 1}[at]
    expected = pre_exposure + rate * time * (np.arange(9) + share)
    np.testing.assert_allclose(axis.axis, expected, rtol=1e-12)
    # unless the step drowns in the rounding of a pre-exposure that is larger by far
    assert axis.is_uniform or rate * time < 1e-6 * pre_exposure


def test_evenly_spaced_doses_give_a_uniform_axis():
    s = make()
    s.set_dose_axis(np.linspace(152, 912, 6))
    axis = s.axes_manager["dose"]
    assert axis.is_uniform
    assert (axis.offset, axis.scale) == (152, pytest.approx(152, rel=1e-15))


def test_a_single_frame():
    s = make(names=("frame",), shape=(1, 32))
    s.set_dose_axis([152.0])
    assert dose_of(s).tolist() == [152.0]
    s.set_dose_axis(200.0)
    assert dose_of(s).tolist() == [200.0]
    s.set_dose_axis(0.0)
    assert dose_of(s).tolist() == [0.0]


def test_setting_it_again_replaces_everything():
    s = make()
    s.set_dose_axis(dose_rate=3.0, frame_time=50.0, pre_exposure=5)
    s.set_dose_axis(DOSES)
    assert s.metadata.Dose.as_dictionary() == {"pre_exposure": 0.0, "source": "dose"}
    s.set_dose_axis(dose_rate=3.0, frame_time=50.0)
    assert s.axes_manager["dose"].is_uniform


# Which axis


@pytest.mark.parametrize(
    ("names", "index_in_array"),
    [
        (("frame", "y", "x"), 0),
        (("y", "Frame number", "x"), 1),
        (("y", "x", "Time (s)"), 2),
        (("stack_element", "y", "x"), 0),
        (("y", "x", "series"), 2),
        (("time", "dose", "x"), 1),
        (("y", "x", "z"), 0),
        ((None, None, None), 0),
    ],
)
def test_the_axis_is_found(names, index_in_array):
    s = make(names=names)
    n_frame = SHAPE[index_in_array]
    s.set_dose_axis(dose_rate=1.0, frame_time=2.0)
    assert s.axes_manager["dose"].index_in_array == index_in_array
    assert s.axes_manager["dose"].size == n_frame
    for place, name in enumerate(names):
        if name and place != index_in_array:
            assert s.axes_manager[name].index_in_array == place


@pytest.mark.parametrize(("unit", "said"), [("nm", True), ("K", True), ("s", False), ("", False)])
def test_a_line_of_positions_alone_is_questioned(unit, said):
    s = hs.signals.Signal1D(np.ones((5, 16)))
    s.set_signal_type("EELS")
    s.axes_manager[0].units = unit
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        s.set_dose_axis(dose_rate=1.0, frame_time=2.0)
    assert any("no dose series" in str(each.message) for each in caught) == said


def test_the_axis_that_stacking_adds_is_found(tmp_path):
    files = [tmp_path / f"{number}.hspy" for number in range(4)]
    for file in files:
        make(names=("y", "x"), shape=(5, 3, 32)).save(file)
    loaded = hs.load([str(file) for file in files], stack=True)
    stacked = hs.stack([make(names=("y", "x"), shape=(5, 3, 32)) for _ in files])
    for s in (loaded, stacked):
        s.set_dose_axis(dose_rate=1.0, frame_time=2.0)
        assert dose_of(s).tolist() == [2, 4, 6, 8]


@pytest.mark.parametrize("how", ["name", "index", "negative", "axis"])
def test_the_axis_can_be_named(how):
    s = make()
    x = s.axes_manager["x"]  # HyperSpy's order is x, y, frame, energy
    s.set_dose_axis([1, 2, 4], axis={"name": "x", "index": 0, "negative": -4, "axis": x}[how])
    assert s.axes_manager[0].name == "dose"
    assert dose_of(s).tolist() == [1, 2, 4]
    assert s.axes_manager.navigation_shape == (3, 5, 6)


# Order of the frames


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_unsorted_frames_are_sorted_with_their_doses(lazy, place):
    names, doses = ("frame", "y", "x"), [30.0, 10.0, 50.0, 20.0, 40.0, 5.0]
    s = make(names=names, lazy=lazy)
    if place == 1:
        s = make(names=("y", "frame", "x"), shape=(5, 6, 3, 32), lazy=lazy)
    s.set_noise_variance(s.deepcopy() + 1)
    data, variance = s.data, s.get_noise_variance()
    kept = np.array(data)
    with pytest.warns(UserWarning, match=r"not ascending; .* in the order \[5, 1, 3, 0, 4, 2\]"):
        s.set_dose_axis(doses)
    order = np.argsort(doses)
    np.testing.assert_array_equal(dose_of(s), np.sort(doses))
    np.testing.assert_array_equal(np.asarray(s.data), np.take(kept, order, place))
    sorted_variance = s.get_noise_variance()
    np.testing.assert_array_equal(np.asarray(sorted_variance.data), np.take(kept + 1, order, place))
    assert s.metadata.Dose.frame_order == order.tolist()
    # what the caller holds is as it was
    np.testing.assert_array_equal(np.asarray(data), kept)
    np.testing.assert_array_equal(np.asarray(variance.data), kept + 1)
    assert isinstance(s.data, da.Array) is lazy


def test_descending_doses_are_sorted_too_and_the_original_order_is_kept_in_mind():
    s = make()
    kept = s.data.copy()
    with pytest.warns(UserWarning, match="sorted by dose"):
        s.set_dose_axis(DOSES[::-1])
    np.testing.assert_array_equal(s.data, kept[::-1])
    assert s.axes_manager["dose"].axis.tolist() == DOSES
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s.set_dose_axis(DOSES, pre_exposure=1.0)
    assert s.metadata.Dose.frame_order == [5, 4, 3, 2, 1, 0]
    with pytest.warns(UserWarning, match="sorted by dose"):
        s.set_dose_axis([2, 1, 3, 4, 5, 6])
    assert s.metadata.Dose.frame_order == [4, 5, 3, 2, 1, 0]
    np.testing.assert_array_equal(s.data, kept[s.metadata.Dose.frame_order])


def test_an_order_of_other_frames_is_forgotten():
    s = make()
    with pytest.warns(UserWarning, match="sorted"):
        s.set_dose_axis(DOSES[::-1])
    few = s.inav[..., :4]
    few.set_dose_axis(DOSES[:4])
    assert "frame_order" not in few.metadata.Dose
    with pytest.warns(UserWarning, match="sorted"):
        few.set_dose_axis([2, 1, 3, 4])
    assert few.metadata.Dose.frame_order == [1, 0, 2, 3]


def test_sorting_tells_those_who_listen():
    s = make()
    heard = []
    s.events.data_changed.connect(lambda obj: heard.append(obj), ["obj"])
    with pytest.warns(UserWarning, match="sorted"):
        s.set_dose_axis(DOSES[::-1])
    assert heard == [s]


# What must not happen


def test_nothing_but_the_axis_changes():
    s = make()
    s.set_noise_variance(s.deepcopy())
    s.axes_manager["x"].scale = 0.4
    s.axes_manager["frame"].is_binned = True
    before, data = s.deepcopy(), s.data
    s.set_dose_axis(DOSES)
    assert s.data is data
    assert s.axes_manager["dose"].is_binned
    np.testing.assert_array_equal(s.data, before.data)
    dose = s.metadata.Dose
    del s.metadata.Dose
    assert str(s.metadata) == str(before.metadata)
    assert dose.pre_exposure == 0
    for old, new in zip(before.axes_manager._axes, s.axes_manager._axes, strict=True):
        if new.name != "dose":
            assert new.get_axis_dictionary() == old.get_axis_dictionary()
    assert s.axes_manager.shape == before.axes_manager.shape


def test_the_signal_works_afterwards():
    s = make()
    s.set_dose_axis(DOSES)
    s.axes_manager.indices = (1, 2, 3)
    np.testing.assert_array_equal(s.get_current_signal().data, s.data[3, 2, 1])
    np.testing.assert_array_equal(s.inav[:, :, 60.0].data, s.data[3])
    assert s.inav[..., 1:3].axes_manager["dose"].axis.tolist() == [20, 35]
    assert s.sum("x").axes_manager["dose"].axis.tolist() == DOSES
    s.plot()


def test_nothing_is_computed_of_lazy_data():
    data = da.ones(SHAPE, chunks=(2, 5, 3, 32)).map_blocks(refuse_to_compute, meta=np.empty(()))
    s = exspy.signals.LazyEELSSpectrum(data)
    s.set_dose_axis(dose_rate=3.0, frame_time=50.0)
    with pytest.warns(UserWarning, match="sorted"):
        s.set_dose_axis(DOSES[::-1])
    assert s.data.shape == SHAPE
    with pytest.raises(ComputedTooEarly):
        s.data.compute()


def test_it_survives_a_file(tmp_path):
    s = make()
    with pytest.warns(UserWarning, match="sorted"):
        s.set_dose_axis(DOSES[::-1], pre_exposure=2.0)
    s.save(tmp_path / "s.hspy")
    loaded = hs.load(tmp_path / "s.hspy")
    np.testing.assert_array_equal(dose_of(loaded), dose_of(s))
    assert loaded.axes_manager["dose"].units == "e⁻/Å²"
    assert loaded.metadata.Dose.pre_exposure == 2.0
    assert list(loaded.metadata.Dose.frame_order) == [5, 4, 3, 2, 1, 0]


BAD = [
    ({}, ValueError, "nothing to compute the dose from; pass dose="),
    ({"frame_time": 1.0}, ValueError, "nothing to compute the dose from"),
    ({"dose": DOSES, "dose_rate": 1.0}, ValueError, "contradicts dose_rate"),
    ({"dose": DOSES, "frame_time": 1.0}, ValueError, "contradicts frame_time"),
    (
        {"dose": DOSES, "beam_current": 1e-9, "area": 1},
        ValueError,
        "contradicts beam_current, area",
    ),
    ({"dose": DOSES, "at": "middle"}, ValueError, "contradicts at"),
    (
        {"dose_rate": 1.0, "beam_current": 1e-9, "frame_time": 1},
        ValueError,
        "dose_rate= contradicts beam_current",
    ),
    ({"dose_rate": 1.0, "area": 9.0, "frame_time": 1}, ValueError, "dose_rate= contradicts area"),
    ({"dose_rate": 1.0}, ValueError, r"metadata hold none \(Acquisition.*pass frame_time= in s"),
    ({"beam_current": 1e-9, "frame_time": 1}, ValueError, "pass area= in nm²"),
    ({"area": 9.0, "frame_time": 1}, ValueError, "holds none; pass beam_current= in A"),
    ({"dose": DOSES[:4]}, ValueError, r"dose= holds 4 value\(s\), but the axis has 6 frame"),
    ({"dose": 152.0}, ValueError, r"dose= has the shape \(\); give a list"),
    ({"dose": [DOSES, DOSES]}, ValueError, r"dose= has the shape \(2, 6\)"),
    ({"dose": [-1, 2, 3, 4, 5, 6]}, ValueError, "dose= contains -1, .* not negative"),
    ({"dose": [1, 2, np.nan, 4, 5, 6]}, ValueError, "dose= contains nan, .* finite"),
    ({"dose": [1, 2, np.inf, 4, 5, 6]}, ValueError, "dose= contains inf, .* finite"),
    ({"dose": list("abcdef")}, TypeError, "dose=.* is not numeric"),
    ({"dose": [1, 2, 3j, 4, 5, 6]}, TypeError, "is not numeric"),
    ({"dose": [None] * 6}, TypeError, "is not numeric"),
    ({"dose": [1, 2, 3, 4, 5, "6"]}, TypeError, "is not numeric"),
    ({"dose": [10, 20, 20, 30, 10, 40]}, ValueError, r"frames \[0, 1, 2, 4\] have the same dose"),
    ({"dose": [0] * 6}, ValueError, "have the same dose .* average these frames"),
    ({"dose_rate": -3.0, "frame_time": 1}, ValueError, "dose_rate= contains -3, .* positive"),
    ({"dose_rate": 0.0, "frame_time": 1}, ValueError, "dose_rate= contains 0, .* positive"),
    ({"dose_rate": np.nan, "frame_time": 1}, ValueError, "dose_rate= contains nan"),
    ({"dose_rate": 3.0, "frame_time": -1}, ValueError, "frame_time= contains -1, .* positive"),
    ({"dose_rate": 3.0, "frame_time": [1, 2]}, ValueError, r"frame_time= holds 2 value\(s\)"),
    ({"beam_current": -1, "area": 1, "frame_time": 1}, ValueError, "beam_current= contains -1"),
    ({"beam_current": 1, "area": 0, "frame_time": 1}, ValueError, "area= contains 0, .* positive"),
    ({"beam_current": 1, "area": [1, 2], "frame_time": 1}, ValueError, "area= has the shape"),
    ({"beam_current": "1 nA", "area": 1, "frame_time": 1}, TypeError, "'1 nA' is not numeric"),
    ({"dose": DOSES, "pre_exposure": -1}, ValueError, "pre_exposure= contains -1"),
    ({"dose": DOSES, "pre_exposure": np.nan}, ValueError, "pre_exposure= contains nan"),
    ({"dose_rate": 1.0, "frame_time": 1, "at": "centre"}, ValueError, r"'centre' .* \['end', 'mid"),
    ({"dose": DOSES, "axis": "depth"}, ValueError, r"'depth' is not .* 'x' \(index 0, size 3\)"),
    ({"dose": DOSES, "axis": "Energy loss"}, ValueError, "not a navigation axis"),
    ({"dose": DOSES, "axis": -1}, ValueError, "not a navigation axis"),
    ({"dose": DOSES, "axis": 17}, ValueError, "axis=17 is not a navigation axis"),
    ({"dose": DOSES, "axis": 0.5}, ValueError, "axis=0.5 is not a navigation axis"),
    ({"dose": DOSES, "axis": ("x", "y")}, ValueError, "not a navigation axis"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_arguments_are_refused_before_any_change(arguments, error, message):
    s = make()
    before = state(s)
    with pytest.raises(error, match=message):
        s.set_dose_axis(**arguments)
    assert state(s) == before


def test_an_axis_of_another_signal_is_refused():
    s = make()
    with pytest.raises(ValueError, match="is not a navigation axis"):
        s.set_dose_axis(DOSES, axis=make().axes_manager["frame"])


def test_a_zero_beam_current_in_the_metadata_is_no_record():
    s = make()
    s.metadata.set_item("Acquisition_instrument.TEM.beam_current", 0.0)
    with pytest.raises(ValueError, match=r"metadata\.Acquisition_instrument\.TEM\.beam_current"):
        s.set_dose_axis(area=100.0, frame_time=1.0)


def test_a_single_spectrum_has_no_place_for_the_dose():
    s = exspy.signals.EELSSpectrum(np.ones(32))
    s.axes_manager[-1].name = "Energy loss"
    with pytest.raises(ValueError, match=r"no navigation axis .* 'Energy loss' .* hyperspy.api.st"):
        s.set_dose_axis(DOSES)


# Finding it again


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        ("e⁻/Å²", 1),
        ("e-/Å^2", 1),
        ("e/A2", 1),
        ("electrons/angstrom**2", 1),
        ("e⁻ Å⁻²", 1),
        ("e- / nm2", 0.01),
        ("e⁻·nm⁻²", 0.01),
        ("eV", None),
        ("e", None),
        ("nm", None),
        ("e/s", None),
        ("", None),
        (None, None),
    ],
)
def test_units_of_dose(units, factor):
    assert dose_unit_factor(units) == factor


def test_the_dose_axis_is_found_by_name_then_by_units():
    s = make()
    assert find_dose_axis(s) is None
    s.axes_manager["y"].units = "e/nm²"
    assert find_dose_axis(s).name == "y"
    s.axes_manager["frame"].name = "Dose"
    assert find_dose_axis(s).name == "Dose"
    assert find_dose_axis(s, "x").name == "x"
    s.axes_manager["Dose"].name = "frame"
    s.axes_manager["x"].units = "e⁻/Å²"
    with pytest.raises(ValueError, match=r"several .* 'x' \(index 0, size 3\), 'y'.* dose_axis"):
        find_dose_axis(s)


# Real files


@pytest.mark.parametrize("name", ["dose_series.hspy", "dose_series_image.hspy"])
@pytest.mark.parametrize("lazy", [False, True])
def test_semi_real_series(shared_data, name, lazy):
    s = hs.load(shared_data(f"semi_real/{name}"), lazy=lazy)
    s.set_dose_axis(dose_rate=152 / 44)  # the exposure of 44 s is in the file
    np.testing.assert_allclose(dose_of(s), 152 * np.arange(1, 10), rtol=1e-14)
    assert s.axes_manager["dose"].is_uniform


def test_real_line_scan_as_a_series(shared_data):
    s = hs.load(shared_data("real/LSMO_linescan_low_loss.hspy"))
    s.set_dose_axis(dose_rate=10.0)  # dwell time of 0.1 s
    np.testing.assert_allclose(dose_of(s), np.arange(1, 41), rtol=1e-14)


def test_real_single_spectrum(shared_data):
    s = hs.load(shared_data("real/eels_spectrum.dm3"))
    with pytest.raises(ValueError, match="no navigation axis"):
        s.set_dose_axis(dose_rate=1.0)


def scanned(units, names=("y", "x")):
    s = exspy.signals.EELSSpectrum(np.ones((3, 4, 64)))
    for axis, name, unit in zip(s.axes_manager._axes, names, units, strict=False):
        axis.name, axis.units = name, unit
    return s


@pytest.mark.parametrize(
    ("units", "expected"),
    [(("nm", "s"), "x"), (("s", "nm"), "y"), (("ms", "µm"), "y"), (("min", "px"), "y")],
)
def test_the_axis_in_units_of_time_is_the_frames(units, expected):
    s = scanned(units)
    place = s.axes_manager[expected].index_in_array
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s.set_dose_axis(dose_rate=2.0, frame_time=1.0)
    assert s.axes_manager._axes[place].name == "dose"


@pytest.mark.parametrize("units", [("nm", "nm"), ("s", "s"), ("", "")])
def test_a_choice_of_frames_that_is_not_clear_is_said(units):
    s = scanned(units)
    with pytest.warns(UserWarning, match=r"is taken for the frames, one of 'x' .*axis=…"):
        s.set_dose_axis(dose_rate=2.0, frame_time=1.0)
    assert s.axes_manager._axes[0].name == "dose"


def test_no_position_is_taken_where_there_is_something_else():
    s = scanned(("nm", ""))
    with pytest.warns(UserWarning, match="the axis 'x'"):
        s.set_dose_axis(dose_rate=2.0, frame_time=1.0)
    assert s.axes_manager._axes[1].name == "dose"


def test_an_axis_in_units_of_time_gives_the_time_of_a_frame():
    s = scanned(("ms", "nm"))
    s.axes_manager["y"].scale = 250
    s.set_dose_axis(dose_rate=2.0)
    np.testing.assert_allclose(s.axes_manager["dose"].axis, [0.5, 1.0, 1.5])


@pytest.mark.parametrize(("current", "doubtful"), [(50.0, True), (2e-6, True), (5e-7, False)])
def test_currents_that_no_microscope_has_are_questioned(current, doubtful):
    s = exspy.signals.EELSSpectrum(np.ones((3, 64)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        s.set_dose_axis(beam_current=current, area=100.0, frame_time=1.0)
    questions = [str(each.message) for each in said if "is taken in A" in str(each.message)]
    assert len(questions) == doubtful
    assert not doubtful or f"beam_current={current * 1e-9:g}," in questions[0]


def test_an_open_plot_follows():
    s = exspy.signals.EELSSpectrum(np.random.default_rng(0).random((5, 64)))
    s.plot()
    s.set_dose_axis(dose_rate=3.0, frame_time=1.0)
    assert s._plot.is_active
    assert s._plot.axes_manager is s.axes_manager
    s.axes_manager[0].index = 3
    line = s._plot.signal_plot.ax_lines[0].line
    np.testing.assert_array_equal(line.get_ydata(), s.data[3])
    assert "dose" in s._plot.navigator_plot.ax.get_ylabel()
    s._plot.close()
