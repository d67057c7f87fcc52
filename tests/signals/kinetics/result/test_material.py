# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thickness that changes with dose is said."""

import numpy as np
import pytest

from hyperspy_dosekin import LOW_LOSS_WINDOWS
from hyperspy_dosekin.data import dose_series


@pytest.mark.parametrize(("lost", "said"), [(0.5, "t/λ falls by 0.2"), (0.0, None)])
def test_mass_loss_is_said(lost, said):
    series = dose_series(
        3, t_over_lambda=0.4, kinetics={name: {"k": 0.05} for name in LOW_LOSS_WINDOWS}
    )
    spectra = series.process_low_loss()
    spectra.data *= np.linspace(1, 1 - lost, 9)[:, np.newaxis]
    result = spectra.integrate_windows().fit_dose_pinn(estimator="exact", show_progressbar=False)
    assert ("from the first to the last frame" in str(result)) == (said is not None)
    assert said is None or said in str(result)
