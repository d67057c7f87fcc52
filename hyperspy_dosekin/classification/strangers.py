# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spectra that are of no class: a cloud in the space of the principal components."""

from __future__ import annotations

import numpy as np

from hyperspy_dosekin.classification.noise import PrincipalComponents

#: Before any are known they are as the data are, this many times as widely.
_WIDER = 2.0
#: What is supposed of them before counts as so many spectra.
_SUPPOSED = 30.0
#: Share of them to start with.
_START = 0.1


class Strangers:
    """How likely spectra are as members of a cloud, fitted to those that no class explains.

    An unknown phase is a cloud of its own. Against a density that is wide everywhere it would pay
    to stretch the nuisances until a class explains the phase; against its own it does not.

    Parameters
    ----------
    spectra, variance
        Spectra and their noise variances, ``(n, n_channels)``.
    components
        Principal components of the spectra.
    """

    def __init__(
        self, spectra: np.ndarray, variance: np.ndarray, components: PrincipalComponents
    ) -> None:
        curves = components.beyond_noise(spectra, variance.mean(axis=0)).components
        weight = 1 / variance
        rest = spectra - components.mean
        weighted = rest * weight
        pairs = (curves[:, None] * curves[None]).reshape(-1, spectra.shape[1])
        # All that the likelihood needs of the spectra, for any cloud.
        self._information = (weight @ pairs.T).reshape(len(spectra), len(curves), len(curves))
        self._onto = weighted @ curves.T
        self._rest = (rest * weighted).sum(axis=1) + np.log(variance).sum(axis=1)
        self._scores = rest @ curves.T
        self._noise = (curves**2 @ variance.mean(axis=0)) * np.eye(len(curves))
        self._start = _WIDER**2 * np.atleast_2d(np.cov(self._scores.T))
        self._mean, self._covariance = np.zeros(len(curves)), self._start
        self.share = _START

    def log_likelihood(self, rows: np.ndarray | slice) -> np.ndarray:
        """Of some of the spectra as members of the cloud."""
        precision = np.linalg.inv(self._covariance)
        bend = precision + self._information[rows]
        onto = self._onto[rows] + precision @ self._mean
        found = np.linalg.solve(bend, onto[..., None])[..., 0]
        distance = self._rest[rows] + self._mean @ precision @ self._mean
        distance = distance - (onto * found).sum(axis=1)
        log = np.linalg.slogdet(bend)[1] - np.linalg.slogdet(precision)[1]
        return -0.5 * (distance + log)

    def known(self, log_likelihood: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
        """Probability that spectra are none, by their log-likelihood as members of the classes.

        A cloud can also describe part of a class nearly as well as the class does. There are some
        only where they explain the data better by more than the numbers that describe the cloud
        are worth (G. Schwarz, doi:10.1214/aos/1176344136).
        """
        ratio = np.clip(log_likelihood - self.log_likelihood(rows), -500, 500)
        gain = np.log1p(self.share * np.expm1(-ratio)).sum()
        size = len(self._mean)
        if gain < 0.25 * size * (size + 3) * np.log(len(ratio)):
            return np.ones_like(ratio)
        odds = (1 - self.share) / self.share * np.exp(ratio)
        return odds / (1 + odds)

    def refit(self, known: np.ndarray, rows: np.ndarray | slice) -> None:
        """Fit the cloud and its share to the spectra by their probability of being none."""
        weight, scores = 1 - known, self._scores[rows]
        number = float(weight.sum())
        self.share = (number + 1) / (len(weight) + 10)
        whole = number + _SUPPOSED
        self._mean = weight @ scores / whole
        departure = scores - self._mean
        spread = (weight[:, None] * departure).T @ departure - number * self._noise
        values, vectors = np.linalg.eigh((spread + _SUPPOSED * self._start) / whole)
        values = np.maximum(values, 1e-3 * np.diag(self._noise).min())
        self._covariance = (vectors * values) @ vectors.T
