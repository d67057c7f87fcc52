# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Specification curve: one result under every admissible way to get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting import layout, style
from hyperspy_dosekin.plotting.kinetics.pictures.base import Picture, arrays

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase


@dataclass(frozen=True, eq=False, kw_only=True)
class SpecificationPicture(Picture):
    """What the figure shows.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`.
    steps
        Names of the steps for which there is a choice.
    taken
        What each choice takes in each step, in words; empty where it is as it was fitted.
    half_dose, lower, upper
        D½ and its interval, ``(n_choice, n_window)``; the first choice is what was fitted.

    Raises
    ------
    ValueError
        If a shape does not fit.
    """

    steps: tuple[str, ...]
    taken: tuple[tuple[str, ...], ...]
    half_dose: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = (len(self.taken), len(self.window_names))
        arrays(self, float, shape, "half_dose lower upper")


def plot_specification(
    picture: SpecificationPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw a specification curve [1]_: D½ under every choice, and what the choices are.

    Returns
    -------
    The figure.

    References
    ----------
    .. [1] U. Simonsohn, J. P. Simmons, L. D. Nelson, Nat. Hum. Behav. 4, 1208 (2020),
       doi:10.1038/s41562-020-0912-z.

    Examples
    --------
    >>> from hyperspy_dosekin.plotting.kinetics.specification import (
    ...     SpecificationPicture,
    ...     plot_specification,
    ... )
    >>> half = np.array([[300.0], [360.0]])
    >>> picture = SpecificationPicture(
    ...     window_names=("C–O",),
    ...     dose_unit="e⁻/Å²",
    ...     steps=("normalise",),
    ...     taken=(("",), ("total",)),
    ...     half_dose=half,
    ...     lower=half / 2,
    ...     upper=half * 2,
    ... )
    >>> figure = plot_specification(picture)
    """
    order = _order(picture.half_dose)
    rows = [
        (step, value)
        for place, step in enumerate(picture.steps)
        for value in dict.fromkeys(each[place] for each in picture.taken)
    ]
    height = 2.8 + 0.24 * len(rows)
    figure: Any = layout.new_figure(fig, figsize, (7.5, height))
    above, below = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [2.4, max(0.24 * len(rows), 0.4)]}
    )
    place = np.arange(len(order))
    styles = style.window_styles(len(picture.window_names))
    above.set_yscale("log")
    finite = picture.half_dose[np.isfinite(picture.half_dose) & (picture.half_dose > 0)]
    if finite.size:
        # Open intervals would leave nothing to see of the rest.
        above.set_ylim(finite.min() / 4, finite.max() * 4)
    lower, upper = np.clip([picture.lower, picture.upper], *above.get_ylim())
    for window, (name, look) in enumerate(zip(picture.window_names, styles, strict=True)):
        half = picture.half_dose[order, window]
        # Side by side, so that intervals do not hide each other.
        x = place + 0.16 * (window - (len(styles) - 1) / 2)
        above.vlines(x, lower[order, window], upper[order, window], color=look.colour, lw=1)
        above.plot(x, half, ls="none", marker=look.marker, ms=4, color=look.colour, label=name)
        above.axhline(picture.half_dose[0, window], color=look.colour, lw=0.6, ls=":")
    above.set_ylabel(with_unit("D½", picture.dose_unit))
    above.legend(
        fontsize=style.SMALL,
        ncols=len(styles),
        loc="lower left",
        bbox_to_anchor=(0, 1),
        frameon=False,
    )
    labels = [f"{step}: {value or 'as fitted'}" for step, value in rows]
    for row, (step, value) in enumerate(rows):
        column = picture.steps.index(step)
        inside = [picture.taken[choice][column] == value for choice in order]
        below.plot(place, np.full(len(place), row), ls="none", marker=".", ms=4, color="0.85")
        below.plot(place[inside], np.full(sum(inside), row), ls="none", marker="o", ms=4, color="k")
    fitted = int(np.flatnonzero(order == 0)[0])
    for axes in (above, below):
        axes.axvspan(fitted - 0.5, fitted + 0.5, color="0.93", lw=0, zorder=0)
    below.set_yticks(range(len(rows)), labels, fontsize=style.TINY)
    below.set_ylim(len(rows) - 0.4, -0.6)
    below.set_xticks([])
    below.set_xlabel("processing, from the smallest to the largest D½; grey: as fitted")
    layout.put_title(figure, picture.title)
    return figure


def _order(half_dose: np.ndarray) -> np.ndarray:
    """Choices from the smallest to the largest mean of ln D½."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(half_dose)
    logarithm = np.where(np.isfinite(logarithm), logarithm, np.nan)
    middle = np.nanmedian(logarithm, axis=0, keepdims=True) if len(half_dose) else logarithm
    return np.argsort(np.nan_to_num(np.nanmean(logarithm - middle, axis=1)), kind="stable")
