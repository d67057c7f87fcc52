# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A half-integrity dose without an upper end is drawn up to the edge of the axes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hyperspy_dosekin.plotting.kinetics.conditions import plot_condition
from hyperspy_dosekin.plotting.kinetics.growing import GrowingPicture, plot_growing
from hyperspy_dosekin.plotting.kinetics.specification import (
    SpecificationPicture,
    plot_specification,
)


def top_of(collection):
    return max(path.vertices[:, 1].max() for path in collection.get_paths())


def test_while_a_series_grows():
    picture = GrowingPicture(
        names=("C–O",),
        quantity="area",
        headline="3 frames",
        maps=None,
        dose_unit="e⁻/Å²",
        dose=np.array([100.0, 200.0, 300.0]),
        areas=np.array([[3.0, 2.0, 1.5]]),
        at=np.array([200.0, 300.0]),
        half_dose=np.array([[250.0, 240.0]]),
        lower=np.array([[100.0, 200.0]]),
        upper=np.array([[np.inf, 300.0]]),
    )
    panels = plot_growing(picture).axes
    axes = next(each for each in panels if each.collections)
    assert top_of(axes.collections[0]) == pytest.approx(axes.get_ylim()[1])


def test_choices_of_processing():
    picture = SpecificationPicture(
        window_names=("C–O",),
        dose_unit="e⁻/Å²",
        steps=("background",),
        taken=(("100 … 200 eV",), ("120 … 200 eV",)),
        half_dose=np.array([[300.0], [310.0]]),
        lower=np.array([[200.0], [210.0]]),
        upper=np.array([[400.0], [np.inf]]),
    )
    axes = plot_specification(picture).axes[0]
    bars = next(each for each in axes.collections if len(each.get_paths()) == 2)
    assert top_of(bars) == pytest.approx(axes.get_ylim()[1])


@pytest.mark.parametrize("kind", ["dose_rate", "factor"])
def test_against_a_condition(kind):
    values = (2.0, 10.0) if kind == "dose_rate" else ("none", "water")
    table = pd.DataFrame(
        {
            "window": "C–O",
            "estimate": [np.inf, 370.0],
            "lower": [460.0, 320.0],
            "upper": [np.inf, 430.0],
        }
    )
    bands = np.array([[[450.0, 330.0], [np.inf, 370.0], [np.inf, 420.0]]])
    condition = SimpleNamespace(name="gas", kind=kind, values=values)
    axes = plot_condition(condition, values, bands, table, ["C–O"], "e⁻/Å²").axes[0]
    bottom, top = axes.get_ylim()
    assert bottom < 320
    assert top > 460
    assert top_of(axes.collections[0]) == pytest.approx(top)
    arrow = [line for line in axes.lines if line.get_marker() == "^"]
    assert [line.get_ydata()[0] for line in arrow] == [top]
