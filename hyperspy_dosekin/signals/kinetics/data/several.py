# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several series read for a fit of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hyperspy_dosekin.dose.conversion import is_dose_unit
from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.windows.definitions import parse_windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.windows.definitions import WindowsLike


def read_series(
    signal: BaseSignal, windows: WindowsLike | str | Sequence[str] | None = None
) -> SeriesData:
    """The mean over space of a dose series, or of windows of spectra, in memory.

    Raises
    ------
    TypeError
        If it is no dose series and cannot be made one.
    """
    if hasattr(signal, "integrate_windows"):
        signal = signal.integrate_windows(windows)
    if not hasattr(signal, "window_names"):
        raise TypeError(
            f"{short(signal)} is no dose series: give it a dose axis with set_dose_axis, or make "
            'one with set_signal_type("DoseSeries").'
        )
    return SeriesData.of(signal).averaged()


def check_windows(series: Iterable[BaseSignal], windows: WindowsLike | None) -> None:
    """Refuse windows that are none, or that nothing would be integrated over.

    Parameters
    ----------
    series
        Spectra, or dose series, which are integrated already.
    windows
        As a user gave them to a fit of all of `series`; not their names.

    Raises
    ------
    TypeError
        If `windows` describes none.
    ValueError
        If it cannot be, or if there are no spectra.
    """
    if windows is None:
        return
    parse_windows(windows)
    for each in series:
        if hasattr(each, "integrate_windows"):
            return
    raise ValueError(
        f"windows={short(windows)} is for spectra, and all series are integrated already; leave it "
        "out, or give the spectra."
    )


def check_units(data: Mapping[str, SeriesData]) -> None:
    """Refuse doses in units of something else; no unit is what nobody said.

    Parameters
    ----------
    data
        The series by name.

    Raises
    ------
    ValueError
        If the unit of a series is none of dose.
    """
    for name, each in data.items():
        if each.dose_unit and not is_dose_unit(each.dose_unit):
            raise ValueError(
                f"the doses of series {name!r} are in {each.dose_unit!r}, which is no unit of dose "
                "such as e⁻/Å², C/cm² or MGy; set them with set_dose_axis, correct "
                "axes_manager[-1].units of the series, or leave it empty where the unit of the "
                "dose is not known."
            )


def common_unit(data: Mapping[str, SeriesData]) -> str:
    """The unit of the doses of all series.

    Parameters
    ----------
    data
        The series by name.

    Raises
    ------
    ValueError
        If it is none of dose, or they have different ones.
    """
    check_units(data)
    units = {name: each.dose_unit for name, each in data.items()}
    if len(set(units.values())) > 1:
        raise ValueError(
            f"the doses of the series are in different units, {units}; convert them first, see "
            "hyperspy_dosekin.dose.convert."
        )
    return next(iter(units.values()))
