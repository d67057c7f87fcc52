# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Dose-associated spectra
=======================

What a dose takes away, as a spectrum: all channels of a series of a metal–organic
framework are fitted at once, with no window to choose.
"""

# %%
# A series in which two things go
# -------------------------------
# The series is simulated. Two bands decay, that at 10–15 eV fast, that at 20–25 eV
# slowly; the rest stays. The plasmon lies under both.

# sphinx_gallery_thumbnail_number = 1
import hyperspy_dosekin

kinetics = {
    "C–O": {"k": 6.0, "p": 1.0},
    "M–O": {"k": 1.2, "p": 1.0},
    "C–C": {"k": 0.02, "p": 1.0},
    "π–π*": {"k": 0.02, "p": 1.0},
}
s = hyperspy_dosekin.data.dose_series(kinetics=kinetics, electrons=1e8, processed=True)

# %%
# Components and residue
# ----------------------
# The number of components is found by a test against noise. Each component has a
# spectrum, what decays at its rate, and the residue is what no dose removes. The
# bands hold noise and what is not known of the rates; those of a component and of
# the residue move together, because the data say little of how a slow decay ends.

found = s.fit_dose_spectra(energy_range=(3.0, 35.0), law="first order")
print(found)
found.plot_spectra()

# %%
# How many components
# -------------------
# The largest singular value of what changes is compared with that of noise alone,
# component after component. A second component is only seen if it has another rate
# *and* another spectrum. Components are therefore not species, and not bonds: two
# bonds that go at one rate are one component, and a peak that moves is two.

print(found.rank_test)
found.plot()

# %%
# Beside windows
# --------------
# A window that holds one band, and whose place is known, sees the rate of that
# component. Whole spectra find the places themselves. Two components cost a little:
# both rates have to be told apart. With one component, all channels together are
# more certain than any window.

windows = s.fit_dose_pinn(estimator="exact", law="first order", hierarchy=())
print(windows["C–O"])
print(found.to_dataframe()[["component", "half_integrity_dose"]])
