# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws that know the dose rate or other conditions, over several series."""

import hyperspy.api as hs
import numpy as np
import pytest
import torch

import hyperspy_dosekin
from hyperspy_dosekin import fit_dose_conditions
from hyperspy_dosekin.kinetics import DarkRecovery, LawParameter, Reversible, UserLaw

DOSE = np.arange(1, 10) / 9
RATE = LawParameter("rate", 0.01, 200.0, 1.0, logarithmic=True)


def series(integrity, seed, noise=0.005):
    random = np.random.default_rng(seed)
    values = 3 * (integrity + noise * random.normal(size=DOSE.size)) + 5
    axes = [{"size": 1}, {"axis": 1000 * DOSE, "units": "e⁻/Å²"}]
    s = hs.signals.Signal1D(values[None], axes=axes)
    s.set_signal_type("DoseSeries")
    return s


def recovering(dose_rate, seed, rate=2.0, recovery=2.0):
    share = recovery / dose_rate
    return series((share + np.exp(-rate * (1 + share) * DOSE)) / (1 + share), seed)


@pytest.fixture(scope="module")
def two_rates():
    rates = [2.0, 10.0]
    given = [recovering(rate, seed) for seed, rate in enumerate(rates)]
    return fit_dose_conditions(given, conditions={"dose_rate": rates}, law="reversible")


def test_law_at_another_dose_rate_is_its_equation():
    """Against the numerical solution of its own rate."""
    law = Reversible().at({"dose_rate": 5.0}, {"dose_rate": 20.0}, 1.0)
    at = {
        name: torch.tensor(value).double() for name, value in (("rate", 2.0), ("recovery", 0.125))
    }
    dose = torch.tensor([0.3, 1.0], dtype=torch.float64)
    share = 0.125 * 20 / 5
    expected = (share + np.exp(-2 * (1 + share) * dose.numpy())) / (1 + share)
    np.testing.assert_allclose(law.solution(dose, at).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(law.integrated(dose, at).numpy(), expected, rtol=1e-6)
    level = float(expected[1])
    np.testing.assert_allclose(law.dose_at(level, at).item(), 1.0, rtol=1e-9)


def test_two_dose_rates_tell_the_recovery(two_rates):
    row = two_rates.law_parameters.iloc[0]
    assert row.parameter == "recovery × dose_rate"
    assert row.lower < 2 < row.upper
    assert row.upper / row.lower < 10
    assert row.determined
    assert two_rates.effects.empty
    assert "enters the law 'reversible' itself" in str(two_rates)
    doses = two_rates.half_integrity_dose
    # C ends at q/(1 + q), q = r/(kJ): ½ is never reached at J = 2, where q = 1.
    share = 0.2
    truth = -1000 * np.log(0.5 * (1 + share) - share) / (2 * (1 + share))
    assert doses.lower[1] < truth < doses.upper[1]
    assert np.isinf(doses.upper[0])


def test_predictions_ratios_and_files_know_the_law(two_rates, tmp_path):
    slow = two_rates.predict(dose_rate=2.5).integrity.data[0, -1]
    fast = two_rates.predict(dose_rate=9.0).integrity.data[0, -1]
    assert slow > fast + 0.1
    assert two_rates.ratio({"dose_rate": 3}, {"dose_rate": 10}).estimate[0] > 1.2
    assert len(two_rates.plot_condition("dose_rate").axes) == 1
    two_rates.save(tmp_path / "conditions.hspy")
    same = hyperspy_dosekin.load(tmp_path / "conditions.hspy")
    assert str(same) == str(two_rates)


def test_one_dose_rate_does_not():
    found = fit_dose_conditions(
        [recovering(5.0, seed) for seed in (2, 3)],
        conditions={"dose_rate": [5.0, 5.0]},
        law="reversible",
    )
    assert not found.law_parameters.determined[0]
    assert "do NOT determine recovery" in str(found)
    assert "All series have the same dose_rate" in str(found)


def test_dose_rate_comes_from_the_metadata_or_is_asked_for():
    given = [recovering(rate, seed) for seed, rate in enumerate((2.0, 10.0))]
    with pytest.raises(ValueError, match="dose_rate"):
        fit_dose_conditions(given, conditions={"gas": ["a", "b"]}, law="reversible")
    for s, rate in zip(given, (2.0, 10.0), strict=True):
        s.metadata.set_item("Dose.dose_rate", rate)
    found = fit_dose_conditions(given, conditions={"dose_rate": None}, law="reversible")
    assert any("read from metadata" in note for note in found.notes)


def test_law_of_the_user_takes_dose_rate_and_time():
    """A decay in time, written with the dose rate and the time: its D½ goes with the dose rate."""

    def loss(integrity, parameters, dose, *, dose_rate, time):
        assert torch.all(time >= 0)
        return parameters["rate"] * integrity / dose_rate

    law = UserLaw(loss, [RATE], name="in time", tolerance=1e-6, inputs=("dose_rate", "time"))
    rates = [1.0, 4.0]
    given = [series(np.exp(-3 / rate * DOSE), seed) for seed, rate in enumerate(rates)]
    for each, rate in zip(given, rates, strict=True):
        each.metadata.set_item("Dose.dose_rate", rate)
    found = fit_dose_conditions(given, conditions={}, law=law, n_draws=300)
    assert "dose_rate was read from metadata.Dose.dose_rate: [1.0, 4.0]" in str(found)
    doses = found.half_integrity_dose
    truth = 1000 * np.log(2) / 3 * np.array(rates)
    assert np.all((doses.lower < truth) & (truth < doses.upper))
    np.testing.assert_allclose(found.ratio(1, 0).estimate[0], 4, rtol=0.01)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"inputs": ("time",)}, "dose_rate"), ({"inputs": ("gas",), "scales": True}, "scale")],
)
def test_laws_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        UserLaw(lambda c, p, d: p["rate"] * c, [RATE], **options)


def test_law_of_conditions_alone_says_where_it_belongs():
    law = UserLaw(lambda c, p, d, gas: p["rate"] * c, [RATE], name="of gas", inputs=("gas",))
    with pytest.raises(ValueError, match="fit_dose_conditions"):
        recovering(5.0, 0).fit_dose_pinn(law=law, estimator="exact")


def under_threshold(dose_rate, seed, rate=4.0, threshold=2.0):
    return series(np.exp(-rate * max(1 - threshold / dose_rate, 0) * DOSE), seed)


def test_dose_rates_tell_a_threshold():
    rates = [1.5, 4.0, 16.0]
    given = [under_threshold(rate, seed) for seed, rate in enumerate(rates)]
    # Below the threshold nothing happens, and there is nothing to fit.
    found = fit_dose_conditions(
        given[1:], conditions={"dose_rate": rates[1:]}, law="dose-rate threshold"
    )
    row = found.law_parameters.iloc[0]
    assert row.parameter == "threshold × dose_rate"
    assert row.lower < 2 < row.upper
    assert row.determined
    assert row.upper - row.lower < 1
    truth = 1000 * np.log(2) / (4 * (1 - 2 / np.array(rates[1:])))
    doses = found.half_integrity_dose
    assert np.all((doses.lower < truth) & (truth < doses.upper))


def test_one_dose_rate_tells_no_threshold():
    given = [under_threshold(4.0, seed) for seed in (0, 1)]
    found = fit_dose_conditions(
        given, conditions={"dose_rate": [4.0, 4.0]}, law="dose-rate threshold", offset=5.0
    )
    assert not found.law_parameters.determined[0]


def stepped(dark_time, seed, dose_rate=5.0, rate=2.0, recovery=1.0):
    """By small steps: under the beam, and a pause after each frame (recovery in r/k · rate)."""
    integrity, frames, n = 1.0, [], 4000
    r = recovery * rate / 1000
    for pause in np.broadcast_to(dark_time, DOSE.size):
        step = 1000 * DOSE[0] / n
        for _ in range(n):
            half = integrity + 0.5 * step * (
                -rate / 1000 * integrity + r / dose_rate * (1 - integrity)
            )
            integrity += step * (-rate / 1000 * half + r / dose_rate * (1 - half))
        frames.append(integrity)
        integrity = 1 - (1 - integrity) * np.exp(-r * pause)
    return np.array(frames), seed


def test_pauses_tell_the_recovery_at_one_dose_rate(tmp_path):
    times = [0.0, 100.0]
    truths = [stepped(time, seed) for seed, time in enumerate(times)]
    law = DarkRecovery()
    at = {name: torch.tensor(value).double() for name, value in (("rate", 2.0), ("recovery", 0.2))}
    for time, (integrity, _) in zip(times, truths, strict=True):
        given = {"dose_rate": 5.0, "dark_time": time, "dose": 1000 * DOSE}
        of_series = law.at(given, {"dose_rate": 5.0, "dark_time": 0.0}, 1000.0)
        found = of_series.solution(torch.as_tensor(DOSE), at)
        np.testing.assert_allclose(found.numpy(), integrity, rtol=1e-6)
        # Its derivatives, by differences.
        columns = of_series.derivatives(torch.as_tensor(DOSE), at)[1]
        for name in at:
            ends = [
                of_series.solution(
                    torch.as_tensor(DOSE), {**at, name: at[name] * (1 + sign * 1e-5)}
                )
                for sign in (1, -1)
            ]
            slope = (ends[0] - ends[1]) / (2e-5 * at[name])
            np.testing.assert_allclose(columns[name].numpy(), slope.numpy(), atol=1e-6)
    given = [series(integrity, seed) for integrity, seed in truths]
    conditions = {"dose_rate": [5.0, 5.0], "dark_time": times}
    found = fit_dose_conditions(given, conditions=conditions, law="dark recovery")
    row = found.law_parameters.iloc[0]
    assert row.lower < 1 < row.upper
    assert row.determined
    assert row.upper / row.lower < 3
    found.save(tmp_path / "dark.hspy")
    assert str(hyperspy_dosekin.load(tmp_path / "dark.hspy")) == str(found)
    assert found.predict(dose_rate=5.0, dark_time=0.0).integrity.data.shape[-1] > 1


def test_pauses_of_other_lengths_within_a_series(tmp_path):
    """A long pause in the middle tells the recovery as a long one after each frame does."""
    long = np.where(np.arange(DOSE.size) == 4, 400.0, 0.0)
    truths = [stepped(times, seed) for seed, times in enumerate((0.0, long))]
    given = [series(integrity, seed) for integrity, seed in truths]
    conditions = {"dose_rate": [5.0, 5.0], "dark_time": [0.0, long.tolist()]}
    found = fit_dose_conditions(given, conditions=conditions, law="dark recovery")
    row = found.law_parameters.iloc[0]
    assert row.lower < 1 < row.upper
    assert row.determined
    for times, words in ([1.0, 2.0], "one after each frame"), (-long, "not negative"):
        wrong = {**conditions, "dark_time": [0.0, times]}
        with pytest.raises(ValueError, match=words):
            fit_dose_conditions(given, conditions=wrong, law="dark recovery")


def test_law_of_conditions_for_a_single_series(tmp_path):
    law = UserLaw(
        lambda integrity, parameters, dose, dose_rate, time: (
            parameters["rate"] * integrity * (1 + 0.1 * dose_rate + 0 * time)
        ),
        {"rate": (0.01, 20.0, 1.0)},
        inputs=("dose_rate", "time"),
    )
    s = series(np.exp(-2 * 1.5 * DOSE), 0)
    under = law.at({"dose_rate": 5.0}, {}, dose_scale=float(s.axes_manager[-1].axis[-1]))
    found = s.fit_dose_pinn(law=under, estimator="exact")
    lower, upper = (end.data[0] for end in found.interval("rate"))
    assert lower < 2 < upper
    with pytest.raises(ValueError, match=r"Dose\.dose_rate.*law\.at"):
        s.fit_dose_pinn(law=law, estimator="exact")
    s.metadata.set_item("Dose.dose_rate", [4.0, 6.0])  # the mean of the frames counts
    again = s.fit_dose_pinn(law=law, estimator="exact")
    np.testing.assert_array_equal(again.rate.data, found.rate.data)
    assert "dose_rate = 5.0 (metadata.Dose.dose_rate)" in str(again)
    again.save(tmp_path / "of_rate.hspy")
    same = hyperspy_dosekin.load(tmp_path / "of_rate.hspy", law=law)
    assert str(same) == str(again)
    np.testing.assert_array_equal(same.predict(DOSE).data, found.predict(DOSE).data)


@pytest.mark.parametrize("law", ["dose-rate threshold", "dark recovery"])
def test_one_series_is_refused(law):
    s = under_threshold(4.0, 0)
    s.metadata.set_item("Dose.dose_rate", 4.0)
    with pytest.raises(ValueError, match="fit_dose_conditions"):
        s.fit_dose_pinn(law=law, estimator="exact")
    compared = hyperspy_dosekin.compare_laws(s, offset=5.0)
    assert law not in compared.laws
