# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of whole spectra against truths and a dense solution made without the package."""

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from hyperspy_dosekin.kinetics import UserLaw
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.kinetics.spectra.fit import fit_spectra
from hyperspy_dosekin.kinetics.spectra.problem import SpectraConfig, SpectraProblem
from hyperspy_dosekin.kinetics.spectra.summary import (
    component_interval,
    component_values,
    half_doses,
    integrities,
    spectra_interval,
    spectra_of,
    summary,
)
from tests.kinetics.spectra.truth import DOSE, ENERGY, RESIDUE, peak, power_law, series

HALF = Quantity("half_integrity_dose")
A = peak(12) - peak(30, 2, 0.5)


def fitted(values, variance=None, dose=DOSE, errors=None, **options):
    problem = SpectraProblem(dose, values, variance, None, errors)
    return fit_spectra(problem, SpectraConfig(**options))


def dense(values, start, number):
    """Variable projection by a dense least-squares solver: rates, exponents and residual."""

    def residual(search):
        rate, exponent = np.exp(search[:number]), search[number:]
        columns = [power_law(k, p) for k, p in zip(rate, exponent, strict=True)]
        columns = np.stack([*columns, np.ones(DOSE.size)], 1)
        return (values - columns @ np.linalg.lstsq(columns, values, rcond=None)[0]).ravel()

    found = least_squares(residual, start, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    return np.exp(found.x[:number]), found.x[number:], 2 * found.cost


@pytest.mark.parametrize("components", [[(2.0, 1.5, A)], [(8.0, 1.0, A), (1.5, 1.0, peak(30, 5))]])
def test_same_as_a_dense_solution(components):
    """With little noise and no priors nothing but least squares is left."""
    number = len(components)
    values = series(1, components, noise=1e-3)
    found = fitted(values, n_component=number, prior=None)
    start = np.concatenate([np.log([c[0] for c in components]), [c[1] for c in components]])
    rate, exponent, cost = dense(values, start, number)
    got = component_values(found)
    np.testing.assert_allclose(got["rate"], rate, rtol=2e-3)
    np.testing.assert_allclose(got["exponent"], exponent, rtol=2e-3)
    spectra, _ = spectra_of(found, integrities(found, DOSE / DOSE[-1]))
    measured = integrities(found, DOSE / DOSE[-1])
    left = values - np.concatenate([measured, np.ones((1, DOSE.size))]).T @ spectra
    assert (left**2).sum() == pytest.approx(cost, rel=1e-5)
    truth = np.stack([*(c[2] for c in components), RESIDUE])
    np.testing.assert_allclose(spectra, truth, atol=0.05)


def test_gradient_is_that_of_the_deviance():
    found = fitted(series(2, [(6.0, 1.0, A), (1.5, 1.0, peak(30))]), n_component=2)
    at = torch.tensor([[1.5], [0.2], [0.4], [-0.1]], dtype=torch.float64)
    _, gradient, hessian = found.scan.evaluate(list(at), [True] * 4)
    for place in range(4):
        step = torch.zeros_like(at)
        step[place] = 1e-5
        ends = [found.scan.evaluate(list(x), [True] * 4)[0].item() for x in (at + step, at - step)]
        assert gradient[place].item() == pytest.approx((ends[0] - ends[1]) / 4e-5, rel=1e-3)
    assert torch.linalg.eigvalsh(hessian[..., 0]).min() > 0


def test_rates_and_spectra_are_as_uncertain_as_they_say():
    """Coverage of nominal 95 %, and errors near the Cramér–Rao bound of all channels."""
    rate, noise, repeats = 2.0, 0.02, 20
    inside, errors, bands = 0, [], []
    for seed in range(repeats):
        found = fitted(series(seed, [(rate, 1.0, A)], noise))
        lower, upper = component_interval(found, HALF)
        truth = np.log(2) / rate
        inside += lower[0] < truth < upper[0]
        errors.append(np.log(half_doses(found)[0] / truth))
        low, high = spectra_interval(found)
        true = np.stack([A, RESIDUE])
        bands.append(((low < true) & (true < high)).mean())
    assert inside >= 0.8 * repeats
    assert 0.9 < np.mean(bands) < 0.99
    # Bound: the slopes of C by ln k and p outside the space of C and 1, on all channels.
    step = 1e-5
    by_rate = (power_law(rate * np.exp(step)) - power_law(rate * np.exp(-step))) / (2 * step)
    by_exponent = (power_law(rate, 1 + step) - power_law(rate, 1 - step)) / (2 * step)
    basis, _ = np.linalg.qr(np.stack([power_law(rate), np.ones(DOSE.size)], 1))
    free = np.stack([by_rate, by_exponent], 1)
    free = free - basis @ (basis.T @ free)
    information = free.T @ free * (A**2).sum() / noise**2
    # D½ = (2^(p−1) − 1)/((p − 1) k): ln D½ changes by −1 with ln k and by ln 2/2 with p at p = 1.
    slope = np.array([-1.0, np.log(2) / 2])
    bound = np.sqrt(slope @ np.linalg.solve(information, slope))
    assert np.sqrt(np.mean(np.square(errors))) < 1.4 * bound


def test_number_of_components():
    """None too many, and a second one found whose spectrum has three standard deviations."""
    alone = [fitted(series(seed, [(8.0, 1.0, A)])).n_component for seed in range(10)]
    assert np.mean(np.array(alone) == 1) >= 0.9
    curves = np.stack([np.ones(DOSE.size), power_law(8.0), power_law(1.0)], 1)
    basis, _ = np.linalg.qr(curves[:, :2])
    seen = np.linalg.norm(curves[:, 2] - basis @ (basis.T @ curves[:, 2]))
    second = peak(30, 3, 3 * 0.03 / seen)
    both = [
        fitted(series(seed, [(8.0, 1.0, A), (1.0, 1.0, second)])).n_component for seed in range(10)
    ]
    assert np.mean(np.array(both) == 2) >= 0.9


@pytest.mark.parametrize("size", [0.3, 3.0])
def test_size_of_a_relative_noise_does_not_matter(size):
    values = series(3, [(2.0, 1.0, A)])
    one = fitted(values, np.full(values.shape, 0.03**2))
    other = fitted(values, np.full(values.shape, (0.03 * size) ** 2))
    np.testing.assert_allclose(one.search, other.search, atol=1e-4)
    assert other.spectra.scale == pytest.approx(1 / size**2, rel=0.1)
    absolute = fitted(values, np.full(values.shape, 0.03**2), noise="absolute")
    np.testing.assert_allclose(
        component_interval(absolute, HALF), component_interval(one, HALF), rtol=0.1
    )


def test_unit_of_dose_and_of_intensity_do_not_matter():
    values = series(4, [(2.0, 1.0, A)])
    one, other = fitted(values), fitted(1e6 * values, dose=DOSE / 100)
    np.testing.assert_allclose(one.search, other.search, atol=1e-4)
    np.testing.assert_allclose(
        component_interval(one, HALF), component_interval(other, HALF), rtol=2e-3
    )


def test_known_residue_says_more():
    values = series(5, [(1.0, 1.0, A)])
    free = fitted(values)
    known = fitted(values - RESIDUE, residue=False)
    assert summary(known).identifiable[0]
    assert not summary(free).identifiable[0]
    lower, upper = component_interval(known, HALF)
    assert lower[0] < np.log(2) < upper[0]


def test_bound_says_more_and_is_careful():
    inside, ratio = 0, []
    for seed in range(8):
        values = series(seed, [(1.0, 1.0, peak(12))], 0.02, 0.1 * peak(14, 5))
        free, bound = (fitted(values, nonnegative=each) for each in (False, True))
        lower, upper = component_interval(bound, HALF)
        inside += lower[0] < np.log(2) < upper[0]
        ratio.append(summary(bound).sd_log_half_dose[0] / summary(free).sd_log_half_dose[0])
    assert inside >= 6
    assert np.median(ratio) < 0.8


def test_frames_that_vary_are_no_component():
    """Half a per cent of the intensity is ten times the noise of the sum of all channels."""
    random = np.random.default_rng(0)
    inside = 0
    for seed in range(8):
        values = series(seed, [(3.0, 1.0, A)], 0.01)
        values = values * (1 + 0.005 * random.normal(size=(DOSE.size, 1)))
        found = fitted(values, errors=0.005 * np.eye(DOSE.size))
        assert found.n_component == 1
        assert found.adequacy > 1e-4
        lower, upper = component_interval(found, HALF)
        inside += lower[0] < np.log(2) / 3 < upper[0]
    assert inside >= 6


def test_a_drift_is_taken_out():
    values = series(6, [(2.0, 1.0, A)], 0.01)
    drift = DOSE / DOSE[-1] - 0.5
    found = fitted(values * (1 + 0.015 * drift)[:, None], errors=0.02 * drift[None])
    lower, upper = component_interval(found, HALF)
    assert lower[0] < np.log(2) / 2 < upper[0]
    np.testing.assert_allclose(found.frame_factors / (1 + 0.015 * drift), 1, atol=2e-3)


def test_correlated_channels_count_less():
    random = np.random.default_rng(1)
    inside, worth = 0, []
    for _ in range(8):
        noise = np.apply_along_axis(
            np.convolve, 1, random.normal(size=(9, ENERGY.size + 4)), np.ones(5), "valid"
        )
        values = np.outer(power_law(3.0), A) + RESIDUE + 0.02 * noise / np.sqrt(5)
        found = fitted(values)
        worth.append(found.spectra.inflation[0])
        lower, upper = component_interval(found, HALF)
        inside += lower[0] < np.log(2) / 3 < upper[0]
        assert found.n_component == 1
    assert 3.5 < np.median(worth) < 6
    assert inside >= 6


def test_counting_noise():
    """Variances that follow the spectra, of counts that are 0 in places."""
    inside = 0
    for seed in range(8):
        clean = 40 * (np.outer(power_law(3.0), peak(12, 4)) + 0.5 * peak(25, 8))
        counts = np.random.default_rng(seed).poisson(clean).astype(float)
        found = fitted(counts, counts)
        assert found.n_component == 1
        lower, upper = component_interval(found, HALF)
        inside += lower[0] < np.log(2) / 3 < upper[0]
    assert inside >= 6


def test_another_law_is_seen():
    """A shoulder, which no power law has."""
    time = np.maximum(DOSE / DOSE[-1] - 0.4, 0)
    random = np.random.default_rng(0)
    values = np.outer(np.exp(-3 * time), A) + RESIDUE + 0.01 * random.normal(size=(9, 400))
    assert fitted(values, n_component=1).adequacy < 1e-3
    assert fitted(values, n_component=1, law="delayed").adequacy > 1e-3


def test_peak_shift_is_more_than_one_component():
    shift = 0.6 * np.exp(-3 * DOSE / DOSE[-1])[:, None]
    values = np.exp(-0.5 * ((ENERGY - 12 - shift) / 2) ** 2)
    values = values + 0.003 * np.random.default_rng(0).normal(size=values.shape)
    found = fitted(values)
    assert found.n_component >= 2


def test_two_populations_are_two_components_or_another_law():
    """Of one spectrum they are one component, of a law that is not of power."""
    both = 0.7 * power_law(12.0) + 0.3 * power_law(0.8)
    values = np.outer(both, A) + RESIDUE
    values = values + 0.004 * np.random.default_rng(0).normal(size=values.shape)
    found = fitted(values)
    assert found.n_component == 1


def test_law_of_the_users():
    law = UserLaw(
        lambda integrity, parameters, dose: parameters["rate"] * integrity**2,
        {"rate": (0.01, 50.0, 1.0)},
        name="second order of spectra",
    )
    found = fitted(series(7, [(3.0, 2.0, A)], 0.01), law=law)
    lower, upper = component_interval(found, Quantity("rate"))
    assert lower[0] < 3 < upper[0]


def test_two_components_of_one_parameter_each():
    found = fitted(
        series(8, [(8.0, 1.0, A), (1.5, 1.0, peak(30, 5))], 0.01), law="first order", n_component=2
    )
    lower, upper = component_interval(found, Quantity("rate"))
    truth = np.array([8.0, 1.5])
    assert np.all((lower < truth) & (truth < upper))
    assert summary(found).identifiable.all()
    assert np.all(np.diff(half_doses(found)) > 0)


def test_held_exponent():
    found = fitted(series(8, [(2.0, 1.0, A)]), exponent=1.0)
    assert component_values(found)["exponent"] == pytest.approx([1.0])
    assert len(found.parameters.free) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dose": DOSE[:8]}, "do not fit 8 doses"),
        ({"dose": DOSE[::-1]}, "ascending"),
        ({"values": np.full((9, 400), np.nan)}, "not finite"),
        ({"dose": DOSE[:3], "values": np.ones((3, 400))}, "3 frames"),
        ({"values": np.ones((9, 4))}, "4 channels"),
        ({"variance": np.ones((9, 3))}, "variance of shape"),
    ],
)
def test_bad_series_are_refused(change, message):
    given = {"dose": DOSE, "values": series(0, [(2.0, 1.0, A)])} | change
    with pytest.raises(ValueError, match=message):
        SpectraProblem(**given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_component": 0}, "from 1 to 4"),
        ({"n_component": 5}, "from 1 to 4"),
        ({"noise": "floor"}, "floor"),
        ({"law": "first order", "exponent": 1.0}, "does not fit"),
        ({"nonnegative": True, "residue": False}, "leave one of them out"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SpectraConfig(**options)


def test_nothing_that_changes_is_refused():
    values = series(9, [(2.0, 1.0, 0 * A)])
    with pytest.raises(ValueError, match="nothing in these spectra changes"):
        fitted(values)
    assert not summary(fitted(values, n_component=1)).identifiable[0]


def test_noiseless_spectra_are_refused():
    with pytest.raises(ValueError, match="no noise"):
        fitted(series(0, [(2.0, 1.0, A)], 0.0))


def test_too_many_components_for_the_frames():
    dose = DOSE[[0, 2, 5, 8]]
    with pytest.raises(ValueError, match="do not fit 4 frames"):
        fitted(series(0, [(2.0, 1.0, A)], dose=dose), dose=dose, n_component=3)
