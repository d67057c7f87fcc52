# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Class maps: names, shares, and a plot with a legend."""

import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.signals import ClassMap, LazyClassMap

NAMES = ["oxide", "metal", "carbide"]


def make_map():
    rng = np.random.default_rng(0)
    signal = hs.signals.Signal2D(rng.integers(-1, 3, (2, 5, 7, 11)))
    signal.set_signal_type("ClassMap")
    signal.metadata.set_item("Classes.names", NAMES)
    return signal


def test_type_survives_being_lazy_and_a_file(tmp_path):
    signal = make_map()
    assert type(signal) is ClassMap
    assert type(signal.as_lazy()) is LazyClassMap
    signal.save(tmp_path / "map.hspy")
    loaded = hs.load(tmp_path / "map.hspy")
    assert type(loaded) is ClassMap
    assert loaded.names == tuple(NAMES)
    assert (loaded.data == signal.data).all()


@pytest.mark.parametrize("lazy", [False, True])
def test_fractions_count_pixels_that_have_a_class(lazy):
    signal = make_map()
    signal.data[1, 3] = -1
    found = (signal.as_lazy() if lazy else signal).fractions()
    assert found._lazy is lazy
    if lazy:
        found.compute(show_progressbar=False)
    assert found.data.shape == (2, 5, 3)
    frame = signal.data[0, 2]
    expected = [(frame == k).sum() / (frame >= 0).sum() for k in range(3)]
    assert found.data[0, 2] == pytest.approx(expected)
    assert np.isnan(found.data[1, 3]).all()
    assert list(found.metadata.Classes.names) == NAMES
    assert found.axes_manager.navigation_shape == signal.axes_manager.navigation_shape


def test_labels_without_names_are_called_by_number():
    signal = make_map()
    del signal.metadata.Classes
    assert signal.names == ("0", "1", "2")
    with pytest.raises(ValueError, match=r"Classes\.names"):
        signal.as_lazy().fractions()


def test_plot_shows_a_colour_for_each_class_and_its_name():
    signal = make_map().inav[0, 0]
    signal.plot()
    axes = signal._plot.signal_plot.ax
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == NAMES
    image = axes.images[0]
    colours = {tuple(image.cmap(image.norm(k))) for k in range(-1, 3)}
    assert len(colours) == 4
    axes.figure.canvas.draw()
    # the legend is inside the figure
    box = axes.get_legend().get_window_extent()
    assert box.x1 <= axes.figure.bbox.x1 + 1


def test_plot_of_frames_follows_the_navigator():
    signal = make_map()
    signal.plot()
    before = signal._plot.signal_plot.ax.images[0].get_array().copy()
    signal.axes_manager.indices = (1, 1)
    after = signal._plot.signal_plot.ax.images[0].get_array()
    assert (np.asarray(before) != np.asarray(after)).any()
    assert (np.asarray(after) == signal.data[1, 1]).all()
