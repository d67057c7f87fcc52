# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From spectra and references to a trained model."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from hyperspy_dosekin.classification.calibration import (
    calibration_curve,
    estimate_share,
    fit_temperature,
)
from hyperspy_dosekin.classification.classifiers import (
    LATENT_CLASSIFIERS,
    classifier_names,
    fit_classifier,
)
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.estimation import EstimationOptions, estimate_nuisances
from hyperspy_dosekin.classification.model import Model, classified_latents
from hyperspy_dosekin.classification.noise import PrincipalComponents, estimate_noise
from hyperspy_dosekin.classification.novelty import NoveltyScale, fit_novelty
from hyperspy_dosekin.classification.nuisances import Nuisances
from hyperspy_dosekin.classification.references import ReferenceSet, find_problems
from hyperspy_dosekin.classification.simulation import Simulator
from hyperspy_dosekin.classification.training import Measured, Training, train
from hyperspy_dosekin.classification.units import NetworkUnits
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress

_logger = logging.getLogger(__name__)

#: Fewer spectra say too little about noise and nuisances.
FEWEST_SPECTRA = 200
#: Fewer active latents are a failed fit.
FEWEST_ACTIVE = 2
_CALIBRATION = 6000
_NOVELTY_PER_CLASS = 1000
_NOVELTY_KNOWN = 12_000
_NOVELTY_MEASURED = 4000


@dataclass(frozen=True)
class FitSettings:
    """What is fitted, apart from the network.

    Parameters
    ----------
    classifier
        ``"head"``, ``"gaussian_process"`` or ``"knn"``.
    prior
        ``"estimated"``, ``"uniform"``, or the share of each class by name or in order.
    n_components
        Principal components of the clean version.
    find_factor
        Whether references may be in other units of intensity than the data.
    network
        Settings of network and training.

    Raises
    ------
    ValueError
        If an option is not one of those.
    """

    classifier: str = "head"
    prior: str | Sequence[float] | Mapping[str, float] = "estimated"
    n_components: int = 10
    find_factor: bool = True
    network: VAEConfig = field(default_factory=VAEConfig)

    def __post_init__(self) -> None:
        known = classifier_names()
        if self.classifier not in known:
            raise ValueError(f"classifier={self.classifier!r} must be one of {list(known)}.")
        if self.n_components < 2:
            raise ValueError(f"n_components={self.n_components} must be at least 2.")
        object.__setattr__(self, "prior", plain_prior(self.prior))


def fit_model(
    spectra: np.ndarray,
    references: ReferenceSet,
    settings: FitSettings,
    *,
    clean: np.ndarray | None = None,
    nuisances: Nuisances | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
    stop: Stop = never_stop,
) -> Model:
    """Estimate the nuisances, train the network, calibrate what it says.

    Parameters
    ----------
    spectra
        Usable spectra, ``(n, n_channels)``, in any units.
    references
        On the same axis, in any units of intensity.
    settings
        What to fit.
    clean
        Clean versions of the spectra; by default their principal components.
    nuisances
        Known nuisances in the units of the spectra; by default they are estimated.
    device
        Where to train.
    progress, stop
        Who is told, and who may end the training.

    Raises
    ------
    ValueError
        If there are too few spectra, they are all zero, or the references cannot be used.
    """
    # Matrices of a few hundred columns: threads of the linear algebra cost more than they bring,
    # most of all where something else is computing.
    with threadpool_limits(1, user_api="blas"):
        return _fit(spectra, references, settings, clean, nuisances, device, progress, stop)


def _fit(
    spectra: np.ndarray,
    references: ReferenceSet,
    settings: FitSettings,
    clean: np.ndarray | None,
    nuisances: Nuisances | None,
    device: torch.device | str,
    progress: Progress,
    stop: Stop,
) -> Model:
    check_sample(spectra)
    started = time.perf_counter()
    config = settings.network
    rng = np.random.default_rng(config.seed)
    # In units of their own spread, spectra of any instrument are alike to single precision.
    unit = float(np.std(spectra, dtype=np.float64))
    spectra = (spectra / unit).astype(np.float64)
    inside = references.scaled(1 / unit)
    number = min(settings.n_components, len(spectra) - 1, spectra.shape[1] - 1)
    components = PrincipalComponents.of(spectra, number)
    clean = components.clean(spectra) if clean is None else clean / unit
    if nuisances is None:
        found = estimate_nuisances(
            spectra,
            inside,
            estimate_noise(spectra, components),
            rng,
            EstimationOptions(find_factor=settings.find_factor),
            lambda done, rounds: progress("Nuisances", done, rounds),
        )
    else:
        found = in_units(nuisances, 1 / unit)
    problems = find_problems(
        inside.scaled(found.scale_mean), found.noise.variance(spectra.mean(axis=0))
    )
    generator = torch.Generator(device=device).manual_seed(config.seed)
    simulator = Simulator(inside, found, generator)
    units = NetworkUnits.of(spectra, found.noise.variance(spectra.mean(axis=0)))
    estimated = time.perf_counter()
    training = train(
        simulator, Measured(spectra, clean), units, config, progress=progress, stop=stop
    )
    trained = time.perf_counter()
    network = training.network.cpu()
    weights = {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}
    draft = Model(
        names=references.names,
        energy_ev=references.energy_ev,
        units=units,
        nuisances=found,
        weights=weights,
        n_latent=config.n_latent,
        latent_kl=_latent_kl(training, units, simulator, clean),
        classifier="head",
        classifier_arrays={},
        power=1.0,
        share=np.full(references.n_class, 1 / references.n_class),
        novelty=_novelty(simulator, found, spectra, references.n_class),
        # What was trained on another device is asked there, too, but also works without one.
        device="cpu" if torch.device(device).type == "cpu" else "auto",
    )
    model = _calibrated(draft, settings, simulator, spectra)
    report = {
        "complete": training.complete,
        "steps": int(training.curve.step[-1]) if training.curve.step.size else 0,
        "problems": list(problems),
        "notes": list(training.notes),
        "seconds": {
            "estimation": estimated - started,
            "training": trained - estimated,
            "calibration": time.perf_counter() - trained,
        },
        "n_spectra": len(spectra),
        "typical_spread": float(np.median(np.sqrt((units.apply(spectra) ** 2).mean(axis=1)))),
        "curve_step": training.curve.step,
        "curve_learning_rate": training.curve.learning_rate,
        **{f"training.{name}": row for name, row in training.curve.training.items()},
        **{f"validation.{name}": row for name, row in training.curve.validation.items()},
        **model.report,
    }
    n_active = int(model.active.sum())
    if n_active < FEWEST_ACTIVE:
        problems = [*problems, _collapse(n_active, config)]
        report["problems"] = problems
    for problem in problems:
        _logger.warning("%s", problem)
    return in_data_units(replace(model, report=report), unit)


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


def _collapse(n_active: int, config: VAEConfig) -> str:
    return (
        f"only {n_active} of {config.n_latent} latents are active, fewer than {FEWEST_ACTIVE}: the "
        "posterior has collapsed, and latents and denoised spectra mean nothing; lower "
        'loss_weights["kl"], or raise steps.'
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


def _novelty(
    simulator: Simulator, nuisances: Nuisances, spectra: np.ndarray, n_class: int
) -> NoveltyScale:
    device = simulator.generator.device
    clean = [
        simulator.clean(torch.full((_NOVELTY_PER_CLASS,), k, device=device)).cpu().double().numpy()
        for k in range(n_class)
    ]
    share = torch.as_tensor(nuisances.class_share, dtype=torch.float32, device=device)
    label = torch.multinomial(
        share, _NOVELTY_KNOWN, replacement=True, generator=simulator.generator
    )
    known = simulator.measured(simulator.clean(label)).cpu().double().numpy()
    return fit_novelty(clean, known, nuisances.noise, spectra[:_NOVELTY_MEASURED])


def _calibrated(
    draft: Model, settings: FitSettings, simulator: Simulator, spectra: np.ndarray
) -> Model:
    """Fit the classifier, temperature and class prior, and check them on new simulations."""
    if settings.classifier != "head":
        batch = simulator.draw(20_000)
        latents = draft.encode(batch.raw.cpu().numpy())[:, classified_latents(draft.active)]
        arrays = fit_classifier(settings.classifier, latents, batch.label.cpu().numpy())
        draft = replace(draft, classifier=settings.classifier, classifier_arrays=arrays)
    entry = LATENT_CLASSIFIERS.get(settings.classifier)
    number = (entry and entry.calibrated_on) or _CALIBRATION
    held, fresh = simulator.draw(number), simulator.draw(number)
    held_log = draft.log_probability(draft.encode(held.raw.cpu().numpy()))
    draft = replace(draft, power=fit_temperature(held_log, held.label.cpu().numpy()))
    uniform = np.full(len(draft.names), 1 / len(draft.names))
    probability = draft.probability(draft.encode(fresh.raw.cpu().numpy()), share=uniform)
    label = fresh.label.cpu().numpy()
    curve = calibration_curve(probability, label)
    share = chosen_share(settings.prior, draft, spectra[:12_000])
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


def plain_prior(prior: Any) -> str | list[float] | dict[str, float]:
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
    elif np.ndim(list(prior.values()) if named else prior) == 1 and len(prior) > 0:
        if named:
            return {str(name): float(part) for name, part in prior.items()}
        return [float(part) for part in prior]
    raise ValueError(
        f'prior={prior!r} must be "estimated", "uniform" or the share of each class, in order or '
        "by name."
    )


def chosen_share(
    prior: str | Sequence[float] | Mapping[str, float], model: Model, spectra: np.ndarray
) -> np.ndarray:
    """Class prior that a user asked for.

    Parameters
    ----------
    prior
        ``"estimated"`` from the spectra, ``"uniform"``, or shares by class name or in order.
    model
        Classifier.
    spectra
        Usable spectra in the units of the model, ``(n, n_channels)``.

    Raises
    ------
    ValueError
        If shares are negative, all zero, or not one for each class.
    """
    n_class = len(model.names)
    prior = plain_prior(prior)
    if isinstance(prior, str):
        uniform = np.full(n_class, 1 / n_class)
        if prior == "uniform" or not len(spectra):
            return uniform
        return estimate_share(model.probability(model.encode(spectra), share=uniform))
    if isinstance(prior, Mapping):
        unknown = sorted(set(prior) - set(model.names))
        if unknown:
            raise ValueError(f"prior names {unknown}; the classes are {list(model.names)}.")
        prior = [prior.get(name, 0.0) for name in model.names]
    share = np.asarray(prior, dtype=np.float64)
    if share.shape != (n_class,):
        raise ValueError(
            f"prior has {share.size} shares, but there are {n_class} classes {list(model.names)}."
        )
    if not (np.isfinite(share).all() and (share >= 0).all() and share.sum() > 0):
        raise ValueError(f"prior={share.tolist()} must be shares, none negative and not all zero.")
    return share / share.sum()


def in_units(nuisances: Nuisances, factor: float) -> Nuisances:
    """Nuisances of spectra multiplied by a factor; references are multiplied with them."""
    return replace(
        nuisances,
        noise=nuisances.noise.scaled(factor),
        background_mean=nuisances.background_mean * factor,
        background_covariance=nuisances.background_covariance * factor**2,
    )


def in_data_units(model: Model, unit: float) -> Model:
    """A model for spectra in the units of the data, out of one for spectra divided by `unit`."""
    units, novelty = model.units, model.novelty
    return replace(
        model,
        units=replace(units, centre=units.centre * unit, spread=units.spread * unit),
        nuisances=in_units(model.nuisances, unit),
        novelty=replace(novelty, mean=novelty.mean * unit, sigma=novelty.sigma * unit),
    )


def summary(model: Model) -> dict[str, Any]:
    """Numbers of a model that a report shows."""
    return {
        **{k: v for k, v in model.report.items() if np.ndim(v) == 0 and not isinstance(v, dict)},
        "active_latents": int(model.active.sum()),
        "nuisances": model.nuisances.summary(),
        "class_share": dict(zip(model.names, model.share.tolist(), strict=True)),
        "temperature": 1 / model.power,
    }
