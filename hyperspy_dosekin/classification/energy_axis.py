# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether data are on the energy axis of a model."""

from __future__ import annotations

import numpy as np

#: How far an energy may be from that of the model, in channels.
_TOLERANCE = 0.1


def check_energies(known_ev: np.ndarray, energy_ev: np.ndarray, *, what: str) -> None:
    """Refuse data on another axis.

    Parameters
    ----------
    known_ev
        Energies that the model was trained on, ``(n_channels,)``, ascending.
    energy_ev
        Energies of the data, ``(n,)``, ascending.
    what
        What the data are, for the message.

    Raises
    ------
    ValueError
        If they differ by more than a tenth of a channel, or in number.
    """
    step = float(np.median(np.diff(known_ev)))
    same = known_ev.size == energy_ev.size
    if same and np.abs(known_ev - energy_ev).max() < _TOLERANCE * step:
        return
    found = "has no channel"
    if energy_ev.size:
        found = f"has {energy_ev.size} from {energy_ev[0]:g} to {energy_ev[-1]:g} eV"
    raise ValueError(
        f"the model was trained on {known_ev.size} channels from {known_ev[0]:g} to "
        f"{known_ev[-1]:g} eV, the {what} {found}; crop, rebin or interpolate the {what} to the "
        "axis of the model, or train a new one."
    )
