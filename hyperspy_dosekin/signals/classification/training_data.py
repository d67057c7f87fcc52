# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a `DualVAE` is trained on, out of a signal."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.classification.plural import Scattering, scattering_of
from hyperspy_dosekin.lazy.blocks import sample_rows
from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.signals.classification.references import RecordedReferences, energy_of
from hyperspy_dosekin.signals.classification.spectra import (
    ascending,
    ascending_variance,
    check_spectra,
)

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.classification.references import ReferenceSet

_logger = logging.getLogger(__name__)

#: Widths that references are broadened with on trial, in channels.
_WIDTHS = (2.0, 3.0, 4.5, 7.0, 10.0)


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Spectra ``(n, n_channels)``, and where known their clean versions and noise variances."""

    spectra: np.ndarray
    clean: np.ndarray | None
    variance: np.ndarray | None


def training_axis(signal: BaseSignal) -> tuple[np.ndarray, object]:
    """Energies in eV and data of a signal that has enough channels."""
    from hyperspy_dosekin.classification.architecture import FEWEST_CHANNELS

    check_spectra(signal)
    energy, data = ascending(signal)
    if energy.size < FEWEST_CHANNELS:
        raise ValueError(
            f"{energy.size} channels are too few; the network needs {FEWEST_CHANNELS} at "
            "least: crop less, or do not rebin."
        )
    return energy, data


def training_rows(
    signal: BaseSignal, data: Any, clean: Any, number: int, rng: np.random.Generator
) -> TrainingRows:
    """Usable spectra of a sample, with what is known of them, float64."""
    from hyperspy_dosekin.classification.fitting import check_sample
    from hyperspy_dosekin.classification.prediction import usable

    arrays = [data]
    if clean is not None:
        if not hasattr(clean, "axes_manager"):
            raise TypeError(
                f"clean={short(clean)} must be a signal with the axes of the data, such as "
                "s.get_decomposition_model(10)."
            )
        if clean.data.shape != signal.data.shape:
            raise ValueError(
                f"clean has the shape {clean.data.shape}, the data {signal.data.shape}; they "
                "must be the same."
            )
        arrays.append(ascending(clean)[1])
    variance = ascending_variance(signal)
    if variance is not None:
        arrays.append(variance)
    rows, _ = sample_rows(arrays, number, rng)
    good = usable(rows[0])
    if not good.any():
        raise ValueError("no spectrum holds data: all are zero, constant or NaN; check the signal.")
    rows = [np.asarray(part[good], dtype=np.float64) for part in rows]
    check_sample(rows[0])
    noise = rows[-1] if variance is not None else None
    if noise is not None and not (np.isfinite(noise).all() and (noise >= 0).all()):
        _logger.warning(
            "the noise variance of %s is not finite and positive everywhere; the noise is "
            "estimated from the data instead.",
            signal,
        )
        noise = None
    return TrainingRows(rows[0], rows[1] if clean is not None else None, noise)


def likeliest_width(
    rows: np.ndarray, references: RecordedReferences, seed: int
) -> tuple[float, ReferenceSet]:
    """Broadening in eV with which references explain spectra best, and those references."""
    from hyperspy_dosekin.classification.estimation import likeliest

    step = float(np.median(np.diff(references.energy_ev)))
    widths = [0.0, *(step * np.array(_WIDTHS))]
    candidates = [references.on_axis(width) for width in widths]
    best = likeliest(rows, candidates, np.random.default_rng(seed))
    return float(widths[best]), candidates[best]


def read_low_loss(low_loss: Any) -> Scattering | None:
    """Further losses that a low-loss signal shows, the mean of all its spectra.

    Raises
    ------
    TypeError
        If it is no signal of spectra.
    ValueError
        If it has no zero-loss peak, or does not reach the plasmons.
    """
    if low_loss is None:
        return None
    if not hasattr(low_loss, "axes_manager") or low_loss.axes_manager.signal_dimension != 1:
        raise TypeError(
            f"low_loss={short(low_loss)} must be a signal of spectra with their zero-loss peak."
        )
    energy = energy_of(low_loss)
    navigation = tuple(range(low_loss.data.ndim - 1))
    mean = np.asarray(low_loss.data.mean(axis=navigation), dtype=np.float64)
    order = np.argsort(energy)
    return scattering_of(energy[order], mean[order])
