# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words in metadata, such as names of windows, also where a file format has no lists of them.

RosettaSciIO, which writes files for HyperSpy, cannot write a list of words to a NeXus file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.signals.axes.variance import warn_user

if TYPE_CHECKING:
    from hyperspy.misc.utils import DictionaryTreeBrowser

_REMEDY = "save it as .hspy or .zspy, which hold all of it"
#: Formats that hold signals in metadata; HyperSpy takes its own where none is said.
_WITH_SIGNALS = ("", "hspy", "zspy")


def recorded_names(metadata: DictionaryTreeBrowser) -> list[str] | None:
    """What ``Dose.window_names`` says, ``None`` where it says nothing.

    A NeXus file holds one text for all names; one that HyperSpy alone has written, the only name.

    Examples
    --------
    >>> from hyperspy.signals import Signal1D
    >>> s = Signal1D([1.0, 2.0], metadata={"Dose": {"window_names": '["π–π*", "a/b"]'}})
    >>> recorded_names(s.metadata)
    ['π–π*', 'a/b']
    """
    names = metadata.get_item("Dose.window_names")
    return None if names is None else words_in(names)


def words_in(recorded: Any) -> list[str]:
    """Words that were recorded as a list, or as the text of one.

    Examples
    --------
    >>> words_in('["align", "dark"]'), words_in(["align"]), words_in("align")
    (['align', 'dark'], ['align'], ['align'])
    """
    if not isinstance(recorded, str):
        return [word.decode() if isinstance(word, bytes) else str(word) for word in recorded]
    try:
        found = json.loads(recorded)
    except ValueError:
        return [recorded]
    return [str(word) for word in found] if isinstance(found, list) else [recorded]


def save_words(
    self: BaseSignal,
    call: Callable[..., None],
    name: str,
    filename: str | Path | None = None,
    overwrite: bool | None = None,
    extension: str | None = None,
    file_format: str | None = None,
    **options: object,
) -> None:
    """Save with lists of words as texts where the file has no such lists, and say what is lost.

    Parameters
    ----------
    self
        The signal.
    call
        The method of HyperSpy that saves.
    name
        Of that method.
    filename, overwrite, extension, file_format, **options
        What it takes.

    Raises
    ------
    ValueError
        If RosettaSciIO cannot write the signal to a NeXus file, or not read it again.

    Warns
    -----
    UserWarning
        If there is a noise variance and the file cannot hold it.
    """
    said = f"{file_format or extension or Path(str(filename or '')).suffix}".lower().lstrip(".")
    if said not in ("nxs", "nexus"):
        variance = self.metadata.get_item("Signal.Noise_properties.variance")
        if isinstance(variance, BaseSignal) and said not in _WITH_SIGNALS:
            warn_user(f"a file {said} holds no noise variance, which is lost in it; {_REMEDY}.")
        call(filename, overwrite, extension, file_format, **options)
        return
    alone = next(_of_one_number(self.metadata), "the data" if self.data.size == 1 else None)
    if alone is not None:
        raise ValueError(
            f"{alone} is an array of one number, which RosettaSciIO reads from a NeXus file as no "
            f"array, so that {filename} could not be loaded; {_REMEDY}."
        )
    with _lists_as_texts(self.metadata):
        try:
            call(filename, overwrite, extension, file_format, **options)
        except (AttributeError, TypeError, UnicodeError, ValueError) as error:
            raise ValueError(
                f"RosettaSciIO cannot write this signal to the NeXus file {filename} ({error}); "
                f"{_REMEDY}."
            ) from error


def texts_for_others(
    self: BaseSignal, call: Callable[..., None], name: str, *args: object, **kwargs: object
) -> None:
    """Turn lists of words into texts where HyperSpy has no class of ours for spectra.

    That is so where they are cut to one channel, summed, or seen as images. The method that saves
    them is not hooked then, and would leave half a NeXus file.
    """
    call(*args, **kwargs)
    unhooked = not hasattr(type(self), "_dosekin_in_step")
    if unhooked and self.metadata.get_item("Signal.signal_type") == "EELS":
        for node, key, words in list(_lists_of_words(self.metadata)):
            node[key] = json.dumps(words, ensure_ascii=False)


class SavesNames(BaseSignal):
    """A signal whose lists of words are texts in a NeXus file, which has no such lists."""

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save as HyperSpy does; parameters are those of its method."""
        save_words(self, super().save, "save", *args, **kwargs)


@contextmanager
def _lists_as_texts(metadata: DictionaryTreeBrowser) -> Iterator[None]:
    found = list(_lists_of_words(metadata))
    kept = [node[name] for node, name, _ in found]
    for node, name, words in found:
        node[name] = json.dumps(words, ensure_ascii=False)
    try:
        yield
    finally:
        for (node, name, _), value in zip(found, kept, strict=True):
            node[name] = value


def _lists_of_words(node: DictionaryTreeBrowser) -> Iterator[tuple[Any, str, list[str]]]:
    """Node, name and words of each list, also in the metadata of signals, such as the variance."""
    for name, value in list(node):
        if isinstance(value, BaseSignal):
            yield from _lists_of_words(value.metadata)
        elif hasattr(value, "as_dictionary"):
            yield from _lists_of_words(value)
        elif isinstance(value, list | tuple | np.ndarray) and len(value):
            words = list(value)
            if all(isinstance(word, str) for word in words):
                yield node, name, [str(word) for word in words]


def _of_one_number(node: DictionaryTreeBrowser, path: str = "metadata") -> Iterator[str]:
    """Places of signals in metadata that are one number."""
    for name, value in list(node):
        place = f"{path}.{name}"
        if isinstance(value, BaseSignal):
            if value.data.size == 1:
                yield place
            yield from _of_one_number(value.metadata, place)
        elif hasattr(value, "as_dictionary"):
            yield from _of_one_number(value, place)
