# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How certain a set of frames makes a quantity, and the set that makes it most certain.

The measure is the Bayesian Cramér–Rao bound: the Fisher information of the frames in a, b and the
parameters of the law, with the precision of the prior of the fit added. It is averaged over the
curves that are expected, in the logarithm, so that no hopeless curve decides for all the others
(Chaloner & Verdinelli, Stat. Sci. 10, 273 (1995), doi:10.1214/ss/1177009939). Frames are exchanged
one by one for better ones on a grid of doses (Fedorov, *Theory of Optimal Experiments*, 1972),
which is then made finer around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .expectation import Expectation

# Doses on the first grid, and around each frame on the finer ones.
_COARSE, _FINE = 40, 9
_SWEEPS, _REFINEMENTS = 12, 4
# Frames up to which every one of them is placed by itself; more follow a rule of one number.
_PLACED = 16
# Powers of such a rule, Φ = Φ_max (i/n)^power: 1 is even, larger ones crowd at small doses.
_POWERS = np.linspace(0.5, 4.0, 29)
# Smallest dose on the grid, as a share of the largest.
_SMALLEST = 0.004
# Precision of amplitude and offset before the data, in units of the amplitude: next to nothing.
_FLAT = 1e-8


#: Noise of frames beyond which squares of it and information are no numbers any more.
_LEAST_NOISE, _MOST_NOISE = 1e-9, 1e3


@dataclass(frozen=True)
class FrameNoise:
    """Noise of the value of a frame.

    Parameters
    ----------
    sd
        Standard deviation as a share of the amplitude.
    dose
        Dose of a frame with that noise where every electron is recorded: the variance of a frame is
        then inverse to the dose that falls within it. ``None`` where it is the same for any frame.
    """

    sd: float
    dose: float | None = None

    def __post_init__(self) -> None:
        if not _LEAST_NOISE <= self.sd <= _MOST_NOISE:
            raise ValueError(
                f"noise={self.sd:.3g} of the amplitude must lie between {_LEAST_NOISE:g} and "
                f"{_MOST_NOISE:g}; give that of a real frame, such as 0.01."
            )

    def variance(self, doses: np.ndarray) -> np.ndarray:
        """Variance of frames that end at ascending doses, ``(…, n_frame)``."""
        if self.dose is None:
            return np.full(doses.shape, self.sd**2)
        own = np.diff(doses, axis=-1, prepend=np.zeros_like(doses[..., :1]))
        return self.sd**2 * self.dose / np.maximum(own, 1e-12 * self.dose)


@dataclass(frozen=True, eq=False)
class DesignProblem:
    """What frames are wanted for.

    Parameters
    ----------
    expectation
        The curves that may turn up.
    noise
        Noise of a frame.
    goal
        A name of `GOALS`.
    offset_known
        Whether b is known.
    n_pixel
        Number of pixels that are averaged, or windows of the same kind; the variance is divided by
        it.
    """

    expectation: Expectation
    noise: FrameNoise
    goal: str = "half_integrity_dose"
    offset_known: bool = False
    n_pixel: int = 1

    def sd(self, doses: np.ndarray) -> np.ndarray:
        """Standard deviation of the logarithm of the goal, for frames ``(n_frame,)``, by draw."""
        doses = np.asarray(doses, dtype=np.float64)
        return _Tables(self, doses).sd(self._weight(doses)[None])[0]

    def of_law(self, doses: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """What frames say of the parameters of the law alone, the readout left free.

        Parameters
        ----------
        doses
            Doses of the frames, ``(n_frame,)``.

        Returns
        -------
        information
            ``(n_draw, n_parameter, n_parameter)``, without the prior.
        slope
            Derivatives of the logarithm of the goal, ``(n_draw, n_parameter)``.
        precision
            That of the prior, ``(n_parameter,)``.
        place
            Which of them is ln k.
        """
        tables, expected = _Tables(self, doses), self.expectation
        whole = (self._weight(doses)[None] @ tables.information)[0]
        whole = whole.reshape(tables.n_draw, tables.size, tables.size) + 0.0
        precision = expected.precision()
        n = tables.size - precision.size
        readout = whole[:, :n, :n] + _FLAT * np.eye(n)
        across = np.linalg.solve(readout, whole[:, :n, n:])
        information = whole[:, n:, n:] - whole[:, n:, :n] @ across
        names = [parameter.name for parameter in expected.law.parameters]
        return information, tables.slope[:, n:], precision, names.index("rate")

    def _weight(self, doses: np.ndarray) -> np.ndarray:
        return self.n_pixel / self.noise.variance(doses)


class _Tables:
    """Information of a frame at each of some doses, ready to be added up."""

    def __init__(self, problem: DesignProblem, dose: np.ndarray) -> None:
        self.problem, self.dose, expected = problem, dose, problem.expectation
        columns = expected.columns(dose, offset_known=problem.offset_known)
        self.n_draw, _, self.size = columns.shape
        information = np.einsum("dfi,dfj->fdij", columns, columns)
        self.information = information.reshape(dose.size, -1)
        before = np.full(self.size, _FLAT)
        precision = expected.precision()
        before[self.size - precision.size :] = precision
        self.before = np.diag(before)
        slope = np.zeros((self.n_draw, self.size))
        slope[:, self.size - precision.size :] = expected.slopes(problem.goal)
        self.slope = slope

    def sd(self, weight: np.ndarray) -> np.ndarray:
        """For weights of the doses ``(n_design, n_dose)``, ``(n_design, n_draw)``."""
        whole = (weight @ self.information).reshape(-1, self.n_draw, self.size, self.size)
        whole += self.before
        # Equal scales on the diagonal: the amplitude may be known a million times better than p.
        scale = np.sqrt(np.einsum("...ii->...i", whole))
        whole /= scale[..., :, None] * scale[..., None, :]
        slope = self.slope / scale
        solved = np.linalg.solve(whole, slope[..., None])[..., 0]
        return np.sqrt(np.maximum((slope * solved).sum(-1), 1e-24))

    def criterion(self, places: np.ndarray) -> np.ndarray:
        """Of designs ``(n_design, n_frame)``, which are places among the doses."""
        weight = np.zeros((len(places), self.dose.size))
        each = self.problem._weight(self.dose[places])
        np.add.at(weight, (np.arange(len(places))[:, None], places), each)
        return criterion(self.sd(weight))


def criterion(sd: np.ndarray) -> np.ndarray:
    """Mean over the draws of the logarithm of the standard deviation, ``(…)``."""
    return np.log(sd).mean(axis=-1)


def even(n_frame: int, largest: float) -> np.ndarray:
    """Frames at equal steps of dose."""
    return largest * np.arange(1, n_frame + 1) / n_frame


def geometric(n_frame: int, largest: float, smallest: float) -> np.ndarray:
    """A first frame at the smallest dose, and the others in equal ratios up to the largest."""
    if n_frame < 3:
        return even(n_frame, largest)
    begin = max(0.03 * largest, 2 * smallest)
    return np.concatenate([[smallest], np.geomspace(min(begin, largest), largest, n_frame - 1)])


def best_doses(
    problem: DesignProblem,
    n_frame: int,
    largest: float,
    *,
    smallest: float = 0.0,
    starts: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Doses of the frames that make the goal most certain.

    Parameters
    ----------
    n_frame
        Number of frames.
    largest
        Largest dose.
    smallest
        Least dose of a frame: of the first, and between two frames.
    starts
        More sets of frames to start from.

    Returns
    -------
    numpy.ndarray
        Ascending doses, ``(n_frame,)``.
    """
    if n_frame > _PLACED:
        rules = [largest * even(n_frame, 1.0) ** power for power in _POWERS]
        possible = [rule for rule in rules if allowed(rule[None], smallest)[0]]
        return min([*possible, *starts], key=lambda rule: criterion(problem.sd(rule)))
    first = max(smallest, _SMALLEST * largest)
    grid = np.unique(
        np.concatenate([[smallest], np.geomspace(first, largest, _COARSE), even(8, largest)])
    )
    tables = _Tables(problem, grid)
    begin = [even(n_frame, largest), geometric(n_frame, largest, smallest), *starts]
    found = [_exchanged(tables, _onto(grid, start), smallest) for start in begin]
    doses = grid[min(found, key=lambda places: tables.criterion(places[None])[0])]
    return _refined(problem, doses, largest, smallest)


def _onto(grid: np.ndarray, doses: np.ndarray) -> np.ndarray:
    return np.sort(np.abs(grid[:, None] - doses).argmin(0))


def _exchanged(tables: _Tables, places: np.ndarray, least: float) -> np.ndarray:
    """Exchange one frame after the other until none gets better."""
    best, grid = float(tables.criterion(places[None])[0]), tables.dose
    for _ in range(_SWEEPS):
        before = best
        for frame in range(places.size):
            others = np.delete(places, frame)
            tried = _with_each(others, np.arange(grid.size))
            tried = tried[allowed(grid[tried], least)]
            if not len(tried):
                continue
            values = tables.criterion(tried)
            if values.min() < best - 1e-9:
                best, places = float(values.min()), tried[values.argmin()]
        if before - best < 1e-4:
            break
    return places


def _with_each(kept: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Sorted designs, each of the frames that are kept and one new one, ``(n_new, n_frame)``."""
    return np.sort(
        np.concatenate([np.broadcast_to(kept, (new.size, kept.size)), new[:, None]], axis=1)
    )


def allowed(doses: np.ndarray, least: float) -> np.ndarray:
    """Which designs leave every frame its least dose."""
    if least <= 0:
        return np.ones(len(doses), dtype=bool)
    own = np.diff(doses, axis=-1, prepend=0.0)
    return np.asarray((own >= least * (1 - 1e-9)).all(axis=-1))


def _refined(problem: DesignProblem, doses: np.ndarray, largest: float, least: float) -> np.ndarray:
    """Move each frame a little, in steps that become smaller."""
    reach = 0.35
    for _ in range(_REFINEMENTS):
        for frame in range(doses.size):
            near = doses[frame] * np.exp(np.linspace(-reach, reach, _FINE))
            if doses[frame] <= 0:
                near = np.linspace(0, _SMALLEST * largest, _FINE)
            near = np.unique(np.append(near.clip(least, largest), doses[frame]))
            grid = np.concatenate([np.delete(doses, frame), near])
            order = np.argsort(grid, kind="stable")
            place_of = np.empty_like(order)
            place_of[order] = np.arange(order.size)
            grid = grid[order]
            kept, new = place_of[: doses.size - 1], place_of[doses.size - 1 :]
            tried = _with_each(kept, new)
            tried = tried[allowed(grid[tried], least)]
            if not len(tried):
                continue
            doses = grid[tried[_Tables(problem, grid).criterion(tried).argmin()]]
        reach /= 3
    return doses
