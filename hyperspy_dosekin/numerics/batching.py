# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work over large arrays in batches that fit a device's memory.

On CUDA a few threads take batch after batch, each on a stream of its own and with page-locked
buffers of its own: while one batch is computed, the next one is on its way to the device and the
last one on its way back. Elsewhere the calling thread does the same without copies, or as many
threads as it was granted. A batch that does not fit the memory is cut in halves, on any device.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from .threads import threads_granted

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_logger = logging.getLogger(__name__)

#: Batches in flight on a device that copies while it computes: one on its way in, one being
#: computed, one on its way out.
BATCHES_IN_FLIGHT = 3
# Unsigned types that Torch hardly knows travel as signed ones, and are put right on the device.
_SIGNED = {"uint16": ("int16", "int32", 0xFFFF), "uint32": ("int32", "int64", 0xFFFFFFFF)}
_AS_THEY_ARE = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
_MESSAGES = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")

#: Told in words of every halving.
Note = Callable[[str], None]


def no_note(text: str) -> None:
    """Tell nobody but the log."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory, of the device or of the host, has run out."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _MESSAGES)


def release_memory(device: torch.device) -> None:
    """Give back to a device what Torch keeps of its memory for later."""
    import torch

    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).empty_cache()


def halved(size: int, device: torch.device, what: str, note: Note = no_note) -> int:
    """Return half of a batch size that was too large, after telling of it.

    Parameters
    ----------
    size
        What did not fit.
    device
        Where.
    what
        What was done, for the message.
    note
        Also told.

    Raises
    ------
    MemoryError
        If the size is 1 already.
    """
    if size <= 1:
        raise MemoryError(
            f"{what}: not even a batch of one fits in the memory of {device}; free memory there, "
            'or use device="cpu".'
        )
    release_memory(device)
    smaller = size // 2
    text = (
        f"{what}: a batch of {size} did not fit in the memory of {device}; went on with {smaller}."
    )
    _logger.warning("%s", text)
    note(text)
    return smaller


def map_slices(
    work: Callable[[slice], None],
    total: int,
    *,
    size: int,
    device: torch.device,
    what: str,
    note: Note = no_note,
    workers: int | None = None,
) -> None:
    """Do some work slice by slice, in halves where memory runs out.

    Parameters
    ----------
    work
        Called with slices that cover ``range(total)``. Where memory runs out it is called again
        with parts of the same slice, so that it must be able to start over. It may be called from
        several threads, on CUDA each on its own stream.
    total
        Length of what is worked on.
    size
        Length of a slice at most.
    device
        Where the memory is used.
    what
        What is done, for messages.
    note
        Told in words of every halving; so is the log.
    workers
        Threads; by default as many as were granted, see `granted_threads`, and on CUDA
        `BATCHES_IN_FLIGHT`.

    Raises
    ------
    MemoryError
        If a slice of length 1 does not fit.

    Examples
    --------
    >>> import torch
    >>> done = []
    >>> def work(part):
    ...     if part.stop - part.start > 3:
    ...         raise torch.OutOfMemoryError("simulated")
    ...     done.append(part)
    >>> map_slices(work, 7, size=7, device=torch.device("cpu"), what="example")
    >>> [(part.start, part.stop) for part in done]
    [(0, 3), (3, 6), (6, 7)]
    """
    if workers is None:
        workers = BATCHES_IN_FLIGHT if _overlaps(device) else threads_granted()
    size = max(1, min(size, total))
    undone = [slice(0, total)] if total else []
    while undone:
        undone = _attempt(work, [p for part in undone for p in _cut(part, size)], workers, device)
        if undone:
            size = halved(size, device, what, note)


def _cut(part: slice, size: int) -> Iterator[slice]:
    for start in range(part.start, part.stop, size):
        yield slice(start, min(start + size, part.stop))


def _attempt(
    work: Callable[[slice], None], parts: list[slice], workers: int, device: torch.device
) -> list[slice]:
    """Do the parts, until all are done or one does not fit; return those that are not done."""
    queue, lock = iter(parts), threading.Lock()
    failed: list[slice] = []
    ended = threading.Event()
    # How NumPy treats what is not finite belongs to a thread.
    treated = np.geterr()

    def worker() -> None:
        with _own_stream(device), np.errstate(**treated):
            while not ended.is_set():
                with lock:
                    part = next(queue, None)
                if part is None:
                    return
                try:
                    work(part)
                except Exception as error:
                    ended.set()
                    if not is_out_of_memory(error):
                        raise
                    failed.append(part)

    workers = min(workers, len(parts))
    if workers == 1:
        worker()
    else:
        with ThreadPoolExecutor(workers) as pool:
            try:
                futures = [pool.submit(worker) for _ in range(workers)]
                for future in futures:
                    future.result()
            finally:
                # Also after Ctrl-C, even while threads start: they end with the batch they are at.
                ended.set()
    return sorted([*failed, *queue], key=lambda part: part.start)


def _overlaps(device: torch.device) -> bool:
    """Whether a device copies while it computes."""
    return device.type == "cuda"


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """Let a thread's work on a device run beside that of others."""
    import torch

    if device.type != "cuda":
        yield
        return
    # What the calling thread has put on the device must be there.
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.default_stream(device))
    with torch.cuda.device(device), torch.cuda.stream(stream):
        yield
        stream.synchronize()


def send(array: np.ndarray, device: torch.device) -> Tensor:
    """Tensor on a device of an array that Torch knows the type of, without waiting for the copy.

    Torch keeps the page-locked memory until the copy is done.
    """
    import torch

    tensor = torch.as_tensor(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Ferry:
    """Carries arrays to a device and back, for one thread.

    On CUDA through page-locked buffers, which are kept from one batch to the next: only from
    those do copies run beside other work. `to_device` may be called again with the same key only
    after a `to_host`, which waits for the device.

    Parameters
    ----------
    device
        Where to and where from.

    Examples
    --------
    >>> import torch
    >>> ferry = Ferry(torch.device("cpu"))
    >>> doubled = 2 * ferry.to_device("a", np.array([1, 65535], dtype=np.uint16))
    >>> ferry.to_host("b", doubled, out := np.empty(2))
    >>> out
    array([2.0, 131070.0])
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._buffers: dict[str, Tensor] = {}

    def to_device(self, key: str, array: np.ndarray) -> Tensor:
        """Tensor on the device of an array of any real type, byte order and layout."""
        import torch

        name = array.dtype.newbyteorder("=").name
        carried, wide, mask = _SIGNED.get(name, (name, name, 0))
        if mask:
            array = array.view(array.dtype.str.replace("u", "i"))
        elif name not in _AS_THEY_ARE:
            array, carried = array.astype(np.float64), "float64"
        if _overlaps(self.device):
            staged = self._buffer(key, array.shape, getattr(torch, carried))
            np.copyto(staged.numpy(), array)
            tensor = staged.to(self.device, non_blocking=True)
        else:
            array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
            # Torch warns of arrays that must not be written to; nothing here writes to inputs.
            tensor = torch.as_tensor(array if array.flags.writeable else array.copy())
            tensor = tensor.to(self.device)
        if mask:
            tensor = tensor.to(getattr(torch, wide)).bitwise_and_(mask)
        return tensor

    def to_host(self, key: str, tensor: Tensor, out: np.ndarray) -> None:
        """Write a tensor to an array of its shape, once the device has computed it."""
        if not _overlaps(self.device):
            np.copyto(out, tensor.detach().cpu().numpy())
            return
        staged = self._buffer(key, tuple(tensor.shape), tensor.dtype)
        staged.copy_(tensor.detach(), non_blocking=True)
        self.wait()
        np.copyto(out, staged.numpy())

    def wait(self) -> None:
        """Wait until the device has done everything that this thread asked of it."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()

    def _buffer(self, key: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        import torch

        number, kept = math.prod(shape), self._buffers.get(key)
        if kept is None or kept.numel() < number or kept.dtype != dtype:
            pinned = self.device.type == "cuda"
            kept = torch.empty(number, dtype=dtype, pin_memory=pinned)
            self._buffers[key] = kept
        return kept[:number].view(shape)


def map_batches(
    kernel: Callable[..., Tensor],
    arrays: Sequence[np.ndarray],
    out: np.ndarray,
    *,
    size: int,
    device: torch.device,
    what: str,
    note: Note = no_note,
) -> np.ndarray:
    """Apply a kernel to arrays along their first axes, batch by batch on a device.

    Parameters
    ----------
    kernel
        Takes a tensor on the device of a batch of each array and returns one tensor
        ``(n_batch, …)``. Called without recording gradients, maybe from several threads.
    arrays
        Of the same length, of any real type; not changed.
    out
        Where the results go, of that length.
    size
        Length of a batch at most; halved where memory runs out.
    device, what, note
        As for `map_slices`.

    Returns
    -------
    `out`.

    Examples
    --------
    >>> import torch
    >>> squares = np.empty(5)
    >>> numbers = np.arange(5.0)
    >>> map_batches(torch.square, [numbers], squares, size=2, device=torch.device("cpu"), what="x")
    array([ 0.,  1.,  4.,  9., 16.])
    """
    import torch

    lengths = {len(array) for array in (*arrays, out)}
    if len(lengths) > 1:
        raise ValueError(f"arrays of lengths {sorted(lengths)} cannot share batches.")
    ferries = threading.local()

    def work(part: slice) -> None:
        if not hasattr(ferries, "own"):
            ferries.own = Ferry(device)
        ferry = ferries.own
        with torch.no_grad():
            tensors = [ferry.to_device(str(i), array[part]) for i, array in enumerate(arrays)]
            ferry.to_host("out", kernel(*tensors), out[part])

    map_slices(work, len(out), size=size, device=device, what=what, note=note)
    return out
