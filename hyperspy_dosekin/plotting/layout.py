# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where panels, titles, legends and notes of all figures go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hyperspy_dosekin.plotting.style import SMALL, TINY, characters_in, wrap
from hyperspy_dosekin.plotting.style import dose_label as style_dose_label

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

#: Narrower figures are taken for one column of a paper: legends go below, panels on top.
COLUMN_WIDTH = 5.0


def new_figure(
    fig: FigureBase | None, figsize: tuple[float, float] | None, default: tuple[float, float]
) -> Any:
    """Give the figure to draw in: the given one, or a new one that notebooks show."""
    if fig is None:
        import matplotlib.pyplot as plt

        created: Any = plt.figure(figsize=figsize or default, layout="constrained")
        # Panels that share a dose axis belong closely together.
        created.get_layout_engine().set(h_pad=0.03, w_pad=0.05)
        return created
    root: Any = getattr(fig, "figure", None)
    if root is None:
        raise TypeError(f"fig={fig!r} must be a figure or subfigure of Matplotlib, or None.")
    if figsize is not None:
        root.set_size_inches(figsize)
    if root.get_layout_engine() is None and not root.axes:
        root.set_layout_engine("constrained")
    return fig


def size_of(fig: Any) -> tuple[float, float]:
    """Width and height of a (sub)figure in inches."""
    dpi = fig.figure.dpi
    return fig.bbox.width / dpi, fig.bbox.height / dpi


def width_before(
    fig: FigureBase | None, figsize: tuple[float, float] | None, default: float
) -> float:
    """Width that a figure is going to have, in inches."""
    if figsize is not None:
        return figsize[0]
    return default if fig is None else size_of(fig)[0]


def panel_grid(n_panel: int, width: float) -> tuple[int, int]:
    """Rows and columns for so many panels: 2×2 for four, one column in a narrow figure."""
    columns = math.ceil(math.sqrt(n_panel))
    if n_panel > 9:
        columns = 4
    if width < COLUMN_WIDTH:
        columns = min(columns, 2)
    return math.ceil(n_panel / columns), columns


def panel_width(fig: FigureBase, columns: int) -> float:
    """Width that a panel has at least, in inches, for texts that must not be wider."""
    width = size_of(fig)[0]
    return width / columns - (0.85 if is_narrow(fig) else 0.65)


def is_narrow(fig: FigureBase) -> bool:
    """Whether a figure is as narrow as one column of a paper."""
    return size_of(fig)[0] < COLUMN_WIDTH


def put_title(fig: FigureBase, title: str) -> None:
    """Write a title over all panels, broken into lines that fit."""
    if title:
        fig.suptitle(wrap(title, characters_in(size_of(fig)[0], 11)), fontsize=11)


def put_legend(
    fig: FigureBase,
    handles: Sequence[Artist],
    labels: Sequence[str],
    notes: Sequence[str] = (),
    *,
    beside: bool = False,
    columns: int = 3,
) -> None:
    """Put a legend, and notes, where they cover no data: beside or below the panels.

    Parameters
    ----------
    fig
        Figure of the legend.
    handles, labels
        Its entries.
    notes
        Sentences for which the figure has room; empty ones are left out.
    beside
        On the right instead of below, if the figure is wide enough.
    columns
        Number of columns below a wide figure.
    """
    width, height = size_of(fig)
    text = " ".join(note for note in notes if note)
    text = wrap(text, characters_in(width - 0.15, TINY)) if text else ""
    if beside and not is_narrow(fig):
        labels = [wrap(label, 30) for label in labels]
        lines = sum(label.count("\n") + 1 for label in labels)
        # A figure that is too low for the legend gets a smaller one.
        size = min(SMALL, max(5.0, 72 * (height - 0.8) / (1.25 * lines + 0.4 * len(labels))))
        fig.legend(handles, labels, loc="outside right upper", **_legend_style(size))
        if text:
            # The layout makes room for a super label, but not for a text.
            fig.supxlabel(text, x=0.01, ha="left", fontsize=TINY, color="0.3")
        return
    narrow = is_narrow(fig)
    columns = max(min(1 if narrow else columns, len(handles)), 1)
    size = TINY if narrow else SMALL
    room = characters_in(width / columns - 0.65, size)
    # Legend and super label would lie upon each other below: the notes head the legend.
    legend = fig.legend(
        handles,
        [wrap(label, room) for label in labels],
        loc="outside lower center",
        ncols=columns,
        title=text or None,
        title_fontsize=TINY,
        **_legend_style(size),
    )
    legend.get_title().set_color("0.3")


def put_axes_legend(
    axes: Axes, handles: Sequence[Artist], labels: Sequence[str], notes: Sequence[str]
) -> None:
    """Put a legend beside axes of somebody else's figure.

    A figure without layout gets the constrained one, without which the legend would be cut off.
    """
    root: object = axes.figure.figure
    if root.get_layout_engine() is None:
        root.set_layout_engine("constrained")
    text = "\n".join(wrap(note, 34) for note in notes if note)
    legend = axes.legend(
        handles,
        [wrap(label, 30) for label in labels],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        title=text or None,
        title_fontsize=TINY,
        **_legend_style(SMALL),
    )
    legend.get_title().set_color("0.3")


def _legend_style(size: float) -> dict[str, object]:
    return {
        "fontsize": size,
        "frameon": False,
        "handlelength": 2.8,
        "alignment": "left",
        "labelspacing": 0.4,
    }


def panel_title(axes: Axes, name: str, status: str, width: float) -> None:
    """Title of a panel of a width in inches, with a smaller line for what is to be said of it."""
    status = wrap(status, characters_in(width, TINY)) if status else ""
    lines = status.count("\n") + 1 if status else 0
    name = wrap(name, characters_in(width, 10))
    axes.set_title(name, fontsize=10, loc="left", pad=4 + 1.3 * TINY * lines)
    if status:
        axes.annotate(
            status,
            (0, 1),
            xytext=(0, 3),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=TINY,
            color="0.3",
            va="bottom",
        )


def dose_axis(axes: Axes, last_dose: float, dose_max: float) -> None:
    """Limits of a dose axis from zero, with room for a marker at the last measured dose."""
    axes.set_xlim(0, last_dose if last_dose > 1.02 * dose_max else 1.03 * dose_max)


def dose_label(width: float, unit: str) -> str:
    """Label of a dose axis for a panel of a width in inches."""
    return wrap(style_dose_label(unit), max(characters_in(width, 9), 12))


def put_quantity(fig: FigureBase, first_column: Sequence[Axes], quantity: str) -> None:
    """Label the vertical axes: each panel on the left, or all at once where these are too low."""
    _, height = size_of(fig)
    text = quantity or "Intensity"
    # What titles, legends and notes leave, less a residual strip.
    room = 0.7 * (height - (2.4 if is_narrow(fig) else 1.4)) / len(first_column)
    letters = characters_in(max(room, 0.0), 9)
    if letters < max(len(word) for word in text.split() or [""]):
        fig.supylabel(wrap(text, characters_in(0.6 * height, 9)), fontsize=9)
        return
    for axes in first_column:
        axes.set_ylabel(wrap(text, letters), fontsize=9)
