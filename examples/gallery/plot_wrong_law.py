# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
When the law is wrong
=====================

A power law follows nearly any falling curve, and gives a number with a narrow
interval. Here are five ways in which that number can be wrong, what the result says
of each, and what a comparison of laws says of D½.
"""

# %%
# Five truths
# -----------
# The true D½ is known, and 0.7 % noise is added with its variance. None of the
# five is a power law of the dose on the axis with white noise.

# sphinx_gallery_thumbnail_number = 1
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

import hyperspy_dosekin

NOISE = 0.007
LARGEST = 1368.0  # e⁻/Å²


def late(phi):
    return np.exp(-3 * np.maximum(phi - 0.15, 0))


def one(phi):
    return np.exp(-3 * phi)


def two(phi):
    return 0.8 * np.exp(-4.5 * phi) + 0.2 * np.exp(-0.15 * phi)


def recovering(phi):
    return (0.3 + np.exp(-5.2 * phi)) / 1.3


CASES = {
    "begins late": (late, 9, 0.0),
    "noise that follows itself": (one, 60, 0.9),
    "two populations": (two, 15, 0.0),
    "recovery": (recovering, 9, 0.0),
    "wrong dose, 15 %": (lambda phi: one(1.15 * phi), 9, 0.0),
}


def series(law, frames, correlation, seed=8):
    random = np.random.default_rng(seed)
    phi = np.arange(1, frames + 1) / frames
    error = random.standard_normal(frames)
    for frame in range(1, frames):
        new = np.sqrt(1 - correlation**2) * error[frame]
        error[frame] = correlation * error[frame - 1] + new
    axes = [
        {"size": 1, "name": "window"},
        {"axis": LARGEST * phi, "name": "dose", "units": "e⁻/Å²"},
    ]
    s = hs.signals.Signal1D((1 + law(phi) + NOISE * error)[None], axes=axes)
    s.set_signal_type("DoseSeries")
    s.metadata.set_item("Dose.window_names", ["C–O"])
    s.metadata.set_item("Dose.dose_rate", 3.45)  # e⁻/Å²/s
    s.set_noise_variance(NOISE**2)
    return s


def true_half(law):
    fine = np.linspace(0, 5, 100_001)
    return LARGEST * np.interp(-0.5, -law(fine), fine)


measured = {name: series(*case) for name, case in CASES.items()}
results = {name: s.fit_dose_pinn(estimator="exact") for name, s in measured.items()}

figure, axes = plt.subplots(2, 5, figsize=(13, 5), layout="constrained", sharex=True)
for column, (name, result) in zip(axes.T, results.items(), strict=True):
    doses, values = result.dose, result.data.data[0]
    grid = np.linspace(0, LARGEST, 200)
    column[0].plot(doses, values, ".", color="0.4")
    column[0].plot(grid, result.predict(grid[1:]).data[0][[0, *range(199)]], "C0")
    score = (values - result.fitted.data[0]) / NOISE
    column[1].stem(doses, score, linefmt="0.6", markerfmt="C1.", basefmt="0.8")
    column[1].set(xlabel="Dose (e⁻/Å²)", ylim=(-6, 6))
    low, high = (end.data[0] for end in result.interval("half_integrity_dose"))
    sure = result.identifiable.data[0]
    word = "yes" if sure and result.adequate.data[0] else "doubtful" if sure else "no"
    truth = true_half(CASES[name][0]) * (1.15 if "dose" in name else 1)
    column[0].axvspan(low, min(high, LARGEST), color="C0", alpha=0.15)
    column[0].axvline(truth, color="C3", ls="--")
    column[0].set_title(f"{name}\nD½ determined: {word}", fontsize=10)
axes[0, 0].set_ylabel("Intensity")
axes[1, 0].set_ylabel("Residual / noise")

# %%
# Shaded: the 95 % interval of D½; dashed: the truth.
#
# - **A decay that begins late** bends the first frames. With the counting variance
#   known, the first residual and the curvature show it, in six of seven such series:
#   "doubtful".
# - **Noise that follows itself**, as a drift of the current does, is taken into the
#   intervals of series of 30 frames and more. They are wider, and hold the truth.
# - **Two populations and recovery** leave residuals like noise. Nothing here says
#   that the number is wrong, but the note on the offset: where the window ends, no
#   residual can show.
# - **A wrong dose** leaves no trace at all.

for name, result in results.items():
    notes = [line for line in str(result).splitlines() if line.startswith("* C–O")]
    notes += [line for line in str(result).splitlines() if "no residual" in line]
    print(name, *(notes or ["* (nothing)"]), sep="\n  ", end="\n\n")

# %%
# The tests behind "doubtful":

print(results["begins late"].check())

# %%
# Several laws
# ------------
# What the laws agree on does not depend on one of them. Where they do not, the
# interval of the average says so.

for name in ("begins late", "two populations"):
    laws = ["power law", "first order", "delayed", "two populations"]
    compared = hyperspy_dosekin.compare_laws(measured[name], laws)
    print(name, compared, sep="\n", end="\n\n")

# %%
# Recovery
# --------
# With a known offset the end of the decay is seen. At the recorded dose rate
# "reversible", first-order decay that the specimen repairs, is among the laws.

compared = hyperspy_dosekin.compare_laws(
    measured["recovery"], ["power law", "first order", "reversible"], offset=1.0
)
print(compared)
figure = compared.plot()

# %%
# The dose
# --------
# The data do not know the error of the dose; the user does. One standard deviation of
# 15 % of its scale, in quadrature:

told = measured["wrong dose, 15 %"].fit_dose_pinn(
    estimator="exact", dose_uncertainty=0.15
)
for result in (results["wrong dose, 15 %"], told):
    low, high = (end.data[0] for end in result.interval("half_integrity_dose"))
    print(f"D½ from {low:.0f} to {high:.0f} e⁻/Å², truth {true_half(one):.0f}")
