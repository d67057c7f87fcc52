# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels that hold several classes: non-negative unmixing in the likelihood."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hyperspy_dosekin.classification.explanations import REACH
from hyperspy_dosekin.classification.nuisances import Nuisances, shift_templates

#: Nodes of the shift, draws of the amounts for their intervals, and sweeps of the solver.
_SHIFTS, _DRAWS, _SWEEPS = 15, 100, 60
#: Spectra that are unmixed at a time.
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Mixing:
    """How the references of the classes add up to spectra.

    Parameters
    ----------
    references
        Mean reference of each class, ``(n_class, n_channels)``.
    step_ev
        Width of a channel, eV.
    thresholds
        For each class, how far the squared distance falls by a mixture in one in fifty spectra that
        hold that class alone, ``(n_class,)``.
    """

    references: np.ndarray
    step_ev: float
    thresholds: np.ndarray

    def unmixed(
        self,
        spectra: np.ndarray,
        variance: np.ndarray,
        now: Nuisances,
        level: float | None = 0.95,
        whitening: np.ndarray | None = None,
    ) -> Unmixed:
        """Shares of the classes in spectra ``(n, n_channels)`` with noise variances.

        Parameters
        ----------
        spectra, variance
            Shape ``(n, n_channels)``.
        now
            Distributions of the nuisances; that of the scale is not used.
        level
            Probability that an interval is to hold; without one there are no shares either.
        whitening
            Filter behind which channels are independent; see `NoiseModel.whitening`.
        """
        score = np.linspace(-REACH, REACH, _SHIFTS)
        shifts = now.shift_mean_ev + now.shift_sd_ev * score
        moved = shift_templates(now.scale_mean * self.references, shifts / self.step_ev)
        moved = moved.transpose(1, 0, 2)  # shift, class, channel
        if whitening is not None:
            moved, spectra = moved @ whitening, spectra @ whitening
            now = replace(now, background_basis=now.background_basis @ whitening)
        parts = [
            self._block(spectra[i : i + _BLOCK], variance[i : i + _BLOCK], now, moved, level)
            for i in range(0, len(spectra), _BLOCK)
        ]
        return Unmixed(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS)
        )

    def _block(
        self,
        spectra: np.ndarray,
        variance: np.ndarray,
        now: Nuisances,
        moved: np.ndarray,
        level: float | None,
    ) -> Unmixed:
        n, n_class = len(spectra), len(self.references)
        score = np.linspace(-REACH, REACH, _SHIFTS)
        onto, gram, own = _products(spectra, variance, now, moved)
        amounts = _non_negative(gram, onto)
        fall = (amounts * (2 * onto - np.einsum("nsij,nsj->nsi", gram, amounts))).sum(axis=2)
        mixed = own[:, None] - fall + score**2
        square = np.maximum(np.einsum("nsii->nsi", gram), np.finfo(float).tiny)
        alone = own[:, None, None] - np.maximum(onto, 0) ** 2 / square + (score**2)[:, None]
        nearest = alone.min(axis=1)
        fallen = nearest.min(axis=1) - mixed.min(axis=1)
        nearest = nearest.argmin(axis=1)
        is_mixed = fallen > self.thresholds[nearest]
        if level is None:
            nothing = np.empty((n, 0))
            return Unmixed(nothing, nothing, nothing, mixed.min(axis=1), fallen, nearest, is_mixed)
        # Draws of the amounts: of the shift by its weight, then of the noise, solved again.
        weight = np.exp(-0.5 * (mixed - mixed.min(axis=1, keepdims=True)))
        weight = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
        fixed = np.random.default_rng(0)  # the same for every spectrum: blocks do not matter
        place, normal = fixed.random(_DRAWS), fixed.standard_normal((_DRAWS, n_class))
        node = np.minimum((weight[:, None] < place[None, :, None]).sum(axis=2), _SHIFTS - 1)
        row = np.arange(n)[:, None]
        ridge = 1e-9 * np.trace(gram, axis1=2, axis2=3).mean() * np.eye(n_class)
        root = np.linalg.cholesky(gram + ridge)
        drawn = onto[row, node] + np.einsum("ndij,dj->ndi", root[row, node], normal)
        drawn = _non_negative(gram[row, node], drawn)
        total = drawn.sum(axis=2, keepdims=True)
        even = np.full_like(drawn, 1 / n_class)
        share = np.where(total > 0, drawn / np.where(total > 0, total, 1), even)
        low, high = np.quantile(share, [(1 - level) / 2, (1 + level) / 2], axis=1)
        return Unmixed(share.mean(axis=1), low, high, mixed.min(axis=1), fallen, nearest, is_mixed)


@dataclass(frozen=True, eq=False)
class Unmixed:
    """Composition of spectra.

    Parameters
    ----------
    share, low, high
        Share of each class, mean and interval, ``(n, n_class)``.
    distance
        Squared distance to the nearest mixture, ``(n,)``.
    fall
        How much nearer a mixture is than the nearest single class, as a fall of χ², ``(n,)``.
    nearest
        That class.
    mixed
        Whether that is more than one in fifty spectra of the class alone show.
    """

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    distance: np.ndarray
    fall: np.ndarray
    nearest: np.ndarray
    mixed: np.ndarray


_FIELDS = tuple(Unmixed.__dataclass_fields__)


def _products(
    spectra: np.ndarray, variance: np.ndarray, now: Nuisances, moved: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """References onto spectra and each other, spectra onto themselves, without background."""
    basis, weight = now.background_basis, 1 / variance
    rest = spectra - now.background_mean @ basis
    weighted = rest * weight
    pairs = basis[:, None] * basis[None]
    bend = np.linalg.inv(now.background_covariance) + np.einsum(
        "nc,ijc->nij", weight, pairs, optimize=True
    )
    inverse = np.linalg.inv(bend)
    coefficient = weighted @ basis.T
    own = (rest * weighted).sum(axis=1) - np.einsum(
        "ni,nij,nj->n", coefficient, inverse, coefficient
    )
    across = np.einsum("nc,skc,jc->nskj", weight, moved, basis, optimize=True)
    onto = np.einsum("nc,skc->nsk", weighted, moved, optimize=True)
    onto = onto - np.einsum("nskj,nij,ni->nsk", across, inverse, coefficient, optimize=True)
    products = np.einsum("skc,slc->sklc", moved, moved)
    gram = np.einsum("nc,sklc->nskl", weight, products, optimize=True)
    gram = gram - np.einsum("nski,nij,nslj->nskl", across, inverse, across, optimize=True)
    return onto, gram, own


def _non_negative(gram: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Least squares without negative amounts, by coordinate descent, ``(…, n_class)``."""
    number = onto.shape[-1]
    square = np.einsum("...ii->...i", gram)
    square = np.maximum(square, 1e-12 * square.max(initial=0.0) + np.finfo(float).tiny)
    found = np.zeros_like(onto)
    slope = onto.copy()
    for _ in range(_SWEEPS):
        for k in range(number):
            updated = np.maximum(found[..., k] + slope[..., k] / square[..., k], 0)
            slope -= gram[..., k] * (updated - found[..., k])[..., None]
            found[..., k] = updated
    return found


def fit_mixing(
    references: np.ndarray,
    step_ev: float,
    spectra: np.ndarray,
    variance: np.ndarray,
    now: Nuisances,
    rate: float = 0.02,
    whitening: np.ndarray | None = None,
) -> Mixing:
    """Find how far mixtures are nearer than single classes to spectra that hold one class.

    Parameters
    ----------
    references
        Mean reference of each class, ``(n_class, n_channels)``.
    step_ev
        Width of a channel, eV.
    spectra, variance
        Simulated spectra of single classes, and their noise variances, ``(n, n_channels)``.
    rate
        Share of them that may be taken for mixed.
    whitening
        Filter behind which channels are independent; see `NoiseModel.whitening`.
    """
    draft = Mixing(references, step_ev, np.zeros(len(references)))
    found = draft.unmixed(spectra, variance, now, None, whitening)
    whole = np.quantile(found.fall, 1 - rate)
    thresholds = np.full(len(references), whole)
    for k in range(len(references)):
        own = found.fall[found.nearest == k]
        if len(own) >= 2 / rate:
            thresholds[k] = np.quantile(own, 1 - rate)
    return Mixing(references, step_ev, thresholds)
