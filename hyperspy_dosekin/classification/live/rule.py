# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bayes' rule and novelty for live use: what `likelihood` computes, on a tape.

The same templates, nodes and noise of every pixel; single precision is all that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.fft import dct

from hyperspy_dosekin.classification.explanations import REACH, typical_template
from hyperspy_dosekin.classification.foretold import LEAST, LEAST_BEND
from hyperspy_dosekin.classification.likelihood import Likelihood
from hyperspy_dosekin.classification.live.tape import Tape, Value
from hyperspy_dosekin.classification.model import Model
from hyperspy_dosekin.classification.novelty import NoveltyScale
from hyperspy_dosekin.classification.nuisances import HALF_WIDTH, Nuisances, shift_templates
from hyperspy_dosekin.classification.pixel_noise import FARTHEST, PixelNoise
from hyperspy_dosekin.classification.scales import NEWTON

PROBABILITY, NOVELTY = "probability", "novelty"
#: Smallest numbers that single precision keeps apart from zero, of products of two.
_TINY = 1e-30
#: Standard deviations from which the normal tail is taken from its expansion.
_FAR = -4.0


def rule_tape(model: Model, *outputs: str) -> Tape:
    """Probabilities of a model by Bayes' rule, or its novelty, or both.

    Parameters
    ----------
    model
        Trained model, with a likelihood for probabilities; its `share` is the class prior.
    *outputs
        `PROBABILITY` ``(n, n_class)``, `NOVELTY` ``(n,)``.
    """
    tape = Tape()
    rule = model.likelihood
    if rule is None:
        tape.outputs[NOVELTY] = _plain_novelty(tape, model.novelty).name
        return tape
    found = _explained(tape, rule, model.placed, model.energy_ev)
    if PROBABILITY in outputs:
        tape.outputs[PROBABILITY] = _by_class(found, rule, model.share).name
    if NOVELTY in outputs:
        distance = _nearest(found, rule) * rule.correction
        tape.outputs[NOVELTY] = _beyond(distance, rule.score, rule.log_probability).name
    return tape


@dataclass(frozen=True)
class _Found:
    """All explanations, ``(n, n_template · n_shift)``, and what they have in common, ``(n, 1)``.

    Log-likelihood times prior, and squared distance but for the common part of it.
    """

    log: Value
    distance: Value
    common: Value


def _variance(tape: Tape, noise: PixelNoise) -> Value:
    """Noise variance of every channel; see `PixelNoise.variance`."""
    model, components = noise.model, noise.components
    x, curves = tape.spectra, components.components
    scores = (x - components.mean) @ curves.T
    expected = (scores * np.broadcast_to(noise.kept, len(curves))) @ curves + components.mean
    found = expected * model.gain + model.offset
    if model.slope is not None and model.direction is not None:
        found = found + (expected @ model.direction[:, None]) * model.slope[None]
    found = found.least(model.smallest)
    if model.level_sd > 0:
        left = x - (scores @ curves + components.mean)
        leverage = (curves**2).sum(axis=0)
        white = left / (found * np.maximum(1 - leverage, 0.1)).sqrt()
        waves = np.asarray(dct(np.eye(components.mean.size), norm="ortho", axis=1))
        waves = white @ waves[:, noise.band]
        expected = model.power[noise.band].sum()
        ratio = (waves * waves).sum() / float(expected * noise.usual)
        logarithm = ratio.least(1 / FARTHEST).most(FARTHEST).log()
        found = found * (logarithm * noise.level_weight).exp()
    return found + noise.excess


def _explained(tape: Tape, rule: Likelihood, now: Nuisances, energy_ev: np.ndarray) -> _Found:
    """See `Explainer.explain`: the same sums."""
    score = np.linspace(-REACH, REACH, rule.n_shift)
    shifts = now.shift_mean_ev + now.shift_sd_ev * score
    log_shift = -0.5 * score**2
    log_shift -= np.log(np.exp(log_shift).sum())
    step = float(np.median(np.diff(energy_ev)))
    explainer = rule.explainer(energy_ev)
    flat = shift_templates(rule.templates, shifts / step).reshape(-1, energy_ev.size)
    flat = explainer.white(flat)
    prior = -np.log(np.bincount(rule.class_of))[rule.class_of]
    weight = 1.0 / _variance(tape, rule.noise)
    basis = explainer.white(now.background_basis)
    number = range(len(basis))
    white = tape.spectra
    if rule.noise.model.colour is not None:
        white = white @ explainer.white(np.eye(energy_ev.size))
    rest = white - now.background_mean @ basis
    weighted = rest * weight
    precision = np.linalg.inv(now.background_covariance)
    inverse = _inverse(
        [
            [weight @ (basis[i] * basis[j])[:, None] + precision[i, j] for j in number]
            for i in number
        ]
    )
    coefficient = [weighted @ curve[:, None] for curve in basis]
    own = [_sum(coefficient[i] * inverse[i][j] for i in number) for j in number]
    common = (rest * weighted).sum() - _sum(own[j] * coefficient[j] for j in number)
    onto = [weight @ (flat * curve).T for curve in basis]
    linear = weighted @ flat.T - _sum(own[j] * onto[j] for j in number)
    square = weight @ (flat**2).T - _sum(
        inverse[i][j] * onto[i] * onto[j] for i in number for j in number
    )
    square = square.least(0.0)
    integrated = _SCALES[now.scale_shape]
    log, best, penalty = integrated(linear, square, now.scale_mean, now.scale_sd)
    distance = (square * best - linear * 2.0) * best
    distance = distance if penalty is None else distance + penalty
    distance = distance + np.tile(score**2, len(rule.templates))
    foretold = rule.foretold
    if foretold is not None:
        n_channels = energy_ev.size
        typical = typical_template(rule.templates, rule.class_of, now.class_share)
        background = now.background_mean @ now.background_basis
        fixed, rising = foretold.noise.by_scale(background, typical)
        rise = weight @ (rising[:, None] / n_channels)
        own = (weight * tape.spectra).sum() * (foretold.noise.gain / n_channels)
        level = (weight @ (fixed[:, None] / n_channels) + own + rise * best).least(LEAST)
        nearest = common - (-distance).highest()
        seen = (nearest * (1 / n_channels)).least(_TINY).log()
        value, slope, bend = foretold.said_of_scale(seen, level, level.log(), rise)
        bend = bend.least(square * LEAST_BEND)
        log, _, _ = integrated(
            linear + slope + bend * best, square + bend, now.scale_mean, now.scale_sd
        )
        log = log + value - (slope + bend * best * 0.5) * best
    return _Found(
        log + (prior[:, None] + log_shift).ravel(),
        distance,
        common,
    )


def _sum(parts: Iterable[Value]) -> Value:
    first, *others = parts
    for each in others:
        first = first + each
    return first


def _inverse(matrix: list[list[Value]]) -> list[list[Value]]:
    """Inverse of positive definite matrices, each entry of them ``(n, 1)``, by Gauss and Jordan."""
    number = range(len(matrix))
    for k in number:
        pivot = 1.0 / matrix[k][k]
        row = [pivot if j == k else matrix[k][j] * pivot for j in number]
        matrix = [
            row
            if i == k
            else [
                -(matrix[i][k] * pivot) if j == k else matrix[i][j] - matrix[i][k] * row[j]
                for j in number
            ]
            for i in number
        ]
    return matrix


#: Log-marginal but for a constant, best value and penalty of scales; see `explanations.SCALES`.
_Scaled: TypeAlias = "tuple[Value, Value, Value | None]"


def _normal(linear: Value, square: Value, mean: float, sd: float) -> _Scaled:
    posterior, centre = square + sd**-2, linear + mean / sd**2
    best = centre / posterior
    away = (best - mean) * (1 / sd)
    return (centre * best - posterior.log()) * 0.5, best, away * away


def _uniform(linear: Value, square: Value, mean: float, sd: float) -> _Scaled:
    low, high = mean - HALF_WIDTH * sd, mean + HALF_WIDTH * sd
    square = square.least(1e-6 / sd**2)
    root, centre = square.sqrt(), linear / square
    left, right = (low - centre) * root, (high - centre) * root
    # Both ends on the side where the tails are small, so that their difference keeps its digits.
    middle = left + right
    left, right = (
        middle.where_below(0.0, left, -right),
        middle.where_below(0.0, right, -left),
    )
    upper = _log_normal_integral(right)
    mass = upper + (1.0 - (_log_normal_integral(left) - upper).exp()).least(_TINY).log()
    log = (linear * centre - square.log()) * 0.5 + mass
    return log, centre.least(low).most(high), None


def _log_normal_integral(x: Value) -> Value:
    """Logarithm of the normal distribution function, below some standard deviations expanded."""
    low = x.most(_FAR)
    inverse = 1.0 / (low * low)
    series = 1.0 - inverse * (1.0 - inverse * (3.0 - inverse * (15.0 - inverse * 105.0)))
    tail = series.log() - (low * -np.sqrt(2 * np.pi)).log() - low * low * 0.5
    inside = ((x * np.sqrt(0.5)).erf() * 0.5 + 0.5).least(_TINY).log()
    return x.where_below(_FAR, tail, inside)


def _lognormal(linear: Value, square: Value, mean: float, sd: float) -> _Scaled:
    variance = float(np.log1p((sd / mean) ** 2))
    middle = float(np.log(mean) - variance / 2)
    start = (linear + mean / sd**2) / (square + sd**-2)
    u = start.least(mean * float(np.exp(-4 * np.sqrt(variance)))).log()

    def terms(u: Value) -> tuple[Value, Value, Value, Value]:
        a = u.exp()
        first, second = linear * a, square * a * a
        curvature = (second * 2.0 - first + 1 / variance).least(0.2 / variance)
        return a, first, second, curvature

    for _ in range(NEWTON):
        _, first, second, curvature = terms(u)
        step = (first - second - (u - middle) * (1 / variance)) / curvature
        u = u + step.least(-1.0).most(1.0)
    a, first, second, curvature = terms(u)
    away = u - middle
    penalty = away * away * (1 / variance)
    return first - (second + penalty + curvature.log()) * 0.5, a, penalty


_SCALES: dict[str, Callable[[Value, Value, float, float], _Scaled]] = {
    "normal": _normal,
    "uniform": _uniform,
    "lognormal": _lognormal,
}


def _by_class(found: _Found, rule: Likelihood, share: np.ndarray) -> Value:
    """Probabilities of the classes."""
    member = np.repeat(np.eye(len(share))[rule.class_of], rule.n_shift, axis=0)
    mass = (found.log - found.log.highest()).exp() @ member * share[None]
    return mass / mass.sum().least(_TINY)


def _nearest(found: _Found, rule: Likelihood) -> Value:
    """Squared distance to the nearest explanation; see `Explanations.nearest`."""
    distance, last = found.distance, len(rule.templates) * rule.n_shift - 1
    place = distance.lowest_place()
    here = distance.at(place)
    if rule.n_shift > 2:
        node = np.arange(last + 1) % rule.n_shift
        inside = ((node > 0) & (node < rule.n_shift - 1)).astype(float)
        between = (distance * 0.0 + inside).at(place)
        one = np.array(1)
        below = distance.at((place - one).least(np.array(0)))
        above = distance.at((place + one).most(np.array(last)))
        bend, rise = below + above - here * 2.0, above - below
        gain = rise * rise / (bend.least(_TINY) * 8.0)
        here = here - between * gain.most(bend.least(0.0) * 0.5)
    return found.common + here


def _beyond(score: Value, nodes: np.ndarray, log_probability: np.ndarray) -> Value:
    """Novelty of scores ``(n, 1)``: a sum of straight rises from node to node, ``(n,)``."""
    # Two nodes in one place are a jump; behind the last one it goes straight on.
    width = np.maximum(np.diff(nodes), 1e-6)
    rise = -np.diff(log_probability)
    tail = max(nodes[-1] - nodes[-6], 1e-9)
    slope = max((log_probability[-6] - log_probability[-1]) / tail, 1e-3)
    part = (score - nodes).least(0.0).most(np.append(width, 1e30))
    found = part @ np.append(rise / width, slope)[:, None] + float(-log_probability[0])
    return found.flat()


def _plain_novelty(tape: Tape, scale: NoveltyScale) -> Value:
    """Novelty of models of early files, which hold no likelihood; see `NoveltyScale`."""
    score: Value | None = None
    for k, (mean, sigma, factors) in enumerate(
        zip(scale.mean, scale.sigma, scale.factors, strict=True)
    ):
        white = (tape.spectra - mean) * (1 / sigma)
        along = white @ factors.T
        squared = (white * white).sum() - (along * along).sum()
        own = squared * (scale.correction / scale.spread[k]) - scale.centre[k] / scale.spread[k]
        score = own if score is None else score.most(own)
    assert score is not None
    return _beyond(score, scale.score, scale.log_probability)
