# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batched L-BFGS against SciPy on its own, and its ways to end."""

import threading

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from hyperspy_dosekin.numerics.lockstep import LockstepMinimiser

STARTS = np.array([[-1.2, 1.0, 0.5], [2.0, -1.0, 3.0], [0.1, 0.2, 0.3], [1.0, 1.0, 1.0]])


def rosenbrock(points):
    return np.array([rosen(p) for p in points]), np.array([rosen_der(p) for p in points])


def test_every_member_goes_the_way_it_would_go_alone():
    minimiser = LockstepMinimiser(rosenbrock, STARTS, iterations=17, history=5)
    minimiser.run()
    for start, point in zip(STARTS, minimiser.accepted, strict=True):
        alone = minimize(
            rosen,
            start,
            jac=rosen_der,
            method="L-BFGS-B",
            options={"maxiter": 17, "maxcor": 5, "ftol": 0, "gtol": 1e-12},
        )
        np.testing.assert_array_equal(point, alone.x)


def test_members_that_converge_early_leave_the_others_running():
    minimiser = LockstepMinimiser(rosenbrock, STARTS, iterations=500)
    minimiser.run()
    np.testing.assert_allclose(minimiser.accepted, 1.0, atol=1e-6)


def test_stop_keeps_what_was_accepted():
    rounds = []
    minimiser = LockstepMinimiser(rosenbrock, STARTS, iterations=500)
    minimiser.run(lambda number: rounds.append(number) or number == 10)
    assert rounds == list(range(1, 11))
    assert np.all(rosenbrock(minimiser.accepted)[0] <= rosenbrock(STARTS)[0])
    assert rosenbrock(minimiser.accepted)[0].max() > 1e-3


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_of_the_function_reaches_the_caller_and_ends_all_threads(error):
    calls = []

    def failing(points):
        calls.append(1)
        if len(calls) == 5:
            raise error
        return rosenbrock(points)

    minimiser = LockstepMinimiser(failing, STARTS, iterations=500)
    before = threading.active_count()
    with pytest.raises(error):
        minimiser.run()
    assert threading.active_count() == before
    assert np.all(np.isfinite(minimiser.accepted))
