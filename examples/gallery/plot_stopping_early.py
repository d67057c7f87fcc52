# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Stopping early
==============

A series that is watched can stop when its half-integrity dose D½ is known. Here a
detector is simulated: areas of two windows, one frame of 20 e⁻/Å² after the other.
"""

import numpy as np

import hyperspy_dosekin

dose_rate, frame_time = 5.0, 4.0  # e⁻/Å²/s, s


def detector():
    """Areas of two windows, with 2 % noise."""
    random = np.random.default_rng(4)
    for number in range(60):
        dose = dose_rate * frame_time * (number + 1)
        left = np.exp(-dose / np.array([150.0, 400.0]))
        yield 1000 * (left + 0.1) + 20 * random.normal(size=2)


# %%
# D½ of the first window is to be known to 10 %, and no more than 1 000 e⁻/Å² are to be
# spent. The windows are labels of fixed energy ranges.

live = hyperspy_dosekin.LiveKinetics(
    {"C–O": (10, 15), "C–C": (4, 7)},
    dose_rate=dose_rate,
    frame_time=frame_time,
    estimator="exact",
    stop_when=[{"half_integrity_dose": 0.1, "windows": "C–O"}, {"dose": 1000.0}],
)
live.run(detector())
print(live.posterior)

# %%
# The true D½ of C–O is 104 e⁻/Å². On the right is D½ as it became known: to the left of
# the dotted line the half-integrity dose has not been reached yet.

live.plot(title=live.stopped_by)

# %%
# The result is the fit of all frames so far, the same as it would be afterwards.

print(live.result())
