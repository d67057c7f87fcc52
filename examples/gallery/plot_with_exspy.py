# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Going on with eXSpy and HyperSpy
================================

Everything here is a signal of HyperSpy or eXSpy, so that their tools go on where this
package ends: thickness, Kramers–Kronig analysis, models.
"""

# %%
# A series of counts, processed.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np

import hyperspy_dosekin

kinetics = {"C–C": {"k": 2.5, "p": 1.2}, "C–O": {"k": 4.0, "p": 1.5}}
counts = hyperspy_dosekin.data.dose_series(
    seed=1, kinetics=kinetics, electrons=3e7, channels=1024
)
s = counts.process_low_loss()

# %%
# Thickness, two ways
# -------------------
# eXSpy takes t/λ from the counts below a threshold that ends the zero-loss peak; the
# processing separates the peak and records t/λ as a diagnostic. They are independent,
# and should agree to a few per cent. They would not if the threshold lay within a
# loss.

aligned = counts.deepcopy()
aligned.align_zero_loss_peak(subpixel=True, print_stats=False)
by_exspy = aligned.estimate_thickness(threshold=1.0).data.ravel()
by_processing = s.processing_diagnostics()["t_over_lambda"].data
print("eXSpy     ", by_exspy.round(3))
print("processing", by_processing.round(3))

# %%
# Kramers–Kronig analysis
# -----------------------
# eXSpy wants the single-scattering distribution per channel and the zero-loss
# intensity in the same unit. ``s`` is per eV and relative to the zero-loss peak, so
# that the latter is 1 eV divided by the width of a channel. The refractive index has
# to be known; 1.6 is assumed. What is left of the zero-loss peak below 0.5 eV is cut
# off.

scale = s.axes_manager[-1].scale
permittivity, found = s.isig[0.5:].kramers_kronig_analysis(
    zlp=1 / scale, n=1.6, iterations=1, full_output=True
)
print("Thickness in nm by dose:", found["thickness"].data.ravel().round(1))

# %%
# That the thickness comes out lower with dose is no loss of mass: the normalisation
# assumes the same refractive index for what is left.
#
# A HyperSpy model of the kinetics
# --------------------------------
# ``as_model`` gives a model of the window areas with one ``PowerLawDegradation``, its
# parameters set for each window. From here HyperSpy takes over: bounds, twins, fixed
# parameters, other optimisers, other components. Here the exponent is fixed to 1 and
# all windows are fitted again.

result = s.fit_dose_pinn({"C–C": (4, 7), "C–O": (10, 15)}, estimator="exact")
model = result.as_model()
best = model.as_signal()
component = model[0]
component.p.value = 1.0
component.p.assign_current_value_to_all()
component.p.free = False
model.multifit(grad="analytical")
first_order = model.as_signal()
print(component.k.as_signal().data.round(3), "k with p = 1")
print(result.rate.data.round(3), "k with p fitted:", result.exponent.data.round(2))

# %%
# The figure
# ----------

figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(11.5, 3.7), layout="constrained"
)
truth = counts.metadata.Simulation
left.plot(truth.dose, truth.t_over_lambda, color="black", lw=1, label="truth")
left.plot(truth.dose, by_exspy, "s", mfc="none", color="#D55E00", label="eXSpy")
left.plot(
    truth.dose, by_processing, "o", ms=4, color="#0072B2", label="process_low_loss"
)
left.set(xlabel="Cumulative dose (e⁻/Å²)", ylabel="t/λ")
left.legend(fontsize=9)
energy = permittivity.axes_manager[-1].axis
for frame, line, name in ((0, "-", "first"), (-1, "--", "last")):
    values = permittivity.inav[frame].data
    middle.plot(energy, values.real, color="#009E73", ls=line, label=f"ε₁, {name} dose")
    middle.plot(energy, values.imag, color="#CC79A7", ls=line, label=f"ε₂, {name} dose")
middle.set(
    xlabel="Energy loss (eV)", ylabel="Permittivity ε/ε₀", xlim=(1, 35), ylim=(-0.5, 4)
)
middle.legend(fontsize=9)
window = result.window_names.index("C–O")
noise = np.sqrt(result.data.get_noise_variance().data[window])
for fit, line, name in ((best, "o-", "p fitted"), (first_order, "s--", "p = 1")):
    colour = "#0072B2" if fit is best else "#E69F00"
    residual = (result.data.data[window] - fit.data[window]) / noise
    right.plot(result.dose, residual, line, color=colour, ms=4, label=name)
right.axhspan(-1, 1, color="0.9", zorder=0)
right.set(xlabel="Cumulative dose (e⁻/Å²)", ylabel="C–O: (data − fit) / noise")
legend = right.legend(fontsize=9)

# %%
# The permittivity of a simulated spectrum is no material's; with your own data it
# shows which transitions fade. In the last panel first order misses the points by
# some standard deviations of the noise, in a row of one sign and then of the other:
# that is how an exponent shows.
