# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quantities for which intervals are given, as functions of the parameters of a law."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.parameter import search_to_free
from hyperspy_dosekin.kinetics.laws.solution import curve, dose_at_level, streams
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.numerics.arguments import real_number

#: Quantities that every law has beside its parameters.
DERIVED = ("half_integrity_dose", "dose_at", "integrity")
_CURVES = ("integrity", "intensity")

#: Values that one integration gives at most, of nodes times doses; 8 bytes each.
_MOST_VALUES = 2**22


@dataclass(frozen=True)
class Quantity:
    """One quantity to give an interval for.

    Parameters
    ----------
    name
        A parameter of the law (rates are per normalised dose), ``"half_integrity_dose"``,
        ``"dose_at"`` (both in normalised dose), ``"integrity"`` (C) or ``"intensity"`` (a·C + b),
        which only `interval_block` gives.
    dose_level
        Integrity in (0, 1) at which ``"dose_at"`` is asked for.
    normalised_dose
        Normalised doses at which ``"integrity"`` or ``"intensity"`` is asked for.

    Raises
    ------
    ValueError
        If what it needs is missing or out of range.
    """

    name: str
    dose_level: float | None = None
    normalised_dose: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.name == "half_integrity_dose":
            object.__setattr__(self, "dose_level", 0.5)
        if self.name == "dose_at" and (self.dose_level is None or not 0 < self.dose_level < 1):
            raise ValueError(
                f"dose_level={self.dose_level!r} must be an integrity between 0 and 1, "
                "for instance 0.5 or 1/e."
            )
        if self.name in _CURVES:
            doses = tuple(float(dose) for dose in self.normalised_dose)
            if not doses or not all(0 <= dose < float("inf") for dose in doses):
                raise ValueError(
                    f"normalised_dose={self.normalised_dose!r} must name at least one dose, none "
                    "negative, in units of the dose scale."
                )
            object.__setattr__(self, "normalised_dose", doses)

    @property
    def n_value(self) -> int:
        """Values per window: the doses of a curve, 1 otherwise."""
        return len(self.normalised_dose) if self.name in _CURVES else 1

    def is_logarithmic(self, parameters: Parameters) -> bool:
        """Whether `evaluate` gives logarithms."""
        if self.name in DERIVED:
            return self.name != "integrity"
        return any(p.name == self.name and p.logarithmic for p in parameters.law.parameters)

    def evaluate(self, parameters: Parameters, search: Sequence[Tensor], place: int = 0) -> Tensor:
        """Value at nodes of free parameters; doses and logarithmic parameters as logarithms.

        Parameters
        ----------
        parameters, search
            The law, and its free parameters on their scale of search, which broadcast.
        place
            Which of the doses of an integrity.

        Raises
        ------
        ValueError
            If the law has no such quantity.
        """
        law = parameters.law
        if self.name == "integrity":
            dose = search[0].new_tensor([self.normalised_dose[place]])
            dose = dose.reshape(-1, *[1] * search[0].ndim)
            return curve(law, dose, parameters.complete(search))[0][0]
        if self.name in DERIVED:
            assert self.dose_level is not None
            if law.scales and parameters.free[0].name == "rate":
                # A function of the shapes alone, which rows of them share, less ln k.
                unit = [search[0].new_zeros(()), *search[1:]]
                values = parameters.each_value(unit)
                return dose_at_level(law, values, self.dose_level).log() - search[0]
            return dose_at_level(law, parameters.each_value(search), self.dose_level).log()
        names = [parameter.name for parameter in law.parameters]
        if self.name not in names:
            raise ValueError(f"quantity {self.name!r} is not one of {(*names, *DERIVED)}.")
        at = names.index(self.name)
        whole = parameters.complete(search)
        # That of a row is there once.
        found = whole[at] if whole[at].ndim else torch.broadcast_tensors(*whole)[at]
        return search_to_free(law.parameters[at], found)

    def evaluate_all(self, parameters: Parameters, search: Sequence[Tensor]) -> Iterator[Tensor]:
        """Give what `evaluate` gives for each of the doses of an integrity, in their order.

        A law that is integrated is so along many doses at once: to begin anew for each would take
        as long as the number of doses.

        Parameters
        ----------
        parameters, search
            As for `evaluate`.
        """
        law = parameters.law
        if self.n_value == 1 or streams(law) or law.scales:
            for place in range(self.n_value):
                yield self.evaluate(parameters, search, place)
            return
        complete = parameters.complete(search)
        number = max(1, _MOST_VALUES // max(torch.broadcast_tensors(*complete)[0].numel(), 1))
        for begin in range(0, self.n_value, number):
            doses = search[0].new_tensor(self.normalised_dose[begin : begin + number])
            ascending, order = doses.sort()
            ascending = ascending.reshape(-1, *[1] * search[0].ndim)
            yield from curve(law, ascending, complete)[0][order.argsort()].unbind(0)

    def finish(self, parameters: Parameters, value: Tensor) -> Tensor:
        """Back from the logarithm."""
        return value.exp() if self.is_logarithmic(parameters) else value


def check_level(level: float) -> None:
    """Raise unless a level of confidence lies between 0 and 1."""
    real_number("level", level, "give a probability, for instance 0.95", above=0.0, below=1.0)
