# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dose at which half of the change within the measured range is done."""

import numpy as np
import pytest

import hyperspy_dosekin
from tests.signals.kinetics.kinetics_series import make_series

DOSE = 100.0 * np.arange(1, 10)


@pytest.fixture(scope="module")
def image():
    rate = np.array([0.5, 2.0, 6.0])[:, None, None]
    values = 1 + 2 * np.exp(-rate * DOSE / 900)
    return make_series(np.repeat(values, 2, axis=1), dose=DOSE, names=("C–C", "C–O"))


def test_it_is_where_c_is_halfway_to_its_last_value(image):
    options = {"estimator": "exact", "intervals": False, "prior": None, "nonnegative": False}
    result = image.fit_dose_pinn(**options, show_progressbar=False)
    rate = np.array([0.5, 2.0, 6.0])
    expected = -np.log((1 + np.exp(-rate)) / 2) / rate * 900
    for window in range(2):
        np.testing.assert_allclose(result.half_change_dose.data[window], expected, rtol=2e-3)
    lazy = image.as_lazy().fit_dose_pinn(**options)
    found = lazy.half_change_dose
    assert type(found).__name__.startswith("Lazy")
    found.compute(show_progressbar=False)
    np.testing.assert_allclose(found.data, result.half_change_dose.data, rtol=1e-6)


def test_it_hardly_depends_on_the_law():
    series = hyperspy_dosekin.data.dose_series(processed=True)
    options = {"estimator": "exact", "intervals": False}
    doses = [
        series.fit_dose_pinn(law=law, **options).half_change_dose.data
        for law in ("power law", "first order")
    ]
    np.testing.assert_allclose(doses[0], doses[1], rtol=0.15)


def test_it_is_nan_where_there_is_no_fit(image):
    broken = image.deepcopy()
    broken.data[1, 0] = 0.0
    result = broken.fit_dose_pinn(estimator="exact", intervals=False, show_progressbar=False)
    assert np.isnan(result.half_change_dose.data).T.tolist() == [
        [False] * 2,
        [True, False],
        [False] * 2,
    ]
