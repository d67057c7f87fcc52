# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames on their way from a detector to a classifier."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

_logger = logging.getLogger(__name__)

#: Seconds for which a source that does not return is waited for.
_PATIENCE = 2.0


@dataclass(frozen=True, eq=False)
class ArrivedFrame:
    """A frame as it came.

    Parameters
    ----------
    index
        Its number, from 0 on, dropped frames counted.
    arrived_s
        When it came, seconds of `time.perf_counter`.
    data
        Spectra ``(…, n_channels)``.
    """

    index: int
    arrived_s: float
    data: object


class FrameQueue:
    """Frames read from a source by a thread of its own.

    Parameters
    ----------
    source
        Where frames come from; it is only used from that thread.
    policy
        What happens to a frame that finds the queue full, a key of `POLICIES`.
    size
        Frames that may wait.
    copy
        Whether frames are copied, because the source goes on to use their memory.
    """

    def __init__(self, source: Iterator[object], policy: str, size: int, copy: bool) -> None:
        self.size = size
        self.received = 0
        self.dropped = 0
        self.waiting: deque[ArrivedFrame] = deque()
        self.changed = threading.Condition()
        self.closed = False
        self._finished = False
        self._failure: BaseException | None = None
        # The thread refers to the queue, not to what uses it, which may be forgotten half-way.
        self._thread = threading.Thread(
            target=_read,
            args=(self, source, POLICIES[policy], copy),
            name="hyperspy_dosekin live stream",
            daemon=True,
        )
        self._thread.start()

    def get(self) -> ArrivedFrame | None:
        """Next frame, waited for; ``None`` when there will be none any more.

        Raises
        ------
        Exception
            What the source has raised, as soon as it has, also before frames that still wait.
        """
        with self.changed:
            self.changed.wait_for(self._ready)
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self.closed or not self.waiting:
                return None
            frame = self.waiting.popleft()
            self.changed.notify_all()
            return frame

    def abandon(self) -> None:
        """Read no more."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def close(self) -> None:
        """Read no more, and wait for the thread to end."""
        self.abandon()
        if self._thread is threading.current_thread():
            return
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            _logger.warning(
                "The source of the stream has not returned for %g s; its thread is left to end "
                "when it does.",
                _PATIENCE,
            )

    def put(self, data: object, make_room: Callable[[FrameQueue], None]) -> bool:
        """Append a frame; ``False`` if nobody wants it any more."""
        arrived = time.perf_counter()
        with self.changed:
            index = self.received
            if not self.closed:
                self.received += 1
            while len(self.waiting) >= self.size and not self.closed:
                make_room(self)
            if self.closed:
                return False
            self.waiting.append(ArrivedFrame(index, arrived, data))
            self.changed.notify_all()
            return True

    def finish(self, failure: BaseException | None) -> None:
        """Say that no frame will follow, and why."""
        with self.changed:
            self._finished, self._failure = True, failure
            self.changed.notify_all()

    def _ready(self) -> bool:
        return bool(self.waiting or self._finished or self.closed)


def _read(
    queue: FrameQueue, source: Iterator[object], make_room: Callable[[FrameQueue], None], copy: bool
) -> None:
    failure: BaseException | None = None
    try:
        for data in source:
            if not queue.put(np.array(data) if copy else data, make_room):
                break
    except BaseException as error:  # a thread must hand its failure to the caller
        failure = error
    try:
        # A generator gets to its "finally" here and now, not when it is collected.
        close = getattr(source, "close", None)
        if close is not None:
            close()
    except BaseException as error:
        failure = failure or error
    queue.finish(failure)


def _drop_oldest(queue: FrameQueue) -> None:
    queue.waiting.popleft()
    queue.dropped += 1


def _wait(queue: FrameQueue) -> None:
    queue.changed.wait()


#: What to do with a frame for which there is no room.
POLICIES: Mapping[str, Callable[[FrameQueue], None]] = {"newest": _drop_oldest, "block": _wait}
#: Frames that may wait, unless something else is asked for.
QUEUE_SIZES: Mapping[str, int] = {"newest": 1, "block": 8}
