# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of several laws: a table, notes, and all numbers for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.signals.kinetics.comparison.numbers import (
    QUANTITIES,
    ComparisonNumbers,
    median_of_pixels,
)
from hyperspy_dosekin.signals.kinetics.result.frame import dose_units, places_of
from hyperspy_dosekin.signals.kinetics.result.notes import DOSES
from hyperspy_dosekin.signals.kinetics.result.table import interval_text, number
from hyperspy_dosekin.signals.results import as_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame

    from hyperspy_dosekin.kinetics.comparison.comparison import ComparedLaws
    from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData

CANNOT_TELL = "{names}: the data cannot tell which law holds; D½ is the average over all of them."
NONE_DESCRIBES = "{names}: none of the laws describes the data, so that D½ is doubtful."
UNDETERMINED = (
    "{names}: the data do NOT determine D½; the half-change dose depends less on the law."
)


def comparison_table(numbers: ComparisonNumbers) -> PrettyTable:
    """One row for each window and law; medians over the pixels where there are any."""
    found, verdict = numbers.compared, numbers.verdict
    headers = ["window", "law", "ln evidence", "left out", "weight", "smallest p"]
    table = PrettyTable([*headers, with_unit("D½", numbers.data.dose_unit), "verdict"])
    table.align = "r"
    table.align["window"] = table.align["law"] = table.align["verdict"] = "l"
    left_out = found.field("log_predictive")
    ends = [np.exp(found.of_laws("log_half_dose", p)) for p in (0.5, 0.025, 0.975)]
    for column, window in enumerate(numbers.window_names):
        order = np.argsort(-median_of_pixels(found.log_evidence)[:, column])
        for rank, place in enumerate(order):
            half, low, high = (median_of_pixels(end)[place, column] for end in ends)
            relative = median_of_pixels(left_out - left_out.max(axis=0))[place, column]
            survives = median_of_pixels(found.survives.astype(float))[place, column] >= 0.5
            said = "" if survives else "ruled out"
            if rank == 0:
                said = verdict[window] or "the data cannot tell"
            table.add_row(
                [
                    "" if rank else window,
                    numbers.laws[place],
                    f"{median_of_pixels(found.log_evidence)[place, column]:.1f}",
                    f"{relative:.1f}",
                    f"{median_of_pixels(found.weights)[place, column]:.2f}",
                    f"{median_of_pixels(found.field('smallest_p'))[place, column]:.2g}",
                    f"{number(half)} {interval_text(low, high)}",
                    said,
                ]
            )
    return table


def average_table(found: ComparedLaws, data: SeriesData) -> PrettyTable:
    """One row for each window; medians and shares over the pixels where there are any."""
    headers = [with_unit(name, data.dose_unit) for name in ("D½", "half-change dose")]
    table = PrettyTable(["window", *headers, "D½ determined"])
    table.align = "r"
    table.align["window"] = "l"
    doses = []
    for name in QUANTITIES.values():
        ends = np.stack([np.exp(found.average(name, p)) for p in (0.5, 0.025, 0.975)])
        doses.append(median_of_pixels(ends))
    kept, described = found.identifiable, found.described
    for column, window in enumerate(data.window_names):
        row = [f"{number(m)} {interval_text(*ends)}" for m, *ends in (d[:, column] for d in doses)]
        sure, right = kept[..., column], described[..., column]
        said = "yes" if (sure & right).all() else "doubtful" if sure.all() else "NO"
        if (share := (sure & right).mean()) not in (0, 1):
            said = f"{100 * share:.0f} % of the pixels"
        table.add_row([window, *row, said])
    return table


def comparison_notes(numbers: ComparisonNumbers) -> list[str]:
    """What has to be said beside the numbers."""
    notes = flagged(numbers.compared, numbers.window_names)
    return [*notes, *([DOSES.format(text=numbers.dose_error.text)] if numbers.dose_error else [])]


def flagged(found: ComparedLaws, window_names: Sequence[str]) -> list[str]:
    """What is not determined, or not described, in at least half of the pixels."""
    notes = []
    for text, flags in (
        (CANNOT_TELL, found.verdict < 0),
        (NONE_DESCRIBES, ~found.described),
        (UNDETERMINED, ~found.identifiable),
    ):
        share = flags.reshape(-1, flags.shape[-1]).mean(axis=0)
        names = [n for n, s in zip(window_names, share, strict=True) if s >= 0.5]
        notes += [text.format(names=", ".join(names))] if names else []
    return notes


def comparison_frame(numbers: ComparisonNumbers, level: float) -> DataFrame:
    """One row for each law, window and pixel; see `LawComparison.to_dataframe`."""
    found, number_of_laws = numbers.compared, len(numbers.laws)
    places = {name: np.asarray(each) for name, each in places_of(numbers.data).items()}
    columns: dict[str, object] = {
        "law": np.repeat(np.array(numbers.laws, dtype=object), found.verdict.size),
        **{name: np.tile(each, number_of_laws) for name, each in places.items()},
    }
    verdict = found.verdict == np.arange(number_of_laws).reshape(-1, *[1] * found.verdict.ndim)
    quantities: dict[str, np.ndarray] = {
        "log_evidence": found.log_evidence,
        "log_predictive": found.field("log_predictive"),
        "weight": found.weights,
        "smallest_p": found.field("smallest_p"),
        "survives": found.survives,
        "named": verdict,
    }
    for name, of_kernel in QUANTITIES.items():
        for side, p in (("", 0.5), ("_lower", (1 - level) / 2), ("_upper", (1 + level) / 2)):
            quantities[f"{name}{side}"] = np.exp(found.of_laws(of_kernel, p))
    # Windows before pixels, as in other tables.
    columns |= {name: np.moveaxis(each, -1, 1).reshape(-1) for name, each in quantities.items()}
    unit = numbers.data.dose_unit
    columns |= {"level": level, "dose_unit": unit}
    return as_frame(columns, units=dose_units(unit, float(numbers.data.dose[-1])))
