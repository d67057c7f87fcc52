# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of several series under different conditions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting import layout, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import FigureBase

#: Labels of the effects that have a unit or a symbol.
_LABELS = {
    "dose_rate": "exponent of the dose rate, β",
    "temperature": "activation energy (eV)",
}


def _across(name: str, dose_unit: str) -> str:
    """Label of the axis of a condition."""
    if name == "temperature":
        return "Temperature (K)"
    if name == "dose_rate":
        return with_unit("Dose rate", f"{dose_unit}/s" if dose_unit else "")
    return name.replace("_", " ")


class Shown(Protocol):
    """What is read of a condition."""

    @property
    def name(self) -> str:
        """What it is."""
        ...

    @property
    def kind(self) -> str:
        """How it enters."""
        ...

    @property
    def values(self) -> tuple[float | str, ...]:
        """One for each series."""
        ...


def plot_effects(
    table: pd.DataFrame,
    windows: Sequence[str],
    effects: Sequence[str],
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw effects with their 95 % intervals, a panel for each, a row for each window.

    Parameters
    ----------
    table
        With the columns effect, window, estimate, lower, upper and p.
    windows, effects
        Names, in the order of the rows and panels.
    fig
        Figure or subfigure to draw in; default a new one.
    figsize
        Width and height in inches; default by the number of windows and effects.

    Returns
    -------
    The figure.
    """
    width = max(3.6 * len(effects), 4.5)
    figure = layout.new_figure(fig, figsize, (width, 1.3 + 0.4 * len(windows)))
    axes = figure.subplots(1, len(effects), squeeze=False, sharey=True)
    colours = [each.colour for each in style.window_styles(len(windows))]
    rows = {(row["effect"], row["window"]): row for row in table.to_dict("records")}
    for axis, effect in zip(axes[0], effects, strict=True):
        for place, window in enumerate(windows):
            row = rows[effect, window]
            low, middle, high = row["lower"], row["estimate"], row["upper"]
            filled = "full" if low > 0 or high < 0 else "none"
            axis.plot([low, high], [place, place], color=colours[place], lw=2)
            axis.plot(middle, place, "o", color=colours[place], fillstyle=filled, ms=7)
        axis.axvline(0, color=style.GREY, lw=0.8, ls=":")
        label = _LABELS.get(effect, f"ln ratio of k, {effect}")
        axis.set_xlabel(style.wrap(label, 34), fontsize=style.SMALL + 1)
        axis.margins(y=0.3 / max(len(windows), 1) + 0.1)
    axes[0, 0].set_yticks(range(len(windows)), windows)
    axes[0, 0].invert_yaxis()
    figure.supxlabel(
        "95 % intervals; filled where they leave out 0 (no effect)", fontsize=style.SMALL
    )
    return figure


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Ends of a logarithmic axis around what is finite, with room for arrows where it is not."""
    known = values[np.isfinite(values) & (values > 0)]
    if not known.size:
        return 1.0, 10.0
    room = (known.max() / known.min()) ** 0.05 * 1.05
    return known.min() / room, known.max() * room


def plot_condition(
    condition: Shown,
    grid: Sequence[Any],
    bands: np.ndarray,
    table: pd.DataFrame,
    windows: Sequence[str],
    dose_unit: str,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw D½ of all series against one condition, with what was fitted.

    Parameters
    ----------
    grid
        Its values at which the bands are known.
    bands
        Ends and middle of D½, ``(n_window, 3, n_grid)``, lower end, median, upper end.
    table
        D½ of the series, the other conditions at their reference, with the columns series, window,
        estimate, lower and upper.
    windows
        Their names.
    dose_unit
        Unit of D½.
    fig
        Figure or subfigure to draw in; default a new one.
    figsize
        Width and height in inches; default by the number of windows.

    Returns
    -------
    The figure.
    """
    from matplotlib.ticker import MaxNLocator

    figure = layout.new_figure(fig, figsize, (max(3.2 * len(windows), 4.5), 3.4))
    axes = figure.subplots(1, len(windows), squeeze=False)
    factor = condition.kind == "factor"
    place = {value: index for index, value in enumerate(grid)} if factor else {}
    at = [place[value] if factor else float(value) for value in condition.values]
    across = list(range(len(grid))) if factor else list(grid)
    styles = style.window_styles(len(windows))
    for axis, window, band, look in zip(axes[0], windows, bands, styles, strict=True):
        rows = [row for row in table.to_dict("records") if row["window"] == window]
        ends = np.array([(row["lower"], row["upper"]) for row in rows], dtype=float)
        axis.set(yscale="log", ylim=_limits(np.concatenate([band.ravel(), ends.ravel()])))
        low, middle, high = np.clip(band, *axis.get_ylim())
        middle = np.where(np.isfinite(band[1]), middle, np.nan)
        if factor:
            wide = {"color": look.colour, "lw": 6, "alpha": 0.3}
            axis.vlines(across, low, high, **wide)
            axis.plot(across, middle, "_", color=look.colour, ms=24)
            axis.set_xticks(across, [str(value) for value in grid])
            axis.set_xlim(-0.6, len(grid) - 0.4)
        else:
            axis.fill_between(across, low, high, color=look.colour, alpha=0.2, lw=0)
            axis.plot(across, middle, color=look.colour)
        for where, row, interval in zip(at, rows, ends, strict=True):
            style.draw_interval(axis, where, *interval, upright=True, color="black")
            axis.plot([where], [row["estimate"]], look.marker, color="black", ms=5)
        if condition.kind == "dose_rate":
            axis.set_xscale("log")
            style.logarithmic(axis.xaxis, labels=6)
        axis.set(title=window, xlabel=_across(condition.name, dose_unit))
        bottom, top = axis.get_ylim()
        if top < 10 * bottom:
            # Within a decade even steps are the ones that are read.
            axis.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
        style.plain_numbers(axis.yaxis)
    axes[0, 0].set_ylabel(with_unit("D½", dose_unit))
    return figure
