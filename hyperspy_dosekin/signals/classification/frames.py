# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a classification, what to call them, and signals on its axes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal, LazySignal2D, Signal2D

from hyperspy_dosekin.lazy.blocks import wrap
from hyperspy_dosekin.signals.classification.class_map import NONE_NAME, ClassMap, LazyClassMap

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array

#: Frames drawn, at most.
_FRAMES = 24


class ClassifiedFrames:
    """Frames and pixels of a `VAEClassification`, and samples of them."""

    names: tuple[str, ...]
    class_map: Any
    class_map_with_unknown: Any
    uncertainty: Mapping[str, object]
    novelty: Any
    _signal: Any
    _data: Any
    _packed: Any
    _probability: Any
    _trained: Any
    _with_network: Any

    def _frame_numbers(self) -> object:
        """Number of the frame of every pixel, ``(…navigation…, 1)``, lazy as the data."""
        shape = self._data.shape[:-1]
        frames = self._frame_shape()
        number = np.arange(max(1, int(np.prod(frames))), dtype=np.float32)
        number = number.reshape(*frames, *[1] * (len(shape) - len(frames)), 1)
        # On top of the results, so that chunks fit; NaN where there are no data.
        return self._packed[..., :1] * 0 + number

    def _some_frames(self, frames: Sequence[int] | None) -> list[int]:
        """Frames that were asked for, or four evenly chosen ones."""
        number = int(np.prod(self._frame_shape()))
        spread = np.unique(np.linspace(0, number - 1, min(number, 4)).round())
        chosen = [int(frame) for frame in (spread if frames is None else frames)]
        if not chosen or not all(0 <= frame < number for frame in chosen):
            raise ValueError(f"frames={chosen} must be some of the frames 0 to {number - 1}.")
        return chosen

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

    # Signals on the axes of the data

    def _navigation_axes(self) -> list[dict[str, object]]:
        manager = self._signal.axes_manager
        return [axis.get_axis_dictionary() for axis in reversed(manager.navigation_axes)]

    def _map_axes(self) -> list[dict[str, Any]]:
        """Axes of a map: the last two of navigation are the signal."""
        axes = self._navigation_axes()
        while len(axes) < 2:
            axes.insert(0, {"name": "y" if axes else "x", "size": 1})
        return [{**axis, "navigate": i < len(axes) - 2} for i, axis in enumerate(axes)]

    def _maps(self, array: Array, trailing: int = 0) -> Array:
        """The array with two axes of space at least, before the trailing ones."""
        lead = array.ndim - trailing
        if lead >= 2:
            return array
        return array.reshape((1,) * (2 - lead) + array.shape)

    def _map(self, labels: Array, title: str, quantity: str, names: tuple[str, ...]) -> ClassMap:
        metadata = self._metadata(title)
        metadata["Signal"] = {"quantity": quantity}
        metadata["Classes"] = {"names": list(names), "without_data": NONE_NAME}
        return wrap(
            ClassMap, LazyClassMap, self._maps(labels), axes=self._map_axes(), metadata=metadata
        )

    def _signal2d(
        self, array: Array, axes: list[dict[str, object]], title: str, quantity: str
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
