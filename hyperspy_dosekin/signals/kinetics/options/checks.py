# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single options of a fit, and what configurations take of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.numerics.arguments import real_numbers, short
from hyperspy_dosekin.signals.signatures import did_you_mean


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise where a value is not one of some choices."""
    if value not in choices:
        raise ValueError(
            f"{name}={value!r} is not one of {', '.join(map(repr, choices))}"
            f"{did_you_mean(value, choices)}"
        )


def checked_prior(prior: Prior | Mapping[str, Sequence[float]] | None) -> Prior | None:
    """The priors that a user described, checked."""
    if prior is None or isinstance(prior, Prior):
        return prior
    if not isinstance(prior, Mapping):
        raise TypeError(
            f'prior={short(prior)} must be {{"log_rate": (mean, standard deviation), "exponent": '
            "(mean, standard deviation)}, or None for none."
        )
    unknown = set(prior) - {entry.name for entry in fields(Prior)}
    if unknown:
        raise ValueError(
            f'prior names {sorted(unknown)}; it may have "log_rate" and "exponent", each '
            "(mean, standard deviation), or be None."
        )
    # `Prior` checks the pairs.
    return Prior(**prior)  # type: ignore[arg-type]


def checked_scale(scale: float | None) -> float | None:
    """The dose scale as a number."""
    if scale is None:
        return None
    if isinstance(scale, bool | str) or not 0 < float(scale) < float("inf"):
        raise ValueError(
            f"dose_scale={scale!r} must be a positive dose in the unit of the dose axis, or None "
            "for the largest dose."
        )
    return float(scale)


def checked_zero_error(
    error: float | Sequence[float] | None,
) -> float | tuple[float, ...] | None:
    """The standard deviation of the zero: one number, or one for each window."""
    if not isinstance(error, Sequence | np.ndarray):
        return error
    errors = real_numbers("zero_error", error, "give one for each window")
    if errors.ndim != 1 or not errors.size:
        raise ValueError(f"zero_error of shape {errors.shape} must be one number, or one a window.")
    return tuple(np.ravel(errors).tolist())


def values_for(config: type, options: Any) -> dict[str, Any]:
    """What the options have a value for among the fields of a configuration.

    The offset is left out: it goes beside a configuration, pixel by pixel.
    """
    names = {entry.name for entry in fields(options)} - {"offset"}
    return {e.name: getattr(options, e.name) for e in fields(config) if e.name in names}
