# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of a classification: maps, spectra, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.classification.labels import NO_CLASS, most_probable, peak_ratio
from hyperspy_dosekin.lazy.blocks import sample_rows
from hyperspy_dosekin.numerics.arguments import check_arguments
from hyperspy_dosekin.plotting.classification.maps import (
    plot_beside,
    plot_class_maps,
    plot_confidence,
)
from hyperspy_dosekin.plotting.classification.representations import plot_denoised
from hyperspy_dosekin.signals.classification.latents import LatentPlots
from hyperspy_dosekin.signals.drawing import FigureOptions, framed, takes_figure_options

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase
    from typing_extensions import Unpack

#: Pixels whose denoised spectra are averaged, at most.
_DENOISED = 20_000
#: Novelty beyond which a map need not tell pixels apart: one false alarm in a million.
_CLEARLY_NOVEL = 6.0


class ClassificationPlots(LatentPlots):
    """Methods of `VAEClassification` that draw maps and spectra."""

    @takes_figure_options
    def plot(
        self, *, threshold: float | None = None, **options: Unpack[FigureOptions]
    ) -> FigureBase:
        """Draw the class map of every frame, or of evenly chosen ones, with the class names.

        Parameters
        ----------
        threshold
            Novelty beyond which a pixel is drawn as "unknown", as for `class_map_with_unknown`.
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
        >>> figure = c.plot(threshold=2.0)
        """
        chosen = self.class_map if threshold is None else self.class_map_with_unknown(threshold)
        labels, titles = self._frames(chosen.data)
        draw = partial(plot_class_maps, labels, chosen.names, titles, **self._pixel())
        return framed(draw, options)

    @takes_figure_options
    def plot_uncertainty(
        self, frames: Sequence[int] | None = None, **options: Unpack[FigureOptions]
    ) -> FigureBase:
        """Draw how sure the class of every pixel is: entropy, its part from noise, and novelty.

        Parameters
        ----------
        frames
            Indices of the frames to draw; by default four evenly chosen ones.
        **options
            Of the figure.

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
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> figure = c.plot_uncertainty()
        """
        uncertainty = self.uncertainty
        found = {
            "Entropy of the class (nat)": uncertainty["total"],
            "Part of it from noise (nat)": uncertainty["encoding"],
            "Novelty (−log10 of the false-alarm rate)": self.novelty,
        }
        chosen = self._some_frames(frames)
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
        limits: dict[str, object] = {"highest": highest, **self._pixel()}
        draw = partial(plot_confidence, maps, self._frame_titles(chosen), **limits)
        return framed(draw, options)

    @takes_figure_options
    def plot_peak_ratio(
        self,
        peak: tuple[float, float] | None = None,
        shoulder: tuple[float, float] | None = None,
        frames: Sequence[int] | None = None,
        **options: Unpack[FigureOptions],
    ) -> FigureBase:
        """Draw class maps above maps of a peak over its shoulder, as one would without references.

        The ratio is that of two windows of the spectra that ten principal components show.

        Parameters
        ----------
        peak, shoulder
            Windows, eV. By default 4 eV around the highest point of the references, and the 4 eV
            that begin 6 eV above it.
        frames
            Indices of the frames to draw; by default four evenly chosen ones.
        **options
            Of the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Raises
        ------
        TypeError
            If a window is no pair of numbers.
        ValueError
            If there is no such frame, or a window holds no channel.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, network=False, show_progressbar=False)
        >>> figure = c.plot_peak_ratio(peak=(689, 693), shoulder=(697, 701))
        """
        from hyperspy_dosekin.classification.noise import PrincipalComponents

        check_arguments(ClassificationPlots.plot_peak_ratio, locals())
        energy = self._trained.energy_ev
        if peak is None:
            highest = energy[np.abs(self._trained.novelty.mean).max(axis=0).argmax()]
            peak = (float(highest) - 2.0, float(highest) + 2.0)
        if shoulder is None:
            middle = 0.5 * (peak[0] + peak[1])
            shoulder = (middle + 6.0, middle + 10.0)
        windows = {"peak": peak, "shoulder": shoulder}
        places = {}
        for name, (low, high) in windows.items():
            places[name] = np.flatnonzero((energy >= low) & (energy <= high))
            if not places[name].size:
                raise ValueError(
                    f"{name}={(low, high)} holds no channel; give two energies in eV between "
                    f"{energy[0]:g} and {energy[-1]:g}."
                )
        chosen = self._some_frames(frames)
        stacked = self._data.reshape(-1, *self._data.shape[-3:])[chosen]
        spectra = np.asarray(stacked, dtype=np.float64)
        rows = spectra.reshape(-1, energy.size)
        labels = np.asarray(self.class_map.data.reshape(-1, *spectra.shape[1:3])[chosen])
        good = labels.ravel() != NO_CLASS
        ratio = np.full(len(rows), np.nan)
        if good.sum() > 1:
            components = PrincipalComponents.of(
                rows[good], min(10, int(good.sum()) - 1, energy.size - 1)
            )
            ratio[good] = peak_ratio(components.clean(rows[good]), *places.values())
        quantity = (
            f"Peak ({peak[0]:g}–{peak[1]:g} eV) over shoulder ({shoulder[0]:g}–{shoulder[1]:g} eV)"
        )
        draw = partial(
            plot_beside,
            labels,
            self.names,
            ratio.reshape(labels.shape),
            quantity,
            self._frame_titles(chosen),
            **self._pixel(),
        )
        return framed(draw, options)

    @takes_figure_options
    def plot_denoised(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw mean and standard deviation of the denoised spectra of each class.

        Beside them stands what ten principal components show of the same spectra.

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
        >>> c = s.classify_vae(references, steps=2, evaluate_every=2, show_progressbar=False)
        >>> figure = c.plot_denoised()
        """
        from hyperspy_dosekin.classification.noise import PrincipalComponents
        from hyperspy_dosekin.classification.prediction import denoise

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
        draw = partial(
            plot_denoised,
            self._trained.energy_ev,
            [spectra[label == k] for k in range(len(self.names))],
            self.names,
            compared=[clean[label == k] for k in range(len(self.names))],
            quantity=str(self._signal.metadata.get_item("Signal.quantity", "") or "Intensity"),
        )
        return framed(draw, options)
