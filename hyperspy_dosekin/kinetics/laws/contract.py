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

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


#: Largest normalised dose that is looked at: a level not reached by then counts as never reached.
HORIZON = 1e4


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
        """Box on the scale of estimation, on which it is uniform before the data."""
        if self.logarithmic:
            return math.log(self.lower), math.log(self.upper)
        return self.lower, self.upper

    # Minima are searched for on the logarithm wherever that is possible.

    @property
    def search_box(self) -> tuple[float, float]:
        """Box on the scale of search: that of the logarithm of a positive parameter."""
        if self.lower > 0:
            return math.log(self.lower), math.log(self.upper)
        return self.lower, self.upper

    def to_search(self, value: Tensor) -> Tensor:
        """Value → the scale of search: the logarithm where the box is positive.

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
        >>> LawParameter("exponent", 0.1, 5, 1).to_search(torch.tensor(1.0)).item()
        0.0
        """
        return value.log() if self.lower > 0 else value

    def from_search(self, search: Tensor) -> Tensor:
        """Inverse of `to_search`.

        Parameters
        ----------
        search
            On the scale of search.

        Returns
        -------
        Tensor
            Same shape.

        Examples
        --------
        >>> import torch
        >>> LawParameter("plateau", 0, 0.95, 0.1).from_search(torch.tensor(0.5)).item()
        0.5
        """
        return search.exp() if self.lower > 0 else search


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
    needs_dose_rate
        Whether time matters beside the dose, so that all frames must have one known dose rate.
    inputs
        Conditions that the law itself knows, such as ``"dose_rate"``; series of other conditions
        then differ by the law, see `at`.
    per
        Parameters that times the reference of a condition are a number of their own, by name.

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
    needs_dose_rate: bool = False
    inputs: tuple[str, ...] = ()
    per: Mapping[str, str] = MappingProxyType({})

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
            return self._slope(state, double, torch.as_tensor(at, dtype=torch.float64))

        tolerance = getattr(self, "tolerance", 1e-8)
        what = f"kinetic law {self.name!r}"
        found = integrate(slope, integrity, dose, tolerance=tolerance, what=what)
        return found.to(dose.dtype)

    def _slope(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``dC/dφ``, checked."""
        import torch

        rate = self.rate(integrity.clamp(0.0, 1.0), parameters, dose)
        values = rate.detach()
        where = f"at normalised dose {dose.item():.4g}"
        if torch.isnan(values).any():
            raise ValueError(
                f"kinetic law {self.name!r} returned NaN {where}; make its rate finite for every "
                "integrity in [0, 1] and every parameter in its box."
            )
        if (values < 0).any():
            raise ValueError(
                f"kinetic law {self.name!r} lets the integrity grow {where} (rate "
                f"{values.min().item():.4g}); its function is the loss −dC/dφ and must not be "
                "negative."
            )
        return -rate

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


class ClosedForm(KineticLaw):
    """A law with a closed form, `curve`, from which everything else follows.

    Examples
    --------
    >>> import torch
    >>> from hyperspy_dosekin.kinetics import FirstOrder
    >>> isinstance(FirstOrder(), ClosedForm)
    True
    """

    has_exact_solution = True

    @abstractmethod
    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Integrity and minus its derivatives by the parameters on their scale of search.

        Parameters
        ----------
        dose
            Normalised dose, of a shape that broadcasts with the parameters'.
        search
            The parameters on their scale of search (`LawParameter.to_search`), in order.
        slopes
            Which derivatives are wanted; none by default.

        Returns
        -------
        integrity : Tensor
            Of the broadcast shape.
        derivatives : list of Tensor or None
            One for each of `slopes`.

        Examples
        --------
        >>> import torch
        >>> from hyperspy_dosekin.kinetics import FirstOrder
        >>> log_rate = torch.tensor(0.0)  # k = 1
        >>> integrity, by = FirstOrder().curve(torch.tensor(1.0), [log_rate], slopes=[True])
        >>> round(integrity.item(), 4), round(by[0].item(), 4)
        (0.3679, 0.3679)
        """

    def solution(self, dose: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Use the closed form."""
        import torch

        class _Curve(torch.autograd.Function):
            """C in the parameters, once differentiable."""

            @staticmethod
            def forward(ctx, *values):
                search = [
                    p.to_search(v[..., None]) for p, v in zip(self.parameters, values, strict=True)
                ]
                integrity, slopes = self.curve(dose, search, slopes=[True] * len(values))
                ctx.save_for_backward(*values, *slopes)
                return integrity.to(dose.dtype)

            @staticmethod
            @torch.autograd.function.once_differentiable
            def backward(ctx, gradient):
                count = len(self.parameters)
                values, slopes = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
                found = []
                for parameter, value, slope in zip(self.parameters, values, slopes, strict=True):
                    by = -(gradient * slope).sum(-1)
                    by = by / value if parameter.lower > 0 else by
                    found.append(by.sum_to_size(value.shape))
                return tuple(found)

        values = [parameters[parameter.name] for parameter in self.parameters]
        return _Curve.apply(*values)

    def derivatives(
        self, dose: Tensor, parameters: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Use the closed form."""
        values = [parameters[parameter.name][..., None] for parameter in self.parameters]
        search = [p.to_search(v) for p, v in zip(self.parameters, values, strict=True)]
        integrity, slopes = self.curve(dose, search, slopes=[True] * len(values))
        by_parameter = {}
        for parameter, value, slope in zip(self.parameters, values, slopes, strict=True):
            assert slope is not None
            by_parameter[parameter.name] = -slope / value if parameter.lower > 0 else -slope
        return integrity, by_parameter

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """Search for the level on the closed form."""
        import torch

        search = [p.to_search(parameters[p.name].to(torch.float64)) for p in self.parameters]
        search = list(torch.broadcast_tensors(*search))
        low = torch.full_like(search[0], math.log(1e-8))
        high = torch.full_like(low, math.log(HORIZON))
        target = math.log(-math.log(level))
        with torch.no_grad():
            never = self.curve(high.exp(), search)[0] > level
            at = 0.5 * (low + high)
            if self.scales:
                at = (target - search[0]).clamp(math.log(1e-8), math.log(HORIZON))
            for _ in range(48):
                # Newton's steps in ln(−ln C), a straight line for first order; halves of the
                # bracket where they leave it, and where a law knows the dose.
                integrity, slopes = self.curve(at.exp(), search, slopes=[self.scales])
                above = integrity > level
                low, high = torch.where(above, at, low), torch.where(above, high, at)
                middle = 0.5 * (low + high)
                if slopes and slopes[0] is not None:
                    left = integrity.clamp(1e-300, 1 - 1e-16)
                    lost = -left.log()
                    missed = lost.log() - target
                    step = missed * left * lost / slopes[0].clamp(min=1e-300)
                    moved = at - step
                    inside = (moved > low) & (moved < high)
                    done = ((step.abs() < 1e-13) | never) & torch.isfinite(step)
                    middle = torch.where(inside | done, moved, middle)
                    if bool(done.all()):
                        break
                at = middle
        return torch.where(never, torch.inf, at.exp())
