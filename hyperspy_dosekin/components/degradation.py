# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What components of dose damage have in common: a normalised dose, an amplitude and an offset."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.component import Component

if TYPE_CHECKING:
    from hyperspy.models.model1d import Model1D


class Degradation(Component):
    """A component whose last two parameters are an amplitude and an offset.

    Parameters
    ----------
    names
        Names of the parameters; the last two are amplitude and offset.
    identifier
        Under which hyperspy_extension.yaml registers the class.
    dose_max
        Dose that counts as 1, in the units of the axis.
    """

    # HyperSpy makes them.
    model: Model1D
    _whitelist: dict[str, Any]

    def __init__(self, names: Sequence[str], identifier: str, dose_max: float) -> None:
        super().__init__(tuple(names), linear_parameter_list=list(names[-2:]))
        self._id_name = identifier
        self.dose_max = dose_max
        self.isbackground = False
        self.convolved = False

    @property
    def dose_max(self) -> float:
        """Dose that counts as 1, in the units of the axis."""
        return self._dose_max

    @dose_max.setter
    def dose_max(self, value: float) -> None:
        number = float(value)
        if not (math.isfinite(number) and number > 0):
            raise ValueError(
                f"dose_max={value!r} must be a positive dose; pass the largest dose of the series."
            )
        self._dose_max = number
        # HyperSpy stores and slices models by calling the class with the "init" entries of this
        # list, so the entry has to follow the attribute.
        self._whitelist["dose_max"] = ("init", number)

    def _normalised(self, x: np.ndarray) -> np.ndarray:
        # Below zero dose closed forms may diverge.
        return np.maximum(np.asarray(x, dtype=np.float64), 0.0) / self.dose_max

    @abstractmethod
    def _integrity(self, x: np.ndarray, *values: Any) -> np.ndarray:
        """C at doses ``(n_dose,)``; the other parameters of the law broadcast with them."""

    def _function(self, x: np.ndarray, *values: Any) -> np.ndarray:
        *law, amplitude, offset = values
        return amplitude * self._integrity(x, *law) + offset

    def function(self, x: np.ndarray) -> np.ndarray:
        """Intensity at the doses `x`, of the shape of `x`, with the current parameter values.

        Parameters
        ----------
        x
            Doses in the units of the axis.

        Returns
        -------
        numpy.ndarray
            Same shape.

        Examples
        --------
        >>> from hyperspy_dosekin.components import PowerLawDegradation
        >>> component = PowerLawDegradation(k=2.0, p=1.5, a=3.0, b=1.0)
        >>> print(component.function(np.array([0.0, 1.0])))
        [4.   1.75]
        """
        return self._function(x, *(parameter.value for parameter in self.parameters))

    def function_nd(
        self, axis: np.ndarray, parameters_values: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        """Intensity for every navigation position at once.

        Parameters
        ----------
        axis
            Doses, shape ``(n_dose,)``.
        parameters_values
            Arrays of the parameters, each of the navigation shape. Default: the stored maps.

        Returns
        -------
        Array of shape ``(navigation …, n_dose)``; ``(n_dose,)`` without navigation axes.

        Examples
        --------
        >>> from hyperspy_dosekin.components import PowerLawDegradation
        >>> component = PowerLawDegradation(a=2.0)
        >>> print(component.function_nd(np.array([0.0])))
        [2.]
        """
        if not self._is_navigation_multidimensional:
            return self.function(axis)
        if parameters_values is None:
            parameters_values = [parameter.map["values"] for parameter in self.parameters]
        return self._function(
            axis, *(np.asarray(values)[..., np.newaxis] for values in parameters_values)
        )

    @property
    def _constant_term(self) -> float | np.ndarray:
        # HyperSpy's linear optimisers subtract what does not depend on the one free parameter.
        *law, amplitude, offset = self.parameters
        fixed = 0.0 if offset.free else offset.value
        if amplitude.free:
            return fixed
        at = (parameter.value for parameter in law)
        return amplitude.value * self._integrity(self.model.axis.axis, *at) + fixed
