# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From spectra and references to a trained model."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hyperspy_dosekin.classification.calibration import (
    calibration_curve,
    fit_temperature,
)
from hyperspy_dosekin.classification.classifiers import (
    LATENT_CLASSIFIERS,
    fit_classifier,
)
from hyperspy_dosekin.classification.estimation import EstimationOptions, estimate_nuisances
from hyperspy_dosekin.classification.examination import examine
from hyperspy_dosekin.classification.judging import make_likelihood, make_novelty
from hyperspy_dosekin.classification.misfit import with_misfit
from hyperspy_dosekin.classification.model import Model, classified_latents
from hyperspy_dosekin.classification.network_training import (
    Task,
    train_as_published,
    train_network,
    training_report,
    with_network,
)
from hyperspy_dosekin.classification.noise import (
    PrincipalComponents,
    estimate_blurred_noise,
    estimate_noise,
)
from hyperspy_dosekin.classification.nuisances import Nuisances
from hyperspy_dosekin.classification.paper import (
    paper_units,
)
from hyperspy_dosekin.classification.pixel_noise import PixelNoise
from hyperspy_dosekin.classification.recipe import Recipe
from hyperspy_dosekin.classification.references import ReferenceSet, find_confusable, find_problems
from hyperspy_dosekin.classification.rescaling import in_data_units, in_units
from hyperspy_dosekin.classification.settings import FitSettings
from hyperspy_dosekin.classification.shares import chosen_share
from hyperspy_dosekin.classification.simulation import Simulator
from hyperspy_dosekin.classification.units import NetworkUnits
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import granted_threads, one_blas_thread, torch_threads

_logger = logging.getLogger(__name__)

#: Fewer spectra say too little about noise and nuisances.
FEWEST_SPECTRA = 200
#: Simulated spectra for temperature and report, for a classifier of latents, and most for shares.
_CALIBRATION = 6000
_FOR_LATENTS = 20_000
_FOR_SHARES = 12_000


def fit_model(
    spectra: np.ndarray,
    references: ReferenceSet,
    settings: FitSettings,
    *,
    clean: np.ndarray | None = None,
    nuisances: Nuisances | None = None,
    variance: np.ndarray | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
    stop: Stop = never_stop,
) -> Model:
    """Estimate the nuisances, train the network where it is needed, calibrate what is said.

    Parameters
    ----------
    spectra
        Usable spectra, ``(n, n_channels)``, in any units.
    references
        On the same axis, in any units of intensity.
    clean
        Clean versions of the spectra; by default their principal components.
    nuisances
        Known nuisances in the units of the spectra; by default they are estimated.
    variance
        Noise variance of each spectrum where it is known, of the same shape.
    progress, stop
        Who is told, and who may end the training.

    Raises
    ------
    ValueError
        If there are too few spectra, they are all zero, or the references cannot be used.
    """
    # Matrices of a few hundred columns: threads of the linear algebra cost more than they bring,
    # most of all where something else is computing. Blocks of spectra side by side bring it all.
    with one_blas_thread(), torch_threads(1), granted_threads(settings.network.threads):
        given = _Given(clean, nuisances, variance)
        return _fit(spectra, references, settings, given, device, progress, stop)


@dataclass(frozen=True, eq=False)
class _Given:
    """What is known of the spectra beforehand."""

    clean: np.ndarray | None
    nuisances: Nuisances | None
    variance: np.ndarray | None


def _fit(
    spectra: np.ndarray,
    references: ReferenceSet,
    settings: FitSettings,
    given: _Given,
    device: torch.device | str,
    progress: Progress,
    stop: Stop,
) -> Model:
    check_sample(spectra)
    started = time.perf_counter()
    config = settings.network
    complete = True

    def told(done: int, rounds: int) -> bool:
        nonlocal complete
        progress("Nuisances", done, rounds)
        complete = not stop()
        return not complete

    rng = np.random.default_rng(config.seed)
    # In units of their own spread, spectra of any instrument are alike to single precision.
    unit = float(np.std(spectra, dtype=np.float64))
    spectra = (spectra / unit).astype(np.float64)
    inside = references.scaled(1 / unit)
    number = min(settings.n_components, len(spectra) - 1, spectra.shape[1] - 1)
    components = PrincipalComponents.of(spectra, number)
    clean = components.clean(spectra) if given.clean is None else given.clean / unit
    variance = None if given.variance is None else given.variance / unit**2
    if given.nuisances is None:
        rough = estimate_blurred_noise(spectra, components)
        alike = rough.along(components.components)
        real = components.beyond_noise(spectra, rough.variance(components.mean), alike)
        model = estimate_noise(spectra, real, rough.along(real.components))
        model = replace(model, colour=rough.colour, reach=rough.reach)
        noise = PixelNoise.of(spectra, model, real, variance)
        options = EstimationOptions(find_factor=settings.find_factor)
        variances = noise.variance(spectra, variance)
        found = estimate_nuisances(spectra, inside, noise.model, rng, options, told, variances)
        if settings.protocol != "paper" and complete:
            seen = with_misfit(spectra, variance, inside, found, noise)
            if seen is not None:
                found = estimate_nuisances(
                    spectra, inside, noise.model, rng, options, told, variances, seen
                )
        noise = replace(noise, excess=found.noise.offset - noise.model.offset)
    else:
        found = in_units(given.nuisances, 1 / unit)
        noise = PixelNoise.of(spectra, found.noise, components, variance)
        found = replace(found, noise=noise.model)
    problems = find_problems(
        inside.scaled(found.scale_mean), found.noise.variance(spectra.mean(axis=0))
    )
    generator = torch.Generator(device=device).manual_seed(config.seed)
    simulator = Simulator(inside, found, generator)
    confusable = find_confusable(
        inside.scaled(found.scale_mean), found.noise.variance(spectra.mean(axis=0))
    )
    published = settings.protocol == "paper"
    units = NetworkUnits.of(spectra, found.noise.variance(spectra.mean(axis=0)))
    if published:
        units = paper_units(spectra)
    likelihood, strange = make_likelihood(inside, found, noise, simulator, spectra, variance, rng)
    found = replace(found, strange_share=strange)
    estimated = time.perf_counter()
    draft = Model(
        names=references.names,
        energy_ev=references.energy_ev,
        units=units,
        nuisances=found,
        weights={},
        n_latent=0,
        latent_kl=np.zeros(0),
        classifier="likelihood",
        classifier_arrays={},
        power=1.0,
        share=np.full(references.n_class, 1 / references.n_class),
        novelty=make_novelty(simulator, found, spectra, references.n_class),
        likelihood=likelihood,
        # What was trained on another device is asked there, too, but also works without one.
        device="cpu" if torch.device(device).type == "cpu" else "auto",
    )
    report: dict[str, Any] = {"complete": complete, "steps": 0, "notes": [], "problems": []}
    # What reads latents needs the network now.
    if settings.classifier != "likelihood":
        task = Task(inside, simulator, spectra, clean, config, device, progress, stop)
        if published:
            draft, training = train_as_published(draft, task, settings)
        else:
            draft, training = train_network(draft, task)
        report = training_report(training, draft, config)
        report["complete"] = complete and training.complete
    trained = time.perf_counter()
    model = _calibrated(draft, settings, simulator, spectra, variance)
    report = {
        **report,
        "seconds": {
            "estimation": estimated - started,
            "training": trained - estimated,
            "calibration": time.perf_counter() - trained,
        },
        "n_spectra": len(spectra),
        "typical_spread": float(np.median(np.sqrt((units.apply(spectra) ** 2).mean(axis=1)))),
        **model.report,
    }
    looked = examine(
        spectra, variance, likelihood, found, references.names, references.energy_ev, rng
    )
    problems = [*problems, *looked.problems]
    report |= {
        "cosine": looked.cosine,
        "cosines": looked.cosines,
        "data_confidence": looked.calibration.confidence,
        "data_accuracy": looked.calibration.accuracy,
        "data_weight": looked.calibration.weight,
    }
    problems = [*problems, *report["problems"]]
    report["problems"] = list(problems)
    report["confusable"] = confusable
    report["notes"] = [*report["notes"], *found.notes, *looked.notes]
    if found.noise.colour is not None:
        report["notes"].append(
            "the noise of neighbouring channels is alike, as behind a detector that blurs: of slow "
            f"changes along the energy it has {found.noise.colour[0]:.1f} times as much as if they "
            "were independent. Spectra and references are compared with that taken out."
        )
    if settings.classifier == "likelihood" and settings.with_network is not False:
        model = replace(model, recipe=Recipe.of(inside, spectra, clean, config, unit))
    model = in_data_units(replace(model, report=report), unit)
    if model.recipe is not None and settings.with_network:
        model = with_network(model, device, progress, stop)
        problems = model.report["problems"]
    if problems:
        # One warning, however many pairs of classes are alike.
        _logger.warning("%s", "\n".join(problems))
    return model


def check_sample(spectra: np.ndarray) -> None:
    """Refuse data that cannot be trained on.

    Raises
    ------
    ValueError
        If there are fewer than 200 spectra or they are all the same.
    """
    if len(spectra) < FEWEST_SPECTRA:
        raise ValueError(
            f"{len(spectra)} usable spectra are too few to train on: noise and nuisances are "
            f"estimated from the data, which takes at least {FEWEST_SPECTRA}; classify them with "
            "a model trained on more of the kind, model=…."
        )
    if not np.std(spectra) > 0:
        raise ValueError(
            "the spectra are all the same: there is nothing to classify; check the data."
        )


def _calibrated(
    draft: Model,
    settings: FitSettings,
    simulator: Simulator,
    spectra: np.ndarray,
    variance: np.ndarray | None,
) -> Model:
    """Fit the classifier, temperature and class prior, and check them on new simulations."""
    draft = replace(draft, classifier=settings.classifier)
    if settings.classifier in LATENT_CLASSIFIERS and draft.protocol != "paper":
        batch = simulator.draw(_FOR_LATENTS)
        latents = draft.encode(batch.raw.cpu().numpy())[:, classified_latents(draft.active)]
        arrays = fit_classifier(settings.classifier, latents, batch.label.cpu().numpy())
        draft = replace(draft, classifier_arrays=arrays)
    entry = LATENT_CLASSIFIERS.get(settings.classifier)
    number = (entry and entry.calibrated_on) or _CALIBRATION
    held, fresh = simulator.draw(number), simulator.draw(number)
    if draft.has_network and draft.protocol != "paper":
        held_log = draft.log_probability(draft.read(held.raw.cpu().numpy()))
        draft = replace(draft, power=fit_temperature(held_log, held.label.cpu().numpy()))
    uniform = np.full(len(draft.names), 1 / len(draft.names))
    probability = _classified(draft, fresh.raw.cpu().double().numpy(), None, uniform)
    label = fresh.label.cpu().numpy()
    curve = calibration_curve(probability, label)
    given = None if variance is None else variance[:_FOR_SHARES]
    share = chosen_share(settings.prior, draft, spectra[:_FOR_SHARES], given)
    return replace(
        draft,
        share=share,
        report={
            "calibration_confidence": curve.confidence,
            "calibration_accuracy": curve.accuracy,
            "calibration_weight": curve.weight,
            "calibration_error": curve.error,
            "simulated_accuracy": float((probability.argmax(axis=1) == label).mean()),
        },
    )


def _classified(
    model: Model, spectra: np.ndarray, given: np.ndarray | None, share: np.ndarray
) -> np.ndarray:
    """Probabilities of spectra under a prior."""
    if model.classifier == "likelihood":
        return model.posterior(model.judged(spectra, given)[0], None, share=share)
    return model.probability(model.read(spectra), share=share)


def summary(model: Model) -> dict[str, Any]:
    """Numbers of a model that a report shows."""
    return {
        **{k: v for k, v in model.report.items() if np.ndim(v) == 0 and not isinstance(v, dict)},
        "active_latents": int(model.active.sum()),
        "nuisances": model.nuisances.summary(),
        "class_share": dict(zip(model.names, model.share.tolist(), strict=True)),
        "temperature": 1 / model.power,
    }
