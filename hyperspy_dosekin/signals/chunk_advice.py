# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell users, once, that the chunks of lazy data make them slow, with the call that mends them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hyperspy_dosekin.lazy.blocks import is_lazy

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

#: Chunks of fewer bytes cost more to administer than to compute, if there are many.
SMALL_CHUNK, MANY_CHUNKS = 2**19, 2000
#: Frames of window areas are small, so that joining them matters only if there are many.
MANY_PIECES = 500
#: Blocks of more bytes, of which some are in memory at a time.
LARGE_BLOCK = 2**28
#: Of fewer bytes in all, chunks do not matter.
SMALL_DATA = 2**20
#: Bytes of a chunk that is neither.
GOOD_CHUNK = 2**24


class ChunkWarning(UserWarning):
    """The chunks of lazy data make the computation slow or take much memory."""


def advise_on_chunks(signal: BaseSignal, method: str, *, whole: str, stacklevel: int = 4) -> None:
    """Warn, once for each signal, if chunks of lazy data are bad, with the call that mends them.

    Results are right with any chunks. Nothing is computed.

    Parameters
    ----------
    signal
        A signal with one signal axis.
    method
        What the user called.
    whole
        What the signal axis holds, which should be in one chunk: ``"energy"`` or ``"dose"``.
    stacklevel
        Of the call that the warning shows.
    """
    array = signal.data
    if not is_lazy(array) or array.nbytes < SMALL_DATA or array.ndim == 0:
        return
    if getattr(signal, "_dosekin_chunks_told", False):
        return
    reasons = _reasons(array, whole)
    if not reasons:
        return
    signal._dosekin_chunks_told = True
    chunks = good_chunks(array.shape, array.dtype.itemsize)
    rechunk = f"s.rechunk(nav_chunks={_written(chunks[:-1])}, sig_chunks=-1)"
    save = f's.save("rechunked.zspy", chunks={_written(chunks)})'
    warnings.warn(
        f"{method} on chunks {array.chunksize} of data {array.shape}: {'; '.join(reasons)}. "
        f"Better chunks: {rechunk} for this session, or {save} and hs.load(…, lazy=True) for all "
        "to come.",
        ChunkWarning,
        stacklevel=stacklevel,
    )


def good_chunks(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Chunks of about `GOOD_CHUNK` bytes, whole along the last axis and nearly cubic along others.

    Examples
    --------
    >>> good_chunks((9, 512, 512, 2048), 2)
    (9, 21, 21, 2048)
    """
    pixels = max(1, GOOD_CHUNK // max(shape[-1] * itemsize, 1))
    chunks = list(shape)
    # Short axes stay whole: those of frames are, and then all doses of a pixel are together.
    for place, axis in enumerate(sorted(range(len(shape) - 1), key=lambda axis: shape[axis])):
        edge = max(1, int(pixels ** (1 / (len(shape) - 1 - place)) + 1e-9))
        if place == 0 and shape[axis] <= 32 and len(shape) > 2:
            edge = max(1, min(shape[axis], pixels))
        chunks[axis] = min(shape[axis], edge)
        pixels = max(1, pixels // chunks[axis])
    return tuple(chunks)


def _reasons(array: Any, whole: str) -> list[str]:
    reasons = []
    pieces = array.numblocks[-1]
    number = math.prod(array.numblocks)
    rows = math.prod(max(sizes) for sizes in array.chunks[:-1])
    block = rows * array.shape[-1] * array.dtype.itemsize
    if pieces > 1 and (whole == "energy" or number > MANY_PIECES):
        reasons.append(
            f"the {whole} axis is in {pieces} chunks, which have to be read and joined for every "
            f"{'spectrum' if whole == 'energy' else 'curve'}"
        )
    if block > LARGE_BLOCK:
        reasons.append(
            f"with the {whole} axis whole a block has {block / 2**20:.0f} MiB, and every thread "
            "holds one or more"
        )
    size = array.nbytes / number
    if number > MANY_CHUNKS and size < SMALL_CHUNK:
        reasons.append(
            f"{number} chunks of {size / 2**10:.0f} KiB, each of which takes about a millisecond "
            "to administer"
        )
    return reasons


def _written(chunks: Sequence[int]) -> str:
    inside = ", ".join(str(size) for size in chunks)
    return f"({inside},)" if len(chunks) == 1 else f"({inside})"
