# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws in other parameters, in which several curves may have one of them in common.

Torch is imported when a law is evaluated, not with this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .closed_form import ClosedForm
from .closed_forms import RATE, wanted_of
from .parameter import LawParameter
from .rate_laws import Reversible

if TYPE_CHECKING:
    from torch import Tensor

#: Names of the parameters that these laws have beside those of the law itself.
PRE_EXPOSURE, RECOVERY_RATE = "pre_exposure", "recovery_rate"
# Standard deviations of a pre-exposure that its box reaches.
_REACH = 5.0


class PreExposed(ClosedForm):
    """A law of curves that had a dose before the first frame which nobody has recorded.

    Parameters
    ----------
    law
        The law, with a closed form.
    spread
        Standard deviation of the dose before, normalised.
    lowest
        The least that it can be, normalised and not positive: minus what was recorded of it.

    Examples
    --------
    >>> import torch
    >>> from hyperspy_dosekin.kinetics import kinetic_law
    >>> law = PreExposed(kinetic_law("first order"), 0.1, 0.0)
    >>> at = {"rate": torch.tensor(2.0), "pre_exposure": torch.tensor(0.5)}
    >>> round(law.solution(torch.tensor([0.0]), at).item(), 4)
    0.3679
    """

    def __init__(self, law: ClosedForm, spread: float, lowest: float) -> None:
        self.law = law
        self.name = law.name
        upper = max(_REACH * spread, 1e-9)
        before = LawParameter(
            PRE_EXPOSURE, min(lowest, 0.0), upper, min(0.5 * spread, upper), known=(0.0, spread)
        )
        self.parameters = (*law.parameters, before)

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """That of the law at the dose with what came before."""
        return self.law.rate(integrity, parameters, dose + parameters[PRE_EXPOSURE])

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """That of the law at the dose with what came before."""
        at, inner = dose + search[-1], list(slopes[:-1])
        integrity, found = self.law.curve(at, search[:-1], slopes=inner)
        by_dose = None
        if any(slopes[-1:]):
            pairs = zip(self.law.parameters, search, strict=False)
            by_dose = self.law.rate(integrity, {p.name: p.from_search(row) for p, row in pairs}, at)
        # A law says nothing where no slope is wanted.
        return integrity, wanted_of(slopes, *(found or [None] * len(inner)), by_dose)

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """That of the law, counted from the beginning."""
        return self.law.dose_at(level, parameters)


class RecoveryRate(ClosedForm):
    """`Reversible` in its rate of recovery in time instead of that over the rate of decay.

    The parameter is r/J₀, per normalised dose, J₀ a reference dose rate: it is the same for windows
    that decay at other rates, and for series at other dose rates.

    Parameters
    ----------
    ratio
        Reference dose rate over that of the series.

    Examples
    --------
    >>> import torch
    >>> at = {"rate": torch.tensor(20.0), "recovery_rate": torch.tensor(5.0)}
    >>> round(RecoveryRate().solution(torch.tensor([1.0]), at).item(), 4)
    0.2
    """

    name = "reversible"
    parameters = (RATE, LawParameter(RECOVERY_RATE, 0.001, 100.0, 0.2, logarithmic=True))
    has_plateau = True
    needs_dose_rate = True

    def __init__(self, ratio: float = 1.0) -> None:
        self.law = Reversible(ratio)

    def _values(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rate = parameters["rate"]
        return {"rate": rate, "recovery": parameters[RECOVERY_RATE] / rate}

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k C − r/J (1 − C)``."""
        return self.law.rate(integrity, self._values(parameters), dose)

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """That of `Reversible`."""
        inner = [search[0], search[1] - search[0]]
        integrity, found = self.law.curve(dose, inner, slopes=[any(slopes)] * 2)
        if not any(slopes):
            return integrity, []
        by_rate, by_share = found
        assert by_rate is not None
        assert by_share is not None
        return integrity, wanted_of(slopes, by_rate - by_share, by_share)

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """That of `Reversible`."""
        return self.law.dose_at(level, self._values(parameters))
