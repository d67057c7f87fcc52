# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of classifications: maps, latents, denoised spectra, silhouettes, training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import layout, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import FigureBase

#: Colour of pixels without data, and how they are called.
_NO_DATA_COLOUR = "0.8"
_SIMULATED = "on new simulated spectra"


def class_colours(number: int) -> list[Any]:
    """One colour for each class, the same in every figure."""
    return [look.colour for look in style.window_styles(number)]


def class_colour_map(number: int) -> ListedColormap:
    """Colour map for labels from −1 (no data, grey) to ``number − 1``."""
    from matplotlib.colors import ListedColormap

    return ListedColormap([_NO_DATA_COLOUR, *class_colours(number)], name="classes")


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

        handles.append(Patch(facecolor=_NO_DATA_COLOUR, label=style.NO_DATA))
    layout.put_legend(figure, handles, [h.get_label() for h in handles], columns=5)
    return figure


def plot_denoised(
    energy_ev: np.ndarray,
    spectra: Sequence[np.ndarray],
    names: Sequence[str],
    *,
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
    quantity
        What intensities are.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.
    """
    figure = layout.new_figure(fig, figsize, (6.5, 4.2))
    panel = figure.add_subplot()
    handles, labels = [], []
    for own, name, look in zip(spectra, names, style.window_styles(len(names)), strict=True):
        text = f"{name} ({len(own)} pixels)"
        (line,) = panel.plot([], [], color=look.colour, ls=look.line, lw=1.6)
        if len(own):
            mean, sd = own.mean(axis=0), own.std(axis=0)
            line.set_data(energy_ev, mean)
            panel.fill_between(energy_ev, mean - sd, mean + sd, color=look.colour, alpha=0.2, lw=0)
        handles.append(line)
        labels.append(text)
    if not any(len(own) for own in spectra):
        style.say_no_data(panel)
    panel.relim()
    panel.autoscale_view()
    panel.margins(x=0)
    panel.set(xlabel="Energy loss (eV)", ylabel=quantity)
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
        First two principal components of the same spectra, ``(n, 2)``.
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
        panels, (embedded, scores), ("Latents, t-SNE", "Principal components 1 and 2"), strict=True
    ):
        for k, look in enumerate(looks):
            own = points[label == k]
            panel.plot(
                own[:, 0], own[:, 1], ls="none", marker=look.marker, ms=3, mew=0, alpha=0.6,
                color=look.colour,
            )  # fmt: skip
        panel.set_title(title, fontsize=style.SMALL + 1)
        panel.set(xticks=[], yticks=[])
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
    panel.set_xticks(place, titles, rotation=45 if len(titles) > 4 else 0, fontsize=style.SMALL,
                     ha="right" if len(titles) > 4 else "center")  # fmt: skip
    panel.set_ylabel("Mean silhouette")
    note = "Compactness of the classes, not correctness: it can rise while accuracy falls."
    layout.put_legend(figure, handles, list(silhouette), [note], columns=2)
    return figure


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
