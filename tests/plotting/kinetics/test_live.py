# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawings that change in place."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hyperspy_dosekin.plotting.kinetics.live import CurvePanels, Frames, LiveCurve, plain_number

GRID = np.linspace(0.0, 900.0, 31)
DOSE = np.linspace(100.0, 900.0, 5)


def curve(**changes):
    fitted = 5.0 - GRID / 300
    made = LiveCurve(
        name="a",
        dose=DOSE,
        values=5.0 - DOSE / 300,
        sigma=np.full(DOSE.size, 0.1),
        grid=GRID,
        fitted=fitted,
        lower=fitted - 0.2,
        upper=fitted + 0.2,
        half_dose=450.0,
        half_dose_lower=300.0,
        half_dose_upper=600.0,
        half_value=3.5,
        identifiable=True,
        reached=True,
    )
    return replace(made, **changes)


@pytest.fixture
def panels():
    return CurvePanels(plt.figure(figsize=(9, 3)), "Window area (counts)")


def test_data_change_in_the_same_axes(panels):
    panels.update([curve(), curve(name="b")])
    axes, line = panels.figure.axes[0], panels.panels[0].fit_line
    assert line.get_ydata()[0] == 5.0
    assert axes.get_ylabel().startswith("Window area")
    panels.update([curve(fitted=7.0 + 0 * GRID), curve(name="c")])
    assert panels.figure.axes[0] is axes
    assert line.get_ydata()[0] == 7.0
    assert panels.figure.axes[1].get_title(loc="left") == "c"
    assert len(axes.collections) == 2, "one band and one set of bars, not one more each time"
    panels.update([curve()])
    assert len(panels.figure.axes) == 1
    panels.update([curve() for _ in range(7)])
    assert len({axes.get_position().y0 for axes in panels.figure.axes}) == 2, "two rows"


def test_data_without_what_frames_share(panels):
    plain = curve()
    panels.update([curve(values=plain.values + 2.0, shared=np.full_like(plain.values, 2.0))])
    measured, points = panels.panels[0]._measured, panels.panels[0]._points
    np.testing.assert_allclose(measured.get_ydata(), plain.values + 2.0)
    np.testing.assert_allclose(points.get_ydata(), plain.values)
    panels.update([plain])
    assert len(measured.get_ydata()) == 0


def test_half_dose_with_its_interval(panels):
    panels.update([curve()])
    panel = panels.panels[0]
    assert panel._half.get_xdata()[0] == 450.0
    assert list(panel._half_line.get_xdata()) == [300.0, 600.0]
    assert [end.get_marker() for end in panel._ends] == ["|", "|"]
    panels.update([curve(identifiable=False, half_dose_upper=np.inf)])
    assert len(panel._half.get_xdata()) == 0
    assert panel._half_line.get_linestyle() == "--"
    assert [end.get_marker() for end in panel._ends] == ["|", ">"]
    assert panel._ends[1].get_xdata()[0] < panel.axes.get_xlim()[1]
    assert "not determined" in panel._status.get_text()
    panels.update([curve(half_dose=2000.0, half_dose_lower=1500.0, reached=False)])
    assert len(panel._half_line.get_xdata()) == 0
    assert "extrapolated" in panel._status.get_text()


def test_nothing_to_draw_is_no_error(panels):
    nan = np.full(GRID.size, np.nan)
    values = np.full(DOSE.size, np.nan)
    numbers = {f"half_dose{end}": np.nan for end in ("", "_lower", "_upper")}
    panels.update(
        [
            curve(
                values=values,
                fitted=nan,
                lower=nan,
                upper=nan,
                sigma=None,
                half_value=np.nan,
                identifiable=False,
                **numbers,
            )
        ]
    )
    panels.figure.canvas.draw()
    assert panels.panels[0]._status.get_text() == "no estimate"
    panels.update([])
    assert panels.figure.axes == []


def test_other_fit_comes_and_goes(panels):
    panels.update([curve(other=3.0 + 0 * GRID)])
    assert panels.panels[0]._other.get_ydata()[0] == 3.0
    panels.update([curve()])
    assert len(panels.panels[0]._other.get_ydata()) == 0


def test_frames_are_coloured_by_dose():
    figure, (axes, bar) = plt.subplots(1, 2)
    frames = Frames(axes, bar)
    energy = np.linspace(-3, 20, 11)
    frames.update(
        energy, np.arange(33.0).reshape(3, 11), np.array([10.0, 20.0, 40.0]), "Dose (MGy)"
    )
    assert [len(segment) for segment in frames.lines.get_segments()] == [11, 11, 11]
    lightness = np.array(frames.lines.get_color())[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(lightness) > 0.05), "told apart without seeing colours"
    assert bar.get_ylim() == (10.0, 40.0)
    assert bar.get_ylabel() == "Dose (MGy)"
    frames.update(energy[:7], np.ones((2, 7)), np.array([1.0, 2.0]), "Frame")
    assert bar.get_ylabel() == "Frame"
    assert bar.get_ylim() == (1.0, 2.0)
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0125, "0.0125"), (-2.0, "\u22122"), (1.25e7, "1.25e7"), (3e-7, "3e\u22127"), (0.0, "0")],
)
def test_numbers_of_ticks_are_short(value, text):
    assert plain_number(value) == text
