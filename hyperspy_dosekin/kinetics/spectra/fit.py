# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of a series of whole spectra: components, their rates, and their spectra."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.solution import check_law
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.parts import AT_BOUND
from hyperspy_dosekin.kinetics.posterior.ridge import rows_and_mass
from hyperspy_dosekin.kinetics.posterior.row_nodes import ridge_nodes
from hyperspy_dosekin.kinetics.posterior.sampling import sampled_nodes
from hyperspy_dosekin.kinetics.posterior.templates import Templates

from .bound import BoundedSpectra
from .mode import WithoutPriors, WithPriors, minimum, mode_of
from .number import LEVEL, ComponentTest, component_tests
from .problem import SpectraConfig, SpectraProblem
from .scan import LEAST_FACTOR, ComponentParameters, SpectraScan
from .whitening import WhitenedSpectra, sized, whitened

# Distance from the bound, in standard deviations of a channel, at which it is met.
_NEAR, _PIECE = 2.0, 256
# Rounds in which errors of frames are looked for.
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class SpectraFit:
    """Kinetics of a series of whole spectra; made by `fit_spectra`.

    Parameters
    ----------
    problem, config
        The data and the options.
    spectra
        The data in units of their noise.
    tests
        Of the number of components.
    n_component
        Number of components.
    scan
        The likelihood.
    search
        Free parameters of the estimate on their scale of search, component by component, the
        fastest first, ``(n_component · n_free, 1)``.
    """

    problem: SpectraProblem
    config: SpectraConfig
    spectra: WhitenedSpectra
    tests: tuple[ComponentTest, ...]
    n_component: int
    scan: SpectraScan
    search: Tensor

    @cached_property
    def parameters(self) -> ComponentParameters:
        """The law with its priors, once for each component."""
        return self.scan.parameters

    @cached_property
    def nodes(self) -> Nodes:
        """The weighed nodes of the posterior."""
        with torch.no_grad():
            # Rows and nodes are those of the rate and the shape of a single component.
            ordered = self.n_component == 1 and len(self.parameters.free) < 3
            if ordered:
                rows, _ = rows_and_mass(self.scan, self.search, Templates.of(self.scan))  # type: ignore[arg-type]
                found = [ridge_nodes(self.scan, rows)]  # type: ignore[arg-type]
            else:
                found = [sampled_nodes(self.scan, self.search)]  # type: ignore[arg-type]
            if self.scan.bound is not None:
                found += _at_bound(self.scan, *found[0])
            return Nodes.of_parts(
                np.zeros(1, dtype=int),
                self.parameters,  # type: ignore[arg-type]
                found,
                ordered=ordered,
                n_bound=len(found) - 1,
            )

    @property
    def frame_factors(self) -> np.ndarray:
        """What errors that all channels share have made of each frame, ``(n_frame,)``."""
        return self.scan.root_weight.numpy() * self.spectra.frame_sd

    @cached_property
    def effective(self) -> float:
        """Effective number of nodes."""
        return float(1 / (self.nodes.weight**2).sum())

    @cached_property
    def adequacy(self) -> float:
        """Probability that frames of the law would leave as much as these do.

        The likelihood at its maximum is compared with that of integrities of any form.
        """
        number, frames = self.n_component, self.spectra.n_frame
        first = int(self.config.residue)
        count = len(self.parameters.free)
        freedom = number * (frames - first - number) - count
        if freedom < 1:
            return float("nan")
        with torch.no_grad():
            flat = WithoutPriors(self.scan)
            found = minimum(flat, self.search, self.parameters)[1]
            free = self.scan.deviance(_any_form(self.scan, number)[None])
        return float(stats.chi2.sf(float(found[0] - free[0]), freedom))


def fit_spectra(problem: SpectraProblem, config: SpectraConfig | None = None) -> SpectraFit:
    """Fit the kinetics of whole spectra.

    Parameters
    ----------
    config
        Options.

    Raises
    ------
    ValueError
        If the law cannot be fitted, nothing in the spectra changes with dose, or there are too few
        frames for so many components.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> dose, energy = np.linspace(100, 900, 9), np.linspace(-3, 3, 300)
    >>> decay = np.exp(-3 * dose / 900)[:, None]
    >>> values = 1 + decay * np.exp(-energy**2) + 0.02 * random.normal(size=(9, 300))
    >>> found = fit_spectra(SpectraProblem(dose, values))
    >>> found.n_component, bool(abs(found.search[0].exp() / 3 - 1) < 0.1)
    (1, True)
    """
    config = config or SpectraConfig()
    assert isinstance(config.law, KineticLaw)
    dose = torch.as_tensor(problem.dose / problem.scale)
    check_law(config.law, dose)
    spectra = whitened(problem.values, problem.variance, known=config.noise == "absolute")
    varied = problem.frame_errors is not None
    tests = component_tests(spectra, offset_free=config.residue, frames_vary=varied)
    number = config.n_component or sum(test.p <= LEVEL for test in tests)
    if number == 0:
        raise ValueError(
            "nothing in these spectra changes with dose beyond their noise "
            f"(p = {tests[0].p:.2g}), so that there are no kinetics to fit; choose another "
            "energy_range, or pass n_components=1 to fit all the same."
        )
    first = int(config.residue)
    most = len(np.unique(problem.dose)) - first - 1
    if number > most:
        raise ValueError(
            f"{number} components do not fit {most + first + 1} frames of different dose; take "
            f"n_components={most} or fewer."
        )
    spectra = sized(spectra, number + first)
    scan = spectra_scan(problem, config, spectra, number)
    with torch.no_grad():
        search = mode_of(scan)
        for _ in range(0 if scan.errors is None else _ROUNDS):
            scan = scan.recentred(list(search))
            search = minimum(WithPriors(scan), search, scan.parameters)[0]
    return SpectraFit(problem, config, spectra, tests, number, scan, search)


def spectra_scan(
    problem: SpectraProblem,
    config: SpectraConfig,
    spectra: WhitenedSpectra,
    number: int,
    centre: Tensor | None = None,
) -> SpectraScan:
    """The likelihood of a series.

    Parameters
    ----------
    problem, config, spectra
        The series, the options, and the series in units of its noise.
    number
        Components.
    centre
        Best errors of frames, if they are known already.
    """
    values = torch.as_tensor(spectra.values)
    worth, bound, errors = 1 / spectra.inflation[0], None, None
    if config.nonnegative:
        soft = np.broadcast_to(problem.zero_error, spectra.channel_sd.shape) / spectra.channel_sd
        bound = BoundedSpectra(values, spectra.inflation[0], torch.as_tensor(soft))
    root = torch.as_tensor(1 / spectra.frame_sd)
    if problem.frame_errors is not None:
        errors = torch.as_tensor(np.ascontiguousarray(problem.frame_errors.T))
        centre = torch.zeros(errors.shape[1]).to(errors) if centre is None else centre
        root = root * (1 + errors @ centre).clamp(min=LEAST_FACTOR)
    return SpectraScan(
        ComponentParameters(config.parameters, number),
        torch.as_tensor(problem.dose / problem.scale),
        root,
        values @ values.T / spectra.n_channel,
        spectra.n_channel * worth,
        config.residue,
        bound,
        errors,
        centre,
    )


def _at_bound(
    scan: SpectraScan, search: list[Tensor], weight: Tensor
) -> list[tuple[list[Tensor], Tensor]]:
    """The part of the posterior in which some channel is at the bound, if there is any.

    A small part of the prior is that the bound is met, as for windows: the interval then holds that
    end where the data do not speak against it. Central intervals would leave it out, though it is
    where the truth lies when nothing of a channel is left.
    """
    assert scan.bound is not None
    rows = [row.reshape(-1) for row in torch.broadcast_tensors(*search)]
    density = scan.log_density(rows)[0]
    pieces = zip(*(row.split(_PIECE) for row in rows), strict=True)
    scores = torch.cat([scan.bound.scores(scan.columns(piece)[0]) for piece in pieces])
    near = scores.abs() < _NEAR
    if not bool(near.any()):
        return []
    near_weight = torch.where(near.reshape(weight.shape), weight, -torch.inf)
    odds = float(density[near].amax() - density.amax()) + math.log(AT_BOUND / (1 - AT_BOUND))
    shift = torch.logsumexp(weight.reshape(-1), 0) - torch.logsumexp(near_weight.reshape(-1), 0)
    return [(search, near_weight + shift + odds)]


def _any_form(scan: SpectraScan, number: int) -> Tensor:
    """The best columns of any form, ``(n_frame, n_column)``."""
    moment = scan.moment
    if not scan.offset_free:
        return torch.linalg.eigh(moment)[1][:, -number:]
    constant = scan.root_weight / torch.linalg.vector_norm(scan.root_weight)
    free = torch.eye(constant.numel()).to(moment) - torch.outer(constant, constant)
    vectors = torch.linalg.eigh(free @ moment @ free)[1][:, -number:]
    return torch.cat([scan.root_weight[:, None], vectors], 1)
