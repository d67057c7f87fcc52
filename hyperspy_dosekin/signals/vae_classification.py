# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a classification, as HyperSpy signals."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal, LazySignal1D, LazySignal2D, Signal1D, Signal2D

from hyperspy_dosekin.signals._blockwise import map_blocks, sample_rows, share, wrap
from hyperspy_dosekin.signals.class_map import (
    NO_CLASS,
    NONE_NAME,
    UNKNOWN_NAME,
    ClassMap,
    LazyClassMap,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hyperspy_dosekin.classification.model import Model
    from hyperspy_dosekin.classification.potts import PottsField
    from hyperspy_dosekin.signals._vae_report import VAEReport
    from hyperspy_dosekin.signals.dual_vae import DualVAE

#: Frames drawn, pixels embedded and pixels whose silhouette is taken, at most.
_FRAMES = 24
_EMBEDDED = 1500
_SILHOUETTES = 600
_DENOISED = 20_000


class VAEClassification:
    """Class of every pixel with its probability, and what else the autoencoder says.

    Made by `EELSSpectrum.classify_vae` and `DualVAE.classify`. All signals are lazy if the
    classified one is; then each is computed when it is asked for. Pixels without data (NaN, or
    the same in all channels) have class −1, "none", and NaN everywhere else.

    References
    ----------
    J. D. Hollenbach et al., doi:10.1038/s41598-024-66902-4.
    """

    def __init__(
        self,
        vae: DualVAE,
        model: Model,
        signal: Any,
        data: Any,
        packed: Any,
        probability: Any,
        field: PottsField | None,
    ) -> None:
        self._vae, self._trained, self._signal = vae, model, signal
        self._data, self._packed, self._probability = data, packed, probability
        self._field = field

    # What classified

    @property
    def model(self) -> DualVAE:
        """The trained classifier, for other signals and to be saved."""
        return self._vae

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._trained.names

    @property
    def report(self) -> VAEReport:
        """Nuisances, active latents, learning curves and calibration; ``print`` it."""
        from hyperspy_dosekin.signals._vae_report import VAEReport

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
        labels = map_blocks(_labels, "(c)->()", self._probability, output_dtypes=(np.int16,))
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

        Raises
        ------
        ValueError
            If the threshold is not a number or the rate not between 0 and 1.
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
            _labels_with_unknown,
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
        array = _moved(self._maps(self._probability, trailing=1), -1, -3)
        axes = self._map_axes()
        axes.insert(-2, {"name": "class", "size": len(self.names), "navigate": True})
        return self._signal2d(array, axes, "Class probability", "Probability")

    @property
    def uncertainty(self) -> Mapping[str, BaseSignal]:
        """Entropy of the class of every pixel, nats, in two parts.

        ``"total"`` is the entropy of the probabilities. ``"classifier"`` is the part of it that
        is expected to be left if the spectrum had no noise: the classes overlap. It is learned
        from simulated spectra under uniform shares and without the temperature, and never taken
        above the total. ``"encoding"`` is the rest, which noise brings into the latents; a longer
        exposure would remove it.
        """
        parts = map_blocks(
            _uncertainty,
            "(c),()->(u)",
            self._probability,
            self._packed[..., len(self.names)],
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
        return self._packed[..., len(self.names) + 1]

    # Spectra and latents

    @property
    def denoised(self) -> Any:
        """Spectra without their noise, an `EELSSpectrum` on the axes of the data."""
        from hyperspy_dosekin.classification.model import denoise

        spectra = map_blocks(
            denoise,
            "(e)->(e)",
            self._data,
            output_dtypes=(np.float32,),
            model=share(self._trained, self._data),
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
        """Latents of the raw spectra, array ``(…navigation…, latent)``."""
        latents = self._packed[..., len(self.names) + 2 :]
        axes = [
            *self._navigation_axes(),
            {"name": "latent", "size": self._trained.n_latent, "navigate": False},
        ]
        return wrap(
            Signal1D, LazySignal1D, latents, axes=axes, metadata=self._metadata("Raw latents")
        )

    # To look at

    def __repr__(self) -> str:
        """One line: what was classified, into what."""
        shape = "×".join(str(size) for size in self._probability.shape[:-1]) or "1"
        state = "" if self._vae.complete else ", incomplete"
        return f"<VAEClassification, {shape} pixels, {len(self.names)} classes{state}>"

    def plot(self, **options: Any) -> Figure:
        """Draw the class map of every frame, or of evenly chosen ones, with the class names."""
        from hyperspy_dosekin.plotting.classification import plot_class_maps

        labels, titles = self._frames(self.class_map.data)
        return plot_class_maps(labels, self.names, titles, **options)

    def plot_denoised(self, **options: Any) -> Figure:
        """Draw mean and standard deviation of the denoised spectra of each class."""
        from hyperspy_dosekin.classification.model import denoise
        from hyperspy_dosekin.plotting.classification import plot_denoised

        (rows, probability), _ = sample_rows(
            [self._data, self._probability], _DENOISED, np.random.default_rng(0)
        )
        label = _labels(probability)
        spectra = denoise(rows, model=self._trained)
        return plot_denoised(
            self._trained.energy_ev,
            [spectra[label == k] for k in range(len(self.names))],
            self.names,
            quantity=str(self._signal.metadata.get_item("Signal.quantity", "") or "Intensity"),
            **options,
        )

    def plot_latent(self, *, seed: int = 0, **options: Any) -> Figure:
        """Draw the latents of some pixels in two dimensions beside their principal components.

        Parameters
        ----------
        seed
            For the choice of pixels and for t-SNE.
        **options
            Passed to the figure.

        References
        ----------
        t-SNE: L. van der Maaten, G. Hinton, J. Mach. Learn. Res. 9, 2579 (2008).
        """
        from sklearn.manifold import TSNE

        from hyperspy_dosekin.plotting.classification import plot_latent

        latents, scores, label, _ = self._embedding_sample(_EMBEDDED, seed)
        spread = np.maximum(latents.std(axis=0), 1e-9)
        perplexity = min(30.0, max(5.0, len(latents) / 10))
        embedded = TSNE(
            perplexity=perplexity, init="pca", random_state=seed, max_iter=500
        ).fit_transform(latents / spread)
        return plot_latent(embedded, scores[:, :2], label, self.names, **options)

    def silhouette(self, *, seed: int = 0) -> Mapping[str, np.ndarray]:
        """Mean silhouette by condition (frame), of latents and of principal components.

        It says how compact the classes look, not how right they are: it can rise while the
        accuracy falls.

        Returns
        -------
        Mapping of ``"latents"`` and ``"components"`` to arrays ``(n_frame,)``, NaN for frames with
        fewer than two classes; without frames there is one entry.
        """
        from sklearn.metrics import silhouette_score

        latents, scores, label, frame = self._embedding_sample(_SILHOUETTES * 24, seed)
        n_frame = int(np.prod(self._frame_shape())) if self._frame_shape() else 1
        found = {name: np.full(n_frame, np.nan) for name in ("latents", "components")}
        for k in range(n_frame):
            own = np.flatnonzero(frame == k)[:_SILHOUETTES]
            sizes = np.bincount(label[own], minlength=len(self.names)) if len(own) else np.zeros(1)
            if (sizes > 1).sum() < 2 or len(own) <= (sizes > 0).sum():
                continue
            for name, points in (("latents", latents), ("components", scores)):
                found[name][k] = silhouette_score(points[own], label[own])
        return MappingProxyType(found)

    def plot_silhouette(self, *, seed: int = 0, **options: Any) -> Figure:
        """Draw the silhouette by condition, of latents beside principal components."""
        from hyperspy_dosekin.plotting.classification import plot_silhouette

        _, titles = self._frames(None)
        found = self.silhouette(seed=seed)
        if len(titles) != len(found["latents"]):
            titles = [str(i) for i in range(len(found["latents"]))]
        return plot_silhouette(found, titles, **options)

    # Plumbing

    def _embedding_sample(
        self, number: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Active latents, principal components, class and frame of some pixels with data."""
        from hyperspy_dosekin.classification.model import classified_latents
        from hyperspy_dosekin.classification.noise import PrincipalComponents

        arrays = [self._data, self._packed, self._probability, self._frame_numbers()]
        (rows, packed, probability, frame), _ = sample_rows(
            arrays, number, np.random.default_rng(seed)
        )
        label = _labels(probability)
        good = label != NO_CLASS
        latents = packed[good, len(self.names) + 2 :][:, classified_latents(self._trained.active)]
        spectra = rows[good].astype(np.float64)
        scores = PrincipalComponents.of(spectra, min(10, spectra.shape[1] - 1)).scores(spectra)
        return latents.astype(np.float64), scores, label[good], frame[good, 0].astype(int)

    def _frame_numbers(self) -> Any:
        """Number of the frame of every pixel, ``(…navigation…, 1)``, lazy as the data."""
        shape = self._data.shape[:-1]
        frames = self._frame_shape()
        number = np.arange(max(1, int(np.prod(frames))), dtype=np.float32)
        number = number.reshape(*frames, *[1] * (len(shape) - len(frames)), 1)
        # On top of the results, so that chunks fit; NaN where there are no data.
        return self._packed[..., :1] * 0 + number

    def _frame_shape(self) -> tuple[int, ...]:
        return self._data.shape[:-1][:-2]

    def _frames(self, labels: Any) -> tuple[Any, list[str]]:
        """Maps ``(n, y, x)`` of all frames or of evenly chosen ones, and what to call them."""
        axes = self._navigation_axes()[:-2]
        shape = self._frame_shape()
        number = int(np.prod(shape)) if shape else 1
        chosen = np.unique(np.linspace(0, number - 1, min(number, _FRAMES)).round().astype(int))
        titles = [
            self._frame_title(axes, np.unravel_index(i, shape)) if shape else "" for i in chosen
        ]
        if labels is None:
            return None, titles
        stacked = labels.reshape(-1, *labels.shape[-2:])[chosen]
        return np.asarray(stacked), titles

    def _frame_title(self, axes: list[dict[str, Any]], place: Any) -> str:
        texts = []
        manager = list(reversed(self._signal.axes_manager.navigation_axes))
        for axis, index in zip(manager[: len(axes)], place, strict=True):
            units = axis.units if isinstance(axis.units, str) else ""
            name = str(axis.name) if isinstance(axis.name, str) else "frame"
            texts.append(f"{name} {axis.axis[int(index)]:g} {units}".strip())
        return ", ".join(texts)

    def _navigation_axes(self) -> list[dict[str, Any]]:
        manager = self._signal.axes_manager
        return [axis.get_axis_dictionary() for axis in reversed(manager.navigation_axes)]

    def _map_axes(self) -> list[dict[str, Any]]:
        """Axes of a map: the last two of navigation are the signal."""
        axes = self._navigation_axes()
        while len(axes) < 2:
            axes.insert(0, {"name": "y" if axes else "x", "size": 1})
        return [{**axis, "navigate": i < len(axes) - 2} for i, axis in enumerate(axes)]

    def _maps(self, array: Any, trailing: int = 0) -> Any:
        """The array with two axes of space at least, before the trailing ones."""
        lead = array.ndim - trailing
        if lead >= 2:
            return array
        return array.reshape((1,) * (2 - lead) + array.shape)

    def _map(self, labels: Any, title: str, quantity: str, names: tuple[str, ...]) -> ClassMap:
        metadata = self._metadata(title)
        metadata["Signal"] = {"quantity": quantity}
        metadata["Classes"] = {"names": list(names), "without_data": NONE_NAME}
        return wrap(
            ClassMap, LazyClassMap, self._maps(labels), axes=self._map_axes(), metadata=metadata
        )

    def _signal2d(
        self, array: Any, axes: list[dict[str, Any]], title: str, quantity: str
    ) -> BaseSignal:
        metadata = self._metadata(title)
        metadata["Signal"] = {"quantity": quantity}
        return wrap(Signal2D, LazySignal2D, array, axes=axes, metadata=metadata)

    def _metadata(self, title: str) -> dict[str, Any]:
        """Metadata of the data that hold for its maps, with a title."""
        kept = ("General", "Acquisition_instrument", "Sample")
        metadata = {
            name: copy.deepcopy(node.as_dictionary())
            for name, node in self._signal.metadata
            if name in kept
        }
        original = self._signal.metadata.get_item("General.title", "")
        general = metadata.setdefault("General", {})
        general["title"] = f"{title} of {original}" if original else title
        general.pop("FileIO", None)
        metadata["Classes"] = {"names": list(self.names)}
        return metadata


def _labels(probability: np.ndarray) -> np.ndarray:
    """Most probable class, ``(…)``; −1 where probabilities ``(…, n_class)`` are NaN."""
    known = np.isfinite(probability).all(axis=-1)
    return np.where(known, np.nan_to_num(probability).argmax(axis=-1), NO_CLASS).astype(np.int16)


def _labels_with_unknown(
    probability: np.ndarray, novelty: np.ndarray, *, threshold: float
) -> np.ndarray:
    """Most probable class, or the number of classes where the novelty is beyond the threshold."""
    labels = _labels(probability)
    unknown = (labels != NO_CLASS) & (np.nan_to_num(novelty) > threshold)
    return np.where(unknown, probability.shape[-1], labels).astype(np.int16)


def _uncertainty(probability: np.ndarray, noise_free: np.ndarray) -> np.ndarray:
    """Encoding, classifier and total entropy, ``(…, 3)``."""
    from hyperspy_dosekin.classification.calibration import entropy

    total = entropy(probability.astype(np.float64))
    classifier = np.minimum(noise_free, total)
    return np.stack([total - classifier, classifier, total], axis=-1).astype(np.float32)


def _moved(array: Any, source: int, target: int) -> Any:
    """An axis moved, of NumPy and dask arrays alike."""
    order = list(range(array.ndim))
    order.insert(array.ndim + target, order.pop(source))
    return array.transpose(order)
