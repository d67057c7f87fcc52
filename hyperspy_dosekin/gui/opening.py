# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a view is opened for: a state that is there, or a signal for which one is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

State = TypeVar("State")


def state_of(
    obj: object, kind: type[State], opened: list[Any] | None, options: dict[str, object]
) -> State:
    """The state that is to be shown.

    Parameters
    ----------
    obj
        The state, or the signal or result that one is made for.
    kind
        Class of the state.
    opened
        States that were opened by the same call, to which this one is added: HyperSpy gives back
        nothing of a view that it displays. Where a view of another toolkit has made one, it is
        this one.
    options
        Of a state that is made.

    Raises
    ------
    TypeError
        If there are options for a state that is there already.
    """
    if isinstance(obj, kind):
        if options:
            raise TypeError(
                f"this {kind.__name__} is open already and takes no options, such as "
                f"{next(iter(options))!r}; set its traits, or open another."
            )
        state = obj
    elif opened:
        state: State = opened[-1]
    else:
        state = _made(kind, obj, options)
    if opened is not None:
        opened.append(state)
    return state


def _made(make: Callable[..., State], obj: object, options: dict[str, object]) -> State:
    """A new state; each kind has options of its own."""
    return make(obj, **options)
