# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lazy data larger than memory: each chunk is read once, memory is bounded, graphs are small."""

import subprocess
import sys
import warnings

import dask
import dask.array as da
import exspy
import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.data import annealing_series, dose_series_image, reference_spectra
from hyperspy_dosekin.lazy.blocks import column, map_blocks, navigation_chunks
from hyperspy_dosekin.lazy.graph import joined, parse_signature
from hyperspy_dosekin.lazy.merging import MergeLayer, merge_chunks
from hyperspy_dosekin.lazy.sampling import rows_of_blocks, spread_boxes, spread_places
from hyperspy_dosekin.signals.chunk_advice import ChunkWarning, good_chunks
from hyperspy_dosekin.signals.processing import one_pass

QUIET = {"show_progressbar": False}


class Counting:
    """An array that counts how often each of its parts is read."""

    def __init__(self, array):
        self.array, self.reads = array, {}
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index):
        key = tuple((part.start, part.stop) for part in index)
        if key[0] == (0, 0):
            # dask asks for nothing, to see of what type it is.
            return self.array[index]
        self.reads[key] = self.reads.get(key, 0) + 1
        return self.array[index]


def counted(series, chunks):
    """A lazy copy of a series, and what counts its reads."""
    counting = Counting(series.data)
    lazy = series.as_lazy()
    lazy.data = da.from_array(counting, chunks=chunks, name=f"counted-{id(counting)}")
    return lazy, counting


@pytest.fixture(scope="module")
def image():
    """An image whose zero-loss peak drifts by a few channels, array (9, 22, 20, 512)."""
    return dose_series_image(3, shape=(22, 20), drift=0.1)


def maps(series):
    result = series.fit_dose_pinn(intervals=False, **QUIET)
    return [result.rate.data, result.exponent.data, result.half_integrity_dose.data]


def test_windows_and_maps_read_each_chunk_once_but_for_a_sample_of_the_noise(image):
    lazy, counting = counted(image, (4, 5, 6, 512))
    series = lazy.integrate_windows()
    assert not counting.reads
    dask.compute(*maps(series))
    read = sum(
        number * np.prod([stop - start for start, stop in key[:-1]])
        for key, number in counting.reads.items()
    )
    whole = np.prod(lazy.data.shape[:-1])
    # Four boxes of at most 4 × 4 × 4 spectra, of which a chunk may be read whole.
    assert whole < read <= whole + 4 * 8 * 4 * 5 * 6 / 2


def test_the_whole_chain_reads_each_chunk_once_but_for_a_sample(image):
    lazy, counting = counted(image, (9, 2, 4, 512))
    processed = lazy.process_low_loss(survey="sample", **QUIET)
    read = sum(np.prod([stop - start for start, stop in key[:-1]]) for key in counting.reads)
    # Boxes of at most 4 × 4 × 4 spectra.
    assert 200 < read <= 8 * 64
    counting.reads.clear()
    found = dask.compute(*maps(processed.integrate_windows()))
    assert set(counting.reads.values()) == {1}
    assert len(counting.reads) == lazy.data.npartitions == 55
    assert found[0].shape == (4, 22, 20)
    assert np.isfinite(found[0]).mean() > 0.99


@pytest.fixture(scope="module")
def surveyed(image):
    """The image, processed in memory after each kind of survey."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_pass, "ALL_UP_TO", 0)
        kinds = ("sample", "auto", "all")
        return {kind: image.process_low_loss(survey=kind, **QUIET) for kind in kinds}


@pytest.mark.parametrize(
    ("survey", "chunks"), [("sample", (9, 2, 4, 512)), ("auto", (2, 11, 7, 100))]
)
def test_a_sample_is_the_same_of_eager_and_lazy_data(image, surveyed, monkeypatch, survey, chunks):
    monkeypatch.setattr(one_pass, "ALL_UP_TO", 0)
    lazy = image.as_lazy()
    lazy.data = lazy.data.rechunk(chunks)
    eager = surveyed[survey]
    assert eager.data.shape != surveyed["all"].data.shape
    other = lazy.process_low_loss(survey=survey, **QUIET)
    assert other.axes_manager[-1].offset == eager.axes_manager[-1].offset
    known = eager.processing_diagnostics()
    lazily = other.processing_diagnostics()
    # At once: the data are processed one time.
    data, *found = dask.compute(other.data, *(lazily[name].data for name in known))
    np.testing.assert_allclose(data, eager.data, atol=1e-6 * eager.data.max())
    for diagnostic, values in zip(known.values(), found, strict=True):
        np.testing.assert_allclose(values, diagnostic.data, rtol=1e-6, atol=1e-9)


def test_a_sample_gives_what_a_survey_of_all_gives(image):
    lazy = image.as_lazy()
    lazy.data = lazy.data.rechunk((9, 2, 4, 512))
    options = {"spikes": False, **QUIET}
    sampled, whole = (
        lazy.process_low_loss(survey=survey, **options) for survey in ("sample", "all")
    )
    names = ("shift", "zero_loss_fwhm", "zero_loss_found")
    found = [[s.processing_diagnostics()[name].data for name in names] for s in (sampled, whole)]
    areas, expected = (each.integrate_windows() for each in (sampled, whole))
    found, one, other, variance = dask.compute(
        found, areas.data, expected.data, expected.get_noise_variance().data
    )
    for pair in zip(*found, strict=True):
        values = [np.asarray(array, dtype=float) for array in pair]
        np.testing.assert_allclose(*values, atol=1e-9)
    # Some channels less change the noise that deconvolution leaves: far less than the noise is.
    difference = np.abs(one - other) / np.sqrt(variance)
    assert np.quantile(difference, 0.99) < 0.15
    assert difference.max() < 0.5
    # Without deconvolution and dark level spectra do not depend on what has been cropped. The
    # peaks may lie one channel beside, and moving them rings a little at the ends of the axis.
    options |= {"deconvolve": False, "normalise": False, "dark": False}
    sampled, whole = (
        lazy.process_low_loss(survey=survey, **options) for survey in ("sample", "all")
    )
    scale = whole.axes_manager[-1].scale
    first = round((sampled.axes_manager[-1].offset - whole.axes_manager[-1].offset) / scale)
    n_channels = sampled.data.shape[-1]
    assert 0 < first < 10
    assert 0 < whole.data.shape[-1] - n_channels < 20
    one, other = dask.compute(sampled.data, whole.data[..., first : first + n_channels])
    noise = np.sqrt(np.maximum(other, 10.0))
    assert (np.abs(one - other) / noise).max() < 0.2
    assert np.median(np.abs(one - other) / noise) < 1e-3


def test_drift_beyond_the_sample_is_processed_too(image):
    series = image.deepcopy()
    # One pixel in the middle of the scan, which the sample does not hold, jumps by 30 channels.
    series.data[4, 13, 7] = np.roll(series.data[4, 13, 7], 30)
    lazy = series.as_lazy()
    lazy.data = lazy.data.rechunk((9, 2, 4, 512))
    sampled = lazy.process_low_loss(survey="sample", **QUIET)
    shift, spectra = dask.compute(sampled.processing_diagnostics()["shift"].data, sampled.data)
    assert np.unravel_index(np.abs(shift - np.median(shift)).argmax(), shift.shape) == (4, 13, 7)
    assert np.isfinite(spectra).all()
    around = spectra[4, 13, 6], spectra[4, 13, 7]
    assert np.corrcoef(*around)[0, 1] > 0.9


def test_bad_survey(image):
    with pytest.raises(ValueError, match=r"survey=.*'all', 'sample'"):
        image.process_low_loss(survey="some")
    with pytest.raises(TypeError, match="survey=None must be a text"):
        image.process_low_loss(survey=None)


def test_classification_reads_a_sample_and_then_each_chunk_once():
    series = annealing_series(2, shape=(6, 20, 14))
    references = reference_spectra()
    lazy, counting = counted(series, (1, 2, 7, 160))
    found = lazy.classify_vae(references, steps=6, evaluate_every=3, max_spectra=300, **QUIET)
    n_chunks = lazy.data.npartitions
    assert n_chunks == 120
    assert len(counting.reads) <= 48
    counting.reads.clear()
    dask.compute(found.class_map.data, found.probability.data, found.novelty.data)
    assert sum(counting.reads.values()) == n_chunks


MEMORY = """
import resource
import dask.array as da, dask, exspy, numpy as np, torch
import hyperspy_dosekin.kinetics.block, hyperspy_dosekin.signals.kinetics.numbers.maps
from hyperspy_dosekin.data import dose_series_image

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

base = dose_series_image(0, shape=(8, 8), channels=4096, energy_scale=0.025)
tile = base.data.astype(np.uint16)
n = 11
data = da.map_blocks(
    lambda block_info=None: np.roll(tile, block_info[None]["chunk-location"][1], axis=1),
    chunks=((9,), (8,) * n, (8,) * n, (4096,)), dtype=np.uint16, meta=np.empty((0,) * 4, np.uint16),
)
lazy = exspy.signals.LazyEELSSpectrum(data)
for name in ("scale", "offset", "units", "name"):
    setattr(lazy.axes_manager[-1], name, getattr(base.axes_manager[-1], name))
lazy.set_dose_axis(list(base.axes_manager[2].axis))
# Whatever is imported and started on first use belongs to neither.
base.integrate_windows().inav[:, :4, :4].fit_dose_pinn(intervals=False, show_progressbar=False)
before = peak()
result = lazy.integrate_windows().fit_dose_pinn(intervals=False, show_progressbar=False)
dask.compute(result.rate.data, result.exponent.data, result.half_integrity_dose.data)
print(data.nbytes / 2**20, before, peak())
"""


def test_memory_stays_far_below_the_size_of_the_data():
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEMORY],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    size, before, peak = (float(number) for number in out[-3:])
    assert size > 540
    # Two threads with some blocks of 5 MB, and fits of some thousand pixels.
    assert peak - before < 200


# Graphs


def ten_thousand(dtype, chunks):
    data = da.zeros((9, 100, 100, 1024), chunks=chunks, dtype=dtype)
    s = exspy.signals.LazyEELSSpectrum(data)
    s.axes_manager[-1].scale, s.axes_manager[-1].units = 0.05, "eV"
    s.axes_manager[-1].offset = -5
    s.set_dose_axis(dose_rate=3.45, frame_time=44.0)
    assert data.npartitions >= 10_000
    return s


@pytest.mark.filterwarnings("ignore::hyperspy_dosekin.signals.chunk_advice.ChunkWarning")
@pytest.mark.parametrize("chunks", [(9, 1, 1, 1024), (1, 9, 1, 1024)])
def test_graphs_of_ten_thousand_chunks_are_small(chunks):
    areas = ten_thousand(np.uint16, chunks).integrate_windows()
    result = areas.fit_dose_pinn(intervals=False, **QUIET)
    layers = result.half_integrity_dose.data.dask.layers
    # However many chunks there are: nothing is written out before it is computed.
    assert len(layers) < 30
    assert not any(len(layer) > 1000 and layer.is_materialized() for layer in layers.values())


def test_merged_chunks_are_what_rechunk_gives():
    array = np.arange(7 * 9 * 2 * 3.0).reshape(7, 9, 2, 3)
    lazy = da.from_array(array, chunks=(2, 2, 2, 1))
    for wanted, chunks in [(1, (2, 2)), (7, (2, 2)), (8, (2, 4)), (40, (4, 9)), (99, (7, 9))]:
        merged = merge_chunks(lazy, 2, wanted)
        assert merged.chunksize[:2] == chunks
        assert merged.chunks[2:] == lazy.chunks[2:]
        np.testing.assert_array_equal(merged.compute(), array)
    assert merge_chunks(lazy, 2, 1) is lazy
    layer = next(
        layer
        for layer in merge_chunks(lazy, 2, 99).dask.layers.values()
        if isinstance(layer, MergeLayer)
    )
    assert not layer.is_materialized()
    assert len(layer) == 3 == len(layer.get_output_keys())


def test_blocks_are_joined_along_core_axes_only():
    assert parse_signature("(w,d),() -> (f,w)", [np.ones((2, 3)), np.ones(2)]) == (
        [("w", "d"), ()],
        [("f", "w")],
    )
    block = np.ones((2, 3))
    assert joined([[block]]) is block
    assert joined([[block, block]]).shape == (2, 6)
    assert joined([[block], [block]]).shape == (4, 3)
    with pytest.raises(ValueError, match="2 inputs, but 1"):
        parse_signature("(w),(w)->()", [np.ones(2)])
    with pytest.raises(ValueError, match="core axis d has the lengths 3 and 4"):
        map_blocks(np.add, "(d),(d)->(d)", da.ones(3), da.ones(4))
    with pytest.raises(ValueError, match="no core axes"):
        map_blocks(np.add, "(w,d)->(d)", da.ones(3))


def test_whole_blocks_are_not_copied():
    made, seen = [], []

    def make(block):
        made.append(block + 1)
        return made[-1]

    def look(block):
        seen.append(block is made[-1])
        return block.sum(axis=-1)

    first = map_blocks(make, "(e)->(e)", da.zeros((4, 6), chunks=(2, 6)))
    map_blocks(look, "(e)->()", first).compute(scheduler="sync")
    assert seen == [True, True]


def test_column_and_cut_chunks():
    array = np.arange(4 * 6 * 5.0).reshape(4, 6, 5)
    lazy = da.from_array(array, chunks=(4, 3, 5))
    np.testing.assert_array_equal(column(lazy, 2).compute(), array[..., 2])
    np.testing.assert_array_equal(column(array, -1), array[..., -1])
    cut = navigation_chunks(lazy, 5 * 8 * 4)
    assert cut.chunks == ((1, 1, 1, 1), (3, 3), (5,))
    np.testing.assert_array_equal(cut.compute(), array)
    assert navigation_chunks(lazy, 10**6) is lazy


def test_samples_are_spread_and_right():
    places = spread_places((1, 40, 30), 24)
    assert len(set(places)) == 24
    assert {(0, 0, 0), (0, 39, 29)} <= set(places)
    found = np.array(places)
    # In each quarter of the plane a fair share.
    for half in (found[:, 1] < 20, found[:, 1] >= 20):
        for other in (found[:, 2] < 15, found[:, 2] >= 15):
            assert 4 <= (half & other).sum() <= 8
    array = np.arange(4 * 6 * 5.0).reshape(4, 6, 5)
    lazy = da.from_array(array, chunks=(2, 3, 2))
    rows = [np.array([0, 4]), np.array([5])]
    (one,), (other,) = rows_of_blocks([lazy], [(0, 0), (1, 1)], rows)
    np.testing.assert_array_equal(one, array[[0, 1], [0, 1]])
    np.testing.assert_array_equal(other, array[[3], [5]])


def test_boxes_cover_both_ends_of_every_axis():
    boxes = spread_boxes((9, 22, 20), 8, 64)
    assert len(set(map(str, boxes))) == 8
    inside = np.zeros((9, 22, 20), dtype=int)
    for box in boxes:
        inside[box] += 1
    assert inside.max() == 1
    assert inside[0, 0, 0] == inside[-1, -1, -1] == 1
    # No frame but one, of nine, is left out.
    assert (inside.sum(axis=(1, 2)) > 0).all()


# Advice


@pytest.mark.parametrize(
    ("chunks", "match"),
    [
        ((9, 8, 8, 256), "energy axis is in 8 chunks"),
        ((9, 64, 64, 2048), "a block has 288 MiB"),
        ((1, 1, 1, 2048), "36864 chunks of 8 KiB"),
    ],
)
def test_bad_chunks_are_told_once_with_the_call_that_mends_them(chunks, match):
    data = da.zeros((9, 64, 64, 2048), chunks=chunks, dtype=np.float32)
    signal = exspy.signals.LazyEELSSpectrum(data)
    signal.axes_manager[-1].scale, signal.axes_manager[-1].units = 0.05, "eV"
    with pytest.warns(ChunkWarning, match=match) as caught:
        signal.integrate_windows()
    (call,) = [part for part in str(caught[0].message).split(": ") if part.startswith("s.rechunk")]
    call = call[: call.index(")", call.index("sig_chunks")) + 1]
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signal.integrate_windows()
    eval(call, {"s": signal})
    assert signal.data.numblocks[-1] == 1
    del signal._dosekin_chunks_told
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signal.integrate_windows()


def test_doses_in_many_chunks_are_told():
    data = da.zeros((160, 80, 4, 9), chunks=(4, 4, 4, 1))
    series = hs.signals.Signal1D(np.zeros((2, 2, 9))).as_lazy()
    series = type(series)(data, axes=[{"size": n} for n in data.shape])
    series.set_signal_type("DoseSeries")
    axis = series.axes_manager[-1]
    axis.offset, axis.scale = 100.0, 100.0
    series.axes_manager[0].name = "window"
    with pytest.warns(ChunkWarning, match="dose axis is in 9 chunks"):
        series.fit_dose_pinn(intervals=False, **QUIET)


def test_good_chunks():
    for shape, itemsize in [
        ((9, 512, 512, 2048), 2),
        ((100, 4096), 8),
        ((3, 5, 7, 64), 4),
        ((8,), 2),
    ]:
        chunks = good_chunks(shape, itemsize)
        assert chunks[-1] == shape[-1]
        assert all(1 <= chunk <= size for chunk, size in zip(chunks, shape, strict=True))
        assert np.prod(chunks) * itemsize <= 2**24
    assert good_chunks((9, 512, 512, 2048), 2)[0] == 9
