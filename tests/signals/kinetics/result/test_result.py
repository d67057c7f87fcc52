# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result as signals: axes, units, arithmetic between its attributes, text and files."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.kinetics.laws.power_law import dose_at
from tests.signals.kinetics.kinetics_series import DOSE, NAMES, SHORT, make_series

MAPS = ("rate", "exponent", "amplitude", "offset", "rate_per_dose", "half_integrity_dose")


@pytest.fixture(scope="module")
def result():
    series = make_series(noise=0.01)
    series.set_noise_variance(series._deepcopy_with_new_data(np.full(series.data.shape, 1e-4)))
    return series.fit_dose_pinn(**SHORT)


@pytest.mark.parametrize("name", [*MAPS, "critical_dose", "reached"])
def test_maps_are_signals_over_windows(result, name):
    signal = getattr(result, name)
    assert isinstance(signal, hs.signals.Signal1D)
    assert signal.data.shape == (4,)
    assert signal.metadata.Dose.window_names == list(NAMES)
    assert signal.axes_manager.signal_axes[0].name == "window"


def test_reached_is_boolean_and_means_inside_the_measured_range(result):
    assert result.reached.data.dtype == bool
    half = result.half_integrity_dose.data
    np.testing.assert_array_equal(result.reached.data, (half >= DOSE[0]) & (half <= DOSE[-1]))


def test_integrity_starts_at_one_and_falls(result):
    integrity = result.integrity
    assert integrity.metadata.Signal.signal_type == "DoseSeries"
    assert integrity.data.shape == (4, 101)
    assert integrity.window_names == NAMES
    np.testing.assert_array_equal(integrity.data[:, 0], 1.0)
    assert integrity.dose[0] == 0
    assert integrity.dose[-1] == DOSE[-1]
    assert integrity.axes_manager.signal_axes[0].units == "e⁻/Å²"
    assert np.all(np.diff(integrity.data, axis=1) < 0)


def test_fitted_is_amplitude_times_integrity_plus_offset(result):
    estimate = result.estimate
    by_hand = (
        estimate.parameter("amplitude")[..., None] * estimate.integrity(DOSE)
        + estimate.parameter("offset")[..., None]
    ).mean(axis=0)
    np.testing.assert_allclose(result.fitted.data, by_hand)
    np.testing.assert_array_equal(result.fitted.dose, DOSE)
    np.testing.assert_allclose(result.predict(DOSE[2:5]).data, by_hand[:, 2:5], rtol=1e-12)


def test_half_integrity_dose_is_where_integrity_is_one_half(result):
    for level, doses in ((0.5, result.half_integrity_dose), (0.8, result.dose_at(0.8))):
        for member in range(2):
            own = result.estimate.dose_at(level)[member]
            for window in range(4):
                c = result.estimate.integrity(own[window : window + 1])[member, window, 0]
                # Inside the range the crossing is interpolated between 2001 samples.
                assert c == pytest.approx(level, abs=1e-6)
        np.testing.assert_allclose(doses.data, result.estimate.dose_at(level).mean(axis=0))


def test_beyond_the_data_the_law_continues(result):
    estimate, far = result.estimate, np.linspace(1.0, 4.0, 7) * DOSE[-1]
    c = estimate.integrity(far)
    slope = np.gradient(c, far / DOSE[-1], axis=-1)[..., 2:-2]
    rate, exponent = (estimate.parameter(n)[..., None] for n in ("rate", "exponent"))
    # Central differences of a step of ½ in φ are only that good.
    np.testing.assert_allclose(slope, -rate * c[..., 2:-2] ** exponent, atol=0.02)
    just_inside = estimate.integrity(np.array([np.nextafter(DOSE[-1], 0)]))
    np.testing.assert_allclose(c[..., :1], just_inside, rtol=1e-9)


def test_rate_per_dose_has_the_unit_of_an_area(result):
    np.testing.assert_allclose(result.rate_per_dose.data, result.rate.data / DOSE[-1])


def test_critical_dose_is_at_one_over_e(result):
    np.testing.assert_allclose(result.critical_dose.data, result.dose_at(1 / np.e).data)


def test_optimiser_spread_is_over_members(result):
    spread = result.optimiser_spread
    assert set(spread) == {*MAPS, "integrity", "fitted"}
    members = result.estimate.parameter("rate")
    np.testing.assert_allclose(spread["rate"].data, np.abs(members[0] - members[1]) / np.sqrt(2))
    alone = make_series().fit_dose_pinn(**{**SHORT, "seeds": (1,)})
    assert dict(alone.optimiser_spread) == {}
    assert "optimiser spread" not in str(alone)


@pytest.mark.parametrize("dose", [[-1.0, 3.0], [np.nan], [3.0, 2.0], [2.0, 2.0]])
def test_predict_refuses_impossible_doses(result, dose):
    with pytest.raises(ValueError, match="dose"):
        result.predict(dose)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.2, np.nan])
def test_levels_lie_between_zero_and_one(result, level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        result.dose_at(level)


def test_data_are_what_was_fitted(result):
    np.testing.assert_array_equal(result.data.data, make_series(noise=0.01).data)
    np.testing.assert_allclose(result.data.get_noise_variance().data, 1e-4)


def test_text_says_what_the_numbers_are_not(result):
    text = str(result)
    assert all(name in text for name in NAMES)
    assert "not assignments of bonds" in text
    assert "no uncertainty" in text
    growth = result.numbers.growth
    assert ("mixed response" in text) == bool((growth > 0.975).any())
    assert ("falls or grows" in text) == bool(((growth >= 0.025) & (growth <= 0.975)).any())
    assert ("not reached" in text) == bool((~result.reached.data).any())
    assert "<table>" in result._repr_html_()
    undetermined = [n for n, flag in zip(NAMES, result.identifiable.data, strict=True) if not flag]
    assert undetermined
    assert f"D½ not determined in {', '.join(undetermined)}" in repr(result)
    assert f"{', '.join(undetermined)}: the data do NOT determine D½" in text
    assert "PRIOR" not in text
    assert "ln k ~ N(1, 1.75²) and p ~ N(1, 0.7²)" in text


@pytest.mark.parametrize("suffix", [".hspy", ".zspy", ""])
def test_round_trip_is_exact(result, tmp_path, suffix):
    path = tmp_path / f"result{suffix}"
    result.save(path)
    again = hyperspy_dosekin.load(path if suffix else path.with_suffix(".hspy"))
    for name in (*MAPS, "integrity", "fitted", "reached", "data"):
        np.testing.assert_array_equal(getattr(again, name).data, getattr(result, name).data)
    assert str(again) == str(result)
    assert again.options == result.options
    assert again.complete == result.complete
    np.testing.assert_array_equal(
        again.predict([100.0, 3000.0]).data, result.predict([100, 3000]).data
    )
    for name, term in result.history.terms.items():
        np.testing.assert_array_equal(again.history.terms[name], term)
    np.testing.assert_array_equal(again.history.learning_rate, result.history.learning_rate)
    np.testing.assert_array_equal(
        again.data.get_noise_variance().data, result.data.get_noise_variance().data
    )


def test_any_hyperspy_opens_a_saved_result_as_a_series(result, tmp_path):
    result.save(tmp_path / "result.hspy")
    series = hs.load(tmp_path / "result.hspy")
    assert type(series).__name__ == "DoseSeries"
    assert series.window_names == NAMES


def test_a_saved_result_holds_no_pickle(result, tmp_path):
    result.save(tmp_path / "result.hspy")
    content = (tmp_path / "result.hspy").read_bytes()
    assert b"pickle" not in content
    assert b"cloudpickle" not in content


def test_load_refuses_other_files(tmp_path):
    make_series().save(tmp_path / "series.hspy")
    with pytest.raises(ValueError, match="no result of a kinetics fit"):
        hyperspy_dosekin.load(tmp_path / "series.hspy")


def test_load_refuses_a_later_format(result, tmp_path, monkeypatch):
    from hyperspy_dosekin.signals.kinetics.result import file as persistence

    monkeypatch.setattr(persistence, "FORMAT", 99)
    result.save(tmp_path / "later.hspy")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"99.*update"):
        hyperspy_dosekin.load(tmp_path / "later.hspy")


@pytest.mark.parametrize(
    "name", ["plot", "plot_fit", "plot_parameters", "plot_diagnostics", "plot_ablation"]
)
def test_plots(result, name):
    options = {"iterations": 2} if name == "plot_ablation" else {}
    figure = getattr(result, name)(**options)
    assert isinstance(figure, plt.Figure)
    assert figure.axes


def test_known_offset_and_exponent_lead_to_the_true_half_integrity_dose():
    series = make_series().inav[1:2]
    result = series.fit_dose_pinn(
        estimator="pinn", seeds=(7,), offset=0.5, exponent=1.3, show_progressbar=False
    )
    truth = dose_at(0.5, 2.0, 1.3) * DOSE[-1]
    # Noise-free data; the protocol that converges, so that no rounding of a machine decides.
    assert result.half_integrity_dose.data[0] == pytest.approx(truth, rel=1e-4)
    assert result.window_names == ("C–C",)
