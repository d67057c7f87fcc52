# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixels the kinetics tool looks at, and their spectra, read and processed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import traits.api as t

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

#: Values of a region up to which it is read and processed at once; more takes seconds.
LARGEST_AT_ONCE = 2**23


class Region(t.HasTraits):
    """A pixel, a rectangle or all of a spectrum image.

    Parameters
    ----------
    sizes
        Sizes of the space axes, in HyperSpy's order (x, y); empty for a series.
    indices
        Pixel to begin with.

    Attributes
    ----------
    mode
        ``"pixel"``, ``"rectangle"`` or ``"all"``.
    indices
        The pixel, an index for each space axis.
    rectangle
        ``(start, stop)`` in pixels for each space axis; stop is the first that is outside.
    """

    mode = t.Enum("pixel", "rectangle", "all")
    indices = t.Tuple()
    rectangle = t.Tuple()

    def __init__(self, sizes: tuple[int, ...], indices: tuple[int, ...] = ()) -> None:
        self.sizes = tuple(sizes)
        third = tuple((size // 3, max(2 * size // 3, size // 3 + 1)) for size in self.sizes)
        indices = indices or tuple(0 for _ in self.sizes)
        super().__init__(indices=tuple(indices), rectangle=third)

    def go_to(self, indices: tuple[int, ...]) -> None:
        """Look at another pixel; indices outside the image are put on its edge."""
        inside = (
            int(np.clip(index, 0, size - 1))
            for index, size in zip(indices, self.sizes, strict=True)
        )
        self.indices = tuple(inside)

    def draw(self, rectangle: tuple[tuple[int, int], ...]) -> None:
        """Look at another rectangle, of one pixel at least and inside the image."""
        found = []
        for (start, stop), size in zip(rectangle, self.sizes, strict=True):
            first = int(np.clip(min(start, stop), 0, size - 1))
            found.append((first, int(np.clip(max(start, stop), first + 1, size))))
        self.rectangle = tuple(found)

    def slices(self) -> tuple[object, ...]:
        """What to index the space axes with."""
        if self.mode == "pixel":
            return self.indices
        if self.mode == "rectangle":
            return tuple(slice(start, stop) for start, stop in self.rectangle)
        return tuple(slice(None) for _ in self.sizes)

    @property
    def n_pixel(self) -> int:
        """Number of pixels."""
        if self.mode == "pixel":
            return 1
        if self.mode == "all":
            return int(np.prod(self.sizes, dtype=int))
        return int(np.prod([stop - start for start, stop in self.rectangle], dtype=int))

    def describe(self) -> str:
        """The region in words."""
        if not self.sizes:
            return "the series"
        if self.mode == "pixel":
            return f"pixel ({', '.join(map(str, self.indices))})"
        if self.mode == "all":
            return f"mean of all {self.n_pixel} pixels"
        ends = ", ".join(f"{start}–{stop - 1}" for start, stop in self.rectangle)
        return f"mean of {self.n_pixel} pixels ({ends})"


@dataclass(frozen=True, eq=False)
class Prepared:
    """The spectra of a region.

    Parameters
    ----------
    signal
        Processed spectra with their dose axis, in memory, dimensions (…space…, dose | energy).
    dose
        Ascending doses, ``(n_dose,)``, in `dose_unit`.
    spectra
        Mean over the pixels, ``(n_dose, n_channel)``.
    energy
        Energies of the channels, in units of the axis.
    notes
        Warnings of the processing, in words.
    has_doses
        Whether the doses are known; otherwise they are numbers of frames.
    dose_unit
        Unit of the doses.
    """

    signal: Any
    dose: np.ndarray
    spectra: np.ndarray
    energy: np.ndarray
    notes: tuple[str, ...]
    has_doses: bool = True
    dose_unit: str = ""


def index_with(region: Region, dose_place: int) -> tuple[object, ...]:
    """Index for ``inav``: the region, and all frames at the place of the dose axis."""
    index = list(region.slices())
    index.insert(dose_place, slice(None))
    return tuple(index)


def prepare(
    signal: BaseSignal,
    index: tuple[object, ...],
    dose: dict[str, Any],
    dose_place: int,
    processing: dict[str, object] | None,
    *,
    has_doses: bool = True,
) -> Prepared:
    """Read the spectra of a region, process them and calibrate their dose axis.

    Parameters
    ----------
    signal
        The whole signal, which is not changed; of a lazy one only the region is computed.
    index
        What `index_with` gave.
    dose
        Arguments of `set_dose_axis`; empty where the axis holds doses.
    dose_place
        Place of the dose axis among the navigation axes.
    processing
        Arguments of `process_low_loss`; ``None`` leaves it out.
    has_doses
        Whether `dose` gives doses, or only counts frames.

    Raises
    ------
    ValueError, TypeError
        As those methods do.
    """
    from hyperspy_dosekin.signals.axes.dose_axis import doses_of, find_dose_axis

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        # A new signal with axes and metadata of its own; the data are a view or, where lazy, a
        # graph, and nothing below writes to them.
        part = signal.inav[index]
        if part._lazy:
            part.compute(show_progressbar=False)
        if dose:
            # Axes that an index has taken away do not count any more.
            place = sum(isinstance(each, slice) for each in index[:dose_place])
            part.set_dose_axis(**{**dose, "axis": place})
        if processing is not None:
            part = part.process_low_loss(**processing, show_progressbar=False)
    axis = find_dose_axis(part)
    values, unit = doses_of(axis.axis, axis.units)
    data = np.moveaxis(part.data, axis.index_in_array, -2)
    flat = data.reshape(-1, *data.shape[-2:])
    counted = np.isfinite(flat).all(axis=(1, 2)) if flat.dtype.kind == "f" else slice(None)
    whole = flat[counted]
    with np.errstate(invalid="ignore"):
        mean = (whole if len(whole) else flat).mean(axis=0, dtype=np.float64)
    messages = dict.fromkeys(
        str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)
    )
    notes = tuple(text for text in messages if "deprecated" not in text.lower())
    return Prepared(
        part,
        values,
        mean,
        np.asarray(part.axes_manager.signal_axes[0].axis, dtype=np.float64),
        notes,
        has_doses,
        unit,
    )
