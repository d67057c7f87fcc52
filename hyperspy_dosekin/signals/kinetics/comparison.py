# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several kinetic laws fitted to the same series, and what they agree on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.kinetics.model.dose_error import EXACT, DoseError
from hyperspy_dosekin.lazy.blocks import is_lazy
from hyperspy_dosekin.numerics.arguments import check_arguments, real_number, short
from hyperspy_dosekin.numerics.html import report
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting.layout import new_figure
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series, make_map
from hyperspy_dosekin.signals.drawing import drawn
from hyperspy_dosekin.signals.files import save_signal, seal
from hyperspy_dosekin.signals.kinetics.maps import over_pixels
from hyperspy_dosekin.signals.kinetics.notes import DOSES
from hyperspy_dosekin.signals.kinetics.options import (
    METHOD_OPTIONS,
    NETWORK_OPTIONS,
    FitOptions,
    exact_config,
    known_offset,
    takes_fit_options,
)
from hyperspy_dosekin.signals.kinetics.series_data import SeriesData, check_dose_rate
from hyperspy_dosekin.signals.kinetics.table import interval_text, number
from hyperspy_dosekin.signals.progress import dask_progress, progress_bars
from hyperspy_dosekin.signals.signatures import refuse_unknown

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.comparison.comparison import ComparedLaws
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries

#: Version of the layout of files.
FORMAT = 2
#: Where a comparison lies in the metadata of the series that it is saved with.
NODE = "Dosekin.law_comparison"
#: Quantities of an average, and what the kernel calls them.
QUANTITIES = {"half_integrity_dose": "log_half_dose", "half_change_dose": "log_half_change"}
SPATIAL = ("auto", "pixel", "mean")
#: Options of a fit that are not those of a law.
UNUSED = (
    *("estimator", "exponent", "hierarchy", "intervals", "protocol", "seeds"),
    *NETWORK_OPTIONS,
)
_PIXELS = 64
CANNOT_TELL = "{names}: the data cannot tell which law holds; D½ is the average over all of them."
NONE_DESCRIBES = "{names}: none of the laws describes the data (p < 0.01), so that D½ is doubtful."
UNDETERMINED = (
    "{names}: the data do NOT determine D½; the half-change dose depends less on the law."
)


@takes_fit_options("law", *UNUSED)
def compare_laws(
    series: DoseSeries,
    laws: Sequence[str | KineticLaw] | None = None,
    *,
    spatial: str = "auto",
    show_progressbar: bool | None = None,
    **options: Any,
) -> LawComparison:
    """Fit several kinetic laws and say which of them the data can tell apart.

    Laws are compared by their evidence, the probability of the data under a law and its priors:
    a law with more freedom has to earn it. Those within 3 in ln evidence of the best survive. Each
    is fitted as `DoseSeries.fit_dose_pinn` fits it with the same options.

    Parameters
    ----------
    series
        A dose series.
    laws
        Names of laws, or laws. ``None`` takes all that are registered, without those that need a
        dose rate where none is recorded, those that a free offset makes senseless (a plateau looks
        like an offset), and those that have more coefficients than there are doses.
    spatial
        ``"auto"`` and ``"pixel"`` compare in every pixel, ``"mean"`` in the mean over space.
    **options
        Options of the fits.
    show_progressbar
        ``None`` takes HyperSpy's preference.

    Returns
    -------
    LawComparison
        Lazy where the series is.

    Raises
    ------
    ValueError
        If fewer than two laws are left to compare, an option is unknown, or there are no priors.

    Examples
    --------
    >>> import hyperspy_dosekin
    >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
    >>> found = hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
    >>> sorted(found.verdict) == sorted(s.window_names)
    True
    """
    from hyperspy_dosekin.kinetics.comparison.comparison import LAW_FIELDS, compare_block

    check_arguments(compare_laws, locals())
    if not hasattr(series, "fit_dose_pinn") or not hasattr(series, "window_names"):
        raise TypeError(
            f"{short(series)} is no DoseSeries; pass what s.integrate_windows() returns."
        )
    if spatial not in SPATIAL:
        raise ValueError(f"spatial={spatial!r} is not one of {SPATIAL}.")
    refuse_unknown("compare_laws", options, set(METHOD_OPTIONS) - {"law", *UNUSED})
    chosen = FitOptions.of("compare_laws", estimator="exact", hierarchy=(), **options)
    if chosen.prior is None:
        raise ValueError(
            "prior=None leaves nothing to weigh the laws by: the evidence is the probability of "
            "the data before they were seen. Leave prior= out, or give wide priors."
        )
    data = SeriesData.of(series)
    if not chosen.processing_error:
        data = replace(data, shared_errors={})
    if spatial == "mean":
        data = data.averaged()
    known = known_offset(chosen.offset, data.space_shape, len(data.window_names))
    kernels = _chosen_laws(laws, data, offset_free=known is None)
    config = exact_config(chosen, data.dose_metadata)
    kernel = partial(
        compare_block,
        dose=data.dose,
        window_names=data.window_names,
        laws=kernels,
        config=config,
        dose_scale=chosen.dose_scale,
    )
    sizes = {"l": len(kernels), "f": len(LAW_FIELDS)}
    with progress_bars(show_progressbar) as progress:
        fields = over_pixels(kernel, data, known, "l,f,w", sizes, _PIXELS, progress=progress)
    return LawComparison(data, tuple(law.name for law in kernels), fields, config.dose_error)


def _chosen_laws(
    laws: Sequence[str | KineticLaw] | None, data: SeriesData, *, offset_free: bool
) -> list[KineticLaw]:
    from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS, kinetic_law

    n_dose = np.unique(data.dose).size
    if laws is None:
        chosen = [
            law
            for law in KINETIC_LAWS.values()
            if not (offset_free and law.has_plateau)
            and not (law.needs_dose_rate and data.dose_rate is None)
            and not law.needs_series
            and len(law.parameters) + 1 + offset_free <= n_dose
            and len(law.parameters) <= 3
        ]
    else:
        if isinstance(laws, str) or not isinstance(laws, Sequence):
            raise TypeError(f"laws={short(laws)} must be a list of two or more laws, or None.")
        chosen = [kinetic_law(law) for law in laws]
        for law in chosen:
            check_dose_rate(law, data)
    names = [law.name for law in chosen]
    if len(chosen) < 2 or len(set(names)) != len(names):
        raise ValueError(
            f"the laws {names} cannot be compared: give two or more different ones in laws=, with "
            f"no more coefficients than the {n_dose} doses of the series."
        )
    return chosen


@dataclass(frozen=True, eq=False, repr=False)
class LawComparison:
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
            {law: self._map(row, "weight") for law, row in zip(self.laws, found, strict=True)}
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
        return self._map(self.compared.verdict, "verdict")

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
        return AveragedKinetics(self)

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

    def __str__(self) -> str:
        """Table with the notes that apply."""
        if self.is_lazy:
            return f"{self!r}\n* Nothing has been computed yet: see computed()."
        notes = [f"* {note}" for note in self.notes]
        return printable("\n".join([repr(self), self.table.get_string(), *notes]))

    def _repr_html_(self) -> str:
        return report(tables=[self.table], notes=self.notes)

    def plot(self, **options: Any) -> Any:
        """Plot what each law says of D½, and the average, for each window.

        Parameters
        ----------
        **options
            ``ax``, ``fig``, ``title``, ``dpi`` and ``figsize`` of the figure.

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
        return drawn(LawComparison._draw, self, options)

    def _draw(self, *, fig: Any = None, figsize: tuple[float, float] | None = None) -> Any:
        found, scale = self.compared, self.data.dose[-1]
        figure = new_figure(fig, figsize, (6.4, 4.8))
        axes = figure.subplots(1, len(self.window_names), squeeze=False, sharey=True)
        labels = [*self.laws, "average"]
        ends = []
        for p in (0.025, 0.5, 0.975):
            laws = _median(np.exp(found.of_laws("log_half_dose", p)))
            mean = _median(np.exp(found.average("log_half_dose", p))[np.newaxis])
            ends.append(np.concatenate([laws, mean]))
        weights = np.concatenate([_median(found.weights), np.ones((1, len(self.window_names)))])
        for column, (axis, window) in enumerate(zip(axes[0], self.window_names, strict=True)):
            low, middle, high = (end[:, column] for end in ends)
            top = 3 * np.nanmax(np.where(np.isfinite(middle), middle, np.nan), initial=scale)
            for row in range(len(labels)):
                shade = 0.25 + 0.75 * float(np.nan_to_num(weights[row, column]))
                axis.plot([low[row], min(high[row], top)], [row, row], color="C0", alpha=shade)
                axis.plot(middle[row], row, "o", color="C0", alpha=shade)
            axis.axvline(scale, color="0.7", linestyle=":")
            axis.set(title=window, xlabel=with_unit("D½", self.data.dose_unit), xscale="log")
        axes[0, 0].set_yticks(range(len(labels)), labels)
        return figure

    def save(self, path: Any, *, overwrite: bool | None = None) -> None:
        """Save to a ``.hspy`` or ``.zspy`` file, which HyperSpy opens as the series.

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
        >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
        >>> found = hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     found.save(f"{folder}/laws.hspy")
        ...     same = hyperspy_dosekin.load(f"{folder}/laws.hspy")
        >>> same.laws
        ('power law', 'first order')
        """
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

    def _map(self, array: Any, name: str) -> BaseSignal:
        """A map of an array ``(…space…, window)``."""
        array = np.moveaxis(array, -1, 0)
        return make_map(array, self.data.space_axes, self.window_names, title=name, quantity=name)


def stored_comparison(series: Any) -> tuple[tuple[Any, ...], Any, str]:
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


@dataclass(frozen=True, eq=False)
class AveragedKinetics:
    """Doses averaged over several laws; made by `LawComparison.average`.

    Parameters
    ----------
    comparison
        Where it comes from.
    """

    comparison: LawComparison

    def _dose(self, name: str, probability: float) -> np.ndarray:
        return np.exp(self.comparison.compared.average(QUANTITIES[name], probability))

    @property
    def half_integrity_dose(self) -> BaseSignal:
        """Median of D½ over the laws, in the unit of the series; NaN where most never fall to ½."""
        dose = self._dose("half_integrity_dose", 0.5)
        return self.comparison._map(np.where(np.isinf(dose), np.nan, dose), "half_integrity_dose")

    @property
    def half_change_dose(self) -> BaseSignal:
        """Dose at which half of the change within the measured range is done.

        There C is halfway between 1 and its last value. It lies between measured frames and hardly
        depends on the law, but on the largest dose.
        """
        return self.comparison._map(self._dose("half_change_dose", 0.5), "half_change_dose")

    def interval(
        self, name: str = "half_integrity_dose", level: float = 0.95
    ) -> tuple[BaseSignal, BaseSignal]:
        """Interval of the mixture of all laws.

        Parameters
        ----------
        name
            ``"half_integrity_dose"`` or ``"half_change_dose"``.
        level
            Its probability.

        Raises
        ------
        ValueError
            If the name is unknown or the level does not lie between 0 and 1.
        """
        if not isinstance(name, str) or name not in QUANTITIES:
            raise ValueError(f"name={name!r} is not one of {tuple(QUANTITIES)}.")
        level = real_number("level", level, "give a probability, such as 0.95", above=0, below=1)
        low, high = (self._dose(name, p) for p in ((1 - level) / 2, (1 + level) / 2))
        return self.comparison._map(low, name), self.comparison._map(high, name)

    @property
    def adequate(self) -> BaseSignal:
        """Whether one of the laws that survive describes the data."""
        return self.comparison._map(self.comparison.compared.described, "adequate")

    @property
    def identifiable(self) -> BaseSignal:
        """Whether 90 % of the mixture of ln D½ lies within 0.2 of its median."""
        return self.comparison._map(self.comparison.compared.identifiable, "identifiable")

    @property
    def reached(self) -> BaseSignal:
        """Whether D½ lies inside the measured range of doses."""
        dose = self._dose("half_integrity_dose", 0.5)
        range_ = self.comparison.data.dose
        return self.comparison._map((dose >= range_[0]) & (dose <= range_[-1]), "reached")
