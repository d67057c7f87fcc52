# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether pixels that share what they tell contradict their law together.

Each pixel alone may be too noisy to show that a law is wrong, and all of them together then promise
a D½ that none of them knows. What the residuals of all pixels have in common has the noise of a
mean. Frames that are wrong in all pixels alike, as a beam current makes them, are in the intervals
(`field.frames`); a wrong law leaves a curve.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from .examination import FittedCurves, white_windows
from .projection import ProjectedResiduals
from .residual_tests import residual_tests
from .together import together

#: The mean is no noise below this p; fewest pixels for a frame; largest residual of a pixel, in
#: standard deviations, that counts as it is.
_NO_NOISE, _PIXELS, _LARGEST = 0.01, 10, 4.0
#: More pixels make the mean no surer than so many: what is less than about a fifth of the noise of
#: a pixel matters to none, and thousands of pixels would find it in any measured series.
_ENOUGH = 300
#: What tells a curve from frames that are wrong one by one.
_TESTS = ("curvature", "start", "serial")


def law_of_all(fit: FittedCurves) -> np.ndarray:
    """P value of what all curves have in common beyond their law, ``(n_window,)``.

    Parameters
    ----------
    fit
        The fit of all pixels. A variance is that of the noise; without one it is taken from all
        residuals.

    Returns
    -------
    numpy.ndarray
        That of the tests of a curve, together; 1 where the mean of the residuals is as small as
        noise leaves it (that of 300 pixels, if there are more), and where there are fewer than ten
        pixels for each frame.

    Examples
    --------
    A delay that is far below the noise of one pixel, taken for a decay from the first frame on:

    >>> phi = np.arange(1, 10) / 9
    >>> random = np.random.default_rng(0)
    >>> from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
    >>> from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
    >>> def p_value(curve):
    ...     values = curve + 0.05 * random.standard_normal((500, 1, 9))
    ...     fit = FittedCurves(
    ...         DoseProblem(phi, values, ("C–O",), np.full(values.shape, 0.05**2)),
    ...         kinetic_law("power law"),
    ...         {name: np.full((500, 1), of) for name, of in (("rate", 2.0), ("exponent", 1.0))},
    ...         amplitude=np.ones((500, 1)),
    ...         offset=np.ones((500, 1)),
    ...     )
    ...     return float(law_of_all(fit)[0])
    >>> p_value(1 + np.exp(-2 * phi)), p_value(1 + np.exp(-2 * np.maximum(phi - 0.2, 0))) < 0.05
    (1.0, True)
    """
    found = np.ones(fit.amplitude.shape[1])
    for place, window in enumerate(white_windows(fit).windows):
        frames = window.used.mean(axis=0) > 0.5
        whole = window.used[:, frames].all(axis=1) & ~window.used[:, ~frames].any(axis=1)
        whole &= (window.squares > 0) & (window.freedom > 0)
        number, size = int(whole.sum()), int(frames.sum())
        if number < _PIXELS * max(size, 1):
            continue
        residual, basis = window.residual[whole][:, frames], window.basis[whole][..., frames]
        if fit.problem.variance is None:
            residual = residual / np.sqrt(window.squares.sum() / window.freedom.sum())
        mean = residual.clip(-_LARGEST, _LARGEST).mean(axis=0) * np.sqrt(min(number, _ENOUGH))
        taken = np.einsum("nqj,nqk->jk", basis, basis) / number
        value, vector = np.linalg.eigh(np.eye(size) - taken)
        # What the fits of half of the pixels take is not seen in their mean.
        seen = value > 0.5
        along = (vector.T @ mean)[seen] / np.sqrt(value[seen])
        if special.chdtrc(seen.sum(), along @ along) < _NO_NOISE:
            white, used = vector[:, seen] @ along, np.ones((1, size), dtype=bool)
            one = ProjectedResiduals.of_white(white[None], vector[:, ~seen].T[None], used)
            tests = residual_tests(one, variance_known=np.zeros(1, dtype=bool)).p_value
            found[place] = np.nan_to_num(together(np.array([tests[n][0] for n in _TESTS])), nan=1.0)
    return found
