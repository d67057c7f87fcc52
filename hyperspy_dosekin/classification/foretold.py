# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the noise of a spectrum says about its scale.

Thick pixels have more counts, those of the background that was subtracted among them, and so more
noise. How much a spectrum scatters tells its thickness, to √(2 / channels), beside the height of
its lines: a strong class in a thin pixel is told from a weak one in a thick pixel.

Counts are not normal, though. Those that happen to be high make the lines higher and the scatter
larger, so that of what is still in the spectrum the scatter says nothing that the lines do not: a
Poisson variable has no second knowledge of its mean. In squares less the gain times the residuals,
which do not vary with the residuals, the noise of the intensities cancels, and what is left is that
of the background that was subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from hyperspy_dosekin.classification.noise import NoiseModel

#: Least variance that is foretold, relative to that of the pixel, and least curvature of what is
#: said of a scale, relative to that by the lines.
LEAST, LEAST_BEND = 0.05, -0.5
#: Arrays, or values on a tape, which are reckoned with in the same way but have no type in common.
Reckoned: TypeAlias = Any


@dataclass(frozen=True, eq=False)
class Foretold:
    """Noise that explanations foretell, and how well it holds.

    The level of a spectrum is the logarithm of its squared distance to the nearest explanation, for
    each channel. It is the logarithm of the foretold variance, relative to that of the pixel, with
    a normal error.

    Parameters
    ----------
    noise
        Noise by the intensity of an explanation.
    centre, sd
        Mean and standard deviation of the error, found from the data: where spectra were
        normalised, or the noise has other sources, it is wide and says nothing.
    """

    noise: NoiseModel
    centre: float
    sd: float

    def levels(
        self, spectra: np.ndarray, weight: np.ndarray, background: np.ndarray, typical: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Foretold variance relative to that of the pixel at scale 0, and its slope, ``(n,)``.

        Parameters
        ----------
        spectra, weight
            Measured, and the inverse of the variance of the pixel, ``(n, n_channels)``.
        background, typical
            As for `NoiseModel.by_scale`.
        """
        fixed, rising = self.noise.by_scale(background, typical)
        n_channels = spectra.shape[1]
        own = self.noise.gain * (weight * spectra).sum(axis=1)
        return (weight @ fixed + own) / n_channels, weight @ rising / n_channels

    def said_of_scale(
        self, seen: Reckoned, level: Reckoned, logarithm: Reckoned, rising: Reckoned
    ) -> tuple[Reckoned, Reckoned, Reckoned]:
        """Log-likelihood of a level, its slope by the scale, and minus its second derivative.

        Parameters
        ----------
        seen
            Level of the spectrum.
        level, logarithm
            Foretold variance relative to that of the pixel, at a scale, and its logarithm.
        rising
            Its slope.
        """
        steep = rising / level
        away = seen - self.centre - logarithm
        weight = self.sd**-2
        return (
            away * away * (-0.5 * weight),
            away * steep * weight,
            steep * steep * (away + 1.0) * weight,
        )
