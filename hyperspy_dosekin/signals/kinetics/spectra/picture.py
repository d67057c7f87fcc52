# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is drawn of kinetics of whole spectra."""

from __future__ import annotations

import numpy as np

from hyperspy_dosekin.kinetics.spectra.summary import integrities
from hyperspy_dosekin.plotting.kinetics.associated import AssociatedPicture
from hyperspy_dosekin.signals.kinetics.spectra.numbers import SpectraNumbers


def associated_picture(numbers: SpectraNumbers) -> AssociatedPicture:
    """Components, their spectra and the residue, with 95 % bands."""
    band = numbers.interval_values("integrity")
    half = numbers.interval_values("half_integrity_dose")
    used = numbers.origin.used

    def whole(components: np.ndarray, residue: np.ndarray) -> np.ndarray:
        found = np.full((len(components) + 1, used.size), np.nan)
        found[:, used] = [*components, residue]
        return found

    *components, residue = numbers.spectra_values
    lower, upper = zip(*map(numbers.interval_values, ("spectra", "residue")), strict=True)
    units = numbers.origin.energy_axis.get("units") or ""
    return AssociatedPicture(
        energy=numbers.origin.energy,
        spectra=whole(np.array(components), residue + numbers.known_residue),
        lower=whole(*lower),
        upper=whole(*upper),
        grid=numbers.grid,
        integrity=integrities(numbers.fit, numbers.grid / numbers.dose_scale),
        integrity_lower=band[0],
        integrity_upper=band[1],
        half_dose=numbers.values["half_integrity_dose"],
        half_dose_lower=half[0],
        half_dose_upper=half[1],
        identifiable=numbers.flags["identifiable"],
        names=numbers.component_names,
        dose=numbers.dose,
        dose_unit=numbers.dose_unit,
        energy_unit=units,
        quantity=numbers.origin.quantity,
    )
