# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What less precise arithmetic costs, measured on simulated spectra of the references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hyperspy_dosekin.classification.live.graph import LiveGraph
from hyperspy_dosekin.classification.live.network import LiveNetwork
from hyperspy_dosekin.classification.live.runtimes.runtime import Program
from hyperspy_dosekin.classification.model import Model
from hyperspy_dosekin.numerics.text import printable

#: Spectra that the loss is measured on; a tenth of a per cent of them are four.
_SPECTRA = 4096
#: Of those, the ones that the range of the activations is taken from.
_RANGED = 1024
_BLOCK = 128


@dataclass(frozen=True)
class PrecisionLoss:
    """Change of the results by less precise arithmetic.

    Parameters
    ----------
    precision
        ``"bfloat16"`` or ``"int8"``.
    accuracy_float32, accuracy
        Share of spectra that get their class, in float32 and in this arithmetic.
    agreement
        Share of spectra that get the same class as in float32.
    largest_change
        Largest change of a probability.
    n_spectra
        Spectra it was measured on.
    """

    precision: str
    accuracy_float32: float
    accuracy: float
    agreement: float
    largest_change: float
    n_spectra: int

    @property
    def loss(self) -> float:
        """Accuracy that is lost; negative where there is more of it."""
        return self.accuracy_float32 - self.accuracy

    def __str__(self) -> str:
        """One sentence."""
        return printable(
            f"{self.precision}: accuracy {self.accuracy:.4f} after {self.accuracy_float32:.4f} in "
            f"float32, same class for {self.agreement:.2%}, largest change of a probability "
            f"{self.largest_change:.2g} ({self.n_spectra} simulated spectra)"
        )


def simulate(model: Model, number: int = _SPECTRA, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Spectra of known class, from what a trained model knows of its references.

    Mean and main directions of the noise-free spectra of each class, which hold thickness, energy
    shift and background, and the noise of the data.

    Parameters
    ----------
    number
        Number of spectra.
    seed
        Same seed, same spectra.

    Returns
    -------
    Spectra ``(number, n_channels)``, float32, in the unit of the data, and classes ``(number,)``,
    in the shares of the class prior.
    """
    rng = np.random.default_rng(seed)
    scale = model.novelty
    label = rng.choice(len(model.names), size=number, p=model.share / model.share.sum())
    # Of a direction of variance v the factor has the length √(v / (1 + v)).
    length = (scale.factors**2).sum(axis=2)
    variance = length / np.maximum(1 - length, 1e-9)
    spread = np.sqrt(variance / np.maximum(length, 1e-12))
    drawn = rng.normal(size=(number, length.shape[1])) * spread[label]
    clean = np.einsum("nf,nfe->ne", drawn, scale.factors[label])
    clean = scale.mean[label] + scale.sigma[label] * clean
    noise = np.sqrt(model.nuisances.noise.variance(clean))
    return (clean + noise * rng.normal(size=clean.shape)).astype(np.float32), label


def activation_ranges(graph: LiveGraph, spectra: np.ndarray) -> list[tuple[float, float]]:
    """Smallest and largest activation after each convolution, if any, for 8-bit arithmetic.

    Parameters
    ----------
    spectra
        Typical spectra ``(n, n_channels)``, float32.
    """
    if not graph.convolutions:
        return []
    network = LiveNetwork(graph)
    with torch.inference_mode():
        parts = [
            [(float(a.min()), float(a.max())) for a in network.activations(block)[1:]]
            for block in torch.from_numpy(spectra[:_RANGED]).split(_BLOCK)
        ]
    low, high = np.min(parts, axis=0)[:, 0], np.max(parts, axis=0)[:, 1]
    return list(zip(low.tolist(), high.tolist(), strict=True))


def precision_loss(
    graph: LiveGraph, program: Program, precision: str, spectra: np.ndarray, label: np.ndarray
) -> PrecisionLoss:
    """Compare a program with the same graph in float32.

    Parameters
    ----------
    program
        Less precise version of it.
    precision
        What that is called.
    spectra, label
        Spectra ``(n, n_channels)``, float32, and their classes.
    """
    network = LiveNetwork(graph)
    batch = len(program.spectra)
    exact, found = [], []
    with torch.inference_mode():
        for start in range(0, len(spectra), batch):
            block = spectra[start : start + batch]
            exact.append(network(torch.from_numpy(block))[0].numpy())
            program.spectra[: len(block)] = block
            program.run()
            found.append(program.probability[: len(block)].copy())
    before, after = np.concatenate(exact), np.concatenate(found)
    old, new = before.argmax(axis=1), after.argmax(axis=1)
    return PrecisionLoss(
        precision=precision,
        accuracy_float32=float((old == label).mean()),
        accuracy=float((new == label).mean()),
        agreement=float((old == new).mean()),
        largest_change=float(np.abs(after - before).max()),
        n_spectra=len(spectra),
    )
