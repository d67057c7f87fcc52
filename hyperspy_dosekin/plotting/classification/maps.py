# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of classifications: maps of classes, of how sure they are, and beside other maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import layout, style
from hyperspy_dosekin.plotting.scale_bar import draw_scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import FigureBase

#: Colour of pixels without data, and how they are called.
NO_DATA_COLOUR = "0.8"
#: Share of the values that a colour scale holds.
_NEARLY_ALL, _NEARLY = 0.995, 0.99


def class_colours(number: int) -> list[Any]:
    """One colour for each class, the same in every figure."""
    return [look.colour for look in style.window_styles(number)]


def class_colour_map(number: int) -> ListedColormap:
    """Colour map for labels from −1 (no data, grey) to ``number − 1``."""
    from matplotlib.colors import ListedColormap

    return ListedColormap([NO_DATA_COLOUR, *class_colours(number)], name="classes")


def _handles(names: Sequence[str], number: int | None = None) -> list[Any]:
    from matplotlib.patches import Patch

    colours = class_colours(number or len(names))
    return [Patch(facecolor=c, label=n) for c, n in zip(colours, names, strict=False)]


def add_class_legend(axes: Axes, names: Sequence[str], colours: ListedColormap) -> None:
    """Put a legend of class names beside the axes of a map.

    Parameters
    ----------
    axes
        Axes of the map.
    names
        Names of the classes, from label 0 on.
    colours
        Colour map of the labels, whose first colour is that of pixels without data.
    """
    from matplotlib.patches import Patch

    listed: Any = colours.colors
    patches = [Patch(facecolor=c, label=n) for c, n in zip(listed[1:], names, strict=True)]
    figure: Any = axes.figure
    legend = axes.legend(
        handles=patches, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=style.SMALL
    )
    style.as_they_are(legend.get_texts())
    # HyperSpy makes its figures just as wide as the map: what stands beside it needs room.
    width = legend.get_window_extent().width / figure.dpi + 0.3
    before, height = figure.get_size_inches()
    figure.set_size_inches(before + width, height)
    if figure.get_layout_engine() is None:
        figure.subplots_adjust(right=0.95 * before / (before + width))


def plot_class_maps(
    labels: np.ndarray,
    names: Sequence[str],
    titles: Sequence[str],
    *,
    pixel_size: float | None = None,
    units: str = "",
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw one class map for each condition.

    Parameters
    ----------
    labels
        Integer labels, ``(n, y, x)``; −1 where there are no data.
    titles
        What to call each map.
    pixel_size, units
        Width of a pixel, for a scale bar in the first map; none without.
    """
    n = len(labels)
    columns = min(n, 6 if n > 8 else 4)
    rows = math.ceil(n / columns)
    ratio = labels.shape[1] / labels.shape[2]
    width = 1.7 * columns + 0.3
    height = rows * (1.6 * min(ratio, 2.5) + 0.35) + 0.6
    figure = layout.new_figure(fig, figsize, (max(width, 4.0), min(height, 12.0)))
    panels = figure.subplots(rows, columns, squeeze=False)
    if pixel_size and units:
        draw_scale_bar(panels[0, 0], labels.shape[1:], pixel_size, units)
    for i, panel in enumerate(panels.flat):
        panel.set_axis_off()
        if i >= n:
            continue
        panel.imshow(
            labels[i],
            cmap=class_colour_map(len(names)),
            vmin=-1.5,
            vmax=len(names) - 0.5,
            interpolation="nearest",
        )
        panel.set_title(titles[i], fontsize=style.SMALL)
    handles = _handles(names)
    if (labels < 0).any():
        from matplotlib.patches import Patch

        handles.append(Patch(facecolor=NO_DATA_COLOUR, label=style.NO_DATA))
    layout.put_legend(figure, handles, [h.get_label() for h in handles], columns=5)
    return figure


def plot_fractions(
    share: np.ndarray,
    names: Sequence[str],
    place: np.ndarray,
    label: str,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw the share of each class by condition.

    Parameters
    ----------
    share
        Share of each class, ``(n, n_class)``; NaN where a condition has no data.
    place
        Where on the horizontal axis each condition is, ``(n,)``.
    label
        Label of that axis, with its unit.
    """
    figure = layout.new_figure(fig, figsize, (6.0, 3.8))
    panel = figure.add_subplot()
    handles = []
    for own, look in zip(share.T, style.window_styles(len(names)), strict=True):
        (line,) = panel.plot(
            place, 100 * own, color=look.colour, ls=look.line, marker=look.marker, lw=1.6, ms=5
        )
        handles.append(line)
    panel.set(ylim=(-3, 103), xlabel=label, ylabel="Share of pixels (%)")
    layout.put_legend(figure, handles, list(names), columns=5)
    return figure


def plot_confidence(
    maps: Mapping[str, np.ndarray],
    titles: Sequence[str],
    *,
    highest: Mapping[str, float] | None = None,
    pixel_size: float | None = None,
    units: str = "",
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw maps that say how sure a classification is, a row for each of them.

    Parameters
    ----------
    maps
        Values by name, with their unit, ``(n, y, x)`` each; NaN where there are no data. Each
        name has one colour scale for all conditions.
    titles
        What to call each condition.
    highest
        Upper ends of colour scales, by name; by default that of nearly all values.
    pixel_size, units
        Width of a pixel, for a scale bar in the first map; none without.
    """
    from matplotlib import colormaps

    rows, columns = len(maps), len(titles)
    shape = next(iter(maps.values())).shape[1:]
    ratio = float(np.clip(shape[0] / shape[1], 0.3, 2.5))
    size = (1.7 * columns + 1.1, rows * (1.6 * ratio + 0.25) + 0.3)
    figure = layout.new_figure(fig, figsize, (max(size[0], 4.0), min(size[1], 12.0)))
    panels = figure.subplots(rows, columns, squeeze=False)
    colours = colormaps["magma"].with_extremes(bad=NO_DATA_COLOUR)
    for row, (name, values) in zip(panels, maps.items(), strict=True):
        numbers = values[np.isfinite(values)]
        high = float(np.quantile(numbers, _NEARLY_ALL)) if numbers.size else 1.0
        high = (highest or {}).get(name, high)
        limits = {"vmin": 0.0, "vmax": high or 1.0}
        for panel, image in zip(row, values, strict=True):
            drawn = panel.imshow(image, cmap=colours, interpolation="nearest", **limits)
            panel.set(xticks=[], yticks=[])
        ends = "max" if numbers.size and numbers.max() > high else "neither"
        bar = figure.colorbar(drawn, ax=list(row), extend=ends, fraction=0.04, aspect=14)
        bar.set_label(style.wrap(name, 22), fontsize=style.SMALL)
        bar.ax.tick_params(labelsize=style.TINY)
    for panel, title in zip(panels[0], titles, strict=True):
        panel.set_title(title, fontsize=style.SMALL)
    if pixel_size and units:
        draw_scale_bar(panels[0, 0], shape, pixel_size, units)
    return figure


def plot_beside(
    labels: np.ndarray,
    names: Sequence[str],
    values: np.ndarray,
    quantity: str,
    titles: Sequence[str],
    *,
    pixel_size: float | None = None,
    units: str = "",
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw class maps above maps of another quantity of the same pixels.

    Parameters
    ----------
    labels
        Integer labels, ``(n, y, x)``; −1 where there are no data.
    values
        The other quantity, ``(n, y, x)``, NaN where there are no data; one colour scale for all,
        which leaves out the extreme hundredth at either end.
    quantity
        What it is.
    titles
        What to call each condition.
    pixel_size, units
        Width of a pixel, for a scale bar in the first map; none without.
    """
    from matplotlib import colormaps

    n = len(labels)
    ratio = float(np.clip(labels.shape[1] / labels.shape[2], 0.3, 2.5))
    size = (1.7 * n + 1.1, 2 * (1.6 * ratio + 0.25) + 0.7)
    figure = layout.new_figure(fig, figsize, (max(size[0], 4.5), min(size[1], 12.0)))
    panels = figure.subplots(2, n, squeeze=False)
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [1 - _NEARLY, _NEARLY]) if known.size else (0.0, 1.0)
    colours = colormaps["viridis"].with_extremes(bad=NO_DATA_COLOUR)
    classes = {"cmap": class_colour_map(len(names)), "vmin": -1.5, "vmax": len(names) - 0.5}
    for upper, lower, own, other, title in zip(*panels, labels, values, titles, strict=True):
        upper.imshow(own, interpolation="nearest", **classes)
        upper.set_title(title, fontsize=style.SMALL)
        drawn = lower.imshow(other, cmap=colours, interpolation="nearest", vmin=low, vmax=high)
        for panel in (upper, lower):
            panel.set(xticks=[], yticks=[])
    bar = figure.colorbar(drawn, ax=list(panels[1]), extend="both", fraction=0.04, aspect=14)
    bar.set_label(style.wrap(quantity, 26), fontsize=style.SMALL)
    bar.ax.tick_params(labelsize=style.TINY)
    if pixel_size and units:
        draw_scale_bar(panels[0, 0], labels.shape[1:], pixel_size, units)
    handles = _handles(names)
    layout.put_legend(figure, handles, list(names), columns=5)
    return figure
