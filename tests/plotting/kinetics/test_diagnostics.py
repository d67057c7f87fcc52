# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hyperspy_dosekin.plotting import plot_diagnostics


def panel(figure, label):
    return next(a for a in figure.axes if a.get_ylabel().replace("\n", " ").startswith(label))


def line(axes, label):
    return next(a for a in axes.lines if a.get_label() == label)


@pytest.mark.parametrize("n_window", [1, 4, 12])
@pytest.mark.parametrize("figsize", [None, (3.4, 9.0)], ids=["page", "column"])
def test_everything_is_on_the_page(n_window, figsize, diagnostics_picture, read):
    figure = plot_diagnostics(diagnostics_picture(n_window), figsize=figsize)
    seen = read(figure)
    seen.check_layout()
    assert "not bond assignments" in seen.text


def test_long_names(diagnostics_picture, read):
    names = ["C–C", "A window name that is longer than any panel " * 3, "w" * 60, "M–O"]
    read(plot_diagnostics(diagnostics_picture(window_names=names))).check_layout()


def test_residuals_and_their_rms(diagnostics_picture):
    picture = diagnostics_picture()
    figure = plot_diagnostics(picture)
    residuals, total = panel(figure, "Physics residual"), panel(figure, "Total RMS")
    for name, residual in zip(picture.window_names, picture.residual, strict=True):
        assert_allclose(line(residuals, name).get_ydata(), residual)
    assert_allclose(total.lines[0].get_ydata(), picture.total_rms)
    assert total.get_xlabel() == "Cumulative dose (e⁻/Å²)"
    low, high = residuals.get_ylim()
    assert low == -high
    assert high > np.abs(picture.residual).max()


def test_loss_terms_are_medians_without_those_that_are_zero(diagnostics_picture):
    picture = diagnostics_picture()
    loss = panel(plot_diagnostics(picture), "Loss term")
    labels = [a.get_label() for a in loss.lines if not a.get_label().startswith("_")]
    assert labels == ["data", "ode", "monotonicity"]
    assert loss.get_yscale() == "log"
    drawn = line(loss, "data").get_ydata()
    assert_allclose(drawn, np.nanmedian(picture.terms["data"], axis=1))
    assert len(loss.collections) == 3  # a band for each term


def test_a_term_that_dies_out_does_not_stretch_the_axis(diagnostics_picture):
    picture = diagnostics_picture()
    terms = {**picture.terms, "hinge": np.geomspace(1, 1e-40, 120)[:, None] * np.ones(3)}
    low, high = panel(
        plot_diagnostics(dataclasses.replace(picture, terms=terms)), "Loss term"
    ).get_ylim()
    assert 1e8 < high / low < 1e12


def test_change_of_optimiser_is_marked_and_named(diagnostics_picture, read):
    picture = diagnostics_picture()
    figure = plot_diagnostics(picture)
    assert read(figure).text.count("Adam → L-BFGS") == 1
    for label in ("Loss term", "Learning rate"):
        marks = [a.get_xdata()[0] for a in panel(figure, label).lines if len(a.get_xdata()) == 2]
        assert marks == [picture.n_adam]
    assert "Adam" not in read(plot_diagnostics(diagnostics_picture(n_adam=None))).text


def test_members_are_named(diagnostics_picture, read):
    text = read(plot_diagnostics(diagnostics_picture())).text
    assert "median of 3 members" in text
    assert "Members: 42, 59, 76." in text


def test_learning_rate_is_left_out_where_there_is_none(diagnostics_picture):
    figure = plot_diagnostics(diagnostics_picture())
    drawn = panel(figure, "Learning rate").lines[0].get_ydata()
    assert np.isnan(drawn[-1])  # the second optimiser has no learning rate
    without = plot_diagnostics(diagnostics_picture(learning_rate=np.full(120, np.nan)))
    assert len(without.axes) == len(figure.axes) - 1


def test_estimator_without_history(diagnostics_picture, read):
    picture = diagnostics_picture(
        iteration=[], learning_rate=[], terms={}, member_labels=(), n_adam=None
    )
    figure = plot_diagnostics(picture)
    read(figure).check_layout()
    assert len(figure.axes) == 2


def test_missing_frames_and_windows(diagnostics_picture, read):
    residual = diagnostics_picture().residual.copy()
    residual[0, 2] = np.nan
    residual[1] = np.nan
    seen = read(plot_diagnostics(diagnostics_picture(residual=residual)))
    assert "C–C (no data)" in seen.legend
    assert line(panel(seen.figure, "Physics residual"), "π–π*").get_xdata().size == 8
