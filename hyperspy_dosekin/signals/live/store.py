# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames on the disk as they come: a ``.zspy`` file that grows, frame by frame.

HyperSpy opens it at any time. A frame lies at the place of its number, so that frames that never
came are empty (0). Beside the data the folder has ``live.json``, the settings, ``live.jsonl``, one
line for each frame, and ``broken/``, frames that could not be used. The line is written first,
then the file is made longer, then a chunk is written beside and put in its place: a process that
is killed loses no frame that it was given before, and no frame is there without its dose.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import file_path
from hyperspy_dosekin.numerics.files import replaced_when_written

if TYPE_CHECKING:
    from os import PathLike

    from hyperspy.signals import BaseSignal

#: Version of the layout.
FORMAT = 1
_SETTINGS, _LINES, _BROKEN = "live.json", "live.jsonl", "broken"
_EXTRA = 'pip install "rosettasciio[zspy]"'


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise ImportError(
            f"store= writes .zspy files, which need zarr, which is not installed: {_EXTRA}."
        ) from error
    return zarr


class FrameStore:
    """A growing ``.zspy`` file.

    Parameters
    ----------
    path
        Its name.
    settings
        What `LiveKinetics.resume` needs to go on.
    """

    def __init__(self, path: object, settings: dict[str, object]) -> None:
        _zarr()
        self.path = file_path(path, "store")
        if self.path.suffix != ".zspy":
            raise ValueError(f"store={str(path)!r} must be the name of a .zspy file.")
        if self.path.exists():
            raise FileExistsError(
                f"store={str(path)!r} is there already; go on with LiveKinetics.resume, or take "
                "another name."
            )
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {self.path.parent} to write frames to.")
        self._settings = settings
        self._array: Any = None
        self._group: Any = None
        # Broken frames that came before there was a file.
        self._early: list[tuple[int, object, dict[str, object]]] = []

    @classmethod
    def opened(cls, path: str | PathLike[str]) -> FrameStore:
        """A store that is there, and mended where its process was killed.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is none, or it is another file.
        """
        store = object.__new__(cls)
        store.path = file_path(path, "store")
        if not (store.path / _SETTINGS).exists():
            if not store.path.exists():
                raise FileNotFoundError(f"there is no file {path}.")
            raise ValueError(f"{path} was not written by LiveKinetics(store=…).")
        store._settings = json.loads((store.path / _SETTINGS).read_text(encoding="utf-8"))
        if store._settings.get("format", FORMAT + 1) > FORMAT:
            raise ValueError(f"{path} is of a later version; update hyperspy_dosekin.")
        store._early = []
        store._open()
        store._mend()
        return store

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with."""
        return self._settings

    def write(
        self, number: int, data: np.ndarray, signal: BaseSignal, told: dict[str, object]
    ) -> None:
        """Write a frame.

        Parameters
        ----------
        number
            Its number.
        data
            The frame.
        signal
            Makes a signal ``(1, …, channel)`` of the first one, with its axes.
        told
            What belongs to it: time, dose.
        """
        line = _line_of({"index": number, **told})
        if self._array is None:
            self._begin(number, data, signal, line)
        else:
            self._append(line)
        assert self._array is not None
        if number >= self._array.shape[0]:
            self._lengthen(number + 1)
        self._array[number] = data.astype(self._array.dtype, copy=False)

    def write_broken(self, number: int, data: Any, told: dict[str, Any]) -> None:
        """Keep a frame that has no place in the file."""
        if self._array is None:
            self._early.append((number, data, told))
            return
        folder = self.path / _BROKEN
        folder.mkdir(exist_ok=True)
        array = np.asarray(data)
        if array.dtype.kind in "iufb":
            with replaced_when_written(folder / f"{number:06d}.npy") as beside:
                np.save(beside, array)
        self._append(_line_of({"index": number, "broken": True, **told}))

    def frames(self) -> Iterator[tuple[np.ndarray | None, dict[str, Any]]]:
        """Frames in the order in which they came, with what belongs to them."""
        lines, written = self._lines(), self._written()
        # A process that is killed between the two leaves a line without a frame, which may come
        # again.
        last = {line["index"]: place for place, line in enumerate(lines) if not line.get("broken")}
        for place, line in enumerate(lines):
            number = line["index"]
            if line.get("broken"):
                yield None, line
            elif number in written and last[number] == place:
                yield np.asarray(self._array[number]), line
        # Those whose line was damaged.
        for number in sorted(written - set(last)):
            yield np.asarray(self._array[number]), {"index": number}

    def _begin(self, number: int, data: np.ndarray, signal: BaseSignal, line: bytes) -> None:
        first = signal(data[np.newaxis])
        with replaced_when_written(self.path) as beside:
            first.save(beside, overwrite=True, chunks=(1, *data.shape), consolidate=False)
            text = json.dumps({"format": FORMAT, **self._settings}, ensure_ascii=False)
            (beside / _SETTINGS).write_text(text, encoding="utf-8")
            (beside / _LINES).write_bytes(line)
        self._open()
        if number:
            # HyperSpy has put the frame at the first place.
            chunks = self.path / self._array.path
            for path in chunks.iterdir():
                if path.name.split(".")[0] == "0":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        early, self._early = self._early, []
        for each in early:
            self.write_broken(*each)

    def _open(self) -> None:
        root = _zarr().open_group(str(self.path), mode="r+")
        experiments = root["Experiments"]
        self._group = experiments[next(iter(experiments.group_keys()))]
        self._array = self._group["data"]

    def _mend(self) -> None:
        """Make the file as long as its last frame, and end a line that was cut off."""
        path = self.path / _LINES
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            # Or the next line would be part of it, and neither could be read.
            self._append(b"\n")
        needed = max(self._written(), default=-1) + 1
        axis = self._group["axis-0"]
        if needed != self._array.shape[0] or axis.attrs["size"] != self._array.shape[0]:
            self._lengthen(needed)

    def _lengthen(self, number: int) -> None:
        self._array.resize(number, *self._array.shape[1:])
        self._group["axis-0"].attrs["size"] = number

    def _written(self) -> set[int]:
        """Numbers of the frames whose chunk is there, and not only its folder or a part of it."""
        folder = self.path / self._array.path
        paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        names = (str(path.as_posix()).replace("/", ".").split(".") for path in paths)
        return {int(name[0]) for name in names if all(part.isdigit() for part in name)}

    def _append(self, line: bytes) -> None:
        with (self.path / _LINES).open("ab") as file:
            file.write(line)

    def _lines(self) -> list[dict[str, object]]:
        path = self.path / _LINES
        found = []
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                told = json.loads(line)
            except ValueError:
                # Cut off: no JSON, or no UTF-8.
                continue
            if isinstance(told, dict) and type(told.get("index")) is int:
                found.append(told)
        return found


def _line_of(told: dict[str, object]) -> bytes:
    """What belongs to a frame, as a line."""
    kept = {name: value for name, value in told.items() if value is not None}
    return json.dumps(kept, ensure_ascii=False).encode() + b"\n"
