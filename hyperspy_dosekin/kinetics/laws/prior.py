# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken to be known of rate and exponent before the data, and the box they live in."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Box of the estimators: ln k per dose scale, and p. A series that goes on for eight times the
#: dose of its decay has a k of some tens.
LOG_RATE_BOX = (math.log(1e-2), math.log(200.0))
EXPONENT_BOX = (0.1, 5.0)
#: Width, in ln k, of the soft step that keeps the faster window of a pair the faster one.
HIERARCHY_WIDTH = 0.1
#: Prior probability that a pair of the hierarchy is not one, and each window goes by itself.
HIERARCHY_DOUBT = 0.1

#: By so many widths a window is faster than it may be once the likelier of the two is that the pair
#: is none: twice the logarithm of the odds of a pair, which half of all rates obey by chance.
HIERARCHY_FREE = math.sqrt(2 * math.log(2 * (1 - HIERARCHY_DOUBT) / HIERARCHY_DOUBT))

#: Standard deviations of a prior: squares of smaller ones vanish beside those of the box.
_NARROWEST, _WIDEST = 1e-6, 1e6


@dataclass(frozen=True)
class Prior:
    """Independent normal priors of ln k (k per dose scale) and of p, cut off at the box.

    The defaults say: half of the window is gone at a quarter of the dose scale, give or take a
    factor of six; the decay is near first order. The scale is the largest dose where no other is
    given, and a series may go on long after everything has happened: a rate that is fast for it
    must be no surprise, or the intervals become the narrower the longer the series is. That costs
    little, since fast decays are seen by the data, and slow ones, which are not, are as unlikely as
    with a normal prior (0, 1). Without a prior the data of a usual series do not determine the
    half-integrity dose (arXiv:2605.01697 has nine frames).

    Parameters
    ----------
    log_rate, exponent
        (mean, standard deviation).

    Raises
    ------
    ValueError
        If a number is not finite or a standard deviation is not positive.

    Examples
    --------
    >>> Prior(exponent=(1.0, 0.3)).exponent
    (1.0, 0.3)
    """

    log_rate: tuple[float, float] = (1.0, 1.75)
    exponent: tuple[float, float] = (1.0, 0.7)

    def __post_init__(self) -> None:
        for name in ("log_rate", "exponent"):
            pair = getattr(self, name)
            try:
                mean, width = (float(number) for number in pair)
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(
                    f"prior {name}={pair!r} must be (mean, standard deviation), two numbers."
                ) from error
            if not abs(mean) <= _WIDEST or not _NARROWEST <= width <= _WIDEST:
                raise ValueError(
                    f"prior {name}=({mean}, {width}) must have a finite mean and a positive, "
                    f"finite standard deviation, {_NARROWEST:g} to {_WIDEST:g}; to work without a "
                    "prior pass prior=None, and hold what is known by exponent=."
                )
            object.__setattr__(self, name, (mean, width))


DEFAULT_PRIOR = Prior()
