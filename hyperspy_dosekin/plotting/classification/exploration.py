# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures to look through a classification: a map, and what is known about one of its pixels.

They are drawn once; then only what changes is changed, quickly enough to follow a slider.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import style
from hyperspy_dosekin.plotting.classification.bars import LONGEST_NAME, Bars
from hyperspy_dosekin.plotting.classification.maps import NO_DATA_COLOUR, class_colours
from hyperspy_dosekin.plotting.scale_bar import draw_scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

#: Inches, at 100 pixels each: fits into a notebook in a window 1 000 pixels wide.
FIGURE_SIZE = (9.2, 5.6)
MAP_SIZE = (8.4, 4.2)
UNCERTAINTIES = ("encoding", "classifier", "total")
#: Where the bars of the novelty end; beyond, the number says it.
_FARTHEST = 6.0
#: Width of the toolbar of ipympl, inches.
_TOOLBAR = 0.42


class LabelledMap:
    """A map of labels with a mark on one pixel, and a legend of the classes beside it.

    Parameters
    ----------
    axes
        Where to draw.
    shape
        Pixels (y, x).
    names, colours
        Of the labels from 0 on.
    pixel_size, units
        Width of a pixel, for a scale bar; none without.
    """

    def __init__(
        self,
        axes: Axes,
        shape: tuple[int, int],
        names: Sequence[str],
        colours: Sequence[Any],
        *,
        pixel_size: float | None = None,
        units: str = "",
    ) -> None:
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch, Rectangle
        from matplotlib.ticker import MaxNLocator

        self.axes = axes
        self._image = axes.imshow(
            np.full(shape, -1),
            cmap=ListedColormap([NO_DATA_COLOUR, *colours]),
            vmin=-1.5,
            vmax=len(colours) - 0.5,
            interpolation="nearest",
        )
        called = {-1: style.NO_DATA, **dict(enumerate(names))}
        # What the toolbar says of the place under the mouse.
        self._image.format_cursor_data = lambda data: called.get(int(data), "")
        axes.format_coord = lambda x, y: f"x {round(x)}, y {round(y)}"
        # A light line within a dark one is seen on every colour.
        self._marks = [
            Rectangle((0, 0), 1, 1, fill=False, ec=colour, lw=width, zorder=6, clip_on=False)
            for colour, width in (("black", 4.5), ("white", 2.0))
        ]
        for mark in self._marks:
            axes.add_patch(mark)
        axes.set(xlabel="x (pixel)", ylabel="y (pixel)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        axes.tick_params(labelsize=style.SMALL)
        if pixel_size and units:
            draw_scale_bar(axes, shape, pixel_size, units)
        patches = [
            Patch(facecolor=colour, label=style.wrap(name, LONGEST_NAME))
            for colour, name in zip(
                [*colours, NO_DATA_COLOUR], [*names, style.NO_DATA], strict=True
            )
        ]
        columns = 3 if len(patches) > 4 else 2
        figure: Any = axes.figure
        legend = figure.legend(
            handles=patches, loc="outside lower center", ncols=columns, fontsize=style.SMALL,
            frameon=False, handlelength=1.2, columnspacing=1.2,
        )  # fmt: skip
        style.as_they_are(legend.get_texts())

    def show(self, labels: np.ndarray, title: str) -> None:
        """Draw labels ``(y, x)``, −1 for no data."""
        self._image.set_data(labels)
        style.as_they_are([self.axes.set_title(title, fontsize=10, loc="left")])

    def mark(self, x: int, y: int) -> None:
        """Put the mark around a pixel."""
        for mark in self._marks:
            mark.set_xy((x - 0.5, y - 0.5))


class ClassificationFigure:
    """Map, spectrum over the references, probabilities, uncertainties and novelty.

    Parameters
    ----------
    figure
        An empty figure.
    shape
        Pixels (y, x).
    names
        Names of the classes.
    unknown
        Name of the label that follows them.
    energy_ev
        Energies of the channels, eV, ``(n_channels,)``.
    references
        Mean spectrum of each class, ``(n_class, n_channels)``.
    quantity
        What intensities are.
    pixel_size, units
        Width of a pixel; unknown without.
    """

    def __init__(
        self,
        figure: FigureBase,
        shape: tuple[int, int],
        names: Sequence[str],
        unknown: str,
        energy_ev: np.ndarray,
        references: np.ndarray,
        quantity: str,
        *,
        pixel_size: float | None = None,
        units: str = "",
    ) -> None:
        colours = class_colours(len(names) + 1)
        left, right = _halves(figure, shape)
        self.map = LabelledMap(
            left.add_subplot(), shape, [*names, unknown], colours, pixel_size=pixel_size,
            units=units,
        )  # fmt: skip
        upper, lower = right.subfigures(2, 1, height_ratios=[1.25, 1])
        self._spectra(upper.add_subplot(), names, colours, energy_ev, references, quantity)
        grid = lower.add_gridspec(2, 2, width_ratios=[1.1, 1], height_ratios=[3, 1.15])
        self._probability = Bars(
            lower.add_subplot(grid[:, 0]), names, colours, 1.0, "Probability of the class"
        )
        self._uncertainty = Bars(
            lower.add_subplot(grid[0, 1]), UNCERTAINTIES, ["0.7", "0.55", "0.3"],
            float(np.log(len(names))), "Uncertainty (nat)",
        )  # fmt: skip
        self._novelty = Bars(
            lower.add_subplot(grid[1, 1]), ["novelty"], ["0.3"], _FARTHEST,
            "−log₁₀ false-alarm rate",
        )  # fmt: skip
        self._limit = self._novelty.axes.axvline(0, color=colours[-1], lw=2.5, ls="--")

    def _spectra(
        self,
        axes: Axes,
        names: Sequence[str],
        colours: Sequence[object],
        energy_ev: np.ndarray,
        references: np.ndarray,
        quantity: str,
    ) -> None:
        self._axes, self._energy = axes, energy_ev
        (self._measured,) = axes.plot([], [], color="0.6", lw=0.9, label="measured")
        self._references = references
        self._lines = [
            axes.plot(energy_ev, spectrum, color=colour, lw=1.2, ls="--")[0]
            for spectrum, colour in zip(references, colours, strict=False)
        ]
        (self._denoised,) = axes.plot([], [], color="black", lw=1.6, label="denoised")
        axes.set_xlim(energy_ev[0], energy_ev[-1])
        axes.set_xlabel("Energy loss (eV)", fontsize=9)
        axes.set_ylabel(style.wrap(quantity, 26), fontsize=9)
        axes.tick_params(labelsize=style.SMALL)
        axes.plot([], [], color=style.GREY, lw=1.2, ls="--", label="references, in class colours")
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=style.SMALL,
            frameon=False, borderaxespad=0.1, columnspacing=1.2, handlelength=1.6,
        )  # fmt: skip
        self._nothing = axes.text(
            0.5, 0.5, "", transform=axes.transAxes, ha="center", va="center", color=style.GREY
        )

    def show_threshold(self, threshold: float | None) -> None:
        """Draw the novelty beyond which a pixel is unknown; ``None`` for no such line."""
        self._limit.set_visible(threshold is not None)
        if threshold is not None:
            self._limit.set_xdata([threshold, threshold])

    def show_pixel(
        self,
        label: int,
        measured: np.ndarray,
        denoised: np.ndarray,
        probability: np.ndarray,
        uncertainty: np.ndarray,
        novelty: float,
        *,
        scale_references: bool = False,
    ) -> None:
        """Draw what is known about a pixel.

        Parameters
        ----------
        label
            Its class, whose reference is drawn bold; −1 without data.
        measured, denoised
            Spectra, ``(n_channels,)``.
        probability
            Of each class, ``(n_class,)``.
        uncertainty
            In the order of `UNCERTAINTIES`, nats, ``(3,)``.
        novelty
            −log10 of the false-alarm rate.
        scale_references
            Whether each reference gets the factor that brings it closest to the denoised spectrum.
        """
        self._measured.set_data(self._energy, measured)
        self._denoised.set_data(self._energy, denoised)
        references = self._references
        if scale_references and np.isfinite(denoised).all():
            references = _scaled_to(denoised, references)
        for k, (line, spectrum) in enumerate(zip(self._lines, references, strict=True)):
            line.set(lw=2.4 if k == label else 1.0, alpha=1.0 if k == label else 0.75)
            line.set_ydata(spectrum)
        self._nothing.set_text("" if np.isfinite(denoised).any() else style.NO_DATA)
        limits = style.data_limits(references, measured, denoised, margin=0.04)
        if limits is not None:
            self._axes.set_ylim(limits)
        self._probability.show(probability, "{:.2f}")
        self._uncertainty.show(uncertainty, "{:.2f}")
        self._novelty.show(np.array([novelty]), "{:.1f}")


class ClassMapFigure:
    """A map of labels, and the share of each class among its pixels.

    Parameters
    ----------
    figure
        An empty figure.
    shape
        Pixels (y, x).
    names
        Names of the classes.
    pixel_size, units
        Width of a pixel; unknown without.
    """

    def __init__(
        self,
        figure: FigureBase,
        shape: tuple[int, int],
        names: Sequence[str],
        *,
        pixel_size: float | None = None,
        units: str = "",
    ) -> None:
        colours = class_colours(len(names))
        left, right = _halves(figure, shape)
        self.map = LabelledMap(
            left.add_subplot(), shape, names, colours, pixel_size=pixel_size, units=units
        )
        self._share = Bars(
            right.add_subplot(), names, colours, 100.0, "Share of the pixels that have a class (%)"
        )

    def show_shares(self, shares: np.ndarray) -> None:
        """Draw the share of each class, ``(n_class,)``, at most 1; NaN where no pixel has one."""
        self._share.show(100 * shares, "{:.1f}")


def _scaled_to(spectrum: np.ndarray, references: np.ndarray) -> np.ndarray:
    """References times the factor each that brings them closest to a spectrum, not below zero."""
    square = np.maximum((references**2).sum(axis=1), np.finfo(float).tiny)
    factor = np.maximum(references @ spectrum / square, 0.0)
    return references * factor[:, None]


def _halves(figure: FigureBase, shape: tuple[int, int]) -> tuple[Any, Any]:
    """Subfigures for the map, narrower for a high one, and for the rest."""
    width = float(np.clip(shape[1] / shape[0], 0.6, 1.2))
    # In a notebook the toolbar lies upon the left edge.
    toolbar = _TOOLBAR / (FIGURE_SIZE[0] - _TOOLBAR) * (width + 1.5)
    parts: Any = figure.subfigures(1, 3, width_ratios=[toolbar, width, 1.5])
    return parts[1], parts[2]
