# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Can the network be trusted? Residuals, training and ablation
============================================================

The supplementary figures of `dos Santos, dos Reis and Dravid
<https://arxiv.org/abs/2605.01697>`_: the physics residual dC/dφ + k Cᵖ by dose, the
loss by term, and the fit beside models without physics. A referee will ask for all
three, and none of them says how well D½ is known.
"""

# %%
# A series in which two windows lose most of their integrity, so that there is
# something to determine.

# sphinx_gallery_thumbnail_number = 3
import hyperspy_dosekin

kinetics = {
    "π–π*": {"k": 1.6, "p": 1.0},
    "C–C": {"k": 2.5, "p": 1.2},
    "C–O": {"k": 4.0, "p": 1.5},
}
s = hyperspy_dosekin.data.dose_series(
    seed=1, kinetics=kinetics, electrons=3e7, processed=True
)
areas = s.integrate_windows()

# %%
# The training as published
# -------------------------
# ``protocol="paper"`` trains by Adam, with a warm-up and a cosine schedule of the
# learning rate, and then by L-BFGS. It is cut to a fifteenth of its length here; the
# published one takes minutes.

published = areas.fit_dose_pinn(
    protocol="paper", adam_epochs=600, warmup_epochs=60, lbfgs_iterations=150
)
figure = published.plot_diagnostics()

# %%
# On the left is how far each window is from the law that it should follow; a residual
# that is a noticeable share of k means that C is not a solution. On the right, the
# loss falls by orders of magnitude when L-BFGS takes over, and is still falling at the
# end: where the training stops decides what it answers. The certificate compares it
# with the exact solution of the same problem.

print(published.certificate)

# %%
# The training from the exact solution
# ------------------------------------
# ``protocol="fast"``, the default, begins at the closed form of the law and takes
# Gauss–Newton steps on all weights. A few of them bring the residual of the law to
# nothing.

result = areas.fit_dose_pinn()
figure = result.plot_diagnostics()
print(result.certificate)

# %%
# A loss ratio near 1, a small residual between the doses where the law is imposed,
# and a small deviation from the exact trajectory: this is what has to be seen before
# any number of a network is used. It certifies the optimiser, not the data.
#
# Without physics
# ---------------
# A cubic polynomial has as many free numbers per window as the law, and the same
# network without the law has thousands. Both follow the points. Beyond the last dose
# they leave for nowhere, and between dose 0 and the first frame the network does as
# it likes.

figure = result.plot_ablation(extent=1.6)

# %%
# That the law goes on smoothly does not prove that it holds there: it is an
# extrapolation as well, of a law that was assumed.
