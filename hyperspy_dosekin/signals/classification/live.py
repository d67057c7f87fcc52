# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classification beside the detector, of arrays and of HyperSpy signals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.classification.energy_axis import check_energies
from hyperspy_dosekin.classification.live.compiled import CompiledClassifier
from hyperspy_dosekin.classification.live.stream import LiveFrame, Stream
from hyperspy_dosekin.plotting.classification.latency import plot_latency
from hyperspy_dosekin.signals.axes.energy import energy_in_ev
from hyperspy_dosekin.signals.classification.spectra import ascending, check_spectra
from hyperspy_dosekin.signals.drawing import FigureOptions, framed, takes_figure_options

if TYPE_CHECKING:
    import numpy.typing as npt
    from hyperspy.axes import BaseDataAxis
    from matplotlib.figure import FigureBase
    from typing_extensions import Unpack


class LiveClassifier(CompiledClassifier):
    """A trained model as one graph from counts to probabilities; made by `DualVAE.compile`.

    Examples
    --------
    >>> data = hyperspy_dosekin.data
    >>> s = data.annealing_series(shape=(3, 9, 8))
    >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
    >>> vae = vae.fit(s, data.reference_spectra(), show_progressbar=False)
    >>> live = vae.compile(runtime="torch")
    >>> labels, probabilities = live.classify(s.data[0, 0])
    >>> labels.shape, probabilities.shape
    ((8,), (8, 4))
    >>> stream = live.classify_stream(s.data[:, 0], policy="block")
    >>> [frame.labels.shape for frame in stream]
    [(8,), (8,), (8,)]
    >>> stream.report.dropped
    0
    """

    def classify_stream(
        self,
        source: Iterable[object],
        *,
        energy_axis: BaseDataAxis | npt.ArrayLike | None = None,
        policy: str = "newest",
        queue_size: int | None = None,
        copy: bool = True,
        on_frame: Callable[[LiveFrame], object] | None = None,
        feedback: Callable[[Mapping[str, float]], object] | None = None,
    ) -> LiveStream:
        """Classify frames as a detector gives them.

        A thread reads the source from now on; classification and callbacks happen where the result
        is iterated over or its `run` is called.

        Parameters
        ----------
        source
            Frames: arrays ``(…, n_channels)``, of any shape and real type, or signals.
        energy_axis
            Energies of the channels, in eV, or the energy axis of a signal; compared with the
            model's. Signals bring their own. Arrays are taken to be on the model's axis if it is
            not given; of a descending axis the channels are turned round.
        policy
            What happens to a frame that comes while others wait: ``"newest"`` drops the oldest of
            those, and counts it; ``"block"`` lets the source wait.
        queue_size
            Frames that may wait; by default 1 for ``"newest"``, 8 for ``"block"``.
        copy
            Whether frames are copied when they come, because the detector uses its memory again.
        on_frame
            Called with each `LiveFrame`.
        feedback
            Called with the class fractions of each frame, a mapping from names. If this or
            `on_frame` returns ``True``, the stream ends.

        Returns
        -------
        LiveStream
            Iterator over `LiveFrame`; ``run()`` goes to the end and reports.

        Raises
        ------
        TypeError
            If the source cannot be iterated over.
        ValueError
            If the energies are not those of the model, here or when the first such signal comes, or
            if an option is unknown. What the source or a callback raises is raised on.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> live = vae.fit(s, references, show_progressbar=False).compile("torch")
        >>> with live.classify_stream(s.data[:, 0], policy="block") as stream:
        ...     shares = [frame.fractions for frame in stream]
        >>> len(shares)
        3
        """
        turned = False
        if energy_axis is not None:
            energy = _energies(energy_axis)
            turned = energy.size > 1 and energy[0] > energy[-1]
            check_energies(self.energy_ev, energy[::-1] if turned else energy, what="stream")
        return LiveStream(
            self,
            _Frames(iter(source), self.energy_ev, turned),
            policy=policy,
            queue_size=queue_size,
            copy=copy,
            on_frame=on_frame,
            feedback=feedback,
        )


class LiveStream(Stream):
    """Iterator over the frames of a detector, classified; made by `LiveClassifier.classify_stream`.

    It can be used in a ``with`` statement, which closes it, and its `report` be read at any time.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
    >>> references = hyperspy_dosekin.data.reference_spectra()
    >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
    >>> live = vae.fit(s, references, show_progressbar=False).compile("torch")
    >>> stream = live.classify_stream(s.data[:, 0], policy="block")
    >>> [frame.labels.shape for frame in stream]
    [(8,), (8,), (8,)]
    """

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw the histogram of the latency so far, with its percentiles.

        Parameters
        ----------
        **options
            Of the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> live = vae.fit(s, references, show_progressbar=False).compile("torch")
        >>> stream = live.classify_stream(s.data[:, 0], policy="block")
        >>> report = stream.run()
        >>> figure = stream.plot()
        """
        report = self.report
        draw = partial(
            plot_latency,
            report.latency.edges_s,
            report.latency.counts,
            dict(zip((50, 95, 99), report.latency.percentiles(), strict=True)),
            dropped=report.dropped,
        )
        return framed(draw, options)


def _energies(axis: Any) -> np.ndarray:
    if hasattr(axis, "axis") and hasattr(axis, "units"):
        if isinstance(axis.units, str) and axis.units.strip():
            return energy_in_ev(axis)
        axis = axis.axis
    energy = np.asarray(axis, dtype=np.float64)
    if energy.ndim != 1:
        raise ValueError(f"energy_axis has the shape {energy.shape}; it must have one dimension.")
    return energy


class _Frames:
    """Arrays of frames, signals among them checked and unwrapped."""

    def __init__(self, source: Iterator[object], energy_ev: np.ndarray, turned: bool) -> None:
        self._source, self._energy_ev, self._turned = source, energy_ev, turned

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        frame = next(self._source)
        if hasattr(frame, "axes_manager"):
            check_spectra(frame)
            energy, data = ascending(frame)
            check_energies(self._energy_ev, energy, what="stream")
            return np.asarray(data)
        return np.asarray(frame)[..., ::-1] if self._turned else frame

    def close(self) -> None:
        """Close the source, if it is one that can be closed."""
        close = getattr(self._source, "close", None)
        if close is not None:
            close()
