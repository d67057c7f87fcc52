# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well the doses of the frames are known.

An error of the dose scale multiplies all doses, and every dose that is estimated, by the same
number: no data show it, and it is added in quadrature in ln D at the end. Errors of single frames
move points along the curve, by its slope times the error: they are noise of the intensities, some
of it shared by frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from hyperspy_dosekin.numerics.arguments import check_fields

#: Patterns of errors that add up which are kept of many frames; the rest is less than a hundredth.
_MOST_PATTERNS = 8


@dataclass(frozen=True)
class DoseError:
    """Standard deviations of the doses of a series.

    Parameters
    ----------
    scale
        Relative, of the dose scale: current, area, calibration.
    frame
        Relative, of the dose that each frame was read to have, independent of the others.
    increment
        Relative, of what each frame received; these errors add up over the frames.
    pre_exposure
        Of the dose before the first frame, in the unit of the dose.

    Raises
    ------
    ValueError
        If one is negative, not finite, or a relative one is 1 or more.

    Examples
    --------
    >>> DoseError.of(0.1)
    DoseError(scale=0.1, frame=0.0, increment=0.0, pre_exposure=0.0)
    >>> DoseError.of({"frame": 0.02}).moves_frames
    True
    """

    scale: float = 0.0
    frame: float = 0.0
    increment: float = 0.0
    pre_exposure: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        for name, value in asdict(self).items():
            relative = name != "pre_exposure"
            good = isinstance(value, int | float | np.number) and math.isfinite(value)
            if not good or value < 0 or (relative and value >= 1):
                kind = "a share from 0 to below 1" if relative else "a dose that is not negative"
                raise ValueError(
                    f"the uncertainty {name}={value!r} of the dose must be {kind}, one standard "
                    "deviation."
                )
            object.__setattr__(self, name, float(value))

    @classmethod
    def of(cls, given: float | Mapping[str, float] | DoseError | None) -> DoseError:
        """Read an uncertainty as it is given.

        Parameters
        ----------
        given
            A number for that of the scale, a mapping of the names above, or ``None`` for none.

        Raises
        ------
        ValueError
            If a name is not one of those above.
        """
        if given is None:
            return cls()
        if isinstance(given, DoseError):
            return given
        if not isinstance(given, Mapping):
            return cls(scale=given)
        known = [entry.name for entry in fields(cls)]
        unknown = sorted(map(str, set(given) - set(known)))
        if unknown:
            raise ValueError(
                f"the uncertainty of the dose names {unknown}; it may have {', '.join(known)}."
            )
        return cls(**given)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(asdict(self).values())

    @property
    def record(self) -> dict[str, float]:
        """What is not zero, by name."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def moves_frames(self) -> bool:
        """Whether single frames have errors, beside those of the scale."""
        return bool(self.frame or self.increment or self.pre_exposure)

    @property
    def of_frames(self) -> DoseError:
        """That of the readings of single frames alone."""
        return DoseError(frame=self.frame)

    @property
    def text(self) -> str:
        """What a table says of it."""
        said = {
            "scale": f"{100 * self.scale:.3g} % of the dose scale",
            "frame": f"{100 * self.frame:.3g} % of the dose of each frame",
            "increment": f"{100 * self.increment:.3g} % of what each frame received, adding up",
            "pre_exposure": f"{self.pre_exposure:.3g} before the first frame",
        }
        return ", ".join(said[name] for name in self.record)

    def patterns(self, dose: np.ndarray) -> np.ndarray:
        """Errors of the doses that frames share, each one standard deviation large.

        Parameters
        ----------
        dose
            Doses of the frames, ``(n_dose,)``.

        Returns
        -------
        numpy.ndarray
            ``(n_pattern, n_dose)``, in the unit of the dose.
        """
        found = []
        if self.increment:
            step = np.diff(dose, prepend=0.0)
            # What came before the first frame is the error of the pre-exposure.
            step[0] = min(step[0], step[1]) if step.size > 1 else step[0]
            added = np.tri(dose.size) * (self.increment * step)
            left, size, _ = np.linalg.svd(added)
            found.append((left * size).T[:_MOST_PATTERNS])
        if self.pre_exposure:
            found.append(np.full((1, dose.size), self.pre_exposure))
        return np.concatenate(found) if found else np.zeros((0, dose.size))

    def widened(
        self, lower: np.ndarray, upper: np.ndarray, estimate: np.ndarray, level: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ends of an interval of a dose with the error of the scale, in quadrature in ln D.

        Parameters
        ----------
        lower, upper, estimate
            Interval and estimate, of shapes that broadcast; open ends stay open.
        level
            Probability of the interval.
        """
        if not self.scale:
            return lower, upper
        return widened(lower, upper, estimate, self.scale, level, logarithmic=True)


#: Doses without errors.
EXACT = DoseError()


def widened(
    lower: np.ndarray,
    upper: np.ndarray,
    estimate: np.ndarray,
    shift: np.ndarray | float,
    level: float,
    *,
    logarithmic: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of an interval with a shift in quadrature about the estimate; open ends stay open.

    Parameters
    ----------
    lower, upper, estimate
        Of shapes that broadcast.
    shift
        Standard deviation, of such a shape.
    level
        Probability of the interval.
    logarithmic
        Whether it is one of the logarithm.
    """
    from scipy import special

    reach = shift * special.ndtri(0.5 * (1 + level))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if logarithmic:
            low = estimate * np.exp(-np.hypot(np.log(lower / estimate), reach))
            high = estimate * np.exp(np.hypot(np.log(upper / estimate), reach))
        else:
            low = estimate - np.hypot(estimate - lower, reach)
            high = estimate + np.hypot(upper - estimate, reach)
    return np.where(np.isnan(low), lower, low), np.where(np.isnan(high), upper, high)
