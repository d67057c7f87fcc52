# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Series of several conditions as a user fits them."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin import fit_dose_conditions
from tests.tables import check_tables

RATES = [1.0, 1.0, 5.0, 5.0, 25.0, 25.0]
DOSE = 100.0 * np.arange(1, 10)
#: True exponent of the dose rate.
BETA = 0.25


def dose_series(random, rate, factor=1.0, windows=("C–O", "C–C"), unit="e⁻/Å²", dose=DOSE):
    slow = np.array([1.0, 0.6, 0.3])[: len(windows), None]
    values = 3 * np.exp(-slow * dose / 300 * rate**BETA * factor) + 2
    signal = hs.signals.Signal1D(values + 0.02 * random.normal(size=values.shape))
    signal.axes_manager[-1].convert_to_non_uniform_axis()
    signal.axes_manager[-1].axis = dose
    signal.axes_manager[-1].units = unit
    signal.set_signal_type("DoseSeries")
    signal.metadata.set_item("Dose.window_names", list(windows))
    signal.metadata.set_item("Dose.dose_rate", rate)
    return signal


@pytest.fixture(scope="module")
def series():
    random = np.random.default_rng(3)
    return [dose_series(random, rate) for rate in RATES]


@pytest.fixture(scope="module")
def result(series):
    return fit_dose_conditions(series, conditions={"dose_rate": RATES})


def test_effect_is_found(result):
    table = result.effects
    assert list(table.columns) == ["effect", "window", "estimate", "lower", "upper", "p"]
    assert list(table.window) == ["C–O", "C–C"]
    assert (table.lower < BETA).all()
    assert (table.upper > BETA).all()
    assert (table.p < 0.05).all()


def test_half_integrity_dose_of_each_series(result):
    table = result.half_integrity_dose
    assert len(table) == 12
    for row in table.itertuples():
        rate = RATES[result.names.index(row.series)]
        slow = {"C–O": 1.0, "C–C": 0.6}[row.window]
        truth = 300 * np.log(2) / (slow * rate**BETA)
        assert 0.75 * row.lower < truth < 1.33 * row.upper
        assert row.lower < row.estimate < row.upper


def test_texts_say_what_was_done(result, tmp_path):
    text = str(result)
    assert "<ConditionKinetics, 6 series, 2 windows, first order, effects of dose_rate>" in text
    assert "Reference: dose_rate = 5" in text
    assert "4 of 5 find" in text
    assert "NOT determined" not in text
    assert "<table" in result._repr_html_()
    assert "found 4 times out of 5" in str(result.test("dose_rate", "C–O"))
    assert len(result.test("dose_rate")) == 2
    check_tables(result, tmp_path, 2)
    check_tables(result, tmp_path, 12, table="half_integrity_dose")
    with pytest.raises(ValueError, match="did you mean 'effects'"):
        result.to_dataframe("effect")


def test_ratio_of_series_and_of_conditions(result):
    found = result.ratio({"dose_rate": 1.0}, {"dose_rate": 25.0})
    truth = 25**BETA
    assert ((found.lower < truth) & (truth < found.upper)).all()
    same = result.ratio(0, "series 1")
    np.testing.assert_allclose(same[["estimate", "lower", "upper"]], 1.0)


def test_prediction(result):
    found = result.predict(dose_rate=5.0)
    middle = found.integrity.data
    assert found.integrity.metadata.Signal.signal_type == "DoseSeries"
    assert np.all(found.lower.data <= middle)
    assert np.all(middle <= found.upper.data)
    assert np.all(np.diff(middle, axis=-1) <= 1e-9)
    np.testing.assert_allclose(middle[:, 0], 1)
    truth = 300 * np.log(2) / 5**BETA
    row = found.half_integrity_dose.iloc[0]
    assert row.lower < truth < row.upper
    beyond = result.predict([0.0, 50.0], dose_rate=60.0)
    width = np.log(beyond.half_integrity_dose.upper / beyond.half_integrity_dose.lower)
    inside = np.log(found.half_integrity_dose.upper / found.half_integrity_dose.lower)
    assert (width > inside).all()
    assert "outside the range" in beyond.notes[0]
    with pytest.raises(ValueError, match="further outside"):
        result.predict(dose_rate=1e5)
    with pytest.raises(ValueError, match="ascending"):
        result.predict([5.0, 1.0])


def test_without_repeats_the_spread_is_not_known():
    random = np.random.default_rng(0)
    found = fit_dose_conditions(
        [dose_series(random, 1.0), dose_series(random, 25.0)], conditions={"dose_rate": [1, 25]}
    )
    assert found.specimen_spread.estimate.isna().all()
    assert "NOT determined" in str(found)


def test_spread_between_specimens_is_found():
    random = np.random.default_rng(1)
    factors = np.exp(0.4 * random.normal(size=12))
    series = [dose_series(random, 1.0, factor) for factor in factors]
    found = fit_dose_conditions(series, conditions={"gas": ["air", "none"] * 6})
    assert (found.specimen_spread.lower > 0.1).all()
    assert (found.specimen_spread.lower < 0.4).all()
    assert (found.specimen_spread.upper > 0.4).all()
    # Two specimens of the same rate may differ; their mean is what the effect is about.
    assert (found.effects.lower < 0).all()
    assert (found.effects.upper > 0).all()


def test_series_of_other_lengths_and_order_of_windows(series):
    random = np.random.default_rng(4)
    other = dose_series(random, 5.0, windows=("C–O", "C–C", "M–O"), dose=60.0 * np.arange(1, 15))
    with pytest.warns(UserWarning, match="M–O"):
        found = fit_dose_conditions([*series, other], conditions={"dose_rate": [*RATES, 5.0]})
    assert found.window_names == ("C–O", "C–C")
    assert found.largest_dose[-1] == pytest.approx(840)


def test_conditions_from_metadata(series):
    found = fit_dose_conditions(series, conditions={"dose_rate": None}, windows="C–O")
    assert "read from metadata.Dose.dose_rate" in str(found)
    again = fit_dose_conditions(series, conditions={"dose_rate": RATES}, windows=["C–O"])
    assert found.effects.equals(again.effects)


def test_any_condition_from_metadata(series):
    """A temperature for each frame, a text, and a place that the user names."""
    given = [each.deepcopy() for each in series]
    for place, each in enumerate(given):
        each.metadata.set_item(
            "Acquisition_instrument.TEM.Stage.temperature", [99.0 + 100 * (place % 2), 101.0]
        )
        each.metadata.set_item("Sample.atmosphere", "water" if place in (1, 2, 5) else "none")
        each.metadata.set_item("General.coating", float(place == 3))
    found = fit_dose_conditions(
        given,
        conditions={"temperature": None, "atmosphere": None, "coat": "General.coating"},
        windows="C–O",
    )
    assert found.design.effects == ("temperature", "atmosphere[water]", "coat")
    assert found.design.conditions[0].values == (100.0, 150.0) * 3
    assert "coat was read from metadata.General.coating: [0.0, 0.0, 0.0, 1.0" in str(found)
    given[2].metadata.set_item("Sample.atmosphere", [["a"]])
    with pytest.raises(ValueError, match="neither a number nor a text"):
        fit_dose_conditions(given, conditions={"atmosphere": None})


def test_own_shape_of_each_series(series):
    found = fit_dose_conditions(
        series, conditions={"dose_rate": RATES}, law="power law", shape="each"
    )
    assert (found.effects.lower < BETA).all()
    assert (found.effects.upper > BETA).all()
    assert "shape of its own" in str(found)
    with pytest.raises(ValueError, match="own shape"):
        found.predict(dose_rate=5.0)


def test_unit_and_scale_of_the_dose_do_not_matter(series):
    """The same doses in another unit: the same effects, D½ in that unit."""
    one = fit_dose_conditions(series, conditions={"dose_rate": RATES}, windows="C–O")
    scaled = []
    for each in series:
        each = each.deepcopy()
        each.axes_manager[-1].axis = each.axes_manager[-1].axis / 1000
        each.axes_manager[-1].units = "MGy"
        scaled.append(each)
    other = fit_dose_conditions(scaled, conditions={"dose_rate": RATES}, windows="C–O")
    assert other.dose_unit == "MGy"
    np.testing.assert_allclose(other.effects.estimate, one.effects.estimate, atol=1e-9)
    np.testing.assert_allclose(
        other.half_integrity_dose.estimate * 1000, one.half_integrity_dose.estimate
    )


def test_input_is_not_changed_and_fits_repeat(series):
    before = [each.data.copy() for each in series]
    first, second = (
        fit_dose_conditions(series, conditions={"dose_rate": RATES}, windows="C–O", seed=3)
        for _ in range(2)
    )
    assert first.effects.equals(second.effects)
    for each, data in zip(series, before, strict=True):
        np.testing.assert_array_equal(each.data, data)


def test_lazy_series_with_space(series):
    wide = [
        hs.stack([each, each + 0.001], axis=None, show_progressbar=False).as_lazy()
        for each in series
    ]
    for each in wide:
        each.set_signal_type("DoseSeries")
    eager = [each.deepcopy() for each in wide]
    for each in eager:
        each.compute(show_progressbar=False)
    one, other = (
        fit_dose_conditions(each, conditions={"dose_rate": RATES}, windows="C–O")
        for each in (wide, eager)
    )
    assert one.effects.equals(other.effects)


@pytest.mark.parametrize("extension", ["hspy", "zspy"])
def test_round_trip(result, tmp_path, extension):
    result.save(tmp_path / f"conditions.{extension}")
    same = hyperspy_dosekin.load(tmp_path / f"conditions.{extension}")
    assert str(same) == str(result)
    assert same.ratio(0, 5).equals(result.ratio(0, 5))


def test_changed_file_is_found(result, tmp_path):
    result.save(tmp_path / "conditions.hspy")
    signal = hs.load(tmp_path / "conditions.hspy")
    signal.metadata.Dosekin.conditions.arrays.effects_0[0] += 1
    signal.save(tmp_path / "conditions.hspy", overwrite=True)
    with pytest.raises(ValueError, match="damaged"):
        hyperspy_dosekin.load(tmp_path / "conditions.hspy")


def test_figures(result):
    figure = result.plot()
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["C–O", "C–C"]
    assert len(result.plot_condition("dose_rate").axes) == 2
    figure, panels = plt.subplots(1, 2, layout="constrained")
    shown = result.plot_condition("dose_rate", ax=panels[0], title="Two windows", dpi=80)
    assert shown is figure
    assert figure.dpi == 80
    assert result.plot(ax=panels[1]) is figure
    with pytest.raises(ValueError, match="none of the conditions"):
        result.plot_condition("temperature")


def test_figure_of_a_factor():
    random = np.random.default_rng(1)
    series = [dose_series(random, 1.0, factor) for factor in (1.0, 1.0, 2.0, 2.0)]
    found = fit_dose_conditions(series, conditions={"gas": ["none", "none", "water", "water"]})
    assert (found.effects.lower < np.log(2)).all()
    assert (found.effects.upper > np.log(2)).all()
    assert found.effects.effect[0] == "gas[water]"
    found.plot_condition("gas")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"conditions": {}}, ValueError, "at least one"),
        ({"conditions": {"dose_rate": 3.0}}, ValueError, "one value for each series"),
        ({"conditions": {"dose_rate": RATES[:-1]}}, ValueError, "5 values for 6 series"),
        ({"conditions": {"dose_rate": [2.0] * 6}}, ValueError, "every series"),
        ({"conditions": {"temperature": None}}, ValueError, "no temperature"),
        ({"conditions": {"pressure": None}}, ValueError, r"Sample\.pressure; give its values"),
        ({"conditions": {"temperatur": None}}, ValueError, "did you mean 'temperature'"),
        ({"conditions": {"gas": "Sample.gas"}}, ValueError, r"no gas in any of Sample\.gas"),
        ({"conditions": [1, 2]}, ValueError, "by name of the condition"),
        ({"reference": {"temperature": 300}}, ValueError, "no conditions"),
        ({"law": "delayed"}, ValueError, "scale"),
        ({"law": "first"}, ValueError, "first order"),
        ({"shape": "both"}, ValueError, "shape"),
        ({"windows": ["O K"]}, ValueError, "not in all series"),
        ({"windows": object}, TypeError, "describes no windows"),
        ({"windows": {"C–O": (15, 10)}}, ValueError, "reversed"),
        ({"windows": {"C–O": (10, 15)}}, ValueError, "integrated already"),
        ({"names": ["a"]}, ValueError, "6 different names"),
        ({"offset": [1.0, 2.0]}, ValueError, "2 entries for 6"),
        ({"dose_scale": -1.0}, ValueError, "dose_scale"),
    ],
)
def test_bad_input(series, changes, error, words):
    call = {"conditions": {"dose_rate": RATES}, **changes}
    with pytest.raises(error, match=words):
        fit_dose_conditions(series, **call)


def test_series_that_do_not_belong_together(series):
    random = np.random.default_rng(0)
    other = dose_series(random, 1.0, unit="MGy")
    with pytest.raises(ValueError, match="different units"):
        fit_dose_conditions([series[0], other], conditions={"gas": ["a", "b"]})
    for unit in ("nm", "bananas"):
        wrong = [dose_series(random, 1.0, unit=unit) for _ in range(2)]
        with pytest.raises(ValueError, match=f"'series 1' are in '{unit}', which is no unit of"):
            fit_dose_conditions(wrong, conditions={"gas": ["a", "b"]})
        with pytest.raises(ValueError, match=f"'one' are in '{unit}', which is no unit of dose"):
            hyperspy_dosekin.fit_dose_jointly({"one": wrong[0], "two": wrong[1]})
    strange = dose_series(random, 1.0, windows=("O K", "N K"))
    with pytest.raises(ValueError, match="no window in common"):
        fit_dose_conditions([series[0], strange], conditions={"gas": ["a", "b"]})
    with pytest.raises(ValueError, match="two or more"):
        fit_dose_conditions(series[:1], conditions={"gas": ["a"]})
    with pytest.raises(TypeError, match="ndarray"):
        fit_dose_conditions([series[0], np.ones(5)], conditions={"gas": ["a", "b"]})


def test_known_offset_is_worth_more(series):
    free = fit_dose_conditions(series, conditions={"dose_rate": RATES}, windows="C–C")
    known = fit_dose_conditions(series, conditions={"dose_rate": RATES}, windows="C–C", offset=2.0)
    width = [r.half_integrity_dose.upper / r.half_integrity_dose.lower for r in (free, known)]
    assert (width[1] < width[0]).all()


def test_common_ratio_of_offset_and_amplitude(series, result, tmp_path):
    """Two thirds are left of the amplitude in all series."""
    given = {"conditions": {"dose_rate": RATES[::2]}, "windows": ["C–C"]}
    found = fit_dose_conditions(series[::2], offset_ratio="shared", **given)
    (row,) = found.offset_ratio.itertuples()
    assert row.lower < 2 / 3 < row.upper
    assert row.p > 0.05
    assert "C–C: b/a is the same in all series" in str(found)
    alone = fit_dose_conditions(series[::2], **given)
    assert alone.offset_ratio.empty
    widths = [
        np.log(each.half_integrity_dose.upper / each.half_integrity_dose.lower)
        for each in (found, alone)
    ]
    assert widths[0].mean() < widths[1].mean()
    found.save(tmp_path / "found.hspy")
    back = hyperspy_dosekin.load(tmp_path / "found.hspy")
    assert back.offset_ratio.equals(found.offset_ratio)
    other = series[2].deepcopy()
    other.data += 0.4
    wrong = fit_dose_conditions(
        [series[0], other, series[4]], offset_ratio="shared", law="first order", **given
    )
    assert wrong.offset_ratio.p[0] < 0.05
    assert "may NOT have the same b/a" in str(wrong)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"offset_ratio": "same"}, "not one of"),
        ({"offset": 0.0}, "offset= gives them"),
        ({"nonnegative": True}, "no bound"),
        ({"shape": "each"}, "one shape"),
        ({"law": "power law with plateau"}, "plateau"),
    ],
)
def test_ratios_that_cannot_be_shared(series, changes, words):
    options = {"conditions": {"dose_rate": RATES}, "offset_ratio": "shared"} | changes
    with pytest.raises(ValueError, match=words):
        fit_dose_conditions(series, **options)
