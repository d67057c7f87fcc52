# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nuisances at the top of their likelihood, all parameters together.

Scoring with the information that the spectra themselves show (E. K. Berndt, B. H. Hall, R. E. Hall,
J. A. Hausman, Ann. Econ. Soc. Meas. 3, 653 (1974)). Expectation and maximisation comes near the top
and then crawls, the more the less single spectra say; scores see how parameters depend on each
other, such as the width of the backgrounds on the share of the weakest class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hyperspy_dosekin.classification.explanations import Explanations
from hyperspy_dosekin.classification.nuisances import Nuisances

#: Step of the derivatives, in the units of `_moved`: the likelihood is smooth.
_STEP = 1e-3
#: Farthest move of a parameter in a round, and what is known of each beforehand: it counts as so
#: many spectra that are worth a unit of it.
_FARTHEST, _BEFORE = 0.7, 1.0
#: Gain in log-likelihood of all spectra together from which another round is worth while, and the
#: number of shorter steps that are tried where one goes down.
_WORTH, _SHORTER = 1.0, 3
#: Widths of the scale, relative to its mean.
_NARROWEST, _WIDEST = 0.005, 0.45

#: All explanations of the spectra by nuisances, with a number of nodes of the shift.
Explain = Callable[[Nuisances, int | None], Explanations]
#: Only the log-likelihood of each spectrum, which takes less.
Whole = Callable[[Nuisances, int], np.ndarray]


def ascended(
    explain: Explain,
    whole: Whole,
    now: Nuisances,
    class_of: np.ndarray,
    step_ev: float,
    nodes: Callable[[Nuisances], int],
    rounds: int,
) -> Nuisances:
    """Nuisances near the top of the likelihood of some spectra.

    Parameters
    ----------
    explain
        Gives the explanations of the spectra.
    whole
        Gives their log-likelihoods alone.
    now
        Where to start.
    class_of
        Class of each template, ``(n_template,)``.
    step_ev
        Width of a channel, eV: the unit of the mean shift.
    nodes
        Nodes of the shift that nuisances ask for.
    rounds
        Steps at most.
    """
    n_class = int(class_of.max()) + 1
    for _ in range(rounds):
        number = nodes(now)
        found = explain(now, number)
        log = found.log_likelihood
        slope = _scores(whole, now, found, log, class_of, step_ev, number)
        uphill = slope.sum(axis=0)
        information = slope.T @ slope + _BEFORE * np.eye(slope.shape[1])
        move = np.linalg.solve(information, uphill)
        move *= min(1.0, _FARTHEST / max(float(np.abs(move).max()), 1e-12))
        gain = float(uphill @ move)
        if gain < _WORTH:
            break
        for _ in range(_SHORTER):
            tried = _moved(now, move, step_ev, n_class)
            if float((whole(tried, number) - log).sum()) > 0:
                now = tried
                break
            move = move / 3
        else:
            break
    return now


def _scores(
    whole: Whole,
    now: Nuisances,
    found: Explanations,
    log: np.ndarray,
    class_of: np.ndarray,
    step_ev: float,
    number: int,
) -> np.ndarray:
    """Derivative of the log-likelihood of each spectrum by each parameter, ``(n, n_parameter)``."""
    n_class = int(class_of.max()) + 1
    size = _size(now)
    columns = []
    for j in range(size):
        move = np.zeros(size + n_class - 1)
        move[j] = _STEP
        there = whole(_moved(now, move, step_ev, n_class), number)
        columns.append((there - log) / _STEP)
    part = np.exp(found.by_class(class_of, n_class) - log[:, None]) - now.class_share
    return np.column_stack([*columns, part[:, :-1]])


def _size(now: Nuisances) -> int:
    number = len(now.background_mean)
    return 4 + number + number * (number + 1) // 2


def _moved(now: Nuisances, move: np.ndarray, step_ev: float, n_class: int) -> Nuisances:
    """Nuisances moved: mean and width of scale and shift, backgrounds, logarithms of shares.

    Widths and the mean of the scale move in their logarithm, the mean background in its own
    standard deviations, its covariance ``L Lᵀ`` to ``L exp(S) Lᵀ``.
    """
    number = len(now.background_mean)
    root = np.linalg.cholesky(now.background_covariance)
    bent = np.zeros((number, number))
    bent[np.triu_indices(number)] = move[4 + number : _size(now)]
    values, vectors = np.linalg.eigh((bent + bent.T) / 2)
    side = root @ vectors
    share = np.log(np.maximum(now.class_share, 1e-9))
    share[:-1] += move[_size(now) :]
    share = np.exp(share - share.max())
    mean = now.scale_mean * np.exp(move[0])
    width = np.clip(now.scale_sd * np.exp(move[1]) / mean, _NARROWEST, _WIDEST)
    return replace(
        now,
        scale_mean=float(mean),
        scale_sd=float(mean * width),
        shift_mean_ev=float(now.shift_mean_ev + step_ev * move[2]),
        shift_sd_ev=float(max(now.shift_sd_ev * np.exp(move[3]), 0.1 * step_ev)),
        background_mean=now.background_mean
        + np.sqrt(np.diag(now.background_covariance)) * move[4 : 4 + number],
        background_covariance=(side * np.exp(values)) @ side.T,
        class_share=share / share.sum(),
    )
