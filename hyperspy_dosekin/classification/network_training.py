# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of a model, trained by either protocol."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hyperspy_dosekin.classification.calibration import fit_temperature, softmax
from hyperspy_dosekin.classification.classifiers import fit_classifier
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.learning import Training
from hyperspy_dosekin.classification.model import Model
from hyperspy_dosekin.classification.paper import fingerprints, fit_head, train_paper
from hyperspy_dosekin.classification.reader import with_reader
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.rescaling import in_data_units
from hyperspy_dosekin.classification.settings import FitSettings
from hyperspy_dosekin.classification.simulation import Simulator
from hyperspy_dosekin.classification.training import Measured, train
from hyperspy_dosekin.classification.units import NetworkUnits
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import granted_threads, one_blas_thread, torch_threads

#: Fewer active latents are a failed fit.
FEWEST_ACTIVE = 2
#: Simulated spectra for the temperature of the head.
_CALIBRATION = 6000


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


def with_network(
    model: Model,
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
    stop: Stop = never_stop,
) -> Model:
    """A model that classifies by the likelihood with its network, trained now unless it has one.

    The same whenever that happens, and also after the model was saved and loaded.

    Parameters
    ----------
    model
        A model with a recipe for a network.
    progress, stop
        Who is told, and who may end the training.

    Raises
    ------
    RuntimeError
        If the model has neither a network nor a recipe for one.
    """
    if model.has_network:
        return model
    recipe = model.recipe
    if recipe is None:
        raise RuntimeError(
            "the model was trained with network=False: it keeps nothing that a network could be "
            "trained on; train it again without that."
        )
    started = time.perf_counter()
    inside = in_data_units(model, 1 / recipe.unit)
    generator = torch.Generator(device=device).manual_seed(recipe.config.seed)
    simulator = Simulator(recipe.references, inside.nuisances, generator)
    raw, clean = recipe.raw.astype(np.float64), recipe.clean.astype(np.float64)
    task = Task(recipe.references, simulator, raw, clean, recipe.config, device, progress, stop)
    with one_blas_thread(), torch_threads(1), granted_threads(recipe.config.threads):
        inside, training = train_network(inside, task)
        held = simulator.draw(_CALIBRATION)
        log = inside.log_probability(inside.read(held.raw.cpu().numpy()))
    found = training_report(training, inside, recipe.config)
    report = {
        **model.report,
        **found,
        "complete": training.complete and model.report.get("complete", True),
        "notes": [*model.report.get("notes", ()), *found["notes"]],
        "problems": [*model.report.get("problems", ()), *found["problems"]],
        "seconds": {
            **model.report.get("seconds", {}),
            "training": time.perf_counter() - started,
        },
    }
    return replace(
        model,
        weights=inside.weights,
        n_latent=inside.n_latent,
        latent_kl=inside.latent_kl,
        power=fit_temperature(log, held.label.cpu().numpy()),
        report=report,
    )


def training_report(training: Training, model: Model, config: VAEConfig) -> dict[str, Any]:
    """What there is to say of a training, for the report of the model that has its network."""
    curve, n_active, problems = training.curve, int(model.active.sum()), []
    if n_active < FEWEST_ACTIVE:
        problems.append(
            f"only {n_active} of {config.n_latent} latents are active, fewer than "
            f"{FEWEST_ACTIVE}: the posterior has collapsed, and latents and denoised spectra mean "
            'nothing; lower loss_weights["kl"], or raise steps.'
        )
    return {
        "complete": training.complete,
        "steps": int(curve.step[-1]) if curve.step.size else 0,
        "notes": list(training.notes),
        "problems": problems,
        "curve_step": curve.step,
        "curve_learning_rate": curve.learning_rate,
        **{f"training.{name}": row for name, row in curve.training.items()},
        **{f"validation.{name}": row for name, row in curve.validation.items()},
    }


def train_network(draft: Model, task: Task) -> tuple[Model, Training]:
    """The model with a network that learned from simulated spectra what the likelihood says."""

    def teacher(rows: np.ndarray) -> np.ndarray:
        return softmax(draft.judged(rows, None)[0])

    training = train(
        task.simulator,
        Measured(task.spectra, task.clean),
        draft.units,
        task.config,
        progress=task.progress,
        stop=task.stop,
        teacher=teacher,
    )
    training = with_reader(
        training, task.simulator, draft.units, task.config, teacher, task.progress, task.stop
    )
    return _carrying(draft, training, task), training


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
    return _carrying(draft, training, task), training


def _carrying(draft: Model, training: Training, task: Task) -> Model:
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
