# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a deviation from what is expected looks if the specimen makes it, and not an X-ray."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import log_ndtr, logsumexp

#: Channels on either side that are asked.
ASKED = 6
#: Sizes, in standard deviations of the noise, that a deviation of the specimen may have …
_SIZES = np.array([0.0, 1.5, 4.0, 10.0, 30.0, 100.0, 400.0, 2000.0])
#: … and how often, before the neighbours are asked, there is one.
_RARELY = 0.01
_PRIOR = np.array([1 - _RARELY, *np.full(_SIZES.size - 1, _RARELY / (_SIZES.size - 1))])


@dataclass(frozen=True, eq=False)
class Deviations:
    r"""Gaussian process of the deviations that the energy resolution lets through.

    Whatever the specimen does is broadened by the zero-loss peak, of standard deviation s, so that
    deviations have the covariance :math:`a^2\exp(-d^2/4s^2)` at a distance of d channels. An X-ray
    is not broadened. The neighbours of a channel tell the size a, and what they leave to expect
    there.

    Parameters
    ----------
    rotation
        Eigenvectors of the covariance of the neighbours at unit size, for each pattern of
        available neighbours, shape ``(n_pattern, 2 * ASKED, 2 * ASKED)``.
    eigenvalue
        Shape ``(n_pattern, 2 * ASKED)``.
    link
        Covariance with the channels in question, rotated, shape
        ``(n_pattern, width, 2 * ASKED)``.
    variance
        Of the mean of the channels in question, noise included, and of each of them, at each size,
        shape ``(n_pattern, n_size, 1 + width)``.
    """

    rotation: np.ndarray
    eigenvalue: np.ndarray
    link: np.ndarray
    variance: np.ndarray

    def judge(self, neighbours: np.ndarray, left: np.ndarray, right: np.ndarray) -> Expectation:
        """Say what neighbours leave to expect.

        Parameters
        ----------
        neighbours
            Deviations of the channels on either side, in standard deviations of their noise, shape
            ``(n, 2 * ASKED)``.
        left, right
            How many of the next ones on either side are available, shape ``(n,)``.
        """
        pattern = left * (ASKED + 1) + right
        rotated = np.matmul(self.rotation[pattern], neighbours[..., np.newaxis])[..., 0]
        signal = _SIZES[:, np.newaxis] ** 2 * self.eigenvalue[pattern][:, np.newaxis]
        share = signal / (1 + signal)
        evidence = 0.5 * (share * rotated[:, np.newaxis] ** 2 - np.log1p(signal)).sum(axis=-1)
        weight = np.log(_PRIOR) + evidence
        weight -= logsumexp(weight, axis=-1, keepdims=True)
        scaled = rotated[:, np.newaxis] * (_SIZES[:, np.newaxis] ** 2 / (1 + signal))
        mean = (self.link[pattern][:, np.newaxis] * scaled[:, :, np.newaxis]).sum(axis=-1)
        return Expectation(weight, mean, self.variance[pattern])


@dataclass(frozen=True, eq=False)
class Expectation:
    """Mixture of normal distributions, one for each size of deviation.

    Parameters
    ----------
    weight
        Logarithm of their shares, shape ``(n, n_size)``.
    mean
        Of each channel in question, shape ``(n, n_size, width)``.
    variance
        Of the mean of these channels and of each, shape ``(n, n_size, 1 + width)``.
    """

    weight: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    def noisier(self, shot: np.ndarray, highest: np.ndarray) -> Expectation:
        """Add the noise that deviations have themselves.

        Parameters
        ----------
        shot
            Increase of the variance by a deviation of one standard deviation, in units of the
            variance, shape ``(n,)``.
        highest
            Deviation that there is at least, if it is above zero, shape ``(n,)``.
        """
        there = np.maximum(self.mean.mean(axis=-1), np.maximum(highest, 0.0)[:, np.newaxis])
        more = shot[:, np.newaxis] * there
        return replace(self, variance=self.variance * (1 + more[..., np.newaxis]))

    def tail(self, deviation: np.ndarray, more: np.ndarray) -> np.ndarray:
        """Logarithm of the probability that the mean of the channels is as high as it is.

        Parameters
        ----------
        deviation
            Mean over the channels in question, shape ``(n,)``.
        more
            Variance to add, shape ``(n,)``.
        """
        spread = np.sqrt(self.variance[..., 0] + more[:, np.newaxis])
        score = (deviation[:, np.newaxis] - self.mean.mean(axis=-1)) / spread
        return np.asarray(logsumexp(self.weight + log_ndtr(-score), axis=-1))

    def value(self) -> np.ndarray:
        """Mean of the mixture for each channel, shape ``(n, width)``."""
        return (np.exp(self.weight)[..., np.newaxis] * self.mean).sum(axis=1)

    def spread(self) -> np.ndarray:
        """Variance of the mixture for each channel without its own noise, ``(n, width)``."""
        share = np.exp(self.weight)[..., np.newaxis]
        off = self.mean - self.value()[:, np.newaxis]
        return (share * (self.variance[..., 1:] - 1 + off**2)).sum(axis=1)


def deviations(fwhm: float, width: int) -> Deviations:
    """Deviations at a resolution.

    Parameters
    ----------
    fwhm
        Full width at half maximum of the zero-loss peak in channels.
    width
        Number of channels in question, next to each other.
    """
    # In steps, so that few are made.
    return _deviations(max(round(4 * fwhm), 4) / 4, width)


@lru_cache(maxsize=64)
def _deviations(fwhm: float, width: int) -> Deviations:
    sigma = fwhm / np.sqrt(8 * np.log(2))
    asked = np.concatenate([np.arange(-ASKED, 0), np.arange(width, width + ASKED)])

    def covariance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.exp(-((one[:, np.newaxis] - other) ** 2) / (4 * sigma**2))

    own = np.arange(width)
    among, link, within = covariance(asked, asked), covariance(own, asked), covariance(own, own)
    rotations, eigenvalues, links, variances = [], [], [], []
    for left in range(ASKED + 1):
        for right in range(ASKED + 1):
            available = np.concatenate([np.arange(ASKED) >= ASKED - left, np.arange(ASKED) < right])
            eigenvalue, vectors = np.linalg.eigh(among * np.outer(available, available))
            eigenvalue = np.where(eigenvalue > 1e-12, eigenvalue, 0.0)
            rotation = np.where(eigenvalue[:, np.newaxis] > 0, vectors.T * available, 0.0)
            linked = link @ rotation.T
            variance = []
            for size in _SIZES:
                shrunk = linked * (size**4 / (1 + size**2 * eigenvalue))
                each = size**2 * within - shrunk @ linked.T + np.eye(width)
                variance.append([each.mean(), *np.diag(each)])
            rotations.append(rotation)
            eigenvalues.append(eigenvalue)
            links.append(linked)
            variances.append(variance)
    return Deviations(*(np.array(part) for part in (rotations, eigenvalues, links, variances)))
