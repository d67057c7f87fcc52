# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the physics adds: the same data fitted without it."""

from __future__ import annotations

import numpy as np
import torch

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.network.architecture import (
    fourier_features,
    initial_parameters,
    trainable,
    unbounded_output,
)
from hyperspy_dosekin.kinetics.network.fit import TRAINING_THREADS, make_target
from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
from hyperspy_dosekin.numerics.threads import torch_threads


def cubic_polynomial(problem: DoseProblem, dose: np.ndarray, degree: int = 3) -> np.ndarray:
    """A least-squares polynomial through the frames of each window.

    Parameters
    ----------
    problem
        The data, with one curve.
    dose
        Doses at which to evaluate it, ``(n_dose,)``.
    degree
        Degree of the polynomial.

    Returns
    -------
    numpy.ndarray
        Intensities, ``(n_window, n_dose)``.
    """
    curves = []
    for values, usable in zip(problem.values[0], problem.usable[0], strict=True):
        fitted = np.polynomial.Polynomial.fit(problem.dose[usable], values[usable], degree)
        curves.append(fitted(dose))
    return np.array(curves)


def unconstrained_network(
    network: NetworkFit, dose: np.ndarray, *, iterations: int = 200
) -> np.ndarray:
    """The same networks trained on the data alone.

    No rate law, no bounds, no order of windows, and no initial condition either: the output of the
    network is the intensity itself, without the head that holds C(0) = 1.

    Parameters
    ----------
    network
        The fit whose data, seeds and architecture are used.
    dose
        Doses at which to evaluate it, ``(n_dose,)``; beyond the measured ones the network itself
        is used, since there is no law to continue with.
    iterations
        Length of the training, by L-BFGS.

    Returns
    -------
    numpy.ndarray
        Intensities, mean over members, ``(n_window, n_dose)``.
    """
    problem, config = network.problem, network.config
    target = make_target(problem, network.score, config)
    with torch_threads(TRAINING_THREADS), torch.enable_grad():
        start = initial_parameters(config, len(problem.window_names), torch.float64)
        names = [name for name in trainable(start) if name.partition(".")[2]]
        parameters = {**start, **{name: start[name].clone().requires_grad_() for name in names}}
        scores, weights = torch.as_tensor(target.scores), torch.as_tensor(target.weights)
        measured = fourier_features(start, torch.as_tensor(target.dose))
        optimiser = torch.optim.LBFGS(
            [parameters[name] for name in names],
            max_iter=iterations,
            tolerance_grad=1e-9,
            line_search_fn="strong_wolfe",
        )

        def loss() -> torch.Tensor:
            optimiser.zero_grad()
            output, _ = unbounded_output(parameters, measured)
            misfit = (weights * (output - scores).square()).sum()
            misfit.backward()
            return misfit

        optimiser.step(loss)
        asked = fourier_features(start, torch.as_tensor(dose / problem.dose_max))
        with torch.no_grad():
            output, _ = unbounded_output(parameters, asked)
    found = output.mean(dim=0).numpy().T
    return found * network.score.spread[:, np.newaxis] + network.score.mean[:, np.newaxis]


def law_residual(network: NetworkFit, curve: np.ndarray, dose: np.ndarray) -> np.ndarray:
    """How far any curve of intensity is from the law that the networks were fitted with.

    Parameters
    ----------
    network
        The fit whose k, p, a and b are used, means over members.
    curve
        Intensities, ``(n_window, n_dose)``.
    dose
        Ascending doses, so close that differences are derivatives, ``(n_dose,)``.

    Returns
    -------
    numpy.ndarray
        dC/dφ + k C^p with C = (curve − b)/a, ``(n_window, n_dose)``. Where C is negative, C^p is
        taken as 0.
    """
    problem = network.problem
    rate = (network.rate * problem.reach).mean(axis=0)[:, np.newaxis]
    exponent, amplitude, offset = (
        each.mean(axis=0)[:, np.newaxis]
        for each in (network.exponent, network.amplitude, network.offset)
    )
    integrity = (curve - offset) / amplitude
    slope = np.gradient(integrity, dose / problem.dose_max, axis=-1)
    return slope + rate * np.maximum(integrity, 0.0) ** exponent


def r_squared(problem: DoseProblem, fitted: np.ndarray) -> np.ndarray:
    """Share of the variance of each window that a curve explains, ``(n_window,)``.

    Parameters
    ----------
    problem
        The data, with one curve.
    fitted
        Intensities of the curve at the doses of the frames, ``(n_window, n_dose)``.
    """
    values = np.where(problem.usable[0], problem.values[0], np.nan)
    left = np.nansum((values - fitted) ** 2, axis=1)
    middle = np.nanmean(values, axis=1, keepdims=True)
    return 1 - left / np.nansum((values - middle) ** 2, axis=1)
