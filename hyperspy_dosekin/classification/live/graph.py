# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic from a spectrum to probabilities, as arrays that any runtime can take.

Bayes' rule, or normalisation, reader (in models without one encoder and head), temperature and
class prior; and, if wanted, novelty. What is linear and follows upon something linear is folded
into it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hyperspy_dosekin.classification.architecture import LEAST_SCATTER
from hyperspy_dosekin.classification.live.rule import NOVELTY, PROBABILITY, rule_tape
from hyperspy_dosekin.classification.live.tape import Tape
from hyperspy_dosekin.classification.model import Model

#: Slope of the leaky rectifier after each convolution, as in `architecture.Encoder`.
SLOPE = 0.3
#: Smallest probability before the temperature, as in `Model.log_probability`.
_TINY = 1e-12
#: Change of a probability that nobody sees.
_INVISIBLE = 1e-7
#: A share of zero, whose logarithm float32 still holds.
_SMALLEST_SHARE = 1e-60


@dataclass(frozen=True, eq=False)
class Affine:
    """A layer ``weight · x + bias``.

    Parameters
    ----------
    weight
        Of a convolution ``(n_output, n_input, n_tap)``, of a dense layer ``(n_output, n_input)``.
    bias
        Shape ``(n_output,)``.
    """

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True, eq=False)
class Scatter:
    """How much normalised spectra scatter: ``(ln⟨(y − yVᵀV)²⟩ − middle) / spread``, y = x − centre.

    Parameters
    ----------
    centre
        Shape ``(n_channels,)``.
    directions
        V, orthonormal, ``(n_direction, n_channels)``.
    middle, spread
        Its typical values.
    least
        What is added to the mean square.
    """

    centre: np.ndarray
    directions: np.ndarray
    middle: float
    spread: float
    least: float = LEAST_SCATTER


@dataclass(frozen=True, eq=False)
class LiveGraph:
    """What is computed for a spectrum, float32.

    Parameters
    ----------
    names
        Names of the classes.
    energy_ev
        Energies of the channels, ``(n_channels,)``, eV.
    centre, inverse_spread
        Normalisation ``(x − centre) · inverse_spread``, ``(n_channels,)``.
    rule
        Bayes' rule and novelty, what of them is wanted, or ``None``. Where it gives probabilities,
        there is no network.
    convolutions
        Stride 2, zeros beyond the ends, each followed by a leaky rectifier.
    dense
        From activations, flattened as (output, position), to latents; from normalised spectra
        where there are no convolutions.
    scatter
        What the head reads beside them, if anything; then there are no convolutions.
    head
        Dense layers with GELU between them, to logits.
    power, log_share
        Inverse temperature and log prior, ``(n_class,)``, where they could not be folded into the
        last layer; else ``None``.
    """

    names: tuple[str, ...]
    energy_ev: np.ndarray
    centre: np.ndarray
    inverse_spread: np.ndarray
    rule: Tape | None = None
    convolutions: tuple[Affine, ...] = ()
    dense: Affine | None = None
    scatter: Scatter | None = None
    head: tuple[Affine, ...] = ()
    power: float | None = None
    log_share: np.ndarray | None = None

    @property
    def has_novelty(self) -> bool:
        """Whether the novelty is computed."""
        return self.rule is not None and NOVELTY in self.rule.outputs

    @property
    def by_rule(self) -> bool:
        """Whether probabilities are those of Bayes' rule, not of the network."""
        return self.rule is not None and PROBABILITY in self.rule.outputs

    @property
    def n_channels(self) -> int:
        """Channels of a spectrum."""
        return self.energy_ev.size

    @property
    def n_class(self) -> int:
        """Number of classes."""
        return len(self.names)

    @property
    def log_tiny(self) -> float:
        """Smallest log-probability before the temperature."""
        return float(np.log(_TINY))


def live_graph(model: Model, *, novelty: bool = False, head: bool | None = None) -> LiveGraph:
    """Arrays of a trained model.

    Parameters
    ----------
    model
        Trained model; its `share` is the class prior.
    novelty
        Whether to compute the novelty too.
    head
        Whether the head of the network classifies; by default what classifies offline.

    Raises
    ------
    ValueError
        If the model classifies by something else, or has no network that is asked for.
    """
    if model.classifier not in ("likelihood", "head"):
        raise ValueError(
            f'the model classifies by "{model.classifier}", which is no part of the network; for '
            'live use train one with classifier="head".'
        )
    by_rule = model.likelihood is not None and not (
        model.classifier == "head" if head is None else head
    )
    if not by_rule and not model.has_network:
        raise ValueError(
            "the model was trained with network=False: it has no head, and without one only "
            'precision="float32" is offered; train one with a network.'
        )
    wanted = [PROBABILITY] * by_rule + [NOVELTY] * novelty
    rule = rule_tape(model, *wanted) if wanted else None
    # Offline this is a division; a product differs from it in the last place only.
    with np.errstate(divide="ignore"):
        inverse = 1 / model.units.spread.astype(np.float64)
    graph = LiveGraph(
        names=model.names,
        energy_ev=np.asarray(model.energy_ev, dtype=np.float64),
        centre=_single(model.units.centre),
        inverse_spread=_single(inverse),
        rule=rule,
    )
    return graph if by_rule else _with_network(graph, model)


def _with_network(graph: LiveGraph, model: Model) -> LiveGraph:
    """The graph with reader, or encoder and head."""
    reads = "reader.directions" in model.weights
    head = _layers(model, "reader.dense" if reads else "head")
    share = np.maximum(model.share, _SMALLEST_SHARE)
    log_share = np.log(share * len(share))
    power: float | None = model.power
    # Log-probabilities are cut off before the temperature. Where that moves no probability, logits
    # serve as well, and temperature and prior are part of the last layer.
    seen = share.size * share.max() / share[model.share > 0].min() * _TINY**model.power
    # Where a class of no share is sure, what is cut off is all that the others have.
    if seen < _INVISIBLE and (model.share > 0).all():
        last = head[-1]
        head = (*head[:-1], Affine(last.weight * power, last.bias * power + log_share))
        power = None
    graph = replace(
        graph,
        head=_in_single(head),
        power=power,
        log_share=None if power is None else _single(log_share),
    )
    if not reads:
        return replace(
            graph,
            convolutions=_in_single(_layers(model, "plain.convolutions")),
            dense=_in_single(_layers(model, "plain", "dense"))[0],
        )
    centre, directions, middle, spread = (
        model.weights[f"reader.{name}"].astype(np.float64)
        for name in ("centre", "directions", "middle", "spread")
    )
    scores = Affine(
        directions / spread[:-1, None], -(directions @ centre + middle[:-1]) / spread[:-1]
    )
    scatter = Scatter(_single(centre), _single(directions), float(middle[-1]), float(spread[-1]))
    return replace(graph, dense=_in_single((scores,))[0], scatter=scatter)


def _single(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=np.float32)


def _in_single(layers: tuple[Affine, ...]) -> tuple[Affine, ...]:
    return tuple(Affine(_single(layer.weight), _single(layer.bias)) for layer in layers)


def _layers(model: Model, part: str, name: str | None = None) -> tuple[Affine, ...]:
    """Layers of a part of the network in their order, float64."""
    places = [key.split(".")[-2] for key in model.weights if key.startswith(f"{part}.")]
    numbered = sorted({int(place) for place in places if place.isdigit()})
    return tuple(
        Affine(
            np.asarray(model.weights[f"{part}.{place}.weight"], dtype=np.float64),
            np.asarray(model.weights[f"{part}.{place}.bias"], dtype=np.float64),
        )
        for place in ([name] if name else numbered)
    )


def on_pairs(weight: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Kernel of stride 2 over one input as one of stride 1 over pairs, with half the taps.

    Output n reads channels 2n − h to 2n + h, which are pairs n − ⌈h/2⌉ to n + ⌊h/2⌋.

    Parameters
    ----------
    weight
        Shape ``(n_output, 1, n_tap)``, an odd number of taps.

    Returns
    -------
    Shape ``(n_output, 2, ⌈(n_tap + 1) / 2⌉)``, and the pairs beyond either end.
    """
    n_output, _, n_tap = weight.shape
    half = n_tap // 2
    before, after = (half + 1) // 2, half // 2
    wide = np.zeros((n_output, 2 * (before + after + 1)), dtype=weight.dtype)
    start = 2 * before - half
    wide[:, start : start + n_tap] = weight[:, 0]
    return wide.reshape(n_output, -1, 2).transpose(0, 2, 1), (before, after)
