# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import hyperspy.api as hs
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from hyperspy_dosekin.plotting.classification import maps as classification
from hyperspy_dosekin.plotting.classification import representations

NAMES = ("fluoride", "oxide", "metal")
TITLES = ["temperature 100 °C", "temperature 250 °C"]


@pytest.fixture
def labels():
    found = np.random.default_rng(0).integers(0, 3, (2, 5, 7))
    found[1, 0, 0] = -1
    return found


def _legend(figure):
    return {text.get_text() for text in figure.legends[0].get_texts()}


def test_maps_have_the_colour_of_their_class_and_a_scale(labels):
    figure = classification.plot_class_maps(labels, NAMES, TITLES, pixel_size=2.0, units="nm")
    first, second = figure.axes[:2]
    shown = second.images[0]
    np.testing.assert_array_equal(shown.get_array(), labels[1])
    of_class = classification.class_colours(3)
    for label in range(3):
        assert to_rgb(shown.cmap(shown.norm(label))) == to_rgb(of_class[label])
    assert _legend(figure) == {*NAMES, "no data"}
    assert [text.get_text() for text in first.texts] == ["2 nm"]
    assert not second.texts
    assert np.ptp(first.lines[0].get_xdata()) == pytest.approx(1.0)
    assert tuple(first.get_xlim()) == (-0.5, 6.5)
    assert tuple(first.get_ylim()) == (4.5, -0.5), "the first row is on top"


def test_shares_by_condition():
    share = np.array([[0.5, 0.3, 0.2], [np.nan] * 3, [0.0, 0.1, 0.9]])
    figure = classification.plot_fractions(share, NAMES, np.array([1, 5, 7]), "Dose (e⁻/Å²)")
    (panel,) = figure.axes
    np.testing.assert_allclose(panel.lines[2].get_ydata(), 100 * share[:, 2])
    np.testing.assert_array_equal(panel.lines[2].get_xdata(), [1, 5, 7])
    assert panel.get_xlabel() == "Dose (e⁻/Å²)"
    assert _legend(figure) == set(NAMES)


def test_shares_of_a_class_map_along_its_frames(labels):
    s = hs.signals.Signal2D(labels)
    s.set_signal_type("ClassMap")
    s.metadata.set_item("Classes.names", list(NAMES))
    axis = s.axes_manager.navigation_axes[0]
    axis.name, axis.units, axis.offset, axis.scale = "temperature", "°C", 100, 150
    (panel,) = s.plot_fractions().axes
    assert panel.get_xlabel() == "Temperature (°C)"
    np.testing.assert_array_equal(panel.lines[0].get_xdata(), [100, 250])
    np.testing.assert_allclose(panel.lines[1].get_ydata(), 100 * s.fractions().data[:, 1])
    with pytest.raises(ValueError, match="no frames"):
        s.inav[0].plot_fractions()


def test_confidence_has_one_scale_for_all_conditions():
    rng = np.random.default_rng(1)
    maps = {"Entropy (nat)": rng.random((2, 5, 7)), "Novelty": 5 * rng.random((2, 5, 7))}
    maps["Novelty"][0, 0, 0] = np.nan
    figure = classification.plot_confidence(maps, TITLES, highest={"Entropy (nat)": 1.25})
    panels = np.array(figure.axes[:4]).reshape(2, 2)
    limits = [[panel.images[0].get_clim() for panel in row] for row in panels]
    assert limits[0] == [(0.0, 1.25)] * 2
    assert limits[1][0] == limits[1][1]
    assert 4 < limits[1][0][1] <= 5
    np.testing.assert_array_equal(panels[1, 1].images[0].get_array(), maps["Novelty"][1])
    assert [panel.get_title() for panel in panels[0]] == TITLES


def test_ticks_of_silhouettes_do_not_repeat_the_axis():
    values = {"latents": np.array([0.3, np.nan]), "components": np.array([0.1, np.nan])}
    (panel,) = representations.plot_silhouette(values, TITLES).axes
    assert panel.get_xlabel() == "Temperature (°C)"
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["100", "250"]
    assert [text.get_text() for text in panel.texts] == ["one\nclass"]
    (other,) = representations.plot_silhouette(values, ["before", "after heating"]).axes
    assert other.get_xlabel() == ""
    assert [tick.get_text() for tick in other.get_xticklabels()] == ["before", "after heating"]
