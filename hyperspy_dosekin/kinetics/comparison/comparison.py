# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several laws for the same curves: what each says, how likely it is, and their average.

Laws are compared by their evidence, the probability of the data under a law and its priors, which
takes into account how many shapes a law could have had. What is left to say of D½ is the mixture
of what the laws say, weighed by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.adequacy.examination import TESTS, FittedCurves, examine
from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves, prepare_curves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.prior import Prior

from .nodes import WeighedNodes, law_nodes

#: Equally likely values that stand for a posterior.
N_VALUES = 101
#: Laws whose ln evidence is within this of the best are not ruled out.
SURVIVING = 3.0
#: Surviving laws that differ by more than this in ln D½ do not say the same.
AGREEING = 0.2
#: What a block says of each law.
LAW_FIELDS = (
    "log_evidence",
    "log_predictive",
    "smallest_p",
    *(f"log_half_dose {i}" for i in range(N_VALUES)),
    *(f"log_half_change {i}" for i in range(N_VALUES)),
)
_NODES = 303
#: Doses at which a level is looked for, evenly in ln φ; 1, the largest measured one, is among them.
_DOSES = np.exp(np.linspace(np.log(1e-4), -np.log(1e-4), 257))


def compare_block(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    *,
    dose_e_per_a2: np.ndarray,
    window_names: Sequence[str],
    laws: Sequence[KineticLaw],
    prior: Prior,
    absolute_variance: bool = False,
) -> np.ndarray:
    """Compare laws on a block of curves.

    Parameters
    ----------
    values, variance, offset, dose_e_per_a2, window_names
        As for `block.fit_block`.
    laws
        The laws.
    prior
        Priors of ``rate`` and ``exponent``.
    absolute_variance
        Whether a variance is the noise, or only says how frames weigh against each other.

    Returns
    -------
    numpy.ndarray
        Shape ``(…, n_law, len(LAW_FIELDS), n_window)``, float64, doses normalised; NaN where there
        is no estimate.
    """
    lead, n_window = values.shape[:-2], values.shape[-2]
    flat = (-1, *values.shape[-2:])
    problem = DoseProblem(
        dose_e_per_a2,
        values.reshape(flat),
        tuple(window_names),
        None if variance is None else np.broadcast_to(variance, values.shape).reshape(flat),
    )
    known = None
    if offset is not None:
        known = np.broadcast_to(offset, values.shape[:-1]).reshape(-1, n_window)
    n_curve = problem.values.shape[0]
    found = np.full((n_curve, len(laws), len(LAW_FIELDS), n_window), np.nan)
    for place, law in enumerate(laws):
        curves = prepare_curves(
            problem,
            offset=known,
            parameters=[parameter.name for parameter in law.parameters],
            absolute_variance=absolute_variance,
        )
        found[:, place] = _of_law(problem, curves, law, prior, known)
    return found.reshape(*lead, len(laws), len(LAW_FIELDS), n_window)


def _of_law(
    problem: DoseProblem,
    curves: PreparedCurves,
    law: KineticLaw,
    prior: Prior,
    known: np.ndarray | None,
) -> np.ndarray:
    """Fields of a law, ``(n_curve, n_field, n_window)``."""
    shape = curves.dead.shape
    fields = np.full((len(LAW_FIELDS), curves.dead.size), np.nan)
    best = np.full((len(law.parameters), curves.dead.size), np.nan)
    for nodes in law_nodes(curves, law, prior):
        fields[0, nodes.index] = nodes.log_evidence.numpy()
        fields[1, nodes.index] = nodes.log_predictive.numpy()
        half, change = log_doses(law, nodes)
        fields[3 : 3 + N_VALUES, nodes.index] = half.T.numpy()
        fields[3 + N_VALUES :, nodes.index] = change.T.numpy()
        best[:, nodes.index] = nodes.best.numpy()
    names = [parameter.name for parameter in law.parameters]
    parameters = dict(zip(names, best.reshape(-1, *shape), strict=True))
    amplitude, offset = _readout(problem, curves.dead, law, parameters, known)
    fit = FittedCurves(problem, law, parameters, amplitude, offset, offset_free=known is None)
    p_value = np.stack([examine(fit).p_value[name] for name in TESTS])
    tested = np.isfinite(p_value)
    smallest = np.where(tested, p_value, np.inf).min(axis=0)
    fields[2] = np.where(np.isfinite(smallest), smallest, np.nan).reshape(-1)
    return np.moveaxis(fields.reshape(-1, *shape), 0, 1)


def _readout(
    problem: DoseProblem,
    dead: np.ndarray,
    law: KineticLaw,
    parameters: dict[str, np.ndarray],
    known: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Best a and b at given parameters, NaN where dead."""
    alive = ~dead
    at = {name: torch.as_tensor(value[alive]) for name, value in parameters.items()}
    with torch.no_grad():
        integrity = law.solution(torch.as_tensor(problem.normalised_dose), at).numpy()
    weight = problem.usable[alive].astype(np.float64)
    if problem.variance is not None:
        spread = problem.variance[alive]
        weight = np.where((weight > 0) & (spread > 0), 1 / np.where(spread > 0, spread, 1), 0.0)
    values = np.where(weight > 0, problem.values[alive], 0.0)
    total = np.maximum(weight.sum(axis=-1), 1e-300)
    if known is None:
        middle = (weight * integrity).sum(axis=-1) / total
        mean = (weight * values).sum(axis=-1) / total
    else:
        middle, mean = np.zeros(len(values)), known[alive]
    column = integrity - middle[:, None]
    norm = np.maximum((weight * column**2).sum(axis=-1), 1e-300)
    slope = (weight * column * (values - mean[:, None])).sum(axis=-1) / norm
    amplitude, offset = np.full(dead.shape, np.nan), np.full(dead.shape, np.nan)
    amplitude[alive], offset[alive] = slope, mean - slope * middle
    return amplitude, offset


def log_doses(law: KineticLaw, nodes: WeighedNodes) -> tuple[Tensor, Tensor]:
    """Equally likely values of ln D½ and of the ln of the half-change dose, ``(n, N_VALUES)``.

    The half-change dose is that at which half of the change within the measured range is done,
    C = (1 + C(1))/2: between measured frames, so that it hardly depends on the law.
    """
    cumulated = nodes.weight.cumsum(1)
    wanted = (torch.arange(_NODES, dtype=torch.float64) + 0.5) / _NODES
    wanted = (wanted * cumulated[:, -1:]).contiguous()
    place = torch.searchsorted(cumulated, wanted).clamp(max=nodes.weight.shape[1] - 1)
    values = nodes.values.gather(2, place.expand(nodes.values.shape[0], -1, -1))
    names = [parameter.name for parameter in law.parameters]
    doses = torch.as_tensor(_DOSES)
    with torch.no_grad():
        integrity = law.solution(doses, dict(zip(names, values.unbind(0), strict=True)))
    end = integrity[..., _DOSES.size // 2]
    half = _log_dose_at(integrity, torch.full_like(end, 0.5))
    change = _log_dose_at(integrity, 0.5 * (1 + end))
    chosen = ((torch.arange(N_VALUES) + 0.5) * (_NODES / N_VALUES)).long()
    return half.sort(dim=1)[0][:, chosen], change.sort(dim=1)[0][:, chosen]


def _log_dose_at(integrity: Tensor, level: Tensor) -> Tensor:
    """Ln φ at which trajectories ``(…, n_dose)`` first reach a level; infinite where never."""
    below = integrity <= level[..., None]
    place = below.to(torch.uint8).argmax(-1).clamp(min=1)
    high = integrity.gather(-1, place[..., None])[..., 0]
    low = integrity.gather(-1, place[..., None] - 1)[..., 0]
    log_dose = torch.as_tensor(np.log(_DOSES))
    share = ((low - level) / (low - high).clamp(min=1e-30)).clamp(0, 1)
    found = log_dose[place - 1] + share * (log_dose[place] - log_dose[place - 1])
    return torch.where(below.any(-1), found, torch.inf)


@dataclass(frozen=True, eq=False)
class ComparedLaws:
    """What several laws say of the same curves; see `LAW_FIELDS`.

    Parameters
    ----------
    fields
        ``(…, n_law, n_field, n_window)``, as of `compare_block`.
    """

    fields: np.ndarray

    def field(self, name: str) -> np.ndarray:
        """One of the fields of every law, ``(n_law, …, n_window)``."""
        return np.moveaxis(self.fields[..., LAW_FIELDS.index(name), :], -2, 0)

    @property
    def log_evidence(self) -> np.ndarray:
        """Ln evidence relative to the best law, ``(n_law, …, n_window)``."""
        found = self.field("log_evidence")
        return found - found.max(axis=0)

    @property
    def weights(self) -> np.ndarray:
        """Probability of each law if all were equally likely before, and one of them right."""
        weight = np.exp(self.log_evidence)
        return weight / weight.sum(axis=0)

    @property
    def survives(self) -> np.ndarray:
        """Whether a law is not ruled out."""
        return self.log_evidence > -SURVIVING

    @property
    def adequate(self) -> np.ndarray:
        """Whether a law describes the data, no p value of its residuals being below 0.01."""
        return self.field("smallest_p") >= 0.01

    def _values(self, name: str) -> np.ndarray:
        """Equally likely values, ``(n_law, …, n_window, N_VALUES)``."""
        first = LAW_FIELDS.index(f"{name} 0")
        values = self.fields[..., first : first + N_VALUES, :]
        return np.moveaxis(np.moveaxis(values, -3, 0), -2, -1)

    def of_laws(self, name: str, probability: float) -> np.ndarray:
        """Quantile of ``"log_half_dose"`` or ``"log_half_change"``, ``(n_law, …, n_window)``."""
        values = self._values(name)
        ones = np.full(values.shape, 1.0 / N_VALUES)
        return weighed_quantile(values, ones, probability)

    def average(self, name: str, probability: float) -> np.ndarray:
        """The same of the mixture of all laws, ``(…, n_window)``."""
        values = np.concatenate(list(self._values(name)), axis=-1)
        weight = np.repeat(np.moveaxis(self.weights, 0, -1), N_VALUES, axis=-1) / N_VALUES
        return weighed_quantile(values, weight, probability)

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
        low, middle, high = (self.average("log_half_dose", p) for p in (0.05, 0.5, 0.95))
        with np.errstate(invalid="ignore"):
            return np.asarray(np.maximum(high - middle, middle - low) <= AGREEING)


def weighed_quantile(values: np.ndarray, weight: np.ndarray, probability: float) -> np.ndarray:
    """Quantile along the last axis; values may be infinite, NaN where they are."""
    order = np.argsort(values, axis=-1)
    values = np.take_along_axis(values, order, axis=-1)
    weight = np.take_along_axis(weight, order, axis=-1)
    middle = weight.cumsum(axis=-1) - 0.5 * weight
    right = np.clip((middle < probability).sum(axis=-1), 1, values.shape[-1] - 1)[..., None]
    pick = [
        np.take_along_axis(a, right - shift, axis=-1)[..., 0]
        for a in (middle, values)
        for shift in (1, 0)
    ]
    below, above, low, high = pick
    share = np.clip((probability - below) / np.maximum(above - below, 1e-300), 0.0, 1.0)
    open_end = np.isinf(high)
    step = np.where(open_end, 0.0, np.where(open_end, 0.0, high) - np.where(np.isinf(low), 0, low))
    return np.where(open_end & (share > 0.5), high, low + share * step)
