# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps, intervals and flags through the signals."""

import dask
import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.power_law import half_dose
from hyperspy_dosekin.kinetics.model.config import DEFAULT_HIERARCHY, ExactConfig
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.profile import kinetic_profile
from tests.signals.kinetics.kinetics_series import DOSE, EXPONENT, NAMES, OFFSET, RATE, make_series

QUIET = {"show_progressbar": False}
MAPS = ("rate", "exponent", "amplitude", "offset", "half_integrity_dose", "identifiable")


@pytest.fixture(scope="module")
def image():
    return make_series(noise=0.01, space=(3, 5))


@pytest.fixture(scope="module")
def maps(image):
    return image.fit_dose_pinn(**QUIET)


def test_spatial_axes_are_fitted_by_pixel_with_the_exact_estimator(image, maps):
    assert maps.space_shape == (3, 5)
    assert not maps.has_network
    assert "3×5 pixels" in repr(maps)
    direct = fit_exact(
        DoseProblem(DOSE, image.data.reshape(15, 4, 9), NAMES),
        ExactConfig(hierarchy=(("C–O", "C–C"),)),
    )
    rate = np.moveaxis(direct.rate.reshape(3, 5, 4), -1, 0)
    np.testing.assert_allclose(maps.rate.data, rate, rtol=1e-9)


@pytest.mark.parametrize("name", MAPS)
def test_maps_have_the_window_as_navigation_and_space_as_signal(maps, name):
    signal = getattr(maps, name)
    assert isinstance(signal, hs.signals.Signal2D)
    assert signal.data.shape == (4, 3, 5)
    assert [axis.name for axis in signal.axes_manager.signal_axes] == ["space 1", "space 0"]
    assert signal.axes_manager.navigation_axes[0].name == "window"


def test_a_line_gives_maps_of_one_dimension():
    result = make_series(noise=0.01, space=(6,)).fit_dose_pinn(**QUIET)
    assert isinstance(result.rate, hs.signals.Signal1D)
    assert result.rate.data.shape == (4, 6)


def test_lazy_equals_eager_and_computes_nothing_before(image, maps):
    lazy = image.as_lazy()
    lazy.data = lazy.data.rechunk((3, 2, 1, 2))
    computed = []
    with dask.config.set(scheduler=lambda *args, **kwargs: computed.append(1)):
        result = lazy.fit_dose_pinn(**QUIET)
        signals = {name: getattr(result, name) for name in MAPS}
        lower, upper = result.interval("integrity")
        text = repr(result) + str(result)
    assert computed == []
    assert "lazy" in text
    assert "compute()" in text
    assert type(signals["rate"]).__name__ == "LazyWindowMap"
    # Together, for each computation of its own fits anew.
    found, *ends = dask.compute(
        {name: signal.data for name, signal in signals.items()}, lower.data, upper.data
    )
    for name, data in found.items():
        # Blocks of other sizes sum in another order.
        np.testing.assert_allclose(data, getattr(maps, name).data, rtol=1e-6)
    for end, eager in zip(ends, maps.interval("integrity"), strict=True):
        np.testing.assert_allclose(end, eager.data, atol=1e-6)
    result = result.compute(show_progressbar=False)
    np.testing.assert_allclose(result.rate.data, maps.rate.data, rtol=1e-6)
    assert "lazy" not in repr(result)


def test_compute_reads_the_data_once(image):
    reads = []

    def read(block):
        reads.append(block.shape)
        return block

    lazy = image.as_lazy()
    lazy.data = lazy.data.rechunk((1, 5, 4, 9)).map_blocks(read, meta=np.empty((0,) * 4))
    result = lazy.fit_dose_pinn(**QUIET)
    result = result.compute(show_progressbar=False)
    assert len(reads) == 3


def test_intervals_are_those_of_the_estimator(image, maps):
    problem = DoseProblem(DOSE, image.data.reshape(15, 4, 9), NAMES)
    for method, make in (("posterior", kinetic_posterior), ("profile", kinetic_profile)):
        for name, scale, level in (
            ("half_integrity_dose", DOSE[-1], 0.95),
            ("exponent", 1.0, 0.95),
            ("rate", 1.0, 0.68),
        ):
            config = ExactConfig(nonnegative=None, hierarchy=DEFAULT_HIERARCHY)
            expected = make(problem, config).interval(name, level)
            found = maps.interval(name, level, method)
            for one, other in zip(found, expected, strict=True):
                by_window = scale * np.moveaxis(other.reshape(3, 5, 4), -1, 0)
                # The nodes lie around an estimate that other pixels may have moved a little.
                np.testing.assert_allclose(one.data, by_window, rtol=0.03)


def test_interval_of_the_rate_per_dose_and_of_other_levels(maps):
    lower, _ = maps.interval("rate_per_dose")
    np.testing.assert_allclose(lower.data, maps.interval("rate")[0].data / DOSE[-1])
    half = maps.interval("dose_at", dose_level=0.5)[1].data
    # The grid is built around an estimate with or without the hierarchy.
    np.testing.assert_allclose(half, maps.interval("half_integrity_dose")[1].data, rtol=1e-3)
    later = maps.interval("dose_at", dose_level=0.3)[1].data
    assert np.all(later > half)


def test_interval_of_integrity_is_a_series(maps):
    lower, upper = maps.interval("integrity", level=0.68)
    assert type(lower).__name__ == "DoseSeries"
    assert lower.data.shape == (3, 5, 4, 101)
    assert np.all(lower.data <= upper.data)
    np.testing.assert_allclose(upper.data[..., 0], 1.0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"name": "colour"}, "colour"),
        ({"name": "rate", "level": 95}, "between 0 and 1"),
        ({"name": "rate", "method": "bootstrap"}, "'posterior', 'profile'"),
        ({"name": "dose_at", "dose_level": 1.5}, "between 0 and 1"),
    ],
)
def test_bad_intervals(maps, options, match):
    with pytest.raises(ValueError, match=match):
        maps.interval(**options)


def test_dead_pixels_are_nan_and_counted(image):
    broken = image.deepcopy()
    broken.data[0, 0] = 0.0
    broken.data[1, 2] = np.nan
    broken.data[2, 4, 1, 3:] = np.nan
    result = broken.fit_dose_pinn(**QUIET)
    dead = result.not_fitted.data
    assert dead[:, 0, 0].all()
    assert dead[:, 1, 2].all()
    assert dead[:, 2, 4].tolist() == [False, True, False, False]
    assert dead.sum() == 9
    assert np.isnan(result.rate.data[dead]).all()
    assert np.isfinite(result.rate.data[~dead]).all()
    assert not result.identifiable.data[dead].any()
    assert "3 of 15" in str(result)


def test_known_offset_by_number_window_pixel_and_signal(image):
    by_window = image.fit_dose_pinn(offset=OFFSET, **QUIET)
    by_pixel = image.fit_dose_pinn(offset=np.tile(OFFSET, (3, 5, 1)), **QUIET)
    damaged = make_series(np.repeat(OFFSET[:, None], 9, axis=1))
    by_signal = image.fit_dose_pinn(offset=damaged, **QUIET)
    for other in (by_pixel, by_signal):
        np.testing.assert_allclose(other.rate.data, by_window.rate.data, rtol=1e-9)
    np.testing.assert_allclose(by_window.offset.data[:, 0, 0], OFFSET)
    # What a known offset is worth: the error of ln D½ falls several times over.
    truth = half_dose(RATE, EXPONENT)[:, None, None] * DOSE[-1]
    free = image.fit_dose_pinn(**QUIET)
    error = [np.abs(np.log(r.half_integrity_dose.data / truth)).mean() for r in (free, by_window)]
    assert error[1] < 0.5 * error[0]
    lazy = image.as_lazy().fit_dose_pinn(offset=OFFSET, **QUIET)
    np.testing.assert_allclose(lazy.rate.data.compute(), by_window.rate.data, rtol=1e-9)


def test_shared_exponent_is_one_for_all_windows_of_a_pixel(image):
    exponent = image.fit_dose_pinn(exponent="shared", **QUIET).exponent.data
    np.testing.assert_allclose(exponent, np.broadcast_to(exponent[:1], exponent.shape))
    assert np.ptp(exponent[0]) > 0


def test_exact_estimator_of_the_mean(image):
    result = image.fit_dose_pinn(spatial="mean", estimator="exact", **QUIET)
    assert result.rate.data.shape == (4,)
    assert dict(result.optimiser_spread) == {}
    with pytest.raises(AttributeError, match="no network"):
        _ = result.network
    with pytest.raises(AttributeError, match="no network"):
        _ = result.certificate


def test_network_and_exact_estimator_agree():
    series = make_series(noise=0.002)
    result = series.fit_dose_pinn(seeds=(1, 2), **QUIET)
    assert result.certificate.good.all()
    np.testing.assert_allclose(
        result.half_integrity_dose.data, result.exact.half_integrity_dose.data, rtol=0.02
    )
    lower, upper = result.interval("half_integrity_dose")
    assert np.all(lower.data < result.half_integrity_dose.data)
    assert np.all(upper.data > result.half_integrity_dose.data)


def test_without_intervals_the_flags_are_not_examined(image):
    result = image.fit_dose_pinn(intervals=False, **QUIET)
    with pytest.raises(ValueError, match="intervals=False"):
        _ = result.identifiable
    assert "not examined" in str(result)
    lower, upper = result.interval("rate")
    assert np.all(lower.data < upper.data)


def test_noise_that_is_wrong_by_a_large_factor_changes_nothing(image):
    """Relative noise is as large as the residuals, and of absolute noise the data are believed."""
    wrong = image.deepcopy()
    wrong.set_noise_variance(wrong._deepcopy_with_new_data(np.full(image.data.shape, 1e-8)))
    with pytest.warns(UserWarning, match="The data are believed"):
        relative = wrong.fit_dose_pinn(noise="relative", **QUIET)
    plain = image.fit_dose_pinn(**QUIET)
    np.testing.assert_allclose(relative.rate.data, plain.rate.data, rtol=1e-6)
    absolute = wrong.fit_dose_pinn(noise="absolute", **QUIET)
    width = [np.subtract(*(end.data for end in r.interval("exponent"))) for r in (absolute, plain)]
    assert 0.5 < np.median(np.abs(width[0])) / np.median(np.abs(width[1])) < 1.5


def test_the_prior_can_be_set_and_removed(image):
    tight = image.fit_dose_pinn(prior={"exponent": (1.0, 1e-4)}, **QUIET)
    np.testing.assert_allclose(tight.exponent.data, 1.0, atol=2e-3)
    none = image.fit_dose_pinn(prior=None, **QUIET)
    assert np.ptp(none.exponent.data) > np.ptp(image.fit_dose_pinn(**QUIET).exponent.data)
    with pytest.raises(ValueError, match="colour"):
        image.fit_dose_pinn(prior={"colour": (1, 2)}, **QUIET)
    with pytest.raises(ValueError, match="positive"):
        image.fit_dose_pinn(prior={"exponent": (1.0, 0.0)}, **QUIET)


def test_maps_are_saved_and_loaded(maps, tmp_path):
    maps.save(tmp_path / "maps")
    again = hyperspy_dosekin.load(tmp_path / "maps.hspy")
    for name in MAPS:
        np.testing.assert_array_equal(getattr(again, name).data, getattr(maps, name).data)
    assert str(again) == str(maps)


def test_stop_leaves_the_rest_nan(monkeypatch):
    from hyperspy_dosekin.signals.kinetics.numbers import maps

    monkeypatch.setattr(maps, "PIXELS_WITH_INTERVALS", 4)
    asked = []
    image = make_series(noise=0.01, space=(3, 5))
    result = image.fit_dose_pinn(stop=lambda: asked.append(1) or len(asked) == 3, **QUIET)
    assert not result.complete
    assert np.isfinite(result.rate.data).sum() == 4 * 8
    assert "interrupted" in str(result)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"offset": np.ones((2, 4))}, "offset of shape"),
        ({"offset": np.inf}, "finite"),
        ({"exponent": "common"}, "common"),
        ({"loss": "cauchy"}, "cauchy"),
        ({"dtype": "int8"}, "int8"),
        ({"noise": "loud"}, "'absolute', 'relative', 'floor'"),
    ],
)
def test_bad_options(image, options, match):
    with pytest.raises(ValueError, match=match):
        image.fit_dose_pinn(**options, **QUIET)


def test_unknown_exposure_before_the_series_is_said():
    series = make_series(noise=0.01)
    assert "before the first frame is not recorded" in str(
        series.fit_dose_pinn(estimator="exact", **QUIET)
    )
    series.metadata.Dose.pre_exposure = 0.0
    assert "before the first frame" not in str(series.fit_dose_pinn(estimator="exact", **QUIET))


def test_maps_plot_as_images(maps):
    assert maps.plot().axes
    assert len(maps.plot_parameters()) == 3
    maps.plot_fit()
    with pytest.raises(AttributeError, match="no network"):
        maps.plot_diagnostics()


@pytest.mark.parametrize("space", [(), (3, 5)])
def test_as_model_holds_the_fit_and_can_be_fitted_on(space):
    series = make_series(noise=0.002, space=space)
    result = series.fit_dose_pinn(estimator="exact", **QUIET)
    model = result.as_model()
    as_signal = model.as_signal(show_progressbar=False)
    np.testing.assert_allclose(as_signal.data, result.fitted.data, rtol=1e-9)
    component = model[0]
    assert component.dose_max == DOSE[-1]
    np.testing.assert_allclose(
        np.moveaxis(component.k.map["values"].reshape(result.data.data.shape[:-1]), -1, 0),
        result.rate.data,
    )
    np.testing.assert_array_equal(component.k.map["is_set"], True)


def test_as_model_of_a_lazy_result_is_computed():
    lazy = make_series(noise=0.002, space=(3, 5)).as_lazy()
    model = lazy.fit_dose_pinn(**QUIET).as_model()
    assert not model.signal._lazy
