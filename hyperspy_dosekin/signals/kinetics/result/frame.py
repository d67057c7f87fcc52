# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a kinetics result as a tidy table: for pandas, CSV and LaTeX."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.units import inverse_unit
from hyperspy_dosekin.signals.kinetics.result.table import window_cells

if TYPE_CHECKING:
    from pandas import DataFrame

    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers

#: Quantities that have an interval beside them, after the parameters of the law.
WITH_INTERVAL = ("rate_per_dose", "half_integrity_dose")
#: LaTeX of what the tables hold and no LaTeX takes as it is.
_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "D½": "$D_{1/2}$",
    "Φ_max": r"$\Phi_\mathrm{max}$",
    "e⁻": "e$^-$",
    "Å²": r"\AA$^2$",
    "²": "$^2$",
    "C∞": r"$C_\infty$",
    "∞": r"$\infty$",
    "π": r"$\pi$",
    "φ": r"$\varphi$",
    "Φ": r"$\Phi$",
    "σ": r"$\sigma$",
    "μ": r"$\mu$",
    "µ": r"$\mu$",
    "½": "$1/2$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "<": "$<$",
    ">": "$>$",
    "\u202f": r"\,",
}
#: A hyphen that is the sign of a number, as at the start of a cell or of an interval.
_MINUS = re.compile(r"(?<![^\s\[(])-(?=\d)")
_TO_ESCAPE = re.compile("|".join(re.escape(sign) for sign in sorted(_LATEX, key=len, reverse=True)))


def result_frame(numbers: KineticsNumbers, level: float, method: str) -> DataFrame:
    """One row for each window, or for each pixel and window; see `DoseKinetics.to_dataframe`."""
    numbers = numbers.computed()
    columns = _places(numbers)
    names = (*numbers.parameter_names, "rate_per_dose", "amplitude", "offset")
    names = tuple(name for name in names if name != "rate_per_dose" or "rate" in names)
    for name in (*names, "half_integrity_dose", "critical_dose"):
        columns[name] = _flat(numbers.map(name))
        if numbers.has_intervals and name in (*numbers.parameter_names, *WITH_INTERVAL):
            ends = numbers.interval(name, level, method)
            for side, end in zip(("lower", "upper"), ends, strict=True):
                columns[f"{name}_{side}"] = _flat(end)
    if numbers.has_intervals:
        columns["identifiable"] = _flat(numbers.map("identifiable"))
    columns["adequate"] = _flat(numbers.map("adequate"))
    columns["reached"] = _flat(numbers.map("reached"))
    columns["fitted"] = ~_flat(numbers.map("not_fitted"))
    if numbers.has_intervals:
        columns |= {"level": level, "interval_method": method}
    columns |= {
        "law": numbers.law.name,
        "dose_unit": numbers.dose_unit,
        "intensity": numbers.data.quantity,
    }
    frame = as_frame(columns)
    frame.attrs["units"] = units_of(numbers, list(columns))
    frame.attrs["dose_max"] = numbers.dose_max
    return frame


def as_frame(columns: dict[str, object]) -> DataFrame:
    """A pandas table; pandas takes a second to import and is needed here only."""
    from pandas import DataFrame

    return DataFrame(columns)


def units_of(numbers: KineticsNumbers, names: list[str]) -> dict[str, str]:
    """The units of the columns that have one."""
    unit, inverse = numbers.dose_unit, inverse_unit(numbers.dose_unit)
    known = {
        "half_integrity_dose": unit,
        "critical_dose": unit,
        "rate_per_dose": inverse,
        "rate": f"1/({numbers.dose_scale:g} {unit})".replace(" )", ")"),
    }
    found = {name: known.get(name.removesuffix("_lower").removesuffix("_upper")) for name in names}
    return {name: text for name, text in found.items() if text}


def latex_table(numbers: KineticsNumbers) -> str:
    """The printed table as a LaTeX ``tabular``, for the package booktabs."""
    headers, rows = window_cells(numbers.computed())
    lines = [" & ".join(map(latex, row)) + r" \\" for row in (headers, *rows)]
    columns = "l" + "r" * (len(headers) - 1)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def latex(text: str) -> str:
    r"""Text for LaTeX, signs of the field included.

    Examples
    --------
    >>> print(latex("D½ (e⁻/Å²)"))
    $D_{1/2}$ (e$^-$/\AA$^2$)
    >>> print(latex("-0.5 [-1, 3-4]"))
    $-$0.5 [$-$1, 3-4]
    """
    text = _MINUS.sub("−", text)
    return _TO_ESCAPE.sub(lambda sign: _LATEX[sign.group()], text)


def _places(numbers: KineticsNumbers) -> dict[str, object]:
    """Columns that say where a row belongs: the window, and the pixel by index and position."""
    shape = (len(numbers.window_names), *numbers.space_shape)
    indices = np.indices(shape).reshape(len(shape), -1)
    columns: dict[str, object] = {
        "window": np.array(numbers.window_names, dtype=object)[indices[0]]
    }
    if numbers.windows is not None:
        columns["window_left"] = np.array([each.left for each in numbers.windows])[indices[0]]
        columns["window_right"] = np.array([each.right for each in numbers.windows])[indices[0]]
    for place, axis in enumerate(numbers.data.space_axes):
        name = axis.get("name")
        name = name if isinstance(name, str) and name else f"axis_{place}"
        columns[f"{name}_index"] = indices[place + 1]
        if "scale" in axis:
            columns[name] = axis.get("offset", 0.0) + axis["scale"] * indices[place + 1]
        elif "axis" in axis:
            columns[name] = np.asarray(axis["axis"])[indices[place + 1]]
    return columns


def _flat(values: Any) -> np.ndarray:
    """A map ``(window, …space…)`` as a column."""
    return np.asarray(values).reshape(-1)
