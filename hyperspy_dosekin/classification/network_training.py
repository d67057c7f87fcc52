# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of a model, trained by either protocol."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from hyperspy_dosekin.classification.calibration import softmax
from hyperspy_dosekin.classification.classifiers import fit_classifier
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.learning import Training
from hyperspy_dosekin.classification.model import Model
from hyperspy_dosekin.classification.paper import fingerprints, fit_head, train_paper
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.settings import FitSettings
from hyperspy_dosekin.classification.simulation import Simulator
from hyperspy_dosekin.classification.training import Measured, train
from hyperspy_dosekin.classification.units import NetworkUnits
from hyperspy_dosekin.numerics.progress import Progress, Stop


@dataclass(frozen=True, eq=False)
class Task:
    """What a network is trained on."""

    references: ReferenceSet
    simulator: Simulator
    spectra: np.ndarray
    clean: np.ndarray
    config: VAEConfig
    device: torch.device | str
    progress: Progress
    stop: Stop


def train_network(draft: Model, task: Task, settings: FitSettings) -> tuple[Model, Training]:
    """The model with a network that learned from simulated spectra what the likelihood says."""
    training = train(
        task.simulator,
        Measured(task.spectra, task.clean),
        draft.units,
        task.config,
        progress=task.progress,
        stop=task.stop,
        teacher=lambda rows: softmax(draft.judged(rows, None)[0]),
    )
    return _with_network(draft, training, task), training


def train_as_published(draft: Model, task: Task, settings: FitSettings) -> tuple[Model, Training]:
    """The model with a network of the measured spectra alone, and a classifier of fingerprints."""
    config, number = task.config, task.references.n_class
    training = train_paper(
        task.spectra, task.clean, draft.units, number, config, task.device, task.progress, task.stop
    )
    network = training.network.cpu()
    scaled = task.references.scaled(draft.nuisances.scale_mean)
    latents, label = fingerprints(network, scaled, draft.units, config.seed)
    arrays = {}
    if settings.classifier == "head":
        fit_head(network, latents, label, config.seed)
    else:
        arrays = fit_classifier(settings.classifier, latents, label)
    draft = replace(draft, classifier_arrays=arrays, protocol="paper")
    return _with_network(draft, training, task), training


def _with_network(draft: Model, training: Training, task: Task) -> Model:
    state = training.network.cpu().state_dict()
    return replace(
        draft,
        weights={name: value.detach().numpy().copy() for name, value in state.items()},
        n_latent=task.config.n_latent,
        latent_kl=_latent_kl(training, draft.units, task.simulator, task.clean),
    )


def _latent_kl(
    training: Training, units: NetworkUnits, simulator: Simulator, clean: np.ndarray
) -> np.ndarray:
    """KL divergence of each latent, for clean spectra of data and simulation."""
    simulated = simulator.draw(1024).clean.cpu().numpy()
    rows = units.apply(np.concatenate([simulated, clean[:1024]])).astype(np.float32)
    with torch.inference_mode():
        mean, log_variance = training.network.encode_clean(torch.from_numpy(rows))
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
    return kl.mean(dim=0).numpy().astype(np.float64)
