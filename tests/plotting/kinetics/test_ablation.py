# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hyperspy_dosekin.plotting import plot_ablation


@pytest.mark.parametrize("n_window", [1, 4, 12])
@pytest.mark.parametrize("figsize", [None, (3.4, 6.0)], ids=["page", "column"])
def test_everything_is_on_the_page(n_window, figsize, ablation_picture, read):
    if figsize and n_window == 12:
        figsize = (3.4, 14.0)
    picture = ablation_picture(n_window)
    figure = plot_ablation(picture, figsize=figsize)
    read(figure).check_layout()
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(picture.window_names)


def test_legend_names_data_models_and_region(ablation_picture, read):
    legend = read(plot_ablation(ablation_picture())).legend
    assert legend == [
        "data ± noise (1σ)",
        "kinetic law (PINN)",
        "cubic polynomial",
        "network without physics",
        "beyond the measured doses",
    ]


def test_models_differ_in_colour_and_line(ablation_picture):
    picture = ablation_picture()
    lines = [line for line in plot_ablation(picture).axes[0].lines if len(line.get_xdata()) == 61]
    assert len(lines) == 3
    assert len({line.get_color() for line in lines}) == 3
    assert len({str(line.get_linestyle()) for line in lines}) == 3


def test_data_and_law_set_the_limits(ablation_picture, read):
    picture = ablation_picture()
    wild = {**picture.curves, "cubic polynomial": 1e6 * (picture.grid / 1e3) ** 3 * np.ones((4, 1))}
    figure = plot_ablation(ablation_picture(curves=wild))
    law = picture.curves["kinetic law (PINN)"]
    for index, axes in enumerate(figure.axes):
        low, high = axes.get_ylim()
        shown = np.concatenate([law[index], picture.values[index]])
        assert low < shown.min()
        assert shown.max() < high
        assert high - low < 1.6 * np.ptp(shown)
    assert "leaving them: cubic polynomial" in read(figure).text


def test_nothing_is_said_to_leave_the_axes_that_does_not(ablation_picture, read):
    law = ablation_picture().curves["kinetic law (PINN)"]
    text = read(plot_ablation(ablation_picture(curves={"law": law, "other": law}))).text
    assert "leaving" not in text
    assert "not bond assignments" in text


def test_missing_numbers(ablation_picture, read):
    values = ablation_picture().values.copy()
    values[1] = np.nan
    values[0, 2] = np.nan
    seen = read(plot_ablation(ablation_picture(values=values, sigma=None)))
    seen.check_layout()
    assert "no data" in seen.text
    assert "missing frame" in seen.legend


def test_without_extrapolation_nothing_is_shaded(ablation_picture, read):
    picture = ablation_picture()
    figure = plot_ablation(ablation_picture(dose_max=picture.grid[-1]))
    assert "beyond the measured doses" not in read(figure).legend
