# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of public functions, checked: what is no number is told by its name, not by NumPy."""

from __future__ import annotations

import inspect
import operator
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np


def check_fields(record: Any) -> None:
    """Check the fields of a dataclass that are a number, a flag, a text or ``None`` by annotation.

    Parameters
    ----------
    record
        An instance of a dataclass whose module has ``from __future__ import annotations``.

    Raises
    ------
    TypeError
        If a field is of another kind.
    ValueError
        If a number is not finite, and its default is.

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> check_fields(make_dataclass("Options", [("steps", "int", 3)])(steps="many"))
    Traceback (most recent call last):
    TypeError: steps='many' must be a whole number.
    """
    for entry in fields(record):
        default = None if entry.default is MISSING else entry.default
        if entry.init:
            _check(entry.name, getattr(record, entry.name), str(entry.type), default)


def check_arguments(function: Callable[..., object], given: Mapping[str, object]) -> None:
    """Check arguments that are a number, a flag, a text or ``None`` by the annotation.

    Parameters
    ----------
    function
        The function that was called, of a module with ``from __future__ import annotations``.
    given
        Its arguments by name, such as ``locals()`` in its first line.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a number is not finite, and its default is.
    """
    for name, parameter in inspect.signature(function).parameters.items():
        if name in given and isinstance(parameter.annotation, str):
            _check(name, given[name], parameter.annotation, parameter.default)


def _check(name: str, value: Any, annotation: str, default: object) -> None:
    kinds = [kind.strip() for kind in annotation.split("|")]
    if not all(kind in _KINDS for kind in kinds):
        return
    found = next((kind for kind in kinds if _KINDS[kind][1](value)), None)
    if found is None:
        *first, last = [_KINDS[kind][0] for kind in kinds]
        wanted = f"{', '.join(first)} or {last}" if first else last
        raise TypeError(f"{name}={short(value)} must be {wanted}.")
    if found == "int" and not -(2**63) <= value < 2**63:
        raise ValueError(f"{name}={short(value)} must be a whole number of less than 2**63.")
    unbounded = isinstance(default, float) and not np.isfinite(default)
    if found == "float" and not unbounded and not abs(value) < np.inf:
        raise ValueError(f"{name}={short(value)} must be a finite number.")


def _is_whole(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    if isinstance(value, bool | np.bool_ | str | bytes):
        return False
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iufO"


def _is_pair(value: object) -> bool:
    return (
        (isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1))
        and len(value) == 2
        and all(_is_real(each) and abs(each) < np.inf for each in value)
    )


#: What an annotation asks for, and whether a value is that.
_KINDS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "bool": ("True or False", lambda value: isinstance(value, bool | np.bool_)),
    "int": ("a whole number", _is_whole),
    "float": ("a number", _is_real),
    "str": ("a text", lambda value: isinstance(value, str)),
    "tuple[float, float]": ("two finite numbers, (left, right)", _is_pair),
    "None": ("None", lambda value: value is None),
}


def check_callable(name: str, value: object) -> None:
    """Refuse what is neither a function nor ``None``.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if value is not None and not callable(value):
        raise TypeError(f"{name}={short(value)} must be a function without arguments, or None.")


def file_path(value: object, what: str) -> Path:
    """An argument as the path of a file.

    Parameters
    ----------
    value
        The argument.
    what
        What it is the path of, for the message.

    Raises
    ------
    TypeError
        If it is no path.
    ValueError
        If it is empty.

    Examples
    --------
    >>> file_path(5, "result")
    Traceback (most recent call last):
    TypeError: 5 is not the path of a result; give a text or a pathlib.Path.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(
            f"{short(value)} is not the path of a {what}; give a text or a pathlib.Path."
        )
    path = Path(value)
    if not path.name or "\0" in str(path):
        raise ValueError(f"{str(path)!r} is not the path of a {what}; give the name of a file.")
    return path


def real_numbers(name: str, value: object, remedy: str, *, finite: bool = True) -> np.ndarray:
    """An argument as a float64 array of any shape.

    Parameters
    ----------
    name, value
        The argument.
    remedy
        What to give instead, the end of the message.
    finite
        Whether NaN and infinity are refused.

    Raises
    ------
    TypeError
        If it does not hold real numbers.
    ValueError
        If a number is not finite.

    Examples
    --------
    >>> real_numbers("shift_ev", "left", "give it in eV")
    Traceback (most recent call last):
    TypeError: shift_ev='left' is not a number, nor an array of numbers; give it in eV.
    """
    try:
        found = np.asarray(value)
        # Whole numbers too large for any integer type arrive as objects.
        if found.dtype.kind == "O":
            found = found.astype(np.float64)
    except (TypeError, ValueError, OverflowError, AttributeError):
        found = np.empty(0, dtype="O")
    if found.dtype.kind not in "biuf":
        raise TypeError(
            f"{name}={short(value)} is not a number, nor an array of numbers; {remedy}."
        )
    found = found.astype(np.float64)
    if finite and not np.isfinite(found).all():
        raise ValueError(f"{name}={short(value)} must be finite; {remedy}.")
    return found


def real_number(
    name: str,
    value: object,
    remedy: str,
    *,
    above: float = -np.inf,
    least: float = -np.inf,
    below: float = np.inf,
    most: float = np.inf,
) -> float:
    """An argument as a finite number.

    Parameters
    ----------
    name, value, remedy
        As for `real_numbers`.
    above, below
        It has to be larger, and smaller.
    least, most
        It may be as small, and as large.

    Raises
    ------
    TypeError
        If it is not one real number.
    ValueError
        If it is out of range.

    Examples
    --------
    >>> real_number("level", 2, "give a probability", above=0, below=1)
    Traceback (most recent call last):
    ValueError: level=2 must lie between 0 and 1; give a probability.
    """
    found = real_numbers(name, value, remedy)
    if found.ndim or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={short(value)} must be one number; {remedy}.")
    if not (above < found < below and least <= found <= most):
        raise ValueError(
            f"{name}={short(value)} must {_range(above, least, below, most)}; {remedy}."
        )
    return float(found)


def flag(name: str, value: object) -> bool:
    """An argument as ``True`` or ``False``.

    Parameters
    ----------
    name, value
        The argument.

    Raises
    ------
    TypeError
        If it is neither.

    Examples
    --------
    >>> flag("intervals", "no")
    Traceback (most recent call last):
    TypeError: intervals='no' must be True or False.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={short(value)} must be True or False.")
    return bool(value)


def _range(above: float, least: float, below: float, most: float) -> str:
    if np.isfinite(above) and np.isfinite(below):
        return f"lie between {above:g} and {below:g}"
    said = []
    if np.isfinite(above):
        said.append("be positive" if above == 0 else f"be above {above:g}")
    if np.isfinite(least):
        said.append("not be negative" if least == 0 else f"be at least {least:g}")
    if np.isfinite(below):
        said.append(f"be below {below:g}")
    if np.isfinite(most):
        said.append(f"be at most {most:g}")
    return " and ".join(said)


def short(value: object, longest: int = 80) -> str:
    """An argument as text that fits into a message.

    Examples
    --------
    >>> short(list(range(100)), 10)
    '[0, 1, 2,…'
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
