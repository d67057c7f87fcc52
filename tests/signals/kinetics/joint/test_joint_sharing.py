# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What series can share beside the shape, on curves that SciPy integrated."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import hyperspy_dosekin
from hyperspy_dosekin import fit_dose_jointly

FIRST, SECOND = np.linspace(100, 900, 9), np.linspace(200, 2000, 10)
RATES = np.array([2.0, 1.0, 4.0]) / 900
ORDER = 1.3
HALF = (2 ** (ORDER - 1) - 1) / (ORDER - 1)


def series(seed, rates, names, dose, order=ORDER, before=0.0, factor=1.0, recovery=0.0, **beam):
    """−dC/dD = k Cᵖ − r/J (1 − C) from no dose at all; the axis says (D/factor − before)."""
    random = np.random.default_rng(seed)
    dose_rate = beam.get("dose_rate", 1.0)
    true = (dose + before) * factor
    rows = [
        solve_ivp(
            lambda _, c, k=k: -k * np.clip(c, 0, None) ** order + recovery / dose_rate * (1 - c),
            (0, 1.001 * true[-1]), [1.0], t_eval=true, rtol=1e-9, atol=1e-11,
        ).y[0]
        for k in rates
    ]  # fmt: skip
    values = np.array(rows) + 0.7 + 0.004 * random.normal(size=(len(rates), dose.size))
    s = hs.signals.Signal1D(values, axes=[{"size": len(rates)}, {"axis": dose, "units": "e⁻/Å²"}])
    s.set_signal_type("DoseSeries")
    s.metadata.set_item("Dose.window_names", list(names))
    if beam:
        s.metadata.set_item("Dose.dose_rate", dose_rate)
    return s


def pair(seed=0, second=1.0, **options):
    other = {name: value for name, value in options.items() if name != "factor"}
    return {
        "A": series(seed, RATES, "abc", FIRST, **other),
        "B": series(seed + 1, second * RATES[:2], "ab", SECOND, **options),
    }


def fitted(given, share, **options):
    return fit_dose_jointly(given, share=share, common_mode=False, **options)


def widths(found, name="A"):
    lower, upper = (end.data for end in found[name].interval("half_integrity_dose"))
    return np.log(upper / lower)


def numbers(found):
    return {each.name: each for each in found.shared}


@pytest.fixture(scope="module")
def same():
    return pair()


@pytest.fixture(scope="module")
def only_shape(same):
    return fitted(same, ("exponent",))


def test_same_rates(same, only_shape, tmp_path):
    found = fitted(same, ("exponent", "rate"))
    np.testing.assert_allclose(
        found["A"].half_integrity_dose.data[:2], found["B"].half_integrity_dose.data, rtol=1e-3
    )
    for name, result in found.items():
        lower, upper = (end.data for end in result.interval("half_integrity_dose"))
        truth = HALF / RATES[: len(lower)]
        assert np.all((0.97 * lower < truth) & (truth < 1.03 * upper)), name
    assert np.mean(widths(found) / widths(only_shape)) < 0.95
    assert found.agrees
    assert found.tests["rate"] > 0.01
    rate = numbers(found)["rate b"]
    assert rate.lower < rate.estimate < rate.upper
    found.save(tmp_path / "joint.hspy")
    again = hyperspy_dosekin.load(tmp_path / "joint.hspy")
    assert str(again) == str(found)
    assert again.check().get_string() == found.check().get_string()
    np.testing.assert_array_equal(
        again["B"].interval("rate", 0.8)[0].data, found["B"].interval("rate", 0.8)[0].data
    )


def test_ratios_of_rates(tmp_path):
    given = pair(second=2.5)
    found = fitted(given, ("exponent", "rate ratio"))
    ratio = numbers(found)["rate ratio b / a"]
    assert ratio.lower < 0.5 < ratio.upper
    assert found.tests["rate ratio"] > 0.01
    false = fitted(given, ("exponent", "rate"))
    assert not false.agrees
    assert "does NOT hold" in str(false["A"])
    text = false.check().get_string()
    assert "do not decay at the same rate" in text
    assert "common exponent, rate" not in text  # rates have a test of their own


def test_scales_of_dose_axes_are_found_within_their_error():
    given = pair(factor=1.3)
    found = fitted(given, ("exponent", "dose error"), dose_uncertainty=0.15)
    scales = numbers(found)
    relative = scales["dose scale B"].estimate / scales["dose scale A"].estimate
    assert 1.15 < relative < 1.45
    # Doses are shown as they were found, and both series say the same.
    assert found["B"].dose[-1] == pytest.approx(SECOND[-1] * np.exp(np.log(
        scales["dose scale B"].estimate)), rel=0.02)  # fmt: skip
    np.testing.assert_allclose(
        found["A"].half_integrity_dose.data[:2], found["B"].half_integrity_dose.data, rtol=0.03
    )
    np.testing.assert_allclose(found["B"].data.data, given["B"].data)
    alone = fitted(given, ("exponent",), dose_uncertainty=0.15)
    assert np.mean(widths(found, "B")) < np.mean(widths(alone, "B"))


def test_one_pre_exposure_of_all_series(tmp_path):
    given = pair(before=120.0)
    uncertainty = {"pre_exposure": 100.0}
    found = fitted(given, ("exponent", "pre-exposure"), dose_uncertainty=uncertainty)
    before = numbers(found)["pre_exposure"]
    assert before.lower < 120 < before.upper
    assert before.upper < 400
    assert found["A"].dose[0] == pytest.approx(100 + before.estimate)
    lower, upper = (end.data for end in found["A"].interval("half_integrity_dose"))
    assert np.all((lower < HALF / RATES) & (upper > HALF / RATES))
    found.save(tmp_path / "joint.hspy")
    assert str(hyperspy_dosekin.load(tmp_path / "joint.hspy")) == str(found)
    # What a law makes visible is found: nothing happens up to a dose that lies before the frames.
    assert found["A"].data.axes_manager[-1].axis[0] > 100


def test_recovery_in_time_at_two_dose_rates():
    common = {"order": 1.0, "recovery": 0.012}
    given = {
        "slow": series(0, RATES, "abc", FIRST, dose_rate=8.0, **common),
        "quick": series(1, RATES[:2], "ab", SECOND, dose_rate=40.0, **common),
    }
    found = fitted(given, ("recovery rate",), law="reversible", offset=0.7)
    rate = numbers(found)["recovery_rate"]
    assert rate.lower < 0.012 < rate.upper
    assert rate.upper / rate.lower < 2
    shares = found["slow"].parameters["recovery"].data * found["slow"].rate_per_dose.data * 8.0
    np.testing.assert_allclose(shares, rate.estimate, rtol=0.03)
    other = found["quick"].parameters["recovery"].data * found["quick"].rate_per_dose.data * 40.0
    np.testing.assert_allclose(other, rate.estimate, rtol=0.03)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share": ("rate",)}, 'add "shape"'),
        ({"share": ("exponent", "rate", "rate ratio")}, "contradict each other"),
        ({"share": ("exponent", "dose error")}, "taken as exact"),
        ({"share": ("exponent", "pre-exposure")}, "how large it may be"),
        ({"share": ("recovery rate",)}, "'reversible'"),
        ({"share": ("recovery rate",), "law": "reversible"}, "dose_rate"),
        ({"share": ("exponent", "rate"), "estimator": "pinn"}, "networks share the exponent"),
        ({"share": ("exponent", "rates")}, "did you mean"),
    ],
)
def test_what_makes_no_sense_is_refused(same, options, words):
    with pytest.raises(ValueError, match=words):
        fit_dose_jointly(same, **options)


def test_windows_and_units_have_to_be_common(same):
    other = series(3, RATES[:2], "xy", SECOND)
    with pytest.raises(ValueError, match="same name in two series"):
        fitted({"A": same["A"], "B": other}, ("exponent", "rate"))
    with pytest.raises(ValueError, match="two windows of the same name"):
        fitted({"A": same["A"], "B": same["B"].inav[:1]}, ("exponent", "rate ratio"))
    gray = same["B"].deepcopy()
    gray.axes_manager[-1].units = "MGy"
    with pytest.raises(ValueError, match="different units"):
        fitted({"A": same["A"], "B": gray}, ("exponent", "rate"))
