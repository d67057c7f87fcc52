# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder that the tool follows, without widgets."""

from pathlib import Path

import numpy as np
import pytest

from hyperspy_dosekin import load
from hyperspy_dosekin.gui.kinetics.following import exposure_of, steps_of_frames
from hyperspy_dosekin.gui.tools import DoseKineticsTool
from tests.patience import EVENT
from tests.signals.live.frames import RATE, TIME, WINDOWS, counts, offline, same


@pytest.fixture(scope="module")
def series():
    s = counts(12)
    s.axes_manager[0].name = "frame"
    return s


@pytest.fixture
def tool(series, tmp_path):
    tool = DoseKineticsTool(series.deepcopy(), WINDOWS)
    tool.dose.trait_set(dose_rate=RATE, frame_time=TIME)
    folder = tmp_path / "run 3"
    folder.mkdir()
    tool.following.trait_set(folder=str(folder), settle=0.05)
    yield tool
    tool.close()
    assert tool.worker.wait(EVENT)


def arrive(tool, series, places):
    """Whole files: one written in the folder might rest for longer than it takes to settle."""
    folder = Path(tool.following.folder)
    for place in places:
        beside = folder.parent / f"frame {place}.hspy"
        series.inav[place].save(beside)
        beside.replace(folder / beside.name)


def until(tool, condition):
    """Wait as a notebook does, where the event loop tells."""
    for _ in range(int(EVENT * 100)):
        tool.worker.tell()
        if condition():
            return
        tool.worker.wait(0.01)
    raise AssertionError(tool.message)


def test_frames_arrive_are_shown_and_fitted(tool, series, tmp_path):
    pictures = []
    tool.following.observe(lambda event: pictures.append(event.new), "picture")
    arrive(tool, series, range(3))
    tool.follow_folder()
    assert tool.level == "info", tool.message
    until(tool, lambda: tool.following.live.n_frames == 3)
    assert tool.worker.running
    # Windows may be moved meanwhile; those that are followed stay.
    tool.windows.set_limits("C–C", 4.0, 6.0)
    arrive(tool, series, range(3, 12))
    until(tool, lambda: tool.following.live.n_frames == 12)
    tool.stop()
    until(tool, lambda: not tool.worker.running)
    tool.worker.tell()
    assert pictures[-1].areas.shape == (3, 12)
    assert tool.result is tool.following.result
    assert not hasattr(tool.signal, "dose_kinetics"), "these are no frames of the signal"
    hierarchy = [("C–O", "C–C")]
    same(tool.result, offline(series, estimator="exact", hierarchy=hierarchy), rtol=1e-6)
    assert "tool.result" in tool.message
    # What Show code gives is the same.
    names = {}
    exec(tool.code.replace("settle=0.05", "settle=0.05, timeout=0.2"), names)
    same(names["result"], tool.result)
    tool.path = str(tmp_path / "followed.hspy")
    tool.save()
    same(load(tool.path), tool.result)
    tool.apply()
    assert "live.watch" not in tool.code


def test_rules_end_it_and_frames_are_kept(tool, series, tmp_path):
    step = RATE * TIME
    tool.following.trait_set(dose=5.4 * step, store=str(tmp_path / "kept.zspy"))
    arrive(tool, series, range(12))
    tool.follow_folder()
    until(tool, lambda: not tool.worker.running)
    assert tool.following.live.stopped_by
    assert "STOP" in tool.message
    assert tool.worker.fraction == 1
    kept = load_signal(tmp_path / "kept.zspy")
    np.testing.assert_array_equal(kept.data[:5], series.data[:5])


def load_signal(path):
    import hyperspy.api as hs

    return hs.load(path, lazy=True)


def test_broken_files_are_told(tool, series):
    arrive(tool, series, range(4))
    broken = f"{tool.following.folder}/frame 4.hspy"
    with open(broken, "wb") as file:
        file.write(b"no HDF5")
    arrive(tool, series, range(5, 7))
    tool.follow_folder()
    until(tool, lambda: tool.following.live.n_frames == 6)
    until(tool, lambda: "Frame 4 is not used" in tool.message)
    tool.stop()
    until(tool, lambda: not tool.worker.running)
    assert tool.following.live.dose[-1] == pytest.approx(7 * RATE * TIME)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folder": ""}, "type the name of the folder"),
        ({"folder": "/nowhere at all"}, "is no folder"),
        ({"pattern": " ; "}, "names of the files"),
        ({"precision": -1.0}, "above zero"),
        ({"dose": float("nan")}, "above zero"),
        ({"store": "frames.hspy"}, "zspy"),
    ],
)
def test_what_cannot_be_followed_is_said(tool, changes, message):
    tool.following.trait_set(**changes)
    tool.follow_folder()
    assert tool.level == "error"
    assert message in tool.message.lower() or message in tool.message
    assert not tool.worker.running


def test_one_thing_at_a_time(tool, series):
    tool.follow_folder()
    live = tool.following.live
    tool.follow_folder()
    assert "still running" in tool.message
    assert tool.following.live is live


def test_too_few_frames_are_no_fit(tool, series):
    arrive(tool, series, range(1))
    tool.follow_folder()
    until(tool, lambda: tool.following.live.n_frames == 1)
    tool.stop()
    until(tool, lambda: not tool.worker.running)
    assert tool.result is None
    assert "no fit" in tool.message


def test_doses_of_the_signal_go_on(series):
    s = series.deepcopy()
    s.set_dose_axis(dose_rate=RATE, frame_time=TIME, pre_exposure=20.0)
    tool = DoseKineticsTool(s, WINDOWS)
    found = exposure_of(tool.dose)
    assert found["dose_rate"] * found["frame_time"] == pytest.approx(RATE * TIME)
    assert found["pre_exposure"] == pytest.approx(20)
    assert found["dose_unit"] == "e⁻/Å²"
    tool.dose.trait_set(source="rate", dose_rate=1.0, frame_time=2.0, at="middle")
    with pytest.raises(ValueError, match="end"):
        exposure_of(tool.dose)
    tool.close()
    s = series.deepcopy()
    s.set_dose_axis(np.geomspace(10, 1000, 12))
    tool = DoseKineticsTool(s, WINDOWS)
    with pytest.raises(ValueError, match="dose rate × frame time"):
        exposure_of(tool.dose)
    tool.close()


def test_steps_of_the_processing_that_a_frame_allows(series):
    tool = DoseKineticsTool(series.deepcopy(), WINDOWS)
    assert steps_of_frames(tool.processing) is None
    tool.processing.on = True
    assert steps_of_frames(tool.processing) == ["pedestal", "align", "normalise"]
    tool.processing.dark = tool.processing.normalise = False
    assert steps_of_frames(tool.processing) == ["align"]
    tool.close()
