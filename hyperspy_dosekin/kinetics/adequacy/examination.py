# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""All tests of a fit, for every curve and window.

A good fit does not make a number right (`identifiability`), and a bad one makes it doubtful,
however narrow its interval is: the interval stands on the law. What no residual can show is not
tested here either: where the window ends, which the readout a·C + b takes from the same data, and
a dose that is wrong by a factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hyperspy_dosekin.kinetics.curves.preparation import filled_variance
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.interval_data import interval_curves
from hyperspy_dosekin.kinetics.estimate.moved_frames import moved_problem
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.dose_error import EXACT, DoseError
from hyperspy_dosekin.kinetics.posterior.parts import is_correlated

from .common_mode import CommonGain, common_gain, common_mode_test
from .projection import ProjectedResiduals
from .residual_tests import residual_tests, shape_tests
from .together import SIZE, strained, together
from .whitening import white_residuals

#: The tests, in the order in which they are shown.
TESTS = ("chi2", "serial", "largest", "start", "curvature", "common")
#: With a p value below this the windows of a frame are taken to share a gain.
_SHARED = 0.01
#: Residuals below this share of the largest value are rounding: the fit is perfect.
_PERFECT = 1e-7
#: A parameter nearer than this share of its box to an end of it is at that end.
_AT_END = 1e-4


@dataclass(frozen=True, eq=False)
class Examination:
    """What the residuals of a fit say of its law, arrays ``(n_curve, n_window)``.

    Parameters
    ----------
    statistic, p_value
        By test, see `TESTS`; NaN where a test is not possible. ``"common"`` is the mean
        correlation between the windows of a curve, the same for all of them.
    freedom
        Frames left over; NaN where there is no estimate.
    gain_spread
        Standard deviation of a gain of the frames that all windows of a curve share.
    correlation
        Correlation of the noise of neighbouring frames that was taken out; 0 for white noise.
    at_bound
        For each parameter −1 or 1 where it is at the lower or upper end of its box, else 0.
    """

    statistic: Mapping[str, np.ndarray]
    p_value: Mapping[str, np.ndarray]
    freedom: np.ndarray
    gain_spread: np.ndarray
    correlation: np.ndarray
    at_bound: Mapping[str, np.ndarray]

    @property
    def adequate(self) -> np.ndarray:
        """Whether the law describes the data: something could be tested, and nothing fails."""
        p_value = np.stack([self.p_value[name] for name in TESTS])
        passed = together(p_value) >= SIZE
        return np.asarray(passed & ~strained(self.correlation, list(self.at_bound.values())))


@dataclass(frozen=True, eq=False)
class FittedCurves:
    """A fit as its examination needs it; arrays ``(n_curve, n_window)`` and NaN where dead.

    Parameters
    ----------
    problem
        The data; a variance is taken for that of the noise.
    law
        The law.
    parameters
        Its parameters by name, per normalised dose.
    amplitude, offset
        a and b in the unit of the values.
    offset_free
        Whether b was estimated.
    held
        Names of parameters that were not estimated.
    correlated
        Whether the noise of neighbouring frames may be correlated.
    said
        Whether the user said that it is: if not, a wrong law looks the same.
    dose_error
        How well the doses are known; those of single frames are taken out of the residuals.
    robust_weight
        By how much less each value weighs because it lies outside, of the shape of the values.
    correlation
        That of the noise of the windows, ``(n_window, n_window)``; ``None`` for independent noise.
    """

    problem: DoseProblem
    law: KineticLaw
    parameters: Mapping[str, np.ndarray]
    amplitude: np.ndarray
    offset: np.ndarray
    offset_free: bool = True
    held: tuple[str, ...] = ()
    correlated: bool = False
    said: bool = False
    dose_error: DoseError = EXACT
    robust_weight: np.ndarray | None = None
    correlation: np.ndarray | None = None

    @property
    def at_bound(self) -> dict[str, np.ndarray]:
        """−1 or 1 where a free parameter is at the lower or upper end of its box, else 0."""
        found = {}
        for parameter in self.law.parameters:
            value = self.parameters[parameter.name]
            if parameter.name in self.held:
                found[parameter.name] = np.zeros(value.shape, dtype=int)
                continue
            lower, upper = parameter.free_box
            with np.errstate(invalid="ignore", divide="ignore"):
                free = np.log(value) if parameter.logarithmic else value
                low = free - lower < _AT_END * (upper - lower)
                high = upper - free < _AT_END * (upper - lower)
            found[parameter.name] = high.astype(int) - low.astype(int)
        return found

    def columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Fitted intensities and their derivatives by each free coefficient; 0 where dead.

        Returns
        -------
        fitted : numpy.ndarray
            ``(n_curve, n_window, n_dose)``.
        derivatives : numpy.ndarray
            ``(n_curve, n_window, n_column, n_dose)``, up to a factor for each column.
        """
        import torch

        alive = np.isfinite(self.amplitude)
        dose = torch.as_tensor(self.problem.normalised_dose)
        at = {name: torch.as_tensor(value[alive]) for name, value in self.parameters.items()}
        integrity, by_parameter = self.law.derivatives(dose, at)
        integrity = integrity.numpy()
        rows = [integrity - 1.0 if self.offset_free else integrity]
        rows += [np.ones_like(integrity)] if self.offset_free else []
        bound = self.at_bound
        for parameter in self.law.parameters:
            free = (bound[parameter.name][alive] == 0) & (parameter.name not in self.held)
            rows.append(by_parameter[parameter.name].numpy() * free[:, None])
        shape = self.problem.values.shape
        columns = np.zeros((*shape[:2], len(rows), shape[2]))
        columns[alive] = np.nan_to_num(np.stack(rows, axis=1))
        fitted = np.zeros(shape)
        amplitude, offset = self.amplitude[alive][:, None], self.offset[alive][:, None]
        fitted[alive] = amplitude * integrity + offset
        return fitted, columns


@dataclass(frozen=True, eq=False)
class WhiteWindows:
    """Projected residuals of all windows, fitted intensities and correlations, one each.

    In `windows` the noise is white, in `plain` it may follow itself.
    """

    windows: list[ProjectedResiduals]
    plain: list[ProjectedResiduals]
    scaled: list[np.ndarray]
    correlation: list[np.ndarray]


def white_windows(fit: FittedCurves) -> WhiteWindows:
    """Residuals of a fit in which the noise is white."""
    problem = fit.problem
    fitted, columns = fit.columns()
    if fit.dose_error.moves_frames:
        problem = moved_problem(
            problem,
            fit.dose_error,
            fit.law,
            fit.parameters,
            fit.amplitude,
            fit.offset,
            n_coefficient=columns.shape[2],
        )
    alive = np.isfinite(fit.amplitude)
    usable = problem.usable & alive[..., None]
    root_weight = usable.astype(np.float64)
    if problem.variance is not None:
        root_weight = root_weight / np.sqrt(filled_variance(problem.variance, usable))
    residual = np.where(usable, problem.values - fitted, 0.0)
    largest = np.where(usable, np.abs(problem.values), 0.0).max(axis=-1, keepdims=True, initial=0.0)
    perfect = np.abs(residual).max(axis=-1, keepdims=True, initial=0.0) < _PERFECT * largest
    residual = np.where(perfect, 0.0, residual)
    if fit.robust_weight is not None:
        root_weight = root_weight * np.sqrt(fit.robust_weight)
    shared = problem.shared_error
    if shared is not None:
        # A frame that is missing has no number there, either.
        shared = np.where(usable, shared, 0.0)
    windows, plain, scaled, correlations = [], [], [], []
    for place in range(problem.values.shape[1]):
        weight = root_weight[:, place]
        white, correlation, with_it = white_residuals(
            residual[:, place],
            columns[:, place],
            weight,
            shared=None if shared is None else shared[:, :, place],
            correlated=fit.correlated,
        )
        windows.append(white)
        plain.append(with_it)
        scaled.append(fitted[:, place] * weight)
        correlations.append(correlation)
    return WhiteWindows(windows, plain, scaled, correlations)


def examine(fit: FittedCurves) -> Examination:
    """Test a fit.

    Returns
    -------
    Statistics and p values of every test. With a perfect fit (data without noise) every p value
    is 1.

    Examples
    --------
    A decay that begins late is no power law:

    >>> from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
    >>> from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> late = 1 + np.exp(-3 * np.maximum(dose / 900 - 0.2, 0))
    >>> noise = 0.005 * np.random.default_rng(0).standard_normal((1, 1, 9))
    >>> problem = DoseProblem(dose, late + noise, ("C–O",), np.full((1, 1, 9), 0.005**2))
    >>> fit = fit_exact(problem)
    >>> found = examine(
    ...     FittedCurves(
    ...         problem,
    ...         kinetic_law("power law"),
    ...         {"rate": fit.rate, "exponent": fit.exponent},
    ...         fit.amplitude,
    ...         fit.offset,
    ...     )
    ... )
    >>> bool(found.p_value["chi2"][0, 0] < 0.01), bool(found.adequate[0, 0])
    (True, False)
    """
    found = white_windows(fit)
    shape = fit.amplitude.shape
    alive = np.isfinite(fit.amplitude)
    statistic = {name: np.full(shape, np.nan) for name in TESTS}
    p_value = {name: np.full(shape, np.nan) for name in TESTS}
    for place, window in enumerate(found.windows):
        # Noise that follows itself is not that of counting, whose variance says nothing of it.
        known = (found.correlation[place] == 0) & (fit.problem.variance is not None)
        tests = residual_tests(window, variance_known=known)
        perfect = (window.squares == 0) & (window.freedom > 0)
        for name in tests.p_value:
            statistic[name][:, place] = tests.statistic[name]
            p_value[name][:, place] = np.where(perfect, 1.0, tests.p_value[name])
        follows = np.flatnonzero(found.correlation[place] > 0)
        if follows.size:
            # The intervals allow for such noise. But what a wrong law leaves follows itself, too.
            serial = shape_tests(found.plain[place].select(follows).closed_up())
            statistic["serial"][follows, place] = serial.statistic["serial"]
            p_value["serial"][follows, place] = serial.p_value["serial"]
    if fit.said:
        p_value["serial"][:] = np.nan
    if fit.robust_weight is not None:
        # Frames that do not belong are what a robust loss is for.
        p_value["largest"][:] = np.nan
    signed = [
        ProjectedResiduals(
            window.residual * np.sign(line.sum(axis=-1, keepdims=True)), window.basis, window.used
        )
        for window, line in zip(found.windows, found.scaled, strict=True)
    ]
    spread = np.zeros(shape[0])
    if shape[1] > 1:
        correlation, common = common_mode_test(signed, fit.correlation)
        statistic["common"][:], p_value["common"][:] = correlation[:, None], common[:, None]
        agreeing = np.flatnonzero(common < _SHARED)
        if agreeing.size:
            spread[agreeing] = _gain(found, agreeing).spread
    for name in TESTS:
        statistic[name][~alive] = p_value[name][~alive] = np.nan
    freedom = np.stack([window.freedom for window in found.windows], axis=1).astype(float)
    return Examination(
        statistic,
        p_value,
        np.where(alive, freedom, np.nan),
        np.where(alive, spread[:, None], np.nan),
        np.where(alive, np.stack(found.correlation, axis=1), np.nan),
        fit.at_bound,
    )


def _gain(found: WhiteWindows, index: np.ndarray, assumed: float = 0.0) -> CommonGain:
    windows = [window.select(index) for window in found.windows]
    return common_gain(windows, [line[index] for line in found.scaled], assumed=assumed)


def frame_gain(fit: FittedCurves, *, assumed: float = 0.0) -> CommonGain:
    """Gain of each frame that all windows share, estimated from the residuals of a fit.

    Parameters
    ----------
    fit
        The fit, of two windows or more.
    assumed
        As for `common_gain`.

    Returns
    -------
    Gains ``(n_curve, n_dose)`` with their standard deviations.

    Raises
    ------
    ValueError
        If there is only one window.
    """
    if fit.problem.values.shape[1] < 2:
        raise ValueError(
            "the gain of a frame is what its windows have in common; one window has nothing to "
            "compare with. Integrate two windows or more."
        )
    found = white_windows(fit)
    return _gain(found, np.arange(fit.amplitude.shape[0]), assumed)


def fitted_curves(
    problem: DoseProblem,
    config: ExactConfig,
    parameters: Mapping[str, np.ndarray],
    amplitude: np.ndarray,
    offset: np.ndarray,
) -> FittedCurves:
    """A fit as its examination needs it.

    Parameters
    ----------
    config
        Options of the fit; its offset is ``None`` where it was estimated.
    parameters, amplitude, offset
        The estimates.
    """
    robust = None
    if config.loss is not None:
        root = interval_curves(problem, config).root_weight
        plain = interval_curves(problem, replace(config, loss=None)).root_weight
        assert root is not None
        whole = np.ones_like(root) if plain is None else plain
        robust = (root / np.where(whole > 0, whole, np.inf)) ** 2
    return FittedCurves(
        problem,
        config.parameters.law,
        parameters,
        amplitude,
        offset,
        offset_free=config.offset is None,
        held=tuple(name for name, _ in config.parameters.held),
        correlated=is_correlated(config, problem.dose.size),
        said=config.correlated is True,
        dose_error=config.dose_error,
        robust_weight=robust,
    )
