# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain on tensors: the numbers of NumPy, in one place, without a way back for spectra."""

import numpy as np
import pytest
import torch

from hyperspy_dosekin.processing.background import spikes_in_background
from hyperspy_dosekin.processing.core_loss.chain import (
    CoreLossChain,
    process_block,
    process_spectra,
)
from tests.card import CARD, Card

NUMBER, CHANNELS = 90, 320
ENERGY = 400.0 + np.arange(CHANNELS)
PROCESSOR = torch.device("cpu")
EMPTY = slice(20, 23)


def counts(kind="int32"):
    """Power law and two edges by NumPy, spikes before and in an edge, and spectra of nothing."""
    random = np.random.default_rng(0)
    position = random.uniform(-2.4, 2.4, NUMBER)
    energy = ENERGY - position[:, np.newaxis]
    expected = 300 * (ENERGY / 400) ** -3.2 * random.uniform(0.3, 2.0, (NUMBER, 1))
    expected += 120 / (1 + np.exp((532 - energy) / 1.2)) + 50 / (1 + np.exp((640 - energy) / 1.2))
    found = random.poisson(expected)
    found[::9, 60] += 900
    found[5::17, 200] += 4000
    found[EMPTY, 20:120] = 0
    return found.astype(kind), position


def chain_of(**options):
    known = {"align": True, "reference": None, "reference_background": None, "margin": 3}
    known |= {"background": slice(40, 110), "crop": slice(100, 310)}
    return CoreLossChain(ENERGY, **{"gain": 1.0, "offset": 0.0} | known | options)


def check(spectra, position, *, tolerance=1e-10, variance=None, **options):
    """Each spectrum within a share of its largest value, and each number of it; NumPy's of both."""
    with_variance = options.pop("with_variance", True)
    kind = options.pop("dtype", "float64")
    scale = np.linspace(1.0, 9.0, position.size).reshape(position.shape)
    ours, theirs = (
        process_block(
            spectra, position, scale, variance, chain=chain_of(**options), dtype=kind,
            with_variance=with_variance, device=device,
        )
        for device in ("cpu", PROCESSOR)
    )  # fmt: skip
    for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        axis = tuple(range(position.ndim)) if place == 1 else -1
        largest = np.nanmax(np.abs(one), axis=axis, keepdims=True, initial=1e-9)
        assert np.all(np.nan_to_num(np.abs(one - other)) <= tolerance * largest)
    return ours


OPTIONS = [
    {},
    {"align": False},
    {"reference": slice(132, 200)},
    {"reference": slice(132, 200), "reference_background": slice(40, 120)},
    {"background": None, "with_variance": False},
    {"background": slice(40, 46), "gain": 1.2, "offset": 3.0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options) or "default")
def test_tensors_give_the_numbers_of_numpy(options):
    spectra, position = counts()
    check(spectra, position, **options)
    check(spectra, position, **options, dtype="float32", tolerance=1e-6)


def test_any_type_missing_values_and_given_variances_come_to_the_device():
    spectra, position = counts(">u2")
    check(spectra, position)
    variance = np.maximum(spectra, 1)
    spectra = spectra.astype(np.float32)
    # Where it is used, where it is not, and everywhere but in one channel.
    spectra[[4, 5, 6], [150, 2, 318]] = np.nan, np.inf, -np.inf
    position[7] = np.nan
    spectra.flags.writeable = False
    shape = (9, 10)
    block, position = spectra.reshape(*shape, -1), position.reshape(shape)
    values, *_ = check(block, position)
    assert np.isnan(values[0]).all(axis=-1).tolist() == [each in (4, 7) for each in range(10)]
    for kind, tolerance in (("i8", 1e-10), ("f8", 1e-10), ("f4", 1e-6)):
        given = variance.astype(kind).reshape(block.shape)
        check(block, position, variance=given, tolerance=tolerance)


def test_windows_without_counts_take_the_usual_exponent_whatever_is_beside_them():
    spectra, position = counts()
    _, numbers, _ = check(spectra, position, align=False)
    assert (numbers[EMPTY, 1] == 3.0).all()
    assert not (np.delete(numbers[:, 1], EMPTY) == 3.0).any()
    _, numbers, _ = check(spectra[EMPTY], position[EMPTY], align=False)
    assert (numbers[:, 1] == 3.0).all()


@pytest.mark.parametrize("width", [8, 12, 13, 70])
def test_the_same_channels_are_spikes(width):
    spectra, _ = counts("float64")
    window = spectra[:, 58 - width // 2 : 58 - width // 2 + width]
    ours = spikes_in_background(window)
    assert ours.any() == (width > 8)
    np.testing.assert_array_equal(spikes_in_background(torch.tensor(window)).numpy(), ours)


@pytest.mark.parametrize("options", OPTIONS[:5], ids=lambda options: " ".join(options))
def test_all_is_made_on_the_device_and_only_spectra_with_gaps_leave_it(options):
    spectra, position = counts()
    options = {name: value for name, value in options.items() if name != "with_variance"}
    chain, scale = chain_of(**options), np.linspace(1.0, 9.0, NUMBER)
    with Card() as card:
        tensor = torch.tensor(spectra).to(CARD)
        found = process_spectra(tensor, position, scale, chain=chain, with_variance=True)
    assert all(each.device == CARD for each in found)
    # Fit windows of the nine spectra with a spike there, and which channels of them are one.
    assert sum(card.fetched) < 0.13 * spectra.size
