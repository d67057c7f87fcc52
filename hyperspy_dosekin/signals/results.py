# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every result has, whatever was fitted: a text, a page in a notebook, tables and a file."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from hyperspy_dosekin.numerics.files import replaced_when_written, with_extension
from hyperspy_dosekin.numerics.html import report
from hyperspy_dosekin.numerics.latex import tabular
from hyperspy_dosekin.numerics.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pandas import DataFrame
    from prettytable import PrettyTable


class Result(ABC):
    """A result that is printed and shown as its tables with the notes that apply."""

    @abstractmethod
    def _said(self) -> tuple[Sequence[PrettyTable], Sequence[str]]:
        """Its tables, and what has to be said beside them."""

    def _heading(self) -> str:
        """What stands above the tables: the result in a line."""
        return repr(self)

    def __str__(self) -> str:
        """Tables with the notes that apply."""
        tables, notes = self._said()
        lines = [each.get_string() for each in tables]
        return printable("\n".join([self._heading(), *lines, *(f"* {note}" for note in notes)]))

    def _repr_html_(self) -> str:
        return report(self._heading(), *self._said())


class TabledResult(Result):
    """A result that goes to other programs and to manuscripts as tables."""

    @abstractmethod
    def to_dataframe(self) -> DataFrame:
        """Return the numbers as a tidy pandas table; lazy results are computed."""

    def to_csv(self, path: str | Path, **options: object) -> None:
        """Write the table of `to_dataframe` as comma-separated values, in UTF-8.

        Parameters
        ----------
        path
            File name; ``.csv`` is added where there is no extension. An existing file is replaced.
        **options
            Passed to `to_dataframe` where it has an option of that name, and otherwise to
            ``pandas.DataFrame.to_csv``.

        Raises
        ------
        ValueError
            If the file name has another extension than ``.csv``, ``.tsv`` or ``.txt``.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> result.to_csv("kinetics.csv", level=0.68)  # doctest: +SKIP
        """
        target = with_extension(path, (".csv", ".tsv", ".txt"), "a table")
        own = inspect.signature(self.to_dataframe).parameters
        chosen = {name: options.pop(name) for name in list(options) if name in own}
        settings = {"index": False, "sep": "," if target.suffix == ".csv" else "\t", **options}
        frame = self.to_dataframe(**chosen)
        with replaced_when_written(target) as beside:
            frame.to_csv(beside, encoding="utf-8", **settings)

    def to_latex(self, path: str | Path | None = None) -> str:
        r"""Return what is printed as LaTeX: a ``tabular`` of the package booktabs for each table.

        Where the data determine no value there is an interval only, as in print.

        Parameters
        ----------
        path
            File to write it to as well; ``.tex`` is added where there is no extension.

        Returns
        -------
        str
            The tables. Signs of LaTeX in names are escaped.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> text = s.fit_dose_pinn(estimator="exact").to_latex()
        >>> print(text.splitlines()[0])
        \begin{tabular}{lrrrrrrr}
        """
        text = "\n\n".join(
            tabular(
                table.field_names,
                [[str(cell) for cell in row] for row in table.rows],
                "".join(table.align[name] for name in table.field_names),
            )
            for table in self._tables()
        )
        if path is not None:
            with replaced_when_written(with_extension(path, (".tex",), "a table")) as beside:
                beside.write_text(text + "\n", encoding="utf-8")
        return text

    def _tables(self) -> Sequence[PrettyTable]:
        """The tables that are printed, computed."""
        return self._said()[0]


class SavedResult(TabledResult):
    """A result that goes to files."""

    @abstractmethod
    def _write(self, path: str | Path, overwrite: bool | None) -> None:
        """Write it."""

    def save(self, path: str | Path, *, overwrite: bool | None = None) -> None:
        """Save the result to a ``.hspy`` or ``.zspy`` file, without pickle.

        `hyperspy_dosekin.load` gives back the whole result, its numbers equal to the last digit.
        HyperSpy opens the file too, as the signal that says most: the fitted series or spectra, or
        a map of D½. Of a law that is not registered the name, the parameters and all numbers are
        stored; its code is not.

        Parameters
        ----------
        path
            File name; ``.hspy`` is added where there is no extension.
        overwrite
            As for `hyperspy.signals.BaseSignal.save`. Whatever happens meanwhile, the old file or
            the new one is there, whole.

        Raises
        ------
        ValueError
            If the file name has the extension of another format.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     result.save(f"{folder}/kinetics.hspy")
        ...     same = hyperspy_dosekin.load(f"{folder}/kinetics.hspy")
        >>> bool((same.rate.data == result.rate.data).all())
        True
        """
        self._write(path, overwrite)


def as_frame(
    data: Mapping[str, object] | Iterable[object],
    columns: list[str] | None = None,
    units: Mapping[str, str] | None = None,
) -> DataFrame:
    """A pandas table; pandas takes a second to import and is needed for tables only.

    Parameters
    ----------
    data
        Columns by name, or rows.
    columns
        Names of the columns, for rows.
    units
        Units by column, for ``attrs``; what is empty, or of no column, is left out.
    """
    from pandas import DataFrame

    frame = DataFrame(data, columns=columns)
    if units is not None:
        frame.attrs["units"] = {
            name: unit for name, unit in units.items() if unit and name in frame.columns
        }
    return frame
