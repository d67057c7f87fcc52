# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kinetics result as a HyperSpy model of its data."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.components.kinetic_degradation import KineticDegradation
from hyperspy_dosekin.components.power_law_degradation import PowerLawDegradation
from hyperspy_dosekin.signals.kinetics.options.law_names import (
    KNOWN_EXPONENTS,
    StoredLaw,
    is_power_law,
)

if TYPE_CHECKING:
    from hyperspy.models.model1d import Model1D
    from hyperspy.signals import Signal1D

    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers

#: Parameters of the component of the power law and the attributes of the result that hold their
#: values.
PARAMETERS = {"k": "rate", "p": "exponent", "a": "amplitude", "b": "offset"}


def kinetics_model(numbers: KineticsNumbers, series: Signal1D) -> Model1D:
    """Model of the fitted series with one component; see `DoseKinetics.as_model`."""
    law = numbers.law
    if isinstance(law, StoredLaw):
        law.rate(None, None, None)
    numbers = numbers.computed(show_progressbar=False)
    _warn_of_undetermined(numbers)
    if series._lazy:
        series.compute(show_progressbar=False)
    model = series.create_model()
    component: PowerLawDegradation | KineticDegradation
    if is_power_law(law) or law.name in KNOWN_EXPONENTS:
        component, names = PowerLawDegradation(dose_max=numbers.dose_scale), PARAMETERS
    else:
        component = KineticDegradation(law, dose_max=numbers.dose_scale)
        names = {parameter.name: parameter.name for parameter in component.parameters}
    model.append(component)
    for parameter, name in names.items():
        values = np.moveaxis(np.asarray(numbers.map(name), dtype=float), 0, -1)
        stored = getattr(component, parameter).map
        fitted = np.isfinite(values)
        stored["values"][...] = np.where(fitted, values, 0.0).reshape(stored.shape)
        stored["is_set"][...] = fitted.reshape(stored.shape)
    model.fetch_stored_values()
    return model


def _warn_of_undetermined(numbers: KineticsNumbers) -> None:
    """A model has no flag: say beforehand where its numbers mean nothing."""
    if not numbers.has_intervals:
        return
    unknown = ~np.asarray(numbers.map("identifiable")) & ~np.asarray(numbers.map("not_fitted"))
    shares = unknown.reshape(len(numbers.window_names), -1).mean(axis=1)
    texts = [
        f"{name} ({100 * share:.0f} % of the pixels)" if numbers.space_shape else name
        for name, share in zip(numbers.window_names, shares, strict=True)
        if share > 0
    ]
    if texts:
        warnings.warn(
            f"the data do not determine D½ in {', '.join(texts)}: model.fit() finds numbers and "
            "standard deviations there too, which mean nothing. Use interval() of the result.",
            UserWarning,
            stacklevel=4,
        )
