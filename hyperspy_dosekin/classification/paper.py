# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published protocol: an autoencoder of the measured spectra alone, and latents of references.

Nothing is simulated for the training. References go through the clean encoder once it is trained,
and samples of their latents train the classifier of the raw latents.
Source: doi:10.1038/s41598-024-66902-4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hyperspy_dosekin.classification.architecture import DualAutoencoder, initialise, make_network
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.learning import LearningCurve, Training
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.units import NetworkUnits
from hyperspy_dosekin.numerics.adam import Adam
from hyperspy_dosekin.numerics.progress import Progress, Stop
from hyperspy_dosekin.numerics.threads import torch_threads

#: Settings of the paper.
BATCH, DROPOUT, LEARNING_RATE, HELD_OUT, EPOCHS = 32, 0.2, 1e-3, 0.1, 30
#: Samples of the latents of each reference.
SAMPLES = 100
#: What a report says of a model that was trained so.
NOTE = (
    'protocol="paper": trained on the measured spectra alone, as published. Thickness, shift and '
    "background are not simulated on the references, class shares and temperature are not found: "
    "the probabilities are those of the classifier of latents and are not calibrated. Look at the "
    "number of active latents and at the accuracy on simulations, and compare with the default."
)
_HEAD_STEPS = 400


def paper_units(spectra: np.ndarray) -> NetworkUnits:
    """Units of the published network: intensities over their largest mean, not centred."""
    highest = float(np.abs(spectra.mean(axis=0)).max()) or 1.0
    n_channels = spectra.shape[1]
    return NetworkUnits(
        np.zeros(n_channels, np.float32), np.full(n_channels, highest, np.float32), 1.0
    )


def paper_losses(
    network: DualAutoencoder, raw: Tensor, clean: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Loss terms of the paper: absolute differences, KL divergence, and both encoders' distance.

    Parameters
    ----------
    raw, clean
        Measured spectra and their principal components, ``(n, n_channels)``, in network units.
    generator
        Source of random latents.
    """
    mean, log_variance = network.encode_clean(clean)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    sample = mean + torch.exp(0.5 * log_variance) * noise
    latents = network.encode_raw(raw)
    decoded = network.decode(torch.cat([sample, latents]))
    distance = (decoded - clean.repeat(2, 1)).abs().sum(dim=1)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
    return {
        "reconstruction": distance[: len(clean)].mean(),
        "kl": kl.mean(),
        # No gradient is stopped: each encoder comes to meet the other.
        "convergence": (latents - mean).abs().mean(),
        "denoising": distance[len(clean) :].mean(),
    }


@dataclass
class _Sums:
    terms: dict[str, float]
    number: int = 0

    def add(self, terms: dict[str, Tensor]) -> None:
        for name, term in terms.items():
            self.terms[name] = self.terms.get(name, 0.0) + float(term.detach())
        self.number += 1

    def mean(self) -> dict[str, float]:
        found = {name: value / max(self.number, 1) for name, value in self.terms.items()}
        return {**found, "total": sum(found.values())}


def train_paper(
    raw: np.ndarray,
    clean: np.ndarray,
    units: NetworkUnits,
    n_class: int,
    config: VAEConfig,
    device: torch.device | str,
    progress: Progress,
    stop: Stop,
) -> Training:
    """Train as published; Ctrl-C keeps the weights so far.

    Parameters
    ----------
    raw, clean
        Measured spectra and their principal components, ``(n, n_channels)``.
    n_class
        Classes of the head, which is trained afterwards.
    config
        Number of latents, steps and seed; the rest is as published.
    progress, stop
        Who is told, and who may end the training.
    """
    generator = torch.Generator(device=device).manual_seed(config.seed)
    network = make_network(raw.shape[1], n_class, config.n_latent, dropout=DROPOUT, device=device)
    initialise(network, generator)
    rows = [
        torch.as_tensor(units.apply(part).astype(np.float32), device=device)
        for part in (raw, clean)
    ]
    order = torch.randperm(len(raw), generator=generator, device=device)
    n_held = max(1, round(HELD_OUT * len(raw)))
    held, trained = order[:n_held], order[n_held:]
    steps = config.steps or EPOCHS * math.ceil(len(trained) / BATCH)
    optimiser = Adam(network.parameters(), LEARNING_RATE, fused=False)
    every = max(1, min(config.evaluate_every, steps))
    step_of: list[int] = []
    training: list[dict[str, float]] = []
    validation: list[dict[str, float]] = []
    complete, sums = True, _Sums({})
    # Dropout draws from the generator of the process, which is set within and left as it was.
    with torch_threads(1), torch.random.fork_rng(devices=[]):
        torch.set_rng_state(torch.Generator().manual_seed(config.seed).get_state())
        network.train()
        try:
            for step in range(1, steps + 1):
                pick = trained[
                    torch.randint(len(trained), (BATCH,), generator=generator, device=device)
                ]
                terms = paper_losses(network, rows[0][pick], rows[1][pick], generator)
                optimiser.zero_grad()
                sum(terms.values(), start=torch.zeros((), device=device)).backward()
                optimiser.step()
                sums.add(terms)
                if step % every and step != steps:
                    continue
                network.eval()
                with torch.no_grad():
                    seen = _Sums({})
                    seen.add(paper_losses(network, rows[0][held], rows[1][held], generator))
                network.train()
                step_of.append(step)
                training.append(sums.mean())
                validation.append(seen.mean())
                sums = _Sums({})
                progress("Training", step, steps)
                if stop():
                    complete = False
                    break
        except KeyboardInterrupt:
            complete = False
    network.eval()

    def columns(records: list[dict[str, float]]) -> dict[str, np.ndarray]:
        names = records[0] if records else {}
        return {name: np.array([record[name] for record in records]) for name in names}

    curve = LearningCurve(
        np.array(step_of),
        np.full(len(step_of), LEARNING_RATE),
        columns(training),
        columns(validation),
    )
    return Training(network, curve, complete, (NOTE,))


def fingerprints(
    network: DualAutoencoder, references: ReferenceSet, units: NetworkUnits, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Samples μ + σε of the latents of the references, and their classes.

    Parameters
    ----------
    network
        Trained.
    references
        In the unit of the data.
    seed
        Of the samples.

    Returns
    -------
    Latents ``(n, n_latent)`` and classes ``(n,)``, in random order.
    """
    rows = torch.as_tensor(units.apply(references.spectra).astype(np.float32))
    with torch.inference_mode():
        mean, log_variance = network.encode_clean(rows)
    rng = np.random.default_rng(seed)
    sd = np.exp(0.5 * log_variance.numpy())
    draws = mean.numpy() + sd * rng.standard_normal((SAMPLES, *mean.shape))
    label = np.tile(references.class_of, SAMPLES)
    order = rng.permutation(len(label))
    return draws.reshape(-1, mean.shape[1])[order].astype(np.float32), label[order]


def fit_head(network: DualAutoencoder, latents: np.ndarray, label: np.ndarray, seed: int) -> None:
    """Train the dense head of a network, in place, on labelled latents."""
    generator = torch.Generator().manual_seed(seed)
    rows, classes = torch.as_tensor(latents), torch.as_tensor(label)
    optimiser = Adam(network.head.parameters(), LEARNING_RATE, fused=False)
    with torch_threads(1):
        for _ in range(_HEAD_STEPS):
            pick = torch.randint(len(rows), (BATCH,), generator=generator)
            optimiser.zero_grad()
            functional.cross_entropy(network.head(rows[pick]), classes[pick]).backward()
            optimiser.step()
