# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetic laws other than the power law, from `fit_dose_pinn` to a file and back."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.kinetics import LawParameter, PowerLaw, UserLaw, kinetic_law, register_law
from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS
from tests.signals.kinetics.kinetics_series import DOSE, NAMES, OFFSET, make_series

QUIET = {"show_progressbar": False}


def accelerated(integrity, parameters, dose):
    """dC/dφ = −k (1 + gφ) C."""
    return parameters["rate"] * (1 + parameters["growth"] * dose) * integrity


def make_law(name="accelerated decay", upper=5.0):
    parameters = (
        LawParameter("rate", 0.01, 20.0, 1.0, logarithmic=True),
        LawParameter("growth", 0.0, upper, 1.0),
    )
    return UserLaw(accelerated, parameters, name=name)


LAW = make_law()
RATE, GROWTH = np.array([0.7, 2.0, 3.0]), np.array([1.0, 2.0, 0.5])


def integrity(dose, rate=RATE, growth=GROWTH):
    phi = dose / DOSE[-1]
    return np.exp(-rate[..., None] * (phi + growth[..., None] * phi**2 / 2))


@pytest.fixture(scope="module")
def series():
    noise = 0.003 * np.random.default_rng(1).standard_normal((3, DOSE.size))
    data = np.array([-0.6, 1.0, 2.0])[:, None] * (integrity(DOSE) + noise) + OFFSET[:3, None]
    return make_series(data, names=NAMES[:3])


@pytest.fixture(scope="module")
def result(series):
    return series.fit_dose_pinn(law=LAW, offset=OFFSET[:3], **QUIET)


@pytest.fixture(scope="module")
def first_order():
    return make_series(noise=0.01, space=(3, 5)).fit_dose_pinn(law="first order", **QUIET)


def test_a_law_of_ones_own_is_fitted_with_the_exact_estimator(result):
    assert not result.has_network
    assert result.law == "accelerated decay"
    assert result.kinetic_law is LAW
    assert list(result.parameters) == ["rate", "growth"]
    assert "exact estimator, accelerated decay" in repr(result)
    for name, truth in (("rate", RATE), ("growth", GROWTH)):
        assert result.parameters[name].data.shape == (3,)
        lower, upper = result.interval(name, level=0.999)
        assert np.all((lower.data <= truth) & (truth <= upper.data))
    np.testing.assert_array_equal(result.rate.data, result.parameters["rate"].data)
    np.testing.assert_allclose(result.rate_per_dose.data, result.rate.data / DOSE[-1])


def test_trajectories_and_doses_are_those_of_the_law(result):
    rate, growth = (result.parameters[name].data for name in ("rate", "growth"))
    grid = result.integrity.dose
    np.testing.assert_allclose(result.integrity.data, integrity(grid, rate, growth), atol=1e-6)
    beyond = np.array([0.0, 700.0, 3000.0])
    predicted = result.predict(beyond).data
    expected = result.amplitude.data[:, None] * integrity(beyond, rate, growth) + OFFSET[:3, None]
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    for level, found in ((0.5, result.half_integrity_dose), (0.2, result.dose_at(0.2))):
        phi = (np.sqrt(1 + 2 * growth * np.log(1 / level) / rate) - 1) / growth
        np.testing.assert_allclose(found.data, DOSE[-1] * phi, rtol=1e-4)
    np.testing.assert_allclose(
        result.critical_dose.data, result.dose_at(np.nextafter(1 / np.e, 1)).data, rtol=1e-5
    )
    assert result.reached.data.all()
    assert result.identifiable.data.all()


def test_what_the_law_has_not_is_said(result):
    with pytest.raises(AttributeError, match=r"'accelerated decay' has no exponent.*rate, growth"):
        _ = result.exponent
    assert not hasattr(result, "exponent")
    with pytest.raises(ValueError, match="'exponent' is not one of"):
        result.interval("exponent")
    with pytest.raises(AttributeError, match="no network"):
        _ = result.network


def test_the_table_names_the_law_and_its_parameters(result):
    text = str(result)
    assert "k (per Φ_max)" in text
    assert "growth" in text
    assert "Kinetic law: accelerated decay: dC/dφ = −k (1 + gφ) C," in text
    assert "ln k ~ N(1, 1.75²) and growth uniform in 0 to 5" in text
    assert "growth" in result._repr_html_()


@pytest.mark.parametrize("name", ["plot", "plot_fit", "plot_parameters"])
def test_plots(result, name):
    figure = getattr(result, name)()
    assert isinstance(figure, plt.Figure)
    if name == "plot_parameters":
        assert [axes.get_xlabel().split("\n")[0] for axes in figure.axes] == [
            "Rate k",
            "growth",
            "Half-integrity dose D½",
        ]


def test_first_order_is_the_power_law_with_exponent_one(first_order):
    image = make_series(noise=0.01, space=(3, 5))
    known = image.fit_dose_pinn(exponent=1.0, hierarchy=(), **QUIET)
    assert first_order.rate.data.shape == (4, 3, 5)
    np.testing.assert_allclose(first_order.rate.data, known.rate.data, rtol=1e-4)
    np.testing.assert_array_equal(first_order.exponent.data, 1.0)
    assert list(first_order.parameters) == ["rate"]
    half = first_order.half_integrity_dose.data
    np.testing.assert_allclose(half, known.half_integrity_dose.data, rtol=1e-3)
    agree = first_order.identifiable.data == known.identifiable.data
    # A share near the threshold goes either way.
    assert agree.mean() > 0.9
    model = first_order.as_model()
    np.testing.assert_allclose(
        model.as_signal(show_progressbar=False).data, first_order.fitted.data, rtol=1e-6
    )


def test_lazy_equals_eager_and_computes_nothing_before(first_order):
    lazy = make_series(noise=0.01, space=(3, 5)).as_lazy()
    lazy.data = lazy.data.rechunk((1, 4, 4, 9))
    result = lazy.fit_dose_pinn(law="first order", **QUIET)
    assert result.is_lazy
    lower, _ = result.interval("rate")
    dose = result.dose_at(0.3)
    assert lower._lazy
    assert dose._lazy
    np.testing.assert_allclose(dose.data.compute(), first_order.dose_at(0.3).data, rtol=1e-6)
    result = result.compute(show_progressbar=False)
    for name in first_order.maps.field_names:
        np.testing.assert_allclose(
            result.maps.field(name), first_order.maps.field(name), rtol=1e-6, err_msg=name
        )
    assert str(result) == str(first_order)


def test_a_plateau_with_a_free_offset_is_not_determined():
    series = make_series(noise=0.005)
    free = series.fit_dose_pinn(law="power law with plateau", nonnegative=False, **QUIET)
    assert "do NOT determine C∞" in str(free)
    assert "With a free offset nothing can" in str(free)
    assert not free.identifiable.data.any()
    known = series.fit_dose_pinn(law="power law with plateau", offset=OFFSET, **QUIET)
    assert "With a free offset" not in str(known)
    assert known.parameters["plateau"].metadata.Signal.quantity == "Plateau C∞"
    # The second and third window have decayed far enough to see that there is none.
    lower, upper = (end.data[1:3] for end in known.interval("plateau"))
    np.testing.assert_array_equal(lower, 0.0)
    assert np.all(upper < 0.3)


def test_half_integrity_is_never_reached_above_a_plateau_of_one_half():
    plateau = np.array([0.7, 0.2])
    c = plateau[:, None] + (1 - plateau[:, None]) * np.exp(-6 * DOSE / DOSE[-1])
    data = 1.0 + 2.0 * (c + 0.002 * np.random.default_rng(2).standard_normal(c.shape))
    series = make_series(data, names=("stays", "goes"))
    result = series.fit_dose_pinn(law="power law with plateau", offset=1.0, **QUIET)
    assert np.isnan(result.half_integrity_dose.data).tolist() == [True, False]
    assert result.reached.data.tolist() == [False, True]
    assert result.identifiable.data.tolist() == [False, True]
    assert "stays: under the fitted law C does not fall to ½" in str(result)
    assert "stays: the data do NOT determine D½" not in str(result)
    np.testing.assert_allclose(result.parameters["plateau"].data, plateau, atol=0.02)


def test_a_law_that_is_not_registered_is_loaded_without_its_code(result, tmp_path):
    result.save(tmp_path / "own.hspy")
    assert b"pickle" not in (tmp_path / "own.hspy").read_bytes()
    bare = hyperspy_dosekin.load(tmp_path / "own.hspy")
    assert bare.law == result.law
    assert str(bare) == str(result)
    for name, signal in result.parameters.items():
        np.testing.assert_array_equal(bare.parameters[name].data, signal.data)
    np.testing.assert_array_equal(bare.half_integrity_dose.data, result.half_integrity_dose.data)
    for ask in (
        lambda: bare.integrity,
        lambda: bare.predict([1.0, 2.0]),
        lambda: bare.dose_at(0.1),
        lambda: bare.interval("rate", level=0.5),
    ):
        with pytest.raises(ValueError, match=r"'accelerated decay' is not stored.*load\(path, law"):
            ask()
    again = hyperspy_dosekin.load(tmp_path / "own.hspy", law=LAW)
    np.testing.assert_array_equal(again.integrity.data, result.integrity.data)
    for other in ("first order", make_law(upper=6.0)):
        with pytest.raises(ValueError, match="is not the one"):
            hyperspy_dosekin.load(tmp_path / "own.hspy", law=other)


def test_registered_laws_are_loaded_by_name(first_order, series, tmp_path):
    first_order.save(tmp_path / "first.hspy")
    again = hyperspy_dosekin.load(tmp_path / "first.hspy")
    assert again.options == first_order.options
    np.testing.assert_array_equal(again.fitted.data, first_order.fitted.data)
    law = register_law(make_law("my registered law"))
    try:
        found = series.fit_dose_pinn(law="my registered law", intervals=False, **QUIET)
        found.save(tmp_path / "registered.hspy")
        again = hyperspy_dosekin.load(tmp_path / "registered.hspy")
        assert again.kinetic_law is law
        np.testing.assert_array_equal(again.fitted.data, found.fitted.data)
    finally:
        KINETIC_LAWS.pop(law.name)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"law": "second order"}, "'second order' is not one of"),
        ({"law": "first order", "estimator": "pinn"}, "the power law only"),
        ({"law": "first order", "exponent": 1.0}, "exponent=1.0 does not fit the kinetic law"),
        ({"law": UserLaw(lambda c, p, d: -c, {"k": (0.1, 2.0, 1.0)}, name="odd")}, "'odd'.*grow"),
        (
            {"law": UserLaw(lambda c, p, d: c * np.nan, {"k": (0.1, 2.0, 1.0)}, name="odd")},
            "'odd' returned NaN",
        ),
    ],
)
def test_bad_options(series, options, match):
    lazy = series.as_lazy()
    for each in (series, lazy):
        with pytest.raises(ValueError, match=match):
            each.fit_dose_pinn(**options, **QUIET)


def test_the_power_law_by_any_name_is_the_fast_one(series):
    by_default = series.fit_dose_pinn(estimator="exact", **QUIET)
    for law in ("power law", kinetic_law("power law")):
        result = series.fit_dose_pinn(estimator="exact", law=law, **QUIET)
        assert result.maps.law is KINETIC_LAWS["power law"]
        assert list(result.parameters) == ["rate", "exponent"]
        np.testing.assert_array_equal(result.rate.data, by_default.rate.data)
    assert "dC/dφ = −k C^p" in str(by_default)
    assert isinstance(by_default.kinetic_law, PowerLaw)
