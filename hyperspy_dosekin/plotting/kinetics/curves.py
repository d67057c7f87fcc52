# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of curves against dose: integrity of all windows, and the fit of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import layout, style
from hyperspy_dosekin.plotting.kinetics.pictures.curves import CurvePicture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

#: Distance of two intervals of D½ that would overlap, in units of C.
_LANE = 0.022
_SHARED_NOTE = (
    "Data: without the errors that frames share (drift, processing), as the fit sees them; small "
    "grey points: as measured."
)


def _status(picture: CurvePicture, index: int) -> str:
    if not picture.has_data[index]:
        return style.NO_DATA
    lower, upper = picture.half_dose_lower, picture.half_dose_upper
    text = style.half_dose_status(
        picture.half_dose[index],
        bool(picture.reached[index]),
        style.flag(picture.identifiable, index, True),
        None if lower is None else lower[index],
        None if upper is None else upper[index],
        adequate=style.flag(picture.adequate, index, True),
    )
    return f"{text}\n{style.MIXED}" if style.flag(picture.grows, index, False) else text


def _notes(picture: CurvePicture) -> list[str]:
    """Sentences that the legend has no entry for."""
    numbers = f"D½ in {picture.dose_unit}" if picture.dose_unit else "D½ in the unit of the dose"
    if picture.half_dose_lower is not None:
        interval = style.interval_label(picture.level, picture.interval_method)
        numbers += f", in brackets its {interval}"
    mixed = picture.grows is not None and bool(picture.grows.any())
    return [
        f"{numbers}.",
        style.window_note(picture.energy_windows),
        style.MIXED_NOTE if mixed else "",
        style.UNTESTED_NOTE if picture.identifiable is None else "",
        style.DOUBTFUL_NOTE if style.doubtful(picture.identifiable, picture.adequate) else "",
    ]


def plot_integrity(
    picture: CurvePicture,
    *,
    axes: Axes | None = None,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw the integrity C of all windows against dose.

    Solid curves belong to windows whose half-integrity dose the data determine, dashed ones to
    the others. Intervals are filled; the spread of an ensemble is dotted, and named as such.

    Parameters
    ----------
    picture
        What to draw.
    axes
        Axes to draw in; the figure around them is left as it is.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches; default 7 × 4.8, higher where the legend needs it.

    Returns
    -------
    The figure.

    Examples
    --------
    >>> from hyperspy_dosekin.plotting import CurvePicture, plot_integrity
    >>> dose, grid = np.array([100.0, 200.0, 300.0]), np.linspace(0, 300, 7)
    >>> picture = CurvePicture(
    ...     window_names=("C–O",),
    ...     dose=dose,
    ...     values=np.exp(-dose / 200)[None],
    ...     grid=grid,
    ...     fitted=np.exp(-grid / 200)[None],
    ...     integrity=np.exp(-grid / 200)[None],
    ...     half_dose=[138.6],
    ...     reached=[True],
    ... )
    >>> figure = plot_integrity(picture)
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    n_window = len(picture.window_names)
    if axes is None:
        figure = layout.new_figure(fig, figsize, (7.0, max(4.8, 2.3 + 0.3 * n_window)))
        panel = figure.add_subplot()
    else:
        panel, figure = axes, axes.figure
    interval = style.interval_label(picture.level, picture.interval_method)
    shown: dict[str, Any] = {}
    handles, labels = [], []
    for i, look in enumerate(style.window_styles(n_window)):
        identifiable = style.flag(picture.identifiable, i, True)
        line = {"color": look.colour, "ls": "-" if identifiable else "--", "lw": 1.8}
        if picture.has_data[i]:
            _integrity_curve(panel, picture, i, {**line, "marker": look.marker}, shown)
        handles.append(Line2D([], [], **line, marker=look.marker, ms=5))
        name = picture.window_names[i]
        labels.append(f"{name}{': ' if len(name) < 8 else chr(10)}{_status(picture, i)}")
        if not identifiable and picture.has_data[i]:
            shown["dashed"] = Line2D([], [], color="0.3", lw=1.8, ls="--")
    panel.axhline(0.5, color="black", lw=0.8, ls=(0, (4, 3)), zorder=2)
    _half_dose_intervals(panel, picture, shown)
    if not picture.has_data.any():
        style.say_no_data(panel)
    limit = float(picture.grid[-1])
    style.shade_beyond(panel, picture.dose_max, limit, "extrapolated\nby the law")
    layout.dose_axis(panel, limit, picture.dose_max)
    panel.set(
        ylim=(-0.02, 1.04), xlabel=style.dose_label(picture.dose_unit), ylabel="Latent integrity C"
    )
    # The legend beside the axes takes about so many inches, if there is one.
    legend_width = 0.0 if axes is None and layout.is_narrow(figure) else 2.6
    room = panel.get_position().width * layout.size_of(figure)[0] - legend_width
    panel.set_title(style.wrap(picture.title, style.characters_in(room, 11)), fontsize=11)
    if "band" in shown:
        shown["band"] = Patch(color="0.4", alpha=0.3, lw=0)
    named = {
        "half": "half-integrity dose D½ (C = ½)",
        "bar": f"{interval} of D½",
        "band": f"{interval} of C",
        "dashed": "dashed: D½ not determined by these data",
        "spread": style.OPTIMISER_SPREAD,
    }
    handles += [shown[key] for key in named if key in shown]
    labels += [text for key, text in named.items() if key in shown]
    notes = [*_notes(picture), "Symbols along the curves only tell windows apart."]
    if axes is None:
        layout.put_legend(figure, handles, labels, notes, beside=True)
    else:
        layout.put_axes_legend(panel, handles, labels, notes)
    return figure


def _integrity_curve(
    axes: Axes, picture: CurvePicture, index: int, line: dict[str, Any], shown: dict[str, object]
) -> None:
    """Draw one window of `plot_integrity`; `shown` collects what the legend has to explain."""
    from matplotlib.lines import Line2D

    n_window, n_grid = picture.integrity.shape
    curve, colour = picture.integrity[index], line["color"]
    if picture.integrity_lower is not None and picture.integrity_upper is not None:
        lower, upper = picture.integrity_lower[index], picture.integrity_upper[index]
        # Many filled bands on top of each other would hide everything.
        alpha = 0.2 if n_window <= 5 else 0.1
        axes.fill_between(picture.grid, lower, upper, color=colour, alpha=alpha, lw=0)
        shown["band"] = None
    if picture.integrity_spread is not None:
        for sign in (-1, 1):
            edge = curve + sign * picture.integrity_spread[index]
            axes.plot(picture.grid, edge, color=colour, lw=0.7, ls=":")
        shown["spread"] = Line2D([], [], color="0.3", lw=0.9, ls=":")
    # A few symbols tell windows apart without colour; staggered, so that they rarely coincide.
    step = max(n_grid // 6, 1)
    every = (round(step * (0.3 + index / n_window)), step)
    axes.plot(picture.grid, curve, **line, ms=4, markevery=every, zorder=3)
    dose = picture.half_dose[index]
    if line["ls"] == "-" and dose <= picture.grid[-1]:
        # Hardly filled, so that two windows with the same dose stay visible.
        size = 9.0 if n_window <= 8 else 7.0
        half = {"marker": line["marker"], "ms": size, "mew": 1.8, "ls": "none"}
        axes.plot([dose], [0.5], **half, mfc=(1, 1, 1, 0.5), mec=colour, zorder=6)
        shown["half"] = Line2D([], [], **{**half, "marker": "o"}, mfc="white", mec="0.3")


def _half_dose_intervals(axes: Axes, picture: CurvePicture, shown: dict[str, object]) -> None:
    """Draw bars at the half level; those that overlap lie in lanes, open ends are arrows."""
    from matplotlib.lines import Line2D

    if picture.half_dose_lower is None or picture.half_dose_upper is None:
        return
    limit = float(picture.grid[-1])
    colours = [look.colour for look in style.window_styles(len(picture.window_names))]
    lane_ends: list[float] = []
    determined = [style.flag(picture.identifiable, i, True) for i in range(len(colours))]
    # Determined doses first, so that they lie at the half level itself.
    for i in np.lexsort((picture.half_dose_lower, np.logical_not(determined))):
        lower, upper = float(picture.half_dose_lower[i]), float(picture.half_dose_upper[i])
        if not picture.has_data[i] or not lower < limit or np.isnan(upper):
            continue
        free = [k for k, end in enumerate(lane_ends) if end + 0.02 * limit < lower]
        lane = free[0] if free else len(lane_ends)
        if not free:
            lane_ends.append(0.0)
        lane_ends[lane] = min(upper, limit)
        height = 0.5 - _LANE * lane
        left = (max(lower, 0.0), "<" if lower <= 0 else "|")
        right = (lane_ends[lane], ">" if upper > limit else "|")
        line = "-" if determined[i] else "--"
        ends = [left[0], right[0]]
        axes.plot(ends, [height, height], ls=line, color=colours[i], lw=1.2, zorder=5)
        for dose, marker in (left, right):
            axes.plot([dose], [height], marker, color=colours[i], ms=6, zorder=5, clip_on=False)
        shown["bar"] = Line2D([], [], color="0.3", lw=1.2, marker="|", ms=6)


def plot_fit(
    picture: CurvePicture,
    *,
    residuals: bool = True,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw the data of each window with their fit, one panel for each window.

    Parameters
    ----------
    picture
        What to draw.
    residuals
        Whether a strip below each panel shows fit minus data, in noise standard deviations where
        the noise is known.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches; default by the number of windows, 7 × 6.3 for four.

    Returns
    -------
    The figure.

    Examples
    --------
    >>> from hyperspy_dosekin.plotting import CurvePicture, plot_fit
    >>> dose, grid = np.array([100.0, 200.0, 300.0]), np.linspace(0, 300, 7)
    >>> picture = CurvePicture(
    ...     window_names=("C–O",),
    ...     dose=dose,
    ...     values=np.exp(-dose / 200)[None],
    ...     grid=grid,
    ...     fitted=np.exp(-grid / 200)[None],
    ...     integrity=np.exp(-grid / 200)[None],
    ...     half_dose=[138.6],
    ...     reached=[True],
    ... )
    >>> figure = plot_fit(picture)
    """
    n_window = len(picture.window_names)
    width = layout.width_before(fig, figsize, 7.0 if n_window > 1 else 5.0)
    rows, columns = layout.panel_grid(n_window, width)
    height = 0.9 + (2.7 if residuals else 2.1) * rows
    figure = layout.new_figure(fig, figsize, (max(width, 2.6 * columns), height))
    panel_width = layout.panel_width(figure, columns)
    parts = 2 if residuals else 1
    grid = figure.add_gridspec(parts * rows, columns, height_ratios=[3, 1][:parts] * rows)
    shown: dict[str, Any] = {}
    left = []
    for i, look in enumerate(style.window_styles(n_window)):
        row, column = divmod(i, columns)
        main = lowest = figure.add_subplot(grid[parts * row, column])
        if residuals:
            lowest = figure.add_subplot(grid[parts * row + 1, column], sharex=main)
            main.tick_params(labelbottom=False)
            _residual_strip(lowest, picture, i, look)
            if column == 0:
                lowest.set_ylabel("Δ" if picture.sigma is None else "Δ/σ", fontsize=style.SMALL)
        if column == 0:
            left.append(main)
        _fit_panel(main, picture, i, look, shown)
        layout.panel_title(main, picture.window_names[i], _status(picture, i), panel_width)
        if i + columns >= n_window:
            lowest.set_xlabel(layout.dose_label(panel_width, picture.dose_unit), fontsize=9)
    if picture.grid[-1] > picture.dose_max:
        shown[f"{style.BEYOND}: extrapolated by the law"] = style.hatched()
    strips = "Δ = data − fit" + ("." if picture.sigma is None else ", grey band ±1σ of the noise.")
    shares = _SHARED_NOTE if picture.shared is not None else ""
    notes = [*_notes(picture), strips if residuals else "", shares]
    layout.put_legend(figure, list(shown.values()), list(shown), notes, columns=2)
    layout.put_quantity(figure, left, picture.quantity)
    layout.put_title(figure, picture.title)
    figure.align_ylabels()
    return figure


def _fit_panel(
    axes: Axes, picture: CurvePicture, index: int, look: style.WindowStyle, shown: dict[str, object]
) -> None:
    """Draw data and fit of one window; `shown` collects what the legend has to explain."""
    from matplotlib.lines import Line2D

    limit = float(picture.grid[-1])
    style.shade_beyond(axes, picture.dose_max, limit, "")
    layout.dose_axis(axes, limit, picture.dose_max)
    axes.tick_params(labelsize=style.SMALL)
    if not picture.has_data[index]:
        style.say_no_data(axes)
        return
    if picture.shared is not None:
        measured: dict[str, Any] = {"marker": ".", "ms": 4, "color": style.GREY, "ls": "none"}
        axes.plot(picture.dose, picture.values[index], **measured, zorder=2)
        shown["as measured"] = Line2D([], [], **measured)
    style.draw_data(
        axes,
        picture.dose,
        _of_fit(picture, index),
        None if picture.sigma is None else picture.sigma[index],
        look,
        shown,
    )
    fitted = picture.fitted[index]
    axes.plot(picture.grid, fitted, color=look.colour, lw=1.6, zorder=3)
    shown["fit a C + b"] = Line2D([], [], color="0.2", lw=1.6)
    if picture.fitted_spread is not None:
        for sign in (-1, 1):
            edge = fitted + sign * picture.fitted_spread[index]
            axes.plot(picture.grid, edge, color=look.colour, lw=0.7, ls=":")
        shown[style.OPTIMISER_SPREAD] = Line2D([], [], color="0.3", lw=0.9, ls=":")


def _of_fit(picture: CurvePicture, index: int) -> np.ndarray:
    """Data of a window without what frames share, which the line describes, ``(n_dose,)``."""
    values = picture.values[index]
    return values if picture.shared is None else values - picture.shared[index]


def _residual_strip(axes: Axes, picture: CurvePicture, index: int, look: style.WindowStyle) -> None:
    axes.axhline(0, color="black", lw=0.8)
    axes.tick_params(labelsize=style.TINY)
    style.shade_beyond(axes, picture.dose_max, float(picture.grid[-1]), "")
    if not picture.has_data[index]:
        axes.set_yticks([])
        return
    fitted = np.interp(picture.dose, picture.grid, picture.fitted[index])
    residual = _of_fit(picture, index) - fitted
    smallest = 0.0
    if picture.sigma is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            residual = residual / picture.sigma[index]
        # Noise reaches ±2σ: with less room, small residuals would look large.
        smallest = 2.0
        axes.axhspan(-1, 1, color="0.87", lw=0, zorder=0)
    shown = np.isfinite(residual)
    dose, residual = picture.dose[shown], residual[shown]
    axes.vlines(dose, 0, residual, color=look.colour, lw=1)
    axes.plot(dose, residual, look.marker, color=look.colour, ms=3.5)
    largest = max(np.max(np.abs(residual), initial=0.0), smallest) or 1.0
    axes.set_ylim(-1.25 * largest, 1.25 * largest)
