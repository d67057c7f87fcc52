# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an array may be: in memory, or lazy."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np

if TYPE_CHECKING:
    from dask.array import Array as LazyArray

#: An array in memory, or one of dask where the data are lazy.
Array: TypeAlias = Union[np.ndarray, "LazyArray"]
