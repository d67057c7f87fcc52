# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leaves a kinetics result: tables and a text for a paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hyperspy_dosekin.numerics.files import replaced_when_written, with_extension
from hyperspy_dosekin.signals.kinetics.result.face import Face
from hyperspy_dosekin.signals.kinetics.result.frame import result_frame
from hyperspy_dosekin.signals.kinetics.result.methods import methods_text
from hyperspy_dosekin.signals.kinetics.result.table import kinetics_tables
from hyperspy_dosekin.signals.results import SavedResult

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pandas import DataFrame
    from prettytable import PrettyTable


@dataclass(frozen=True, eq=False, repr=False)
class KineticsExport(Face, SavedResult):
    """Methods of `DoseKinetics` for manuscripts and other programs."""

    def to_dataframe(self, *, level: float = 0.95, method: str = "posterior") -> DataFrame:
        """Return all numbers as a tidy pandas table.

        Parameters
        ----------
        level
            Probability of the intervals.
        method
            ``"posterior"`` or ``"profile"``, as for `interval`.

        Returns
        -------
        pandas.DataFrame
            A row for each window, or for each pixel and window; lazy results are computed. Columns:
            the window and its limits, index and position of the pixel, every parameter, amplitude
            and offset, D½ and the critical dose, ends of intervals (``…_lower``, ``…_upper``), the
            flags, the law and the unit of doses. ``frame.attrs["units"]`` has the units.

        Raises
        ------
        ValueError
            If `level` or `method` is none.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> frame = s.fit_dose_pinn(estimator="exact").to_dataframe()
        >>> list(frame["window"])
        ['π–π*', 'C–C', 'C–O', 'M–O']
        >>> frame.attrs["units"]["half_integrity_dose"]
        'e⁻/Å²'
        """
        return result_frame(self.numbers, level, method)

    def _tables(self) -> list[PrettyTable]:
        return kinetics_tables(self.numbers.computed())

    def to_nexus(
        self,
        path: str | Path,
        *,
        level: float = 0.95,
        sample: Mapping[str, object] | None = None,
        start_time: str | None = None,
    ) -> None:
        """Write all numbers as a NeXus file, for archives and for programs that read NeXus.

        Groups have the classes of the NeXus definitions for electron microscopy (NXem): an
        NXprocess with program, version and parameters for the processing of the spectra and one
        for the fit, and an NXdata for each quantity, with the ends of its interval. With `sample`
        and `start_time` the file is a valid one of the definition NXem, which ``pynx validate`` of
        pynxtools accepts. `hyperspy_dosekin.load` does not read it: use `save` for that.

        Parameters
        ----------
        path
            File name; ``.nxs`` is added where there is no extension. An existing file is replaced.
        level
            Probability of the intervals.
        sample
            What NXem wants to know of the sample, by its names: ``"atom_types"`` (such as
            ``"C, H, O, Zn"``) and ``"preparation_date"`` (ISO 8601 with the zone), and what else
            NXsample has, such as ``"name"``. ``"is_simulation"`` is ``False`` if it is not given.
        start_time
            When the experiment began, ISO 8601 with the zone.

        Raises
        ------
        ValueError
            If the file name has another extension than ``.nxs``, ``.h5`` or ``.hdf5``, the sample
            does not say what NXem asks for, or a time is none.
        TypeError
            If only one of `sample` and `start_time` is given, or one is of another kind.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> result.to_nexus("kinetics.nxs")  # doctest: +SKIP
        """
        from hyperspy_dosekin.signals.kinetics.result.nexus import write_nexus

        target = with_extension(path, (".nxs", ".h5", ".hdf5"), "a NeXus file")
        numbers = self.numbers.computed()
        with replaced_when_written(target) as beside:
            write_nexus(numbers, beside, self.methods_text(), level, sample, start_time)

    def methods_text(self) -> str:
        """Return a paragraph for the methods section of a paper, true for this fit.

        It says what was fitted, how the spectra were processed before and the doses computed, the
        law, the estimator, the noise, the priors, every option that
        was not left at its default, where D½ is determined, and the versions of the software.

        Returns
        -------
        str
            The paragraph.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", law="first order", offset=0.01)
        >>> print(result.methods_text())
        Areas of spectra in fixed windows (π–π* 1–3 eV, ...
        """
        return methods_text(self.numbers)
