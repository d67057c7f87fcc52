# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the physics adds: the same data fitted without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.network.architecture import (
    fourier_features,
    initial_parameters,
    integrity,
)
from hyperspy_dosekin.kinetics.network.fit import TRAINING_THREADS, make_target
from hyperspy_dosekin.kinetics.network.gauss_newton import train_gauss_newton
from hyperspy_dosekin.kinetics.network.history import Recorder
from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
from hyperspy_dosekin.kinetics.network.observer import Interrupted, Observer
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
    network: NetworkFit, dose: np.ndarray, *, iterations: int = 40
) -> np.ndarray:
    """The same networks trained on the data alone: no rate law, no bounds, no hierarchy.

    Parameters
    ----------
    network
        The fit whose data, seeds and architecture are used.
    dose
        Doses at which to evaluate it, ``(n_dose,)``; beyond the measured ones the network itself
        is asked, since there is no law to continue with.
    iterations
        Length of the Levenberg–Marquardt training.

    Returns
    -------
    numpy.ndarray
        Intensities, mean over members, ``(n_window, n_dose)``.
    """
    config = replace(
        network.config,
        loss_weights={"ode": 0.0, "monotonicity": 0.0, "boundedness": 0.0, "hierarchy": 0.0},
        collocation=1,
        gauss_newton_iterations=iterations,
    )
    problem = network.problem
    target = make_target(problem, network.score, config)
    with torch_threads(TRAINING_THREADS):
        start = initial_parameters(config, len(problem.window_names), torch.float64)
        observer = Observer(Recorder(len(config.seeds)))
        try:
            parameters = train_gauss_newton(start, target, config, observer)
        except Interrupted as interruption:
            parameters = interruption.parameters
        normalised = torch.as_tensor(dose / problem.dose_max)
        with torch.no_grad():
            value, _ = integrity(parameters, fourier_features(parameters, normalised))
            score = (parameters["amplitude"] * value + parameters["offset"]).mean(dim=0)
    scores = score.double().numpy().T
    return scores * network.score.spread[:, np.newaxis] + network.score.mean[:, np.newaxis]
