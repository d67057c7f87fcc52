# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quantities that kinetics have, whatever they were fitted to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal


class KineticQuantities(ABC):
    """Rates, doses and flags as signals: of windows and pixels, or of components."""

    @abstractmethod
    def _signal(self, name: str) -> BaseSignal:
        """The map of a name."""

    @property
    def rate(self) -> BaseSignal:
        """Rate constant k per normalised dose, which is dose over `dose_scale`.

        Raises
        ------
        AttributeError
            If the law has none.
        """
        return self._signal("rate")

    @property
    def exponent(self) -> BaseSignal:
        """Exponent p; 1 for a fit of first order.

        Raises
        ------
        AttributeError
            If the law has none.
        """
        return self._signal("exponent")

    @property
    def rate_per_dose(self) -> BaseSignal:
        """Rate constant k over `dose_scale`, in one over `dose_unit`, such as Å²/e⁻."""
        return self._signal("rate_per_dose")

    @property
    def half_integrity_dose(self) -> BaseSignal:
        """D½, the dose at which C is ½; NaN where it never is."""
        return self._signal("half_integrity_dose")

    @property
    def critical_dose(self) -> BaseSignal:
        """The dose at which C is 1/e."""
        return self._signal("critical_dose")

    @property
    def reached(self) -> BaseSignal:
        """Whether D½ lies inside the measured range of doses."""
        return self._signal("reached")

    @property
    def identifiable(self) -> BaseSignal:
        """Whether the data determine D½.

        ``True`` where nine tenths of the posterior of ln D½ lie within 0.2 of the estimate and the
        data have brought most of that: its spread is at most half of that before them. A good fit
        does not make it ``True``: a straight line is fitted well by any D½.

        Raises
        ------
        ValueError
            If that was not examined, because the fit was made with ``intervals=False``.
        """
        return self._signal("identifiable")
