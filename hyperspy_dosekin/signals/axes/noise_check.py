# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The noise that a file claims, beside that of its data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import as_lazy_as, compute, is_lazy, map_blocks
from hyperspy_dosekin.lazy.making import made_of
from hyperspy_dosekin.lazy.sampling import spread_boxes
from hyperspy_dosekin.numerics.noise_of_spectra import noise_by_spectra, ratio_of_spectra
from hyperspy_dosekin.numerics.photon_transfer import PhotonTransfer, photon_transfer
from hyperspy_dosekin.signals.axes.correlated_noise import (
    FACTOR,
    believed_noise,
    noise_of_windows,
)
from hyperspy_dosekin.signals.axes.noise import Noise, noise_of
from hyperspy_dosekin.signals.axes.variance import follows, warn_user

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.lazy.arrays import Array

#: Where a result says what is known of the noise.
NOISE = "Dosekin.noise"
#: Boxes of neighbouring spectra that are looked at, and spectra of each, about.
_BOXES, _BOX = 4, 32
#: What is said where the metadata deny all noise.
NO_NOISE = (
    "the metadata say that the data have no noise: their variance is zero, or no number, "
    "everywhere. The scatter of neighbouring spectra and channels is taken instead. Set "
    "metadata.Signal.Noise_properties right to be rid of this."
)
#: What is said where the noise of spectra differs, as after a division by exposures of their own.
_APART = (
    "the noise of these spectra, by the scatter of neighbouring channels, is from {0.least:.2g} to "
    "{0.most:.2g} times the variance that the metadata say, as where spectra were divided by "
    "exposures of their own. "
)
EACH = _APART + "The data are believed, spectrum by spectrum."
NOT_EACH = (
    _APART + "Noise of their neighbouring channels is alike, so that no single spectrum tells its "
    "own: the variance of single spectra may be wrong by as much. Set it with s.set_noise_variance."
)
#: Times the claim beyond which the noise of windows is taken instead.
_MORE = 1.2
#: What is said then.
CORRELATED = (
    "the noise of neighbouring channels is correlated, as where spectra were interpolated: that of "
    "windows of many channels is {ratio:.2g} times the variance that the metadata say, and that of "
    "single channels {single:.2g} times. That of windows is taken. Set the variance with "
    "s.set_noise_variance to be rid of this."
)
#: A gain whose product with that claimed is 1 up to this factor is its inverse.
_INVERSE = 1.4


#: Fourth powers of larger intensities are beyond the largest number.
LARGEST = 1e75


@dataclass(frozen=True, eq=False)
class CheckedNoise:
    """Noise of a signal after a look at its data.

    Parameters
    ----------
    noise
        What is to be used, ``None`` where nothing is known.
    record
        For ``metadata.Dosekin.noise``; empty where there was nothing to see.
    boxes
        Boxes of neighbouring spectra in memory, arrays ``(…, n_channels)``.
    """

    noise: Noise | None
    record: dict[str, object]
    boxes: list[np.ndarray]


def check_noise(signal: BaseSignal) -> CheckedNoise:
    """Compare the noise that is claimed for a signal with the scatter of its data.

    A few boxes of neighbouring spectra are looked at, in places that do not depend on chunks; of
    lazy data they are computed. Where the scatter is beyond a factor of two from what is claimed,
    the data win, and a warning says so once for each signal.

    Parameters
    ----------
    signal
        A signal with a signal axis of energy and real data.
    """
    claimed = noise_of(signal)
    # A variance of ours was looked at when it was made.
    known = claimed is None or follows(signal) or signal.data.size == 0
    wanted = None if known else claimed
    boxes, variances = _split(wanted, *compute(*_sample(signal, wanted)))
    if known or claimed is None:
        return CheckedNoise(claimed, _earlier(signal), boxes)
    if claimed.variance is not None:
        # HyperSpy makes a variance of noisy data: zero where there happens to be no count.
        claimed = _model_behind(boxes, variances) or claimed
        if _say_nothing(variances):
            claimed = Noise()
    verdict = _judge(boxes, variances, claimed)
    found = verdict.found
    if found is None:
        return CheckedNoise(claimed, {}, boxes)
    apart = None if claimed.variance is not None else noise_by_spectra(boxes, variances)
    if apart is not None:
        note = (EACH if apart.independent else NOT_EACH).format(apart)
        _say(signal, note)
        noise = claimed
        if apart.independent:
            noise = Noise(variance=_by_spectra(signal, claimed))
        return CheckedNoise(noise, _record(found, claimed, note), boxes)
    if not verdict.note:
        return CheckedNoise(_without_zeros(claimed, found), _record(found, claimed), boxes)
    used = Noise(gain=found.gain, offset=found.offset)
    if claimed.variance is not None:
        used = Noise(variance=as_lazy_as(claimed.variance, signal.data) * found.ratio)
    elif found.offset < 0:
        # A pedestal below which there is no light, and the noise of it.
        used = Noise(variance=found.gain * signal.data + found.offset)
    _say(signal, verdict.note)
    return CheckedNoise(_without_zeros(used, found), _record(found, claimed, verdict.note), boxes)


def checked_numbers(signal: BaseSignal, claimed: Noise) -> tuple[object, dict[str, object]]:
    """Return gain, offset and factor of the variance, to be used for areas of windows.

    Parameters
    ----------
    signal
        As for `check_noise`.
    claimed
        What `noise_of` returns for it.

    Returns
    -------
    numbers : numpy.ndarray or dask.array.Array
        The three, shape ``(3,)``; the variance of an intensity is gain·max(intensity, 0) + offset,
        or where one is given for each intensity that times the factor. Lazy if the signal is: then
        nothing has been computed, and the warning comes when it is.
    record : dict
        For ``metadata.Dosekin.noise``; empty for lazy signals.
    """
    model = replace(claimed, variance=None if claimed.variance is None else ())
    if signal.data.size == 0:
        return _Verdict(None).numbers(model), {}
    sample = _sample(signal, claimed)
    if is_lazy(signal.data):
        return made_of(_numbers, (3,), np.float64, model, *sample), {}
    verdict = _judge(*_split(model, *sample), model)
    if verdict.note:
        _say(signal, verdict.note)
    record = {} if verdict.found is None else _record(verdict.found, model, verdict.note)
    return verdict.numbers(model), record


@dataclass(frozen=True, eq=False)
class _Verdict:
    """What the scatter is, and what is to be said where it wins."""

    found: PhotonTransfer | None
    note: str = ""

    def numbers(self, claimed: Noise) -> np.ndarray:
        if self.found is None or not self.note:
            return np.array([claimed.gain, claimed.offset, 1.0])
        return np.array([self.found.gain, self.found.offset, self.found.ratio])


def _by_spectra(signal: BaseSignal, claimed: Noise) -> Any:
    """Variance of each intensity, that claimed times what each spectrum says, as lazy as it."""

    def variance(block: np.ndarray) -> np.ndarray:
        whole = _variance(claimed, block)
        ratio = ratio_of_spectra(block, whole)
        return whole * np.where(np.isfinite(ratio), ratio, 1.0)[..., np.newaxis]

    return map_blocks(
        variance,
        "(e)->(e)",
        signal.data,
        output_dtypes=(np.float64,),
        method="processing",
    )


def largest_in(boxes: list[np.ndarray]) -> float:
    """Largest finite intensity, without its sign."""
    return max(
        (float(np.max(np.abs(box), initial=0.0, where=np.isfinite(box))) for box in boxes),
        default=0.0,
    )


def _judge(boxes: list[np.ndarray], variances: list[np.ndarray], claimed: Noise) -> _Verdict:
    if largest_in(boxes) > LARGEST:
        return _Verdict(None)
    if _say_nothing(variances):
        found = photon_transfer(boxes, [_variance(Noise(gain=1.0), box) for box in boxes])
        return _Verdict(found, "" if found is None else NO_NOISE)
    found = photon_transfer(boxes, variances)
    whole = None if found is None else noise_of_windows(found, boxes, variances)
    if found is not None and whole is not None and whole.ratio > 1 / FACTOR:
        note = CORRELATED.format(ratio=whole.ratio, single=found.ratio)
        return _Verdict(whole, note) if whole.ratio > _MORE else _Verdict(found)
    believed = None if found is None else believed_noise(found, boxes, variances)
    if believed is None:
        return _Verdict(found)
    return _Verdict(believed, _note(believed, claimed))


def _say_nothing(variances: list[np.ndarray]) -> bool:
    """Whether variances are zero, or no numbers, everywhere."""
    return bool(variances) and not any((part > 0).any() for part in variances)


def _numbers(claimed: Noise, *sample: np.ndarray) -> np.ndarray:
    """The numbers of a lazy signal, when it is computed."""
    verdict = _judge(*_split(claimed, *sample), claimed)
    if verdict.note:
        warn_user(verdict.note)
    return verdict.numbers(claimed)


def _say(signal: BaseSignal, note: str) -> None:
    if getattr(signal, "_dosekin_noise_said", None) != note:
        signal._dosekin_noise_said = note
        warn_user(note)


def _earlier(signal: BaseSignal) -> dict[str, object]:
    node = signal.metadata.get_item(NOISE)
    return {} if node is None else node.as_dictionary()


def _sample(signal: BaseSignal, claimed: Noise | None) -> list[object]:
    """Boxes of the data, and those of the variance if there is one for each intensity."""
    found = sample_boxes(signal.data)
    if claimed is not None and claimed.variance is not None:
        found += sample_boxes(as_lazy_as(claimed.variance, signal.data))
    return found


def sample_boxes(array: Array) -> list[Any]:
    """A few boxes of neighbouring spectra, in places that do not depend on chunks.

    Parameters
    ----------
    array
        NumPy or dask array ``(…, n_channels)``.
    """
    boxes: list[Any] = [()]
    if array.ndim > 1:
        boxes = spread_boxes(array.shape[:-1], _BOXES, _BOX)
    return [array[box] for box in boxes]


def _split(claimed: Noise | None, *sample: object) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Data and variance of a sample."""
    parts = [np.asarray(part) for part in sample]
    if claimed is None:
        return parts, []
    if claimed.variance is None:
        return parts, [_variance(claimed, part) for part in parts]
    half = len(parts) // 2
    return parts[:half], [part.astype(np.float64) for part in parts[half:]]


def _variance(noise: Noise, box: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return noise.gain * np.maximum(box.astype(np.float64), 0.0) + noise.offset


def _model_behind(boxes: list[np.ndarray], variances: list[np.ndarray]) -> Noise | None:
    """The straight line of which a variance was computed from these very data, if it was."""
    data = np.concatenate([box.ravel() for box in boxes]).astype(np.float64)
    variance = np.concatenate([part.ravel() for part in variances])
    use = np.isfinite(data) & np.isfinite(variance) & (data > 0)
    if use.sum() < 2 or np.ptp(data[use]) == 0:
        return None
    unit, scale = data[use].max(), np.abs(variance[use]).max()
    if not 0 < scale < np.inf:
        return None
    # In units of the largest, whose squares are numbers whatever these are.
    data, variance = data[use] / unit, variance[use] / scale
    gain, offset = np.polyfit(data, variance, 1)
    offset = 0.0 if abs(offset) < 1e-6 else offset
    if gain <= 0 or offset < 0 or np.abs(variance - gain * data - offset).max() > 1e-6:
        return None
    with np.errstate(over="ignore"):
        found = Noise(gain=float(gain * (scale / unit)), offset=float(offset * scale))
    return found if np.isfinite(found.gain) else None


def _without_zeros(noise: Noise, found: PhotonTransfer) -> Noise:
    """No channel is free of noise where its likes are not."""
    if noise.variance is None:
        return noise
    least = 0.5 * float(found.variance[found.variance > 0].min())
    return replace(noise, variance=np.maximum(noise.variance, least))


def _record(found: PhotonTransfer, claimed: Noise, note: str = "") -> dict[str, object]:
    record: dict[str, object] = {
        "source": "data" if note else "file",
        "gain": found.gain,
        "offset": found.offset,
        "read_noise": found.read_noise,
        "pedestal": found.pedestal,
        "ratio": found.ratio,
    }
    if claimed.variance is None:
        record |= {"claimed_gain": claimed.gain, "claimed_offset": claimed.offset}
    return record | ({"note": note} if note else {})


def _note(found: PhotonTransfer, claimed: Noise) -> str:
    said = "another variance"
    if claimed.variance is None:
        said = f"the variance {claimed.gain:.3g}·intensity"
        said += f" + {claimed.offset:.3g}" if claimed.offset else ""
    line = f"{found.gain:.3g}·intensity"
    if found.offset:
        line += f" {'+' if found.offset > 0 else '−'} {abs(found.offset):.3g}"
    text = (
        f"the noise of the data, {line} by the scatter of neighbouring spectra and channels, is "
        f"{_times(found.ratio)} that of the metadata, which say {said}. The data are believed"
    )
    inverse = claimed.gain * found.gain
    if claimed.variance is None and claimed.gain != 1 and 1 / _INVERSE < inverse < _INVERSE:
        text += (
            f". {claimed.gain:.4g} is the inverse of the gain, electrons per count, as "
            "DigitalMicrograph writes it"
        )
    return f"{text}. Set metadata.Signal.Noise_properties right to be rid of this."


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times" if ratio >= 1 else f"1/{1 / ratio:.3g} of"
