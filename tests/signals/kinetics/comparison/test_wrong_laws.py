# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said where the law is wrong, and laws compared, as a user sees them."""

import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.kinetics.comparison.comparison import LAW_FIELDS
from tests.tables import check_tables


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
    return series(late()).fit_dose_pinn(estimator="exact", correlated=False)


def test_a_wrong_law_may_be_noise_that_follows_itself():
    result = series(late()).fit_dose_pinn(estimator="exact")
    assert not result.identifiable.data[0]
    assert "neighbouring frames are correlated" in str(result)
    assert "compare_laws" in str(result)


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
    result = series(values).fit_dose_pinn(estimator="exact", offset=0.0)
    # The noise does follow itself, and with that D½ is right, though the law is not.
    assert "residuals of neighbouring frames are correlated" in str(result)
    assert "p is at the lower end of its box" in str(result)
    reasons = "residuals that follow each other; a parameter at the end of its box"
    assert f"does NOT describe the data ({reasons}" in str(result)
    assert "doubtful |" in str(result)
    lower, upper = (end.data[0] for end in result.interval("half_integrity_dose"))
    assert lower < 12 * 111 * (0.35 + np.log(2) / 2.2) < upper
    text = str(series(values).fit_dose_pinn(estimator="exact", offset=0.0, correlated=False))
    assert "doubtful |" in text


def test_files_keep_the_tests(wrong, tmp_path):
    wrong.save(tmp_path / "wrong.hspy")
    same = hyperspy_dosekin.load(tmp_path / "wrong.hspy")
    np.testing.assert_array_equal(same.numbers.examination, wrong.numbers.examination)


def test_a_map_says_it_lazily():
    values = np.stack([late(1), late(2)])[:, None].repeat(3, axis=1)
    result = series(values).as_lazy().fit_dose_pinn(intervals=False, correlated=False)
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


def test_comparison_is_lazy_where_the_series_is(tmp_path):
    phi = np.arange(1, 10) / 9
    values = (1 + np.exp(-2 * phi))[None] + 0.01 * np.random.default_rng(0).standard_normal(
        (3, 1, 9)
    )
    laws = ["power law", "first order"]
    eager = hyperspy_dosekin.compare_laws(series(values), laws, show_progressbar=False)
    lazy = hyperspy_dosekin.compare_laws(series(values).as_lazy(), laws)
    assert lazy.is_lazy
    np.testing.assert_allclose(lazy.computed(False).fields, eager.fields)
    # Three pixels, two laws: a file of another size than the number of laws is whole all the same.
    lazy.save(tmp_path / "map.hspy")
    same = hyperspy_dosekin.load(tmp_path / "map.hspy")
    np.testing.assert_array_equal(same.fields, lazy.computed(False).fields)
    check_tables(lazy, tmp_path, 6)
    frame = same.to_dataframe()
    one = frame[frame.law == "first order"]
    np.testing.assert_array_equal(one.weight, same.weights["first order"].data[0])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"laws": ["first order"]}, "two or more"),
        ({"laws": ["first order", "third order"]}, "third order"),
        ({"noise": "loud"}, "noise 'loud'"),
        ({"spatial": "field"}, "spatial='field'"),
    ],
)
def test_wrong_options_of_the_comparison(options, match):
    with pytest.raises(ValueError, match=match):
        hyperspy_dosekin.compare_laws(series(late()), **options)


def test_a_map_of_a_comparison_is_window_first():
    random = np.random.default_rng(3)
    phi = np.arange(1, 10) / 9
    clean = 1 + np.exp(-np.array([[1.5], [4.0]]) * phi)
    values = clean + 0.005 * random.standard_normal((5, 2, 9))
    found = hyperspy_dosekin.compare_laws(
        series(values, ("slow", "fast")), ["power law", "first order"], show_progressbar=False
    )
    mean = found.average()
    assert mean.half_integrity_dose.data.shape == (2, 5)
    assert mean.interval()[0].data.shape == (2, 5)
    assert found.weights["power law"].data.shape == (2, 5)
    place = found.verdict_map.data
    assert place.shape == (2, 5)
    assert set(np.unique(place)) <= {-1.0, 0.0, 1.0}
    for window, row in zip(("slow", "fast"), place, strict=True):
        # A law is that of the window where it is that of more than half of its pixels.
        named = [law for i, law in enumerate(found.laws) if (row == i).mean() > 0.5]
        assert found.verdict[window] == (named[0] if named else None)
    slow, fast = mean.half_change_dose.data
    assert (slow > fast).all()


def test_recovery_needs_the_dose_rate_and_gives_its_own_in_time():
    phi = np.arange(1, 20) / 19
    noise = 0.002 * np.random.default_rng(4).standard_normal((1, 19))
    values = series(((0.3 + np.exp(-5 * phi)) / 1.3)[None] + noise)
    with pytest.raises(ValueError, match="dose rate"):
        values.fit_dose_pinn(law="reversible", offset=0.0)
    with pytest.raises(ValueError, match="dose rate"):
        hyperspy_dosekin.compare_laws(values, ["first order", "reversible"], offset=0.0)
    values.metadata.set_item("Dose.dose_rate", 2.0)
    result = values.fit_dose_pinn(law="reversible", offset=0.0)
    np.testing.assert_allclose(result.parameters["recovery"].data, 0.3, atol=0.05)
    # r = q k J, k = 5/1.3 in 228 e⁻/Å².
    rate = float(str(result).split("recovery rate r = w: ")[1].split(" ")[0])
    assert rate == pytest.approx(0.3 * (5 / 1.3) / 228 * 2, rel=0.2)
    compared = hyperspy_dosekin.compare_laws(values, offset=0.0, show_progressbar=False)
    assert "reversible" in compared.laws
    assert "power law with plateau" in compared.laws
    free = hyperspy_dosekin.compare_laws(values, show_progressbar=False)
    assert "reversible" not in free.laws


def test_a_comparison_takes_the_options_of_a_fit():
    phi = np.arange(1, 10) / 9
    noise = 0.01 * np.random.default_rng(1).standard_normal((1, 9))
    values = series(np.exp(-1.5 * phi)[None] + noise)
    laws = ["power law", "first order"]
    spread = []
    for nonnegative in (False, True):
        mean = hyperspy_dosekin.compare_laws(values, laws, nonnegative=nonnegative).average()
        low, high = (end.data[0] for end in mean.interval())
        spread.append(np.log(high / low))
    assert spread[1] < 0.7 * spread[0]
    with pytest.raises(TypeError, match="exponent"):
        hyperspy_dosekin.compare_laws(values, laws, exponent=1.0)
    with pytest.raises(ValueError, match="prior=None"):
        hyperspy_dosekin.compare_laws(values, laws, prior=None)


@pytest.mark.parametrize("version", [1, 2])
def test_comparisons_of_earlier_layouts_are_read(version, tmp_path):
    phi = np.arange(1, 10) / 9
    noise = 0.01 * np.random.default_rng(1).standard_normal((1, 9))
    found = hyperspy_dosekin.compare_laws(
        series(np.exp(-3 * phi)[None] + noise), ["power law", "first order"]
    )
    expected = found.average().half_integrity_dose.data
    # Nothing was kept of the offset at its bound, and doses were in units of the largest first.
    fields = found.fields[:, : LAW_FIELDS.index("bound_mass")].copy()
    if version == 1:
        fields[:, 3:] -= np.log(found.data.dose[-1])
    old = hyperspy_dosekin.LawComparison(found.data, found.laws, fields)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hyperspy_dosekin.signals.kinetics.comparison.file.FORMAT", version)
        old.save(tmp_path / "old.hspy")
    same = hyperspy_dosekin.load(tmp_path / "old.hspy")
    np.testing.assert_allclose(same.average().half_integrity_dose.data, expected)


def test_the_tests_of_fit_do_not_depend_on_the_dose_scale():
    phi = np.arange(1, 10) / 9
    noise = 0.01 * np.random.default_rng(1).standard_normal((1, 9))
    values = series(1 + np.exp(-3 * phi)[None] + noise)
    p_values, evidence = [], []
    for scale in (None, 20.0):
        result = values.fit_dose_pinn(estimator="exact", prior=None, dose_scale=scale)
        p_values.append(result.numbers.examination[6:11])
        found = hyperspy_dosekin.compare_laws(
            values, ["power law", "first order"], dose_scale=scale
        )
        evidence.append(found.average().half_change_dose.data)
    np.testing.assert_allclose(*p_values, rtol=0.02)
    np.testing.assert_allclose(*evidence, rtol=0.02)


def test_figures_say_that_a_number_is_doubtful(wrong):
    def texts(figure):
        found = [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]
        return " ".join(found).replace("\n", " ")

    assert "doubtful" in texts(wrong.plot())
    assert "D½ doubtful" in texts(wrong.plot_parameters())
    phi = np.arange(1, 10) / 9
    noise = 0.005 * np.random.default_rng(1).standard_normal((1, 9))
    right = series(1 + np.exp(-4 * phi)[None] + noise).fit_dose_pinn(estimator="exact")
    assert "oubtful" not in texts(right.plot()) + texts(right.plot_parameters())


def test_what_happens_before_the_first_frame_is_left_open_by_the_average_over_laws():
    # Hardly any of these is right by a power law, and none of its residuals shows that.
    phi, random = np.arange(1, 10) / 9, np.random.default_rng(3)
    rate = np.exp(random.uniform(np.log(0.3), np.log(8), 40))[:, None]
    values = 1 + np.exp(-np.sqrt(rate * phi)) + 0.002 * random.standard_normal((40, 9))
    found = hyperspy_dosekin.compare_laws(
        series(values[:, None]), offset=1.0, show_progressbar=False
    ).average()
    half = found.half_integrity_dose.data[0] / (12 * 9)
    kept = (found.identifiable.data & found.adequate.data)[0]
    wrong = np.abs(np.log(half * rate[:, 0] / np.log(2) ** 2)) > 0.2
    assert (kept & wrong).mean() < 0.05


def test_what_a_determined_dose_takes_for_granted_is_said():
    phi, random = np.arange(1, 10) / 9, np.random.default_rng(0)
    decays = np.exp(-np.array([[3.0], [0.5]]) * phi)
    areas = series(1 + decays + 0.002 * random.standard_normal((2, 9)), ("fast", "slow"))
    known = str(areas.fit_dose_pinn(estimator="exact", offset=1.0, show_progressbar=False))
    assert "fast, slow: D½ assumes that the given offset holds at every dose" in known
    assert "gone at the first frame: fast 28 %." in known
    assert "ends at b" not in known
    free = str(areas.fit_dose_pinn(estimator="exact", show_progressbar=False))
    assert "fast ends at b" in free
    assert "holds at every dose" not in free


def test_an_average_says_what_it_found():
    phi, random = np.arange(1, 10) / 9, np.random.default_rng(0)
    decays = 1 + np.exp(-np.array([[3.0], [0.2]]) * phi) + 0.01 * random.standard_normal((2, 9))
    areas = series(decays, ("fast", "slow"))
    laws = ["power law", "first order"]
    average = hyperspy_dosekin.compare_laws(areas, laws, show_progressbar=False).average()
    assert repr(average) == "<AveragedKinetics, 2 laws, 2 windows>"
    assert "half-change dose" in str(average)
    assert "slow: the data do NOT determine D½" in str(average)
    assert len(str(average).splitlines()) < 12
    assert "<table" in average._repr_html_()
