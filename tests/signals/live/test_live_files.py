# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import importlib.util
import os
import re
import threading

import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin import LiveKinetics
from tests.patience import EVENT
from tests.signals.live.frames import RATE, TIME, WINDOWS, counts, frame, same, watched

pytest.importorskip("zarr")
#: With watchdog, too, where it is installed.
NOTICE = [False, *([True] if importlib.util.find_spec("watchdog") else [])]
OPTIONS = {"dose_rate": RATE, "frame_time": TIME, "estimator": "exact"}


def alike(first, second):
    assert first.n_frames == second.n_frames
    np.testing.assert_array_equal(first.dose, second.dose)
    np.testing.assert_array_equal(first.series.data, second.series.data)
    one, other = (each.series.get_noise_variance() for each in (first, second))
    assert (one is None) == (other is None)
    if one is not None:
        np.testing.assert_array_equal(one.data, other.data)
    assert first.report.broken == second.report.broken or len(first.report.broken) == len(
        second.report.broken
    )
    assert first.report.missing == second.report.missing


@pytest.mark.parametrize("space", [(), (3, 2)])
def test_state_goes_on_where_it_was(tmp_path, space):
    s = counts(10, space=space)
    live = LiveKinetics(WINDOWS, **OPTIONS, offset=[2e3, 3e3, 2e3], stop_when={"dose": 1400})
    for place in (0, 1, 3, 2, 5):
        live.update(frame(s, place), index=place)
    live.update(np.zeros(300), index=6)
    live.save(tmp_path / "state.hspy")
    again = LiveKinetics.load(tmp_path / "state.hspy")
    alike(live, again)
    for each in (live, again):
        for place in (7, 8):
            each.update(frame(s, place))
    alike(live, again)
    assert again.stopped_by == live.stopped_by == "the dose of 1400 is spent"
    same(live.result(), again.result(), rtol=1e-12)


def test_state_of_processed_frames_keeps_their_errors(tmp_path):
    import hyperspy_dosekin

    s = hyperspy_dosekin.data.dose_series(processed=True)
    live = LiveKinetics(**OPTIONS)
    for place in range(6):
        live.update(s.inav[place])
    live.save(tmp_path / "state.zspy")
    same(live.result(), LiveKinetics.load(tmp_path / "state.zspy").result(), rtol=1e-12)


def test_what_a_file_cannot_hold_is_asked_for(tmp_path):
    s = counts(3)
    live = LiveKinetics(WINDOWS, **OPTIONS, stop_when=lambda posterior: None)
    live.update(frame(s, 0))
    live.save(tmp_path / "state.hspy")
    with pytest.raises(ValueError, match="stop_when"):
        LiveKinetics.load(tmp_path / "state.hspy")
    assert LiveKinetics.load(tmp_path / "state.hspy", stop_when=None).n_frames == 1


def test_other_files_are_refused(tmp_path):
    s = counts(3)
    frame(s, 0).save(tmp_path / "frame.hspy")
    with pytest.raises(ValueError, match=r"LiveKinetics\.save"):
        LiveKinetics.load(tmp_path / "frame.hspy")
    frame(s, 0).save(tmp_path / "frame.zspy")
    with pytest.raises(ValueError, match="store="):
        LiveKinetics.resume(tmp_path / "frame.zspy")
    with pytest.raises(FileNotFoundError):
        LiveKinetics.resume(tmp_path / "nothing.zspy")
    with pytest.raises(FileExistsError, match="resume"):
        LiveKinetics(WINDOWS, **OPTIONS, store=tmp_path / "frame.zspy")
    with pytest.raises(ValueError, match="zspy"):
        LiveKinetics(WINDOWS, **OPTIONS, store=tmp_path / "frame.hspy")


@pytest.mark.parametrize("kind", ["signals", "arrays", "maps", "areas"])
def test_store_holds_every_frame(tmp_path, kind):
    s = counts(8, space=(3, 2) if kind == "maps" else ())
    path = tmp_path / "run.zspy"
    axis = s.axes_manager[-1] if kind == "arrays" else None
    live = LiveKinetics(WINDOWS, **OPTIONS, store=path, energy_axis=axis)
    areas = watched(s).series.data if kind == "areas" else None

    def one(place):
        if kind == "areas":
            return areas[:, place]
        return s.data[place] if kind == "arrays" else frame(s, place)

    live.update("its file cannot be read", index=0)
    for place in (1, 2, 4, 3, 4, 7):
        live.update(one(place), index=place)
    live.update(np.zeros(9), index=6)
    again = LiveKinetics.resume(path)
    alike(live, again)
    assert again.report.late == (3,)
    assert list(again.report.broken) == [0, 6]
    assert list(again.report.doubled) == [4]
    # The raw frames of broken ones are there.
    assert {each.name for each in (path / "broken").iterdir()} >= {"000006.npy"}
    again.update(one(5), index=5)
    whole = hs.load(path)
    assert whole.data.shape[0] == 8
    for place in (1, 2, 3, 4, 5, 7):
        np.testing.assert_array_equal(
            whole.data[place], np.asarray(getattr(one(place), "data", one(place)))
        )
    if kind != "areas":
        doses = whole.axes_manager["dose"].axis
        np.testing.assert_allclose(doses, RATE * TIME * np.arange(1, 9))
    assert LiveKinetics.resume(path).n_frames == 6


@pytest.mark.parametrize("kept", range(1, 40, 6))
def test_a_last_line_that_was_cut_off_takes_no_other_along(tmp_path, kept):
    """Wherever it was cut, with doses that only the lines hold."""
    path = tmp_path / "run.zspy"
    live = LiveKinetics([(1, 3), (4, 6)], estimator="exact", store=path)
    doses = [10.0, 25.0, 35.0, 60.0, 61.0]
    for number in range(3):
        live.update([100.0 - number, 50.0], dose=doses[number])
    lines = (path / "live.jsonl").read_bytes().splitlines(keepends=True)
    cut = len(b"".join(lines)) - len(lines[-1]) + min(kept, len(lines[-1]) - 1)
    os.truncate(path / "live.jsonl", cut)
    again = LiveKinetics.resume(path)
    whole = kept >= len(lines[-1]) - 1
    # Its areas are there, but not its dose.
    assert list(again.report.broken) == ([] if whole else [2])
    again.update([97.0, 50.0], dose=doses[3])
    if not whole:
        again.update([98.0, 50.0], dose=doses[2], index=2)
    last = LiveKinetics.resume(path)
    assert last.dose.tolist() == again.dose.tolist() == doses[:4]
    assert last.series.data.tolist() == again.series.data.tolist()


def test_what_is_no_line_of_a_frame_is_passed_over(tmp_path):
    s, path = counts(5), tmp_path / "run.zspy"
    live = watched(s, range(4), estimator="exact", store=path)
    with (path / "live.jsonl").open("ab") as file:
        file.write(b'5\n[]\n{}\n{"index": "2"}\n{"index": 77}\n\xff\xfe\n{"index": true}\n')
    alike(live, LiveKinetics.resume(path))


def test_a_frame_without_its_line_is_found(tmp_path):
    """Files whose last lines did not reach the disk."""
    s, path = counts(5), tmp_path / "run.zspy"
    live = watched(s, range(4), estimator="exact", store=path)
    lines = (path / "live.jsonl").read_text(encoding="utf-8").splitlines()
    (path / "live.jsonl").write_text("\n".join(lines[:2]) + "\n" + lines[2][:5], encoding="utf-8")
    again = LiveKinetics.resume(path)
    alike(live, again)
    again.update(frame(s, 4))
    assert again.n_frames == LiveKinetics.resume(path).n_frames == 5


@pytest.mark.parametrize("notice", NOTICE)
@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_a_folder_is_watched(tmp_path, extension, notice):
    s = counts(12)
    for place in range(3):
        frame(s, place).save(tmp_path / f"run {place}.{extension}")
    (tmp_path / "notes.txt").write_text("no frame")
    live = LiveKinetics(WINDOWS, **OPTIONS)
    seen = live.watch(tmp_path, settle=0.05, poll=0.02, timeout=EVENT, notice=notice)
    assert [next(seen).n_frames for _ in range(3)] == [1, 2, 3]
    # Later ones, of which the tenth comes after the ninth.
    for place in (9, 10):
        frame(s, place).save(tmp_path / f"run {place}.{extension}")
    live.on_update = lambda posterior: posterior.n_frames == 5
    assert [posterior.n_frames for posterior in seen] == [4, 5]
    np.testing.assert_array_equal(live.series.data[:, 3:], watched(s, (9, 10)).series.data)


@pytest.mark.parametrize("notice", NOTICE)
def test_files_that_are_written_are_waited_for(tmp_path, notice):
    """A file grows in pieces; it is read when it is whole, and once."""
    s = counts(3)
    frame(s, 0).save(tmp_path / "whole.hspy")
    content = (tmp_path / "whole.hspy").read_bytes()
    growing = tmp_path / "folder"
    growing.mkdir()
    path = growing / "frame.hspy"
    live = LiveKinetics(WINDOWS, **OPTIONS, on_update=lambda posterior: True)
    third = len(content) // 3

    def write():
        with path.open("wb") as file:
            for piece in (content[:third], content[third : 2 * third], content[2 * third :]):
                file.write(piece)
                file.flush()
                threading.Event().wait(0.05)

    writer = threading.Thread(target=write)
    writer.start()
    found = list(live.watch(growing, settle=1.5, poll=0.02, timeout=EVENT, notice=notice))
    writer.join()
    assert len(found) == 1
    assert not live.report.broken


@pytest.mark.skipif(len(NOTICE) == 1, reason="watchdog is not installed")
def test_files_are_noticed_at_once(tmp_path):
    """By watchdog: the folder is looked at only once in a very long time."""
    s = counts(3)
    frame(s, 0).save(tmp_path / "0.hspy")
    live = LiveKinetics(WINDOWS, **OPTIONS)
    seen = live.watch(tmp_path, settle=0.05, poll=1e6, notice=True)
    assert next(seen).n_frames == 1
    frame(s, 1).save(tmp_path / "1.hspy")
    assert next(seen).n_frames == 2
    # Renamed to a name that counts, as programs do that write beside.
    frame(s, 2).save(tmp_path / ".hidden.hspy")
    os.replace(tmp_path / ".hidden.hspy", tmp_path / "2.hspy")
    assert next(seen).n_frames == 3
    seen.close()


def test_watching_ends_when_somebody_says_so(tmp_path):
    s = counts(3)
    frame(s, 0).save(tmp_path / "0.hspy")
    live, over = LiveKinetics(WINDOWS, **OPTIONS), threading.Event()
    seen = live.watch(tmp_path, settle=0.0, poll=0.01, until=over.is_set, notice=False)
    assert next(seen).n_frames == 1
    over.set()
    assert list(seen) == []
    assert not live.stop
    with pytest.raises(TypeError, match="until"):
        live.watch(tmp_path, until=3)


def test_files_that_cannot_be_read_are_broken_frames(tmp_path):
    s = counts(3)
    frame(s, 0).save(tmp_path / "1.hspy")
    (tmp_path / "2.hspy").write_bytes(b"no HDF5")
    frame(s, 2).save(tmp_path / "3.hspy")
    live = LiveKinetics(WINDOWS, **OPTIONS)
    list(live.watch(tmp_path, settle=0.0, poll=0.01, timeout=0.0, notice=False))
    assert live.n_frames == 2
    assert "2.hspy cannot be read" in live.report.broken[1]
    np.testing.assert_allclose(live.dose, RATE * TIME * np.array([1, 3]))


def test_watching_says_what_is_missing(tmp_path):
    live = LiveKinetics(WINDOWS, **OPTIONS)
    with pytest.raises(NotADirectoryError, match="nowhere"):
        live.watch(tmp_path / "nowhere")
    try:
        import watchdog  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"hyperspy_dosekin\[live\]"):
            list(live.watch(tmp_path, notice=True, timeout=0.0))


def test_a_file_of_several_frames(tmp_path):
    s = counts(5)
    s.save(tmp_path / "series.hspy")
    live = LiveKinetics(WINDOWS, **OPTIONS)
    list(live.watch(tmp_path, settle=0.0, poll=0.01, timeout=0.0))
    same(live.result(), watched(s, estimator="exact").result())


def test_the_one_loader_reads_it_too(tmp_path):
    import hyperspy_dosekin

    live = watched(counts(6), **{"stop_when": {"dose": 1400}, "estimator": "exact"})
    live.save(tmp_path / "state.hspy")
    again = hyperspy_dosekin.load(tmp_path / "state.hspy")
    assert isinstance(again, LiveKinetics)
    assert again.n_frames == 6
    np.testing.assert_allclose(again.dose, live.dose)
    np.testing.assert_array_equal(again.series.data, live.series.data)
    live = watched(counts(6), stop_when=lambda posterior: False)
    live.save(tmp_path / "function.hspy")
    with pytest.raises(ValueError, match=r"could not hold \['stop_when'\]"):
        hyperspy_dosekin.load(tmp_path / "function.hspy")


def test_killed_between_the_folder_of_a_frame_and_its_chunk(tmp_path):
    path = tmp_path / "frames.zspy"
    live = LiveKinetics([(1, 3), (4, 6)], store=path)
    for number in range(3):
        live.update([3.0 - number, 1.0], dose=10.0 * (number + 1))
    (chunk,) = (
        each
        for each in path.rglob("*")
        if each.is_file() and re.search(r"/data/2[./][\d./]+$", each.as_posix())
    )
    chunk.rename(chunk.with_name(f"{chunk.name}.0f3a.partial"))
    again = LiveKinetics.resume(path)
    assert again.n_frames == 2, "a frame without its chunk would be one of zeros"
    again.update([1.0, 1.0], dose=30.0)
    np.testing.assert_array_equal(LiveKinetics.resume(path).series.data[0], [3.0, 2.0, 1.0])
