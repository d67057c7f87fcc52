# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live graph as a Torch module."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperspy_dosekin.classification.live.graph import SLOPE, LiveGraph, Scatter, on_pairs
from hyperspy_dosekin.classification.live.rule import NOVELTY, PROBABILITY
from hyperspy_dosekin.classification.live.tape import TapeNetwork


class LiveNetwork(nn.Module):
    """Spectra ``(n, n_channels)`` to probabilities ``(n, n_class)`` and novelty ``(n,)``.

    Convolutions are two-dimensional ones over an image one channel high, for which the libraries
    below Torch have their best kernels, with the outputs of a position side by side in memory.

    Parameters
    ----------
    graph
        What to compute.
    dtype
        Type of the network. Normalisation, softmax, Bayes' rule and novelty are computed in
        float32.
    """

    centre: Tensor
    inverse_spread: Tensor
    log_share: Tensor
    read_centre: Tensor
    directions: Tensor

    def __init__(self, graph: LiveGraph, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()

        def tensor(array: object, kind: torch.dtype = torch.float32) -> Tensor:
            return torch.as_tensor(array, dtype=kind).clone()

        self._dtype, self._n_channels = dtype, graph.n_channels
        self.rule = None if graph.rule is None else TapeNetwork(graph.rule)
        self._by_rule, self._has_novelty = graph.by_rule, graph.has_novelty
        self.exact = dtype == torch.float32
        if graph.dense is None:
            self.eval()
            return
        self.register_buffer("centre", tensor(graph.centre))
        self.register_buffer("inverse_spread", tensor(graph.inverse_spread))
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        # An even number of channels is read in pairs, which lie side by side already.
        self._paired = graph.n_channels % 2 == 0
        for i, layer in enumerate(graph.convolutions):
            kernel = layer.weight
            if i == 0 and self._paired:
                kernel, (before, after) = on_pairs(kernel)
                # Torch has the same margin at both ends.
                kernel = np.pad(kernel, ((0, 0), (0, 0), (0, before - after)))
            weight = tensor(kernel, dtype).unsqueeze(2)
            weight = weight.contiguous(memory_format=torch.channels_last)
            self.weights.append(nn.Parameter(weight, requires_grad=False))
            self.biases.append(nn.Parameter(tensor(layer.bias, dtype), requires_grad=False))
        dense = graph.dense.weight
        if graph.convolutions:
            # Flattened with the outputs of a position side by side nothing has to be moved.
            n_output = len(graph.convolutions[-1].bias)
            dense = dense.reshape(len(graph.dense.bias), n_output, -1)
            dense = dense.transpose(0, 2, 1).reshape(len(graph.dense.bias), -1)
        self._scatter = graph.scatter
        if graph.scatter is not None:
            self.register_buffer("read_centre", tensor(graph.scatter.centre))
            self.register_buffer("directions", tensor(graph.scatter.directions))
        for weight, bias in (
            (dense, graph.dense.bias),
            *((layer.weight, layer.bias) for layer in graph.head),
        ):
            self.weights.append(nn.Parameter(tensor(weight, dtype), requires_grad=False))
            self.biases.append(nn.Parameter(tensor(bias, dtype), requires_grad=False))
        self._n_convolution = len(graph.convolutions)
        self._power, self._log_tiny = graph.power, graph.log_tiny
        if graph.log_share is not None:
            self.register_buffer("log_share", tensor(graph.log_share))
        self.eval()

    def forward(self, spectra: Tensor) -> tuple[Tensor, ...]:
        """Probabilities, and novelty if the graph has it, float32."""
        found = {} if self.rule is None else self.rule(spectra)
        if not self._by_rule:
            found[PROBABILITY] = torch.softmax(self._logits(spectra), dim=1)
        names = (PROBABILITY, NOVELTY) if self._has_novelty else (PROBABILITY,)
        return tuple(found[name] for name in names)

    def activations(self, spectra: Tensor) -> list[Tensor]:
        """What the convolutions give, and before them the normalised spectra."""
        hidden = ((spectra - self.centre) * self.inverse_spread).to(self._dtype)
        if self._paired:
            pairs = hidden.view(-1, 1, self._n_channels // 2, 2)
            found = [pairs.permute(0, 3, 1, 2)]
        else:
            found = [hidden.view(-1, 1, 1, self._n_channels)]
        for i in range(self._n_convolution):
            weight = self.weights[i]
            hidden = functional.conv2d(
                found[-1],
                weight,
                self.biases[i],
                stride=(1, 1 if i == 0 and self._paired else 2),
                padding=(0, weight.shape[3] // 2),
            )
            found.append(functional.leaky_relu(hidden, SLOPE))
        return found

    def _scattered(self, spectra: Tensor, scatter: Scatter) -> Tensor:
        """How much spectra scatter, ``(n, 1)``, computed in float32: it is a small difference."""
        departure = (spectra - self.centre) * self.inverse_spread - self.read_centre
        rest = departure - departure @ self.directions.T @ self.directions
        level = torch.log(rest.square().mean(dim=1, keepdim=True) + scatter.least)
        return ((level - scatter.middle) / scatter.spread).to(self._dtype)

    def _logits(self, spectra: Tensor) -> Tensor:
        if self._n_convolution:
            hidden = self.activations(spectra)[-1].permute(0, 2, 3, 1).flatten(1)
        else:
            hidden = ((spectra - self.centre) * self.inverse_spread).to(self._dtype)
        hidden = functional.linear(
            hidden, self.weights[self._n_convolution], self.biases[self._n_convolution]
        )
        if self._scatter is not None:
            hidden = torch.cat([hidden, self._scattered(spectra, self._scatter)], dim=1)
        last = len(self.weights) - 1
        for i in range(self._n_convolution + 1, last + 1):
            hidden = functional.linear(hidden, self.weights[i], self.biases[i])
            if i < last:
                hidden = functional.gelu(hidden)
        hidden = hidden.float()
        if self._power is None:
            return hidden
        clipped = torch.log_softmax(hidden, dim=1).clamp_min(self._log_tiny)
        return clipped * self._power + self.log_share
