# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import torch

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.interval_data import interval_curves
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.scan import ScanData
from hyperspy_dosekin.kinetics.posterior.templates import Templates


def _templates(values):
    problem = DoseProblem(np.arange(1.0, 10.0), values[:, None], ("C–O",))
    config = ExactConfig()
    curves = interval_curves(problem, config)
    index = np.arange(len(values))
    return Templates.of(ScanData.of(curves, index, torch.device("cpu"), config.parameters))


def test_rounding_does_not_choose_among_rates_that_fit_alike():
    random = np.random.default_rng(0)
    # The first frame alone has seen something: of an extinct decay all rates above fit alike.
    values = random.normal(scale=0.01, size=(64, 9))
    values[:, 0] += random.uniform(0.02, 0.4, 64)
    found = _templates(values)
    other = _templates(values * (1 + 1e-14 * random.normal(size=values.shape)))
    np.testing.assert_allclose(found.rate, other.rate, atol=1e-6)
    np.testing.assert_allclose(found.deviance, other.deviance, rtol=1e-9, atol=1e-9)
