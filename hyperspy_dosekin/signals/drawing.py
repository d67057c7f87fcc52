# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all figures of results take: axes, a title and a resolution."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from hyperspy_dosekin.numerics.arguments import real_number, real_numbers, short
from hyperspy_dosekin.plotting.layout import put_title
from hyperspy_dosekin.plotting.style import wrap
from hyperspy_dosekin.signals.signatures import documentation_of, refuse_unknown, takes_options

if TYPE_CHECKING:
    from hyperspy.axes import UniformDataAxis
    from hyperspy.signals import BaseSignal
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

#: Largest resolution and side of a figure.
_MOST_DPI, _MOST_INCHES = 10_000.0, 1000.0
#: Names of more windows than these would lie upon each other.
MOST_NAMES = 10


class FigureOptions(TypedDict, total=False):
    """Options that every figure of a result takes.

    Parameters
    ----------
    ax
        Axes of Matplotlib to draw in; a figure of several panels takes their place.
    fig
        An empty figure or subfigure to draw in.
    title
        A title in the place of its own.
    dpi
        Resolution, in dots per inch.
    figsize
        Width and height of a new figure, in inches.
    """

    ax: Axes | None
    fig: FigureBase | None
    title: str | None
    dpi: float | None
    figsize: tuple[float, float] | None


class MapOptions(FigureOptions, total=False):
    """Options of figures that are curves, or for maps images that HyperSpy shows.

    Parameters
    ----------
    navigator, autoscale, norm, vmin, vmax, gamma, cmap, colorbar, centre_colormap
        Of the image of a map, as for ``hyperspy.api.signals.Signal2D.plot``.
    scalebar, scalebar_color, axes_ticks, axes_off
        Of its axes, as there.
    """

    navigator: BaseSignal | str | None
    autoscale: str
    norm: str
    vmin: float | str | None
    vmax: float | str | None
    gamma: float
    cmap: str
    colorbar: bool
    centre_colormap: bool | str
    scalebar: bool
    scalebar_color: str
    axes_ticks: bool | None
    axes_off: bool


def _parameters(options: type) -> dict[str, inspect.Parameter]:
    return {
        name: inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=annotation.__forward_arg__,
        )
        for name, annotation in inspect.get_annotations(options).items()
    }


_FIGURE_OPTIONS, _MAP_OPTIONS = map(_parameters, (FigureOptions, MapOptions))
#: Show these options in the place of the ``**options`` of a method.
takes_figure_options = takes_options(
    _FIGURE_OPTIONS, documentation_of(FigureOptions, _FIGURE_OPTIONS)
)
#: The same, for methods that draw curves or show maps.
takes_map_options = takes_options(
    _MAP_OPTIONS,
    documentation_of(FigureOptions, _FIGURE_OPTIONS) + documentation_of(MapOptions, _MAP_OPTIONS),
)


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a figure of ours; ``axes`` is what `drawn` may be given for ``ax``."""
    kept = dict(options)
    refuse_unknown("the figure", [name for name in kept if name != "axes"], _FIGURE_OPTIONS)
    _check_dpi(kept.get("dpi"))
    axes, title, size = kept.get("axes", kept.get("ax")), kept.get("title"), kept.get("figsize")
    if axes is not None and not hasattr(axes, "get_subplotspec"):
        raise TypeError(f"ax={short(axes)} must be axes of Matplotlib.")
    fig = kept.get("fig")
    if fig is not None and not hasattr(fig, "add_subplot"):
        raise TypeError(f"fig={short(fig)} must be a figure or subfigure of Matplotlib.")
    if title is not None and not isinstance(title, str):
        raise TypeError(f"title={short(title)} must be a text.")
    if size is not None:
        remedy = "give width and height in inches"
        if np.shape(real_numbers("figsize", size, remedy)) != (2,):
            raise ValueError(f"figsize={size!r} must be two numbers; {remedy}.")
        for side in size:
            real_number("figsize", side, remedy, above=0.0, most=_MOST_INCHES)
    return kept


def _check_dpi(dpi: object) -> None:
    if dpi is not None:
        real_number("dpi", dpi, "give dots per inch", above=0.0, most=_MOST_DPI)


def options_of_curves(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a figure of curves; those of images are none of it.

    Parameters
    ----------
    method
        Name of the method, for messages.
    options
        As they were given.

    Raises
    ------
    TypeError
        If one is unknown, or is for maps.
    """
    refuse_unknown(method, options, _MAP_OPTIONS)
    of_images = sorted(set(options) - set(_FIGURE_OPTIONS))
    if of_images:
        raise TypeError(
            f"{method} draws curves here, and has {', '.join(map(repr, of_images))} for maps only; "
            "leave it out."
        )
    return dict(options)


def show_maps(
    method: str,
    signals: Sequence[BaseSignal],
    options: Mapping[str, Any],
    plot: Callable[..., object],
    **defaults: object,
) -> list[FigureBase]:
    """Show maps as HyperSpy does, with the options that all figures have.

    Parameters
    ----------
    method, options
        As for `options_of_curves`.
    signals
        The maps.
    plot
        What shows them.
    **defaults
        Options of `plot` where nothing else is given.

    Raises
    ------
    TypeError
        If an option is unknown, or would need a figure of our own.
    """
    refuse_unknown(method, options, _MAP_OPTIONS)
    kept = dict(options)
    title, dpi = (kept.pop(name, None) for name in ("title", "dpi"))
    _check_dpi(dpi)
    own = [name for name in kept if name in _FIGURE_OPTIONS]
    if own:
        raise TypeError(
            f"HyperSpy shows maps in windows of its own, so that {method} has no use for "
            f"{', '.join(map(repr, own))} here; plot_maps() draws maps in figures and axes."
        )
    for signal in signals:
        if title is not None:
            # What follows the name of the window, whichever is shown.
            signal.metadata.General.title = title
    plot(**{**defaults, **kept})
    figures = [signal._plot.signal_plot.figure for signal in signals]
    for figure in figures:
        if dpi is not None:
            figure.set_dpi(float(dpi))
    return figures


def drawn(draw: Callable[..., Any], picture: Any, options: Mapping[str, Any]) -> FigureBase:
    """Draw a picture with the options that all figures have.

    Parameters
    ----------
    draw
        Function of the plotting room.
    picture
        What to draw.
    options
        ``ax``, ``title`` and ``dpi``; the rest is passed on.

    Returns
    -------
    The figure; that of `ax` where it was given.

    Raises
    ------
    TypeError
        If `ax` are no axes of a grid of Matplotlib, `fig` is given with it, or an option is unknown
        or of another kind.
    ValueError
        If `dpi` or `figsize` is not possible.
    """
    from matplotlib import rc_context

    kept, parent = _checked(options), None
    axes, title, dpi = (kept.pop(name, None) for name in ("ax", "title", "dpi"))
    own_title = hasattr(picture, "title")
    if title is not None and own_title:
        picture = replace(picture, title=title)
    if axes is not None:
        if kept.get("fig") is not None:
            raise TypeError("ax= and fig= contradict each other; give one of them.")
        parent = axes.figure
        kept["fig"] = _in_place_of(axes)
    settings: Any = {} if dpi is None else {"figure.dpi": float(dpi)}
    with rc_context(settings):
        figure = draw(picture, **kept)
    if title is not None and not own_title:
        put_title(figure, title)
    if dpi is not None:
        figure.figure.set_dpi(float(dpi))
    return figure if parent is None else parent


def framed(draw: Callable[..., FigureBase], options: Mapping[str, Any]) -> FigureBase:
    """Draw with the options that all figures have; what to draw is bound to `draw` already.

    Parameters
    ----------
    draw
        Function of the plotting room that takes ``fig`` and ``figsize``.
    options
        As for `drawn`.
    """
    return drawn(lambda _, **kept: draw(**kept), None, options)


def _in_place_of(axes: Any) -> object:
    """A subfigure where axes of a grid were."""
    spec = axes.get_subplotspec() if hasattr(axes, "get_subplotspec") else None
    if spec is None:
        raise TypeError(
            f"ax={axes!r} must be axes of a grid, as matplotlib.pyplot.subplots makes them; this "
            "figure has several panels, which take their place."
        )
    parent = axes.figure
    if parent.figure.get_layout_engine() is None:
        # Without a layout labels of several panels would lie upon each other.
        parent.figure.set_layout_engine("constrained")
    axes.remove()
    return parent.add_subfigure(spec)


def name_windows(signal: BaseSignal, axis: Any, names: Sequence[str]) -> None:
    """Keep the names of windows in the figures that HyperSpy has just drawn of a signal.

    The title says which window is shown, and the ticks of the navigator, or of a signal over the
    windows, are their names.

    Parameters
    ----------
    signal
        A signal that has been plotted.
    axis
        Its axis that counts windows, or ``None``.
    """
    plot, title = signal._plot, str(signal.metadata.General.title).replace("_", " ")
    if plot is None or axis is None or len(names) != axis.size:
        return
    if not axis.navigate:
        _name_ticks(getattr(plot.signal_plot, "ax", None), axis, names)
        return
    navigator = plot.navigator_plot
    if axis is signal.axes_manager.navigation_axes[0]:
        _name_ticks(getattr(navigator, "ax", None), axis, names)
    shown = plot.signal_plot
    if getattr(shown, "ax", None) is None:
        return

    def say(obj: Any = None) -> None:
        name = names[axis.index]
        what = title.removesuffix(f": {name}")
        shown.ax.set_title(f"{name}: {what}" if what else name)
        shown.figure.canvas.draw_idle()

    say()
    axis.events.index_changed.connect(say, [])
    plot.events.closed.connect(lambda: axis.events.index_changed.disconnect(say), [])


def _name_ticks(axes: Any, axis: UniformDataAxis, names: Sequence[str]) -> None:
    """Names of windows in the place of their numbers, as long as there is room for them."""
    if axes is not None and len(names) <= MOST_NAMES:
        axes.set_xticks(axis.axis, [wrap(name, 14) for name in names])
        axes.set_xlabel("window")
