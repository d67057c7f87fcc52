# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a folder, in the order of their names, as soon as they are whole."""

from __future__ import annotations

import fnmatch
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

#: Extra that brings what notices files at once.
EXTRA = "live"


def in_order(name: str) -> tuple[object, ...]:
    """Key that sorts names as people count: "frame 9" before "frame 10"."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name))


def watched_files(
    folder: Path,
    patterns: Sequence[str],
    *,
    poll_s: float,
    settle_s: float,
    timeout_s: float | None,
    notice: bool | None,
    ended: Callable[[], bool],
) -> Iterator[Path]:
    """Give the files that are there and those that arrive, each once.

    A file is whole where neither its size nor its time has changed for `settle_s`. Those that
    became whole together come in the order of their names.

    Parameters
    ----------
    folder
        The folder.
    patterns
        Names that count, such as ``"*.dm4"``.
    poll_s, settle_s
        Seconds from one look to the next, and for which a file has to stay as it is.
    timeout_s
        Seconds without a new file after which it ends; ``None`` waits for ever.
    notice
        Whether watchdog is used, which notices files at once; ``None`` if it is installed.
    ended
        Asked now and then; ends it.

    Raises
    ------
    ImportError
        If watchdog is asked for and not installed.
    """
    given: set[str] = set()
    seen: dict[str, tuple[tuple[int, int], float]] = {}
    last = time.monotonic()
    with _Bell(folder, notice) as bell:
        while not ended():
            now = time.monotonic()
            whole = []
            for path in _matching(folder, patterns):
                if path.name in given:
                    continue
                state = _state(path)
                if state is None:
                    continue
                if seen.get(path.name, (None, 0.0))[0] != state:
                    seen[path.name] = (state, now)
                    last = now
                if now - seen[path.name][1] >= settle_s:
                    whole.append(path)
            for path in sorted(whole, key=lambda path: in_order(path.name)):
                given.add(path.name)
                seen.pop(path.name)
                last = now
                yield path
                if ended():
                    return
            if timeout_s is not None and not seen and time.monotonic() - last >= timeout_s:
                return
            bell.wait(min(poll_s, settle_s) if seen else poll_s)


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and any(fnmatch.fnmatch(path.name.lower(), pattern.lower()) for pattern in patterns)
    ]


def _state(path: Path) -> tuple[int, int] | None:
    """Size and latest time of a file or of all files of a folder, such as ``.zspy``."""
    try:
        parts = [path, *path.rglob("*")] if path.is_dir() else [path]
        stats = [part.stat() for part in parts]
    except OSError:
        # It vanished between two looks.
        return None
    return sum(each.st_size for each in stats), max(each.st_mtime_ns for each in stats)


class _Bell:
    """Waits until something happens in a folder, or some time has passed."""

    def __init__(self, folder: Path, notice: bool | None) -> None:
        self._rings = threading.Event()
        self._observer: Any = None
        if notice is False:
            return
        try:
            from watchdog.observers import Observer  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            if notice is None:
                return
            raise ImportError(
                "notice=True needs watchdog, which is not installed: pip install "
                f'"hyperspy_dosekin[{EXTRA}]", or leave notice out: the folder is then looked at '
                "again and again."
            ) from error
        self._observer = Observer()
        self._observer.schedule(self, str(folder), recursive=True)

    def dispatch(self, event: object) -> None:
        """What watchdog calls."""
        self._rings.set()

    def wait(self, seconds: float) -> None:
        """Wait."""
        self._rings.wait(seconds)
        if self._rings.is_set():
            # Many events belong to one file.
            time.sleep(min(seconds, 0.02))
            self._rings.clear()

    def __enter__(self) -> _Bell:
        if self._observer is not None:
            self._observer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
