# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Planning a cryo series
======================

A frozen specimen stands little dose, and none of it should be spent on a series that
does not determine the half-integrity dose D½. What is expected comes from the
literature: D½ near 12 e⁻/Å², known to a factor of 1.5. Every electron is recorded,
and a frame of 2 e⁻/Å² has a noise of 3 % of the window.
"""

import hyperspy_dosekin

expected = {"half_integrity_dose": (12.0, 0.4)}
noise = {"sd": 0.03, "dose": 2.0}
plan = hyperspy_dosekin.plan_dose_series(
    expected,
    noise=noise,
    dose_budget=60.0,
    n_frames=12,
    least_dose=0.5,
    dose_unit="e⁻/Å²",
)
print(plan)

# %%
# The first line is what to do. The figure shows the frames on what is expected, and
# what else would help.

plan.plot(title="Twelve frames up to 60 e⁻/Å²")

# %%
# One specimen says nothing of the spread between specimens. So many of each kind show a
# ratio of 1.3 between two D½, where specimens of one kind differ by 15 %:

plan.specimens(1.3, between=0.15)

# %%
# And so many at each of three dose rates, over a factor of 25, show that D½ falls with
# the dose rate to the power 0.2:

plan.dose_rates(0.2, span=25.0, n_rates=3, between=0.15)
