# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One spectrum before and after each step of its processing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import layout, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

#: What each step is called in a figure.
TITLES = {
    "recorded": "As recorded",
    "spikes": "Spikes replaced",
    "align": "Aligned",
    "dark": "Dark level subtracted",
    "background": "Background subtracted",
    "zero_loss": "Zero-loss peak",
    "deconvolve": "Deconvolved",
    "normalise": "Normalised",
    "crop": "Cropped",
}
_MODELS = {"background": "fitted background", "zero_loss": "model of the zero-loss peak"}
#: Steps shown on a logarithmic scale, because nothing but the zero-loss peak would be seen.
_LOG = {"recorded", "spikes", "align", "dark", "zero_loss"}
_BEFORE, _AFTER, _MODEL = "0.6", "#0072B2", "#D55E00"


@dataclass(frozen=True, eq=False)
class ProcessingStep:
    """A step to draw.

    Parameters
    ----------
    name
        Key of `TITLES`.
    energy_before, before
        Energies in eV and intensities before it, shape ``(n,)``; `None` at the first step.
    energy, after
        The same after it.
    touched
        Channels that were replaced, boolean, shape of `after`.
    model
        What was subtracted or separated, shape of `after`.
    """

    name: str
    energy_before: np.ndarray
    before: np.ndarray | None
    energy: np.ndarray
    after: np.ndarray
    touched: np.ndarray | None = None
    model: np.ndarray | None = None


def plot_steps(
    steps: Sequence[ProcessingStep],
    *,
    title: str = "",
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw a panel for each step, with the spectrum before and after it.

    Parameters
    ----------
    steps
        The steps in order.
    title
        Over all panels.
    figsize
        Width and height in inches; default by the number of steps.

    Returns
    -------
    The figure.
    """
    width = layout.width_before(fig, figsize, 9.0)
    columns = 1 if width < layout.COLUMN_WIDTH else min(3, len(steps))
    rows = -(-len(steps) // columns)
    figure = layout.new_figure(fig, figsize, (width, 0.9 + 2.1 * rows))
    shown: dict[str, Any] = {}
    low_loss = any(step.name == "zero_loss" for step in steps)
    for place, step in enumerate(steps):
        panel = figure.add_subplot(rows, columns, place + 1)
        panel.set_title(TITLES.get(step.name, step.name), fontsize=10, loc="left")
        _draw(panel, step, shown, low_loss)
        if place + columns >= len(steps):
            panel.set_xlabel("Energy loss (eV)", fontsize=9)
        relative = step.name == "normalise"
        if place % columns == 0 or relative:
            panel.set_ylabel("Relative intensity" if relative else "Intensity", fontsize=9)
    named = sorted(shown, key=lambda label: label != "before")
    layout.put_legend(figure, [shown[label] for label in named], named, columns=4)
    layout.put_title(figure, title)
    return figure


def _draw(axes: Axes, step: ProcessingStep, shown: dict[str, object], low_loss: bool) -> None:
    """Draw one step; `shown` collects what the legend has to explain."""
    moved = low_loss and step.name == "align" and step.before is not None
    logarithmic = low_loss and not moved and step.name in {*_LOG, "background"}
    axes.tick_params(labelsize=style.SMALL)
    same_units = step.name not in ("normalise",)
    if step.before is not None and same_units:
        (shown["before"],) = axes.plot(step.energy_before, step.before, color=_BEFORE, lw=2.2)
    (shown["after"],) = axes.plot(step.energy, step.after, color=_AFTER, lw=1.0)
    if step.model is not None:
        label = _MODELS.get(step.name, "model")
        model = np.where(step.model > 0, step.model, np.nan) if logarithmic else step.model
        (shown[label],) = axes.plot(step.energy, model, color=_MODEL, lw=1.2, ls="--")
    if step.touched is not None and step.touched.any() and step.before is not None:
        where = step.touched
        (shown["replaced"],) = axes.plot(
            step.energy[where], step.before[where], "o", mfc="none", mec=_MODEL, ms=6
        )
    if moved:
        _limit_to_peak(axes, step)
        return
    if logarithmic:
        axes.set_yscale("log")
        positive = step.after[step.after > 0]
        if positive.size:
            axes.set_ylim(max(np.percentile(positive, 1) / 3, positive.max() * 1e-7), None)
    elif low_loss:
        _limit_to_losses(axes, step)
    else:
        axes.axhline(0, color="black", lw=0.6)
    axes.margins(x=0.01)


def _limit_to_peak(axes: Axes, step: ProcessingStep) -> None:
    """Show the zero-loss peak alone: on the whole axis nobody sees that it has moved."""
    peak = int(np.nanargmax(step.after))
    above = step.after > 0.5 * step.after[peak]
    half = 4 * max(int(above.sum()), 2) * abs(step.energy[1] - step.energy[0])
    axes.set_xlim(step.energy[peak] - half, step.energy[peak] + half)
    axes.axvline(0, color="black", lw=0.6, ls=":")
    # How high the peak is says the panel before; here a power of ten would lie on the title.
    axes.tick_params(labelleft=False)
    axes.annotate(
        "zoom", (0.98, 0.95), xycoords="axes fraction", ha="right", va="top", fontsize=style.TINY,
        color="0.3",
    )  # fmt: skip


def _limit_to_losses(axes: Axes, step: ProcessingStep) -> None:
    """Let the losses, and not what is left of the zero-loss peak, fill a panel."""
    losses = step.after[step.energy > 3]
    losses = losses[np.isfinite(losses)]
    if losses.size:
        high = float(losses.max())
        axes.set_ylim(-0.1 * high, 1.15 * high)
    axes.axhline(0, color="black", lw=0.6)
