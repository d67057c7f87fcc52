# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of classes: integer labels with names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import LazySignal2D, Signal2D

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

#: Label of a pixel without data.
NO_CLASS = -1
#: Name of that label, and of pixels that resemble no reference.
NONE_NAME = "none"
UNKNOWN_NAME = "unknown"


class ClassMap(Signal2D):
    """Integer labels of pixels, with the names of the classes.

    Signal axes are x and y; navigation axes are those of frames. ``metadata.Classes.names`` holds
    the name of each label from 0 on; pixels without data have the label −1, "none".

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> import numpy as np
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
        recorded = [str(name) for name in self.metadata.get_item("Classes.names", [])]
        if recorded or self._lazy:
            return tuple(recorded)
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
        """
        from hyperspy_dosekin.signals._blockwise import map_blocks, wrap

        if not self.names:
            raise ValueError(
                'the map has no names of classes; set s.metadata.set_item("Classes.names", […]).'
            )
        from hyperspy.signals import LazySignal1D, Signal1D

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

    def plot(self, **options: Any) -> None:
        """Plot the map as HyperSpy does, one colour for each class, with a legend of names.

        Parameters
        ----------
        **options
            Passed to the plot of `hyperspy.signals.Signal2D`; colour map and colour bar are set
            here unless they are among them.
        """
        from hyperspy_dosekin.plotting.classification import add_class_legend, class_colour_map

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
