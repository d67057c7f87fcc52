# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimates of delays: they are where the squares are least, and do not hang on the search."""

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.closed_forms import Delayed
from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.model.config import ExactConfig

DOSE = np.arange(1.0, 10.0)
OFFSET = 0.3


def a_map(n, seed, frames=DOSE):
    """Delayed decays, half of them beginning before or about the first frame, ``(n, 1, 9)``."""
    random = np.random.default_rng(seed)
    rate, delay = np.exp(random.normal(0.5, 0.7, (n, 1))), random.uniform(0.0, 2.5, (n, 1))
    decay = np.exp(-rate * np.clip(frames - delay, 0.0, None) / 9)
    return (OFFSET + decay + random.normal(scale=0.01, size=decay.shape))[:, None]


@pytest.mark.parametrize("gap", [0, 1, 5, 7])
@pytest.mark.parametrize("known", [{}, {"offset": OFFSET}, {"nonnegative": True}])
def test_a_missing_frame_is_as_if_it_had_never_been(gap, known):
    values, kept = a_map(60, gap), np.delete(np.arange(9), gap)
    empty = values.copy()
    empty[..., gap] = np.nan
    config = ExactConfig(law="delayed", **known)
    found = [
        fit_exact(DoseProblem(dose, each, ("C–O",)), config)
        for dose, each in ((DOSE, empty), (DOSE[kept], values[..., kept]))
    ]
    for name in ("rate", "delay"):
        first, second = (fit.parameters[name] for fit in found)
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6, err_msg=name)


def test_delays_that_all_fit_alike_are_half_of_the_first_frame():
    fit = fit_exact(DoseProblem(DOSE, a_map(200, 3), ("C–O",)), ExactConfig(law="delayed"))
    delay = fit.parameters["delay"]
    early = delay < 1 / 9
    assert 20 < early.sum() < 180
    np.testing.assert_allclose(delay[early], 0.5 / 9)


@pytest.mark.parametrize("count", [9, 30])
def test_squares_are_the_least_of_a_dense_grid(count):
    frames = np.arange(1.0, count + 1) * 9 / count
    values, dose = a_map(200, 8, frames)[:, 0], frames / 9
    rate = np.geomspace(1e-2, 200.0, 300)[:, None, None]
    later = np.clip(dose - np.linspace(0.0, 1.0, 301)[:, None], 0.0, None)
    decay = np.exp(-rate * later).reshape(-1, count)
    fit = fit_exact(
        DoseProblem(frames, values[:, None], ("C–O",)), ExactConfig(law="delayed", prior=None)
    )
    own = np.exp(-fit.rate * np.clip(dose - fit.parameters["delay"], 0.0, None))
    values, decay, own = (each - each.mean(-1, keepdims=True) for each in (values, decay, own))
    decay = decay[np.square(decay).sum(-1) > 1e-12]
    unit = decay / np.linalg.norm(decay, axis=-1, keepdims=True)
    total = np.square(values).sum(-1)
    least = total - np.square(values @ unit.T).max(1)
    squares = total - np.square((values * own).sum(-1)) / np.square(own).sum(-1)
    # Deviance with an unknown noise. A few have another minimum elsewhere.
    assert np.mean((count - 2) * np.log(squares / least) < 0.01) > 0.99


def test_a_law_of_ones_own_says_which_parameter_is_a_delay():
    class Late(Delayed):
        name = "late"
        parameters = (Delayed.parameters[0], LawParameter("delay", 0.0, 1.0, 0.1, onset=True))

    class Unsaid(Late):
        parameters = (Delayed.parameters[0], LawParameter("delay", 0.0, 1.0, 0.1))

    problem = DoseProblem(DOSE, a_map(60, 4), ("C–O",))
    own, law, unsaid = (
        fit_exact(problem, ExactConfig(law=law)).parameters["delay"]
        for law in (Late(), "delayed", Unsaid())
    )
    np.testing.assert_array_equal(own, law)
    assert (unsaid != law).any()
    with pytest.raises(ValueError, match="must be 0"):
        LawParameter("delay", 0.1, 1.0, 0.5, onset=True)
