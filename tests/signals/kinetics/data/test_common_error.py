# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels that share a population do not claim more than an error they have in common allows."""

import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.signals.axes.shared_error import attach_shared_errors
from hyperspy_dosekin.signals.kinetics.data.common_error import widened

DOSE = 100.0 * np.arange(1, 10)
#: A drift of one percent of all values from the first frame to the last.
DRIFT = 0.01 * np.linspace(1, -1, 9)
#: D½ of the first-order decay of all pixels.
HALF = 400.0


def series(drift):
    """Pixels of one rate above a large offset, all with the same drift of the normalisation."""
    random = np.random.default_rng(0)
    integrity = np.exp(-np.log(2) * DOSE / HALF)
    amplitude = random.uniform(0.8, 1.2, (6, 8, 1, 1))
    values = (amplitude * integrity + 10) * (1 + drift * DRIFT)
    values = values + 0.02 * random.normal(size=values.shape)
    signal = hs.signals.Signal1D(values)
    signal.axes_manager[-1].scale = signal.axes_manager[-1].offset = 100.0
    signal.set_signal_type("DoseSeries")
    attach_shared_errors(signal, {"normalisation": np.broadcast_to(DRIFT, values.shape)})
    return signal


@pytest.fixture(scope="module")
def drifting():
    return series(1.0)


@pytest.fixture(scope="module")
def result(drifting):
    return drifting.fit_dose_kinetics(law="first order", spatial="population")


@pytest.fixture(scope="module")
def alone(drifting):
    """The same of noise alone."""
    return drifting.fit_dose_kinetics(
        law="first order", spatial="population", processing_error=False
    )


def inside(result):
    lower, upper = (end.data for end in result.interval("half_integrity_dose"))
    return ((lower < HALF) & (upper > HALF)).mean()


def test_noise_alone_would_be_wrong(alone):
    """The drift moves D½ by more than the intervals of all pixels together allow."""
    assert inside(alone) < 0.3
    assert alone.identifiable.data.mean() > 0.7


def test_common_error_is_in_the_intervals(result):
    assert inside(result) > 0.9
    assert result.identifiable.data.mean() < 0.3
    assert "drift of the normalisation" in str(result)


@pytest.mark.parametrize("level", [0.68, 0.99])
def test_other_levels_hold_it_too(result, level):
    lower, upper = (end.data for end in result.interval("half_integrity_dose", level))
    middle = [end.data for end in result.interval("half_integrity_dose", 0.9)]
    wider = (lower < middle[0]).mean() > 0.9 and (upper > middle[1]).mean() > 0.9
    assert bool(wider) is (level > 0.9)


def test_result_of_a_file_is_the_same(result, tmp_path):
    result.save(tmp_path / "shared.hspy")
    same = hyperspy_dosekin.load(tmp_path / "shared.hspy")
    for one, other in zip(
        result.interval("half_integrity_dose", 0.9),
        same.interval("half_integrity_dose", 0.9),
        strict=True,
    ):
        np.testing.assert_allclose(one.data, other.data)


def test_lazy_is_eager(drifting, result):
    lazy = drifting.as_lazy().fit_dose_kinetics(law="first order", spatial="population")
    for one, other in zip(
        result.interval("half_integrity_dose"),
        lazy.compute(show_progressbar=False).interval("half_integrity_dose"),
        strict=True,
    ):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-6)


def test_trajectories_and_fitted_intensities_hold_it_too(alone, result):
    for ends in (
        lambda r: [end.data for end in r.interval("integrity")],
        lambda r: r.intensity_interval(DOSE),
    ):
        widths = []
        for each in (result, alone):
            lower, upper = ends(each)
            assert np.all(upper - lower >= 0)
            widths.append((upper - lower)[..., -1])
        assert np.median(widths[0]) > 1.5 * np.median(widths[1])
    lower, upper = (end.data for end in result.interval("integrity"))
    assert lower.min() >= 0
    assert upper.max() <= 1 + 1e-12
    np.testing.assert_array_equal(upper[..., 0], 1.0)
    # The doses of other levels move by more, or by less, than D½.
    early, late = (result.interval("dose_at", dose_level=each) for each in (0.9, 0.3))
    ratio = [np.nanmedian(np.log(b.data / a.data)) for a, b in (early, late)]
    assert ratio[1] > 0.1


@pytest.mark.parametrize("lazy", [False, True])
def test_groups_have_errors_of_their_own(lazy):
    """The drift of half of the pixels is ten times that of the others."""
    signal = series(0.0)
    size = np.where(np.arange(8) < 4, 0.1, 1.0)[:, None, None]
    error = np.broadcast_to(size * DRIFT, signal.data.shape)
    attach_shared_errors(signal, {"normalisation": error})
    labels = np.where(np.arange(8) < 4, 7, 2) * np.ones((6, 1), dtype=int)
    labels[0, 0] = -1
    signal = signal.as_lazy() if lazy else signal
    found = signal.fit_dose_kinetics(law="first order", spatial="population", groups=labels)
    found = found.compute(show_progressbar=False)
    lower, upper = (end.data[0] for end in found.interval("half_integrity_dose"))
    width = np.log(upper / lower)
    assert np.median(width[:, 4:]) > 1.5 * np.nanmedian(width[:, :4])
    assert np.isnan(width[0, 0])


def test_errors_of_the_dose_are_in_the_intervals(tmp_path):
    signal = series(0.0)
    attach_shared_errors(signal, {})
    options = {"law": "first order", "spatial": "population"}
    plain = signal.fit_dose_kinetics(**options)
    scale = signal.fit_dose_kinetics(dose_uncertainty=0.1, **options)
    for name in ("half_integrity_dose", "rate_per_dose"):
        reach = [
            np.log(upper.data / estimate)
            for each in (plain, scale)
            for estimate in [getattr(each, name).data]
            for _, upper in [each.interval(name)]
        ]
        np.testing.assert_allclose(reach[1], np.hypot(reach[0], 0.1 * 1.959964), rtol=1e-6)
    ends = zip(plain.interval("rate"), scale.interval("rate"), strict=True)
    assert all(np.allclose(one.data, other.data) for one, other in ends)
    frames = signal.fit_dose_kinetics(
        dose_uncertainty={"frame": 0.05, "increment": 0.02, "pre_exposure": 10.0}, **options
    )
    widths = [
        np.median(np.log(upper.data / lower.data))
        for each in (plain, frames)
        for lower, upper in [each.interval("half_integrity_dose", 0.9)]
    ]
    assert widths[1] > 1.1 * widths[0]
    assert "of the dose of each frame" in str(frames)
    frames.save(tmp_path / "doses.hspy")
    same = hyperspy_dosekin.load(tmp_path / "doses.hspy")
    for one, other in zip(frames.interval("rate", 0.8), same.interval("rate", 0.8), strict=True):
        np.testing.assert_allclose(one.data, other.data)


def test_wrong_doses_are_held():
    """Doses that were misread alike for all pixels: their intervals hold the truth."""
    inside, random = [], np.random.default_rng(8)
    for _ in range(4):
        signal = series(0.0)
        attach_shared_errors(signal, {})
        wrong = DOSE * (1 + 0.1 * random.standard_normal())
        signal.axes_manager[-1].scale = signal.axes_manager[-1].offset = wrong[0]
        found = signal.fit_dose_kinetics(
            law="first order", spatial="population", dose_uncertainty=0.1
        )
        lower, upper = (end.data for end in found.interval("half_integrity_dose"))
        inside.append(((lower < HALF) & (upper > HALF)).mean())
    assert np.mean(inside) > 0.9


def test_quadrature():
    shift = np.array([0.0, 0.3])
    lower, upper = widened(
        np.array([90.0, 90.0]), np.array([120.0, np.inf]), np.array([100.0, 100.0]), shift, 0.95,
        logarithmic=True,
    )  # fmt: skip
    np.testing.assert_allclose(lower[0], 90)
    np.testing.assert_allclose(upper, [120, np.inf])
    reach = np.hypot(np.log(100 / 90), 0.3 * 1.959964)
    np.testing.assert_allclose(lower[1], 100 * np.exp(-reach), rtol=1e-6)


def test_network_is_compared_with_the_exact_solution_of_noise_alone(drifting):
    """A network knows nothing of common errors; with them the exact loss would be larger."""
    mean = drifting.mean(axis=(0, 1))
    attach_shared_errors(mean, {"normalisation": np.broadcast_to(DRIFT, mean.data.shape)})
    found = mean.fit_dose_kinetics(estimator="pinn", show_progressbar=False)
    assert found.data.metadata.has_item("Dosekin.shared_errors")
    np.testing.assert_allclose(found.certificate.loss_ratio, 1, atol=0.3)
