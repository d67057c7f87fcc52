# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning as a user calls it: inputs, texts, figure, file, errors."""

import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin import plan_dose_series
from tests.tables import check_tables

QUICK = {"noise": 0.01, "dose_budget": 1500.0, "n_frames": 5, "n_simulated": 0}


@pytest.fixture(scope="module")
def series():
    return hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()


@pytest.fixture(scope="module")
def result(series):
    return series.fit_dose_pinn(estimator="exact")


@pytest.fixture(scope="module")
def plan():
    return plan_dose_series(
        (400.0, 0.3), **{**QUICK, "n_simulated": 48}, dose_unit="e⁻/Å²", least_dose=20.0
    )


def test_plan_says_what_to_do(plan):
    text = str(plan)
    assert plan.dose.shape == (5,)
    assert plan.dose[0] >= 20
    assert plan.dose[-1] <= 1500
    assert np.all(np.diff(plan.dose) >= 20 * (1 - 1e-6))
    assert "5 frames that end at the cumulative doses" in text
    assert "e⁻/Å²" in text
    assert "determined with probability" in text
    assert "even steps" in text
    assert "<DosePlan, 5 frames" in repr(plan)
    assert "even steps" in plan._repr_html_()


def test_plan_is_the_best_of_its_table(plan):
    rows = {row.name: row.sd for row in plan.compared}
    assert plan.expected_sd == rows["this plan"]
    assert rows["this plan"] < rows["even steps"]
    assert rows["this plan, offset known"] < rows["this plan"]
    assert rows["planned for twice the budget"] < rows["this plan"]
    assert rows["this plan, four pixels averaged"] < rows["this plan"]


def test_more_pixels_are_less_noise():
    one = plan_dose_series(400.0, **QUICK, pixels=16, seed=2)
    other = plan_dose_series(400.0, **{**QUICK, "noise": 0.0025}, seed=2)
    assert one.expected_sd == pytest.approx(other.expected_sd)


def test_counts_are_noise():
    one = plan_dose_series(400.0, **{**QUICK, "noise": {"counts": 1e4}})
    assert one.expected_sd == pytest.approx(plan_dose_series(400.0, **QUICK).expected_sd)


def test_unit_of_the_dose_does_not_matter():
    one = plan_dose_series(400.0, **QUICK)
    other = plan_dose_series(4.0, **{**QUICK, "dose_budget": 15.0})
    np.testing.assert_allclose(other.dose * 100, one.dose, rtol=1e-6, atol=1e-6)
    assert other.expected_sd == pytest.approx(one.expected_sd)


def test_number_of_frames_by_itself():
    found = plan_dose_series(
        400.0,
        noise={"sd": 0.01, "dose": 150.0},
        dose_budget=1500.0,
        n_frames=None,
        least_dose=50.0,
        n_simulated=0,
    )
    assert found.dose.size == 30


def test_earlier_result_and_measured_noise(result, series):
    found = plan_dose_series(result, **{**QUICK, "noise": series})
    assert found.dose_unit == result.dose_unit
    half = result.half_integrity_dose.data
    middle = np.interp(0.5, found.curves["middle"][::-1], found.curves["dose"][::-1])
    assert 0.2 * np.nanmin(half) < middle < 5 * np.nanmax(half)


def test_tables(plan, tmp_path):
    check_tables(plan, tmp_path, sum(len(row.dose) for row in plan.compared))
    frame = plan.to_dataframe()
    np.testing.assert_array_equal(frame.dose[: plan.dose.size], plan.dose)
    last = frame.groupby("plan").dose.max()
    np.testing.assert_allclose(frame.groupby("plan").dose_of_frame.sum(), last)
    assert frame.attrs["units"]["dose_of_frame"] == plan.dose_unit


def test_figure(plan):
    figure = plan.plot()
    curves, bars = figure.axes
    assert "e⁻/Å²" in curves.get_xlabel()
    assert len(bars.get_yticklabels()) == len(plan.compared)


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_round_trip(plan, tmp_path, extension):
    plan.save(tmp_path / f"plan.{extension}")
    same = hyperspy_dosekin.load(tmp_path / f"plan.{extension}")
    assert str(same) == str(plan)
    assert same.compared == plan.compared
    for name, curve in plan.curves.items():
        np.testing.assert_allclose(same.curves[name], curve)


def test_changed_file_is_found(plan, tmp_path):
    plan.save(tmp_path / "plan.hspy")
    signal = hs.load(tmp_path / "plan.hspy")
    signal.data = signal.data * 1.01
    signal.save(tmp_path / "plan.hspy", overwrite=True)
    with pytest.raises(ValueError, match="damaged"):
        hyperspy_dosekin.load(tmp_path / "plan.hspy")


def test_specimens_by_simulation():
    """So many specimens find the ratio as often as promised, by a t-test of SciPy."""
    from scipy import stats

    found = plan_dose_series(400.0, **{**QUICK, "dose_budget": 3000.0})
    number = found.specimens(1.3, between=0.15, power=0.8)
    random = np.random.default_rng(0)
    spread = np.hypot(found.expected_sd, 0.15)
    one, other = random.normal(0, spread, (2, 4000, number))
    share = np.mean(stats.ttest_ind(one, other + np.log(1.3), axis=1).pvalue < 0.05)
    assert 0.77 < share < 0.97
    assert found.specimens(1.3, between=0.4) > number


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"expected": "much"}, TypeError, "half_integrity_dose"),
        ({"expected": -3.0}, ValueError, "positive"),
        ({"expected": {"exponent": 1.0}}, ValueError, "half_integrity_dose"),
        ({"expected": {"half_integrity_dose": 400.0, "exponnt": 1.0}}, ValueError, "exponnt"),
        ({"noise": 0.0}, ValueError, "noise=0.0"),
        ({"noise": {"sd": 0.01, "counts": 4}}, ValueError, "one of them"),
        ({"noise": {"deviation": 0.01}}, ValueError, "deviation"),
        ({"dose_budget": np.inf}, ValueError, "dose_budget"),
        ({"dose_budget": "large"}, TypeError, "dose_budget"),
        ({"n_frames": 3}, ValueError, "at least 4"),
        ({"n_frames": None}, ValueError, "noise that depends"),
        ({"n_frames": 9, "least_dose": 400.0}, ValueError, "room for 3"),
        ({"least_dose": 2000.0}, ValueError, "least_dose"),
        ({"pixels": 0}, ValueError, "pixels"),
        ({"goal": "half_dose"}, ValueError, "half_integrity_dose"),
    ],
)
def test_bad_input(changes, error, words):
    call = {"expected": 400.0, **QUICK, **changes}
    with pytest.raises(error, match=words):
        plan_dose_series(call.pop("expected"), **call)


def test_series_without_variance_cannot_tell_the_noise():
    signal = hs.signals.Signal1D(np.ones((2, 5)))
    signal.set_signal_type("DoseSeries")
    signal.axes_manager[-1].scale = 100.0
    with pytest.raises(ValueError, match="no noise variance"):
        plan_dose_series(400.0, **{**QUICK, "noise": signal})


def test_what_cannot_be_determined_is_said():
    found = plan_dose_series(
        (5000.0, 0.1), noise=0.05, dose_budget=500.0, n_frames=5, n_simulated=32
    )
    text = str(found)
    assert "NOT be determined" in text
    assert "beyond the budget" in text


@pytest.mark.parametrize(("exponent", "between"), [(0.3, 0.1), (0.1, 0.2)])
def test_dose_rates_have_the_power_that_was_asked_for(plan, exponent, between):
    """Straight lines through simulated ln D½, made with NumPy and SciPy alone."""
    from scipy import stats

    number = plan.dose_rates(exponent, span=25.0, n_rates=3, between=between, power=0.8)
    random = np.random.default_rng(0)
    place = np.repeat(np.log([1.0, 5.0, 25.0]), number)
    spread = np.hypot(plan.expected_sd, between)
    found = [
        stats.linregress(place, -exponent * place + spread * random.normal(size=place.size)).pvalue
        for _ in range(400)
    ]
    # Whole numbers of specimens have at least that power; 400 repeats know it to 0.02.
    assert np.mean(np.array(found) < 0.05) > 0.74
    assert plan.dose_rates(exponent, span=4.0, between=between) >= number


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"exponent": 0.0}, "exponent"),
        ({"exponent": 0.2, "span": 1.0}, "span"),
        ({"exponent": 0.2, "n_rates": 1}, "n_rates"),
        ({"exponent": 0.2, "between": -1}, "between"),
        ({"exponent": 1e-6, "between": 1.0}, "1000"),
    ],
)
def test_dose_rates_that_are_not_possible(plan, wrong, message):
    with pytest.raises(ValueError, match=message):
        plan.dose_rates(**wrong)
