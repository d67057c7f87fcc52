# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A parameter of a kinetic law, its box, and the scales on which it is estimated and sought."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
    known
        Mean and standard deviation before the data, on the scale of estimation, of a parameter that
        has a prior of its own; ``None`` for those of the fit.
    onset
        Whether it is the dose at which a decay begins. The deviance of curves has a kink wherever
        that meets a frame: estimates then look behind the frame, too. Needs ``lower <= 0``.

    Raises
    ------
    ValueError
        If the box is empty, the start lies outside, a logarithmic box reaches zero, or that of a
        beginning does not.

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
    known: tuple[float, float] | None = None
    onset: bool = False

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
        if self.onset and self.lower > 0:
            raise ValueError(
                f"parameter {self.name!r}: the lower bound {self.lower} of the dose at which a "
                "decay begins must be 0; lower it or set onset=False."
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
    def direct(self) -> bool:
        """Whether the scale of search is that of estimation."""
        return self.logarithmic or self.lower <= 0

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


def free_to_search(parameter: LawParameter, free: Tensor) -> Tensor:
    """From the scale of estimation to that of search."""
    return free if parameter.direct else free.log()


def search_to_free(parameter: LawParameter, search: Tensor) -> Tensor:
    """Inverse of `free_to_search`."""
    return search if parameter.direct else search.exp()
