# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a processed signal before and after each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute
from hyperspy_dosekin.plotting.spectra.processing import ProcessingStep, plot_steps
from hyperspy_dosekin.signals.processing.result import CONTEXT

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal
    from matplotlib.figure import FigureBase


def plot_processing(
    self: Any,
    pixel: tuple[int, ...] | None = None,
    *,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Plot one spectrum before and after each step of its processing.

    The steps are done again for that spectrum, so that nothing of them is kept in memory
    meanwhile. It works on what `process_low_loss` and `process_core_loss` return, not on copies
    and files of it, which do not know the raw data.

    Parameters
    ----------
    pixel
        Navigation indices in the order of ``s.inav``; by default the position that is shown when
        the signal is plotted.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ValueError
        If the signal does not come from processing, or there is no such pixel.

    Examples
    --------
    >>> from hyperspy_dosekin.data import dose_series
    >>> processed = dose_series(spike_rate=1.0).process_low_loss()
    >>> figure = processed.plot_processing((4,))
    """
    from hyperspy_dosekin.processing.core_loss import chain as core_loss
    from hyperspy_dosekin.processing.low_loss import chain as low_loss

    context = getattr(self, CONTEXT, None)
    if context is None:
        raise ValueError(
            "this signal does not know the raw data that it was made of; call plot_processing on "
            "what process_low_loss() or process_core_loss() returned, not on a copy of it."
        )
    index = _index(self, pixel)
    recorded, chain = context["recorded"], context["chain"]
    parts = [recorded.data[(*index, slice(None))]]
    names = ("position", "fwhm") if "fwhm" in context else ("position", "scale")
    parts += [context[name][index] for name in names]
    if recorded.variance is not None:
        parts.append(recorded.variance[(*index, slice(None))])
    parts = [np.asarray(part)[np.newaxis] for part in compute(*parts)]
    seen: list[tuple[str, dict[str, Any]]] = []

    def watch(name: str, made: Any) -> None:
        seen.append((name, {key: _first(value) for key, value in made.items()}))

    kernel = low_loss if "fwhm" in context else core_loss
    with_variance = recorded.knows_noise
    kernel.process_spectra(*parts, chain=chain, with_variance=with_variance, watch=watch)
    steps = []
    energy = recorded.energy_ev
    before, energy_before = None, energy
    for name, made in seen:
        after = made["spectra"]
        if after.size != energy.size:
            energy = chain.energy_ev if kernel is low_loss else chain.energy_ev[chain.crop]
        extra = {}
        if "touched" in made:
            extra["touched"] = made["touched"]
        if "zero_loss" in made:
            extra["model"] = made["zero_loss"]
        if "background" in made:
            fit, x = made["background"], np.maximum(energy, 1e-3)
            curve = np.ravel(fit.at(x)[0])
            begin = chain.background[0] if kernel is low_loss else energy[chain.background.start]
            extra["model"] = np.where(energy >= begin, curve, np.nan)
        steps.append(ProcessingStep(name, energy_before, before, energy, after, **extra))
        before, energy_before = after, energy
    title = f"{self.metadata.General.title} {_place(self, index)}"
    return plot_steps(steps, title=title.strip(), fig=fig, figsize=figsize)


def _place(signal: BaseSignal, index: tuple[int, ...]) -> str:
    """Where a spectrum is: its indices or, on a single axis, the value there."""
    if len(index) != 1:
        return f"at {tuple(reversed(index))}" if index else ""
    axis = signal.axes_manager.navigation_axes[0]
    name, units = (text if isinstance(text, str) else "" for text in (axis.name, axis.units))
    return f"at {name} {axis.axis[index[0]]:g} {units}".replace("  ", " ").strip()


def _first(value: object) -> object:
    return value[0].copy() if isinstance(value, np.ndarray) else value


def _index(signal: BaseSignal, pixel: int | Sequence[int] | None) -> tuple[int, ...]:
    """Array indices of a pixel."""
    shape = signal.axes_manager.navigation_shape
    chosen = signal.axes_manager.indices if pixel is None else pixel
    places = tuple(int(place) for place in np.atleast_1d(chosen))
    if len(places) != len(shape) or not all(
        -size <= place < size for place, size in zip(places, shape, strict=True)
    ):
        raise ValueError(
            f"pixel={pixel!r} is no place in the navigation space {shape}; give one index for each "
            "navigation axis, as in s.inav."
        )
    return places[::-1]
