# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frame after frame from a detector, classified while the next one is taken."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.stream.frames import POLICIES, QUEUE_SIZES, ArrivedFrame, FrameQueue
from hyperspy_dosekin.numerics.stream.latency import LatencyHistogram, time_text
from hyperspy_dosekin.numerics.text import printable

if TYPE_CHECKING:
    from hyperspy_dosekin.classification.live.compiled import CompiledClassifier


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A classified frame.

    Parameters
    ----------
    index
        Its number in the stream from 0 on; numbers of dropped frames are missing.
    labels
        Class of each spectrum, in the shape of the frame; −1 for those without data.
    probabilities
        The same with a last axis of classes, float32; NaN for those.
    novelty
        Novelty in the shape of the frame, or ``None`` if not compiled in.
    fractions
        Share of each class by name, among the spectra with data; NaN if there are none.
    none
        Number of spectra without data.
    latency_s
        Seconds from the arrival of the frame to this result.
    dropped
        Frames dropped in the stream so far.
    """

    index: int
    labels: np.ndarray
    probabilities: np.ndarray
    novelty: np.ndarray | None
    fractions: Mapping[str, float]
    none: int
    latency_s: float
    dropped: int


@dataclass(frozen=True, eq=False)
class StreamReport:
    """What has happened in a stream so far.

    Parameters
    ----------
    received, classified, dropped
        Frames that came, that were classified, and that gave way to newer ones. The rest waits, or
        was waiting when the stream was closed.
    spectra, none
        Spectra classified, and how many of them were without data.
    class_share
        Share of each class by name, among all spectra with data.
    seconds
        Time since the start.
    latency
        From the arrival of a frame to its result, waiting included.
    computing
        Of that, the classification alone.
    """

    received: int
    classified: int
    dropped: int
    spectra: int
    none: int
    class_share: Mapping[str, float]
    seconds: float
    latency: LatencyHistogram
    computing: LatencyHistogram

    @property
    def spectra_per_second(self) -> float:
        """Spectra classified in a second."""
        return self.spectra / self.seconds if self.seconds > 0 else math.nan

    def __str__(self) -> str:
        """A few lines."""
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.class_share.items())
        computing = self.computing.percentiles((50,))[0]
        lines = [
            f"{self.classified} of {self.received} frames classified, {self.dropped} dropped; "
            f"{self.spectra} spectra in {time_text(self.seconds)} "
            f"({self.spectra_per_second:.0f}/s), {self.none} without data",
            f"classes: {shares}",
        ]
        if self.classified:
            lines.append(f"classification of a frame, median: {time_text(computing)}; latency:")
            lines.append(str(self.latency))
        return printable("\n".join(lines))


class Stream:
    """Iterator over classified frames.

    A thread reads the source; classification and callbacks happen where this is iterated.

    Parameters
    ----------
    classifier
        What classifies.
    source
        Frames, arrays ``(…, n_channels)``.
    policy
        ``"newest"`` drops the oldest waiting frame for a new one, ``"block"`` lets the source wait.
    queue_size
        Frames that may wait; by default 1 for ``"newest"`` and 8 for ``"block"``.
    copy
        Whether frames are copied when they come.
    on_frame
        Called with each `LiveFrame`.
    feedback
        Called with the class fractions of each frame. Either ends the stream by returning ``True``.

    Raises
    ------
    TypeError
        If the source is nothing to iterate over, or the queue size is not whole.
    ValueError
        If policy or queue size are unknown.
    """

    def __init__(
        self,
        classifier: CompiledClassifier,
        source: Iterable[Any],
        *,
        policy: str = "newest",
        queue_size: int | None = None,
        copy: bool = True,
        on_frame: Callable[[LiveFrame], object] | None = None,
        feedback: Callable[[Mapping[str, float]], object] | None = None,
    ) -> None:
        if policy not in POLICIES:
            raise ValueError(f"policy={policy!r} must be one of {list(POLICIES)}.")
        size = QUEUE_SIZES[policy] if queue_size is None else queue_size
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise TypeError(f"queue_size={queue_size!r} must be a whole number.")
        if size < 1:
            raise ValueError(f"queue_size={queue_size} must be at least 1.")
        self._classifier = classifier
        self._on_frame, self._feedback = on_frame, feedback
        self._counts = np.zeros(len(classifier.names) + 1, dtype=np.int64)
        self._classified = 0
        self._latency, self._computing = LatencyHistogram(), LatencyHistogram()
        self._started = time.perf_counter()
        self._ended: float | None = None
        self._queue = FrameQueue(iter(source), policy, int(size), copy)

    def __iter__(self) -> Iterator[LiveFrame]:
        return self

    def __next__(self) -> LiveFrame:
        if self._ended is not None:
            raise StopIteration
        try:
            arrived = self._queue.get()
            if arrived is None:
                self.close()
                raise StopIteration
            frame = self._classify(arrived)
            answers = [
                self._on_frame(frame) if self._on_frame is not None else None,
                self._feedback(frame.fractions) if self._feedback is not None else None,
            ]
        except BaseException:
            self.close()
            raise
        if any(answer is True for answer in answers):
            self.close()
        return frame

    def run(self) -> StreamReport:
        """Classify until the source ends, and report; results are only seen by the callbacks.

        Returns
        -------
        StreamReport
            Frames classified and dropped, and their latency.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> live = vae.fit(s, references, show_progressbar=False).compile("torch")
        >>> live.classify_stream(s.data[:, 0], policy="block").run().dropped
        0
        """
        for _ in self:
            pass
        return self.report

    def close(self) -> None:
        """End the stream: the source is read no more, and its thread ends.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> live = vae.fit(s, references, show_progressbar=False).compile("torch")
        >>> stream = live.classify_stream(s.data[:, 0])
        >>> stream.close()
        """
        if self._ended is None:
            self._ended = time.perf_counter()
        self._queue.close()

    @property
    def report(self) -> StreamReport:
        """Counts and times so far."""
        names = self._classifier.names
        known = int(self._counts[1:].sum())
        return StreamReport(
            received=self._queue.received,
            classified=self._classified,
            dropped=self._queue.dropped,
            spectra=int(self._counts.sum()),
            none=int(self._counts[0]),
            class_share=_shares(names, self._counts, known),
            seconds=(self._ended or time.perf_counter()) - self._started,
            latency=self._latency,
            computing=self._computing,
        )

    def _classify(self, arrived: ArrivedFrame) -> LiveFrame:
        data = np.asarray(arrived.data)
        shape = data.shape[:-1]
        if data.ndim == 0 or data.shape[-1] != self._classifier.n_channels:
            raise ValueError(
                f"frame {arrived.index} has the shape {data.shape}; the model takes spectra of "
                f"{self._classifier.n_channels} channels along the last axis."
            )
        start = time.perf_counter()
        found = self._classifier.predict(data.reshape(-1, data.shape[-1]))
        end = time.perf_counter()
        self._computing.add(end - start)
        self._latency.add(end - arrived.arrived_s)
        self._classified += 1
        counts = np.bincount(found.labels + 1, minlength=self._counts.size)
        self._counts += counts
        none = int(counts[0])
        return LiveFrame(
            index=arrived.index,
            labels=found.labels.reshape(shape),
            probabilities=found.probabilities.reshape(*shape, len(self._classifier.names)),
            novelty=None if found.novelty is None else found.novelty.reshape(shape),
            fractions=_shares(self._classifier.names, counts, len(found.labels) - none),
            none=none,
            latency_s=end - arrived.arrived_s,
            dropped=self._queue.dropped,
        )

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Nobody will take another frame; the thread sees it at the next one.
        queue = getattr(self, "_queue", None)
        if queue is not None:
            queue.abandon()


def _shares(names: tuple[str, ...], counts: np.ndarray, known: int) -> dict[str, float]:
    if not known:
        return dict.fromkeys(names, math.nan)
    return {name: int(n) / known for name, n in zip(names, counts[1:], strict=True)}
