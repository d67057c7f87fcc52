# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a training leaves, and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hyperspy_dosekin.classification.architecture import DualAutoencoder
from hyperspy_dosekin.classification.config import VAEConfig


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Loss terms against training step.

    Parameters
    ----------
    step
        Shape ``(n_record,)``.
    learning_rate
        Shape ``(n_record,)``.
    training, validation
        Each term before its weight, and the weighted ``"total"``, by name, ``(n_record,)``: mean
        over the steps since the last record, and on held-out spectra.
    """

    step: np.ndarray
    learning_rate: np.ndarray
    training: Mapping[str, np.ndarray]
    validation: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Training:
    """A trained network.

    Parameters
    ----------
    network
        With the best weights, in evaluation mode.
    curve
        Loss terms by step.
    complete
        ``False`` where the training was interrupted.
    notes
        What the user should know of the computation, such as a device that was too small.
    """

    network: DualAutoencoder
    curve: LearningCurve
    complete: bool
    notes: tuple[str, ...] = ()


@dataclass
class Records:
    """What is recorded at every evaluation."""

    step: list[int] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    training: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)

    def curve(self) -> LearningCurve:
        """The records as arrays."""

        def columns(rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
            return {
                name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else {})
            }

        return LearningCurve(
            np.array(self.step),
            np.array(self.learning_rate),
            columns(self.training),
            columns(self.validation),
        )


def schedule(step: int, config: VAEConfig) -> float:
    """Learning rate of a step: linear warm-up, then a half cosine down to zero."""
    warm = max(1, round(config.warmup * config.n_step / 3))
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    return (
        0.5
        * config.learning_rate
        * (1 + math.cos(math.pi * (step - warm) / (config.n_step - warm)))
    )
