# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools as windows of Qt, without a screen."""

import importlib.util
import os

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("ETS_TOOLKIT", "qt")
if importlib.util.find_spec("hyperspy_gui_traitsui") is None:
    pytest.skip("needs hyperspy_dosekin[gui-traitsui]", allow_module_level=True)
pytest.importorskip("PySide6.QtWidgets", reason="Qt does not start here", exc_type=ImportError)

from hyperspy_dosekin.data import dose_series, dose_series_image
from hyperspy_dosekin.gui.tools import ClassificationExplorer, DoseKineticsTool
from tests.gui.classified import make_result
from tests.patience import EVENT


def processed_events():
    from PySide6.QtWidgets import QApplication

    for _ in range(20):
        QApplication.processEvents()


@pytest.fixture
def window():
    """A window that is closed at the end, and what it shows."""
    opened = []

    def show(thing, **options):
        shown = getattr(thing, options.pop("method", "dose_kinetics_tool"))(
            display=False, toolkit="traitsui", **options
        )
        assert set(shown) == {"traitsui"}
        panel = shown["traitsui"]["widget"]
        opened.append(panel.edit_traits())
        processed_events()
        return panel, opened[-1]

    yield show
    for ui in opened:
        ui.dispose()


def pixels(ui):
    processed_events()
    image = ui.control.grab().toImage()
    return np.frombuffer(image.constBits(), np.uint8).copy()


def test_kinetics_tool_is_typed_in_pressed_and_closed(window, tmp_path):
    panel, ui = window(dose_series(seed=4, processed=True))
    tool = panel.tool
    assert isinstance(tool, DoseKineticsTool)
    before = pixels(ui)
    panel.lines[1].right = 8.0
    assert tool.windows.as_dict()["C–C"] == (4.0, 8.0)
    assert not np.array_equal(pixels(ui), before), "the figures follow"
    panel.lines[1].left = 9.0
    assert "must be smaller" in panel.text
    panel.lines[1].name = "carbon"
    assert tool.fit.slower == "carbon"
    assert "carbon" in panel.text
    panel.undo = panel.undo = True
    assert tool.windows.as_dict()["C–C"] == (4.0, 7.0)
    panel.remove = True
    assert "click on its line" in panel.text
    panel.chosen = panel.lines[0]
    panel.remove = True
    assert len(tool.windows.names) == 3
    panel.code = True
    assert "fit_dose_pinn" in panel.shown_code
    panel.apply = True
    tool.path = str(tmp_path / "kept.hspy")
    panel.save = True
    assert (tmp_path / "kept.hspy").exists()
    panel.network = True
    assert tool.worker.wait(EVENT)
    assert tool.network is not None


def test_fields_take_a_decimal_comma(window):
    from traitsui.testing.api import KeyClick, KeySequence, UITester

    panel, ui = window(dose_series(seed=4))
    panel.tool.dose.source = "rate"
    field = UITester().find_by_name(ui, "dose_rate")
    for typed in (*[KeyClick("Backspace")] * 5, KeySequence("3,5"), KeyClick("Enter")):
        field.perform(typed)
    assert panel.tool.dose.dose_rate == 3.5


def test_image_has_a_navigator(window):
    panel, _ = window(dose_series_image(seed=1, shape=(3, 5), processed=True))
    assert set(panel.figures) == {"spectra", "curves", "growing", "navigator"}
    panel.tool.region.go_to((2, 1))
    assert "pixel (2, 1)" in panel.text


def test_closing_the_window_closes_the_tool():
    panel = dose_series(seed=4, processed=True).dose_kinetics_tool(
        display=False, toolkit="traitsui"
    )["traitsui"]["widget"]
    ui = panel.edit_traits()
    ui.dispose()
    assert panel.tool._closed
    assert not any(figure.alive for figure in panel.figures.values())


def test_explorer_follows_the_state(window):
    panel, ui = window(make_result(), method="explore")
    assert isinstance(panel.tool, ClassificationExplorer)
    before = pixels(ui)
    panel.tool.select(0, 0)
    assert not np.array_equal(pixels(ui), before)


def test_folder_is_followed(window, tmp_path):
    s = dose_series(seed=4, processed=True)
    panel, ui = window(s)
    tool = panel.tool
    for place in range(4):
        s.inav[place].save(tmp_path / f"frame {place}.hspy")
    tool.following.trait_set(folder=str(tmp_path), settle=0.05)
    before = pixels(ui)
    panel.follow = True
    while tool.following.live.n_frames < 4:
        tool.worker.wait(0.01)
        tool.worker.tell()
    panel.stop = True
    assert tool.worker.wait(EVENT)
    assert "4 frames" in panel.text
    assert len(panel.figures["growing"].figure.axes) == 2
    assert not np.array_equal(pixels(ui), before), "the figure is there"
    panel.code = True
    assert "live.watch(" in panel.shown_code


def test_a_folder_is_followed(window, tmp_path):
    s = dose_series(seed=4)
    panel, ui = window(s.deepcopy())
    tool = panel.tool
    tool.dose.trait_set(source="rate", dose_rate=3.45, frame_time=44.0)
    tool.following.trait_set(folder=str(tmp_path), settle=0.05)

    def arrive(places):
        for place in places:
            s.inav[place].save(tmp_path / f"frame {place}.hspy")

    def until(condition):
        for _ in range(int(EVENT * 100)):
            processed_events()
            if condition():
                return
            tool.worker.wait(0.01)
        raise AssertionError(panel.text)

    arrive(range(4))
    before = pixels(ui)
    panel.follow = True
    until(lambda: tool.following.live is not None and tool.following.live.n_frames == 4)
    until(lambda: tool.following.picture is not None)
    arrive(range(4, 9))
    until(lambda: tool.following.live.n_frames == 9)
    until(lambda: tool.following.picture.areas.shape[1] == 9)
    after = pixels(ui)
    assert after.shape != before.shape or (after != before).any()
    panel.stop = True
    until(lambda: not tool.worker.running)
    until(lambda: tool.following.result is not None)
    assert tool.result is tool.following.result
