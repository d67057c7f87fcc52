# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quantities for which intervals are given, as functions of rate and exponent."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hyperspy_dosekin.kinetics.model.objective import log_scale_derivatives

from .rows import log_dose_at

NAMES = ("rate", "exponent", "half_integrity_dose", "dose_at", "integrity")


@dataclass(frozen=True)
class Quantity:
    """One quantity to give an interval for.

    Parameters
    ----------
    name
        ``"rate"`` (k per normalised dose), ``"exponent"`` (p), ``"half_integrity_dose"``,
        ``"dose_at"`` (both in normalised dose) or ``"integrity"`` (C).
    dose_level
        Integrity in (0, 1) at which ``"dose_at"`` is asked for.
    normalised_dose
        Normalised doses at which ``"integrity"`` is asked for.

    Raises
    ------
    ValueError
        If the name is unknown, or what it needs is missing or out of range.
    """

    name: str
    dose_level: float | None = None
    normalised_dose: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"quantity {self.name!r} is not one of {NAMES}.")
        if self.name == "half_integrity_dose":
            object.__setattr__(self, "dose_level", 0.5)
        if self.name == "dose_at" and (self.dose_level is None or not 0 < self.dose_level < 1):
            raise ValueError(
                f"dose_level={self.dose_level!r} must be an integrity between 0 and 1, "
                "for instance 0.5 or 1/e."
            )
        if self.name == "integrity":
            doses = tuple(float(dose) for dose in self.normalised_dose)
            if not doses or not all(0 <= dose < float("inf") for dose in doses):
                raise ValueError(
                    f"normalised_dose={self.normalised_dose!r} must name at least one dose, none "
                    "negative, in units of the largest dose."
                )
            object.__setattr__(self, "normalised_dose", doses)

    @property
    def varies_with_rate(self) -> bool:
        """Whether the value depends on k, and not on p alone."""
        return self.name != "exponent"

    @property
    def n_value(self) -> int:
        """Values per window: the doses of an integrity, 1 otherwise."""
        return len(self.normalised_dose) if self.name == "integrity" else 1

    def evaluate(self, log_rate: Tensor, exponent: Tensor, place: int = 0) -> Tensor:
        """Value on nodes of (ln k, p), of their broadcast shape; doses and rates as logarithms.

        Parameters
        ----------
        log_rate, exponent
            Nodes, at least two axes.
        place
            Which of the doses of an integrity.
        """
        if self.name == "rate":
            return log_rate.expand((log_rate + exponent).shape)
        if self.name == "exponent":
            return exponent.expand((log_rate + exponent).shape)
        if self.name == "integrity":
            dose = log_rate.new_tensor(self.normalised_dose[place])
            return log_scale_derivatives(dose, log_rate, exponent, by_exponent=False)[0]
        assert self.dose_level is not None
        return log_dose_at(log_rate, exponent, self.dose_level)

    def finish(self, value: Tensor) -> Tensor:
        """Back from the logarithm."""
        return value if self.name in ("exponent", "integrity") else value.exp()


def check_level(level: float) -> None:
    """Raise unless a level of confidence lies between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level {level!r} must lie between 0 and 1, for instance 0.95.")
