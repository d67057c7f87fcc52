# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
import sys

import numpy as np
import pytest

from hyperspy_dosekin.plotting import Estimate
from hyperspy_dosekin.plotting.style import dose_text, half_dose_status, window_styles


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.zeros((9, 4))}, "CurvePicture.values of shape"),
        ({"integrity_spread": np.zeros((4, 9))}, "integrity_spread"),
        ({"half_dose": np.zeros(3)}, "half_dose of shape"),
        ({"integrity_upper": None}, "only one of integrity_lower and integrity_upper"),
        ({"half_dose_lower": None}, "only one of half_dose_lower and half_dose_upper"),
        ({"window_names": ()}, "window_names is empty"),
        ({"dose": np.zeros((3, 3))}, "dose has 2 dimensions"),
    ],
)
def test_curve_picture_refuses_what_does_not_fit(changes, message, curve_picture):
    with pytest.raises(ValueError, match=message):
        curve_picture(**changes)


def test_other_pictures_refuse_what_does_not_fit(
    parameter_picture, diagnostics_picture, ablation_picture
):
    with pytest.raises(ValueError, match="rate has 3 values for 4 windows"):
        parameter_picture(rate=Estimate(value=[1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match=r"terms\['ode'\] of shape"):
        diagnostics_picture(terms={"ode": np.zeros((7, 3))})
    with pytest.raises(ValueError, match=r"curves\['law'\] of shape"):
        ablation_picture(curves={"law": np.zeros((4, 5))})
    with pytest.raises(ValueError, match="curves is empty"):
        ablation_picture(curves={})


@pytest.mark.parametrize(
    ("dose", "text"),
    [
        (1021.4, "1020"),
        (683.2, "683"),
        (0.012345, "0.0123"),
        (99.96, "100"),
        (2.5e7, "2.5e+07"),
        (0.0, "0"),
        (np.inf, "∞"),
        (np.nan, "–"),
    ],
)
def test_dose_text(dose, text):
    assert dose_text(dose).replace("100.0", "100") == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((700.0, True, True), "D½ = 700"),
        ((700.0, True, True, 600.0, 800.0), "D½ = 700 (600–800)"),
        ((1900.0, False, True), "D½ = 1900, not reached in range"),
        ((np.nan, False, True), "D½ not reached in range"),
        ((700.0, True, False), "D½ not determined"),
        ((700.0, True, False, 600.0, np.inf), "D½ not determined (> 600)"),
        ((700.0, True, False, 0.0, 900.0), "D½ not determined (< 900)"),
        ((700.0, True, False, 0.0, np.inf), "D½ not determined"),
    ],
)
def test_half_dose_status(arguments, text):
    assert half_dose_status(*arguments).replace("\u00a0", " ") == text


@pytest.mark.parametrize("n_window", [1, 8, 9, 12])
def test_window_colours_differ(n_window):
    assert len({str(look.colour) for look in window_styles(n_window)}) == n_window


def test_plotting_loads_matplotlib_only_to_draw():
    code = (
        "import sys, hyperspy_dosekin.plotting as p; p.plot_fit; p.plot_ablation; "
        "p.plot_diagnostics; p.plot_parameters; "
        "found = {'matplotlib', 'torch', 'hyperspy', 'exspy'} & set(sys.modules); "
        "sys.exit(','.join(found) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
