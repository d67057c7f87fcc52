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
        assert signal.attrs["units"] == "e⁻/Å²"
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
