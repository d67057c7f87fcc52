# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether intensities are contents of channels or densities per eV, and the unit of their area.

HyperSpy tells the two by `is_binned` of the energy axis, but exspy makes every `EELSSpectrum`
binned anew whenever one is made, copied, sliced or turned lazy. A unit of "per eV" in
``metadata.Signal.quantity`` stays with the data, and is therefore believed first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

_UNIT_IN_PARENTHESES = re.compile(r"\(([^()]+)\)\s*$")
_PER_EV = re.compile(r"^(?P<unit>.*?)\s*(?:/\s*eV|[·*\s]?\s*eV\s*(?:⁻¹|\^?-1))$")


def unit_of(signal: BaseSignal) -> str:
    """Unit in the parentheses of ``metadata.Signal.quantity``, or an empty string."""
    quantity = str(signal.metadata.get_item("Signal.quantity", ""))
    found = _UNIT_IN_PARENTHESES.search(quantity)
    return found.group(1).strip() if found else ""


def is_per_ev(signal: BaseSignal) -> bool:
    """Whether ``metadata.Signal.quantity`` says that intensities are per eV."""
    return _PER_EV.match(unit_of(signal)) is not None


def holds_channel_contents(signal: BaseSignal) -> bool:
    """Whether intensities are summed over a channel, such as counts, and not per eV."""
    return signal.axes_manager.signal_axes[0].is_binned and not is_per_ev(signal)


def area_quantity(signal: BaseSignal) -> str:
    """Name of the integral over energy of the signal, with its unit.

    Examples
    --------
    >>> s = hs.signals.Signal1D([1.0, 2.0])
    >>> s.metadata.Signal.quantity = "Single scattering (1/eV)"
    >>> area_quantity(s)
    'Window area'
    >>> s.metadata.Signal.quantity = "Intensity (Counts)"
    >>> area_quantity(s)
    'Window area (Counts eV)'
    """
    unit = unit_of(signal)
    density = _PER_EV.match(unit)
    if density:
        unit = density.group("unit").strip()
        unit = "" if unit == "1" else unit
    elif not signal.axes_manager.signal_axes[0].is_binned:
        unit = f"{unit} eV".strip()
    return f"Window area ({unit})" if unit else "Window area"
