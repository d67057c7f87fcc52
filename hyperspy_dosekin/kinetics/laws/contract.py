# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a kinetic law: what the integrity of a window does under dose.

A law says how fast the integrity C falls, ``dC/dφ = −rate(C, parameters, φ)`` from ``C(0) = 1``,
with φ the dose over the dose scale of the fit. Nothing but the rate is needed. A law with a closed
form gives it as a `ClosedForm`; one that says `scales = True` is tabulated once; any other is
integrated numerically.

Torch is imported when a law is evaluated, not with this module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .parameter import LawParameter

if TYPE_CHECKING:
    from torch import Tensor


#: Largest normalised dose that is looked at: a level not reached by then counts as never reached.
HORIZON = 1e4


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
    scales
        Whether the rate is proportional to the first parameter, ``rate``, and knows no dose:
        C = G(kφ; shape). G is then tabulated once and shared by all curves, a hundred times as
        fast as an integration for each.
    has_plateau
        Whether C may end above 0 at a level that is estimated, which a free offset looks like.
    nesting
        Names of its three parameters in the order in which a posterior integrates them, where that
        is known: of a curve with the second and third held the density of the first has one
        maximum. Without it nodes are drawn.
    linear
        Name of a parameter that the integrity is linear in, if there is one: of many values of it
        only two need the integrity.
    beside_offset
        The law that is left of it where amplitude and offset are free, if they absorb some of its
        parameters: all values of those then fit alike, and an estimate takes their `start`.
    needs_dose_rate
        Whether time matters beside the dose, so that all frames must have one known dose rate.
    inputs
        Conditions that the law itself knows, such as ``"dose_rate"``; series of other conditions
        then differ by the law, see `at`.
    needs_series
        Whether one series can never tell its parameters, but several under other conditions can.
    per
        Parameters that times the reference of a condition are a number of their own, by name.
    lacking
        Those of `inputs` without which it cannot be evaluated; empty where `at` has given them.
    given, given_scale
        What `at` has given, and the dose scale that it was for.

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
    scales: bool = False
    has_plateau: bool = False
    nesting: tuple[str, ...] = ()
    linear: str = ""
    beside_offset: KineticLaw | None = None
    needs_dose_rate: bool = False
    inputs: tuple[str, ...] = ()
    needs_series: bool = False
    per: Mapping[str, str] = MappingProxyType({})
    lacking: tuple[str, ...] = ()
    given: Mapping[str, Any] = MappingProxyType({})
    given_scale: float = 1.0

    def at(
        self, conditions: Mapping[str, Any], reference: Mapping[str, Any], dose_scale: float
    ) -> KineticLaw:
        """The law of a series under some conditions, in the parameters at the reference.

        Parameters
        ----------
        conditions
            Values of `inputs` by name.
        reference
            Those at which the parameters are what they are.
        dose_scale
            Dose that counts as 1.

        Returns
        -------
        KineticLaw
            The law itself where it knows no conditions.

        Examples
        --------
        >>> from hyperspy_dosekin.kinetics import kinetic_law
        >>> law = kinetic_law("first order")
        >>> law.at({}, {}, 1000.0) is law
        True
        """
        return self

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
        return self.integrated(dose, parameters)

    def integrated(self, dose: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Integrity C(φ) by numerical integration of the rate, also where there is a closed form.

        Parameters
        ----------
        dose
            Normalised doses, shape ``(n_dose,)``, ascending and not negative.
        parameters
            One tensor of the batch shape ``(...)`` for each name; converted to float64.

        Returns
        -------
        C of shape ``(..., n_dose)`` in the type of `dose`, differentiable in the parameters. The
        attribute `tolerance` of the law, 1e-8 if it has none, bounds the error of a step.

        Raises
        ------
        ValueError
            If the doses are not ascending, or the rate is NaN or negative on the way.
        RuntimeError
            If the law is too stiff for the number of steps allowed.

        Examples
        --------
        >>> import torch
        >>> from hyperspy_dosekin.kinetics import kinetic_law
        >>> law, at = kinetic_law("first order"), {"rate": torch.tensor(2.0)}
        >>> law.integrated(torch.tensor([1.0]), at).numpy().round(5).tolist()
        [0.13534]
        """
        import torch

        from hyperspy_dosekin.numerics.ode import integrate

        names = list(parameters)
        shape = torch.broadcast_tensors(*parameters.values())[0].shape
        double = {name: parameters[name].to(torch.float64) for name in names}
        device = next(iter(double.values())).device if double else dose.device
        integrity = torch.ones(shape, dtype=torch.float64, device=device)

        def slope(at: float, state: Tensor) -> Tensor:
            dose = torch.as_tensor(at, dtype=torch.float64)
            rate = self.rate(state.clamp(0.0, 1.0), double, dose)
            check_rate(self.name, rate.detach(), dose, least=0.0)
            return -rate

        tolerance = getattr(self, "tolerance", 1e-8)
        what = f"kinetic law {self.name!r}"
        found = integrate(slope, integrity, dose, tolerance=tolerance, what=what)
        return found.to(dose.dtype)

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

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """Normalised dose at which the integrity first falls to a level.

        Parameters
        ----------
        level
            Integrity between 0 and 1.
        parameters
            One tensor of the batch shape ``(...)`` for each name.

        Returns
        -------
        Tensor
            Shape ``(...)``, float64; infinite where the level is not reached by 10⁴ dose scales.

        Examples
        --------
        >>> import torch
        >>> from hyperspy_dosekin.kinetics import kinetic_law
        >>> at = {"rate": torch.tensor(2.0), "exponent": torch.tensor(1.5)}
        >>> kinetic_law("power law").dose_at(0.25, at).item()
        1.0
        """
        import torch

        from hyperspy_dosekin.numerics.ode import integrate_members

        names = [parameter.name for parameter in self.parameters]
        values = torch.broadcast_tensors(*(parameters[name].to(torch.float64) for name in names))
        flat = [value.reshape(-1) for value in values]

        def slope(at: Tensor, state: Tensor, index: Tensor) -> Tensor:
            chosen = {name: value[index] for name, value in zip(names, flat, strict=True)}
            return -self.rate(state.clamp(0.0, 1.0), chosen, at).expand_as(state).clamp(min=0.0)

        with torch.no_grad():
            _, found = integrate_members(
                slope,
                torch.ones_like(flat[0]),
                flat[0].new_tensor([HORIZON]),
                tolerance=getattr(self, "tolerance", 1e-8),
                level=level,
                what=f"kinetic law {self.name!r}",
            )
        return found.reshape(values[0].shape)


def check_rate(name: str, rate: Tensor, dose: Tensor, least: float) -> None:
    """Raise if the rate of a law is NaN or below `least` at some dose, of a shape that expands."""
    # Of NaN among others the least is NaN.
    if not rate.numel() or rate.min().item() >= least:
        return
    missing = rate.isnan()
    wrong = missing if bool(missing.any()) else rate < least
    where = f"at normalised dose {dose.expand_as(rate)[wrong][0].item():.4g}"
    if bool(missing.any()):
        raise ValueError(
            f"kinetic law {name!r} returned NaN {where}; make its rate finite for every integrity "
            "in [0, 1] and every parameter in its box."
        )
    raise ValueError(
        f"kinetic law {name!r} lets the integrity grow {where} (rate {rate.min().item():.4g}); its "
        "function is the loss −dC/dφ and must not be negative."
    )
