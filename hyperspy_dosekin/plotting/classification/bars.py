# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Horizontal bars whose lengths change quickly enough to follow a slider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.plotting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Longer names are cut.
LONGEST_NAME = 22


class Bars:
    """Horizontal bars with their number at the end; NaN has no bar and no number.

    Parameters
    ----------
    axes
        Where to draw.
    names, colours
        Of the bars, from above.
    limit
        Where a bar is as long as the axes.
    label
        What they are, with the unit.
    """

    def __init__(
        self, axes: Axes, names: Sequence[str], colours: Sequence[object], limit: float, label: str
    ) -> None:
        self.axes, self._limit = axes, limit
        place = np.arange(len(names))
        self._bars = axes.barh(place, np.zeros(len(names)), color=list(colours), height=0.72)
        small = style.TINY if len(names) > 6 else style.SMALL
        # Room for a number after the longest bar.
        axes.set(xlim=(0, 1.28 * limit), ylim=(len(names) - 0.45, -0.55))
        axes.set_yticks(place, [_short(name) for name in names], fontsize=small)
        style.as_they_are(axes.get_yticklabels())
        ticks = axes.xaxis.get_major_locator().tick_values(0, limit)
        axes.set_xticks([tick for tick in ticks if 0 <= tick <= limit])
        axes.set_xlabel(label, fontsize=9)
        axes.tick_params(axis="x", labelsize=style.SMALL)
        axes.tick_params(axis="y", length=0)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_bounds(0, limit)
        self._texts = [
            axes.text(0, row, "", va="center", ha="left", fontsize=small)
            for row in range(len(names))
        ]

    def show(self, values: np.ndarray, form: str) -> None:
        """Set the lengths, and the numbers in a form such as ``"{:.2f}"``."""
        for bar, text, value in zip(self._bars, self._texts, values, strict=True):
            known = bool(np.isfinite(value))
            # Rounding may leave −0.0.
            value = max(0.0, float(value)) if known else 0.0
            width = min(value, self._limit)
            bar.set_width(width)
            text.set_text(form.format(value) if known else "–")
            text.set_x(width + 0.02 * self._limit)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
