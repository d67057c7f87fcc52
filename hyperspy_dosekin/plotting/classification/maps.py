# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of classifications: maps, latents, denoised spectra, silhouettes, training."""

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
_NEARLY_ALL = 0.995
_SIMULATED = "on new simulated spectra"


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
    names
        Names of the classes.
    titles
        What to call each map.
    pixel_size, units
        Width of a pixel, for a scale bar in the first map; none without.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.
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
    names
        Names of the classes.
    place
        Where on the horizontal axis each condition is, ``(n,)``.
    label
        Label of that axis, with its unit.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.
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
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.
    """
    from matplotlib import colormaps

    rows, columns = len(maps), len(titles)
    shape = next(iter(maps.values())).shape[1:]
    ratio = float(np.clip(shape[0] / shape[1], 0.3, 2.5))
    size = (1.7 * columns + 1.1, rows * (1.6 * ratio + 0.25) + 0.3)
    figure = layout.new_figure(fig, figsize, (max(size[0], 4.0), min(size[1], 12.0)))
    panels = figure.subplots(rows, columns, squeeze=False)
    colours = colormaps["magma"].copy()
    colours.set_bad(NO_DATA_COLOUR)
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


def plot_denoised(
    energy_ev: np.ndarray,
    spectra: Sequence[np.ndarray],
    names: Sequence[str],
    *,
    compared: Sequence[np.ndarray] | None = None,
    quantity: str = "Intensity",
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw mean and standard deviation of the spectra of each class.

    Parameters
    ----------
    energy_ev
        Energies, eV, ``(n_channels,)``.
    spectra
        Denoised spectra of each class, ``(n, n_channels)``, n may be 0.
    names
        Names of the classes.
    compared
        What principal components show of the same spectra, drawn beside; by default nothing is.
    quantity
        What intensities are.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.
    """
    sets = [spectra] if compared is None else [spectra, compared]
    figure = layout.new_figure(fig, figsize, (6.5, 4.2) if compared is None else (8.5, 4.2))
    panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    labels = [f"{name} ({len(own)} pixels)" for own, name in zip(spectra, names, strict=True)]
    handles = []
    for panel, rows, title in zip(panels, sets, ("Denoised", "Principal components"), strict=False):
        handles = []
        for own, look in zip(rows, style.window_styles(len(names)), strict=True):
            (line,) = panel.plot([], [], color=look.colour, ls=look.line, lw=1.6)
            if len(own):
                mean, sd = own.mean(axis=0), own.std(axis=0)
                line.set_data(energy_ev, mean)
                band = {"color": look.colour, "alpha": 0.2, "lw": 0}
                panel.fill_between(energy_ev, mean - sd, mean + sd, **band)
            handles.append(line)
        if not any(len(own) for own in rows):
            style.say_no_data(panel)
        panel.relim()
        panel.autoscale_view()
        panel.margins(x=0)
        panel.set(xlabel="Energy loss (eV)")
        if compared is not None:
            panel.set_title(title, fontsize=style.SMALL + 1)
    panels[0].set(ylabel=quantity)
    note = "Denoised spectra by class: mean, and ±1 sd over pixels (thickness, shift, background)."
    layout.put_legend(figure, handles, labels, [note], columns=2)
    return figure


def plot_latent(
    embedded: np.ndarray,
    scores: np.ndarray,
    label: np.ndarray,
    names: Sequence[str],
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw latents in two dimensions beside principal components, coloured by class.

    Parameters
    ----------
    embedded
        t-SNE of the latents, ``(n, 2)``.
    scores
        t-SNE of the principal components of the same spectra, ``(n, 2)``.
    label
        Class of each, ``(n,)``.
    names
        Names of the classes.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.
    """
    from matplotlib.lines import Line2D

    figure = layout.new_figure(fig, figsize, (7.0, 3.9))
    panels = figure.subplots(1, 2)
    looks = style.window_styles(len(names))
    for panel, points, title in zip(
        panels, (embedded, scores), ("Latents, t-SNE", "Principal components, t-SNE"), strict=True
    ):
        for k, look in enumerate(looks):
            own = points[label == k]
            panel.plot(
                own[:, 0], own[:, 1], ls="none", marker=look.marker, ms=3, mew=0, alpha=0.6,
                color=look.colour,
            )  # fmt: skip
        panel.set_title(title, fontsize=style.SMALL + 1)
        panel.set(xticks=[], yticks=[])
    for panel in panels:
        panel.set(xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    handles = [
        Line2D([], [], ls="none", marker=look.marker, ms=6, color=look.colour) for look in looks
    ]
    layout.put_legend(figure, handles, list(names), columns=5)
    return figure


def plot_silhouette(
    silhouette: Mapping[str, np.ndarray],
    titles: Sequence[str],
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw silhouettes by condition.

    Parameters
    ----------
    silhouette
        Values by name of the representation, ``(n_condition,)`` each, NaN where there is none.
    titles
        What to call each condition.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.
    """
    figure = layout.new_figure(fig, figsize, (6.5, 4.0))
    panel = figure.add_subplot()
    place = np.arange(len(titles))
    width = 0.8 / len(silhouette)
    handles = []
    for i, values in enumerate(silhouette.values()):
        offset = (i - (len(silhouette) - 1) / 2) * width
        colour = style.MODEL_COLOURS[i % len(style.MODEL_COLOURS)]
        handles.append(panel.bar(place + offset, np.nan_to_num(values), width, color=colour))
    for i in np.flatnonzero(np.isnan(next(iter(silhouette.values())))):
        panel.text(i, 0.01, "one\nclass", ha="center", fontsize=style.TINY, color=style.GREY)
    panel.axhline(0, color="black", lw=0.8)
    common, short = _without_common_words(titles)
    long = max((len(text) for text in short), default=0) * len(short) > 50
    panel.set_xticks(place, short, rotation=45 if long else 0, fontsize=style.SMALL,
                     ha="right" if long else "center")  # fmt: skip
    panel.set_xlabel(common)
    panel.set_ylabel("Mean silhouette")
    note = "Compactness of the classes, not correctness: it can rise while accuracy falls."
    layout.put_legend(figure, handles, list(silhouette), [note], columns=2)
    return figure


def _without_common_words(titles: Sequence[str]) -> tuple[str, list[str]]:
    """Label of an axis, and what is left to tell its ticks apart.

    ``"temperature 100 °C"`` and ``"temperature 200 °C"`` are the ticks ``"100"`` and ``"200"`` of
    an axis ``"Temperature (°C)"``; other titles stay as they are.
    """
    words = [title.split() for title in titles]
    if len(titles) < 2 or any(len(own) != 3 for own in words):
        return "", list(titles)
    (name, *names), (unit, *units) = ({own[place] for own in words} for place in (0, 2))
    if names or units:
        return "", list(titles)
    return f"{name[:1].upper()}{name[1:]} ({unit})", [own[1] for own in words]


def plot_report(
    step: np.ndarray,
    training: Mapping[str, np.ndarray],
    validation: Mapping[str, np.ndarray],
    latent_kl: np.ndarray,
    calibration: Any,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw learning curves, activity of the latents and calibration.

    Parameters
    ----------
    step
        Training step of each record, ``(n_record,)``.
    training, validation
        Loss terms by name, ``(n_record,)``.
    latent_kl
        KL divergence of each latent, nats, ``(n_latent,)``.
    calibration
        Curve with ``confidence``, ``accuracy`` and ``weight`` by bin.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.
    """
    figure = layout.new_figure(fig, figsize, (9.5, 3.9))
    curves, latents, right = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    looks = style.window_styles(max(len(validation), 1))
    handles, labels = [], []
    for (name, values), look in zip(validation.items(), looks, strict=False):
        (line,) = curves.plot(step, values, color=look.colour, lw=1.5)
        curves.plot(step, training[name], color=look.colour, lw=0.9, ls=":")
        handles.append(line)
        labels.append(name)
    if len(step):
        curves.set_yscale("log")
    else:
        style.say_no_data(curves)
    curves.set(xlabel="Training step", ylabel="Loss term")
    curves.set_title("solid: held out, dotted: training", fontsize=style.SMALL)
    order = np.argsort(latent_kl)[::-1]
    latents.bar(np.arange(len(order)), np.maximum(latent_kl[order], 1e-4), color="#0072B2")
    latents.axhline(0.1, color="black", lw=0.8, ls="--")
    latents.set(xlabel="Latent, by activity", ylabel="KL divergence (nat)", yscale="log")
    latents.set_title("dashed: active above", fontsize=style.SMALL)
    right.plot([0, 1], [0, 1], color=style.GREY, lw=0.8)
    size = 10 + 150 * np.sqrt(calibration.weight)
    right.scatter(calibration.confidence, calibration.accuracy, size, color="#D55E00", alpha=0.8,
                  linewidths=0)  # fmt: skip
    right.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="Confidence", ylabel="Accuracy")
    right.set_title(_SIMULATED, fontsize=style.SMALL)
    layout.put_legend(figure, handles, labels, columns=4)
    return figure
