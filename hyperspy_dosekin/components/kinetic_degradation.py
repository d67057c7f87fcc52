# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dose damage by any kinetic law as a component of HyperSpy models."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperspy_dosekin.components.degradation import Degradation
from hyperspy_dosekin.kinetics.estimate.exact_fit import law_integrity
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS, kinetic_law


class KineticDegradation(Degradation):
    r"""Intensity of a window that falls (or rises) with dose by any kinetic law.

    .. math::

        f(x) = a\,C(x/\Phi_{max}) + b

    with x the cumulative dose, counted from true zero, and C the latent integrity by the law. The
    parameters are those of the law, by their names, and ``amplitude`` (a) and ``offset`` (b), in
    the units of the data. Outside the box of a parameter of the law the curve is that at its
    bound. For the power law `PowerLawDegradation` has analytic gradients.

    Parameters
    ----------
    law
        The law, or the name of a registered one. Only models of registered laws can be stored.
    dose_max
        Dose that is 1 in the law, in the units of the axis (e⁻/Å²): the largest of the series, or
        its dose scale.
    **values
        Values of parameters; those of the law begin where its author says, the amplitude at 1, and
        the offset at 0.

    Raises
    ------
    ValueError
        If the law is not known, has no such parameter, or `dose_max` is not positive and finite.

    Examples
    --------
    >>> from hyperspy_dosekin.components import KineticDegradation
    >>> dose = np.linspace(152, 1368, 9)
    >>> s = hs.signals.Signal1D(5 * np.exp(-1.5 * dose / 1368) + 2)
    >>> axis = s.axes_manager[-1]
    >>> axis.offset, axis.scale = 152, 152
    >>> component = KineticDegradation("first order", dose_max=1368, amplitude=4, offset=1)
    >>> model = s.create_model()
    >>> model.append(component)
    >>> fit = model.fit()
    >>> bool(np.isclose(component.rate.value, 1.5, rtol=1e-4))
    True
    """

    def __init__(
        self, law: str | KineticLaw = "first order", dose_max: float = 1.0, **values: float
    ) -> None:
        self.law = kinetic_law(law)
        names = [parameter.name for parameter in self.law.parameters]
        super().__init__(
            (*names, "amplitude", "offset"), "0c1b0d0e-5b86-4d0c-9b43-6c9d1f0a7e52", dose_max
        )
        # HyperSpy stores and slices models by calling the class with this; only a name can be
        # stored.
        registered = KINETIC_LAWS.get(self.law.name) is self.law
        self._whitelist["law"] = ("init", self.law.name if registered else self.law)
        unknown = sorted(set(values) - {*names, "amplitude", "offset"})
        if unknown:
            raise ValueError(
                f"the law {self.law.name!r} has no parameter {unknown[0]!r}; it has "
                f"{', '.join(names)}, and amplitude and offset."
            )
        start = {parameter.name: parameter.start for parameter in self.law.parameters}
        for name, value in {**start, "amplitude": 1.0, "offset": 0.0, **values}.items():
            getattr(self, name).value = value
        for parameter in self.law.parameters:
            stored = getattr(self, parameter.name)
            stored.bmin, stored.bmax = parameter.lower, parameter.upper

    def _integrity(self, x: np.ndarray, *values: Any) -> np.ndarray:
        inside = [
            np.clip(np.asarray(value, dtype=np.float64), parameter.lower, parameter.upper)
            for value, parameter in zip(values, self.law.parameters, strict=True)
        ]
        flat = [value[..., 0] if value.ndim else value for value in inside]
        dose, place = np.unique(self._normalised(x), return_inverse=True)
        found = law_integrity(*flat, law=self.law, normalised_dose=dose)
        return found[..., place.reshape(-1)].reshape(*found.shape[:-1], *np.shape(x))
