# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Fading diffraction spots
========================

Any intensity against dose can be fitted, not only windows of EELS. Here the spots of
a molecular crystal fade, high orders first, and each gives a critical dose, where 1/e
of it is left.
"""

# %%
# From patterns to intensities
# ----------------------------
# Simulated patterns of a crystal of 0.91 nm period, twenty frames of 0.4 e⁻/Å². Spots
# fade by first-order kinetics; their critical dose falls with the square of the
# spatial frequency, as it would if each hit displaced a molecule a little.

# sphinx_gallery_thumbnail_number = 2
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(5)
dose = 0.4 * np.arange(1, 21)  # e⁻/Å²
orders = np.array([1, 2, 3, 4])
critical = 9.0 / (1 + orders**2 / 4)  # e⁻/Å²

x = np.arange(96)
distance = np.hypot(x[None] - 48, x[:, None] - 48)
background = 4 + 30 * np.exp(-distance / 14)
patterns = np.empty((dose.size, 96, 96))
for frame, value in enumerate(dose):
    expected = background.copy()
    for order, faded in zip(orders, np.exp(-value / critical), strict=True):
        for sign in (-1, 1):
            peak = np.hypot(x[None] - 48 - sign * 11 * order, x[:, None] - 48)
            expected += 220 / order * faded * np.exp(-0.5 * (peak / 1.5) ** 2)
    patterns[frame] = rng.poisson(expected)

# %%
# The intensity of a spot is the sum over a disc, less what a ring around it says of
# the background. Its variance is the number of counts in the disc plus that of the
# ring, scaled to the area of the disc.

intensity, variance = np.zeros((2, orders.size, dose.size))
for place, order in enumerate(orders):
    for sign in (-1, 1):
        radius = np.hypot(x[None] - 48 - sign * 11 * order, x[:, None] - 48)
        disc, ring = radius < 4, (radius >= 4) & (radius < 5.5)
        share = disc.sum() / ring.sum()
        inside, outside = patterns[:, disc].sum(1), patterns[:, ring].sum(1)
        intensity[place] += inside - share * outside
        variance[place] += inside + share**2 * outside

# %%
# A DoseSeries of one's own
# -------------------------
# An array (spot, dose) becomes a ``DoseSeries`` by its signal type. The noise
# variance goes along in the HyperSpy way.

axes = [
    {"name": "window", "size": orders.size},
    {"name": "dose", "units": "e⁻/Å²", "axis": dose},
]
spots = hs.signals.Signal1D(intensity, axes=axes)
spots.set_signal_type("DoseSeries")
spots.set_noise_variance(hs.signals.Signal1D(variance, axes=axes))
spots.metadata.set_item("Dose.window_names", [f"{order}00" for order in orders])
spots.metadata.Signal.quantity = "Spot intensity (counts)"
print(spots)

# %%
# Background has been subtracted, so a spot that is gone has the intensity 0: the
# offset is known, and that makes the critical dose certain
# (:ref:`sphx_glr_gallery_plot_not_identifiable.py`).

result = spots.fit_dose_pinn(estimator="exact", offset=0.0)
figure = result.plot_fit()

# %%
# The exponents are near 1, as simulated, without having been told. ``critical_dose``
# is where 1/e is left; ``dose_at(level)`` gives any other level.

result

# %%
# Critical dose by order
# ----------------------
# The first and the last pattern, and the critical dose with its 95 % interval.

fitted = result.critical_dose.data
lower, upper = (end.data for end in result.interval("dose_at", dose_level=1 / np.e))

figure, panels = plt.subplots(
    1, 3, figsize=(10.5, 3.6), layout="constrained", width_ratios=[1, 1, 1.15]
)
for panel, frame in zip(panels, (0, -1), strict=False):
    image = panel.imshow(
        patterns[frame] + 1,
        cmap="gray_r",
        norm="log",
        vmin=1,
        vmax=250,
        extent=(-4.8, 4.8, -4.8, 4.8),
    )
    panel.set(xlabel="Spatial frequency (1/nm)", yticks=[-4, -2, 0, 2, 4])
    panel.set_title(f"After {dose[frame]:g} e⁻/Å²", fontsize=10)
panels[0].set_ylabel("Spatial frequency (1/nm)")
bar = figure.colorbar(image, ax=panels[:2], label="Counts + 1", shrink=0.8)
panel, frequency, fine = panels[2], 1.1 * orders, np.linspace(0.8, 4.8)
panel.plot(
    fine,
    9.0 / (1 + (fine / 1.1) ** 2 / 4),
    color="#D55E00",
    ls="--",
    label="simulated truth",
)
error = [fitted - lower, upper - fitted]
look = {"fmt": "o", "capsize": 3, "color": "#0072B2"}
panel.errorbar(frequency, fitted, error, **look, label="fit, 95 % interval")
panel.set(
    xlabel="Spatial frequency (1/nm)", ylabel="Critical dose (e⁻/Å²)", ylim=(0, None)
)
legend = panel.legend(fontsize=9)

# %%
# What is fitted is the intensity, and an intensity also falls when the crystal bends
# out of the zone axis or drifts out of the aperture. A critical dose of a spot is one
# of the *crystal* only if the specimen stays where it is.
