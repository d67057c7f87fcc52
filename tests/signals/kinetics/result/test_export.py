# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables, texts and figures that leave a result."""

import inspect
import re
import warnings

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest
from matplotlib.figure import Figure

import hyperspy_dosekin
from hyperspy_dosekin.data import dose_series, dose_series_image
from hyperspy_dosekin.signals.axes.processed import processing_words
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions
from tests.tables import check_tables


@pytest.fixture(scope="module")
def series():
    return dose_series(processed=True, seed=2).integrate_windows()


@pytest.fixture(scope="module")
def result(series):
    return series.fit_dose_pinn(estimator="exact", law="first order")


@pytest.fixture(scope="module")
def maps():
    s = dose_series_image(shape=(3, 2), processed=True)
    return s.fit_dose_pinn(law="first order", show_progressbar=False)


@pytest.fixture
def close_figures():
    yield
    plt.close("all")


# Tables


def test_tidy_table_of_windows(result):
    frame = result.to_dataframe()
    assert list(frame["window"]) == list(result.window_names)
    for name in ("rate", "half_integrity_dose", "offset", "rate_per_dose", "identifiable"):
        np.testing.assert_array_equal(frame[name], getattr(result, name).data)
    lower, upper = result.interval("half_integrity_dose")
    np.testing.assert_array_equal(frame["half_integrity_dose_lower"], lower.data)
    np.testing.assert_array_equal(frame["half_integrity_dose_upper"], upper.data)
    assert set(frame["dose_unit"]) == {"e⁻/Å²"}
    assert frame.attrs["units"]["rate_per_dose"] == "Å²/e⁻"
    narrow = result.to_dataframe(level=0.5)
    assert (narrow["rate_lower"] > frame["rate_lower"]).all()
    profile = result.to_dataframe(method="profile")
    assert set(profile["interval_method"]) == {"profile"}


def test_tidy_table_of_pixels(maps):
    frame = maps.to_dataframe()
    assert len(frame) == 4 * 3 * 2
    half = maps.half_integrity_dose
    for _, row in frame.iterrows():
        window = maps.window_names.index(row["window"])
        assert row["half_integrity_dose"] == half.data[window, row["y_index"], row["x_index"]]
    scale = half.axes_manager["x"].scale
    np.testing.assert_allclose(frame["x"], scale * frame["x_index"])


def test_without_intervals_the_table_has_none(series):
    frame = series.fit_dose_pinn(estimator="exact", intervals=False).to_dataframe()
    assert not [name for name in frame if name.endswith(("_lower", "_upper", "identifiable"))]


def test_lazy_results_are_computed_for_the_table():
    s = dose_series_image(shape=(2, 2), processed=True, lazy=True)
    result = s.fit_dose_pinn(intervals=False)
    assert result.is_lazy
    assert len(result.to_dataframe()) == 16


def test_csv_can_be_read_back(result, tmp_path):
    result.to_csv(tmp_path / "kinetics")
    back = pandas.read_csv(tmp_path / "kinetics.csv")
    np.testing.assert_allclose(back["rate"], result.rate.data, rtol=1e-12)
    assert list(back["window"]) == list(result.window_names)
    result.to_csv(tmp_path / "kinetics.tsv", level=0.5, float_format="%.3g")
    assert (tmp_path / "kinetics.tsv").read_text(encoding="utf-8").count("\t") > 20
    with pytest.raises(ValueError, match=r"\.xlsx"):
        result.to_csv(tmp_path / "kinetics.xlsx")


def test_latex_has_the_cells_of_the_table(result, tmp_path):
    text = result.to_latex(tmp_path / "table")
    assert (tmp_path / "table.tex").read_text(encoding="utf-8") == text + "\n"
    lines = text.splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrrrr}"
    assert lines[-1] == r"\end{tabular}"
    assert "$D_{1/2}$ (e$^-$/\\AA$^2$)" in lines[2]
    rows = [line for line in lines if line.endswith(r"\\")]
    assert len(rows) == 5
    assert {line.count(" & ") for line in rows} == {7}


# HTML


def test_html_has_a_heading_and_escaped_names(series):
    named = series.deepcopy()
    names = ["<script>alert(1)</script>", "a & b", "C–O", "M–O"]
    named.metadata.Dose.window_names = names
    html = named.fit_dose_pinn(estimator="exact", law="first order", hierarchy=())._repr_html_()
    assert "<p><b>&lt;DoseKinetics, 4 windows" in html
    assert "<script>" not in html
    assert "a &amp; b" in html


# Masks, models and files


def test_masked_where_the_data_do_not_determine(result, maps):
    for each in (result, maps):
        known = each.identifiable.data
        assert known.any()
        assert not known.all()
        np.testing.assert_array_equal(np.isnan(each.masked().data), ~known)
        shown = each.masked("rate").data
        np.testing.assert_array_equal(shown[known], each.rate.data[known])


def test_masked_needs_the_flag(series):
    result = series.fit_dose_pinn(estimator="exact", intervals=False)
    with pytest.raises(ValueError, match="intervals=True"):
        result.masked()


def test_model_warns_where_nothing_is_determined(result):
    with pytest.warns(UserWarning, match="do not determine D½ in π–π"):
        result.as_model()
    determined = [
        name
        for name, flag in zip(result.window_names, result.identifiable.data, strict=True)
        if flag
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result[determined].as_model()


def test_opened_by_hyperspy_the_file_says_how_to_get_the_result(result, tmp_path):
    path = tmp_path / "result.hspy"
    result.save(path)
    opened = hs.load(path)
    assert "hyperspy_dosekin.load(path) gives the result" in repr(opened)
    assert "hyperspy_dosekin.load(path)" in opened.metadata.General.notes
    assert "load" not in repr(hyperspy_dosekin.load(path).data)


# The text for the paper


def test_text_is_true_for_the_fit(result):
    text = result.methods_text()
    assert "π–π* 1–3 eV, C–C 4–7 eV" in text
    assert "9 cumulative fluences from 152 to 1368 e⁻/Å²" in text
    assert "law first order (dC/dφ = −k C)" in text
    assert "offset b were fitted" in text
    mean, sd = result.options.as_prior().log_rate
    assert f"ln k ~ N({mean:g}, {sd:g}²)" in text
    assert "The doses were taken as exact." in text
    assert "p ~" not in text
    names = [
        name
        for name, flag in zip(result.window_names, result.identifiable.data, strict=True)
        if flag
    ]
    assert f"That held for {', '.join(names)}." in text
    assert "Further options" not in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"offset": 0.01}, "offset b was known beforehand"),
        ({"exponent": 1.5}, "held at p = 1.5"),
        ({"exponent": "shared"}, "One exponent p was fitted for all windows"),
        ({"prior": None}, "No prior was assumed"),
        ({"loss": "huber"}, "huber loss"),
        ({"noise": "absolute"}, "taken as it is"),
        ({"noise": "floor"}, "not below the noise variance"),
        ({"nonnegative": True, "zero_error": 0.001}, "an error of the zero of 0.001"),
        ({"correlated": True}, "neighbouring frames was allowed to be correlated"),
        ({"dtype": "float32"}, "single precision"),
        ({"intervals": False}, "Intervals were not computed"),
        ({"dose_scale": 500.0}, "φ is the dose divided by 500 e⁻/Å²"),
        ({"dose_uncertainty": 0.1}, "known to 10 %"),
        ({"dose_uncertainty": {"scale": 0.1, "frame": 0.02}}, "(scale 0.1, frame 0.02)"),
        ({"processing_error": False}, ""),
        ({"hierarchy": (("C–C", "M–O"),)}, "A soft prior held C–C faster than M–O"),
    ],
)
def test_every_option_is_told(series, options, told):
    text = series.fit_dose_pinn(estimator="exact", **options).methods_text()
    assert told in text
    assert "Further options" not in text


def test_no_option_is_left_out(result, monkeypatch):
    """An option that has no sentence yet is told by its name."""
    monkeypatch.setattr(FitOptions, "given", lambda self: {"brand_new": 3.5})
    assert "Further options: brand_new = 3.5." in result.methods_text()


def test_text_of_networks(series):
    options = {"seeds": (1, 2), "gauss_newton_iterations": 2, "show_progressbar": False}
    text = series.fit_dose_pinn(**options).methods_text()
    assert "2 physics-informed neural networks (seeds 1, 2; protocol 'fast'" in text
    assert "gauss_newton_iterations = 2" in text


def test_text_of_maps_and_of_the_exposure(maps):
    assert "in each of 3 × 2 pixels" in maps.methods_text()
    assert re.search(r"held for \d+ % of pixels", maps.methods_text())
    s = dose_series(processed=True)
    s.set_dose_axis(dose_rate=3.45, frame_time=44.0, at="middle", pre_exposure=20.0)
    text = s.fit_dose_pinn(estimator="exact", intervals=False).methods_text()
    assert "computed from the dose rate and counted at the middle of each frame" in text
    assert "20 e⁻/Å² before the first frame" in text


def test_text_names_every_step_of_the_processing(tmp_path):
    s = dose_series()
    options = {"spike_threshold": 6.0, "zero_loss": "fitted", "resolution": "sharpened"}
    processed = s.process_low_loss(align="linear", **options)
    result = processed.fit_dose_pinn(estimator="exact", intervals=False)
    text = result.methods_text()
    for told in (
        "processed by process_low_loss",
        "X-ray spikes were replaced above 6 standard deviations (noise variance 1 × intensity)",
        "aligned with the zero-loss peak at 0 eV by linear interpolation",
        "the zero-loss peak was taken as a model fitted to the mean of all spectra",
        "removed by Fourier-log deconvolution, sharpened",
        "divided by the area of the zero-loss peak, per eV",
    ):
        assert told in text
    # The series, the file and what is fitted again know it too.
    assert (
        text
        == processed.integrate_windows()
        .fit_dose_pinn(estimator="exact", intervals=False)
        .methods_text()
    )
    result.save(tmp_path / "result.hspy")
    read = hyperspy_dosekin.load(tmp_path / "result.hspy")
    assert read.methods_text() == text
    assert told in read.data.fit_dose_pinn(estimator="exact").methods_text()


def test_text_of_core_losses_and_of_a_power_law():
    record = {
        **{"chain": "process_core_loss", "version": "1.0", "steps": ["align", "background"]},
        "align": {"reference": [280.0, 300.0], "local_average": 1.5, "expected_error": 0.1},
        "background": {"model": "power law", "window": [450.0, 520.0], "edge": 525.0},
    }
    text = processing_words(record)
    assert "aligned to the edge in 280–300 eV (local average of 1.5 pixels)" in text
    assert "a power law fitted in 450–520 eV was subtracted (edge at 525 eV)" in text
    # A step of another version of the package is told by its names.
    later = {"chain": "x", "version": "", "steps": ["brand_new"], "brand_new": {"width": 2.5}}
    assert "brand new (width 2.5)" in processing_words(later)
    assert processing_words({}) == ""


def test_text_says_where_the_doses_come_from(series):
    s = dose_series(processed=True)
    s.set_dose_axis(beam_current=1e-10, area=900.0, frame_time=2.0)
    text = s.fit_dose_pinn(estimator="exact", intervals=False).methods_text()
    assert "the beam current and area and counted at the end of each frame (6935 e⁻/Å²/s" in text
    assert "2 s a frame" in text
    assert "How the spectra were processed before is not recorded." in text


# Figures

CURVES = ("plot", "plot_fit", "plot_parameters")


@pytest.mark.parametrize("name", CURVES)
def test_figures_take_axes_title_and_resolution(result, name, close_figures):
    draw = getattr(result, name)
    figure = draw(title="A title of mine", dpi=70, figsize=(6, 5))
    assert figure.dpi == 70
    texts = [text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text"))]
    assert "A title of mine" in texts
    whole, axes = plt.subplots(1, 2, figsize=(14, 5))
    assert draw(ax=axes[1]) is whole
    whole.canvas.draw()


def test_axes_and_figure_contradict_each_other(result, close_figures):
    figure, axes = plt.subplots()
    with pytest.raises(TypeError, match="contradict"):
        result.plot_fit(ax=axes, fig=figure)
    loose = figure.add_axes((0.1, 0.1, 0.2, 0.2))
    with pytest.raises(TypeError, match="axes of a grid"):
        result.plot_fit(ax=loose)


@pytest.mark.parametrize(
    ("option", "error", "text"),
    [
        ({"dpi": "high"}, TypeError, "dpi='high' is not a number"),
        ({"dpi": 0}, ValueError, "dpi=0 must be positive"),
        ({"figsize": (0, 1)}, ValueError, "figsize=0 must be positive"),
        ({"figsize": 3}, ValueError, "figsize=3 must be two numbers"),
        ({"ax": 3}, TypeError, "ax=3 must be axes"),
        ({"fig": 5}, TypeError, "fig=5 must be a figure"),
        ({"title": 5}, TypeError, "title=5 must be a text"),
        ({"titel": "x"}, TypeError, "did you mean 'title'"),
    ],
)
def test_figures_refuse_in_words(result, option, error, text):
    before = plt.get_fignums()
    with pytest.raises(error, match=text):
        result.plot_fit(**option)
    assert plt.get_fignums() == before


def test_what_is_no_input_is_refused_in_words(result):
    with pytest.raises(TypeError, match="5 is not the path of a NeXus file"):
        result.to_nexus(5)
    with pytest.raises(TypeError, match="spectra=5 must be recorded EELS spectra"):
        result.processing_spread(spectra=5)
    with pytest.raises(TypeError, match="results='x' must be a list of results"):
        hyperspy_dosekin.compare_results("x")


def test_maps_return_figures_with_names_of_windows(maps, close_figures):
    figure = maps.plot()
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_title() == "π–π*: half integrity dose"
    image = figure.axes[0].images[0].get_array()
    known = maps.identifiable.data[0]
    shown = np.ma.filled(np.ma.masked_invalid(image), np.nan)
    np.testing.assert_array_equal(np.isnan(shown), ~known)
    for each in (maps.plot_fit(), maps.plot_parameters()):
        assert len(each) == 2
        assert all(isinstance(one, Figure) for one in each)
    figure = maps.plot(title="Damage", dpi=60, cmap="magma")
    assert figure.axes[0].get_title() == "π–π*: Damage"
    assert figure.axes[0].images[0].get_cmap().name == "magma"
    assert figure.dpi == 60


def test_options_of_figures_are_shown_and_refused_where_they_mean_nothing(
    maps, result, close_figures
):
    for name in ("plot", "plot_fit", "plot_parameters"):
        shown = inspect.signature(getattr(maps, name)).parameters
        assert {"ax", "title", "dpi", "figsize", "cmap", "navigator"} <= set(shown)
        assert not any(each.kind is each.VAR_KEYWORD for each in shown.values())
        with pytest.raises(TypeError, match="plot_maps"):
            getattr(maps, name)(figsize=(3, 3))
        with pytest.raises(TypeError, match="did you mean 'cmap'"):
            getattr(maps, name)(cmp="magma")
        with pytest.raises(TypeError, match="for maps only"):
            getattr(result, name)(cmap="magma")


def test_title_follows_the_window(maps, close_figures, monkeypatch):
    seen = []
    make = type(maps)._map
    monkeypatch.setattr(
        type(maps), "_map", lambda self, *a: seen.append(make(self, *a)) or seen[-1]
    )
    figure = maps.plot()
    seen[-1].axes_manager[0].index = 2
    assert figure.axes[0].get_title() == "C–O: half integrity dose"


# Side by side


def test_comparison(result, series, close_figures, tmp_path):
    free = series.fit_dose_pinn(estimator="exact")
    both = hyperspy_dosekin.compare_results([free, result["C–O", "C–C"]], names=["free", "order"])
    assert both.window_names == result.window_names
    place = both.window_names.index("C–O")
    assert both.value[1, place] == result["C–O"].half_integrity_dose.data[0]
    assert np.isnan(both.lower[1, 0])
    check_tables(both, tmp_path, 6)
    text = str(both)
    assert "<ResultComparison, 2 results, 4 windows>" in text
    assert [cell.strip() for cell in text.splitlines()[2].split("|")][2:4] == ["free", "order"]
    figure = both.plot(title="Both", dpi=60)
    figure.canvas.draw()
    assert figure.axes[0].get_xscale() == "log"
    assert "<b>" in both._repr_html_()


def test_table_of_a_comparison(result):
    table = hyperspy_dosekin.compare_results([result, result["C–O"]]).table
    assert list(table["result"]) == ["1"] * 4 + ["2"]


@pytest.mark.parametrize(
    ("names", "message"), [(["one"], "2 different names"), (["one", "one"], "2 different names")]
)
def test_wrong_names(result, names, message):
    with pytest.raises(ValueError, match=message):
        hyperspy_dosekin.compare_results([result, result], names=names)


def test_what_cannot_be_compared(result, maps, series):
    with pytest.raises(ValueError, match='spatial="mean"'):
        hyperspy_dosekin.compare_results([result, maps])
    with pytest.raises(ValueError, match="at least one result"):
        hyperspy_dosekin.compare_results([])
    other = series.deepcopy()
    other.axes_manager["dose"].units = "MGy"
    grays = other.fit_dose_pinn(estimator="exact", law="first order")
    with pytest.raises(ValueError, match="different units"):
        hyperspy_dosekin.compare_results([result, grays])


def test_masked_stays_lazy():
    s = dose_series_image(shape=(2, 2), processed=True, lazy=True)
    masked = s.fit_dose_pinn(law="first order").masked()
    assert masked._lazy
    masked.compute(show_progressbar=False)
    assert masked.data.shape == (4, 2, 2)


def test_plans_and_comparisons_take_axes_and_titles_too(series, close_figures):
    plan = hyperspy_dosekin.plan_dose_series(400.0, noise=0.01, dose_budget=1500.0)
    laws = hyperspy_dosekin.compare_laws(series, ["power law", "first order"])
    figure, axes = plt.subplots(2, 1, figsize=(10, 8))
    assert plan.plot(ax=axes[0], title="A plan") is figure
    assert laws.plot(ax=axes[1], title="Two laws") is figure
    assert {sub.get_suptitle() for sub in figure.subfigs} == {"A plan", "Two laws"}
    assert laws.plot(dpi=60).dpi == 60
