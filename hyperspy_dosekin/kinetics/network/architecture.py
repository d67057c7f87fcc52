# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of the paper: every member of the ensemble in one batch of matrices.

The modified multilayer perceptron (S. Wang, Y. Teng, P. Perdikaris, SIAM J. Sci. Comput. 43,
A3055 (2021), doi:10.1137/20M1318043) maps the Fourier features of normalised dose to the
latent integrity of each window. The members are stacked along a leading axis, so that five
small networks cost one batched product. The derivative with respect to dose is carried
forward beside the value (forward-mode differentiation, written out): it costs as much as a
second evaluation and leaves reverse mode free for the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from hyperspy_dosekin.kinetics.network.config import NetworkConfig

#: Spread of the initial log rate and exponent (before the softplus) between members.
INITIAL_JITTER = 0.1

#: Parameters that are not trained.
FIXED = frozenset({"frequencies"})

Parameters = dict[str, Tensor]


def inverse_softplus(value: float) -> float:
    """The number whose softplus is `value`."""
    return value + math.log(-math.expm1(-value))


def initial_parameters(
    config: NetworkConfig, n_window: int, dtype: torch.dtype = torch.float32
) -> Parameters:
    """Parameters of all members before training, each with its own seed.

    Returns
    -------
    dict of torch.Tensor
        Each of shape ``(n_member, …)``; the kinetic and readout parameters ``raw_rate``,
        ``raw_exponent`` (before the softplus), ``amplitude`` and ``offset`` are
        ``(n_member, 1, n_window)``.
    """
    members = [_member(config, n_window, seed) for seed in config.seeds]
    return {name: torch.stack([m[name] for m in members]).to(dtype) for name in members[0]}


def _member(config: NetworkConfig, n_window: int, seed: int) -> Parameters:
    generator = torch.Generator().manual_seed(seed)
    member = dense_layers(config, n_window, generator)
    jitter = INITIAL_JITTER * torch.randn(2, 1, n_window, generator=generator, dtype=torch.float64)
    member["raw_rate"] = inverse_softplus(config.initial_rate) + jitter[0]
    member["raw_exponent"] = inverse_softplus(config.initial_exponent) + jitter[1]
    member["amplitude"] = torch.ones(1, n_window, dtype=torch.float64)
    member["offset"] = torch.zeros(1, n_window, dtype=torch.float64)
    return member


def dense_layers(
    config: NetworkConfig, n_output: int, generator: torch.Generator, n_beside: int = 0
) -> Parameters:
    """Frequencies and dense layers of one member before training, in float64.

    Parameters
    ----------
    n_output
        Outputs of the network.
    generator
        Its random numbers.
    n_beside
        Inputs beside the features of dose.
    """

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def dense(name: str, inputs: int, outputs: int) -> Parameters:
        weight = normal(inputs, outputs) * math.sqrt(2.0 / (inputs + outputs))
        return {
            f"{name}.weight": weight,
            f"{name}.bias": torch.zeros(1, outputs, dtype=torch.float64),
        }

    inputs, width = 2 * config.fourier_features + n_beside, config.width
    layers = {"frequencies": normal(1, config.fourier_features) * config.fourier_scale}
    layers |= dense("encoder_u", inputs, width) | dense("encoder_v", inputs, width)
    for layer in range(config.depth):
        layers |= dense(f"hidden_{layer}", inputs if layer == 0 else width, width)
    return layers | dense("output", width, n_output)


def trainable(parameters: Parameters, held: Collection[str] = ()) -> list[str]:
    """Names of the parameters that are trained: all but the frequencies and those `held`."""
    return [name for name in parameters if name not in FIXED and name not in held]


def count_trainable(parameters: Parameters) -> int:
    """Number of trained parameters of one member: 29 396 for four windows."""
    return sum(parameters[name][0].numel() for name in trainable(parameters))


def kinetic_parameters(parameters: Parameters) -> tuple[Tensor, Tensor]:
    """Rate constant k and exponent p, both positive, ``(n_member, 1, n_window)``."""
    return softplus(parameters["raw_rate"]), softplus(parameters["raw_exponent"])


@dataclass(frozen=True)
class Features:
    """Fourier features of some doses, computed once because the frequencies are fixed.

    Parameters
    ----------
    dose
        Normalised doses, ``(1, n_dose, 1)``.
    value, tangent
        Features and their derivative by dose, ``(n_member, n_dose, 2 fourier_features)``.
        `tangent` has the doses from `first_tangent` on.
    first_tangent
        Doses before this index need no derivative (the measured ones).
    """

    dose: Tensor
    value: Tensor
    tangent: Tensor
    first_tangent: int


def fourier_features(parameters: Parameters, dose: Tensor, first_tangent: int = 0) -> Features:
    """Features of the normalised doses `dose`, shape ``(n_dose,)``."""
    angular = 2 * math.pi * parameters["frequencies"]
    dose = dose.to(angular)[None, :, None]
    phase = dose * angular
    sine, cosine = torch.sin(phase), torch.cos(phase)
    late = slice(first_tangent, None)
    tangent = torch.cat([-sine[:, late] * angular, cosine[:, late] * angular], dim=-1)
    return Features(dose, torch.cat([cosine, sine], dim=-1), tangent, first_tangent)


@dataclass(frozen=True)
class DenseRecord:
    """What went into and came out of a dense layer, value and tangent rows one below the other."""

    name: str
    inputs: Tensor
    outputs: Tensor


def integrity(
    parameters: Parameters, features: Features, tape: list[DenseRecord] | None = None
) -> tuple[Tensor, Tensor]:
    """Latent integrity C(φ) and its derivative by normalised dose.

    The head C = exp(−φ softplus(o)) makes C(0) = 1 and 0 < C ≤ 1 hold for any weights.

    Parameters
    ----------
    parameters, features
        Of the same members.
    tape
        Where given, every dense layer is noted in it; the second-order training needs that.

    Returns
    -------
    value : torch.Tensor
        C, ``(n_member, n_dose, n_window)``.
    slope : torch.Tensor
        dC/dφ from dose `features.first_tangent` on.
    """
    late = slice(features.first_tangent, None)
    output, doutput = unbounded_output(parameters, features, tape)
    exponent = softplus(output)
    value = torch.exp(-features.dose * exponent)
    dexponent = torch.sigmoid(output[:, late]) * doutput
    slope = -value[:, late] * (exponent[:, late] + features.dose[:, late] * dexponent)
    return value, slope


def unbounded_output(
    parameters: Parameters, features: Features, tape: list[DenseRecord] | None = None
) -> tuple[Tensor, Tensor]:
    """Output of the network before the head, and its derivative by normalised dose.

    Parameters
    ----------
    parameters, features, tape
        As for `integrity`.

    Returns
    -------
    output : torch.Tensor
        Of any sign and size, ``(n_member, n_dose, n_window)``.
    slope : torch.Tensor
        Its derivative from dose `features.first_tangent` on.
    """
    late = slice(features.first_tangent, None)

    def dense(name: str, value: Tensor, tangent: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        if tape is None:
            return torch.baddbmm(bias, value, weight), tangent @ weight
        inputs, n_value = torch.cat([value, tangent], dim=1), value.shape[1]
        outputs = inputs @ weight
        tape.append(DenseRecord(name, inputs.detach(), outputs))
        return outputs[:, :n_value] + bias, outputs[:, n_value:]

    def activate(value: Tensor, tangent: Tensor) -> tuple[Tensor, Tensor]:
        value = torch.tanh(value)
        return value, (1 - value[:, late].square()) * tangent

    u, du = activate(*dense("encoder_u", features.value, features.tangent))
    v, dv = activate(*dense("encoder_v", features.value, features.tangent))
    gap, dgap = v - u, dv - du
    hidden, dhidden = features.value, features.tangent
    n_hidden = sum(name.startswith("hidden_") for name in parameters) // 2
    for layer in range(n_hidden):
        gate, dgate = activate(*dense(f"hidden_{layer}", hidden, dhidden))
        hidden = torch.addcmul(u, gate, gap)
        dhidden = du + dgate * gap[:, late] + gate[:, late] * dgap
    return dense("output", hidden, dhidden)
