# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames from the files of a folder, as they arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperspy_dosekin.numerics.arguments import file_path
from hyperspy_dosekin.numerics.stream.folder import watched_files

if TYPE_CHECKING:
    from os import PathLike

#: Files of the usual programs, and of HyperSpy.
FILES = ("*.dm3", "*.dm4", "*.hspy", "*.zspy", "*.emd")


def frames_of_folder(
    folder: str | PathLike[str],
    patterns: Sequence[str],
    *,
    poll: float,
    settle: float,
    timeout: float | None,
    notice: bool | None,
    ended: Callable[[], bool],
) -> Iterator[object]:
    """Signals of single frames; a file that cannot be read gives its error as a text.

    Parameters
    ----------
    folder
        The folder.
    patterns, poll, settle, timeout, notice, ended
        As for `watched_files`.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    """
    path = file_path(folder, "folder")
    if not path.is_dir():
        raise NotADirectoryError(f"folder={str(folder)!r} is no folder.")

    def frames() -> Iterator[Any]:
        files = watched_files(
            path,
            patterns,
            poll_s=poll,
            settle_s=settle,
            timeout_s=timeout,
            notice=notice,
            ended=ended,
        )
        for file in files:
            yield from _frames_of(file)

    return frames()


def _frames_of(file: Path) -> Iterator[object]:
    from hyperspy.io import load

    try:
        found = load(file, lazy=file.suffix == ".zspy")
    except Exception as error:
        # Whatever a reader raises of a damaged file.
        yield f"{file.name} cannot be read: {error}"
        return
    signals = found if isinstance(found, list) else [found]
    # A file of DigitalMicrograph also holds its survey image.
    spectra = [each for each in signals if each.axes_manager.signal_dimension == 1]
    for signal in spectra or signals:
        series = [
            axis
            for axis in signal.axes_manager.navigation_axes
            if str(axis.name).lower() in ("dose", "frame", "time", "stack", "scan")
        ]
        if not series:
            yield signal
            continue
        places = signal.axes_manager.navigation_axes
        for place in range(series[0].size):
            yield signal.inav[tuple(place if axis is series[0] else slice(None) for axis in places)]
