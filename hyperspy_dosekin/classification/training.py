# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint training of encoders, decoder and head on simulated and measured spectra."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hyperspy_dosekin.classification.architecture import DualAutoencoder, initialise, make_network
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.gradients import PartedGradients
from hyperspy_dosekin.classification.learning import Records, Training, schedule
from hyperspy_dosekin.classification.simulation import Batch, Simulator
from hyperspy_dosekin.classification.units import NetworkUnits
from hyperspy_dosekin.numerics.adam import Adam
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import torch_threads

#: Simulated spectra on which training is evaluated.
_VALIDATION = 1024
#: Simulated spectra that a teacher is asked about, at most: no more than all steps take.
_POOL = 16_384
#: A fall of the loss smaller than this, relatively, does not count as progress.
_SMALLEST_PROGRESS = 1e-4


#: Probabilities of the classes for spectra.
Teacher = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Measured:
    """Measured spectra, raw and clean, ``(n, n_channels)`` each, in the units of the data."""

    raw: np.ndarray
    clean: np.ndarray


def loss_terms(
    network: DualAutoencoder,
    simulated: Batch,
    measured: tuple[Tensor, Tensor],
    ratio: float,
    config: VAEConfig,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Loss terms by name, before their weights.

    Parameters
    ----------
    simulated
        Simulated spectra in network units; all of them are classified, the first ones
        reconstructed.
    measured
        Raw and clean measured spectra in network units; none of them is classified.
    ratio
        Noise standard deviations in a network unit.
    generator
        Source of random latents.
    """
    n_channels = simulated.raw.shape[1]
    some = min(config.reconstruction_size, len(simulated.raw)) - len(measured[0])
    latents = network.encode_raw(torch.cat([simulated.raw, measured[0]]))
    simulated_latents = latents[: len(simulated.raw)]
    raw_latents = torch.cat([simulated_latents[:some], latents[len(simulated.raw) :]])
    target = torch.cat([simulated.clean[:some], measured[1]])
    mean, log_variance = network.encode_clean(target)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    sample = mean + torch.exp(0.5 * log_variance) * noise
    decoded = network.decode(torch.cat([sample, raw_latents])) - target.repeat(2, 1)
    if config.reconstruction == "squared":
        distance = 0.5 * (ratio * decoded).square().mean(dim=1)
    else:
        distance = ratio * decoded.abs().mean(dim=1)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=0)
    logits = network.head(simulated_latents)
    label = simulated.label
    # The head of clean latents only looks on: it must not shape them.
    clean_logits = network.clean_head(mean[:some].detach())
    entropy = _entropy(clean_logits.detach())
    expected = network.expected_entropy(simulated_latents[:some].detach()).squeeze(1)
    return {
        "reconstruction": distance[: len(target)].mean(),
        "kl": (kl - config.free_bits).clamp_min(0).sum() / n_channels,
        # The target stands still: clean latents must not come to meet the raw ones.
        "convergence": (raw_latents - mean.detach()).abs().mean(),
        "denoising": distance[len(target) :].mean(),
        "classification": functional.cross_entropy(
            logits, label if simulated.posterior is None else simulated.posterior
        ),
        "uncertainty": functional.cross_entropy(clean_logits, label[:some])
        + (torch.sigmoid(expected) * math.log(logits.shape[1]) - entropy).square().mean(),
    }


def _entropy(logits: Tensor) -> Tensor:
    log_probability = functional.log_softmax(logits, dim=1)
    return -(log_probability.exp() * log_probability).sum(dim=1)


def total(terms: Mapping[str, Tensor], weights: Mapping[str, float], kl_share: float) -> Tensor:
    """Weighted sum of the terms; the KL term counts by a share that rises in the warm-up."""
    return sum(
        (
            weights[name] * (kl_share if name == "kl" else 1.0) * term
            for name, term in terms.items()
        ),
        start=next(iter(terms.values())).new_zeros(()),
    )


def train(
    simulator: Simulator,
    measured: Measured,
    units: NetworkUnits,
    config: VAEConfig,
    *,
    progress: Progress = no_progress,
    stop: Stop = never_stop,
    measure_every: Callable[[int, DualAutoencoder], None] | None = None,
    teacher: Teacher | None = None,
) -> Training:
    """Train a network; Ctrl-C keeps the best weights so far.

    Parameters
    ----------
    simulator
        Draws the spectra of known class.
    measured
        The data; a share is held out.
    progress, stop
        Who is told, and who may end the training.
    measure_every
        For studies: called with the step and the network at every evaluation.
    teacher
        Gives the probability of each class ``(n, n_class)`` for simulated spectra in the units of
        the data; the head learns these instead of the classes. They say more: how sure one can be.
    """
    generator = simulator.generator
    device = generator.device
    # The parts of a step are worked on side by side, each by one thread of Torch.
    with torch_threads(1):
        return _Trainer(simulator, measured, units, config, device, teacher).run(
            progress, stop, measure_every
        )


class _Trainer:
    def __init__(
        self,
        simulator: Simulator,
        measured: Measured,
        units: NetworkUnits,
        config: VAEConfig,
        device: torch.device,
        teacher: Teacher | None = None,
    ) -> None:
        self.config, self.simulator, self.ratio = config, simulator, units.signal_to_noise
        self.generator = simulator.generator
        self.centre = torch.as_tensor(units.centre, device=device)
        self.spread = torch.as_tensor(units.spread, device=device)
        raw = torch.as_tensor(units.apply(measured.raw).astype(np.float32), device=device)
        clean = torch.as_tensor(units.apply(measured.clean).astype(np.float32), device=device)
        order = torch.randperm(len(raw), generator=self.generator, device=device)
        n_held = max(1, round(config.held_out * len(raw)))
        held, self.trained = order[: min(n_held, 512)], order[n_held:]
        self.measured = (raw, clean)
        self.kl_share = 0.0
        n_class = len(simulator._weights)
        self.network = make_network(
            raw.shape[1], n_class, config.n_latent, dropout=config.dropout, device=device
        )
        initialise(self.network, self.generator)
        self.pool = None if teacher is None else self._pooled(teacher)
        self.validation = self._in_units(simulator.draw(_VALIDATION))
        self.held = (raw[held], clean[held])
        self.records = Records()
        self.gradients = PartedGradients(
            self._loss, tuple(self.network.parameters()), config, device
        )

    def _loss(
        self, batch: Batch, measured: tuple[Tensor, Tensor], generator: torch.Generator, parts: int
    ) -> dict[str, Tensor]:
        """Loss terms of one of the parts of a batch."""
        config = replace(self.config, reconstruction_size=self.config.reconstruction_size // parts)
        terms = loss_terms(self.network, batch, measured, self.ratio, config, generator)
        terms["total"] = total(terms, config.loss_weights, self.kl_share)
        return terms

    def _in_units(self, batch: Batch) -> Batch:
        return Batch(
            (batch.raw - self.centre) / self.spread,
            (batch.clean - self.centre) / self.spread,
            batch.label,
            batch.posterior,
        )

    def _pooled(self, teacher: Teacher) -> Batch:
        """Simulated spectra with what a teacher says of them, drawn once: it takes longer."""
        batch = self.simulator.draw(min(_POOL, self.config.n_step * self.config.batch_size))
        told = teacher(batch.raw.cpu().double().numpy())
        posterior = torch.as_tensor(told.astype(np.float32), device=batch.raw.device)
        return self._in_units(replace(batch, posterior=posterior))

    def _batches(self) -> tuple[Batch, tuple[Tensor, Tensor]]:
        config = self.config
        if self.pool is None:
            simulated = self._in_units(self.simulator.draw(config.batch_size))
        else:
            chosen = torch.randint(
                len(self.pool.raw),
                (config.batch_size,),
                generator=self.generator,
                device=self.centre.device,
            )
            pool = self.pool
            posterior = None if pool.posterior is None else pool.posterior[chosen]
            simulated = Batch(pool.raw[chosen], pool.clean[chosen], pool.label[chosen], posterior)
        number = round(config.measured_share * min(config.reconstruction_size, config.batch_size))
        pick = torch.randint(
            len(self.trained), (number,), generator=self.generator, device=self.centre.device
        )
        rows = self.trained[pick]
        return simulated, (self.measured[0][rows], self.measured[1][rows])

    def _validate(self) -> dict[str, float]:
        network, config = self.network, self.config
        network.eval()
        with torch.no_grad():
            # Always the same random latents, so that evaluations compare.
            generator = torch.Generator(device=self.centre.device).manual_seed(config.seed)
            some = VALIDATION_RECONSTRUCTION
            wide = VAEConfig(**{**vars(config), "reconstruction_size": some})
            held = self.held[0][: some // 4], self.held[1][: some // 4]
            terms = loss_terms(network, self.validation, held, self.ratio, wide, generator)
            terms["total"] = total(terms, config.loss_weights, 1.0)
        network.train()
        return {name: float(term) for name, term in terms.items()}

    def run(
        self,
        progress: Progress,
        stop: Stop,
        measure_every: Callable[[int, DualAutoencoder], None] | None,
    ) -> Training:
        config, network = self.config, self.network
        optimiser = Adam(network.parameters(), config.learning_rate, weight_decay=1e-4)
        best, best_loss, since, complete = self._copy(), math.inf, 0, True
        sums: dict[str, Tensor] = {}
        parameters = list(network.parameters())
        network.train()
        try:
            for step in range(1, config.n_step + 1):
                rate = optimiser.rate = schedule(step - 1, config)
                simulated, measured = self._batches()
                self.kl_share = min(1.0, step / max(1.0, config.warmup * config.n_step))
                terms, gradients = self.gradients(simulated, measured)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
                torch.nn.utils.clip_grad_norm_(parameters, 5.0)
                optimiser.step()
                # Kept where they are: asking a device for a number means to wait for it.
                for name, term in terms.items():
                    sums[name] = sums[name] + term if name in sums else term
                if step % config.evaluate_every and step != config.n_step:
                    continue
                found = self._validate()
                n = step - (self.records.step[-1] if self.records.step else 0)
                self.records.step.append(step)
                self.records.learning_rate.append(rate)
                self.records.training.append(
                    {name: float(value) / n for name, value in sums.items()}
                )
                self.records.validation.append(found)
                sums = {}
                progress("Training", step, config.n_step)
                if measure_every is not None:
                    measure_every(step, network)
                if found["total"] < best_loss:
                    since = (
                        0 if found["total"] < best_loss * (1 - _SMALLEST_PROGRESS) else since + 1
                    )
                    best, best_loss = self._copy(), found["total"]
                else:
                    since += 1
                if stop():
                    complete = False
                    break
                if config.patience is not None and since >= config.patience:
                    break
        except KeyboardInterrupt:
            complete = False
        finally:
            self.gradients.close()
        network.load_state_dict(best)
        network.eval()
        return Training(network, self.records.curve(), complete, tuple(self.gradients.notes))

    def _copy(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.network.state_dict().items()}


#: Spectra reconstructed in an evaluation.
VALIDATION_RECONSTRUCTION = 512
