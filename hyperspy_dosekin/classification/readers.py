# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated spectra from the text files of the programs that make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True, eq=False)
class TextSpectrum:
    """A spectrum out of a text file.

    Parameters
    ----------
    energy_ev
        Energies as in the file, eV, ``(n,)``.
    intensity
        Shape ``(n,)``.
    """

    energy_ev: np.ndarray
    intensity: np.ndarray

    def __post_init__(self) -> None:
        if self.energy_ev.size < 2:
            raise ValueError(f"{self.energy_ev.size} energies are no spectrum; check the file.")


def read_columns(path: Path) -> TextSpectrum:
    """Energy and intensity from the first two columns of a text file.

    Columns may be separated by blanks, tabs, commas or semicolons, and decimals may be commas
    where those do not separate. Lines that do not start with two numbers are skipped.
    """
    return _two_columns(path, 0, 1)


def read_fdmnes(path: Path) -> TextSpectrum:
    """Energy and convoluted absorption from a ``*_conv.txt`` of FDMNES.

    Energies are often relative to the edge; the ``shift_ev`` of `reference_spectra` puts them
    where the data have them.

    References
    ----------
    O. Bunău, Y. Joly, doi:10.1088/0953-8984/21/34/345501.
    """
    return _two_columns(path, 0, 1)


def read_feff(path: Path) -> TextSpectrum:
    """Energy ω and absorption μ from an ``xmu.dat`` of FEFF: its first and fourth columns.

    References
    ----------
    J. J. Rehr et al., doi:10.1039/b926434e.
    """
    return _two_columns(path, 0, 3)


def reader_for(path: Path) -> Callable[[Path], TextSpectrum] | None:
    """The reader for a file by its name; ``None`` for files that HyperSpy reads."""
    name = path.name.lower()
    for ending, reader in READERS.items():
        if name.endswith(ending):
            return reader
    return None


#: Readers by the end of the file's name, the most special first.
READERS: Mapping[str, Callable[[Path], TextSpectrum]] = MappingProxyType(
    {
        "_conv.txt": read_fdmnes,
        "xmu.dat": read_feff,
        ".txt": read_columns,
        ".csv": read_columns,
        ".tsv": read_columns,
        ".dat": read_columns,
        ".xy": read_columns,
    }
)


def _two_columns(path: Path, first: int, second: int) -> TextSpectrum:
    rows = []
    # Headers are in any language and encoding; numbers are ASCII in all of them.
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        numbers = _numbers(line)
        if len(numbers) > second:
            rows.append((numbers[first], numbers[second]))
    if len(rows) < 2:
        raise ValueError(
            f"{path} has {len(rows)} lines with numbers in columns {first + 1} and {second + 1}; "
            "expected a table of energy and intensity."
        )
    table = np.array(rows, dtype=np.float64)
    return TextSpectrum(table[:, 0], table[:, 1])


def _numbers(line: str) -> list[float]:
    """Numbers at the start of a line."""
    if line.lstrip().startswith("#"):
        return []
    if ";" in line:
        # A semicolon leaves the comma free to be a decimal one.
        parts = line.replace(",", ".").split(";")
    elif "," in line and "." not in line and len(line.replace("\t", " ").split()) > 1:
        spaced = line.replace("\t", " ").split()
        decimal = all(part.count(",") <= 1 and not part.endswith(",") for part in spaced)
        parts = line.replace(",", ".").split() if decimal else line.replace(",", " ").split()
    else:
        parts = line.replace(",", " ").split()
    numbers = []
    for part in parts:
        try:
            numbers.append(float(part.replace("D", "E").replace("d", "e")))
        except ValueError:
            break
    return numbers
