# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A damage front in a particle, and an interface
==============================================

A particle goes faster at its rim than in its core, and one half of it is another
phase. Single pixels do not know: each has nine noisy frames. Together they do.
"""

# %%
# The truth: the rate constant rises by 0.9 in ln k over the outer quarter, and jumps by
# 0.6 at the interface. Thickness varies from pixel to pixel. Around it is vacuum.

# sphinx_gallery_thumbnail_number = 1
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from hyperspy_dosekin.kinetics.laws.power_law import half_dose, power_law_integrity

random = np.random.default_rng(4)
y, x = np.indices((22, 22)) - 10.5
radius = np.hypot(x, y) / 10.5
inside = radius < 1
log_rate = 0.3 + 0.9 * np.clip(4 * radius - 3, 0, 1) + np.where(x > 1, -0.6, 0.0)
dose = 150.0 * np.arange(1, 10)
curve = power_law_integrity(dose / dose[-1], np.exp(log_rate)[..., None], np.array(1.2))
thickness = random.uniform(0.7, 1.3, (22, 22, 1))
values = thickness * (curve + 0.3) + 0.015 * random.standard_normal((22, 22, 9))
axes = [
    {"size": 22, "name": "y"},
    {"size": 22, "name": "x"},
    {"size": 1, "name": "window"},
]
series = hs.signals.Signal1D(
    values[:, :, None],
    axes=[*axes, {"axis": dose, "name": "dose", "units": "e⁻/Å²"}],
    metadata={"Dose": {"window_names": ["C–O"]}},
)
series.set_signal_type("DoseSeries")

# %%
# Pixels by themselves, and pixels whose neighbours are alike. Vacuum has a negative
# label and is left out.

groups = np.where(inside, 0, -1)
alone = series.fit_dose_pinn(show_progressbar=False)
field = series.fit_dose_pinn(spatial="field", groups=groups, show_progressbar=False)
field

# %%
# The front and the interface are where they are; neither is smeared.

truth = half_dose(np.exp(log_rate), 1.2) * dose[-1]
maps = {
    "truth": truth,
    "pixel": alone.half_integrity_dose.data[0],
    "field": field.half_integrity_dose.data[0],
}
figure, panels = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
for panel, (name, values) in zip(panels, maps.items(), strict=False):
    shown = np.where(inside, values, np.nan)
    image = panel.imshow(shown, vmin=200, vmax=1500)
    panel.set(title=f"D½, {name}", xticks=[], yticks=[])
figure.colorbar(image, ax=panels[:3], label="e⁻/Å²", shrink=0.8)
own = panels[3].imshow(field.shrinkage.data[0], vmin=0, vmax=1, cmap="magma")
panels[3].set(title="share of the others", xticks=[], yticks=[])
figure.colorbar(own, ax=panels[3], shrink=0.8)

# %%
# How far off, and do the intervals hold?

for result in (alone, field):
    half = result.half_integrity_dose.data[0]
    lower, upper = (end.data[0] for end in result.interval("half_integrity_dose"))
    error = np.log(half / truth)[inside]
    covered = ((lower < truth) & (truth < upper))[inside]
    print(
        f"rms of ln D½ {np.sqrt(np.mean(error**2)):.2f}, covered {covered.mean():.0%}"
    )

# %%
# Where the map is sure, and where not.

figure = field.plot_maps()
