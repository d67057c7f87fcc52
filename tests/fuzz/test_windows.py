# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of every form over spectra of every kind."""

import dask.array as da
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tests.fuzz.fuzzing import attempt, fuzz, numbers
from tests.fuzz.things import REAL_TYPES, eels, seeds, shapes, spectra, values, windows, wrong


@fuzz(60, often=10)
def test_integrate_windows(material):
    signal = material.draw(spectra())
    assume(signal is not None)
    axis = material.draw(st.one_of(st.none(), st.none(), st.sampled_from((0, "dose", "x")), wrong))
    chosen = material.draw(windows())

    def call(signal, chosen, axis):
        found = signal.integrate_windows(chosen, dose_axis=axis)
        numbers(found)
        noise = found.get_noise_variance()
        if noise is not None:
            numbers(noise)
        return found

    found = attempt(call, signal, chosen, axis)
    if found is not None:
        assert found.data.dtype == np.float64
        assert found._lazy == signal._lazy


@fuzz(25, often=2)
def test_chunks_scale_and_order_do_not_matter(material):
    shape = material.draw(shapes(3))
    data = material.draw(values((*shape, 64), REAL_TYPES, special=0.0))
    chosen = {"a": (1, 3), "b": (10.2, 15.9)}

    def areas(array):
        return attempt(lambda: eels(array).integrate_windows(chosen))

    eager = areas(data)
    assume(eager is not None)
    sizes = tuple(material.draw(st.integers(1, max(n, 1))) for n in data.shape)
    lazy = attempt(lambda: eels(da.from_array(data, chunks=sizes)).integrate_windows(chosen))
    # Sums of a block round as its size has it, those of float32 in float32.
    close = 1e-5 if data.dtype.itemsize <= 4 and data.dtype.kind == "f" else 1e-12
    np.testing.assert_allclose(numbers(lazy), eager.data, rtol=close)
    if data.dtype.kind == "f" and 1e-20 < np.abs(data.astype("float64")).max(initial=1) < 1e20:
        scaled = areas(data.astype("float64") * 4)
        whole = areas(data.astype("float64"))
        np.testing.assert_allclose(scaled.data, 4 * whole.data, rtol=1e-12)
    if shape:
        order = np.random.default_rng(material.draw(seeds)).permutation(shape[0])
        np.testing.assert_allclose(areas(data[order]).data, eager.data[order], rtol=close)
