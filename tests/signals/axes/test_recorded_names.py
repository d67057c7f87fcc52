# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of windows through a NeXus file, which has no lists of words."""

import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series
from hyperspy_dosekin.signals.axes.processed import processing_of
from hyperspy_dosekin.signals.axes.recorded_names import recorded_names
from hyperspy_dosekin.signals.kinetics.data.window_map import WindowMap1D
from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries
from hyperspy_dosekin.signals.processing.record import record_of

NAMES = ("π–π*", "a/b", "a_b", "a.b", ".", "..", "", " ", "[1]", '"', "signal", "日本")


def of_class(kind, path):
    """What is in the file: HyperSpy reads the variance as a signal of its own."""
    found = hs.load(path)
    found = found if isinstance(found, list) else [found]
    return next(each for each in found if isinstance(each, kind) and "ariance" not in str(each))


@pytest.mark.parametrize("names", [NAMES, ("π–π*",), ("a/b",), ("[1]",)])
def test_series_and_maps_come_back_with_their_names(names, tmp_path):
    windows = {name: (5 + 2 * place, 7 + 2 * place) for place, name in enumerate(names)}
    areas = dose_series(processed=True, channels=400).integrate_windows(windows)
    before = areas.metadata.as_dictionary()["Dose"]["window_names"]
    areas.save(tmp_path / "areas.nxs")
    assert areas.metadata.as_dictionary()["Dose"]["window_names"] == before == list(names)
    back = of_class(DoseSeries, tmp_path / "areas.nxs")
    assert back.window_names == names
    np.testing.assert_array_equal(back.data, areas.data)


def test_a_map_comes_back_with_its_names(tmp_path):
    series = dose_series(processed=True).integrate_windows({"π–π*": (5, 7), "a/b": (8, 10)})
    result = series.fit_dose_pinn(estimator="exact", show_progressbar=False)
    result.half_integrity_dose.save(tmp_path / "map.nxs")
    back = of_class(WindowMap1D, tmp_path / "map.nxs")
    assert back.window_names == ("π–π*", "a/b")


def test_one_name_that_hyperspy_wrote_is_one_name():
    s = hs.signals.Signal1D(np.ones(4), metadata={"Dose": {"window_names": "a/b"}})
    s.set_signal_type("DoseSeries")
    assert s.window_names == ("a/b",)


def test_processed_spectra_come_back_with_their_steps(tmp_path):
    processed = dose_series().process_low_loss()
    processed.save(tmp_path / "processed.nxs")
    back = of_class(type(processed), tmp_path / "processed.nxs")
    np.testing.assert_array_equal(back.data, processed.data)
    steps = processed.metadata.Dosekin.processing.steps
    assert isinstance(steps, list)
    assert record_of(back).steps == steps == processing_of(back)["steps"]
    # RosettaSciIO cannot read numbers of a single spectrum again.
    single = dose_series().inav[0].process_low_loss()
    with pytest.raises(ValueError, match=r"one number, .* save it as \.hspy"):
        single.save(tmp_path / "single.nxs")
    assert not (tmp_path / "single.nxs").exists()


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    "cut",
    [
        lambda p: p.isig[30],
        lambda p: p.isig[3.0:9.0].sum(-1),
        lambda p: p.inav[2],
        lambda p: p.transpose(signal_axes=2),
    ],
)
def test_cuts_of_processed_spectra_come_back_with_their_variance(cut, lazy, tmp_path):
    processed = dose_series().process_low_loss()
    part = cut(processed.as_lazy() if lazy else processed)
    part.save(tmp_path / "part.nxs")
    back = of_class(hs.signals.BaseSignal, tmp_path / "part.nxs")
    np.testing.assert_array_equal(back.data, np.asarray(part.data))
    assert processing_of(back)["steps"] == processing_of(processed)["steps"]
    variance = part.get_noise_variance()
    assert (variance is None) == (back.get_noise_variance() is None)
    if variance is not None:
        np.testing.assert_array_equal(
            np.asarray(back.get_noise_variance().data), np.asarray(variance.data)
        )


def test_a_file_without_the_variance_says_so(tmp_path):
    processed = dose_series().process_low_loss()
    with pytest.warns(UserWarning, match=r"rpl holds no noise variance.*save it as \.hspy"):
        processed.save(tmp_path / "processed.rpl")


@pytest.mark.parametrize("lazy", [False, True])
def test_areas_without_a_dose_axis_come_back(lazy, tmp_path):
    s = hs.signals.Signal1D(np.random.default_rng(0).poisson(9.0, (3, 2, 40)))
    s.set_signal_type("EELS")
    s.axes_manager[-1].units = "eV"
    s = s.as_lazy() if lazy else s
    areas = s.integrate_windows({"π–π*": (5, 7), "a/b": (8, 10)})
    areas.save(tmp_path / "areas.nxs")
    back = of_class(hs.signals.BaseSignal, tmp_path / "areas.nxs")
    assert recorded_names(back.metadata) == ["π–π*", "a/b"]
    np.testing.assert_array_equal(back.data, np.asarray(areas.data))
    parts = [areas.inav[0], areas.T, areas.transpose(signal_axes=[1]), areas * 2, areas.sum(0)]
    for number, part in enumerate([*parts, areas.transpose(signal_axes=[2, 1])]):
        part.save(tmp_path / f"{number}.nxs")
        back = of_class(hs.signals.BaseSignal, tmp_path / f"{number}.nxs")
        assert recorded_names(back.metadata) == ["π–π*", "a/b"]
        np.testing.assert_array_equal(back.data, np.asarray(part.data))
    if lazy:
        areas.compute(show_progressbar=False)
        areas.save(tmp_path / "computed.nxs")
    single = dose_series().inav[0].process_low_loss().integrate_windows()
    with pytest.raises(ValueError, match=r"one number, .* save it as \.hspy"):
        single.save(tmp_path / "single.nxs")
    assert not (tmp_path / "single.nxs").exists()


CUTS = {
    "all": lambda areas: areas,
    "one dose": lambda areas: areas.isig[3],
    "doses": lambda areas: areas.isig[2:3],
    "one window": lambda areas: areas.inav[0],
    "windows": lambda areas: areas.inav[:1],
    "a number": lambda areas: areas.inav[1].isig[3],
    "sum over dose": lambda areas: areas.sum(-1),
    "a number of none": lambda areas: areas.sum(-1).inav[0],
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("lazy", [False, True])
def test_cuts_of_areas_come_back_or_it_is_said_why_not(cut, lazy, tmp_path):
    areas = dose_series(processed=True, channels=400).integrate_windows(
        {"π–π*": (5, 7), "b": (8, 9)}
    )
    part = CUTS[cut](areas.as_lazy() if lazy else areas)
    data, names = np.asarray(part.data), recorded_names(part.metadata)
    for extension in (".hspy", ".zspy", ".nxs"):
        path = tmp_path / f"part{extension}"
        if extension == ".nxs" and data.size == 1:
            with pytest.raises(ValueError, match=r"one number, .* save it as \.hspy"):
                part.save(path)
            assert not path.exists()
            continue
        part.save(path)
        back = of_class(hs.signals.BaseSignal, path)
        assert recorded_names(back.metadata) == names
        np.testing.assert_array_equal(back.data, data)
        if extension != ".nxs":
            assert type(back) is type(part if not lazy else CUTS[cut](areas))
