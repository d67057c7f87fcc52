# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many small L-BFGS minimisations whose evaluations are batched into one.

SciPy's L-BFGS-B asks for one function value at a time, while a batch of small networks costs
hardly more than one of them. Each minimisation therefore runs in a thread of its own that
waits whenever it asks for a value; when all of them wait, the batch is evaluated once. The
threads never compute at the same time as the batch, so the result does not depend on timing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from hyperspy_dosekin.numerics.threads import one_blas_thread

#: Points of all members, ``(n_member, n)``, to values ``(n_member,)`` and gradients.
BatchedFunction = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

#: Told the number of evaluations so far; ``True`` ends the minimisation.
AfterRound = Callable[[int], bool]


class _Ended(Exception):
    """Raised inside a member's thread to end its minimisation."""


class LockstepMinimiser:
    """Minimise every member of a batch with L-BFGS (strong Wolfe line search).

    Parameters
    ----------
    function
        Values and gradients of all members at once. Members must not influence each other.
    start
        Where each member starts, ``(n_member, n)``, float64.
    iterations
        Most iterations of each member.
    history
        Steps from which L-BFGS estimates the curvature.

    Attributes
    ----------
    accepted
        The last point that each member accepted, ``(n_member, n)``; valid at any time, also
        after an exception such as ``KeyboardInterrupt`` has ended `run`.

    Examples
    --------
    >>> def function(points):
    ...     return ((points - 3.0) ** 2).sum(axis=1), 2 * (points - 3.0)
    >>> minimiser = LockstepMinimiser(function, np.zeros((2, 4)), iterations=10)
    >>> minimiser.run()
    >>> minimiser.accepted.round(6).tolist()
    [[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0]]
    """

    def __init__(
        self, function: BatchedFunction, start: np.ndarray, *, iterations: int, history: int = 20
    ) -> None:
        self._function = function
        self._options = {
            "maxiter": iterations,
            "maxfun": 2 * iterations + 20,
            "maxcor": history,
            "ftol": 0.0,
            "gtol": 1e-12,
        }
        self.accepted = np.array(start, dtype=np.float64)
        self._requests: queue.Queue = queue.Queue()
        self._replies = [queue.SimpleQueue() for _ in self.accepted]
        self._failure: BaseException | None = None

    def run(self, after_round: AfterRound | None = None) -> None:
        """Minimise until every member has converged or has used up its iterations."""
        points = self.accepted.copy()
        active = set(range(len(points)))
        threads = [
            threading.Thread(target=self._minimise, args=(member,), daemon=True)
            for member in sorted(active)
        ]
        for thread in threads:
            thread.start()
        try:
            # L-BFGS multiplies thin matrices, for which SciPy's BLAS is slower with threads.
            with one_blas_thread():
                self._serve(points, active, after_round)
        finally:
            for reply in self._replies:
                reply.put(None)
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure

    def _serve(self, points: np.ndarray, active: set[int], after_round: AfterRound | None) -> None:
        """Evaluate round after round until no member asks any more."""
        rounds = 0
        while self._collect(points, active):
            # Members that have ended stay in the batch: its size, and with it the rounding of
            # every product, is then the same in all rounds.
            values, gradients = self._function(points)
            rounds += 1
            if after_round is not None and after_round(rounds):
                break
            for member in active:
                self._replies[member].put((float(values[member]), gradients[member]))

    def _collect(self, points: np.ndarray, active: set[int]) -> bool:
        """Wait until every active member asks for a value; ``False`` when none is left."""
        waiting: set[int] = set()
        while waiting != active:
            member, point = self._requests.get()
            if point is None:
                active.discard(member)
            else:
                points[member] = point
                waiting.add(member)
        return bool(active)

    def _minimise(self, member: int) -> None:
        def evaluate(point: np.ndarray) -> tuple[float, np.ndarray]:
            self._requests.put((member, point.copy()))
            reply = self._replies[member].get()
            if reply is None:
                raise _Ended
            return reply

        def accept(intermediate_result: OptimizeResult) -> None:
            self.accepted[member] = intermediate_result.x

        try:
            minimize(
                evaluate,
                self.accepted[member].copy(),
                jac=True,
                method="L-BFGS-B",
                callback=accept,
                options=self._options,
            )
        except _Ended:
            pass
        except BaseException as failure:  # a thread must hand its failure to the caller
            self._failure = failure
        finally:
            self._requests.put((member, None))
