# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figure of maps: the half-integrity dose, how far it is known, and where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting import layout, style
from hyperspy_dosekin.plotting.kinetics.pictures.maps import MapPicture
from hyperspy_dosekin.plotting.scale_bar import draw_scale_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

#: What a pixel can be, with its colour, in the order of the labels.
STATES = {
    "determined": "#0072B2",
    "determined, outside the measured doses": "#56B4E9",
    "not determined": "0.82",
    style.NO_DATA: "white",
}
_BLANK = "0.9"
#: Share of the pixels at each end that may leave a colour scale.
_TAIL = 0.02
#: Ratio of the ends of an interval beyond which nobody cares how wide it is.
_WIDEST = 30.0


def plot_maps(
    picture: MapPicture,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw maps of the half-integrity dose, a row for each window.

    The first column has the dose where the data determine it, the second the ratio of the ends of
    its interval, the third what each pixel is. Without intervals there is the first column alone,
    with every pixel in it.

    Parameters
    ----------
    picture
        What to draw.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches; default by the number of windows and the shape of the maps.

    Returns
    -------
    The figure.

    Examples
    --------
    >>> from hyperspy_dosekin.plotting import MapPicture, plot_maps
    >>> picture = MapPicture(
    ...     window_names=("C–O",),
    ...     half_dose=np.full((1, 3, 4), 500.0),
    ...     reached=np.ones((1, 3, 4)),
    ...     fitted=np.ones((1, 3, 4)),
    ... )
    >>> figure = plot_maps(picture)
    """
    n_window = len(picture.window_names)
    known = picture.identifiable is not None
    columns = 3 if known else 1
    ratio = float(np.clip(picture.shape[0] / picture.shape[1], 0.25, 2.0))
    width = 2.75 * columns + 0.4
    figure = layout.new_figure(fig, figsize, (width, 2.25 * ratio * n_window + 1.1))
    panels: Any = figure.subplots(n_window, columns, squeeze=False)
    # One scale for all windows, so that they can be compared.
    widest = _widest_ratio(picture) if known else 0.0
    for row, name in enumerate(picture.window_names):
        _dose_panel(panels[row, 0], picture, row)
        if known:
            _image_of_ratio(panels[row, 1], picture, row, widest)
            _state_panel(panels[row, 2], picture, row)
        share = picture.states[row] < 2
        fitted = picture.states[row] < 3
        text = f"{100 * share.sum() // max(fitted.sum(), 1)} % determined" if known else ""
        layout.panel_title(panels[row, 0], name, text, 2.3)
        for panel in panels[row]:
            panel.set(xticks=[], yticks=[])
    _scale_bar(panels[0, 0], picture)
    _legend(figure, picture)
    layout.put_title(figure, picture.title)
    return figure


def _image(axes: Axes, values: np.ndarray, **options: Any) -> object:
    return axes.imshow(values, interpolation="nearest", aspect="auto", **options)


def _colours(name: str) -> object:
    from matplotlib import colormaps

    return colormaps[name].with_extremes(bad=_BLANK)


def _bar(image: Any, axes: Axes, label: str, ends: str) -> None:
    bar = axes.figure.colorbar(image, ax=axes, extend=ends, shrink=0.95)
    bar.set_label(label, fontsize=style.SMALL)
    bar.ax.tick_params(labelsize=style.TINY, which="both")
    low, high = image.norm.vmin, image.norm.vmax
    ticks = _round_ticks(low, high)
    bar.set_ticks(ticks)
    style.plain_numbers(bar.ax.yaxis)


def _round_ticks(low: float, high: float) -> list[float]:
    """Some round numbers between two positive ones, as evenly as they come on a logarithm."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    if high / low < 4:
        found = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    else:
        subs = style.numbers_in_a_decade(high / low, labels=5)
        found = LogLocator(subs=subs).tick_values(low, high)
    return [float(tick) for tick in found if low <= tick <= high]


def _dose_panel(axes: Axes, picture: MapPicture, row: int) -> None:
    from matplotlib.colors import LogNorm

    values = picture.half_dose[row]
    shown = np.where(picture.states[row] < 2, values, np.nan)
    if picture.identifiable is None:
        shown = values
    numbers = shown[np.isfinite(shown) & (shown > 0)]
    if not numbers.size:
        axes.set_facecolor(_BLANK)
        _image(axes, np.full(picture.shape, np.nan), cmap=_colours("viridis"))
        nothing = style.NO_DATA if not np.isfinite(values).any() else "not determined\nanywhere"
        axes.text(
            0.5, 0.5, nothing, transform=axes.transAxes, ha="center", va="center", color="0.3",
            fontsize=style.SMALL,
        )  # fmt: skip
        return
    low, high = np.quantile(numbers, [_TAIL, 1 - _TAIL])
    low, high = (low / 1.05, high * 1.05) if high < 1.1 * low else (low, high)
    below, above = numbers.min() < low, numbers.max() > high
    ends = {(False, False): "neither", (True, False): "min", (False, True): "max"}
    image = _image(axes, shown, cmap=_colours("viridis"), norm=LogNorm(low, high))
    _bar(
        image,
        axes,
        with_unit("D½", picture.dose_unit),
        ends.get((bool(below), bool(above)), "both"),
    )


def _ratio(picture: MapPicture) -> np.ndarray:
    """Ratio of the ends of the intervals; infinite where one is open, NaN without an estimate."""
    assert picture.lower is not None
    assert picture.upper is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = picture.upper / picture.lower
    return np.where(picture.states < 3, np.nan_to_num(ratio, nan=np.inf), np.nan)


def _widest_ratio(picture: MapPicture) -> float:
    ratio = _ratio(picture)
    return min(float(np.max(ratio[np.isfinite(ratio)], initial=2.0)), _WIDEST)


def _image_of_ratio(axes: Axes, picture: MapPicture, row: int, widest: float) -> None:
    from matplotlib.colors import LogNorm

    ratio = np.minimum(_ratio(picture)[row], 10 * widest)
    image = _image(axes, ratio, cmap=_colours("cividis"), norm=LogNorm(1.0, widest))
    ends = "max" if np.any(ratio > widest) else "neither"
    _bar(image, axes, "Interval of D½,\nupper / lower end", ends)


def _state_panel(axes: Axes, picture: MapPicture, row: int) -> None:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(list(STATES.values()))
    _image(axes, picture.states[row], cmap=colours, vmin=-0.5, vmax=len(STATES) - 0.5)


def _scale_bar(axes: Axes, picture: MapPicture) -> None:
    """A bar about a third of the image wide, where the size of a pixel is known."""
    if picture.pixel_size is None or not picture.units:
        return
    draw_scale_bar(axes, picture.shape, picture.pixel_size, picture.units)


def _legend(figure: Any, picture: MapPicture) -> None:
    from matplotlib.patches import Patch

    handles, labels = [], []
    if picture.identifiable is not None:
        for label, (name, colour) in enumerate(STATES.items()):
            if np.any(picture.states == label):
                handles.append(Patch(facecolor=colour, edgecolor="0.5", lw=0.5))
                labels.append(name)
    interval = style.interval_label(picture.level, picture.interval_method)
    notes = [
        f"Grey where the data do not determine D½. Middle: {interval}, ratio of its ends."
        if picture.identifiable is not None
        else style.UNTESTED_NOTE,
        style.window_note(picture.energy_windows),
    ]
    layout.put_legend(figure, handles, labels, notes, columns=2)
