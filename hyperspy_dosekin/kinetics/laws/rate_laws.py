# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws that see the dose rate and time, with a closed form.

Torch is imported when a law is evaluated, not with this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .closed_form import ClosedForm
from .closed_forms import RATE, wanted_of
from .parameter import LawParameter

if TYPE_CHECKING:
    from torch import Tensor


class Reversible(ClosedForm):
    """First-order decay that the specimen repairs, ``dC/dΦ = −k C + (r/J)(1 − C)``.

    J is the dose rate and r the rate of recovery in time; the parameter ``recovery`` is q = r/(kJ).
    C ends at q/(1 + q), more of it at lower dose rates. At one dose rate and with a free offset it
    cannot be told from first order, only where the offset is known; two dose rates tell it. Then
    the parameter is that at a reference J₀, which `ratio` J₀/J takes to the dose rate of a series.

    Parameters
    ----------
    ratio
        Reference dose rate over that of the series.

    Examples
    --------
    >>> import torch
    >>> at = {"rate": torch.tensor(20.0), "recovery": torch.tensor(0.25)}
    >>> round(Reversible().solution(torch.tensor([1.0]), at).item(), 4)
    0.2
    """

    name = "reversible"
    parameters = (RATE, LawParameter("recovery", 0.01, 10.0, 0.2, logarithmic=True))
    scales = True
    has_plateau = True
    needs_dose_rate = True
    inputs = ("dose_rate",)
    per = MappingProxyType({"recovery": "dose_rate"})

    def __init__(self, ratio: float = 1.0) -> None:
        self.ratio = ratio

    def at(
        self, conditions: Mapping[str, Any], reference: Mapping[str, Any], dose_scale: float
    ) -> Reversible:
        """The law at another dose rate."""
        return Reversible(float(reference["dose_rate"]) / float(conditions["dose_rate"]))

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k (C − q (1 − C))``."""
        recovery = self.ratio * parameters["recovery"]
        return parameters["rate"] * (integrity - recovery * (1 - integrity)).clamp(min=0.0)

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """``(q + e^−k(1 + q)φ)/(1 + q)``."""
        recovery = self.ratio * search[1].exp()
        time = dose * search[0].exp()
        left = (-(1 + recovery) * time).exp()
        integrity = (recovery + left) / (1 + recovery)
        if not any(slopes):
            return integrity, []
        by_recovery = recovery * (time * left - (1 - left) / (1 + recovery)) / (1 + recovery)
        return integrity, wanted_of(slopes, time * left, by_recovery)

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """``−ln(level (1 + q) − q)/(k (1 + q))``; infinite below the end."""
        import torch

        recovery = self.ratio * parameters["recovery"]
        left = level * (1 + recovery) - recovery
        time = -left.clamp(min=1e-300).log() / (1 + recovery)
        return torch.where(left > 0, time, torch.inf) / parameters["rate"]


class DoseRateThreshold(ClosedForm):
    """First-order decay that needs a dose rate above a threshold, ``dC/dΦ = −k (1 − J*/J) C``.

    Below J* nothing happens. J is the dose rate; the parameter ``threshold`` is J*/J₀ at a
    reference J₀, which `ratio` J₀/J takes to the dose rate of a series. One dose rate cannot tell
    k and J* apart; two can.

    Parameters
    ----------
    ratio
        Reference dose rate over that of the series.

    Examples
    --------
    >>> import torch
    >>> at = {"rate": torch.tensor(2.0), "threshold": torch.tensor(0.5)}
    >>> round(DoseRateThreshold().solution(torch.tensor([1.0]), at).item(), 4)
    0.3679
    >>> DoseRateThreshold(ratio=2.0).solution(torch.tensor([1.0]), at).item()
    1.0
    """

    name = "dose-rate threshold"
    parameters = (RATE, LawParameter("threshold", 0.01, 10.0, 0.2, logarithmic=True))
    scales = True
    needs_dose_rate = True
    needs_series = True
    inputs = ("dose_rate",)
    per = MappingProxyType({"threshold": "dose_rate"})

    def __init__(self, ratio: float = 1.0) -> None:
        self.ratio = ratio

    def at(
        self, conditions: Mapping[str, Any], reference: Mapping[str, Any], dose_scale: float
    ) -> DoseRateThreshold:
        """The law at another dose rate."""
        return DoseRateThreshold(float(reference["dose_rate"]) / float(conditions["dose_rate"]))

    def _left(self, threshold: Tensor) -> Tensor:
        return (1 - self.ratio * threshold).clamp(min=0.0)

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k (1 − J*/J) C``."""
        return parameters["rate"] * self._left(parameters["threshold"]) * integrity

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """``exp(−k (1 − J*/J) φ)``."""
        threshold = search[1].exp()
        left, time = self._left(threshold), dose * search[0].exp()
        integrity = (-left * time).exp()
        if not any(slopes):
            return integrity, []
        by_threshold = -self.ratio * threshold * (left > 0) * time * integrity
        return integrity, wanted_of(slopes, left * time * integrity, by_threshold)

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """``−ln(level)/(k (1 − J*/J))``; infinite below the threshold."""
        from math import log

        return -log(level) / (parameters["rate"] * self._left(parameters["threshold"]))


class DarkRecovery(ClosedForm):
    """First-order decay that the specimen repairs under the beam and while it is off.

    ``dC/dΦ = −k C + (r/J)(1 − C)`` under the beam, as in `Reversible`, and ``dC/dt = r (1 − C)`` in
    the pauses between frames. The parameter ``recovery`` is q = r/(kJ) at a reference dose rate.
    Pauses make recovery visible at one dose rate: series with other pauses end at other levels.

    Parameters
    ----------
    ratio
        Reference dose rate over that of the series.
    ends
        Normalised doses after which the beam was off, ascending.
    pauses
        How long, as the normalised dose that the reference dose rate would have given by then.

    Examples
    --------
    >>> import torch
    >>> at = {"rate": torch.tensor(2.0), "recovery": torch.tensor(0.5)}
    >>> short, long = DarkRecovery(1.0, (0.5,), (0.1,)), DarkRecovery(1.0, (0.5,), (10.0,))
    >>> [round(law.solution(torch.tensor([0.6]), at).item(), 3) for law in (short, long)]
    [0.48, 0.827]
    """

    name = "dark recovery"
    parameters = Reversible.parameters
    scales = True
    has_plateau = True
    needs_dose_rate = True
    needs_series = True
    inputs = ("dose_rate", "dark_time")
    per = MappingProxyType({"recovery": "dose_rate"})

    def __init__(
        self, ratio: float = 1.0, ends: Sequence[float] = (), pauses: Sequence[float] = ()
    ) -> None:
        self.ratio = ratio
        self.ends, self.pauses = tuple(ends), tuple(pauses)

    def at(
        self, conditions: Mapping[str, Any], reference: Mapping[str, Any], dose_scale: float
    ) -> DarkRecovery:
        """The law of a series whose frames end at ``conditions["dose"]``, with a pause after each.

        Its ``"dark_time"`` is one time for all pauses, in s, or one for each. Without doses there
        are no pauses.
        """
        import numpy as np

        rate = float(reference["dose_rate"])
        ends = [float(dose) / dose_scale for dose in conditions.get("dose", ())]
        times = np.asarray(conditions["dark_time"], dtype=np.float64) if ends else np.zeros(0)
        pauses = np.broadcast_to(times, len(ends)) * (rate / dose_scale)
        return DarkRecovery(rate / float(conditions["dose_rate"]), ends, pauses.tolist())

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """That of `Reversible`, under the beam."""
        return Reversible(self.ratio).rate(integrity, parameters, dose)

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """From pause to pause the closed form of `Reversible`, which each begins anew."""
        import torch

        rate, recovery = search[0].exp(), search[1].exp()
        here = self.ratio * recovery
        level, speed = here / (1 + here), rate * (1 + here)
        # Of ln k and ln q: derivatives of level and speed.
        by_level, by_speed = here / (1 + here) ** 2, rate * here

        def decayed(state: list[Tensor], passed: Tensor | float) -> list[Tensor]:
            left = (-speed * passed).exp()
            away = (state[0] - level) * left
            return [
                level + away,
                state[1] * left - away * speed * passed,
                by_level * (1 - left) + state[2] * left - away * by_speed * passed,
            ]

        whole = torch.broadcast_tensors(rate, recovery)[0]
        state = [torch.ones_like(whole), torch.zeros_like(whole), torch.zeros_like(whole)]
        begin, found = 0.0, None
        for end, pause in zip((*self.ends, float("inf")), (*self.pauses, 0.0), strict=True):
            inside = (dose > begin) & (dose <= end) if found is not None else dose <= end
            columns = decayed(state, (dose - begin).clamp(min=0.0))
            found = [
                torch.where(inside, new, 0.0 if found is None else found[place])
                for place, new in enumerate(columns)
            ]
            if end == float("inf"):
                break
            state = decayed(state, end - begin)
            dark = rate * recovery * pause
            left = (-dark).exp()
            lost = (1 - state[0]) * left
            state = [1 - lost, *(each * left + lost * dark for each in state[1:])]
            begin = end
        assert found is not None
        return found[0], wanted_of(slopes, -found[1], -found[2]) if any(slopes) else []

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """That of `Reversible` without pauses: a number of the material, not of the schedule."""
        return Reversible(self.ratio).dose_at(level, parameters)
