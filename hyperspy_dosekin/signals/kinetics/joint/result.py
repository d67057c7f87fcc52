# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of several series of one specimen that were fitted together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.numerics.html import Html, element, report
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.axes.wrapping import make_map
from hyperspy_dosekin.signals.files import save_signal, seal
from hyperspy_dosekin.signals.kinetics.numbers.joint_maps import JointMaps
from hyperspy_dosekin.signals.kinetics.options.law_names import SYMBOLS
from hyperspy_dosekin.signals.kinetics.result.file import signal_of
from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics
from hyperspy_dosekin.signals.kinetics.result.side_by_side import ResultComparison, compare_results
from hyperspy_dosekin.signals.kinetics.result.table import number

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import FigureBase

    from hyperspy_dosekin.kinetics.joint.fit import JointFit

#: Version of the layout of files.
FORMAT = 1
#: Where the result lies in the metadata of the signal that it is saved with.
NODE = "Dosekin.joint"
_ENDS = (0.025, 0.5, 0.975)
_DRAWS = 8000
SHARES = "{symbol} is the same in all windows of {names}: {value}."
FALSE = (
    "The windows do NOT have the same {symbol} (p = {p:.2g}; most unlike the others: {worst}). "
    "Their common fit is wrong; share nothing, or less: share=()."
)
SHARED_RATE = "{symbol}, with what all series say: {value}."
FALSE_RATE = "What was shared does NOT hold: {says} (p = {p:.2g}). Share less."
GAIN = (
    "The windows of a frame had {percent:.2g} % of their intensity in common beside the law "
    "(thickness, beam current), which was taken off: the data shown are without it."
)


@dataclass(frozen=True)
class SharedParameter:
    """A parameter that all windows have in common.

    Parameters
    ----------
    name
        Name of the parameter.
    estimate, lower, upper
        Mode, and ends of the 95 % interval.
    """

    name: str
    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False, repr=False)
class JointKinetics(Mapping):
    """Kinetics of several series that were fitted together; made by `fit_dose_jointly`.

    A mapping of the names of the series to `DoseKinetics`, each of which has what the others say
    of it in its estimates, intervals and flags.

    Parameters
    ----------
    results
        By name of the series.
    shared
        The shared parameters.
    p_value
        Probability of shapes as unlike as found if all windows had the same; NaN where nothing is
        shared.
    p_by_window
        The same of each window against all others, by (series, window).
    alone
        The likeliest value of the first shared parameter of each window by itself.
    gain
        Standard deviation of the gain that the windows of a frame have in common, by series.
    gain_by_frame
        The gain of each frame and its standard deviation, ``(2, n_dose)``, by series.
    tests
        Probability of what was found if what is shared beside the shape is so, by its name; NaN
        where nothing could speak against it.

    Examples
    --------
    >>> import hyperspy_dosekin
    >>> simulate = hyperspy_dosekin.data.dose_series
    >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
    >>> hyperspy_dosekin.fit_dose_jointly(series)
    <JointKinetics, 2 series, 8 windows, common exponent>
    """

    results: Mapping[str, DoseKinetics]
    shared: tuple[SharedParameter, ...]
    p_value: float
    p_by_window: Mapping[tuple[str, str], float]
    alone: Mapping[tuple[str, str], float]
    gain: Mapping[str, float]
    gain_by_frame: Mapping[str, np.ndarray]
    tests: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> DoseKinetics:
        """The result of a series."""
        if not isinstance(name, str) or name not in self.results:
            raise KeyError(f"there is no series {name!r} among {', '.join(map(repr, self))}.")
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the series."""
        return iter(self.results)

    def __len__(self) -> int:
        """Number of series."""
        return len(self.results)

    @property
    def agrees(self) -> bool:
        """Whether nothing speaks against what was shared (p of 0.01 or more)."""
        from hyperspy_dosekin.kinetics.joint.agreement import SMALLEST_P

        return not any(p < SMALLEST_P for p in (self.p_value, *self.tests.values()))

    def check(self) -> PrettyTable:
        """Tests of what was shared, and of the residuals of each series.

        Returns
        -------
        prettytable.PrettyTable
            A row for all windows together and one for each against the others, with the p value of
            a common shape; then the tests of residuals of each window.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
        >>> hyperspy_dosekin.fit_dose_jointly(series).check().field_names
        ['series', 'window', 'test', 'value', 'p', 'a small p says']
        """
        table = PrettyTable(["series", "window", "test", "value", "p", "a small p says"])
        table.align = "l"
        what = ", ".join(each.name for each in self.shared)
        if self.p_by_window:
            says = f"the windows do not have the same {what}"
            value = ", ".join(number(each.estimate) for each in self.shared)
            table.add_row(["all", "all", f"common {what}", value, f"{self.p_value:.2g}", says])
        for (name, window), p in self.p_by_window.items():
            says = "this one is unlike the others"
            value = number(self.alone[name, window])
            table.add_row([name, window, f"common {what}", value, f"{p:.2g}", says])
        for what, p in self.tests.items():
            table.add_row(["all", "all", f"common {what}", "", f"{p:.2g}", SAYS[what]])
        for name, result in self.items():
            for row in result.check().rows:
                table.add_row([name, *row])
        return table

    def ratio(self, a: tuple[str, str], b: tuple[str, str]) -> tuple[float, float, float]:
        """Ratio of the half-integrity doses of two windows.

        Parameters
        ----------
        a, b
            D½ of `a` over that of `b`, each (name of the series, name of the window).

        Returns
        -------
        estimate, lower, upper : float
            Median and ends of the 95 % interval. What both have in common, such as an error of the
            dose scale, is not in it.

        Raises
        ------
        KeyError
            If there is no such series or window.
        ValueError
            If their doses are in different units.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
        >>> found = hyperspy_dosekin.fit_dose_jointly(series)
        >>> middle, lower, upper = found.ratio(("1", "C–O"), ("2", "C–O"))
        >>> lower < middle < upper
        True
        """
        units = {self[name].dose_unit for name, _ in (a, b)}
        if len(units) > 1:
            raise ValueError(
                f"the doses of {a} and {b} are in different units, {sorted(units)}; convert them."
            )
        pair = [self._place(name, window) for name, window in (a, b)]
        if a == b:
            return 1.0, 1.0, 1.0
        random = np.random.default_rng(0)
        uniform = random.uniform(size=_DRAWS)
        over, under = (_log_doses(maps, place, uniform, random) for maps, place in pair)
        difference = over - under
        low, middle, high = np.exp(np.quantile(difference, _ENDS))
        return float(middle), float(low), float(high)

    def _place(self, name: str, window: str) -> tuple[JointMaps, int]:
        result = self[name]
        if window not in result.window_names:
            raise KeyError(f"series {name!r} has no window {window!r}.")
        maps = result.maps
        assert isinstance(maps, JointMaps)
        return maps, result.window_names.index(window)

    @property
    def comparison(self) -> ResultComparison:
        """D½ of all series side by side."""
        return compare_results(list(self.values()), names=list(self))

    def to_dataframe(self) -> pd.DataFrame:
        """Tidy pandas table: a row for each series and window.

        Returns
        -------
        pandas.DataFrame
            The tables of the series, with a column ``series`` before them.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
        >>> len(hyperspy_dosekin.fit_dose_jointly(series).to_dataframe())
        8
        """
        import pandas as pd

        frames = [result.to_dataframe().assign(series=name) for name, result in self.items()]
        found = pd.concat(frames, ignore_index=True)
        return found.reindex(columns=["series", *found.columns.drop("series")])

    def plot(self, **options: Any) -> FigureBase:
        """Draw D½ of all windows of all series with their 95 % intervals (forest plot).

        Parameters
        ----------
        **options
            ``ax``, ``fig``, ``title``, ``dpi`` and ``figsize`` of the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
        >>> figure = hyperspy_dosekin.fit_dose_jointly(series).plot()
        """
        return self.comparison.plot(**options)

    @property
    def notes(self) -> list[str]:
        """What has to be said of the joint fit."""
        first = next(iter(self.values()))
        own = [f"{GAIN[:28]}"]
        notes = [note for note in first.maps.notes if not note.startswith(own[0])]
        for name, spread in self.gain.items():
            notes += [f"{name}: {GAIN.format(percent=100 * spread)}"] if spread > 0 else []
        return notes

    def save(self, path: str | Path, *, overwrite: bool | None = None) -> None:
        """Save to a ``.hspy`` or ``.zspy`` file, which HyperSpy opens as D½ of all windows.

        Parameters
        ----------
        path
            File name; ``.hspy`` is added where there is no extension.
        overwrite
            As for `hyperspy.signals.BaseSignal.save`.

        Raises
        ------
        ValueError
            If the file name has the extension of another format.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> simulate = hyperspy_dosekin.data.dose_series
        >>> series = {str(n): simulate(processed=True, seed=n).integrate_windows() for n in (1, 2)}
        >>> found = hyperspy_dosekin.fit_dose_jointly(series)
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     found.save(f"{folder}/joint.hspy")
        ...     same = hyperspy_dosekin.load(f"{folder}/joint.hspy")
        >>> same.p_value == found.p_value
        True
        """
        record = json.dumps(
            {
                "names": list(self),
                "shared": [astuple(each) for each in self.shared],
                "p_value": self.p_value,
                "p_by_window": [[*key, value] for key, value in self.p_by_window.items()],
                "alone": [[*key, value] for key, value in self.alone.items()],
                "tests": dict(self.tests),
                "gain": dict(self.gain),
                "gained": list(self.gain_by_frame),
            }
        )
        names = [f"{name}, {window}" for name in self for window in self[name].window_names]
        doses = np.concatenate([result.half_integrity_dose.data for result in self.values()])
        signal = make_map(doses, [], names, title="D½", quantity="half_integrity_dose")
        arrays = {f"gain_{i}": each for i, each in enumerate(self.gain_by_frame.values())}
        node: dict[str, Any] = {"format": FORMAT, "record": record, "arrays": arrays}
        for place, result in enumerate(self.values()):
            node[f"series_{place}"] = signal_of(result.numbers)
        node["checksum"] = seal(signal, arrays, record)
        signal.metadata.set_item(NODE, node)
        save_signal(signal, path, "a joint fit", overwrite=overwrite)

    def __repr__(self) -> str:
        """One line."""
        windows = sum(len(result.window_names) for result in self.values())
        what = f", common {', '.join(each.name for each in self.shared)}" if self.shared else ""
        return printable(f"<JointKinetics, {len(self)} series, {windows} windows{what}>")

    def __str__(self) -> str:
        """Tables with the notes that apply."""
        notes = [f"* {note}" for note in self.notes]
        each = [f"{name}: {result}" for name, result in self.items()]
        return printable("\n".join([repr(self), *notes, "", *each]))

    def _repr_html_(self) -> str:
        head = report(repr(self), [], self.notes)
        parts = [
            element("div", element("b", name), Html(result._repr_html_()))
            for name, result in self.items()
        ]
        return element("div", Html(head), *parts)


#: What a small p of a test of what is shared beside the shape says.
SAYS = {
    "rate": "windows of the same name do not decay at the same rate",
    "rate ratio": "the ratios of rates are not the same",
    "dose error": "the rates differ by more than the doses are uncertain",
}


def shared_numbers(fit: JointFit, names: Sequence[str], units: Mapping[str, float]) -> list[Any]:
    """What was found of everything that is shared, as `SharedParameter`.

    Parameters
    ----------
    fit
        The joint fit.
    names
        Names of the series.
    units
        What a shared parameter is in units of, where that is not its own, by name.
    """
    ends = fit.shape.quantiles(_ENDS)
    found = []
    for parameter, estimate, (low, _, high) in zip(
        fit.shape.free, fit.shape.estimate, ends, strict=True
    ):
        unit = units.get(parameter.name, 1.0)
        # A mode may lie at the end of a box, beyond which an equal-tailed interval begins.
        low, high = min(low, estimate), max(high, estimate)
        numbers = (unit * float(each) for each in (estimate, low, high))
        found.append(SharedParameter(parameter.name, *numbers))
    if fit.rates is None:
        return found
    first = next(iter(fit.rates.common))
    groups = {
        "rate ": fit.rates.common if fit.rates.kind != "rate ratio" else {},
        "rate ratio ": {f"{name} / {first}": each for name, each in fit.rates.ratios.items()},
        "dose scale ": dict(zip(names, fit.rates.factors, strict=True))
        if fit.rates.kind == "dose error"
        else {},
    }
    for head, group in groups.items():
        for name, (low, middle, high) in group.items():
            found.append(SharedParameter(head + name, middle, low, high))
    return found


def joint_kinetics(
    results: Mapping[str, DoseKinetics], fit: JointFit, units: Mapping[str, float]
) -> JointKinetics:
    """Put the results of the series together with what the joint fit found."""
    windows = [(name, window) for name, each in results.items() for window in each.window_names]
    shared = tuple(shared_numbers(fit, list(results), units))
    found = fit.agreement
    gains = dict(zip(results, (each.gain for each in fit.series), strict=True))
    return JointKinetics(
        dict(results),
        shared,
        float("nan") if found is None else found.p_value,
        {} if found is None else dict(zip(windows, found.by_curve.tolist(), strict=True)),
        {} if found is None else dict(zip(windows, found.alone.tolist(), strict=True)),
        {name: 0.0 if g is None else float(g.spread[0]) for name, g in gains.items()},
        {name: np.stack([g.gain[0], g.sd[0]]) for name, g in gains.items() if g is not None},
        {} if fit.rates is None else {fit.rates.kind: fit.rates.p_value},
    )


def joint_notes(
    fit: JointFit,
    name: str,
    windows: Mapping[str, Sequence[str]],
    units: Mapping[str, float],
) -> list[str]:
    """What has to be said of one series of a joint fit.

    Parameters
    ----------
    fit
        The joint fit.
    name
        Name of the series.
    windows
        Names of the windows of all series.
    units
        As for `shared_numbers`.
    """
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
    if fit.rates is not None and fit.rates.p_value < 0.01:
        notes.append(FALSE_RATE.format(says=SAYS[fit.rates.kind], p=fit.rates.p_value))
    if fit.agreement is not None and not fit.agreement.agrees:
        every = [f"{series}, {window}" for series, names in windows.items() for window in names]
        notes.append(
            FALSE.format(
                symbol=", ".join(symbols),
                p=fit.agreement.p_value,
                worst=every[int(np.argmin(fit.agreement.by_curve))],
            )
        )
    gain = fit.series[list(windows).index(name)].gain
    return [*notes, *([GAIN.format(percent=100 * gain.spread[0])] if gain is not None else [])]


def _log_doses(
    maps: JointMaps, place: int, uniform: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Draws of ln D½ of a window, with the shape of the law by the same uniform numbers."""
    from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

    nodes = maps.nodes
    assert nodes is not None
    value = Quantity("half_integrity_dose").evaluate(nodes.parameters, nodes.search)
    value = value.expand(nodes.weight.shape)[..., place].numpy()
    weight = nodes.weight[..., place].numpy()
    by_shape = weight.sum(axis=(0, 2))
    shape = np.searchsorted(by_shape.cumsum() / by_shape.sum(), uniform).clip(0, by_shape.size - 1)
    rows = weight.sum(axis=0).cumsum(axis=1)  # (n_shape, n_node)
    second = random.uniform(size=uniform.size) * rows[shape, -1]
    node = (rows[shape] < second[:, None]).sum(axis=1).clip(0, rows.shape[1] - 1)
    # Between nodes: draws on them alone would lie in heaps.
    step = np.gradient(value[0], axis=1) if value.shape[2] > 1 else np.zeros_like(value[0])
    jitter = random.uniform(-0.5, 0.5, uniform.size)
    found = value[0][shape, node] + jitter * step[shape, node]
    return found + np.log(maps.data.scale)


def stored_joint(
    signal: Any, read: Callable[[Any], DoseKinetics]
) -> tuple[Callable[[], JointKinetics], str | None, str]:
    """What makes the result of a signal from a file, its seal and what that should be.

    Parameters
    ----------
    signal
        What was saved.
    read
        What makes the result of one series of the signal that holds it.
    """
    node = signal.metadata.get_item(NODE)
    record = json.loads(node.record)
    gains = [np.asarray(node.arrays.get_item(f"gain_{i}")) for i in range(len(record["gained"]))]
    arrays = {f"gain_{place}": each for place, each in enumerate(gains)}

    def by_window(rows: Any) -> dict[tuple[str, str], float]:
        return {(str(series), str(window)): float(value) for series, window, value in rows}

    def make() -> JointKinetics:
        results = {
            str(name): read(node.get_item(f"series_{place}"))
            for place, name in enumerate(record["names"])
        }
        for name, each in zip(record["gained"], gains, strict=True):
            if each.shape != (2, results[name].dose.size) or not np.all(np.isfinite(each)):
                raise ValueError(f"the gain of series {name!r} does not fit its frames")
        return JointKinetics(
            results,
            tuple(
                SharedParameter(str(name), float(estimate), float(lower), float(upper))
                for name, estimate, lower, upper in record["shared"]
            ),
            float(record["p_value"]),
            by_window(record["p_by_window"]),
            by_window(record["alone"]),
            {name: float(record["gain"][name]) for name in results},
            dict(zip(record["gained"], gains, strict=True)),
            {str(name): float(p) for name, p in record.get("tests", {}).items()},
        )

    return make, node.get_item("checksum"), seal(signal, arrays, node.record)
