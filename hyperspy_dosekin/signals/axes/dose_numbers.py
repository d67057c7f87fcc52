# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of an exposure: checked, questioned where no microscope has them, and as text."""

from __future__ import annotations

import warnings

import numpy as np

from hyperspy_dosekin.numerics.arguments import short

ELEMENTARY_CHARGE_C = 1.602176634e-19
A2_PER_NM2 = 100.0
#: Beam currents on the specimen are picoamperes to some hundred nanoamperes.
LARGEST_CURRENT_A = 1e-6
#: Less than this is 6 000 electrons a second: a number in A where one in nA is expected.
LEAST_CURRENT_A = 1e-15
#: Dose rates of microscopes in e⁻/Å²/s, from low-dose imaging to a focused probe.
RATES_E_PER_A2_S = (1e-6, 1e10)


def question_current(current: np.ndarray, where: str | None) -> None:
    """Warn of a current that no microscope has, and may be in another unit."""
    value = float(current[0])
    if current.min() >= LEAST_CURRENT_A and current.max() <= LARGEST_CURRENT_A:
        return
    if where is not None:
        text = (
            f"{where} gives a beam current of {value:g} A, which no probe has; it may be in "
            "another unit than nA. Pass beam_current= in A."
        )
    elif value > LARGEST_CURRENT_A:
        text = (
            f"beam_current={shown(current)} is taken in A, and no transmission electron "
            f"microscope has more than {LARGEST_CURRENT_A:g} A in its probe; if it is in nA, pass "
            f"beam_current={value * 1e-9:g}, if in pA, {value * 1e-12:g}."
        )
    else:
        text = (
            f"beam_current={shown(current)} is taken in A, which is less than "
            f"{LEAST_CURRENT_A / ELEMENTARY_CHARGE_C:.0f} electrons a second; check its unit."
        )
    warnings.warn(text, UserWarning, stacklevel=7)


def question_rate(rate: np.ndarray, where: str) -> None:
    """Warn of dose rates that no microscope has."""
    low, high = RATES_E_PER_A2_S
    if rate.min() < low or rate.max() > high:
        warnings.warn(
            f"{where} gives a dose rate of {shown(rate)} e⁻/Å²/s, which no microscope has; "
            "pass dose_rate= in e⁻/Å²/s.",
            UserWarning,
            stacklevel=7,
        )


def per_frame(
    name: str, value: object, n_frame: int, units: str, *, zero_allowed: bool = False
) -> np.ndarray:
    """Return one number for each frame; a single number stands for all, except for doses."""
    ndim = (1,) if name == "dose" and n_frame != 1 else (0, 1)
    numbers = _checked(name, value, units, zero_allowed=zero_allowed, ndim=ndim)
    if numbers.ndim and numbers.size != n_frame:
        raise ValueError(
            f"{name}= holds {numbers.size} value(s), but the axis has {n_frame} frame(s); "
            "give one for each frame, or choose another axis with axis=…."
        )
    return np.broadcast_to(numbers, (n_frame,)).copy()


def one_number(name: str, value: object, units: str, *, zero_allowed: bool = False) -> float:
    """Return one positive number, checked as `per_frame` does."""
    return float(_checked(name, value, units, zero_allowed=zero_allowed, ndim=(0,)))


def _checked(
    name: str, value: object, units: str, *, zero_allowed: bool, ndim: tuple[int, ...]
) -> np.ndarray:
    try:
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "iuf":
            raise TypeError
        numbers = numbers.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name}={short(value)} is not numeric; give it in {units}.") from None
    if numbers.ndim not in ndim:
        shape = "one number" if ndim == (0,) else "a list with one number for each frame"
        raise ValueError(f"{name}= has the shape {numbers.shape}; give {shape}, in {units}.")
    wrong = ~np.isfinite(numbers) | (numbers < 0 if zero_allowed else numbers <= 0)
    if np.any(wrong):
        constraint = "not negative" if zero_allowed else "positive"
        raise ValueError(
            f"{name}= contains {listed(numbers[wrong])}, but must be finite and {constraint}; "
            f"correct it (in {units})."
        )
    return numbers


def shown(values: np.ndarray) -> str:
    """Return as text a number that is the same for all frames, or the smallest and the largest."""
    low, high = f"{values.min():.4g}", f"{values.max():.4g}"
    return low if low == high else f"{low} … {high}"


def compact(values: np.ndarray) -> float | list[float]:
    """Return one number where all frames have the same."""
    return float(values[0]) if np.ptp(values) == 0 else values.tolist()


def listed(values: np.ndarray, limit: int = 10) -> str:
    """Return numbers as text, the first few of them."""
    values = np.atleast_1d(values)
    text = ", ".join(f"{value:g}" for value in values[:limit])
    return text if values.size <= limit else f"{text}, … ({values.size} in all)"
