# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""`fit_dose_jointly` from signals to a mapping of results, to files and back."""

import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin import fit_dose_jointly
from hyperspy_dosekin.windows.definitions import Window
from tests.tables import check_tables

LAST = 900.0


def dose_series(seed, rates, exponents, names, frames=9, largest=LAST, noise=0.004, gain=0.0):
    random = np.random.default_rng(seed)
    dose = np.arange(1, frames + 1) / frames
    level = []
    for rate, exponent in zip(rates, exponents, strict=True):
        order = exponent - 1
        level.append(np.maximum(1 + order * rate * dose, 0) ** (-1 / order) + 1)
    level = np.array(level) * (1 + gain * random.normal(size=frames))
    values = level + noise * random.normal(size=(len(rates), frames))
    axes = [{"size": len(rates)}, {"axis": largest * dose, "units": "e⁻/Å²"}]
    s = hs.signals.Signal1D(values, axes=axes)
    s.set_signal_type("DoseSeries")
    s.metadata.set_item("Dose.window_names", list(names))
    return s


@pytest.fixture(scope="module")
def pair():
    return {
        "low loss": dose_series(0, (2.0, 1.0, 4.0), [1.3] * 3, "abc"),
        "core loss": dose_series(1, (3.0, 1.5), [1.3] * 2, "KL", frames=7, largest=1400.0),
    }


@pytest.fixture(scope="module")
def found(pair):
    return fit_dose_jointly(pair, common_mode=False)


def test_mapping_of_results(pair, found, tmp_path):
    assert list(found) == ["low loss", "core loss"]
    assert isinstance(found["core loss"], hyperspy_dosekin.DoseKinetics)
    assert found["core loss"].window_names == ("K", "L")
    assert found["core loss"].dose_max == 1400
    shared = found.shared[0]
    assert shared.lower < 1.3 < shared.upper
    for result in found.values():
        np.testing.assert_array_equal(result.exponent.data, shared.estimate)
    alone = pair["low loss"].fit_dose_pinn(estimator="exact", hierarchy=())
    low, high = found["low loss"].interval("half_integrity_dose")
    own_low, own_high = alone.interval("half_integrity_dose")
    narrower = np.log(high.data / low.data) / np.log(own_high.data / own_low.data)
    assert narrower.min() < 0.75
    assert narrower.max() < 1.1
    check_tables(found, tmp_path, sum(len(each.window_names) for each in found.values()))
    with pytest.raises(KeyError, match="no series 'EDS'"):
        found["EDS"]


def test_intervals_of_all_quantities_and_levels(found):
    result = found["low loss"]
    for name in ("rate", "exponent", "half_integrity_dose", "dose_at", "rate_per_dose"):
        wide = np.stack([end.data for end in result.interval(name)])
        narrow = np.stack([end.data for end in result.interval(name, level=0.5)])
        assert np.all(wide[0] <= narrow[0])
        assert np.all(narrow[1] <= wide[1])
    lower, upper = result.interval("integrity")
    assert np.all(lower.data <= upper.data)
    lower, upper = result.intensity_interval(result.dose)
    assert np.mean((lower < result.data.data) & (result.data.data < upper)) > 0.8
    assert result.adequate.data.all()
    profile = result.interval("half_integrity_dose", method="profile")
    assert np.all(profile[0].data < profile[1].data)
    only = result["b"]
    np.testing.assert_array_equal(
        only.interval("rate", 0.9)[0].data, result.interval("rate", 0.9)[0].data[1:2]
    )


def test_ratio_of_two_windows_knows_what_they_share(found):
    pair = ("low loss", "b"), ("core loss", "L")
    middle, lower, upper = found.ratio(*pair)
    truth = (1 / 1.0 * 900) / (1 / 1.5 * 1400)
    assert lower < truth < upper
    assert lower < middle < upper
    # Both are open along p in the same way.
    ends = [found[name][window].interval("half_integrity_dose") for name, window in pair]
    apart = np.hypot(*[np.log(high.data[0] / low.data[0]) for low, high in ends])
    assert np.log(upper / lower) < 0.95 * apart
    assert found.ratio(pair[0], pair[0]) == (1.0, 1.0, 1.0)
    with pytest.raises(KeyError, match="no window 'z'"):
        found.ratio(("low loss", "a"), ("low loss", "z"))


def test_file_gives_the_same(found, tmp_path):
    found.save(tmp_path / "joint.hspy")
    same = hyperspy_dosekin.load(tmp_path / "joint.hspy")
    assert str(same) == str(found)
    assert same.check().get_string() == found.check().get_string()
    for name in found:
        for end, again in zip(
            found[name].interval("rate", 0.8), same[name].interval("rate", 0.8), strict=True
        ):
            np.testing.assert_array_equal(again.data, end.data)
    found["core loss"].save(tmp_path / "one.zspy")
    one = hyperspy_dosekin.load(tmp_path / "one.zspy")
    assert str(one) == str(found["core loss"])
    np.testing.assert_array_equal(
        one.interval("integrity")[0].data, found["core loss"].interval("integrity")[0].data
    )


def test_changed_file_is_refused(found, tmp_path):
    found.save(tmp_path / "joint.hspy")
    s = hs.load(tmp_path / "joint.hspy")
    s.metadata.Dosekin.joint.series_0.data[0, 0] += 1
    s.save(tmp_path / "joint.hspy", overwrite=True)
    with pytest.raises(ValueError, match="damaged"):
        hyperspy_dosekin.load(tmp_path / "joint.hspy")


def test_false_common_shape_is_said(tmp_path):
    series = {
        "one": dose_series(2, (2.0, 3.0), [2.0, 2.0], "ab", noise=0.002),
        "other": dose_series(3, (2.5,), [0.5], "c", noise=0.002),
    }
    found = fit_dose_jointly(series)
    assert not found.agrees
    assert "do NOT have the same p" in str(found)
    assert "other, c" in str(found)
    assert "do NOT have the same p" in str(found["one"])
    assert found.p_by_window["other", "c"] < 0.01


def test_gain_is_taken_off_and_said():
    series = {"s": dose_series(4, (2.0, 1.0, 4.0, 3.0), [1.3] * 4, "abcd", frames=20, gain=0.03)}
    found = fit_dose_jointly(series)
    assert 0.015 < found.gain["s"] < 0.05
    assert found.gain_by_frame["s"].shape == (2, 20)
    assert "in common beside the law" in str(found["s"])
    assert sum("in common beside the law" in note for note in found.notes) == 1
    kept = fit_dose_jointly(series, common_mode=False)
    assert kept.gain["s"] == 0
    before, after = (
        np.std(each["s"].data.data - each["s"].fitted.data, axis=1) for each in (kept, found)
    )
    assert np.all(after < 0.6 * before)
    np.testing.assert_array_equal(kept["s"].data.data, series["s"].data)


def test_lazy_and_pixels_are_averaged(pair, found):
    lazy = {name: s.as_lazy() for name, s in pair.items()}
    again = fit_dose_jointly(lazy, common_mode=False)
    np.testing.assert_array_equal(again["low loss"].rate.data, found["low loss"].rate.data)
    assert not again["low loss"].is_lazy


def test_options_of_single_fits_meet(pair):
    """Known offsets by series, errors of doses, known shapes and correlated noise."""
    known = fit_dose_jointly(pair, offset={"low loss": 1.0}, dose_uncertainty=0.1)
    np.testing.assert_array_equal(known["low loss"].offset.data, 1.0)
    assert np.all(known["core loss"].offset.data != 1.0)
    plain = fit_dose_jointly(pair, offset={"low loss": 1.0})
    wide, narrow = (
        np.log(np.divide(*[end.data for end in each["low loss"].interval("half_integrity_dose")]))
        for each in (known, plain)
    )
    assert np.all(wide < narrow)  # logarithms of lower over upper
    moved = fit_dose_jointly(pair, dose_uncertainty={"frame": 0.05}, correlated=True)
    assert moved["low loss"].has_intervals
    fit_dose_jointly(pair, law="first order", share=())


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"series": []}, TypeError, "mapping of names"),
        ({"series": {}}, TypeError, "mapping of names"),
        ({"series": {"a": 3}}, TypeError, "no dose series"),
        ({"series": {1: None}}, TypeError, "must be texts"),
        ({"share": ("expnent",)}, ValueError, "exponent"),
        ({"share": ("rate",)}, ValueError, 'add "shape" to share='),
        ({"share": ("gas",)}, ValueError, "what can be shared"),
        ({"law": "first order"}, ValueError, "what can be shared"),
        ({"exponent": 1.2}, ValueError, "it is given"),
        ({"share": (), "common_mode": False}, ValueError, "nothing to do with each other"),
        ({"spatial": "pixel"}, TypeError, "spatial"),
        ({"noise": "absolute"}, ValueError, "noise variance"),
        ({"law": "no law"}, ValueError, "no law"),
        ({"windows": object}, TypeError, "describes no windows"),
        ({"windows": {"low loss": {"C–O": (10, 15)}}}, ValueError, "integrated already"),
        ({"windows": {"low loss": None, "high": None}}, ValueError, "none of the series"),
        ({"offset": {"low loss": 1.0, "high": 2.0}}, ValueError, "none of the series"),
        ({"offset": {"high": 2.0}}, TypeError, "not a number"),
    ],
)
def test_what_cannot_be_is_refused(pair, changes, error, words):
    options = {"series": pair, **changes}
    with pytest.raises(error, match=words):
        fit_dose_jointly(options.pop("series"), **options)


def test_single_window_is_refused(pair):
    one = pair["core loss"].inav[:1]
    with pytest.raises(ValueError, match="one window in all"):
        fit_dose_jointly({"one": one})


def test_hostile_names_are_escaped():
    bad = '<script>alert("1")</script>'
    s = dose_series(5, (2.0, 3.0), [1.3, 1.3], [bad, "b"])
    found = fit_dose_jointly({bad: s})
    assert "<script>" not in found._repr_html_()
    assert bad in found.to_dataframe().series[0]


def test_spectra_are_integrated():
    s = hyperspy_dosekin.data.dose_series(processed=True, seed=0)
    windows = {"one": (10, 15), "two": (20, 25)}
    found = fit_dose_jointly(
        {"low": s, "again": s}, windows={"low": windows, "again": {"K": (4, 7)}}
    )
    assert found["low"].window_names == ("one", "two")
    assert found["again"].window_names == ("K",)
    assert len(found.plot().axes) >= 1
    with_one = fit_dose_jointly({"low": s, "again": s.integrate_windows()}, windows=windows)
    assert len(with_one["low"].window_names) == 2
    assert len(with_one["again"].window_names) == 4
    by_object = {"C–O": Window("C–O", 10, 15), "M–O": Window("M–O", 20, 25)}
    of_both = fit_dose_jointly({"low": s, "again": s}, windows=by_object)
    assert of_both["again"].window_names == ("C–O", "M–O")


def test_network_beside_the_exact_joint_fit(pair, found, tmp_path):
    options = {"common_mode": False, "estimator": "pinn", "seeds": (1, 2)}
    networks = fit_dose_jointly(pair, **options)
    exponents = []
    for name, result in networks.items():
        assert "network, 2 members" in repr(result)
        assert result.certificate.good.all(), result.certificate
        exponents.append(result.exponent.data)
        ratio = result.half_integrity_dose.data / found[name].half_integrity_dose.data
        np.testing.assert_allclose(ratio, 1, rtol=0.05)
        # Intervals are those of the exact joint fit, which here has no bound on the offset.
        lower, upper = result.interval("half_integrity_dose")
        assert np.all((lower.data < result.half_integrity_dose.data) & np.isfinite(upper.data))
        assert result.history.iteration.size > 2
    assert np.ptp(np.concatenate(exponents)) == 0
    networks.save(tmp_path / "joint.hspy")
    same = hyperspy_dosekin.load(tmp_path / "joint.hspy")
    assert str(same) == str(networks)
    assert str(same["core loss"].certificate) == str(networks["core loss"].certificate)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"law": "first order", "share": ()}, "power law only"),
        ({"nonnegative": True}, "nonnegative"),
        ({"offset": {"low loss": 1.0}}, "all or of none"),
        ({"estimator": "exact", "adam_epochs": 3}, "adam_epochs"),
        ({"estimator": "closed form"}, "is not one of"),
    ],
)
def test_what_a_network_cannot_do_is_refused(pair, options, words):
    with pytest.raises(ValueError, match=words):
        fit_dose_jointly(pair, **{"estimator": "pinn", **options})
