# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result as a NeXus file: what a reader of NeXus finds in it."""

import h5py
import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series, dose_series_image


def plotted(file):
    """What a viewer of NeXus shows first, found as the standard says: by ``default``."""
    group = file
    while "default" in group.attrs:
        group = group[group.attrs["default"]]
    assert group.attrs["NX_class"] == "NXdata"
    return group


@pytest.fixture(scope="module")
def series_file(tmp_path_factory):
    result = dose_series(processed=True).fit_dose_pinn(estimator="exact", exponent=1.0)
    path = tmp_path_factory.mktemp("nexus") / "series"
    result.to_nexus(path)
    return result, path.with_suffix(".nxs")


def test_viewer_finds_the_half_integrity_dose_with_its_interval(series_file):
    result, path = series_file
    with h5py.File(path) as file:
        shown = plotted(file)
        signal = shown[shown.attrs["signal"]]
        np.testing.assert_array_equal(signal[()], result.half_integrity_dose.data)
        # As pint and UDUNITS read it; people read the other.
        assert signal.attrs["units"] == "1/angstrom^2"
        assert signal.attrs["long_name"] == "half integrity dose (e⁻/Å²)"
        lower, upper = result.interval("half_integrity_dose")
        found = [shown[name][()] for name in shown.attrs["auxiliary_signals"]]
        np.testing.assert_array_equal(found, [lower.data, upper.data])
        names = [name.decode() for name in shown["window"][()]]
        assert names == list(result.window_names)


def test_process_says_what_was_done(series_file):
    result, path = series_file
    with h5py.File(path) as file:
        process = file["entry/process"]
        assert process.attrs["NX_class"] == "NXprocess"
        assert process["program"][()].decode() == "hyperspy_dosekin"
        assert process["note/description"][()].decode() == result.methods_text()
        parameters = process["parameters"]
        assert parameters["law"][()].decode() == "power law"
        assert parameters["exponent"][()].decode() == "1.0"
        assert parameters["largest_dose"][()] == result.numbers.dose_max
        curves = file["entry/integrity"]
        expected = result.predict(curves["dose"][()])
        assert curves["data"].shape == expected.data.shape


@pytest.mark.parametrize("lazy", [False, True])
def test_map_has_the_positions_of_its_pixels(tmp_path, lazy):
    s = dose_series_image(seed=1, shape=(3, 5), processed=True)
    areas = (s.as_lazy() if lazy else s).integrate_windows()
    result = areas.fit_dose_pinn(law="first order")
    result.to_nexus(tmp_path / "map.h5")
    with h5py.File(tmp_path / "map.h5") as file:
        shown = plotted(file)
        assert list(shown.attrs["axes"]) == ["window", "axis_0", "axis_1"]
        assert shown["data"].shape == (4, 3, 5)
        axes = s.axes_manager.navigation_axes
        np.testing.assert_allclose(shown["axis_0"][()], axes[1].axis)
        np.testing.assert_allclose(shown["axis_1"][()], axes[0].axis)
        assert shown["axis_1"].attrs["units"] == "nm"
        assert set(np.unique(file["entry/identifiable/data"][()])) <= {0, 1}


def test_other_formats_are_refused(series_file, tmp_path):
    with pytest.raises(ValueError, match=r"\.nxs"):
        series_file[0].to_nexus(tmp_path / "kinetics.hspy")


def test_processing_comes_before_the_fit(tmp_path):
    result = dose_series().process_low_loss().fit_dose_pinn(estimator="exact")
    result.to_nexus(tmp_path / "chain")
    with h5py.File(tmp_path / "chain.nxs") as file:
        before, fit = file["entry/processing"], file["entry/process"]
        assert before.attrs["NX_class"] == "NXprocess"
        assert (before["sequence_index"][()], fit["sequence_index"][()]) == (1, 2)
        assert before["parameters/method_of_deconvolve"][()].decode() == "Fourier-log"
        assert before["parameters/threshold_of_spikes"][()] == 4.2
        text = before["note/description"][()].decode()
        assert text in fit["note/description"][()].decode()
        units = {file[f"entry/{name}/data"].attrs["units"] for name in ("rate",)}
        assert units == {"1/(1368/angstrom^2)"}


SAMPLE = {"atom_types": "C, H, O, Zn", "preparation_date": "2026-01-31T12:00:00+01:00"}


def test_definition_is_claimed_with_what_it_asks_for(series_file, tmp_path):
    start = "2026-02-01T09:00:00Z"
    series_file[0].to_nexus(tmp_path / "em", sample={**SAMPLE, "name": "MOF"}, start_time=start)
    with h5py.File(tmp_path / "em.nxs") as file:
        assert file["entry/definition"][()].decode() == "NXem"
        sample = file["entry/sample"]
        assert sample.attrs["NX_class"] == "NXsample"
        assert not sample["is_simulation"][()]
        assert sample["name"][()].decode() == "MOF"
    with h5py.File(series_file[1]) as file:
        assert "definition" not in file["entry"]


@pytest.mark.parametrize(
    ("experiment", "error", "told"),
    [
        ({"sample": SAMPLE}, TypeError, "asks for both"),
        ({"start_time": "2026-02-01T09:00:00Z"}, TypeError, "asks for both"),
        (
            {"sample": {"name": "MOF"}, "start_time": "2026-02-01T09:00:00Z"},
            ValueError,
            "atom_types and preparation_date",
        ),
        ({"sample": SAMPLE, "start_time": "yesterday"}, ValueError, "ISO 8601"),
        ({"sample": SAMPLE, "start_time": "2026-02-01"}, ValueError, "ISO 8601"),
    ],
)
def test_half_a_claim_is_refused_and_writes_nothing(series_file, tmp_path, experiment, error, told):
    with pytest.raises(error, match=told):
        series_file[0].to_nexus(tmp_path / "em", **experiment)
    assert not list(tmp_path.iterdir())
