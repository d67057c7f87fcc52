# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A kinetic law of your own
=========================

Damage that breeds damage, a part that the beam cannot destroy, or plain first order:
a law is a function of the integrity, and the data decide between laws less often than
one would like.
"""

# %%
# Data with an induction period
# -----------------------------
# The area of a window is simulated with a law that is in no library: what the beam
# makes attacks the rest, so that the loss speeds up with dose, dC/dφ = −k (1 + gφ) C.
# Twelve frames, noise of 0.5 % of the swing.

# sphinx_gallery_thumbnail_number = 1
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from hyperspy_dosekin.kinetics import LawParameter, UserLaw

dose = 150.0 * np.arange(1, 13)  # e⁻/Å²


def measure(sigma, rate=1.0, growth=3.0):
    """A series of one window with its noise variance."""
    phi = dose / dose[-1]
    integrity = np.exp(-rate * (phi + growth * phi**2 / 2))
    noise = sigma * np.random.default_rng(1).standard_normal(dose.size)
    axes = [
        {"name": "window", "size": 1},
        {"name": "dose", "units": "e⁻/Å²", "axis": dose},
    ]
    series = hs.signals.Signal1D((integrity + noise)[None], axes=axes)
    series.set_signal_type("DoseSeries")
    series.set_noise_variance(
        hs.signals.Signal1D(np.full((1, dose.size), sigma**2), axes=axes)
    )
    return series


areas = measure(0.005)

# %%
# The law
# -------
# The function gets the integrity, the parameters by name and the normalised dose φ =
# Φ/Φ_max, and gives −dC/dφ in Torch operations. Everything else, which is the
# solution, its derivatives, the fit and the intervals, follows.


def accelerated(C, parameters, dose):
    """dC/dφ = −k (1 + gφ) C."""
    return parameters["rate"] * (1 + parameters["growth"] * dose) * C


law = UserLaw(
    accelerated,
    [
        LawParameter("rate", lower=0.01, upper=20, start=1, logarithmic=True),
        LawParameter("growth", lower=0, upper=10, start=1),
    ],
    name="accelerated decay",
)

# %%
# Four laws, the same data
# ------------------------
# The offset is known, b = 0.

LAWS = ("first order", "power law", "power law with plateau", law)


def fits(series):
    """The fit of each law, by its name."""
    found = [
        series.fit_dose_pinn(law=one, offset=0.0, estimator="exact") for one in LAWS
    ]
    return {result.law: result for result in found}


results = fits(areas)
results["accelerated decay"]

# %%
# Comparing them
# --------------
# Akaike's criterion with its correction for few points, AICc, adds to the misfit a
# penalty for every free parameter. Differences below about 4 are no reason to prefer
# a law. The same is done with a noise of 3 %.


def criterion(result, sigma):
    """AICc of one window with known noise."""
    misfit = np.sum((result.fitted.data - result.data.data) ** 2) / sigma**2
    free = len(result.parameters) + 1  # and the amplitude
    return misfit + 2 * free + 2 * free * (free + 1) / (dose.size - free - 1)


def above_best(results, sigma):
    """AICc of each law less that of the best one."""
    score = np.array([criterion(result, sigma) for result in results.values()])
    return score - score.min()


score = {
    "0.5 %": above_best(results, 0.005),
    "3 %": above_best(fits(measure(0.03)), 0.03),
}
figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(11, 3.8), layout="constrained", width_ratios=[1.2, 1, 0.9]
)
fine = np.linspace(1, dose[-1], 200)
looks = (("#E69F00", "-."), ("#009E73", "--"), ("#CC79A7", ":"), ("#0072B2", "-"))
for row, ((name, result), (colour, line)) in enumerate(
    zip(results.items(), looks, strict=True)
):
    left.plot(fine, result.predict(fine).data[0], color=colour, ls=line, label=name)
    (low,), (high,) = (end.data for end in result.interval("half_integrity_dose"))
    right.plot([low, high], [row, row], color=colour, lw=4, solid_capstyle="butt")
left.errorbar(dose, areas.data[0], 0.005, fmt="o", color="black", ms=3.5, zorder=5)
left.set(
    xlabel="Cumulative dose (e⁻/Å²)", ylabel="Window area (relative)", ylim=(0, 1.05)
)
left.legend(fontsize=8)

for (noise, values), place, colour in zip(
    score.items(), (-0.2, 0.2), ("0.25", "0.7"), strict=True
):
    middle.barh(
        np.arange(4) + place,
        np.maximum(values, 0.3),
        0.36,
        color=colour,
        label=f"noise {noise}",
    )
middle.axvline(4, color="#D55E00", lw=1, ls="--")
middle.set(
    xscale="log", xlim=(0.25, None), xlabel="AICc above the best", ylim=(3.6, -0.6)
)
middle.set_yticks(
    range(4), [name.replace(" with ", "\nwith ") for name in results], fontsize=8
)
middle.legend(fontsize=8, loc="lower right")

truth = 1800 * (np.sqrt(1 + 6 * np.log(2)) - 1) / 3
right.axvline(truth, color="black", ls=":")
right.annotate(
    "truth",
    (truth, -0.45),
    xytext=(-4, 0),
    textcoords="offset points",
    ha="right",
    fontsize=8,
)
right.set(xlabel="95 % interval of D½ (e⁻/Å²)", ylim=(3.6, -0.6), yticks=[])
right.set_title("noise 0.5 %", fontsize=9)

# %%
# With a noise of 0.5 % the criterion finds the law that the data were made with; the
# power law imitates acceleration by p < 1, and its interval of D½ is narrow and
# wrong. With 3 % the power law does as well: then prefer the law that others can use,
# and say that it was chosen.
#
# An interval is always one of its law. That none of the laws tried is refuted does
# not make any of them true.
