# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a joint fit of several series found: results, what they share, and ratios of doses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.signals.kinetics.numbers.joint_maps import JointMaps

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.joint.fit import JointFit
    from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics

#: Probabilities of the ends of intervals and of the middle.
ENDS = (0.025, 0.5, 0.975)


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
class JointNumbers:
    """The numbers of a joint fit; see `JointKinetics`."""

    results: Mapping[str, DoseKinetics]
    shared: tuple[SharedParameter, ...]
    p_value: float
    p_by_window: Mapping[tuple[str, str], float]
    alone: Mapping[tuple[str, str], float]
    gain: Mapping[str, float]
    gain_by_frame: Mapping[str, np.ndarray]
    tests: Mapping[str, float] = field(default_factory=dict)
    alone_interval: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether nothing speaks against what was shared (p of 0.05 or more)."""
        from hyperspy_dosekin.kinetics.joint.agreement import SMALLEST_P

        return not any(p < SMALLEST_P for p in (self.p_value, *self.tests.values()))


def shared_numbers(
    fit: JointFit, names: Sequence[str], units: Mapping[str, float]
) -> list[SharedParameter]:
    """What was found of everything that is shared, as `SharedParameter`.

    Parameters
    ----------
    names
        Names of the series.
    units
        What a shared parameter is in units of, where that is not its own, by name.
    """
    ends = fit.shape.quantiles(ENDS)
    found = []
    for parameter, estimate, (low, _, high) in zip(
        fit.shape.free, fit.shape.estimate, ends, strict=True
    ):
        unit = units.get(parameter.name, 1.0)
        # A mode may lie at the end of a box, beyond which an equal-tailed interval begins.
        low, high = min(low, estimate), max(high, estimate)
        numbers = (unit * float(each) for each in (estimate, low, high))
        found.append(SharedParameter(parameter.name, *numbers))
    if fit.ratios is not None:
        for name, (low, middle, high) in fit.ratios.ratios.items():
            found.append(SharedParameter(f"offset ratio {name}", middle, low, high))
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


def joint_numbers(
    results: Mapping[str, DoseKinetics], fit: JointFit, units: Mapping[str, float]
) -> JointNumbers:
    """Put the results of the series together with what the joint fit found.

    Parameters
    ----------
    results
        By name of the series.
    units
        As for `shared_numbers`.
    """
    windows = [(name, window) for name, each in results.items() for window in each.window_names]
    shared = tuple(shared_numbers(fit, list(results), units))
    found = fit.agreement
    tests = {} if fit.rates is None else {fit.rates.kind: fit.rates.p_value}
    if fit.ratios is not None:
        tests |= {f"offset ratio {name}": p for name, p in fit.ratios.p_values.items()}
    gains = dict(zip(results, (each.gain for each in fit.series), strict=True))
    return JointNumbers(
        dict(results),
        shared,
        float("nan") if found is None else found.p_value,
        {} if found is None else dict(zip(windows, found.by_curve.tolist(), strict=True)),
        {} if found is None else dict(zip(windows, found.alone.tolist(), strict=True)),
        {name: 0.0 if g is None else float(g.spread[0]) for name, g in gains.items()},
        {name: np.stack([g.gain[0], g.sd[0]]) for name, g in gains.items() if g is not None},
        tests,
        {}
        if found is None
        else dict(zip(windows, zip(*found.ends.tolist(), strict=True), strict=True)),
    )


def log_doses(
    maps: JointMaps, place: int, uniform: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Draws of ln D½ of a window, with the shape of the law by the same uniform numbers.

    Parameters
    ----------
    maps
        Numbers of its series.
    place
        Place of the window among those of the series.
    uniform
        Numbers between 0 and 1 that say which shape each draw has.
    random
        Generator of the rest.
    """
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
