# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the exact estimator finds, and what follows from its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw


@dataclass(frozen=True, eq=False)
class ExactFit:
    """Estimates, each ``(n_curve, n_window)`` and NaN where no estimate is possible.

    Parameters
    ----------
    law
        The law.
    parameters
        Its parameters by name; rates are per normalised dose.
    amplitude, offset
        a and b of the readout, in the unit of the values; a < 0 where the window grows.
    residual_sigma
        Standard deviation of the noise from the residuals, unit of the values, with the
        coefficients that the data determine taken off the number of frames (a parameter held by
        its prior takes off less than one); NaN where no frame is left.
    noise_sigma
        The noise that weighs data against priors: the estimate is the exact minimum of
        Σ(y − aC − b)²/noise_sigma² + priors. Given variance, or √(S/ν) with ν the frames less the
        free coefficients of the readout.
    objective
        Deviance at the estimate (−2 ln posterior up to a constant); of the whole curve where
        windows are coupled.
    converged
        Whether the last step promised no improvement; ``False`` where dead.
    dead
        No estimate possible: too few usable doses, or constant.
    notes
        What the user should know of the computation, such as batches that did not fit a device.
    """

    law: KineticLaw
    parameters: Mapping[str, np.ndarray]
    amplitude: np.ndarray
    offset: np.ndarray
    residual_sigma: np.ndarray
    noise_sigma: np.ndarray
    objective: np.ndarray
    converged: np.ndarray
    dead: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def rate(self) -> np.ndarray:
        """K per normalised dose."""
        return self.parameters["rate"]

    @property
    def exponent(self) -> np.ndarray:
        """P of the power law and its relatives."""
        return self.parameters["exponent"]

    @property
    def values(self) -> np.ndarray:
        """The parameters in the order of the law, ``(n_parameter, n_curve, n_window)``."""
        return np.stack([self.parameters[parameter.name] for parameter in self.law.parameters])

    def select(self, chosen: Any) -> ExactFit:
        """Select some of the curves or windows, by anything that indexes their arrays."""
        arrays = {name: getattr(self, name)[chosen] for name in ARRAYS}
        parameters = {name: array[chosen] for name, array in self.parameters.items()}
        return replace(self, parameters=parameters, **arrays)

    def integrity(self, normalised_dose: ArrayLike) -> np.ndarray:
        """C on a dose grid, ``(n_curve, n_window, n_grid)``."""
        return law_integrity(*self.values, law=self.law, normalised_dose=normalised_dose)

    def dose_at(self, level: float) -> np.ndarray:
        """Normalised dose at which C falls to a level; infinite where it never does."""
        return law_dose(*self.values, law=self.law, level=level)

    def fitted(self, normalised_dose: ArrayLike) -> np.ndarray:
        """a·C + b on a dose grid, in the unit of the values."""
        integrity = self.integrity(normalised_dose)
        return self.amplitude[..., None] * integrity + self.offset[..., None]


#: Arrays of an `ExactFit` beside its parameters.
ARRAYS = (
    "amplitude",
    "offset",
    "residual_sigma",
    "noise_sigma",
    "objective",
    "converged",
    "dead",
)


def law_integrity(
    *parameters: np.ndarray, law: KineticLaw, normalised_dose: ArrayLike
) -> np.ndarray:
    """Integrity ``(…, n_dose)`` for parameters ``(…)`` in the order of the law; NaN where NaN."""
    import torch

    from hyperspy_dosekin.kinetics.laws.solution import trajectories

    values, good = _finite(parameters)
    doses = np.asarray(normalised_dose, dtype=np.float64)
    order = np.argsort(doses, kind="stable")
    integrity = np.full((*good.shape, doses.size), np.nan)
    found = trajectories(law, torch.as_tensor(doses[order]), torch.as_tensor(values)).numpy()
    integrity[good] = found[..., np.argsort(order)]
    return integrity


def law_dose(*parameters: np.ndarray, law: KineticLaw, level: float) -> np.ndarray:
    """Normalised dose ``(…)`` at which the integrity falls to a level; infinite where never."""
    import torch

    from hyperspy_dosekin.kinetics.laws.solution import dose_at_level

    values, good = _finite(parameters)
    dose = np.full(good.shape, np.nan)
    dose[good] = dose_at_level(law, torch.as_tensor(values), level).numpy()
    return dose


def _finite(parameters: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    values = np.stack(np.broadcast_arrays(*parameters)).astype(np.float64)
    good = np.asarray(np.isfinite(values).all(axis=0))
    return values[:, good], good
