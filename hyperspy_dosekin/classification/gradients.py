# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gradients of a training step from parts of its batch, which are worked on side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.simulation import Batch
from hyperspy_dosekin.numerics.batching import halved, is_out_of_memory

#: Parts of a batch on the processor. Always as many, whatever the number of threads, so that the
#: result does not depend on it.
PARTS = 2
#: A part is not cut further where fewer spectra of it would be reconstructed.
_FEWEST_RECONSTRUCTED = 4

#: Loss terms, with a ``"total"``, of a part: batch, measured spectra, random numbers, parts.
PartLoss = Callable[[Batch, tuple[Tensor, Tensor], torch.Generator, int], dict[str, Tensor]]
_Found = tuple[dict[str, Tensor], tuple[Tensor, ...]]


class PartedGradients:
    """Loss terms and gradients of a batch, the means over its parts.

    Small convolutions make poor use of several threads in one operation, but good use of
    several threads with a part of the batch each. A batch that does not fit the memory of a
    device is cut into twice as many parts.

    Parameters
    ----------
    loss
        Loss terms of a part.
    parameters
        Of the network.
    config
        Settings; threads, seed and sizes are used.
    device
        Where they are.

    Attributes
    ----------
    notes
        Told in words what did not fit.
    """

    def __init__(
        self,
        loss: PartLoss,
        parameters: Sequence[Tensor],
        config: VAEConfig,
        device: torch.device,
    ) -> None:
        self._loss, self._parameters = loss, tuple(parameters)
        self._config, self._device = config, device
        self.notes: list[str] = []
        self._cut(PARTS if device.type == "cpu" else 1)
        # Elsewhere one thread is enough to keep a device busy.
        workers = min(config.threads, self._parts) if device.type == "cpu" else 1
        self._pool = ThreadPoolExecutor(workers - 1) if workers > 1 else None

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _cut(self, parts: int) -> None:
        config = self._config
        most = min(config.batch_size, config.reconstruction_size // _FEWEST_RECONSTRUCTED)
        self._parts = max(1, min(parts, most))
        self._generators = [
            torch.Generator(device=self._device).manual_seed(config.seed + 7919 * (1 + part))
            for part in range(self._parts)
        ]

    def __call__(self, simulated: Batch, measured: tuple[Tensor, Tensor]) -> _Found:
        """Loss terms by name, and the gradient of the total by each parameter.

        Raises
        ------
        MemoryError
            If not even small parts fit the memory.
        """
        while True:
            found = self._attempt(simulated, measured)
            if found is not None:
                break
            before = self._parts
            self._cut(2 * before)
            size = -(-len(simulated.raw) // before)
            stuck = self._parts == before
            halved(1 if stuck else size, self._device, "training", self.notes.append)
        terms = {
            name: torch.stack([part[name] for part, _ in found]).mean() for name in found[0][0]
        }
        gradients = zip(*(part for _, part in found), strict=True)
        return terms, tuple(torch.stack(same).mean(dim=0) for same in gradients)

    def _attempt(self, simulated: Batch, measured: tuple[Tensor, Tensor]) -> list[_Found] | None:
        """What the parts give; `None` if one does not fit the memory."""
        told = simulated.posterior
        arrays = (simulated.raw, simulated.clean, simulated.label, *measured)
        posteriors = [None] * self._parts if told is None else torch.tensor_split(told, self._parts)
        pieces = list(zip(*(torch.tensor_split(a, self._parts) for a in arrays), strict=True))

        def work(part: int) -> _Found:
            raw, clean, label, *rows = pieces[part]
            batch = Batch(raw, clean, label, posteriors[part])
            generator = self._generators[part]
            terms = self._loss(batch, (rows[0], rows[1]), generator, self._parts)
            gradients = torch.autograd.grad(
                terms["total"], self._parameters, materialize_grads=True
            )
            return {name: term.detach() for name, term in terms.items()}, gradients

        try:
            if self._pool is None:
                return [work(part) for part in range(self._parts)]
            others = [self._pool.submit(work, part) for part in range(1, self._parts)]
            return [work(0), *(other.result() for other in others)]
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return None
