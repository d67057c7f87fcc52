# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network that is trained later is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.references import ReferenceSet

#: Measured spectra that are kept. In 500 steps a network sees some 4 000, many of them again.
KEPT = 2000


@dataclass(frozen=True, eq=False)
class Recipe:
    """What the network of a model is trained on once it is asked for.

    Parameters
    ----------
    references
        Spectra of the classes, in units of `unit`.
    raw, clean
        Some measured spectra and their clean versions in that unit, ``(n, n_channels)``, float32.
    config
        Settings of network and training.
    unit
        Of spectra, in the units of the data: their own spread.

    Raises
    ------
    ValueError
        If the parts do not go together.
    """

    references: ReferenceSet
    raw: np.ndarray
    clean: np.ndarray
    config: VAEConfig
    unit: float

    def __post_init__(self) -> None:
        shape, known = self.raw.shape, self.references
        if len(shape) != 2 or shape[0] < 2 or shape[1] != known.energy_ev.size:
            raise ValueError(f"spectra of the shape {shape} do not go with the references")
        if self.clean.shape != shape:
            raise ValueError(f"clean spectra have the shape {self.clean.shape}, not {shape}")
        if set(known.class_of.tolist()) != set(range(known.n_class)):
            raise ValueError("there is not a reference for every class")
        if not 0 < self.unit < np.inf:
            raise ValueError(f"{self.unit} is no unit of spectra")

    @classmethod
    def of(
        cls,
        references: ReferenceSet,
        spectra: np.ndarray,
        clean: np.ndarray,
        config: VAEConfig,
        unit: float,
    ) -> Recipe:
        """The recipe for spectra ``(n, n_channels)``, of which some are kept."""
        rng = np.random.default_rng(config.seed)
        some = np.sort(rng.permutation(len(spectra))[:KEPT])
        return cls(
            references,
            spectra[some].astype(np.float32),
            clean[some].astype(np.float32),
            config,
            unit,
        )
