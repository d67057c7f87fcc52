# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic from a spectrum to probabilities, as arrays that any runtime can take.

Normalisation, plain encoder, head, temperature, class prior and, if wanted, novelty. What is linear
and follows upon something linear is folded into it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.classification.model import Model
from hyperspy_dosekin.classification.novelty import NoveltyScale

#: Slope of the leaky rectifier after each convolution, as in `architecture.Encoder`.
SLOPE = 0.3
#: Smallest probability before the temperature, as in `Model.log_probability`.
_TINY = 1e-12
#: Change of a probability that nobody sees.
_INVISIBLE = 1e-7
#: A share of zero, whose logarithm float32 still holds.
_SMALLEST_SHARE = 1e-30


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
class NoveltyArrays:
    """`NoveltyScale` in float32, in the form that runtimes compute it.

    Parameters
    ----------
    mean, inverse_sigma
        By class and channel, ``(n_class, 1, n_channels)``.
    factors
        Whitened factors, ``(n_class, n_channels, n_factor)``.
    scale, offset
        Squared distance of each class to its standard score, ``(n_class, 1)``.
    node, width, rise
        Novelty is the sum of straight rises, each from a node over a width, ``(n_node,)``; the
        last one has no end.
    floor
        Novelty before the first node.
    """

    mean: np.ndarray
    inverse_sigma: np.ndarray
    factors: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    node: np.ndarray
    width: np.ndarray
    rise: np.ndarray
    floor: float


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
    convolutions
        Stride 2, zeros beyond the ends, each followed by a leaky rectifier.
    dense
        From activations, flattened as (output, position), to latents.
    head
        Dense layers with GELU between them, from latents to logits.
    power, log_share
        Inverse temperature and log prior, ``(n_class,)``, where they could not be folded into the
        last layer; else ``None``.
    novelty
        Novelty, or ``None``.
    """

    names: tuple[str, ...]
    energy_ev: np.ndarray
    centre: np.ndarray
    inverse_spread: np.ndarray
    convolutions: tuple[Affine, ...]
    dense: Affine
    head: tuple[Affine, ...]
    power: float | None
    log_share: np.ndarray | None
    novelty: NoveltyArrays | None = None

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


def live_graph(model: Model, *, novelty: bool = False) -> LiveGraph:
    """Arrays of a trained model.

    Parameters
    ----------
    model
        Trained model; its `share` is the class prior.
    novelty
        Whether to compute the novelty too.

    Raises
    ------
    ValueError
        If the model classifies by something other than the head of the network.
    """
    if not model.has_network:
        raise ValueError(
            "the model was trained with network=False; for live use train one with a network."
        )
    if model.classifier not in ("likelihood", "head"):
        raise ValueError(
            f'the model classifies by "{model.classifier}", which is no part of the network; for '
            'live use train one with classifier="head".'
        )
    # Offline this is a division; a product differs from it in the last place only.
    with np.errstate(divide="ignore"):
        inverse = 1 / model.units.spread.astype(np.float64)
    head = _layers(model, "head")
    share = np.maximum(model.share, _SMALLEST_SHARE)
    log_share = np.log(share * len(share))
    power: float | None = model.power
    # Log-probabilities are cut off before the temperature. Where that moves no probability, logits
    # serve as well, and temperature and prior are part of the last layer.
    seen = share.size * share.max() / share[model.share > 0].min() * _TINY**model.power
    if seen < _INVISIBLE:
        last = head[-1]
        head = (*head[:-1], Affine(last.weight * power, last.bias * power + log_share))
        power = None
    return LiveGraph(
        names=model.names,
        energy_ev=np.asarray(model.energy_ev, dtype=np.float64),
        centre=_single(model.units.centre),
        inverse_spread=_single(inverse),
        convolutions=_in_single(_layers(model, "plain.convolutions")),
        dense=_in_single(_layers(model, "plain", "dense"))[0],
        head=_in_single(head),
        power=power,
        log_share=None if power is None else _single(log_share),
        novelty=_novelty_arrays(model.novelty) if novelty else None,
    )


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


def _novelty_arrays(scale: NoveltyScale) -> NoveltyArrays:
    # A negative log probability rises from node to node, and straight on behind the last.
    # Two nodes in one place are a jump.
    width = np.maximum(np.diff(scale.score), 1e-6)
    rise = -np.diff(scale.log_probability)
    tail = max(scale.score[-1] - scale.score[-6], 1e-9)
    slope = max((scale.log_probability[-6] - scale.log_probability[-1]) / tail, 1e-3)
    return NoveltyArrays(
        mean=_single(scale.mean[:, None]),
        inverse_sigma=_single(1 / scale.sigma[:, None]),
        factors=_single(scale.factors.transpose(0, 2, 1)),
        scale=_single((scale.correction / scale.spread)[:, None]),
        offset=_single((-scale.centre / scale.spread)[:, None]),
        node=_single(scale.score),
        width=_single(np.append(width, 1e30)),
        rise=_single(np.append(rise / width, slope)),
        floor=float(-scale.log_probability[0]),
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
