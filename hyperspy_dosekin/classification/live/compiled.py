# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model made ready for one spectrum after another."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.classification.labels import NO_CLASS
from hyperspy_dosekin.classification.live.graph import LiveGraph, live_graph
from hyperspy_dosekin.classification.live.onnx_graph import Layout, onnx_model
from hyperspy_dosekin.classification.live.results import ResultMemory
from hyperspy_dosekin.classification.live.runtimes import RUNTIMES
from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings
from hyperspy_dosekin.classification.live.selection import Chosen, LiveReport, choose
from hyperspy_dosekin.classification.live.slots import LivePrediction, Slot, make_probe
from hyperspy_dosekin.classification.model import Model

if TYPE_CHECKING:
    from os import PathLike

#: Share of a batch that has to be used for it to be worth while.
_WORTH = 0.75


def _by_head(model: Model, precision: str, classifier: str | None) -> bool | None:
    """Whether the head of the network classifies; ``None`` for what classifies offline."""
    if classifier not in (None, "likelihood", "head"):
        raise ValueError(f'classifier={classifier!r} must be "likelihood" or "head".')
    if classifier == "likelihood":
        if model.likelihood is None:
            raise ValueError(
                'classifier="likelihood" needs a model of this version; train it anew.'
            )
        if precision != "float32":
            raise ValueError(
                f'classifier="likelihood" takes precision="float32", not {precision!r}: its '
                'distances are differences of large numbers; take classifier="head".'
            )
        return False
    return True if classifier == "head" or precision != "float32" else None


def reads_network(model: Model, precision: str, classifier: str | None) -> bool:
    """Whether live use of a model asks its network."""
    return bool(_by_head(model, precision, classifier))


class CompiledClassifier:
    """A trained model as one graph from counts to probabilities, for batches of any size.

    Parameters
    ----------
    model
        Trained model; its `share` is the class prior.
    settings
        How to compile it.
    novelty
        Whether the novelty is computed too.
    classifier
        ``"likelihood"`` or ``"head"``; by default what classifies offline, and the head where the
        arithmetic is to be less precise than float32, in which there is no Bayes' rule.

    Raises
    ------
    ModuleNotFoundError
        If the package of the runtime is not installed.
    ValueError
        If the model or the settings cannot be used; the message says why.
    """

    def __init__(
        self,
        model: Model,
        settings: LiveSettings | None = None,
        *,
        novelty: bool = False,
        classifier: str | None = None,
    ) -> None:
        settings = settings or LiveSettings()
        head = _by_head(model, settings.precision, classifier)
        self._graph: LiveGraph = live_graph(model, novelty=novelty, head=head)
        self._chosen: Chosen = choose(model, self._graph, settings)
        self._settings = self._chosen.settings
        largest = RUNTIMES[self._settings.runtime].largest_batch
        self._sizes = {2**i for i in range(largest.bit_length()) if 2**i <= largest}
        self._sizes |= {size for size in settings.sizes if size <= largest}
        self._slots: dict[int, Slot] = {}
        self._probe = make_probe(self._graph.n_channels)
        self._lock = threading.RLock()
        self._labels = ResultMemory((), np.intp)
        self._probabilities = ResultMemory((self._graph.n_class,), np.float32)
        self._novelty = ResultMemory((), np.float32) if novelty else None
        self.warm_up(*(settings.sizes or (self.report.batch,)))

    # What it is

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._graph.names

    @property
    def n_channels(self) -> int:
        """Channels of a spectrum."""
        return self._graph.n_channels

    @property
    def energy_ev(self) -> np.ndarray:
        """Energies of the channels in eV, ascending, ``(n_channels,)``."""
        return self._graph.energy_ev.copy()

    @property
    def report(self) -> LiveReport:
        """Runtime, precision, device and threads, and what was measured to choose them."""
        return self._chosen.report

    # What it does

    def classify(
        self, batch: Any, *, out: tuple[np.ndarray, np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Classify spectra.

        Parameters
        ----------
        batch
            Spectra ``(n, n_channels)``, any n, on the axis of the training and in its unit; any
            real type, byte order and strides. It is not changed.
        out
            Labels ``(n,)``, of type ``numpy.intp``, and probabilities ``(n, n_class)``, float32, to
            write into.

        Returns
        -------
        Labels ``(n,)``, −1 for spectra that are not finite or the same in all channels, and
        probabilities ``(n, n_class)``, NaN for those. They are yours as long as you refer to them;
        memory that nothing refers to any more is used again, so that a loop takes no more of it.

        Raises
        ------
        TypeError
            If the batch holds no real numbers, or `out` has the wrong types.
        ValueError
            If the shape of the batch or of `out` is wrong.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> live = vae.fit(s, references, show_progressbar=False).compile("torch")
        >>> labels, probabilities = live.classify(s.data[0, 0])
        >>> labels.shape, probabilities.shape
        ((8,), (8, 4))
        """
        with self._lock:
            found = self._compute(self._rows(batch), out)
            return found.labels, found.probabilities

    def predict(self, batch: Any) -> LivePrediction:
        """Classify spectra, and give the novelty along if it was compiled in.

        Parameters
        ----------
        batch
            As for `classify`.

        Returns
        -------
        LivePrediction
            Labels, probabilities and, if it was compiled with it, novelty.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> live = vae.fit(s, references, show_progressbar=False).compile("torch")
        >>> found = live.predict(s.data[0, 0])
        >>> found.labels.shape
        (8,)
        """
        with self._lock:
            return self._compute(self._rows(batch), None)

    def warm_up(self, *batch_sizes: int) -> None:
        """Prepare programs and buffers for batch sizes, so that the first ones are not slower.

        Parameters
        ----------
        *batch_sizes
            Numbers of spectra.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> live = vae.fit(s, references, show_progressbar=False).compile("torch")
        >>> live.warm_up(8, 32)
        """
        for size in batch_sizes:
            noise = np.random.default_rng(0).random((size, self.n_channels), dtype=np.float32)
            self.classify(noise)

    def export_onnx(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write an ONNX file that runs without this package.

        Its input is ``spectra``, float32 ``(batch, n_channels)``, in the unit of the training; its
        outputs are ``label`` (int64, −1 for spectra without data), ``probability`` and, if compiled
        in, ``novelty``. Class names and energies are in its metadata. Arithmetic is float32,
        whatever this object computes in.

        Parameters
        ----------
        path
            File name; ``.onnx`` is added where there is no extension.
        overwrite
            Whether to replace a file that is there.

        Returns
        -------
        The path of the file.

        Raises
        ------
        FileExistsError
            If the file is there and is not to be overwritten.
        ModuleNotFoundError
            If the package onnx is not installed.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> live = vae.fit(s, references, show_progressbar=False).compile("torch")
        >>> live.export_onnx("phases.onnx")  # doctest: +SKIP
        """
        path = Path(path)
        path = path if path.suffix else path.with_suffix(".onnx")
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; pass overwrite=True to replace it.")
        graph = self._graph
        metadata = {
            "class_names": list(graph.names),
            "energy_axis": graph.energy_ev.tolist(),
            "energy_units": "eV",
            "no_data_label": NO_CLASS,
        }
        model = onnx_model(graph, Layout(image=True), complete=True, metadata=metadata)
        path.write_bytes(model.SerializeToString())
        return path

    # How

    def _rows(self, batch: Any) -> np.ndarray:
        rows = np.asarray(batch)
        if rows.ndim != 2 or rows.shape[1] != self.n_channels:
            hint = "; pass a single one as spectrum[None]" if rows.ndim == 1 else ""
            raise ValueError(
                f"batch has the shape {rows.shape}; the model takes spectra of {self.n_channels} "
                f"channels, (n, {self.n_channels}){hint}."
            )
        if rows.dtype.kind not in "fiu":
            raise TypeError(f"batch of type {rows.dtype} holds no real numbers.")
        return rows

    def _compute(
        self, rows: np.ndarray, out: tuple[np.ndarray, np.ndarray] | None
    ) -> LivePrediction:
        number = len(rows)
        if out is None:
            labels, probabilities = self._labels.take(number), self._probabilities.take(number)
        else:
            labels, probabilities = self._checked(out, number)
        novelty = None if self._novelty is None else self._novelty.take(number)
        found = LivePrediction(labels, probabilities, novelty)
        # What float32 cannot hold becomes infinite, and a spectrum without data.
        with np.errstate(over="ignore", invalid="ignore"):
            self._in_parts(rows, found)
        return found

    def _in_parts(self, rows: np.ndarray, found: LivePrediction) -> None:
        """Compute a batch, at once if there is a slot of its size."""
        whole = self._slots.get(len(rows))
        if whole is not None:
            whole.compute(rows, found)
            return
        start = 0
        while start < len(rows):
            slot = self._slot(len(rows) - start)
            part = slice(start, min(start + slot.size, len(rows)))
            novelty = None if found.novelty is None else found.novelty[part]
            slot.compute(
                rows[part],
                LivePrediction(found.labels[part], found.probabilities[part], novelty),
            )
            start = part.stop

    def _slot(self, number: int) -> Slot:
        """Buffers for the next part of so many spectra."""
        size = self._size_for(number)
        found = self._slots.get(size)
        if found is None:
            found = self._slots[size] = Slot(self._chosen.compile(self._graph, size), self._probe)
        return found

    def _size_for(self, number: int) -> int:
        """Smallest batch that holds so many, if most of it is used; else the largest full one."""
        holding = [size for size in self._sizes if size >= number]
        full = [size for size in self._sizes if size <= number]
        if holding and number >= _WORTH * min(holding):
            return min(holding)
        return max(full)

    def _checked(
        self, out: tuple[np.ndarray, np.ndarray], number: int
    ) -> tuple[np.ndarray, np.ndarray]:
        labels, probabilities = out
        wanted = (
            ("labels", labels, (number,), np.dtype(np.intp)),
            ("probabilities", probabilities, (number, len(self.names)), np.dtype(np.float32)),
        )
        for name, array, shape, dtype in wanted:
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                raise TypeError(f"out must hold {name} as a NumPy array of type {dtype}.")
            if array.shape != shape:
                raise ValueError(f"out has {name} of shape {array.shape}; they need {shape}.")
        return labels, probabilities

    def __repr__(self) -> str:
        """One line: what it tells apart and how."""
        report = self.report
        return (
            f"<{type(self).__name__}, {len(self.names)} classes, {self.n_channels} channels, "
            f"{report.runtime}, {report.precision}, {report.device}>"
        )
