# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nuisances reach the top of their likelihood from where expectation and maximisation stop."""

from dataclasses import replace

import numpy as np
import pytest

from hyperspy_dosekin.classification.ascent import ascended
from hyperspy_dosekin.classification.explanations import Explainer, class_templates

from .problems import draw, make_nuisances, make_references


@pytest.fixture(scope="module")
def problem():
    """Spectra with noise as high as the edge, and what explains them by given nuisances."""
    references = make_references(48)
    known = make_nuisances(references, noise_sd=0.5, gain=0.02)
    spectra, clean, _ = draw(references, known, 2000, seed=3)
    templates, class_of = class_templates(references, np.random.default_rng(0))
    explainer = Explainer(templates, class_of, references.energy_ev)
    variance = known.noise.variance(clean)

    def explain(now, nodes=None):
        return explainer.explain(spectra, variance, now, nodes or 9)

    return known, explainer, explain


def ascent(problem, start, rounds=6):
    _, explainer, explain = problem
    step = explainer.step_ev

    def whole(now, nodes):
        return explain(now, nodes).log_likelihood

    return ascended(explain, whole, start, explainer.class_of, step, lambda now: 9, rounds)


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_wrong_widths_and_shares_are_found(problem, factor):
    known, _, explain = problem
    start = replace(
        known,
        scale_mean=1.08,
        scale_sd=0.3,
        shift_sd_ev=factor * known.shift_sd_ev,
        background_mean=np.array([0.03, 0.0]),
        background_covariance=factor * known.background_covariance,
        class_share=np.full(3, 1 / 3),
    )
    found = ascent(problem, start)
    highest = explain(known).log_likelihood.sum()
    # The best of so many parameters lies some nats above the truth.
    assert explain(start).log_likelihood.sum() < highest - 20
    assert explain(found).log_likelihood.sum() > highest
    assert found.scale_mean == pytest.approx(1.0, abs=0.03)
    assert found.shift_sd_ev == pytest.approx(known.shift_sd_ev, rel=0.2)
    assert found.class_share == pytest.approx(known.class_share, abs=0.05)
    assert found.background_mean == pytest.approx(np.zeros(2), abs=0.015)


def test_the_top_stays_where_it_is_and_nothing_is_changed_in_place(problem):
    known, _, explain = problem
    top = ascent(problem, known, 8)
    before = top.background_covariance.copy()
    again = ascent(problem, top, 1)
    assert abs(float((explain(again).log_likelihood - explain(top).log_likelihood).sum())) < 1
    assert again.class_share == pytest.approx(top.class_share, abs=0.01)
    assert (top.background_covariance == before).all()
    assert again.class_share.sum() == pytest.approx(1)
