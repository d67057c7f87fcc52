# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Windows and doses: how far does D½ depend on them?
==================================================

A window is a choice and a dose is a calibration. Both go into D½ without showing in
any residual. Here they are moved, one after the other.
"""

# %%
# Windows of one's own
# --------------------
# Any mapping of names to limits in eV, and ROIs of HyperSpy. Look at them first: the
# lower panel shows whether a window catches what changes.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import hyperspy_dosekin

kinetics = {
    "π–π*": {"k": 1.6, "p": 1.0},
    "C–C": {"k": 2.5, "p": 1.2},
    "C–O": {"k": 4.0, "p": 1.5},
}
s = hyperspy_dosekin.data.dose_series(
    seed=1, kinetics=kinetics, electrons=3e7, processed=True
)
windows = {"C–C": (4, 7), "C–O": (10, 15), "10 to 20 eV": (10, 20), "plasmon": (18, 24)}
figure = s.plot_windows(windows)

# %%
# The variance of the areas comes with them, propagated from the noise of the
# channels.

areas = s.integrate_windows(windows)
for name, row, variance in zip(
    areas.window_names, areas.data, areas.get_noise_variance().data, strict=True
):
    swing = row[0] - row[-1]
    error = np.sqrt(2 * variance[0])
    print(f"{name:12s} area {row[0]:.4f}, changes by {swing:+.4f} ± {error:.5f}")

# %%
# Edges of the window
# -------------------
# The window 10–15 eV is narrowed from 5 to 1 eV and widened to 9 eV, around its
# middle.


def half_dose(series, **options):
    """D½ with its interval, in e⁻/Å²."""
    found = series.fit_dose_pinn(estimator="exact", **options)
    ends = found.interval("half_integrity_dose")
    return [float(part.data[0]) for part in (found.half_integrity_dose, *ends)]


width = np.arange(1.0, 9.5, 1.0)
by_width = np.array(
    [
        half_dose(s.integrate_windows({"C–O": (12.5 - w / 2, 12.5 + w / 2)}))
        for w in width
    ]
)

# %%
# Doses
# -----
# A dose rate that is wrong by a factor moves D½ by the same factor, always. A
# pre-exposure that was not recorded is worse, because it hides: the fit stays as
# good, and rate and amplitude make up for it.

areas = s.integrate_windows({"C–O": (10, 15)})
truth = s.metadata.Simulation.half_integrity_dose[2]
before = np.linspace(0, 400, 9)
by_exposure, misfit = [], []
for dose in before:
    exposed = hyperspy_dosekin.data.dose_series(
        seed=1, kinetics=kinetics, electrons=3e7, processed=True, pre_exposure=dose
    ).integrate_windows({"C–O": (10, 15)})
    by_exposure.append(half_dose(exposed))
    residual = exposed.fit_dose_pinn(estimator="exact").fitted.data - exposed.data
    misfit.append(np.sqrt(np.mean(residual**2 / exposed.get_noise_variance().data)))
by_exposure = np.array(by_exposure)

# %%
# The figure: D½ and its 95 % interval against what was chosen or not recorded, the
# truth dashed. The residuals, in units of the noise, stay as they were.

figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(10.5, 3.6), layout="constrained"
)
for panel, where, found in ((left, width, by_width), (middle, before, by_exposure)):
    value, low, high = found.T
    panel.errorbar(
        where, value, [value - low, high - value], fmt="o", color="#0072B2", capsize=3
    )
    panel.axhline(truth, color="#D55E00", ls="--", lw=1.2)
    panel.set_ylabel("D½ (e⁻/Å²)")
left.axvspan(4.9, 5.1, color="0.85", zorder=0)
left.set(xlabel="Width of the window (eV)")
middle.set(xlabel="Pre-exposure, not recorded (e⁻/Å²)")
right.plot(before, misfit, "s-", color="#0072B2")
_ = right.set(
    xlabel="Pre-exposure, not recorded (e⁻/Å²)",
    ylabel="rms residual / noise",
    ylim=(0, 2),
)

# %%
# A window that is a little too wide costs nothing here but precision, since what lies
# beside the band does not change. In real spectra neighbours change too, and the
# window then mixes two decays, for which one D½ has no meaning.
#
# With p > 1, pre-exposure makes a material look more robust than it is. No fit can
# notice; only the log of the microscope does: ``s.set_dose_axis(...,
# pre_exposure=200)``.
