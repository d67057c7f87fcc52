# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series
from hyperspy_dosekin.processing.spikes.channel_gain import odd_channels
from hyperspy_dosekin.processing.spikes.found import APART, Outliers
from hyperspy_dosekin.processing.spikes.removal import learn_subspace, remove_spikes

CHANNEL = np.arange(300)
#: Zero-loss peak, a band as narrow as bands get, a plasmon.
SHAPE = (
    3e5 * np.exp(-0.5 * ((CHANNEL - 40) / 1.7) ** 2)
    + 900 * np.exp(-0.5 * ((CHANNEL - 75) / 4.0) ** 2)
    + 3000 * np.exp(-0.5 * ((CHANNEL - 150) / 40.0) ** 2)
    + 20
)
PROTECTED = (np.full(400, 30), np.full(400, 50))


def poisson(seed=0, number=400):
    return np.random.default_rng(seed).poisson(SHAPE, (number, 300)).astype(float)


def spiked(height, seed=1):
    """One spike in every spectrum, one or two channels wide, away from the peak."""
    rng = np.random.default_rng(seed)
    spectra, where = poisson(seed), np.zeros((400, 300), dtype=bool)
    channel = rng.integers(54, 298, 400)
    for row, (first, width) in enumerate(zip(channel, rng.integers(1, 3, 400), strict=True)):
        part = slice(first, first + width)
        spectra[row, part] += height * np.sqrt(SHAPE[first])
        where[row, part] = True
    return spectra, where


def test_spikes_of_twelve_sigma_are_removed_and_little_else():
    spectra, where = spiked(12)
    clean, touched, variance = remove_spikes(spectra, gain=1.0, offset=0.0, protected=PROTECTED)
    removed = np.array([row[spike].all() for row, spike in zip(touched, where, strict=True)])
    assert removed.mean() > 0.99
    # 1e-4 of 120 000 channels, and as many again for luck.
    assert touched[~where].sum() < 24
    error = (clean - SHAPE)[touched & where] / np.sqrt(np.broadcast_to(SHAPE, where.shape))[
        touched & where
    ]
    # What is put there is a mean of neighbours: hardly noisier than they, and unbiased.
    assert error.std() < 1.3
    assert abs(error.mean()) < 0.3
    assert (variance[touched] > 0).all()
    assert not variance[~touched].any()


def test_most_spikes_of_eight_sigma_are_removed():
    spectra, where = spiked(8, seed=5)
    _, touched, _ = remove_spikes(spectra, gain=1.0, offset=0.0, protected=PROTECTED)
    removed = np.array([row[spike].all() for row, spike in zip(touched, where, strict=True)])
    assert removed.mean() > 0.97


def test_the_zero_loss_peak_is_never_touched():
    spectra = poisson(2)
    spectra[:, 40] += 1e5
    _, touched, _ = remove_spikes(spectra, gain=1.0, offset=0.0, protected=PROTECTED)
    assert not touched[:, 30:51].any()


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_units_of_the_intensity_do_not_matter(factor):
    spectra, _ = spiked(12)
    plain = remove_spikes(spectra[:50], gain=1.0, offset=2.0)[1]
    scaled = remove_spikes(factor * spectra[:50], gain=factor, offset=2.0 * factor**2)[1]
    np.testing.assert_array_equal(plain, scaled)


@pytest.mark.parametrize("factor", [1e-6, 1 / 7, 60.0])
def test_neither_do_units_of_which_the_noise_is_not_told(factor):
    spectra, where = spiked(12)
    position, fwhm = np.full(400, 40.0), np.full(400, 4.0)
    found = []
    for each in (1.0, factor):
        options = {"gain": 1.0, "offset": 0.0, "protected": PROTECTED}
        subspace = learn_subspace(each * spectra, position, fwhm, **options)
        options = {**options, "position": position, "subspace": subspace}
        found.append(remove_spikes(each * spectra, **options)[1])
        removed = [row[spike].all() for row, spike in zip(found[-1], where, strict=True)]
        assert np.mean(removed) > 0.99
        assert found[-1][~where].mean() < 1e-4
    # Noise that is measured is not known to a hundredth.
    assert (found[0] != found[1]).sum() < 0.02 * where.sum()


@pytest.mark.parametrize("deviation", [5.0, 20.0, 143.0])
@pytest.mark.parametrize("learnt", [True, False])
def test_read_out_noise_of_which_nothing_is_said_makes_no_spikes(deviation, learnt):
    spectra = poisson(6) + np.random.default_rng(7).normal(0, deviation, (400, 300))
    options = {"gain": 1.0, "offset": 0.0, "protected": PROTECTED}
    if learnt:
        position = np.full(400, 40.0)
        subspace = learn_subspace(spectra, position, np.full(400, 4.0), **options)
        options |= {"position": position, "subspace": subspace}
    _, touched, _ = remove_spikes(spectra, **options)
    assert touched.sum(axis=-1).mean() <= 0.5


@pytest.mark.parametrize("learnt", [True, False])
def test_channels_without_counts_have_no_spikes_and_raise_no_warning(learnt):
    """The estimate of a variance is zero where nothing was counted."""
    spectra = np.random.default_rng(8).poisson(SHAPE / 200, (400, 300)).astype(float)
    assert (spectra == 0).mean() > 0.25
    options = {"gain": 0.0, "offset": spectra.copy(), "protected": PROTECTED}
    if learnt:
        position = np.full(400, 40.0)
        subspace = learn_subspace(spectra, position, np.full(400, 4.0), **options)
        options |= {"position": position, "subspace": subspace}
    with np.errstate(all="raise", under="ignore"):
        _, touched, _ = remove_spikes(spectra, **options)
    assert touched.sum(axis=-1).mean() < 0.03


def test_a_variance_for_each_channel_stands_for_gain_and_offset():
    spectra, where = spiked(20)
    _, touched, _ = remove_spikes(
        spectra, gain=0.0, offset=np.broadcast_to(SHAPE, spectra.shape), protected=PROTECTED
    )
    assert touched[where].mean() > 0.98


def test_spectra_noisier_than_said_are_judged_by_their_own_scatter():
    rng = np.random.default_rng(0)
    spectra = SHAPE + 2 * np.sqrt(SHAPE) * rng.standard_normal((100, 300))
    protected = tuple(limit[:100] for limit in PROTECTED)
    _, touched, _ = remove_spikes(spectra, gain=1.0, offset=0.0, protected=protected)
    assert touched.mean() < 1e-3


def test_what_all_spectra_have_is_no_spike():
    rng = np.random.default_rng(4)
    line = SHAPE + 600 * (CHANNEL == 220)
    spectra = rng.poisson(line, (40, 300)).astype(float)
    position = np.full(40, 40.0)
    protected = tuple(limit[:40] for limit in PROTECTED)
    options = {"gain": 1.0, "offset": 0.0, "protected": protected}
    _, alone, _ = remove_spikes(spectra, **options)
    subspace = learn_subspace(spectra, position, np.full(40, 4.0), **options)
    _, known, _ = remove_spikes(spectra, **options, position=position, subspace=subspace)
    assert alone[:, 220].mean() > 0.9
    assert known[:, 220].mean() < 0.1


def test_channels_of_another_gain_are_listed():
    total = 1e4 * SHAPE
    total[[120, 200]] *= [0.95, 1.06]
    protected = np.abs(CHANNEL - 40) < 15
    assert odd_channels(total, total, protected).tolist() == [120, 200]
    total[[120, 200]] *= [0.5, 3.0]
    assert odd_channels(total, total, protected).tolist() == [120, 200]
    assert odd_channels(1e4 * SHAPE, 1e4 * SHAPE, protected).size == 0
    few = np.random.default_rng(0).poisson(7.0, 2000).astype(float)
    assert odd_channels(few, few, np.zeros(2000, dtype=bool)).size == 0
    assert odd_channels(np.ones(5), np.ones(5), np.zeros(5, dtype=bool)).size == 0


@pytest.mark.parametrize(
    "options",
    [
        {"average_of": 16},
        {
            "electrons": 3e7,
            "kinetics": {
                "π–π*": {"k": 1.6, "p": 1.0},
                "C–C": {"k": 2.5, "p": 1.2},
                "C–O": {"k": 4.0, "p": 1.5},
            },
        },
    ],
    ids=["averages", "strong-damage"],
)
def test_nine_spectra_of_many_electrons_lose_next_to_nothing(options):
    # The first frame has what no other has; what was left out of it once was an outlier for ever,
    # and one of them moves an area by thirty standard deviations: it was 0.2 and 0.03 a spectrum.
    found = [
        dose_series(seed, **options).process_low_loss().processing_diagnostics()["spikes"].data
        for seed in (0, 2, 3, 4, 5, 11)
    ]
    assert np.sum(found) <= 1


@pytest.mark.parametrize("place", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("fwhm", [2.5, 3.0, 4.0])
def test_a_line_as_wide_as_the_resolution_is_no_spike_of_a_single_spectrum(fwhm, place):
    line = 400 * np.exp(-4 * np.log(2) * ((CHANNEL - 220 - place) / fwhm) ** 2)
    spectrum = np.random.default_rng(0).poisson(SHAPE + line, (1, 300)).astype(float)
    spectrum[0, 100] += 400
    known = {"gain": 1.0, "offset": 0.0, "protected": (np.array([30]), np.array([50]))}
    touched = remove_spikes(spectrum, **known, fwhm=fwhm)[1]
    assert touched[0, 100]
    assert not touched[0, 214:227].any()


@pytest.mark.parametrize("number", [1, 9, 30])
@pytest.mark.parametrize("unit", [1.0, 0.7])
def test_few_electrons_are_no_spikes(number, unit):
    """Most channels hold none, one or two: the median of their deviations says nothing."""
    rng = np.random.default_rng(number)
    shape = np.maximum(SHAPE - 20, 0) / 1500
    spectra = unit * rng.poisson(shape, (number, 300)).astype(float)
    place = np.full(number, 40.0), np.full(number, 4.0)
    known = {"gain": unit, "offset": 0.0, "protected": tuple(each[:number] for each in PROTECTED)}
    subspace = learn_subspace(spectra, *place, **known)
    spectra[0, 250] += 15 * unit
    _, touched, _ = remove_spikes(spectra, position=place[0], fwhm=4.0, subspace=subspace, **known)
    assert touched[0, 250]
    assert touched.sum() <= 1 + 0.02 * number


def test_the_strongest_of_near_outliers_are_judged_first():
    rng = np.random.default_rng(4)
    row, channel = rng.integers(0, 5, 60), rng.integers(0, 40, 60)
    excess, width = rng.normal(1.0, 1.0, 60).round(), np.repeat([1, 2], 30)
    pair = np.zeros((60, 2))
    # Single electrons where nothing is expected are alike but for rounding, which decides nothing.
    rounded = excess * (1 + 4e-16 * rng.choice([-1, 0, 1], 60))
    chosen = Outliers(row, channel, width, rounded, pair, pair).strongest()
    found = set(zip(chosen.row, chosen.channel, chosen.excess.round(1), strict=True))
    near = (row == row[:, np.newaxis]) & (np.abs(channel - channel[:, np.newaxis]) <= APART)
    best = np.where(near, excess, -np.inf).max(axis=-1)
    is_best = (excess > 0) & (excess == best)
    assert found == set(zip(row[is_best], channel[is_best], excess[is_best], strict=True))
