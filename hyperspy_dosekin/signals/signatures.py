# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several functions share, in the signature and the docstring of each.

An option is written once, in the class that checks it. Functions that take ``**options`` of the
class show its options as their own: ``inspect.signature``, Tab and Shift-Tab see no difference.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_PLACE = re.compile(r"^( *)\*\*\w+\n(?:\1 +.*\n)+", re.MULTILINE)
_HEADING = re.compile(r"^( *)([A-Z][\w ]*)\n\1-+\n", re.MULTILINE)
_SECTION = re.compile(r"^Parameters\n-+\n(?P<entries>.*?)(?:\n\n(?=\S+\n-+\n)|\Z)", re.M | re.S)
_ENTRY = re.compile(r"^(?P<names>\w[\w, ]*)\n(?P<text>(?:(?: +.*)?\n)+)", re.MULTILINE)

OptionParameters = Mapping[str, inspect.Parameter]


def _indented(text: str, indent: str) -> str:
    return "".join(f"{indent}{line}\n" if line else "\n" for line in text.splitlines())


def options_of(source: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """The named options of a class or function, each to be given by its name only.

    Parameters
    ----------
    source
        What takes the options; a frozen dataclass, for instance.
    """
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {
        name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(source).parameters.items()
        if parameter.kind in kinds and name != "self"
    }


def documentation_of(source: Any, names: Iterable[str]) -> str:
    """The entries of some options in the docstring of a class, without indentation.

    Parameters
    ----------
    source
        A class with a docstring in numpydoc's form.
    names
        The options that are wanted. An entry of several stays whole.
    """
    wanted = set(names)
    section = _SECTION.search(inspect.getdoc(source) or "")
    if section is None:
        return ""
    entries = _ENTRY.finditer(f"{section['entries'].rstrip()}\n")
    kept = []
    for entry in entries:
        found = [name.strip() for name in entry["names"].split(",")]
        shown = [name for name in found if name in wanted]
        if shown:
            kept.append(f"{', '.join(shown)}\n{entry['text'].rstrip()}\n")
    return "".join(kept)


def takes_options(
    parameters: OptionParameters, documentation: str = ""
) -> Callable[[Function], Function]:
    """Show options in the place of the ``**options`` of a function.

    Parameters
    ----------
    parameters
        The options; those that the function names itself stay as they are there.
    documentation
        Their entries for the docstring, in the place of that of ``**options``, or as its
        parameters where it says of none.
    """

    def show(function: Function) -> Function:
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        added = [p for name, p in parameters.items() if name not in own.parameters]
        # Of the function's own, what is about showing and stopping stays last.
        last = [p for p in kept if p.name in ("show_progressbar", "stop")]
        first = [p for p in kept if p not in last]
        function.__signature__ = own.replace(parameters=[*first, *added, *last])  # type: ignore[attr-defined]
        text = function.__doc__ or ""
        if place := _PLACE.search(text):
            entries = _indented(documentation, place[1])
            function.__doc__ = text[: place.start()] + entries + text[place.end() :]
        elif documentation and (first := _HEADING.search(text)) and first[2] != "Parameters":
            # The options are all that it takes.
            section = _indented(f"Parameters\n----------\n{documentation}\n", first[1])
            function.__doc__ = text[: first.start()] + section + text[first.start() :]
        return function

    return show


def refuse_unknown(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise for options that there are not, and say which was probably meant.

    Parameters
    ----------
    function
        Name of the function that was called.
    given, known
        Names of options.

    Raises
    ------
    TypeError
        If one of those given is not known.

    Examples
    --------
    >>> refuse_unknown("fit_dose_pinn", ["estimater"], ["estimator", "spatial"])
    Traceback (most recent call last):
    TypeError: fit_dose_pinn has no option 'estimater'; did you mean 'estimator'? ...
    """
    known = tuple(known)
    unknown = [name for name in given if name not in known]
    if unknown:
        each = "; ".join(f"{name!r}{did_you_mean(name, known)}" for name in unknown)
        raise TypeError(
            f"{function} has no option {each} Its options are {', '.join(sorted(known))}."
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that is not there: what was probably meant.

    Examples
    --------
    >>> did_you_mean("CO", ["C–O", "C–C", "M–O"])
    "; did you mean 'C–O'?"
    >>> did_you_mean("plasmon", ["C–O", "C–C"])
    '.'
    """
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else "."
