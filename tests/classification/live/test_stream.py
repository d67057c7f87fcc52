# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams: nothing is lost unnoticed, no thread stays behind, errors arrive at once."""

import gc
import threading
import time

import numpy as np
import pytest

from hyperspy_dosekin.classification.live.compiled import CompiledClassifier
from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings
from hyperspy_dosekin.classification.live.stream import Stream
from hyperspy_dosekin.numerics.stream.latency import LatencyHistogram, time_text
from tests.patience import EVENT

CHANNELS = 47


@pytest.fixture(scope="module")
def spectra(make_live_problem):
    return make_live_problem(CHANNELS)[1]


@pytest.fixture(scope="module")
def live(make_live_problem):
    model, _, _ = make_live_problem(CHANNELS)
    return CompiledClassifier(model, LiveSettings(runtime="torch", batch_sizes=(20,)))


def until(condition):
    """Wait until a thread has brought something about."""
    deadline = time.monotonic() + EVENT
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def threads_left():
    return [thread for thread in threading.enumerate() if "live stream" in thread.name]


@pytest.fixture(autouse=True)
def no_thread_stays_behind():
    yield

    def all_ended():
        if threads_left():
            gc.collect()
        return not threads_left()

    until(all_ended)


def frames_of(spectra, number, size=20):
    return [spectra[i * 7 : i * 7 + size] for i in range(number)]


def test_every_frame_in_its_order(live, spectra):
    frames = frames_of(spectra, 30)
    stream = Stream(live, iter(frames), policy="block", queue_size=2)
    found = list(stream)
    assert [frame.index for frame in found] == list(range(30))
    for frame, data in zip(found, frames, strict=True):
        labels, probability = live.classify(data)
        assert (frame.labels == labels).all()
        assert frame.probabilities == pytest.approx(probability, abs=1e-6)
        shares = np.bincount(labels, minlength=3) / 20
        assert list(frame.fractions.values()) == pytest.approx(shares)
        assert frame.latency_s > 0
    report = stream.report
    assert (report.received, report.classified, report.dropped) == (30, 30, 0)
    assert (report.spectra, report.none) == (600, 0)
    assert report.latency.count == report.computing.count == 30
    assert sum(report.class_share.values()) == pytest.approx(1)
    assert next(stream, None) is None


def test_frames_of_any_shape(live, spectra):
    frames = [spectra[3], spectra[:24].reshape(4, 6, CHANNELS), spectra[:0], spectra[:24][:, None]]
    found = list(Stream(live, frames, policy="block"))
    assert [frame.labels.shape for frame in found] == [(), (4, 6), (0,), (24, 1)]
    assert [f.probabilities.shape for f in found] == [(3,), (4, 6, 3), (0, 3), (24, 1, 3)]
    assert found[1].labels.ravel().tolist() == live.classify(spectra[:24])[0].tolist()
    assert all(np.isnan(share) for share in found[2].fractions.values())


def test_frames_without_data_are_counted(live, spectra):
    mixed = spectra[:20].copy()
    mixed[:5, 3] = np.nan
    nothing = np.full((20, CHANNELS), np.nan)
    stream = Stream(live, [spectra[:20], mixed, nothing, spectra[:20]], policy="block")
    found = list(stream)
    assert [frame.none for frame in found] == [0, 5, 20, 0]
    assert (found[2].labels == -1).all()
    assert all(np.isnan(share) for share in found[2].fractions.values())
    assert sum(found[1].fractions.values()) == pytest.approx(1)
    assert stream.report.none == 25
    assert "25 without data" in str(stream.report)
    assert sum(stream.report.class_share.values()) == pytest.approx(1)


def test_newest_frames_are_kept_for_a_slow_consumer(live, spectra):
    """Ten frames come while the first is looked at: of a queue of three the last three are left."""
    go_on, all_sent = threading.Event(), threading.Event()

    def source():
        yield spectra[:20]
        assert go_on.wait(EVENT)
        for i in range(1, 11):
            yield spectra[i : i + 20]
        all_sent.set()

    stream = Stream(live, source(), policy="newest", queue_size=3)
    assert next(stream).index == 0
    go_on.set()
    assert all_sent.wait(EVENT)
    rest = list(stream)
    assert [frame.index for frame in rest] == [8, 9, 10]
    assert rest[-1].dropped == 7
    report = stream.report
    assert (report.received, report.classified, report.dropped) == (11, 4, 7)
    assert "4 of 11 frames classified, 7 dropped" in str(report)
    expected = live.classify(spectra[8:28])[0]
    assert (rest[0].labels == expected).all()


def test_a_blocked_source_waits(live, spectra):
    sent = []

    def source():
        for i in range(12):
            sent.append(i)
            yield spectra[i : i + 20]

    stream = Stream(live, source(), policy="block", queue_size=2)
    next(stream)
    until(lambda: len(sent) == 4)
    time.sleep(0.2)
    # one looked at, two waiting, one in the hand of the source
    assert sent == [0, 1, 2, 3]
    assert len(list(stream)) == 11
    assert stream.report.dropped == 0


def test_a_detector_may_use_its_memory_again(live, spectra):
    def source(memory):
        for i in range(6):
            memory[:] = spectra[i * 20 : i * 20 + 20]
            sent.append(i)
            yield memory

    expected = [live.classify(spectra[i * 20 : i * 20 + 20])[0].tolist() for i in range(6)]
    for copy, same in ((True, True), (False, False)):
        sent = []
        stream = Stream(
            live, source(np.empty((20, CHANNELS))), policy="block", queue_size=5, copy=copy
        )
        until(lambda sent=sent: len(sent) == 6)
        found = [frame.labels.tolist() for frame in stream]
        assert (found == expected) is same


# Callbacks


def test_callbacks_get_frames_and_fractions_and_can_end_the_stream(live, spectra):
    seen, shares = [], []

    def feedback(fractions):
        shares.append(fractions)
        return len(shares) == 4

    stream = Stream(
        live,
        (spectra[i : i + 20] for i in range(50)),
        policy="block",
        on_frame=seen.append,
        feedback=feedback,
    )
    report = stream.run()
    assert report.classified == 4
    assert [frame.index for frame in seen] == [0, 1, 2, 3]
    assert [frame.fractions for frame in seen] == shares
    assert set(shares[0]) == {"narrow", "wide", "flat"}
    seconds = report.seconds
    time.sleep(0.02)
    assert stream.report.seconds == seconds


def test_error_of_a_callback_is_raised_and_the_source_closed(live, spectra):
    closed = threading.Event()

    def source():
        try:
            for i in range(1000):
                yield spectra[i % 50 : i % 50 + 20]
        finally:
            closed.set()

    def fail(frame):
        if frame.index == 2:
            raise ZeroDivisionError("beam off")

    stream = Stream(live, source(), policy="block", on_frame=fail)
    with pytest.raises(ZeroDivisionError, match="beam off"):
        stream.run()
    assert closed.is_set()
    assert stream.report.classified == 3
    assert list(stream) == []


def test_error_of_the_source_is_raised_before_frames_that_wait(live, spectra):
    failed = threading.Event()

    def source():
        yield from (spectra[:20] for _ in range(5))
        failed.set()
        raise OSError("cable")

    stream = Stream(live, source(), policy="block", queue_size=8)
    assert failed.wait(EVENT)
    until(lambda: not threads_left())
    with pytest.raises(OSError, match="cable"):
        next(stream)
    assert stream.report.classified == 0
    assert list(stream) == []


def test_wrong_number_of_channels_is_said_with_the_frame(live, spectra):
    stream = Stream(live, [spectra[:20], np.zeros((20, CHANNELS - 1))], policy="block")
    next(stream)
    with pytest.raises(ValueError, match=r"frame 1 has the shape \(20, 46\).*47 channels"):
        next(stream)


def test_strings_in_a_stream_are_no_spectra(live):
    with pytest.raises(TypeError, match="real numbers"):
        Stream(live, [np.full((2, CHANNELS), "a")], policy="block").run()


# Ends


def test_closing_midway_ends_the_source(live, spectra):
    closed = threading.Event()

    def source():
        try:
            while True:
                yield spectra[:20]
        finally:
            closed.set()

    with Stream(live, source(), policy="newest") as stream:
        for frame in stream:
            if frame.index >= 3:
                break
    assert closed.is_set()
    assert list(stream) == []
    stream.close()


def test_a_forgotten_stream_ends_by_itself(live, spectra):
    def source():
        while True:
            time.sleep(0.01)
            yield spectra[:20]

    stream = Stream(live, source())
    next(stream)
    del stream  # the fixture sees to the thread


def test_a_source_that_hangs_does_not_hang_us(live, spectra, monkeypatch, caplog):
    from hyperspy_dosekin.numerics.stream import frames as frame_queue

    monkeypatch.setattr(frame_queue, "_PATIENCE", 0.1)
    release = threading.Event()

    def source():
        yield spectra[:20]
        release.wait(EVENT)

    stream = Stream(live, source())
    next(stream)
    stream.close()
    assert "has not returned" in caplog.text
    release.set()


def test_an_empty_source(live):
    report = Stream(live, []).run()
    assert (report.received, report.classified, report.spectra) == (0, 0, 0)
    assert "0 of 0 frames" in str(report)
    assert np.isnan(report.latency.mean_s)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"policy": "oldest"}, ValueError, "'oldest' must be one of"),
        ({"queue_size": 0}, ValueError, "queue_size=0"),
        ({"queue_size": 2.5}, TypeError, "queue_size=2.5"),
    ],
)
def test_options_are_checked(live, options, error, message):
    with pytest.raises(error, match=message):
        Stream(live, [], **options)


def test_a_source_has_to_be_iterable(live):
    with pytest.raises(TypeError, match="not iterable"):
        Stream(live, 5)


# Latency


def test_percentiles_are_those_of_the_times():
    rng = np.random.default_rng(0)
    times = np.exp(rng.normal(np.log(3e-4), 0.8, 20_000))
    histogram = LatencyHistogram()
    for value in times:
        histogram.add(value)
    levels = (1, 50, 95, 99)
    # half a bin of 4.7 %
    assert histogram.percentiles(levels) == pytest.approx(np.percentile(times, levels), rel=0.025)
    assert histogram.count == histogram.counts.sum() == 20_000
    assert histogram.mean_s == pytest.approx(times.mean())
    assert histogram.longest_s == times.max()
    text = str(histogram)
    assert text.startswith("p50 ")
    assert max(line.count("█") for line in text.splitlines()) == 40


def test_times_out_of_range_are_counted_at_the_ends():
    histogram = LatencyHistogram()
    for value in (-1.0, 0.0, 1e-8, 5e4):
        histogram.add(value)
    assert histogram.counts[0] == 3
    assert histogram.counts[-1] == 1
    assert histogram.percentiles((100,)) == [pytest.approx(1e3, rel=0.03)]
    with pytest.raises(ValueError, match="101"):
        histogram.percentiles((101,))
    assert str(LatencyHistogram()) == "nothing was timed"


def test_times_are_written_with_a_unit_that_suits():
    values = (3.21e-7, 4.2e-5, 0.0123, 1.5, 0.9999e-3)
    assert [time_text(v) for v in values] == ["0.321 µs", "42 µs", "12.3 ms", "1.5 s", "1 ms"]
