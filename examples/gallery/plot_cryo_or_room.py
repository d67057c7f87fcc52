# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Cryo against room temperature
=============================

Does cooling help, and by how much? Two temperatures, three specimens each. The rate
falls with an activation energy; specimens of one temperature differ by 10 %. The
truth is 0.005 eV, which between 100 and 300 K is a factor of 1.47.
"""

import hyperspy.api as hs
import numpy as np

import hyperspy_dosekin

BOLTZMANN = 8.617e-5  # eV/K
random = np.random.default_rng(0)
dose = 100.0 * np.arange(1, 10)
temperatures = [100.0, 100.0, 100.0, 300.0, 300.0, 300.0]

series = []
for temperature in temperatures:
    slower = np.exp(-0.005 / BOLTZMANN * (1 / temperature - 1 / 300))
    rate = slower / 250 * np.exp(0.1 * random.normal())
    values = 3 * np.exp(-rate * dose) + 2 + random.normal(scale=0.03, size=dose.size)
    axes = [{"size": 1}, {"axis": dose, "units": "e⁻/Å²"}]
    name = {"Dose": {"window_names": ["C–O"]}}
    s = hs.signals.Signal1D(values[None], axes=axes, metadata=name)
    s.set_signal_type("DoseSeries")
    series.append(s)

# %%
# All series are fitted together. Each has its own amplitude and offset; the rates share
# an activation energy, and what specimens of one temperature differ by is estimated
# from the three specimens of each, because an effect must be larger than that:

found = hyperspy_dosekin.fit_dose_conditions(
    series, conditions={"temperature": temperatures}
)
print(found)

# %%
# What people ask for is the ratio of the two half-integrity doses, with what specimens
# differ by anyhow in its interval:

found.ratio({"temperature": 100}, {"temperature": 300})

# %%
# D½ of each specimen, and the line through them. Two temperatures say that the rates
# differ. They do not say that an activation energy is the reason: a third temperature
# would show whether the points lie on one line.

found.plot_condition("temperature")
