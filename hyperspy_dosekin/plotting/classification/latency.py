# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figure of the latency of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.plotting import layout, style

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase


def plot_latency(
    edges_s: np.ndarray,
    counts: np.ndarray,
    percentiles_s: Mapping[float, float],
    *,
    dropped: int = 0,
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw how often each latency occurred, and its percentiles.

    Parameters
    ----------
    edges_s
        Limits of the bins in seconds, ascending, ``(n_bin + 1,)``.
    counts
        Frames in each bin, ``(n_bin,)``.
    percentiles_s
        Seconds below which the given percentages lie.
    dropped
        Frames that were dropped, for the legend.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.

    Returns
    -------
    Figure
        The figure.

    Examples
    --------
    >>> from hyperspy_dosekin.plotting.classification.latency import plot_latency
    >>> edges = np.geomspace(1e-4, 1e-2, 6)
    >>> figure = plot_latency(edges, np.array([1, 5, 9, 2, 0]), {50: 1e-3, 99: 5e-3})
    """
    figure = layout.new_figure(fig, figsize, (5.6, 3.4))
    panel = figure.add_subplot()
    panel.set(xlabel="Latency, arrival to result (ms)", ylabel="Frames")
    used = np.flatnonzero(counts)
    if not used.size:
        style.say_no_data(panel)
        return figure
    first, last = max(used[0] - 3, 0), min(used[-1] + 4, len(counts))
    looks = style.window_styles(len(percentiles_s) + 1)
    bars = panel.stairs(
        counts[first:last],
        1e3 * edges_s[first : last + 1],
        fill=True,
        color=looks[0].colour,
        alpha=0.6,
        label=f"{int(counts.sum())} frames" + (f", {dropped} dropped" if dropped else ""),
    )
    handles = [bars]
    for (level, seconds), look in zip(percentiles_s.items(), looks[1:], strict=True):
        handles.append(
            panel.axvline(
                1e3 * seconds,
                color=look.colour,
                ls=look.line,
                lw=1.4,
                label=f"p{level:g}: {1e3 * seconds:.3g} ms",
            )
        )
    panel.set_xscale("log")
    panel.set_xlim(1e3 * edges_s[first], 1e3 * edges_s[last])
    panel.set_ylim(0, None)
    style.logarithmic(panel.xaxis, labels=7.5)
    layout.put_legend(figure, handles, [str(h.get_label()) for h in handles], columns=4)
    return figure
