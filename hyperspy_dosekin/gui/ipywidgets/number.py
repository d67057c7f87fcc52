# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A field for one number, in which a decimal comma is a decimal point."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets
import traitlets

from hyperspy_dosekin.numerics.typed import number_of

if TYPE_CHECKING:
    from traitlets.utils.bunch import Bunch

#: Digits that are shown; the number itself keeps all.
_DIGITS = 12


class NumberText(ipywidgets.Text):
    """Text that is a number.

    The number fields of browsers follow the language of the browser: some leave out a comma without
    a word, and 7,5 becomes 75.

    Parameters
    ----------
    refuse
        Called with a `ValueError` when a text is no number; the number stays as it was.
    digits
        Decimal places that are shown, if not all.
    **widget
        Traits of `ipywidgets.Text`.

    Attributes
    ----------
    number
        What the text says.
    """

    number = traitlets.Float(0.0)
    #: Programs may give it a number too.
    value = traitlets.CUnicode("").tag(sync=True)

    def __init__(
        self, refuse: Callable[[ValueError], None], digits: int | None = None, **widget: object
    ) -> None:
        self._refuse, self._places = refuse, digits
        super().__init__(continuous_update=False, **widget)
        self.show()
        self.observe(self._typed, "value")
        self.observe(self.show, "number")

    def show(self, change: object = None) -> None:
        """Write the number into the field."""
        number = self.number
        if self._places is not None:
            number = round(number, self._places)
        self.value = f"{number:.{_DIGITS}g}"

    def _typed(self, change: Bunch) -> None:
        try:
            number = number_of(change["new"])
        except ValueError as error:
            self._refuse(error)
        else:
            # What is shown may be rounded: only a text that says another number changes it.
            if f"{number:.{_DIGITS}g}" != f"{self._shown():.{_DIGITS}g}":
                self.number = number
        self.show()

    def _shown(self) -> float:
        return self.number if self._places is None else round(self.number, self._places)
