# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import numpy as np
import pytest

from hyperspy_dosekin.kinetics.block import block_fields, fit_block
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.live.bins import DoseBins
from hyperspy_dosekin.kinetics.live.posterior import LivePosterior
from hyperspy_dosekin.kinetics.model.config import ExactConfig

NAMES = ("a", "b", "c")
NOISE = 0.01


def series(number, seed=0, offset=(0.3, 0.1, 0.0)):
    """Decays of other shapes than the fitted law has nodes for, made with NumPy alone."""
    dose = 1200.0 * np.arange(1, number + 1) / number
    rate, shape = np.array([1.2, 2.0, 4.0])[:, None] / 1200, np.array([0.6, 1.3, 1.0])[:, None]
    with np.errstate(invalid="ignore"):
        base = np.maximum(1 + (shape - 1) * rate * dose, 0)
        power = -1 / np.where(shape == 1, 1.0, shape - 1)
        clean = np.where(shape == 1, np.exp(-rate * dose), base**power)
    values = clean + np.array(offset)[:, None]
    return dose, values + NOISE * np.random.default_rng(seed).normal(size=values.shape)


def offline(dose, values, config, offset=None, scale=None):
    block = fit_block(
        values[None],
        np.full(values.shape, NOISE**2)[None],
        offset,
        dose=dose,
        window_names=NAMES,
        config=replace(config, correlated=False),
        dose_scale=scale,
    )[0]
    fields = block_fields(config.law)
    unit = dose[-1] if scale is None else scale
    wanted = ("half_integrity_dose lower", "half_integrity_dose upper")
    lower, upper = (block[fields.index(name)] * unit for name in wanted)
    return lower, upper, block[fields.index("sd_log_half_dose")]


def live(dose, values, config, **options):
    bins, posterior = DoseBins(len(values)), LivePosterior(config, **options)
    found = None
    for place, each in enumerate(dose):
        bins.add(each, values[:, place], np.full(len(values), NOISE**-2))
        found = posterior.estimate(bins.curves(), each)
    return found


@pytest.mark.parametrize("number", [7, 20, 120])
@pytest.mark.parametrize(
    "options",
    [
        {"noise": "relative"},
        {"noise": "absolute"},
        {"noise": "floor", "nonnegative": None},
        {"noise": "relative", "law": "first order"},
        {"noise": "relative", "exponent": 1.3},
    ],
)
def test_intervals_are_those_of_the_offline_posterior(number, options):
    """Frame by frame with nodes that are kept, against nodes placed for the whole series."""
    config = ExactConfig(**options)
    dose, values = series(number)
    found = live(dose, values, config)
    lower, upper, spread = offline(dose, values, config)
    # Ends in units of the standard deviation: open tails are right to what matters.
    for mine, theirs in ((found.lower, lower), (found.upper, upper)):
        known = np.isfinite(theirs)
        assert np.all(np.abs(np.log(mine / theirs))[known] < 0.35 * spread[known])
    known = np.isfinite(spread)
    np.testing.assert_allclose(found.sd_log_half_dose[known], spread[known], rtol=0.25)


def test_known_offsets_and_scale():
    config = ExactConfig(noise="relative")
    dose, values = series(12)
    offset = np.array([0.3, 0.1, 0.0])
    found = live(dose, values, config, offset=offset, dose_scale=800.0)
    lower, upper, spread = offline(dose, values, config, offset[None], 800.0)
    np.testing.assert_allclose(found.lower, lower, rtol=0.03)
    np.testing.assert_allclose(found.upper, upper, rtol=0.03)
    np.testing.assert_allclose(found.sd_log_half_dose, spread, rtol=0.06)


def test_nothing_is_said_of_too_few_frames_and_of_constants():
    config = ExactConfig(noise="relative")
    dose, values = series(9)
    assert np.isnan(live(dose[:3], values[:, :3], config).half_dose).all()
    values[1] = 4.0
    found = live(dose, values, config)
    assert np.isnan(found.sd_log_half_dose).tolist() == [False, True, False]


def test_the_integrity_now_and_its_probability():
    config = ExactConfig(noise="relative", nonnegative=True)
    dose, values = series(60)
    found = live(dose, values, config, level=0.2)
    # C of the third is exp(-4) at the end, that of the first (1 - 0.4·1.2)^2.5.
    assert abs(found.integrity[2] - np.exp(-4)) < 0.03
    assert found.below[2] > 0.99
    assert found.below[0] < found.below[2]


def test_maps_share_their_nodes():
    """More curves than get nodes of their own, against the same ones a few at a time."""
    config = ExactConfig(noise="relative")
    dose, values = series(30)
    many = np.repeat(values, 40, axis=0)
    found = live(dose, many, config)
    few = live(dose, values, config)
    half, spread = (
        getattr(found, name).reshape(3, 40)[:, 0] for name in ("half_dose", "sd_log_half_dose")
    )
    np.testing.assert_allclose(half, few.half_dose, rtol=0.1)
    # What the common grid is too coarse for makes the standard deviation larger, never smaller.
    assert np.all(spread > 0.9 * few.sd_log_half_dose)
    assert np.all(spread < np.hypot(few.sd_log_half_dose, 0.05) * 1.1)


@pytest.mark.parametrize(("number", "options"), [(4, {}), (9, {"nonnegative": True})])
def test_maps_know_something_of_every_pixel_soon(number, options):
    """Also of those whose signal the noise hides, and of the neighbours of what is no number."""
    random = np.random.default_rng(1)
    dose = 1500.0 * np.arange(1, number + 1) / number
    half = np.exp(random.normal(6.0, 1.0, 90))
    values = 0.5 ** (dose / half[:, None]) + 0.03 * random.normal(size=(90, number))
    values[7] = 2.0
    posterior, bins = LivePosterior(ExactConfig(**options), weighted=False), DoseBins(90)
    for place, each in enumerate(dose):
        bins.add(each, values[:, place])
    found = posterior.estimate(bins.curves(), dose[-1])
    assert np.flatnonzero(np.isnan(found.sd_log_half_dose)).tolist() == [7]
    few = LivePosterior(ExactConfig(**options), weighted=False)
    known = few.estimate(bins.curves(slice(0, 60)), dose[-1], slice(0, 60))
    # The nodes are further apart than those of a few curves: what they miss is in the claim.
    sd, spread = found.sd_log_half_dose[:60], known.sd_log_half_dose
    assert np.nanmin(sd / spread) > 0.75
    assert np.nanquantile(sd / np.hypot(spread, 0.1), 0.95) < 1.2
    apart = np.log(found.half_dose[:60] / known.half_dose) / np.hypot(spread, 0.1)
    assert np.nanquantile(np.abs(apart), 0.95) < 0.5


def test_laws_that_are_too_slow_are_refused():
    with pytest.raises(ValueError, match="has no posterior"):
        LivePosterior(ExactConfig(law=kinetic_law("two populations")))
