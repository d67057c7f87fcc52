# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forest plot: half-integrity doses of several results, window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting import layout, style
from hyperspy_dosekin.plotting.kinetics.pictures.base import Picture, arrays

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

#: How far intervals may stretch the axis beyond the values.
_STRETCH = 5.0
#: Numbers that fit along the axis.
_LABELS = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class ForestPicture(Picture):
    """What is drawn of several results.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`; windows from top to bottom.
    names
        The results.
    value, lower, upper
        D½ and the ends of its interval, ``(n_result, n_window)``; NaN where a result has no such
        window, infinite where an interval is open.
    identifiable
        Whether the data determine it, of the same shape.

    Raises
    ------
    ValueError
        If a shape does not fit.
    """

    names: tuple[str, ...]
    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    identifiable: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = (len(self.names), len(self.window_names))
        arrays(self, float, shape, "value lower upper")
        arrays(self, bool, shape, "identifiable")


def plot_forest(
    picture: ForestPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw D½ with its interval, a row for each window and result.

    Returns
    -------
    The figure.

    Examples
    --------
    >>> picture = ForestPicture(
    ...     window_names=("C–O",),
    ...     names=("100 K", "300 K"),
    ...     value=np.array([[900.0], [400.0]]),
    ...     lower=np.array([[700.0], [350.0]]),
    ...     upper=np.array([[np.inf], [470.0]]),
    ...     identifiable=np.array([[False], [True]]),
    ...     dose_unit="e⁻/Å²",
    ... )
    >>> figure = plot_forest(picture)
    """
    from matplotlib.lines import Line2D

    n_result, n_window = picture.value.shape
    height = 1.4 + n_window * (0.25 + 0.22 * n_result)
    figure = layout.new_figure(fig, figsize, (6.5, height))
    axes: Any = figure.subplots()
    numbers = picture.value[picture.identifiable & np.isfinite(picture.value)]
    if not numbers.size:
        numbers = np.concatenate(
            [
                each[np.isfinite(each) & (each > 0)]
                for each in (picture.value, picture.lower, picture.upper)
            ]
        )
    low, high = (numbers.min(), numbers.max()) if numbers.size else (1.0, 10.0)
    low, high = low / _STRETCH, high * _STRETCH
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    style.logarithmic(axes.xaxis, labels=_LABELS)
    looks = style.window_styles(n_result)
    for window in range(n_window):
        for result, look in enumerate(looks):
            row = window + 0.7 * ((result + 0.5) / n_result - 0.5)
            ends = picture.lower[result, window], picture.upper[result, window]
            known = style.draw_interval(axes, row, *ends, color=look.colour)
            if known and picture.identifiable[result, window]:
                dose = picture.value[result, window]
                axes.plot([dose], [row], look.marker, color=look.colour, ms=5.5, zorder=4)
    axes.set_yticks(range(n_window), picture.window_names, fontsize=style.SMALL)
    axes.set_ylim(n_window - 0.5, -0.5)
    for line in range(n_window - 1):
        axes.axhline(line + 0.5, color="0.85", lw=0.8)
    axes.set_xlabel(with_unit("Half-integrity dose D½", picture.dose_unit), fontsize=9)
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, lw=2, ms=5.5) for look in looks
    ]
    note = (
        f"{style.interval_label(0.95, 'posterior')}; no symbol: D½ not determined; arrow: open or "
        "beyond the axis."
    )
    layout.put_legend(figure, handles, list(picture.names), [note], columns=3)
    layout.put_title(figure, picture.title)
    return figure
