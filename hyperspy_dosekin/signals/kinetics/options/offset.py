# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The known offset of a fit, as a user may give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.numerics.arguments import real_numbers

if TYPE_CHECKING:
    import numpy.typing as npt


def known_offset(
    offset: BaseSignal | npt.ArrayLike | None, space: Sequence[int], n_window: int
) -> np.ndarray | None:
    """A known offset as an array ``(…space…, window)``.

    Parameters
    ----------
    offset
        Number, array ``(window,)`` or ``(…space…, window)``, or the signal that
        `integrate_windows` made of a fully damaged specimen: a `DoseSeries` counts with the mean
        over its frames.
    space
        Sizes of the space axes of the fit.
    n_window
        Number of windows.

    Raises
    ------
    ValueError
        If the shape does not fit or a value is not finite.
    """
    if offset is None:
        return None
    remedy = (
        f"give a number, one for each window, ({n_window},), or one for each pixel and window, "
        f"{(*space, n_window)}, in the unit of the data; None fits it"
    )
    values = real_numbers("offset", offset_array(offset), remedy)
    shape = (*space, n_window)
    try:
        values = np.broadcast_to(values, shape)
    except ValueError as error:
        raise ValueError(
            f"offset of shape {values.shape} does not fit {n_window} windows; {remedy}."
        ) from error
    return np.array(values)


def offset_array(offset: Any) -> npt.ArrayLike:
    """A known offset as it was given; of a `DoseSeries` the mean over its frames."""
    if isinstance(offset, BaseSignal):
        is_series = offset.metadata.get_item("Signal.signal_type", "") == "DoseSeries"
        offset = np.asarray(offset.data)
        offset = offset.mean(axis=-1) if is_series else offset
    return offset
