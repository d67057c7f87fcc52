# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Posterior of the half-integrity dose of growing curves, fast enough for every frame.

The likelihood is that of `KineticPosterior`, over the bins of `DoseBins`, with the same prior and
the same bound on the offset; noise is white. Nodes lie on rows of the exponent. A first grid is the
same for all curves. Where there are few, two finer ones follow the ridge of each; of maps the first
one has to do, and what it is coarser by is added to the standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves, prepare_curves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.solution import streams
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.parts import parts_of, zero_errors
from hyperspy_dosekin.kinetics.posterior.posterior import holding_bound
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.kinetics.posterior.scan import ScanData

from .bins import BinnedCurves
from .nodes import finer, first_grid, searched, suit, weighed, with_decay
from .scan import BinnedScan

#: Probability of the intervals.
LEVEL = 0.95
# Curves that get finer grids.
_FEW = 64


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


def check_live_law(law: KineticLaw, parameters: Parameters) -> None:
    """Refuse laws that no posterior can be had of between two frames.

    Raises
    ------
    ValueError
        If the law has more than two free parameters, or is integrated numerically.
    """
    rate, *others = parameters.free
    if len(others) > 1 or not (streams(law) or law.scales) or not rate.logarithmic:
        raise ValueError(
            f"the law {law.name!r} has no posterior that is ready for the next frame: it must have "
            "one or two free parameters, the first of them the rate, and a closed form or "
            "scales=True. Watch with another law, and fit this one afterwards."
        )


@dataclass(frozen=True, eq=False)
class _Held:
    """Nodes of the last frame, which will do for some frames more.

    Parameters
    ----------
    scale
        The dose scale that the rates are per.
    alive
        The curves.
    grows, sigma
        As for `parts_of`.
    places
        Rows and rates of each part.
    """

    scale: float
    alive: np.ndarray
    grows: Tensor
    sigma: Tensor
    places: list[tuple[Tensor, Tensor]]


class LivePosterior:
    """Estimates of D½ of growing curves.

    Parameters
    ----------
    config
        Options; the offset is that of the next argument, and the noise is white.
    offset
        Known offset of each curve, or ``None``.
    dose_scale
        Dose that counts as 1; the last one if not given.
    level
        Integrity below which the curves may have fallen.
    weighted
        Whether weights are inverse variances, and not numbers of frames.

    Raises
    ------
    ValueError
        If the law is not fit for it.
    """

    def __init__(
        self,
        config: ExactConfig,
        *,
        offset: np.ndarray | None = None,
        dose_scale: float | None = None,
        level: float = 0.5,
        weighted: bool = True,
    ) -> None:
        assert isinstance(config.law, KineticLaw)
        check_live_law(config.law, config.parameters)
        self.config = replace(config, correlated=False, offset=None)
        self.offset, self.dose_scale = offset, dose_scale
        self.level, self.weighted = level, weighted
        self._held: _Held | None = None

    def estimate(
        self, curves: BinnedCurves, last_dose: float, index: np.ndarray | slice = slice(None)
    ) -> LiveEstimate:
        """Estimate D½.

        Parameters
        ----------
        curves
            The curves.
        last_dose
            Dose of the last frame.
        index
            Which of the curves these are.
        """
        config, parameters = self.config, self.config.parameters
        found = LiveEstimate.unknown(curves.values.shape[0])
        offset = None if self.offset is None else self.offset[index]
        needed = len(parameters.free) + 1 + (offset is None)
        usable = np.isfinite(curves.values).sum(-1)
        if curves.dose.size < needed or curves.dose[-1] <= 0:
            return found
        scale = last_dose if self.dose_scale is None else self.dose_scale
        prepared, inner = _prepared(curves, config, offset, scale, self.weighted)
        alive = np.flatnonzero(~prepared.dead.reshape(-1) & (usable >= needed))
        if not alive.size:
            return found
        noise = prepared.noise_model(config.noise)
        data = BinnedScan.of(prepared, alive, torch.device("cpu"), parameters, noise)
        assert isinstance(data, BinnedScan)
        freedom = data.freedom + torch.as_tensor(curves.freedom[alive], dtype=torch.float64)
        data = replace(data, inner=torch.as_tensor(inner[alive]), freedom=freedom)
        with torch.no_grad():
            nodes = self._again(data, prepared, alive, scale)
            if nodes is None:
                nodes = self._nodes(data, prepared, alive, scale)
            found.put(alive, _summary(nodes, data, config, scale, last_dose, self.level))
        return found

    def _parts(
        self,
        data: BinnedScan,
        prepared: PreparedCurves,
        alive: np.ndarray,
        grows: Tensor,
        sigma: Tensor,
    ) -> tuple[list[ScanData], int]:
        """Parts of the posterior, and how many of them have the offset at its bound."""
        zero = zero_errors(self.config, prepared.unit.shape, prepared.unit)
        zero = None if zero is None else torch.as_tensor(zero.reshape(-1)[alive])
        bounded = self.config.bounded(prepared)
        some = None
        if bounded is not None and bounded.reshape(-1)[alive].any():
            some = torch.as_tensor(bounded.reshape(-1)[alive])
        parts = parts_of(data, self.config, grows, sigma, zero, some)
        return parts, 0 if some is None else len(parts) // 2

    def _again(
        self, data: BinnedScan, prepared: PreparedCurves, alive: np.ndarray, scale: float
    ) -> Nodes | None:
        """The nodes of the last frame with new weights, where they still suit."""
        held = self._held
        if held is None or not np.array_equal(held.alive, alive):
            return None
        parts, n_bound = self._parts(data, prepared, alive, held.grows, held.sigma)
        if len(parts) != len(held.places):
            return None
        shift = float(np.log(scale / held.scale))
        places = [(rows, rates + shift) for rows, rates in held.places]
        found = []
        for part, (rows, rates) in zip(parts, places, strict=True):
            search = searched(data.parameters, rates, rows[:, None])
            density = with_decay(part, search).log_density(search)[0]
            found.append(weighed(data.parameters, rows, rates, density))
        nodes = Nodes.of_parts(alive, data.parameters, found, ordered=True, n_bound=n_bound)
        return nodes if suit(nodes, places, data.parameters) else None

    def _nodes(
        self, data: BinnedScan, prepared: PreparedCurves, alive: np.ndarray, scale: float
    ) -> Nodes:
        """Nodes placed anew."""
        parameters = data.parameters
        row, rate = first_grid(parameters)
        search = searched(parameters, rate[None, :, None], row[:, None, None])
        coarse = with_decay(data, search)
        sums = coarse.sums(search)
        least, best = sums.squares.reshape(-1, data.count).min(0)
        amplitude = sums.amplitude.reshape(-1, data.count).gather(0, best[None])[0]
        sigma = torch.ones_like(least)
        if data.noise != "given":
            sigma = (least / data.freedom.clamp(min=1)).sqrt().clamp(min=1e-12)
        parts, n_bound = self._parts(data, prepared, alive, amplitude < 0, sigma)
        few = data.count <= _FEW
        found, places = [], []
        for part in parts:
            rows, rates = row[:, None], rate[None, :, None].expand(row.numel(), -1, 1)
            assert isinstance(part, BinnedScan)
            density = replace(part, decay=coarse.decay).log_density(search)[0]
            for _ in range(2 * few):
                rows, rates = finer(parameters, rows, rates, density)
                at = searched(parameters, rates, rows[:, None])
                density = with_decay(part, at).log_density(at)[0]
            found.append(weighed(parameters, rows, rates, density))
            places.append((rows, rates))
        self._held = _Held(scale, alive, amplitude < 0, sigma, places) if few else None
        return Nodes.of_parts(alive, parameters, found, ordered=True, n_bound=n_bound)


def _prepared(
    curves: BinnedCurves,
    config: ExactConfig,
    offset: np.ndarray | None,
    scale: float,
    weighted: bool,
) -> tuple[PreparedCurves, np.ndarray]:
    """Bins as curves, and what is left within them, in the same unit."""
    weight = curves.weight
    with np.errstate(divide="ignore"):
        variance = np.where(weight > 0, 1 / weight, np.nan)
    problem = DoseProblem(curves.dose, curves.values[:, None], ("",), variance[:, None], scale)
    prepared = prepare_curves(
        problem,
        offset=None if offset is None else offset[:, None],
        parameters=[parameter.name for parameter in config.parameters.free],
        absolute_variance=weighted and config.noise != "relative",
    )
    # Weights have a mean of 1 there.
    number = prepared.n_usable.reshape(-1) / np.maximum(weight.sum(-1), 1e-300)
    return prepared, curves.squares * number / prepared.unit.reshape(-1) ** 2


def _summary(
    nodes: Nodes, data: BinnedScan, config: ExactConfig, scale: float, last: float, level: float
) -> LiveEstimate:
    parameters = data.parameters
    half = Quantity("half_integrity_dose")
    value = half.evaluate(parameters, nodes.search).expand(nodes.weight.shape)
    tail = (1 - LEVEL) / 2
    probabilities = value.new_tensor([tail, 0.5, 1 - tail])
    ends = nodes.quantiles(value, probabilities)
    if nodes.n_bound:
        ends = holding_bound(ends, value, nodes, probabilities)
    known = torch.where(torch.isfinite(value), value, 0.0)
    weight = torch.where(torch.isfinite(value), nodes.weight, 0.0)
    mass = weight.sum((0, 1, 2)).clamp(min=1e-300)
    mean = (weight * known).sum((0, 1, 2)) / mass
    variance = (weight * (known - mean) ** 2).sum((0, 1, 2)) / mass + config.dose_error.scale**2
    if data.count > _FEW:
        rate = nodes.search[0]
        variance = variance + float((rate[0, 0, 1] - rate[0, 0, 0]).amax()) ** 2 / 12
    now = Quantity("integrity", normalised_dose=(last / scale,))
    integrity = now.evaluate(parameters, nodes.search).expand(nodes.weight.shape)
    below = (nodes.weight * (integrity < level)).sum((0, 1, 2))
    lower, middle, upper = (ends.exp() * scale).numpy()
    error = config.dose_error
    lower, upper = (end[:, None] for end in (lower, upper))
    lower, upper = error.widened(lower, upper, middle[:, None], LEVEL)
    return LiveEstimate(
        middle,
        lower[:, 0],
        upper[:, 0],
        variance.sqrt().numpy(),
        (nodes.weight * integrity).sum((0, 1, 2)).numpy(),
        below.numpy(),
    )
