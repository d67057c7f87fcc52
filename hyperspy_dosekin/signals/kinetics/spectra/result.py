# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of whole spectra: dose-associated spectra, their rates, their figures and their file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import Signal1D

from hyperspy_dosekin.kinetics.posterior.quantities import Quantity, check_level
from hyperspy_dosekin.kinetics.spectra.fit import SpectraFit
from hyperspy_dosekin.kinetics.spectra.number import LEVEL
from hyperspy_dosekin.kinetics.spectra.summary import (
    component_interval,
    component_values,
    half_doses,
    integrities,
    spectra_interval,
    spectra_of,
    summary,
)
from hyperspy_dosekin.numerics.arguments import real_number
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series, make_map
from hyperspy_dosekin.signals.drawing import drawn
from hyperspy_dosekin.signals.kinetics.spectra.file import save_spectra
from hyperspy_dosekin.signals.kinetics.spectra.origin import SpectraOrigin
from hyperspy_dosekin.signals.kinetics.spectra.text import (
    notes_on_spectra,
    spectra_frame,
    spectra_html,
    spectra_methods,
    spectra_table,
)
from hyperspy_dosekin.signals.signatures import did_you_mean
from hyperspy_dosekin.windows.weights import WindowWeights

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.signals import BaseSignal
    from matplotlib.figure import FigureBase
    from pandas import DataFrame
    from prettytable import PrettyTable

    from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics

#: Doses at which curves are drawn.
_GRID = 201
#: p-value of the test of fit below which the law does not describe the spectra.
_LEAST_ADEQUATE = 0.01


@dataclass(frozen=True, eq=False, repr=False)
class DoseSpectra:
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
    >>> import hyperspy_dosekin
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> found = s.fit_dose_spectra(1, energy_range=(8.0, 20.0))
    >>> found
    <DoseSpectra, 1 component, 9 doses, 67 channels, power law>
    >>> found.residue
    <EELSSpectrum, title: Residue, dimensions: (|67)>
    """

    fit: SpectraFit
    origin: SpectraOrigin
    known_residue: np.ndarray
    maps: DoseKinetics | None = None
    _kept: dict[Any, Any] = field(default_factory=dict, init=False)

    # Numbers

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self.fit.n_component

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the components, from the fastest."""
        return tuple(f"component {place + 1}" for place in range(self.n_components))

    @property
    def dose(self) -> np.ndarray:
        """Cumulative doses of the frames, ``(n_dose,)``."""
        return self.fit.problem.dose

    @property
    def dose_scale(self) -> float:
        """Dose that counts as 1 in rates."""
        return self.fit.problem.scale

    @property
    def dose_unit(self) -> str:
        """Unit of the doses; empty where the series does not say."""
        return self.origin.dose_unit

    @property
    def rank_test(self) -> DataFrame:
        """Test of the number of components, one row for each that was looked for.

        Columns ``component``; ``signal_to_noise``, its size over the largest that noise alone has
        on average; ``p``, the probability that noise alone has one as large; and ``seen``.
        """
        from pandas import DataFrame

        rows = [(t.n_component, t.signal_to_noise, t.p, t.p <= LEVEL) for t in self.fit.tests]
        return DataFrame(rows, columns=["component", "signal_to_noise", "p", "seen"])

    @property
    def values(self) -> Mapping[str, np.ndarray]:
        """Numbers of the components by name, ``(n_component,)`` each."""
        return self._values

    @cached_property
    def _values(self) -> dict[str, np.ndarray]:
        found = component_values(self.fit)
        if "rate" in found:
            found["rate_per_dose"] = found["rate"] / self.dose_scale
        found["half_integrity_dose"] = half_doses(self.fit) * self.dose_scale
        found["critical_dose"] = half_doses(self.fit, float(np.exp(-1))) * self.dose_scale
        return {name: np.where(np.isfinite(each), each, np.nan) for name, each in found.items()}

    @cached_property
    def _summary(self) -> Any:
        return summary(self.fit, self.origin.dose_error.scale)

    @property
    def rate(self) -> BaseSignal:
        """Rate constant k of each component, per dose scale."""
        return self._map("rate")

    @property
    def rate_per_dose(self) -> BaseSignal:
        """Rate constant of each component per unit of dose."""
        return self._map("rate_per_dose")

    @property
    def exponent(self) -> BaseSignal:
        """Exponent p of each component."""
        return self._map("exponent")

    @property
    def half_integrity_dose(self) -> BaseSignal:
        """Dose D½ at which half of each component is gone; NaN where that never happens."""
        return self._map("half_integrity_dose")

    @property
    def critical_dose(self) -> BaseSignal:
        """Dose at which 1/e of each component is left."""
        return self._map("critical_dose")

    @property
    def identifiable(self) -> BaseSignal:
        """Whether the data determine D½ of each component."""
        return self._as_map(self._summary.identifiable, "identifiable")

    @property
    def reached(self) -> BaseSignal:
        """Whether D½ of each component lies within the measured doses."""
        with np.errstate(invalid="ignore"):
            inside = self.values["half_integrity_dose"] <= self.dose[-1]
        return self._as_map(inside, "reached")

    @property
    def adequate(self) -> bool:
        """Whether the law describes the spectra: components of another form would not do better."""
        return not self.fit_p < _LEAST_ADEQUATE

    @property
    def fit_p(self) -> float:
        """Probability that spectra of the law leave as much as these do; NaN where it is unknown.

        Integrities of the law are compared with integrities of any form.
        """
        return self.fit.adequacy

    # Signals

    @property
    def spectra(self) -> Any:
        """Dose-associated spectra (component | energy): what decays with each integrity.

        Sum of all components and residue is the spectrum at no dose. Channels that had gaps are
        NaN.
        """
        return self._spectrum(self._spectra[:-1], "Dose-associated spectra", "component")

    @property
    def residue(self) -> Any:
        """Spectrum of what no dose removes."""
        return self._spectrum(self._spectra[-1] + self.known_residue, "Residue")

    @property
    def residual(self) -> Any:
        """Data less fit (dose | energy)."""
        return self._spectrum(self.fit.problem.values - self._fitted, "Residual", "dose")

    @property
    def fitted(self) -> Any:
        """What the fit makes of the spectra (dose | energy)."""
        return self._spectrum(self._fitted + self.known_residue, "Fitted spectra", "dose")

    @property
    def integrity(self) -> Signal1D:
        """Integrity of each component from no dose to the largest (component | dose)."""
        return self._series(integrities(self.fit, self._grid / self.dose_scale), "Integrity")

    def project(self, signal: Any, *, dose_axis: Any = None) -> Any:
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
        ValueError
            If the energies are others.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> s.fit_dose_spectra(1, energy_range=(8.0, 20.0)).project(s)
        <DoseSeries, title: ..., dimensions: (1|9)>
        """
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
        whitened = self._spectra[:-1] / channels
        weights = np.zeros((self.n_components, wanted.size))
        weights[:, self.origin.used] = np.linalg.pinv(whitened).T / channels
        return signal.integrate_windows(
            WindowWeights(self.component_names, part, weights), dose_axis=dose_axis
        )

    def interval(
        self, name: str, level: float = 0.95, *, dose_level: float | None = None
    ) -> tuple[Any, Any]:
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
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> found = s.fit_dose_spectra(1, energy_range=(8.0, 20.0))
        >>> lower, upper = found.interval("spectra")
        >>> bool((lower.data <= upper.data).all())
        True
        """
        if isinstance(name, str) and name in ("spectra", "residue"):
            check_level(level)
            ends = self._spectra_ends(level)
            if name == "residue":
                return tuple(self._spectrum(e[-1] + self.known_residue, "Residue") for e in ends)
            title = "Dose-associated spectra"
            return tuple(self._spectrum(e[:-1], title, "component") for e in ends)
        lower, upper = self.interval_values(name, level, dose_level=dose_level)
        if name == "integrity":
            return self._series(lower, "Integrity"), self._series(upper, "Integrity")
        return self._as_map(lower, name), self._as_map(upper, name)

    def interval_values(
        self, name: str, level: float = 0.95, *, dose_level: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `interval`, but arrays over components; not of spectra.

        Parameters
        ----------
        name, level, dose_level
            As for `interval`.

        Returns
        -------
        (lower, upper), arrays ``(n_component,)``, or ``(n_component, n_dose)`` of the integrity.

        Raises
        ------
        ValueError
            As for `interval`.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> found = s.fit_dose_spectra(1, energy_range=(8.0, 20.0))
        >>> found.interval_values("rate")[0].shape
        (1,)
        """
        check_level(level)
        if dose_level is not None:
            remedy = "give an integrity between 0 and 1"
            dose_level = real_number("dose_level", dose_level, remedy, above=0.0, below=1.0)
        key = (str(name), float(level), dose_level)
        if key not in self._kept:
            names = [*component_values(self.fit), "half_integrity_dose", "dose_at", "integrity"]
            known = [*names, "rate_per_dose", "critical_dose", "spectra", "residue"]
            if not isinstance(name, str) or name not in known:
                meant = did_you_mean(str(name), known)
                raise ValueError(
                    f"interval({name!r}): there is no such quantity{meant} "
                    f"There are {', '.join(known)}."
                )
            asked, factor = (
                {"rate_per_dose": "rate", "critical_dose": "dose_at"}.get(name, name),
                1.0,
            )
            at = float(np.exp(-1)) if name == "critical_dose" else dose_level
            grid = tuple(self._grid / self.dose_scale) if asked == "integrity" else ()
            ends = component_interval(self.fit, Quantity(asked, at, grid), level)
            if asked in ("half_integrity_dose", "dose_at"):
                factor = self.dose_scale
            elif name == "rate_per_dose":
                factor = 1 / self.dose_scale
            spread = self.origin.dose_error.scale
            lower, upper = (end * factor for end in ends)
            scaled = ("half_integrity_dose", "dose_at")
            if spread and (asked in scaled or name == "rate_per_dose"):
                middle = self.values.get(name, np.sqrt(lower * upper))
                lower, upper = _widened(lower, upper, middle, spread, level)
            self._kept[key] = lower, upper
        return self._kept[key]

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
        >>> import hyperspy_dosekin
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
        >>> import hyperspy_dosekin
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

    def __str__(self) -> str:
        """Table with the notes that apply."""
        lines = [repr(self), self.table.get_string(), *(f"* {note}" for note in self.notes)]
        return printable("\n".join(lines))

    def _repr_html_(self) -> str:
        return spectra_html(self)

    # Figures and files

    def plot(self, **options: Any) -> FigureBase:
        """Plot the integrity of all components, and their spectra beside it.

        Parameters
        ----------
        **options
            ``ax``, ``fig``, ``title``, ``dpi`` and ``figsize`` of the figure.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> len(s.fit_dose_spectra(1, energy_range=(8.0, 20.0)).plot().axes)
        2
        """
        from hyperspy_dosekin.plotting.kinetics.associated import plot_components

        return drawn(plot_components, self._picture(), options)

    def plot_spectra(self, **options: Any) -> FigureBase:
        """Plot the dose-associated spectra and the residue with their 95 % bands.

        Parameters
        ----------
        **options
            ``ax``, ``fig``, ``title``, ``dpi`` and ``figsize`` of the figure.

        Returns
        -------
        matplotlib.figure.Figure
            A panel for each component, and one for the residue with the spectrum at no dose.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> len(s.fit_dose_spectra(1, energy_range=(8.0, 20.0)).plot_spectra().axes)
        2
        """
        from hyperspy_dosekin.plotting.kinetics.associated import plot_associated

        return drawn(plot_associated, self._picture(), options)

    def save(self, path: str | Path, *, overwrite: bool | None = None) -> None:
        """Save to a ``.hspy`` or ``.zspy`` file, which HyperSpy opens as the fitted spectra.

        Parameters
        ----------
        path
            File name; ``.hspy`` is added where there is no extension.
        overwrite
            As for `hyperspy.signals.BaseSignal.save`.

        Raises
        ------
        ValueError
            If the file name has the extension of another format.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> found = s.fit_dose_spectra(1, energy_range=(8.0, 20.0))
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     found.save(f"{folder}/spectra.hspy")
        ...     same = hyperspy_dosekin.load(f"{folder}/spectra.hspy")
        >>> bool((same.rate.data == found.rate.data).all())
        True
        """
        parts = self.fit, self.origin, self.known_residue, self.maps
        save_spectra(parts, self.fitted, path, overwrite=overwrite)

    # Helpers

    @property
    def _grid(self) -> np.ndarray:
        return np.linspace(0.0, float(self.dose[-1]), _GRID)

    @cached_property
    def _spectra(self) -> np.ndarray:
        """Spectra of components and residue, ``(n_component + 1, n_channel)``."""
        measured = integrities(self.fit, self.dose / self.dose_scale)
        return spectra_of(self.fit, measured)[0]

    @cached_property
    def _fitted(self) -> np.ndarray:
        measured = integrities(self.fit, self.dose / self.dose_scale)
        curves = np.concatenate([measured, np.ones((1, self.dose.size))])
        return self.fit.frame_factors[:, None] * (curves.T @ self._spectra)

    def _spectra_ends(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        if ("spectra", level) not in self._kept:
            self._kept["spectra", level] = spectra_interval(self.fit, level)
        return self._kept["spectra", level]

    def _map(self, name: str) -> BaseSignal:
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
            self._grid,
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
        axes: list[dict[str, Any]] = []
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

    def _picture(self) -> Any:
        from hyperspy_dosekin.plotting.kinetics.associated import AssociatedPicture

        lower, upper = self._spectra_ends(0.95)
        band = self.interval_values("integrity")
        half = self.interval_values("half_integrity_dose")
        used = self.origin.used

        def whole(array: np.ndarray) -> np.ndarray:
            found = np.full((array.shape[0], used.size), np.nan)
            found[:, used] = array
            found[-1, used] += self.known_residue
            return found

        units = self.origin.energy_axis.get("units") or ""
        return AssociatedPicture(
            energy=self.origin.energy,
            spectra=whole(self._spectra),
            lower=whole(lower),
            upper=whole(upper),
            grid=self._grid,
            integrity=integrities(self.fit, self._grid / self.dose_scale),
            integrity_lower=band[0],
            integrity_upper=band[1],
            half_dose=self.values["half_integrity_dose"],
            half_dose_lower=half[0],
            half_dose_upper=half[1],
            identifiable=self._summary.identifiable,
            names=self.component_names,
            dose=self.dose,
            dose_unit=self.dose_unit,
            energy_unit=units,
            quantity=self.origin.quantity,
        )


def _widened(
    lower: np.ndarray, upper: np.ndarray, middle: np.ndarray, spread: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals with a relative error of the dose scale in quadrature, on their logarithm."""
    from scipy.special import ndtri

    reach = ndtri((1 + level) / 2) * spread
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.sqrt(np.log(middle / lower) ** 2 + reach**2)
        above = np.sqrt(np.log(upper / middle) ** 2 + reach**2)
        return middle * np.exp(-below), middle * np.exp(above)
