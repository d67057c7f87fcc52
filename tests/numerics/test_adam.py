# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch

from hyperspy_dosekin.numerics.adam import Adam


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_steps_are_those_of_the_paper(fused, weight_decay):
    """Algorithm 2 of arXiv:1711.05101, written with NumPy; a rate that changes, and no gradient."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4))
    place = torch.tensor(start, requires_grad=True)
    still = torch.tensor([2.0], requires_grad=True)
    optimiser = Adam([place, still], 0.5, weight_decay, fused=fused)
    mean, square = np.zeros_like(start), np.zeros_like(start)
    for step in range(1, 8):
        optimiser.rate = 0.5 / step
        gradient = rng.normal(size=start.shape)
        optimiser.zero_grad()
        (place * torch.tensor(gradient)).sum().backward()
        optimiser.step()
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        moved = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        start = start - 0.5 / step * (moved + weight_decay * start)
        np.testing.assert_allclose(place.detach().numpy(), start, rtol=1e-6)
    assert still.item() == 2.0
