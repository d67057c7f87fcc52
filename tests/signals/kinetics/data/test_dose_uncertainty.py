# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well the doses are known, from the axis to tables, maps and files."""

import exspy
import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin

DOSE = 150.0 * np.arange(1, 10)


def series(space=()):
    random = np.random.default_rng(2)
    values = 1 + np.exp(-3 * DOSE / DOSE[-1]) + 0.004 * random.standard_normal((*space, 1, 9))
    axes = [{"size": size} for size in values.shape[:-2]]
    axes += [{"size": 1, "name": "window"}]
    axes += [{"axis": DOSE, "name": "dose", "units": "e⁻/Å²"}]
    signal = hs.signals.Signal1D(values, axes=axes)
    signal.set_signal_type("DoseSeries")
    signal.metadata.set_item("Dose.window_names", ["w"])
    return signal


def width(result, name="half_integrity_dose", **options):
    low, high = (end.data for end in result.interval(name, **options))
    return np.log(high / low)


@pytest.mark.parametrize("method", ["posterior", "profile"])
def test_the_scale_widens_intervals_of_doses_and_of_rates_per_dose(method):
    fits = [
        series().fit_dose_pinn(estimator="exact", dose_uncertainty=error) for error in (None, 0.1)
    ]
    for name in ("half_integrity_dose", "rate_per_dose"):
        plain, wide = (width(fit, name, method=method) for fit in fits)
        assert (wide > 2 * 1.9 * 0.1).all()
        assert (wide > plain).all()
    for name in ("rate", "exponent"):
        plain, same = (width(fit, name, method=method) for fit in fits)
        np.testing.assert_allclose(same, plain)
    wide = width(fits[1], "dose_at", method=method, dose_level=0.8)
    assert (wide > 2 * 1.9 * 0.1).all()
    assert "10 % of the dose scale" in str(fits[1])
    assert "Uncertainty of the doses" not in str(fits[0])


def test_the_axis_says_it_and_0_takes_it_back(tmp_path):
    s = exspy.signals.EELSSpectrum(np.ones((9, 64)))
    error = {"scale": 0.1, "increment": 0.02, "pre_exposure": 4.0}
    s.set_dose_axis(DOSE, uncertainty=error)
    assert s.metadata.Dose.uncertainty.as_dictionary() == error
    s.set_dose_axis(DOSE)
    assert not s.metadata.has_item("Dose.uncertainty")
    with pytest.raises(ValueError, match="frames"):
        s.set_dose_axis(DOSE, uncertainty={"frames": 0.1})
    measured = series()
    measured.metadata.set_item("Dose.uncertainty", error)
    told = measured.fit_dose_pinn(estimator="exact")
    exact = measured.fit_dose_pinn(estimator="exact", dose_uncertainty=0)
    assert (width(told) > width(exact)).all()
    text = str(told)
    assert "2 % of what each frame received" in text
    assert "4 before the first frame" in text
    assert "10 % of the dose scale" in told.methods_text()
    told.save(tmp_path / "told.hspy")
    same = hyperspy_dosekin.load(tmp_path / "told.hspy")
    np.testing.assert_array_equal(width(same), width(told))
    # At another level it is computed from the data again.
    np.testing.assert_allclose(width(same, level=0.9), width(told, level=0.9))
    assert str(same) == text


def test_maps_are_lazy_with_it_and_equal():
    values = series((2, 3))
    options = {"dose_uncertainty": {"scale": 0.05, "frame": 0.01}}
    eager = values.fit_dose_pinn(**options)
    lazy = values.as_lazy().fit_dose_pinn(**options)
    assert lazy.interval("rate_per_dose")[0]._lazy
    lazy = lazy.compute(show_progressbar=False)
    for name in ("half_integrity_dose", "rate_per_dose"):
        np.testing.assert_allclose(width(lazy, name), width(eager, name))
    assert lazy.adequate.data.mean() > 0.8


def test_a_comparison_has_it_and_keeps_it(tmp_path):
    laws = ["power law", "first order"]
    plain = hyperspy_dosekin.compare_laws(series(), laws)
    told = hyperspy_dosekin.compare_laws(series(), laws, dose_uncertainty=0.1)
    assert (width(told.average()) > width(plain.average())).all()
    assert "10 % of the dose scale" in str(told)
    told.save(tmp_path / "laws.hspy")
    same = hyperspy_dosekin.load(tmp_path / "laws.hspy")
    np.testing.assert_array_equal(width(same.average()), width(told.average()))


def test_networks_weigh_frames_by_the_errors_of_their_doses(tmp_path):
    options = {"intervals": False, "seeds": (0, 1), "show_progressbar": False}
    plain, told, adding = (
        series().fit_dose_pinn(dose_uncertainty=error, **options)
        for error in (None, {"frame": 0.05}, {"increment": 0.05})
    )
    assert plain.network.problem.variance is None
    # The intensity moves most with the dose where Φ dC/dΦ is largest, at kφ = 1.
    variance = told.network.problem.variance[0, 0]
    assert abs(DOSE[variance.argmax()] / DOSE[-1] - 1 / 3) < 0.12
    slope = 3 * np.exp(-3 * DOSE / DOSE[-1]) * DOSE / DOSE[-1] * 0.05
    np.testing.assert_allclose(np.diff(variance), np.diff(slope**2), rtol=0.15, atol=1e-5)
    # Errors that frames share are in no weight of a frame.
    assert adding.network.problem.variance is None
    for result in (plain, told, adding):
        assert result.certificate.good.all()
    told.save(tmp_path / "told.hspy")
    same = hyperspy_dosekin.load(tmp_path / "told.hspy")
    np.testing.assert_array_equal(same.network.problem.variance, told.network.problem.variance)
    assert str(same.certificate) == str(told.certificate)
