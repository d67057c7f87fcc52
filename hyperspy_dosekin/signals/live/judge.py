# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a series may stop."""

from __future__ import annotations

from hyperspy_dosekin.kinetics.live.rules import StopRule, rules_of

from .posterior import DosePosterior


class Judge:
    """The rules of a series, and how long they have held.

    Parameters
    ----------
    stop_when
        As for `LiveKinetics`.
    names
        The windows.

    Raises
    ------
    TypeError, ValueError
        If a rule is not possible.
    """

    def __init__(self, stop_when: object, names: tuple[str, ...]) -> None:
        self.rules = rules_of(stop_when)
        self._names = names
        told = [rule for rule in self.rules if isinstance(rule, StopRule)]
        levels = {rule.integrity for rule in told if rule.integrity is not None}
        if len(levels) > 1:
            raise ValueError(f"stop_when names the integrities {sorted(levels)}; give one of them.")
        for rule in told:
            rule.check_windows(names)
        #: Integrity that is asked for.
        self.level = levels.pop() if levels else 0.5
        self._in_a_row = [0] * len(self.rules)
        #: Whether the series has stopped because its kinetics looked certain.
        self.certain = False

    def reason(self, posterior: DosePosterior, step: float, caution: float = 1.0) -> str:
        """Why to stop, or nothing.

        Parameters
        ----------
        posterior
            What is known.
        step
            Dose of the next frame.
        caution
            Factor on standard deviations, see `caution`.
        """
        flat = (len(self._names), -1)
        sd, below = (a.reshape(flat) for a in (posterior.sd_log_half_dose, posterior.below))
        reasons = []
        for place, rule in enumerate(self.rules):
            if not isinstance(rule, StopRule):
                if rule(posterior) is True:
                    reasons.append("the function of stop_when said so")
                continue
            why = rule.about_kinetics(self._names, caution * sd, below)
            self._in_a_row[place] = self._in_a_row[place] + 1 if why else 0
            if self._in_a_row[place] >= rule.in_a_row:
                reasons.append(why)
                self.certain = True
            reasons.append(rule.about_dose(posterior.dose, step))
        return next(filter(None, reasons), "")
