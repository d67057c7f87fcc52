# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the explorer of classifications shows is what the result says, without any widget."""

import dask.array as da
import exspy
import hyperspy.api as hs
import numpy as np
import pytest
from traits.api import TraitError

from hyperspy_dosekin.gui.tools import ClassificationExplorer
from tests.gui.classified import CHANNELS, DEAD, NAMES, SHAPE, make_map, make_result, make_series


@pytest.fixture
def result():
    return make_result()


@pytest.fixture
def tool(result):
    return ClassificationExplorer(result)


def counted(tool, name):
    """List that gets an entry whenever a trait changes."""
    events = []
    tool.observe(events.append, name)
    return events


# Classifications


def test_start_is_the_middle_of_the_first_frame(tool):
    assert type(tool) is ClassificationExplorer
    assert (tool.frame, tool.y, tool.x) == (0, 4, 5)
    assert (tool.last_frame, tool.last_y, tool.last_x) == (2, 8, 10)
    assert (tool.threshold, tool.mark_unknown) == (2.0, True)
    assert tool.names == ("fluoride", "oxyfluoride", "hydroxide", "oxide", "unknown")


@pytest.mark.parametrize("frame", range(SHAPE[0]))
def test_labels_are_those_of_the_class_map(tool, result, frame):
    tool.frame = frame
    for threshold in (0.3, 2.0, 5.5):
        tool.threshold = threshold
        expected = result.class_map_with_unknown(threshold).data[frame]
        assert (tool.labels == expected).all()
        assert (tool.class_map.data[frame] == expected).all()
    tool.mark_unknown = False
    assert (tool.labels == result.class_map.data[frame]).all()
    assert (tool.class_map.data == result.class_map.data).all()


def test_threshold_makes_more_or_fewer_unknown(tool):
    tool.threshold = 0.0
    many = (tool.labels == 4).sum()
    tool.threshold = 6.0
    assert many > (tool.labels == 4).sum()


def test_shares_are_the_fractions(tool, result):
    tool.frame = DEAD[0]
    fractions = result.class_map_with_unknown(2.0).fractions().data[DEAD[0]]
    assert tool.shares == pytest.approx(fractions)
    tool.mark_unknown = False
    assert tool.shares[:4] == pytest.approx(result.class_map.fractions().data[DEAD[0]])
    assert tool.shares[4] == 0


def test_pixel_is_that_of_the_result(tool, result):
    tool.trait_set(frame=2, y=1, x=8)
    found, place = tool.pixel, (2, 1, 8)
    assert (found.measured == make_series().data[place]).all()
    # single precision, in blocks of other sizes
    assert found.denoised == pytest.approx(result.denoised.data[place], abs=1e-5)
    assert found.probability == pytest.approx(result.probability.data[2, :, 1, 8], abs=1e-6)
    parts = [result.uncertainty[name].data[place] for name in ("encoding", "classifier", "total")]
    assert found.uncertainty == pytest.approx(parts, abs=1e-6)
    assert found.novelty == pytest.approx(result.novelty.data[place], abs=1e-6)
    assert found.label == result.class_map.data[place]


def test_pixel_is_told_in_words(tool, result):
    novelty = result.novelty.data[0]
    y, x = np.unravel_index(novelty.argmax(), novelty.shape)
    tool.trait_set(y=int(y), x=int(x), threshold=0.0)
    place = f"temperature 100 °C: pixel x {x}, y {y}: "
    assert tool.description.startswith(f"{place}unknown, novelty {novelty[y, x]:.1f}; of the class")
    assert repr(tool) == f"<ClassificationExplorer, frame 0, pixel x {x}, y {y}: unknown>"
    tool.mark_unknown = False
    label = result.class_map.data[0, y, x]
    probability = result.probability.data[0, label, y, x]
    name = result.names[label]
    assert tool.description.startswith(f"{place}{name}, probability {probability:.2f}, novelty")
    assert tool.frame_title == "temperature 100 °C"


def test_pixel_without_data_is_told(tool):
    tool.trait_set(frame=DEAD[0], y=DEAD[1], x=DEAD[2])
    assert tool.labels[tool.y, tool.x] == -1
    assert tool.description.endswith("pixel x 7, y 2: none, no data")
    for values in (tool.pixel.denoised, tool.pixel.probability, tool.pixel.uncertainty):
        assert np.isnan(values).all()
    assert np.isnan(tool.pixel.novelty)
    assert tool.pixel.denoised.shape == (CHANNELS,)


def test_only_what_changes_is_made_anew(tool):
    labels, pixels = counted(tool, "labels"), counted(tool, "pixel")
    tool.x = 3
    assert (len(labels), len(pixels)) == (0, 1)
    tool.threshold = 0.7
    assert (len(labels), len(pixels)) == (1, 1)
    tool.frame = 1
    assert (len(labels), len(pixels)) == (2, 2)


def test_start_can_be_given(result):
    tool = ClassificationExplorer(result, x=0, y=8, frame=2, threshold=0.5)
    assert (tool.frame, tool.y, tool.x, tool.threshold) == (2, 8, 0, 0.5)
    assert (tool.labels == result.class_map_with_unknown(0.5).data[2]).all()


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"x": 11}, "x=11 must be a number from 0 to 10"),
        ({"y": -1}, "y=-1 must be a number from 0 to 8"),
        ({"frame": 3}, "frame=3 must be a number from 0 to 2"),
        ({"threshold": 7.0}, r"threshold=7\.0 must be a number from 0 to 6"),
        ({"threshold": np.nan}, "threshold=nan must be a number from 0 to 6"),
        ({"x": "left"}, "x='left' must be a number"),
    ],
)
def test_a_start_out_of_range_is_refused(result, start, message):
    with pytest.raises(ValueError, match=message):
        ClassificationExplorer(result, **start)


@pytest.mark.parametrize("change", [{"x": 11}, {"y": -1}, {"frame": 3}, {"threshold": np.nan}])
def test_a_place_out_of_range_is_refused_and_nothing_changes(tool, change):
    before = tool.description
    with pytest.raises(TraitError, match=f"'{next(iter(change))}' trait"):
        tool.trait_set(**change)
    assert tool.description == before


def test_a_pixel_is_selected_as_a_whole_or_not(tool):
    pixels = counted(tool, "pixel")
    tool.select(7, 2)
    assert (tool.x, tool.y, len(pixels)) == (7, 2, 1)
    assert "pixel x 7, y 2" in tool.description
    with pytest.raises(TraitError, match="'y' trait"):
        tool.select(3, 9)
    assert (tool.x, tool.y) == (7, 2)


def test_other_things_cannot_be_explored():
    with pytest.raises(TypeError, match="Signal1D cannot be explored"):
        ClassificationExplorer(hs.signals.Signal1D(np.ones((2, 3))))


def test_explore_gives_the_tool_or_its_widgets(result):
    pytest.importorskip("ipympl")
    shown = result.explore(display=False, toolkit="ipywidgets", frame=1)
    assert isinstance(shown["ipywidgets"]["wdict"]["tool"], ClassificationExplorer)
    assert isinstance(result.explore(), ClassificationExplorer)


# Other shapes


def test_several_axes_of_frames(result):
    series = make_series()
    data = np.stack([series.data, series.data[:, ::-1]])
    axes = [axis.get_axis_dictionary() for axis in series.axes_manager._axes]
    both = exspy.signals.EELSSpectrum(
        data, axes=[{"name": "area", "size": 2, "navigate": True}, *axes]
    )
    found = both.classify_vae(model=result.model, prior=dict(result.class_share))
    tool = ClassificationExplorer(found, frame=4)
    assert tool.last_frame == 5
    assert tool.frame_title == "area 1, temperature 200 °C"
    assert (tool.explored.labels(4) == found.class_map.data[1, 1]).all()
    assert (tool.pixel.measured == data[1, 1, tool.y, tool.x]).all()


def test_one_frame_a_line_and_a_single_spectrum(result):
    series, prior = make_series(), dict(result.class_share)
    cases = {
        (9, 11): series.inav[:, :, 0],
        (1, 11): series.inav[:, 3, 0],
        (1, 1): series.inav[4, 3, 0],
    }
    for shape, signal in cases.items():
        found = signal.classify_vae(model=result.model, prior=prior)
        tool = ClassificationExplorer(found)
        assert tool.labels.shape == shape
        assert tool.last_frame == 0
        assert tool.frame_title == ""
        assert tool.description.startswith("pixel x")
        expected = signal.data.reshape(*shape, CHANNELS)[tool.y, tool.x]
        assert (tool.pixel.measured == expected).all()


def test_descending_energies_are_shown_ascending(result):
    series = make_series()
    turned = series.deepcopy()
    turned.data = turned.data[..., ::-1].copy()
    axis = turned.axes_manager[-1]
    axis.offset, axis.scale = axis.offset + (CHANNELS - 1) * axis.scale, -axis.scale
    found = turned.classify_vae(model=result.model, prior=dict(result.class_share))
    tool = ClassificationExplorer(found)
    assert (np.diff(tool.explored.energy_ev) > 0).all()
    assert (tool.pixel.measured == series.data[0, tool.y, tool.x]).all()


# Lazy


def classify_lazily(result, on_frame):
    """The result of lazy data, one chunk for each frame; `on_frame` is called with its number."""
    series = make_series()

    def block(block_info=None):
        frame = block_info[None]["chunk-location"][0]
        on_frame(frame)
        return series.data[frame : frame + 1]

    data = da.map_blocks(
        block,
        chunks=((1,) * SHAPE[0], *((size,) for size in (*SHAPE[1:], CHANNELS))),
        dtype=np.float32,
        meta=np.empty((0,) * 4, dtype=np.float32),
    )
    axes = [axis.get_axis_dictionary() for axis in series.axes_manager._axes]
    lazy = exspy.signals.LazyEELSSpectrum(data, axes=axes)
    return lazy.classify_vae(model=result.model, prior=dict(result.class_share))


def test_lazy_results_compute_the_frame_looked_at_only(result):
    computed = []
    found = classify_lazily(result, computed.append)
    computed.clear()
    tool = ClassificationExplorer(found, frame=2)
    assert set(computed) == {2}
    assert (tool.labels == result.class_map_with_unknown(2.0).data[2]).all()
    computed.clear()
    tool.trait_set(threshold=1.0, mark_unknown=False)
    assert computed == [], "the frame is kept"
    tool.x = 2
    assert computed == [2]
    assert tool.pixel.denoised == pytest.approx(result.denoised.data[2, 4, 2], abs=1e-5)
    computed.clear()
    tool.select(1, 3)
    assert computed == [2]
    assert (tool.pixel.measured == make_series().data[2, 3, 1]).all()
    tool.frame = 0
    computed.clear()
    tool.frame = 2
    assert computed == [2], "the spectrum alone, once; the maps are kept"
    assert tool.class_map._lazy
    assert found.denoised._lazy


def test_what_cannot_be_computed_is_told_and_not_raised(result):
    gone = set()

    def read(frame):
        if frame in gone:
            raise OSError("the file is gone")

    found = classify_lazily(result, read)
    tool = ClassificationExplorer(found)
    gone.add(2)
    tool.frame = 2
    assert tool.description.endswith("could not be computed (OSError: the file is gone)")
    assert (tool.labels == -1).all()
    assert np.isnan(tool.shares).all()
    assert np.isnan(tool.pixel.probability).all()
    tool.frame = 1
    assert "could not" not in tool.description
    assert (tool.labels == result.class_map_with_unknown(2.0).data[1]).all()
    gone.add(1)
    tool.x = 0
    assert tool.description.endswith("could not be computed (OSError: the file is gone)")
    assert (tool.labels == result.class_map_with_unknown(2.0).data[1]).all(), "kept from before"
    with pytest.raises(OSError, match="the file is gone"):
        ClassificationExplorer(found, frame=2)


# Class maps


@pytest.mark.parametrize("lazy", [False, True])
def test_a_class_map_has_labels_and_shares(lazy):
    signal = make_map()
    tool = ClassificationExplorer(signal.as_lazy() if lazy else signal, frame=1, x=6, y=0)
    assert tool.names == tuple(NAMES)
    assert not tool.has_spectra
    assert tool.pixel is None
    assert (tool.labels == signal.data[1]).all()
    assert tool.shares == pytest.approx(signal.fractions().data[1])
    name = ["none", *NAMES][signal.data[1, 0, 6] + 1]
    assert tool.description == f"frame 1: pixel x 6, y 0: {name}"
    tool.threshold = 0.0
    assert (tool.labels == signal.data[1]).all()
    assert tool.class_map._lazy is lazy


def test_a_map_with_unknown_pixels_is_like_any_other(result):
    found = result.class_map_with_unknown(1.0)
    tool = ClassificationExplorer(found)
    assert tool.names[-1] == "unknown"
    assert (tool.labels == found.data[0]).all()
    assert tool.explored.pixel_size == 2.0
    assert tool.explored.units == "nm"


def test_labels_without_a_name_are_none():
    signal = make_map((5, 7))
    signal.data[2, 3] = 9
    assert ClassificationExplorer(signal).labels[2, 3] == -1


def test_a_map_without_any_class_has_no_shares():
    signal = make_map((5, 7))
    signal.data[:] = -1
    tool = ClassificationExplorer(signal)
    assert np.isnan(tool.shares).all()
    assert tool.description == "pixel x 3, y 2: none"


def test_maps_that_cannot_be_explored_are_named():
    signal = make_map().as_lazy()
    del signal.metadata.Classes
    with pytest.raises(ValueError, match=r"Classes\.names"):
        ClassificationExplorer(signal)
