# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill the pictures that the plotting room draws from a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting.kinetics.pictures import (
    AblationPicture,
    CurvePicture,
    DiagnosticsPicture,
    Estimate,
    MapPicture,
    ParameterPicture,
)
from hyperspy_dosekin.signals.kinetics.law_names import SYMBOLS
from hyperspy_dosekin.signals.kinetics.notes import has_energy_windows

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.signals.kinetics.result import DoseKinetics

#: Doses at which curves are drawn.
CURVE_POINTS = 301


def _array(signal) -> np.ndarray:
    return np.asarray(signal.data, dtype=float)


def _require_curves(result: DoseKinetics) -> None:
    if result.space_shape:
        raise ValueError(
            f"curves of {'×'.join(map(str, result.space_shape))} pixels cannot be drawn in one "
            "figure; look at the maps with result.half_integrity_dose.plot(), or fit the mean "
            'with spatial="mean".'
        )


def curve_picture(result: DoseKinetics, extent: float = 1.0) -> CurvePicture:
    """Data, fit and integrity against dose, drawn to `extent` times the largest dose."""
    _require_curves(result)
    grid = np.linspace(0.0, extent * result.dose_max, CURVE_POINTS)
    intensity, integrity = result.estimate.intensity(grid), result.estimate.integrity(grid)
    several = len(result.estimate.labels) > 1
    bounds = {}
    if result.has_intervals:
        lower, upper = result.interval("half_integrity_dose")
        bounds = {"half_dose_lower": _array(lower), "half_dose_upper": _array(upper)}
        ends = result.integrity_interval(grid)
        bounds |= {"integrity_lower": ends[0], "integrity_upper": ends[1]}
        bounds["identifiable"] = result.identifiable.data
    data = result.data
    variance = data.get_noise_variance()
    return CurvePicture(
        energy_windows=has_energy_windows(result),
        window_names=result.window_names,
        dose=result.dose,
        values=_array(data),
        sigma=None if variance is None else np.sqrt(np.maximum(_array(variance), 0.0)),
        grid=grid,
        fitted=intensity.mean(axis=0),
        fitted_spread=intensity.std(axis=0, ddof=1) if several else None,
        integrity=integrity.mean(axis=0),
        integrity_spread=integrity.std(axis=0, ddof=1) if several else None,
        half_dose=_array(result.half_integrity_dose),
        reached=result.reached.data,
        grows=result.amplitude.data < 0,
        quantity=data.metadata.Signal.quantity,
        **bounds,
    )


def map_picture(result: DoseKinetics, windows: Sequence[str] | None) -> MapPicture:
    """D½ of some windows in every pixel, with its interval and flags."""
    names = result.window_names if windows is None else _window_list(windows)
    unknown = [name for name in names if name not in result.window_names]
    if unknown or not names:
        raise ValueError(
            f"windows={unknown or windows!r} must be some of {', '.join(result.window_names)}."
        )
    if not 1 <= len(result.space_shape) <= 2:
        raise ValueError(
            f"maps need one or two space axes, and this result has {len(result.space_shape)}; "
            "draw its curves with plot(), or take a slice of the data first."
        )
    chosen = [result.window_names.index(name) for name in names]

    def rows(signal: BaseSignal) -> np.ndarray:
        array = np.asarray(signal.data)[chosen]
        return array.reshape(len(chosen), -1, array.shape[-1])

    result.compute()
    known = {}
    if result.has_intervals:
        lower, upper = result.interval("half_integrity_dose")
        known = {
            "identifiable": rows(result.identifiable),
            "lower": rows(lower),
            "upper": rows(upper),
        }
    half = result.half_integrity_dose
    axis = half.axes_manager.signal_axes[0]
    units = axis.units if isinstance(axis.units, str) else ""
    return MapPicture(
        energy_windows=has_energy_windows(result),
        window_names=tuple(names),
        half_dose=rows(half),
        reached=rows(result.reached),
        fitted=~rows(result.not_fitted),
        pixel_size=float(axis.scale) if axis.is_uniform and units else None,
        units=units,
        **known,
    )


def _window_list(windows: Any) -> tuple[str, ...]:
    return (windows,) if isinstance(windows, str) else tuple(windows)


def parameter_picture(result: DoseKinetics) -> ParameterPicture:
    """The parameters of the law and D½ of every window."""
    _require_curves(result)
    spread = result.optimiser_spread

    def estimate(name: str, signal: BaseSignal) -> Estimate:
        lower, upper = result.interval(name) if result.has_intervals else (None, None)
        return Estimate(
            value=_array(signal),
            spread=_array(spread[name]) if name in spread else None,
            lower=None if lower is None else _array(lower),
            upper=None if upper is None else _array(upper),
        )

    estimates = {name: estimate(name, signal) for name, signal in result.parameters.items()}
    return ParameterPicture(
        energy_windows=has_energy_windows(result),
        window_names=result.window_names,
        rate=estimates.pop("rate", None),
        exponent=estimates.pop("exponent", None),
        others={SYMBOLS.get(name, name): found for name, found in estimates.items()},
        half_dose=estimate("half_integrity_dose", result.half_integrity_dose),
        reached=result.reached.data,
        dose_max=result.dose_max,
        identifiable=result.identifiable.data if result.has_intervals else None,
        grows=result.amplitude.data < 0,
    )


def diagnostics_picture(result: DoseKinetics) -> DiagnosticsPicture:
    """Residuals in standard scores, loss terms and learning rate of a network fit."""
    network = result.network
    residual = (_array(result.fitted) - _array(result.data)) / network.score.spread[:, np.newaxis]
    history = network.history
    with np.errstate(invalid="ignore"):
        total = np.sqrt(np.nansum(residual**2, axis=0) / np.isfinite(residual).sum(axis=0))
    return DiagnosticsPicture(
        energy_windows=has_energy_windows(result),
        window_names=result.window_names,
        dose=result.dose,
        residual=residual,
        total_rms=total,
        iteration=history.iteration,
        learning_rate=history.learning_rate,
        terms=history.terms,
        n_adam=history.n_adam,
        member_labels=result.estimate.labels,
    )


def ablation_picture(result: DoseKinetics, extent: float, iterations: int) -> AblationPicture:
    """The fit, a cubic polynomial and a network without physics, continued beyond the data."""
    from hyperspy_dosekin.kinetics.network.ablation import cubic_polynomial, unconstrained_network

    if not extent >= 1:
        raise ValueError(f"extent={extent} must be at least 1, the largest measured dose.")
    grid = np.linspace(0.0, extent * result.dose_max, CURVE_POINTS)
    network = result.network
    data = result.data
    variance = data.get_noise_variance()
    return AblationPicture(
        energy_windows=has_energy_windows(result),
        window_names=result.window_names,
        dose=result.dose,
        values=_array(data),
        sigma=None if variance is None else np.sqrt(np.maximum(_array(variance), 0.0)),
        grid=grid,
        curves={
            "kinetic law (PINN)": result.estimate.intensity(grid).mean(axis=0),
            "cubic polynomial": cubic_polynomial(network.problem, grid),
            "network without physics": unconstrained_network(network, grid, iterations=iterations),
        },
        quantity=data.metadata.Signal.quantity,
    )
