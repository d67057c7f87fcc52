# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deviance of prepared curves, for the minimiser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.model.objective import Deviance, Layout
from hyperspy_dosekin.kinetics.model.shared_error import basis_of
from hyperspy_dosekin.numerics.batching import send


def build_deviance(
    curves: PreparedCurves,
    layout: Layout,
    part: np.ndarray,
    dtype: torch.dtype,
    device: torch.device,
    root_weight: np.ndarray | None,
    *,
    noise: str,
    bound: np.ndarray | None = None,
) -> Deviance:
    """Deviance of some curves; single windows become curves of their own where not coupled.

    `noise` is ``"given"``, ``"floor"`` or ``"free"``. With bounds ``(n_curve, n_window)``, NaN
    where there is none, the values of bound windows are not centred.
    """

    def arranged(array: np.ndarray) -> Tensor:
        block = send(array[part].reshape(-1, layout.n_window, *array.shape[2:]), device)
        block = block.movedim(0, -1)
        return (block.transpose(0, 1) if array.ndim == 3 else block).contiguous()

    root = None if root_weight is None else arranged(root_weight)
    alive = ~curves.dead[part]
    values, freedom = curves.values, curves.freedom
    if bound is not None:
        held = ~np.isnan(bound)
        raw = np.where(held, curves.centre / curves.unit, 0.0)[..., None]
        values = values + (raw if curves.root_weight is None else raw * (curves.root_weight > 0))
        freedom = freedom + held
    double = Deviance(
        layout,
        send(curves.normalised_dose, device)[:, None, None],
        arranged(values),
        not curves.offset_known,
        root,
        None,
        noise == "floor",
        bound=None if bound is None else arranged(bound),
        shared=_shared_basis(curves, layout, part, device),
    )
    # Known offsets and complete curves are free of the mean already.
    ready = root is None and bound is None and double.shared is None
    projected = double.values if ready else double.project(double.values)
    return replace(
        double,
        dose=double.dose.to(dtype),
        values=projected.to(dtype),
        root_weight=None if root is None else root.to(dtype),
        freedom=None if noise == "given" else arranged(freedom).clamp(min=1).to(dtype),
        alive=None if alive.all() else arranged(~curves.dead).to(dtype),
        bound=None if double.bound is None else double.bound.to(dtype),
        shared=None if double.shared is None else double.shared.to(dtype),
    )


def _shared_basis(
    curves: PreparedCurves, layout: Layout, part: np.ndarray, device: torch.device
) -> Tensor | None:
    if curves.shared is None:
        return None
    errors = curves.shared[part]
    block = send(errors.reshape(-1, layout.n_window, *errors.shape[2:]), device)
    return basis_of(block.permute(2, 3, 1, 0)).contiguous()
