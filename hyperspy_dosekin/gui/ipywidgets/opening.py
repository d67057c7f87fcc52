# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a view is opened for: a state that is there, or a signal for which one is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ipywidgets

State = TypeVar("State")


class HoldingBox(ipywidgets.VBox):
    """Widgets below each other, and what lives only as long as somebody holds it, such as links."""

    held: tuple[Any, ...] = ()


def row_of(widgets: Sequence[ipywidgets.Widget], **layout: str) -> ipywidgets.HBox:
    """Widgets beside each other, or below where there is no room for them."""
    return ipywidgets.HBox(list(widgets), layout={"flex_flow": "row wrap", **layout})


def state_of(
    obj: Any, kind: type[State], on_open: Callable[[State], None] | None, options: dict[str, Any]
) -> State:
    """The state that is to be shown.

    Parameters
    ----------
    obj
        The state, or the signal or result that one is made for.
    kind
        Class of the state.
    on_open
        Called with the state: HyperSpy gives back nothing of a view that it displays.
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
    else:
        state = _made(kind, obj, options)
    if on_open is not None:
        on_open(state)
    return state


def _made(make: Callable[..., State], obj: Any, options: dict[str, Any]) -> State:
    """A new state; each kind has options of its own."""
    return make(obj, **options)
