# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame and one pixel at a time of a classification, for somebody who looks through it.

Of lazy results only the frame and the pixel that are asked for are computed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.classification.labels import (
    NO_CLASS,
    labels_with_unknown,
    most_probable,
    uncertainty_parts,
)
from hyperspy_dosekin.lazy.blocks import compute
from hyperspy_dosekin.signals.classification.class_map import NONE_NAME

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.classification.class_map import ClassMap
    from hyperspy_dosekin.signals.classification.result import VAEClassification

#: Frames that are kept, so that going back to one does not compute it again.
_KEPT = 16


@dataclass(frozen=True, eq=False)
class ExploredPixel:
    """What is known about one pixel.

    Parameters
    ----------
    label
        Its class before any is called unknown; −1 without data.
    probability
        Of each class, ``(n_class,)``; NaN without data.
    uncertainty
        Encoding, classifier and total entropy, nats, ``(3,)``; NaN without data.
    novelty
        −log10 of the false-alarm rate; NaN without data.
    measured, denoised
        Spectra, ``(n_channels,)``; the second is NaN without data.
    """

    label: int
    probability: np.ndarray
    uncertainty: np.ndarray
    novelty: float
    measured: np.ndarray
    denoised: np.ndarray


class Explored(ABC):
    """Frames of class labels, and how they are called.

    Parameters
    ----------
    names
        Name of each class.
    frame_axes, map_axes
        Axes of HyperSpy: those of the frames, slowest first, and those of the maps, x first.
    """

    #: Whether there are spectra, probabilities and a novelty besides the labels.
    has_spectra = False

    def __init__(self, names: Sequence[str], frame_axes: Sequence[Any], map_axes: Sequence[Any]):
        self.names = tuple(names)
        self._frame_axes, self._map_axes = tuple(frame_axes), tuple(map_axes)

    @property
    def n_frame(self) -> int:
        """Number of frames, at least 1."""
        return int(np.prod(self._frame_shape, dtype=int))

    @property
    def _frame_shape(self) -> tuple[int, ...]:
        return tuple(int(axis.size) for axis in self._frame_axes)

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels of a frame, (y, x)."""
        sizes = [int(axis.size) for axis in self._map_axes]
        x, y = (*sizes, 1, 1)[:2]
        return y, x

    @property
    def pixel_size(self) -> float | None:
        """Width of a pixel, where it is known."""
        axis = self._map_axes[0] if self._map_axes else None
        scale = getattr(axis, "scale", None)
        return float(scale) if self.units and scale is not None else None

    @property
    def units(self) -> str:
        """Unit of that width."""
        return _text(self._map_axes[0].units) if self._map_axes else ""

    def frame_title(self, frame: int) -> str:
        """What a frame is, such as ``temperature 300 °C``; empty where there is only one."""
        texts = []
        for axis, index in zip(self._frame_axes, self._place(frame), strict=True):
            name = _text(axis.name) or "frame"
            texts.append(f"{name} {axis.axis[index]:g} {_text(axis.units)}".strip())
        return ", ".join(texts)

    def class_name(self, label: int) -> str:
        """Name of a label, also of pixels without data."""
        return NONE_NAME if label == NO_CLASS else self.names[label]

    def _place(self, frame: int) -> tuple[int, ...]:
        if not self._frame_shape:
            return ()
        return tuple(int(index) for index in np.unravel_index(frame, self._frame_shape))

    @abstractmethod
    def labels(self, frame: int, threshold: float | None = None) -> np.ndarray:
        """Labels of a frame, ``(y, x)``.

        Parameters
        ----------
        frame
            Its number.
        threshold
            Novelty beyond which a pixel gets the label that follows the last class; ``None`` for
            no such pixels.
        """


class ExploredMap(Explored):
    """A class map: labels, and nothing besides.

    Raises
    ------
    ValueError
        If a lazy map has no names, or the map is empty.
    """

    def __init__(self, class_map: ClassMap) -> None:
        if not class_map.names:
            raise ValueError(
                'the map has no names of classes; set s.metadata.set_item("Classes.names", […]).'
            )
        manager = class_map.axes_manager
        super().__init__(class_map.names, manager.navigation_axes[::-1], manager.signal_axes)
        self._data = class_map.data
        self._kept = lru_cache(_KEPT)(self._computed)

    def labels(self, frame: int, threshold: float | None = None) -> np.ndarray:
        """Labels of a frame; a map has no novelty, so there is no threshold."""
        return self._kept(frame)

    def _computed(self, frame: int) -> np.ndarray:
        (labels,) = compute(self._data[self._place(frame)])
        # A label without a name has no colour either.
        known = (labels >= 0) & (labels < len(self.names))
        return np.where(known, labels, NO_CLASS).astype(np.int16)


class ExploredClassification(Explored):
    """A result of `classify_vae`."""

    has_spectra = True

    def __init__(self, result: VAEClassification) -> None:
        axes = result._signal.axes_manager.navigation_axes
        super().__init__(result.names, axes[:1:-1], axes[:2])
        self._result, self._model = result, result._trained
        self._kept = lru_cache(_KEPT)(self._computed)

    @property
    def energy_ev(self) -> np.ndarray:
        """Energies of the channels, eV, ``(n_channels,)``."""
        return self._model.energy_ev

    @property
    def quantity(self) -> str:
        """What intensities are."""
        return str(self._result._signal.metadata.get_item("Signal.quantity", "") or "Intensity")

    @cached_property
    def references(self) -> np.ndarray:
        """Mean spectrum of each class, ``(n_class, n_channels)``, in the units of the data.

        The reference with the mean thickness, shift and background of the training.
        """
        return self._model.novelty.mean

    def labels(self, frame: int, threshold: float | None = None) -> np.ndarray:
        """Labels of a frame, with unknown pixels where there is a threshold."""
        probability, novelty = self._kept(frame)
        if threshold is None:
            return most_probable(probability)
        return labels_with_unknown(probability, novelty, threshold=threshold)

    def pixel(self, frame: int, y: int, x: int) -> ExploredPixel:
        """What is known about a pixel; its spectrum alone is computed."""
        from hyperspy_dosekin.classification.prediction import denoise, overlap

        probability, novelty = (part[y, x] for part in self._kept(frame))
        # A line of spectra has no y, a single one no x either.
        within = (y, x)[2 - len(self._map_axes) :]
        (measured,) = compute(self._result._data[(*self._place(frame), *within)])
        measured = np.asarray(measured)
        return ExploredPixel(
            label=int(most_probable(probability)),
            probability=probability,
            uncertainty=uncertainty_parts(
                probability, overlap(measured[None], model=self._model)[0]
            ),
            novelty=float(novelty),
            measured=measured,
            denoised=denoise(measured[None], model=self._model)[0],
        )

    def no_pixel(self) -> ExploredPixel:
        """A pixel of which nothing is known."""
        nothing = np.full(self.energy_ev.size, np.nan, dtype=np.float32)
        return ExploredPixel(
            label=NO_CLASS,
            probability=np.full(len(self.names), np.nan),
            uncertainty=np.full(3, np.nan),
            novelty=np.nan,
            measured=nothing,
            denoised=nothing,
        )

    def _computed(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities ``(y, x, n_class)`` and novelty ``(y, x)``."""
        place, n_class = self._place(frame), len(self.names)
        parts = self._result._probability[place], self._result._packed[place]
        probability, packed = (np.asarray(part) for part in compute(*parts))
        return (
            probability.reshape(*self.shape, n_class),
            packed[..., n_class].reshape(self.shape),
        )


def _text(value: object) -> str:
    """A name or unit of an axis, empty where there is none."""
    return value if isinstance(value, str) else ""
