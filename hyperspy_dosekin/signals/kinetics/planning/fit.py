# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a dose series before the experiment: which doses make its kinetics most certain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, Prior
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.numerics.arguments import check_arguments, real_number, real_numbers
from hyperspy_dosekin.signals.kinetics.options.checks import checked_prior
from hyperspy_dosekin.signals.kinetics.planning.numbers import KNOWN, PlannedFrames
from hyperspy_dosekin.signals.kinetics.planning.result import DosePlan
from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics
from hyperspy_dosekin.signals.signatures import did_you_mean

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.planning.alternatives import Alternative
    from hyperspy_dosekin.kinetics.planning.design import DesignProblem, FrameNoise
    from hyperspy_dosekin.kinetics.planning.expectation import Expectation
    from hyperspy_dosekin.kinetics.planning.trial import Trial
    from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries

#: Standard deviation of ln D½ that is meant where only D½ is expected: a factor of 1.65 either way.
VAGUE = 0.5
# A plan takes no more frames than this by itself.
_MOST_FRAMES = 60
# The budget over the least dose of a frame that is assumed.
_LEAST_SHARE = 200
# Beyond it squares of doses, and sums of them, may be no numbers.
_MOST_DOSE = 1e140
# Simulated errors, in units of the expected ones, above which the expected ones are too good.
_BROKEN_PROMISE = 1.3
# Interval of 95 %, in standard deviations.
_WIDTH = 2 * 1.959964


def plan_dose_series(
    expected: float | Sequence[float] | Mapping[str, float | Sequence[float]] | DoseKinetics,
    *,
    noise: float | Mapping[str, float] | DoseSeries,
    dose_budget: float,
    n_frames: int | None = 9,
    least_dose: float | None = None,
    offset: float | None = None,
    pixels: int = 1,
    goal: str = "half_integrity_dose",
    law: str | KineticLaw = "power law",
    prior: Prior | None = DEFAULT_PRIOR,
    dose_unit: str | None = None,
    n_simulated: int = 192,
    seed: int = 1,
) -> DosePlan:
    """Choose the doses of a series that make its half-integrity dose most certain.

    The doses are those of which the Cramér–Rao bound, with the prior of the fit, is smallest on
    average over what is expected. What they promise is tried on simulated experiments, fitted as
    real ones are.

    Parameters
    ----------
    expected
        What is expected of the specimen: D½ (known to a factor of 1.65), or D½ and the standard
        deviation of ln D½; a mapping, such as ``{"half_integrity_dose": (400, 0.3), "exponent":
        (1, 0.4)}``, with values of other parameters of the law, too; or an earlier result, all of
        whose windows and pixels count alike.
    noise
        Noise of the value of a frame, as a share of the amplitude of the window: a number, for
        frames of which the noise does not depend on how far they are apart (a small part of the
        dose is recorded); ``{"sd": 0.01, "dose": 150}`` where every electron is recorded and a
        frame that took a dose of 150 has that noise; ``{"counts": 1e4}``, with or without a
        ``"dose"``, for the counts of the amplitude; or a measured `DoseSeries` with a noise
        variance, whose first frame counts.
    dose_budget
        Largest cumulative dose.
    n_frames
        Number of frames; ``None`` takes as many as make sense where every electron is recorded.
    least_dose
        Least dose of a frame; 1/200 of the budget if not given.
    offset
        ``None`` where the offset b will be fitted; any number where it will be known.
    pixels
        Pixels that will be averaged.
    goal
        ``"half_integrity_dose"``, ``"critical_dose"`` or ``"rate"``.
    law
        Kinetic law that will be fitted.
    prior
        Prior that it will be fitted with.
    dose_unit
        Unit of the doses, for the texts; that of the earlier result where there is one.
    n_simulated
        Simulated experiments; 0 for none.
    seed
        Of the simulation and of what is drawn from the expectation.

    Returns
    -------
    DosePlan
        Doses, expected standard deviation, alternatives.

    Raises
    ------
    TypeError
        If `expected` or `noise` is of another kind.
    ValueError
        If a number is not possible, the frames do not fit into the budget, or nothing that is
        expected ever falls to one half.

    Examples
    --------
    >>> plan = hyperspy_dosekin.plan_dose_series(
    ...     {"half_integrity_dose": (400.0, 0.3)}, noise=0.01, dose_budget=1500.0
    ... )
    >>> plan.dose.size, bool(plan.expected_sd < plan.compared[1].sd)
    (9, True)
    """
    from hyperspy_dosekin.kinetics.planning.alternatives import alternatives
    from hyperspy_dosekin.kinetics.planning.design import DesignProblem, best_doses
    from hyperspy_dosekin.kinetics.planning.expectation import GOALS
    from hyperspy_dosekin.kinetics.planning.trial import Trial, tried

    check_arguments(plan_dose_series, locals())
    prior = checked_prior(prior)
    if goal not in GOALS:
        raise ValueError(
            f"goal={goal!r} is not one of {', '.join(map(repr, GOALS))}{did_you_mean(goal, GOALS)}"
        )
    if n_simulated < 0 or seed < 0:
        raise ValueError(f"n_simulated={n_simulated} and seed={seed} must not be negative.")
    remedy = "give a positive number, in a larger unit of dose"
    budget = real_number("dose_budget", dose_budget, remedy, above=0.0, below=_MOST_DOSE)
    if isinstance(pixels, bool) or int(pixels) != pixels or pixels < 1:
        raise ValueError(f"pixels={pixels!r} must be a whole number, 1 or more.")
    least = budget / _LEAST_SHARE if least_dose is None else _positive("least_dose", least_dose)
    if least >= budget:
        raise ValueError(
            f"least_dose={least_dose} must be smaller than the dose budget of {budget:g}."
        )
    frame_noise = _noise_of(noise)
    chosen = kinetic_law(law)
    if isinstance(expected, DoseKinetics):
        dose_unit = expected.dose_unit if dose_unit is None else dose_unit
    expectation = _expectation_of(expected, chosen, prior, seed)
    n_frame = _frames_of(n_frames, frame_noise, least, budget, chosen, offset is None)
    problem = DesignProblem(expectation, frame_noise, goal, offset is not None, int(pixels))
    dose = best_doses(problem, n_frame, budget, smallest=least)
    compared = _rows(alternatives(problem, dose, budget, least, _MOST_FRAMES))
    trial = Trial(math.nan, math.nan, 0)
    if n_simulated:
        trial = tried(problem, dose, int(n_simulated), seed)
    grid = np.linspace(0.0, budget, 101)
    ends = np.quantile(expectation.integrity(grid), [0.025, 0.5, 0.975], axis=0)
    curves = {"dose": grid, "lower": ends[0], "middle": ends[1], "upper": ends[2]}
    return DosePlan(
        compared[0],
        compared,
        goal,
        dose_unit or "",
        trial.chance_determined,
        trial.error_ratio,
        trial.number,
        curves,
        _notes_of(problem, dose, budget, least, trial),
    )


def _positive(name: str, value: float) -> float:
    return real_number(name, value, "give a positive number", above=0.0)


def _noise_of(noise: float | Mapping[str, float] | DoseSeries) -> FrameNoise:
    """Noise of a frame from a number, its counts, or a measured frame."""
    from hyperspy_dosekin.kinetics.planning.design import FrameNoise

    if isinstance(noise, Mapping):
        wrong = sorted(set(noise) - {"sd", "counts", "dose"})
        if wrong or ("sd" in noise) == ("counts" in noise):
            raise ValueError(
                f'noise={dict(noise)!r} must have "sd" or "counts" of a frame, one of them, and '
                'may have the "dose" of that frame where every electron is recorded.'
            )
        sd = _positive("noise sd", noise["sd"]) if "sd" in noise else None
        if sd is None:
            sd = _positive("noise counts", noise["counts"]) ** -0.5
        dose = _positive("noise dose", noise["dose"]) if "dose" in noise else None
        return FrameNoise(sd, dose)
    if hasattr(noise, "get_noise_variance"):
        return FrameNoise(_measured_noise(noise))
    return FrameNoise(_positive("noise", noise))


def _measured_noise(series: DoseSeries) -> float:
    """Noise of the first frame, as a share of its value, the median over windows and pixels."""
    from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData

    data = SeriesData.of(series)
    if data.variance is None:
        raise ValueError(
            "the series that noise= was given has no noise variance; give the noise of a frame as "
            "a share of the amplitude, such as noise=0.01."
        )
    first = np.asarray(data.values[..., 0], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.sqrt(np.asarray(data.variance[..., 0], dtype=np.float64)) / np.abs(first)
    return _positive("noise of the first frame", float(np.nanmedian(share)))


def _expectation_of(
    expected: object, law: KineticLaw, prior: Prior | None, seed: int
) -> Expectation:
    from hyperspy_dosekin.kinetics.planning.expectation import expected_curves

    if isinstance(expected, DoseKinetics):
        half, parameters = _found_before(expected, law)
        return expected_curves(law, half, parameters, prior=prior, seed=seed)
    if not isinstance(expected, Mapping):
        expected = {"half_integrity_dose": expected}
    if "half_integrity_dose" not in expected:
        raise ValueError(
            f"expected={dict(expected)!r} must have a half_integrity_dose, at least roughly."
        )
    pairs = {name: _pair(name, value) for name, value in expected.items()}
    half = pairs.pop("half_integrity_dose")
    if not half[0] > 0:
        raise ValueError(f"half_integrity_dose={half[0]} must be positive.")
    return expected_curves(law, half, pairs, prior=prior, seed=seed)


def _pair(name: str, value: object) -> tuple[float, float]:
    """Value and standard deviation."""
    vague = VAGUE if name == "half_integrity_dose" else 0.0
    remedy = "give a number, or a number and its standard deviation"
    numbers = real_numbers(name, value, remedy, finite=False).ravel().tolist()
    pair = (*numbers, vague) if len(numbers) == 1 else tuple(numbers)
    if len(pair) != 2 or not all(map(math.isfinite, pair)) or pair[1] < 0:
        raise ValueError(
            f"{name}={value!r} must be a finite number, or one and its standard deviation."
        )
    return pair


def _found_before(
    result: DoseKinetics, law: KineticLaw
) -> tuple[tuple[np.ndarray, np.ndarray], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """What an earlier result found of each of its windows and pixels."""
    if result.law != law.name:
        raise ValueError(
            f"the earlier result was fitted with the law {result.law!r}; plan for that one, not "
            f"for {law.name!r}."
        )
    lower, upper = (np.ravel(end.data) for end in result.interval("half_integrity_dose"))
    value = np.ravel(result.half_integrity_dose.data)
    known = np.isfinite(lower) & (lower > 0)
    if not known.any():
        raise ValueError(
            "the earlier result says nothing of any half-integrity dose; expect numbers instead."
        )
    lower, value = lower[known], value[known]
    # An open interval says that D½ is larger; how much, nobody knows.
    upper = np.where(np.isfinite(upper[known]), upper[known], lower * 30)
    value = np.where(np.isfinite(value), value, np.sqrt(lower * upper))
    half = (value, np.log(upper / lower) / _WIDTH)
    parameters = {}
    for parameter in law.parameters:
        if parameter.name == "rate":
            continue
        ends = [np.ravel(end.data)[known] for end in result.interval(parameter.name)]
        low, high = (end.clip(parameter.lower, parameter.upper) for end in ends)
        parameters[parameter.name] = (0.5 * (low + high), (high - low) / _WIDTH)
    return half, parameters


def _frames_of(
    n_frames: int | None,
    noise: FrameNoise,
    least_dose: float,
    budget: float,
    law: KineticLaw,
    offset_free: bool,
) -> int:
    """Number of frames, checked."""
    needed = len(law.parameters) + 1 + offset_free
    room = math.floor(budget / least_dose * (1 + 1e-9))
    if n_frames is None:
        if noise.dose is None:
            raise ValueError(
                "n_frames=None needs a noise that depends on the dose of a frame, such as "
                'noise={"sd": 0.01, "dose": 150}; otherwise more frames are always better. Give '
                "their number."
            )
        n_frames = int(min(room, _MOST_FRAMES))
    if isinstance(n_frames, bool) or int(n_frames) != n_frames:
        raise ValueError(f"n_frames={n_frames!r} must be a whole number.")
    if not needed <= n_frames <= room:
        raise ValueError(
            f"{n_frames} frames are not possible: the law {law.name!r} needs at least {needed}, "
            f"and a budget of {budget:g} has room for {room} of {least_dose:g} each."
        )
    return int(n_frames)


def _rows(found: list[Alternative]) -> tuple[PlannedFrames, ...]:
    """The plan and what people do instead, as rows of the table."""
    return tuple(
        PlannedFrames(
            each.name,
            tuple(each.dose.tolist()),
            float(np.exp(np.log(each.sd).mean())),
            float((each.sd < KNOWN).mean()),
        )
        for each in found
    )


def _notes_of(
    problem: DesignProblem, dose: np.ndarray, budget: float, least: float, trial: Trial
) -> tuple[str, ...]:
    notes = []
    middle = float(np.median(problem.expectation.dose_at(0.5)))
    if middle > budget:
        notes.append(
            f"D½ is expected at {middle:.3g}, beyond the budget of {budget:.3g}: its value will "
            "rest on the law."
        )
    if trial.error_ratio > _BROKEN_PROMISE:
        notes.append(
            f"The errors of simulated experiments are {trial.error_ratio:.1f} times what the table "
            "says: the data hardly determine the parameters of this law. Go by the probability."
        )
    if trial.number and trial.chance_determined < 0.5:
        notes.append(
            "D½ will probably NOT be determined. What helps is in the table: a known offset, a "
            "larger dose, more pixels."
        )
    if np.any(np.diff(dose) < 1.01 * least):
        notes.append(
            "Frames that follow each other directly repeat one dose: they may be one longer frame."
        )
    notes.append(
        "The law, its prior and the noise are taken as they were given; what processing and drift "
        "add is not in these numbers."
    )
    return tuple(notes)
