# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of whole spectra as signals: dose-associated spectra, their rates and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import Signal1D

from hyperspy_dosekin.kinetics.spectra.summary import component_values, integrities
from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.plotting.kinetics.associated import plot_associated, plot_components
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series, make_map
from hyperspy_dosekin.signals.drawing import FigureOptions, drawn, takes_figure_options
from hyperspy_dosekin.signals.kinetics.result.quantities import KineticQuantities
from hyperspy_dosekin.signals.kinetics.spectra.file import save_spectra
from hyperspy_dosekin.signals.kinetics.spectra.numbers import SpectraNumbers
from hyperspy_dosekin.signals.kinetics.spectra.picture import associated_picture
from hyperspy_dosekin.signals.kinetics.spectra.text import (
    notes_on_spectra,
    spectra_frame,
    spectra_methods,
    spectra_table,
)
from hyperspy_dosekin.signals.results import SavedResult
from hyperspy_dosekin.windows.weights import WindowWeights

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.signals import BaseSignal
    from matplotlib.figure import FigureBase
    from pandas import DataFrame
    from prettytable import PrettyTable
    from typing_extensions import Unpack

    from hyperspy_dosekin.signals.axes.dose_axis import AxisLike


@dataclass(frozen=True, eq=False, repr=False)
class DoseSpectra(SpectraNumbers, KineticQuantities, SavedResult):
    """Kinetics of whole spectra; made by ``fit_dose_spectra``.

    Components are numbered from the fastest. They are what changes at one rate, and neither species
    nor bonds.

    Parameters
    ----------
    fit
        Numbers of the fit.
    origin
        Where they come from.
    known_residue
        What was known of the residue and was subtracted, ``(n_channel,)``; zeros where it was
        fitted.
    maps
        Kinetics of every pixel, where a fit by space was asked for; see `project`.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> found = s.fit_dose_spectra(1, energy_range=(8.0, 20.0))
    >>> found
    <DoseSpectra, 1 component, 9 doses, 67 channels, power law>
    >>> found.residue
    <EELSSpectrum, title: Residue, dimensions: (|67)>
    """

    # Signals

    @property
    def spectra(self) -> BaseSignal:
        """Dose-associated spectra (component | energy): what decays with each integrity.

        Sum of all components and residue is the spectrum at no dose. Channels that had gaps are
        NaN.
        """
        return self._spectrum(self.spectra_values[:-1], "Dose-associated spectra", "component")

    @property
    def residue(self) -> BaseSignal:
        """Spectrum of what no dose removes."""
        return self._spectrum(self.spectra_values[-1] + self.known_residue, "Residue")

    @property
    def residual(self) -> BaseSignal:
        """Data less fit (dose | energy)."""
        return self._spectrum(self.fit.problem.values - self.fitted_values, "Residual", "dose")

    @property
    def fitted(self) -> BaseSignal:
        """What the fit makes of the spectra (dose | energy)."""
        return self._spectrum(self.fitted_values + self.known_residue, "Fitted spectra", "dose")

    @property
    def integrity(self) -> Signal1D:
        """Integrity of each component from no dose to the largest (component | dose)."""
        return self._series(integrities(self.fit, self.grid / self.dose_scale), "Integrity")

    def project(self, signal: BaseSignal, *, dose_axis: AxisLike | None = None) -> Signal1D:
        """How much of each component is in every spectrum of a signal.

        The spectra are taken for sums of the dose-associated spectra, by least squares with the
        noise of the fit. What else is in them, the residue first of all, adds a constant, which a
        fit of the series takes for its offset. Of pixels that have the components in the same form,
        the series holds all that their spectra say of the kinetics.

        Parameters
        ----------
        signal
            Spectra with a dose axis and the energies of the fit, such as those that were fitted.
        dose_axis
            As for `integrate_windows`.

        Returns
        -------
        DoseSeries
            A window for each component, lazy if the signal is.

        Raises
        ------
        TypeError
            If it is no signal of EELS spectra.
        ValueError
            If the energies are others.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> s.fit_dose_spectra(1, energy_range=(8.0, 20.0)).project(s)
        <DoseSeries, title: ..., dimensions: (1|9)>
        """
        if not hasattr(signal, "integrate_windows"):
            raise TypeError(f"signal={short(signal)} must be EELS spectra with a dose axis.")
        energy = np.asarray(signal.axes_manager.signal_axes[0].axis, dtype=np.float64)
        wanted = self.origin.energy
        first = int(np.argmin(np.abs(energy - wanted[0])))
        part = slice(first, first + wanted.size)
        step = abs(wanted[-1] - wanted[0]) / max(wanted.size - 1, 1)
        near = energy[part]
        if near.shape != wanted.shape or np.abs(near - wanted).max() > 0.01 * step:
            raise ValueError(
                f"the spectra have energies from {energy[0]:g} to {energy[-1]:g} in "
                f"{energy.size} channels, and not those of the fit, {wanted[0]:g} to "
                f"{wanted[-1]:g} in {wanted.size}; project spectra with the same energy axis."
            )
        channels = self.fit.spectra.channel_sd
        whitened = self.spectra_values[:-1] / channels
        weights = np.zeros((self.n_components, wanted.size))
        weights[:, self.origin.used] = np.linalg.pinv(whitened).T / channels
        return signal.integrate_windows(
            WindowWeights(self.component_names, part, weights), dose_axis=dose_axis
        )

    def interval(
        self, name: str, level: float = 0.95, *, dose_level: float | None = None
    ) -> tuple[Signal1D, Signal1D]:
        """Central interval of the posterior.

        Parameters
        ----------
        name
            A parameter of the law, ``"rate_per_dose"``, ``"half_integrity_dose"``,
            ``"critical_dose"``, ``"dose_at"``, ``"integrity"``, ``"spectra"`` or ``"residue"``.
        level
            Its probability.
        dose_level
            Integrity that ``"dose_at"`` asks for.

        Returns
        -------
        (lower, upper), signals of the form of the attribute of that name. Those of spectra hold, in
        every channel by itself, what is not known of the kinetics and the noise.

        Raises
        ------
        ValueError
            If there is no such quantity, or the level is no probability.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> found = s.fit_dose_spectra(1, energy_range=(8.0, 20.0))
        >>> lower, upper = found.interval("spectra")
        >>> bool((lower.data <= upper.data).all())
        True
        """
        ends = self.interval_values(name, level, dose_level=dose_level)
        if name == "spectra":
            title = "Dose-associated spectra"
            return tuple(self._spectrum(end, title, "component") for end in ends)
        if name == "residue":
            return tuple(self._spectrum(end, "Residue") for end in ends)
        if name == "integrity":
            return tuple(self._series(end, "Integrity") for end in ends)
        return tuple(self._as_map(end, name) for end in ends)

    # Texts

    @property
    def notes(self) -> list[str]:
        """What has to be said beside the numbers."""
        return notes_on_spectra(self)

    @property
    def table(self) -> PrettyTable:
        """Numbers of the components, with intervals and flags."""
        return spectra_table(self)

    def to_dataframe(self, level: float = 0.95) -> DataFrame:
        """Tidy table of pandas, one row for each component.

        Parameters
        ----------
        level
            Probability of the intervals.

        Returns
        -------
        pandas.DataFrame
            Numbers with the ends of their intervals and the flags; units are in ``attrs``.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> s.fit_dose_spectra(1, energy_range=(8.0, 20.0)).to_dataframe().shape[0]
        1
        """
        return spectra_frame(self, level)

    def methods_text(self) -> str:
        """A paragraph for the methods section of a paper, true for this fit.

        Returns
        -------
        str
            Sentences with the numbers of the fit.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> print(s.fit_dose_spectra(1, energy_range=(8.0, 20.0)).methods_text()[:21])
        Spectra of 9 frames u
        """
        return spectra_methods(self)

    def __repr__(self) -> str:
        """One line."""
        number = self.n_components
        return printable(
            f"<DoseSpectra, {number} component{'s' if number > 1 else ''}, {self.dose.size} doses, "
            f"{self.fit.spectra.n_channel} channels, {self.fit.parameters.each.law.name}>"
        )

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        return [self.table], self.notes

    # Figures and files

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Plot the integrity of all components, and their spectra beside it.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> len(s.fit_dose_spectra(1, energy_range=(8.0, 20.0)).plot().axes)
        2
        """
        return drawn(plot_components, associated_picture(self), options)

    @takes_figure_options
    def plot_spectra(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Plot the dose-associated spectra and the residue with their 95 % bands.

        Returns
        -------
        matplotlib.figure.Figure
            A panel for each component, and one for the residue with the spectrum at no dose.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> len(s.fit_dose_spectra(1, energy_range=(8.0, 20.0)).plot_spectra().axes)
        2
        """
        return drawn(plot_associated, associated_picture(self), options)

    def _write(self, path: str | Path, overwrite: bool | None) -> None:
        save_spectra(self, self.fitted, path, overwrite=overwrite)

    # Helpers

    def _signal(self, name: str) -> BaseSignal:
        if name in self.flags:
            return self._as_map(self.flags[name], name)
        if name not in self.values:
            law = self.fit.parameters.each.law
            raise AttributeError(
                f"the kinetic law {law.name!r} has no {name!r}; its parameters are "
                f"{', '.join(component_values(self.fit))}."
            )
        return self._as_map(self.values[name], name)

    def _as_map(self, array: np.ndarray, name: str) -> BaseSignal:
        return make_map(array, (), self.component_names, title=name, quantity=name)

    def _series(self, array: np.ndarray, title: str) -> Signal1D:
        return make_dose_series(
            array,
            self.grid,
            (),
            self.component_names,
            title=title,
            quantity="integrity",
            dose_unit=self.dose_unit,
        )

    def _spectrum(self, array: np.ndarray, title: str, leading: str = "") -> Any:
        """An EELS signal of arrays over the channels that were used."""
        whole = np.full((*array.shape[:-1], self.origin.used.size), np.nan)
        whole[..., self.origin.used] = array
        axes: list[dict[str, object]] = []
        if leading == "component":
            axes = [{"name": "component", "size": len(array), "offset": 1, "scale": 1}]
        elif leading == "dose":
            axes = [{"name": "dose", "units": self.dose_unit or None, "axis": self.dose.copy()}]
        axes = [{**each, "navigate": True} for each in axes]
        axes.append({**self.origin.energy_axis, "navigate": False})
        signal = Signal1D(
            whole,
            axes=axes,
            metadata={"General": {"title": title}, "Signal": {"quantity": self.origin.quantity}},
        )
        signal.set_signal_type("EELS")
        return signal
