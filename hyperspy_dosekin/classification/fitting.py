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
    softmax,
)
from hyperspy_dosekin.classification.classifiers import (
    LATENT_CLASSIFIERS,
    classifier_names,
    fit_classifier,
)
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.estimation import EstimationOptions, estimate_nuisances
from hyperspy_dosekin.classification.examination import examine
from hyperspy_dosekin.classification.explanations import Explainer, class_templates
from hyperspy_dosekin.classification.likelihood import MOST_STRANGE, Likelihood
from hyperspy_dosekin.classification.mixing import Mixing, fit_mixing
from hyperspy_dosekin.classification.model import Model, classified_latents
from hyperspy_dosekin.classification.noise import PrincipalComponents, estimate_noise
from hyperspy_dosekin.classification.novelty import NoveltyScale, fit_novelty
from hyperspy_dosekin.classification.nuisances import Nuisances
from hyperspy_dosekin.classification.paper import (
    fingerprints,
    fit_head,
    paper_units,
    train_paper,
)
from hyperspy_dosekin.classification.pixel_noise import PixelNoise
from hyperspy_dosekin.classification.references import ReferenceSet, find_confusable, find_problems
from hyperspy_dosekin.classification.simulation import Simulator
from hyperspy_dosekin.classification.training import Measured, Training, train
from hyperspy_dosekin.classification.units import NetworkUnits
from hyperspy_dosekin.numerics.arguments import check_fields, real_numbers, short
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
_NOVELTY_SIMULATED = 6000
_FOR_SHARES = 12_000
#: Simulated spectra of single classes on which it is found what a mixture is, and the share of them
#: that is taken for one.
_UNMIXED = 2000
MIXED_RATE = 0.02
#: Fewer spectra say too little about the shares of the classes.
FEWEST_FOR_SHARES = 100
#: Share of the spectra of the classes that counts as far from them, and of those of no class that
#: has to be as far, at least, if there are any.
_FAR, _FARTHER = 0.1, 0.5
#: A spectrum whose novelty is beyond this does not count for the shares.
_NOT_COUNTED = 3.0


#: How a network is trained.
PROTOCOLS = ("fast", "paper")


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
        Whether to train a network at all; only the likelihood does without.

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
    with_network: bool = True
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
        if not self.with_network and self.classifier != "likelihood":
            raise ValueError(
                f'network=False goes with classifier="likelihood" only: {self.classifier!r} reads '
                "what a network makes of a spectrum."
            )
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
    variance: np.ndarray | None = None,
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
    variance
        Noise variance of each spectrum where it is known, of the same shape.
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
        noise = PixelNoise.of(spectra, estimate_noise(spectra, components), components, variance)
        found = estimate_nuisances(
            spectra,
            inside,
            noise.model,
            rng,
            EstimationOptions(find_factor=settings.find_factor),
            lambda done, rounds: progress("Nuisances", done, rounds),
            noise.variance(spectra, variance),
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
    likelihood, strange = _likelihood(inside, found, noise, simulator, spectra, variance, rng)
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
        novelty=_novelty(simulator, found, spectra, references.n_class),
        likelihood=likelihood,
        # What was trained on another device is asked there, too, but also works without one.
        device="cpu" if torch.device(device).type == "cpu" else "auto",
    )
    report: dict[str, Any] = {"complete": True, "steps": 0, "notes": []}
    if settings.with_network:
        task = _Task(inside, simulator, spectra, clean, config, device, progress, stop)
        draft, training = (_trained_as_published if published else _trained)(draft, task, settings)
        curve = training.curve
        report = {
            "complete": training.complete,
            "steps": int(curve.step[-1]) if curve.step.size else 0,
            "notes": list(training.notes),
            "curve_step": curve.step,
            "curve_learning_rate": curve.learning_rate,
            **{f"training.{name}": row for name, row in curve.training.items()},
            **{f"validation.{name}": row for name, row in curve.validation.items()},
        }
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
    n_active = int(model.active.sum())
    if settings.with_network and n_active < FEWEST_ACTIVE:
        problems = [*problems, _collapse(n_active, config)]
    report["problems"] = list(problems)
    report["confusable"] = confusable
    report["notes"] = [*report["notes"], *found.notes]
    if problems:
        # One warning, however many pairs of classes are alike.
        _logger.warning("%s", "\n".join(problems))
    return in_data_units(replace(model, report=report), unit)


@dataclass(frozen=True, eq=False)
class _Task:
    """What a network is trained on."""

    references: ReferenceSet
    simulator: Simulator
    spectra: np.ndarray
    clean: np.ndarray
    config: VAEConfig
    device: torch.device | str
    progress: Progress
    stop: Stop


def _trained(draft: Model, task: _Task, settings: FitSettings) -> tuple[Model, Training]:
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


def _trained_as_published(
    draft: Model, task: _Task, settings: FitSettings
) -> tuple[Model, Training]:
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


def _with_network(draft: Model, training: Training, task: _Task) -> Model:
    state = training.network.cpu().state_dict()
    return replace(
        draft,
        weights={name: value.detach().numpy().copy() for name, value in state.items()},
        n_latent=task.config.n_latent,
        latent_kl=_latent_kl(training, draft.units, task.simulator, task.clean),
    )


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


def _likelihood(
    references: ReferenceSet,
    nuisances: Nuisances,
    noise: PixelNoise,
    simulator: Simulator,
    spectra: np.ndarray,
    variance: np.ndarray | None,
    rng: np.random.Generator,
) -> tuple[Likelihood, float]:
    """Bayes' rule with what was estimated, and the share of spectra that are of no class."""
    templates, class_of = class_templates(references, rng)
    typical = noise.variance(spectra[:_NOVELTY_MEASURED], _first(variance)).mean(axis=0)
    nodes = Explainer(templates, class_of, references.energy_ev).shift_nodes(nuisances, typical)
    nothing, means = np.zeros(1), references.class_means()
    step = float(np.median(np.diff(references.energy_ev)))
    mixing = Mixing(means, step, np.zeros(len(means)))
    draft = Likelihood(templates, class_of, noise, nodes, nothing, nothing, mixing)
    share = torch.as_tensor(
        nuisances.class_share, dtype=torch.float32, device=simulator.generator.device
    )
    label = torch.multinomial(
        share, _NOVELTY_SIMULATED, replacement=True, generator=simulator.generator
    )
    raw, true = (part.cpu().double().numpy() for part in simulator.noisy(simulator.clean(label)))
    given = None if noise.usual_given is None else true / noise.usual_given
    energy = references.energy_ev
    _, known = draft.judged(raw, given, nuisances, energy)
    _, measured = draft.judged(spectra[:_NOVELTY_MEASURED], _first(variance), nuisances, energy)
    some = slice(_UNMIXED)
    mixing = fit_mixing(
        means, step, raw[some], noise.variance(raw, given)[some], nuisances, rate=MIXED_RATE
    )
    draft = replace(draft, mixing=mixing)
    # A cloud may also describe some of a class; then nothing is far from the classes.
    far = float((measured > np.quantile(known, 1 - _FAR)).mean())
    strange = nuisances.strange_share
    # Where most are strange the nuisances were fitted to all, and bring them near.
    if strange < MOST_STRANGE and far < _FAR + (_FARTHER - _FAR) * strange:
        strange = 0.0
    return draft.calibrated(known, measured, strange), strange


def _first(variance: np.ndarray | None) -> np.ndarray | None:
    return None if variance is None else variance[:_NOVELTY_MEASURED]


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
        batch = simulator.draw(20_000)
        latents = draft.encode(batch.raw.cpu().numpy())[:, classified_latents(draft.active)]
        arrays = fit_classifier(settings.classifier, latents, batch.label.cpu().numpy())
        draft = replace(draft, classifier_arrays=arrays)
    entry = LATENT_CLASSIFIERS.get(settings.classifier)
    number = (entry and entry.calibrated_on) or _CALIBRATION
    held, fresh = simulator.draw(number), simulator.draw(number)
    if draft.has_network and draft.protocol != "paper":
        held_log = draft.log_probability(draft.encode(held.raw.cpu().numpy()))
        draft = replace(draft, power=fit_temperature(held_log, held.label.cpu().numpy()))
    uniform = np.full(len(draft.names), 1 / len(draft.names))
    probability = _classified(draft, fresh.raw.cpu().double().numpy(), None, uniform)
    label = fresh.label.cpu().numpy()
    curve = calibration_curve(probability, label)
    given = None if variance is None else variance[:_FOR_SHARES]
    prior = settings.prior
    if draft.protocol == "paper" and isinstance(prior, str):
        prior = "uniform"
    share = chosen_share(prior, draft, spectra[:_FOR_SHARES], given)
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
    return model.probability(model.encode(spectra), share=share)


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


def chosen_share(
    prior: str | Sequence[float] | Mapping[str, float],
    model: Model,
    spectra: np.ndarray,
    given: np.ndarray | None = None,
) -> np.ndarray:
    """Class prior that a user asked for.

    Parameters
    ----------
    prior
        ``"estimated"`` from the spectra, ``"uniform"``, or shares by class name or in order.
    model
        Classifier.
    spectra
        Usable spectra in the units of the model, ``(n, n_channels)``. Fewer than 100 say too
        little: shares that are to be estimated are then those of the model.
    given
        Noise variance of each, of the same shape, where it is known.

    Raises
    ------
    ValueError
        If shares are negative, all zero, or not one for each class.
    """
    n_class = len(model.names)
    prior = plain_prior(prior)
    if isinstance(prior, str):
        uniform = np.full(n_class, 1 / n_class)
        if prior == "uniform":
            return uniform
        if len(spectra) < FEWEST_FOR_SHARES:
            return model.share
        log, novelty = model.judged(spectra, given)
        latents = None if model.classifier == "likelihood" else model.encode(spectra)
        # A phase that is not among the references says nothing about their shares.
        known = novelty <= _NOT_COUNTED
        probability = model.posterior(log, latents, share=uniform)
        return estimate_share(probability[known] if known.any() else probability)
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
        likelihood=None if model.likelihood is None else model.likelihood.scaled(unit),
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
