# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""D½ as it became known, and a figure that is drawn again after every frame."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .growing import GrowingSeries
from .posterior import DosePosterior

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

    from hyperspy_dosekin.plotting.kinetics.growing import GrowingPicture

#: Frames of which the history is kept; then every second one goes.
_LONGEST = 1024


class History:
    """D½ with its interval after the frames, of maps the median; its length is bounded."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, np.ndarray]] = []
        self._every = 1
        self._count = 0

    def add(self, posterior: DosePosterior) -> None:
        """Keep what is known now."""
        self._count += 1
        if self._count % self._every and self._rows:
            # The last one is always there.
            self._rows.pop()
        arrays = (posterior.half_integrity_dose, posterior.lower, posterior.upper)
        self._rows.append((posterior.dose, np.stack([_middle(each) for each in arrays])))
        if len(self._rows) > _LONGEST:
            self._rows = self._rows[::2]
            self._every *= 2

    def arrays(self, n_window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Doses ``(n,)``, D½, lower and upper ends, ``(n_window, n)``."""
        if not self._rows:
            nothing = np.zeros((n_window, 0))
            return np.zeros(0), nothing, nothing, nothing
        middle, lower, upper = np.stack([row for _, row in self._rows], axis=-1)
        return np.asarray([dose for dose, _ in self._rows]), middle, lower, upper


def _middle(array: np.ndarray) -> np.ndarray:
    """Median over the pixels of which something is known, ``(n_window,)``."""
    flat = array.reshape(len(array), -1)
    if flat.shape[1] == 1:
        return flat[:, 0].copy()
    found = np.full(len(flat), np.nan)
    for place, row in enumerate(flat):
        known = row[np.isfinite(row)]
        if known.size:
            found[place] = np.median(known)
    return found


def picture_of(
    names: tuple[str, ...],
    series: GrowingSeries | None,
    posterior: DosePosterior,
    history: History,
    *,
    n_space: int,
    quantity: str,
) -> GrowingPicture:
    """What is drawn of a growing series.

    Parameters
    ----------
    names, series
        The windows, and their areas so far.
    posterior, history
        What is known now, and was known before.
    n_space
        Number of space axes.
    quantity
        What the areas are.
    """
    from hyperspy_dosekin.plotting.kinetics.growing import GrowingPicture

    dose, areas = np.zeros(0), np.zeros((len(names), 0))
    if series is not None:
        dose = series.dose
        areas = np.nanmean(series.values.reshape(series.n_frame, -1, len(names)), axis=1).T
    maps = None
    if n_space in (1, 2):
        maps = posterior.half_integrity_dose
        maps = maps.reshape(len(names), -1, maps.shape[-1])
    known = history.arrays(len(names))
    return GrowingPicture(
        names, dose, areas, *known, maps, quantity, posterior.dose_unit, posterior.headline
    )


class FollowedFigure:
    """A figure that is drawn again.

    Parameters
    ----------
    figure
        The figure.
    draw
        What draws a picture in it.
    """

    def __init__(self, figure: FigureBase, draw: Callable[..., object]) -> None:
        self._figure, self._draw = figure, draw
        self._handle: Any = None

    def show(self, picture: Any) -> None:
        """Draw another picture."""
        self._draw(picture, fig=self._figure)
        root = self._figure.figure
        root.canvas.draw_idle()
        # A figure of ipympl or of a window is drawn by its canvas, an inline one is shown anew.
        ipython: object = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        if (
            ipython is None
            or shell is None
            or "inline" not in type(root.canvas).__module__ + _backend()
        ):
            return
        if self._handle is None:
            self._handle = ipython.display.display(root, display_id=True)
        else:
            self._handle.update(root)


def _backend() -> str:
    import matplotlib as mpl

    return str(mpl.get_backend())
