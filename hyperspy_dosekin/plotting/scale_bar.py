# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scale bar of images of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Share of the height and width of an image that a scale bar leaves free.
_EDGE = 0.06


def draw_scale_bar(axes: Axes, shape: tuple[int, int], pixel_size: float, units: str) -> None:
    """Draw a scale bar in the lower left of an image.

    Parameters
    ----------
    axes
        Axes of the image, which is in pixels.
    shape
        Its pixels (y, x).
    pixel_size, units
        Width of a pixel.
    """
    wanted = 0.35 * shape[1] * pixel_size
    power = 10.0 ** np.floor(np.log10(wanted))
    length = max(step * power for step in (1, 2, 5) if step * power <= wanted)
    left = -0.5 + _EDGE * shape[1]
    bottom = shape[0] - 0.5 - 1.3 * _EDGE * shape[0]
    line: dict[str, Any] = {"solid_capstyle": "butt", "zorder": 5}
    ends = [left, left + length / pixel_size]
    axes.plot(ends, [bottom, bottom], color="black", lw=4.5, **line)
    axes.plot(ends, [bottom, bottom], color="white", lw=2.5, **line)
    axes.annotate(
        f"{length:g} {units}",
        (sum(ends) / 2, bottom),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=style.TINY,
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
    )
    axes.set_xlim(-0.5, shape[1] - 0.5)
    axes.set_ylim(shape[0] - 0.5, -0.5)
