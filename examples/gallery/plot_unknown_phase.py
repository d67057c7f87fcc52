# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A phase that nobody expected
============================

Probabilities always choose among the references, and can be 1 for a spectrum that is
none of them. The novelty says how far a pixel is from all; beyond a threshold it is
called unknown.
"""

# %%
# 15 % of the pixels, in patches, hold a phase that is not among the references: an
# edge that is shifted and doubled. It is in the data that the nuisances are estimated
# from, as it would be in an experiment.

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import hyperspy_dosekin

s = hyperspy_dosekin.data.annealing_series(
    seed=3, peak_snr=8, shape=(6, 24, 20), unknown_share=0.15
)
references = hyperspy_dosekin.data.reference_spectra()
c = s.classify_vae(references)
unknown = s.metadata.Simulation.label == 4

# %%
# How sure are the probabilities of the unknown pixels?

sure = c.probability.data.max(axis=1)
print(f"Probability above 0.9 in {np.mean(sure[unknown] > 0.9):.0%} of the unknown")
print(f"pixels, and in {np.mean(sure[~unknown] > 0.9):.0%} of the others.")

# %%
# The entropy, in the first row, sees little of it: it is large between phases that
# look alike. The novelty lights up. It is −log₁₀ of the share of pixels of known
# classes that would be as far away, so that 2 is one in a hundred.

figure = c.plot_uncertainty(frames=[0, 2, 4])

# %%
# The class maps with the threshold of 2, and what it finds.

figure = c.plot(threshold=2.0)
found = c.novelty.data > 2
print(f"Called unknown: {found[unknown].mean():.1%} of the unknown pixels, ", end="")
print(f"{found[~unknown].mean():.1%} of the known ones (nominally 1 %).")

# %%
# Where to put the threshold
# --------------------------
# The share of false alarms among known pixels, as promised by the novelty and as
# found, and the share of the unknown phase that is still caught. On the right, the
# calibration of the probabilities of known pixels.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
threshold = np.linspace(0.3, 4, 60)
left.plot(
    threshold, 10.0**-threshold, color="black", ls=":", label="false alarms promised"
)
for pixels, colour, line, label in (
    (~unknown, "#0072B2", "-", "false alarms found"),
    (unknown, "#D55E00", "--", "unknown pixels caught"),
):
    share = [(c.novelty.data[pixels] > value).mean() for value in threshold]
    left.plot(
        threshold,
        np.where(np.array(share) > 0, share, np.nan),
        color=colour,
        ls=line,
        label=label,
    )
left.set(
    yscale="log",
    xlabel="Threshold of the novelty",
    ylabel="Share of pixels",
    ylim=(1e-4, 1.5),
)
left.legend(fontsize=9)

curve = c.report.calibration
full = curve.weight > 0.003  # bins with a few spectra say nothing
correct = c.class_map.data == s.metadata.Simulation.label
bins = np.digitize(sure, np.linspace(0.3, 1, 8)[1:-1])
here = [bins[~unknown] == k for k in range(7)]
here = [part for part in here if part.sum() > 5]
right.plot([0.3, 1], [0.3, 1], color="0.5", lw=0.8)
right.plot(
    curve.confidence[full],
    curve.accuracy[full],
    "o-",
    color="0.35",
    ms=4,
    label="on simulated spectra (report)",
)
right.plot(
    [sure[~unknown][part].mean() for part in here],
    [correct[~unknown][part].mean() for part in here],
    "s", color="#0072B2", label="on known pixels of these data",
)  # fmt: skip
right.set(
    xlabel="Probability of the class",
    ylabel="Share that is right",
    xlim=(0.3, 1.02),
    ylim=(0.3, 1.02),
)
legend = right.legend(fontsize=9, loc="upper left")

# %%
# What this does not say: the unknown phase here is plainly different. One that
# resembles a reference to within the noise is not found by any threshold, and
# calibration on simulated spectra cannot show that a reference is wrong.
