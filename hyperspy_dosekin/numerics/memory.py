# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of work arrays, kept from one step to the next."""

import numpy as np

#: Just below the largest block that the C library's allocator learns from.
_LESSON = 31 * 2**20


def keep_work_memory() -> None:
    """Let the allocator keep the memory of work arrays that are freed, for the next ones.

    The GNU allocator gives them back to the system after each step, and fetching fresh pages takes
    as long as computing; it stops doing so for blocks smaller than the largest one that was ever
    freed. The block is never touched, so that it costs nothing; other allocators are as before.

    Examples
    --------
    >>> keep_work_memory()
    """
    np.empty(_LESSON, dtype=np.uint8)
