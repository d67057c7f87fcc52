# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of classes: integer labels with names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import LazySignal1D, LazySignal2D, Signal1D, Signal2D

from hyperspy_dosekin.classification.labels import NO_CLASS
from hyperspy_dosekin.plotting.classification.maps import (
    add_class_legend,
    class_colour_map,
    plot_fractions,
)
from hyperspy_dosekin.signals.drawing import FigureOptions, framed, takes_figure_options
from hyperspy_dosekin.signals.tools import open_tool

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal
    from matplotlib.figure import FigureBase
    from typing_extensions import Unpack

#: Name of that label, and of pixels that resemble no reference.
NONE_NAME = "none"
UNKNOWN_NAME = "unknown"


class ClassMap(Signal2D):
    """Integer labels of pixels, with the names of the classes.

    Signal axes are x and y; navigation axes are those of frames. ``metadata.Classes.names`` holds
    the name of each label from 0 on; pixels without data have the label −1, "none".

    Examples
    --------
    >>> s = hs.signals.Signal2D(np.array([[[0, 0, 1], [0, 1, 1]], [[1, 1, 1], [1, 1, -1]]]))
    >>> s.set_signal_type("ClassMap")
    >>> s.metadata.set_item("Classes.names", ["oxide", "metal"])
    >>> s
    <ClassMap, title: , dimensions: (2|3, 2)>
    >>> print(s.fractions().data)
    [[0.5 0.5]
     [0.  1. ]]
    """

    _signal_type = "ClassMap"

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each label from 0 on; those without a recorded name are called by number."""
        found = self.metadata.get_item("Classes.names", [])
        # A file may hold anything there.
        recorded = tuple(map(str, found)) if isinstance(found, list | tuple | np.ndarray) else ()
        if recorded or self._lazy:
            return recorded
        largest = int(self.data.max(initial=-1))
        return tuple(str(label) for label in range(largest + 1))

    def fractions(self) -> BaseSignal:
        """Share of each class among the pixels that have one, along the frames.

        Returns
        -------
        BaseSignal
            Array ``(…frames…, class)``, navigation as in this map, signal the class; its order is
            that of `names`. NaN for frames without data. Lazy if this map is.

        Raises
        ------
        ValueError
            If a lazy map has no names, without which the number of classes is not known.

        Examples
        --------
        >>> s = hs.signals.Signal2D(np.array([[[0, 0, 1], [0, 1, 1]], [[1, 1, 1], [1, 1, -1]]]))
        >>> s.set_signal_type("ClassMap")
        >>> s.metadata.set_item("Classes.names", ["oxide", "metal"])
        >>> print(s.fractions().data)
        [[0.5 0.5]
         [0.  1. ]]
        """
        from hyperspy_dosekin.lazy.blocks import map_blocks, wrap

        if not self.names:
            raise ValueError(
                'the map has no names of classes; set s.metadata.set_item("Classes.names", […]).'
            )
        share = map_blocks(
            _fractions,
            "(y,x)->(c)",
            self.data,
            output_sizes={"c": len(self.names)},
            number=len(self.names),
        )
        axes = [axis.get_axis_dictionary() for axis in reversed(self.axes_manager.navigation_axes)]
        axes.append({"name": "class", "size": len(self.names), "navigate": False})
        metadata = {
            "General": {"title": "Class fractions"},
            "Signal": {"quantity": "Share of pixels"},
            "Classes": {"names": list(self.names)},
        }
        return wrap(Signal1D, LazySignal1D, share, axes=axes, metadata=metadata)

    @takes_figure_options
    def plot_fractions(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw the share of each class along the frames.

        Parameters
        ----------
        **options
            Of the figure.

        Returns
        -------
        Figure
            With one axis of frames the horizontal axis is that one, otherwise it is the number of
            the frame.

        Raises
        ------
        ValueError
            If there are no frames.

        Examples
        --------
        >>> s = hs.signals.Signal2D(np.array([[[0, 0, 1], [0, 1, 1]], [[1, 1, 1], [1, 1, -1]]]))
        >>> s.set_signal_type("ClassMap")
        >>> s.metadata.set_item("Classes.names", ["oxide", "metal"])
        >>> figure = s.plot_fractions()
        """
        frames = self.axes_manager.navigation_axes
        if not frames:
            raise ValueError(
                "this map has no frames to draw fractions along; print them with s.fractions()."
            )
        share = np.asarray(self.fractions().data)
        share = share.reshape(-1, share.shape[-1])
        place, label = np.arange(len(share)), "Frame"
        if len(frames) == 1:
            place = frames[0].axis
            name = frames[0].name if isinstance(frames[0].name, str) else "frame"
            units = frames[0].units
            label = f"{name[:1].upper()}{name[1:]}"
            label += f" ({units})" if isinstance(units, str) and units else ""
        return framed(partial(plot_fractions, share, self.names, place, label), options)

    def explore(self, *, display: bool = True, toolkit: str | None = None, **start: Any) -> Any:
        """Look through the map: class of the pixel, share of each class by frame.

        A map has labels only. For spectra, probabilities and a threshold for unknown pixels use
        `VAEClassification.explore`.

        Parameters
        ----------
        display
            Whether to show the tool now.
        toolkit
            ``"ipywidgets"``, for notebooks, or ``"traitsui"``, for windows of Qt; by default what
            fits the session.
        **start
            ``x``, ``y`` and ``frame``, pixel indices and the number of the frame to start with.

        Returns
        -------
        ClassificationExplorer or dict
            State of the tool; ``tool.gui()`` shows it again. With ``display=False`` what HyperSpy's
            ``gui`` returns: ``{toolkit: {"widget": …, "wdict": …}}``, the state being
            ``wdict["tool"]``.

        Raises
        ------
        ImportError
            Without the extra ``hyperspy_dosekin[gui]``.
        ValueError
            If a start is out of range, or a lazy map has no names of classes.

        Examples
        --------
        >>> s = hs.signals.Signal2D(np.array([[[0, 0, 1], [0, 1, 1]], [[1, 1, 1], [1, 1, -1]]]))
        >>> s.set_signal_type("ClassMap")
        >>> s.metadata.set_item("Classes.names", ["oxide", "metal"])
        >>> shown = s.explore(display=False)
        >>> tool = shown["ipywidgets"]["wdict"]["tool"]
        >>> tool.class_map.names
        ('oxide', 'metal')
        """
        key = "hyperspy_dosekin.ClassificationExplorer"
        return open_tool(self, key, display=display, toolkit=toolkit, **start)

    def plot(self, **options: Any) -> None:
        """Plot the map as HyperSpy does, one colour for each class, with a legend of names.

        Parameters
        ----------
        **options
            Passed to the plot of `hyperspy.signals.Signal2D`; colour map and colour bar are set
            here unless they are among them.
        """
        names = self.names
        colours = class_colour_map(len(names))
        chosen = {
            "cmap": colours,
            "vmin": NO_CLASS - 0.5,
            "vmax": len(names) - 0.5,
            "colorbar": False,
            **options,
        }
        super().plot(**chosen)
        figure = getattr(getattr(self._plot, "signal_plot", None), "ax", None)
        if figure is not None and "cmap" not in options:
            add_class_legend(figure, names, colours)


class LazyClassMap(ClassMap, LazySignal2D):
    """Lazy twin of `ClassMap`."""


def _fractions(labels: np.ndarray, *, number: int) -> np.ndarray:
    """Share of each label below `number` in maps ``(…, y, x)``."""
    counts = np.stack([(labels == k).sum(axis=(-2, -1)) for k in range(number)], axis=-1)
    total = counts.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, counts / np.maximum(total, 1), np.nan)
