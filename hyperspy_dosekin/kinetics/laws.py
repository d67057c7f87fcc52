# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetic laws: what the integrity of a window does under dose.

A law says how fast the integrity C falls, ``dC/dφ = −rate(C, parameters, φ)`` from ``C(0) = 1``,
with φ = Φ/Φ_max. Nothing but the rate is needed; a law with a closed form gives it as `solution`,
any other is integrated numerically. `KINETIC_LAWS` holds the laws that have a name.

Torch is imported when a law is evaluated, not with this module, so that the NumPy functions of
the power law (re-exported here) stay light.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .power_law import dose_at, half_dose, power_law_derivatives, power_law_integrity

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "KINETIC_LAWS",
    "FirstOrder",
    "KineticLaw",
    "LawParameter",
    "PlateauPowerLaw",
    "PowerLaw",
    "dose_at",
    "half_dose",
    "kinetic_law",
    "power_law_derivatives",
    "power_law_integrity",
    "register_law",
]


@dataclass(frozen=True)
class LawParameter:
    """One parameter of a law, with its box and the scale on which it is estimated.

    Parameters
    ----------
    name
        Identifier, such as ``"rate"``.
    lower, upper
        Box of the parameter.
    start
        Value to begin an estimation with, inside the box.
    logarithmic
        Whether it is estimated on the scale of its logarithm; needs ``lower > 0``.

    Raises
    ------
    ValueError
        If the box is empty, the start lies outside, or a logarithmic box reaches zero.

    Examples
    --------
    >>> LawParameter("rate", lower=0.01, upper=20, start=1, logarithmic=True).free_box
    (-4.605..., 2.995...)
    """

    name: str
    lower: float
    upper: float
    start: float
    logarithmic: bool = False

    def __post_init__(self) -> None:
        if not self.lower < self.upper or not self.lower <= self.start <= self.upper:
            raise ValueError(
                f"parameter {self.name!r}: start {self.start} must lie in a box with lower < "
                f"upper, not [{self.lower}, {self.upper}]."
            )
        if self.logarithmic and self.lower <= 0:
            raise ValueError(
                f"parameter {self.name!r}: the lower bound {self.lower} of a logarithmic "
                "parameter must be positive; raise it or set logarithmic=False."
            )

    def to_free(self, value: Tensor) -> Tensor:
        """Value → the scale of estimation (ln where logarithmic).

        Parameters
        ----------
        value
            On the scale of the parameter.

        Returns
        -------
        Tensor
            Same shape.

        Examples
        --------
        >>> import torch
        >>> LawParameter("rate", 0.01, 20, 1, logarithmic=True).to_free(torch.tensor(1.0)).item()
        0.0
        """
        return value.log() if self.logarithmic else value

    def from_free(self, free: Tensor) -> Tensor:
        """Inverse of `to_free`.

        Parameters
        ----------
        free
            On the scale of estimation.

        Returns
        -------
        Tensor
            Same shape.

        Examples
        --------
        >>> import torch
        >>> LawParameter("rate", 0.01, 20, 1, logarithmic=True).from_free(torch.tensor(0.0)).item()
        1.0
        """
        return free.exp() if self.logarithmic else free

    @property
    def free_box(self) -> tuple[float, float]:
        """Box on the scale of estimation."""
        if self.logarithmic:
            return math.log(self.lower), math.log(self.upper)
        return self.lower, self.upper


class KineticLaw(ABC):
    """Contract of a kinetic law; only `rate` has to be written.

    Attributes
    ----------
    name
        Short name for messages and tables.
    parameters
        The parameters, in order.
    has_exact_solution
        Whether `solution` is a closed form rather than a numerical integration.

    Examples
    --------
    >>> import torch
    >>> class ZeroOrder(KineticLaw):
    ...     name = "zero order"
    ...     parameters = (LawParameter("rate", 0.01, 20.0, 1.0, logarithmic=True),)
    ...
    ...     def rate(self, integrity, parameters, dose):
    ...         return parameters["rate"] * (integrity > 0)
    >>> dose = torch.tensor([0.0, 0.5])
    >>> ZeroOrder().solution(dose, {"rate": torch.tensor(0.5)}).tolist()
    [1.0, 0.75]
    """

    name: str
    parameters: tuple[LawParameter, ...]
    has_exact_solution: bool = False

    @abstractmethod
    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """Loss of integrity per normalised dose, ``−dC/dφ ≥ 0``.

        Parameters
        ----------
        integrity
            C in [0, 1].
        parameters
            One tensor for each name; all operands broadcast.
        dose
            Normalised dose φ.

        Returns
        -------
        Tensor
            Of the broadcast shape.

        Examples
        --------
        >>> import torch
        >>> from hyperspy_dosekin.kinetics import kinetic_law
        >>> half = torch.tensor(0.5)
        >>> kinetic_law("first order").rate(half, {"rate": torch.tensor(2.0)}, half).item()
        1.0
        """

    def solution(self, dose: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Integrity C(φ), differentiable once in the parameters.

        Parameters
        ----------
        dose
            Normalised doses, shape ``(n_dose,)``, ascending and not negative.
        parameters
            One tensor of the batch shape ``(...)`` for each name.

        Returns
        -------
        C of shape ``(..., n_dose)``.

        Raises
        ------
        ValueError
            If the rate is NaN or negative somewhere on the way, naming the law.

        Examples
        --------
        >>> import torch
        >>> from hyperspy_dosekin.kinetics import kinetic_law
        >>> at = {"rate": torch.tensor(2.0), "exponent": torch.tensor(1.5)}
        >>> kinetic_law("power law").solution(torch.tensor([0.0, 1.0]), at).tolist()
        [1.0, 0.25]
        """
        from .numerical_law import integrate_law

        return integrate_law(self, dose, parameters)

    def derivatives(
        self, dose: Tensor, parameters: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Integrity and its derivative by every parameter, each of shape ``(..., n_dose)``.

        Parameters
        ----------
        dose
            Normalised doses, shape ``(n_dose,)``.
        parameters
            One tensor of the batch shape ``(...)`` for each name.

        Returns
        -------
        integrity : Tensor
            Shape ``(..., n_dose)``.
        by_parameter : dict of Tensor
            The derivative by each parameter, of the same shape.

        Examples
        --------
        >>> import torch
        >>> from hyperspy_dosekin.kinetics import kinetic_law
        >>> law = kinetic_law("first order")
        >>> integrity, by = law.derivatives(torch.tensor([0.0, 1.0]), {"rate": torch.tensor(1.0)})
        >>> [round(value, 4) for value in by["rate"].tolist()]
        [0.0, -0.3679]
        """
        import torch

        names = [parameter.name for parameter in self.parameters]
        with torch.enable_grad():
            leaves = {name: parameters[name].detach().requires_grad_() for name in names}
            integrity = self.solution(dose, leaves)
            columns = [
                torch.autograd.grad(
                    integrity[..., index].sum(),
                    list(leaves.values()),
                    retain_graph=True,
                    materialize_grads=True,
                )
                for index in range(dose.numel())
            ]
        by_parameter = {
            name: torch.stack([column[place] for column in columns], dim=-1)
            for place, name in enumerate(names)
        }
        return integrity.detach(), by_parameter


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
        return plateau + (1 - plateau) * KINETIC_LAWS["power law"].solution(dose, parameters)

    derivatives = KineticLaw.derivatives


#: Laws by name. Add your own with `register_law`.
KINETIC_LAWS: dict[str, KineticLaw] = {}


def register_law(law: KineticLaw) -> KineticLaw:
    """Make a law known by its name.

    Parameters
    ----------
    law
        The law; its name must be new.

    Returns
    -------
    KineticLaw
        The same law.

    Raises
    ------
    ValueError
        If another law has that name.

    Examples
    --------
    >>> from hyperspy_dosekin.kinetics import UserLaw
    >>> law = UserLaw(
    ...     lambda integrity, parameters, dose: parameters["rate"] * integrity**2,
    ...     {"rate": (0.01, 20.0, 1.0)},
    ...     name="second order",
    ... )
    >>> register_law(law) is kinetic_law("second order")
    True
    >>> del KINETIC_LAWS["second order"]
    """
    if law.name in KINETIC_LAWS:
        raise ValueError(
            f"a kinetic law named {law.name!r} exists already; give the new one another name."
        )
    KINETIC_LAWS[law.name] = law
    return law


def kinetic_law(law: str | KineticLaw = "power law") -> KineticLaw:
    """Law by name, or the law itself.

    Parameters
    ----------
    law
        Name of a registered law, or a law.

    Returns
    -------
    KineticLaw
        The law.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> [parameter.name for parameter in kinetic_law("power law").parameters]
    ['rate', 'exponent']
    """
    if isinstance(law, KineticLaw):
        return law
    if law not in KINETIC_LAWS:
        raise ValueError(
            f"kinetic law {law!r} is not one of {sorted(KINETIC_LAWS)}; pass one of these names, "
            "a KineticLaw, or a UserLaw made of your own function."
        )
    return KINETIC_LAWS[law]


for _law in (PowerLaw(), FirstOrder(), PlateauPowerLaw()):
    register_law(_law)
