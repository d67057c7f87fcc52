# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pixels of a result share, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from prettytable import PrettyTable

from hyperspy_dosekin.signals.kinetics.numbers.sharing import (
    Correlations,
    PopulationRow,
    between_windows,
    population_rows,
)
from hyperspy_dosekin.signals.kinetics.result.table import bracket, number
from hyperspy_dosekin.signals.results import TabledResult, as_frame

if TYPE_CHECKING:
    from pandas import DataFrame

    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers


@dataclass(frozen=True, eq=False, repr=False)
class PopulationTable(TabledResult):
    """What the pixels share: a row for every window, group and quantity.

    Parameters
    ----------
    rows
        The rows.
    correlations
        (value, lower, upper) over the pixels by (window, group, quantity, quantity).
    between
        The same by (window, other window, group, quantity): how windows of a pixel go together.
        Those of amplitudes and offsets are of what does not follow the parameters of the law.
    """

    rows: tuple[PopulationRow, ...]
    correlations: Correlations
    between: Correlations

    @classmethod
    def of(cls, numbers: KineticsNumbers) -> PopulationTable:
        """The table of a result.

        Raises
        ------
        AttributeError
            If its pixels share nothing.
        """
        rows, correlations = population_rows(numbers)
        return cls(tuple(rows), correlations, between_windows(numbers))

    def __iter__(self) -> Iterator[PopulationRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[str, ...]) -> PopulationRow:
        """The row of (window, quantity) or, with groups, (window, group, quantity)."""
        window, quantity, group = key[0], key[-1], key[1] if len(key) == 3 else None
        for row in self.rows:
            if (row.window, row.quantity) == (window, quantity) and group in (None, row.group):
                return row
        raise KeyError(
            f"there is no {key!r}; windows are {sorted({row.window for row in self.rows})}, "
            f"groups {sorted({row.group for row in self.rows})} and quantities "
            f"{sorted({row.quantity for row in self.rows})}."
        )

    def columns(self) -> dict[str, list]:
        """Columns by name, to make a data frame of any library of."""
        return {
            each.name: [getattr(row, each.name) for row in self.rows]
            for each in fields(PopulationRow)
        }

    def _table(self) -> PrettyTable:
        grouped = any(row.group for row in self.rows)
        table = PrettyTable(
            ["window", *(["group"] if grouped else []), "quantity", "mean", "spread over pixels"]
        )
        table.align = "l"
        for row in self.rows:
            mean = f"{number(row.mean)} {bracket(row.mean_lower, row.mean_upper)}"
            spread = f"{number(row.spread)} {bracket(row.spread_lower, row.spread_upper)}"
            log = " (of ln)" if row.quantity in ("rate", "half_integrity_dose") else ""
            where = [row.window, *([row.group] if grouped else [])]
            table.add_row([*where, row.quantity, mean, spread + log])
        return table

    def to_dataframe(self) -> DataFrame:
        """Tidy pandas table.

        Returns
        -------
        pandas.DataFrame
            A row for every window, group and quantity.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series_image(shape=(4, 4), processed=True)
        >>> first = s.integrate_windows().inav[:1]
        >>> result = first.fit_dose_pinn(spatial="population", show_progressbar=False)
        >>> frame = result.population.to_dataframe()
        >>> len(frame) == len(result.population)
        True
        """
        return as_frame(self.columns())

    def _of_windows(self) -> PrettyTable:
        grouped = any(group for _, _, group, _ in self.between)
        head = ["windows", *(["group"] if grouped else []), "quantity", "correlation over pixels"]
        table = PrettyTable(head)
        table.align = "l"
        for (first, second, group, quantity), (value, lower, upper) in self.between.items():
            where = [f"{first}, {second}", *([group] if grouped else [])]
            table.add_row([*where, quantity, f"{number(value)} {bracket(lower, upper)}"])
        return table

    def __repr__(self) -> str:
        """How many rows there are."""
        return f"<PopulationTable, {len(self.rows)} rows>"

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        return [self._table(), *([self._of_windows()] if self.between else [])], []
