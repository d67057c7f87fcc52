# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A law together with the offset of the readout, for curves that have b/a in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .closed_form import ClosedForm
from .closed_forms import wanted_of
from .contract import KineticLaw
from .parameter import LawParameter
from .solution import curve

if TYPE_CHECKING:
    from torch import Tensor

#: Name of the parameter that stands for b/a, and its box.
OFFSET_ANGLE, ANGLES = "offset_angle", (-0.25 * math.pi, 0.75 * math.pi)


class WithOffset(ClosedForm):
    """A law together with the offset of the readout.

    The readout a·C + b is R (cos θ C + sin θ) with tan θ = b/a, so that nothing but R is left to
    each curve. The angle goes half way round, from a curve that begins at 0 to one that does so
    again: it has windows that fall and windows that grow, and offsets of either sign. All angles
    are as likely.

    Parameters
    ----------
    law
        The law, of any kind.

    Examples
    --------
    >>> import torch
    >>> from hyperspy_dosekin.kinetics import kinetic_law
    >>> law = WithOffset(kinetic_law("first order"))
    >>> at = {"rate": torch.tensor(1e3), "offset_angle": torch.tensor(math.pi / 4)}
    >>> law.solution(torch.tensor([0.0, 1.0]), at).numpy().round(4).tolist()
    [1.4142, 0.7071]
    """

    def __init__(self, law: KineticLaw) -> None:
        self.law = law
        self.name = law.name
        angle = LawParameter(OFFSET_ANGLE, *ANGLES, 0.5 * sum(ANGLES))
        self.parameters = (*law.parameters, angle)

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """That of the law, of the integrity without the offset."""
        angle = parameters[OFFSET_ANGLE]
        own = (integrity - angle.sin()) / angle.cos()
        return angle.cos() * self.law.rate(own, parameters, dose)

    def curve(
        self, dose: Tensor, search: Sequence[Tensor], *, slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor | None]]:
        """That of the law, times cos θ and raised by sin θ."""
        # The scale of search is θ itself, since it may be negative.
        angle, inner = search[-1], list(slopes[:-1])
        integrity, found = curve(self.law, dose, search[:-1], slopes=inner)
        changed = [None if each is None else each * angle.cos() for each in found]
        by_angle = integrity * angle.sin() - angle.cos() if any(slopes[-1:]) else None
        # A law says nothing where no slope is wanted.
        changed = changed or [None] * len(inner)
        return integrity * angle.cos() + angle.sin(), wanted_of(slopes, *changed, by_angle)
