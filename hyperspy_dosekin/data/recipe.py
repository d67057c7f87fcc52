# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is simulated: the options of a dose series, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from hyperspy_dosekin.numerics.arguments import check_fields, real_numbers, short
from hyperspy_dosekin.windows.definitions import LOW_LOSS_WINDOWS

from .camera import Camera
from .check import require

#: Raised whenever the same seed and options begin to give other numbers.
RECIPE_VERSION = 1

#: Frames of the series in arXiv:2605.01697: 152…1368 e⁻/Å².
DEFAULT_DOSE = np.arange(1, 10) * 152.0

# Fewer would not sample the zero-loss peak.
_FEWEST_CHANNELS_PER_ZERO_LOSS = 1.5

CHANNEL_RESPONSES = ("point", "integrated")
ENERGY_UNITS = {"eV": 1.0, "meV": 1e3}


@dataclass(frozen=True)
class BandKinetics:
    """How one band changes with dose.

    Parameters
    ----------
    k
        Rate per normalised dose (dose over the largest recorded dose); a number, or an array of
        the shape (y, x) of an image.
    p
        Exponent.
    a, b
        The band holds the share ``a·C + b`` of the single scattering of the undamaged specimen.
        Negative a: the band grows while C falls.
    """

    k: ArrayLike
    p: float
    a: float
    b: float


#: Truth near arXiv:2605.01697: C–C and C–O lose half near 1000 e⁻/Å², M–O hardly changes, π–π*
#: rises.
DEFAULT_KINETICS: Mapping[str, BandKinetics] = MappingProxyType(
    {
        "π–π*": BandKinetics(k=0.8, p=1.2, a=-0.008, b=0.014),
        "C–C": BandKinetics(k=0.95, p=1.0, a=0.036, b=0.010),
        "C–O": BandKinetics(k=1.1, p=1.3, a=0.060, b=0.015),
        "M–O": BandKinetics(k=0.1, p=1.0, a=0.025, b=0.015),
    }
)


def complete_kinetics(
    kinetics: Mapping[str, Mapping[str, ArrayLike]] | None,
) -> dict[str, BandKinetics]:
    """Fill in the defaults.

    Parameters
    ----------
    kinetics
        ``{window: {"k": …, "p": …, "a": …, "b": …}}``; windows and values left out keep their
        defaults.

    Returns
    -------
    One entry for each of the four low-loss windows, in their order.

    Raises
    ------
    ValueError
        If a window or a parameter is not known.
    """
    if kinetics is not None and not isinstance(kinetics, Mapping):
        raise TypeError(f'kinetics={short(kinetics)} must be {{window: {{"k": …, "p": …}}}}.')
    completed = dict(DEFAULT_KINETICS)
    known = {entry.name for entry in fields(BandKinetics)}
    for name, values in (kinetics or {}).items():
        if name not in completed:
            raise ValueError(
                f"kinetics has an entry for {name!r}; the simulated windows are {list(completed)}."
            )
        if not isinstance(values, Mapping):
            raise TypeError(f'kinetics[{name!r}]={short(values)} must be {{"k": …, "p": …, …}}.')
        unknown = set(values) - known
        if unknown:
            raise ValueError(
                f"kinetics[{name!r}] sets {sorted(unknown)}; it takes any of {sorted(known)}."
            )
        completed[name] = replace(completed[name], **values)
    return completed


#: Larger numbers are no doses, energies or electrons, and too large to draw counts of.
_LARGEST = 1e15
#: What to give instead.
REMEDIES = {
    "dose": "give ascending doses in e⁻/Å²",
    "t_over_lambda": "give a thickness, or one for each pixel",
    "drift": "give an energy in eV",
    "vibrations": "give rows (energy in eV, share, full width in eV)",
}


@dataclass(frozen=True, eq=False)
class Recipe:
    """Options of a simulated dose series; see `hyperspy_dosekin.data.dose_series`.

    Raises
    ------
    ValueError
        If an option is out of its range.
    TypeError
        If the seed is not an integer.
    """

    seed: int = 0
    dose: np.ndarray = field(default_factory=DEFAULT_DOSE.copy)
    kinetics: Mapping[str, Mapping[str, ArrayLike]] | None = None
    t_over_lambda: ArrayLike = 0.4
    pre_exposure: float = 0.0
    processed: bool = False
    noise: bool = True
    electrons: float = 1e7
    gain: float = 1.0
    read_noise: float = 0.0
    intensity_variation: float = 0.005
    drift: ArrayLike = 0.01
    shift_jitter: float = 0.0
    spike_rate: float = 0.0
    spike_height: float = 20.0
    energy_offset: float = -8.0
    energy_scale: float = 0.18
    channels: int = 512
    zero_loss_fwhm: float = 0.6
    zero_loss_asymmetry: float = 0.0
    zero_loss_tail: float = 0.005
    plasmon_energy: float = 21.5
    plasmon_width: float = 15.0
    vibrations: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))
    temperature: float = 300.0
    channel_response: str = "point"
    energy_units: str = "eV"
    pedestal: float = 0.0
    average_of: int = 1
    normalise: str = "none"
    claimed_noise: str = "true"
    dead_channels: Sequence[int] = ()
    dead_value: float = np.nan
    dtype: DTypeLike | None = None
    bands: Mapping[str, BandKinetics] = field(init=False)
    camera: Camera = field(init=False)
    #: Type of the recorded numbers.
    stored: np.dtype = field(init=False)

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("dose", "t_over_lambda", "drift", "vibrations"):
            real_numbers(name, getattr(self, name), REMEDIES[name])
        if not isinstance(self.seed, Integral) or isinstance(self.seed, bool):
            raise TypeError(f"seed={self.seed!r} must be an integer; it is recorded in the result.")
        require(self.seed >= 0, "seed", self.seed, "must not be negative")
        dose = np.atleast_1d(np.asarray(self.dose, dtype=np.float64))
        require(
            dose.ndim == 1
            and dose.size >= 2
            and bool(np.all(np.isfinite(dose)) and dose[0] >= 0 and np.all(np.diff(dose) > 0)),
            "dose",
            dose.tolist(),
            "must be two or more ascending doses in e⁻/Å², none of them negative",
        )
        object.__setattr__(self, "dose", dose)
        object.__setattr__(self, "bands", complete_kinetics(self.kinetics))
        self._check_bands()
        self._check_numbers()
        self._check_energy_axis()
        self._check_vibrations()
        names = [one.name for one in fields(Camera)]
        object.__setattr__(self, "camera", Camera(**{name: getattr(self, name) for name in names}))
        require(
            not self.processed or self.camera.is_plain,
            "processed",
            True,
            "gives what perfect processing would: pedestal, average_of, normalise, claimed_noise "
            "and dead_channels are for raw counts",
        )
        whole = self.noise and not self.processed and self.camera.whole_numbers
        recorded = np.float32 if self.noise and not self.processed else np.float64
        default = np.int32 if whole else recorded
        try:
            stored = np.dtype(default if self.dtype is None else self.dtype)
        except Exception:  # NumPy raises whatever it meets on the way
            raise TypeError(
                f"dtype={short(self.dtype)} is no type of numbers; give 'float32' or the like."
            ) from None
        object.__setattr__(self, "stored", stored)
        require(
            stored.kind == "f" or (stored.kind in "iu" and whole),
            "dtype",
            str(stored),
            "does not fit: integers are for counts with noise that are neither averaged nor "
            "normalised nor NaN, all else needs a float type",
        )

    def _check_bands(self) -> None:
        for name, band in self.bands.items():
            rate = np.asarray(band.k, dtype=np.float64)
            require(
                bool(np.all(np.isfinite(rate)) and np.all(rate >= 0)),
                f"kinetics[{name!r}]['k']",
                band.k,
                "must be finite and not negative",
            )
            numbers = (band.p, band.a, band.b)
            require(
                bool(np.all(np.isfinite(numbers))),
                f"kinetics[{name!r}] p, a, b",
                numbers,
                "must be finite numbers",
            )
            require(
                min(band.b, band.a + band.b) >= 0,
                f"kinetics[{name!r}] a, b",
                (band.a, band.b),
                "would make the band negative: b and a + b must be zero or more",
            )
        total = sum(band.a + band.b for band in self.bands.values())
        # A hair of tolerance, so that shares that add up to one may do so in floating point.
        require(
            total <= 1 + 1e-12,
            "kinetics",
            {name: band.a + band.b for name, band in self.bands.items()},
            f"gives the undamaged bands {total:.3g} of the single scattering, more than all of it; "
            "lower a or b (what the bands leave is the plasmon's)",
        )

    def _check_numbers(self) -> None:
        thickness = np.asarray(self.t_over_lambda, dtype=np.float64)
        require(
            bool(np.all(np.isfinite(thickness)) and np.all(thickness >= 0)),
            "t_over_lambda",
            self.t_over_lambda,
            "must be finite and not negative",
        )
        require(
            bool(np.all(np.abs(np.asarray(self.drift, dtype=np.float64)) <= _LARGEST)),
            "drift",
            self.drift,
            f"must be an energy in eV, at most {_LARGEST:g}",
        )
        for name in ("electrons", "plasmon_energy", "plasmon_width", "temperature"):
            value = getattr(self, name)
            require(0 < value <= _LARGEST, name, value, f"must be positive, at most {_LARGEST:g}")
        for name, known in (
            ("channel_response", CHANNEL_RESPONSES),
            ("energy_units", tuple(ENERGY_UNITS)),
        ):
            require(getattr(self, name) in known, name, getattr(self, name), f"must be in {known}")
        for name in (
            "pre_exposure",
            "intensity_variation",
            "shift_jitter",
            "spike_rate",
            "spike_height",
            "zero_loss_asymmetry",
        ):
            value = getattr(self, name)
            require(
                0 <= value <= _LARGEST,
                name,
                value,
                f"must not be negative, and at most {_LARGEST:g}",
            )
        require(
            0 <= self.zero_loss_tail < 1, "zero_loss_tail", self.zero_loss_tail, "must be in [0, 1)"
        )

    def _check_vibrations(self) -> None:
        lines = np.asarray(self.vibrations, dtype=np.float64)
        lines = lines.reshape(0, 3) if not lines.size else np.atleast_2d(lines)
        require(
            lines.shape[1:] == (3,) and bool(np.all(np.isfinite(lines)) and np.all(lines >= 0)),
            "vibrations",
            self.vibrations,
            "must be rows of three numbers, zero or more: energy (eV), share of the zero-loss "
            "peak, full width at half maximum (eV)",
        )
        object.__setattr__(self, "vibrations", lines)

    def _check_energy_axis(self) -> None:
        require(
            np.isfinite(self.energy_scale) and self.energy_scale > 0,
            "energy_scale",
            self.energy_scale,
            "must be a positive width in eV",
        )
        widest = self.zero_loss_fwhm / _FEWEST_CHANNELS_PER_ZERO_LOSS
        require(
            0 < self.zero_loss_fwhm <= 1e4 and self.energy_scale <= widest * (1 + 1e-9),
            "energy_scale",
            self.energy_scale,
            f"is too coarse for a zero-loss peak {self.zero_loss_fwhm} eV wide; channels of "
            f"{widest:.3g} eV at most sample it",
        )
        require(
            2 <= self.channels <= 10**7,
            "channels",
            self.channels,
            "must be an integer of two or more, ten million at most",
        )
        require(
            bool(np.isfinite(self.energy_offset)),
            "energy_offset",
            self.energy_offset,
            "is no energy",
        )
        require(
            self.energy_offset < 0 < self.energy[-1],
            "energy_offset",
            self.energy_offset,
            f"and the end of the axis, {self.energy[-1]:.4g} eV, must enclose the zero-loss peak",
        )

    @property
    def energy(self) -> np.ndarray:
        """Energies of the channels, in eV, shape ``(channels,)``."""
        return self.energy_offset + self.energy_scale * np.arange(self.channels)

    @property
    def window_names(self) -> tuple[str, ...]:
        """Names of the windows that hold the bands."""
        return tuple(self.bands)

    @property
    def window_ranges(self) -> np.ndarray:
        """Limits of the windows in eV, shape ``(n_window, 2)``."""
        return np.array([LOW_LOSS_WINDOWS[name] for name in self.bands])

    @property
    def dose_max(self) -> float:
        """Largest recorded dose, in e⁻/Å²: the unit of normalised dose."""
        return float(self.dose[-1])

    @property
    def true_dose(self) -> np.ndarray:
        """Dose the specimen has had at each frame, pre-exposure included, in e⁻/Å²."""
        return self.dose + self.pre_exposure
