# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of one pixel that go together: a pixel that decays fast in one does so in others.

In units of its population a window has kinetic parameters, an amplitude and an offset of unit
variance in every pixel, which correlate over the windows. What a curve says of them is taken as
normal. Then products of the means of two windows tell their correlations without another model, and
what the other windows say of the kinetic parameters of a window is a normal prior, under which its
curve is heard exactly. Amplitudes take part because they are easily mistaken for rates: windows
that are thick in the same pixels would seem to decay together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .dependence import godambe, redundancy
from .pixels import PixelPrior

#: Pairs of windows are heard where a correlation differs from 0 by so many standard deviations.
#: About one pair in five without any is heard, too, which changes next to nothing.
SEEN = 2.5
# What is assumed of correlations before the data, normal about 0 with these deviations: of the same
# quantity, of amplitude and offset, and of others, between which there is no reason for much.
_WIDTH, _READOUTS, _ACROSS = 0.5, 0.3, 0.1
# Steps to the mode, the largest, and where they end.
_STEPS, _LARGEST_STEP, _SETTLED = 12, 0.3, 3e-3
# Least variance of what is left in any direction, all windows together.
_LEAST_LEFT = 0.03
# Least variance of a parameter after what other windows say, and how far they move it at most.
_LEAST_VARIANCE, _FARTHEST = 0.02, 3.0


@dataclass(frozen=True, eq=False)
class Reading:
    """What curves of a window say of (parameters, amplitude, offset) in units of the population.

    Parameters
    ----------
    mean
        ``(n, q)``.
    covariance
        ``(n, q, q)``; the unit matrix where a curve says nothing.
    """

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def nothing(cls, number: int, q: int) -> Reading:
        """Of pixels without curves."""
        return cls(np.zeros((number, q)), np.tile(np.eye(q), (number, 1, 1)))


@dataclass(frozen=True, eq=False)
class Pair:
    """How two windows go together.

    Parameters
    ----------
    block
        Correlations of (parameters, amplitude, offset) of the first with those of the second,
        ``(q, q)``.
    covariance
        Of its numbers, ``(q², q²)``.
    """

    block: np.ndarray
    covariance: np.ndarray

    @property
    def spread(self) -> np.ndarray:
        """Standard deviations of the correlations, ``(q, q)``."""
        return np.sqrt(np.diag(self.covariance)).reshape(self.block.shape)

    @property
    def seen(self) -> bool:
        """Whether the windows go together by more than chance."""
        return bool((np.abs(self.block) > SEEN * self.spread).any())


def fit_pair(first: Reading, second: Reading, places: np.ndarray, d: int) -> Pair:
    """Correlations of two windows of the same pixels, of the highest posterior density.

    The start are products of the means, which are S₁ C S₂ on average with S = 1 − covariance.

    Parameters
    ----------
    first, second
        What their curves say.
    places
        Where the pixels are, ``(n, n_axis)``.
    d
        Number of kinetic parameters.
    """
    q = first.mean.shape[1]
    before = np.diag(1 / _widths(q, d).ravel() ** 2)
    says = [np.eye(q) - each.covariance for each in (first, second)]
    product = (first.mean[:, :, None] * second.mean[:, None, :]).reshape(-1, q * q)
    weigh = np.einsum("nij,nlk->nikjl", *says).reshape(-1, q * q, q * q)
    information = weigh.sum(0)
    # Neighbours repeat each other: what they say has less weight against what is assumed.
    score = torch.as_tensor(product)
    alike = torch.eye(q * q, dtype=score.dtype)[[k * q + k for k in range(d)]]
    power = 1 / redundancy(torch.as_tensor(information + before), score, alike, places)
    block = np.linalg.solve(power * information + before, power * product.sum(0))
    block = _possible(block.reshape(q, q))
    for _ in range(_STEPS):
        score = power * _scores(first, second, block)
        slope = score.sum(0) - before @ block.ravel()
        curved = score.T @ score / power + before
        step = np.linalg.solve(curved, slope).reshape(q, q)
        block = _possible(block + step * min(1.0, _LARGEST_STEP / np.abs(step).max()))
        if np.abs(step).max() < _SETTLED:
            break
    score = power * _scores(first, second, block)
    hessian = score.T @ score / power + before
    covariance = godambe(torch.as_tensor(hessian), torch.as_tensor(score), places)[0]
    return Pair(block, covariance.numpy())


def _widths(q: int, d: int) -> np.ndarray:
    """Standard deviations of what is assumed of correlations, ``(q, q)``."""
    widths = np.full((q, q), _ACROSS)
    widths[d:, d:] = _READOUTS
    np.fill_diagonal(widths, _WIDTH)
    return widths


def _whole(block: np.ndarray) -> np.ndarray:
    eye = np.eye(len(block))
    return np.block([[eye, block], [block.T, eye]])


def _possible(block: np.ndarray) -> np.ndarray:
    """Correlations that leave some variance in every direction."""
    return block * min(1.0, (1 - _LEAST_LEFT) / max(np.linalg.norm(block, 2), 1e-12))


def _scores(first: Reading, second: Reading, block: np.ndarray) -> np.ndarray:
    """Gradient of the likelihood of every pixel by the correlations, ``(n, q²)``."""
    q = len(block)
    mean, covariance = _after([first, second], _whole(block))
    precision = np.linalg.inv(_whole(block))
    square = covariance + mean[:, :, None] * mean[:, None, :]
    return (precision @ square @ precision - precision)[:, :q, q:].reshape(-1, q * q)


def _after(readings: Sequence[Reading], correlations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of all windows together, with what is known of their correlations."""
    n, q = readings[0].mean.shape
    size = len(readings) * q
    joint = np.zeros((n, size, size))
    for place, each in enumerate(readings):
        own = slice(place * q, (place + 1) * q)
        joint[:, own, own] = each.covariance
    means = np.concatenate([each.mean for each in readings], 1)
    bond = np.eye(size) + joint @ (np.linalg.inv(correlations) - np.eye(size))
    found = np.linalg.solve(bond, np.concatenate([joint, means[:, :, None]], 2))
    return found[..., -1], found[..., :-1]


def correlations_of(pairs: Mapping[tuple[int, int], Pair], shares: np.ndarray) -> np.ndarray:
    """Equally likely correlations of all windows, ``(n_design, n_window·q, n_window·q)``.

    Parameters
    ----------
    pairs
        How windows go together, by their places.
    shares
        Whether the pixels of a window share anything in a design, ``(n_design, n_window)``.
    """
    random = np.random.default_rng(0)
    number, n_window = shares.shape
    q = len(next(iter(pairs.values())).block)
    whole = np.tile(np.eye(n_window * q), (number, 1, 1))
    for (v, w), pair in pairs.items():
        draws = random.multivariate_normal(pair.block.ravel(), pair.covariance, number)
        blocks = draws.reshape(number, q, q) * (shares[:, v] & shares[:, w])[:, None, None]
        first, second = (slice(each * q, (each + 1) * q) for each in (v, w))
        whole[:, first, second] = blocks
        whole[:, second, first] = blocks.transpose(0, 2, 1)
    least = np.linalg.eigvalsh(whole)[:, :1, None]
    share = np.minimum(1.0, (1 - _LEAST_LEFT) / np.maximum(1 - least, 1e-12))
    eye = np.eye(n_window * q)
    return eye + share * (whole - eye)


def heard(
    readings: Sequence[Reading], correlations: np.ndarray, d: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the others say of the parameters of every window: mean ``(n, d)``, factor ``(n, d, d)``.

    Parameters
    ----------
    readings
        What the curves of each window say.
    correlations
        ``(n_window·q, n_window·q)``.
    d
        Number of kinetic parameters.
    """
    mean, covariance = _after(readings, correlations)
    q = readings[0].mean.shape[1]
    found = []
    for place, each in enumerate(readings):
        own = slice(place * q, place * q + d)
        # All data but the curve of the window itself, of which the prior is the unit normal.
        whole, alone = (
            np.linalg.inv(x) for x in (covariance[:, own, own], each.covariance[:, :d, :d])
        )
        pull = whole @ mean[:, own, None] - alone @ each.mean[:, :d, None]
        precision = whole - alone + np.eye(d)
        values, axes = np.linalg.eigh(0.5 * (precision + precision.transpose(0, 2, 1)))
        values = np.clip(values, 1.0, 1 / _LEAST_VARIANCE)
        variance = (axes / values[:, None, :]) @ axes.transpose(0, 2, 1)
        moved_by = np.clip((variance @ pull)[..., 0], -_FARTHEST, _FARTHEST)
        found.append((moved_by, np.linalg.cholesky(variance)))
    return found


def moved(prior: PixelPrior, mean: np.ndarray, factor: np.ndarray) -> PixelPrior:
    """A prior whose scores have other means and factors of their covariance in every pixel."""
    shift = prior.factor @ torch.as_tensor(mean)[:, :, None]
    return PixelPrior(prior.mean + shift[..., 0].T, prior.factor @ torch.as_tensor(factor))
