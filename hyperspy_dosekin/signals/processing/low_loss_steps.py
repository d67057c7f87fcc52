# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `process_low_loss` has done, step by step, for its record."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.signals.processing.one_pass import Seen

#: What spectra are divided by, in words, for the record.
NORMALISED_TO = {
    "zero_loss": "area of the zero-loss peak, per eV",
    "total": "area of the spectrum, per eV",
}


def low_loss_steps(
    chain: LowLossChain,
    seen: Seen,
    found: dict[str, Any],
    moved: np.ndarray,
    offset_ev: float,
    zero_loss: Any,
    zero_loss_range: Any,
    vacuum_threshold: float,
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, tuple[Any, str]]]]:
    """Parameters and diagnostics of each step that was done, in order."""
    steps: dict[str, dict[str, Any]] = {}
    diagnostics: dict[str, dict[str, tuple[Any, str]]] = {}
    steps["zero_loss_peak"] = {"range": zero_loss_range or "whole axis"}
    diagnostics["zero_loss_peak"] = {
        "zero_loss_fwhm": (seen.fwhm * chain.scale_ev, "FWHM (eV)"),
        "zero_loss_found": (seen.found, ""),
        "zero_loss_saturated": (seen.saturated, ""),
    }
    if chain.spikes:
        steps["spikes"] = {
            "threshold": chain.threshold,
            "gain": float(chain.gain),
            "offset": float(chain.offset),
        }
        diagnostics["spikes"] = {"spikes": (found["spikes"], "Replaced channels")}
    if chain.align != "none":
        steps["align"] = {"energy_offset": offset_ev, "method": chain.align}
        diagnostics["align"] = {
            "shift": (moved, "Shift (eV)"),
            "ringing": (found["ringing"], "Alternation / intensity"),
        }
    if chain.n_dark:
        steps["dark"] = {"channels": chain.n_dark}
        diagnostics["dark"] = {"dark_level": (found["dark_level"], "Intensity (counts)")}
    if chain.background is not None:
        steps["background"] = {"model": "power law", "window": chain.background}
        diagnostics["background"] = {
            "exponent": (found["exponent"], "Exponent"),
            "background_level": (found["background_level"], "Background (counts)"),
        }
    if chain.deconvolve or chain.normalise:
        described = zero_loss if isinstance(zero_loss, str | int | float) else "measured"
        if isinstance(zero_loss, str):
            described = chain.zero_loss if isinstance(chain.zero_loss, str) else "fitted"
        steps["zero_loss"] = {"model": described, "vacuum_threshold": vacuum_threshold}
        thickness = found["t_over_lambda"]
        diagnostics["zero_loss"] = {
            "zero_loss_intensity": (found["zero_loss_intensity"], "Intensity (counts)"),
            "t_over_lambda": (thickness, "t/λ"),
            "vacuum_mask": (thickness < vacuum_threshold, ""),
        }
    if chain.deconvolve:
        steps["deconvolve"] = {"method": "Fourier-log", "resolution": chain.resolution}
    if chain.normalise:
        steps["normalise"] = {"to": NORMALISED_TO[str(chain.normalise)]}
    return steps, diagnostics
