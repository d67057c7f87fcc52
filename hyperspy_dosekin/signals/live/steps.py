# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be done to a frame by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import short

#: In this order.
STEPS = ("pedestal", "align", "normalise")


def steps_of(process: Any) -> tuple[str, ...]:
    """The steps that are asked for, in their order.

    Raises
    ------
    TypeError
        If they are no names.
    ValueError
        If one is unknown.
    """
    if isinstance(process, bool | np.bool_):
        return STEPS if process else ()
    if not isinstance(process, str | list | tuple):
        raise TypeError(f"process={short(process)} must be True, False or steps, some of {STEPS}.")
    names = (process,) if isinstance(process, str) else tuple(process)
    wrong = [name for name in names if name not in STEPS]
    if wrong:
        raise ValueError(
            f"process names {short(wrong)}, none of {STEPS}; True does all of them, False none."
        )
    return tuple(name for name in STEPS if name in names)
