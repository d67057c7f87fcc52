# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a dose series to a fit: what is averaged, masked, sorted and refused."""

import re

import hyperspy.api as hs
import numpy as np
import pytest

from tests.signals.kinetics.kinetics_series import DOSE, NAMES, SHORT, make_series, values


def fit(series, **options):
    return series.fit_dose_pinn(**{**SHORT, **options})


def members(result):
    return np.stack([result.estimate.parameter(n) for n in ("rate", "exponent", "amplitude")])


@pytest.fixture(scope="module")
def of_noisy():
    """What is found of a series with noise of 0.01."""
    return members(fit(make_series(noise=0.01)))


def test_repeats_to_the_last_digit_and_other_seeds_differ(of_noisy):
    series = make_series(noise=0.01)
    np.testing.assert_array_equal(of_noisy, members(fit(series)))
    other = fit(series, seeds=(3, 4))
    assert not np.allclose(of_noisy, members(other))


def test_the_input_is_not_changed():
    series = make_series(noise=0.01)
    before = series.deepcopy()
    fit(series)
    np.testing.assert_array_equal(series.data, before.data)
    assert series.metadata.as_dictionary() == before.metadata.as_dictionary()
    assert str(series.axes_manager) == str(before.axes_manager)


def test_mean_over_space_is_the_fit_of_the_mean():
    image = make_series(noise=0.05, space=(3, 5))
    by_hand = make_series(image.data.mean(axis=(0, 1)))
    np.testing.assert_allclose(
        members(fit(image, spatial="mean")), members(fit(by_hand)), rtol=1e-9
    )


def test_variance_of_the_mean():
    image = make_series(noise=0.05, space=(3, 5))
    claimed = np.full(image.data.shape, 0.05**2)
    image.set_noise_variance(image._deepcopy_with_new_data(claimed))
    result = fit(image, spatial="mean")
    np.testing.assert_allclose(result.data.get_noise_variance().data, claimed.flat[0] / 15)


def test_a_pixel_that_misses_a_frame_is_left_out_of_the_mean():
    image = make_series(noise=0.05, space=(3, 5))
    image.data[1, 2, :, 4] = np.nan
    image.data[1, 2] += 100.0
    rest = np.delete(image.data.reshape(15, 4, 9), 7, axis=0)
    with pytest.warns(UserWarning, match="1 of 15 pixels"):
        result = fit(image, spatial="mean")
    np.testing.assert_allclose(result.data.data, rest.mean(axis=0))


@pytest.mark.parametrize("spatial", ["auto", "mean"])
def test_lazy_equals_eager(spatial, of_noisy):
    series = make_series(noise=0.01) if spatial == "auto" else make_series(noise=0.01, space=(3, 5))
    eager = of_noisy if spatial == "auto" else members(fit(series, spatial=spatial))
    lazy = fit(series.as_lazy(), spatial=spatial)
    np.testing.assert_allclose(members(lazy), eager, rtol=1e-9)


def test_nan_frames_are_masked_with_a_warning():
    series = make_series(noise=0.01)
    whole = series.deepcopy()
    series.data[:, 3] = np.nan
    with pytest.warns(UserWarning, match="608"):
        masked = fit(series)
    dropped = make_series(np.delete(whole.data, 3, axis=1), dose=np.delete(DOSE, 3))
    # The same loss summed in another order, then 40 steps of training.
    np.testing.assert_allclose(members(masked), members(fit(dropped)), rtol=1e-3)


def test_what_is_missing_is_named_by_window():
    series = make_series(noise=0.01)
    names = list(map(str, series.window_names))
    series.data[0, 3] = np.nan
    series.data[1, 5] = np.nan
    expected = rf"{re.escape(names[0])}: frames at dose 608 .*; {re.escape(names[1])}: frames at"
    with pytest.warns(UserWarning, match=expected):
        fit(series)
    series.data[:] = np.nan
    with pytest.raises(ValueError, match="nothing to fit"):
        fit(series)


def test_unsorted_doses_are_sorted_with_the_data_and_a_warning(of_noisy):
    series = make_series(noise=0.01)
    backwards = make_series(series.data[:, ::-1], dose=DOSE[::-1])
    with pytest.warns(UserWarning, match="sorted"):
        result = fit(backwards)
    np.testing.assert_array_equal(members(result), of_noisy)
    np.testing.assert_array_equal(result.data.data, series.data)


@pytest.fixture(scope="module")
def of_counts():
    """Whole numbers, and what is found of them in double precision."""
    counts = np.round(1000 * values())
    return counts, members(fit(make_series(counts)))


@pytest.mark.parametrize("dtype", [np.float32, ">f4", "<i4", ">i2", np.uint16])
def test_number_types(dtype, of_counts):
    counts, expected = of_counts
    result = fit(make_series(counts.astype(dtype)))
    np.testing.assert_array_equal(members(result), expected)


def test_a_single_window_without_a_window_axis():
    s = hs.signals.Signal1D(values()[1], axes=[{"name": "dose", "axis": DOSE}])
    s.set_signal_type("DoseSeries")
    assert fit(s).rate.data.shape == (1,)


def test_known_offset_and_exponent_are_held():
    result = fit(make_series(), offset=[1.2, 0.5, 0.3, 2.0], exponent=1.25)
    np.testing.assert_allclose(result.offset.data, [1.2, 0.5, 0.3, 2.0], rtol=1e-6)
    np.testing.assert_allclose(result.exponent.data, 1.25, rtol=1e-6)


def test_stop_keeps_what_is_there():
    asked = []
    result = fit(make_series(), stop=lambda: asked.append(1) or len(asked) == 3)
    assert not result.complete
    assert "incomplete" in repr(result)
    assert "interrupted" in str(result)
    assert np.all(np.isfinite(result.integrity.data))


@pytest.mark.parametrize("phase", ["Adam", "L-BFGS"])
def test_ctrl_c_keeps_what_is_there(phase, monkeypatch):
    from hyperspy_dosekin.kinetics.network import fit as module
    from hyperspy_dosekin.kinetics.network.config import NetworkConfig
    from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData

    def press_ctrl_c(what, done, total):
        if what == phase and done > 0:
            raise KeyboardInterrupt

    problem = SeriesData.of(make_series()).problem()
    config = NetworkConfig(seeds=(1, 2), adam_epochs=30, warmup_epochs=5, lbfgs_iterations=30)
    result = module.fit_network(problem, config, progress=press_ctrl_c)
    assert not result.complete
    assert np.all(np.isfinite(result.integrity(DOSE)))


def test_patience_ends_adam_early():
    result = fit(make_series(), adam_epochs=400, learning_rate=1e-12, patience=7, seeds=(1,))
    assert result.history.n_adam < 50


def test_progress_follows_hyperspy(capsys):
    fit(make_series(), show_progressbar=True)
    assert "Adam" in capsys.readouterr().err
    fit(make_series(), show_progressbar=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"estimator": "magic"}, ValueError, "'pinn', 'exact'"),
        ({"spatial": "everywhere"}, ValueError, "'auto', 'mean', 'pixel', 'population', 'field'"),
        ({"protocol": "slow"}, ValueError, "'fast', 'paper'"),
        ({"spatial": "population", "estimator": "pinn"}, ValueError, "no field for a network"),
        ({"spatial": "pixel", "estimator": "pinn"}, ValueError, "exact"),
        ({"epochs": 3}, TypeError, "'epochs'"),
        ({"seeds": ()}, ValueError, "seeds is empty"),
        ({"seeds": (4, 4)}, ValueError, "repeat"),
        ({"offset": [1.0, 2.0]}, ValueError, "4 windows"),
        ({"offset": np.nan}, ValueError, "finite"),
        ({"exponent": -1.0}, ValueError, "exponent -1.0"),
        ({"device": "gpu"}, ValueError, "'gpu'"),
        ({"loss_weights": {"physics": 1.0}}, ValueError, "physics"),
        ({"loss_weights": {"ode": -1.0}}, ValueError, "negative"),
        ({"collocation": 0}, ValueError, "collocation"),
        ({"patience": 0}, ValueError, "patience"),
        ({"phases": ("newton",)}, ValueError, "'adam', 'lbfgs', 'gauss_newton'"),
        ({"phases": ()}, ValueError, "'adam'"),
    ],
)
def test_bad_options(options, error, match):
    with pytest.raises(error, match=match):
        fit(make_series(), **options)


def test_too_few_doses():
    with pytest.raises(ValueError, match=r"3 usable distinct doses.*at least 4"):
        fit(make_series(values()[:, :3], dose=DOSE[:3]))


@pytest.mark.parametrize("estimator", ["pinn", "exact"])
def test_what_is_known_takes_fewer_doses(estimator):
    three = make_series(values()[:, :3], dose=DOSE[:3])
    training = SHORT if estimator == "pinn" else {"show_progressbar": False}
    options = {**training, "estimator": estimator, "offset": [1.2, 0.5, 0.3, 2.0]}
    assert np.isfinite(three.fit_dose_pinn(**options).rate.data).all()
    two = make_series(values()[:, :2], dose=DOSE[:2])
    with pytest.raises(ValueError, match=r"rate k, exponent p, amplitude a .*at least 3"):
        two.fit_dose_pinn(**options)
    assert np.isfinite(two.fit_dose_pinn(**options, exponent=1.2).rate.data).all()


def test_too_few_usable_doses_in_one_window():
    series = make_series()
    series.data[2, 3:] = np.nan
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(ValueError, match=r"'C–O' has 3 usable.*at least 4"),
    ):
        fit(series)


def test_a_constant_window_is_named():
    series = make_series()
    series.data[1] = 7.0
    with pytest.raises(ValueError, match=r"C–C.*does not change"):
        fit(series)


def test_complex_data():
    series = hs.signals.Signal1D(values())
    series.set_signal_type("DoseSeries")
    series.data = series.data.astype(complex)
    with pytest.raises(TypeError, match="complex"):
        fit(series)


def test_negative_doses():
    with pytest.raises(ValueError, match="not negative"):
        fit(make_series(values(), dose=DOSE - 200))


def test_windows_named_otherwise_have_no_hierarchy():
    result = fit(make_series(names=("a", "b", "c", "d")))
    assert result.window_names == ("a", "b", "c", "d")
    assert np.abs(result.history.terms["hierarchy"]).max() == 0
    assert NAMES[0] not in str(result)


def test_doses_in_other_units_are_converted():
    series = make_series(noise=0.01)
    per_nm2 = make_series(series.data, dose=100 * DOSE)
    per_nm2.axes_manager.signal_axes[0].units = "e⁻/nm²"
    np.testing.assert_allclose(fit(per_nm2).dose, DOSE)


def test_the_exact_estimator_swallows_no_option():
    image = make_series(noise=0.01, space=(3, 5))
    with pytest.raises(TypeError, match="'offsett'"):
        image.fit_dose_pinn(offsett=0.0)
    with pytest.raises(ValueError, match=r"'adam_epochs'.*exact estimator"):
        image.fit_dose_pinn(adam_epochs=10)
