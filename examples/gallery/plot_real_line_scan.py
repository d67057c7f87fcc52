# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
A real line scan
================

Forty low-loss spectra across a film of La₀.₇Sr₀.₃MnO₃, as a microscope wrote them, from
counts to thickness and window areas. They are places and not frames: there is no dose
here, and no kinetics.
"""

# %%
# The file comes with the package. It says little: no gain, no unit of the counts, a
# zero-loss peak that is 3 eV from zero and only two channels wide, a pedestal.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt

from hyperspy_dosekin.data import lsmo_line_scan

counts = lsmo_line_scan()
print(counts)
print(counts.metadata.General.notes)

# %%
# One call, and what it found.

s = counts.process_low_loss()
found = s.processing_diagnostics()
for name in ("zero_loss_fwhm", "shift", "t_over_lambda", "spikes"):
    values = found[name].data
    print(f"{name:15s} {values.min():7.2f} … {values.max():7.2f}")

# %%
# Thickness and areas along the line
# ----------------------------------
# t/λ rises along the line, and all areas with it. Divided by t/λ they show what the
# material does. The zero-loss peak is 1.1 eV wide, so that windows start at 3.5 eV.

windows = {"3.5–7 eV": (3.5, 7.0), "10–15 eV": (10.0, 15.0), "20–35 eV": (20.0, 35.0)}
areas = s.integrate_windows(windows)
thickness = found["t_over_lambda"].data
place = counts.axes_manager[0].axis * 1e3  # nm

figure, panels = plt.subplots(1, 3, figsize=(11.5, 3.6), layout="constrained")
energy = s.axes_manager[-1].axis
for index, colour in ((0, "#0072B2"), (20, "#009E73"), (39, "#D55E00")):
    panels[0].plot(
        energy, s.data[index], color=colour, lw=1, label=f"{place[index]:.0f} nm"
    )
panels[0].set(
    xlim=(-5, 60), xlabel="Energy loss (eV)", ylabel="Single scattering (1/eV)"
)
panels[0].legend(frameon=False)
panels[1].plot(place, thickness, "o", ms=4, color="black")
panels[1].set(xlabel="Place on the line (nm)", ylabel="t/λ", ylim=(0, None))
for (name, column), colour in zip(
    zip(windows, areas.data.T, strict=True),
    ("#CC79A7", "#0072B2", "#D55E00"),
    strict=True,
):
    ratio = column / thickness
    panels[2].plot(
        place, ratio / ratio.mean(), "o-", ms=3, lw=0.8, color=colour, label=name
    )
panels[2].set(xlabel="Place on the line (nm)", ylabel="Area per t/λ, relative")
legend = panels[2].legend(frameon=False)

# %%
# What is not here
# ----------------
# No dose: every spectrum is of another place. A fit of kinetics along this line would
# return numbers that mean nothing, and ``integrate_windows`` returns a plain signal
# without ``fit_dose_pinn``. Part of the film had been exposed to the beam for long
# before the scan, but the file does not say where and how much.

print(type(areas).__name__, hasattr(areas, "fit_dose_pinn"))
