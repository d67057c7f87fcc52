# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals to HyperSpy's files and back, whole or not at all, and with a seal on the numbers."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hyperspy_dosekin.numerics.arguments import file_path, short
from hyperspy_dosekin.numerics.files import (
    digest,
    need_room,
    replaced_when_written,
    with_extension,
)

if TYPE_CHECKING:
    from os import PathLike

    from hyperspy.signals import BaseSignal

_logger = logging.getLogger(__name__)

#: Formats of HyperSpy that keep everything.
EXTENSIONS = (".hspy", ".zspy")
#: Bytes that file systems allow for a name.
_LONGEST_NAME = 255
#: Bytes that HDF5 takes for a group, about.
_NODE = 2048


def save_signal(
    signal: BaseSignal, path: str | PathLike[str], what: str, *, overwrite: bool | None = None
) -> None:
    """Write a signal; whatever happens meanwhile, the old file or the new one is there, whole.

    Parameters
    ----------
    signal
        The signal.
    path
        File name; ``.hspy`` is added where there is no extension.
    what
        What it is, for messages.
    overwrite
        As for `hyperspy.signals.BaseSignal.save`: ``None`` asks, ``False`` keeps the old file.

    Raises
    ------
    ValueError
        If the file name has the extension of another format.
    FileNotFoundError
        If there is no such folder.
    """
    from rsciio.utils.path import overwrite as ask

    target = with_extension(path, EXTENSIONS, what)
    _refuse_unwritable(signal.metadata.as_dictionary())
    if target.suffix == ".zspy":
        _refuse_long_title(signal.metadata.General.title)
    if target.exists() and not (ask(target) if overwrite is None else overwrite):
        if overwrite is None:
            # A script has nobody to answer, and must not lose a result without a word.
            _logger.warning(
                "%s was there already and was kept; %s was NOT saved. Pass overwrite=True to "
                "replace the file.",
                target,
                what,
            )
        return
    with replaced_when_written(target) as beside:
        if target.suffix == ".hspy":
            contents = [signal.data, signal.metadata.as_dictionary()]
            contents.append(signal.original_metadata.as_dictionary())
            need_room(beside, _size(contents))
        signal.save(beside, overwrite=True)


def read_signal(path: str | PathLike[str], *, lazy: bool = False) -> Any:
    """Read a signal that `save_signal` wrote.

    Parameters
    ----------
    lazy
        Whether its data stay in the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read.
    """
    from hyperspy.io import load

    if not file_path(path, "result").exists():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        return load(path, lazy=lazy)
    except Exception as error:
        # What a damaged file leads to in the readers may be anything.
        raise ValueError(
            f"{path} cannot be read, it is damaged or of another kind: {error}"
        ) from error


def _size(node: object) -> int:
    """Bytes of a file of HDF5, about, and rather more."""
    if isinstance(node, Mapping):
        return _NODE + sum(_size(each) for each in node.values())
    if isinstance(node, list | tuple):
        return _NODE + sum(map(_size, node))
    return _NODE // 4 + (len(node) if isinstance(node, str) else getattr(node, "nbytes", 0))


def _refuse_unwritable(node: object, key: str = "metadata") -> None:
    """Refuse texts that a file gives back as others, before the long work of writing."""
    if isinstance(node, Mapping):
        for name, each in node.items():
            _refuse_unwritable(str(name), f"the name of {key}.{name}")
            _refuse_unwritable(each, f"{key}.{name}")
    elif isinstance(node, list | tuple):
        for each in node:
            _refuse_unwritable(each, key)
    elif isinstance(node, str) and re.search("[\0\ud800-\udfff]", node):
        raise ValueError(
            f"{key} is {node!a}, and no file can hold that; it must be text without NUL and "
            "half characters: give the signal another name or title and fit it again."
        )


def _refuse_long_title(title: str) -> None:
    """Refuse a title that no folder can have, as the one in a ``.zspy`` has."""
    if len(title.encode()) > _LONGEST_NAME:
        raise ValueError(
            f"the title {short(title)} has {len(title.encode())} bytes, and in .zspy it is the "
            f"name of a folder, of at most {_LONGEST_NAME}; give metadata.General.title a shorter "
            "one, or save as .hspy."
        )


def seal(series: BaseSignal, arrays: Mapping[str, np.ndarray], text: str) -> str:
    """Checksum of a series, with what else is stored of a result.

    Parameters
    ----------
    series
        The fitted series.
    arrays, text
        What lies beside it in the file.
    """
    variance = series.get_noise_variance()
    numbers = {
        "series": np.asarray(series.data),
        "dose": np.asarray(series.axes_manager.signal_axes[0].axis),
    }
    if variance is not None and not np.isscalar(variance):
        numbers["variance"] = np.asarray(getattr(variance, "data", variance))
    errors = series.metadata.get_item("Dosekin.shared_errors")
    if errors is not None:
        for place, name in enumerate(errors.names):
            numbers[f"error {name}"] = np.asarray(errors.get_item(f"error_{place}").data)
    stored = {f"stored {name}": np.asarray(array) for name, array in arrays.items()}
    return digest(numbers | stored, text)


class Stored(NamedTuple):
    """What lies beside a signal in a file, its seal, and what that should be."""

    record: dict[str, Any]
    arrays: dict[str, np.ndarray]
    checksum: str | None
    expected: str


def put_beside(
    signal: BaseSignal,
    node: str,
    version: int,
    record: Mapping[str, object],
    arrays: Mapping[str, np.ndarray],
    **signals: BaseSignal,
) -> None:
    """Put a result into the metadata of the signal that it is saved with, under its seal.

    Parameters
    ----------
    node, version
        Where, and the version of the layout.
    record, arrays
        The result: what JSON holds, and what it does not.
    **signals
        Other signals that belong to it.
    """
    text = json.dumps(record)
    whole: dict[str, object] = {"format": version, "record": text, **signals}
    if arrays:
        whole["arrays"] = dict(arrays)
    whole["checksum"] = seal(signal, arrays, text)
    signal.metadata.set_item(node, whole)


def stored_beside(signal: BaseSignal, node: str) -> Stored:
    """What `put_beside` has put there."""
    found = signal.metadata.get_item(node)
    tree = found.get_item("arrays")
    arrays = {} if tree is None else tree.as_dictionary()
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    expected = seal(signal, arrays, found.record)
    return Stored(json.loads(found.record), arrays, found.get_item("checksum"), expected)


def plain_fields(record: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Entries of a record by name, lists as tuples; an older file may lack some."""
    found = {name: record[name] for name in names if name in record}
    return {name: tuple(each) if isinstance(each, list) else each for name, each in found.items()}


@contextmanager
def told_as_damage(
    path: str | PathLike[str], but: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Tell whatever wrong types, names and shapes in a file lead to as damage of that file.

    Parameters
    ----------
    but
        Exceptions that are not about the file.
    """
    try:
        yield
    except but:
        raise
    except Exception as error:
        raise ValueError(
            f"{path} is damaged: {f'{error}'.rstrip('.')}; fit the data again."
        ) from error


def check_seal(
    path: str | PathLike[str], found: str | None, expected: str, *, needed: bool = False
) -> None:
    """Raise if a file is not what was saved.

    Parameters
    ----------
    found, expected
        Its seal, and what that should be.
    needed
        Whether a file of its format always has one; those of early versions have none.

    Raises
    ------
    ValueError
        If the seal is another, or missing.
    """
    if (found is None and needed) or (found is not None and found != expected):
        raise ValueError(
            f"{path} is damaged: its numbers are not those that were saved; they were changed "
            "afterwards. Fit the data again."
        )
