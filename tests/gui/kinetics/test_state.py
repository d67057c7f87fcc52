# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the kinetics tool, without widgets and figures."""

import threading
import time

import dask.array as da
import numpy as np
import pytest

from hyperspy_dosekin import LOW_LOSS_WINDOWS, load
from hyperspy_dosekin.data import dose_series, dose_series_image
from hyperspy_dosekin.gui.kinetics import live, state
from hyperspy_dosekin.gui.tools import DoseKineticsTool
from hyperspy_dosekin.gui.worker import Worker
from hyperspy_dosekin.kinetics import UserLaw
from tests.patience import EVENT

NAMES = tuple(LOW_LOSS_WINDOWS)
NUMBERS = ("rate", "exponent", "amplitude", "offset", "half_integrity_dose")
#: x, y and dose all differ.
SHAPE = (5, 3, 7)


@pytest.fixture(scope="module")
def raw():
    """Counts that need every step: they drift, have spikes and a dark level."""
    signal = dose_series(seed=3, spike_rate=1.0, energy_offset=-20.0, channels=600)
    signal.data = signal.data + 40
    return signal


@pytest.fixture(scope="module")
def image():
    """Processed spectra of 5 × 3 pixels and 7 frames."""
    dose = 200.0 * np.arange(1, SHAPE[2] + 1)
    return dose_series_image(seed=1, shape=SHAPE[1::-1], dose=dose, processed=True)


@pytest.fixture
def tool(raw):
    tool = DoseKineticsTool(raw.deepcopy())
    yield tool
    tool.close()
    assert tool.worker.wait(EVENT)


def run_code(tool):
    """The result that the shown code gives for an untouched copy of the signal."""
    names = {"s": tool.signal.deepcopy()}
    exec(tool.code, names)
    return names["result"]


def assert_same(result, other, *, digits=False):
    """Numbers and intervals agree.

    With `digits` the same call has made them, up to the order of sums. Otherwise they come from
    searches for other windows at a time, each of which ends where a step promises less than 1e-7 in
    the objective: half a thousandth of the uncertainty away at most.
    """
    assert result.window_names == other.window_names
    np.testing.assert_array_equal(result.identifiable.data, other.identifiable.data)
    np.testing.assert_allclose(result.fitted.data, other.fitted.data, rtol=1e-5)
    # Each look at `parameters` makes signals anew.
    pairs = [
        {**each.parameters, "half_integrity_dose": each.half_integrity_dose}
        for each in (result, other)
    ]
    for name in pairs[0]:
        a, b = (each[name].data for each in pairs)
        ends, expected = (
            np.array([end.data for end in each.interval(name)]) for each in (result, other)
        )
        with np.errstate(invalid="ignore"):
            width = np.abs(expected[1] - expected[0])
        allowed = 1e-3 * np.where(np.isfinite(width), width, np.abs(b))
        if digits:
            allowed = 1e-6 * np.abs(b)
        for found, wanted in ((a, b), *zip(ends, expected, strict=True)):
            near = np.isclose(found, wanted, rtol=1e-6, atol=0, equal_nan=True)
            # Where neither estimate nor width is finite, the end itself says how large it is.
            enough = np.where(np.isnan(allowed), 1e-3 * np.abs(wanted), allowed)
            with np.errstate(invalid="ignore"):
                near |= np.abs(found - wanted) <= enough
            assert near.all(), (name, found, wanted, allowed)


# What it begins with


def test_shows_the_fit_of_processed_spectra(tool, raw):
    expected = raw.process_low_loss().integrate_windows().fit_dose_pinn(estimator="exact")
    assert tool.level == "info"
    assert tool.processing.on, "counts with a zero-loss peak are processed"
    assert_same(tool.live.kinetics, expected)
    assert [row.window for row in tool.table] == list(NAMES)
    assert tool.prepared.spectra.shape[0] == raw.data.shape[0]


def test_band_holds_the_truth(tool, raw):
    truth = raw.metadata.Simulation
    areas = np.asarray(truth.window_areas_at_resolution)
    live = tool.live
    lower, upper = (
        np.array([np.interp(live.kinetics.dose, live.grid, row) for row in band])
        for band in (live.lower, live.upper)
    )
    # Processing is right to about 1 %, more than the noise: the truth is moved to the data.
    moved = areas * (live.kinetics.data.data / areas).mean(axis=1, keepdims=True)
    inside = (lower < moved) & (moved < upper)
    assert inside[1:].mean() > 0.5
    assert np.all(lower < upper)


def test_processed_signal_is_left_as_it_is():
    tool = DoseKineticsTool(dose_series(processed=True))
    assert not tool.processing.on
    assert tool.level == "info"
    assert "process_low_loss" not in tool.code


def test_options_and_windows_of_the_call_are_the_start(raw):
    tool = DoseKineticsTool(
        raw,
        {"a": (4, 7), "b": (10, 15)},
        offset=(0.01, 0.02),
        exponent=1.0,
        hierarchy=(("a", "b"),),
    )
    assert tool.windows.as_dict() == {"a": (4.0, 7.0), "b": (10.0, 15.0)}
    assert tool.fit.offset_known
    assert tool.fit.exponent == "known"
    assert tool.live.kinetics.exponent.data.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(tool.live.kinetics.offset.data, [0.01, 0.02])
    assert tool.table[0].parameters["exponent"] == ("1.00", "known")
    assert_same(tool.live.kinetics, run_code(tool))


# The user's signal


def test_signal_is_never_changed(raw):
    signal = raw.deepcopy()
    before = signal.data.copy(), signal.axes_manager.as_dictionary()
    metadata = signal.metadata.as_dictionary()
    tool = DoseKineticsTool(signal)
    tool.dose.trait_set(source="rate", dose_rate=2.0, frame_time=30.0, pre_exposure=5.0)
    tool.windows.set_limits("C–C", 4.5, 6.0)
    tool.apply()
    np.testing.assert_array_equal(signal.data, before[0])
    assert signal.axes_manager.as_dictionary() == before[1]
    assert signal.metadata.as_dictionary() == metadata
    assert signal.dose_kinetics is tool.result


# Windows


@pytest.fixture
def fitted(monkeypatch):
    """Names of the windows that are fitted, call by call."""
    calls = []
    fit = live.fit_series_data

    def watched(data, *arguments, **options):
        calls.append(data.window_names)
        return fit(data, *arguments, **options)

    monkeypatch.setattr(live, "fit_series_data", watched)
    return calls


def test_moved_window_is_fitted_again_and_only_with_its_pair(tool, fitted, monkeypatch):
    before = tool.live
    integrated = []
    signal = tool.prepared.signal
    integrate = type(signal).integrate_windows

    def watched(self, windows):
        integrated.extend(windows)
        return integrate(self, windows)

    monkeypatch.setattr(type(signal), "integrate_windows", watched)
    tool.windows.set_limits("M–O", 20.5, 24.0)
    assert fitted == [("M–O",)]
    assert integrated == ["M–O"]
    assert tool.live is not before
    assert_same(tool.live.kinetics, run_code(tool))
    del integrated[:]
    tool.windows.set_limits("M–O", 20.0, 25.0)
    assert fitted == [("M–O",)], "what was fitted once is remembered"
    assert integrated == []
    np.testing.assert_array_equal(tool.live.upper, before.upper)
    tool.windows.set_limits("C–O", 10.5, 14.0)
    assert fitted[1:] == [("C–C", "C–O")], "the hierarchy couples them"
    tool.fit.exponent = "shared"
    assert fitted[2:] == [NAMES], "one exponent couples all"


def test_warnings_of_what_is_remembered_stay():
    signal = dose_series(seed=1, processed=True)
    signal.data = signal.data.copy()
    signal.data[4] = np.nan
    tool = DoseKineticsTool(signal)

    def told():
        return any("left out of the fit" in note for note in tool.notes)

    assert told()
    tool.windows.set_limits("M–O", 20.5, 24.0)
    tool.windows.set_limits("M–O", 20.0, 25.0)
    assert told()


def test_memory_forgets_the_oldest():
    memory, made = live.Memory(2), []
    for key in "ababcab":
        memory.get(key, lambda key=key: made.append(key))
    assert made == ["a", "b", "c", "a", "b"]


def test_span_that_is_dragged_waits_for_the_mouse(tool):
    before, row = tool.live, tool.windows.row("C–O")
    tool.windows.hold()
    row.roi.left = 11.0
    row.roi.right = 16.0
    assert tool.live is before
    tool.windows.release()
    assert tool.windows.as_dict()["C–O"] == (11.0, 16.0)
    assert tool.live is not before


def test_span_that_a_program_moves_is_followed_at_once(tool):
    before = tool.live
    tool.windows.row("C–O").roi.right = 14.0
    assert tool.live is not before
    assert tool.windows.as_dict()["C–O"] == (10.0, 14.0)


@pytest.mark.parametrize(("left", "right"), [(-500.0, 7.0), (4.0, 5e3), (200.0, 210.0)])
def test_window_outside_the_axis_is_put_back(tool, left, right):
    low, high = tool.windows.energies[[0, -1]]
    tool.windows.hold()
    tool.windows.row("C–C").place(left, right)
    tool.windows.release()
    found = tool.windows.as_dict()["C–C"]
    assert low <= found[0] < found[1] <= high
    assert "inside the axis" in tool.message
    assert "eV" in tool.message
    if left > high:
        assert found[1] - found[0] == pytest.approx(right - left), "its width is kept"


def test_window_is_a_channel_wide_at_least(tool):
    tool.windows.set_limits("C–C", 5.0, 5.0 + 1e-6)
    left, right = tool.windows.as_dict()["C–C"]
    assert right - left == pytest.approx(tool.signal.axes_manager[-1].scale)
    assert tool.level == "info"


@pytest.mark.parametrize("limits", [(7.0, 4.0), (5.0, 5.0), (np.nan, 7.0), (4.0, np.inf)])
def test_limits_that_are_none_are_refused(tool, limits):
    before = tool.windows.as_dict()
    assert not tool.attempt(tool.windows.set_limits, "C–C", *limits)
    assert tool.level == "error"
    assert "C–C" in tool.message
    assert tool.windows.as_dict() == before


def test_snap_puts_limits_on_channels(tool):
    energies = tool.windows.energies
    tool.windows.snap = True
    for limits in tool.windows.as_dict().values():
        assert all(np.abs(energies - limit).min() < 1e-12 for limit in limits)
    tool.windows.set_limits("C–C", 4.123, 6.987)
    left, right = tool.windows.as_dict()["C–C"]
    assert left == energies[np.abs(energies - 4.123).argmin()]
    assert right == energies[np.abs(energies - 6.987).argmin()]


def test_add_rename_remove_reset(tool):
    row = tool.windows.add()
    assert len(tool.table) == 5
    others = [limits for name, limits in tool.windows.as_dict().items() if name != row.name]
    assert all(row.limits[1] <= left or row.limits[0] >= right for left, right in others)
    tool.rename_window(row.name, "plasmon")
    assert tool.table[4].window == "plasmon"
    tool.windows.add("edge", 30.0, 33.0)
    tool.windows.remove("π–π*")
    assert tool.windows.names == (*NAMES[1:], "plasmon", "edge")
    assert_same(tool.live.kinetics, run_code(tool))
    tool.windows.reset()
    assert tool.windows.as_dict() == dict(LOW_LOSS_WINDOWS)
    tool.windows.set_limits("C–C", 4.5, 6.0)
    tool.windows.paper_defaults()
    assert tool.windows.as_dict() == dict(LOW_LOSS_WINDOWS)


@pytest.mark.parametrize("name", ["C–O", " C–O ", "", "  "])
def test_two_windows_cannot_have_one_name(tool, name):
    assert not tool.attempt(tool.rename_window, "C–C", name)
    assert tool.level == "error"
    assert tool.windows.names == NAMES
    assert not tool.attempt(tool.windows.add, name)
    assert tool.windows.names == NAMES


def test_hierarchy_follows_a_name(tool):
    before = tool.live.kinetics.rate.data.copy()
    tool.rename_window("C–C", "carbon")
    assert tool.fit.slower == "carbon"
    np.testing.assert_allclose(tool.live.kinetics.rate.data, before, rtol=1e-12)
    assert_same(tool.live.kinetics, run_code(tool))


def test_last_window_stays(raw):
    tool = DoseKineticsTool(raw, {"one": (10, 15)})
    assert not tool.attempt(tool.windows.remove, "one")
    assert "only window" in tool.message


def test_windows_beyond_the_axis_are_left_out(raw):
    tool = DoseKineticsTool(raw.isig[:18.0])
    assert tool.windows.names == NAMES[:3]
    assert "M–O left out" in tool.windows.note
    with pytest.raises(ValueError, match="none of the windows"):
        DoseKineticsTool(raw, {"far": (1000, 1100)})


# Every other control


#: The two windows that the hierarchy couples; every control is for them as for the others.
PAIR = {name: LOW_LOSS_WINDOWS[name] for name in ("C–C", "C–O")}
CONTROLS = {
    "offset for all": ("fit", {"offset_known": True, "offset": "0.001"}),
    "offset for each": ("fit", {"offset_known": True, "offset": "0.01, 0.03"}),
    "exponent known": ("fit", {"exponent": "known", "exponent_value": 1.5}),
    "exponent shared": ("fit", {"exponent": "shared"}),
    "no hierarchy": ("fit", {"hierarchy": False}),
    "first order": ("fit", {"law": "first order"}),
    # With a free offset nothing tells it from a plateau, and no two searches end alike.
    "plateau": (
        "fit",
        {"law": "power law with plateau", "offset_known": True, "offset": "0.001"},
    ),
    "other hierarchy": ("fit", {"faster": "C–C", "slower": "C–O"}),
    "dose rate": ("dose", {"source": "rate", "dose_rate": 2.5, "frame_time": 20.0}),
    "moment": ("dose", {"source": "rate", "dose_rate": 2.5, "frame_time": 20.0, "at": "middle"}),
    "pre-exposure": ("dose", {"pre_exposure": 300.0}),
    "no processing": ("processing", {"on": False}),
    "not aligned": ("processing", {"align": False}),
    "with spikes": ("processing", {"spikes": False}),
    "with dark level": ("processing", {"dark": False}),
    "with plural scattering": ("processing", {"deconvolve": False}),
    "counts": ("processing", {"normalise": False}),
    "sharpened": ("processing", {"resolution": "sharpened"}),
    "background": (
        "processing",
        {"background": True, "background_left": 8.0, "background_right": 9.5},
    ),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_changes_the_fit_and_is_in_the_code(raw, name):
    part, traits = CONTROLS[name]
    tool = DoseKineticsTool(raw.deepcopy(), PAIR)
    before = tool.live.kinetics
    getattr(tool, part).trait_set(**traits)
    assert tool.level == "info", tool.message
    after = tool.live.kinetics
    if name != "other hierarchy" and name != "no hierarchy":
        changed = [
            not np.array_equal(getattr(before, each).data, getattr(after, each).data)
            for each in NUMBERS
        ]
        assert any(changed)
    assert_same(after, run_code(tool))
    tool.close()


def test_hierarchy_matters_where_it_is_violated(raw):
    # C–C is faster here, which the pair (C–O ≥ C–C) holds against; much faster is no pair.
    signal = dose_series(seed=2, kinetics={"C–C": {"k": 1.4}, "C–O": {"k": 1.0}}, processed=True)
    tool = DoseKineticsTool(signal)
    with_pair = tool.live.kinetics.rate.data.copy()
    tool.fit.hierarchy = False
    assert not np.allclose(tool.live.kinetics.rate.data[1:3], with_pair[1:3], rtol=1e-3)
    assert_same(tool.live.kinetics, run_code(tool))


def test_pre_exposure_does_not_add_up(tool):
    doses = tool.signal.axes_manager["dose"].axis.copy()
    tool.dose.pre_exposure = 300.0
    np.testing.assert_allclose(tool.live.kinetics.dose, doses + 300.0)
    signal = tool.signal.deepcopy()
    for _ in range(2):
        names = {"s": signal}
        exec(tool.code, names)
    np.testing.assert_allclose(names["result"].dose, doses + 300.0)


@pytest.mark.parametrize(
    ("part", "traits", "words"),
    [
        ("fit", {"offset_known": True, "offset": "a lot"}, "offset b"),
        ("fit", {"offset_known": True, "offset": "1, 2"}, "one for each window"),
        ("fit", {"offset_known": True, "offset": "nan"}, "offset b"),
        ("fit", {"exponent": "known", "exponent_value": 11.0}, "in [0, 10]"),
        ("fit", {"faster": "C–C"}, "two different windows"),
        ("dose", {"source": "rate", "frame_time": 20.0}, "dose rate (e⁻/Å²/s)"),
        ("dose", {"source": "rate", "dose_rate": 2.0, "frame_time": 0.0}, "frame time (s)"),
        ("dose", {"pre_exposure": -3.0}, "pre_exposure"),
        ("processing", {"background": True, "background_left": 900.0}, "background"),
    ],
)
def test_bad_settings_are_told_in_words_and_can_be_mended(tool, part, traits, words):
    owner = getattr(tool, part)
    before = owner.trait_get(*traits)
    owner.trait_set(**traits)
    assert tool.level == "error"
    assert words.lower() in tool.message.lower()
    assert tool.live is None
    assert tool.table == ()
    tool.apply()
    tool.fit_network()
    assert tool.result is None
    assert not tool.worker.running
    owner.trait_set(**before)
    assert tool.level == "info"
    assert tool.live is not None


def test_options_that_the_tool_has_no_place_for_are_refused(raw):
    with pytest.raises(ValueError, match="spatial"):
        DoseKineticsTool(raw, spatial="pixel")
    with pytest.raises(ValueError, match="one pair"):
        DoseKineticsTool(raw, hierarchy=(("C–O", "C–C"), ("C–C", "M–O")))
    with pytest.raises(ValueError, match="for each pixel"):
        DoseKineticsTool(raw, offset=np.zeros((3, 4)))
    with pytest.raises(TypeError, match="did you mean 'exponent'"):
        DoseKineticsTool(raw, exponents=1.0)


def test_every_law_is_fitted(raw):
    laws = {
        "first order": ["k (per Φ_max)"],
        "power law with plateau": ["k (per Φ_max)", "p", "C∞"],
    }
    tool = DoseKineticsTool(raw, {"C–C": (4, 7), "C–O": (10, 15)}, law="first order")
    assert tool.fit.law == "first order"
    assert set(laws) < set(tool.fit.laws)
    for law, symbols in laws.items():
        tool.fit.law = law
        assert tool.level == "info", tool.message
        assert tool.live.kinetics.law == law
        shown = run_code(tool)
        assert shown.law == law
        tool.apply()
        for name, value in tool.result.parameters.items():
            np.testing.assert_allclose(value.data, shown.parameters[name].data, rtol=1e-6)
        assert [each for each in tool.headers if each in symbols] == symbols
        assert {len(row.cells) for row in tool.table} == {len(tool.headers)}
        assert (tool.live.lower < tool.live.fitted).mean() > 0.95
        assert (tool.live.fitted < tool.live.upper).mean() > 0.95
        assert any(law in note for note in tool.notes)
    tool.fit.law = "power law"
    assert_same(tool.live.kinetics, run_code(tool))


def test_a_law_of_ones_own_is_fitted(raw):
    def second_order(integrity, parameters, dose):
        return parameters["rate"] * integrity**2

    law = UserLaw(second_order, {"rate": (0.01, 20.0, 1.0)}, name="second order")
    tool = DoseKineticsTool(raw, {"C–O": (10, 15)}, law=law)
    assert tool.fit.laws[-1] == "second order"
    assert tool.level == "info", tool.message
    assert tool.code.startswith("# law: the one that the tool was opened with\n")
    names = {"s": tool.signal.deepcopy(), "law": law}
    exec(tool.code, names)
    expected = names["result"].parameters["rate"].data
    np.testing.assert_allclose(tool.live.kinetics.parameters["rate"].data, expected, rtol=1e-6)
    tool.fit.law = "power law"
    assert "law" not in tool.code
    tool.fit.law = "second order"
    assert tool.live.kinetics.kinetic_law is law


def test_the_network_knows_the_power_law_only(tool):
    tool.fit.estimator = "pinn"
    tool.fit.law = "first order"
    assert tool.fit.estimator == "exact"
    assert "exponent" not in tool.code
    tool.fit_network()
    assert tool.level == "error"
    assert "power law only" in tool.message
    assert not tool.worker.running


def test_options_of_an_estimator_are_in_its_code_only(raw):
    tool = DoseKineticsTool(raw, seeds=(1, 2), loss="huber", protocol="paper", patience=50)
    assert 'loss="huber"' in tool.code
    assert "seeds" not in tool.code
    assert "patience" not in tool.code
    tool.fit.estimator = "pinn"
    for text in ("seeds=(1, 2)", 'protocol="paper"', "patience=50"):
        assert text in tool.code
    assert "loss=" not in tool.code
    assert_same(
        tool.live.kinetics, raw.process_low_loss().fit_dose_pinn(estimator="exact", loss="huber")
    )


def test_offset_of_a_damaged_specimen(raw):
    damaged = raw.process_low_loss().inav[-3:].integrate_windows()
    tool = DoseKineticsTool(raw, offset=damaged)
    np.testing.assert_allclose(
        tool.live.kinetics.offset.data, damaged.data.mean(axis=-1), rtol=1e-11
    )


def test_other_options_reach_fit_and_code(raw):
    tool = DoseKineticsTool(
        raw, prior={"log_rate": (0.5, 2.0), "exponent": (1.0, 0.5)}, noise="absolute"
    )
    assert 'prior={"log_rate": (0.5, 2.0), "exponent": (1.0, 0.5)}' in tool.code
    assert_same(tool.live.kinetics, run_code(tool))
    tool = DoseKineticsTool(raw, prior=None, loss="huber")
    assert "prior=None" in tool.code
    assert_same(tool.live.kinetics, run_code(tool))


# Signals of other kinds


def test_single_spectrum_is_refused(raw):
    with pytest.raises(ValueError, match=r"single spectrum.*stack"):
        DoseKineticsTool(raw.inav[0])


def test_without_doses_spectra_are_shown_and_doses_asked_for(raw):
    signal = raw.deepcopy()
    axis = signal.axes_manager[0]
    axis.name, axis.units = "frame", ""
    tool = DoseKineticsTool(signal)
    assert tool.level == "error"
    assert "dose rate" in tool.message
    assert tool.prepared is not None
    assert not tool.prepared.has_doses
    assert tool.processing.on
    tool.dose.trait_set(dose_rate=3.0, frame_time=40.0)
    assert tool.level == "info"
    assert tool.live.kinetics.dose[0] == pytest.approx(120.0)
    assert_same(tool.live.kinetics, run_code(tool))


def test_too_few_frames_are_told(raw):
    tool = DoseKineticsTool(raw.inav[:3])
    assert tool.level == "error"
    assert "4" in tool.message
    tool.fit.trait_set(exponent="known", offset_known=True)
    assert tool.level == "info", "two unknowns less"


def test_spectra_that_cannot_be_processed_are_shown_as_they_are():
    signal = dose_series(seed=1, noise=False, t_over_lambda=0.4).isig[-4.0:]
    signal.data = np.where(np.arange(signal.data.shape[-1]) < 60, 5.0, signal.data)
    signal.data = np.rint(signal.data).astype("int32")
    signal.data[:] = 100 + np.arange(signal.data.shape[0])[:, np.newaxis]
    tool = DoseKineticsTool(signal)
    assert not tool.processing.on
    assert tool.prepared is not None
    assert "zero-loss" in tool.message


def test_nan_is_not_determined(raw):
    signal = dose_series(seed=1, processed=True)
    signal.data = signal.data.copy()
    low, high = (signal.axes_manager[-1].value2index(limit) for limit in (10.0, 15.0))
    signal.data[:, low : high + 1] = np.nan
    signal.data[4] = np.nan
    tool = DoseKineticsTool(signal)
    assert tool.level == "info"
    row = dict(zip(NAMES, tool.table, strict=True))["C–O"]
    assert row.half_dose == "no estimate"
    assert row.identifiable == "NO"
    assert all(isinstance(text, str) for each in tool.table for text in each.cells)
    assert all("nan" not in text for each in tool.table for text in each.cells)
    assert any("C–O: no estimate" in note for note in tool.notes)
    assert np.isfinite(tool.live.fitted[1]).all()
    assert np.isnan(tool.live.fitted[2]).all()


def test_undetermined_doses_are_not_numbers(tool):
    flags = tool.live.kinetics.identifiable.data
    assert not flags.all()
    for row, flag in zip(tool.table, flags, strict=True):
        assert (row.half_dose == "not determined") == (not flag)
        assert row.identifiable.startswith("yes" if flag else "NO")


# Spectrum images


def test_pixel_follows_the_navigator_and_leads_it(image):
    tool = DoseKineticsTool(image)
    first = tool.live.kinetics.rate.data.copy()
    image.axes_manager.indices = (4, 2, 0)
    assert tool.region.indices == (4, 2)
    assert not np.array_equal(tool.live.kinetics.rate.data, first)
    expected = image.inav[4, 2].integrate_windows().fit_dose_pinn(estimator="exact")
    assert_same(tool.live.kinetics, expected)
    tool.region.go_to((1, 0))
    assert tuple(image.axes_manager.indices[:2]) == (1, 0)
    tool.region.go_to((99, -7))
    assert tool.region.indices == (4, 0)
    image.axes_manager.indices = (4, 0, 3)
    assert tool.region.indices == (4, 0), "another frame is no other pixel"
    tool.close()
    image.axes_manager.indices = (0, 0, 0)
    assert tool.region.indices == (4, 0), "closed, it follows no more"


@pytest.mark.parametrize("mode", ["pixel", "rectangle", "all"])
def test_code_of_every_region(image, mode):
    tool = DoseKineticsTool(image)
    tool.region.trait_set(mode=mode, indices=(3, 1), rectangle=((1, 4), (0, 2)))
    assert tool.region.n_pixel == {"pixel": 1, "rectangle": 6, "all": 15}[mode]
    part = {"pixel": image.inav[3, 1], "rectangle": image.inav[1:4, 0:2], "all": image}[mode]
    np.testing.assert_allclose(
        tool.prepared.spectra,
        part.data.reshape(SHAPE[2], -1, part.data.shape[-1]).mean(axis=1)
        if part.data.shape[0] == SHAPE[2]
        else np.moveaxis(part.data, -2, 0).reshape(SHAPE[2], -1, part.data.shape[-1]).mean(axis=1),
        rtol=1e-12,
    )
    assert_same(tool.live.kinetics, run_code(tool))
    tool.close()


def test_rectangle_stays_inside_and_holds_a_pixel(image):
    tool = DoseKineticsTool(image)
    tool.region.mode = "rectangle"
    tool.region.draw(((-3, 40), (2, 2)))
    assert tool.region.rectangle == ((0, 5), (2, 3))
    assert tool.level == "info"
    tool.close()


def test_maps_of_every_pixel(image):
    tool = DoseKineticsTool(image)
    tool.fit.extent = "pixels"
    tool.windows.set_limits("C–C", 4.2, 6.9)
    tool.apply()
    assert tool.worker.wait(EVENT)
    assert tool.result.space_shape == SHAPE[1::-1]
    assert "Applied" in tool.message
    names = {"s": image.deepcopy()}
    exec(tool.code, names)
    np.testing.assert_allclose(
        tool.result.half_integrity_dose.data,
        names["result"].half_integrity_dose.data,
        rtol=1e-6,
    )
    tool.fit.estimator = "pinn"
    tool.apply()
    assert tool.level == "error"
    tool.close()


def test_large_regions_are_read_beside_the_notebook(image, monkeypatch):
    monkeypatch.setattr(state, "LARGEST_AT_ONCE", 10 * image.data[0, 0].size)
    here = threading.get_ident()
    seen = []
    prepare = state.prepare

    def watched(*arguments, **options):
        seen.append(threading.get_ident())
        return prepare(*arguments, **options)

    monkeypatch.setattr(state, "prepare", watched)
    tool = DoseKineticsTool(image)
    assert seen == [here]
    tool.region.mode = "all"
    assert tool.worker.wait(EVENT)
    assert seen[1] != here
    assert tool.message == "Exact fit of mean of all 15 pixels."
    tool.close()


def test_lazy_signal_stays_lazy_but_for_what_is_shown(image):
    touched = []

    def touch(block, block_info=None):
        if block_info:
            touched.append(block_info[0]["chunk-location"][:3])
        return block

    data = da.from_array(image.data, chunks=(1, 1, *image.data.shape[2:]))
    if image.axes_manager["dose"].index_in_array == 0:
        data = da.from_array(image.data, chunks=(image.data.shape[0], 1, 1, -1))
    lazy = image.as_lazy()
    lazy.data = data.map_blocks(touch, dtype=data.dtype, meta=np.empty(0, data.dtype))
    tool = DoseKineticsTool(lazy)
    assert lazy._lazy
    assert tool.level == "info"
    assert any("lazy" in note.lower() for note in tool.notes)
    assert len(set(touched)) == 1, "one pixel is one chunk here"
    tool.region.go_to((2, 1))
    assert len(set(touched)) == 2
    eager = image.inav[2, 1].integrate_windows().fit_dose_pinn(estimator="exact")
    assert_same(tool.live.kinetics, eager)
    tool.windows.set_limits("C–C", 4.5, 6.5)
    assert len(set(touched)) == 2, "moving a window reads nothing"
    assert_same(tool.live.kinetics, run_code(tool))
    tool.close()


# Buttons


def test_apply_save_and_load(tool, tmp_path):
    tool.path = str(tmp_path / "kept")
    tool.apply()
    assert tool.result is tool.signal.dose_kinetics
    assert_same(tool.result, run_code(tool), digits=True)
    assert_same(tool.result, tool.live.kinetics)
    tool.save()
    assert tool.level == "info"
    assert_same(load(tmp_path / "kept.hspy"), tool.result)
    tool.save()
    assert tool.level == "error"
    assert "exists" in tool.message
    tool.overwrite = True
    tool.save()
    assert tool.level == "info"
    tool.path = ""
    tool.save()
    assert "name of a file" in tool.message


def test_network_is_fitted_in_a_thread_and_applied(tool):
    tool.fit.estimator = "pinn"
    shares = []
    tool.worker.observe(lambda event: shares.append(event.new), "fraction")
    tool.apply()
    assert tool.worker.running
    assert "Fitting" in tool.message
    tool.windows.row("C–C")  # the state answers meanwhile
    assert tool.worker.wait(EVENT)
    assert tool.network is tool.result
    assert tool.result.has_network
    assert tool.result.complete
    assert any(0 < share < 1 for share in shares)
    assert_same(tool.result, run_code(tool))
    tool.windows.set_limits("C–C", 4.5, 6.0)
    assert tool.network is None, "it belongs to another state"
    assert tool.result.has_network, "what was applied stays"


def test_network_can_be_stopped(tool):
    # The protocol of the paper takes minutes.
    tool.fit.protocol = "paper"
    tool.fit_network()
    until = time.monotonic() + EVENT
    while tool.worker.fraction == 0 and time.monotonic() < until:
        tool.worker.tell()
        time.sleep(0.02)
    tool.stop()
    assert tool.worker.stopping
    assert tool.worker.wait(EVENT)
    assert not tool.network.complete
    assert "stopped" in tool.message


def test_network_of_an_earlier_state_is_not_shown(tool):
    tool.fit_network()
    tool.windows.set_limits("C–C", 4.5, 6.0)
    assert tool.worker.wait(EVENT)
    assert tool.network is None
    assert "earlier state" in tool.message


def test_only_one_thing_runs_at_a_time(tool):
    tool.fit_network()
    tool.fit_network()
    assert tool.level == "error"
    assert "still running" in tool.message
    tool.stop()
    assert tool.worker.wait(EVENT)


def test_closing_ends_what_runs(raw):
    tool = DoseKineticsTool(raw)
    tool.fit.protocol = "paper"
    tool.fit_network()
    tool.close()
    assert tool.worker.wait(EVENT)
    tool.close()


def test_worker_tells_in_the_thread_of_the_loop():
    import asyncio

    worker, told = Worker(), []

    async def use():
        def work(report, stop):
            report("work", 1, 2)
            return threading.get_ident()

        worker.start("work", work, lambda there: told.append((there, threading.get_ident())), print)
        while worker.running:
            await asyncio.sleep(0.01)

    asyncio.run(use())
    ((there, here),) = told
    assert here == threading.get_ident() != there


def test_worker_passes_errors_on():
    worker, failed = Worker(), []

    def work(report, stop):
        raise ValueError("no luck")

    worker.start("work", work, print, failed.append)
    assert worker.wait(EVENT)
    assert str(failed[0]) == "no luck"
    assert not worker.running
