# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A noise variance that stays in step with its data, whatever is done to them.

HyperSpy keeps the variance of a signal as a second signal in its metadata. Slices, rebinning and
transposition act on both, each by its own axes; a crop, an alignment or arithmetic in place act on
the data alone. The variance that this package attaches shares the axes of its signal, as that of
HyperSpy's own `estimate_poissonian_noise_variance` does, and the methods that would part the two
are hooked: they treat the variance as well, or drop it and say so. Signals with a variance of
another origin are left to HyperSpy.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
from hyperspy.signals import BaseSignal, LazySignal, LazySignal1D, Signal1D

from hyperspy_dosekin.lazy.blocks import wrap
from hyperspy_dosekin.signals.axes.variance_memory import factor_since, remember, set_by_hand

#: Where a variance says that it is ours, in its own metadata, and where its signal says so.
_OURS = "Dosekin.follows_its_signal"
_STATE = "Dosekin.noise_variance"
_ATTACHED, _LOST = "attached", "lost"


def attach_variance(
    signal: BaseSignal, variance: Any, classes: tuple[type, type] = (Signal1D, LazySignal1D)
) -> None:
    """Give a signal the noise variance of its data.

    Parameters
    ----------
    signal
        A new signal, of this package.
    variance
        NumPy or dask array of the shape of the data, or ``None`` where nothing is known.
    classes
        Class of the variance, and its lazy twin.
    """
    if signal.metadata.has_item(_STATE):
        # Of the signal that this one was made of.
        del signal.metadata.Dosekin.noise_variance
    if variance is None:
        return
    if signal.axes_manager.signal_dimension != 1:
        classes = (BaseSignal, LazySignal)
    noise = wrap(*classes, variance)
    noise.metadata.General.title = f"Noise variance of {signal.metadata.General.title}"
    noise.metadata.set_item(_OURS, True)
    noise.axes_manager = signal.axes_manager
    signal.set_noise_variance(noise)
    signal.metadata.set_item(_STATE, _ATTACHED)
    remember(signal, noise)


def variance_of(signal: BaseSignal) -> Any:
    """Return what is recorded as the noise variance of a signal, or ``None``.

    A variance of another shape than the data belongs to other data. It is put right where what
    happened is known, as after `hyperspy.api.stack`; otherwise it is left out.

    Returns
    -------
    BaseSignal, number or None
        A signal has the shape of the data.

    Warns
    -----
    UserWarning
        Once for each signal, if a variance is left out, or HyperSpy has dropped one.
    """
    # Not by the method, which may be the one that asks here.
    recorded = signal.metadata.get_item("Signal.Noise_properties.variance")
    if recorded is None:
        if signal.metadata.get_item(_STATE) == _ATTACHED:
            signal.metadata.set_item(_STATE, _LOST)
            warn_user(
                "the noise variance of these data is lost: HyperSpy drops it in arithmetic, sums, "
                "means and interpolation. What follows does without; set it with "
                "s.set_noise_variance, or integrate windows before."
            )
        return None
    if not isinstance(recorded, BaseSignal):
        return recorded
    if share_axes_if_alike(signal):
        return recorded if settle(signal) else None
    joined = _joined(recorded.data, signal.data.shape)
    if joined is not None:
        attach_variance(signal, joined)
        return signal.metadata.Signal.Noise_properties.variance
    drop(
        signal,
        f"the noise variance has the shape {recorded.data.shape}, but the data have "
        f"{signal.data.shape}: the data have been cut or joined without it. It is left out; set "
        "another with s.set_noise_variance.",
    )
    return None


def follow_a_factor(signal: BaseSignal) -> bool:
    """Let a variance of ours follow a factor of its data; whether that was all that happened."""
    variance = ours(signal)
    if variance is None:
        return True
    factor = factor_since(signal, variance)
    if factor is not None and factor != 1:
        variance.data = variance.data * factor
        remember(signal, variance)
    return factor is not None


def settle(signal: BaseSignal) -> bool:
    """Let a variance of the shape of its data follow what was done to them, or drop it and say so.

    Returns
    -------
    bool
        Whether it is there still. A variance of another origin is.
    """
    if follow_a_factor(signal):
        return True
    drop(
        signal,
        "the data have been changed in place, and not by a factor, so that their noise "
        "variance is another: it is left out. Set the right one with s.set_noise_variance.",
    )
    return False


def variance_was_lost(signal: BaseSignal) -> bool:
    """Whether these data once had a variance of ours, so that no other law of noise is theirs."""
    return signal.metadata.get_item(_STATE) == _LOST


def ours(signal: BaseSignal) -> Any:
    """The variance of a signal if it is one of ours, else ``None``."""
    variance = signal.metadata.get_item("Signal.Noise_properties.variance")
    if isinstance(variance, BaseSignal) and variance.metadata.get_item(_OURS):
        return variance
    return None


def share_axes_if_alike(signal: BaseSignal) -> bool:
    """Let the variance have the axes of its signal, if it has its shape; return whether."""
    variance = signal.metadata.Signal.Noise_properties.variance
    if variance.data.shape != signal.data.shape:
        return False
    variance.axes_manager = signal.axes_manager
    return True


def share_axes(signal: BaseSignal) -> None:
    """Let the variance of a signal, if there is one of its shape, have the axes of the signal."""
    if isinstance(signal.metadata.get_item("Signal.Noise_properties.variance"), BaseSignal):
        share_axes_if_alike(signal)


def _joined(variance: Any, shape: tuple[int, ...]) -> object:
    """Put the variances of stacked signals one upon the other, or return ``None``.

    `hyperspy.api.stack` joins those of signals stacked along a new axis end to end.
    """
    if len(shape) < 2 or len(shape) != variance.ndim + 1:
        return None
    number, *rest = shape
    for axis, size in enumerate(rest):
        if variance.shape == (*rest[:axis], number * size, *rest[axis + 1 :]):
            parts = variance.reshape(*rest[:axis], number, size, *rest[axis + 1 :])
            return np.moveaxis(parts, axis, 0)
    return None


def drop(signal: BaseSignal, message: str) -> None:
    """Take the variance from a signal, and say why."""
    forget(signal)
    warn_user(message)


def forget(signal: BaseSignal) -> None:
    """Take the variance from a signal that has one, or ``None`` in its place."""
    del signal.metadata.Signal.Noise_properties.variance
    if signal.metadata.has_item(_STATE):
        signal.metadata.set_item(_STATE, _LOST)


def follows(signal: BaseSignal) -> bool:
    """Whether a signal has a noise variance of ours, as it was made."""
    variance = ours(signal)
    return variance is not None and not set_by_hand(signal, variance)


def warn_user(message: str) -> None:
    """Warn, with the line where the user called as the place."""
    # Not inspect.stack(), which looks for the module of every frame, up to ten milliseconds in all.
    level, frame, passed = 2, inspect.currentframe(), ("hyperspy", "exspy", "functools")
    frame = frame.f_back if frame else None
    while frame and any(part in frame.f_code.co_filename for part in passed):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
