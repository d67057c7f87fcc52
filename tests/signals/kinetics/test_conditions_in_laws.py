# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws that know the dose rate or other conditions, over several series."""

import hyperspy.api as hs
import numpy as np
import pytest
import torch

import hyperspy_dosekin
from hyperspy_dosekin import fit_dose_conditions
from hyperspy_dosekin.kinetics import LawParameter, Reversible, UserLaw

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
    found = fit_dose_conditions(given, conditions={"dose_rate": rates}, law=law, n_draws=300)
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
