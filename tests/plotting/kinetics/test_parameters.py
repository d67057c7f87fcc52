# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses
from itertools import pairwise

import matplotlib.colors as mcolors
import numpy as np
import pytest
from numpy.testing import assert_allclose

from hyperspy_dosekin.plotting import Estimate, plot_parameters


def value_markers(axes, estimate):
    """Markers of the values in an axes, by window."""
    found = {}
    for line in axes.lines:
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        if x.size == 1 and y[0] == round(y[0]) and x[0] == estimate.value[int(y[0])]:
            found[int(y[0])] = line
    return found


@pytest.mark.parametrize("n_window", [1, 4, 12])
@pytest.mark.parametrize("figsize", [None, (3.4, 9.0)], ids=["page", "column"])
def test_everything_is_on_the_page(n_window, figsize, parameter_picture, read):
    if figsize and n_window == 12:
        figsize = (3.4, 18.0)
    figure = plot_parameters(parameter_picture(n_window), figsize=figsize)
    read(figure).check_layout()
    assert len(figure.axes) == 3


def test_long_names_do_not_overlap(parameter_picture, read):
    names = [
        f"A window name that is as long as only chemists make them, number {i}" for i in "abcd"
    ]
    figure = plot_parameters(parameter_picture(window_names=names))
    read(figure).check_layout()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))


def test_windows_not_determined_are_hollow_and_named(parameter_picture, read):
    picture = parameter_picture()
    figure = plot_parameters(picture)
    for axes, estimate in zip(
        figure.axes, (picture.rate, picture.exponent, picture.half_dose), strict=True
    ):
        markers = value_markers(axes, estimate)
        hollow = [mcolors.same_color(markers[i].get_markerfacecolor(), "white") for i in range(4)]
        assert hollow == [False, False, False, True]
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows == ["π–π*\n(mixed response)", "C–C", "C–O", "M–O\n(D½ not determined)"]
    legend = read(figure).legend
    assert "estimate, D½ not determined" in legend
    assert "95 % posterior interval (arrow: open or beyond the axis)" in legend
    assert "±1 sd optimiser spread, not an uncertainty" in legend


def test_what_was_not_examined_is_said(parameter_picture, read):
    bare = {
        name: dataclasses.replace(
            getattr(parameter_picture(), name), lower=None, upper=None, spread=None
        )
        for name in ("rate", "exponent", "half_dose")
    }
    seen = read(plot_parameters(parameter_picture(identifiable=None, **bare)))
    assert "Whether the data determine D½ was not examined" in seen.text
    assert "(D½ not reached in range)" in seen.text
    assert not any("interval" in label or "spread" in label for label in seen.legend)


def test_intervals_are_bars_and_open_ends_arrows(parameter_picture):
    picture = parameter_picture()
    axes = plot_parameters(picture).axes[2]
    bars = {
        line.get_ydata()[0]: line.get_xdata() for line in axes.lines if line.get_linewidth() == 2
    }
    for i in range(3):
        assert_allclose(bars[i], [picture.half_dose.lower[i], picture.half_dose.upper[i]])
    arrows = [line for line in axes.lines if line.get_marker() == ">"]
    # The half dose of the last window is open; the second symbol style is no triangle.
    assert [line.get_ydata()[0] for line in arrows] == [3]
    assert_allclose(arrows[0].get_xdata(), axes.get_xlim()[1])


def test_scales(parameter_picture):
    figure = plot_parameters(parameter_picture())
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear", "log"]
    assert figure.axes[0].get_ylim()[0] > figure.axes[0].get_ylim()[1]  # first window on top
    narrow = Estimate(value=[1.0, 1.1, 1.2, 1.3])
    assert plot_parameters(parameter_picture(rate=narrow)).axes[0].get_xscale() == "linear"


def test_a_huge_bound_does_not_squash_the_values(parameter_picture):
    rate = Estimate(value=[1.0, 2.0, 3.0, 4.0], lower=[0.5, 1, 2, 1e-9], upper=[2, 3, 4, 1e9])
    axes = plot_parameters(parameter_picture(rate=rate)).axes[0]
    left, right = axes.get_xlim()
    assert 0.1 < left < 0.5
    assert 4 < right < 20


def test_missing_values(parameter_picture, read):
    picture = parameter_picture()
    value = picture.half_dose.value.copy()
    value[[0, 2]] = np.nan
    half_dose = Estimate(
        value=value, lower=[1500.0, 900, np.nan, 100], upper=[np.inf, 1200, np.nan, np.inf]
    )
    seen = read(plot_parameters(dataclasses.replace(picture, half_dose=half_dose)))
    seen.check_layout()
    axes = seen.figure.axes[2]
    assert set(value_markers(axes, half_dose)) == {1, 3}
    assert [text.get_text() for text in axes.texts] == ["–"]
    assert seen.text.count("(D½ not reached in range)") == 2
    everything = Estimate(value=np.full(4, np.nan))
    empty = parameter_picture(rate=everything, exponent=everything, half_dose=everything)
    assert read(plot_parameters(empty)).text.count("(no data)") == 4


def test_range_of_the_data_is_marked_beside_half_dose(parameter_picture, read):
    assert "beyond the measured doses" in read(plot_parameters(parameter_picture())).legend
    unknown = plot_parameters(parameter_picture(dose_max=None))
    assert "beyond the measured doses" not in read(unknown).legend
