# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference spectra on the energy axis of the data: resampling, broadening, comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.classification.plural import Scattering

#: Standard deviation of a Gaussian in units of its full width at half maximum.
SD_PER_FWHM = 1 / (2 * np.sqrt(2 * np.log(2)))
#: A reference may end so many channels inside the axis of the data; its end value is held there.
_MARGIN = 1.0
#: References of two classes closer than this angle's sine have the same shape.
_COLLINEAR = 1e-3
#: Below this distance, in standard deviations of the noise of one spectrum, classes coincide.
_INDISTINGUISHABLE = 0.5
#: Below this distance a class cannot be told from a mixture of two others in single spectra, each
#: of which is more than this part of the mixture.
_BETWEEN, _PART = 3.0, 0.1


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """Reference spectra, each of a class; several of one class span its variation.

    Parameters
    ----------
    energy_ev
        Energies of the channels, eV, ascending, shape ``(n_channels,)``.
    spectra
        Shape ``(n_reference, n_channels)``, finite.
    class_of
        Class of each reference, shape ``(n_reference,)``, counting from 0.
    names
        Name of each class.

    Raises
    ------
    ValueError
        If shapes disagree, a value is not finite, or there are fewer than two classes.
    """

    energy_ev: np.ndarray
    spectra: np.ndarray
    class_of: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        n, n_channels = self.spectra.shape
        if self.energy_ev.shape != (n_channels,) or self.class_of.shape != (n,):
            raise ValueError(
                f"{n} references of {n_channels} channels do not go with {self.energy_ev.size} "
                f"energies and {self.class_of.size} labels; give one label for each reference."
            )
        if not np.isfinite(self.spectra).all():
            bad = np.flatnonzero(~np.isfinite(self.spectra).all(axis=1)).tolist()
            raise ValueError(f"references {bad} hold NaN or infinity; repair or leave them out.")
        if len(self.names) < 2:
            raise ValueError(
                f"the references have one class, {list(self.names)}; there is nothing to tell "
                "apart with fewer than two: give references of at least two classes."
            )

    @property
    def n_class(self) -> int:
        """Number of classes."""
        return len(self.names)

    def scaled(self, factor: float) -> ReferenceSet:
        """The same multiplied by a factor."""
        return ReferenceSet(self.energy_ev, self.spectra * factor, self.class_of, self.names)

    def class_means(self) -> np.ndarray:
        """Mean reference of each class, ``(n_class, n_channels)``."""
        return np.stack(
            [self.spectra[self.class_of == k].mean(axis=0) for k in range(self.n_class)]
        )


def classes_of(labels: Sequence[object]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes in the order in which their labels appear.

    Parameters
    ----------
    labels
        One label for each reference; equal ones are one class.

    Returns
    -------
    Class of each reference, and the names of the classes.
    """
    texts = [str(label) for label in labels]
    names = tuple(dict.fromkeys(texts))
    return np.array([names.index(text) for text in texts], dtype=np.int64), names


def resample(
    energy_ev: np.ndarray,
    own_energy_ev: np.ndarray,
    intensity: np.ndarray,
    *,
    fwhm_ev: float = 0.0,
    name: str = "reference",
    scattering: Scattering | None = None,
) -> np.ndarray:
    """A reference on the axis of the data, broadened to the resolution of the instrument.

    A finer reference is averaged over each channel of the data, so that nothing narrower than a
    channel is missed; a coarser one is interpolated linearly.

    Parameters
    ----------
    energy_ev
        Axis of the data, eV, ascending, shape ``(n_channels,)``.
    own_energy_ev
        Axis of the reference, eV, any order and steps, shape ``(n,)``.
    intensity
        Shape ``(n,)``.
    fwhm_ev
        Full width at half maximum of the Gaussian to broaden with, eV.
    name
        What to call the reference in messages.
    scattering
        Further losses to convolve it with; none without.

    Raises
    ------
    ValueError
        If the reference does not cover the axis, or has no two energies.
    """
    order = np.argsort(own_energy_ev, kind="stable")
    own = np.asarray(own_energy_ev, dtype=np.float64)[order]
    values = np.asarray(intensity, dtype=np.float64)[order]
    own, first = np.unique(own, return_index=True)
    values = values[first]
    if own.size < 2:
        raise ValueError(f"{name} has {own.size} energies; a spectrum needs at least two.")
    step = float(np.median(np.diff(energy_ev)))
    missing = []
    if own[0] > energy_ev[0] + _MARGIN * step:
        missing.append(f"{energy_ev[0]:g} to {own[0]:g} eV")
    if own[-1] < energy_ev[-1] - _MARGIN * step:
        missing.append(f"{own[-1]:g} to {energy_ev[-1]:g} eV")
    if missing:
        raise ValueError(
            f"{name} covers {own[0]:g} to {own[-1]:g} eV, the data {energy_ev[0]:g} to "
            f"{energy_ev[-1]:g} eV: {' and '.join(missing)} is missing; simulate it over a wider "
            "range, or crop the data with s.isig."
        )
    if scattering is not None:
        values = values + scattering.again(own, values)
    if fwhm_ev > 0:
        own, values = _broadened(own, values, fwhm_ev)
    if np.median(np.diff(own)) >= step:
        return np.interp(energy_ev, own, values)
    # The integral over each channel, from the exact integral of the interpolated reference.
    edges = np.concatenate(
        [
            [energy_ev[0] - step / 2],
            (energy_ev[1:] + energy_ev[:-1]) / 2,
            [energy_ev[-1] + step / 2],
        ]
    )
    inside = np.clip(edges, own[0], own[-1])
    area = np.concatenate([[0.0], np.cumsum(np.diff(own) * (values[1:] + values[:-1]) / 2)])
    place = np.clip(np.searchsorted(own, inside, side="right") - 1, 0, own.size - 2)
    height = np.interp(inside, own, values)
    integral = area[place] + (inside - own[place]) * (values[place] + height) / 2
    width = np.diff(inside)
    return np.where(
        width > 0,
        np.diff(integral) / np.where(width > 0, width, 1),
        np.interp(energy_ev, own, values),
    )


def _broadened(
    own: np.ndarray, values: np.ndarray, fwhm_ev: float
) -> tuple[np.ndarray, np.ndarray]:
    """Convolution with a Gaussian, on a uniform axis fine enough for it."""
    from scipy.ndimage import gaussian_filter1d

    sd = fwhm_ev * SD_PER_FWHM
    step = min(sd / 4, float(np.diff(own).min()), (own[-1] - own[0]) / 50)
    step = max(step, (own[-1] - own[0]) / 200_000)
    axis = np.linspace(own[0], own[-1], round((own[-1] - own[0]) / step) + 1)
    fine = np.interp(axis, own, values)
    return axis, gaussian_filter1d(fine, sd / (axis[1] - axis[0]), mode="nearest")


def find_problems(references: ReferenceSet, variance: np.ndarray) -> list[str]:
    """Say which references cannot be told apart, or hold nothing.

    Parameters
    ----------
    references
        Scaled to the data.
    variance
        Noise variance of one spectrum by channel, ``(n_channels,)``.

    Returns
    -------
    Sentences, each naming the class or the pair.
    """
    means = references.class_means()
    names = references.names
    size = np.linalg.norm(means / np.sqrt(variance), axis=1)
    zero = size <= 1e-9 * size.max()
    found = [
        f"class {names[k]!r} is zero everywhere: it stands for spectra without a signal."
        for k in np.flatnonzero(zero)
    ]
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            a, b = means[i] / np.sqrt(variance), means[j] / np.sqrt(variance)
            distance = float(np.linalg.norm(a - b))
            if distance < _INDISTINGUISHABLE:
                found.append(
                    f"classes {names[i]!r} and {names[j]!r} are indistinguishable at the noise of "
                    f"one spectrum: they differ by {distance:.2g} standard deviations over all "
                    "channels; merge them, or rebin the data."
                )
            elif not zero[i] and not zero[j]:
                cosine = float(a @ b / (size[i] * size[j]))
                sine = np.sqrt(max(0.0, 1 - cosine**2))
                if sine < _COLLINEAR:
                    found.append(
                        f"classes {names[i]!r} and {names[j]!r} are collinear: one is "
                        f"{size[i] / size[j]:.3g} times the other, so that thickness can be taken "
                        "for class."
                    )
    return found


def find_confusable(references: ReferenceSet, variance: np.ndarray) -> list[str]:
    """Say which class a mixture of two others looks like.

    Parameters
    ----------
    references
        Scaled to the data.
    variance
        Noise variance of one spectrum by channel, ``(n_channels,)``.

    Returns
    -------
    Sentences, each naming the class and the two others.
    """
    from itertools import combinations

    from scipy.optimize import nnls

    white, names = references.class_means() / np.sqrt(variance), references.names
    found = []
    for k, name in enumerate(names):
        nearest: tuple[float, str] | None = None
        for i, j in combinations([other for other in range(len(names)) if other != k], 2):
            parts, distance = nnls(white[[i, j]].T, white[k])
            # One of them alone is another matter.
            if parts.min() > _PART * parts.sum() and distance < _BETWEEN:
                sentence = (
                    f"class {name!r} lies between {names[i]!r} and {names[j]!r}: a mixture of the "
                    f"two differs from it by {distance:.2g} standard deviations of the noise of "
                    "one spectrum over all channels."
                )
                nearest = min(nearest or (np.inf, ""), (float(distance), sentence))
        if nearest is not None:
            found.append(nearest[1])
    return found
