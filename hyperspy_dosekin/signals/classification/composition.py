# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Composition of pixels that may hold several classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.classification.labels import is_marked
from hyperspy_dosekin.lazy.blocks import map_blocks

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array


class Composition:
    """Methods of `VAEClassification` about how much of each class a pixel holds."""

    names: tuple[str, ...]
    _trained: Any
    _arrays: Any
    _signature: Any
    _signal2d: Any
    _maps: Any
    _map_axes: Any
    _unmixed_by_level: dict[float, object]

    @property
    def composition(self) -> BaseSignal:
        """Share of each class in every pixel, array ``(…frames…, class, y, x)``; sums to 1.

        Non-negative unmixing of the references in the likelihood of the classification, with the
        shift and the background of every pixel; the shares are of amounts in units of the
        references. `interval` says how far they are known, and `mixed` where it is more than one.
        """
        return self._by_class(self._unmixed(0.95), 0, "Composition", "Share")

    def interval(self, name: str = "composition", level: float = 0.95) -> tuple[Any, Any]:
        """Lower and upper ends of the intervals of the composition.

        Parameters
        ----------
        name
            ``"composition"``.
        level
            Probability that an interval is to hold.

        Returns
        -------
        tuple of two signals
            Arrays ``(…frames…, class, y, x)``.

        Raises
        ------
        ValueError
            If the name is another one or the level not between 0 and 1.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, network=False, show_progressbar=False)
        >>> lower, upper = c.interval("composition")
        >>> bool((lower.data <= upper.data).all())
        True
        """
        if name != "composition":
            raise ValueError(f'name={name!r} must be "composition".')
        if not 0 < level < 1:
            raise ValueError(f"level={level} must lie between 0 and 1, such as 0.95.")
        parts = self._unmixed(float(level))
        number = len(self.names)
        return (
            self._by_class(parts, number, f"Lower {100 * level:g} % limit", "Share"),
            self._by_class(parts, 2 * number, f"Upper {100 * level:g} % limit", "Share"),
        )

    @property
    def mixed(self) -> BaseSignal:
        """Which pixels hold more than one class: nearer to a mixture than to each class alone.

        One in fifty pixels that do hold a single class is marked, too.
        """
        marked = map_blocks(is_marked, "(p)->()", self._unmixed(0.95), output_dtypes=(np.bool_,))
        return self._signal2d(self._maps(marked), self._map_axes(), "Mixed", "Mixed")

    def _unmixed(self, level: float) -> object:
        """What `unmix` finds in every pixel; kept, since several maps are made of it."""
        from hyperspy_dosekin.classification.prediction import unmix

        if level not in self._unmixed_by_level:
            self._unmixed_by_level[level] = map_blocks(
                unmix,
                self._signature("p"),
                *self._arrays,
                output_sizes={"p": 3 * len(self.names) + 1},
                output_dtypes=(np.float32,),
                model=self._trained,
                level=level,
            )
        return self._unmixed_by_level[level]

    def _by_class(self, parts: Any, first: int, title: str, quantity: str) -> BaseSignal:
        """Map by class out of some columns of what `unmix` found."""
        array = parts[..., first : first + len(self.names)]
        array = moved(self._maps(array, trailing=1), -1, -3)
        axes = self._map_axes()
        axes.insert(-2, {"name": "class", "size": len(self.names), "navigate": True})
        return self._signal2d(array, axes, title, quantity)


def moved(array: Array, source: int, target: int) -> Any:
    """An axis moved, of NumPy and dask arrays alike."""
    order = list(range(array.ndim))
    order.insert(array.ndim + target, order.pop(source))
    return array.transpose(order)
