# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the model of the zero-loss peak may have left in the areas of windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.processing.low_loss.left_again import moved_by, orders_of_the_near
from hyperspy_dosekin.signals.axes.energy import energy_in_ev
from hyperspy_dosekin.signals.processing.record import record_of

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.processing.low_loss.options import LowLossChain

#: Name of the error.
NAME = "zero-loss model"


def residue_record(
    residue: np.ndarray, single: np.ndarray | None, chain: LowLossChain
) -> dict[str, Any]:
    """What is recorded of it.

    Parameters
    ----------
    residue
        Share of the zero-loss peak per eV, on the channels kept.
    single
        Mean single scattering on them, ``None`` where there is none.
    """
    record: dict[str, Any] = {"energy_ev": chain.energy_ev, "share_per_ev": residue}
    record["fwhm_ev"] = chain.fwhm * chain.scale_ev
    if single is not None:
        origin = chain.origin - chain.start
        after = residue[origin:] * chain.scale_ev
        moved = moved_by(after, np.nan_to_num(single[origin:]), chain.fwhm)
        record["moved_per_ev"] = np.concatenate([np.zeros(origin), moved])
        per_channel = np.nan_to_num(single[origin:]) * chain.scale_ev
        orders = orders_of_the_near(per_channel, chain.fwhm) / chain.scale_ev
        record["share_per_ev"] = np.hypot(residue, np.concatenate([np.zeros(origin), orders]))
    return record


def zero_loss_residue(signal: BaseSignal, name: str = "share_per_ev") -> np.ndarray | None:
    """One standard deviation of what is left of the zero-loss peak, on the axis of a signal.

    Parameters
    ----------
    signal
        What `process_low_loss` returned, or a part of it.
    name
        ``"share_per_ev"``, or ``"moved_per_ev"`` for what it would move of the mean spectrum.

    Returns
    -------
    numpy.ndarray or None
        In the unit of the spectra, shape ``(n_channels,)``; ``None`` where it is not known, or
        spectra are not divided by the zero-loss peak.
    """
    record = record_of(signal)
    if record is None or record.chain != "process_low_loss":
        return None
    if not str(record.get_item("normalise.to", "")).startswith("area of the zero-loss peak"):
        return None
    residue = record.get_item("zero_loss.residue")
    if residue is None or not residue.has_item(name):
        return None
    energy = energy_in_ev(signal.axes_manager.signal_axes[0])
    return np.interp(energy, np.asarray(residue.energy_ev), np.asarray(residue[name]))
