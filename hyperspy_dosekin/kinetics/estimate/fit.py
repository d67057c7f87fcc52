# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact estimator: a kinetic law, fitted to every curve at once.

The readout a·C + b is projected out, the kinetic parameters start at the best of a dictionary of
decays and are refined by a batched Levenberg–Marquardt inside a box. The result is the posterior
mode in (ln k, p) — the least-squares fit where the prior is removed — not the end of a training.
The power law and the readout are those of [1]_.

References
----------
.. [1] G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.curves.preparation import (
    PreparedCurves,
    broadcast_offset,
    prepare_curves,
)
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ARRAYS, ExactFit
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.prior import HIERARCHY_FREE
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.numerics.batching import Ferry, map_slices
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.numerics.memory import keep_work_memory

if TYPE_CHECKING:
    import torch

    from hyperspy_dosekin.kinetics.estimate.search import FoundCurves

_logger = logging.getLogger(__name__)

# Curves × windows at once on a device other than the processor: 0.1 kB a curve and dose, for a
# GB or two with nine doses.
_DEVICE_CURVES = 2**20


def _readout(
    curves: PreparedCurves, found: FoundCurves, law: KineticLaw, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Solve for a and b at given parameters, in float64 and the unit of the values."""
    import torch

    from hyperspy_dosekin.kinetics.laws.solution import curve
    from hyperspy_dosekin.kinetics.model.shared_error import basis_of, without_shared
    from hyperspy_dosekin.numerics.row_sums import row_sum

    ferry = Ferry(device)
    # The doses come first, where sums over them are sums of long rows.
    dose = ferry.to_device("dose", curves.normalised_dose)[:, None]
    search = [
        parameter.to_search(ferry.to_device(parameter.name, array.ravel()))
        for parameter, array in zip(law.parameters, found.parameters, strict=True)
    ]
    integrity = curve(law, dose, search)[0]
    by_dose = (-1, curves.normalised_dose.size)
    values = ferry.to_device("values", curves.values.reshape(by_dose)).T
    root: Any = 1.0
    if found.root_weight is not None:
        root = ferry.to_device("weight", found.root_weight.reshape(by_dose)).T
    basis = None
    if curves.shared is not None:
        errors = curves.shared.reshape(*by_dose, curves.shared.shape[-1])
        basis = basis_of(ferry.to_device("shared", errors).permute(1, 2, 0))

    def whitened(columns: torch.Tensor) -> torch.Tensor:
        return without_shared(root * columns, basis)

    one, column, values = (whitened(each) for each in (torch.ones_like(values), integrity, values))
    total = row_sum(one * one).clamp(min=1e-300)
    mean_integrity = mean_value = torch.zeros_like(integrity[0])
    if not curves.offset_known:
        mean_integrity = row_sum(one * column) / total
        mean_value = row_sum(one * values) / total
        bound = ferry.to_device("bound", found.bound.ravel())
        held, pin = ~bound.isnan(), bound.nan_to_num(0.0)
        # Where the offset is at a bound: y = a (C − pin), from values that are not centred.
        centre = ferry.to_device("centre", (curves.centre / curves.unit).ravel())
        mean_integrity = torch.where(held, pin, mean_integrity)
        mean_value = torch.where(held, -centre, mean_value)
    column = column - one * mean_integrity
    norm = row_sum(column * column).clamp(min=1e-300)
    amplitude = row_sum(column * (values - one * mean_value)) / norm
    ends = np.empty((2, *curves.unit.shape))
    pair = torch.stack([amplitude, mean_value - amplitude * mean_integrity])
    ferry.to_host("found", pair.reshape(ends.shape), ends)
    offset = curves.centre + curves.unit * ends[1]
    if not curves.offset_known:
        offset = np.where(found.bound == 0, 0.0, offset)
    return ends[0] * curves.unit, offset


def fit_exact(problem: DoseProblem, config: ExactConfig | None = None) -> ExactFit:
    """Fit a law with a linear readout to every curve and window.

    Parameters
    ----------
    problem
        The data; frames that are NaN (or of no variance) are left out. With ``variance`` the
        frames are weighed by it, and it sets the scale of the priors; otherwise the noise is
        estimated with each window.
    config
        Options.

    Returns
    -------
    Estimates. Curves that cannot be fitted are NaN and marked, never an exception.

    Raises
    ------
    ValueError
        If the dose axis has too few distinct doses for what is estimated (four doses suffice for
        k, p, a and b, but leave nothing for the noise: without ``variance`` the priors then weigh
        nothing), or an option does not fit the data.

    Notes
    -----
    Windows are fitted by themselves, unless ``exponent="shared"`` or a pair of the hierarchy
    couples those of a curve; then their parameters are solved for jointly. Where the data
    contradict a pair, so that it is likelier that there is none, windows are fitted without.

    Examples
    --------
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> values = 5 + 2 * np.exp(-3 * dose / 900)
    >>> problem = DoseProblem(dose, values[None, None], ("C–O",))
    >>> fit = fit_exact(problem, ExactConfig(prior=None))
    >>> round(fit.rate.item(), 4), round(fit.exponent.item(), 4), round(fit.offset.item(), 4)
    (3.0, 1.0, 5.0)
    """
    config = config or ExactConfig()
    device = resolve_device(config.device)
    n_curve, n_window = problem.values.shape[:2]
    # The whole dose axis decides whether there is anything to estimate, not the piece.
    offset = broadcast_offset(config.offset, (n_curve, n_window))
    groups = _groups(config.coupled(problem.window_names))
    if len(groups) > 1:
        # A window must not depend on others that it has nothing to do with, also not by where
        # the steps of a common search end.
        return side_by_side(
            [
                fit_exact(
                    problem.windows(places),
                    replace(config, offset=None if offset is None else offset[:, places]),
                )
                for places in groups
            ],
            groups,
        )
    keep_work_memory()
    # Chunks of the processor are small, and stragglers of all of them are finished together.
    size = n_curve if device.type == "cpu" else _DEVICE_CURVES // max(n_window, 1)
    pieces: dict[int, ExactFit] = {}
    notes: list[str] = []

    def work(part: slice) -> None:
        pieces[part.start] = _fit_piece(
            problem.curves(part),
            replace(config, offset=None if offset is None else offset[part]),
            device,
        )

    # Also no curves at all are fitted once, for the shapes of the result.
    map_slices(work, max(n_curve, 1), size=size, device=device, what="exact fit", note=notes.append)
    found = [pieces[start] for start in sorted(pieces)]
    dead = sum(int(piece.dead.sum()) for piece in found)
    if dead:
        _logger.info("%d of %d curves cannot be fitted", dead, n_curve * n_window)
    if len(found) == 1:
        return replace(found[0], notes=tuple(notes))
    return replace(_joined(found, axis=0), notes=tuple(notes))


def _groups(coupled: list[list[int]]) -> list[list[int]]:
    """Places of windows that are fitted in one call: all that are alone, and each that is not."""
    alone = [places[0] for places in coupled if len(places) == 1]
    return [*([alone] if alone else []), *(places for places in coupled if len(places) > 1)]


def side_by_side(fits: list[ExactFit], groups: list[list[int]]) -> ExactFit:
    """Fits of some windows each as one of all, in the order of their places."""
    order = np.argsort(np.concatenate(groups))
    notes = tuple(dict.fromkeys(note for fit in fits for note in fit.notes))
    return replace(_joined(fits, axis=1).select((slice(None), order)), notes=notes)


def _joined(fits: list[ExactFit], axis: int) -> ExactFit:
    """One fit out of several, of other curves (axis 0) or windows (1)."""
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(fit, name) for fit in fits], axis=axis) for name in ARRAYS
    }
    parameters = {
        name: np.concatenate([fit.parameters[name] for fit in fits], axis=axis)
        for name in fits[0].parameters
    }
    return ExactFit(fits[0].law, parameters, **arrays)


@np.errstate(over="ignore", invalid="ignore")  # a noise beyond all numbers is infinite
def _fit_piece(problem: DoseProblem, config: ExactConfig, device: torch.device) -> ExactFit:
    """Fit curves that fit in the memory together."""
    import torch

    from hyperspy_dosekin.kinetics.laws.solution import check_law

    from .search import fit_curves

    shape = problem.values.shape[:2]
    parameters = config.parameters
    law = parameters.law
    check_law(law, torch.as_tensor(problem.normalised_dose))
    curves = prepare_curves(
        problem,
        offset=config.offset,
        parameters=[parameter.name for parameter in parameters.free],
        absolute_variance=config.noise != "relative",
    )
    found = fit_curves(curves, config, config.pairs(problem.window_names))
    with np.errstate(over="ignore"):
        amplitude, offset = _readout(curves, found, law, device)
    noise_sigma = found.noise * curves.unit / np.sqrt(np.maximum(curves.mean_weight, 1e-300))
    freedom = curves.freedom + ~np.isnan(found.bound)
    left = freedom - found.effective_parameters
    # `squares` are in units of the noise where that is given, of the unit otherwise.
    known = curves.noise_model(config.noise) == "given" or config.loss is not None
    squares = found.squares if known else np.maximum(freedom, 0.0)
    if curves.noise_model(config.noise) == "floor" and config.loss is None:
        squares = found.squares / found.noise**2
    # Less than half a frame left over cannot carry an estimate of the noise.
    residual_sigma = np.where(
        left > 0.5, noise_sigma * np.sqrt(squares / np.maximum(left, 0.5)), np.nan
    )
    dead = curves.dead

    def masked(array: np.ndarray) -> np.ndarray:
        return np.where(dead, np.nan, np.broadcast_to(array, shape))

    fit = ExactFit(
        law,
        dict(zip([p.name for p in law.parameters], map(masked, found.parameters), strict=True)),
        amplitude=masked(amplitude),
        offset=masked(curves.centre if curves.offset_known else offset),
        residual_sigma=masked(residual_sigma),
        noise_sigma=masked(noise_sigma),
        objective=masked(found.objective),
        converged=found.converged & ~dead,
        dead=dead,
    )
    return _without_false_pairs(problem, config, device, fit)


def _without_false_pairs(
    problem: DoseProblem, config: ExactConfig, device: torch.device, fit: ExactFit
) -> ExactFit:
    """The fit, and where that is likelier one whose windows do not obey the hierarchy."""
    pairs = config.pairs(problem.window_names)
    if not pairs or config.exponent == "shared":
        return fit
    rate = fit.parameters[config.parameters.free[0].name]
    pressed = np.any([rate[:, slow] > rate[:, fast] for fast, slow in pairs], axis=0)
    index = np.flatnonzero(pressed)
    if not index.size:
        return fit
    offset = None if config.offset is None else np.asarray(config.offset)[index]
    alone = replace(config, hierarchy=(), offset=offset)
    free = _fit_piece(problem.curves(index), alone, device)
    # A window that was not fitted has no objective; together they have one.
    together = np.nanmax(fit.objective[index], axis=1)
    likelier = together - np.nansum(free.objective, axis=1) > HIERARCHY_FREE**2
    if not likelier.any():
        return fit
    chosen = index[likelier]

    def put(array: np.ndarray, other: np.ndarray) -> np.ndarray:
        array = array.copy()
        array[chosen] = other[likelier]
        return array

    arrays: dict[str, Any] = {n: put(getattr(fit, n), getattr(free, n)) for n in ARRAYS}
    parameters = {n: put(each, free.parameters[n]) for n, each in fit.parameters.items()}
    return replace(fit, parameters=parameters, **arrays)
