# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are replaced as a whole: at every moment there is the old one or the new one."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hyperspy_dosekin.numerics.arguments import file_path

# Of renameat2(2): paths are relative to the working directory; swap the two names.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
#: Errors of a disk without room.
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


@contextmanager
def replaced_when_written(path: str | Path) -> Iterator[Path]:
    """Give a path beside `path` to write to, and put what was written in its place.

    A process that dies while it writes, or a disk that is full, leaves the old file as it was.
    Folders (such as ``.zspy``) are exchanged in one step on Linux; elsewhere the old folder is
    moved away first, so that for an instant there is none of that name.

    Parameters
    ----------
    path
        File or folder to make or to replace. A link is followed.

    Yields
    ------
    Path
        In the same folder and with the same extension.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    PermissionError
        If nothing can be written to it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     target = Path(folder) / "numbers.txt"
    ...     with replaced_when_written(target) as path:
    ...         _ = path.write_text("1 2 3")
    ...     target.read_text(), len(list(Path(folder).iterdir()))
    ('1 2 3', 1)
    """
    target = Path(path).resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent} to write {target.name} to.")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{target.name} cannot be written: there is no permission to write to the folder "
            f"{target.parent}; save it elsewhere."
        )
    beside = target.with_name(f".{target.stem[:80]}.{uuid.uuid4().hex[:8]}{target.suffix}")
    try:
        yield beside
        _flush(beside)
        _put_in_place(beside, target)
    finally:
        try:
            _remove(beside)
        except KeyboardInterrupt:
            # Ctrl-C in the last moment leaves nothing half removed either.
            _remove(beside)
            raise


def need_room(path: Path, size: int) -> None:
    """Make a file of so many bytes, to be written anew by what cannot tell that the disk is full.

    HDF5 ends the whole process, and all that is in it, when it meets the end of the disk.

    Raises
    ------
    OSError
        If the disk, or what a file or a user may have of it, is full.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     need_room(Path(folder) / "numbers", 1000)
    ...     (Path(folder) / "numbers").stat().st_size
    1000
    """
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, size)
                return
            except OSError as error:
                # Not every file system can promise room.
                if error.errno in _FULL:
                    raise
        for begin in range(0, size, 2**20):
            file.write(bytes(min(size - begin, 2**20)))


def with_extension(path: str | os.PathLike[str], allowed: Sequence[str], what: str) -> Path:
    """Return the path with the first extension added where it has none.

    Parameters
    ----------
    path
        A name for a file. A point in a number or before a version, as in ``dose_1.5`` or
        ``sample.v2``, begins no extension.
    allowed
        Extensions that can hold what is to be written, the one to add first.
    what
        What is to be written, for the message.

    Raises
    ------
    TypeError
        If it is no path.
    ValueError
        If it is empty, or the extension is that of another format.

    Examples
    --------
    >>> with_extension("dose_1.5", [".hspy", ".zspy"], "a result").name
    'dose_1.5.hspy'
    """
    path = file_path(path, what.removeprefix("a "))
    if path.suffix.lower() in allowed:
        return path
    # An extension begins with a letter and is short; anything else, a version too, is part of the
    # name.
    if re.fullmatch(r"\.(?!v\d+$)[A-Za-z]\w{0,11}", path.suffix):
        raise ValueError(
            f"{path.name}: a file {path.suffix} cannot hold {what}; use {' or '.join(allowed)}."
        )
    return path.with_name(path.name + allowed[0])


def digest(arrays: Mapping[str, np.ndarray], text: str = "") -> str:
    """SHA-256 of arrays and a text: finds what was changed after it had been written.

    Parameters
    ----------
    arrays
        Arrays of any shape and type by name; the order of the names does not matter.
    text
        What belongs to them.

    Examples
    --------
    >>> digest({"a": np.zeros(3)}) == digest({"a": np.zeros(4)})
    False
    """
    # What no file can hold is refused later, by its name.
    found = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name in sorted(arrays):
        # Byte order and memory layout are those of a file or a machine, no part of the numbers.
        array = np.ascontiguousarray(arrays[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        about = f"{name} {array.dtype.str} {array.shape}"
        found.update(about.encode("utf-8", "surrogatepass"))
        found.update(array.tobytes())
    return found.hexdigest()


def _flush(path: Path) -> None:
    """Make sure that the content is on the disk before the name is."""
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    for each in files:
        # Windows flushes only what is open for writing.
        descriptor = os.open(each, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put_in_place(written: Path, target: Path) -> None:
    if not (target.is_dir() or (written.is_dir() and target.exists())):
        os.replace(written, target)
    elif not _exchanged(written, target):
        aside = written.with_name(f"{written.name}.old")
        target.rename(aside)
        written.rename(target)
        _remove(aside)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step; ``False`` where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = [os.fsencode(each) for each in (one, other)]
    return rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
