# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The posterior of all windows and pixels, brought up to date with every frame."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.kinetics.live.rules import caution
from hyperspy_dosekin.lazy.blocks import cpu_count
from hyperspy_dosekin.numerics.arguments import real_number
from hyperspy_dosekin.numerics.threads import torch_threads

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.live.summary import LiveEstimate
    from hyperspy_dosekin.kinetics.model.config import ExactConfig

#: Curves of a map that are estimated together: their arrays stay in the cache.
TOGETHER = 256
#: Seconds that a map may take after a frame unless another time is given.
BUDGET = 0.2


def budget_in_s(budget: object) -> float | None:
    """Seconds that a map may take after each frame, checked; ``None``: as many as it takes."""
    if budget is None:
        return None
    return real_number("budget", budget, "give seconds, or None for all pixels", above=0.0)


class LiveEngine:
    """Estimates of growing curves, which are windows times pixels.

    Parameters
    ----------
    config
        Options of the fit.
    n_curve
        Number of curves.
    offset
        Known offset of each, or ``None``.
    dose_scale
        Dose that counts as 1; the last dose if not given.
    level
        Integrity below which curves may have fallen.
    weighted
        Whether the areas have a variance. Those of maps do not weigh: each of their pixels is
        about as noisy in all frames.
    """

    def __init__(
        self,
        config: ExactConfig,
        n_curve: int,
        *,
        offset: np.ndarray | None,
        dose_scale: float | None,
        level: float,
        weighted: bool,
    ) -> None:
        from hyperspy_dosekin.kinetics.live.bins import DoseBins
        from hyperspy_dosekin.kinetics.live.posterior import FEW, LivePosterior
        from hyperspy_dosekin.kinetics.live.summary import LiveEstimate

        self.n_curve, self._few = n_curve, FEW
        self.weighted = weighted
        self._posterior = LivePosterior(
            config, offset=offset, dose_scale=dose_scale, level=level, weighted=weighted
        )
        self._bins = DoseBins(n_curve)
        self._smallest = np.full(n_curve, np.inf)
        #: Frames that each answer knows.
        self.seen = np.zeros(n_curve, dtype=np.int64)
        self.estimate: LiveEstimate = LiveEstimate.unknown(n_curve)

    @property
    def caution(self) -> float:
        """Factor on standard deviations where a series may stop: of noise that is not known."""
        if self.weighted and self._posterior.config.noise != "relative":
            return 1.0
        n_parameter = len(self._posterior.config.parameters.free) + 1
        return caution(self._bins.n_frame, n_parameter + (self._posterior.offset is None))

    def add(self, dose: float, values: np.ndarray, variance: np.ndarray | None) -> None:
        """Take a frame that has the largest dose so far.

        Parameters
        ----------
        dose
            Its dose.
        values, variance
            Areas and variance, ``(n_curve,)``.
        """
        weight = None
        if self.weighted and variance is not None:
            positive = variance > 0
            self._smallest = np.where(
                positive, np.minimum(self._smallest, variance), self._smallest
            )
            # No counts have no noise by Poisson's law, but are not infinitely certain.
            least = np.where(np.isfinite(self._smallest), self._smallest, 1.0)
            weight = 1 / np.where(positive, variance, least)
            weight = np.where(np.isfinite(weight), weight, 0.0)
        self._bins.add(dose, values, weight)

    def rebuild(self, frames: Iterable[tuple[float, np.ndarray, np.ndarray | None]]) -> None:
        """Begin anew, since a frame came late.

        Parameters
        ----------
        frames
            Dose, areas and variance of all frames, by dose.
        """
        from hyperspy_dosekin.kinetics.live.bins import DoseBins

        self._bins = DoseBins(self.n_curve)
        self._smallest[:] = np.inf
        for frame in frames:
            self.add(*frame)
        self.seen[:] = 0

    def update(self, last_dose: float, budget: float | None = None) -> LiveEstimate:
        """Estimates after the last frame; of a map those first whose answers are oldest.

        Parameters
        ----------
        last_dose
            Dose of the last frame.
        budget
            Seconds that a map may take; what has not been reached by then keeps its answer. Some
            hundred curves are reached in any case. ``None``: all of them.
        """
        if self.n_curve <= self._few:
            self._answer(np.arange(self.n_curve), last_dose)
            return self.estimate
        oldest = np.argsort(self.seen, kind="stable")
        n_piece = math.ceil(self.n_curve / TOGETHER)
        pieces = iter(np.array_split(oldest, n_piece))
        end = math.inf if budget is None else time.perf_counter() + budget
        # What the pixels share is found with the first of them.
        self._answer(next(pieces), last_dose)
        lock = threading.Lock()

        def work(_: int) -> None:
            while time.perf_counter() < end:
                with lock:
                    index = next(pieces, None)
                if index is None:
                    return
                self._answer(index, last_dose)

        number = min(cpu_count(), n_piece - 1)
        if number < 2:
            work(0)
            return self.estimate
        with torch_threads(1), ThreadPoolExecutor(number) as pool:
            list(pool.map(work, range(number)))
        return self.estimate

    def _answer(self, index: np.ndarray, last_dose: float) -> None:
        """Estimate some of the curves."""
        found = self._posterior.estimate(self._bins.curves(index), last_dose, index)
        self.estimate.put(index, found)
        self.seen[index] = self._bins.n_frame

    @property
    def age(self) -> np.ndarray:
        """Frames that have come since each answer, ``(n_curve,)``."""
        return self._bins.n_frame - self.seen
