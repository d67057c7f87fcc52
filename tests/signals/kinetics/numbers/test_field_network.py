# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of maps through the signals: every attribute that a result by pixel has."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.kinetics.laws.power_law import power_law_integrity

SHAPE, NAMES = (7, 8), ["C–O", "M–O"]
DOSE = 150.0 * np.arange(1, 10)
#: A short training: what is asked here is that everything is there, not that it is exact.
SHORT = {
    "estimator": "pinn",
    "spatial": "field",
    "seeds": (1, 2),
    "gauss_newton_iterations": 8,
    "collocation": 150,
    "show_progressbar": False,
}
MAPS = (
    *("rate", "exponent", "amplitude", "offset", "rate_per_dose", "half_integrity_dose"),
    *("critical_dose", "reached", "identifiable", "adequate", "not_fitted", "shrinkage"),
)


@pytest.fixture(scope="module")
def series():
    """One window falls and one grows; a frame and a pixel are missing."""
    random = np.random.default_rng(4)
    log_rate = 0.5 + np.where(np.arange(8) < 4, 0.4, -0.4) + 0.05 * np.arange(7)[:, None]
    curve = power_law_integrity(DOSE / DOSE[-1], np.exp(log_rate)[..., None], np.array(1.2))
    thickness = random.uniform(1, 2, (*SHAPE, 1))
    clean = np.stack([thickness * (curve + 0.3), thickness * (3 - curve)], -2)
    values = clean + 0.015 * random.standard_normal(clean.shape)
    values[2, 3, 0, 4] = values[5, 6] = np.nan
    axes = [
        *({"size": size, "name": name} for size, name in zip(SHAPE, "yx", strict=True)),
        {"size": 2, "name": "window"},
        {"axis": DOSE, "name": "dose", "units": "e⁻/Å²"},
    ]
    s = hs.signals.Signal1D(values, axes=axes)
    s.set_signal_type("DoseSeries")
    s.metadata.set_item("Dose.window_names", NAMES)
    return s


@pytest.fixture(scope="module")
def result(series):
    return series.fit_dose_pinn(**SHORT)


@pytest.mark.parametrize("name", MAPS)
def test_every_map_is_there(result, name):
    data = getattr(result, name).data
    assert data.shape == (2, *SHAPE)
    if data.dtype != bool:
        assert np.isnan(data[:, 5, 6]).all()
        assert np.isfinite(np.delete(data.reshape(2, -1), 5 * 8 + 6, axis=1)).all()


def test_trajectories_are_those_of_the_networks(result):
    integrity = result.integrity
    assert integrity.data.shape == (*SHAPE, 2, 101)
    whole = ~result.not_fitted.data[0]
    np.testing.assert_array_equal(integrity.data[whole][..., 0], 1.0)
    assert np.all(np.diff(integrity.data[whole]) < 1e-3)
    fitted = result.fitted.data
    np.testing.assert_allclose(fitted, result.predict(DOSE).data)
    left = (result.data.data - fitted)[whole]
    assert np.nanstd(left) < 0.03
    # Beyond the measured doses the law goes on, without a step.
    near = result.predict(DOSE[-1] * np.array([0.999, 1.0, 1.001])).data[whole]
    np.testing.assert_allclose(near[..., 2] - near[..., 1], near[..., 1] - near[..., 0], atol=1e-4)
    level = result.dose_at(0.5001).data / result.half_integrity_dose.data
    assert np.nanmax(np.abs(level - 1)) < 5e-3


def test_networks_are_judged_and_told(result):
    assert result.has_network
    certificate = result.certificate
    assert certificate.window_names == tuple(NAMES)
    assert np.all(certificate.max_deviation < 0.1)
    assert np.all(certificate.loss_ratio < 3)
    assert set(result.history.terms) == {"data", "ode", "prior"}
    assert result.history.terms["ode"].shape[1] == 2
    spread = result.optimiser_spread
    assert spread["rate"].data.shape == (2, *SHAPE)
    assert spread["integrity"].data.shape == (*SHAPE, 2, 101)
    text = str(result)
    assert "means over networks" in text
    assert "share a population" in text
    assert "no uncertainty" in text
    assert "network, 2 members, field" in repr(result)
    assert "kinetic fields at the pixel" in result.methods_text()
    exact = result.exact
    assert not exact.has_network
    for name in ("half_integrity_dose", "rate"):
        ends = zip(result.interval(name), exact.interval(name), strict=True)
        assert all(np.array_equal(a.data, b.data, equal_nan=True) for a, b in ends)
    assert len(result.to_dataframe()) == 2 * 7 * 8


def test_one_window_is_a_part_of_it(result):
    part = result["M–O"]
    np.testing.assert_array_equal(part.rate.data[0], result.rate.data[1])
    assert part.certificate.window_names == ("M–O",)
    assert part.amplitude.data[0][~part.not_fitted.data[0]].max() < 0


def test_results_come_back_from_files(result, tmp_path):
    result.save(tmp_path / "network.hspy")
    loaded = hyperspy_dosekin.load(tmp_path / "network.hspy")
    for name in (*MAPS, "integrity", "fitted"):
        np.testing.assert_array_equal(getattr(loaded, name).data, getattr(result, name).data)
    assert str(loaded) == str(result)
    assert str(loaded.certificate) == str(result.certificate)
    np.testing.assert_array_equal(loaded.dose_at(0.7).data, result.dose_at(0.7).data)
    for name, term in result.history.terms.items():
        np.testing.assert_array_equal(loaded.history.terms[name], term)


def test_figures_are_drawn(result):
    for draw in (result.plot, result.plot_fit, result.plot_maps, result.plot_parameters):
        draw()
    assert result.plot_diagnostics().axes
    with pytest.raises(AttributeError, match="one of a map"):
        result.plot_ablation()
    plt.close("all")


def test_lazy_data_are_read_for_the_training(series, result):
    # Windows have networks of their own.
    found = series.inav[:1].as_lazy().fit_dose_pinn(**SHORT)
    assert not found.is_lazy
    np.testing.assert_allclose(found.rate.data, result.rate.data[:1])


def test_groups_have_networks_of_their_own(series):
    labels = np.where(np.arange(8) < 4, 0, 1) * np.ones((7, 1), dtype=int)
    labels[0, 0] = -1
    found = series.inav[:1].fit_dose_pinn(groups=labels, **{**SHORT, "seeds": (1,)})
    assert set(found.network.networks) == {(0, 0), (0, 1)}
    assert found.not_fitted.data[:, 0, 0].all()
    assert np.isnan(found.rate.data[:, 0, 0]).all()
    assert np.isfinite(found.rate.data[:, 1]).all()


def test_a_stop_says_so(series):
    found = series.fit_dose_pinn(**SHORT, stop=lambda: True)
    assert not found.complete
    assert "interrupted" in str(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial": "population"}, "no field for a network"),
        ({"protocol": "paper"}, "single curve"),
        ({"adam_epochs": 5}, "no such setting"),
        ({"nonnegative": True}, "nonnegative"),
        ({"law": "first order"}, "power law only"),
    ],
)
def test_what_has_no_use_is_refused(series, options, message):
    with pytest.raises(ValueError, match=message):
        series.fit_dose_pinn(**{**SHORT, **options})
