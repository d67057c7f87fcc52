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

import functools
import inspect
import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from hyperspy.signals import BaseSignal, LazySignal, LazySignal1D, Signal1D

from hyperspy_dosekin.lazy.blocks import wrap
from hyperspy_dosekin.signals.axes.quantity import is_per_ev

#: Where a variance says that it is ours, in its own metadata, and where its signal says so.
_OURS = "Dosekin.follows_its_signal"
_STATE = "Dosekin.noise_variance"
_ATTACHED, _LOST = "attached", "lost"

Class = TypeVar("Class", bound=type)


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
    if not isinstance(recorded, BaseSignal) or _share_axes(signal):
        return recorded
    joined = _joined(recorded.data, signal.data.shape)
    if joined is not None:
        attach_variance(signal, joined)
        return signal.metadata.Signal.Noise_properties.variance
    _drop(
        signal,
        f"the noise variance has the shape {recorded.data.shape}, but the data have "
        f"{signal.data.shape}: the data have been cut or joined without it. It is left out; set "
        "another with s.set_noise_variance.",
    )
    return None


def variance_was_lost(signal: BaseSignal) -> bool:
    """Whether these data once had a variance of ours, so that no other law of noise is theirs."""
    return signal.metadata.get_item(_STATE) == _LOST


def keep_in_step(cls: Class) -> Class:
    """Hook the methods of a signal class that would part data and variance.

    Parameters
    ----------
    cls
        The class, changed in place. Methods that it does not have are passed over.
    """
    if "_dosekin_in_step" in vars(cls):
        return cls
    for name, hook in _HOOKS.items():
        if hasattr(cls, name):
            setattr(cls, name, _hooked(cls, name, hook))
    cls._dosekin_in_step = True
    return cls


def _hooked(cls: type, name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
    own = vars(cls).get(name)

    @functools.wraps(getattr(cls, name))
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The lazy twin has methods of its own further down its line.
        call = getattr(super(cls, self), name) if own is None else functools.partial(own, self)
        return hook(self, call, name, *args, **kwargs)

    return method


def _ours(signal: BaseSignal) -> Any:
    """The variance of a signal if it is one of ours, else ``None``."""
    variance = signal.metadata.get_item("Signal.Noise_properties.variance")
    if isinstance(variance, BaseSignal) and variance.metadata.get_item(_OURS):
        return variance
    return None


def _share_axes(signal: BaseSignal) -> bool:
    """Let the variance have the axes of its signal, if it has its shape; return whether."""
    variance = signal.metadata.Signal.Noise_properties.variance
    if variance.data.shape != signal.data.shape:
        return False
    variance.axes_manager = signal.axes_manager
    return True


def share_axes(signal: BaseSignal) -> None:
    """Let the variance of a signal, if there is one of its shape, have the axes of the signal."""
    if isinstance(signal.metadata.get_item("Signal.Noise_properties.variance"), BaseSignal):
        _share_axes(signal)


def _joined(variance: Any, shape: tuple[int, ...]) -> Any:
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


def _drop(signal: BaseSignal, message: str) -> None:
    signal.set_noise_variance(None)
    signal.metadata.set_item(_STATE, _LOST)
    warn_user(message)


def follows(signal: BaseSignal) -> bool:
    """Whether a signal has a noise variance of ours."""
    return _ours(signal) is not None


def warn_user(message: str) -> None:
    """Warn, with the line where the user called as the place."""
    level = 2
    for frame in inspect.stack(context=0)[1:]:
        if not any(part in frame.filename for part in ("hyperspy", "exspy", "functools")):
            break
        level += 1
    warnings.warn(message, UserWarning, stacklevel=level)


# Hooks get the signal, the method as it was, its name and the arguments of the call.


def _slice(self: Any, call: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    # HyperSpy slices the variance by its own axes, which calibration has not reached in a copy.
    if _ours(self) is not None:
        _share_axes(self)
    return call(*args, **kwargs)


def _get(self: Any, call: Any, name: str) -> Any:
    return call() if _ours(self) is None else variance_of(self)


def _transpose(self: Any, call: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    variance = _ours(self)
    if variance is None or variance_of(self) is None:
        return call(*args, **kwargs)
    # With the axes of the signal, so that axes may be given as objects.
    turned = _ours(self).transpose(*args, **kwargs)
    properties = self.metadata.Signal.Noise_properties
    variance, properties.variance = properties.variance, None
    try:
        result = call(*args, **kwargs)
    finally:
        properties.variance = variance
    attach_variance(result, turned.data)
    return result


def _crop(self: Any, call: Any, name: str, axis: Any, *args: Any, **kwargs: Any) -> None:
    variance = _ours(self)
    if variance is None or not _share_axes(self):
        call(axis, *args, **kwargs)
        return
    place = self.axes_manager[axis].index_in_axes_manager
    variance.axes_manager = self.axes_manager.deepcopy()
    variance.crop(place, *args, **kwargs)
    call(axis, *args, **kwargs)
    _share_axes(self)


def _split(self: Any, call: Any, name: str, *args: Any, **kwargs: Any) -> list[Any]:
    parts = call(*args, **kwargs)
    variance = _ours(self)
    if variance is None or all(part.data.shape == _shape_of(part) for part in parts):
        return parts
    if variance_of(self) is not None:
        variance = variance.deepcopy()
        variance.metadata._HyperSpy = self.metadata._HyperSpy.deepcopy()
        pieces = variance.split(*args, **kwargs)
        for part, piece in zip(parts, pieces, strict=True):
            attach_variance(part, piece.data)
    return parts


def _shape_of(signal: BaseSignal) -> tuple[int, ...] | None:
    variance = _ours(signal)
    return None if variance is None else variance.data.shape


def _rebin(self: Any, call: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    out = inspect.signature(call).bind(*args, **kwargs).arguments.get("out")
    if out is not None and _ours(out) is not None:
        # HyperSpy would write the variance over the data.
        _drop(out, "rebin(out=…) drops the noise variance; leave out= out to keep it.")
    result = call(*args, **kwargs)
    made = result if out is None else out
    axis = self.axes_manager.signal_axes[0]
    if not is_per_ev(self) or not axis.is_uniform:
        return result
    # Values per eV are not summed but averaged when channels are joined.
    number = made.axes_manager.signal_axes[0].scale / axis.scale
    if number != 1:
        made.data = made.data / number
        variance = _ours(made)
        if variance is not None:
            variance.data = variance.data / number**2
    return result


def _changes_values(self: Any, call: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    if _ours(self) is None or not _in_place(call, args, kwargs):
        return call(*args, **kwargs)
    properties = self.metadata.Signal.Noise_properties
    variance, properties.variance = properties.variance, None
    try:
        result = call(*args, **kwargs)
    except BaseException:
        properties.variance = variance
        raise
    _drop(
        self,
        f"{name} changes data, but not their noise variance, which is therefore dropped. "
        "Integrate windows before, or set another with s.set_noise_variance.",
    )
    return result


def _undone(self: Any, call: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """For methods that change the data for a while."""
    variance = _ours(self)
    if variance is None:
        return call(*args, **kwargs)
    properties = self.metadata.Signal.Noise_properties
    properties.variance = None
    try:
        return call(*args, **kwargs)
    finally:
        properties.variance = variance


def _in_place(call: Any, args: Any, kwargs: Any) -> bool:
    bound = inspect.signature(call).bind(*args, **kwargs)
    bound.apply_defaults()
    return bool(bound.arguments.get("inplace", True))


def _scales(self: Any, call: Any, name: str, other: Any) -> Any:
    variance = _ours(self)
    if variance is None or not isinstance(other, Real):
        return _changes_values(self, call, name, other)
    result = call(other)
    factor = float(other) if name == "__imul__" else 1 / float(other)
    variance.data = variance.data * factor**2
    return result


def _adds(self: Any, call: Any, name: str, other: Any) -> Any:
    return call(other) if isinstance(other, Real) else _changes_values(self, call, name, other)


_HOOKS: dict[str, Callable[..., Any]] = {
    "_slicer": _slice,
    "get_noise_variance": _get,
    "crop": _crop,
    "split": _split,
    "rebin": _rebin,
    "transpose": _transpose,
    **dict.fromkeys(("decomposition", "blind_source_separation"), _undone),
    **dict.fromkeys(("__imul__", "__itruediv__"), _scales),
    **dict.fromkeys(("__iadd__", "__isub__"), _adds),
    **dict.fromkeys(
        (
            *("__ifloordiv__", "__imod__", "__ipow__", "__ilshift__", "__irshift__"),
            *("__iand__", "__ixor__", "__ior__"),
            *("shift1D", "align1D", "align_zero_loss_peak", "interpolate_in_between"),
            *("smooth_savitzky_golay", "smooth_lowess", "smooth_tv", "filter_butterworth"),
            *("hanning_taper", "gaussian_filter", "apply_apodization", "remove_spikes"),
            *("remove_baseline", "interpolate_on_axis", "map"),
            *("add_poissonian_noise", "add_gaussian_noise", "normalize_poissonian_noise"),
        ),
        _changes_values,
    ),
}
