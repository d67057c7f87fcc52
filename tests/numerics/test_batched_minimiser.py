# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from hyperspy_dosekin.numerics.batched_minimiser import _solve, minimise_batched


@dataclass(frozen=True, eq=False)
class Linear:
    """Squares of A x − y, one problem each."""

    matrix: torch.Tensor  # (n_problem, n_row, n_parameter)
    target: torch.Tensor

    def evaluate(self, parameters):
        residual = torch.einsum("nrp,pn->nr", self.matrix, parameters) - self.target
        gradient = torch.einsum("nrp,nr->pn", self.matrix, residual)
        hessian = torch.einsum("nrp,nrq->pqn", self.matrix, self.matrix)
        return (residual**2).sum(1), gradient, hessian

    def select(self, index):
        return Linear(self.matrix[index], self.target[index])


@dataclass(frozen=True, eq=False)
class Rosenbrock:
    """(1 − x)² + 100 (y − x²)²: a bent valley, with steps that must be refused."""

    def evaluate(self, parameters):
        x, y = parameters
        first, second = 1 - x, 10 * (y - x * x)
        gradient = torch.stack([-first - 20 * x * second, 10 * second])
        hessian = torch.stack(
            [
                torch.stack([1 + 400 * x * x, -200 * x]),
                torch.stack([-200 * x, torch.full_like(x, 100.0)]),
            ]
        )
        return first**2 + second**2, gradient, hessian

    def select(self, index):
        return self


def _minimise(objective, start, lower, upper, **options):
    options = {"largest_step": 10.0, "tolerance": 1e-12, "max_iterations": 200, **options}
    count = start.shape[0]
    options["largest_step"] = torch.full((count,), options["largest_step"], dtype=start.dtype)
    lower, upper = (
        torch.as_tensor(bound, dtype=start.dtype).expand(count) for bound in (lower, upper)
    )
    return minimise_batched(objective, start, lower, upper, **options)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_bounded_linear_problems_equal_scipy(count):
    generator = torch.Generator().manual_seed(count)
    matrix = torch.randn(17, 7, count, generator=generator, dtype=torch.float64)
    target = torch.randn(17, 7, generator=generator, dtype=torch.float64)
    start = torch.zeros(count, 17, dtype=torch.float64)
    found = _minimise(Linear(matrix, target), start, -0.2, 0.3)
    assert found.converged.all()
    for place in range(17):
        expected = lsq_linear(matrix[place].numpy(), target[place].numpy(), (-0.2, 0.3), tol=1e-14)
        # The objective, not the point, is what converges: half a deviance of 1e-12.
        assert found.objective[place].item() == pytest.approx(2 * expected.cost, abs=1e-6)
        np.testing.assert_allclose(found.parameters[:, place], expected.x, atol=1e-3)


def test_bent_valley():
    start = torch.tensor([[-1.2, 0.0, 2.0, -3.0, 1.0], [1.0, 3.0, 2.0, -4.0, 1.0]])
    found = _minimise(Rosenbrock(), start.double(), -5.0, 5.0)
    np.testing.assert_allclose(found.parameters, np.ones((2, 5)), atol=1e-4)
    assert found.converged.all()
    assert torch.all(found.objective < 1e-8)


def test_stops_and_says_so():
    start = torch.tensor([[-1.2, 1.0], [1.0, 1.0]], dtype=torch.float64)
    found = _minimise(Rosenbrock(), start, -5.0, 5.0, max_iterations=2)
    assert found.converged.tolist() == [False, True]
    assert found.objective[0] <= Rosenbrock().evaluate(start)[0][0]


def test_start_outside_and_empty_batch():
    found = _minimise(Rosenbrock(), torch.tensor([[9.0], [-9.0]]).double(), -2.0, 2.0)
    np.testing.assert_allclose(found.parameters, 1.0, atol=1e-4)
    empty = _minimise(Rosenbrock(), torch.empty(2, 0, dtype=torch.float64), -2.0, 2.0)
    assert empty.parameters.shape == (2, 0)


def test_steps_of_three_parameters_are_those_of_torch():
    generator = torch.Generator().manual_seed(3)
    factor = torch.randn(64, 5, 3, generator=generator, dtype=torch.float64)
    matrix, right = factor.mT @ factor, torch.randn(64, 3, generator=generator, dtype=torch.float64)
    step = _solve(matrix.permute(1, 2, 0), right.T)
    np.testing.assert_allclose(step.T, torch.linalg.solve(matrix, right), rtol=1e-8)
    # Of a matrix that has no decomposition the diagonal alone is taken.
    matrix[7, 2, 2] = -matrix[7, 2, 2]
    step = _solve(matrix.permute(1, 2, 0), right.T)
    np.testing.assert_array_equal(step[:, 7], right[7] / matrix[7].diagonal())


def test_each_problem_may_have_a_box_of_its_own():
    """As many as leave at different times, in whole vectors and not."""
    generator = torch.Generator().manual_seed(4)
    start = 4 * torch.rand(2, 70, generator=generator, dtype=torch.float64) - 2
    lower, upper = start - 0.3, start + 0.2
    options = {
        "largest_step": torch.full((2,), 10.0).double(),
        "tolerance": 1e-12,
        "max_iterations": 200,
    }
    found = minimise_batched(Rosenbrock(), start, lower, upper, **options)
    assert ((lower <= found.parameters) & (found.parameters <= upper)).all()
    for place in (0, 13, 69):
        own = (each[:, place] for each in (lower, upper))
        alone = minimise_batched(Rosenbrock(), start[:, place, None], *own, **options)
        np.testing.assert_array_equal(found.parameters[:, place], alone.parameters[:, 0])
