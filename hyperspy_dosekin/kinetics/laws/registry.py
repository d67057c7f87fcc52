# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws by name."""

from __future__ import annotations

from .closed_forms import (
    Delayed,
    DelayedPowerLaw,
    FirstOrder,
    MultiHit,
    PlateauPowerLaw,
    PowerLaw,
    TwoPopulations,
)
from .contract import KineticLaw
from .rate_laws import DarkRecovery, DoseRateThreshold, Reversible
from .stretched import Stretched

#: Laws by name. Add your own with `register_law`.
KINETIC_LAWS: dict[str, KineticLaw] = {
    law.name: law
    for law in (
        PowerLaw(),
        FirstOrder(),
        PlateauPowerLaw(),
        Delayed(),
        DelayedPowerLaw(),
        TwoPopulations(),
        MultiHit(),
        Stretched(),
        Reversible(),
        DoseRateThreshold(),
        DarkRecovery(),
    )
}


def register_law(law: KineticLaw) -> KineticLaw:
    """Make a law known by its name.

    Parameters
    ----------
    law
        The law; its name must be new.

    Returns
    -------
    KineticLaw
        The same law.

    Raises
    ------
    ValueError
        If another law has that name.

    Examples
    --------
    >>> from hyperspy_dosekin.kinetics import UserLaw
    >>> law = UserLaw(
    ...     lambda integrity, parameters, dose: parameters["rate"] * integrity**2,
    ...     {"rate": (0.01, 20.0, 1.0)},
    ...     name="second order",
    ... )
    >>> register_law(law) is kinetic_law("second order")
    True
    >>> del KINETIC_LAWS["second order"]
    """
    if law.name in KINETIC_LAWS:
        raise ValueError(
            f"a kinetic law named {law.name!r} exists already; give the new one another name."
        )
    KINETIC_LAWS[law.name] = law
    return law


def kinetic_law(law: str | KineticLaw = "power law") -> KineticLaw:
    """Law by name, or the law itself.

    Parameters
    ----------
    law
        Name of a registered law, or a law.

    Returns
    -------
    KineticLaw
        The law.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> [parameter.name for parameter in kinetic_law("power law").parameters]
    ['rate', 'exponent']
    """
    if isinstance(law, KineticLaw):
        return law
    if not isinstance(law, str) or law not in KINETIC_LAWS:
        raise ValueError(
            f"kinetic law {law!r} is not one of {sorted(KINETIC_LAWS)}; pass one of these names, "
            "a KineticLaw, or a UserLaw made of your own function."
        )
    return KINETIC_LAWS[law]
