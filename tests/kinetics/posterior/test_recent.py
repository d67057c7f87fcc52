# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of the last blocks changes no number, and is never that of other data."""

from dataclasses import replace

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.block import fit_block, interval_block
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior import recent
from hyperspy_dosekin.kinetics.posterior.posterior import KineticPosterior
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

AXES = {"dose": 100.0 * np.arange(1, 10), "window_names": ("a", "b")}
ASKED = {"quantity": Quantity("half_integrity_dose"), "level": 0.8, "method": "posterior"}


@pytest.fixture
def values():
    random = np.random.default_rng(0)
    rate = np.array([[1.0, 2.0], [0.5, 4.0], [1.5, 3.0]])
    curve = 2 * np.exp(-rate[..., None] * AXES["dose"] / 900) + 0.3
    values = curve + 0.02 * random.standard_normal(curve.shape)
    values[1, 1, 3] = np.nan
    return values


@pytest.fixture
def made(monkeypatch):
    """Counts the posteriors of which nodes are made; nothing is remembered to begin with."""
    monkeypatch.setattr(recent, "_RECENT", recent.deque(maxlen=4))
    times, make = [], KineticPosterior._made

    def count(self, part):
        times.append(part)
        return make(self, part)

    monkeypatch.setattr(KineticPosterior, "_made", count)
    return times


def test_nodes_of_a_fit_are_used_again_and_change_no_number(values, made):
    config = ExactConfig()
    alone = interval_block(values, None, None, config=config, **AXES, **ASKED)
    recent._RECENT.clear()
    fit_block(values, None, None, config=config, **AXES)
    assert len(made) == 2
    for quantity in (ASKED["quantity"], Quantity("rate"), Quantity("dose_at", 0.3)):
        asked = ASKED | {"quantity": quantity}
        found = interval_block(values, None, None, config=config, **AXES, **asked)
        if quantity == ASKED["quantity"]:
            np.testing.assert_array_equal(found, alone)
    assert len(made) == 2


@pytest.mark.parametrize("other", ["values", "variance", "offset", "dose", "config", "large"])
def test_other_data_and_options_are_not_taken_for_them(values, made, monkeypatch, other):
    config, axes, variance = ExactConfig(), dict(AXES), np.full_like(values, 4e-4)
    if other == "large":
        monkeypatch.setattr(recent, "_VALUES", 53)
    fit_block(values, variance, None, config=config, **axes)
    offset = None
    if other == "values":
        # In place, as a user may.
        values[0, 0, 0] += 0.01
    elif other == "variance":
        variance[0, 0] *= 2
    elif other == "offset":
        offset = np.full((3, 2), 0.3)
    elif other == "dose":
        axes["dose"] = axes["dose"] + 1
    elif other == "config":
        config = replace(config, nonnegative=False)
    interval_block(values, variance, offset, config=config, **axes, **ASKED)
    assert len(made) == 2
