# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result does not change, and gives the result of one window."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import hyperspy_dosekin
from tests.signals.kinetics.kinetics_series import SHORT, make_series

MAPS = ("rate", "exponent", "amplitude", "offset", "rate_per_dose", "half_integrity_dose")
EXACT = {"estimator": "exact", "show_progressbar": False}


@pytest.fixture(scope="module", params=["exact", "pixels", "network"])
def result(request):
    if request.param == "network":
        return make_series(noise=0.01).fit_dose_pinn(**SHORT)
    space = (2, 3) if request.param == "pixels" else ()
    return make_series(noise=0.01, space=space).fit_dose_pinn(**EXACT)


def test_one_window_has_the_numbers_of_the_whole(result):
    part = result["C–O"]
    assert part.window_names == ("C–O",)
    for name in (*MAPS, "reached", "identifiable", "not_fitted"):
        whole = getattr(result, name).data[2:3]
        np.testing.assert_array_equal(getattr(part, name).data, whole)
    for name in ("integrity", "fitted", "data"):
        whole = getattr(result, name).data[..., 2:3, :]
        np.testing.assert_array_equal(getattr(part, name).data, whole)
    for name in ("rate", "half_integrity_dose"):
        for end, whole in zip(part.interval(name), result.interval(name), strict=True):
            np.testing.assert_array_equal(end.data, whole.data[2:3])
    for end, whole in zip(part.interval("integrity"), result.interval("integrity"), strict=True):
        np.testing.assert_array_equal(end.data, whole.data[..., 2:3, :])
    for name, spread in part.optimiser_spread.items():
        place = (..., slice(2, 3), slice(None)) if name in ("integrity", "fitted") else slice(2, 3)
        np.testing.assert_array_equal(spread.data, result.optimiser_spread[name].data[place])
    np.testing.assert_allclose(
        part.predict([100.0]).data, result.predict([100.0]).data[..., 2:3, :]
    )


def test_one_window_prints_and_plots(result):
    part = result["C–O"]
    assert "window C–O" in repr(part)
    assert "π–π*" not in str(part)
    if not part.space_shape:
        assert part.plot().axes
        assert part.plot_fit().axes
        assert part.plot_parameters().axes
    if part.has_network:
        assert part.plot_diagnostics().axes
        assert part.plot_ablation(iterations=2).axes
        assert part.certificate.window_names == ("C–O",)
    assert part.as_model() is not None


def test_some_windows_in_their_order(result):
    part = result["M–O", "C–C"]
    np.testing.assert_array_equal(part.rate.data, result.rate.data[[3, 1]])
    np.testing.assert_array_equal(part["C–C"].rate.data, result.rate.data[[1]])


def test_one_window_is_saved(result, tmp_path):
    part = result["C–O"]
    part.save(tmp_path / "part.hspy")
    again = hyperspy_dosekin.load(tmp_path / "part.hspy")
    assert str(again) == str(part)
    np.testing.assert_array_equal(again.rate.data, part.rate.data)


def test_a_window_that_is_not_there(result):
    with pytest.raises(KeyError, match=r"no window 'CO'.*did you mean 'C–O'"):
        result["CO"]


def test_a_result_is_frozen(result):
    for name in ("numbers", "rate", "dose_max"):
        with pytest.raises((FrozenInstanceError, AttributeError)):
            setattr(result, name, None)
    assert result.compute() is result


def test_compute_gives_another_result_and_leaves_the_lazy_one():
    lazy = make_series(noise=0.01, space=(2, 3)).as_lazy().fit_dose_pinn(**EXACT)
    part = lazy["C–O"]
    assert part.is_lazy
    computed = lazy.compute(show_progressbar=False)
    assert lazy.is_lazy
    assert not computed.is_lazy
    np.testing.assert_array_equal(
        part.compute(show_progressbar=False).rate.data, computed.rate.data[2:3]
    )
