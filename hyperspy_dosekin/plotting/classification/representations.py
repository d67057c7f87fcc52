# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of denoised spectra, latents, silhouettes, and of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import layout, style

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

_SIMULATED = "on new simulated spectra"


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
    compared
        What principal components show of the same spectra, drawn beside; by default nothing is.
    quantity
        What intensities are.
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


def plot_cosine(
    cosine: np.ndarray,
    names: Sequence[str],
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw the cosines between measured means and references as a table.

    Parameters
    ----------
    cosine
        Measured mean of each class by row, reference by column, ``(n_class, n_class)``; NaN where
        there is none.
    """
    number = len(names)
    figure = layout.new_figure(fig, figsize, (1.8 + 0.9 * number, 1.2 + 0.55 * number))
    panel = figure.add_subplot()
    known = cosine[np.isfinite(cosine)]
    low = float(known.min()) if known.size else 0.0
    drawn = panel.imshow(cosine, cmap="cividis", vmin=min(low, 0.99), vmax=1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(cosine):
        dark = np.isfinite(value) and drawn.norm(value) < 0.6
        text = f"{value:.4f}" if np.isfinite(value) else "–"
        panel.text(column, row, text, ha="center", va="center", fontsize=style.SMALL,
                   color="white" if dark else "black")  # fmt: skip
    short = [style.wrap(name, 14) for name in names]
    panel.set_xticks(np.arange(number), short, fontsize=style.SMALL)
    panel.set_yticks(np.arange(number), short, fontsize=style.SMALL)
    style.as_they_are([*panel.get_xticklabels(), *panel.get_yticklabels()])
    panel.set(xlabel="Reference", ylabel="Mean of the spectra taken for")
    panel.set_title("Cosine", fontsize=style.SMALL + 1)
    return figure
