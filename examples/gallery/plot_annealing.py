# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
What forms at which temperature: class maps of an annealing series
==================================================================

Core-loss spectrum images of a film at eight temperatures, at a signal-to-noise ratio
of 3 in the peak. Four reference spectra are enough to name the structure in every
pixel. These are the figures 3 to 5 of `Hollenbach et al.
<https://doi.org/10.1038/s41598-024-66902-4>`_ on simulated data whose truth is known.
"""

# %%
# Data and references
# -------------------
# The spectra are processed already: the background has been subtracted, not quite;
# energies are aligned, not quite; thickness varies by 15 %. ``s.process_core_loss``
# does this to raw counts.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import hyperspy_dosekin

s = hyperspy_dosekin.data.annealing_series(seed=0, peak_snr=3, shape=(8, 22, 18))
references = hyperspy_dosekin.data.reference_spectra()
print(s)
print(references.metadata.References.labels)

# %%
# One pixel of each class with its reference. Height alone cannot decide: a thin piece
# of one phase is as high as a thick piece of another.

truth = s.metadata.Simulation.label
figure, panels = plt.subplots(
    1, 4, figsize=(10, 2.8), sharey=True, layout="constrained"
)
for label, (panel, name) in enumerate(
    zip(panels, references.metadata.References.labels, strict=True)
):
    frame, y, x = np.argwhere(truth == label)[40]
    pixel = s.inav[x, y, frame]
    reference = references.inav[label].isig[670.0:749.5]
    panel.plot(pixel.axes_manager[-1].axis, pixel.data, color="0.7", lw=0.8)
    panel.plot(reference.axes_manager[-1].axis, reference.data, color="#D55E00", lw=1.8)
    panel.set(title=name, xlabel="Energy loss (eV)")
panels[0].set_ylabel("Background-subtracted\nintensity")
legend = panels[-1].legend(["one pixel", "reference"], fontsize=8)

# %%
# Training
# --------
# The nuisances, which are thickness, energy shift, residual background and noise, are
# estimated from the data, and Bayes' rule with them names the pixels. No network is
# needed for that; it is trained when latents are asked for.

c = s.classify_vae(references, spatial="potts")
print(c.report)

# %%
# Class maps
# ----------
# With ``spatial="potts"`` neighbouring pixels share information.

figure = c.plot()

# %%
# Of these pixels, so many are named right; each for itself, and with neighbours:

alone = c.model.classify(s)
print(f"alone {(alone.class_map.data == truth).mean():.3f}")
print(f"with neighbours {(c.class_map.data == truth).mean():.3f}")

# %%
# Denoised spectra
# ----------------
# The best explanations of all pixels of a class, mean and standard deviation. The
# band is mostly thickness. They look like the references because that is what
# explains them: quantify on the data, not on these.

figure = c.plot_denoised()

# %%
# Shares of the classes
# ---------------------
# The film passes through two intermediate phases. Shares are counts of most probable
# classes; where neighbours share information, small islands of a rare class are given
# to their surroundings.

figure = c.class_map.plot_fractions()
