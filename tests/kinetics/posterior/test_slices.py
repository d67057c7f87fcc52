# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch

from hyperspy_dosekin.kinetics.block import examined
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.slice_places import at_frames

NINE = np.arange(1, 10) / 9
#: Law, σ if it is given, whether b ≥ 0, values, and 95 % intervals (logarithms of rates, ratios and
#: doses) as ``benchmarks/kinetics/posterior_grid.py`` finds them with 300 000 cells: they go on to
#: a box where the density has not fallen towards it.
HARD = [
    (
        # Delays before the first frame fit alike; the best curve without a bound has b < 0.
        *("delayed power law", None, True),
        [0.9183, 0.7754, 0.655, 0.5395, 0.4141, 0.3115, 0.2094, 0.1144, 0.0304],
        {"rate": (0.145, 0.2985), "exponent": (0.1389, 0.2508), "delay": (0.0, 0.114)}
        | {"half_integrity_dose": (-0.7998, -0.6505)},
    ),
    (
        # The second frame is a wall.
        *("delayed power law", 0.01, False),
        [1.3062, 0.6896, 0.29, 0.2875, 0.3059, 0.2916, 0.2949, 0.2965, 0.3053],
        {"rate": (1.4089, 4.4705), "exponent": (0.1136, 1.0425), "delay": (0.0141, 0.2121)}
        | {"half_integrity_dose": (-1.9381, -1.5149)},
    ),
    (
        # D½ is of the fast or of the slow population.
        *("two populations", 0.01, False),
        [1.205, 1.1111, 1.0541, 0.982, 0.936, 0.8944, 0.8448, 0.7958, 0.7571],
        {"rate": (-0.4509, 3.7744), "share": (0.05, 0.95), "ratio": (-4.6052, -0.1054)}
        | {"half_integrity_dose": (-2.6442, 3.0292)},
    ),
    (
        # With an offset as large, a plateau may have any height: long rows that begin at a box.
        *("power law with plateau", None, True),
        [0.8339, 0.6349, 0.4461, 0.274, 0.1074, 0.0309, 0.0357, 0.0444, 0.0412],
        {"rate": (0.5959, 0.692), "exponent": (0.1024, 0.2248)}
        | {"half_integrity_dose": (-1.2965, -1.2171)},
    ),
]


@pytest.mark.parametrize(("law", "sigma", "bounded", "values", "known"), HARD)
def test_ends_of_hard_curves_are_those_of_a_fine_integral(law, sigma, bounded, values, known):
    variance = None if sigma is None else np.full((1, 1, 9), sigma**2)
    problem = DoseProblem(900 * NINE, np.array(values)[None, None], ("window",), variance)
    config = ExactConfig(law=law, nonnegative=bounded)
    posterior = kinetic_posterior(problem, config)
    found, shapes = examined(posterior), kinetic_law(law).parameters[1:]
    direct = [shape.name for shape in shapes if not shape.logarithmic]
    for name, truth in known.items():
        for side, end in zip(("lower", "upper"), truth, strict=True):
            value = found[f"{name} {side}"][0, 0]
            value = value if name in direct else np.log(value)
            assert abs(value - end) <= 0.015 * (truth[1] - truth[0]), (name, side)


def test_nodes_of_a_row_stand_closer_together_at_its_peak_than_in_its_tail():
    # Hits that nearly hide the decay: rates have a narrow peak, and a tail towards slow ones.
    values = [1.3064, 1.2872, 1.305, 1.2871, 1.2922, 1.294, 1.2712, 1.2463, 1.2694]
    problem = DoseProblem(900 * NINE, np.array(values)[None, None], ("window",))
    posterior = kinetic_posterior(problem, ExactConfig(law="multi-hit", offset=0.3))
    truth = {"rate": (-2.7857, 0.1553), "half_integrity_dose": (0.7664, 2.7605)}
    for name, (low, high) in truth.items():
        ends = np.log(np.ravel(posterior.interval(name)))
        np.testing.assert_allclose(ends, [low, high], atol=0.01 * (high - low))


def test_cells_of_a_delay_begin_and_end_at_frames():
    frame = torch.tensor([0.25, 0.5, 0.75, 1.0], dtype=torch.float64)
    places = torch.linspace(0.1, 0.9, 21, dtype=torch.float64)[:, None]
    middle, step = at_frames(frame, places)
    edges = places[0] + torch.cat([torch.zeros(1, 1).to(step), step.cumsum(0)])
    for inside in frame[:3]:
        assert (edges - inside).abs().min() < 1e-12
    assert bool((middle.diff(dim=0) > 0).all())
    between = step[(middle > frame[0]) & (middle < frame[1])]
    # The first one is cut by its frame; below a frame rates grow without a limit.
    assert bool((between[1:].diff() < 0).all())
    torch.testing.assert_close(step.sum(0), places[-1] - places[0])
