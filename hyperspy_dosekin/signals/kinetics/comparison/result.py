# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several laws say of a dose series."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.kinetics.model.dose_error import EXACT, DoseError
from hyperspy_dosekin.lazy.blocks import is_lazy
from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting.kinetics.laws import LawPicture, plot_laws
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.drawing import FigureOptions, drawn, takes_figure_options
from hyperspy_dosekin.signals.files import save_signal, seal
from hyperspy_dosekin.signals.kinetics.comparison.averaged import AveragedKinetics, law_map
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.kinetics.result.notes import DOSES
from hyperspy_dosekin.signals.kinetics.result.table import interval_text, number
from hyperspy_dosekin.signals.progress import dask_progress
from hyperspy_dosekin.signals.results import SavedResult

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.signals import BaseSignal
    from matplotlib.figure import FigureBase
    from typing_extensions import Unpack

    from hyperspy_dosekin.kinetics.comparison.comparison import ComparedLaws

#: Version of the layout of files.
FORMAT = 2
#: Where a comparison lies in the metadata of the series that it is saved with.
NODE = "Dosekin.law_comparison"
CANNOT_TELL = "{names}: the data cannot tell which law holds; D½ is the average over all of them."
NONE_DESCRIBES = "{names}: none of the laws describes the data, so that D½ is doubtful."
UNDETERMINED = (
    "{names}: the data do NOT determine D½; the half-change dose depends less on the law."
)


@dataclass(frozen=True, eq=False, repr=False)
class LawComparison(SavedResult):
    """What several laws say of a dose series; made by `compare_laws`.

    Parameters
    ----------
    data
        The series.
    laws
        Names of the laws.
    fields
        What the kernel found, ``(…space…, law, field, window)``; lazy where the series is.
    dose_error
        How well the doses are known.

    Examples
    --------
    >>> import hyperspy_dosekin
    >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
    >>> hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
    <LawComparison, 2 laws, 4 windows>
    """

    data: SeriesData
    laws: tuple[str, ...]
    fields: Any
    dose_error: DoseError = EXACT

    @property
    def is_lazy(self) -> bool:
        """Whether it has not been computed yet."""
        return is_lazy(self.fields)

    def computed(self, show_progressbar: bool | None = None) -> LawComparison:
        """The same with everything in memory; itself where it is.

        Parameters
        ----------
        show_progressbar
            ``None`` takes HyperSpy's preference.

        Returns
        -------
        LawComparison
            In memory.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
        >>> found = hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
        >>> found.computed() is found
        True
        """
        if not self.is_lazy:
            return self
        with dask_progress(show_progressbar):
            return replace(self, fields=self.fields.compute())

    @property
    def compared(self) -> ComparedLaws:
        """The numbers as arrays, computed."""
        from hyperspy_dosekin.kinetics.comparison.comparison import ComparedLaws

        return ComparedLaws(np.asarray(self.computed().fields), self.dose_error)

    @property
    def window_names(self) -> tuple[str, ...]:
        """Labels of the windows."""
        return self.data.window_names

    @property
    def weights(self) -> Mapping[str, BaseSignal]:
        """A map for each law: its probability if one of the laws is right."""
        found = self.compared.weights
        return MappingProxyType(
            {
                law: law_map(self.data, row, "weight")
                for law, row in zip(self.laws, found, strict=True)
            }
        )

    @property
    def verdict(self) -> Mapping[str, str | None]:
        """Name of the law for each window; ``None`` where the data cannot tell.

        With space axes it is the law of more than half of the pixels, if there is one.
        """
        place = self.compared.verdict
        found: dict[str, str | None] = {}
        for column, window in enumerate(self.window_names):
            values, counts = np.unique(place[..., column], return_counts=True)
            most = int(values[counts.argmax()])
            named = most >= 0 and counts.max() > 0.5 * counts.sum()
            found[window] = self.laws[most] if named else None
        return MappingProxyType(found)

    @property
    def verdict_map(self) -> BaseSignal:
        """Place of the law in `laws` for each window and pixel, −1 where the data cannot tell."""
        return law_map(self.data, self.compared.verdict, "verdict")

    def average(self) -> AveragedKinetics:
        """Average over the laws, each weighed by its evidence.

        Returns
        -------
        AveragedKinetics
            Doses with intervals of the mixture.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
        >>> found = hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
        >>> found.average().half_integrity_dose.data.shape
        (4,)
        """
        return AveragedKinetics(self.compared, self.data)

    @property
    def table(self) -> PrettyTable:
        """One row for each window and law; medians over the pixels where there are any."""
        found, verdict = self.compared, self.verdict
        headers = ["window", "law", "ln evidence", "left out", "weight", "smallest p"]
        table = PrettyTable([*headers, with_unit("D½", self.data.dose_unit), "verdict"])
        table.align = "r"
        table.align["window"] = table.align["law"] = table.align["verdict"] = "l"
        left_out = found.field("log_predictive")
        ends = [np.exp(found.of_laws("log_half_dose", p)) for p in (0.5, 0.025, 0.975)]
        for column, window in enumerate(self.window_names):
            order = np.argsort(-_median(found.log_evidence)[:, column])
            for rank, place in enumerate(order):
                half, low, high = (_median(end)[place, column] for end in ends)
                relative = _median(left_out - left_out.max(axis=0))[place, column]
                survives = _median(found.survives.astype(float))[place, column] >= 0.5
                said = "" if survives else "ruled out"
                if rank == 0:
                    said = verdict[window] or "the data cannot tell"
                table.add_row(
                    [
                        "" if rank else window,
                        self.laws[place],
                        f"{_median(found.log_evidence)[place, column]:.1f}",
                        f"{relative:.1f}",
                        f"{_median(found.weights)[place, column]:.2f}",
                        f"{_median(found.field('smallest_p'))[place, column]:.2g}",
                        f"{number(half)} {interval_text(low, high)}",
                        said,
                    ]
                )
        return table

    @property
    def notes(self) -> list[str]:
        """What has to be said beside the numbers."""
        found = self.compared
        notes = []
        for text, flags in (
            (CANNOT_TELL, found.verdict < 0),
            (NONE_DESCRIBES, ~found.described),
            (UNDETERMINED, ~found.identifiable),
        ):
            share = flags.reshape(-1, flags.shape[-1]).mean(axis=0)
            names = [n for n, s in zip(self.window_names, share, strict=True) if s >= 0.5]
            notes += [text.format(names=", ".join(names))] if names else []
        return [*notes, *([DOSES.format(text=self.dose_error.text)] if self.dose_error else [])]

    def __repr__(self) -> str:
        """One line."""
        lazy = ", lazy" if self.is_lazy else ""
        return printable(
            f"<LawComparison, {len(self.laws)} laws, {len(self.window_names)} windows{lazy}>"
        )

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        return [self.table], self.notes

    def __str__(self) -> str:
        """Table with the notes that apply."""
        if self.is_lazy:
            return f"{self!r}\n* Nothing has been computed yet: see computed()."
        return super().__str__()

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Plot what each law says of D½, and the average, for each window.

        Parameters
        ----------
        **options
            Of the figure.

        Returns
        -------
        matplotlib.figure.Figure
            Medians with 95 % intervals; over the pixels their medians.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
        >>> found = hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
        >>> len(found.plot().axes)
        4
        """
        found = self.compared
        ends = []
        for p in (0.025, 0.5, 0.975):
            laws = _median(np.exp(found.of_laws("log_half_dose", p)))
            mean = _median(np.exp(found.average("log_half_dose", p))[np.newaxis])
            ends.append(np.concatenate([laws, mean]))
        picture = LawPicture(
            window_names=self.window_names,
            dose_unit=self.data.dose_unit,
            names=(*self.laws, "average"),
            lower=ends[0],
            middle=ends[1],
            upper=ends[2],
            weights=np.concatenate([_median(found.weights), np.ones((1, len(self.window_names)))]),
            dose_max=float(self.data.dose[-1]),
        )
        return drawn(plot_laws, picture, options)

    def _write(self, path: str | Path, overwrite: bool | None) -> None:
        self = self.computed()
        data = self.data
        series = make_dose_series(
            data.values,
            data.dose,
            data.space_axes,
            data.window_names,
            title=data.title,
            quantity=data.quantity,
            dose_unit=data.dose_unit,
            dose_metadata=data.dose_metadata,
        )
        laws, fields = json.dumps(list(self.laws)), np.asarray(self.fields)
        error = json.dumps(self.dose_error.record)
        node = {"format": FORMAT, "laws": laws, "fields": fields, "dose_error": error}
        node["checksum"] = seal(series, {"fields": fields}, laws + error)
        series.metadata.set_item(NODE, node)
        save_signal(series, path, "a comparison of laws", overwrite=overwrite)


def stored_comparison(series: BaseSignal) -> tuple[tuple[Any, ...], Any, str]:
    """What a series from a file holds of a comparison, its seal and what that should be."""
    node = series.metadata.get_item(NODE)
    from hyperspy_dosekin.kinetics.comparison.comparison import LAW_FIELDS

    laws, fields = tuple(json.loads(node.laws)), np.atleast_1d(node.fields)
    if not all(isinstance(law, str) for law in laws) or len(laws) != len(fields):
        raise ValueError(f"numbers of {len(fields)} laws are there, and the names {short(laws)}")
    error = node.get_item("dose_error", "")
    expected = seal(series, {"fields": fields}, node.laws + error)
    if node.format < 2:
        # Doses were in units of the largest one.
        in_doses = np.char.startswith(np.array(LAW_FIELDS), "log_half")
        fields = fields + np.log(series.dose[-1]) * in_doses[:, np.newaxis]
    checksum = node.get_item("checksum")
    del series.metadata.Dosekin
    return (laws, fields, DoseError.of(json.loads(error or "{}"))), checksum, expected


def _median(values: np.ndarray) -> np.ndarray:
    """Median over the pixels of ``(n_law, …, n_window)``, ``(n_law, n_window)``."""
    flat = values.reshape(values.shape[0], -1, values.shape[-1])
    with np.errstate(invalid="ignore"):
        return np.nanmedian(np.where(np.isnan(flat), np.nan, flat), axis=1)
