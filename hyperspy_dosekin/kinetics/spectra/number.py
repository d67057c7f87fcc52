# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many components a series of spectra has: the rank of what changes, against noise alone.

What does not change with dose is projected out. Then the largest eigenvalue that is left is
compared with the largest that noise alone gives (parallel analysis), one component after the other.
Features of spectra are wider than a channel, so that the same is done with channels joined by 4 and
by 16, in which they stand out more; the smallest of the probabilities counts, times their number.
The size of the noise is that of the eigenvalues that are left, so that correlated channels do not
look like components. For many frames the distribution is that of Tracy and Widom [1]_ in Chiani's
approximation [2]_.

References
----------
.. [1] I. M. Johnstone, Ann. Statist. 29, 295 (2001), doi:10.1214/aos/1009210544.
.. [2] M. Chiani, J. Multivar. Anal. 129, 69 (2014), doi:10.1016/j.jmva.2014.04.002.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from .whitening import WhitenedSpectra

#: Probability of a component too many.
LEVEL = 0.01
#: Components that are looked for at most.
MOST = 4
#: Channels that are joined.
JOINED = (1, 4, 16)
# Joined channels that are needed for each frame.
_CHANNELS_A_FRAME = 2
_DRAWS = 4000
# Frames from which on the distribution is that of large matrices.
_MANY = 32
# Gamma distribution that stands for that of Tracy and Widom of order one [2]_.
_SHAPE, _SCALE, _SHIFT = 46.446, 0.186054, 9.84801


@dataclass(frozen=True)
class ComponentTest:
    """One step of the test.

    Parameters
    ----------
    n_component
        The component that is asked for: 1 for the first.
    signal_to_noise
        Its singular value over the largest that noise alone has on average.
    p
        Probability that noise alone would have one as large.
    """

    n_component: int
    signal_to_noise: float
    p: float


def component_tests(
    spectra: WhitenedSpectra, *, offset_free: bool = True, frames_vary: bool = False
) -> tuple[ComponentTest, ...]:
    """Test components one after the other, until one is not seen.

    Parameters
    ----------
    offset_free
        Whether what does not change with dose is unknown, and projected out.
    frames_vary
        Whether whole frames may be brighter or darker. What does not change with dose is then no
        constant either; it counts as one component, which is left out of the count.

    Returns
    -------
    One for each component that was looked for.

    Examples
    --------
    >>> from hyperspy_dosekin.kinetics.spectra.whitening import whitened
    >>> random = np.random.default_rng(0)
    >>> decay, peak = np.exp(-np.arange(9) / 4), np.exp(-np.linspace(-3, 3, 300) ** 2)
    >>> values = 1 + decay[:, None] * peak + 0.05 * random.normal(size=(9, 300))
    >>> [test.p < 0.01 for test in component_tests(whitened(values))]
    [True, False]
    """
    shown = spectra.values
    skipped = int(offset_free and frames_vary)
    offset_free = offset_free and not frames_vary
    if offset_free:
        constant = 1 / spectra.frame_sd
        constant = constant / np.linalg.norm(constant)
        shown = shown - np.outer(constant, constant @ shown)
    frames = shown.shape[0] - offset_free
    sets = []
    for width in JOINED:
        count = shown.shape[1] // width
        if width == 1 or count >= _CHANNELS_A_FRAME * frames:
            joined = shown[:, : count * width].reshape(-1, count, width).sum(-1)
            sets.append((np.linalg.eigvalsh(joined @ joined.T)[::-1][:frames], count))
    found: list[ComponentTest] = []
    for place in range(skipped, min(MOST + skipped, frames - 1)):
        each = [_chance(values, count, place, spectra.inflation[1]) for values, count in sets]
        p, ratio = min(each)
        found.append(ComponentTest(place + 1 - skipped, ratio, min(p * len(each), 1.0)))
        if found[-1].p > LEVEL:
            break
    return tuple(found)


def _chance(values: np.ndarray, count: int, place: int, inflation: float) -> tuple[float, float]:
    """Probability that noise has so large an eigenvalue, and its root over the mean of that."""
    frames, freedom = values.size - place, count - place
    size = values[place + 1 :].mean() / freedom
    # Correlated channels are fewer, which matters as long as they are not joined.
    freedom = max(round(freedom / inflation), frames + 1)
    largest = values[place] / max(size, 1e-300) * freedom / max(count - place, 1)
    if frames > _MANY:
        root = np.sqrt(freedom - 1), np.sqrt(frames)
        centre, width = sum(root) ** 2, sum(root) * (1 / root[0] + 1 / root[1]) ** (1 / 3)
        p = stats.gamma.sf((largest - centre) / width + _SHIFT, _SHAPE, scale=_SCALE)
        return float(p), float(np.sqrt(largest / centre))
    drawn = _largest(frames, freedom)
    beyond = int((drawn >= largest).sum())
    return (beyond + 1) / (drawn.size + 1), float(np.sqrt(largest / drawn.mean()))


@lru_cache(maxsize=64)
def _largest(frames: int, freedom: int) -> np.ndarray:
    """Largest eigenvalues of matrices of noise over the mean of the others, in channels."""
    random = np.random.default_rng(0)
    lower = np.tril(random.normal(size=(_DRAWS, frames, frames)), -1)
    degrees = np.maximum(freedom - np.arange(frames), 1)
    place = np.arange(frames)
    lower[:, place, place] = np.sqrt(random.chisquare(degrees, size=(_DRAWS, frames)))
    values = np.linalg.eigvalsh(lower @ lower.transpose(0, 2, 1))
    return values[:, -1] * freedom / values[:, :-1].mean(axis=1)
