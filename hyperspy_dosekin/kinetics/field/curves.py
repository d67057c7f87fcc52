# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves of many pixels in common units, so that amplitudes and noise can be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves, prepare_curves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.solution import curve
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters

# Share of the box that is kept free at its ends, where derivatives are one-sided.
_MARGIN = 1e-4


@dataclass(frozen=True)
class CommonScale:
    """The units that all pixels of a window have in common.

    Parameters
    ----------
    centre, unit
        Values are ``(y − centre)/unit``; the centre is 0 where offsets are known.
    variance
        Noise variance that counts as weight 1, in squares of the unit of the data.
    zero_error
        Standard deviation of the zero of the intensities, in the unit of the data.
    nonnegative
        Whether intensities cannot be negative.
    frame_noise
        Noise variance of the frames over that of weight 1, where none is given; empty for equal.
    """

    centre: float
    unit: float
    variance: float
    zero_error: float = 0.0
    nonnegative: bool = False
    frame_noise: tuple[float, ...] = ()

    @classmethod
    def of(cls, problem: DoseProblem, config: ExactConfig) -> CommonScale:
        """The units of a problem of one window.

        Parameters
        ----------
        problem
            The curves, of one window.
        config
            Options, with known offsets.
        """
        values = np.where(problem.usable, problem.values, np.nan)[:, 0]
        values = values[np.isfinite(values).any(axis=-1)]
        if not values.size:
            return cls(0.0, 1.0, 1.0)
        swing = np.nanmax(values, axis=-1) - np.nanmin(values, axis=-1)
        unit = float(np.median(swing))
        unit = unit if unit > 0 else float(np.abs(values[np.isfinite(values)]).max()) or 1.0
        variance = unit**2
        if problem.variance is not None:
            given = problem.variance[problem.usable]
            given = given[given > 0]
            variance = float(np.median(given)) if given.size else variance
        centre = 0.0 if config.offset is not None else float(np.nanmedian(values))
        error = 0.0 if config.zero_error is None else float(np.max(np.asarray(config.zero_error)))
        bounded = config.bounded(_prepared(problem, config))
        nonnegative = bounded is not None and bool(bounded[problem.usable.any(axis=-1)].all())
        return cls(centre, unit, variance, error, nonnegative)


def _prepared(problem: DoseProblem, config: ExactConfig) -> PreparedCurves:
    names = [parameter.name for parameter in config.parameters.free]
    return prepare_curves(problem, offset=config.offset, parameters=names)


@dataclass(frozen=True, eq=False)
class SharedCurves:
    """Curves of one window and many pixels.

    Parameters
    ----------
    parameters
        The law with its priors.
    scale
        Their units.
    dose
        Normalised doses, ``(n_dose,)``.
    values
        ``(n_dose, n)``, 0 where missing.
    weight
        Weights of the values, around 1, 0 where missing, ``(n_dose, n)``.
    offset
        Known offsets in the unit of the data, ``(n,)``, or ``None``.
    nonnegative
        Whether intensities cannot be negative.
    alive
        Places of these pixels among those of the problem; the others cannot be fitted.
    """

    parameters: Parameters
    scale: CommonScale
    dose: Tensor
    values: Tensor
    weight: Tensor
    offset: np.ndarray | None
    nonnegative: bool
    alive: np.ndarray

    @classmethod
    def of(
        cls, problem: DoseProblem, config: ExactConfig, scale: CommonScale | None = None
    ) -> SharedCurves:
        """The curves of a problem of one window.

        Parameters
        ----------
        problem
            The curves, of one window.
        config
            Options, with known offsets.
        scale
            Units; those of the problem itself if not given.
        """
        parameters = config.parameters
        prepared = _prepared(problem, config)
        alive = np.flatnonzero(~prepared.dead[:, 0])
        scale = CommonScale.of(problem, config) if scale is None else scale
        usable = problem.usable[alive, 0]
        values = problem.values[alive, 0]
        offset = None
        if config.offset is not None:
            shape = problem.values.shape[:2]
            offset = np.broadcast_to(np.asarray(config.offset, float), shape)[alive, 0]
            values = values - offset[:, None]
        weight = usable.astype(np.float64)
        if scale.frame_noise:
            weight /= np.array(scale.frame_noise)
        if problem.variance is not None:
            variance = problem.variance[alive, 0]
            positive = np.where(usable & (variance > 0), variance, np.inf).min(-1, keepdims=True)
            # A count of 0 has a variance of 0, which would be an infinite weight.
            weight = np.where(usable, scale.variance / np.maximum(variance, positive), 0.0)
        values = np.where(usable, (values - scale.centre) / scale.unit, 0.0)
        return cls(
            parameters,
            scale,
            torch.as_tensor(prepared.normalised_dose),
            torch.as_tensor(np.ascontiguousarray(values.T)),
            torch.as_tensor(np.ascontiguousarray(weight.T)),
            offset,
            scale.nonnegative and offset is None,
            alive,
        )

    def select(self, index: np.ndarray | Tensor) -> SharedCurves:
        """Some of the pixels, by their places among these."""
        place = torch.as_tensor(index)
        offset = None if self.offset is None else self.offset[place.numpy()]
        return SharedCurves(
            self.parameters,
            self.scale,
            self.dose,
            self.values[:, place],
            self.weight[:, place],
            offset,
            self.nonnegative,
            self.alive[place.numpy()],
        )

    def with_frame_noise(self, noise: np.ndarray) -> SharedCurves:
        """The same with other noise variances of the frames ``(n_dose,)`` than equal ones."""
        scale = replace(self.scale, frame_noise=tuple(float(each) for each in noise))
        usable = (self.weight > 0).to(self.weight)
        return replace(self, scale=scale, weight=usable / torch.as_tensor(noise)[:, None])

    @cached_property
    def weighed(self) -> Tensor:
        """The values times their weights, ``(n_dose, n)``."""
        return self.weight * self.values

    @cached_property
    def sums(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weighed sums of 1, y and y², and the number of usable frames, ``(n,)`` each."""
        return (
            self.weight.sum(0),
            self.weighed.sum(0),
            (self.weighed * self.values).sum(0),
            (self.weight > 0).sum(0).to(self.values),
        )

    @property
    def number(self) -> int:
        """Number of pixels."""
        return self.values.shape[1]

    @property
    def n_parameter(self) -> int:
        """Number of free parameters of the law."""
        return len(self.parameters.free)

    @property
    def box(self) -> tuple[Tensor, Tensor]:
        """Ends of the parameters on their scale of estimation, ``(n_parameter,)`` each."""
        return _box(self.parameters, self.dose.dtype, self.dose.device)

    def inside(self, free: Tensor) -> Tensor:
        """The nearest parameters ``(n_parameter, …)`` within the box of the law."""
        return inside(self.parameters, free)

    def search(self, free: Tensor) -> list[Tensor]:
        """Parameters on their scale of search, from those on the scale of estimation."""
        return search(self.parameters, free)

    def integrity(self, free: Tensor, dose: Tensor | None = None) -> Tensor:
        """C at the doses, ``(n_dose, …)``, for parameters ``(n_parameter, …)``."""
        dose = self.dose if dose is None else dose
        at = dose.reshape(-1, *[1] * (free.ndim - 1))
        return curve(self.parameters.law, at, self.parameters.complete(self.search(free)))[0]

    def with_slopes(self, free: Tensor) -> tuple[Tensor, list[Tensor]]:
        """C and its derivatives by the parameters on their scale of estimation."""
        return curve_with_slopes(self.parameters, self.dose, free)


def inside(parameters: Parameters, free: Tensor) -> Tensor:
    """The nearest parameters ``(n_parameter, …)`` within the box of a law, but for a margin."""
    lower, upper = (
        end.reshape(-1, *[1] * (free.ndim - 1)) for end in _box(parameters, free.dtype, free.device)
    )
    return torch.maximum(torch.minimum(free, upper), lower)


# The search for modes asks for it at every step.
@lru_cache(maxsize=32)
def _box(parameters: Parameters, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    ends = [parameter.free_box for parameter in parameters.free]
    lower, upper = torch.tensor(ends, dtype=dtype, device=device).T
    margin = _MARGIN * (upper - lower)
    return lower + margin, upper - margin


def search(parameters: Parameters, free: Tensor) -> list[Tensor]:
    """Parameters on their scale of search, from those on the scale of estimation."""
    return [p.to_search(p.from_free(row)) for p, row in zip(parameters.free, free, strict=True)]


def curve_with_slopes(
    parameters: Parameters, dose: Tensor, free: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """C at doses ``(n_dose,)`` and its derivatives by parameters ``(n_parameter, …)``."""
    at = dose.reshape(-1, *[1] * (free.ndim - 1))
    flags = parameters.is_free
    given = parameters.complete(search(parameters, free))
    found, slopes = curve(parameters.law, at, given, slopes=flags)
    columns = []
    wanted = [slope for slope, free_one in zip(slopes, flags, strict=True) if free_one]
    for parameter, row, slope in zip(parameters.free, free, wanted, strict=True):
        assert slope is not None
        columns.append(-slope if parameter.direct else -slope / row)
    return found, columns
