# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What spectra that are far from every class differ by: something smooth, a composition, or more.

The nuisances that were estimated are those of most spectra. A part of a specimen with another
background, or with compositions between the classes, is far from these too, and no unknown phase.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hyperspy_dosekin.classification.likelihood import Likelihood
from hyperspy_dosekin.classification.nuisances import Nuisances

#: Novelty from which a spectrum is far, and the share of the classes' own that are.
FAR, _NOMINAL = 2.0, 0.01
#: Nothing is said up to so many times that share, and so many standard errors.
_CLEARLY, _ERRORS = 2.0, 3.0
#: Far spectra that are looked at.
_LOOKED_AT = 1000
#: Standard deviation of a background of any size, in units of the noise.
_ANY = 1e3


def said_of_far(
    spectra: np.ndarray,
    given: np.ndarray | None,
    novelty: np.ndarray,
    likelihood: Likelihood,
    nuisances: Nuisances,
) -> str | None:
    """A note on far spectra, where they are clearly more than the classes' own.

    Parameters
    ----------
    spectra
        Shape ``(n, n_channels)``.
    given
        Noise variance of each where it is known, or ``None``.
    novelty
        Of each, ``(n,)``.
    """
    n, far = len(novelty), np.flatnonzero(novelty > FAR)
    usual = _NOMINAL * n
    if len(far) < max(_CLEARLY * usual, usual + _ERRORS * np.sqrt(usual)):
        return None
    number, some = len(far), far[:_LOOKED_AT]
    variance = likelihood.noise.variance(spectra[some], None if given is None else given[some])
    smooth = len(nuisances.background_mean) - nuisances.n_misfit
    free = np.zeros(len(nuisances.background_mean))
    free[:smooth] = _ANY**2 * variance.mean()
    wide = replace(nuisances, background_covariance=nuisances.background_covariance + np.diag(free))
    white = likelihood.noise.model.whitening
    found = likelihood.mixing.unmixed(spectra[some], variance, wide, None, white)
    correction = likelihood.correction
    alone = likelihood.novelty(correction * (found.distance + found.fall)) <= FAR
    together = likelihood.novelty(correction * found.distance) <= FAR
    one, several = (100 * part.mean() for part in (alone, together))
    return (
        f"{100 * number / n:.1f} % of the spectra lie beyond novelty 2, where 1 % of the classes' "
        "own would. With a residual background of any size a mixture of classes describes "
        f"{several:.0f} % of them, one class alone {one:.0f} %: their background or composition is "
        "another, or they are a phase that looks like that at this noise. The other "
        f"{100 - several:.0f} % differ by more; look at the spectra of both."
    )
