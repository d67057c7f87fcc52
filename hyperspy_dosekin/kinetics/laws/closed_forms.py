# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws with a closed form.

Torch is imported when a law is evaluated, not with this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import TYPE_CHECKING

from .closed_form import ClosedForm
from .parameter import LawParameter

if TYPE_CHECKING:
    from torch import Tensor

# Steps to a dose of two populations, of which the last has no digit to mend.
_HALLEY = 3
# Powers of 2 take a third of the time of those of e.
_LOG2_E = 1 / log(2.0)
# Above this level all but the last step may be in single precision.
_SINGLE = 1e-6
#: The rate constant, per dose scale.
RATE = LawParameter("rate", 1e-2, 200.0, 1.0, logarithmic=True)
_EXPONENT = LawParameter("exponent", 0.1, 5.0, 1.0)


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    """``base^exponent``, 0 for base ≤ 0, with a finite gradient there (p < 1 would give inf)."""
    import torch

    safe = base.clamp(min=torch.finfo(base.dtype).tiny)
    return torch.where(base > 0, safe**exponent, torch.zeros_like(base))


def wanted_of(slopes: Sequence[bool], *columns: Tensor | None) -> list[Tensor | None]:
    """The columns that are wanted, ``None`` in the place of the others."""
    return [column if wanted else None for column, wanted in zip(columns, slopes, strict=False)]


class PowerLaw(ClosedForm):
    """``dC/dφ = −k C^p`` (arXiv:2605.01697); parameters ``rate`` (k) and ``exponent`` (p).

    Examples
    --------
    >>> import torch
    >>> at = {"rate": torch.tensor(2.0), "exponent": torch.tensor(0.5)}
    >>> PowerLaw().solution(torch.tensor([0.0, 0.5, 1.0]), at).tolist()
    [1.0, 0.25, 0.0]
    """

    name = "power law"
    parameters = (RATE, _EXPONENT)
    scales = True

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k C^p``; 0 at C = 0."""
        return parameters["rate"] * _power(integrity, parameters["exponent"])

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Use the closed form, stable through p = 1, extinction and k → 0."""
        from .power_law_torch import power_law_curve

        by_rate, by_exponent = (*slopes, False, False)[:2]
        integrity, *columns = power_law_curve(
            dose, *search, by_rate=by_rate, by_exponent=by_exponent
        )
        return integrity, wanted_of(slopes, *columns)

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """``(level^(1−p) − 1)/((p − 1) k)``."""
        from .power_law_torch import power_law_time

        return power_law_time(level, parameters["exponent"]) / parameters["rate"]


class FirstOrder(ClosedForm):
    """``dC/dφ = −k C``: exponential decay, the power law with p = 1; parameter ``rate`` (k).

    Examples
    --------
    >>> import torch
    >>> FirstOrder().solution(torch.tensor([0.0]), {"rate": torch.tensor(2.0)}).tolist()
    [1.0]
    """

    name = "first order"
    parameters = (RATE,)
    scales = True

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k C``."""
        return parameters["rate"] * integrity

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """``exp(−kφ)``."""
        time = dose * search[0].exp()
        integrity = (-time).exp()
        return integrity, wanted_of(slopes, time.mul_(integrity) if any(slopes) else None)

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """``−ln(level)/k``."""
        return -log(level) / parameters["rate"]


class PlateauPowerLaw(ClosedForm):
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
    parameters = (RATE, _EXPONENT, LawParameter("plateau", 0.0, 0.95, 0.1))
    scales = True
    has_plateau = True
    nesting = ("plateau", "exponent", "rate")
    linear = "plateau"
    beside_offset = PowerLaw()

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k (1 − C∞) u^p``."""
        span = 1 - parameters["plateau"]
        share = (integrity - parameters["plateau"]) / span
        return parameters["rate"] * span * _power(share, parameters["exponent"])

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """``C∞ + (1 − C∞) u(φ)``."""
        from .power_law_torch import power_law_curve

        by_rate, by_exponent, by_plateau = (*slopes, False, False, False)[:3]
        share, first, second = power_law_curve(
            dose, *search[:2], by_rate=by_rate, by_exponent=by_exponent
        )
        span = 1 - search[2]
        columns = [None if column is None else span * column for column in (first, second)]
        third = share - 1 if by_plateau else None
        return search[2] + span * share, wanted_of(slopes, *columns, third)

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """That of the power law at ``(level − C∞)/(1 − C∞)``; infinite below the plateau."""
        import torch

        from .power_law_torch import power_law_time

        plateau = parameters["plateau"]
        share = (level - plateau) / (1 - plateau)
        time = power_law_time(share.clamp(min=0.0), parameters["exponent"])
        return torch.where(share > 0, time, torch.inf) / parameters["rate"]


class DelayedPowerLaw(ClosedForm):
    """Nothing happens up to a dose φ₀, ``delay``; then the power law.

    Examples
    --------
    >>> import torch
    >>> at = {name: torch.tensor(value) for name, value in
    ...       {"rate": 2.0, "exponent": 0.5, "delay": 0.5}.items()}
    >>> DelayedPowerLaw().solution(torch.tensor([0.5, 1.0]), at).tolist()
    [1.0, 0.25]
    """

    name = "delayed power law"
    parameters = (RATE, _EXPONENT, LawParameter("delay", 0.0, 1.0, 0.1, onset=True))
    nesting = ("rate", "exponent", "delay")

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k C^p`` beyond the delay, 0 before."""
        later = (dose >= parameters["delay"]).to(integrity.dtype)
        return later * parameters["rate"] * _power(integrity, parameters["exponent"])

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """That of the power law at ``φ − φ₀``."""
        from .power_law_torch import power_law_curve

        _, by_exponent, by_delay = (*slopes, False, False, False)[:3]
        late = (dose - search[2]).clamp(min=0.0)
        integrity, first, second = power_law_curve(
            late, *search[:2], by_rate=any(slopes), by_exponent=by_exponent
        )
        third = None
        if by_delay and first is not None:
            third = -first / late.clamp(min=1e-30) * (late > 0)
        return integrity, wanted_of(slopes, first, second, third)

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """That of the power law, later by the delay."""
        return parameters["delay"] + PowerLaw().dose_at(level, parameters)


class Delayed(ClosedForm):
    """Nothing happens up to a dose φ₀, ``delay``; then first-order decay.

    Examples
    --------
    >>> import torch
    >>> at = {"rate": torch.tensor(2.0), "delay": torch.tensor(0.5)}
    >>> round(Delayed().dose_at(0.5, at).item(), 4)
    0.8466
    """

    name = "delayed"
    parameters = (RATE, DelayedPowerLaw.parameters[2])

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k C`` beyond the delay, 0 before."""
        later = (dose >= parameters["delay"]).to(integrity.dtype)
        return later * parameters["rate"] * integrity

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """``exp(−k (φ − φ₀))``."""
        from hyperspy_dosekin.numerics.row_sums import power_of_two

        rate = search[0].exp()
        late = dose - search[1]
        time = late.clamp(min=0.0) * rate
        integrity = power_of_two(time * -_LOG2_E)
        if not any(slopes):
            return integrity, []
        return integrity, wanted_of(slopes, time.mul_(integrity), -rate * integrity * (late > 0))

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """That of first order, later by the delay."""
        return parameters["delay"] + FirstOrder().dose_at(level, parameters)


class TwoPopulations(ClosedForm):
    """A share f that decays with k and the rest with r·k, r < 1, both first order.

    Examples
    --------
    >>> import torch
    >>> at = {name: torch.tensor(value) for name, value in
    ...       {"rate": 2.0, "share": 0.5, "ratio": 0.5}.items()}
    >>> round(TwoPopulations().solution(torch.tensor([1.0]), at).item(), 4)
    0.2516
    """

    name = "two populations"
    parameters = (
        RATE,
        LawParameter("share", 0.05, 0.95, 0.5),
        LawParameter("ratio", 0.01, 0.9, 0.2, logarithmic=True),
    )
    scales = True
    nesting = ("share", "ratio", "rate")
    linear = "share"

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k (f e^−t + (1 − f) r e^−rt)`` at the t = kφ where the integrity is C."""
        import torch

        share, ratio = parameters["share"], parameters["ratio"]
        shape = torch.broadcast_tensors(integrity, share, ratio)[0].shape
        # The integrity lies between e^−t and e^−rt.
        low = -integrity.clamp(min=1e-30, max=1.0).log().expand(shape)
        high = low / ratio
        for _ in range(60):
            time = 0.5 * (low + high)
            above = share * (-time).exp() + (1 - share) * (-ratio * time).exp() > integrity
            low, high = torch.where(above, time, low), torch.where(above, high, time)
        loss = share * (-low).exp() + (1 - share) * ratio * (-ratio * low).exp()
        return parameters["rate"] * loss

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """``f e^−kφ + (1 − f) e^−rkφ``."""
        import torch

        from hyperspy_dosekin.numerics.row_sums import power_of_two

        share, ratio = search[1].exp(), search[2].exp()
        time = dose * search[0].exp()
        fast, slow = power_of_two(time * -_LOG2_E), power_of_two(time * (ratio * -_LOG2_E))
        integrity = torch.addcmul(share * fast, 1 - share, slow)
        if not any(slopes):
            return integrity, []
        by_rate, by_share, by_ratio = (*slopes, False, False, False)[:3]
        first = second = third = None
        if by_rate or by_ratio:
            third = (1 - share) * ratio * time * slow
            first = share * time * fast + third if by_rate else None
        if by_share:
            second = share * (slow - fast)
        return integrity, wanted_of(slopes, first, second, third)

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """Halley's steps in ln C, which bends upwards: from below they come ever nearer."""
        import torch

        rate, share, ratio = (parameters[p.name].to(torch.float64) for p in self.parameters)
        kind = torch.float32 if level > _SINGLE else torch.float64
        about = share.to(kind), ratio.to(kind)
        rest = 1 - about[0]
        # Neither the slow population alone nor the mean rate from the beginning is late.
        mean = torch.addcmul(about[0], rest, about[1])
        time = torch.maximum((rest / level).log() / about[1], -log(level) / mean)
        for _ in range(_HALLEY - 1):
            time = _halley(level, time, *about)
        # Only the last step has to know all digits.
        return _halley(level, time.double(), share, ratio) / rate


def _halley(level: float, time: Tensor, share: Tensor, ratio: Tensor) -> Tensor:
    """Step towards the time at which two populations are at a level."""
    import torch

    from hyperspy_dosekin.numerics.row_sums import power_of_two

    slow = power_of_two(time * (ratio * -_LOG2_E)).mul_(1 - share)
    left = torch.addcmul(slow, power_of_two(time * -_LOG2_E), share)
    # The mean rate of what is left is by so much less than 1; and the variance of that.
    least = ratio - 1
    less = slow.div_(left).mul_(least)
    variance = (least - less).mul_(less)
    missing = left.mul_(1 / level).log_()
    mean = less.add_(1.0)
    bottom = torch.addcmul(mean.square(), missing, variance, value=-0.5)
    return torch.addcdiv(time, missing.mul_(mean), bottom)


class MultiHit(ClosedForm):
    """Target theory: a unit is lost when it was hit m times, ``C = 1 − (1 − e^−kφ)^m``.

    At dose 0 the rate vanishes for m > 1, so that the equation alone would never begin.

    Examples
    --------
    >>> import torch
    >>> at = {"rate": torch.tensor(1.0), "hits": torch.tensor(2.0)}
    >>> round(MultiHit().solution(torch.tensor([1.0]), at).item(), 4)
    0.6004
    """

    name = "multi-hit"
    parameters = (RATE, LawParameter("hits", 1.0, 10.0, 2.0, logarithmic=True))
    scales = True

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k m v^(1 − 1/m) (1 − v^(1/m))`` with v = 1 − C."""
        lost, hits = (1 - integrity).clamp(min=0.0), parameters["hits"]
        all_hit = _power(lost, 1 / hits)
        return parameters["rate"] * hits * _power(lost, 1 - 1 / hits) * (1 - all_hit)

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """``1 − (1 − e^−kφ)^m``."""
        hits = search[1].exp()
        time = dose * search[0].exp()
        alive = (-time).exp()
        hit = -(-time).expm1()
        log_hit = hit.clamp(min=1e-300 if hit.dtype.itemsize == 8 else 1e-37).log()
        lost = (hits * log_hit).exp()
        if not any(slopes):
            return 1 - lost, []
        by_rate = hits * time * alive * ((hits - 1) * log_hit).exp()
        return 1 - lost, wanted_of(slopes, by_rate, hits * lost * log_hit)
