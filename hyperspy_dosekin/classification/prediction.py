# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a trained model says about spectra, block by block."""

from __future__ import annotations

import numpy as np

from hyperspy_dosekin.classification.calibration import entropy, reweighted, softmax
from hyperspy_dosekin.classification.model import Model


def usable(spectra: np.ndarray) -> np.ndarray:
    """Which spectra ``(…, n_channels)`` hold data: finite, and not the same in all channels."""
    finite = np.isfinite(spectra).all(axis=-1)
    return finite & (spectra != spectra[..., :1]).any(axis=-1)


def predict(spectra: np.ndarray, given: np.ndarray | None = None, *, model: Model) -> np.ndarray:
    """All that is known about single spectra, side by side.

    Parameters
    ----------
    spectra
        Shape ``(…, n_channels)``, of any real type.
    given
        Noise variance, of the same shape, where it is known.

    Returns
    -------
    Shape ``(…, n_class + 1)``, float32: probabilities of the classes, and novelty (−log10 of the
    false-alarm probability). NaN for spectra without data.
    """
    rows = spectra.reshape(-1, spectra.shape[-1])
    good = usable(rows)
    found = np.full((len(rows), model.n_output), np.nan, dtype=np.float32)
    rows, given = _usable_rows(rows, given, good)
    if len(rows):
        read = None if model.classifier == "likelihood" else model.read(rows)
        log_likelihood, novelty = model.judged(rows, given)
        probability = model.posterior(log_likelihood, read)
        found[good] = np.column_stack([probability, novelty])
    return found.reshape(*spectra.shape[:-1], -1)


def encode(spectra: np.ndarray, *, model: Model) -> np.ndarray:
    """Raw latents of spectra ``(…, n_channels)``, ``(…, n_latent)``; NaN for those without data."""
    rows = spectra.reshape(-1, spectra.shape[-1])
    good = usable(rows)
    found = np.full((len(rows), model.n_latent), np.nan, dtype=np.float32)
    if good.any():
        found[good] = model.encode(rows[good].astype(np.float64))
    return found.reshape(*spectra.shape[:-1], -1)


def _usable_rows(
    rows: np.ndarray, given: np.ndarray | None, good: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Spectra that hold data, float64, and their variances; those that are no variance are not."""
    found = rows[good].astype(np.float64)
    if given is None:
        return found, None
    variance = given.reshape(rows.shape)[good].astype(np.float64)
    return found, variance if (np.isfinite(variance) & (variance >= 0)).all() else None


def overlap(spectra: np.ndarray, given: np.ndarray | None = None, *, model: Model) -> np.ndarray:
    """Entropy of the class that a much longer exposure would leave, nats, ``(…)``; float32.

    Parameters
    ----------
    spectra
        Shape ``(…, n_channels)``, of any real type.
    given
        Noise variance, of the same shape, where it is known.
    """
    rows = spectra.reshape(-1, spectra.shape[-1])
    good = usable(rows)
    found = np.full(len(rows), np.nan, dtype=np.float32)
    rows, given = _usable_rows(rows, given, good)
    if len(rows) and model.likelihood is not None:
        log = model.likelihood.after_longer_exposure(rows, given, model.placed, model.energy_ev)
        found[good] = entropy(reweighted(softmax(log), model.share))
    elif len(rows):
        found[good] = model.expected_entropy(model.encode(rows))
    return found.reshape(spectra.shape[:-1])


def unmix(
    spectra: np.ndarray, given: np.ndarray | None = None, *, model: Model, level: float = 0.95
) -> np.ndarray:
    """Composition of single spectra, side by side.

    Parameters
    ----------
    spectra
        Shape ``(…, n_channels)``, of any real type.
    given
        Noise variance, of the same shape, where it is known.
    level
        Probability that an interval is to hold.

    Returns
    -------
    Shape ``(…, 3 · n_class + 1)``, float32: shares of the classes, lower and upper ends of their
    intervals, and 1 where the spectrum is a mixture. NaN for spectra without data.

    Raises
    ------
    RuntimeError
        If the model is from an early file, which does not hold the likelihood.
    """
    if model.likelihood is None:
        raise RuntimeError(
            "the model was saved by an early version and knows no composition; train it anew."
        )
    rows = spectra.reshape(-1, spectra.shape[-1])
    good = usable(rows)
    found = np.full((len(rows), 3 * len(model.names) + 1), np.nan, dtype=np.float32)
    rows, given = _usable_rows(rows, given, good)
    if len(rows):
        parts = model.likelihood.unmixed(rows, given, model.placed, level)
        found[good] = np.column_stack([parts.share, parts.low, parts.high, parts.mixed])
    return found.reshape(*spectra.shape[:-1], -1)


def denoise(spectra: np.ndarray, given: np.ndarray | None = None, *, model: Model) -> np.ndarray:
    """Noise-free versions of spectra ``(…, n_channels)``, float32; NaN for those without data.

    By what classifies: the best explanation of the likelihood, or the decoder of the network.
    """
    rows = spectra.reshape(-1, spectra.shape[-1])
    good = usable(rows)
    found = np.full(rows.shape, np.nan, dtype=np.float32)
    rows, given = _usable_rows(rows, given, good)
    by_rule = model.classifier == "likelihood" and model.likelihood is not None
    if len(rows) and not by_rule:
        found[good] = model.decode(model.encode(rows))
    elif len(rows) and model.likelihood is not None:
        best = model.likelihood.best(rows, given, model.placed, model.energy_ev)
        found[good] = best.explained + best.background
    return found.reshape(spectra.shape)
