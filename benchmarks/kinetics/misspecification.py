# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is called determined, and how often it is right, where law, noise or dose are wrong.

Run ``python benchmarks/kinetics/misspecification.py [--repeats 1000] [--only delayed ...]``; pieces
of a long run that end in one ``--json`` file make the table with ``--only --json FILE --rst PATH``.
Every truth is made in `_truths.py`, by closed forms and generators of its own, and the product is
called as a user calls it. *Kept*: share of the windows that are identifiable and adequate; *right*:
share of these within 0.2 of ln D½; *covered*: share of all truths inside the 95 % interval.
"""

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hyperspy_dosekin

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option, read_rows
from _truths import DOSE_MAX, Drawn, Truth, each_by_itself
from run import as_rst

from hyperspy_dosekin.kinetics.adequacy.together import SIZE, together

NEAR = 0.2
#: Below this share a failure cannot mislead many.
FEW = 0.03


@dataclass(frozen=True)
class Judged:
    """Kept, right and covered, as shares; right is NaN where nothing is kept."""

    kept: float
    right: float
    covered: float
    covered_kept: float

    @classmethod
    def of(cls, drawn, middle, low, high, kept):
        with np.errstate(invalid="ignore", divide="ignore"):
            right = np.abs(np.log(middle / DOSE_MAX) - drawn.log_half) < NEAR
            truth = np.exp(drawn.log_half) * DOSE_MAX
            held = (low <= truth) & (truth <= high)
        some = kept.any()
        return cls(
            kept.mean(),
            right[kept].mean() if some else np.nan,
            held.mean(),
            held[kept].mean() if some else np.nan,
        )


@each_by_itself()
def fitted(drawn: Drawn, **options) -> Judged:
    """Fit and judge."""
    result = drawn.series().fit_dose_pinn(estimator="exact", show_progressbar=False, **options)
    kept = (result.identifiable.data & result.adequate.data)[0]
    low, high = (end.data[0] for end in result.interval("half_integrity_dose"))
    return Judged.of(drawn, result.half_integrity_dose.data[0], low, high, kept)


def averaged(drawn: Drawn, **options) -> Judged:
    """Compare laws, average and judge."""
    found = hyperspy_dosekin.compare_laws(drawn.series(), show_progressbar=False, **options)
    mean = found.average()
    kept = (mean.identifiable.data & mean.adequate.data)[0]
    low, high = (end.data[0] for end in mean.interval("half_integrity_dose"))
    return Judged.of(drawn, mean.half_integrity_dose.data[0], low, high, kept)


@each_by_itself()
def p_values(drawn: Drawn, **options) -> dict[str, np.ndarray]:
    """P value of each test that could be made."""
    from hyperspy_dosekin.kinetics.adequacy.examination import TESTS
    from hyperspy_dosekin.signals.kinetics.numbers.examination import examined_field

    numbers = (
        drawn.series()
        .fit_dose_pinn(estimator="exact", intervals=False, show_progressbar=False, **options)
        .numbers
    )
    found = {
        name: examined_field(numbers.law, numbers.examination, f"{name} p")[:, 0] for name in TESTS
    }
    return {name: p for name, p in found.items() if np.isfinite(p).any()}


def report(rows: Rows, what: str, judged: Judged, least: float | None) -> None:
    """Right among the kept; a row without a bound where too few are kept to mislead."""
    few = judged.kept < FEW
    note = f"kept {judged.kept:.3f}, covered {judged.covered:.3f}"
    note += ", too few to mislead" if few else ""
    asked = None if least is None or few else f"≥ {least}"
    measured = None if np.isnan(judged.right) else judged.right
    rows.add(f"right, {what}", asked=asked, measured=measured, unit="", note=note)


def base(rows: Rows, repeats: int) -> None:
    """The law is right."""
    for noise in (0.002, 0.005, 0.01):
        judged = fitted(Truth(noise=noise).draw(2 * repeats, 1))
        report(rows, f"power law, {100 * noise:g} % noise", judged, 0.97)
    report(rows, "power law, 5 % noise", fitted(Truth(noise=0.05).draw(2 * repeats, 1)), 0.9)
    report(rows, "power law, 5 frames", fitted(Truth(frames=5).draw(2 * repeats, 1)), 0.9)


def delayed(rows: Rows, repeats: int) -> None:
    """Nothing happens up to 0.15 of the range."""
    for frames in (9, 30, 100):
        truth = Truth("delayed", frames=frames, counting=True)
        judged = fitted(truth.draw(2 * repeats if frames < 30 else repeats, 2))
        report(rows, f"delayed by 0.15, {frames} frames, counting variance", judged, 0.9)


def laws(rows: Rows, repeats: int) -> None:
    """D½ averaged over the laws."""
    for law, frames, offset in (
        ("two populations 50/50", 9, None),
        ("two populations 80/20", 9, None),
        ("two populations 80/20", 30, None),
        ("plateau", 9, 1.0),
        ("plateau", 9, None),
        ("recovery", 9, 1.0),
        ("recovery", 9, None),
        ("recovery", 30, 1.0),
    ):
        drawn = Truth(law, frames=frames).draw(repeats // (1 if frames < 30 else 10), 5)
        known = "" if offset is None else ", b known"
        what = f"{law}, {frames} frames{known}"
        report(rows, f"{what}, average", averaged(drawn, offset=offset), 0.9)
        report(rows, f"{what}, power law alone", fitted(drawn, offset=offset), None)


def unseen(rows: Rows, repeats: int) -> None:
    """What no residual shows: the first part of a decay, and an offset that does not stay."""
    for what, noise, options in (
        ("diffusion, erfcx(√kφ)", 0.01, {"law": "diffusion"}),
        ("diffusion, erfcx(√kφ)", 0.002, {"law": "diffusion"}),
        ("rates spread by a factor of e", 0.01, {"law": "rates spread by a factor of e"}),
        ("slow start (Gompertz)", 0.01, {"law": "slow start"}),
        ("contamination, 0.1 a over the range", 0.01, {"law": "first order", "growth": 0.1}),
        ("thickness lost, 9 %", 0.01, {"law": "first order", "loss": 0.1}),
    ):
        truth = Truth(noise=noise, counting=True, rate=(0.5, 6), **options)
        drawn = truth.draw(repeats, 13)
        for offset, end in ((1.0, "b known"), (None, "b free")):
            name = f"{what}, {100 * noise:g} % noise, {end}"
            report(rows, f"{name}, power law alone", fitted(drawn, offset=offset), None)
        name = f"{what}, {100 * noise:g} % noise, b known"
        judged = averaged(truth.draw(repeats // 4, 13), offset=1.0)
        report(rows, f"{name}, average", judged, None)


def waves(rows: Rows, repeats: int) -> None:
    """A swing, and a recovery at the end, with and without counting variance."""
    for law in ("power law", "oscillation", "late recovery"):
        for offset in (1.0, None):
            for frames in (9, 12, 20, 30, 100):
                for counting in (True, False):
                    truth = Truth(law, frames=frames, counting=counting, rate=(1.5, 4))
                    judged = fitted(truth.draw(repeats, 12), offset=offset)
                    noise = "variance" if counting else "no variance"
                    end = "b free" if offset is None else "b known"
                    report(rows, f"{law}, {frames} frames, {noise}, {end}", judged, None)


def correlated(rows: Rows, repeats: int) -> None:
    """Noise that follows itself with 0.9."""
    for frames in (30, 100):
        judged = fitted(Truth(frames=frames, correlation=0.9).draw(repeats, 3))
        note = f"kept {judged.kept:.3f}, of these right {judged.right:.2f}"
        what = f"coverage, correlation 0.9, {frames} frames"
        rows.add(what, asked="≥ 0.92", measured=judged.covered, unit="", note=note)


def dose(rows: Rows, repeats: int) -> None:
    """A dose scale that is wrong by 10 %."""
    drawn = Truth(dose_scale_error=0.1, rate=(2, 4)).draw(2 * repeats, 4)
    what = "coverage of the kept, dose scale wrong by 10 %"
    judged = fitted(drawn)
    note = f"error not told, kept {judged.kept:.3f}"
    rows.add(what, asked=None, measured=judged.covered_kept, unit="", note=note)
    judged = fitted(drawn, dose_uncertainty=0.1)
    note = f"error told, kept {judged.kept:.3f}"
    for asked in ("≥ 0.93", "≤ 0.97"):
        rows.add(what, asked=asked, measured=judged.covered_kept, unit="", note=note)
    for kind, size in (("increment", 0.05), ("frame", 0.05)):
        drawn = Truth(**{f"{kind}_error": size}, rate=(2, 4)).draw(repeats, 4)
        for told in (None, {kind: size}):
            judged = fitted(drawn, dose_uncertainty=told)
            rows.add(
                f"coverage, error of {100 * size:g} % of each {kind}, {'told' if told else 'not'}",
                asked="≥ 0.93" if told else None, measured=judged.covered, unit="",
                note=f"kept {judged.kept:.3f}, of these right {judged.right:.3f}",
            )  # fmt: skip


def outlier(rows: Rows, repeats: int) -> None:
    """One frame that is wrong by five standard deviations."""
    truth = Truth(outlier=5.0, noise=0.005, counting=True)
    for loss in (None, "huber", "soft_l1"):
        report(
            rows,
            f"one frame wrong by 5 σ, loss={loss}",
            fitted(truth.draw(repeats, 11), loss=loss),
            0.9,
        )


@each_by_itself()
def kept(rows: Rows, repeats: int) -> None:
    """How much the flag costs where everything is right, against the rule that it replaces."""
    drawn = Truth(rate=(2, 4)).draw(repeats, 6)
    result = drawn.series().fit_dose_pinn(estimator="exact", show_progressbar=False)
    before = earlier_flag(result)
    now = (result.identifiable.data & result.adequate.data)[0].mean()
    note = f"kept {now:.3f}, by the rule before {before:.3f}"
    rows.add(
        "kept, k = 2–4, 1 % noise, against before",
        asked="≥ 0.75", measured=now / before, unit="", note=note,
    )  # fmt: skip
    bounded = fitted(Truth(rate=(2, 4), b=0.0).draw(repeats, 6), nonnegative=True, zero_error=0.0)
    rows.add(
        "the same with b ≥ 0, truth b = 0",
        asked="≥ 1", measured=bounded.kept / before, unit="",
        note=f"kept {bounded.kept:.3f}, right {bounded.right:.3f}",
    )  # fmt: skip


def earlier_flag(result) -> float:
    """Share with sd(ln D½) ≤ 0.25 and a 95 % profile narrower than 1 in ln D½."""
    sd = result.maps.field("sd_log_half_dose")[:, 0]
    low, high = (end.data[0] for end in result.interval("half_integrity_dose", method="profile"))
    with np.errstate(divide="ignore", invalid="ignore"):
        narrow = np.log(high) - np.log(low) <= 1
    return np.mean((sd <= 0.25) & narrow)


def tests(rows: Rows, repeats: int) -> None:
    """Size and power of the tests of fit."""
    for frames in (9, 30):
        truth = Truth(frames=frames, counting=True, rate=(1, 4), first_order=True)
        found = p_values(truth.draw(2 * repeats, 7))
        for name, p in found.items():
            size = np.mean(p < 0.05)
            for asked in ("≥ 0.03", "≤ 0.07"):
                what = f"size of {name}, {frames} frames"
                rows.add(what, asked=asked, measured=size, unit="", note="nominal 0.05")
        joint = np.mean(together(np.array(list(found.values()))) < SIZE)
        rows.add(
            f"size of all tests together, {frames} frames",
            asked="≤ 0.05", measured=joint, unit="", note="nominal 0.05",
        )  # fmt: skip
    truth = Truth("delayed", counting=True, rate=(3, 3))
    found = p_values(truth.draw(repeats, 8))
    best = max(found, key=lambda name: np.mean(found[name] < 0.05))
    power = np.mean(found[best] < 0.05)
    joint = np.mean(together(np.array(list(found.values()))) < SIZE)
    rows.add(
        "power, delay of 0.15, 9 frames, counting variance, k = 3",
        asked="≥ 0.75", measured=power, unit="",
        note=f"{best} at 0.05; all together: {joint:.2f}",
    )  # fmt: skip
    truth = Truth(frames=30, correlation=0.9, rate=(2, 2), first_order=True)
    found = p_values(truth.draw(repeats, 9), correlated=False)
    rows.add(
        "power, correlation 0.9, 30 frames, Durbin–Watson",
        asked="≥ 0.9", measured=np.mean(found["serial"] < 0.05), unit="", note="at 0.05",
    )  # fmt: skip


@each_by_itself()
def bounded(rows: Rows, repeats: int) -> None:
    """Intensities that cannot be negative, k = 1, p = 1, 1 % noise."""
    for b, asked in ((0.5, "≤ 0.33"), (0.1, "≤ 0.21"), (0.0, "≤ 0.19")):
        drawn = Truth(b=b, rate=(1, 1), first_order=True).draw(repeats, 10)
        result = drawn.series().fit_dose_pinn(
            estimator="exact", nonnegative=True, show_progressbar=False
        )
        sd = np.median(result.maps.field("sd_log_half_dose"))
        low, high = (end.data[0] for end in result.interval("half_integrity_dose"))
        truth = np.exp(drawn.log_half) * DOSE_MAX
        covered = np.mean((low <= truth) & (truth <= high))
        rows.add(f"sd of ln D½ with b ≥ 0, b/a = {b}", asked=asked, measured=sd, unit="")
        rows.add(f"its coverage, b/a = {b}", asked="≥ 0.93", measured=covered, unit="")


STUDIES = (base, delayed, waves, laws, unseen, correlated, dose, outlier, kept, tests, bounded)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--only", nargs="*", choices=[study.__name__ for study in STUDIES])
    add_json_option(parser)
    parser.add_argument("--rst", metavar="PATH", help="write the rows of the JSON file as a table")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = Rows(options.json)
    for study in STUDIES:
        if options.only is None or study.__name__ in options.only:
            study(rows, options.repeats)
    if options.rst:
        found = {"misspecification": read_rows(options.json) if options.json else rows.kept}
        Path(options.rst).write_text(as_rst(found), encoding="utf-8")


if __name__ == "__main__":
    main()
