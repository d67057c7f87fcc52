# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Low loss and C K together
=========================

Low-loss windows and the C K edge of one specimen were recorded at other doses. Each
alone hardly tells the exponent of its decay, and so neither its half-integrity dose.
Fitted together, with one exponent for all, the windows that bend most tell the others.
"""

import hyperspy.api as hs
import numpy as np

import hyperspy_dosekin

random = np.random.default_rng(0)


def measured(dose, half_doses):
    """Areas of first-order decays, with a noise of half a percent."""
    values = 0.5 ** (dose / np.array(list(half_doses.values()))[:, None]) + 1
    values += 0.005 * random.normal(size=values.shape)
    axes = [{"size": len(values)}, {"axis": dose, "units": "e⁻/Å²"}]
    s = hs.signals.Signal1D(values, axes=axes)
    s.set_signal_type("DoseSeries")
    s.metadata.set_item("Dose.window_names", list(half_doses))
    return s


low_loss = measured(
    100.0 * np.arange(1, 10), {"C–C": 700.0, "C–O": 350.0, "M–O": 230.0}
)
core_loss = measured(300.0 * np.arange(1, 10), {"C K": 600.0, "O K": 350.0})

together = hyperspy_dosekin.fit_dose_jointly(
    {"low loss": low_loss, "core loss": core_loss}
)
print(together)

# %%
# D½ of C–C (the truth is 700 e⁻/Å²), alone and together. The interval of the joint fit
# is the narrower one, because the exponent is known better from the other windows:

alone = low_loss.fit_dose_pinn(estimator="exact")
for name, result in (("alone", alone), ("together", together["low loss"])):
    lower, upper = (end.data[0] for end in result.interval("half_integrity_dose"))
    print(f"{name}: {lower:.0f} to {upper:.0f} e⁻/Å²")

# %%
# One exponent for all is an assumption. It is tested; the test finds large differences
# of the exponents, and small ones only where the noise is small. These are the rows of
# that test, with what each window says by itself and its 95 % interval; those of the
# residuals of each window follow below them:

together.check()[:6]

# %%
# The curves of all windows, each on the doses of its own series. A joint fit is one
# result for each series, with the same methods as a result of a single fit:

together.plot()
