# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from hyperspy_dosekin.kinetics.laws.closed_forms import PowerLaw
from hyperspy_dosekin.kinetics.laws.power_law import (
    dose_at,
    half_dose,
    power_law_derivatives,
    power_law_integrity,
)
from hyperspy_dosekin.kinetics.laws.power_law_torch import power_law_curve

mpmath = pytest.importorskip("mpmath")

RATES = (1e-9, 0.03, 1.0, 2.0, 17.0)
EXPONENTS = (0.1, 0.5, 1 - 1e-9, 1.0, 1 + 1e-12, 1.00007, 1.5, 4.9)
DOSES = (0.0, 0.013, 0.4, 0.99999, 1.7)


def _exact(dose, rate, exponent):
    """C, dC/dk and dC/dp with fifty digits."""
    with mpmath.workdps(50):
        dose, rate, exponent = (mpmath.mpf(float(x)) for x in (dose, rate, exponent))
        excess, time = exponent - 1, rate * dose
        if excess == 0:
            value = mpmath.exp(-time)
            return float(value), float(-dose * value), float(value * time**2 / 2)
        base = 1 + excess * time
        if base <= 0:
            return 0.0, 0.0, 0.0
        value = base ** (-1 / excess)
        by_exponent = value * (mpmath.log(base) / excess**2 - time / (excess * base))
        return float(value), float(-dose * value**exponent), float(by_exponent)


# Three roundings of numbers below one in C; dC/dp grows to about two and loses 2·eps/0.02 of
# its slope to cancellation above the limit of the series.
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float64, (3e-16, 2e-15, 2e-14)), (np.float32, (3e-7, 1e-6, 4e-6))]
)
def test_value_and_derivatives_to_rounding(dtype, tolerance):
    dose, rate, exponent = np.meshgrid(DOSES, RATES, EXPONENTS, indexing="ij")
    dose, rate, exponent = (array.astype(dtype) for array in (dose, rate, exponent))
    found = power_law_derivatives(dose, rate, exponent)
    truth = np.vectorize(_exact)(dose, rate, exponent)
    for array, expected, limit in zip(found, truth, tolerance, strict=True):
        assert array.dtype == dtype
        assert np.abs(array - expected).max() < limit


def test_obeys_its_differential_equation():
    doses = np.linspace(0, 1, 11)
    for rate, exponent in ((0.7, 1.0), (3.0, 0.5), (5.0, 2.3), (1.9, 0.9)):
        solution = solve_ivp(
            lambda _, integrity, k=rate, p=exponent: -k * np.maximum(integrity, 0) ** p,
            (0, 1),
            [1.0],
            t_eval=doses,
            rtol=1e-10,
            atol=1e-12,
        )
        # The solver's own error, largest at the corner of extinction.
        expected = power_law_integrity(doses, rate, exponent)
        np.testing.assert_allclose(solution.y[0], expected, atol=1e-7)


def test_extinction_is_reached_and_kept():
    extinct = 1 / ((1 - 0.5) * 4.0)
    doses = extinct * np.array([0.999, 1.0, 1.001, 3.0])
    integrity, by_rate, by_exponent = power_law_derivatives(doses, 4.0, 0.5)
    assert integrity[0] > 0
    assert np.all(integrity[1:] == 0)
    assert np.all(by_rate[1:] == 0)
    assert np.all(by_exponent[1:] == 0)


@given(
    level=st.floats(1e-3, 1.0),
    rate=st.floats(1e-3, 50.0),
    exponent=st.floats(0.05, 6.0),
)
def test_dose_at_is_the_inverse(level, rate, exponent):
    dose = dose_at(level, rate, exponent)
    # Rounding of φ is amplified by the slope of C, at most k.
    assert power_law_integrity(dose, rate, exponent) == pytest.approx(level, abs=1e-13)


def test_dose_at_limits():
    assert half_dose(1.0, 1.0) == pytest.approx(np.log(2), rel=1e-15)
    assert dose_at(1.0, 2.0, 1.3) == 0
    assert dose_at(0.0, 2.0, 0.5) == pytest.approx(1.0, rel=1e-15)
    assert dose_at(0.0, 2.0, 1.0) == np.inf
    assert half_dose(0.0, 1.5) == np.inf
    assert np.isnan(half_dose(np.nan, 1.0))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        dose_at(1.2, 1.0, 1.0)


def test_broadcasts_and_keeps_single_precision():
    value = power_law_integrity(np.ones((3, 1, 5), np.float32), np.ones((2, 1), np.float32), 2)
    assert value.shape == (3, 2, 5)
    assert power_law_integrity(np.float32(1), np.float32(1), np.float32(1)).dtype == np.float32
    assert power_law_integrity(1, 1, 1).dtype == np.float64


# p = 1, k → 0, just before and just after extinction, p > 1.
@pytest.mark.parametrize(
    ("rate", "exponent"),
    [(1.0, 1.0), (1e-3, 1.0), (2.0, 0.5), (2.2, 0.5), (3.0, 1 + 1e-9), (0.4, 2.5)],
)
def test_gradients(rate, exponent):
    dose = torch.tensor([0.2, 0.93], dtype=torch.float64)
    rate = torch.tensor([rate], dtype=torch.float64, requires_grad=True)
    exponent = torch.tensor([exponent], dtype=torch.float64, requires_grad=True)

    def solution(rate, exponent):
        return PowerLaw().solution(dose, {"rate": rate, "exponent": exponent})

    assert torch.autograd.gradcheck(solution, (rate, exponent))


@settings(max_examples=50)
@given(
    dose=st.floats(0, 2),
    rate=st.floats(1e-6, 1e3),
    exponent=st.floats(0.05, 8),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_gradients_are_finite_everywhere(dose, rate, exponent, dtype):
    leaves = [torch.tensor([x], dtype=dtype, requires_grad=True) for x in (rate, exponent)]
    at = dict(zip(("rate", "exponent"), leaves, strict=True))
    value = PowerLaw().solution(torch.tensor([dose], dtype=dtype), at)
    value.sum().backward()
    assert 0 <= value.item() <= 1
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)


# Shapes of dose, ln k and ln p: by curve, by window and curve, as laws with a delay have them, of
# trajectories, one p for all, one p for every curve, numbers.
SHAPES = (
    ((3, 1), (8,), (8,)),
    ((3, 1, 1), (1, 8), (1, 8)),
    ((3, 8), (8,), (8,)),
    ((3, 5, 8), (5, 8), (5, 8)),
    ((3, 1, 1), (5, 1), (1, 8)),
    ((3, 8, 5), (8, 5), (8, 1)),
    ((3,), (8, 1), (8, 1)),
    ((3, 1), (8,), ()),
    ((3,), (), (1,)),
    ((), (), ()),
)


@settings(max_examples=30)
@given(
    shapes=st.sampled_from(SHAPES),
    seed=st.integers(0, 2**32 - 1),
    single=st.booleans(),
    slopes=st.sampled_from([(False, False), (True, False), (True, True)]),
    turned=st.booleans(),
)
def test_curves_of_every_shape_are_exact(shapes, seed, single, slopes, turned):
    random = np.random.default_rng(seed)
    choices = DOSES, np.log(RATES), np.log([*EXPONENTS, 1.0011])
    dtype = np.float32 if single else np.float64
    arrays = [
        np.asarray(random.choice(values, shape), dtype=dtype)
        for values, shape in zip(choices, shapes, strict=True)
    ]
    if turned:
        # In the memory the other way about.
        arrays = [np.asfortranarray(array) for array in arrays]
    tensors = [torch.from_numpy(array) for array in arrays]
    before = [tensor.clone() for tensor in tensors]
    found = power_law_curve(*tensors, by_rate=slopes[0], by_exponent=slopes[1])
    assert all(map(torch.equal, tensors, before))
    dose, rate, exponent = np.broadcast_arrays(arrays[0], *(np.exp(a) for a in arrays[1:]))
    exact = np.vectorize(_exact)(dose, rate, exponent)
    expected = exact[0], -rate * exact[1], -exponent * exact[2]
    # For speed: p keeps 1e-12 (1e-6) from 1, and its derivative loses digits where it is near.
    tolerances = (3e-6, 3e-6, 5e-4) if single else (1e-11, 1e-11, 1e-9)
    for tensor, array, wanted, tolerance in zip(
        found, expected, (True, *slopes), tolerances, strict=True
    ):
        assert (tensor is not None) == wanted
        if tensor is not None:
            assert tensor.shape == dose.shape
            assert tensor.dtype == tensors[0].dtype
            np.testing.assert_allclose(tensor.numpy(), array, rtol=tolerance, atol=tolerance)
