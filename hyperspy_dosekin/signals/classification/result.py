# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a classification, as HyperSpy signals."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal, LazySignal1D, Signal1D

from hyperspy_dosekin.classification.labels import (
    labels_with_unknown,
    most_probable,
    uncertainty_parts,
)
from hyperspy_dosekin.lazy.blocks import map_blocks, wrap
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.classification.class_map import (
    UNKNOWN_NAME,
    ClassMap,
)
from hyperspy_dosekin.signals.classification.composition import Composition, moved
from hyperspy_dosekin.signals.classification.plots import ClassificationPlots
from hyperspy_dosekin.signals.classification.report import VAEReport
from hyperspy_dosekin.signals.tools import open_tool

if TYPE_CHECKING:
    from hyperspy_dosekin.classification.model import Model
    from hyperspy_dosekin.classification.potts import PottsField
    from hyperspy_dosekin.lazy.arrays import Array
    from hyperspy_dosekin.signals.classification.report import VAEReport
    from hyperspy_dosekin.signals.classification.trained_model import TrainedModel


class VAEClassification(Composition, ClassificationPlots):
    """Class of every pixel with its probability, and what else the autoencoder says.

    Made by `EELSSpectrum.classify_vae` and `DualVAE.classify`. All signals are lazy if the
    classified one is; then each is computed when it is asked for. Pixels without data (NaN, or
    the same in all channels) have class −1, "none", and NaN everywhere else.

    References
    ----------
    J. D. Hollenbach et al., doi:10.1038/s41598-024-66902-4.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
    >>> references = hyperspy_dosekin.data.reference_spectra()
    >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
    >>> c.class_map
    <ClassMap, title: Classes of Simulated annealing series, dimensions: (3|8, 9)>
    >>> c.probability.data.shape
    (3, 4, 9, 8)
    >>> sorted(c.uncertainty)
    ['classifier', 'encoding', 'total']
    """

    def __init__(
        self,
        vae: TrainedModel,
        model: Model,
        signal: BaseSignal,
        data: Array,
        packed: Array,
        probability: Array,
        field: PottsField | None,
        variance: Array | None = None,
    ) -> None:
        self._vae, self._trained, self._signal = vae, model, signal
        self._data, self._packed, self._probability = data, packed, probability
        self._field, self._variance = field, variance
        self._unmixed_by_level: dict[float, object] = {}
        self._overlap: object = None

    # What classified

    @property
    def model(self) -> TrainedModel:
        """The trained classifier, for other signals and to be saved."""
        return self._vae

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._trained.names

    @property
    def report(self) -> VAEReport:
        """Nuisances, active latents, learning curves and calibration; ``print`` it."""
        return VAEReport(self._trained)

    @property
    def class_share(self) -> Mapping[str, float]:
        """Class prior that the probabilities contain, by name."""
        return MappingProxyType(dict(zip(self.names, self._trained.share.tolist(), strict=True)))

    @property
    def spatial_strength(self) -> float | None:
        """Mean gain in log-probability from a neighbour of the same class over one of another.

        As applied: what was given, or 0.45 of what was found by pseudo-likelihood. ``None`` for
        pixels each for itself.
        """
        return None if self._field is None else self._field.strength

    # Maps

    @property
    def class_map(self) -> ClassMap:
        """Most probable class of every pixel, integers; −1 where there are no data."""
        labels = map_blocks(most_probable, "(c)->()", self._probability, output_dtypes=(np.int16,))
        return self._map(labels, "Classes", "Class", self.names)

    def class_map_with_unknown(
        self, threshold: float = 2.0, *, false_alarm_rate: float | None = None
    ) -> ClassMap:
        """Classes, with a further one, "unknown", for pixels far from every reference.

        Parameters
        ----------
        threshold
            Novelty beyond which a pixel is unknown; 2 rejects one in a hundred pixels that do
            belong to one of the classes.
        false_alarm_rate
            Share of pixels of known classes to be rejected, between 0 and 1, instead.

        Returns
        -------
        ClassMap
            Integers, the last label being "unknown".

        Raises
        ------
        ValueError
            If the threshold is not a number or the rate not between 0 and 1.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> c.class_map_with_unknown(false_alarm_rate=0.001).names[-1]
        'unknown'
        """
        if false_alarm_rate is not None:
            if not 0 < false_alarm_rate < 1:
                raise ValueError(
                    f"false_alarm_rate={false_alarm_rate} must lie between 0 and 1, such as 0.01."
                )
            threshold = -float(np.log10(false_alarm_rate))
        if not np.isfinite(threshold):
            raise ValueError(f"threshold={threshold} must be a number, such as 2.")
        labels = map_blocks(
            labels_with_unknown,
            "(c),()->()",
            self._probability,
            self._novelty,
            output_dtypes=(np.int16,),
            threshold=float(threshold),
        )
        return self._map(labels, "Classes", "Class", (*self.names, UNKNOWN_NAME))

    @property
    def probability(self) -> BaseSignal:
        """Probability of each class, array ``(…frames…, class, y, x)``; sums to 1 over classes."""
        array = moved(self._maps(self._probability, trailing=1), -1, -3)
        axes = self._map_axes()
        axes.insert(-2, {"name": "class", "size": len(self.names), "navigate": True})
        return self._signal2d(array, axes, "Class probability", "Probability")

    @property
    def uncertainty(self) -> Mapping[str, BaseSignal]:
        """Entropy of the class of every pixel, nats, in two parts.

        ``"total"`` is the entropy of the probabilities. ``"classifier"`` is the part of it that
        25 times the exposure would leave: the classes overlap. It is the entropy of the best
        explanation of the spectrum, by Bayes' rule with so much less noise, whatever classifies,
        and never taken above the total. ``"encoding"`` is the rest, which noise brings; a longer
        exposure would remove it.
        """
        from hyperspy_dosekin.classification.prediction import overlap

        if self._overlap is None:
            self._overlap = map_blocks(
                overlap,
                self._signature(""),
                *self._arrays,
                output_dtypes=(np.float32,),
                model=self._trained,
            )
        parts = map_blocks(
            uncertainty_parts,
            "(c),()->(u)",
            self._probability,
            self._overlap,
            output_sizes={"u": 3},
            output_dtypes=(np.float32,),
        )
        return MappingProxyType(
            {
                name: self._signal2d(
                    self._maps(parts[..., i]),
                    self._map_axes(),
                    f"{name} uncertainty",
                    "Entropy (nat)",
                )
                for i, name in enumerate(("encoding", "classifier", "total"))
            }
        )

    @property
    def novelty(self) -> BaseSignal:
        """How far every pixel is from all references, −log10 of the false-alarm rate.

        Distances are standard scores, with a centre and a spread for each class, and the smallest
        counts. A pixel with novelty 2 has a score that one in a hundred simulated spectra exceed,
        of all classes together in their shares; in a single class it may be more or fewer.
        """
        return self._signal2d(
            self._maps(self._novelty),
            self._map_axes(),
            "Novelty",
            "Novelty (−log10 of the false-alarm rate)",
        )

    @property
    def _novelty(self) -> Any:
        return self._packed[..., len(self.names)]

    # Spectra and latents

    @property
    def _arrays(self) -> list[object]:
        """Spectra, and their noise variance where it is known."""
        return [self._data] if self._variance is None else [self._data, self._variance]

    def _signature(self, output: str) -> str:
        return f"(e)->({output})" if self._variance is None else f"(e),(e)->({output})"

    @property
    def denoised(self) -> BaseSignal:
        """Spectra without their noise, an `EELSSpectrum` on the axes of the data."""
        from hyperspy_dosekin.classification.prediction import denoise

        spectra = map_blocks(
            denoise,
            self._signature("e"),
            *self._arrays,
            output_dtypes=(np.float32,),
            model=self._trained,
        )
        signal_axis = self._signal.axes_manager.signal_axes[0]
        if signal_axis.axis[0] > signal_axis.axis[-1]:
            spectra = spectra[..., ::-1]
        metadata = self._metadata("Denoised spectra")
        metadata["Signal"] = {"quantity": self._signal.metadata.get_item("Signal.quantity", "")}
        axes = [*self._navigation_axes(), signal_axis.get_axis_dictionary()]
        found = wrap(Signal1D, LazySignal1D, spectra, axes=axes, metadata=metadata)
        found.set_signal_type("EELS")
        return found

    @property
    def latent(self) -> BaseSignal:
        """Latents of the raw spectra, array ``(…navigation…, latent)``.

        The network is trained when they are first asked for, if it has not been; see
        `DualVAE.train_network`.

        Raises
        ------
        RuntimeError
            If there is no network and never will be: the model was trained with ``network=False``.
        """
        from hyperspy_dosekin.classification.prediction import encode

        model = self._with_network()
        latents = map_blocks(
            encode,
            "(e)->(l)",
            self._data,
            output_sizes={"l": model.n_latent},
            output_dtypes=(np.float32,),
            model=model,
        )
        axes = [
            *self._navigation_axes(),
            {"name": "latent", "size": model.n_latent, "navigate": False},
        ]
        return wrap(
            Signal1D, LazySignal1D, latents, axes=axes, metadata=self._metadata("Raw latents")
        )

    def _with_network(self) -> Model:
        """The model with its network, which is trained now if it has not been."""
        if not self._trained.has_network:
            trained = self._vae.train_network().trained
            self._trained = self._trained.with_network_of(trained)
        return self._trained

    # To look at

    def __repr__(self) -> str:
        """One line: what was classified, into what."""
        shape = "×".join(str(size) for size in self._probability.shape[:-1]) or "1"
        state = "" if self._vae.complete else ", incomplete"
        return printable(f"<VAEClassification, {shape} pixels, {len(self.names)} classes{state}>")

    def explore(self, *, display: bool = True, toolkit: str | None = None, **start: Any) -> Any:
        """Look through the result: class map, and all that is known about one pixel.

        Beside the map stand the measured and the denoised spectrum of a pixel over the references,
        its probabilities, its uncertainties and its novelty. A click on the map chooses the pixel;
        a slider sets the novelty beyond which pixels are unknown. Of a lazy result the frame and
        the spectrum that are looked at are computed, nothing else.

        Parameters
        ----------
        display
            Whether to show the tool now.
        toolkit
            ``"ipywidgets"``, for notebooks, or ``"traitsui"``, for windows of Qt; by default what
            fits the session.
        **start
            ``x``, ``y`` and ``frame``, pixel indices and the number of the frame to start with,
            and ``threshold``, by default 2.

        Returns
        -------
        ClassificationExplorer or dict
            State of the tool. ``tool.class_map`` is the map with the threshold as it stands;
            ``tool.gui()`` shows the tool again. With ``display=False`` what HyperSpy's ``gui``
            returns: ``{toolkit: {"widget": …, "wdict": …}}``, the state being ``wdict["tool"]``.

        Raises
        ------
        ImportError
            Without the extra ``hyperspy_dosekin[gui]``.
        ValueError
            If a start is out of range.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> shown = c.explore(display=False, frame=1)
        >>> tool = shown["ipywidgets"]["wdict"]["tool"]
        >>> tool.class_map.names[-1]
        'unknown'
        """
        key = "hyperspy_dosekin.ClassificationExplorer"
        return open_tool(self, key, display=display, toolkit=toolkit, **start)
