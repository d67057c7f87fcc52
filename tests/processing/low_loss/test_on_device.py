# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain on tensors: the numbers of NumPy, in one place, without a way back for spectra."""

import functools

import numpy as np
import pytest
import torch

from hyperspy_dosekin.processing.low_loss.chain import process_block, process_spectra
from hyperspy_dosekin.processing.low_loss.gain_side import Tail
from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.processing.low_loss.peak_shape import PeakShape
from hyperspy_dosekin.processing.low_loss.survey import SURVEY, survey_low_loss
from hyperspy_dosekin.processing.low_loss.zero_loss import find_zero_loss, protected_channels
from hyperspy_dosekin.processing.spikes.removal import learn_subspace
from tests.card import CARD, Card

NUMBER, CHANNELS, ORIGIN, WIDTH = 90, 480, 100, 5.0
PROCESSOR = torch.device("cpu")
ALONE = np.exp(-0.5 * ((np.arange(CHANNELS) - ORIGIN) / 2.1) ** 2) / (2.1 * np.sqrt(2 * np.pi))


def counts(kind="int32"):
    """Peak, tail and plasmons by NumPy, with spikes, and where the peaks are."""
    random = np.random.default_rng(0)
    position = ORIGIN + random.uniform(-2.4, 2.4, NUMBER)
    away = np.arange(CHANNELS) - position[:, np.newaxis]
    expected = 2e4 * np.exp(-0.5 * (away / 2.1) ** 2) + 600 / (1 + (away / 2) ** 2)
    expected += np.where(away > 0, 300 * np.exp(-0.5 * ((away - 150) / 25) ** 2), 0.0) + 4.0
    found = random.poisson(expected)
    found[np.arange(0, NUMBER, 7), random.integers(200, 460, 13)] += 700
    found[11, [2, 475]] += 900
    return found.astype(kind), position


@functools.cache
def learned():
    spectra, position = counts()
    fwhm = np.full(NUMBER, WIDTH)
    near = protected_channels(position, fwhm)
    return learn_subspace(
        spectra.astype(float), position, fwhm, gain=1.0, offset=0.0, protected=near
    )


def chain_of(**options):
    known = {"subspace": learned(), "reach": 60, "fwhm": WIDTH}
    return LowLossChain(0.1, ORIGIN, 3, CHANNELS - 3, **known | options)


def both(chain, spectra, position, **options):
    fwhm = np.full(position.shape, WIDTH)
    return [
        process_block(spectra, position, fwhm, chain=chain, device=device, **options)
        for device in ("cpu", PROCESSOR)
    ]


def check(ours, theirs, tolerance):
    """Each spectrum within a share of its largest value, and each number of it."""
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        largest = np.nanmax(np.abs(one), axis=0 if one.shape[-1] == 7 else None, initial=0.01)
        assert np.all(np.nan_to_num(np.abs(one - other)) <= tolerance * largest)


OPTIONS = [
    {},
    {"align": "linear", "normalise": "total"},
    {"align": "integer", "resolution": "sharpened", "longer": 1.5},
    {"align": "fourier", "share": np.linspace(1.0, 0.5, 61)},
    {"align": "none", "deconvolve": False},
    {"background": (3.0, 8.0), "band": 0.3},
    {"zero_loss": 1.0, "normalise": False},
    {"zero_loss": 1e5 * ALONE[3:-3], "align": "integer", "spikes": False},
    {"zero_loss": PeakShape.sampled(ALONE[40:160], 60)},
    {"core": 2.0, "excess": 0.01 * np.exp(-np.arange(30.0) / 5)},
    {"tail": Tail(60.0, 1e-4, 2.0), "level": 4.0, "pedestal": 20, "gain": 1.2, "offset": 3.0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options) or "default")
def test_tensors_give_the_numbers_of_numpy(options):
    spectra, position = counts()
    exact = chain_of(**options)
    ours, theirs = both(exact, spectra, position, with_variance=True)
    if exact.spikes:
        assert (ours[1][::7, 0] > 0).all()
    # Tails of the Gaussian that tells the area of a coarse peak are rounding, of either library.
    check(ours, theirs, 1e-7 if "core" in options else 1e-10)
    rough = chain_of(**options, single=True)
    check(*both(rough, spectra, position, with_variance=True, dtype=np.float32), 1e-4)


def strange(kind):
    """By rows: thick, saturated, noise alone, few counts, hot, none, two peaks, on a pedestal."""
    random = np.random.default_rng(1)
    expected = np.full((48, CHANNELS), 3.0)
    away = np.arange(CHANNELS) - (ORIGIN + np.linspace(-30.7, 30.1, 48))[:, np.newaxis]
    height = np.repeat([3e4, 2e4, 0.0, 40.0, 2e4, 0.0, 2e4, 2e4], 6)[:, np.newaxis]
    expected += height * np.exp(-0.5 * (away / 2.1) ** 2)
    expected[:6] += 9e4 * np.exp(-0.5 * ((away[:6] - 200) / 18) ** 2)
    expected[36:42] += 900 * np.exp(-0.5 * ((away[36:42] + 40) / 2) ** 2)
    expected[42:] += 2000.0
    found = random.poisson(expected)
    found[6:12] = np.minimum(found[6:12], 9000)
    found[24:30, 300] = 60000
    found[30:36] = 0
    return found.astype(kind)


@pytest.mark.parametrize(
    ("kind", "near"), [("uint16", None), ("float32", slice(60, 140)), ("float64", None)]
)
def test_the_look_at_all_spectra_sees_the_same(kind, near):
    spectra = strange(kind)
    if kind.startswith("float"):
        spectra[[3, 20], [40, 200]] = np.nan
        spectra[21] -= 5
    given = {"widest": 50.0, "search": slice(0, CHANNELS), "largest_value": 65535, "near": near}
    ours, theirs = (
        survey_low_loss(spectra, **given, reach=50, gain=1.0, device=device)
        for device in ("cpu", PROCESSOR)
    )
    assert 20 < ours[0][:, SURVEY.index("found")].sum() < 46
    assert ours[0][:, SURVEY.index("saturated")].sum() == 6
    np.testing.assert_allclose(theirs[0], ours[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(theirs[1], ours[1], rtol=1e-4, atol=1e-5 * ours[1].max())


def test_any_type_missing_values_and_given_variances_come_to_the_device():
    spectra, position = counts(">u2")
    chain = chain_of()
    check(*both(chain, spectra, position), 1e-10)
    spectra = spectra.astype(np.float32)
    spectra[4, 200], position[5] = np.inf, np.nan
    spectra.flags.writeable = False
    ours, theirs = both(chain, spectra.reshape(9, 10, -1), position.reshape(9, 10))
    assert np.isnan(theirs[0][0, [4, 5]]).all()
    assert np.isfinite(theirs[0][1:]).all()
    check(ours, theirs, 1e-10)
    variance = np.maximum(spectra, 1.0)
    check(*both(chain, spectra, position, variance=variance, with_variance=True), 1e-10)


@pytest.mark.parametrize("options", [*OPTIONS[:6], OPTIONS[8]], ids=lambda each: " ".join(each))
def test_all_is_made_on_the_device_and_only_numbers_of_spectra_leave_it(options):
    spectra, position = counts()
    chain = chain_of(**options)
    with Card() as card:
        tensor = torch.tensor(spectra).to(CARD)
        seen = find_zero_loss(tensor, widest=50.0)
        found = process_spectra(
            tensor, position, np.full(NUMBER, WIDTH), chain=chain, with_variance=True
        )
        back = sum(card.fetched)
        assert all(each.device == CARD for each in (*found, *vars(seen).values()))
        found = [each.cpu().numpy() for each in found]
    # What is far from what is expected, the spectra that may have spikes, and 29 channels at either
    # end that the subspace does not have: most where so many have spikes and so few channels.
    assert back < 0.5 * spectra.size
    check(both(chain, spectra, position, with_variance=True)[1], found, 0.0)
