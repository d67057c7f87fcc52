# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""State of the tool that looks through a classification: which frame, pixel and threshold."""

from __future__ import annotations

import logging
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import traits.api as t

from hyperspy_dosekin.classification.labels import NO_CLASS
from hyperspy_dosekin.signals.classification.class_map import UNKNOWN_NAME, ClassMap
from hyperspy_dosekin.signals.classification.explored import (
    Explored,
    ExploredClassification,
    ExploredMap,
    ExploredPixel,
)
from hyperspy_dosekin.signals.classification.result import VAEClassification
from hyperspy_dosekin.signals.tools import open_tool

_logger = logging.getLogger(__name__)

#: Thresholds of the slider; at the last one a pixel in a million is rejected by mistake.
LARGEST_THRESHOLD = 6.0


class _Threshold(t.BaseFloat):
    """A number in the range of the slider; unlike `traits.api.Range` it refuses NaN."""

    info_text = f"a number from 0 to {LARGEST_THRESHOLD:g}"

    def validate(self, owner: object, name: str, value: object) -> float:
        """Return the value, or say what it must be."""
        number = float(value) if isinstance(value, Real) else np.nan
        if not 0 <= number <= LARGEST_THRESHOLD:
            self.error(owner, name, value)
        return number


class ClassificationExplorer(t.HasTraits):
    """Frame, pixel and threshold that somebody looks at, and what is seen there.

    Made by `VAEClassification.explore` and `ClassMap.explore`. Setting `frame`, `x`, `y`,
    `threshold` or `mark_unknown` brings `labels` and `pixel` up to date; a value out of range is
    refused with the range in the message. Of lazy results the frame and the spectrum that are
    looked at are computed, nothing else; what cannot be computed is shown as having no data, and
    `description` says why.

    Parameters
    ----------
    result
        What to look through. A class map has labels only: no spectrum, no probabilities and no
        threshold.
    x, y, frame
        Where to start, pixel indices and the number of the frame. By default the pixel in the
        middle of the first frame.
    threshold
        Novelty beyond which pixels are unknown.

    Raises
    ------
    TypeError
        If `result` is neither a classification nor a class map.
    ValueError
        If it holds no pixel, a start is out of range, or a lazy map has no names of classes.

    Examples
    --------
    >>> s = hs.signals.Signal2D(np.array([[[0, 0, 1], [0, 1, 1]], [[1, 1, 1], [1, 1, -1]]]))
    >>> s.set_signal_type("ClassMap")
    >>> s.metadata.set_item("Classes.names", ["oxide", "metal"])
    >>> tool = ClassificationExplorer(s, x=0)
    >>> tool
    <ClassificationExplorer, frame 0, pixel x 0, y 1: oxide>
    >>> tool.frame = 1
    >>> tool.description
    'frame 1: pixel x 0, y 1: metal'
    """

    #: Number of the frame.
    frame = t.Range(low=0, high="last_frame", value=0)
    #: Indices of the pixel.
    x = t.Range(low=0, high="last_x", value=0)
    y = t.Range(low=0, high="last_y", value=0)
    #: Novelty beyond which a pixel is unknown, if `mark_unknown`.
    threshold = _Threshold(2.0)
    mark_unknown = t.Bool(False)
    #: Whether each reference is drawn with the factor that fits the pixel best.
    scale_references = t.Bool(False)
    last_frame = t.Int(0)
    last_x = t.Int(0)
    last_y = t.Int(0)
    #: Labels of the frame, ``(y, x)``; changed as a whole.
    labels = t.Array(dtype=np.int16)
    #: What is known about the pixel, an `ExploredPixel`; ``None`` for a class map.
    pixel = t.Any()
    #: Share of each label among the pixels of the frame that have one, ``(n_label,)``.
    shares = t.Array(dtype=np.float64)
    #: The pixel in words.
    description = t.Str()
    _failure = t.Str()
    _selecting = t.Bool(False)

    def __init__(
        self,
        result: VAEClassification | ClassMap,
        *,
        x: int | None = None,
        y: int | None = None,
        frame: int = 0,
        threshold: float | None = None,
    ) -> None:
        super().__init__()
        self._result, self.explored = result, _explored(result)
        rows, columns = self.explored.shape
        if not self.explored.n_frame * rows * columns:
            raise ValueError("there is no pixel to look at: the map is empty.")
        self.trait_setq(last_frame=self.explored.n_frame - 1, last_x=columns - 1, last_y=rows - 1)
        start: dict[str, float] = {
            "frame": frame,
            "x": columns // 2 if x is None else x,
            "y": rows // 2 if y is None else y,
        }
        if threshold is not None:
            start["threshold"] = threshold
        for name, value in start.items():
            self._check(name, value)
        self.trait_setq(mark_unknown=self.explored.has_spectra, **start)
        self._update_labels()
        self.observe(self._update_labels, "frame, threshold, mark_unknown")
        self.observe(self._update_pixel, "x, y")

    @property
    def has_spectra(self) -> bool:
        """Whether there are spectra, probabilities and a novelty besides the labels."""
        return self.explored.has_spectra

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels from 0 on; of a classification "unknown" is the last."""
        extra = (UNKNOWN_NAME,) if self.has_spectra else ()
        return (*self.explored.names, *extra)

    @property
    def frame_title(self) -> str:
        """What the frame is, such as ``temperature 300 °C``; empty where there is only one."""
        return self.explored.frame_title(int(self.frame))

    @property
    def class_map(self) -> ClassMap:
        """Class map of all frames, with the unknown pixels as they are marked; lazy if it was."""
        if not isinstance(self._result, VAEClassification):
            return self._result
        if self.mark_unknown:
            return self._result.class_map_with_unknown(self.threshold)
        return self._result.class_map

    def select(self, x: int, y: int) -> None:
        """Choose a pixel; of a lazy result its spectrum is computed once, not for x and for y.

        Parameters
        ----------
        x, y
            Its indices.

        Raises
        ------
        traits.api.TraitError
            If there is no such pixel; then none is chosen.
        """
        self.validate_trait("x", x)
        self.validate_trait("y", y)
        self._selecting = True
        try:
            self.trait_set(x=x, y=y)
        finally:
            self._selecting = False
        self._failure = ""
        self._look_at_pixel()

    def gui(self, display: bool = True, toolkit: str | None = None) -> object:
        """Show the tool, or return its widgets, as the tools of HyperSpy do; see `open_tool`."""
        shown = open_tool(
            self, "hyperspy_dosekin.ClassificationExplorer", display=display, toolkit=toolkit
        )
        return None if display else shown

    def __repr__(self) -> str:
        """One line: where it looks, and the class there."""
        return (
            f"<ClassificationExplorer, frame {self.frame}, pixel x {self.x}, y {self.y}: "
            f"{self._name()}>"
        )

    def _check(self, name: str, value: object) -> None:
        """Refuse a start out of range, as a keyword argument."""
        try:
            self.validate_trait(name, value)
        except t.TraitError as error:
            last = getattr(self, f"last_{name}", LARGEST_THRESHOLD)
            raise ValueError(f"{name}={value!r} must be a number from 0 to {last}.") from error

    def _update_labels(self, event: Any = None) -> None:
        threshold = self.threshold if self.mark_unknown and self.has_spectra else None
        self._failure = ""
        labels = self._computed(
            lambda: self.explored.labels(int(self.frame), threshold),
            np.full(self.explored.shape, NO_CLASS, dtype=np.int16),
            raising=event is None,
        )
        counts = np.bincount(labels[labels >= 0].ravel(), minlength=len(self.names))
        self.shares = counts / counts.sum() if counts.sum() else np.full(len(counts), np.nan)
        self.labels = labels
        if event is None or event.name == "frame":
            self._look_at_pixel(raising=event is None)
        else:
            # The same spectrum, but perhaps unknown now.
            self.description = self._describe()

    def _update_pixel(self, event: object) -> None:
        if not self._selecting:
            self._failure = ""
            self._look_at_pixel()

    def _look_at_pixel(self, *, raising: bool = False) -> None:
        explored = self.explored
        if isinstance(explored, ExploredClassification):
            self.pixel = self._computed(
                lambda: explored.pixel(int(self.frame), int(self.y), int(self.x)),
                explored.no_pixel(),
                raising=raising,
            )
        self.description = self._describe()

    def _computed(self, make: Callable[[], object], otherwise: object, *, raising: bool) -> Any:
        """What `make` returns. Once the tool is there, an error is told in it and not raised."""
        try:
            return make()
        except Exception as error:
            # Lazy data may be anywhere: a file that is gone, a cluster that is down.
            if raising:
                raise
            _logger.warning("%s could not be computed.", self.frame_title, exc_info=True)
            self._failure = f"could not be computed ({type(error).__name__}: {error})"
            return otherwise

    def _name(self) -> str:
        label = int(self.labels[int(self.y), int(self.x)])
        known = label < len(self.explored.names)
        return self.explored.class_name(label) if known else UNKNOWN_NAME

    def _describe(self) -> str:
        title = self.frame_title
        text = f"{title}: " if title else ""
        text += f"pixel x {self.x}, y {self.y}: "
        if self._failure:
            return text + self._failure
        text += self._name()
        pixel: ExploredPixel | None = self.pixel
        if pixel is None:
            return text
        if pixel.label < 0:
            return f"{text}, no data"
        nearest = self.explored.class_name(pixel.label)
        probability = f"{pixel.probability[pixel.label]:.2f}"
        novelty = f"novelty {max(0.0, pixel.novelty):.1f}"
        if self._name() == UNKNOWN_NAME:
            # Probabilities choose among the classes, whether or not one of them fits.
            return f"{text}, {novelty}; of the classes {nearest} {probability}"
        return f"{text}, probability {probability}, {novelty}"


def _explored(result: object) -> Explored:
    """What is looked through, one frame and pixel at a time."""
    if isinstance(result, VAEClassification):
        return ExploredClassification(result)
    if isinstance(result, ClassMap):
        return ExploredMap(result)
    raise TypeError(
        f"{type(result).__name__} cannot be explored; give the result of classify_vae, or a "
        "ClassMap."
    )
