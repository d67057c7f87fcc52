# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of whole spectra, as a method of EELS signals."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, Prior
from hyperspy_dosekin.numerics.arguments import check_arguments, real_number
from hyperspy_dosekin.signals.axes.dose_axis import doses_of, find_dose_axis, no_dose_axis
from hyperspy_dosekin.signals.axes.noise import check_absolute
from hyperspy_dosekin.signals.axes.processed import processing_of
from hyperspy_dosekin.signals.kinetics.data.groups import Groups
from hyperspy_dosekin.signals.kinetics.data.recorded import conditions_of, law_under
from hyperspy_dosekin.signals.kinetics.options.checks import checked_prior
from hyperspy_dosekin.signals.kinetics.spectra.origin import SpectraOrigin
from hyperspy_dosekin.signals.processing.unprocessed import warn_if_unprocessed
from hyperspy_dosekin.signals.progress import dask_progress, progress_bars

from .reading import (
    axis_of_fit,
    dose_error_of,
    energy_channels,
    known_residue,
    mean_spectra,
    without_gaps,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from hyperspy.roi import SpanROI
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.spectra.problem import SpectraConfig
    from hyperspy_dosekin.signals.axes.dose_axis import AxisLike
    from hyperspy_dosekin.signals.kinetics.spectra.result import DoseSpectra

#: A dose scale is not so many times larger or smaller than doses.
_FARTHEST = 1e-6
_SPATIAL = ("auto", "mean", "pixel", "population", "field")


def fit_dose_spectra(
    self: Any,
    n_components: int | None = None,
    *,
    energy_range: Sequence[float] | SpanROI | None = None,
    law: str | KineticLaw = "power law",
    exponent: float | None = None,
    prior: Prior | Mapping[str, Sequence[float]] | None = DEFAULT_PRIOR,
    residue: BaseSignal | npt.ArrayLike | None = None,
    nonnegative: bool = False,
    noise: str = "relative",
    frame_error: float = 0.0,
    processing_error: bool = True,
    spatial: str = "auto",
    groups: BaseSignal | npt.ArrayLike | None = None,
    dose_axis: AxisLike | None = None,
    dose_scale: float | None = None,
    dose_uncertainty: float | Mapping[str, float] | None = None,
    show_progressbar: bool | None = None,
) -> DoseSpectra | dict[str, DoseSpectra]:
    r"""Fit kinetics to whole spectra: all channels speak for the same rates.

    The spectra are taken as :math:`I(E, \Phi) = \sum_c A_c(E)\, C_c(\Phi) + R(E)` with an
    integrity C of the kinetic law for each component, from 1 at no dose. No window has to be
    chosen: the *dose-associated spectra* :math:`A_c` and the *residue* R, which no dose removes,
    come out of the fit, each with its band. Components are what changes at one rate. They are
    **not** species, phases or bonds: what two bonds do at the same rate is one component, and a
    component may be negative where the spectrum grows.

    Rates share all channels, so that D½ is more certain than that of any window. What the residue
    holds of the decaying part is as little known as the offset of a window.

    Parameters
    ----------
    n_components
        Number of components, up to 4. ``None`` takes those that a test finds (see
        `DoseSpectra.rank_test`).
    energy_range
        Ends of the range of energies, ``(left, right)`` in units of the energy axis, or a
        :class:`hyperspy.api.roi.SpanROI`. By default all energies, but for those below 1 eV where
        the axis holds the zero-loss peak.
    law
        Kinetic law of every component, a name or a law of your own, as for `fit_dose_pinn`.
    exponent
        Known exponent p of all components.
    prior
        Normal priors of ln k and p, as for `fit_dose_pinn`.
    residue
        Known residue: 0, or a spectrum of the channels of the range, such as that of a fully
        damaged specimen. ``None`` fits it. Nothing else makes D½ as certain.
    nonnegative
        Whether the residue cannot be negative, nor the spectrum of the beginning where it grows.
        The bound is a careful one: what noise may put below zero speaks against nothing.
    noise
        ``"relative"`` takes a known noise variance as weights and its size from what the components
        leave; ``"absolute"`` takes it as the noise, and is refused where there is none. Where no
        variance is known the noise is that of the scatter. All channels together tell its size to
        a few per cent, so that there is no ``"floor"`` as for the few frames of a window.
    frame_error
        Relative standard deviation of the intensity of each frame: current, thickness, or
        normalisation that vary from frame to frame. All channels share it, so that many channels
        do not average it out.
    processing_error
        Whether the drift that the normalisation of `process_low_loss` may have made is in the
        intervals.
    spatial
        ``"mean"`` (or ``"auto"``) takes the mean over all space axes: one kinetics for the region.
        ``"population"``, ``"field"`` and ``"pixel"`` fit the kinetics of every pixel beside it,
        as `fit_dose_pinn` does for windows, with the components in the place of windows: see
        `DoseSpectra.project` and `DoseSpectra.maps`. Lazy signals stay lazy there.
    groups
        Regions with kinetics of their own: a `ClassMap` or an image of integers, as for
        `fit_dose_pinn`. With ``"mean"`` each has its own components and spectra, and the result is
        a dictionary of them by the names of the regions; each is read by itself.
    dose_axis
        As for `integrate_windows`.
    dose_scale
        Dose that counts as 1 in rates and in their prior; the largest measured one by default.
    dose_uncertainty
        Relative standard deviation of the dose scale, or a mapping with ``"scale"``; by default
        that in ``metadata.Dose.uncertainty``.
    show_progressbar
        Whether to show the progress of reading lazy data; ``None`` takes HyperSpy's preference.

    Returns
    -------
    DoseSpectra
        Spectra, rates and doses. Lazy signals are read once, block by block; the result is not
        lazy. A dictionary of them where there are `groups` of the mean.

    Raises
    ------
    TypeError
        If the data are not real numbers, or an option has another type.
    ValueError
        If there is no dose axis, there are too few frames or channels, nothing changes with dose,
        or an option is out of range.

    References
    ----------
    Global analysis by variable projection: doi:10.1016/j.bbabio.2004.04.011.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> found = s.fit_dose_spectra(energy_range=(2.0, 30.0), law="first order")
    >>> found.spectra
    <EELSSpectrum, title: Dose-associated spectra, dimensions: (...|156)>
    """
    # Torch comes with them.
    from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
    from hyperspy_dosekin.kinetics.spectra.problem import SpectraConfig

    check_arguments(fit_dose_spectra, locals())
    given = checked_prior(prior)
    config = SpectraConfig(law, n_components, given, exponent, residue is None, nonnegative, noise)
    if spatial not in _SPATIAL:
        raise ValueError(f"spatial={spatial!r} is not one of {_SPATIAL}.")
    real_number(
        "frame_error",
        frame_error,
        "give a relative standard deviation, for instance 0.01",
        least=0.0,
        below=1.0,
    )
    if dose_scale is not None:
        # A smaller one than any normal number has no inverse.
        real_number("dose_scale", dose_scale, "give a dose in the unit of the axis", least=1e-300)
    axis = find_dose_axis(self, dose_axis)
    if axis is None:
        raise ValueError(no_dose_axis(self))
    if self.data.dtype.kind not in "iufb":
        raise TypeError(
            f"spectra of {self.data.dtype} cannot be fitted; they must hold real numbers."
        )
    warn_if_unprocessed(self)
    if not axis.size:
        raise ValueError("the dose axis has no frames; spectra of four or more are needed.")
    largest = float(np.max(doses_of(axis.axis, axis.units)[0]))
    if dose_scale is not None and not _FARTHEST < dose_scale / (largest or 1.0) < 1 / _FARTHEST:
        raise ValueError(
            f"dose_scale={dose_scale} is no scale of doses up to {largest:g}; give one of their "
            "size, or None for the largest."
        )
    law = law_under(kinetic_law(law), conditions_of(self), dose_scale or largest)
    config = replace(config, law=law)
    part = energy_channels(self, energy_range)
    place = axis.index_in_array
    space = tuple(n for p, n in enumerate(self.data.shape[:-1]) if p != place)
    by_pixel = spatial not in ("auto", "mean")
    if (by_pixel or groups is not None) and not space:
        raise ValueError(
            f"spatial={spatial!r} and groups= need space axes, and these spectra have none; leave "
            "them out."
        )
    if by_pixel and nonnegative:
        raise ValueError(
            "nonnegative=True bounds the spectra of the mean; components of single pixels know no "
            f"such bound. Leave it out, or spatial={spatial!r}."
        )
    options = _Options(
        config, axis, part, residue, frame_error, processing_error, dose_scale, dose_uncertainty
    )
    if groups is not None and not by_pixel:
        regions = Groups.of(groups, space)
        found = {}
        with progress_bars(show_progressbar) as progress:
            for step, (label, name) in enumerate(regions.names.items()):
                progress("regions", step, len(regions.names))
                try:
                    found[name] = _fitted(self, options, regions.labels == label, False)
                except ValueError as error:
                    raise ValueError(f"region {name!r}: {error}") from error
            progress("regions", len(found), len(found))
        return found
    whole = _fitted(self, options, None, show_progressbar)
    if not by_pixel:
        return whole
    maps = whole.project(self, dose_axis=dose_axis).fit_dose_pinn(
        estimator="exact",
        spatial=spatial,
        groups=groups,
        law=law,
        exponent=exponent,
        prior=given,
        offset=None if residue is None else 0.0,
        hierarchy=(),
        nonnegative=False,
        noise=noise,
        dose_scale=whole.dose_scale,
        dose_uncertainty=dose_uncertainty,
        processing_error=processing_error,
        show_progressbar=show_progressbar,
    )
    return replace(whole, maps=maps)


@dataclass(frozen=True, eq=False)
class _Options:
    """What a fit of one region needs to know."""

    config: SpectraConfig
    axis: Any
    part: slice
    residue: object
    frame_error: float
    processing_error: bool
    dose_scale: float | None
    dose_uncertainty: float | Mapping[str, float] | None


def _fitted(
    signal: BaseSignal, options: _Options, chosen: np.ndarray | None, show_progressbar: bool | None
) -> DoseSpectra:
    """Fit the mean of some pixels, of all where `chosen` is ``None``."""
    from hyperspy_dosekin.kinetics.spectra.fit import fit_spectra
    from hyperspy_dosekin.kinetics.spectra.problem import SpectraProblem
    from hyperspy_dosekin.signals.kinetics.spectra.result import DoseSpectra

    axis, part, frame_error = options.axis, options.part, options.frame_error
    with dask_progress(show_progressbar):
        values, variance, drift, pixels = mean_spectra(
            signal, axis, part, options.processing_error, chosen
        )
    check_absolute(options.config.noise, variance)
    dose, unit = doses_of(axis.axis, axis.units)
    order = np.argsort(dose, kind="stable")
    if not np.array_equal(order, np.arange(dose.size)):
        warnings.warn(
            "The doses are not ascending; the frames are sorted by dose for the fit.",
            UserWarning,
            stacklevel=2,
        )
    dose, values = dose[order], values[order]
    variance = None if variance is None else variance[order]
    drift = None if drift is None else drift[order]
    frames, channels = without_gaps(values, variance)
    origin = SpectraOrigin(
        axis_of_fit(signal, part),
        channels,
        unit,
        _text(signal, "General.title"),
        _text(signal, "Signal.quantity") or "Intensity",
        pixels,
        int((~frames).sum()),
        bool(signal.metadata.get_item("Dose.map") is not None and pixels > 1),
        dose_error_of(signal, options.dose_uncertainty),
        float(frame_error),
        drift is not None,
        signal.metadata.get_item("Dose.pre_exposure") is not None,
        processing_of(signal),
    )
    kept = np.ix_(frames, channels)
    known = known_residue(options.residue, part, channels)
    errors = [] if drift is None else [drift[frames]]
    errors += list(frame_error * np.eye(int(frames.sum()))) if frame_error else []
    problem = SpectraProblem(
        dose[frames],
        values[kept] - known,
        None if variance is None else variance[kept],
        options.dose_scale,
        np.array(errors) if errors else None,
    )
    return DoseSpectra(
        fit_spectra(problem, options.config), origin, known + np.zeros(channels.sum())
    )


def _text(signal: BaseSignal, place: str) -> str:
    """A text of the metadata; empty where something else is there, or nothing."""
    found = signal.metadata.get_item(place)
    return found if isinstance(found, str) else ""
