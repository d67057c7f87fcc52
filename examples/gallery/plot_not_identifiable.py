# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
D½ not determined, and what helps
=================================

Nine frames that end where half of the integrity is gone are fitted perfectly, and
leave the half-integrity dose open by a large factor. Why that is so, which further
measurement helps, and how to find that out *before* the session at the microscope.
"""

# %%
# The problem
# -----------
# One window with k = 1 and p = 1: D½ is 948 e⁻/Å², inside the measured range, which
# ends at 1368. The noise is 1 % of what the window loses in the end.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import hyperspy_dosekin
from hyperspy_dosekin.kinetics.design import cramer_rao

RATE = 1 / 1368  # per e⁻/Å²
TRUTH = np.log(2) / RATE


def measure(seed, frames=9, last_dose=1368.0, electrons=2e6, **options):
    """Window areas of a simulated series."""
    s = hyperspy_dosekin.data.dose_series(
        seed,
        dose=last_dose * np.arange(1, frames + 1) / frames,
        kinetics={"C–O": {"k": RATE * last_dose, "p": 1.0}},
        electrons=electrons,
        processed=True,
        **options,
    )
    return s.integrate_windows({"C–O": (10, 15)})


series = measure(seed=7)
result = series.fit_dose_pinn(estimator="exact")
figure = result.plot_fit(figsize=(5, 4.2))

# %%
# For small doses the area is const − ak φ + ½ ak·pk φ² − …: the slope gives a·k, the
# curvature p·k, and only the third order tells k, p and a apart. Nine points with a
# little noise have no third order. The result says so.

result

# %%
# What helps
# ----------
# - **Know the offset**: measure a place that is fully damaged, and pass it as
#   ``offset=``.
# - **Go on** to three times the dose, with the same number of frames.
# - **Know the exponent**, for instance p = 1 where a single hit destroys. This is an
#   assumption and no measurement: a wrong one gives a narrow interval in the wrong
#   place.
# - **Four times the electrons** in each frame, or four times the area. This is what
#   one thinks of first.

damaged = measure(seed=8, pre_exposure=1e7)
remedies = {
    "as measured": result,
    "4 × the electrons": measure(seed=9, electrons=8e6).fit_dose_pinn(
        estimator="exact"
    ),
    "p = 1 assumed": series.fit_dose_pinn(estimator="exact", exponent=1.0),
    "3 × the dose": measure(seed=10, last_dose=3 * 1368.0).fit_dose_pinn(
        estimator="exact"
    ),
    "offset measured": series.fit_dose_pinn(estimator="exact", offset=damaged),
}

# %%
# Before the session
# ------------------
# The Cramér–Rao bound is the smallest standard deviation that any unbiased estimate
# of ln D½ can have. It needs the doses of the frames and a guess of the kinetics, but
# no data, so an experiment can be planned with it. It knows nothing of the weak
# priors of the fit, which is why the fitted intervals on the left can be narrower
# than it where the data say little.

reach = np.geomspace(0.4, 6, 40)  # largest dose in units of D½
designs = {
    "9 frames": {},
    "36 frames": {"frames": 36},
    "9 frames, p known": {"exponent_known": True},
    "9 frames, offset known": {"offset_known": True},
}


def bound(largest, frames=9, **known):
    """Standard deviation of ln D½ for 1 % noise, p = 1 and evenly spaced frames."""
    dose = np.arange(1, frames + 1) / frames
    return cramer_rao(
        dose, np.log(2) * largest, 1.0, noise=0.01, **known
    ).sd_log_half_dose


figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
for row, found in enumerate(remedies.values()):
    (low,), (high,) = (end.data for end in found.interval("half_integrity_dose"))
    (value,) = found.half_integrity_dose.data
    sure = bool(found.identifiable.data[0])
    colour = "#0072B2" if sure else "0.55"
    left.plot([low, high], [row, row], color=colour, lw=3, solid_capstyle="butt")
    left.plot(value, row, "o", color=colour, mfc=colour if sure else "white", ms=7)
left.axvline(TRUTH, color="#D55E00", ls="--", lw=1.2)
left.annotate(
    "truth", (TRUTH, -0.45), xytext=(4, 0), textcoords="offset points", color="#D55E00"
)
left.set(xscale="log", xlabel="D½ with its 95 % interval (e⁻/Å²)", ylim=(4.6, -0.8))
left.set_yticks(range(len(remedies)), remedies)
left.set_xticks([500, 1000, 2000, 4000], ["500", "1000", "2000", "4000"])
left.minorticks_off()
left.set_title("grey, hollow: flagged as not determined", fontsize=9)
looks = (("0.3", "-"), ("#E69F00", "--"), ("#009E73", "-."), ("#0072B2", (0, (1, 1))))
for (name, design), (colour, line) in zip(designs.items(), looks, strict=True):
    sd = [bound(largest, **design) for largest in reach]
    right.plot(reach, sd, color=colour, ls=line, lw=1.8, label=name)
right.axhline(0.25, color="black", lw=0.8)
right.annotate("determined below", (6, 0.27), ha="right", va="bottom", fontsize=8)
right.set(
    xscale="log",
    yscale="log",
    xlabel="Largest dose / D½",
    ylabel="Bound on sd of ln D½",
)
right.set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
right.minorticks_off()
legend = right.legend(fontsize=8)

# %%
# A measured offset beats everything else, and four times the electrons are the
# weakest remedy: the bound falls only as the square root of their number, and by orders
# of magnitude with the offset. Without a known offset, nothing replaces dose: go on
# until the curve has bent.
#
# What the bound does not say: it takes the law for granted, and doses for exact.
# :ref:`sphx_glr_gallery_plot_windows.py` shows what an error of the dose does.
