# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The half-change dose: that at which half of the change within the measured range is done.

C is then halfway between 1 and its value at the largest dose: between measured frames, so that it
hardly depends on the law.
"""

from __future__ import annotations

import numpy as np

#: Shares of the largest dose at which a trajectory is looked at, evenly in its logarithm.
SHARES = np.geomspace(1e-4, 1.0, 129)


def half_change(integrity: np.ndarray) -> np.ndarray:
    """Share of the largest dose at which half of the change is done.

    Parameters
    ----------
    integrity
        C at `SHARES` of the largest dose, ``(…, n_share)``.

    Returns
    -------
    Shape ``(…)``; NaN where C is.

    Examples
    --------
    >>> round(float(half_change(np.exp(-20 * SHARES))), 4)  # all is gone in the end
    0.0347
    """
    level = 0.5 * (1 + integrity[..., -1:])
    place = np.maximum((integrity <= level).argmax(axis=-1), 1)[..., None]
    low, high = (np.take_along_axis(integrity, place - back, axis=-1) for back in (1, 0))
    part = np.clip((low - level) / np.maximum(low - high, 1e-30), 0.0, 1.0)
    log_share = np.log(SHARES)
    found = log_share[place - 1] + part * (log_share[place] - log_share[place - 1])
    return np.exp(found)[..., 0]
