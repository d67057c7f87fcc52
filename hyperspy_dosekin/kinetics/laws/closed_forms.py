# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws with a closed form.

Torch is imported when a law is evaluated, not with this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw, LawParameter

if TYPE_CHECKING:
    from torch import Tensor


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    """``base^exponent``, 0 for base ≤ 0, with a finite gradient there (p < 1 would give inf)."""
    import torch

    safe = base.clamp(min=torch.finfo(base.dtype).tiny)
    return torch.where(base > 0, safe**exponent, torch.zeros_like(base))


_RATE = LawParameter("rate", 1e-2, 20.0, 1.0, logarithmic=True)
_EXPONENT = LawParameter("exponent", 0.1, 5.0, 1.0)


class PowerLaw(KineticLaw):
    """``dC/dφ = −k C^p`` (arXiv:2605.01697); parameters ``rate`` (k) and ``exponent`` (p).

    Examples
    --------
    >>> import torch
    >>> at = {"rate": torch.tensor(2.0), "exponent": torch.tensor(0.5)}
    >>> PowerLaw().solution(torch.tensor([0.0, 0.5, 1.0]), at).tolist()
    [1.0, 0.25, 0.0]
    """

    name = "power law"
    parameters = (_RATE, _EXPONENT)
    has_exact_solution = True

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k C^p``; 0 at C = 0."""
        return parameters["rate"] * _power(integrity, parameters["exponent"])

    def solution(self, dose: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Use the closed form, stable through p = 1, extinction and k → 0."""
        from .power_law_torch import power_law_integrity_torch

        return power_law_integrity_torch(
            dose, parameters["rate"][..., None], parameters["exponent"][..., None]
        )

    def derivatives(
        self, dose: Tensor, parameters: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Use the closed form."""
        from .power_law_torch import power_law_value_and_derivatives

        integrity, by_rate, by_exponent = power_law_value_and_derivatives(
            dose, parameters["rate"][..., None], parameters["exponent"][..., None]
        )
        return integrity, {"rate": by_rate, "exponent": by_exponent}


class FirstOrder(KineticLaw):
    """``dC/dφ = −k C``: exponential decay; parameter ``rate`` (k).

    Examples
    --------
    >>> import torch
    >>> FirstOrder().solution(torch.tensor([0.0]), {"rate": torch.tensor(2.0)}).tolist()
    [1.0]
    """

    name = "first order"
    parameters = (_RATE,)
    has_exact_solution = True

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k C``."""
        return parameters["rate"] * integrity

    def solution(self, dose: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """``exp(−kφ)``."""
        return (-parameters["rate"][..., None] * dose).exp()


class PlateauPowerLaw(KineticLaw):
    """Power law towards a plateau C∞: the part of the window that the dose cannot destroy.

    With u = (C − C∞)/(1 − C∞), ``dC/dφ = −k (1 − C∞) u^p``, so that u obeys the power law and
    ``C = C∞ + (1 − C∞) u(φ)`` exactly. A readout a·C + b absorbs the plateau (a' = a(1 − C∞),
    b' = b + a·C∞): C∞ can only be estimated where the offset b is known.

    Examples
    --------
    >>> import torch
    >>> at = {name: torch.tensor(value) for name, value in
    ...       {"rate": 2.0, "exponent": 1.5, "plateau": 0.2}.items()}
    >>> round(PlateauPowerLaw().solution(torch.tensor([1.0]), at).item(), 3)
    0.4
    """

    name = "power law with plateau"
    parameters = (_RATE, _EXPONENT, LawParameter("plateau", 0.0, 0.95, 0.1))
    has_exact_solution = True

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k (1 − C∞) u^p``."""
        span = 1 - parameters["plateau"]
        share = (integrity - parameters["plateau"]) / span
        return parameters["rate"] * span * _power(share, parameters["exponent"])

    def solution(self, dose: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """``C∞ + (1 − C∞) u(φ)``."""
        plateau = parameters["plateau"][..., None]
        return plateau + (1 - plateau) * PowerLaw().solution(dose, parameters)

    derivatives = KineticLaw.derivatives
