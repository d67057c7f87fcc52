# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a `DualVAE` is trained on, out of a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import sample_rows
from hyperspy_dosekin.signals.classification.references import RecordedReferences
from hyperspy_dosekin.signals.classification.spectra import ascending, check_spectra

if TYPE_CHECKING:
    from hyperspy_dosekin.classification.references import ReferenceSet

#: Widths that references are broadened with on trial, in channels.
_WIDTHS = (2.0, 3.0, 4.5, 7.0, 10.0)


def training_axis(signal: Any) -> tuple[np.ndarray, Any]:
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
    signal: Any, data: Any, clean: Any, number: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Usable spectra of a sample, and their clean versions if there are some, float64."""
    from hyperspy_dosekin.classification.fitting import check_sample
    from hyperspy_dosekin.classification.model import usable

    arrays = [data]
    if clean is not None:
        if clean.data.shape != signal.data.shape:
            raise ValueError(
                f"clean has the shape {clean.data.shape}, the data {signal.data.shape}; they "
                "must be the same."
            )
        arrays.append(ascending(clean)[1])
    rows, _ = sample_rows(arrays, number, rng)
    good = usable(rows[0])
    if not good.any():
        raise ValueError("no spectrum holds data: all are zero, constant or NaN; check the signal.")
    rows = [np.asarray(part[good], dtype=np.float64) for part in rows]
    check_sample(rows[0])
    return rows


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
