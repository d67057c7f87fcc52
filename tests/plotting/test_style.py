# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logarithmic axes are labelled in plain numbers, as many as find room."""

import pytest
from matplotlib.figure import Figure

from hyperspy_dosekin.plotting import style


@pytest.mark.parametrize(
    ("low", "high", "labels", "shown"),
    [
        (40.0, 700.0, 9, ["50", "100", "200", "500"]),
        (40.0, 700.0, 3, ["100", "300"]),
        (0.002, 300.0, 6, ["0.01", "0.1", "1", "10", "100"]),
    ],
)
def test_labels_are_plain_and_find_room(low, high, labels, shown):
    figure = Figure()
    axes = figure.subplots()
    axes.set(xscale="log", xlim=(low, high))
    style.logarithmic(axes.xaxis, labels)
    figure.draw_without_rendering()
    texts = [
        tick.label1.get_text()
        for tick in axes.xaxis.get_major_ticks()
        if low <= tick.get_loc() <= high
    ]
    assert texts == shown
    assert not [tick for tick in axes.xaxis.get_minor_ticks() if tick.label1.get_text()]
