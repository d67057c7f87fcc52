# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps say the names of their windows where they are plotted, sliced, saved and loaded."""

import dask.array as da
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

from hyperspy_dosekin.signals.axes.wrapping import make_dose_series, make_map

NAMES = ("π–π*", "C–C", "C–O")
SPACE = [{"name": "y", "size": 4, "units": "nm"}, {"name": "x", "size": 5, "units": "nm"}]


def a_map(space=(4, 5), names=NAMES, lazy=False):
    values = np.arange(len(names) * int(np.prod(space, dtype=int)), dtype=float)
    values = values.reshape(len(names), *space)
    axes = SPACE[len(SPACE) - len(space) :]
    array = da.from_array(values) if lazy else values
    return make_map(array, axes, names, title="half integrity dose", quantity="D½ (e⁻/Å²)")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def ticks(axes):
    return [text.get_text() for text in axes.get_xticklabels()]


def test_title_follows_the_window_and_the_navigator_has_its_name():
    s = a_map()
    s.data[1, 0, 0] = np.nan
    s.plot()
    shown, navigator = s._plot.signal_plot, s._plot.navigator_plot
    assert shown.ax.get_title() == "π–π*: half integrity dose"
    s.axes_manager.indices = (2,)
    assert shown.ax.get_title() == "C–O: half integrity dose"
    assert ticks(navigator.ax) == list(NAMES)
    # The median of the pixels that have a number.
    (line,) = (line for line in navigator.ax.get_lines() if len(line.get_ydata()) == 3)
    np.testing.assert_allclose(line.get_ydata(), [9.5, 30.0, 49.5])


def test_closed_figures_are_not_drawn_again():
    s = a_map()
    s.plot()
    s._plot.close()
    s.axes_manager.indices = (1,)


def test_images_have_names():
    axes = a_map().plot_images()
    assert [each.get_title() for each in axes] == list(NAMES)
    axes = a_map().plot_images(label=["a", "b", "c"], suptitle="mine")
    assert [each.get_title() for each in axes] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="1 space axes and images have two"):
        a_map((5,)).plot_images()


def test_single_windows_are_told_apart_by_their_titles():
    each = [a_map(names=(name,)) for name in NAMES]
    assert each[1].metadata.General.title == "half integrity dose: C–C"
    axes = hs.plot.plot_images(each)
    assert [one.get_title() for one in axes] == list(NAMES)
    each[1].plot()
    assert each[1]._plot.signal_plot.ax.get_title() == "C–C: half integrity dose"


@pytest.mark.parametrize("space", [(), (5,), (4, 5)])
@pytest.mark.parametrize("lazy", [False, True])
def test_names_survive_slices_copies_and_files(space, lazy, tmp_path):
    s = a_map(space, lazy=lazy)
    assert type(s).__name__ == f"{'Lazy' * lazy}WindowMap{'1D' * (len(space) < 2)}"
    assert s.window_names == NAMES
    part = (s.inav if space else s.isig)[1:3]
    assert part.window_names == ("C–C", "C–O")
    assert (part * 2).deepcopy().window_names == ("C–C", "C–O")
    part.plot()
    s.save(tmp_path / "map.hspy")
    assert hs.load(tmp_path / "map.hspy").window_names == NAMES


def test_values_over_windows_have_names_below():
    s = a_map(())
    s.plot()
    assert ticks(s._plot.signal_plot.ax) == list(NAMES)


def test_one_window_sliced_out_has_no_axis():
    one = a_map().inav[1]
    assert one.window_axis is None
    assert one.window_names == ()
    one.plot()


def test_many_windows_keep_numbers():
    s = a_map(names=tuple(f"w{i}" for i in range(12)))
    s.plot()
    assert s._plot.signal_plot.ax.get_title() == "w0: half integrity dose"
    assert "w0" not in ticks(s._plot.navigator_plot.ax)


@pytest.mark.parametrize("space", [(), (4, 5)])
def test_a_dose_series_says_its_window(space):
    values = np.random.default_rng(0).random((*space, 3, 6))
    s = make_dose_series(
        values,
        np.arange(1.0, 7.0),
        SPACE[: len(space)],
        NAMES,
        title="areas",
        quantity="counts",
        dose_unit="e⁻/Å²",
    )
    s.plot(navigator="auto")
    assert s._plot.signal_plot.ax.get_title() == "π–π*: areas"
    s.axes_manager.navigation_axes[0].index = 1
    assert s._plot.signal_plot.ax.get_title() == "C–C: areas"
