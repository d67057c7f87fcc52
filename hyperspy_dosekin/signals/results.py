# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every result has, whatever was fitted: a text, a page in a notebook, and a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from hyperspy_dosekin.numerics.html import report
from hyperspy_dosekin.numerics.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


class SavedResult(Result):
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
        >>> import hyperspy_dosekin
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
