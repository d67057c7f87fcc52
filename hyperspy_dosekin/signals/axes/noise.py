# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the metadata and the data say about the noise of a signal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.signals.axes.variance import variance_of, variance_was_lost

#: Quantity of counts, as readers of files write it.
COUNTS = "Intensity (Counts)"
_COUNTS = re.compile(r"\bcounts?\b", re.IGNORECASE)
_REMEDY = "set it with s.set_noise_variance, or clear it with s.set_noise_variance(None)."


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise variance of the elements of a signal.

    Parameters
    ----------
    gain, offset
        The variance of an element is ``gain·max(intensity, 0) + offset``.
    variance
        The variance of each element instead, an array with the shape of the data, or ``None``.
    """

    gain: float = 0.0
    offset: float = 0.0
    variance: Any = None


def noise_of(signal: BaseSignal) -> Noise | None:
    """Return the noise of a signal, or ``None`` where nothing is known.

    In this order: the variance in ``metadata.Signal.Noise_properties``; the linear model there,
    ``(gain_factor·E + gain_offset)·correlation_factor``; Poisson noise where the data are counts,
    that is where they are integers or ``metadata.Signal.quantity`` names counts.

    A correlation factor other than 1 says that neighbouring elements are correlated. It enters the
    variance of an element as in HyperSpy; a sum over elements that are then taken as independent
    gets a variance that is wrong by up to that factor. A negative offset is no variance, and taken
    for none.

    Parameters
    ----------
    signal
        A HyperSpy signal with real data.

    Raises
    ------
    ValueError
        If a recorded variance is negative or not finite.
    TypeError
        If a recorded variance is neither a number nor a signal.
    """
    recorded = variance_of(signal)
    if isinstance(recorded, BaseSignal):
        return Noise(variance=recorded.data)
    if recorded is not None:
        if not isinstance(recorded, Real):
            raise TypeError(
                f"the noise variance is {recorded!r}, neither a number nor a signal; {_REMEDY}"
            )
        if not 0 <= _number(recorded) < np.inf:
            raise ValueError(
                f"the noise variance is {recorded}, but must be finite and not negative; {_REMEDY}"
            )
        return Noise(offset=float(recorded))
    model = signal.metadata.get_item("Signal.Noise_properties.Variance_linear_model")
    if model is not None:
        gain, offset, correlation = (
            _model_parameter(model, name, default)
            for name, default in (
                ("gain_factor", 1.0),
                ("gain_offset", 0.0),
                ("correlation_factor", 1.0),
            )
        )
        return Noise(gain=gain * correlation, offset=offset * correlation)
    if holds_counts(signal) and not variance_was_lost(signal):
        return Noise(gain=1.0)
    return None


def _number(value: Real) -> float:
    """A number as a float; infinite where it is a whole number that no float holds."""
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _model_parameter(model: Any, name: str, default: float) -> float:
    value = model.get_item(name, default)
    if name == "gain_offset" and isinstance(value, Real) and -np.inf < _number(value) < 0:
        # Readers write the origin of DigitalMicrograph's intensity scale here.
        return default
    if not isinstance(value, Real) or not 0 <= _number(value) < np.inf:
        raise ValueError(
            f"metadata.Signal.Noise_properties.Variance_linear_model.{name} is {value!r}, but must "
            "be a finite number and not negative; correct it, or delete "
            "s.metadata.Signal.Noise_properties."
        )
    return float(value)


def check_absolute(noise: str, variance: object, whose: str = "these") -> None:
    """Refuse ``noise="absolute"`` for data of which no variance is known.

    Parameters
    ----------
    noise
        As an option of a fit.
    variance
        Of the data, ``None`` where it is not known.
    whose
        The data, in words.

    Raises
    ------
    ValueError
        If there is none.
    """
    if noise == "absolute" and variance is None:
        raise ValueError(
            f'noise="absolute" takes the noise variance of the data for their noise, and {whose} '
            "have none: set it with set_noise_variance (arithmetic drops it), or pass "
            'noise="relative".'
        )


def holds_counts(signal: BaseSignal) -> bool:
    """Return whether the data of a signal are counts: integers, or counts by their quantity."""
    quantity = signal.metadata.get_item("Signal.quantity", "")
    return bool(np.issubdtype(signal.data.dtype, np.integer) or _COUNTS.search(str(quantity)))
