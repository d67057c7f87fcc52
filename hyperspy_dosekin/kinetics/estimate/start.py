# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an estimation begins: the best of a dictionary of decay curves."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.power_law import power_law_integrity
from hyperspy_dosekin.kinetics.laws.prior import EXPONENT_BOX, LOG_RATE_BOX
from hyperspy_dosekin.kinetics.model.objective import Deviance

_N_RATE, _N_EXPONENT = 36, 14
_SHARP_EXPONENTS = (0.1, 0.14, 0.2, 0.28, 0.4)
_MOST_ENDS = 40
# Curves compared with the dictionary at once, so that the scores stay in the cache; elsewhere
# than on the processor as many as do not fill the memory.
_BLOCK, _DEVICE_BLOCK = 1024, 65_536


def _grid(dose: np.ndarray, exponent: float | str | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Lay out the templates: ln k, p, and how many are of the smooth kind, which comes first.

    Extinction (p < 1) between two frames makes a basin of the deviance that is narrow in k: the
    templates of small p are set densely by the dose of their extinction.
    """
    if exponent is not None:
        log_rate = np.linspace(*LOG_RATE_BOX, 4 * _N_RATE)
        return log_rate, np.full(log_rate.size, float(exponent)), log_rate.size
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
    return (
        np.concatenate([smooth[0].ravel(), sharp_rate[inside]]),
        np.concatenate([smooth[1].ravel(), sharp_exponent[inside]]),
        smooth[0].size,
    )


def _highest(score: Tensor) -> tuple[Tensor, Tensor]:
    """Largest value of each row and its place."""
    if score.device.type != "cpu":
        value, index = score.max(1)
        return value, index
    # Eight times as fast as Torch's.
    index = torch.from_numpy(score.numpy().argmax(axis=1))
    return score.gather(1, index[:, None])[:, 0], index


class Dictionary:
    """Decay curves on a grid of (k, p), compared with data in float32.

    Parameters
    ----------
    objective
        The problem whose layout, doses and device are used. A fixed exponent gives a dictionary
        of rates alone.
    """

    def __init__(self, objective: Deviance) -> None:
        layout = objective.layout
        dose = objective.dose.ravel().double().cpu().numpy()
        log_rate, exponent, self.n_smooth = _grid(
            dose, layout.exponent if layout.n_exponent == 0 else None
        )
        curves = power_law_integrity(dose, np.exp(log_rate)[:, None], exponent[:, None])
        penalty = np.zeros(log_rate.size)
        if layout.prior is not None:
            mean, width = layout.prior.log_rate
            penalty += ((log_rate - mean) / width) ** 2
            if layout.n_exponent:
                mean, width = layout.prior.exponent
                penalty += ((exponent - mean) / width) ** 2

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(array, dtype=torch.float32, device=objective.values.device)

        self.log_rate, self.log_exponent = tensor(log_rate), tensor(np.log(exponent))
        self.penalty = tensor(penalty)
        centred = curves - curves.mean(axis=1, keepdims=True) if layout.offset_free else curves
        norm = np.sqrt((centred**2).sum(axis=1, keepdims=True))
        # A curve that is constant to rounding explains nothing.
        self.unit = tensor(np.where(norm > 1e-9, centred / np.maximum(norm, 1e-30), 0.0))
        # Centred, so that float32 has less to cancel when the weights differ.
        self.curves = tensor(centred)
        self.offset_free = layout.offset_free
        self.layout = layout

    def _explained(self, values: Tensor, root_weight: Tensor | None) -> Tensor:
        """Sum of squares that each template explains, ``(n_curve, n_template)``."""
        if root_weight is None:
            return (values.T @ self.unit.T).square_()
        weight = root_weight * root_weight
        # `values` are whitened and free of the offset, so that Σ √w·y·(c − mean) = Σ √w·y·c.
        product = (root_weight * values).T @ self.curves.T
        square = weight.T @ (self.curves * self.curves).T
        if self.offset_free:
            mean = weight.T @ self.curves.T
            square = square - mean * mean / weight.sum(0).clamp(min=1e-30)[:, None]
        # Float32 cannot tell less than this from a constant curve.
        constant = square <= 1e-6 * weight.sum(0)[:, None]
        return (product * product / square.clamp(min=1e-30)).masked_fill_(constant, 0.0)

    def best(
        self, objective: Deviance, *, rival_within: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Find starting points for each window by itself.

        Parameters
        ----------
        objective
            The curves.
        rival_within
            A second start is given for curves whose best template of the other kind (smooth, or
            extinct between frames) is worse by less than this in deviance.

        Returns
        -------
        start
            ln k and ln p of the best template, ``(2, n_window, n_curve)``.
        rival
            Those of the best of the other kind, the same shape.
        has_rival
            Boolean ``(n_window, n_curve)``.
        """
        n_dose, n_window, n_curve = objective.values.shape
        values = objective.values.reshape(n_dose, -1).float()
        weights = objective.root_weight
        weights = None if weights is None else weights.reshape(n_dose, -1).float()
        freedom = None if objective.freedom is None else objective.freedom.reshape(-1).float()
        split = self.n_smooth if rival_within > 0 and self.n_smooth < self.penalty.numel() else None
        first, second, close = [], [], []
        block = _BLOCK if values.device.type == "cpu" else _DEVICE_BLOCK
        for begin in range(0, values.shape[1], block):
            part = slice(begin, min(begin + block, values.shape[1]))
            score = self._explained(
                values[:, part].contiguous(),
                None if weights is None else weights[:, part].contiguous(),
            )
            if freedom is None:
                score.sub_(self.penalty)
            else:
                # ν·ln(S) + penalty is least where S·exp(penalty/ν) is.
                number = freedom[part][:, None]
                number = number[:1] if bool((number == number[0]).all()) else number
                squares = values[:, part].square().sum(0)[:, None]
                score.sub_(squares * (1 + 1e-6)).mul_((self.penalty / number).exp())
            if split is None:
                first.append(_highest(score)[1])
                continue
            smooth, smooth_index = _highest(score[:, :split])
            sharp, sharp_index = _highest(score[:, split:])
            prefer_sharp = sharp > smooth
            sharp_index = sharp_index + split
            first.append(torch.where(prefer_sharp, sharp_index, smooth_index))
            second.append(torch.where(prefer_sharp, smooth_index, sharp_index))
            if freedom is None:
                behind = (smooth - sharp).abs()
            else:
                behind = freedom[part] * (smooth / sharp).log().abs()
            close.append(behind < rival_within)

        def gather(index: list[Tensor]) -> Tensor:
            chosen = torch.cat(index)
            grid = torch.stack([self.log_rate[chosen], self.log_exponent[chosen]])
            return grid.reshape(2, n_window, n_curve).to(objective.values.dtype)

        start = gather(first)
        if split is None:
            nothing = torch.zeros((n_window, n_curve), dtype=torch.bool, device=start.device)
            return start, start, nothing
        return start, gather(second), torch.cat(close).reshape(n_window, n_curve)
