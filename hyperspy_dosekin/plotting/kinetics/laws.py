# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figure of several laws side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting import layout, style
from hyperspy_dosekin.plotting.kinetics.pictures.base import Picture, arrays

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

#: Ends of intervals farther away than this factor from all medians are arrows.
_STRETCH = 4.0
_NOTE = "95 % posterior intervals. Pale: a law of little weight. Arrow: open or beyond the axis."


@dataclass(frozen=True, eq=False, kw_only=True)
class LawPicture(Picture):
    """What each of L laws says of D½ in every window.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`.
    names
        Names of the laws, and of their average.
    lower, middle, upper
        D½ with its interval, ``(L, W)``.
    weights
        Probability of each law, ``(L, W)``; those of little weight are drawn pale.
    dose_max
        Largest measured dose.

    Raises
    ------
    ValueError
        If a shape does not fit.
    """

    names: tuple[str, ...]
    lower: np.ndarray
    middle: np.ndarray
    upper: np.ndarray
    weights: np.ndarray
    dose_max: float

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = (len(self.names), len(self.window_names))
        arrays(self, float, shape, "lower middle upper weights")


def plot_laws(
    picture: LawPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw D½ of each law with its interval, a panel for each window.

    Parameters
    ----------
    figsize
        Width and height in inches; default by the number of windows and laws.

    Returns
    -------
    The figure.
    """
    from matplotlib.lines import Line2D

    n_law, n_window = picture.middle.shape
    figure = layout.new_figure(fig, figsize, (1.9 + 1.9 * n_window, 2.0 + 0.36 * n_law))
    panels = figure.subplots(1, n_window, squeeze=False, sharey=True)[0]
    rows = np.arange(n_law)[::-1]
    for column, (panel, window) in enumerate(zip(panels, picture.window_names, strict=True)):
        low, high = _limits(picture, column)
        panel.set_xscale("log")
        panel.set_xlim(low, high)
        for law, row in enumerate(rows):
            look = {
                "color": style.MODEL_COLOURS[0],
                "alpha": 0.25 + 0.75 * float(np.nan_to_num(picture.weights[law, column])),
            }
            ends = picture.lower[law, column], picture.upper[law, column]
            if style.draw_interval(panel, row, *ends, **look):
                panel.plot([picture.middle[law, column]], [row], "o", ms=5, zorder=4, **look)
        panel.axvline(picture.dose_max, color=style.GREY, ls=":", lw=1.0)
        panel.axhline(0.5, color="0.85", lw=0.8)
        layout.panel_title(panel, window, "", layout.panel_width(figure, n_window))
        panel.set_xlabel(with_unit("D½", picture.dose_unit), fontsize=9)
        style.logarithmic(panel.xaxis, labels=3.5)
        panel.minorticks_off()
        panel.tick_params(labelsize=style.TINY)
    panels[0].set_yticks(rows, picture.names, fontsize=style.SMALL)
    panels[0].set_ylim(-0.6, n_law - 0.4)
    handle = Line2D([], [], color=style.GREY, ls=":", lw=1.0)
    layout.put_legend(figure, [handle], ["largest measured dose"], [_NOTE])
    layout.put_title(figure, picture.title)
    return figure


def _limits(picture: LawPicture, column: int) -> tuple[float, float]:
    """Range of doses that shows every median and the largest dose, and what ends lie near them."""
    middle = picture.middle[:, column]
    known = np.append(middle[np.isfinite(middle) & (middle > 0)], picture.dose_max)
    nearest, farthest = known.min() / _STRETCH, known.max() * _STRETCH
    ends = np.concatenate([picture.lower[:, column], picture.upper[:, column]])
    ends = ends[(ends > nearest) & (ends < farthest)]
    inside = np.concatenate([known, ends])
    return float(inside.min() / 1.3), float(inside.max() * 1.3)
