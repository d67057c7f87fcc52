# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains on spectra of every kind, with options of every kind."""

import dask.array as da
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from hyperspy_dosekin.data import dose_series
from tests.fuzz.fuzzing import attempt, fuzz, numbers, parameters_of
from tests.fuzz.things import eels, limits, seeds, spectra, wrong

CHAINS = ("process_low_loss", "process_core_loss")


@st.composite
def chain_and_options(draw, signal):
    """One of the chains, and options of it."""
    name = draw(st.sampled_from(CHAINS))
    names = [each for each in parameters_of(getattr(type(signal), name)) if each != "also_align"]
    chosen = {}
    for option in draw(st.sets(st.sampled_from(names), max_size=2)):
        chosen[option] = draw(st.one_of(st.booleans(), limits(), wrong))
    return name, chosen


@fuzz(15, often=30)
def test_anything_processed(material):
    signal = material.draw(spectra(channels=(0, 1, 2, 7, 30, 64), most=3))
    assume(signal is not None)
    name, chosen = material.draw(chain_and_options(signal))

    def call(signal, **chosen):
        found = getattr(signal, name)(**{"show_progressbar": False, **chosen})
        numbers(found)
        return found

    attempt(call, signal, **chosen)


_series = []


def a_series():
    """Counts of a low-loss series, ``(9, 3, 512)``."""
    if not _series:
        one = dose_series(t_over_lambda=0.4, seed=3).data
        _series.append(np.stack([one] * 3, axis=1)[..., :400])
    return _series[0]


@fuzz(5, often=80)
def test_low_loss_options(material):
    signal = eels(a_series(), scale=0.05, offset=-3.0)
    names = [each for each in parameters_of(type(signal).process_low_loss) if each != "also_align"]
    chosen = {}
    for option in material.draw(st.sets(st.sampled_from(names), max_size=2)):
        chosen[option] = material.draw(st.one_of(st.booleans(), limits(), wrong))

    def call(signal, **chosen):
        return numbers(signal.process_low_loss(**{"show_progressbar": False, **chosen}))

    attempt(call, signal, **chosen)


@fuzz(2, often=12)
def test_one_bad_spectrum_and_chunks_change_no_other(material):
    """But by what all share: the mean zero-loss peak, its tail and the noise lack one value.

    They move by no more than if that value were another by its noise, or the spectrum left out.
    """
    data = a_series().astype("float64")
    place = tuple(np.random.default_rng(material.draw(seeds)).integers(data.shape))
    bad = material.draw(st.sampled_from((np.nan, np.inf, -np.inf)))
    options = {
        "show_progressbar": False,
        "zero_loss": material.draw(st.sampled_from(("auto", 1.0))),
    }

    def processed(array, offset=-3.0):
        signal = eels(array, scale=0.05, offset=offset)
        return attempt(lambda: numbers(signal.process_low_loss(**options)))

    def changed(where, value):
        array = data.copy()
        array[where] = value
        return array

    whole = processed(data)
    # At most some tens of chunks: many more are many times the same.
    chunks = tuple(material.draw(st.integers(max(n // 4, 1), n)) for n in data.shape)
    np.testing.assert_allclose(
        processed(da.from_array(data, chunks=chunks)), whole, rtol=1e-9, atol=1e-12
    )
    spoilt = processed(changed(place, bad))
    others = np.ones(data.shape[:2], dtype=bool)
    others[place[:2]] = False
    if place[-1] in (0, data.shape[-1] - 1):
        # An end that is missing somewhere is left out of all, with a warning.
        first = int(place[-1] == 0)
        data = data[..., first : first + data.shape[-1] - 1]
        whole, alike = processed(data, -3.0 + 0.05 * first), []
    else:
        noise = np.sqrt(data[place])
        alike = [changed(place, data[place] + noise), changed(place, data[place] - noise)]
        alike.append(changed(place[:2], np.nan))
    assert spoilt.shape == whole.shape
    # These counts are worked on in single precision.
    allowed = 3e-7 * whole.max()
    moved = np.abs(spoilt - whole)[others].max()
    if moved > allowed:
        allowed += max((np.abs(processed(each) - whole)[others].max() for each in alike), default=0)
    assert moved <= allowed
