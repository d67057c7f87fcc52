# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels together see a wrong law that each of them is too noisy to see."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from hyperspy_dosekin.kinetics.adequacy.all_pixels import law_of_all
from hyperspy_dosekin.kinetics.adequacy.examination import FittedCurves, examine
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from tests.kinetics.adequacy.test_scatter import PHI, coming_back, late, powers

NOISE = 0.03


def shared_fit(law, *, n=400, bend=0.0, turns=0.5, gain=0.0, seed=0, variance=NOISE**2):
    """Pixels of one rate; the fit of their mean, which is what a population knows."""
    random = np.random.default_rng(seed)
    values = (2 + law(PHI, 2.0, 1.4)) * (1 + gain * random.standard_normal(9))
    values = (
        values + bend * np.cos(2 * np.pi * turns * PHI) + NOISE * random.standard_normal((n, 1, 9))
    )
    found, _ = curve_fit(
        lambda phi, k, p, a, b: a * powers(phi, k, p) + b, PHI, values.mean((0, 1)),
        (2.0, 1.4, 1.0, 2.0), bounds=([0.05, 1.02, 0.1, 0], [20, 5, 9, 9]),
    )  # fmt: skip
    each = [np.full((n, 1), value) for value in found]
    spread = None if variance is None else np.full(values.shape, variance)
    return FittedCurves(
        DoseProblem(1368.0 * PHI, values, ("w",), spread), kinetic_law("power law"),
        {"rate": each[0], "exponent": each[1]}, amplitude=each[2], offset=each[3],
    )  # fmt: skip


@pytest.mark.parametrize("law", [late, coming_back])
@pytest.mark.parametrize("variance", [NOISE**2, None])
def test_a_wrong_law_is_seen_together(law, variance):
    fit = shared_fit(law, variance=variance)
    assert law_of_all(fit)[0] < 0.05
    if law is coming_back:
        assert examine(fit).adequate.mean() > 0.5


@pytest.mark.parametrize("options", [{}, {"bend": 0.003}, {"gain": 0.005}])
def test_the_right_law_and_wrong_frames_pass(options):
    """Noise, a bend of 0.3 % of a in all pixels, and frames that are wrong by 0.5 %."""
    passed = [law_of_all(shared_fit(powers, seed=seed, **options))[0] >= 0.05 for seed in range(20)]
    assert sum(passed) >= (19 if "gain" not in options else 16)


def test_few_pixels_say_nothing_together():
    assert law_of_all(shared_fit(late, n=80))[0] == 1


def test_thousands_of_pixels_do_not_contradict_a_law_by_next_to_nothing():
    """A bend of a tenth of the noise of a pixel: it is there, and matters to none."""
    for seed in range(6):
        assert law_of_all(shared_fit(powers, n=4096, bend=0.1 * NOISE, turns=1, seed=seed))[0] == 1
    assert law_of_all(shared_fit(late, n=4096))[0] < 0.05
