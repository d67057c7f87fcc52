# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill the pictures that the plotting room draws from a numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.block import LEVEL
from hyperspy_dosekin.numerics.arguments import real_number
from hyperspy_dosekin.plotting.kinetics.pictures.ablation import AblationPicture
from hyperspy_dosekin.plotting.kinetics.pictures.curves import CurvePicture
from hyperspy_dosekin.plotting.kinetics.pictures.diagnostics import DiagnosticsPicture
from hyperspy_dosekin.plotting.kinetics.pictures.maps import MapPicture
from hyperspy_dosekin.plotting.kinetics.pictures.parameters import Estimate, ParameterPicture
from hyperspy_dosekin.signals.kinetics.options.law_names import SYMBOLS

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers

#: Doses at which curves are drawn.
CURVE_POINTS = 301
#: Doses at which its intervals are computed, closer together where curves begin.
BAND_POINTS = 61
#: Doses at which the distance from the law is drawn.
RESIDUAL_POINTS = 201


def _common(numbers: KineticsNumbers) -> dict[str, Any]:
    """What all pictures have."""
    return {
        "window_names": numbers.window_names,
        "dose_unit": numbers.dose_unit,
        "energy_windows": numbers.windows is not None,
    }


def _measured(numbers: KineticsNumbers) -> dict[str, Any]:
    """Data with their noise."""
    data = numbers.data
    variance = None if data.variance is None else np.asarray(data.variance, dtype=float)
    return {
        "dose": data.dose,
        "values": np.asarray(data.values, dtype=float),
        "sigma": None if variance is None else np.sqrt(np.maximum(variance, 0.0)),
        "quantity": data.quantity,
    }


def _require_curves(numbers: KineticsNumbers) -> None:
    if numbers.space_shape:
        raise ValueError(
            f"curves of {'×'.join(map(str, numbers.space_shape))} pixels cannot be drawn in one "
            "figure; look at the maps with result.half_integrity_dose.plot(), or fit the mean "
            'with spatial="mean".'
        )


_EXTENT = "give a multiple of the largest measured dose, such as 1.5"


def curve_picture(
    numbers: KineticsNumbers, extent: float = 1.0, *, with_band: bool = True
) -> CurvePicture:
    """Data, fit and integrity against dose, drawn to `extent` times the largest dose.

    The intervals of the integrity, `with_band`, take longer than everything else.
    """
    extent = real_number("extent", extent, _EXTENT, above=0.0, most=1e6)
    _require_curves(numbers)
    grid = np.linspace(0.0, extent * numbers.dose_max, CURVE_POINTS)
    estimate = numbers.estimate
    intensity, integrity = map(np.asarray, (estimate.intensity(grid), estimate.integrity(grid)))
    several = len(estimate.labels) > 1
    bounds: dict[str, Any] = {}
    if numbers.has_intervals:
        lower, upper = numbers.interval("half_integrity_dose")
        bounds = {"half_dose_lower": lower, "half_dose_upper": upper}
        if with_band:
            ends = _band(numbers, grid)
            bounds |= {"integrity_lower": ends[0], "integrity_upper": ends[1]}
        bounds["identifiable"] = numbers.map("identifiable")
    return CurvePicture(
        **_common(numbers),
        **_measured(numbers),
        shared=numbers.likely_shared,
        grid=grid,
        fitted=intensity.mean(axis=0),
        fitted_spread=intensity.std(axis=0, ddof=1) if several else None,
        integrity=integrity.mean(axis=0),
        integrity_spread=integrity.std(axis=0, ddof=1) if several else None,
        half_dose=numbers.map("half_integrity_dose"),
        reached=numbers.map("reached"),
        adequate=numbers.map("adequate"),
        grows=numbers.growth > 0.5 + 0.5 * LEVEL,
        **bounds,
    )


def _band(numbers: KineticsNumbers, grid: np.ndarray) -> list[np.ndarray]:
    """Ends of the intervals of the integrity on a grid, straight between fewer doses."""
    dose = grid[-1] * np.linspace(0.0, 1.0, BAND_POINTS) ** 2
    ends = numbers.integrity_interval(dose)
    return [np.array([np.interp(grid, dose, row) for row in end]) for end in ends]


def map_picture(numbers: KineticsNumbers, windows: Sequence[str] | None) -> MapPicture:
    """D½ of some windows in every pixel, with its interval and flags."""
    names = numbers.window_names if windows is None else _window_list(windows)
    unknown = [name for name in names if name not in numbers.window_names]
    if unknown or not names:
        raise ValueError(
            f"windows={unknown or windows!r} must be some of {', '.join(numbers.window_names)}."
        )
    if not 1 <= len(numbers.space_shape) <= 2:
        raise ValueError(
            f"maps need one or two space axes, and this result has {len(numbers.space_shape)}; "
            "draw its curves with plot(), or take a slice of the data first."
        )
    chosen = [numbers.window_names.index(name) for name in names]

    def rows(name_or_array: Any) -> np.ndarray:
        if isinstance(name_or_array, str):
            name_or_array = numbers.map(name_or_array)
        array = np.asarray(name_or_array)[chosen]
        return array.reshape(len(chosen), -1, array.shape[-1])

    numbers = numbers.computed()
    known: dict[str, Any] = {}
    if numbers.has_intervals:
        lower, upper = numbers.interval("half_integrity_dose")
        known = {
            "identifiable": rows("identifiable") & rows("adequate"),
            "lower": rows(lower),
            "upper": rows(upper),
        }
    # HyperSpy's first signal axis is the last of the array.
    axis = numbers.data.space_axes[-1]
    units = axis.get("units")
    units = units if isinstance(units, str) else ""
    return MapPicture(
        **{**_common(numbers), "window_names": tuple(names)},
        half_dose=rows("half_integrity_dose"),
        reached=rows("reached"),
        fitted=~rows("not_fitted"),
        pixel_size=float(axis["scale"]) if units and "scale" in axis else None,
        units=units,
        **known,
    )


def _window_list(windows: Any) -> tuple[str, ...]:
    return (windows,) if isinstance(windows, str) else tuple(windows)


def parameter_picture(numbers: KineticsNumbers) -> ParameterPicture:
    """The parameters of the law and D½ of every window."""
    _require_curves(numbers)
    spread = numbers.spread_of_maps

    def estimate(name: str) -> Estimate:
        lower, upper = numbers.interval(name) if numbers.has_intervals else (None, None)
        return Estimate(value=numbers.map(name), spread=spread.get(name), lower=lower, upper=upper)

    estimates = {name: estimate(name) for name in numbers.parameter_names}
    return ParameterPicture(
        **_common(numbers),
        rate=estimates.pop("rate", None),
        exponent=estimates.pop("exponent", None),
        others={SYMBOLS.get(name, name): found for name, found in estimates.items()},
        half_dose=estimate("half_integrity_dose"),
        reached=numbers.map("reached"),
        dose_max=numbers.dose_max,
        identifiable=numbers.map("identifiable") if numbers.has_intervals else None,
        adequate=numbers.map("adequate"),
        grows=numbers.growth > 0.5 + 0.5 * LEVEL,
    )


def diagnostics_picture(numbers: KineticsNumbers) -> DiagnosticsPicture:
    """Distance of the networks from the law, loss terms and learning rate."""
    network = numbers.some_network()
    normalised = np.linspace(0.0, 1.0, min(network.config.collocation, RESIDUAL_POINTS))
    residual = network.physics_residual(normalised).mean(axis=0)
    residual = residual if numbers.shown is None else residual[list(numbers.shown)]
    history = network.history
    return DiagnosticsPicture(
        **_common(numbers),
        dose=normalised * numbers.dose_max,
        residual=residual,
        total_rms=np.sqrt(np.mean(residual**2, axis=0)),
        iteration=history.iteration,
        learning_rate=history.learning_rate,
        terms=history.terms,
        n_adam=history.n_adam,
        member_labels=numbers.estimate.labels,
    )


def ablation_picture(numbers: KineticsNumbers, extent: float, iterations: int) -> AblationPicture:
    """The fit, a cubic polynomial and a network without physics, continued beyond the data."""
    from hyperspy_dosekin.kinetics.network.ablation import (
        cubic_polynomial,
        law_residual,
        r_squared,
        unconstrained_network,
    )

    extent = real_number("extent", extent, _EXTENT, least=1.0, most=1e6)
    network = numbers.required_network()
    inside = np.linspace(0.0, numbers.dose_max, RESIDUAL_POINTS)
    beyond = np.linspace(0.0, extent * numbers.dose_max, CURVE_POINTS)
    # Together, so that the network without physics is trained once.
    asked = np.concatenate([beyond, inside, numbers.dose])
    curves = {
        "kinetic law (PINN)": _whole_intensity(network, asked),
        "cubic polynomial": cubic_polynomial(network.problem, asked),
        "network without physics": unconstrained_network(network, asked, iterations=iterations),
    }
    shown = slice(None) if numbers.shown is None else list(numbers.shown)
    ends = np.cumsum([beyond.size, inside.size])
    parts = {name: np.split(curve, ends, axis=1) for name, curve in curves.items()}
    residuals = {
        name: law_residual(network, each[1], inside)[shown] for name, each in parts.items()
    }
    # The network knows its own derivative.
    residuals["kinetic law (PINN)"] = network.physics_residual(inside / numbers.dose_max).mean(
        axis=0
    )[shown]
    return AblationPicture(
        **_common(numbers),
        **_measured(numbers),
        grid=beyond,
        curves={name: each[0][shown] for name, each in parts.items()},
        residual_dose=inside,
        residuals=residuals,
        r_squared={
            name: r_squared(network.problem, each[2])[shown] for name, each in parts.items()
        },
    )


def _whole_intensity(network: NetworkFit, dose: np.ndarray) -> np.ndarray:
    """Mean intensity of the networks in all windows, at doses in any order."""
    each = network.amplitude[..., None] * network.integrity(dose) + network.offset[..., None]
    return each.mean(axis=0)
