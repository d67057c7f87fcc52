# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of windows in metadata, also where a file format has no lists of words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal

if TYPE_CHECKING:
    from hyperspy.misc.utils import DictionaryTreeBrowser


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
    if names is None:
        return None
    if not isinstance(names, str):
        return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    try:
        found = json.loads(names)
    except ValueError:
        return [names]
    return [str(name) for name in found] if isinstance(found, list) else [names]


class SavesNames(BaseSignal):
    """A signal whose lists of words are texts in a NeXus file, which has no such lists."""

    def save(
        self,
        filename: str | Path | None = None,
        overwrite: bool | None = None,
        extension: str | None = None,
        file_format: str | None = None,
        **options: object,
    ) -> None:
        """Save as HyperSpy does; parameters are those of its method."""
        said = f"{file_format or extension or Path(str(filename or '')).suffix}".lower()
        if said.lstrip(".") not in ("nxs", "nexus"):
            super().save(filename, overwrite, extension, file_format, **options)
            return
        with _lists_as_texts(self.metadata):
            super().save(filename, overwrite, extension, file_format, **options)


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
