# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of pixels that have nothing in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Label of pixels that are left out.
LEFT_OUT = -1


@dataclass(frozen=True, eq=False)
class Groups:
    """To which group each pixel belongs.

    Parameters
    ----------
    labels
        ``(…space…)``, integers; negative where a pixel is left out.
    names
        Name of each label that is there.
    """

    labels: np.ndarray
    names: Mapping[int, str]

    @classmethod
    def of(cls, groups: Any, space: Sequence[int]) -> Groups:
        """Read the option ``groups``.

        Parameters
        ----------
        groups
            ``None``, an image of integers, or a `ClassMap`.
        space
            Sizes of the space axes.

        Raises
        ------
        TypeError
            If the labels are no integers.
        ValueError
            If they have another shape, or no pixel is in a group.
        """
        if groups is None:
            return cls(np.zeros(tuple(space), dtype=np.int64), {0: ""})
        try:
            labels = np.asarray(getattr(groups, "data", groups))
        except ValueError:
            labels = np.empty(0, dtype="O")
        if labels.dtype.kind not in "iub":
            raise TypeError(
                f"groups of {labels.dtype} must be integer labels, one for each pixel; give a "
                "ClassMap or an image of integers."
            )
        if labels.shape != tuple(space):
            raise ValueError(
                f"groups of shape {labels.shape} do not fit the pixels {tuple(space)}; give one "
                "label for each pixel, in the order of the array."
            )
        labels = labels.astype(np.int64)
        known = [int(label) for label in np.unique(labels) if label >= 0]
        if not known:
            raise ValueError(
                "groups leave out all pixels (every label is negative); give those to be fitted "
                "a label of 0 or more."
            )
        named = tuple(getattr(groups, "names", ()) or ())
        names = {k: str(named[k]) if k < len(named) else str(k) for k in known}
        return cls(np.where(labels < 0, LEFT_OUT, labels), names)
