# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of a series that still grows; the same one is drawn again after every frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import FigureBase

from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting import layout, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class GrowingPicture:
    """What is drawn of a growing series.

    Parameters
    ----------
    names
        The windows.
    dose, areas
        Doses of the frames and the areas, ``(n_frame,)``, ``(n_window, n_frame)``; of maps the
        mean.
    at, half_dose, lower, upper
        Doses at which the posterior was brought up to date, and D½ with its interval there,
        ``(n,)``, ``(n_window, n)``.
    maps
        D½ of every pixel, ``(n_window, n_row, n_column)``, or ``None``.
    quantity, dose_unit
        What areas are, and the unit of the doses.
    headline
        Sentence above it.
    """

    names: tuple[str, ...]
    dose: np.ndarray
    areas: np.ndarray
    at: np.ndarray
    half_dose: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    maps: np.ndarray | None
    quantity: str
    dose_unit: str
    headline: str


def plot_growing(
    picture: GrowingPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw areas against dose, and D½ as it became known; of maps D½ of every pixel.

    Parameters
    ----------
    fig
        Figure or subfigure to draw in, instead of a new one; what is in it is taken away.
    figsize
        Width and height in inches; default 9.5 × 3.8.

    Returns
    -------
    The figure.
    """
    figure = layout.new_figure(fig, figsize, (9.5, 3.8))
    figure.clear()
    layout.put_title(figure, picture.headline)
    if picture.maps is None:
        areas, half = figure.subplots(1, 2)
        _draw_half_doses(half, picture)
    else:
        axes = figure.subplots(1, 1 + len(picture.names), squeeze=False)[0]
        areas = axes[0]
        _draw_maps(figure, axes[1:], picture)
    handles = []
    for name, values, look in zip(
        picture.names, picture.areas, style.window_styles(len(picture.names)), strict=True
    ):
        top = np.abs(values[np.isfinite(values)]).max(initial=0.0) or 1.0
        line = areas.plot(
            picture.dose, values / top, look.marker, color=look.colour, ms=4, label=name
        )
        handles.append(line[0])
    areas.set(xlabel=style.dose_label(picture.dose_unit), ylabel=f"{picture.quantity}\nlargest = 1")
    layout.put_legend(figure, handles, picture.names, columns=4)
    return figure


def _draw_half_doses(axes: Axes, picture: GrowingPicture) -> None:
    known = picture.half_dose[np.isfinite(picture.half_dose)]
    if known.size:
        axes.set(yscale="log", ylim=(0.2 * known.min(), 6 * known.max()))
        last = picture.at[-1] if picture.at.size else 1.0
        axes.axline((0, 0.1), (last, last), color=style.GREY, lw=0.8, ls=":")
        style.logarithmic(axes.yaxis, labels=8)
    else:
        style.say_no_data(axes)
    for place, look in enumerate(style.window_styles(len(picture.names))):
        # An open end reaches to the edge.
        lower, upper = np.clip([picture.lower[place], picture.upper[place]], *axes.get_ylim())
        axes.fill_between(picture.at, lower, upper, color=look.colour, alpha=0.18, lw=0)
        axes.plot(
            picture.at, picture.half_dose[place], look.marker, ls="-", color=look.colour, ms=3, lw=1
        )
    axes.set(
        xlabel=style.dose_label(picture.dose_unit),
        ylabel=with_unit("D½", picture.dose_unit) + "\n95 % interval",
    )


def _draw_maps(figure: Any, axes: Any, picture: GrowingPicture) -> None:
    maps = picture.maps
    assert maps is not None
    known = maps[np.isfinite(maps)]
    low, high = np.quantile(known, (0.02, 0.98)) if known.size else (0.0, 1.0)
    image = None
    for axis, name, values in zip(axes, picture.names, maps, strict=True):
        image = axis.imshow(np.atleast_2d(values), vmin=low, vmax=high, cmap="viridis")
        axis.set_title(name, fontsize=style.SMALL)
        axis.set_xticks([])
        axis.set_yticks([])
    bar = figure.colorbar(image, ax=list(axes), shrink=0.8)
    bar.set_label(with_unit("D½", picture.dose_unit), fontsize=style.SMALL)
