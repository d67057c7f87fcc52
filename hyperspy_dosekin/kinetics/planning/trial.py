# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planned experiments tried out: simulated, and fitted as real ones are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.kinetics.block import block_fields, fit_block
from hyperspy_dosekin.kinetics.model.config import ExactConfig

from .design import DesignProblem
from .expectation import GOALS

# The bound is compared with errors where it is below this: the error of a hopeless curve is that
# of the prior.
_COMPARABLE = 0.3
# Median of the absolute value of a standard normal number.
_NORMAL_MEDIAN = 0.674490
# Long series are tried less often, in proportion to their frames, but so often at least.
_FRAMES, _LEAST = 9, 32
# Offset of the simulated windows, in units of their amplitude.
_OFFSET = 0.5


@dataclass(frozen=True)
class Trial:
    """What simulated experiments gave.

    Parameters
    ----------
    chance_determined
        Share of them that are called determined.
    error_ratio
        Spread of the error of ln goal in units of its bound, where that is below 0.3: the median of
        its absolute value, scaled to the standard deviation of a normal one; NaN where there are
        none.
    number
        Number of them.
    """

    chance_determined: float
    error_ratio: float
    number: int


def tried(problem: DesignProblem, dose: np.ndarray, number: int, seed: int) -> Trial:
    """Simulate experiments with frames at some doses, and fit them.

    Parameters
    ----------
    dose
        Doses of the frames, ``(n_frame,)``.
    number
        Number of experiments; fewer for series of many frames.
    seed
        Of the noise.
    """
    number = min(number, max(number * _FRAMES // dose.size, _LEAST))
    random = np.random.default_rng(seed)
    expected = problem.expectation
    law = expected.law
    draw = np.arange(number) % expected.n_draw
    spread = np.sqrt(problem.noise.variance(dose) / problem.n_pixel)
    clean = expected.integrity(dose)[draw] + _OFFSET
    values = clean + spread * random.normal(size=clean.shape)
    config = ExactConfig(law=law, prior=expected.prior, noise="absolute")
    offset = np.full((number, 1), _OFFSET) if problem.offset_known else None
    block = fit_block(
        values[:, None],
        np.broadcast_to(spread**2, values.shape)[:, None].copy(),
        offset,
        dose=dose,
        window_names=("window",),
        config=config,
    )[:, :, 0]
    names = block_fields(law)
    determined = block[:, names.index("identifiable")]
    level = GOALS[problem.goal]
    if level is None:
        truth = np.log(expected.values[0] / expected.scale)[draw]
        found = np.log(block[:, names.index("rate")] / dose[-1])
    else:
        truth = np.log(expected.dose_at(level))[draw]
        found = np.log(block[:, names.index(problem.goal)] * dose[-1])
    bound = problem.sd(dose)[draw]
    near = (bound < _COMPARABLE) & np.isfinite(found)
    error = (found - truth)[near] / bound[near]
    ratio = float(np.median(np.abs(error)) / _NORMAL_MEDIAN) if near.any() else float("nan")
    return Trial(float(np.nanmean(determined)), ratio, number)
