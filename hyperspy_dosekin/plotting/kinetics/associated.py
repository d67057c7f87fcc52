# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of dose-associated spectra and of the integrities that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import layout, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

NOTE = "Components are what changes at one rate; they are neither species nor bonds."


@dataclass(frozen=True, eq=False)
class AssociatedPicture:
    """What is drawn of the kinetics of whole spectra.

    Parameters
    ----------
    energy
        Energies, ``(n_channel,)``.
    spectra, lower, upper
        Spectra of the components, and of the residue last, with their 95 % bands,
        ``(n_component + 1, n_channel)``.
    grid
        Doses of the curves.
    integrity, integrity_lower, integrity_upper
        ``(n_component, n_grid)``.
    half_dose, half_dose_lower, half_dose_upper
        ``(n_component,)``; NaN where there is none.
    identifiable
        Whether the data determine it.
    names
        Of the components.
    dose
        Doses of the frames.
    dose_unit, energy_unit, quantity
        For labels.
    """

    energy: np.ndarray
    spectra: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    grid: np.ndarray
    integrity: np.ndarray
    integrity_lower: np.ndarray
    integrity_upper: np.ndarray
    half_dose: np.ndarray
    half_dose_lower: np.ndarray
    half_dose_upper: np.ndarray
    identifiable: np.ndarray
    names: Sequence[str]
    dose: np.ndarray
    dose_unit: str
    energy_unit: str
    quantity: str

    @property
    def energy_label(self) -> str:
        """Label of the energy axis."""
        return f"Energy loss ({self.energy_unit})" if self.energy_unit else "Energy loss"


def plot_components(
    picture: AssociatedPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw the integrities of all components, and their spectra beside them.

    Parameters
    ----------
    figsize
        Width and height in inches; default 9.5 × 3.8.

    Returns
    -------
    The figure.
    """
    figure: Any = layout.new_figure(fig, figsize, (9.5, 3.8))
    narrow = layout.is_narrow(figure)
    grid = (2, 1) if narrow else (1, 2)
    curves, spectra = figure.subplots(*grid, **({} if narrow else {"width_ratios": (1.0, 1.2)}))
    for place, look in enumerate(style.window_styles(len(picture.names))):
        line = "-" if picture.identifiable[place] else "--"
        label = f"{picture.names[place]}: {_half_dose(picture, place)}"
        curves.fill_between(
            picture.grid,
            picture.integrity_lower[place],
            picture.integrity_upper[place],
            color=look.colour,
            alpha=0.2,
            lw=0,
        )
        curves.plot(picture.grid, picture.integrity[place], line, color=look.colour, label=label)
        _band(spectra, picture, place, look.colour, picture.names[place])
    curves.plot(picture.dose, np.zeros(picture.dose.size), "|", color="black", ms=6)
    curves.axhline(0.5, color="black", lw=0.8, ls=(0, (4, 3)))
    curves.set(
        xlabel=style.dose_label(picture.dose_unit), ylabel="Latent integrity C", ylim=(-0.02, 1.04)
    )
    curves.legend(fontsize=style.TINY, loc="best")
    _finish(spectra, picture)
    spectra.set_xlabel(picture.energy_label, fontsize=9)
    spectra.legend(fontsize=style.TINY, loc="best")
    figure.supxlabel(
        style.wrap(NOTE, style.characters_in(layout.size_of(figure)[0], style.TINY)),
        x=0.01,
        ha="left",
        fontsize=style.TINY,
        color="0.3",
    )
    return figure


def plot_associated(
    picture: AssociatedPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw the dose-associated spectra and the residue, each with its 95 % band.

    Parameters
    ----------
    figsize
        Width and height in inches; default 7 × 1.9 for each panel.

    Returns
    -------
    The figure.
    """
    number = len(picture.names)
    figure: Any = layout.new_figure(fig, figsize, (7.0, 0.8 + 1.9 * (number + 1)))
    panels = figure.subplots(number + 1, 1, sharex=True, squeeze=False).ravel()
    for place, look in enumerate(style.window_styles(number)):
        _band(panels[place], picture, place, look.colour, picture.names[place])
        panels[place].set_title(
            f"{picture.names[place]}, {_half_dose(picture, place)}", fontsize=9, loc="left"
        )
    last = panels[-1]
    _band(last, picture, number, "0.25", "residue: what no dose removes")
    last.plot(picture.energy, picture.spectra.sum(0), color="0.6", lw=1.0, label="at no dose")
    last.legend(fontsize=style.TINY, loc="best")
    for axes in panels:
        _finish(axes, picture)
    last.set_xlabel(picture.energy_label, fontsize=9)
    figure.supxlabel(
        style.wrap(
            f"Bands: 95 % of each channel by itself. {NOTE}",
            style.characters_in(layout.size_of(figure)[0], style.TINY),
        ),
        x=0.01,
        ha="left",
        fontsize=style.TINY,
        color="0.3",
    )
    return figure


def _band(axes: Axes, picture: AssociatedPicture, place: int, colour: object, label: str) -> None:
    lower, upper = picture.lower[place], picture.upper[place]
    axes.fill_between(picture.energy, lower, upper, color=colour, alpha=0.25, lw=0)
    axes.plot(picture.energy, picture.spectra[place], color=colour, lw=1.2, label=label)


def _finish(axes: Axes, picture: AssociatedPicture) -> None:
    axes.axhline(0, color="black", lw=0.6)
    axes.margins(x=0)
    axes.tick_params(labelsize=style.SMALL)
    axes.set_ylabel(style.wrap(picture.quantity, 28), fontsize=9)


def _half_dose(picture: AssociatedPicture, place: int) -> str:
    """D½ in words."""
    if not picture.identifiable[place]:
        return "D½ not determined"
    lower, upper = picture.half_dose_lower[place], picture.half_dose_upper[place]
    unit = f" {picture.dose_unit}" if picture.dose_unit else ""
    value = style.dose_text(float(picture.half_dose[place]))
    ends = f"{style.dose_text(float(lower))}–{style.dose_text(float(upper))}"
    return f"D½ = {value} ({ends}){unit}"
