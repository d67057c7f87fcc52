# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference data sets of NIST with certified values (Statistical Reference Datasets).

Both obey y = b₁ (1 − exp(−b₂ x)), a first-order law with a = −b₁ and b = b₁. That a + b = 0 a frame
at dose 0 says, whose variance is next to nothing.
"""

import hyperspy.api as hs
import numpy as np
import pytest

#: Name: x, y, and value with standard deviation of b₁ and b₂; standard deviation of the residuals.
CERTIFIED = {
    "Misra1a": (
        [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8,
         378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0],
        [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02,
         44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78],
        (238.94212918, 2.7070075241),
        (5.5015643181e-4, 7.2668688436e-6),
        0.10187876330,
    ),
    "BoxBOD": (
        [1, 2, 3, 5, 7, 10],
        [109, 149, 149, 191, 213, 224],
        (213.80940889, 12.354515176),
        (0.54723748542, 0.10455993237),
        17.088072423,
    ),
}  # fmt: skip


def series(x, y, noise):
    axes = [
        {"size": 1, "name": "window"},
        {"axis": np.array([0.0, *x]), "name": "dose", "units": "e⁻/Å²"},
    ]
    s = hs.signals.Signal1D(np.array([[0.0, *y]]), axes=axes)
    variance = np.full((1, len(x) + 1), noise**2)
    variance[0, 0] *= 1e-10
    s.set_noise_variance(hs.signals.Signal1D(variance, axes=axes))
    s.set_signal_type("DoseSeries")
    return s


@pytest.mark.parametrize("name", CERTIFIED)
def test_certified_values(name):
    x, y, height, rate, noise = CERTIFIED[name]
    result = series(x, y, noise).fit_dose_pinn(
        estimator="exact", exponent=1.0, prior=None, noise="absolute"
    )
    assert result.rate_per_dose.data[0] == pytest.approx(rate[0], rel=1e-6)
    assert result.amplitude.data[0] == pytest.approx(-height[0], rel=1e-6)
    assert result.offset.data[0] == pytest.approx(height[0], rel=1e-6)


def test_certified_standard_deviation():
    """Of Misra1a, whose likelihood is normal: rate is per normalised dose, x over 760."""
    x, y, _, rate, noise = CERTIFIED["Misra1a"]
    result = series(x, y, noise).fit_dose_pinn(
        estimator="exact", exponent=1.0, prior=None, noise="absolute"
    )
    lower, upper = (end.data[0] for end in result.interval("rate", method="profile"))
    # The profile takes its quantile at 96 % for a nominal 95 %: 2.054 standard deviations.
    assert (upper - lower) / 2 / 760 == pytest.approx(2.054 * rate[1], rel=0.03)
