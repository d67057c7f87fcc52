# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dose series of whole spectra, and the options of its fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, Prior
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.numerics.arguments import check_fields

from .number import MOST

#: Channels and frames that are needed.
FEWEST_CHANNELS, FEWEST_FRAMES = 8, 4
NOISE = ("relative", "absolute")


@dataclass(frozen=True, eq=False)
class SpectraProblem:
    """A dose series of spectra.

    Parameters
    ----------
    dose
        Cumulative doses, ascending, ``(n_frame,)``.
    values
        ``(n_frame, n_channel)``, finite.
    variance
        Noise variance, same shape, or ``None``.
    dose_scale
        Dose that counts as 1; the largest if not given.
    frame_errors
        Relative errors that all channels of a frame may share, each one standard deviation and of
        its own, such as a drift of the normalisation or the thickness of each frame,
        ``(n_error, n_frame)``; ``None`` where there are none.
    zero_error
        Standard deviation of the zero of the intensities, ``(n_channel,)`` or a number.

    Raises
    ------
    ValueError
        If there are too few frames or channels, shapes disagree, or values are not finite.
    """

    dose: np.ndarray
    values: np.ndarray
    variance: np.ndarray | None = None
    dose_scale: float | None = None
    frame_errors: np.ndarray | None = None
    zero_error: np.ndarray | float = 0.0

    def __post_init__(self) -> None:
        dose = np.asarray(self.dose, dtype=np.float64)
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim != 2 or values.shape[0] != dose.size:
            raise ValueError(
                f"values of shape {values.shape} do not fit {dose.size} doses; pass an array of "
                "shape (n_frame, n_channel)."
            )
        if not np.isfinite(values).all():
            raise ValueError("the spectra hold values that are not finite; leave them out.")
        if not np.isfinite(dose).all() or np.any(dose < 0) or np.any(np.diff(dose) < 0):
            raise ValueError(f"doses {dose.tolist()} must be finite, not negative and ascending.")
        if np.unique(dose).size < FEWEST_FRAMES or values.shape[1] < FEWEST_CHANNELS:
            raise ValueError(
                f"{np.unique(dose).size} frames of different dose and {values.shape[1]} channels "
                f"are too few for kinetics of whole spectra; at least {FEWEST_FRAMES} and "
                f"{FEWEST_CHANNELS} are needed."
            )
        if self.variance is not None and np.shape(self.variance) != values.shape:
            raise ValueError(
                f"variance of shape {np.shape(self.variance)} must have the shape {values.shape} "
                "of the values."
            )
        object.__setattr__(self, "dose", dose)
        object.__setattr__(self, "values", values)

    @property
    def scale(self) -> float:
        """Dose that counts as 1."""
        return float(self.dose[-1]) if self.dose_scale is None else float(self.dose_scale)


@dataclass(frozen=True, eq=False)
class SpectraConfig:
    """Options of `fit_spectra`.

    Parameters
    ----------
    law
        The kinetic law of every component, or its name.
    n_component
        Number of components; ``None`` takes what the test finds.
    prior
        Priors of ln k and p, or ``None``.
    exponent
        Known p of all components.
    residue
        Whether there is a residue, which no dose changes; ``False`` where it is known and has been
        subtracted.
    nonnegative
        Whether residue and first spectrum cannot be negative.
    noise
        ``"absolute"`` takes a given variance as the noise, ``"relative"`` its size from what the
        components leave.

    Raises
    ------
    ValueError
        If an option is not one of those above.
    """

    law: KineticLaw | str = "power law"
    n_component: int | None = None
    prior: Prior | None = DEFAULT_PRIOR
    exponent: float | None = None
    residue: bool = True
    nonnegative: bool = False
    noise: str = "relative"

    def __post_init__(self) -> None:
        check_fields(self)
        law = kinetic_law(self.law)
        object.__setattr__(self, "law", law)
        if self.n_component is not None and not 1 <= self.n_component <= MOST:
            raise ValueError(
                f"n_components={self.n_component} must be a number from 1 to {MOST}, or None for "
                "what the test finds."
            )
        if self.n_component is not None:
            # One of NumPy is no number to Torch and to files.
            object.__setattr__(self, "n_component", int(self.n_component))
        if self.noise not in NOISE:
            raise ValueError(f"noise {self.noise!r} is not one of {NOISE}.")
        if self.nonnegative and not self.residue:
            raise ValueError(
                "nonnegative=True bounds the residue, and residue= says that it is known; leave "
                "one of them out."
            )
        if self.exponent is not None and "exponent" not in [p.name for p in law.parameters]:
            raise ValueError(
                f"exponent={self.exponent!r} does not fit the kinetic law {law.name!r}, which has "
                f"the parameters {[p.name for p in law.parameters]}; leave it out."
            )

    @property
    def parameters(self) -> Parameters:
        """The law with its priors and what is held."""
        held = () if self.exponent is None else (("exponent", float(self.exponent)),)
        assert isinstance(self.law, KineticLaw)
        return Parameters(self.law, self.prior, held)
