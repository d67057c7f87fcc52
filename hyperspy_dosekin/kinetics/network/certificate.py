# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a network fit can be believed: it is compared with the exact solution.

A network that obeys the law and fits the data has the loss of the exact solution. A smaller
loss means that it bends between the points where the law is imposed, a larger one that the
training has not ended.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.network.architecture import fourier_features, integrity
from hyperspy_dosekin.kinetics.network.fit import make_target, prior_target
from hyperspy_dosekin.kinetics.network.losses import MISFITS, ode_residual
from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
from hyperspy_dosekin.numerics.text import printable

#: Doses at which law and trajectory are compared, none of which was used in training.
OFF_GRID = 503

#: Loss below which two fits do not differ, a misfit of some 1e-3 of a window's spread: data
#: without noise have an exact loss of zero, and no ratio.
NEGLIGIBLE_LOSS = 2e-7

#: What a good fit stays within.
LOWEST_LOSS_RATIO, HIGHEST_LOSS_RATIO = 0.99, 1.5
HIGHEST_RESIDUAL, HIGHEST_DEVIATION = 0.01, 0.03


@dataclass(frozen=True, eq=False)
class Certificate:
    """How far the networks are from the exact solution, by window.

    Parameters
    ----------
    window_names
        One label for each window.
    loss_ratio
        Loss of the network over that of the exact solution, mean over members, ``(n_window,)``;
        below 1 is overfitting between the points where the law is imposed.
    residual_rms
        Root mean square of dC/dφ + k C^p between those points, ``(n_window,)``.
    max_deviation
        Largest distance between the integrity of the network and that of the exact solution in
        the measured range, ``(n_window,)``.
    remedy
        What to do about a window that does not pass.
    """

    window_names: tuple[str, ...]
    loss_ratio: np.ndarray
    residual_rms: np.ndarray
    max_deviation: np.ndarray
    remedy: str = 'fit with estimator="exact"'

    @property
    def good(self) -> np.ndarray:
        """Whether each window passes, ``(n_window,)``."""
        return (
            (self.loss_ratio >= LOWEST_LOSS_RATIO)
            & (self.loss_ratio <= HIGHEST_LOSS_RATIO)
            & (self.residual_rms <= HIGHEST_RESIDUAL)
            & (self.max_deviation <= HIGHEST_DEVIATION)
        )

    def __str__(self) -> str:
        """A line for each window, and what is wrong."""
        width = max(len(name) for name in self.window_names)
        numbers = zip(
            self.window_names, self.loss_ratio, self.residual_rms, self.max_deviation, strict=True
        )
        lines = [
            f"{name:{width}}  loss {ratio:.3g} × exact, residual of the law {residual:.2g}, "
            f"largest deviation of C {deviation:.2g}"
            for name, ratio, residual, deviation in numbers
        ]
        return printable("\n".join([*lines, *(f"* {text}" for text in self.warnings())]))

    def warnings(self) -> list[str]:
        """What is wrong, in words, with the remedy; empty for a good fit."""
        found = []
        for bad, complaint in (
            (
                self.loss_ratio < LOWEST_LOSS_RATIO,
                "the loss is below that of the exact solution, so the network bends between the "
                "collocation doses",
            ),
            (
                self.loss_ratio > HIGHEST_LOSS_RATIO,
                "the loss is above that of the exact solution, so the training has not ended",
            ),
            (self.residual_rms > HIGHEST_RESIDUAL, "the trajectory does not obey the rate law"),
            (
                self.max_deviation > HIGHEST_DEVIATION,
                "the trajectory differs from the exact solution",
            ),
        ):
            if bad.any():
                names = ", ".join(n for n, b in zip(self.window_names, bad, strict=True) if b)
                found.append(f"{names}: {complaint}. Do not use these numbers; {self.remedy}.")
        return found


def certify(network: NetworkFit, exact: ExactFit, prior: Prior | None) -> Certificate:
    """Compare a network fit with the exact fit of the same problem.

    Parameters
    ----------
    exact
        Exact fit of the same problem, with the same known values and prior.
    prior
        The prior of the exact fit; it counts in the loss of both.
    """
    loss, residual = _network_loss(network, exact, prior)
    exact_loss = _exact_loss(network, exact, prior)
    dose = np.linspace(0.0, 1.0, OFF_GRID)
    deviation = network.integrity(dose * network.problem.dose_max).mean(axis=0)
    deviation = np.abs(deviation - exact.integrity(dose * network.problem.reach)[0]).max(axis=-1)
    remedy = 'fit with estimator="exact", the solution itself'
    if not network.config.warm_start:
        remedy = 'fit with protocol="fast" or estimator="exact"'
    ratio = (loss.mean(axis=0) + NEGLIGIBLE_LOSS) / (exact_loss + NEGLIGIBLE_LOSS)
    return Certificate(network.problem.window_names, ratio, residual, deviation, remedy)


def _network_loss(
    network: NetworkFit, exact: ExactFit, prior: Prior | None
) -> tuple[np.ndarray, np.ndarray]:
    """Loss by member and window, and the residual between the collocation doses."""
    target = make_target(network.problem, network.score, network.config)
    parameters = {name: torch.as_tensor(value) for name, value in network.parameters.items()}
    dose = np.concatenate([target.dose, (np.arange(OFF_GRID) + 0.5) / OFF_GRID])
    with torch.no_grad():
        features = fourier_features(
            parameters, torch.as_tensor(dose), first_tangent=target.dose.size
        )
        value, slope = integrity(parameters, features)
        n_dose = target.dose.size
        misfit = (
            parameters["amplitude"] * value[:, :n_dose]
            + parameters["offset"]
            - torch.as_tensor(target.scores)
        )
        data = (torch.as_tensor(target.weights) * MISFITS[target.misfit].penalty(misfit)).mean(
            dim=1
        )
        residual = ode_residual(parameters, value[:, n_dose:], slope)
    weights, n_window = network.config.loss_weights, len(network.problem.window_names)
    squared = residual.square().mean(dim=1).numpy()
    loss = weights["data"] * data.numpy() / n_window + weights["ode"] * squared
    loss += weights["prior"] * _prior_loss(network, exact, prior, network.rate, network.exponent)
    return loss, np.sqrt(squared.mean(axis=0))


def _exact_loss(network: NetworkFit, exact: ExactFit, prior: Prior | None) -> np.ndarray:
    """Loss of the exact solution, ``(n_window,)``: it has no residual."""
    target = make_target(network.problem, network.score, network.config)
    fitted = network.score.apply(exact.fitted(target.dose * network.problem.reach)[0])
    misfit = torch.as_tensor(fitted.T - target.scores)
    data = (
        (torch.as_tensor(target.weights) * MISFITS[target.misfit].penalty(misfit))
        .mean(dim=0)
        .numpy()
    )
    weights, n_window = network.config.loss_weights, len(network.problem.window_names)
    prior_loss = _prior_loss(network, exact, prior, exact.rate[0], exact.exponent[0])
    return weights["data"] * data / n_window + weights["prior"] * prior_loss


def _prior_loss(
    network: NetworkFit,
    exact: ExactFit,
    prior: Prior | None,
    rate: np.ndarray,
    exponent: np.ndarray,
) -> np.ndarray:
    if prior is None or not network.config.warm_start:
        return np.zeros(np.shape(rate))
    term = prior_target(exact, prior, network.problem, network.score, network.config)
    log_rate = (np.log(rate) - prior.log_rate[0]) / prior.log_rate[1]
    distance = (exponent - prior.exponent[0]) / prior.exponent[1]
    return 0.5 * term.scale * (log_rate**2 + distance**2)
