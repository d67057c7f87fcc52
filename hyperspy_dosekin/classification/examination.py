# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether references and nuisances describe the data at hand, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hyperspy_dosekin.classification.calibration import CalibrationCurve, calibration_curve, softmax
from hyperspy_dosekin.classification.far import said_of_far
from hyperspy_dosekin.classification.likelihood import MOST_STRANGE, Best, Likelihood
from hyperspy_dosekin.classification.misfit import where
from hyperspy_dosekin.classification.nuisances import Nuisances, shift_templates

#: Spectra that are looked at.
_LOOKED_AT = 3000
#: Fewer spectra of a class say nothing about its mean.
_FEWEST = 20
#: A mean differs from its reference where it does so by more than this many standard deviations of
#: the noise of a single spectrum, and by more than this part of the reference.
_DISTANCE, _RELATIVE = 1.5, 0.02
#: Share of spectra that may resemble no class, scale of a class relative to the others, and
#: residual background relative to the strongest reference.
_STRANGE, _UNEQUAL, _BACKGROUND = 0.05, 1.6, 0.2
#: Part of the variance of the noise that may be a misfit, if most spectra resemble the classes.
_LITTLE = 0.15
#: Mean shift in channels, and in standard deviations of the shift.
_ZERO_CHANNELS, _ZERO_DEVIATIONS = 2.5, 1.5
#: Distance of a typical spectrum, relative to that of simulated ones.
_TYPICAL = 1.08
#: Novelty up to which the typical spectrum is explained.
_EXPLAINED = 2.0
#: Simulated data whose noise is what the data leave.
_RESAMPLED = 2000


@dataclass(frozen=True, eq=False)
class Examination:
    """How references and data go together.

    Parameters
    ----------
    cosine
        Of each class, between its mean reference and the mean of its spectra without their
        backgrounds, ``(n_class,)``; NaN where too few are of it.
    cosines
        Of the mean of each class with each reference, ``(n_class, n_class)``.
    problems
        What does not fit, in words.
    notes
        What to know of spectra that are far from every class.
    calibration
        Accuracy against confidence on explanations of the data to which what other spectra of the
        data leave was added: noise and misfit as they are, of every channel.
    """

    cosine: np.ndarray
    cosines: np.ndarray
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    calibration: CalibrationCurve


def examine(
    spectra: np.ndarray,
    given: np.ndarray | None,
    likelihood: Likelihood,
    nuisances: Nuisances,
    names: tuple[str, ...],
    energy_ev: np.ndarray,
    rng: np.random.Generator,
) -> Examination:
    """Compare spectra with what explains them.

    Parameters
    ----------
    spectra
        Shape ``(n, n_channels)``.
    given
        Noise variance of each where it is known, or ``None``.
    names
        Of the classes.
    energy_ev
        Energies of the channels.
    """
    spectra = spectra[:_LOOKED_AT]
    given = None if given is None else given[:_LOOKED_AT]
    variance = likelihood.noise.variance(spectra, given)
    log, distance = likelihood.judged(spectra, given, nuisances, energy_ev)
    probability = softmax(log + np.log(np.maximum(nuisances.class_share, 1e-12)))
    label = probability.argmax(axis=1)
    novelty = likelihood.novelty(distance)
    strange = novelty > 3
    best = likelihood.best(spectra, given, nuisances, energy_ev)
    rest = spectra - best.explained - best.background
    taken = float((np.broadcast_to(likelihood.noise.excess, energy_ev.shape) / variance).mean())
    problems = _of_the_whole(nuisances, likelihood, strange, taken, energy_ev)
    cosine = np.full(len(names), np.nan)
    cosines = np.full((len(names), len(names)), np.nan)
    scales = np.full(len(names), np.nan)
    means = likelihood.mixing.references
    largest = np.abs(nuisances.scale_mean * means).max()
    step = float(np.median(np.diff(energy_ev)))
    moved = shift_templates(means, np.array([nuisances.shift_mean_ev / step]))[:, 0]
    sizes = np.linalg.norm(moved, axis=1)
    sizes = np.where(sizes > 1e-9 * sizes.max(), sizes, np.nan)
    white = likelihood.explainer(energy_ev).white
    chance = likelihood.noise.model.left_white.sum()
    for k, name in enumerate(names):
        own = np.flatnonzero((label == k) & ~strange & (probability[:, k] > 0.8))
        if len(own) < _FEWEST or np.ptp(means[k]) <= 1e-9 * np.ptp(means):
            continue
        seen = (spectra[own] - best.background[own]).mean(axis=0)
        explained = best.explained[own].mean(axis=0)
        cosine[k] = seen @ explained / (np.linalg.norm(seen) * np.linalg.norm(explained))
        cosines[k] = moved @ seen / (sizes * np.linalg.norm(seen))
        scales[k] = np.median(best.scale[own])
        left = rest[own].mean(axis=0)
        noise = variance[own].mean(axis=0)
        apart = np.sqrt(max((white(left) ** 2 / noise).sum() - chance / len(own), 0.0))
        relative = np.sqrt(max((left**2 - noise / len(own)).mean(), 0.0) / (explained**2).mean())
        if apart > _DISTANCE and relative > _RELATIVE:
            worst = energy_ev[np.argmax(np.abs(left) / np.sqrt(noise))]
            problems.append(
                f"the spectra taken for {name!r} are not like their reference: their mean differs "
                f"by {apart:.2g} standard deviations of the noise of one spectrum "
                f"({100 * relative:.2g} % of it), most at {worst:.1f} eV; look at its broadening "
                '(fwhm="estimate"), plural scattering, and the reference itself.'
            )
    if np.isfinite(scales).sum() > 1:
        ratio = scales / np.nanmedian(scales)
        for k in np.flatnonzero(np.nan_to_num(np.maximum(ratio, 1 / ratio)) > _UNEQUAL):
            problems.append(
                f"class {names[k]!r} is {ratio[k]:.2g} times as strong in the data, relative to "
                "its reference, as the others: the references are not in the same unit of "
                "intensity, or its thickness is another."
            )
    typical = variance.mean(axis=0)
    misfit = nuisances.misfit(white(nuisances.background_basis)) / typical
    size = nuisances.misfit(nuisances.background_basis).mean()
    apart, relative = (
        float(np.sqrt(misfit.sum())),
        float(np.sqrt(size / (best.explained**2).mean())),
    )
    if apart > _DISTANCE and relative > _RELATIVE:
        ranges = where(np.sqrt(misfit), energy_ev)
        problems.append(
            f"the references do not fit, most in {ranges}: most spectra differ there from theirs "
            f"in the same way, by {apart:.2g} standard deviations of the noise of one spectrum "
            f"({100 * relative:.2g} % of it). It is taken for a nuisance of these data, so that "
            "novelty is that of single spectra; look at the broadening of the references "
            '(fwhm="estimate"), plural scattering, and the gain of the channels.'
        )
    background = float(np.sqrt((best.background**2).mean()))
    if background > _BACKGROUND * largest:
        problems.append(
            f"the residual background is {background / largest:.2g} times as high as the strongest "
            "reference: remove the background of the data, or simulate it on the references."
        )
    curve = _resampled(best, rest, variance, label, likelihood, nuisances, energy_ev, rng)
    far = said_of_far(spectra, given, novelty, likelihood, nuisances)
    notes = () if far is None else (far,)
    return Examination(cosine, cosines, tuple(problems), notes, curve)


def _of_the_whole(
    nuisances: Nuisances,
    likelihood: Likelihood,
    strange: np.ndarray,
    taken: float,
    energy_ev: np.ndarray,
) -> list[str]:
    """Problems of all classes together; `taken` is the part of the noise that is a misfit."""
    found = []
    step = float(np.median(np.diff(energy_ev)))
    allowed = max(_ZERO_CHANNELS * step, _ZERO_DEVIATIONS * nuisances.shift_sd_ev)
    if abs(nuisances.shift_mean_ev) > allowed:
        found.append(
            f"the data lie {nuisances.shift_mean_ev:+.2f} eV from the references: the zero of the "
            "energy is another. Classes are found at that shift; put it right with shift_ev of "
            "reference_spectra, since a shift can also be one of chemistry."
        )
    share = max(float(strange.mean()), nuisances.strange_share)
    if nuisances.strange_share > MOST_STRANGE and taken < _LITTLE and strange.mean() < _STRANGE:
        found.append(
            "most spectra differ from a class by no more than their noise, but do not lie among "
            "the classes as thickness and shift alone would have it: their compositions lie "
            "between the classes (look at composition and mixed), or a reference is wrong and the "
            f"shift of ± {nuisances.shift_sd_ev:.2g} eV hides it."
        )
    elif nuisances.strange_share > MOST_STRANGE:
        found.append(
            "most spectra resemble no class: they differ from every reference by more than the "
            "noise explains, and what they have in common was taken for noise; look at the "
            "references, their broadening, and the gain of the channels."
        )
    elif share > _STRANGE:
        found.append(
            f"{100 * share:.0f} % of the spectra resemble no class: a reference is missing or "
            "wrong; look at the novelty."
        )
    if likelihood.typical > _TYPICAL:
        found.append(
            f"the typical spectrum is {likelihood.typical:.2f} times as far from its class, in "
            "squares, as the noise explains: references or nuisances do not describe the data."
        )
    return found


def _resampled(
    best: Best,
    rest: np.ndarray,
    variance: np.ndarray,
    label: np.ndarray,
    likelihood: Likelihood,
    nuisances: Nuisances,
    energy_ev: np.ndarray,
    rng: np.random.Generator,
) -> CalibrationCurve:
    """Calibration on explanations with what other spectra of the data leave."""
    chosen = rng.permutation(len(rest))[:_RESAMPLED]
    other = rng.permutation(len(rest))[: len(chosen)]
    noise = rest[other] / np.sqrt(variance[other]) * np.sqrt(variance[chosen])
    made = best.explained[chosen] + best.background[chosen] + noise
    log, _ = likelihood.judged(made, variance[chosen], nuisances, energy_ev)
    known = softmax(log + np.log(np.maximum(nuisances.class_share, 1e-12)))
    return calibration_curve(known, label[chosen])


def zero_of(
    spectra: np.ndarray,
    given: np.ndarray | None,
    likelihood: Likelihood,
    nuisances: Nuisances,
    energy_ev: np.ndarray,
) -> float:
    """By how many eV spectra lie above those that the nuisances are of; 0 unless it is clear.

    Parameters
    ----------
    spectra
        Shape ``(n, n_channels)``.
    given
        Noise variance of each where it is known, or ``None``.
    energy_ev
        Energies of the channels.
    """
    if len(spectra) < _FEWEST:
        return 0.0
    step = float(np.median(np.diff(energy_ev)))
    unit = max(step, 0.7 * nuisances.shift_sd_ev)

    def fit(zero: float) -> float:
        moved = replace(nuisances, shift_mean_ev=nuisances.shift_mean_ev + zero)
        log, _ = likelihood.judged(spectra, given, moved, energy_ev)
        # With the shares of these spectra, which may be others.
        joint = softmax(log).mean(axis=0)
        log = log + np.log(np.maximum(joint, 1e-3))
        peak = log.max(axis=1)
        whole = peak + np.log(np.exp(log - peak[:, None]).sum(axis=1))
        # Not the few that nothing explains.
        return float(np.sort(whole)[len(whole) // 10 :].mean())

    tried = {zero: fit(zero) for zero in unit * np.arange(-6, 7)}
    best = max(tried, key=lambda zero: tried[zero])
    if tried[best] - tried[0.0] < 0.5 or abs(best) < 1.5 * unit:
        return 0.0
    moved = replace(nuisances, shift_mean_ev=nuisances.shift_mean_ev + best)
    _, distance = likelihood.judged(spectra, given, moved, energy_ev)
    # A phase that no class explains at any zero says nothing about it.
    if np.median(likelihood.novelty(distance)) > _EXPLAINED:
        return 0.0
    finer = {best + part * unit: fit(best + part * unit) for part in (-0.5, 0.5)} | {
        best: tried[best]
    }
    return float(max(finer, key=lambda zero: finer[zero]))
