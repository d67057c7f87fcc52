# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps that scatter more than is claimed: noise passes the tests of fit, a wrong law does not."""

import numpy as np
import pytest

from hyperspy_dosekin.signals.axes.variance import attach_variance
from hyperspy_dosekin.signals.kinetics.dose_series import LazyDoseSeries
from tests.kinetics.adequacy.test_scatter import late, pixels, powers
from tests.signals.kinetics.kinetics_series import make_series


def image(law, **options):
    """20 × 18 pixels and three windows with the variance that is claimed."""
    values, variance = pixels(law, **options)
    made = make_series(values.reshape(18, 20, 3, 9), names=("a", "b", "c"))
    attach_variance(made, variance.reshape(made.data.shape), (type(made), LazyDoseSeries))
    return made


def fitted(series, **options):
    return series.fit_dose_pinn(
        estimator="exact", intervals=False, show_progressbar=False, **options
    )


def test_a_gain_of_every_frame_is_noise_and_said():
    series = image(powers, gain=0.004)
    found = fitted(series)
    assert found.adequate.data.mean() >= 0.9
    assert "whatever the law: a 2." in str(found)
    assert "scatter together (correlation up to 0." in str(found)
    # A variance that is said to be that of the noise is tested as it is.
    assert fitted(series, noise="absolute").adequate.data.mean() <= 0.5
    lazy = fitted(series.as_lazy())
    np.testing.assert_array_equal(lazy.adequate.data.compute(), found.adequate.data)


@pytest.mark.parametrize(("gain", "most"), [(0.0, 0.05), (0.004, 0.4)])
def test_a_wrong_law_of_all_pixels_is_no_noise(gain, most):
    """Of noise that is twice as large, less is seen."""
    found = fitted(image(late, gain=gain))
    assert found.adequate.data.mean() <= most
    assert ("scatter more" in str(found)) == (gain > 0)
