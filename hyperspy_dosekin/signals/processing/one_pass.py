# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Low-loss processing that reads data once: a sample is looked at, the rest is on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import column, compute
from hyperspy_dosekin.lazy.sampling import spread_boxes
from hyperspy_dosekin.processing.low_loss.one_pass import NUMBERS, look_and_process
from hyperspy_dosekin.processing.low_loss.zero_loss import WIDEST_EV
from hyperspy_dosekin.signals.processing.look import counted_gain
from hyperspy_dosekin.signals.processing.recorded import Recorded, run_chain
from hyperspy_dosekin.signals.processing.survey import Survey

if TYPE_CHECKING:
    import numpy.typing as npt

CHOICES = ("auto", "all", "sample")
#: Bytes up to which ``"auto"`` looks at all.
ALL_UP_TO = 2**30
#: Boxes of a sample, and spectra of each, about.
BOXES, BOX = 8, 64
#: Drift beyond that of the sample for which room is left: a share of it, and channels.
_MORE_DRIFT, _MORE_CHANNELS = 0.25, 2.0


@dataclass(frozen=True, eq=False)
class Seen:
    """The zero-loss peak of every spectrum, arrays of the navigation shape, lazy or not.

    Parameters
    ----------
    position, fwhm
        Channel and full width at half maximum in channels; NaN where there is none.
    found, saturated
        Whether there is one, and whether it has a flat top.
    """

    position: Any
    fwhm: Any
    found: Any
    saturated: Any

    @classmethod
    def of(cls, survey: Survey) -> Seen:
        """What a survey of all spectra saw."""
        return cls(survey.position, survey.fwhm, survey.found, survey.saturated)

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> Seen:
        """No peak anywhere."""
        nowhere, no = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
        return cls(nowhere, nowhere, no, no)


def sample_of(recorded: Recorded, choice: str) -> Recorded | None:
    """Return some spectra in memory, ``(n, energy)``, or ``None`` if all are to be looked at.

    Parameters
    ----------
    choice
        One of `CHOICES`, see `process_low_loss`.

    Raises
    ------
    ValueError
        If the choice is none of them.
    """
    if choice not in CHOICES:
        raise ValueError(
            f"survey={choice!r} is none of {CHOICES}; 'all' looks at every spectrum first, "
            "'sample' reads lazy data once."
        )
    data = recorded.data
    shape = data.shape[:-1]
    if choice == "all" or (choice == "auto" and data.nbytes <= ALL_UP_TO):
        return None
    boxes = spread_boxes(shape, BOXES, BOX)
    number = sum(math.prod(part.stop - part.start for part in box) for box in boxes)
    if number >= math.prod(shape):
        return None
    # Never by chunks: lazy and eager data, and other chunks, are to give the same numbers.
    parts = compute(*(data[box] for box in boxes))
    taken = np.concatenate([np.asarray(part).reshape(-1, data.shape[-1]) for part in parts])
    # Of a known variance a survey asks only whether there is one.
    variance = None if recorded.variance is None else np.broadcast_to(np.nan, taken.shape)
    return replace(recorded, data=taken, variance=variance)


def room_for(survey: Survey) -> float:
    """Channels that the axis loses at either end to drifts that a sample has not seen."""
    return _MORE_DRIFT * float(np.ptp(survey.position[survey.found])) + _MORE_CHANNELS


def run_in_one_pass(
    recorded: Recorded, search: slice, near: slice | None, chain: Any, dtype: npt.DTypeLike
) -> tuple[Any, Any, Any, Seen]:
    """Spectra, diagnostics, noise variance (or ``None``) and what was seen, as lazy as the data.

    Parameters
    ----------
    recorded
        All spectra.
    search
        Channels in which the zero-loss peak is.
    near
        Those in which it was in the sample, if its spectra agree.
    chain
        The steps.
    dtype
        Type of the spectra in the result.
    """
    kind = np.dtype(recorded.data.dtype)
    spectra, numbers, variance = run_chain(
        look_and_process,
        recorded,
        sizes=(chain.stop - chain.start, len(NUMBERS)),
        dtype=dtype,
        method="process_low_loss",
        chain=chain,
        device=recorded.device,
        widest=WIDEST_EV / recorded.scale_ev,
        search=search,
        gain=counted_gain(recorded),
        near=near,
        largest_value=float(np.iinfo(kind).max) if kind.kind in "iu" else np.inf,
    )
    seen = {name: column(numbers, place) for place, name in enumerate(NUMBERS)}
    found = Seen(seen["position"], seen["fwhm"], seen["found"] > 0, seen["saturated"] > 0)
    return spectra, numbers, variance, found
