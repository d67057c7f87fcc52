# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the fit in the kinetics tool, as the options that `fit_dose_pinn` takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import traits.api as t

from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS
from hyperspy_dosekin.kinetics.network.config import PROTOCOLS
from hyperspy_dosekin.numerics.typed import numbers_of
from hyperspy_dosekin.signals.kinetics.options.fit_options import ESTIMATORS, FitOptions, unused_by
from hyperspy_dosekin.signals.kinetics.options.law_names import POWER_LAW
from hyperspy_dosekin.signals.kinetics.options.offset import offset_array


class FitControls(t.HasTraits):
    """What is known before the fit, and who makes it.

    Parameters
    ----------
    given
        Options of `fit_dose_pinn` to begin with. Those that have no control here stay as they are.

    Attributes
    ----------
    law, laws
        Name of the kinetic law, one of `laws`: those that are registered, and the one given.
    estimator
        ``"exact"`` or ``"pinn"``: what Apply keeps. The live figure is always exact.
    extent
        ``"region"``: the mean over what the figure shows; ``"pixels"``: maps of every pixel.
    offset_known, offset
        Whether b is known, and b: one number, or one for each window with semicolons between them.
    exponent, exponent_value
        ``"free"``, ``"known"`` with its value, or ``"shared"`` by all windows; of the power law.
    hierarchy, faster, slower
        Whether k of one window is held above that of another; of the power law.
    protocol
        Training of the network.

    Raises
    ------
    ValueError, TypeError
        If an option is none, or one that the tool has no place for.
    """

    laws = t.List(t.Str())
    law = t.Enum(POWER_LAW, values="laws")
    estimator = t.Enum("exact", ESTIMATORS)
    extent = t.Enum("region", "pixels")
    offset_known = t.Bool(False, label="Offset b known")
    offset = t.Str("0")
    exponent = t.Enum("free", "known", "shared")
    exponent_value = t.Float(1.0, label="Exponent p")
    hierarchy = t.Bool(True, label="Hierarchy")
    faster = t.Str()
    slower = t.Str()
    protocol = t.Enum(FitOptions.protocol, tuple(PROTOCOLS))

    def __init__(self, given: dict[str, object]) -> None:
        if "spatial" in given:
            raise ValueError("the tool has a control for the region; leave spatial= out.")
        self.given = FitOptions.of("dose_kinetics_tool", **given)
        law = self.given.kinetic_law
        # One that is not registered under its name, or another than the one that is.
        self._law = None if law is KINETIC_LAWS.get(law.name) else law
        names = [name for name, each in KINETIC_LAWS.items() if not each.needs_series]
        traits: dict[str, object] = {"laws": list(dict.fromkeys([*names, law.name]))}
        traits["protocol"] = self.given.protocol
        if self.given.estimator is not None:
            traits["estimator"] = self.given.estimator
        if self.given.offset is not None:
            traits |= {"offset_known": True, "offset": _offset_text(self.given.offset)}
        if self.given.exponent == "shared":
            traits["exponent"] = "shared"
        elif self.given.exponent is not None:
            traits |= {"exponent": "known", "exponent_value": float(self.given.exponent)}
        pairs = tuple(self.given.hierarchy)
        if len(pairs) > 1:
            raise ValueError("the tool holds one pair of the hierarchy; pass one.")
        traits["hierarchy"] = bool(pairs)
        traits["faster"], traits["slower"] = pairs[0] if pairs else FitOptions.hierarchy[0]
        super().__init__(**traits)
        self.law = law.name

    @property
    def is_power_law(self) -> bool:
        """Whether the law is the power law, which has options of its own."""
        return self.law == POWER_LAW and self._law is None

    @t.observe("law", post_init=True)
    def _network_knows_the_power_law_only(self, event: object) -> None:
        if not self.is_power_law:
            self.estimator = "exact"

    def offset_values(self, n_window: int) -> float | tuple[float, ...] | None:
        """The known offset as `fit_dose_pinn` takes it.

        Raises
        ------
        ValueError
            If the text holds no numbers, or not one or one for each window.
        """
        if not self.offset_known:
            return None
        try:
            values = numbers_of(self.offset)
        except ValueError:
            values = ()
        if len(values) not in (1, n_window):
            raise ValueError(
                f"offset b: {self.offset!r} is neither a number nor {n_window} numbers with "
                "semicolons between them, one for each window, in the unit of the areas."
            )
        return values[0] if len(values) == 1 else values

    def options(self, names: tuple[str, ...], estimator: str, **changes: object) -> FitOptions:
        """Options of the fit, those that an estimator and the law have a use for.

        Parameters
        ----------
        estimator
            Who makes the fit.
        **changes
            Options that come before those of the controls.

        Raises
        ------
        ValueError
            As `offset_values`, or if an option is out of range.
        """
        law = self.law
        if self._law is not None and law == self._law.name:
            law = self._law
        options = {
            **self.given.given(),
            "law": law,
            "protocol": self.protocol,
            "offset": self.offset_values(len(names)),
            "exponent": {"free": None, "shared": "shared"}.get(
                self.exponent, float(self.exponent_value)
            ),
            "hierarchy": ((self.faster, self.slower),) if self.hierarchy else (),
        }
        unused = set(unused_by(estimator))
        if not self.is_power_law:
            unused |= {"exponent", "hierarchy"}
        kept = {name: value for name, value in options.items() if name not in unused}
        return FitOptions.of(**{**kept, "estimator": estimator, **changes})

    def renamed(self, old: str, new: str) -> None:
        """Follow a window that has got another name."""
        changes: dict[str, Any] = {}
        changes |= {side: new for side in ("faster", "slower") if getattr(self, side) == old}
        self.trait_set(**changes)


def _offset_text(offset: object) -> str:
    """A known offset as a person types it: one number, or one for each window.

    Raises
    ------
    ValueError
        If it is an offset for each pixel.
    """
    values = np.atleast_1d(offset_array(offset))
    if values.ndim > 1:
        raise ValueError(
            f"offset of shape {values.shape}: the tool holds one number, or one for each window; "
            "fit maps with an offset for each pixel by s.fit_dose_pinn(offset=…)."
        )
    return "; ".join(f"{value:.12g}" for value in values)
