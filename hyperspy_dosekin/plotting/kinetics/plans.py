# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figure of a planned dose series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import FigureBase

from hyperspy_dosekin.plotting import layout, style


@dataclass(frozen=True, eq=False)
class PlanPicture:
    """What is drawn of a plan.

    Parameters
    ----------
    dose
        Doses of the frames.
    curve_dose, lower, middle, upper
        Expected integrity, its median and where 95 % of the expected curves lie.
    names, sd
        The plan and its alternatives, with their expected standard deviations.
    symbol
        Of the quantity that is to be known.
    dose_unit
        Unit of the doses.
    """

    dose: np.ndarray
    curve_dose: np.ndarray
    lower: np.ndarray
    middle: np.ndarray
    upper: np.ndarray
    names: tuple[str, ...]
    sd: np.ndarray
    symbol: str
    dose_unit: str


def plot_plan(
    picture: PlanPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw the expected curves with the planned frames, and the plan beside its alternatives.

    Parameters
    ----------
    figsize
        Width and height in inches; default 9.5 × 3.6, higher for many names.

    Returns
    -------
    The figure.
    """
    # Names take two lines each.
    height = max(3.6, 1.0 + 0.33 * len(picture.names))
    figure = layout.new_figure(fig, figsize, (9.5, height))
    curves, bars = figure.subplots(1, 2, width_ratios=(1.1, 1.0))
    colour = style.MODEL_COLOURS[0]
    curves.fill_between(
        picture.curve_dose, picture.lower, picture.upper, color=colour, alpha=0.2, lw=0
    )
    curves.plot(picture.curve_dose, picture.middle, color=colour, label="expected, with 95 %")
    at = np.interp(picture.dose, picture.curve_dose, picture.middle)
    curves.plot(picture.dose, at, "o", color="black", label="planned frames")
    curves.vlines(picture.dose, 0, at, color=style.GREY, lw=0.8)
    curves.axhline(0.5, color=style.GREY, ls=":", lw=0.8)
    curves.set(
        xlabel=style.dose_label(picture.dose_unit),
        ylabel="Integrity C",
        ylim=(0, 1.05),
        xlim=(-0.02 * picture.curve_dose[-1], 1.03 * picture.curve_dose[-1]),
    )
    curves.legend(fontsize=style.SMALL)
    place = np.arange(len(picture.names))[::-1]
    colours = [colour] + [style.GREY] * (len(picture.names) - 1)
    bars.barh(place, picture.sd, color=colours, height=0.6)
    for row, value in zip(place, picture.sd, strict=True):
        bars.annotate(
            f"{value:.2g}",
            (value, row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL,
        )
    names = [style.wrap(name, 30) for name in picture.names]
    bars.set_yticks(place, names, fontsize=style.SMALL)
    bars.set_xlabel(f"Expected sd of ln {picture.symbol}")
    bars.margins(x=0.15)
    bars.spines[["top", "right"]].set_visible(False)
    return figure
