# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a long computation tells its caller where it is, and is told to stop."""

from __future__ import annotations

from collections.abc import Callable

#: Called with (what is being done, steps done, steps in all).
Progress = Callable[[str, int, int], None]

#: Asked now and then; ``True`` ends the work early, keeping what is there.
Stop = Callable[[], bool]


def no_progress(what: str, done: int, total: int) -> None:
    """Show nothing."""


def never_stop() -> bool:
    """Let the work run to its end."""
    return False
