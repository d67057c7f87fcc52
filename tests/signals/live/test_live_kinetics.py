# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin import LiveKinetics
from tests.signals.live.frames import RATE, TIME, WINDOWS, counts, frame, offline, same, watched
from tests.tables import check_tables


@pytest.mark.parametrize(
    "options",
    [
        {"estimator": "exact"},
        {"estimator": "exact", "offset": [2000.0, 3000.0, 2500.0], "law": "first order"},
        {"estimator": "exact", "noise": "floor", "dose_scale": 500.0, "nonnegative": True},
        {"estimator": "exact", "dose_uncertainty": 0.1, "correlated": True},
        {"seeds": (1, 2), "gauss_newton_iterations": 5},
    ],
)
def test_result_is_that_of_the_offline_fit(options):
    s = counts()
    found = watched(s, **options).result(show_progressbar=False)
    expected = offline(s, **options, show_progressbar=False)
    same(found, expected)
    assert str(found) == str(expected)


def test_processed_frames_carry_their_shared_errors():
    s = hyperspy_dosekin.data.dose_series(processed=True)
    live = LiveKinetics(dose_rate=RATE, frame_time=TIME, estimator="exact")
    for place in range(9):
        live.update(s.inav[place])
    s.set_dose_axis(dose_rate=RATE, frame_time=TIME)
    expected = s.integrate_windows().fit_dose_pinn(estimator="exact")
    found = live.result()
    same(found, expected)
    for one, other in zip(
        found.interval("half_integrity_dose"), expected.interval("half_integrity_dose"), strict=True
    ):
        # Areas of one frame and of many differ in the last digit, which open ends make larger.
        np.testing.assert_allclose(one.data, other.data, rtol=1e-6)


@pytest.mark.parametrize("spatial", ["auto", "mean"])
def test_maps(spatial):
    s = counts(7, space=(3, 2))
    options = {"estimator": "exact", "spatial": spatial}
    live = watched(s, **options)
    same(live.result(), offline(s, **options))
    assert live.posterior.lower.shape == ((3, 3, 2) if spatial == "auto" else (3,))
    assert live.posterior["C–O"].lower.shape == ((3, 2) if spatial == "auto" else ())


def test_maps_follow_within_their_budget():
    """Pixels whose answers are oldest come first; answers do not depend on who is with them."""
    random = np.random.default_rng(3)
    half = random.uniform(200, 900, (20, 31, 1))
    frames = [
        0.5 ** (100.0 * (place + 1) / half) + 0.2 + 0.03 * random.normal(size=half.shape)
        for place in range(9)
    ]
    options = {"dose_rate": 100.0, "frame_time": 1.0, "estimator": "exact"}
    short, whole = (LiveKinetics([(1, 3)], budget=budget, **options) for budget in (1e-9, None))
    ages = [short.update(frame).age for frame in frames]
    known = [whole.update(frame) for frame in frames]
    assert not any(posterior.age.any() for posterior in known)
    # Of three pieces one is reached after each frame, in turn.
    assert [int((age == 0).sum()) for age in ages[:3]] == [207] * 3
    assert [int(age.max()) for age in ages[:5]] == [1, 2, 2, 2, 2]
    assert "2 frames behind" in str(short.posterior)
    late = short.posterior.half_integrity_dose
    assert not np.allclose(late, known[-1].half_integrity_dose, rtol=1e-9)
    fresh = short.refresh()
    assert fresh.age.max() == 0
    assert "behind" not in str(fresh)
    for name in ("half_integrity_dose", "lower", "upper", "sd_log_half_dose", "below"):
        np.testing.assert_allclose(
            getattr(fresh, name), getattr(known[-1], name), rtol=1e-6, atol=1e-9
        )
    miss = np.abs(np.log(fresh.half_integrity_dose[0] / half[..., 0]))
    assert np.mean(miss < 2 * fresh.sd_log_half_dose[0]) > 0.93
    # A frame that comes late makes all answers old, and the offline fit knows nothing of budgets.
    behind = short.update(frames[0], index=20, dose=50.0)
    assert behind.age.max() == 10
    with pytest.raises(ValueError, match="budget=0 must be"):
        LiveKinetics(budget=0)


def test_arrays_are_frames_like_signals():
    s = counts()
    by_signal = watched(s, estimator="exact")
    by_array = LiveKinetics(
        WINDOWS,
        dose_rate=RATE,
        frame_time=TIME,
        energy_axis=s.axes_manager[-1],
        estimator="exact",
    )
    areas = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, estimator="exact")
    for place in range(12):
        by_array.update(s.data[place])
        areas.update(by_signal.series.data[:, place])
    same(by_array.result(), by_signal.result())
    np.testing.assert_allclose(areas.series.data, by_signal.series.data)
    assert areas.series.get_noise_variance() is None


def test_late_missing_doubled_and_broken_frames():
    s = counts()
    live = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, estimator="exact")
    broken = {3: s.data[3, :-1], 6: np.zeros(300), 8: np.full(300, np.nan)}
    for place in (0, 1, 3, 4, 2, 5, 5, 6, 7, 8, 10, 11):
        live.update(broken.get(place, frame(s, place)), index=place)
    live.update(frame(s, 4), index=5)
    report = live.report
    assert sorted(report.broken) == [3, 6, 8]
    assert "(299,)" in report.broken[3]
    assert report.missing == (9,)
    assert report.late == (2,)
    assert report.doubled == {5: True}
    assert "frame 3 is not used" in str(report)
    used = [0, 1, 2, 4, 5, 7, 10, 11]
    np.testing.assert_allclose(live.dose, RATE * TIME * (np.array(used) + 1))
    same(live.result(), watched(s, used, estimator="exact").result())
    one = live.posterior
    other = watched(s, used, estimator="exact").posterior
    np.testing.assert_allclose(one.sd_log_half_dose, other.sd_log_half_dose, rtol=0.1)


def test_a_broken_frame_may_come_again():
    s = counts()
    live = watched(s, [0, 1])
    live.update(np.zeros(300), index=2)
    live.update(frame(s, 2), index=2)
    assert live.n_frames == 3
    assert not live.report.broken


def test_missing_values_in_one_window_cost_that_window_alone():
    s = counts()
    data = s.data.astype(float)
    s.data = data
    s.metadata.Signal.quantity = "Intensity (Counts)"
    s.data[4, 50] = np.nan
    with pytest.warns(UserWarning, match="NaN"):
        found = watched(s, estimator="exact").result()
    with pytest.warns(UserWarning, match="NaN"):
        same(found, offline(s, estimator="exact"))


@pytest.mark.parametrize("drift", [0.99, 1.0, 1.3])
def test_a_clock_that_drifts_moves_no_dose(drift, recwarn):
    s = counts(40)
    random = np.random.default_rng(0)
    live = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, estimator="exact")
    places = [place for place in range(40) if place not in (7, 20, 21)]
    for place in places:
        time = 1e6 + drift * TIME * (place + 1) + 0.1 * TIME * random.normal()
        live.update(frame(s, place), time=time)
    np.testing.assert_allclose(live.dose, RATE * TIME * (np.array(places) + 1))
    assert live.report.missing == (7, 20, 21)
    assert abs(live.report.clock_ratio / drift - 1) < 0.02
    assert any("times as fast" in str(each.message) for each in recwarn) == (drift == 1.3)


def test_doses_of_their_own():
    s = counts()
    live = LiveKinetics(WINDOWS, estimator="exact")
    doses = np.array([10.0, 30, 60, 100, 150, 220, 300, 420, 600, 850, 1200, 1700])
    for place in np.random.default_rng(0).permutation(12):
        live.update(frame(s, int(place)), dose=float(doses[place]))
    s.set_dose_axis(dose=doses)
    same(live.result(), s.integrate_windows(WINDOWS).fit_dose_pinn(estimator="exact"))


def test_rules_stop_and_say_why():
    s = counts(30)
    live = LiveKinetics(
        WINDOWS,
        dose_rate=RATE,
        frame_time=TIME,
        estimator="exact",
        stop_when=[{"half_integrity_dose": 0.1, "windows": "C–O"}, {"dose": 1e6}],
    )
    live.run(frame(s, place) for place in range(30))
    assert live.stop
    assert live.stopped_by == "D½ of C–O is known to 10 %"
    assert live.posterior["C–O"].sd_log_half_dose <= 0.1
    assert "STOP" in str(live.posterior)
    # Those that wait when the series stops are taken in, too.
    assert 4 < live.n_frames < 30
    spent = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, stop_when={"dose": 500})
    assert spent.run(frame(s, place) for place in range(3)).stopped_by.startswith("the dose")
    own = LiveKinetics(WINDOWS, dose_rate=1, frame_time=1, stop_when=lambda p: p.n_frames == 2)
    own.update(frame(s, 0))
    assert not own.stop
    own.update(frame(s, 1))
    assert own.stop


def test_on_update_sees_every_posterior_and_may_stop():
    s, seen = counts(), []
    live = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, on_update=seen.append)
    live.run(frame(s, place) for place in range(4))
    assert [posterior.n_frames for posterior in seen] == [1, 2, 3, 4]
    live.on_update = lambda posterior: True
    live.update(frame(s, 5))
    assert live.stopped_by == "on_update said so"


def test_sources_may_say_numbers_times_and_doses():
    s = counts()
    live = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME)
    live.run([{"frame": frame(s, 0)}, {"frame": frame(s, 3), "index": 3}])
    assert live.report.missing == (1, 2)
    with pytest.raises(ValueError, match="frame"):
        live.run([{"index": 3}])
    with pytest.raises(TypeError, match="idx"):
        live.run([{"frame": frame(s, 4), "idx": 3}])

    def fails():
        yield frame(s, 5)
        raise OSError("the detector is gone")

    with pytest.raises(OSError, match="gone"):
        live.run(fails())


def test_processing_of_the_frame_alone():
    """Shifted spectra on a pedestal with other exposures have the areas of those without."""
    energy = np.arange(600) * 0.1 - 10
    random = np.random.default_rng(0)

    def spectrum(shift, gain):
        peak = 1e5 * np.exp(-0.5 * ((energy - shift) / 0.4) ** 2)
        loss = 2000 * np.exp(-0.5 * ((energy - shift - 12.5) / 2) ** 2)
        return random.poisson(gain * (peak + loss)) + 50

    live = LiveKinetics(
        {"C–O": (10, 15)}, dose_rate=1.0, frame_time=1.0, energy_axis=energy, process=True
    )
    for shift, gain in ((0.0, 1.0), (0.37, 1.0), (-0.82, 0.5), (0.5, 2.0)):
        live.update(spectrum(shift, gain))
    areas = live.series.data[0]
    true = 2000 * 2 * 0.7887 / (1e5 * 0.4)
    np.testing.assert_allclose(areas, areas[0], rtol=0.02)
    np.testing.assert_allclose(areas / true, 1.0, rtol=0.03)
    live.update(random.poisson(20, 600))
    assert "no zero-loss peak" in str(live.report)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dose_rate": 1.0}, ValueError, "belong together"),
        ({"dose_rate": -1.0, "frame_time": 1.0}, ValueError, "dose_rate"),
        ({"dose_rate": 1.0, "frame_time": 0}, ValueError, "frame_time"),
        ({"law": "two populations"}, ValueError, "two populations"),
        ({"process": "deconvolve"}, ValueError, "deconvolve"),
        ({"stop_when": {"dose": 1, "windows": "nothing"}}, ValueError, "nothing"),
        ({"stop_when": [{"integrity": 0.5}, {"integrity": 0.2}]}, ValueError, "one of them"),
        ({"on_update": 3}, TypeError, "on_update"),
        ({"ofset": 3}, TypeError, "offset"),
        ({"pre_exposure": -3}, ValueError, "pre_exposure"),
    ],
)
def test_impossible_arguments(options, error, message):
    with pytest.raises(error, match=message):
        LiveKinetics(WINDOWS, **options)


def test_frames_that_cannot_begin():
    live = LiveKinetics(WINDOWS, dose_rate=1.0, frame_time=1.0)
    with pytest.raises(ValueError, match="energy_axis"):
        live.update(np.ones(300))
    with pytest.raises(ValueError, match="index=-1"):
        live.update([1.0, 2.0, 3.0], index=-1)
    with pytest.raises(ValueError, match="no frame has come"):
        live.result()
    with pytest.raises(ValueError, match=r"update\(frame, dose"):
        LiveKinetics(WINDOWS).update([1.0, 2.0, 3.0])


def test_tables(tmp_path):
    posterior = watched(counts(6)).posterior
    check_tables(posterior, tmp_path, rows=3)
    frame = posterior["C–O"].to_dataframe()
    assert list(frame["window"]) == ["C–O"]
    assert frame["half_integrity_dose"][0] == posterior["C–O"].half_integrity_dose
    image = LiveKinetics({"a": (1, 2), "b": (2, 3)}, dose_rate=1.0, frame_time=1.0)
    for signal in (9.0, 7.0, 5.0, 4.0):
        image.update(signal + np.arange(12.0).reshape(2, 3, 2))
    check_tables(image.posterior, tmp_path, rows=12)
    frame = image.posterior.to_dataframe().set_index(["window", "axis_0_index", "axis_1_index"])
    assert frame["sd_log_half_dose"]["b", 1, 2] == image.posterior.sd_log_half_dose[1, 1, 2]


def test_texts():
    live = watched(counts(6))
    assert "3 windows, 6 frames" in repr(live)
    assert "C–O" in str(live)
    live = LiveKinetics({"<b>": (4, 7)}, dose_rate=1.0, frame_time=1.0)
    live.update([1.0])
    assert "&lt;b&gt;" in live._repr_html_()
    assert "<td><b>" not in live._repr_html_()


def test_figures_follow():
    s = counts(8)
    live = watched(s, range(5))
    figure = live.plot(follow=True, title="Run 3")
    before = figure.axes[0].lines[0].get_xdata().size
    live.update(frame(s, 5))
    assert figure.axes[0].lines[0].get_xdata().size == before + 1
    maps = watched(counts(5, space=(3, 2)), estimator="exact").plot()
    assert len(maps.axes) == 5


def test_intervals_of_stopped_series_of_unknown_noise_are_wider():
    """Bare areas: residuals that are small by luck stop a series; counts know their noise."""
    random = np.random.default_rng(0)
    dose = 50.0 * np.arange(1, 25)
    areas = np.exp(-dose / 300)[:, None] + 0.3 + 0.01 * random.normal(size=(24, 1))
    options = {"dose_rate": 50.0, "frame_time": 1.0, "estimator": "exact", "offset": 0.3}
    rule = {"half_integrity_dose": 0.1}
    stopped = LiveKinetics([(1, 2)], **options, stop_when=rule)
    plain = LiveKinetics([(1, 2)], **options)
    for row in areas:
        found, other = stopped.update(row), plain.update(row)
        if stopped.stop:
            break
    assert stopped.stop
    assert 5 < stopped.n_frames < 24
    for end in ("lower", "upper"):
        here, there = (
            np.log(getattr(each, end) / each.half_integrity_dose) for each in (found, other)
        )
        np.testing.assert_allclose(here, 1.2 * there)
    s = counts(12)
    stopped, plain = (watched(s, stop_when=each, estimator="exact") for each in (rule, None))
    np.testing.assert_array_equal(stopped.posterior.upper, plain.posterior.upper)
