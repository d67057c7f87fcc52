# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of a classification, and the samples that they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.classification.labels import NO_CLASS, most_probable
from hyperspy_dosekin.lazy.blocks import sample_rows

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

#: Frames drawn, pixels embedded and pixels whose silhouette is taken, at most.
_FRAMES = 24
_EMBEDDED = 1500
_SILHOUETTES = 600
_DENOISED = 20_000
#: Novelty beyond which a map need not tell pixels apart: one false alarm in a million.
_CLEARLY_NOVEL = 6.0


class ClassificationPlots:
    """Methods of `VAEClassification` that draw, and the samples of pixels and frames they show."""

    names: tuple[str, ...]
    class_map: Any
    class_map_with_unknown: Any
    uncertainty: Mapping[str, Any]
    novelty: Any
    _signal: Any
    _data: Any
    _packed: Any
    _probability: Any
    _trained: Any
    _navigation_axes: Any
    _map_axes: Any
    _check_network: Any

    def plot(self, *, threshold: float | None = None, **options: Any) -> FigureBase:
        """Draw the class map of every frame, or of evenly chosen ones, with the class names.

        Parameters
        ----------
        threshold
            Novelty beyond which a pixel is drawn as "unknown", as for `class_map_with_unknown`.
        **options
            Passed to the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> figure = c.plot(threshold=2.0)
        """
        from hyperspy_dosekin.plotting.classification.maps import plot_class_maps

        chosen = self.class_map if threshold is None else self.class_map_with_unknown(threshold)
        labels, titles = self._frames(chosen.data)
        return plot_class_maps(labels, chosen.names, titles, **self._pixel(), **options)

    def plot_uncertainty(self, frames: Sequence[int] | None = None, **options: Any) -> FigureBase:
        """Draw how sure the class of every pixel is: entropy, its part from noise, and novelty.

        Parameters
        ----------
        frames
            Indices of the frames to draw; by default four evenly chosen ones.
        **options
            Passed to the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Raises
        ------
        ValueError
            If there is no such frame.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> figure = c.plot_uncertainty()
        """
        from hyperspy_dosekin.plotting.classification.maps import plot_confidence

        uncertainty = self.uncertainty
        found = {
            "Entropy of the class (nat)": uncertainty["total"],
            "Part of it from noise (nat)": uncertainty["encoding"],
            "Novelty (−log10 of the false-alarm rate)": self.novelty,
        }
        number = int(np.prod(self._frame_shape()))
        spread = np.unique(np.linspace(0, number - 1, min(number, 4)).round())
        chosen = [int(frame) for frame in (spread if frames is None else frames)]
        if not chosen or not all(0 <= frame < number for frame in chosen):
            raise ValueError(f"frames={chosen} must be some of the frames 0 to {number - 1}.")
        maps = {
            name: np.asarray(signal.data.reshape(-1, *signal.data.shape[-2:])[chosen])
            for name, signal in found.items()
        }
        highest = {
            name: float(np.max(values, initial=0.0, where=np.isfinite(values)))
            for name, values in maps.items()
        }
        whole, part, novelty = maps
        # The part is on the scale of the whole.
        highest[part] = highest[whole]
        highest[novelty] = min(highest[novelty], _CLEARLY_NOVEL)
        limits = {"highest": highest, **self._pixel()}
        return plot_confidence(maps, self._frame_titles(chosen), **limits, **options)

    def plot_denoised(self, **options: Any) -> FigureBase:
        """Draw mean and standard deviation of the denoised spectra of each class.

        Beside them stands what ten principal components show of the same spectra.

        Parameters
        ----------
        **options
            Passed to the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> figure = c.plot_denoised()
        """
        from hyperspy_dosekin.classification.model import denoise
        from hyperspy_dosekin.classification.noise import PrincipalComponents
        from hyperspy_dosekin.plotting.classification.maps import plot_denoised

        (rows, probability), _ = sample_rows(
            [self._data, self._probability], _DENOISED, np.random.default_rng(0)
        )
        label = most_probable(probability)
        spectra = denoise(rows, model=self._trained)
        known = rows[label != NO_CLASS].astype(np.float64)
        clean = np.full(rows.shape, np.nan)
        if len(known) > 1:
            number = min(10, len(known) - 1, known.shape[1] - 1)
            clean[label != NO_CLASS] = PrincipalComponents.of(known, number).clean(known)
        return plot_denoised(
            self._trained.energy_ev,
            [spectra[label == k] for k in range(len(self.names))],
            self.names,
            compared=[clean[label == k] for k in range(len(self.names))],
            quantity=str(self._signal.metadata.get_item("Signal.quantity", "") or "Intensity"),
            **options,
        )

    def plot_latent(self, *, seed: int = 0, **options: Any) -> FigureBase:
        """Draw the latents of some pixels in two dimensions beside their principal components.

        Both are embedded by t-SNE, so that what differs is not the embedding.

        Parameters
        ----------
        seed
            For the choice of pixels and for t-SNE.
        **options
            Passed to the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        References
        ----------
        t-SNE: L. van der Maaten, G. Hinton, J. Mach. Learn. Res. 9, 2579 (2008).

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> figure = c.plot_latent()
        """
        from sklearn.manifold import TSNE

        from hyperspy_dosekin.plotting.classification.maps import plot_latent

        latents, scores, label, _ = self._embedding_sample(_EMBEDDED, seed)
        perplexity = min(30.0, max(5.0, len(latents) / 10))

        def embedded(points: np.ndarray) -> np.ndarray:
            embedding = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=500)
            return embedding.fit_transform(points)

        spread = np.maximum(latents.std(axis=0), 1e-9)
        return plot_latent(
            embedded(latents / spread), embedded(scores), label, self.names, **options
        )

    def silhouette(self, *, seed: int = 0) -> Mapping[str, np.ndarray]:
        """Mean silhouette by condition (frame), of latents and of principal components.

        It says how compact the classes look, not how right they are: it can rise while the
        accuracy falls.

        Parameters
        ----------
        seed
            For the choice of pixels.

        Returns
        -------
        Mapping of ``"latents"`` and ``"components"`` to arrays ``(n_frame,)``, NaN for frames with
        fewer than two classes; without frames there is one entry.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> c.silhouette()["latents"].shape
        (3,)
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

    def plot_silhouette(self, *, seed: int = 0, **options: Any) -> FigureBase:
        """Draw the silhouette by condition, of latents beside principal components.

        Parameters
        ----------
        seed
            For the choice of pixels.
        **options
            Passed to the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> figure = c.plot_silhouette()
        """
        from hyperspy_dosekin.plotting.classification.maps import plot_silhouette

        _, titles = self._frames(None)
        found = self.silhouette(seed=seed)
        if len(titles) != len(found["latents"]):
            titles = [str(i) for i in range(len(found["latents"]))]
        return plot_silhouette(found, titles, **options)

    def _embedding_sample(
        self, number: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Active latents, principal components, class and frame of some pixels with data."""
        from hyperspy_dosekin.classification.model import classified_latents
        from hyperspy_dosekin.classification.noise import PrincipalComponents

        self._check_network("latents")
        arrays = [self._data, self._packed, self._probability, self._frame_numbers()]
        (rows, packed, probability, frame), _ = sample_rows(
            arrays, number, np.random.default_rng(seed)
        )
        label = most_probable(probability)
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
        number = int(np.prod(self._frame_shape()))
        chosen = np.unique(np.linspace(0, number - 1, min(number, _FRAMES)).round().astype(int))
        titles = self._frame_titles(chosen.tolist())
        if labels is None:
            return None, titles
        stacked = labels.reshape(-1, *labels.shape[-2:])[chosen]
        return np.asarray(stacked), titles

    def _frame_titles(self, chosen: Sequence[int]) -> list[str]:
        axes, shape = self._navigation_axes()[:-2], self._frame_shape()
        return [
            self._frame_title(axes, np.unravel_index(i, shape)) if shape else "" for i in chosen
        ]

    def _pixel(self) -> dict[str, Any]:
        """Width of a pixel of the maps, for scale bars."""
        axis = self._map_axes()[-1]
        units = axis.get("units")
        known = isinstance(units, str) and "scale" in axis
        return {"pixel_size": float(axis["scale"]), "units": units} if known else {}

    def _frame_title(self, axes: list[dict[str, Any]], place: Any) -> str:
        texts = []
        manager = list(reversed(self._signal.axes_manager.navigation_axes))
        for axis, index in zip(manager[: len(axes)], place, strict=True):
            units = axis.units if isinstance(axis.units, str) else ""
            name = str(axis.name) if isinstance(axis.name, str) else "frame"
            texts.append(f"{name} {axis.axis[int(index)]:g} {units}".strip())
        return ", ".join(texts)
