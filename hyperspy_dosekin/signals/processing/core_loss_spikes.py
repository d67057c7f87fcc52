# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of spikes in core-loss spectra, which stay where they are."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import cpu_count, map_blocks
from hyperspy_dosekin.processing.core_loss.narrow import NUMBERS, PLACES, narrow_places
from hyperspy_dosekin.signals.processing.recorded import Recorded

#: Height of a spike in standard deviations, and where there are too few spectra to compare with.
_SPIKE, _SPIKE_ALONE, _FEW = 10.0, 25.0, 3
#: What more spectra than these have in a channel is a line, or the channel.
_SHARED, _SHARE = 2, 0.01
#: Spikes that are named.
_NAMED = 5
_logger = logging.getLogger(__name__)


def places_of_spikes(recorded: Recorded) -> Any:
    """What may be spikes, as lazy as the data."""
    return map_blocks(
        narrow_places,
        "(e)->(p,n)",
        recorded.data,
        output_sizes={"p": PLACES, "n": len(NUMBERS)},
        eager_options={"workers": cpu_count()},
        least=recorded.gain if np.isfinite(recorded.gain) else 0.0,
    )


def warn_of_spikes_in_edges(places: np.ndarray, recorded: Recorded, used: list[slice]) -> None:
    """Log spikes where areas are made, that only few spectra have.

    Parameters
    ----------
    places
        From `places_of_spikes`, computed.
    used
        Channels of which something is made, but for the fit of a background.
    """
    shape = places.shape[:-2]
    height, channel = np.moveaxis(places.reshape(-1, PLACES, len(NUMBERS)), -1, 0)
    channel = channel.astype(np.intp)
    number = len(height)
    clear = height > (_SPIKE if number >= _FEW else _SPIKE_ALONE)
    held = np.bincount(channel[clear], minlength=recorded.energy_ev.size + 1)
    # A line of a few spectra is where it is, up to a channel.
    near = held + np.roll(held, 1) + np.roll(held, -1)
    inside = np.zeros_like(clear)
    for part in used:
        inside |= (channel >= part.start) & (channel < part.stop)
    odd = clear & inside & (near[channel] <= max(min(_SHARED, number // _FEW), 1, _SHARE * number))
    rows, which = np.nonzero(odd)
    if not rows.size:
        return
    names = []
    for row, place in zip(rows[:_NAMED], which[:_NAMED], strict=True):
        energy = f"{recorded.energy_ev[channel[row, place]]:.5g} eV"
        index = tuple(map(int, np.unravel_index(row, shape))) if shape else ()
        names.append(f"{energy} of spectrum {index}" if shape else energy)
    _logger.warning(
        "%d of %d spectra have something as narrow as a spike where areas are made, which others "
        "have not: %s%s. It stays, and areas hold it; s.spikes_removal_tool removes it.",
        np.unique(rows).size,
        number,
        ", ".join(names),
        " and more" if rows.size > _NAMED else "",
    )
