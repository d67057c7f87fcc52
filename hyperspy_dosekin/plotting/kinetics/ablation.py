# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figure of what remains of a fit when the physics is taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import layout, style
from hyperspy_dosekin.plotting.kinetics.pictures.ablation import AblationPicture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
_DATA = style.WindowStyle("black", "o", "none")
#: Room around data and law, as a share of their range: enough to see the others leave.
_MARGIN = 0.2


def plot_ablation(
    picture: AblationPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw data and several models in and beyond the measured doses, a panel for each window.

    Parameters
    ----------
    picture
        What to draw.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches; default by the number of windows, 7 × 5.7 for four.

    Returns
    -------
    The figure.

    Examples
    --------
    >>> from hyperspy_dosekin.plotting import AblationPicture, plot_ablation
    >>> dose, grid = np.array([100.0, 200.0, 300.0]), np.linspace(0, 300, 7)
    >>> picture = AblationPicture(
    ...     window_names=("C–O",),
    ...     dose=dose,
    ...     values=np.exp(-dose / 200)[None],
    ...     grid=grid,
    ...     curves={"law": np.exp(-grid / 200)[None], "straight line": (1 - grid / 300)[None]},
    ... )
    >>> figure = plot_ablation(picture)
    """
    n_window = len(picture.window_names)
    width = layout.width_before(fig, figsize, 7.0 if n_window > 1 else 5.0)
    rows, columns = layout.panel_grid(n_window, width)
    strips = bool(picture.residuals)
    height = 1.1 + (3.1 if strips else 2.3) * rows
    figure = layout.new_figure(fig, figsize, (max(width, 2.6 * columns), height))
    panel_width = layout.panel_width(figure, columns)
    grid = figure.add_gridspec(rows, columns)
    shown: dict[str, Any] = {}
    leaving = set()
    left = []
    for i, name in enumerate(picture.window_names):
        cell = grid[divmod(i, columns)]
        if strips:
            cells = cell.subgridspec(2, 1, height_ratios=(2.3, 1.0))
            axes, lowest = figure.add_subplot(cells[0]), figure.add_subplot(cells[1])
            _residual_strip(lowest, picture, i)
            axes.tick_params(labelbottom=False)
            if i % columns == 0:
                lowest.set_ylabel("dC/dφ + k Cᵖ", fontsize=style.SMALL)
        else:
            axes = lowest = figure.add_subplot(cell)
        if i % columns == 0:
            left.append(axes)
        leaving |= _panel(axes, picture, i, shown)
        layout.panel_title(axes, name, _explained(picture, i), panel_width)
        if i + columns >= n_window:
            lowest.set_xlabel(layout.dose_label(panel_width, picture.dose_unit), fontsize=9)
    if picture.grid[-1] > picture.last_dose:
        shown[style.BEYOND] = style.hatched()
    law = next(iter(picture.curves))
    cut = [name for name in picture.curves if name in leaving]
    note = f"Axes are scaled to the data and the {law}; leaving them: {', '.join(cut)}."
    layout.put_legend(
        figure,
        list(shown.values()),
        list(shown),
        [style.window_note(picture.energy_windows), note if cut else ""],
        columns=2,
    )
    layout.put_quantity(figure, left, picture.quantity)
    layout.put_title(figure, picture.title)
    figure.align_ylabels()
    return figure


def _explained(picture: AblationPicture, index: int) -> str:
    """R² of each model."""
    if not picture.r_squared:
        return ""
    each = [f"{name} {value[index]:.4f}" for name, value in picture.r_squared.items()]
    return f"R²: {', '.join(each)}"


def _residual_strip(axes: Axes, picture: AblationPicture, index: int) -> None:
    """Distance of each model from the law."""
    axes.axhline(0, color="black", lw=0.6)
    for i, residual in enumerate(picture.residuals.values()):
        axes.plot(
            picture.residual_dose, residual[index], color=_COLOURS[i % 5], ls=_LINES[i % 5], lw=1.2
        )
    # Models without the law differ by powers of ten; small distances stay visible.
    axes.set_yscale("symlog", linthresh=0.1)
    style.shade_beyond(axes, picture.last_dose, float(picture.grid[-1]), "")
    layout.dose_axis(axes, float(picture.grid[-1]), picture.last_dose)
    axes.tick_params(labelsize=style.TINY)


def _panel(axes: Axes, picture: AblationPicture, index: int, shown: dict[str, object]) -> set[str]:
    """Draw one window; `shown` collects legend entries. Gives the curves that leave the axes."""
    limit = float(picture.grid[-1])
    style.shade_beyond(axes, picture.last_dose, limit, "")
    layout.dose_axis(axes, limit, picture.last_dose)
    axes.tick_params(labelsize=style.SMALL)
    values = picture.values[index]
    if not np.isfinite(values).any():
        style.say_no_data(axes)
        return set()
    sigma = None if picture.sigma is None else picture.sigma[index]
    style.draw_data(axes, picture.dose, values, sigma, _DATA, shown)
    for i, (name, curve) in enumerate(picture.curves.items()):
        look = {"color": _COLOURS[i % 5], "ls": _LINES[i % 5], "lw": 1.8 if i == 0 else 1.5}
        shown[name] = axes.plot(picture.grid, curve[index], **look, zorder=3)[0]
    error = np.zeros_like(values) if sigma is None else np.nan_to_num(sigma)
    law = next(iter(picture.curves.values()))[index]
    limits = style.data_limits(values - error, values + error, law, margin=_MARGIN)
    assert limits is not None  # there are data
    axes.set_ylim(limits)
    curves = picture.curves.items()
    return {
        name
        for name, curve in curves
        if np.any(curve[index] < limits[0]) or np.any(curve[index] > limits[1])
    }
