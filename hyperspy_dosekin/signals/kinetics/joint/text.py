# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a joint fit: notes, and the table of its tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prettytable import PrettyTable

from hyperspy_dosekin.signals.kinetics.joint.numbers import JointNumbers, shared_numbers
from hyperspy_dosekin.signals.kinetics.options.law_names import SYMBOLS
from hyperspy_dosekin.signals.kinetics.result.table import interval_text, number

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.joint.fit import JointFit

SHARES = "{symbol} is the same in all windows of {names}: {value}."
FALSE = (
    "The windows do NOT have the same {symbol} (p = {p:.2g}; most unlike the others: {worst}). "
    "Their common fit is wrong; share nothing, or less: share=()."
)
DOUBTFUL = (
    "The windows may not have the same {symbol} (p = {p:.2g}, and one right fit in twenty is below "
    "0.05; most unlike the others: {worst}). See check(), and compare with share=()."
)
SHARED_RATE = "{symbol}, with what all series say: {value}."
FALSE_RATE = "What was shared does NOT hold: {says} (p = {p:.2g}). Share less."
GAIN = (
    "The windows of a frame had {percent:.2g} % of their intensity in common beside the law "
    "(thickness, beam current), which was taken off: the data shown are without it."
)
# How names of shared numbers begin that are not parameters of the shape.
_BESIDE = ("offset ratio ", "rate ", "dose scale ")
#: A p value below this is said without reserve.
SURE = 0.01
#: What a small p of a test of what is shared beside the shape says.
SAYS = {
    "rate": "windows of the same name do not decay at the same rate",
    "rate ratio": "the ratios of rates are not the same",
    "dose error": "the rates differ by more than the doses are uncertain",
    "offset ratio": "b/a of {window} is not the same",
}


def meaning(what: str) -> str:
    """What a small p of a test says, by its name in `JointNumbers.tests`."""
    head = "offset ratio"
    if what.startswith(head):
        return SAYS[head].format(window=what.removeprefix(head).strip())
    return SAYS[what]


def check_table(found: JointNumbers) -> PrettyTable:
    """Tests of what was shared, and of the residuals of each series; see `JointKinetics.check`."""
    table = PrettyTable(["series", "window", "test", "value", "p", "a small p says"])
    table.align = "l"
    # What is shared beside the shape has tests of its own.
    shape = [each for each in found.shared if not each.name.startswith(_BESIDE)]
    what = ", ".join(each.name for each in shape)
    if found.p_by_window:
        says = f"the windows do not have the same {what}"
        value = ", ".join(number(each.estimate) for each in shape)
        table.add_row(["all", "all", f"common {what}", value, f"{found.p_value:.2g}", says])
    for (name, window), p in found.p_by_window.items():
        says = "this one is unlike the others"
        value = number(found.alone[name, window])
        if (name, window) in found.alone_interval:
            value += f" {interval_text(*found.alone_interval[name, window])}"
        table.add_row([name, window, f"common {what}", value, f"{p:.2g}", says])
    for what, p in found.tests.items():
        table.add_row(["all", "all", f"common {what}", "", f"{p:.2g}", meaning(what)])
    for name, result in found.results.items():
        for row in result.check().rows:
            table.add_row([name, *row])
    return table


def joint_notes(
    fit: JointFit,
    name: str,
    windows: Mapping[str, Sequence[str]],
    units: Mapping[str, float],
) -> list[str]:
    """What has to be said of one series of a joint fit.

    Parameters
    ----------
    name
        Name of the series.
    windows
        Names of the windows of all series.
    units
        As for `shared_numbers`.
    """
    from hyperspy_dosekin.kinetics.joint.agreement import SMALLEST_P

    notes, symbols = [], []
    for place, each in enumerate(shared_numbers(fit, list(windows), units)):
        symbol = each.name
        if place < len(fit.shape.free):
            symbol = SYMBOLS.get(symbol, symbol)
            symbol = symbol.split(" ")[0].replace("_", " ")
            symbols.append(symbol)
        value = f"{number(each.estimate)} [{number(each.lower)}, {number(each.upper)}]"
        shares = SHARES if place < len(fit.shape.free) else SHARED_RATE
        notes.append(shares.format(symbol=symbol, names=", ".join(windows), value=value))
    if fit.rates is not None and fit.rates.p_value < SMALLEST_P:
        notes.append(FALSE_RATE.format(says=SAYS[fit.rates.kind], p=fit.rates.p_value))
    for window, p in ({} if fit.ratios is None else fit.ratios.p_values).items():
        if p < SMALLEST_P:
            notes.append(FALSE_RATE.format(says=meaning(f"offset ratio {window}"), p=p))
    if fit.agreement is not None and not fit.agreement.agrees:
        every = [f"{series}, {window}" for series, names in windows.items() for window in names]
        text = FALSE if fit.agreement.p_value < SURE else DOUBTFUL
        words = {"symbol": ", ".join(symbols), "worst": every[fit.agreement.worst]}
        notes.append(text.format(p=fit.agreement.p_value, **words))
    gain = fit.series[list(windows).index(name)].gain
    return [*notes, *([GAIN.format(percent=100 * gain.spread[0])] if gain is not None else [])]
