# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that all pixels have in common, where pixels share what they tell.

Many pixels together know a half-integrity dose better than one, but not better than what is wrong
with all of them alike, such as a drift of the normalisation or the dose of a frame. How far a
quantity moves with such an error of one standard deviation is taken from the mean over the pixels
of a group; it is added in quadrature to what the noise leaves open.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit, law_dose, law_integrity
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.estimate.moved_frames import moved_problem
from hyperspy_dosekin.kinetics.field.flag import near_of_normal
from hyperspy_dosekin.kinetics.identifiability import SHARED_NEAR
from hyperspy_dosekin.kinetics.model.dose_error import EXACT, widened
from hyperspy_dosekin.kinetics.posterior.ends import NEAR
from hyperspy_dosekin.lazy.blocks import compute

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.model.config import ExactConfig
    from hyperspy_dosekin.signals.kinetics.data.groups import Groups
    from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData

#: Quantities that are doses.
_DOSES = ("half_integrity_dose", "dose_at")
#: The readout, beside the parameters of the law.
_READOUT = ("amplitude", "offset")


def is_logarithmic(law: KineticLaw, name: str) -> bool:
    """Whether an interval of a quantity is widened in its logarithm."""
    return name in _DOSES or any(each.name == name and each.logarithmic for each in law.parameters)


@dataclass(frozen=True, eq=False)
class CommonErrors:
    """Fits of the mean of each group with each error, one standard deviation up and down.

    Parameters
    ----------
    labels
        Labels of the groups, ascending, ``(n_group,)``.
    moved
        Parameters of the law, ``"amplitude"`` and ``"offset"`` by name, ``(2, n_error, n_group,
        n_window)``; NaN where the mean cannot be fitted.
    dose_scale
        Relative standard deviation of the dose scale, which moves doses alone.
    """

    labels: np.ndarray
    moved: Mapping[str, np.ndarray]
    dose_scale: float = 0.0

    @classmethod
    def of(
        cls,
        data: SeriesData,
        config: ExactConfig,
        offset: Any,
        groups: Groups,
        gains: Mapping[tuple[int, int], float] | None = None,
    ) -> CommonErrors | None:
        """What the errors of a series with space axes move; ``None`` where it has none.

        Parameters
        ----------
        data
            The series.
        config
            Options, with the errors of the doses.
        offset
            Known offset of each pixel, ``(…space…, window)``, or ``None``.
        groups
            Groups of the pixels.
        gains
            Standard deviation of a gain of the frames by the place of the window and the label of
            the group, where the series knows of no error.
        """
        gains = {} if gains is None or data.shared_errors else gains
        if not data.shared_errors and not config.dose_error and not any(gains.values()):
            return None
        labels = np.array(sorted(groups.names))
        windows = range(len(data.window_names))
        each = [
            _moved(
                data, config, offset, groups.labels == label,
                np.array([gains.get((window, int(label)), 0.0) for window in windows]),
            )
            for label in labels
        ]  # fmt: skip
        moved = {name: np.stack([one[name] for one in each], 2) for name in each[0]}
        return cls(labels, moved, config.dose_error.scale)

    def shift(
        self,
        law: KineticLaw,
        name: str,
        *,
        dose_level: float = 0.5,
        normalised_dose: tuple[float, ...] = (),
    ) -> np.ndarray:
        """Standard deviation of a quantity by the errors, ``(n_group, n_window, n_value)``.

        That of the logarithm where `is_logarithmic` says so, and infinite where the mean cannot be
        fitted or never falls to the level.

        Parameters
        ----------
        law
            The law.
        name
            A parameter, ``"half_integrity_dose"``, ``"dose_at"``, ``"integrity"`` or
            ``"intensity"``, a·C + b.
        dose_level
            Integrity of ``"dose_at"``.
        normalised_dose
            Doses of trajectories.
        """
        values = [self.moved[parameter.name] for parameter in law.parameters]
        if name in _DOSES:
            found = law_dose(*values, law=law, level=dose_level)[..., None]
        elif name in ("integrity", "intensity"):
            found = law_integrity(*values, law=law, normalised_dose=np.asarray(normalised_dose))
            if name == "intensity":
                a, b = (self.moved[each][..., None] for each in _READOUT)
                found = a * found + b
        else:
            found = self.moved[name][..., None]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.log(found) if is_logarithmic(law, name) else found
            half = 0.5 * (found[0] - found[1])
        whole = (np.where(np.isfinite(half), half, np.inf) ** 2).sum(axis=0)
        if name in _DOSES:
            whole = whole + self.dose_scale**2
        return np.sqrt(whole)

    def of_pixels(self, shift: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Shifts of pixels by the labels of their groups.

        Parameters
        ----------
        shift
            ``(n_group, n_window, n_value)``.
        label
            ``(…, n_window)``.

        Returns
        -------
        numpy.ndarray
            ``(…, n_window, n_value)``.
        """
        place = np.searchsorted(self.labels, label).clip(max=self.labels.size - 1)
        return shift[place, np.arange(shift.shape[1])]

    def record(self) -> dict[str, object]:
        """Plain numbers for a file."""
        return {
            "labels": self.labels.tolist(),
            "moved": {name: each.tolist() for name, each in self.moved.items()},
            "shape": list(next(iter(self.moved.values())).shape),
            "dose scale": self.dose_scale,
        }

    @classmethod
    def read(cls, record: Mapping[str, Any] | None) -> CommonErrors | None:
        """The same from a file."""
        if not record:
            return None
        moved = {
            name: np.array(each, dtype=np.float64).reshape(record["shape"])
            for name, each in record["moved"].items()
        }
        return cls(np.array(record["labels"]), moved, record["dose scale"])


def _moved(
    data: SeriesData, config: ExactConfig, offset: object, chosen: np.ndarray, gain: np.ndarray
) -> dict[str, np.ndarray]:
    """Fits of the mean of some pixels with every error, ``(2, n_error, n_window)`` by name."""
    whole = bool(chosen.all())
    if not whole:
        data = replace(data, values=np.where(chosen[..., None, None], data.values, np.nan))
    with warnings.catch_warnings():
        # Pixels of other groups are missing on purpose.
        warnings.simplefilter("default" if whole else "ignore")
        mean = data.averaged()
    known = None
    if offset is not None:
        (known,) = compute(offset)
        every = np.broadcast_to(known, (*chosen.shape, len(data.window_names)))
        known = every[chosen].astype(np.float64).mean(axis=0)[None]
    config = replace(config, offset=known, hierarchy=())
    problem = mean.problem(quiet=True)
    errors = [np.nan_to_num(np.asarray(error)) for error in mean.shared_errors.values()]
    if config.dose_error.moves_frames:
        plain = replace(config, dose_error=EXACT)
        errors += _of_doses(problem, config, fit_exact(problem, plain))
    if gain.any():
        errors += [
            gain[:, None] * np.nan_to_num(problem.values[0]) * frame
            for frame in np.eye(problem.dose.size)
        ]
    config = replace(config, dose_error=EXACT)
    both = np.array([[sign * error for error in errors] for sign in (1.0, -1.0)])
    number = both.shape[0] * both.shape[1]
    names = (*(parameter.name for parameter in config.parameters.law.parameters), *_READOUT)
    shape = (2, len(errors), len(data.window_names))
    if not errors:
        return {name: np.zeros(shape) for name in names}
    values = problem.values + both.reshape(number, *problem.values.shape[1:])
    spread = problem.variance
    variance = None if spread is None else np.repeat(spread, number, axis=0)
    fit = fit_exact(replace(problem, values=values, variance=variance), config)
    found = {**fit.parameters, "amplitude": fit.amplitude, "offset": fit.offset}
    return {name: np.asarray(found[name]).reshape(shape) for name in names}


def _of_doses(problem: DoseProblem, config: ExactConfig, fit: ExactFit) -> list[np.ndarray]:
    """Errors of the doses of frames as errors of intensities, ``(n_window, n_dose)`` each."""
    moved = moved_problem(
        replace(problem, variance=np.zeros_like(problem.values)),
        config.dose_error,
        fit.law,
        fit.parameters,
        fit.amplitude,
        fit.offset,
        n_coefficient=0,
    )
    assert moved.variance is not None
    own = np.sqrt(moved.variance[0])
    shared = [] if moved.shared_error is None else [error[0] for error in moved.shared_error]
    frames = np.eye(problem.dose.size) if config.dose_error.frame else []
    # What a frame was misread to have is so for all pixels.
    return [*shared, *(own * frame for frame in frames)]


def within(
    ends: tuple[np.ndarray, np.ndarray],
    before: tuple[np.ndarray, np.ndarray],
    law: KineticLaw,
    name: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Widened ends of a quantity, not beyond its box where they were inside before."""
    box = {each.name: (each.lower, each.upper) for each in law.parameters}
    if name == "integrity":
        box[name] = 0.0, 1.0
    if name not in box or is_logarithmic(law, name):
        return ends
    lower, upper = box[name]
    return (
        np.maximum(ends[0], np.minimum(lower, before[0])),
        np.minimum(ends[1], np.maximum(upper, before[1])),
    )


def widened_fields(
    fields: np.ndarray,
    known: np.ndarray,
    *,
    names: tuple[str, ...],
    law: KineticLaw,
    errors: CommonErrors,
    level: float,
    least_near: np.ndarray,
) -> np.ndarray:
    """The fields of maps ``(…, n_field, n_window)`` with wider intervals, and flags that know it.

    Parameters
    ----------
    fields
        As the fit made them.
    known
        What is known of the pixels, first of all the labels of their groups.
    names
        What they hold.
    level
        Probability of the stored intervals.
    least_near
        Least probability of a determined pixel, ``(n_group, n_window)``.
    """
    fields = fields.copy()
    row, label = {name: place for place, name in enumerate(names)}, known[..., 0, :]
    for name in [each.removesuffix(" lower") for each in names if each.endswith(" lower")]:
        shift = errors.of_pixels(errors.shift(law, name), label)[..., 0]
        places = [row[f"{name} {end}"] for end in ("lower", "upper")]
        before = fields[..., places[0], :], fields[..., places[1], :]
        ends = widened(
            *before, fields[..., row[name], :], shift, level, logarithmic=is_logarithmic(law, name)
        )
        for place, end in zip(places, within(ends, before, law, name), strict=True):
            fields[..., place, :] = end
    shift = errors.of_pixels(errors.shift(law, "half_integrity_dose"), label)[..., 0]
    spread = np.hypot(fields[..., row["sd_log_half_dose"], :], shift)
    near, near_by = (near_of_normal(spread, reach) for reach in (NEAR, SHARED_NEAR))
    fields[..., row["sd_log_half_dose"], :] = spread
    fields[..., row["near_estimate"], :] = np.minimum(near, fields[..., row["near_estimate"], :])
    fields[..., row["identifiable"], :] *= (
        near_by >= errors.of_pixels(least_near[..., None], label)[..., 0]
    )
    return fields
