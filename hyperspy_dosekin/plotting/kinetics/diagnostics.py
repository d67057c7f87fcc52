# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figure of the distance from the law and of the course of the training."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import layout, style
from hyperspy_dosekin.plotting.kinetics.pictures.diagnostics import DiagnosticsPicture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

#: A term that has died out would otherwise stretch the loss axis to rounding noise.
_DECADES = 10
_TERM_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_TERM_LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (9, 2)))


def plot_diagnostics(
    picture: DiagnosticsPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw the distance from the law against dose, and loss terms and learning rate.

    Parameters
    ----------
    picture
        What to draw. Loss terms that are zero throughout are left out; of an ensemble, the
        median and the range over members are drawn.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches; default 8 × 5.6, 8 × 3.2 without history.

    Returns
    -------
    The figure.

    Examples
    --------
    >>> from hyperspy_dosekin.plotting import DiagnosticsPicture, plot_diagnostics
    >>> dose, grid = np.array([100.0, 200.0, 300.0]), np.linspace(0, 300, 7)
    >>> picture = DiagnosticsPicture(
    ...     window_names=("C–O",),
    ...     dose=dose,
    ...     residual=[[0.01, -0.02, 0.01]],
    ...     total_rms=[0.01, 0.02, 0.01],
    ...     iteration=[0, 10, 20],
    ...     learning_rate=[1e-3, 5e-4, 1e-6],
    ...     terms={"data": [[1.0], [0.1], [0.01]]},
    ... )
    >>> figure = plot_diagnostics(picture)
    """
    from matplotlib.ticker import MaxNLocator

    width = layout.width_before(fig, figsize, 8.0)
    history = picture.iteration.size > 0
    scheduled = bool(np.isfinite(picture.learning_rate).any())
    narrow = width < layout.COLUMN_WIDTH
    rows: Any = [["residual"], ["rms"]]
    ratios = [3.0, 1.3]
    if history and narrow:
        rows += [["loss"], ["rate"]] if scheduled else [["loss"]]
        ratios += [3.0, 1.3] if scheduled else [3.0]
    elif history:
        rows = [["residual", "loss"], ["rms", "rate" if scheduled else "loss"]]
    legend_rows = -(-len(picture.window_names) // (2 if narrow or history else 4))
    height = 1.25 * sum(ratios) + 0.17 * legend_rows
    figure = layout.new_figure(fig, figsize, (width, height))
    panels = figure.subplot_mosaic(rows, height_ratios=ratios)
    column = width / len(rows[0])
    _residuals(panels["residual"], panels["rms"], picture, column)
    if history:
        below = panels.get("rate")
        _loss(panels["loss"], picture, column)
        if below is not None:
            below.sharex(panels["loss"])
            panels["loss"].tick_params(labelbottom=False)
            below.plot(picture.iteration, picture.learning_rate, color="black", lw=1.4)
            below.set_yscale("log")
            below.set_ylim(bottom=max(below.get_ylim()[0], 1e-4 * below.get_ylim()[1]))
            below.set_ylabel("Learning\nrate", fontsize=9)
            _mark_change(below, picture, named=False)
            panels["loss"].xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 4, 5, 10]))
        (below or panels["loss"]).set_xlabel("Iteration", fontsize=9)
    for axes in panels.values():
        axes.tick_params(labelsize=style.SMALL)
    figure.align_ylabels()
    layout.put_title(figure, picture.title)
    n_member = _member_count(picture)
    members = ""
    if history and n_member > 1:
        members = f" Loss: median of {n_member} members, bands from the smallest to the largest."
    if picture.member_labels:
        members += f" Members: {', '.join(picture.member_labels)}."
    figure.supxlabel(
        style.wrap(
            style.window_note(picture.energy_windows) + members,
            style.characters_in(width - 0.15, style.TINY),
        ),
        x=0.01,
        ha="left",
        fontsize=style.TINY,
        color="0.3",
    )
    return figure


def _member_count(picture: DiagnosticsPicture) -> int:
    return max((term.shape[1] for term in picture.terms.values()), default=1)


def _above(axes: Axes, width: float) -> None:
    """Put the legend of a panel above it, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    # As many columns as fit, but no column narrower than its line and some letters.
    longest = max(len(label) for label in labels)
    needed = 0.6 + longest * width / style.characters_in(width, style.TINY)
    columns = max(min(int((width - 0.7) / needed), len(handles), 4), 1)
    room = style.characters_in((width - 0.7) / columns - 0.5, style.TINY)
    axes.legend(
        handles,
        [style.wrap(label, room) for label in labels],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        fontsize=style.TINY,
        frameon=False,
        handlelength=2.6,
        borderaxespad=0.2,
        columnspacing=1.2,
    )


def _residuals(upper: Axes, lower: Axes, picture: DiagnosticsPicture, width: float) -> None:
    """Residual of each window, and their root mean square below."""
    upper.axhline(0, color="black", lw=0.8)
    looks = style.window_styles(len(picture.window_names))
    for name, look, residual in zip(picture.window_names, looks, picture.residual, strict=True):
        present = np.isfinite(residual)
        label = name if present.any() else f"{name} ({style.NO_DATA})"
        upper.plot(
            picture.dose[present],
            residual[present],
            color=look.colour,
            ls=look.line,
            marker=look.marker,
            lw=1.1,
            ms=4.5,
            # Symbols tell windows apart; one at each collocation dose would hide the line.
            markevery=max(picture.dose.size // 8, 1),
            label=label,
        )
    limits = style.data_limits(np.abs(picture.residual))
    largest = limits[1] if limits else 1.0
    upper.set_ylim(-largest, largest)
    upper.set_ylabel("Physics residual\ndC/dφ + k Cᵖ", fontsize=9)
    upper.tick_params(labelbottom=False)
    _above(upper, width)
    lower.plot(picture.dose, picture.total_rms, color="black", marker="o", ms=4, lw=1.1)
    lower.set_ylim(bottom=0)
    lower.set_ylabel("Total\nRMS", fontsize=9)
    lower.sharex(upper)
    layout.dose_axis(upper, picture.dose.max(), picture.dose.max())
    lower.set_xlabel(style.dose_label(picture.dose_unit), fontsize=9)


def _loss(axes: Axes, picture: DiagnosticsPicture, width: float) -> None:
    """Loss terms: median over members, and their range if there are several."""
    positive = []
    n_member = _member_count(picture)
    shown = {name: term for name, term in picture.terms.items() if np.any(term > 0)}
    for index, (name, term) in enumerate(shown.items()):
        colour = _TERM_COLOURS[index % len(_TERM_COLOURS)]
        # A logarithm has no place for a member whose term is zero just then.
        visible = np.where(term > 0, term, np.nan)
        positive.append(visible[np.isfinite(visible)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a record without any member
            middle = np.nanmedian(visible, axis=1)
            low, high = np.nanmin(visible, axis=1), np.nanmax(visible, axis=1)
        if n_member > 1:
            axes.fill_between(picture.iteration, low, high, color=colour, alpha=0.18, lw=0)
        line = _TERM_LINES[index % len(_TERM_LINES)]
        axes.plot(picture.iteration, middle, color=colour, ls=line, lw=1.4, label=name)
    axes.set_ylabel("Loss term\n(unweighted)", fontsize=9)
    if not shown:
        style.say_no_data(axes)
        return
    axes.set_yscale("log")
    numbers = np.concatenate(positive)
    top = numbers.max() * 3
    axes.set_ylim(max(numbers.min() / 3, top * 10.0**-_DECADES), top)
    _mark_change(axes, picture, named=True)
    _above(axes, width)


def _mark_change(axes: Axes, picture: DiagnosticsPicture, *, named: bool) -> None:
    """Mark where the second optimiser takes over."""
    first, last = picture.iteration[0], picture.iteration[-1]
    axes.set_xlim(min(first, 0), last if last > first else first + 1)
    if picture.n_adam is None or not first < picture.n_adam < last:
        return
    axes.axvline(picture.n_adam, color=style.GREY, lw=1.0, ls=(0, (3, 2)))
    if named:
        before, after = picture.optimisers
        late = picture.n_adam > 0.5 * (first + last)
        axes.annotate(
            f"{before} → {after}",
            (picture.n_adam, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if late else 4, -4),
            textcoords="offset points",
            ha="right" if late else "left",
            va="top",
            fontsize=style.SMALL,
            color="0.25",
        )
