# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the nodes of growing curves, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

#: Probability of the intervals.
LEVEL = 0.95
_TAIL = (1 - LEVEL) / 2
#: Lower end, median, upper end.
PROBABILITIES = (_TAIL, 0.5, 1 - _TAIL)


@dataclass(frozen=True, eq=False)
class LiveEstimate:
    """What is known of some curves, arrays ``(n_curve,)``, NaN where nothing can be said.

    Parameters
    ----------
    half_dose, lower, upper
        Median of D½ and its 95 % interval, in the unit of the doses.
    sd_log_half_dose
        Standard deviation of ln D½.
    integrity, below
        Mean integrity at the last dose, and the probability that it is below the level asked for.
    """

    half_dose: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    sd_log_half_dose: np.ndarray
    integrity: np.ndarray
    below: np.ndarray

    @classmethod
    def unknown(cls, n_curve: int) -> LiveEstimate:
        """Nothing is known yet."""
        return cls(*(np.full(n_curve, np.nan) for _ in range(6)))

    def put(self, index: np.ndarray, found: LiveEstimate) -> None:
        """Write what was found of some of the curves."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[index] = getattr(found, name)


@dataclass(frozen=True)
class Asked:
    """What is asked of the nodes.

    Parameters
    ----------
    config
        Options of the fit.
    scale, last
        Dose that counts as 1, and that of the last frame.
    level
        Integrity below which curves may have fallen.
    """

    config: ExactConfig
    scale: float
    last: float
    level: float

    def half_at(self, parameters: Parameters, search: list[Tensor]) -> Tensor:
        """Ln D½ at parameters on their scale of search."""
        return Quantity("half_integrity_dose").evaluate(parameters, search)

    def integrity_at(self, parameters: Parameters, search: list[Tensor]) -> Tensor:
        """The integrity at the last dose there."""
        now = Quantity("integrity", normalised_dose=(self.last / self.scale,))
        return now.evaluate(parameters, search)

    def half(self, nodes: Nodes) -> Tensor:
        """Ln D½ at nodes."""
        return self.half_at(nodes.parameters, list(nodes.search))

    def integrity(self, nodes: Nodes) -> Tensor:
        """The integrity at the last dose at nodes."""
        return self.integrity_at(nodes.parameters, list(nodes.search))

    def estimate(
        self, ends: Tensor, variance: Tensor, integrity: Tensor, below: Tensor
    ) -> LiveEstimate:
        """What is said: with the error of the doses, and in their unit.

        Parameters
        ----------
        ends
            Lower end, median and upper end of ln D½, ``(3, n)``.
        variance, integrity, below
            Of ln D½, its mean now, and the probability that it is below the level, ``(n,)``.
        """
        error = self.config.dose_error
        lower, middle, upper = (ends.exp() * self.scale).numpy()
        lower, upper = error.widened(lower[:, None], upper[:, None], middle[:, None], LEVEL)
        spread = (variance + error.scale**2).sqrt()
        return LiveEstimate(
            middle, lower[:, 0], upper[:, 0], spread.numpy(), integrity.numpy(), below.numpy()
        )
