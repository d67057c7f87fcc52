# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.signals import DoseSeries, LazyDoseSeries

DOSES = [10.0, 20.0, 35.0, 60.0, 90.0]
NAMES = ["π–π*", "C–C", "C–O", "M–O"]


def make(shape=(3, 2, 4, 5), names=NAMES, cls=DoseSeries):
    """Array (y, x, window, dose)."""
    data = np.arange(np.prod(shape), dtype=float).reshape(shape)
    axes = [{"size": size, "name": name} for size, name in zip(shape, "yx", strict=False)]
    axes = axes[: len(shape) - 2]
    axes += [{"size": shape[-2], "name": "window"}, {"axis": DOSES, "name": "dose"}]
    metadata = {"Dose": {"window_names": names}} if names else {}
    return cls(data, axes=axes, metadata=metadata)


def test_it_knows_its_doses_windows_and_units():
    s = make()
    assert repr(s) == "<DoseSeries, title: , dimensions: (4, 2, 3|5)>"
    np.testing.assert_array_equal(s.dose, DOSES)
    assert s.dose.dtype == np.float64
    assert s.window_names == tuple(NAMES)
    assert s.window_axis is s.axes_manager["window"]
    assert s.metadata.Signal.signal_type == "DoseSeries"


def test_names_follow_their_windows_through_slicing():
    s = make()
    assert s.inav[1:3].window_names == ("C–C", "C–O")
    assert s.inav[::-1].window_names == tuple(NAMES[::-1])
    assert s.inav[-1:].window_names == ("M–O",)
    assert s.inav[1:, 1, 2].window_names == ("C–C", "C–O", "M–O")
    assert s.isig[:2].window_names == tuple(NAMES)
    assert s.mean("x").window_names == tuple(NAMES)


def test_a_window_taken_out_is_a_single_window():
    s = make().inav[2]
    assert repr(s) == "<DoseSeries, title: , dimensions: (2, 3|5)>"
    assert s.window_axis is None
    assert s.window_names == ("1",)
    assert make(shape=(3, 2, 1, 5), names=["C–C"]).inav[0].window_names == ("C–C",)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, ("1", "2", "3", "4")),
        (["a"], ("a", "2", "3", "4")),
        (["a", "b", "c", "d", "e"], ("a", "b", "c", "d")),
    ],
)
def test_missing_names_are_numbers(names, expected):
    s = make(names=names)
    assert s.window_names == expected
    assert s.inav[2:].window_names == expected[2:]


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", ">u4", ">f8", "u1"])
def test_any_array_becomes_one(dtype):
    values = np.arange(12).reshape(3, 4).astype(dtype)
    s = hs.signals.Signal1D(values)
    s.set_signal_type("DoseSeries")
    assert type(s) is DoseSeries
    assert s.data.dtype == np.dtype(dtype)
    assert s.window_names == ("1", "2", "3")
    np.testing.assert_array_equal(s.dose, [0, 1, 2, 3])


def test_without_a_window_axis_there_is_one_window():
    s = DoseSeries(np.arange(5.0))
    assert s.window_axis is None
    assert s.window_names == ("1",)


@pytest.mark.parametrize(
    ("calibration", "is_window"),
    [
        ({}, True),
        ({"name": "spot"}, True),
        ({"name": "x"}, False),
        ({"name": "Y"}, False),
        ({"name": "scan", "units": "nm"}, False),
        ({"name": "scan", "units": "µm"}, False),
    ],
)
def test_the_axis_next_to_the_dose_counts_windows_unless_it_is_a_position(calibration, is_window):
    s = DoseSeries(np.ones((3, 4, 5)))
    s.axes_manager[0].trait_set(**calibration)
    assert s.window_names == (("1", "2", "3", "4") if is_window else ("1",))


def test_a_calibrated_window_axis_does_not_mix_up_names():
    s = make()
    s.axes_manager["window"].scale = 0.5
    assert s.window_names == tuple(NAMES)
    s.axes_manager["window"].offset = -3
    assert s.window_names == tuple(NAMES)


def test_doses_may_decrease():
    s = make()
    s = DoseSeries(s.data, axes=[{"size": n} for n in (3, 2, 4)] + [{"axis": DOSES[::-1]}])
    np.testing.assert_array_equal(s.dose, DOSES[::-1])


def test_lazy_twin():
    s = make().as_lazy()
    assert type(s) is LazyDoseSeries
    assert isinstance(s.data, da.Array)
    assert s.window_names == tuple(NAMES)
    assert s.inav[1:3].window_names == ("C–C", "C–O")
    s.compute()
    assert type(s) is DoseSeries
    lazy = hs.signals.Signal1D(np.ones((3, 4))).as_lazy()
    lazy.set_signal_type("DoseSeries")
    assert type(lazy) is LazyDoseSeries
    # whatever works only for one of them is wrong in the other
    assert not {name for name in vars(LazyDoseSeries) if not name.startswith("__")}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("suffix", ["hspy", "zspy"])
def test_files(tmp_path, lazy, suffix):
    if suffix == "zspy":
        pytest.importorskip("zarr")
    s = make()
    s.set_noise_variance(make())
    s.metadata.Dose.window_ranges = [[1.0, 3.0], [4.0, 7.0], [10.0, 15.0], [20.0, 25.0]]
    s.save(tmp_path / f"s.{suffix}")
    loaded = hs.load(tmp_path / f"s.{suffix}", lazy=lazy)
    assert type(loaded) is (LazyDoseSeries if lazy else DoseSeries)
    assert loaded.window_names == tuple(NAMES)
    np.testing.assert_array_equal(loaded.dose, DOSES)
    np.testing.assert_array_equal(np.asarray(loaded.data), s.data)
    assert [list(limits) for limits in loaded.metadata.Dose.window_ranges][1] == [4.0, 7.0]
    assert loaded.get_noise_variance().data.shape == s.data.shape


def of_anything(axes):
    shape = [axis["size"] for axis in axes]
    dose = {"axis": 152.0 * np.arange(1, 10), "name": "dose", "units": "e⁻/Å²"}
    s = hs.signals.Signal1D(np.ones((*shape, 9)), axes=[*axes, dose])
    s.set_signal_type("DoseSeries")
    s.metadata.set_item("Dose.window_names", ["100", "110", "200"])
    return s


@pytest.mark.parametrize(
    "axes",
    [
        [{"size": 3}],
        [{"size": 3, "name": "spot"}],
        [{"size": 2, "name": "y"}, {"size": 4, "name": "x"}, {"size": 3}],
        [{"size": 3, "name": "spot"}, {"size": 4, "name": "x", "units": "nm"}],
        [{"size": 3, "name": "x", "units": "nm"}, {"size": 3, "name": "line"}],
    ],
)
def test_names_of_windows_do_not_turn_them_into_pixels(axes):
    s = of_anything(axes)
    assert s.window_names == ("100", "110", "200")
    place = s.window_axis.index_in_array
    assert axes[place].get("name") not in ("x", "y")
    part = s.inav[tuple(slice(1, None) if a is s.window_axis else slice(None)
                        for a in s.axes_manager.navigation_axes)]  # fmt: skip
    assert part.window_names == ("110", "200")


def test_windows_of_spectra_that_were_sliced_away_are_not_found_in_pixels():
    s = make()
    s.metadata.set_item("Dose.window_ranges", [[1, 3], [4, 7], [10, 15], [20, 25]])
    for axis in s.axes_manager.navigation_axes[1:]:
        axis.name = "anything"
    assert s.inav[2].window_axis is None


@pytest.mark.filterwarnings("ignore:Frames at dose")
def test_a_window_that_was_not_fitted_gets_no_advice_about_dose():
    dose = 152.0 * np.arange(1, 10)
    values = np.stack([np.full(9, np.nan), np.exp(-dose / 400)])
    s = hs.signals.Signal1D(values, axes=[{"size": 2}, {"axis": dose, "name": "dose"}])
    s.set_signal_type("DoseSeries")
    s.metadata.set_item("Dose.window_names", ["empty", "full"])
    text = str(s.fit_dose_pinn(estimator="exact", show_progressbar=False))
    notes = [line for line in text.splitlines() if line.startswith("*")]
    assert not any("empty" in note for note in notes)
