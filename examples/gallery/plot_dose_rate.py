# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Does the dose rate matter?
==========================

Three dose rates, two specimens each, fitted together. If dose alone counts, the power
β of the dose rate is 0. Here the truth is β = 0.2: at 25 times the dose rate a
specimen decays 1.9 times as fast per dose.
"""

import hyperspy.api as hs
import numpy as np

import hyperspy_dosekin

random = np.random.default_rng(0)
dose = 100.0 * np.arange(1, 10)
rates = [1.0, 1.0, 5.0, 5.0, 25.0, 25.0]  # e⁻/Å²/s


def measured(decay):
    """A series of one window, with noise of 1 % of its amplitude."""
    values = 3 * decay + 2 + random.normal(scale=0.03, size=dose.size)
    axes = [{"size": 1}, {"axis": dose, "units": "e⁻/Å²"}]
    name = {"Dose": {"window_names": ["C–O"]}}
    s = hs.signals.Signal1D(values[None], axes=axes, metadata=name)
    s.set_signal_type("DoseSeries")
    return s


series = [measured(np.exp(-dose / 300 * rate**0.2)) for rate in rates]

# %%
# Two specimens at each dose rate tell how much specimens differ by themselves. Without
# them every difference between the series would count as an effect of the dose rate:

found = hyperspy_dosekin.fit_dose_conditions(series, conditions={"dose_rate": rates})
print(found)

# %%
# The interval of β is what counts: if it held 0, no effect would have been seen, and
# the last column says which effect would have been. D½ against the dose rate:

found.plot_condition("dose_rate")

# %%
# The other answer: a specimen that repairs itself. Its decay ends higher at low dose
# rates, which no factor of the rate describes. The truth is r/k = 2 e⁻/Å²/s.

rates = [2.0, 10.0]
series = []
for rate in rates:
    share = 2 / rate
    series.append(measured((share + np.exp(-dose / 400 * (1 + share))) / (1 + share)))
recovering = hyperspy_dosekin.fit_dose_conditions(
    series, conditions={"dose_rate": rates}, law="reversible"
)
recovering.law_parameters
