# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stretched exponential, in closed form.

Torch is imported when a law is evaluated, not with this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import TYPE_CHECKING

from .closed_form import ClosedForm
from .closed_forms import RATE, wanted_of
from .parameter import LawParameter

if TYPE_CHECKING:
    from torch import Tensor

#: Shapes as often below 1 as above it.
_SHAPE = LawParameter("shape", 0.25, 4.0, 1.0, logarithmic=True)


class Stretched(ClosedForm):
    """Stretched exponential, ``C = exp(−(kφ)^s)``; parameters ``rate`` (k) and ``shape`` (s).

    With s < 1 it begins faster than any power law, as where sites differ widely or what destroys
    them has to diffuse [1]_; with s > 1 it begins late, as where damage spreads from where there
    is some. First order is s = 1. At dose 0 the rate vanishes for s > 1 and has no bound for s < 1,
    so that the equation alone would not begin.

    References
    ----------
    .. [1] G. Williams, D. C. Watts, Trans. Faraday Soc. 66, 80 (1970), doi:10.1039/TF9706600080.

    Examples
    --------
    >>> import torch
    >>> at = {"rate": torch.tensor(4.0), "shape": torch.tensor(0.5)}
    >>> Stretched().solution(torch.tensor([0.0, 0.25, 1.0]), at).numpy().round(4)
    array([1.    , 0.3679, 0.1353], dtype=float32)
    """

    name = "stretched"
    parameters = (RATE, _SHAPE)
    scales = True

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """``k s C u^(1 − 1/s)`` with u = −ln C."""
        import torch

        tiny = torch.finfo(integrity.dtype).tiny
        left = integrity.clamp(min=0.0)
        lost = -left.clamp(tiny, 1.0).log()
        shape = parameters["shape"]
        return parameters["rate"] * shape * left * lost.clamp(min=tiny) ** (1 - 1 / shape)

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """``exp(−(kφ)^s)``."""
        import torch

        shape = search[1].exp()
        log_time = shape * (dose.clamp(min=torch.finfo(dose.dtype).tiny).log() + search[0])
        time = log_time.exp()
        integrity = (-time).exp()
        if not any(slopes):
            return integrity, []
        # Long after all is gone the time may be infinite, and 0 of it is left.
        by_time = torch.where(integrity > 0, time * integrity, 0.0)
        return integrity, wanted_of(slopes, shape * by_time, log_time * by_time)

    def dose_at(self, level: float, parameters: Mapping[str, Tensor]) -> Tensor:
        """``(−ln level)^(1/s)/k``."""
        return (-log(level)) ** (1 / parameters["shape"]) / parameters["rate"]
