# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work beside the notebook: one thread, its progress, and a way to stop it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import traits.api as t

_logger = logging.getLogger(__name__)

#: Seconds between two reports of progress.
_PAUSE = 0.1


class Worker(t.HasTraits):
    """Runs one function at a time in a thread.

    What it has to tell is told in the thread of the notebook's event loop where there is one, so
    that widgets and figures are touched by one thread only; elsewhere in `wait`, or at once.

    Attributes
    ----------
    running
        Whether something runs.
    what
        What is being done, in a word.
    fraction
        Share of it that is done, 0 to 1.
    stopping
        Whether it has been asked to stop.
    """

    running = t.Bool(False)
    what = t.Str()
    fraction = t.Range(0.0, 1.0, 0.0)
    stopping = t.Bool(False)

    def __init__(self) -> None:
        super().__init__()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._last = 0.0

    def start(
        self,
        what: str,
        work: Callable[[Callable[[str, int, int], None], Callable[[], bool]], object],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Begin.

        Parameters
        ----------
        what
            What is done, in a word.
        work
            Called with a reporter of progress and a function that says whether to stop.
        done, failed
            Called with what `work` returns, or with its exception.

        Raises
        ------
        RuntimeError
            If something runs already.
        """
        if self.running:
            raise RuntimeError(f"{self.what} is still running; stop it first, or wait.")
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._stop.clear()
        self.trait_set(running=True, what=what, fraction=0.0, stopping=False)

        def run() -> None:
            try:
                value = work(self._report, self._stop.is_set)
            except Exception as error:
                _logger.debug("%s failed", what, exc_info=True)
                caught = error
                self.deliver(lambda: self._finish(lambda: failed(caught)))
            else:
                self.deliver(lambda: self._finish(lambda: done(value)))

        self._thread = threading.Thread(target=run, name=f"hyperspy_dosekin {what}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the work to end; what it has by then is kept."""
        if self.running:
            self._stop.set()
            self.stopping = True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, where no event loop does; ``False`` if it has not come in time.

        Parameters
        ----------
        timeout
            Seconds; ``None`` waits for ever.
        """
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
            if thread.is_alive():
                return False
        self.tell()
        return True

    def tell(self) -> None:
        """Tell what is waiting to be told."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                first = self._waiting.pop(0)
            first()

    def deliver(self, message: Callable[[], None]) -> None:
        """Tell something from the thread: called where everything else is told.

        Parameters
        ----------
        message
            What to call there.
        """
        with self._lock:
            self._waiting.append(message)
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.tell)

    def _finish(self, last: Callable[[], None]) -> None:
        self.trait_set(running=False, stopping=False, fraction=1.0)
        last()

    def _report(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < _PAUSE and done < total:
            return
        self._last = now
        share = min(max(done / total, 0.0), 1.0) if total else 0.0
        self.deliver(lambda: self.trait_set(what=what, fraction=share) and None)
