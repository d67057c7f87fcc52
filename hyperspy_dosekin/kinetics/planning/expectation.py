# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is expected of a specimen before the experiment, as draws of curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, Prior
from hyperspy_dosekin.kinetics.laws.solution import curve, dose_at_level
from hyperspy_dosekin.kinetics.model.parameters import Parameters, assumed_before, known_before

#: What a plan can be made for, with the integrity whose dose it is.
GOALS: Mapping[str, float | None] = {
    "half_integrity_dose": 0.5,
    "critical_dose": math.exp(-1.0),
    "rate": None,
}
# Step of numerical derivatives on the scale of estimation, as a share of the box.
_STEP = 1e-4


@dataclass(frozen=True, eq=False)
class Expectation:
    """Curves that may turn up in the experiment, each of the same weight.

    Parameters
    ----------
    law
        The kinetic law.
    values
        Its parameters, ``(n_parameter, n_draw)``; a rate is per `scale`.
    scale
        Dose that counts as 1, ``(n_draw,)``: the parameters of a law that knows doses of its own,
        such as a delay, move with it.
    prior
        What the fit of the data will assume.
    """

    law: KineticLaw
    values: np.ndarray
    scale: np.ndarray
    prior: Prior | None = DEFAULT_PRIOR

    @property
    def n_draw(self) -> int:
        """Number of curves."""
        return self.scale.size

    @property
    def parameters(self) -> Parameters:
        """The law with its priors."""
        return Parameters(self.law, self.prior)

    def integrity(self, dose: np.ndarray) -> np.ndarray:
        """C of each curve at doses ``(n_dose,)``, ``(n_draw, n_dose)``."""
        return self._curves(dose, self.values)

    def dose_at(self, level: float) -> np.ndarray:
        """Dose at which each curve falls to a level, ``(n_draw,)``."""
        found = dose_at_level(self.law, torch.as_tensor(self.values), level)
        return found.numpy() * self.scale

    def columns(self, dose: np.ndarray, *, offset_known: bool) -> np.ndarray:
        """Design of the readout a·C + b by a, b and the parameters, ``(n_draw, n_dose, n)``.

        In units of the amplitude; parameters on their scale of estimation, last.
        """
        integrity = self.integrity(dose)
        columns = [integrity] if offset_known else [integrity, np.ones_like(integrity)]
        for higher, lower, step in self._neighbours():
            columns.append((self._curves(dose, higher) - self._curves(dose, lower)) / step[:, None])
        return np.stack(columns, axis=-1)

    def slopes(self, goal: str) -> np.ndarray:
        """Derivatives of the logarithm of a goal by the parameters, ``(n_draw, n_parameter)``.

        Raises
        ------
        ValueError
            If the goal is never reached by curves that are expected.
        """

        def log_goal(values: np.ndarray) -> np.ndarray:
            level = GOALS[goal]
            if level is None:
                return np.log(values[self._place("rate")])
            return dose_at_level(self.law, torch.as_tensor(values), level).log().numpy()

        columns = []
        for up, down, step in self._neighbours():
            ends = log_goal(up), log_goal(down)
            if not np.isfinite(ends).all():
                share = np.mean(~np.isfinite(ends).all(axis=0))
                raise ValueError(
                    f"goal={goal!r} is never reached by {share:.0%} of the curves that are "
                    f"expected of the law {self.law.name!r}; choose another goal= of "
                    f"{tuple(GOALS)}, or another law."
                )
            columns.append((ends[0] - ends[1]) / step)
        return np.stack(columns, axis=-1)

    def precision(self) -> np.ndarray:
        """Precision of the parameters before the data, ``(n_parameter,)``."""
        widths = []
        for parameter in self.law.parameters:
            known = known_before(parameter, self.prior)
            low, high = parameter.free_box
            widths.append((high - low) / math.sqrt(12) if known is None else known[1])
        return np.asarray(widths) ** -2.0

    def _place(self, name: str) -> int:
        return [parameter.name for parameter in self.law.parameters].index(name)

    def _neighbours(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each parameter, the values a little above and below, and their distance."""
        found = []
        for place, parameter in enumerate(self.law.parameters):
            low, high = parameter.free_box
            free = parameter.to_free(torch.as_tensor(self.values[place]))
            ends = []
            for sign in (1, -1):
                moved = self.values.copy()
                moved[place] = parameter.from_free(free + sign * _STEP * (high - low)).numpy()
                ends.append(moved)
            found.append((*ends, np.full(self.n_draw, 2 * _STEP * (high - low))))
        return found

    def _curves(self, dose: np.ndarray, values: np.ndarray) -> np.ndarray:
        law = self.law
        pairs = zip(law.parameters, torch.as_tensor(values), strict=True)
        search = [parameter.to_search(row) for parameter, row in pairs]
        phi = torch.as_tensor(dose)[None] / torch.as_tensor(self.scale)[:, None]
        with torch.no_grad():
            if law.has_exact_solution:
                return curve(law, phi, [row[:, None] for row in search])[0].numpy()
            rows = [
                curve(law, phi[place][:, None], [row[place : place + 1] for row in search])[0][:, 0]
                for place in range(self.n_draw)
            ]
        return torch.stack(rows).numpy()


def expected_curves(
    law: KineticLaw,
    half_dose: tuple[ArrayLike, ArrayLike],
    parameters: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    *,
    prior: Prior | None = DEFAULT_PRIOR,
    n_draw: int = 96,
    seed: int = 1,
) -> Expectation:
    """Draw curves of which the half-integrity dose is roughly known.

    Parameters
    ----------
    half_dose
        Median of D½, in the unit of the doses, and standard deviation of ln D½; numbers, or arrays
        of what has been found on many specimens or pixels, all of the same length.
    parameters
        Mean and standard deviation of parameters of which more is known than the prior of the fit
        says, as `half_dose`; not of the rate, which follows from D½.
    prior
        Priors of the fit.
    n_draw
        Number of curves.
    seed
        Of the quasi-random draws.

    Raises
    ------
    ValueError
        If the law has no rate, a parameter is unknown, or no curve ever falls to one half.
    """
    from scipy import stats

    names = [parameter.name for parameter in law.parameters]
    known = dict(parameters or {})
    unknown = sorted(set(known) - set(names) | {"rate"} & set(known))
    if unknown:
        raise ValueError(
            f"{unknown} cannot be expected of the law {law.name!r}; give half_integrity_dose and "
            f"any of {[name for name in names if name != 'rate']}."
        )
    uniform = torch.quasirandom.SobolEngine(2 + len(names), scramble=True, seed=seed)
    # More draws than wanted: those that never fall to one half cannot be planned for.
    share = uniform.draw(4 * n_draw).double().numpy().clip(1e-9, 1 - 1e-9)

    def drawn(values: ArrayLike) -> np.ndarray:
        """One of the values for each draw, the same place in every array."""
        array = np.ravel(np.asarray(values, dtype=np.float64))
        return array[(share[:, -1] * array.size).astype(int)]

    log_half = np.log(drawn(half_dose[0])) + drawn(half_dose[1]) * stats.norm.ppf(share[:, 0])
    rows = []
    for place, parameter in enumerate(law.parameters):
        if parameter.name == "rate":
            rows.append(np.ones(len(share)))
            continue
        if parameter.name in known:
            mean, width = (drawn(values) for values in known[parameter.name])
            value = mean + width * stats.norm.ppf(share[:, 1 + place])
        else:
            free = assumed_before(parameter, prior).ppf(share[:, 1 + place])
            value = parameter.from_free(torch.as_tensor(free)).numpy()
        rows.append(value.clip(parameter.lower, parameter.upper))
    values = np.stack(rows)
    at_half = dose_at_level(law, torch.as_tensor(values), 0.5).numpy()
    usable = np.flatnonzero(np.isfinite(at_half))[:n_draw]
    if not usable.size:
        raise ValueError(
            f"no curve of the law {law.name!r} that is expected ever falls to one half; expect "
            "other values of its parameters."
        )
    with np.errstate(over="ignore"):
        scale = np.exp(log_half[usable]) / at_half[usable]
    if not np.isfinite(scale).all():
        raise ValueError(
            "half-integrity doses that are expected are beyond the largest number; expect smaller "
            "ones, or give doses in a larger unit."
        )
    return Expectation(law, values[:, usable], scale, prior)
