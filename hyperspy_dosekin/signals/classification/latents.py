# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents of a classification beside principal components: figures and silhouettes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.classification.labels import NO_CLASS, most_probable
from hyperspy_dosekin.lazy.blocks import sample_rows
from hyperspy_dosekin.plotting.classification.representations import plot_latent, plot_silhouette
from hyperspy_dosekin.signals.classification.frames import ClassifiedFrames
from hyperspy_dosekin.signals.drawing import FigureOptions, framed, takes_figure_options

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase
    from typing_extensions import Unpack

#: Pixels embedded and pixels whose silhouette is taken, at most.
_EMBEDDED = 1500
_SILHOUETTES = 600


class LatentPlots(ClassifiedFrames):
    """Methods of `VAEClassification` that show latents."""

    @takes_figure_options
    def plot_latent(self, *, seed: int = 0, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw the latents of some pixels in two dimensions beside their principal components.

        Both are embedded by t-SNE, so that what differs is not the embedding.

        Parameters
        ----------
        seed
            For the choice of pixels and for t-SNE.
        **options
            Of the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        References
        ----------
        t-SNE: L. van der Maaten, G. Hinton, J. Mach. Learn. Res. 9, 2579 (2008).

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> figure = c.plot_latent()
        """
        from sklearn.manifold import TSNE

        latents, scores, label, _ = self._embedding_sample(_EMBEDDED, seed)
        perplexity = min(30.0, max(5.0, len(latents) / 10))

        def embedded(points: np.ndarray) -> np.ndarray:
            embedding = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=500)
            return embedding.fit_transform(points)

        spread = np.maximum(latents.std(axis=0), 1e-9)
        points = embedded(latents / spread), embedded(scores)
        return framed(partial(plot_latent, *points, label, self.names), options)

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

    @takes_figure_options
    def plot_silhouette(self, *, seed: int = 0, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw the silhouette by condition, of latents beside principal components.

        Parameters
        ----------
        seed
            For the choice of pixels.
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
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> figure = c.plot_silhouette()
        """
        _, titles = self._frames(None)
        found = self.silhouette(seed=seed)
        if len(titles) != len(found["latents"]):
            titles = [str(i) for i in range(len(found["latents"]))]
        return framed(partial(plot_silhouette, found, titles), options)

    def _embedding_sample(
        self, number: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Active latents, principal components, class and frame of some pixels with data."""
        from hyperspy_dosekin.classification.model import classified_latents
        from hyperspy_dosekin.classification.noise import PrincipalComponents

        model = self._with_network()
        arrays = [self._data, self._probability, self._frame_numbers()]
        (rows, probability, frame), _ = sample_rows(arrays, number, np.random.default_rng(seed))
        label = most_probable(probability)
        good = label != NO_CLASS
        spectra = rows[good].astype(np.float64)
        latents = model.encode(spectra)[:, classified_latents(model.active)]
        scores = PrincipalComponents.of(spectra, min(10, spectra.shape[1] - 1)).scores(spectra)
        return latents.astype(np.float64), scores, label[good], frame[good, 0].astype(int)
