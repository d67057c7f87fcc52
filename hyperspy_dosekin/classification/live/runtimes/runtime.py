# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a runtime has to offer, and what is asked of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.classification.live.graph import LiveGraph

#: Arithmetic that can be asked for.
PRECISIONS = ("float32", "bfloat16", "int8")


@dataclass(frozen=True)
class LiveSettings:
    """How a model is compiled.

    Parameters
    ----------
    runtime
        Name of a runtime, or ``"auto"`` for the fastest.
    precision
        Arithmetic of the network: ``"float32"``, ``"bfloat16"`` or ``"int8"``.
    threads
        Processor threads of one call.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"gpu"`` for OpenVINO on a graphics
        processor.
    batch_sizes
        Batch sizes that get buffers of exactly that size at once; the first is the one that
        ``"auto"`` measures. Others share buffers of powers of two.
    max_accuracy_loss
        Share of spectra by which the accuracy may fall with less precise arithmetic.

    Raises
    ------
    TypeError
        If a number is not whole.
    ValueError
        If a value is out of its range.
    """

    runtime: str = "auto"
    precision: str = "float32"
    threads: int = 1
    device: str = "auto"
    batch_sizes: tuple[int, ...] = ()
    max_accuracy_loss: float = 0.005

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r} must be one of {list(PRECISIONS)}.")
        for name, value in (("threads", self.threads), *(("batch_sizes", b) for b in self.sizes)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(f"{name}={value!r} must be a whole number.")
            if value < 1:
                raise ValueError(f"{name}={value} must be at least 1.")
        if not 0 <= self.max_accuracy_loss <= 1:
            raise ValueError(
                f"max_accuracy_loss={self.max_accuracy_loss} must lie between 0 and 1."
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Batch sizes as they were given."""
        return tuple(self.batch_sizes)


@dataclass(frozen=True, eq=False)
class Program:
    """A graph made ready for batches of one size, with the memory it reads and writes.

    Parameters
    ----------
    spectra
        Filled before each run, ``(batch, n_channels)``, float32.
    probability
        Written by a run, ``(batch, n_class)``, float32.
    novelty
        Written by a run, ``(batch,)``, or ``None``.
    run
        Computes the one from the other.
    """

    spectra: np.ndarray
    probability: np.ndarray
    novelty: np.ndarray | None
    run: Callable[[], object]


def make_arrays(graph: LiveGraph, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Memory of a program: spectra, probabilities, novelty.

    The spectra start as the centre of the normalisation: rows that are never filled are computed
    too, and should be harmless.
    """
    spectra = _aligned((batch, graph.n_channels))
    spectra[:] = graph.centre
    novelty = _aligned((batch,)) if graph.has_novelty else None
    return spectra, _aligned((batch, graph.n_class)), novelty


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros that start at a multiple of 64 bytes, as vector instructions like it."""
    size = int(np.prod(shape))
    memory = np.zeros(4 * size + 64, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + 4 * size].view(np.float32).reshape(shape)


class Runtime(ABC):
    """Something that runs the graph.

    Attributes
    ----------
    name
        What users call it.
    precisions
        Arithmetic it offers.
    largest_batch
        Spectra that it takes at a time; larger batches are cut, so that they stay in the cache.
    """

    name: str
    precisions: tuple[str, ...] = ("float32",)
    largest_batch: int = 64

    @abstractmethod
    def check(self, settings: LiveSettings) -> None:
        """Refuse what cannot be run here.

        Raises
        ------
        ModuleNotFoundError
            If a package is not installed.
        ValueError
            If the device is not present, or the precision is not offered.
        """

    @abstractmethod
    def compile(
        self,
        graph: LiveGraph,
        batch: int,
        settings: LiveSettings,
        ranges: Sequence[tuple[float, float]] | None = None,
    ) -> Program:
        """Make a graph ready for batches of one size.

        Parameters
        ----------
        batch
            Spectra of a batch.
        settings
            Precision, threads and device; they have been checked.
        ranges
            For ``"int8"``: limits of the activations after each convolution.
        """

    def device(self, settings: LiveSettings) -> str:
        """Device that settings mean with this runtime."""
        return "cpu" if settings.device == "auto" else settings.device

    def _check_precision(self, settings: LiveSettings) -> None:
        if settings.precision not in self.precisions:
            raise ValueError(
                f"precision={settings.precision!r} is not offered by runtime={self.name!r}, which "
                f"has {list(self.precisions)}."
            )

    def _absent(self, settings: LiveSettings, present: Sequence[str]) -> ValueError:
        if not present:
            return ValueError(
                f"what runtime={self.name!r} needs, with device={settings.device!r}, is not "
                'present on this machine; take another runtime or runtime="auto".'
            )
        return ValueError(
            f"device={settings.device!r} is not present for runtime={self.name!r}, which has "
            f'{list(present)} here; use device="auto" or one of those.'
        )
