# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""References that do not fit, by something that most spectra have in common.

Another resolution, a gain reference, plural scattering or a calculation that is not exact leave the
same few curves in most spectra. They are nuisances like a residual background: of any amount, with
a distribution that the data show. What only some of the spectra leave is another phase.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hyperspy_dosekin.classification.explanations import Explainer, class_templates
from hyperspy_dosekin.classification.nuisances import Nuisances
from hyperspy_dosekin.classification.pixel_noise import PixelNoise
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.steps import regular

#: Spectra that are looked at.
_LOOKED_AT = 3000
#: Curves at most, and how far above that of noise the power along each must lie.
_CURVES, _CLEARLY = 3, 1.3
#: Least part of the power along a curve that the middle spectrum shows too.
_SHARED = 0.5
#: Middle of the absolute values of normal numbers.
_MIDDLE = 0.6745


def with_misfit(
    spectra: np.ndarray,
    given: np.ndarray | None,
    references: ReferenceSet,
    now: Nuisances,
    noise: PixelNoise,
) -> Nuisances | None:
    """Nuisances with the curves that most spectra leave, where there are any.

    Parameters
    ----------
    spectra
        Shape ``(n, n_channels)``.
    given
        Noise variance of each where it is known, or ``None``.
    noise
        Of single spectra, without what the references do not describe.
    """
    spectra = spectra[:_LOOKED_AT]
    given = None if given is None else given[:_LOOKED_AT]
    templates, class_of = class_templates(references, np.random.default_rng(0))
    explainer = Explainer(templates, class_of, references.energy_ev, noise.model.whitening)
    variance = noise.variance(spectra, given)
    nodes = explainer.shift_nodes(now, variance.mean(axis=0))
    found = explainer.explain(explainer.white(spectra), variance, now, nodes)
    usual = regular(found.distance.min(axis=(1, 2)), spectra.shape[1])
    row, number = np.flatnonzero(usual), int(usual.sum())
    m, i = np.unravel_index(
        found.log[usual].reshape(number, -1).argmax(axis=1), found.log.shape[1:]
    )
    shifted = explainer.shifted(now, nodes)
    rest = spectra[usual] - found.scale[row, m, i][:, None] * shifted[m, i]
    rest = rest - backgrounds(explainer.white(rest), variance[usual], now, explainer)
    sd = np.sqrt(variance[usual] * noise.model.left_white)
    white = explainer.white(rest) / sd
    # What looks like the classes themselves is a mixture of them.
    classes, _ = np.linalg.qr((explainer.white(shifted[:, nodes // 2]) / sd.mean(axis=0)).T)
    white = white - (white @ classes) @ classes.T
    values, vectors = np.linalg.eigh(white.T @ white / number)
    bound = _CLEARLY * (1 + np.sqrt(white.shape[1] / number)) ** 2 * np.median(values)
    curves, power = [], []
    for value, vector in zip(values[: -_CURVES - 1 : -1], vectors.T[::-1], strict=False):
        amount = white @ vector
        middle = np.median(amount)
        spread = np.median(np.abs(amount - middle)) / _MIDDLE
        if value < bound or middle**2 < _SHARED * (value - 1):
            continue
        curves.append(amount @ rest / (amount @ amount))
        power.append([middle, spread])
    if not curves:
        return None
    size = np.sqrt(np.mean(np.square(curves), axis=1))
    mean, spread = (np.array(power) * size[:, None]).T
    most = len(now.background_mean)
    covariance = np.diag(np.concatenate([np.zeros(most), np.maximum(spread, 0.1 * np.abs(mean))]))
    covariance = covariance**2
    covariance[:most, :most] = now.background_covariance
    return replace(
        now,
        background_basis=np.concatenate([now.background_basis, curves / size[:, None]]),
        background_mean=np.concatenate([now.background_mean, mean]),
        background_covariance=covariance,
        n_misfit=len(curves),
    )


def backgrounds(
    white: np.ndarray, variance: np.ndarray, now: Nuisances, explainer: Explainer
) -> np.ndarray:
    """Likeliest residual backgrounds of what explanations leave, ``(n, n_channels)``.

    Parameters
    ----------
    white
        Spectra less their explanations, made white.
    variance
        Their noise variances.
    explainer
        What made them white.
    """
    basis = explainer.white(now.background_basis)
    left = (white - now.background_mean @ basis) / variance
    bend = np.linalg.inv(now.background_covariance) + np.einsum(
        "nc,ic,jc->nij", 1 / variance, basis, basis, optimize=True
    )
    own = np.linalg.solve(bend, (left @ basis.T)[..., None])[..., 0]
    return (now.background_mean + own) @ now.background_basis


def where(height: np.ndarray, energy_ev: np.ndarray, part: float = 0.4, gap: int = 4) -> str:
    """Ranges of the energy in which a curve ``(n_channels,)`` is high, three at most.

    Parameters
    ----------
    height
        In units of the noise, never negative.
    energy_ev
        Energies of the channels.
    part
        Of the largest height, from which channels count.
    gap
        Channels between two that count, which then belong to the same range.
    """
    channels = np.flatnonzero(height > part * height.max())
    parts = np.split(channels, np.flatnonzero(np.diff(channels) > gap) + 1)
    parts = sorted(parts, key=lambda each: -height[each].sum())[:3]
    said = sorted(parts, key=lambda each: each[0])
    return ", ".join(f"{energy_ev[p[0]]:.1f} to {energy_ev[p[-1]]:.1f} eV" for p in said)
