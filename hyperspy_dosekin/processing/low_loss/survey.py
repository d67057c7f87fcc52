# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at low-loss spectra before anything is done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arrays import astype, namespace
from hyperspy_dosekin.numerics.device import tensors_on
from hyperspy_dosekin.numerics.medians import median
from hyperspy_dosekin.numerics.sums import sum_of
from hyperspy_dosekin.processing.batches import run_in_batches, run_on_device
from hyperspy_dosekin.processing.low_loss.zero_loss import ZeroLossSurvey, find_zero_loss
from hyperspy_dosekin.processing.shifting import between, channels_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

#: What the survey says of each spectrum.
SURVEY = ("position", "fwhm", "height", "found", "saturated", "negative", "pedestal")
#: Factor by which more spectra are looked at together than usual: of most of them only the channels
#: around the peak are worked on.
_LARGER = 8
#: Median of the square of a standard normal number.
_MEDIAN_SQUARE = 0.4549364


def survey_low_loss(
    block: np.ndarray,
    *,
    widest: float,
    search: slice,
    largest_value: float,
    reach: int,
    gain: float = 0.0,
    near: slice | None = None,
    workers: int = 1,
    device: str | torch.device = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Look at every spectrum before anything is done to it.

    Parameters
    ----------
    block
        Shape ``(…, n_channels)``.
    widest, search, largest_value
        As for `find_zero_loss`.
    reach
        Channels on either side of the peak to return.
    gain
        As for `find_zero_loss`.
    near
        Channels between which the other spectra of the data have their peak: where none is found,
        or one elsewhere, it is looked for there again.
    device
        As for `process_low_loss`.

    Returns
    -------
    numbers : numpy.ndarray
        The entries of `SURVEY`, shape ``(…, 7)``.
    peak : numpy.ndarray
        Peak of each spectrum above its pedestal, moved to the middle, shape
        ``(…, 2 * reach + 1)``, of `type_of_peak`; zero where none is found.
    """

    def look(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        xp, values = namespace(spectra), spectra
        total, lost = None, None
        if xp is not np or values.dtype.kind == "f":
            # Sums are finite if all is, and then nothing is missing.
            total = sum_of(values)
            lost = ~xp.isfinite(total)
            lost = lost if lost.any() else None
        if lost is not None:
            lost[xp.flatnonzero(lost)] = ~xp.isfinite(values[lost]).all(axis=-1)
            values, total = xp.nan_to_num(values), None
        options: dict[str, Any] = {"widest": widest, "largest_value": largest_value, "gain": gain}
        seen = find_zero_loss(values, search=search, total=total, **options)
        if near is not None:
            seen = _search_again(values, seen, near, options)
        # What a missing value makes of a peak must not say where the others have theirs.
        if lost is not None:
            seen = replace(seen, found=seen.found & ~lost)
        numbers = [
            seen.position,
            xp.where(xp.isfinite(seen.fwhm), seen.fwhm, np.nan),
            seen.height,
            astype(seen.found, xp.float64),
            astype(seen.saturated, xp.float64),
            _negative(values) / values.shape[-1],
            seen.pedestal,
        ]
        # One channel more before, and two behind, so that there are four around each place.
        first = xp.floor(seen.position)
        wide = channels_of(values, astype(first, xp.intp) - reach - 1, 2 * reach + 4)
        there = kind if xp is np else getattr(xp, kind.name)
        wide = astype(wide - seen.pedestal[:, np.newaxis], there)
        peak = between(wide, astype((seen.position - first)[:, np.newaxis], there))
        return xp.stack(numbers, axis=-1), xp.where(seen.found[:, np.newaxis], peak, 0.0)

    kind = type_of_peak(block.dtype)
    outputs = [((len(SURVEY),), np.float64), ((2 * reach + 1,), kind)]
    chosen = tensors_on(device)
    if chosen is not None:
        numbers, peak = run_on_device(look, [block], [1], outputs, device=chosen, what="survey")
    else:
        numbers, peak = run_in_batches(look, [block], [1], outputs, workers=workers, larger=_LARGER)
    return numbers, peak


def type_of_peak(recorded: npt.DTypeLike) -> np.dtype:
    """Type of the peaks that `survey_low_loss` returns, of which the mean is taken.

    Single precision, but for data that are of double.
    """
    return np.dtype(np.float64 if np.dtype(recorded) == np.float64 else np.float32)


def _negative(values: np.ndarray) -> np.ndarray:
    """How many values of each row are negative."""
    xp = namespace(values)
    if xp is not np:
        return astype((values < 0).sum(axis=-1), xp.float64)
    number = np.zeros(len(values))
    if values.dtype.kind == "u":
        return number
    some = np.flatnonzero(values.min(axis=-1) < 0)
    number[some] = np.count_nonzero(values[some] < 0, axis=-1)
    return number


def _search_again(
    values: np.ndarray, seen: ZeroLossSurvey, near: slice, options: Mapping[str, Any]
) -> ZeroLossSurvey:
    """Look again near the common place where a spectrum has no peak, or one elsewhere."""
    elsewhere = ~seen.found | (seen.position < near.start) | (seen.position > near.stop - 1)
    rows = namespace(values).flatnonzero(elsewhere)
    if not len(rows):
        return seen
    again = find_zero_loss(values[rows], search=near, **options)
    better = rows[again.found]
    fields = {}
    for name in ZeroLossSurvey.__dataclass_fields__:
        before = getattr(seen, name)
        fields[name] = astype(before, before.dtype, copy=True)
        fields[name][better] = getattr(again, name)[again.found]
    return ZeroLossSurvey(**fields)


def common_place(position: np.ndarray, fwhm: np.ndarray) -> tuple[int, int] | None:
    """Channels between which the zero-loss peaks of a data set are.

    Parameters
    ----------
    position, fwhm
        Channel and width of the peak of each spectrum, NaN where there is none.

    Returns
    -------
    First and last channel, or ``None`` if fewer than two thirds of the peaks agree.
    """
    known = np.isfinite(position)
    if known.sum() < 3:
        return None
    middle = np.median(position[known])
    deviation = np.abs(position[known] - middle)
    limit = max(10 * float(np.median(fwhm[known])), 8 * float(np.median(deviation)), 3.0)
    if (deviation <= limit).mean() < 2 / 3:
        return None
    return max(int(middle - limit), 0), int(np.ceil(middle + limit)) + 1


def noise_from_scatter(
    spectra: np.ndarray, position: np.ndarray, fwhm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate gain and offset of the noise variance, from third differences of the channels.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``.
    position, fwhm
        Channel and width of the zero-loss peak, shape ``(n_spectra,)``.

    Returns
    -------
    gain, offset : numpy.ndarray
        Of each spectrum, shape ``(n_spectra,)``.
    """
    weights = np.array([1.0, -3.0, 3.0, -1.0]) / np.sqrt(20.0)
    difference = np.zeros((len(spectra), spectra.shape[-1] - 3))
    for place, weight in enumerate(weights):
        difference += weight * spectra[:, place : spectra.shape[-1] - 3 + place]
    level = 0.5 * (spectra[:, 1:-2] + spectra[:, 2:-1])
    channel = np.arange(level.shape[-1]) + 1.5
    near = np.abs(channel - position[:, np.newaxis]) < 3 * np.nan_to_num(fwhm, posinf=0)[:, None]
    before = (channel < position[:, np.newaxis]) & ~near
    square = difference**2
    with np.errstate(invalid="ignore", divide="ignore"):
        quiet = _median_where(square, before | (level <= 0)) / _MEDIAN_SQUARE
        quiet = np.nan_to_num(quiet)
        ratio = (square - quiet[:, np.newaxis] * _MEDIAN_SQUARE) / level
        bright = level > median(level, keepdims=True)
        gain = _median_where(ratio, bright & ~near & (level > 0)) / _MEDIAN_SQUARE
    return np.maximum(np.nan_to_num(gain), 0.0), quiet


def _median_where(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Median of each row where something holds, NaN where it does nowhere."""
    where = where & ~np.isnan(values)
    number = where.sum(axis=-1)
    # To sort rows takes a tenth of the time that NumPy takes to leave out NaN.
    ordered = np.sort(np.where(where, values, np.inf), axis=-1)
    row = np.arange(len(values))
    lower, upper = ordered[row, np.maximum(number - 1, 0) // 2], ordered[row, number // 2]
    return np.where(number > 0, 0.5 * (lower + upper), np.nan)
