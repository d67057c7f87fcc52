# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a series may stop: what is wanted is known, a window is gone, or the dose is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from hyperspy_dosekin.numerics.arguments import real_number, short

_KEYS = ("half_integrity_dose", "integrity", "probability", "dose", "windows", "share", "in_a_row")
_REMEDY = (
    'such as {"half_integrity_dose": 0.1}, {"integrity": 0.5, "probability": 0.95} or '
    '{"dose": 1500}'
)


#: Chance with which the noise may be larger than it is taken to be when a series is to stop.
_UNLUCKY = 0.1


#: Factor on intervals of series that were stopped although the noise is not known: a series stops
#: where its residuals are small, and so are its intervals. Calibrated on 360 simulated decays of
#: first order (1.19), tested on draws of the prior and other shapes (benchmarks/kinetics/live.py).
STOPPED_WIDER = 1.2


def caution(n_frame: int, n_parameter: int) -> float:
    """Factor on standard deviations where the noise follows from the residuals of the series.

    A series that is looked at after every frame stops where its residuals happen to be small, so
    that an estimate of the noise which is right on the average is too small when it counts. The
    noise is therefore taken at the upper end of what the residuals allow (90 %, χ²).

    Parameters
    ----------
    n_frame, n_parameter
        Frames, and what is estimated from them.

    Examples
    --------
    >>> [round(caution(n, 4), 2) for n in (6, 14, 40)]
    [3.08, 1.43, 1.18]
    """
    freedom = max(n_frame - n_parameter, 1)
    return float(np.sqrt(freedom / stats.chi2.ppf(_UNLUCKY, freedom)))


@dataclass(frozen=True)
class StopRule:
    """One reason to stop; of several in one rule the first that holds counts.

    Parameters
    ----------
    half_integrity_dose
        Standard deviation of ln D½, a relative error, to which D½ of all windows is to be known.
    integrity, probability
        A window counts as gone where its integrity is below this, with at least this probability;
        one of the windows is enough.
    dose
        Dose that is not to be exceeded: the series stops where the next frame would.
    windows
        Windows that count; all if not given.
    share
        Share of the pixels of a map for which a rule has to hold.
    in_a_row
        Frames in a row for which a rule about the kinetics has to hold: one alone may be luck.
    """

    half_integrity_dose: float | None = None
    integrity: float | None = None
    probability: float = 0.95
    dose: float | None = None
    windows: tuple[str, ...] | None = None
    share: float = 0.9
    in_a_row: int = 2

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> StopRule:
        """A rule from a mapping.

        Raises
        ------
        TypeError
            If it is none, or a value is of another kind.
        ValueError
            If a name is unknown, a number out of range, or there is no reason to stop in it.
        """
        if not isinstance(told, Mapping):
            raise TypeError(f"stop_when={short(told)} must be a mapping, {_REMEDY}, or a function.")
        unknown = [name for name in told if name not in _KEYS]
        if unknown:
            raise ValueError(f"stop_when names {unknown}; it may have {list(_KEYS)}, {_REMEDY}.")
        if not {"half_integrity_dose", "integrity", "dose"} & set(told):
            raise ValueError(f"stop_when={short(told)} has no reason to stop; give one, {_REMEDY}.")
        kept = dict(told)
        for name in ("half_integrity_dose", "dose"):
            if name in kept:
                kept[name] = real_number(f"stop_when {name}", kept[name], _REMEDY, above=0.0)
        for name in ("integrity", "probability", "share"):
            if name in kept:
                text = f"stop_when {name}"
                kept[name] = real_number(text, kept[name], _REMEDY, above=0.0, below=1.0 + 1e-12)
        row = kept.get("in_a_row", 2)
        if isinstance(row, bool) or not isinstance(row, int) or row < 1:
            raise ValueError(f"stop_when in_a_row={row!r} must be a whole number, 1 or more.")
        if kept.get("windows") is not None:
            names = kept["windows"]
            kept["windows"] = (names,) if isinstance(names, str) else tuple(map(str, names))
        return cls(**kept)

    def check_windows(self, names: Sequence[str]) -> None:
        """Raise if a window is named that there is not.

        Raises
        ------
        ValueError
            Naming those that there are.
        """
        wrong = [name for name in self.windows or () if name not in names]
        if wrong:
            raise ValueError(f"stop_when names the windows {wrong}; there are {list(names)}.")

    def about_kinetics(self, names: Sequence[str], sd: np.ndarray, below: np.ndarray) -> str:
        """Why the kinetics say to stop, or nothing.

        Parameters
        ----------
        names
            The windows.
        sd
            Standard deviation of ln D½, ``(n_window, n_pixel)``.
        below
            Probability that the integrity is below `integrity`, of the same shape.
        """
        chosen = [place for place, name in enumerate(names) if name in (self.windows or names)]

        def share(holds: np.ndarray) -> np.ndarray:
            return holds[chosen].mean(axis=-1) >= min(self.share, 1.0)

        if self.half_integrity_dose is not None:
            with np.errstate(invalid="ignore"):
                if share(sd <= self.half_integrity_dose).all():
                    which = ", ".join(names[place] for place in chosen)
                    return f"D½ of {which} is known to {100 * self.half_integrity_dose:.3g} %"
        if self.integrity is not None:
            with np.errstate(invalid="ignore"):
                gone = share(below >= self.probability)
            if gone.any():
                which = names[chosen[int(np.argmax(gone))]]
                return (
                    f"the integrity of {which} is below {self.integrity:g} with a probability of "
                    f"{self.probability:g}"
                )
        return ""

    def about_dose(self, dose: float, step: float) -> str:
        """Why the dose says to stop, or nothing.

        Parameters
        ----------
        dose, step
            The last dose, and what the next frame will add.
        """
        if self.dose is not None and dose + step > self.dose * (1 + 1e-9):
            return f"the dose of {self.dose:g} is spent"
        return ""


def rules_of(told: Any) -> list[Any]:
    """The rules in what `stop_when` may be: a mapping, a function, several of them, or nothing."""
    if told is None:
        return []
    if callable(told) or isinstance(told, Mapping):
        told = [told]
    if isinstance(told, str) or not isinstance(told, Sequence):
        raise TypeError(
            f"stop_when={short(told)} must be a mapping, {_REMEDY}, a function of the posterior, "
            "or a list of these."
        )
    return [rule if callable(rule) else StopRule.of(rule) for rule in told]
