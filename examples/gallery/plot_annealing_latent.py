# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Compact is not correct: latents, principal components and silhouettes
=====================================================================

The figures 6 and 7 of `Hollenbach et al.
<https://doi.org/10.1038/s41598-024-66902-4>`_: the latents of the autoencoder beside
principal components, and the silhouette by temperature. And a warning that goes with
both.
"""

# %%
# The same annealing series as in :ref:`sphx_glr_gallery_plot_annealing.py`.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

import hyperspy_dosekin

s = hyperspy_dosekin.data.annealing_series(seed=0, peak_snr=3, shape=(8, 22, 18))
references = hyperspy_dosekin.data.reference_spectra()
c = s.classify_vae(references, steps=250)

# %%
# t-SNE of the active latents on the left and of the principal components on the right,
# coloured by the class that was found. Latents separate what components leave mixed,
# because the network was told which differences matter and which are thickness, shift
# and background. Distances between clouds in t-SNE mean nothing, nor do its axes.

figure = c.plot_latent()

# %%
# The silhouette compares the distance of a pixel to its own class with that to the
# nearest other one.

figure = c.plot_silhouette()

# %%
# Higher is more compact. But the colours are the classifier's own: it is asked how
# well it agrees with itself.
#
# A better silhouette with worse answers
# --------------------------------------
# *k*-means in the space of the principal components looks for compact groups and for
# nothing else. Compared with it in the same space, the classes of the autoencoder are
# less compact, the *true* classes less still, and *k*-means is wrong in many more
# pixels.

pixels = s.data.reshape(-1, s.data.shape[-1])
truth = s.metadata.Simulation.label.ravel()
scores = PCA(10, random_state=0).fit_transform(pixels)
groups = KMeans(4, n_init=4, random_state=0).fit_predict(scores)
# Each group is called by the class that most of it has: k-means could not know.
named = np.array([np.bincount(truth[groups == k]).argmax() for k in range(4)])[groups]

labels = {"k-means": named, "classify_vae": c.class_map.data.ravel(), "truth": truth}
some = np.random.default_rng(0).choice(len(pixels), 1500, replace=False)

figure, panel = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
place = np.arange(len(labels))
compact = [silhouette_score(scores[some], label[some]) for label in labels.values()]
right = [(label == truth).mean() for label in labels.values()]
bars = [
    panel.bar(
        place - 0.2, compact, 0.38, color="#0072B2", label="silhouette (components)"
    ),
    panel.bar(place + 0.2, right, 0.38, color="#D55E00", label="accuracy"),
]
for bar in bars:
    panel.bar_label(bar, fmt="%.2f", fontsize=9)
panel.set_xticks(place, labels)
panel.set(ylim=(0, 1.12), ylabel="Silhouette, accuracy")
legend = panel.legend(
    loc="upper center", ncols=2, fontsize=9, bbox_to_anchor=(0.5, 1.16), frameon=False
)

# %%
# So the silhouette is shown, and never optimised. What says how right a
# classification is: calibration on spectra that the training has not seen
# (:ref:`sphx_glr_gallery_plot_unknown_phase.py`), and pixels whose structure is known
# otherwise.
