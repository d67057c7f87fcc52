# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose

from hyperspy_dosekin.plotting import plot_fit, plot_integrity

LONG_NAMES = (
    "Ligand π–π* transitions of the carboxylate-bridged terephthalate linker",
    "C–C",
    "Window_name_of_more_than_forty_letters_without_any_break",
    "M–O",
)
SIZES = [
    pytest.param({}, None, id="four"),
    pytest.param({"n_window": 1}, None, id="one"),
    pytest.param({"n_window": 12}, None, id="twelve"),
    pytest.param({"window_names": LONG_NAMES}, None, id="long-names"),
    pytest.param({"extent": 1.5, "title": "A title that says much " * 6}, None, id="long-title"),
    pytest.param({"extent": 1.5}, (3.4, 6.8), id="paper-column"),
]


def curves_of(axes, picture):
    """Drawn lines that follow a row of `picture.integrity`, by window."""
    found = {}
    for line in axes.lines:
        x, y = line.get_data()
        for index, curve in enumerate(picture.integrity):
            if len(x) == curve.size and np.array_equal(y, curve):
                found[index] = line
    return found


@pytest.mark.parametrize("plot", [plot_integrity, plot_fit])
@pytest.mark.parametrize(("options", "figsize"), SIZES)
def test_everything_is_on_the_page(plot, options, figsize, curve_picture, read):
    figure = plot(curve_picture(**options), figsize=figsize)
    read(figure).check_layout()


@pytest.mark.parametrize("plot", [plot_integrity, plot_fit])
def test_caveats_are_in_the_figure(plot, curve_picture, read):
    seen = read(plot(curve_picture()))
    assert "labels of fixed energy windows, not bond assignments" in seen.text
    assert "D½ not determined" in seen.text
    assert "optimiser spread, not an uncertainty" in seen.text
    assert "monotonic coordinate" in seen.text
    assert seen.text.count("grows: mixed response") == 1
    assert "was not examined" not in seen.text


@pytest.mark.parametrize("plot", [plot_integrity, plot_fit])
def test_figure_says_what_was_not_examined(plot, curve_picture, read):
    figure = plot(curve_picture(identifiable=None, grows=None))
    text = read(figure).text
    assert "Whether the data determine D½ was not examined" in text
    assert "mixed response" not in text.lower()
    # Of the slowest window, the law reaches ½ far beyond the data.
    assert "not reached in range" in text


def test_only_determined_windows_are_solid_and_have_a_half_dose(curve_picture):
    picture = curve_picture()
    axes = plot_integrity(picture).axes[0]
    styles = {i: line.get_linestyle() for i, line in curves_of(axes, picture).items()}
    assert styles == {0: "-", 1: "-", 2: "-", 3: "--"}
    markers = [line.get_xdata()[0] for line in axes.lines if line.get_markersize() == 9]
    assert_allclose(sorted(markers), sorted(picture.half_dose[:3]))


def test_windows_differ_in_colour_and_symbol(curve_picture):
    picture = curve_picture(n_window=12)
    lines = curves_of(plot_integrity(picture).axes[0], picture).values()
    assert len({str(line.get_color()) for line in lines}) == 12
    assert len({line.get_marker() for line in lines}) == 12


def test_open_interval_of_half_dose_ends_in_an_arrow(curve_picture):
    picture = curve_picture()
    assert picture.half_dose_upper[3] == np.inf
    axes = plot_integrity(picture).axes[0]
    arrows = [line for line in axes.lines if line.get_marker() == ">"]
    assert [line.get_xdata()[0] for line in arrows] == [picture.grid[-1]]
    closed = curve_picture(half_dose_upper=np.full(4, 1300.0), half_dose_lower=np.zeros(4))
    markers = [line.get_marker() for line in plot_integrity(closed).axes[0].lines]
    assert markers.count(">") == 0
    assert markers.count("<") == 4


def test_legend_prints_no_half_dose_that_is_not_determined(curve_picture, read):
    picture = curve_picture()
    legend = read(plot_integrity(picture)).legend
    assert legend[1] == "C–C: D½ = 1070 (904–1270)"
    assert legend[3].replace("\u00a0", " ") == "M–O: D½ not determined (> 182)"


def test_spread_and_interval_are_drawn_differently(curve_picture, read):
    both = plot_integrity(curve_picture())
    assert len(both.axes[0].collections) == 4
    assert "95 % posterior interval of C" in read(both).legend
    spread_only = plot_integrity(
        curve_picture(
            integrity_lower=None, integrity_upper=None, half_dose_lower=None, half_dose_upper=None
        )
    )
    # An optimiser spread never becomes a filled band.
    assert not spread_only.axes[0].collections
    legend = read(spread_only).legend
    assert "±1 sd optimiser spread, not an uncertainty" in legend
    assert not any("interval" in label for label in legend)


def test_method_and_level_name_the_interval(curve_picture, read):
    legend = read(plot_integrity(curve_picture(level=0.68, interval_method="profile"))).legend
    assert "68 % profile interval of D½" in legend


@pytest.mark.parametrize(("extent", "expected"), [(1.0, False), (1.5, True)])
def test_extrapolation_is_marked(extent, expected, curve_picture, read):
    picture = curve_picture(extent=extent)
    assert ("extrapolated by the law" in read(plot_integrity(picture)).text) is expected
    assert ("extrapolated by the law" in read(plot_fit(picture)).text) is expected


@pytest.mark.parametrize("plot", [plot_integrity, plot_fit])
def test_missing_numbers(plot, curve_picture, read):
    picture = curve_picture(extent=1.5)
    values, half_dose = picture.values.copy(), picture.half_dose.copy()
    values[1, 3] = np.nan
    values[2] = np.nan
    half_dose[0] = np.nan
    picture = dataclasses.replace(
        picture,
        values=values,
        half_dose=half_dose,
        half_dose_lower=None,
        half_dose_upper=None,
        reached=[False, True, True, True],
    )
    seen = read(plot(picture))
    seen.check_layout()
    assert "D½ not reached in range" in seen.text
    assert "no data" in seen.text
    assert "nan" not in seen.text.lower()


def test_all_windows_without_data(curve_picture, read):
    picture = curve_picture(values=np.full((4, 9), np.nan))
    seen = read(plot_integrity(picture))
    assert "no data" in seen.text
    assert not curves_of(seen.figure.axes[0], picture)


def test_given_axes_keep_their_figure_and_get_the_caveats(curve_picture, read):
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5))
    assert plot_integrity(curve_picture(), axes=axes[0]) is figure
    seen = read(figure)
    seen.check_layout()
    assert "not bond assignments" in seen.text
    assert not axes[1].lines


@pytest.mark.parametrize("plot", [plot_integrity, plot_fit])
def test_given_figure_is_used(plot, curve_picture):
    figure = plt.figure()
    assert plot(curve_picture(), fig=figure, figsize=(8, 7)) is figure
    assert tuple(figure.get_size_inches()) == (8, 7)
    assert plt.get_fignums() == [figure.number]


def test_subfigures_side_by_side(curve_picture, read):
    figure = plt.figure(figsize=(12, 6), layout="constrained")
    left, right = figure.subfigures(1, 2)
    plot_integrity(curve_picture(), fig=left)
    plot_fit(curve_picture(), fig=right)
    assert len(left.axes) == 1
    assert len(right.axes) == 8
    read(figure).check_layout()


def test_fit_has_a_panel_and_a_strip_for_each_window(curve_picture):
    picture = curve_picture()
    axes = plot_fit(picture).axes
    assert len(axes) == 8
    assert len(plot_fit(picture, residuals=False).axes) == 4
    assert [a.get_title(loc="left") for a in axes[::2]] == list(picture.window_names)
    assert axes[0].get_ylabel().replace("\n", " ") == "Window area (counts)"
    assert axes[-1].get_xlabel() == "Cumulative dose (e⁻/Å²)"
    # Two by two: first and third window share the left edge.
    assert axes[0].get_subplotspec().colspan == axes[4].get_subplotspec().colspan


def test_fit_shows_data_with_their_noise(curve_picture, read):
    picture = curve_picture()
    axes = plot_fit(picture).axes
    for index, panel in enumerate(axes[::2]):
        points, _, (bars,) = panel.containers[0]
        assert_allclose(points.get_ydata(), picture.values[index])
        lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
        assert_allclose(lengths, 2 * picture.sigma[index])
    figure = plot_fit(dataclasses.replace(picture, sigma=None))
    assert "data" in read(figure).legend
    assert figure.axes[1].get_ylabel() == "Δ"


def test_the_line_runs_through_data_without_what_frames_share(curve_picture, read):
    picture = curve_picture(grid=152.0 * np.arange(10), **_on_doses(curve_picture))
    assert "frames share" not in read(plot_fit(picture)).text
    shared = np.outer(np.arange(4.0), np.linspace(5, -5, 9))
    moved = dataclasses.replace(picture, values=picture.values + shared, shared=shared)
    figure = plot_fit(moved)
    assert "without the errors that frames share" in read(figure).text
    assert "as measured" in read(figure).legend
    for index, (panel, strip) in enumerate(zip(figure.axes[::2], figure.axes[1::2], strict=True)):
        assert_allclose(panel.lines[0].get_ydata(), moved.values[index])
        assert_allclose(panel.containers[0][0].get_ydata(), picture.values[index])
        expected = (picture.values[index] - picture.fitted[index, 1:]) / picture.sigma[index]
        assert_allclose(strip.lines[-1].get_ydata(), expected, atol=1e-9)


def test_residual_is_data_minus_fit_in_noise_units(curve_picture):
    # On the grid itself, so that interpolation is exact.
    picture = curve_picture(grid=152.0 * np.arange(10), **_on_doses(curve_picture))
    axes = plot_fit(picture).axes
    for index, strip in enumerate(axes[1::2]):
        drawn = strip.lines[-1].get_ydata()
        expected = (picture.values[index] - picture.fitted[index, 1:]) / picture.sigma[index]
        assert_allclose(drawn, expected)
        assert np.abs(drawn).max() < strip.get_ylim()[1]


def _on_doses(curve_picture):
    """Curves of the picture, taken at dose 0 and at the measured doses only."""
    picture = curve_picture()
    taken = {}
    for name in ("fitted", "integrity", "fitted_spread", "integrity_spread"):
        rows = getattr(picture, name)
        grid = 152.0 * np.arange(10)
        taken[name] = np.array([np.interp(grid, picture.grid, row) for row in rows])
    return {**taken, "integrity_lower": None, "integrity_upper": None}
