# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said where the law is wrong, and laws compared, as a user sees them."""

import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin


def series(values, names=("w",)):
    n_dose = values.shape[-1]
    axes = [{"size": size} for size in values.shape[:-2]]
    axes += [{"size": values.shape[-2], "name": "window"}]
    axes += [{"axis": 12.0 * np.arange(1, n_dose + 1), "name": "dose", "units": "e⁻/Å²"}]
    signal = hs.signals.Signal1D(values, axes=axes)
    signal.set_signal_type("DoseSeries")
    signal.metadata.set_item("Dose.window_names", list(names))
    return signal


def late(seed=0):
    phi = np.arange(1, 41) / 40
    noise = 0.01 * np.random.default_rng(seed).standard_normal((1, 40))
    return 1 + np.exp(-3 * np.maximum(phi - 0.2, 0)) + noise


@pytest.fixture(scope="module")
def wrong():
    return series(late()).fit_dose_pinn(estimator="exact")


def test_a_wrong_law_is_doubtful_in_flag_table_and_notes(wrong):
    assert not wrong.adequate.data[0]
    text = str(wrong)
    assert "doubtful" in text
    assert "does NOT describe the data" in text
    assert "Durbin–Watson" in wrong.check().get_string()


def test_shoulder_with_residuals_that_follow_each_other():
    random = np.random.default_rng(1)
    phi = np.arange(1.0, 112.0) / 111
    error = np.zeros(111)
    for i in range(1, 111):
        error[i] = 0.5 * error[i - 1] + 0.1 * random.normal()
    values = (np.where(phi < 0.35, 1, np.exp(-2.2 * (phi - 0.35))) + error)[None]
    text = str(series(values).fit_dose_pinn(estimator="exact", offset=0.0))
    assert "doubtful |" in text
    assert "p is at the lower end of its box" in text


def test_files_keep_the_tests(wrong, tmp_path):
    wrong.save(tmp_path / "wrong.hspy")
    same = hyperspy_dosekin.load(tmp_path / "wrong.hspy")
    np.testing.assert_array_equal(same.numbers.examination, wrong.numbers.examination)


def test_a_map_says_it_lazily():
    values = np.stack([late(1), late(2)])[:, None].repeat(3, axis=1)
    result = series(values).as_lazy().fit_dose_pinn(intervals=False)
    assert result.adequate._lazy
    result = result.compute(show_progressbar=False)
    assert result.adequate.data.shape == (1, 2, 3)
    assert not result.adequate.data.any()
    assert "100 % of the fitted pixels" in str(result)


def test_laws_are_compared_saved_and_drawn(tmp_path):
    phi = np.arange(1, 10) / 9
    noise = 0.01 * np.random.default_rng(0).standard_normal((2, 9))
    values = series(1 + np.exp(-np.array([[1.0], [4.0]]) * phi) + noise, ("slow", "fast"))
    found = hyperspy_dosekin.compare_laws(
        values, ["power law", "first order"], show_progressbar=False
    )
    assert set(found.verdict) == {"slow", "fast"}
    assert found.verdict["slow"] is None
    assert "the data cannot tell" in str(found)
    total = sum(weight.data for weight in found.weights.values())
    np.testing.assert_allclose(total, 1)
    average = found.average()
    low, high = average.interval("half_change_dose")
    assert (low.data < average.half_change_dose.data).all()
    assert (average.half_change_dose.data < high.data).all()
    assert average.adequate.data.all()
    assert not average.identifiable.data[0]
    found.save(tmp_path / "laws")
    same = hyperspy_dosekin.load(tmp_path / "laws.hspy")
    assert same.laws == found.laws
    np.testing.assert_array_equal(same.fields, found.fields)
    assert len(found.plot().axes) == 2


def test_comparison_is_lazy_where_the_series_is():
    phi = np.arange(1, 10) / 9
    values = (1 + np.exp(-2 * phi))[None] + 0.01 * np.random.default_rng(0).standard_normal(
        (2, 1, 9)
    )
    laws = ["power law", "first order"]
    eager = hyperspy_dosekin.compare_laws(series(values), laws, show_progressbar=False)
    lazy = hyperspy_dosekin.compare_laws(series(values).as_lazy(), laws)
    assert lazy.is_lazy
    np.testing.assert_allclose(lazy.computed(False).fields, eager.fields)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"laws": ["first order"]}, "two or more"),
        ({"laws": ["first order", "third order"]}, "third order"),
        ({"noise": "loud"}, "noise='loud'"),
        ({"spatial": "field"}, "spatial='field'"),
    ],
)
def test_wrong_options_of_the_comparison(options, match):
    with pytest.raises(ValueError, match=match):
        hyperspy_dosekin.compare_laws(series(late()), **options)
