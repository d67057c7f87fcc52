# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is fitted, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from hyperspy_dosekin.classification.classifiers import classifier_names
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.numerics.arguments import check_fields, real_numbers, short

#: How a network is trained.
PROTOCOLS = ("fast", "paper")
#: Prior of the classes: a word, or shares in order or by name.
ClassPrior: TypeAlias = str | Sequence[float] | Mapping[str, float]


@dataclass(frozen=True)
class FitSettings:
    """What is fitted, apart from the network.

    Parameters
    ----------
    classifier
        ``"likelihood"``, ``"head"``, ``"gaussian_process"`` or ``"knn"``.
    prior
        ``"estimated"``, ``"uniform"``, or the share of each class by name or in order.
    n_components
        Principal components of the clean version.
    find_factor
        Whether references may be in other units of intensity than the data.
    network
        Settings of network and training.
    protocol
        ``"fast"``, or ``"paper"``: the published training on the measured spectra alone.
    with_network
        ``True`` trains the network at once, ``False`` never, ``None`` once it is asked for. Only
        the likelihood does without.

    Raises
    ------
    ValueError
        If an option is not one of those.
    """

    classifier: str = "likelihood"
    prior: str | Sequence[float] | Mapping[str, float] = "estimated"
    n_components: int = 10
    find_factor: bool = True
    network: VAEConfig = field(default_factory=VAEConfig)
    with_network: bool | None = None
    protocol: str = "fast"

    def __post_init__(self) -> None:
        check_fields(self)
        known = classifier_names()
        if self.classifier not in known:
            raise ValueError(f"classifier={self.classifier!r} must be one of {list(known)}.")
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol={self.protocol!r} must be one of {list(PROTOCOLS)}.")
        if self.protocol == "paper" and self.classifier == "likelihood":
            raise ValueError(
                'classifier="likelihood" is no part of protocol="paper", which classifies latents; '
                'take "gaussian_process", as published, "knn" or "head".'
            )
        if self.with_network is False and self.classifier != "likelihood":
            raise ValueError(
                f'network=False goes with classifier="likelihood" only: {self.classifier!r} reads '
                "what a network makes of a spectrum."
            )
        if self.n_components < 2:
            raise ValueError(f"n_components={self.n_components} must be at least 2.")
        object.__setattr__(self, "prior", plain_prior(self.prior))


def plain_prior(prior: ClassPrior) -> str | list[float] | dict[str, float]:
    """A prior as text and plain numbers, which a file can hold, whatever array or mapping it was.

    Raises
    ------
    ValueError
        If it is another text, no list and no mapping, or empty.
    """
    named = isinstance(prior, Mapping)
    if isinstance(prior, str):
        if prior in ("estimated", "uniform"):
            return prior
    elif named or isinstance(prior, list | tuple | np.ndarray):
        remedy = "give the share of each class, zero or more"
        parts = real_numbers("prior", list(prior.values()) if named else prior, remedy)
        if parts.ndim == 1 and parts.size:
            shares = [float(part) for part in parts]
            return dict(zip(map(str, prior), shares, strict=True)) if named else shares
    raise ValueError(
        f'prior={short(prior)} must be "estimated", "uniform" or the share of each class, in order '
        "or by name."
    )
