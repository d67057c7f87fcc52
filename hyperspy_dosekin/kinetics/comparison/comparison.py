# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several laws for the same curves: what each says, how likely it is, and their average.

Laws are compared by their evidence, the probability of the data under a law and its priors, which
takes into account how many shapes a law could have had. What is left to say of D½ is the mixture
of what the laws say, weighed by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import special

from hyperspy_dosekin.kinetics.adequacy.examination import TESTS, examine, fitted_curves
from hyperspy_dosekin.kinetics.block import offset_of, problem_of
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.estimate.interval_data import interval_curves
from hyperspy_dosekin.kinetics.estimate.moved_frames import with_moved_frames
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.dose_error import EXACT, DoseError
from hyperspy_dosekin.kinetics.posterior.parts import bound_matters
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior

from .left_out import log_predictive
from .likely_doses import N_VALUES, likely_values, log_doses
from .quantiles import holding, weighed_quantile

#: Of those with the offset at its bound, which are a few of the others at most.
N_AT_BOUND = 41
#: Laws whose ln evidence is within this of the best are not ruled out.
SURVIVING = 3.0
#: A p value below this rules a law out where the residuals of another one are as they should be.
CONTRADICTED = 1e-3
#: Surviving laws that differ by more than this in ln D½ do not say the same.
AGREEING = 0.2
#: What a block says of each law; doses in the unit of the series.
LAW_FIELDS = (
    "log_evidence",
    "log_predictive",
    "smallest_p",
    *(f"log_half_dose {i}" for i in range(N_VALUES)),
    *(f"log_half_change {i}" for i in range(N_VALUES)),
    "bound_mass",
    *(f"log_half_dose at bound {i}" for i in range(N_AT_BOUND)),
    *(f"log_half_change at bound {i}" for i in range(N_AT_BOUND)),
)
_AT_BOUND = LAW_FIELDS.index("bound_mass")


def compare_block(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    *shared: np.ndarray,
    dose: np.ndarray,
    window_names: Sequence[str],
    laws: Sequence[KineticLaw],
    config: ExactConfig,
    dose_scale: float | None = None,
) -> np.ndarray:
    """Compare laws on a block of curves.

    Parameters
    ----------
    values, variance, offset, *shared, dose, window_names, dose_scale
        As for `block.fit_block`.
    laws
        The laws.
    config
        Options of the fits; its law and offset are replaced.

    Returns
    -------
    numpy.ndarray
        Shape ``(…, n_law, len(LAW_FIELDS), n_window)``, float64; NaN where there is no estimate.
    """
    lead, n_window = values.shape[:-2], values.shape[-2]
    problem = problem_of(values, variance, dose, window_names, dose_scale, shared)
    known = offset_of(offset, n_window)
    found = [_of_law(problem, replace(config, law=law, offset=known)) for law in laws]
    return np.stack(found, axis=1).reshape(*lead, len(laws), len(LAW_FIELDS), n_window)


def _of_law(problem: DoseProblem, config: ExactConfig) -> np.ndarray:
    """Fields of a law, ``(n_curve, n_field, n_window)``."""
    shape = problem.values.shape[:2]
    whole = problem
    problem, config = with_moved_frames(problem, config)
    fields = np.full((len(LAW_FIELDS), shape[0] * shape[1]), np.nan)
    fit = fit_exact(problem, config)
    curves = interval_curves(problem, config)
    scale = np.log(problem.scale)
    for nodes in kinetic_posterior(problem, config, fit=fit).nodes():
        # A device has done the work; what is left is little.
        likely = likely_values(nodes).cpu()
        half, change, integrity = log_doses(fit.law, likely, problem.normalised_dose)
        fields[0, nodes.index] = nodes.log_evidence.cpu().numpy()
        fields[1, nodes.index] = log_predictive(curves, nodes.index, integrity).numpy()
        fields[3 : 3 + N_VALUES, nodes.index] = half.numpy() + scale
        fields[3 + N_VALUES : 3 + 2 * N_VALUES, nodes.index] = change.numpy() + scale
        mass = nodes.bound_mass.cpu()
        some = bound_matters(mass)
        if len(some):
            likely = likely_values(nodes, N_AT_BOUND, nodes.n_bound).cpu()[:, :, some]
            half, change, _ = log_doses(fit.law, likely, problem.normalised_dose)
            own = torch.cat([mass[None, some], half + scale, change + scale])
            fields[_AT_BOUND:, nodes.index[some.numpy()]] = own.numpy()
    fitted = fitted_curves(whole, config, fit.parameters, fit.amplitude, fit.offset)
    found = examine(fitted).p_value
    p_value = np.stack([found[name] for name in TESTS])
    tested = np.isfinite(p_value)
    smallest = np.where(tested, p_value, np.inf).min(axis=0)
    fields[2] = np.where(np.isfinite(smallest), smallest, np.nan).reshape(-1)
    return np.moveaxis(fields.reshape(-1, *shape), 0, 1)


@dataclass(frozen=True, eq=False)
class ComparedLaws:
    """What several laws say of the same curves; see `LAW_FIELDS`.

    Parameters
    ----------
    fields
        ``(…, n_law, n_field, n_window)``, as of `compare_block`.
    dose_error
        How well the doses are known; the error of their scale is added to what is said of doses.
    """

    fields: np.ndarray
    dose_error: DoseError = EXACT

    def field(self, name: str) -> np.ndarray:
        """One of the fields of every law, ``(n_law, …, n_window)``."""
        return np.moveaxis(self.fields[..., LAW_FIELDS.index(name), :], -2, 0)

    @property
    def log_evidence(self) -> np.ndarray:
        """Ln evidence relative to the best law, ``(n_law, …, n_window)``."""
        found = self.field("log_evidence")
        possible = np.isfinite(found)
        highest = np.where(possible, found, -np.inf).max(axis=0)
        highest = np.where(possible.any(axis=0), highest, np.nan)
        # A law with too many coefficients for a curve says nothing of it, and spoils nothing.
        return np.where(possible, found, -np.inf) - highest

    @property
    def weights(self) -> np.ndarray:
        """Probability of each law if all were equally likely before, and one of them right.

        A law that does not describe the data weighs nothing where another one does.
        """
        weight = np.exp(self.log_evidence) * ~self._contradicted
        return weight / weight.sum(axis=0)

    @property
    def survives(self) -> np.ndarray:
        """Whether a law is not ruled out, by the evidence or by the tests of its residuals."""
        return (self.log_evidence > -SURVIVING) & ~self._contradicted

    @property
    def _contradicted(self) -> np.ndarray:
        """Laws that do not describe the data, where one near the best does."""
        likely = self.log_evidence > -SURVIVING
        # Several tests of several laws: one of them is below 0.01 by chance too often.
        contradicted = self.field("smallest_p") < CONTRADICTED
        return contradicted & (likely & self.adequate).any(axis=0)

    @property
    def adequate(self) -> np.ndarray:
        """Whether a law describes the data, no p value of its residuals being below 0.01."""
        return self.field("smallest_p") >= 0.01

    def _values(self, name: str, number: int) -> np.ndarray:
        """Equally likely values, ``(n_law, …, n_window, number)``."""
        first = LAW_FIELDS.index(f"{name} 0")
        values = self.fields[..., first : first + number, :]
        return np.moveaxis(np.moveaxis(values, -3, 0), -2, -1)

    def _of_any(self, name: str) -> np.ndarray:
        """The same of a quantity; of the likeliest law where a law has no estimate."""
        values = self._values(name, N_VALUES)
        place = np.maximum(self.best, 0)[np.newaxis, ..., np.newaxis]
        return np.where(np.isnan(values), np.take_along_axis(values, place, axis=0), values)

    def of_laws(self, name: str, probability: float) -> np.ndarray:
        """Quantile of ``"log_half_dose"`` or ``"log_half_change"``, ``(n_law, …, n_window)``.

        As the ends of intervals of fits, those of a law hold the ones with the offset at its bound,
        where the data do not speak against it; the truth would lie at the end of them else.
        """
        values = self._of_any(name)
        found = self._with_scale(values, np.ones(values.shape) / N_VALUES, probability)
        own, mass = self._values(f"{name} at bound", N_AT_BOUND), self.field("bound_mass")
        own = self._with_scale(own, np.ones(own.shape) / N_AT_BOUND, probability)
        return holding(found, own, np.nan_to_num(mass), probability)

    def average(self, name: str, probability: float) -> np.ndarray:
        """The same of the mixture of all laws, ``(…, n_window)``."""
        mass = self.weights * np.nan_to_num(self.field("bound_mass"))
        total = mass.sum(axis=0)
        own = self._values(f"{name} at bound", N_AT_BOUND)
        own = self._mixture(own, mass / np.maximum(total, 1e-300), probability)
        found = self._mixture(self._of_any(name), self.weights, probability)
        return holding(found, own, total, probability)

    def _mixture(self, values: np.ndarray, weights: np.ndarray, probability: float) -> np.ndarray:
        """Quantile of the values ``(n_law, …, n_value)`` of all laws, each with its weight."""
        number = values.shape[-1]
        values = np.concatenate(list(values), axis=-1)
        weight = np.repeat(np.moveaxis(weights, 0, -1), number, axis=-1) / number
        # What weighs nothing is no end of what does.
        most = np.where(weight > 0, values, -np.inf).max(axis=-1, keepdims=True)
        return self._with_scale(np.where(weight > 0, values, most), weight, probability)

    def _with_scale(self, values: np.ndarray, weight: np.ndarray, probability: float) -> np.ndarray:
        """Quantile of ln D with the error of the scale in quadrature about the median."""
        found = weighed_quantile(values, weight, probability)
        if not self.dose_error.scale:
            return found
        middle = weighed_quantile(values, weight, 0.5)
        reach = self.dose_error.scale * special.ndtri(probability)
        with np.errstate(invalid="ignore"):
            wide = middle + np.sign(reach) * np.hypot(found - middle, reach)
        return np.where(np.isfinite(wide), wide, found)

    @property
    def best(self) -> np.ndarray:
        """Place of the likeliest law, ``(…, n_window)``; −1 where there is no estimate."""
        found = self.field("log_evidence")
        known = np.isfinite(found).any(axis=0)
        return np.where(known, np.where(np.isfinite(found), found, -np.inf).argmax(axis=0), -1)

    @property
    def verdict(self) -> np.ndarray:
        """Place of the law that the data name, ``(…, n_window)``; −1 where they cannot tell.

        They cannot where laws survive that differ by more than 0.2 in ln D½, or agree only because
        neither determines it, and where the likeliest law does not describe the data.
        """
        half = np.where(self.survives, self.of_laws("log_half_dose", 0.5), np.nan)
        lowest = np.where(np.isnan(half), np.inf, half).min(axis=0)
        highest = np.where(np.isnan(half), -np.inf, half).max(axis=0)
        with np.errstate(invalid="ignore"):
            agree = (highest - lowest <= AGREEING) & self.identifiable
        agree |= self.survives.sum(axis=0) == 1
        best = self.best
        described = np.take_along_axis(self.adequate, np.maximum(best, 0)[None], axis=0)[0]
        return np.where(agree & described, best, -1)

    @property
    def described(self) -> np.ndarray:
        """Whether one of the surviving laws describes the data, ``(…, n_window)``."""
        return np.asarray((self.survives & self.adequate).any(axis=0))

    @property
    def identifiable(self) -> np.ndarray:
        """Whether 90 % of the mixture of ln D½ lies within 0.2 of its median."""
        values = self._of_any("log_half_dose")
        low, middle, high = (self._mixture(values, self.weights, p) for p in (0.05, 0.5, 0.95))
        with np.errstate(invalid="ignore"):
            return np.asarray(np.maximum(high - middle, middle - low) <= AGREEING)
