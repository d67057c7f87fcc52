# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figure of latencies."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from hyperspy_dosekin.plotting import plot_latency

EDGES = 10.0 ** np.linspace(-5, -1, 81)


def texts(figure):
    return [
        " ".join(text.get_text().split())
        for legend in figure.legends
        for text in legend.get_texts()
    ]


def test_counts_and_percentiles_are_drawn_in_milliseconds():
    counts = np.zeros(80, int)
    counts[20:30] = np.arange(1, 11)
    figure = plot_latency(EDGES, counts, {50: 5e-4, 99: 8e-4}, dropped=3)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert "ms" in axes.get_xlabel()
    assert axes.get_ylabel() == "Frames"
    assert texts(figure) == ["55 frames, 3 dropped", "p50: 0.5 ms", "p99: 0.8 ms"]
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([0.5, 0.8])
    low, high = axes.get_xlim()
    assert low < 1e3 * EDGES[20]
    assert high > 1e3 * EDGES[30]
    (bars,) = axes.patches
    assert bars.get_data().values.sum() == 55
    figure.canvas.draw()
    assert {label.get_text() for label in axes.get_xticklabels()} >= {"0.1", "0.2", "0.5"}


def test_nothing_counted_is_said():
    given = Figure(figsize=(3, 3))
    figure = plot_latency(EDGES, np.zeros(80, int), {50: np.nan}, fig=given)
    assert figure is given
    assert [text.get_text() for text in figure.axes[0].texts] == ["no data"]
