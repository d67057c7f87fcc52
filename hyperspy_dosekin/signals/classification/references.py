# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference spectra, from files or signals, as one signal with labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.classification.plural import Scattering
from hyperspy_dosekin.classification.readers import reader_for
from hyperspy_dosekin.classification.references import ReferenceSet, classes_of, resample
from hyperspy_dosekin.numerics.arguments import real_number, real_numbers, short
from hyperspy_dosekin.signals.axes.energy import energy_in_ev

if TYPE_CHECKING:
    import numpy.typing as npt
    from hyperspy.signals import BaseSignal, Signal1D

_logger = logging.getLogger(__name__)

#: How much less and more plural scattering than the mean pixels may have.
_THICKER = 0.4
#: Where the labels of references are in the metadata.
LABELS = "References.labels"


def reference_spectra(
    sources: Sequence[object],
    labels: Sequence[object] | None = None,
    *,
    shift_ev: float | Sequence[float] = 0.0,
    fwhm_ev: float = 0.0,
    energy_ev: npt.ArrayLike | None = None,
) -> Signal1D:
    """Collect simulated or measured reference spectra in one signal.

    Parameters
    ----------
    sources
        Files or one-dimensional HyperSpy signals, mixed as you like. Read are text and CSV files
        with energy and intensity in two columns, FDMNES ``*_conv.txt``, FEFF ``xmu.dat``, and
        everything that `hyperspy.api.load` reads.
    labels
        Class of each reference; several may share one. By default the names of the files and the
        titles of the signals.
    shift_ev
        Added to the energies, in eV, of all references or of each: simulated spectra are often
        relative to the edge.
    fwhm_ev
        Full width at half maximum of a Gaussian to broaden all references with, in eV.
    energy_ev
        Energies of the result, eV, ascending; by default the finest step of the references, over
        the range that all of them cover.

    Returns
    -------
    Signal1D
        Signal type "EELS", dimensions ``(reference|energy)``, with the labels in
        ``metadata.References.labels``.

    Raises
    ------
    ValueError
        If there are no sources, labels are not one for each, ranges do not overlap, a reference
        does not cover the energies, or a file holds no spectrum.
    TypeError
        If a source is neither a file nor a signal, or has more than one dimension.

    Examples
    --------
    >>> from hyperspy_dosekin import reference_spectra
    >>> axis = {"name": "Energy", "offset": 700, "scale": 0.5, "size": 100, "units": "eV"}
    >>> step = hs.signals.Signal1D(np.arange(100) > 40, axes=[axis])
    >>> references = reference_spectra([step, step * 2], labels=["thin", "thick"])
    >>> references
    <EELSSpectrum, title: References, dimensions: (2|100)>
    >>> references.metadata.References.labels
    ['thin', 'thick']
    """
    fwhm_ev = real_number("fwhm_ev", fwhm_ev, "give a width in eV", least=0.0, most=1e6)
    if isinstance(sources, str | Path) or not isinstance(sources, Sequence):
        raise TypeError(f"sources is {sources!r}; give a list of files or signals.")
    if not sources:
        raise ValueError("sources is empty; give at least one file or signal.")
    found = [each for source in sources for each in _read(source)]
    names = [name for name, _, _ in found]
    if labels is None:
        labels = names
    if isinstance(labels, str) or not hasattr(labels, "__len__") or not getattr(labels, "ndim", 1):
        raise TypeError(f"labels={short(labels)} must be a list, one label for each reference.")
    if len(labels) != len(found):
        raise ValueError(
            f"{len(labels)} labels for {len(found)} references; give one label for each."
        )
    shifts = _shifts(shift_ev, len(found))
    axes = [energy + shift for (_, energy, _), shift in zip(found, shifts, strict=True)]
    target = _common_axis(axes) if energy_ev is None else _checked_energies(energy_ev)
    spectra = np.stack(
        [
            resample(target, energy, values, fwhm_ev=fwhm_ev, name=f"reference {name!r}")
            for (name, _, values), energy in zip(found, axes, strict=True)
        ]
    )
    return make_reference_signal(target, spectra, labels)


def _checked_energies(energy_ev: object) -> np.ndarray:
    """Energies of the result."""
    remedy = "give two or more ascending energies in eV"
    found = real_numbers("energy_ev", energy_ev, remedy)
    if found.ndim != 1 or found.size < 2 or np.any(found[1:] <= found[:-1]):
        raise ValueError(f"energy_ev={short(energy_ev)} must ascend; {remedy}.")
    return found


def _shifts(shift_ev: object, number: int) -> np.ndarray:
    """Shift of each reference in eV."""
    shifts = real_numbers("shift_ev", shift_ev, "give it in eV")
    if shifts.shape not in ((), (number,)):
        raise ValueError(
            f"shift_ev has the shape {shifts.shape} for {number} references; give one number, or "
            "one for each."
        )
    return np.broadcast_to(shifts, (number,))


def make_reference_signal(energy_ev: np.ndarray, spectra: np.ndarray, labels: Any) -> Signal1D:
    """A reference signal ``(reference|energy)`` with its labels."""
    from hyperspy.signals import Signal1D

    step = np.diff(energy_ev)
    axis: dict[str, Any] = {"name": "Energy loss", "units": "eV", "navigate": False}
    if np.allclose(step, step[0], rtol=1e-6, atol=0):
        axis |= {"offset": float(energy_ev[0]), "scale": float(step.mean()), "size": energy_ev.size}
    else:
        axis |= {"axis": energy_ev}
    signal = Signal1D(
        spectra,
        axes=[{"name": "reference", "size": len(spectra), "navigate": True}, axis],
        metadata={
            "General": {"title": "References"},
            "References": {"labels": [str(label) for label in labels]},
        },
    )
    signal.set_signal_type("EELS")
    return signal


@dataclass(frozen=True, eq=False)
class RecordedReferences:
    """References as they were given, read once.

    Parameters
    ----------
    energy_ev
        Axis of the data, eV, ascending.
    spectra
        Name, energies in eV and intensities of each.
    labels
        Class of each.
    scattering
        Further losses to convolve them with; none without.
    """

    energy_ev: np.ndarray
    spectra: Sequence[tuple[str, np.ndarray, np.ndarray]]
    labels: Sequence[object]
    scattering: Scattering | None = None

    def on_axis(self, fwhm_ev: float = 0.0) -> ReferenceSet:
        """References on the axis of the data, with their classes.

        Parameters
        ----------
        fwhm_ev
            Full width at half maximum to broaden with, eV.

        Raises
        ------
        ValueError
            If they do not cover the axis or are all of one class.
        """
        class_of, names = classes_of(list(self.labels))
        # Thin and thick pixels are mixtures of the same with less and with more of it.
        variants = [None]
        if self.scattering is not None:
            variants = [self.scattering.scaled(1 + part) for part in (-_THICKER, _THICKER)]
        rows = [
            resample(
                self.energy_ev,
                own,
                values,
                fwhm_ev=fwhm_ev,
                name=f"reference {i} ({self.labels[i]})",
                scattering=variant,
            )
            for variant in variants
            for i, (_, own, values) in enumerate(self.spectra)
        ]
        return ReferenceSet(self.energy_ev, np.stack(rows), np.tile(class_of, len(variants)), names)


def read_references(
    energy_ev: np.ndarray, references: Any, labels: Sequence[object] | None
) -> RecordedReferences:
    """Read references and their labels.

    Parameters
    ----------
    energy_ev
        Axis of the data, eV, ascending.
    references
        A signal ``(reference|energy)``, a list of one-dimensional signals or files, or an array
        ``(n_reference, n_channels)`` on the axis of the data.
    labels
        Class of each; by default those in the metadata, else titles, else numbers.

    Raises
    ------
    ValueError
        If there are none, labels are not one for each, or they have other units.
    TypeError
        If they are of another kind.
    """
    spectra = _spectra_of(references, energy_ev)
    if not spectra:
        raise ValueError(
            "there are no references; give simulated spectra of at least two classes, for "
            "instance from hyperspy_dosekin.reference_spectra([…])."
        )
    if labels is None:
        labels = _recorded_labels(references, [name for name, _, _ in spectra])
    no_list = isinstance(labels, str) or not hasattr(labels, "__len__")
    if no_list or not getattr(labels, "ndim", 1) or len(labels) != len(spectra):
        raise ValueError(
            f"labels={short(labels)} for {len(spectra)} references; give one label for each."
        )
    return RecordedReferences(energy_ev, spectra, labels)


def energy_of(signal: BaseSignal) -> np.ndarray:
    """Energies of a signal's axis in eV; an axis without units is taken to be in eV."""
    axis = signal.axes_manager.signal_axes[0]
    if not isinstance(axis.units, str) or not axis.units.strip():
        _logger.warning("%s has no units on its signal axis; taken to be eV.", signal)
        return np.asarray(axis.axis, dtype=np.float64)
    return energy_in_ev(axis)


def _spectra_of(
    references: object, energy_ev: np.ndarray
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, energies in eV and intensities of each reference."""
    if references is None:
        return []
    if isinstance(references, np.ndarray):
        table = np.atleast_2d(references)
        if table.ndim != 2 or table.shape[1] != energy_ev.size:
            raise ValueError(
                f"references of shape {references.shape} are not on the axis of the data, which "
                f"has {energy_ev.size} channels; give a signal with an energy axis."
            )
        return [(str(i + 1), energy_ev, row) for i, row in enumerate(table)]
    if hasattr(references, "axes_manager"):
        return _rows(references)
    if isinstance(references, str | Path) or not isinstance(references, Sequence):
        raise TypeError(
            f"references are {type(references).__name__}; give a signal (reference|energy) or a "
            "list of one-dimensional signals or files."
        )
    return [each for source in references for each in _read(source)]


def _rows(signal: BaseSignal) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Spectra of a signal with any navigation axes."""
    if signal.axes_manager.signal_dimension != 1:
        raise TypeError(f"{signal} is no spectrum; its signal must have one dimension.")
    energy = energy_of(signal)
    # References are few: they are read even where the signal is lazy.
    table = np.asarray(signal.data, dtype=np.float64).reshape(-1, energy.size)
    title = str(signal.metadata.get_item("General.title", "") or "")
    if len(table) == 1:
        return [(title or "1", energy, table[0])]
    return [(str(i + 1), energy, row) for i, row in enumerate(table)]


def _recorded_labels(references: Any, names: list[str]) -> list[str]:
    if hasattr(references, "metadata"):
        recorded = references.metadata.get_item(LABELS, None)
        if recorded is not None and len(recorded) == len(names):
            return [str(label) for label in recorded]
    if len(set(names)) < len(names):
        return [str(i + 1) for i in range(len(names))]
    return names


def _read(source: object) -> list[tuple[str, np.ndarray, np.ndarray]]:
    if hasattr(source, "axes_manager"):
        return _rows(source)
    if not isinstance(source, str | Path):
        raise TypeError(f"{source!r} is neither a file nor a HyperSpy signal.")
    path = Path(source)
    reader = reader_for(path)
    if reader is not None:
        found = reader(path)
        return [(_name(path), found.energy_ev, found.intensity)]
    from hyperspy.io import load as load_signal

    if not path.exists():
        raise FileNotFoundError(f"there is no file {path} to read a reference from.")
    loaded = load_signal(path)
    signals = loaded if isinstance(loaded, list) else [loaded]
    rows = [row for signal in signals for row in _rows(signal)]
    return [(_name(path), *rows[0][1:])] if len(rows) == 1 else rows


def _name(path: Path) -> str:
    """What to call the spectrum of a file: FEFF calls all of its files alike."""
    if path.name.lower() == "xmu.dat" and path.parent.name:
        return path.parent.name
    return path.stem.removesuffix("_conv")


def _common_axis(axes: Sequence[np.ndarray]) -> np.ndarray:
    low = max(float(axis.min()) for axis in axes)
    high = min(float(axis.max()) for axis in axes)
    if not high > low:
        ranges = ", ".join(f"{axis.min():g} to {axis.max():g} eV" for axis in axes)
        raise ValueError(
            f"the references have no energies in common: {ranges}; shift them with shift_ev."
        )
    step = min(float(np.median(np.diff(np.unique(axis)))) for axis in axes)
    return low + step * np.arange(int((high - low) / step + 1e-6) + 1)
