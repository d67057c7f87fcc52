# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network classifies as Bayes' rule does, which it learned from."""

from dataclasses import replace

import numpy as np
import torch

from hyperspy_dosekin.classification.architecture import make_network
from hyperspy_dosekin.classification.calibration import softmax
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.learning import Records, Training
from hyperspy_dosekin.classification.reader import with_reader
from hyperspy_dosekin.classification.simulation import Simulator
from hyperspy_dosekin.classification.units import NetworkUnits

from .problems import make_nuisances, make_references

UNIFORM = np.full(3, 1 / 3)


def away(rule, head):
    """Kullback–Leibler divergence of probabilities, nats."""
    logarithm = np.log(np.maximum(rule, 1e-12)) - np.log(np.maximum(head, 1e-12))
    return (rule * logarithm).sum(axis=1).mean()


def test_probabilities_are_those_of_the_rule(make_live_problem):
    model, spectra, label = make_live_problem(48)
    rule = softmax(model.judged(spectra)[0])
    head = model.probability(model.read(spectra), share=UNIFORM)
    kept = {n: value for n, value in model.weights.items() if not n.startswith("reader.")}
    plain = replace(model, weights=kept)
    latents = plain.probability(plain.read(spectra), share=UNIFORM)
    assert away(rule, head) < 0.01
    assert away(rule, head) < 0.5 * away(rule, latents)
    wrong = [(found.argmax(axis=1) != label) for found in (rule, head)]
    # of four hundred
    assert abs(wrong[0].sum() - wrong[1].sum()) <= 3


def test_ended_early_the_network_keeps_its_head():
    references = make_references()
    simulator = Simulator(references, make_nuisances(references), torch.Generator())
    network = make_network(47, 3, 4)
    units = NetworkUnits(np.zeros(47, np.float32), np.ones(47, np.float32), 1.0)
    training = Training(network, Records().curve(), True)

    def teacher(rows):
        return np.full((len(rows), 3), 1 / 3)

    def interrupted(rows):
        raise KeyboardInterrupt

    config = VAEConfig(steps=30)
    for asked, stop in ((teacher, lambda: True), (interrupted, lambda: False)):
        found = with_reader(training, simulator, units, config, asked, stop=stop)
        assert not found.complete
        assert found.network.reader is None
    stopped = replace(training, complete=False)
    assert with_reader(stopped, simulator, units, config, interrupted) is stopped
