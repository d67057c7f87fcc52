# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the dual autoencoder and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hyperspy_dosekin.numerics.arguments import check_fields, real_number

#: Weight of each loss term; the weights are applied in one place, `training.total`.
LOSS_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "reconstruction": 1.0,
        "kl": 0.3,
        "convergence": 0.1,
        "denoising": 3.0,
        "classification": 1.0,
        "uncertainty": 0.2,
    }
)

#: Training steps, unless asked for otherwise; with the published protocol 30 epochs are.
STEPS = 500
#: How the difference of spectra is measured.
DISTANCES = ("squared", "absolute")


@dataclass(frozen=True)
class VAEConfig:
    """Settings of the training.

    Parameters
    ----------
    n_latent
        Latent variables.
    dropout
        Share of activations dropped in training. The paper has 0.2; training spectra are drawn
        anew in every step, so that there is nothing to overfit, and none is needed.
    steps
        Training steps at most; by default 500, and with the published protocol 30 epochs.
    batch_size
        Simulated spectra for the classifier in a step.
    reconstruction_size
        How many of them, at most, also go through the decoder.
    measured_share
        Share of measured spectra among those that are reconstructed.
    learning_rate
        Largest learning rate; a linear warm-up and a half cosine to zero shape it.
    warmup
        Share of the steps over all of which the weight of the KL term rises; the learning rate
        rises over the first third of them.
    free_bits
        KL divergence of a latent, in nats, below which it costs nothing.
    reconstruction
        ``"squared"`` differences in units of the noise, or ``"absolute"`` ones as in the paper.
    loss_weights
        Weight of each loss term by name; see `LOSS_WEIGHTS`.
    held_out
        Share of the measured spectra that is never trained on.
    evaluate_every
        Steps between two evaluations on what was held out.
    patience
        Evaluations without a better loss that end the training; ``None`` for all steps.
    seed
        Same seed, data and machine, same result.
    threads
        Threads that share blocks of spectra, and the two halves of a step of the network, on the
        processor; the result does not depend on their number.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    n_latent: int = 16
    dropout: float = 0.0
    steps: int | None = None
    batch_size: int = 192
    reconstruction_size: int = 64
    measured_share: float = 0.125
    learning_rate: float = 2e-3
    warmup: float = 0.15
    free_bits: float = 0.02
    reconstruction: str = "squared"
    loss_weights: Mapping[str, float] = field(default_factory=lambda: dict(LOSS_WEIGHTS))
    held_out: float = 0.1
    evaluate_every: int = 50
    patience: int | None = 10
    seed: int = 0
    threads: int = 2

    @property
    def n_step(self) -> int:
        """Training steps at most, of the default protocol."""
        return STEPS if self.steps is None else self.steps

    def __post_init__(self) -> None:
        check_fields(self)
        if not isinstance(self.loss_weights, Mapping):
            raise TypeError(f"loss_weights={self.loss_weights!r} must be weights by name.")
        for name, weight in self.loss_weights.items():
            real_number(f"loss_weights[{name!r}]", weight, "give a weight, zero or more", least=0)
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed={self.seed} must be zero or more, and less than 2**63.")
        object.__setattr__(self, "loss_weights", {**LOSS_WEIGHTS, **self.loss_weights})
        unknown = set(self.loss_weights) - set(LOSS_WEIGHTS)
        if unknown:
            raise ValueError(
                f"loss_weights names {sorted(unknown)}; the terms are {list(LOSS_WEIGHTS)}."
            )
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1.")
        for name in ("batch_size", "evaluate_every", "threads", "reconstruction_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        if self.n_latent < 2:
            raise ValueError(
                f"n_latent={self.n_latent} must be at least 2: fewer active latents are a failed "
                "fit."
            )
        for name, low, high in (
            ("dropout", 0.0, 0.9),
            ("measured_share", 0.0, 1.0),
            ("held_out", 0.01, 0.5),
            ("warmup", 0.0, 0.9),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name}={getattr(self, name)} must lie between {low:g} and {high:g}."
                )
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate} must be positive.")
        if not self.free_bits >= 0:
            raise ValueError(f"free_bits={self.free_bits} must not be negative.")
        if self.reconstruction not in DISTANCES:
            raise ValueError(
                f"reconstruction={self.reconstruction!r} must be one of {list(DISTANCES)}."
            )
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience={self.patience} must be None or at least 1 evaluation.")
