# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figure of the kinetic parameters of all windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting import layout, style
from hyperspy_dosekin.plotting.kinetics.pictures.parameters import Estimate, ParameterPicture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

#: Ratio of the largest to the smallest number from which a logarithmic axis is easier to read.
_LOG_RATIO = 6.0
#: How far open or huge intervals may stretch an axis beyond the values: a factor on a
#: logarithmic axis, a multiple of the range of values on a linear one.
_STRETCH_FACTOR = 3.0
_STRETCH_RANGE = 1.0
#: Height of the bar of the optimiser spread above the value, in rows.
_SPREAD_SHIFT = 0.24


def plot_parameters(
    picture: ParameterPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw the parameters and the half-integrity dose of every window, one row for each window.

    Filled symbols belong to windows whose half-integrity dose the data determine, hollow grey
    ones to the others. Thick bars are intervals, thin ones with open symbols the spread of an
    ensemble.

    Parameters
    ----------
    picture
        What to draw.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches; default 7.5 wide, higher with every window.

    Returns
    -------
    The figure.

    Examples
    --------
    >>> from hyperspy_dosekin.plotting import Estimate, ParameterPicture, plot_parameters
    >>> picture = ParameterPicture(
    ...     window_names=("C–C", "C–O"),
    ...     half_dose=Estimate(value=[900.0, 300.0], lower=[600.0, 270.0], upper=[np.inf, 340.0]),
    ...     reached=[True, True],
    ...     rate=Estimate(value=[1.0, 3.0]),
    ... )
    >>> figure = plot_parameters(picture)
    """
    from matplotlib.lines import Line2D

    n_window = len(picture.window_names)
    width = layout.width_before(fig, figsize, 7.5)
    stacked = width < layout.COLUMN_WIDTH
    names = _row_names(picture, width)
    row = max(0.42, 0.15 * max(name.count("\n") + 1 for name in names))
    shown = {
        "Rate k\n(per normalised dose)": picture.rate,
        "Exponent p\n": picture.exponent,
        **{f"{name}\n": estimate for name, estimate in picture.others.items()},
        with_unit("Half-integrity dose D½\n", picture.dose_unit): picture.half_dose,
    }
    estimates = {title: estimate for title, estimate in shown.items() if estimate is not None}
    count = len(estimates)
    height = 1.7 + row * n_window * (count if stacked else 1) + (0.4 * count if stacked else 0.0)
    figure = layout.new_figure(fig, figsize, (width, height))
    shape = (count, 1) if stacked else (1, count)
    panels: Any = figure.subplots(*shape, sharey=True, squeeze=False).ravel()
    for axes, (title, estimate) in zip(panels, estimates.items(), strict=True):
        # An exponent is a number around 1, of which nobody thinks in ratios.
        _forest(axes, picture, estimate, ratios=estimate in (picture.rate, picture.half_dose))
        if stacked:
            one_line = " ".join(title.split())
            title = style.wrap(one_line, style.characters_in(width - 1.5, 9))
        axes.set_xlabel(title, fontsize=9)
    left, right = panels[-1].get_xlim()
    last_dose = np.inf if picture.dose_max is None else max(picture.dose_max, left)
    beyond = style.shade_beyond(panels[-1], last_dose, right, "")
    for axes in panels if stacked else panels[:1]:
        axes.set_yticks(range(n_window), names, fontsize=style.SMALL)

    examined = picture.identifiable is not None
    handles: list[Any] = [Line2D([], [], color="0.2", marker="o", ls="none")]
    labels = ["estimate" + (", D½ determined" if examined else "")]
    if examined and not np.all(picture.identifiable):
        handles.append(Line2D([], [], color="0.55", marker="o", mfc="white", ls="none"))
        labels.append("estimate, D½ not determined")
    if any(estimate.lower is not None for estimate in estimates.values()):
        handles.append(Line2D([], [], color="0.2", lw=2))
        interval = style.interval_label(picture.level, picture.interval_method)
        labels.append(f"{interval} (arrow: open or beyond the axis)")
    if any(estimate.spread is not None for estimate in estimates.values()):
        handles.append(Line2D([], [], color="0.3", lw=0.8, marker="d", ms=3.5, mfc="white"))
        labels.append(style.OPTIMISER_SPREAD)
    if picture.exponent is not None:
        axes = panels[list(estimates.values()).index(picture.exponent)]
        lowest, highest = axes.get_xlim()
        if lowest < 1 < highest:
            handles.append(axes.axvline(1.0, color=style.GREY, lw=0.8, ls=(0, (1, 1)), zorder=1))
            labels.append("first order, p = 1")
    if beyond:
        handles.append(style.hatched())
        labels.append(style.BEYOND)
    mixed = picture.grows is not None and bool(picture.grows.any())
    notes = [
        style.window_note(picture.energy_windows),
        style.MIXED_NOTE if mixed else "",
        "" if examined else style.UNTESTED_NOTE,
        style.DOUBTFUL_NOTE if style.doubtful(picture.identifiable, picture.adequate) else "",
    ]
    layout.put_legend(figure, handles, labels, notes, columns=2)
    layout.put_title(figure, picture.title)
    return figure


def _row_names(picture: ParameterPicture, width: float) -> list[str]:
    """Window names with what is to be said of each window."""
    labels = []
    for i, name in enumerate(picture.window_names):
        lines = [style.wrap(name, max(style.characters_in(0.22 * width, style.SMALL), 10))]
        first = next(each for each in (picture.rate, *picture.others.values()) if each is not None)
        if np.isnan(first.value[i]):
            lines.append(f"({style.NO_DATA})")
        elif not style.flag(picture.identifiable, i, True):
            lines.append("(D½ not determined)")
        elif not style.flag(picture.adequate, i, True):
            lines.append("(D½ doubtful)")
        elif not picture.reached[i] or np.isnan(picture.half_dose.value[i]):
            lines.append("(D½ not reached in range)")
        if style.flag(picture.grows, i, False):
            lines.append("(mixed response)")
        labels.append("\n".join(lines))
    return labels


def _numbers(estimate: Estimate) -> np.ndarray:
    """All numbers of an estimate that an axis should show if it can."""
    parts = [estimate.value, estimate.lower, estimate.upper]
    if estimate.spread is not None:
        parts += [estimate.value - estimate.spread, estimate.value + estimate.spread]
    numbers = np.concatenate([part for part in parts if part is not None])
    return numbers[np.isfinite(numbers)]


def _limits(estimate: Estimate, ratios: bool) -> tuple[float, float, bool]:
    """Limits of the axis of an estimate, and whether it is logarithmic, if it may be."""
    values = estimate.value[np.isfinite(estimate.value)]
    numbers = _numbers(estimate)
    if not values.size:
        values = numbers if numbers.size else np.array([0.0, 1.0])
    low, high = float(values.min()), float(values.max())
    positive = numbers[numbers > 0]
    log = bool(
        ratios and low > 0 and positive.max(initial=high) > _LOG_RATIO * positive.min(initial=low)
    )
    if log:
        low = max(positive.min(), low / _STRETCH_FACTOR)
        high = min(positive.max(), high * _STRETCH_FACTOR)
        room = (high / low) ** 0.08
        return low / room, high * room, True
    stretch = _STRETCH_RANGE * max(high - low, abs(high), 1e-12)
    low = max(numbers.min(initial=low), low - stretch)
    high = min(numbers.max(initial=high), high + stretch)
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room, False


def _forest(axes: Axes, picture: ParameterPicture, estimate: Estimate, *, ratios: bool) -> None:
    """Draw one parameter: a row for each window, the first on top."""
    from matplotlib.ticker import MaxNLocator

    left, right, log = _limits(estimate, ratios)
    if log:
        axes.set_xscale("log")
        axes.set_xlim(left, right)
        style.logarithmic(axes.xaxis, labels=4)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    n_window = estimate.value.size
    axes.set(xlim=(left, right), ylim=(n_window - 0.4, -0.6))
    axes.tick_params(labelsize=style.SMALL)
    axes.grid(axis="y", color="0.92", lw=0.8)
    axes.set_axisbelow(True)
    for i, look in enumerate(style.window_styles(n_window)):
        determined = style.flag(picture.identifiable, i, True)
        colour = look.colour if determined else "0.55"
        if estimate.lower is not None and estimate.upper is not None:
            style.draw_interval(axes, i, estimate.lower[i], estimate.upper[i], color=colour)
        value = estimate.value[i]
        if not np.isfinite(value):
            if estimate.lower is None or np.isnan(estimate.lower[i]):
                axes.annotate("–", (0.5, i), xycoords=("axes fraction", "data"), ha="center")
            continue
        face = colour if determined else "white"
        axes.plot([value], [i], look.marker, color=colour, mfc=face, ms=5.5, zorder=4)
        if estimate.spread is not None and np.isfinite(estimate.spread[i]):
            row = i - _SPREAD_SHIFT
            span = np.clip(value + estimate.spread[i] * np.array([-1, 1]), left, right)
            axes.plot(span, [row, row], color=colour, lw=0.8, marker="|", ms=4)
            axes.plot([value], [row], "d", color=colour, mfc="white", mew=0.8, ms=3.5)
