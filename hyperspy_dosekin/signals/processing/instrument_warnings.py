# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of an instrument that did something to whole frames."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute, is_lazy
from hyperspy_dosekin.processing.low_loss.halves import half
from hyperspy_dosekin.processing.low_loss.instrument import (
    FEWEST_FRAMES,
    Frames,
    afterglow,
    alike,
    gain_along,
    stretches,
)
from hyperspy_dosekin.signals.axes.dose_axis import find_dose_axis

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal

    from hyperspy_dosekin.signals.processing.recorded import Recorded
    from hyperspy_dosekin.signals.processing.survey import Survey

#: Frames that are looked at, pixels of each, and spectra that are compared with others, at most.
_FRAMES, _PIXELS, _COMPARED = 200, 64, 500
#: Share of a frame in the next one, stretch of energies, step between two halves and gain of
#: channels that are said at least; and how clear the first is, and how far stretch and gain agree
#: with what they would do. Gains of single channels that differ by 1 % make steps of 3 to 4 %.
_GLOW, _GLOW_ERRORS, _STRETCH, _STEP, _GAIN, _AGREE = 4e-4, 4.0, 2e-3, 0.04, 4e-3, 0.75
#: Units of intensities beyond which nothing is compared.
_LARGEST = 1e100
#: Frames that are named.
_NAMED = 5
_logger = logging.getLogger(__name__)


def warn_of_instrument(signal: BaseSignal, recorded: Recorded, survey: Survey) -> None:
    """Log what repeats, mixes, stretches or outlives frames, or follows the detector.

    Parameters
    ----------
    signal
        The signal that is processed.
    recorded, survey
        Its spectra, and what a look at all of them has found.
    """
    repeated = _warn_of_repeats(recorded, survey)
    with np.errstate(over="ignore", invalid="ignore"):
        frames, index = _frames_of(signal, recorded, survey)
    if frames is None:
        return
    places = index.tolist()
    pairs = [(places[a], places[b]) for a, b in alike(frames)]
    pairs = [pair for pair in pairs if not set(pair) <= repeated]
    if pairs:
        _logger.warning(
            "Frames %s have noise in common, which no two recordings have: one is a copy of the "
            "other, or was made of it and others, and its dose is not its own. Leave such frames "
            "out.",
            _listed([f"{a} and {b}" for a, b in pairs]),
        )
    stretch, scatter, agreement = stretches(frames)
    if scatter > _STRETCH and agreement > _AGREE:
        worst = np.argsort(-np.abs(stretch))[:_NAMED]
        _logger.warning(
            "The energy scale differs from frame to frame by %.2g %%: all losses of a frame are "
            "stretched by the same factor, most in %s. Windows hold other losses in each frame "
            "then. Calibrate the dispersion of each frame, or leave such frames out.",
            100 * scatter,
            ", ".join(f"frame {places[each]} ({100 * stretch[each]:+.2g} %)" for each in worst),
        )
        return
    if not repeated and recorded.data.ndim == 2:
        share, error = afterglow(frames)
        if share > max(_GLOW, _GLOW_ERRORS * error):
            _logger.warning(
                "Each frame holds about %.2g %% (± %.1g) of the frame before it, an afterglow of "
                "the detector: windows near the zero-loss peak hold a part of the peak of that "
                "frame. Subtract that share of the frame before from each raw frame.",
                100 * share,
                100 * error,
            )
    first, step = half(frames)
    if abs(step) > _STEP:
        _logger.warning(
            "From channel %d on the detector shows about %.2g %% %s than below it, wherever the "
            "spectrum lies: another gain or pedestal, as of a half that is read out by itself, and "
            "not an edge, which moves with the spectrum. Areas beyond that channel are wrong by as "
            "much. Apply dark and gain references before processing.",
            first,
            100 * abs(step),
            "more" if step > 0 else "less",
        )
        return
    size, agreement = gain_along(frames)
    if size > _GAIN and agreement > _AGREE:
        _logger.warning(
            "Intensities follow the place of the spectrum on the detector: its gain varies by "
            "about %.2g %% over the channels, and areas are wrong by as much, in all frames alike "
            "but for drift. Apply a gain reference before processing.",
            100 * size,
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" and more" if len(names) > _NAMED else "")


def _warn_of_repeats(recorded: Recorded, survey: Survey) -> set[int]:
    """Log spectra that are the same in all channels; return their places, of a series."""
    found = np.flatnonzero(survey.found)
    position, height = survey.position.ravel()[found], survey.height.ravel()[found]
    _, first, group = np.unique(position, return_index=True, return_inverse=True)
    original = first[group]
    copies = np.flatnonzero((original != np.arange(found.size)) & (height == height[original]))
    # Where most spectra are the same there is no noise.
    if not copies.size or 2 * copies.size > found.size:
        return set()
    shape = survey.found.shape
    some = copies[: _NAMED if is_lazy(recorded.data) else _COMPARED]
    pairs = [
        tuple(tuple(map(int, np.unravel_index(found[each], shape))) for each in pair)
        for pair in zip(original[some], some, strict=True)
    ]
    rows = compute(*(recorded.data[place] for pair in pairs for place in pair))
    same = [
        pair
        for pair, a, b in zip(pairs, rows[::2], rows[1::2], strict=True)
        if np.array_equal(a, b, equal_nan=True)
    ]
    if same:
        _logger.warning(
            "%d%s of %d spectra are the same in all channels as others, which noise does not "
            "allow: %s. They were recorded once and written again, and their dose is not their "
            "own: leave them out.",
            len(same),
            " or more" if some.size < copies.size else "",
            survey.found.size,
            _listed([f"{b} repeats {a}" for a, b in same]),
        )
    return {place[0] for pair in same for place in pair} if len(shape) == 1 else set()


def _frames_of(
    signal: BaseSignal, recorded: Recorded, survey: Survey
) -> tuple[Frames | None, np.ndarray]:
    """Frames of a series, or the sums of some pixels of each frame, and their places."""
    data, shape = recorded.data, survey.found.shape
    nothing = None, np.empty(0, dtype=int)
    axis = _frame_axis(signal) if len(shape) > 1 else 0
    if not shape or axis is None or is_lazy(data) or shape[axis] < FEWEST_FRAMES:
        return nothing
    others = [place for place in range(len(shape)) if place != axis]
    pixels = float(np.prod([shape[each] for each in others]))
    step = int(np.ceil((pixels / _PIXELS) ** (1 / max(len(others), 1))))
    cut: Any = tuple(
        slice(_FRAMES) if each == axis else slice(None, None, step) for each in range(len(shape))
    )

    def rows(array: Any) -> np.ndarray:
        """One frame after the other, shape ``(n_frames, pixels, …)``."""
        moved = np.moveaxis(np.asarray(array[cut], dtype=np.float64), axis, 0)
        tail = moved.shape[len(shape) :]
        return moved.reshape(moved.shape[0], -1, *tail)

    counts, position = rows(data), rows(survey.position)
    level = rows(survey.pedestal)[..., np.newaxis]
    # A pixel without a peak in one frame has none in all.
    whole = np.isfinite(position) & np.isfinite(counts).all(axis=-1)
    usual = whole.mean(axis=0) > 0.5
    kept = np.flatnonzero(whole[:, usual].all(axis=1)) if usual.any() else np.empty(0, dtype=int)
    if kept.size < FEWEST_FRAMES:
        return nothing
    counts, position, level = (each[kept][:, usual] for each in (counts, position, level))
    if recorded.variance is None:
        gain, offset = np.nan_to_num((survey.gain, survey.offset))
        variance = gain * np.maximum(counts, 0.0) + offset
    else:
        variance = np.nan_to_num(rows(recorded.variance)[kept][:, usual])
    total, variance = (counts - level).sum(axis=1), variance.sum(axis=1)
    level = np.broadcast_to(level, counts.shape)[..., :1].sum(axis=1)
    if not (total.sum(axis=-1) > 0).all():
        return nothing
    # In units in which noise is that of counts.
    unit = float(variance.mean() / total.mean())
    if not 1 / _LARGEST < unit < _LARGEST:
        return nothing
    fwhm = float(np.nanmedian(survey.fwhm))
    place = position.mean(axis=1)
    return Frames(total / unit, variance / unit**2, place, fwhm, level / unit), kept


def _frame_axis(signal: BaseSignal) -> int | None:
    """Place of the dose among the axes of the array."""
    try:
        dose = find_dose_axis(signal)
    except ValueError:
        return None
    return None if dose is None else int(dose.index_in_array)
