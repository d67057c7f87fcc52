# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The posterior of all windows and pixels, brought up to date with every frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.kinetics.live.rules import caution

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.live.summary import LiveEstimate
    from hyperspy_dosekin.kinetics.model.config import ExactConfig

#: Curves that are estimated anew after a frame; of maps those whose posterior is oldest.
CURVES_A_FRAME = 4096


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
        from hyperspy_dosekin.kinetics.live.posterior import LivePosterior
        from hyperspy_dosekin.kinetics.live.summary import LiveEstimate

        self.n_curve = n_curve
        self.weighted = weighted
        self._posterior = LivePosterior(
            config, offset=offset, dose_scale=dose_scale, level=level, weighted=weighted
        )
        self._bins = DoseBins(n_curve)
        self._smallest = np.full(n_curve, np.inf)
        self._seen = np.zeros(n_curve, dtype=np.int64)
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
        self._seen[:] = 0

    def update(self, last_dose: float) -> LiveEstimate:
        """Estimates after the last frame; those of a map that have not been reached yet are old.

        Parameters
        ----------
        last_dose
            Dose of the last frame.
        """
        index = np.arange(self.n_curve)
        if self.n_curve > CURVES_A_FRAME:
            index = np.argsort(self._seen, kind="stable")[:CURVES_A_FRAME]
            # Curves that are alike together: less of what is common to them does not matter.
            index = index[np.argsort(self.estimate.half_dose[index], kind="stable")]
        found = self._posterior.estimate(self._bins.curves(index), last_dose, index)
        self.estimate.put(index, found)
        self._seen[index] = self._bins.n_frame
        return self.estimate

    def finish(self, last_dose: float) -> LiveEstimate:
        """Estimates of all curves after the last frame."""
        while self.n_curve and int(self._seen.min()) < self._bins.n_frame:
            self.update(last_dose)
        return self.estimate
