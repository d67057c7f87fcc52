# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an estimation begins: the best of a dictionary of decay curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.closed_forms import PowerLaw
from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX, LOG_RATE_BOX
from hyperspy_dosekin.kinetics.laws.solution import curve
from hyperspy_dosekin.kinetics.model.objective import Deviance
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.kinetics.model.shared_error import without_shared
from hyperspy_dosekin.numerics.row_sums import in_whole_vectors

_N_RATE, _N_EXPONENT = 46, 14
# Templates along each free parameter of other laws, by their number.
_NODES = {1: (144,), 2: (40, 14), 3: (28, 9, 8)}
_SHARP_EXPONENTS = (0.1, 0.14, 0.2, 0.28, 0.4)
_MOST_ENDS = 40
# Curves compared with the dictionary at once, so that the scores stay in the cache; elsewhere
# than on the processor as many as do not fill the memory.
_BLOCK, _DEVICE_BLOCK = 1024, 65_536


def _power_law_grid(dose: np.ndarray) -> tuple[np.ndarray, int]:
    """Lay out the templates of the power law: ln k and ln p, and how many are of the smooth kind.

    Extinction (p < 1) between two frames makes a basin of the deviance that is narrow in k: the
    templates of small p are set densely by the dose of their extinction.
    """
    # Even in p up to 4: above it curves hardly differ.
    smooth = np.meshgrid(
        np.linspace(*LOG_RATE_BOX, _N_RATE), np.linspace(EXPONENT_BOX[0], 4.0, _N_EXPONENT)
    )
    frames = np.unique(dose[dose > 0])
    edges = np.concatenate([[frames[0] / 2], frames])
    # Extinction on each frame and at thirds between two, in the lower half of the doses densely.
    ends = (edges[:-1, None] + np.diff(edges)[:, None] * np.array([1, 2, 3]) / 3).ravel()
    if ends.size > _MOST_ENDS:
        ends = np.linspace(ends[0], ends[-1], _MOST_ENDS)
    sharp_exponent = np.repeat(_SHARP_EXPONENTS, ends.size)
    sharp_rate = -np.log((1 - sharp_exponent) * np.tile(ends, len(_SHARP_EXPONENTS)))
    inside = (sharp_rate > LOG_RATE_BOX[0]) & (sharp_rate < LOG_RATE_BOX[1])
    log_rate = np.concatenate([smooth[0].ravel(), sharp_rate[inside]])
    exponent = np.concatenate([smooth[1].ravel(), sharp_exponent[inside]])
    return np.stack([log_rate, np.log(exponent)]), smooth[0].size


def _grid(parameters: Parameters, dose: np.ndarray) -> tuple[np.ndarray, int]:
    """Free parameters of the templates on their scale of search, and how many come first.

    The templates are of two kinds, one after the other, so that the best of the other kind can be
    a second start: smooth and sharp decays of the power law, else the lower and upper half of
    the last parameter.
    """
    if isinstance(parameters.law, PowerLaw) and len(parameters.free) == 2:
        return _power_law_grid(dose)
    axes = []
    for parameter, number in zip(parameters.free, _NODES[len(parameters.free)], strict=True):
        low, high = parameter.search_box
        # The middles of cells: bounds are the likeliest place for a law to be degenerate.
        axes.append(low + (high - low) * (np.arange(number) + 0.5) / number)
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")])
    order = np.argsort(grid[-1], kind="stable") if len(axes) > 1 else slice(None)
    grid = grid[:, order]
    return grid, grid.shape[1] // 2 if len(axes) > 1 else grid.shape[1]


def _highest(score: Tensor) -> tuple[Tensor, Tensor]:
    """Largest value of each row and its place."""
    if score.device.type != "cpu":
        value, index = score.max(1)
        return value, index
    # Eight times as fast as Torch's.
    index = torch.from_numpy(score.numpy().argmax(axis=1))
    return score.gather(1, index[:, None])[:, 0], index


class Dictionary:
    """Decay curves on a grid of parameters, compared with data in float32.

    Parameters
    ----------
    objective
        The problem whose law, doses and device are used.
    pin
        What is taken off the integrity where the offset is not free.
    """

    def __init__(self, objective: Deviance, pin: float = 0.0) -> None:
        parameters = objective.layout.parameters
        dose = objective.dose.ravel().double()
        points, self.n_first = _grid(parameters, dose.cpu().numpy())
        search = torch.as_tensor(points, device=dose.device)
        with torch.no_grad():
            whole = parameters.complete(list(search))
            curves = curve(parameters.law, dose[:, None], whole)[0].T - pin
            penalty = parameters.prior(list(search))[0]
        self.search, self.penalty = search.float(), penalty.float()
        centred = curves - curves.mean(dim=1, keepdim=True) if objective.offset_free else curves
        norm = centred.square().sum(1, keepdim=True).sqrt()
        # A curve that is constant to rounding explains nothing.
        self.unit = torch.where(norm > 1e-9, centred / norm.clamp(min=1e-30), 0.0).float()
        # Centred, so that float32 has less to cancel when the weights differ.
        self.curves = centred.float()
        self.offset_free = objective.offset_free
        self.layout = objective.layout

    def _explained(
        self, values: Tensor, root_weight: Tensor | None, shared: Tensor | None
    ) -> Tensor:
        """Sum of squares that each template explains, ``(n_curve, n_template)``."""
        if root_weight is None:
            if shared is None:
                return (values.T @ self.unit.T).square_()
            root_weight = torch.ones_like(values)
        weight = root_weight * root_weight
        # `values` are whitened and free of the offset, so that Σ √w·y·(c − mean) = Σ √w·y·c.
        product = (root_weight * without_shared(values, shared)).T @ self.curves.T
        square = weight.T @ (self.curves * self.curves).T
        for along in () if shared is None else shared.unbind(1):
            # Σ⁻¹ = (1 − B Bᵀ)² takes from the squares what templates have along B.
            less = (2 - along.square().sum(0))[:, None]
            square -= less * ((root_weight * along).T @ self.curves.T).square()
        ones = without_shared(root_weight, shared)
        total = ones.square().sum(0).clamp(min=1e-30)[:, None]
        if self.offset_free:
            mean = (root_weight * without_shared(ones, shared)).T @ self.curves.T
            square = square - mean * mean / total
        # Float32 cannot tell less than this from a constant curve.
        constant = square <= 1e-6 * weight.sum(0)[:, None]
        return (product * product / square.clamp(min=1e-30)).masked_fill_(constant, 0.0)

    def best(
        self, objective: Deviance, *, rival_within: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Find starting points for each window by itself.

        Parameters
        ----------
        rival_within
            A second start is given for curves whose best template of the other kind is worse by
            less than this in deviance.

        Returns
        -------
        start
            Free parameters of the best template, ``(n_free, n_window, n_curve)``.
        rival
            Those of the best of the other kind, the same shape.
        has_rival
            Boolean ``(n_window, n_curve)``.
        """
        n_curve = objective.values.shape[-1]
        every = in_whole_vectors(torch.arange(n_curve, device=objective.values.device))
        objective = objective if every.numel() == n_curve else objective.select(every)
        n_dose, n_window, number = objective.values.shape
        values = objective.values.reshape(n_dose, -1).float()
        weights = objective.root_weight
        weights = None if weights is None else weights.reshape(n_dose, -1).float()
        shared = objective.shared
        shared = None if shared is None else shared.flatten(2).float()
        freedom = None if objective.freedom is None else objective.freedom.reshape(-1).float()
        split = self.n_first if rival_within > 0 and self.n_first < self.penalty.numel() else None
        first, second, close = [], [], []
        block = _BLOCK if values.device.type == "cpu" else _DEVICE_BLOCK
        for begin in range(0, values.shape[1], block):
            part = slice(begin, min(begin + block, values.shape[1]))
            score = self._explained(
                values[:, part].contiguous(),
                None if weights is None else weights[:, part].contiguous(),
                None if shared is None else shared[..., part].contiguous(),
            )
            if freedom is None:
                score.sub_(self.penalty)
            else:
                # ν·ln(S) + penalty is least where S·exp(penalty/ν) is.
                free = freedom[part][:, None]
                free = free[:1] if bool((free == free[0]).all()) else free
                squares = values[:, part].square().sum(0)[:, None]
                score.sub_(squares * (1 + 1e-6)).mul_((self.penalty / free).exp())
            if split is None:
                first.append(_highest(score)[1])
                continue
            left, left_index = _highest(score[:, :split])
            right, right_index = _highest(score[:, split:])
            prefer_right = right > left
            right_index = right_index + split
            first.append(torch.where(prefer_right, right_index, left_index))
            second.append(torch.where(prefer_right, left_index, right_index))
            if freedom is None:
                behind = (left - right).abs()
            else:
                behind = freedom[part] * (left / right).log().abs()
            close.append(behind < rival_within)

        def gather(index: Sequence[Tensor]) -> Tensor:
            chosen = self.search[:, torch.cat(list(index))].reshape(-1, n_window, number)
            return chosen[..., :n_curve].to(objective.values.dtype)

        start = gather(first)
        if split is None:
            nothing = torch.zeros((n_window, n_curve), dtype=torch.bool, device=start.device)
            return start, start, nothing
        return start, gather(second), torch.cat(close).reshape(n_window, number)[:, :n_curve]
