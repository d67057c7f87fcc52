# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person has done in the tool, to be undone and done again."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import traits.api as t

from hyperspy_dosekin.gui.kinetics.controls import DoseControls, ProcessingControls
from hyperspy_dosekin.gui.kinetics.fit_controls import FitControls
from hyperspy_dosekin.gui.kinetics.windows import KineticsWindows

DOSE_CHOICES = ("source", "axis", "dose_rate", "frame_time", "pre_exposure", "at")
#: Those of the fit which change what is shown, and those which change what is kept.
FIT_CHOICES = (
    *("law", "offset_known", "offset", "exponent", "exponent_value"),
    *("hierarchy", "faster", "slower"),
)
KEPT_CHOICES = ("estimator", "extent", "protocol")
#: Steps that are kept.
_MOST = 100


@dataclass(frozen=True)
class Choices:
    """All that a person can choose, as one value."""

    windows: KineticsWindows
    dose: DoseControls
    processing: ProcessingControls
    fit: FitControls

    def state(self) -> Hashable:
        """The windows, and the value of each control."""
        return (
            tuple(self.windows.as_dict().items()),
            tuple(
                tuple((name, getattr(owner, name)) for name in names) for owner, names in self._all
            ),
        )

    def restore(self, state: Any) -> None:
        """Put a state in the place of the present one."""
        windows, controls = state
        for (owner, _), values in zip(self._all, controls, strict=True):
            # One after the other: a law takes back what it has no use for.
            for name, value in values:
                setattr(owner, name, value)
        if tuple(self.windows.as_dict().items()) != windows:
            self.windows.replace(dict(windows))

    @property
    def _all(self) -> tuple[tuple[t.HasTraits, tuple[str, ...]], ...]:
        return (
            (self.dose, DOSE_CHOICES),
            (self.processing, tuple(self.processing.editable_traits())),
            (self.fit, (*FIT_CHOICES, *KEPT_CHOICES)),
        )


class History(t.HasTraits):
    """Earlier states, and later ones where a person has gone back.

    Parameters
    ----------
    choices
        What can be undone.

    Attributes
    ----------
    can_undo, can_redo
        Whether there is a state to go to.
    """

    can_undo = t.Bool(False)
    can_redo = t.Bool(False)

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        self._choices = choices
        self._earlier: list[Hashable] = []
        self._later: list[Hashable] = []
        self._present = choices.state()
        self._busy = False

    def record(self) -> None:
        """Keep the state that was, if there is another now."""
        state = self._choices.state()
        if self._busy or state == self._present:
            return
        self._earlier = [*self._earlier, self._present][-_MOST:]
        self._later = []
        self._present = state
        self._tell()

    def undo(self) -> None:
        """Go back by one step."""
        self._go(self._earlier, self._later)

    def redo(self) -> None:
        """Go forward by one step."""
        self._go(self._later, self._earlier)

    def _go(self, source: list[Hashable], target: list[Hashable]) -> None:
        if not source:
            return
        self._busy = True
        try:
            self._choices.restore(source[-1])
        finally:
            self._busy = False
        target.append(self._present)
        self._present = source.pop()
        self._tell()

    def _tell(self) -> None:
        self.trait_set(can_undo=bool(self._earlier), can_redo=bool(self._later))
