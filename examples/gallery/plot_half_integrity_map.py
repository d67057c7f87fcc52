# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A map of the half-integrity dose
================================

A spectrum image at every dose gives D½ pixel by pixel: where the material is robust,
where it is not, and where the data cannot say. The map of D½ alone looks equally sure
everywhere; its interval and its flag belong beside it.
"""

# %%
# Nine spectrum images of 20 × 28 pixels of 4 nm. The rate constants vary over the
# field, and the truth is known.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np

import hyperspy_dosekin

kinetics = {
    "π–π*": {"k": 1.6, "p": 1.0},
    "C–C": {"k": 2.5, "p": 1.2},
    "C–O": {"k": 4.0, "p": 1.5},
}
image = hyperspy_dosekin.data.dose_series_image(
    seed=2, shape=(20, 28), kinetics=kinetics, processed=True, electrons=3e7
)
print(image)

# %%
# With space axes every pixel and window is fitted by itself, by the exact solution of
# the law, some hundred curves a second with intervals and flags. The table has the
# median and the central 90 % of the pixels.

result = image.fit_dose_pinn(show_progressbar=False)
result

# %%
# D½ is drawn where the data determine it. A speckled map, as in the first row, is a
# window at the limit: there the noise decides which pixel passes, and the pixels that
# pass are not a fair sample of all. The last window does not lose enough anywhere,
# and there is no map of it, although every pixel has been fitted.

figure = result.plot_maps()

# %%
# Right or wrong?
# ---------------
# Here the truth is known. Where the flag says "determined", D½ agrees with it;
# elsewhere the numbers scatter by factors, and the best fit alone does not tell which
# is which. In the first panel the selection shows: of the robust pixels those pass
# whose noise has made them look less robust. Mask a map with the flag, but take no
# average over what is left of a speckled one.

figure, panels = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained", sharey=True)
truth = image.metadata.Simulation.half_integrity_dose
for row, panel in enumerate(panels):
    sure = result.identifiable.data[row]
    fitted = result.half_integrity_dose.data[row]
    for part, look in ((~sure, {"color": "0.65"}), (sure, {"color": "#0072B2"})):
        panel.loglog(truth[row][part], fitted[part], ".", ms=4, **look)
    limits = [100, 2000]
    panel.loglog(limits, limits, color="black", lw=0.8)
    error = np.sqrt(np.mean(np.log(fitted[sure] / truth[row][sure]) ** 2))
    panel.set(xlim=limits, ylim=limits, xlabel="True D½ (e⁻/Å²)")
    panel.set_title(
        f"{result.window_names[row]}: {100 * error:.0f} % rms where determined",
        fontsize=9,
    )
panels[0].set_ylabel("Fitted D½ (e⁻/Å²)")
legend = panels[0].legend(
    ["not determined", "determined"], fontsize=8, loc="upper left"
)

# %%
# ``result.half_integrity_dose`` and every other map are HyperSpy signals (window|x,
# y): ``.plot()`` browses them, ``.save()`` keeps them, and ``hs.plot.plot_images``
# arranges them. Mask them with ``result.identifiable``.
