# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans, several series, and series that are still recorded, with arguments of every kind."""

import inspect

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import hyperspy_dosekin
from tests.fuzz.fuzzing import attempt, fuzz, numbers
from tests.fuzz.test_fits import LAWS
from tests.fuzz.things import SPECIAL, doses, eels, hostile, seeds, series, values, wrong

special = st.sampled_from((*SPECIAL, 0.01, 3, 400.0, 1e-300, 1e300))

PLANS = {
    "expected": st.sampled_from(
        (400.0, (400.0, 0.3), {"half_integrity_dose": (400.0, 0.3), "exponent": (1, 0.4)}, [1, 2])
    ),
    "noise": st.sampled_from((0.01, {"sd": 0.01, "dose": 150}, {"counts": 1e4}, {"counts": 0})),
    "dose_budget": st.sampled_from((1500.0, 1.0, 1e6)),
    "n_frames": st.sampled_from((None, 2, 3, 9, 30)),
    "least_dose": st.sampled_from((None, 1.0, 150.0)),
    "offset": st.sampled_from((None, 0.0)),
    "pixels": st.sampled_from((1, 16)),
    "goal": st.sampled_from(("half_integrity_dose", "critical_dose", "rate")),
    "law": st.sampled_from(("power law", "first order", *LAWS)),
    "prior": st.sampled_from((None, {"log_rate": (0.0, 1.0)})),
    "dose_unit": st.one_of(st.sampled_from(("e⁻/Å²", None)), hostile),
    "n_simulated": st.sampled_from((0, 1, 4)),
    "seed": st.sampled_from((0, 1)),
}


def drawn_options(material, sensible, always=(), most=3):
    """Options by name, a few of them odd or wrong."""
    names = {*always, *material.draw(st.sets(st.sampled_from(sorted(sensible)), max_size=most))}
    return {
        name: material.draw(
            st.one_of(sensible[name], sensible[name], sensible[name], special, wrong)
        )
        for name in sorted(names)
    }


def shown(found):
    """A result and all the ways to show it."""
    return str(found), repr(found), found._repr_html_()


@fuzz(6, often=10)
def test_plans(material):
    chosen = drawn_options(material, PLANS, ("expected", "noise", "dose_budget"))
    chosen = {"n_simulated": 0, **chosen}

    def call(**chosen):
        plan = hyperspy_dosekin.plan_dose_series(chosen.pop("expected"), **chosen)
        return shown(plan), plan

    found = attempt(call, **chosen)
    if found is None:
        return
    plan = found[1]
    assert np.isfinite(plan.dose).all()
    assert (np.diff(plan.dose, prepend=0.0) > 0).all()
    assert plan.dose[-1] <= chosen["dose_budget"] * (1 + 1e-9)
    again = attempt(call, **chosen)[1]
    np.testing.assert_array_equal(again.dose, plan.dose)


CONDITIONS = {
    "reference": st.sampled_from((None, {"dose_rate": 3.0}, {"gas": "air"}, {"x": 1})),
    "law": st.sampled_from(("power law", "first order", *LAWS)),
    "windows": st.sampled_from((None, "w0", ["w0"], ["nothing"])),
    "shape": st.sampled_from(("shared", "each")),
    "offset_ratio": st.sampled_from(("each", "each", "shared")),
    "exponent": st.sampled_from((None, 1.0)),
    "offset": st.sampled_from((None, 5.0, [5.0, 5.0, 5.0, 5.0])),
    "nonnegative": st.sampled_from((None, True, False)),
    "noise": st.sampled_from(("relative", "absolute", "floor")),
    "correlated": st.sampled_from((None, True, False)),
    "prior": st.sampled_from((None, {"exponent": (1.0, 0.5)})),
    "dose_scale": st.sampled_from((None, 1.0, 1e-300)),
    "names": st.one_of(st.none(), st.lists(hostile, min_size=4, max_size=4)),
    "n_draws": st.sampled_from((100, 1)),
    "seed": st.sampled_from((0, 1)),
}
OF_SERIES = st.sampled_from(
    (
        {"gas": ["air", "air", "none", "none"]},
        {"dose_rate": [1, 1, 5, 5]},
        {"temperature": [100, 100, 300, 300], "gas": ["a", "b", "a", "b"]},
        {"temperature": [0, -1, np.nan, 1e300]},
        {"dose_rate": [1, 1, 1, 1]},
        {"dose_rate": None},
        {"x": [1, 2, 3]},
        {},
    )
)


@fuzz(4, often=15)
def test_conditions(material):
    each = [material.draw(series(most=0)) for _ in range(material.draw(st.sampled_from((4, 4, 1))))]
    assume(all(one is not None for one in each))
    conditions = material.draw(st.one_of(OF_SERIES, OF_SERIES, wrong))
    chosen = {"n_draws": 100, **drawn_options(material, CONDITIONS, most=2)}
    asked = material.draw(st.one_of(hostile, wrong))

    def call(*each, **chosen):
        return hyperspy_dosekin.fit_dose_conditions(
            list(each), conditions=conditions, show_progressbar=False, **chosen
        )

    found = attempt(call, *each, **chosen)
    if found is not None:
        attempt(lambda: (shown(found), found.effects, found.half_integrity_dose))
        attempt(lambda: found.test(asked))
        attempt(lambda: found.ratio(asked, asked))
        attempt(lambda: found.predict(asked))


LIVE = {
    "windows": st.sampled_from((None, {"a": (4, 7), "b": (10, 15)}, ["a", "b"])),
    "dose_rate": st.sampled_from((3.5, 1e-300, 1e300)),
    "frame_time": st.sampled_from((44.0, 1e300)),
    "pre_exposure": st.sampled_from((0.0, 20.0, 1e308)),
    "offset": st.sampled_from((None, 0.0, [1.0, 2.0])),
    "stop_when": st.sampled_from(
        (
            None,
            {"half_integrity_dose": 0.1},
            {"integrity": 0.5, "probability": 0.95},
            [{"dose": 100}, {"half_integrity_dose": 0.1, "windows": "a"}],
            {"dose": np.nan},
        )
    ),
    "process": st.sampled_from((True, False, "align", ["pedestal"])),
    "law": st.sampled_from(("power law", "first order", *LAWS)),
    "noise": st.sampled_from(("relative", "absolute", "floor")),
    "nonnegative": st.sampled_from((None, True, False)),
    "dose_unit": hostile,
}


@fuzz(6, often=10)
def test_live(material):
    chosen = drawn_options(material, LIVE, ("dose_rate", "frame_time"), 2)
    chosen.setdefault("windows", {"a": (4, 7), "b": (10, 15)})
    kind = material.draw(st.sampled_from(("areas", "areas", "spectra", "wrong")))
    space = material.draw(st.sampled_from(((), (), (2,), (2, 3), (0,))))
    n_frame = material.draw(st.sampled_from((1, 3, 6)))
    width = {"areas": 2, "spectra": 64, "wrong": 5}[kind]
    frames = material.draw(values((n_frame, *space, width)))
    told = [{} for _ in range(n_frame)]
    if material.draw(st.booleans()):
        drawn = material.draw(doses(n_frame))
        several = hasattr(drawn, "__iter__") and getattr(drawn, "ndim", 1)
        for each, dose in zip(told, drawn if several else [drawn], strict=False):
            each["dose"] = dose
    for each in told:
        if material.draw(st.integers(0, 9)) == 0:
            each[material.draw(st.sampled_from(("index", "time", "dose")))] = material.draw(
                st.one_of(special, wrong)
            )

    def make(**chosen):
        return hyperspy_dosekin.LiveKinetics(estimator="exact", intervals=False, **chosen)

    live = attempt(make, **chosen)
    assume(live is not None)
    for frame, more in zip(frames, told, strict=True):
        given = eels(frame) if kind == "spectra" else frame
        attempt(lambda given=given, more=more: live.update(given, **more), frame)
        attempt(lambda: shown(live))
    assert np.isfinite(live.dose).all()
    attempt(lambda: numbers(live.result(show_progressbar=False).half_integrity_dose))


def test_every_option_is_drawn():
    """What is public and not drawn here is forgotten."""
    ours = {
        hyperspy_dosekin.plan_dose_series: set(PLANS),
        hyperspy_dosekin.fit_dose_conditions: set(CONDITIONS) | {"conditions", "series"},
    }
    for function, drawn in ours.items():
        options = set(inspect.signature(function).parameters)
        assert options - drawn <= {"show_progressbar", "zero_error"}, function.__name__


@fuzz(2, often=12)
def test_one_series_of_several_is_that_series_alone(material):
    """Conditions that do nothing leave the order of the series without meaning."""
    rng = np.random.default_rng(material.draw(seeds))
    each = [
        hyperspy_dosekin.data.dose_series(processed=True, seed=int(n)).integrate_windows(
            {"C–O": (10, 15)}
        )
        for n in rng.integers(0, 100, 4)
    ]
    order = rng.permutation(4)
    gas = ["air", "air", "none", "none"]

    def fitted(places):
        found = hyperspy_dosekin.fit_dose_conditions(
            [each[n] for n in places],
            conditions={"gas": [gas[n] for n in places]},
            reference={"gas": "air"},
            n_draws=4000,
            show_progressbar=False,
        )
        return found.effects.estimate.to_numpy()

    one, other = attempt(lambda: fitted(range(4))), attempt(lambda: fitted(order))
    # Of 4 000 draws; the spread of an effect is about 0.3.
    np.testing.assert_allclose(other, one, atol=0.06)
