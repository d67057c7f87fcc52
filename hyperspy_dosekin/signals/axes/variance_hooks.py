# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Methods of HyperSpy's signals that would part data and noise variance, hooked."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.signals.axes.quantity import is_per_ev
from hyperspy_dosekin.signals.axes.recorded_names import save_words, texts_for_others
from hyperspy_dosekin.signals.axes.variance import (
    attach_variance,
    drop,
    follow_a_factor,
    forget,
    ours,
    settle,
    share_axes_if_alike,
    variance_of,
)
from hyperspy_dosekin.signals.axes.variance_memory import remember

Class = TypeVar("Class", bound=type)


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
    def method(self: BaseSignal, *args: object, **kwargs: object) -> Any:
        # The lazy twin has methods of its own further down its line.
        call = getattr(super(cls, self), name) if own is None else functools.partial(own, self)
        return hook(self, call, name, *args, **kwargs)

    return method


# Hooks get the signal, the method as it was, its name and the arguments of the call.


def _slice(
    self: BaseSignal, call: Callable[..., Any], name: str, *args: object, **kwargs: object
) -> Any:
    # HyperSpy slices the variance by its own axes, which calibration has not reached in a copy.
    if ours(self) is None:
        return call(*args, **kwargs)
    if share_axes_if_alike(self):
        settle(self)
    result = call(*args, **kwargs)
    made = kwargs.get("out") if result is None else result
    if isinstance(made, BaseSignal):
        _remember_again(made)
    return result


def _settled(
    self: BaseSignal, call: Callable[..., Any], name: str, *args: object, **kwargs: object
) -> Any:
    """For methods that carry the variance along, and the memory of the data with it."""
    if ours(self) is not None and share_axes_if_alike(self):
        settle(self)
    return call(*args, **kwargs)


def _remember_again(signal: BaseSignal) -> None:
    variance = ours(signal)
    if variance is not None and variance.data.shape == signal.data.shape:
        remember(signal, variance)


def _get(self: BaseSignal, call: Callable[..., Any], name: str) -> Any:
    if ours(self) is None:
        return call()
    if share_axes_if_alike(self):
        # Whoever asks for it may be about to change it along with the data.
        follow_a_factor(self)
        return call()
    return variance_of(self)


def _set(self: BaseSignal, call: Callable[..., Any], name: str, variance: Any) -> None:
    call(variance)
    if variance is None:
        # HyperSpy keeps the None, and cannot stack such signals.
        forget(self)


def _transpose(
    self: BaseSignal, call: Callable[..., Any], name: str, *args: object, **kwargs: object
) -> Any:
    variance = ours(self)
    if variance is None or variance_of(self) is None:
        return call(*args, **kwargs)
    # With the axes of the signal, so that axes may be given as objects.
    turned = ours(self).transpose(*args, **kwargs)
    properties = self.metadata.Signal.Noise_properties
    variance, properties.variance = properties.variance, None
    try:
        result = call(*args, **kwargs)
    finally:
        properties.variance = variance
    attach_variance(result, turned.data)
    return result


def _current(
    self: BaseSignal, call: Callable[..., Any], name: str, *args: object, **kwargs: object
) -> Any:
    # HyperSpy gives each spectrum, as in a loop over a signal, the variance of all.
    variance = ours(self)
    if variance is None or variance_of(self) is None:
        return call(*args, **kwargs)
    own = variance.inav[self.axes_manager.indices] if self.axes_manager.indices else variance
    properties = self.metadata.Signal.Noise_properties
    properties.variance = None
    try:
        result = call(*args, **kwargs)
    finally:
        properties.variance = variance
    attach_variance(result, np.asarray(own.data).reshape(result.data.shape))
    return result


def _crop(
    self: BaseSignal,
    call: Callable[..., Any],
    name: str,
    axis: Any,
    *args: object,
    **kwargs: object,
) -> None:
    variance = ours(self)
    if variance is None or not share_axes_if_alike(self) or not settle(self):
        call(axis, *args, **kwargs)
        return
    place = self.axes_manager[axis].index_in_axes_manager
    variance.axes_manager = self.axes_manager.deepcopy()
    variance.crop(place, *args, **kwargs)
    call(axis, *args, **kwargs)
    if share_axes_if_alike(self):
        _remember_again(self)


def _split(
    self: BaseSignal, call: Callable[..., Any], name: str, *args: object, **kwargs: object
) -> list[Any]:
    parts = call(*args, **kwargs)
    variance = ours(self)
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
    variance = ours(signal)
    return None if variance is None else variance.data.shape


def _rebin(
    self: BaseSignal, call: Callable[..., Any], name: str, *args: object, **kwargs: object
) -> Any:
    out = inspect.signature(call).bind(*args, **kwargs).arguments.get("out")
    if out is not None and ours(out) is not None:
        # HyperSpy would write the variance over the data.
        drop(out, "rebin(out=…) drops the noise variance; leave out= out to keep it.")
    result = _settled(self, call, name, *args, **kwargs)
    made = result if out is None else out
    axis = self.axes_manager.signal_axes[0]
    if not is_per_ev(self) or not axis.is_uniform:
        return result
    # Values per eV are not summed but averaged when channels are joined.
    number = made.axes_manager.signal_axes[0].scale / axis.scale
    if number != 1:
        made.data = made.data / number
        variance = ours(made)
        if variance is not None:
            variance.data = variance.data / number**2
    _remember_again(made)
    return result


def _changes_values(
    self: BaseSignal, call: Callable[..., Any], name: str, *args: object, **kwargs: object
) -> Any:
    if ours(self) is None or not _in_place(call, args, kwargs):
        return call(*args, **kwargs)
    properties = self.metadata.Signal.Noise_properties
    variance, properties.variance = properties.variance, None
    try:
        result = call(*args, **kwargs)
    except BaseException:
        properties.variance = variance
        raise
    drop(
        self,
        f"{name} changes data, but not their noise variance, which is therefore dropped. "
        "Integrate windows before, or set another with s.set_noise_variance.",
    )
    return result


def _undone(
    self: BaseSignal, call: Callable[..., Any], name: str, *args: object, **kwargs: object
) -> Any:
    """For methods that change the data for a while."""
    variance = ours(self)
    if variance is None:
        return call(*args, **kwargs)
    properties = self.metadata.Signal.Noise_properties
    properties.variance = None
    try:
        return call(*args, **kwargs)
    finally:
        properties.variance = variance


def _in_place(call: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    bound = inspect.signature(call).bind(*args, **kwargs)
    bound.apply_defaults()
    return bool(bound.arguments.get("inplace", True))


def _scales(self: BaseSignal, call: Callable[..., Any], name: str, other: Any) -> Any:
    variance = ours(self)
    if variance is None or not isinstance(other, Real):
        return _changes_values(self, call, name, other)
    result = call(other)
    factor = float(other) if name == "__imul__" else 1 / float(other)
    variance.data = variance.data * factor**2
    _remember_again(self)
    return result


def _adds(self: BaseSignal, call: Callable[..., Any], name: str, other: Any) -> Any:
    if not isinstance(other, Real):
        return _changes_values(self, call, name, other)
    result = call(other)
    _remember_again(self)
    return result


_HOOKS: dict[str, Callable[..., Any]] = {
    "save": save_words,
    "_assign_subclass": texts_for_others,
    "_slicer": _slice,
    "get_noise_variance": _get,
    "set_noise_variance": _set,
    "as_lazy": _settled,
    "crop": _crop,
    "split": _split,
    "get_current_signal": _current,
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
