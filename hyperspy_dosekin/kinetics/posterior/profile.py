# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile likelihood intervals: what the data alone allow, without any prior.

Everything that fits nearly as well as the best is kept: the region of the parameters where the sum
of squares, with the readout projected out, stays below ``S_min·(1 + F/ν)``, F the quantile of
F(1, ν) and ν the frames less the estimated coefficients; with a given variance below
``S_min + χ²(1)``, and below the larger of the two where a given variance is the least. The interval
of a quantity is its range over that region, which is the hull of its profile likelihood interval.

F holds for straight models; this one is bent and has corners (extinction). The quantile is
therefore taken at ``1 − 0.8·(1 − level)``: so the worst rates and exponents that were tried keep
their nominal coverage. Shapes lie in the box of the law; k in a wider one, and an interval that
runs to its end is open: infinite (or zero), a one-sided limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.estimate.interval_data import interval_curves
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.numerics.batching import map_slices, send
from hyperspy_dosekin.numerics.device import resolve_device

from .quantities import DERIVED, Quantity, check_level
from .region import Region, allowed_region
from .scan import ScanData

_BLOCK, _DEVICE_BLOCK = 256, 2**15
# Share of the nominal error that is spent; see above.
_SPENT = 0.8


@dataclass(frozen=True, eq=False)
class KineticProfile:
    """Profile likelihood of every curve; made by `kinetic_profile`.

    Parameters
    ----------
    problem
        The data.
    config
        Options; priors, a shared exponent and the hierarchy are not used: every window stands by
        itself.
    fit
        The least-squares estimate.
    """

    problem: DoseProblem
    config: ExactConfig
    fit: ExactFit

    def intervals(
        self, quantities: Sequence[Quantity], level: float = 0.95
    ) -> dict[Quantity, tuple[np.ndarray, np.ndarray]]:
        """Intervals of any quantities, in one pass over the curves.

        Parameters
        ----------
        quantities
            What intervals are wanted of.
        level
            Their confidence.

        Returns
        -------
        (lower, upper) for each quantity, ``(n_curve, n_window)`` or ``(n_curve, n_window,
        n_dose)``; NaN where dead, 0 or ∞ where open. Without a degree of freedom for the noise
        everything is open.
        """
        check_level(level)
        curves = interval_curves(self.problem, self.config)
        device = resolve_device(self.config.device)
        shape = curves.dead.shape
        parameters = self.config.parameters
        free = parameters.free
        alive = np.flatnonzero(~(curves.dead | self.fit.dead))
        freedom = curves.freedom.ravel() - len(free)
        confidence = 1 - _SPENT * (1 - level)
        found = {q: np.full((2, curves.dead.size, q.n_value), np.nan) for q in quantities}

        def work(part: slice) -> None:
            index = alive[part]
            if not curves.variance_known:
                blind = index[freedom[index] < 1]
                for quantity in quantities:
                    found[quantity][0, blind] = 0.0
                    found[quantity][1, blind] = 1.0 if quantity.name == "integrity" else np.inf
                index = index[freedom[index] >= 1]
            if index.size == 0:
                return
            # Gradients are recorded or not by thread.
            with torch.no_grad():
                data = ScanData.of(curves, index, device, parameters)
                rows = [send(self.fit.parameters[p.name].ravel()[index], device) for p in free]
                best = torch.stack([p.to_search(row) for p, row in zip(free, rows, strict=True)])
                factor, rise = torch.ones_like(best[0]), torch.zeros_like(best[0])
                if curves.variance_known:
                    rise = rise + float(stats.chi2.ppf(confidence, 1))
                if not curves.variance_known or self.config.noise == "floor":
                    left = np.maximum(freedom[index], 1)
                    quantile = send(stats.f.ppf(confidence, 1, left) / left, device)
                    # A given noise is the least where that is what it is to be.
                    loud = quantile * data.sums(list(best)).squares > rise
                    factor = torch.where(loud, 1 + quantile, factor)
                    rise = torch.where(loud, 0.0, rise)
                limit = torch.stack([factor, rise])
                region = allowed_region(data, best, limit)
                for quantity in quantities:
                    for place in range(quantity.n_value):
                        ends = _range(quantity, parameters, region, place)
                        found[quantity][:, index, place] = ends.cpu().numpy()

        size = _BLOCK if device.type == "cpu" else _DEVICE_BLOCK
        map_slices(work, alive.size, size=size, device=device, what="profile")
        result = {}
        for quantity, ends in found.items():
            last = (quantity.n_value,) if quantity.name == "integrity" else ()
            result[quantity] = (ends[0].reshape(*shape, *last), ends[1].reshape(*shape, *last))
        return result

    def interval(
        self,
        name: str,
        level: float = 0.95,
        *,
        dose_level: float | None = None,
        normalised_dose: Sequence[float] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Interval of one quantity; see `Quantity` for the names.

        Parameters
        ----------
        name, dose_level, normalised_dose
            As for `Quantity`.
        level
            Its confidence.

        Returns
        -------
        (lower, upper), each ``(n_curve, n_window)`` or ``(n_curve, n_window, n_dose)``.
        """
        quantity = Quantity(name, dose_level, tuple(normalised_dose))
        return self.intervals([quantity], level)[quantity]


def _range(quantity: Quantity, parameters: Parameters, region: Region, place: int) -> Tensor:
    """Least and largest value over the region, ``(2, n)``."""
    value = quantity.evaluate(parameters, region.search, place).expand(region.inside.shape)
    lower = torch.where(region.inside, value, math.inf).amin(0)
    upper = torch.where(region.inside, value, -math.inf).amax(0)
    ends = quantity.finish(parameters, torch.stack([lower, upper]))
    first = parameters.free[0]
    if quantity.name == "integrity":
        if quantity.normalised_dose[place] == 0:
            return ends
        below, above, top = region.reaches_fast, region.reaches_slow, 1.0
    elif quantity.name == first.name:
        below, above, top = region.reaches_slow, region.reaches_fast, math.inf
    elif quantity.name in DERIVED:
        # A small rate is a large dose and an integrity of 1.
        below, above, top = region.reaches_fast, region.reaches_slow, math.inf
    else:
        chosen = [p for p in parameters.free if p.name == "exponent" == quantity.name]
        if not chosen:
            return ends
        below = ends[0] <= chosen[0].lower + 1e-6
        above = ends[1] >= chosen[0].upper - 1e-6
        top = math.inf
    return torch.stack([torch.where(below, 0.0, ends[0]), torch.where(above, top, ends[1])])


def kinetic_profile(
    problem: DoseProblem, config: ExactConfig | None = None, *, fit: ExactFit | None = None
) -> KineticProfile:
    """Profile likelihood of rate and exponent for every curve and window.

    Parameters
    ----------
    config
        Options, those of `fit_exact`; priors and couplings are left out.
    fit
        The least-squares estimate with these options (``prior=None``), if it is there already.

    Examples
    --------
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> noise = np.random.default_rng(0).normal(scale=0.01, size=9)
    >>> problem = DoseProblem(dose, (np.exp(-3 * dose / 900) + noise)[None, None], ("C–O",))
    >>> lower, upper = kinetic_profile(problem).interval("rate")
    >>> bool(lower[0, 0] < 3 < upper[0, 0])
    True
    """
    config = replace(config or ExactConfig(), prior=None, hierarchy=())
    if config.exponent == "shared":
        config = replace(config, exponent=None)
    if fit is None:
        fit = fit_exact(problem, config)
    return KineticProfile(problem, config, fit)
