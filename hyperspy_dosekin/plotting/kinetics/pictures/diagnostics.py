# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distance from the law, and the course of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hyperspy_dosekin.plotting.kinetics.pictures.base import Picture, arrays, mappings, size_of


@dataclass(frozen=True, eq=False, kw_only=True)
class DiagnosticsPicture(Picture):
    """How far networks are from their law, and how the training got there.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`.
    dose
        Doses at which the law is imposed, ``(n_dose,)``.
    residual
        Distance from the law, dC/dφ + k Cᵖ, ``(W, n_dose)``; NaN where there is none.
    total_rms
        Root mean square of `residual` over windows, ``(n_dose,)``.
    iteration
        Iteration of each record, ``(n_record,)``; may be empty (an estimator without history).
    learning_rate
        Learning rate of each record, ``(n_record,)``; NaN where the optimiser has none.
    terms
        Loss terms by name before their weights, ``(n_record, n_member)``; NaN for a member that
        has ended before.
    n_adam
        Iteration at which the second optimiser takes over; ``None`` if there is one optimiser.
    optimisers
        Names of the optimisers before and after `n_adam`.
    member_labels
        One label for each member, its seed for instance.

    Raises
    ------
    ValueError
        If a shape does not fit.

    Examples
    --------
    >>> dose, grid = np.array([100.0, 200.0, 300.0]), np.linspace(0, 300, 7)
    >>> picture = DiagnosticsPicture(
    ...     window_names=("C–O",),
    ...     dose=dose,
    ...     residual=[[0.01, -0.02, 0.01]],
    ...     total_rms=[0.01, 0.02, 0.01],
    ...     iteration=[0, 10, 20],
    ...     learning_rate=[1e-3, 5e-4, 1e-6],
    ...     terms={"data": [[1.0], [0.1], [0.01]]},
    ... )
    >>> picture.residual.shape
    (1, 3)
    """

    dose: np.ndarray
    residual: np.ndarray
    total_rms: np.ndarray
    iteration: np.ndarray
    learning_rate: np.ndarray
    terms: Mapping[str, np.ndarray] = field(default_factory=dict)
    n_adam: int | None = None
    optimisers: tuple[str, str] = ("Adam", "L-BFGS")
    member_labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        n_window = len(self.window_names)
        n_dose, n_record = size_of(self, "dose"), size_of(self, "iteration")
        arrays(self, float, (n_window, n_dose), "residual")
        arrays(self, float, (n_dose,), "total_rms")
        arrays(self, float, (n_record,), "learning_rate")
        object.__setattr__(self, "member_labels", tuple(str(m) for m in self.member_labels))
        members = {np.shape(term)[-1] if np.ndim(term) else 0 for term in self.terms.values()}
        n_member = len(self.member_labels) or max(members, default=0)
        mappings(self, "terms", (n_record, n_member))
