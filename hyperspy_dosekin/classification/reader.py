# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What classifies for the network: it learns from the likelihood alone what that says of spectra.

The likelihood reads of a spectrum its part along few directions, those in which spectra without
noise differ, and how much the rest scatters. A small dense network that gets just these learns
its answers more exactly, and in less time, than one behind convolutions, which has to find the
scatter, a sum of squares, first. G. Hinton, O. Vinyals, J. Dean, arXiv:1503.02531.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperspy_dosekin.classification.architecture import Reader, given_memory, initialise
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.learning import Training
from hyperspy_dosekin.classification.simulation import Simulator
from hyperspy_dosekin.classification.units import NetworkUnits
from hyperspy_dosekin.numerics.adam import Adam
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import torch_threads

#: Directions, and simulated spectra that they are found from.
DIRECTIONS, _FROM = 24, 8192
#: Simulated spectra that the teacher is asked about, for each training step of the network, and
#: at most; and so many of them at a time.
_PER_STEP, _MOST, _BLOCK = 96, 49_152, 8192
#: Share of them that lie between two spectra of the classes.
_BETWEEN = 0.3
#: Steps for each training step of the network, spectra in one, and the largest learning rate.
_STEPS, _BATCH, _RATE, _WARM = 8, 512, 4e-3, 0.05
#: Steps after which it is said how far it has come.
_TOLD = 200


def with_reader(
    training: Training,
    simulator: Simulator,
    units: NetworkUnits,
    config: VAEConfig,
    teacher: Callable[[np.ndarray], np.ndarray],
    progress: Progress = no_progress,
    stop: Stop = never_stop,
) -> Training:
    """A training whose network has learned to classify as the teacher does.

    Parameters
    ----------
    training
        A training that ended; one that was interrupted is left as it is.
    simulator
        Draws the spectra that the teacher is asked about.
    teacher
        Probability of each class ``(n, n_class)`` for spectra in the units of the data.
    progress, stop
        Who is told, and who may end it; ended early, the network keeps its old head.
    """
    if not training.complete:
        return training
    try:
        with torch_threads(1):
            found = _learned(simulator, units, config, teacher, progress, stop)
    except KeyboardInterrupt:
        found = None
    if found is None:
        return replace(training, complete=False)
    training.network.reader = found
    return training


def _learned(
    simulator: Simulator,
    units: NetworkUnits,
    config: VAEConfig,
    teacher: Callable[[np.ndarray], np.ndarray],
    progress: Progress,
    stop: Stop,
) -> Reader | None:
    number = min(_PER_STEP * config.n_step, _MOST)
    generator = simulator.generator
    device = generator.device
    centre = torch.as_tensor(units.centre, device=device)
    spread = torch.as_tensor(units.spread, device=device)
    clean = (simulator.draw(_FROM).clean - centre) / spread
    reader: Reader | None = None
    features, told = [], []
    for start in range(0, number, _BLOCK):
        spectra = _asked(simulator, min(_BLOCK, number - start))
        answers = teacher(spectra.cpu().double().numpy())
        told.append(torch.as_tensor(answers.astype(np.float32), device=device))
        raw = (spectra - centre) / spread
        if reader is None:
            reader = _directed(clean, raw, told[0].shape[1])
            initialise(reader.dense, generator)
        with torch.no_grad():
            features.append(reader.features(raw))
        if stop():
            return None
    assert reader is not None
    complete = _fitted(
        reader.dense, torch.cat(features), torch.cat(told), config, generator, progress, stop
    )
    return reader.eval() if complete else None


def _asked(simulator: Simulator, number: int) -> Tensor:
    """Spectra of the classes, and some between them.

    Where there is little noise hardly any spectrum of the classes lies where one class becomes
    another. The teacher has an answer for any spectrum, so that more may be drawn there.
    """
    batch = simulator.draw(number)
    some, generator = round(_BETWEEN * number), simulator.generator
    part = torch.rand((some, 1), generator=generator, device=generator.device)
    clean = part * batch.clean[:some] + (1 - part) * batch.clean[number - some :]
    return torch.cat([simulator.measured(clean), batch.raw[some:]])


def _directed(clean: Tensor, raw: Tensor, n_class: int) -> Reader:
    """A reader with its directions, and the units of what it reads."""
    n_channels = clean.shape[1]
    number = min(DIRECTIONS, n_channels // 2)
    mean = clean.double().mean(dim=0)
    departure = clean.double() - mean
    _, vectors = torch.linalg.eigh(departure.T @ departure)
    # Made without Torch's global generator, as the rest of the network.
    with torch.device("meta"):
        reader = Reader(n_channels, n_class, number)
    reader = given_memory(reader, clean.device)
    reader.middle.zero_()
    reader.spread.fill_(1.0)
    reader.centre.copy_(mean)
    reader.directions.copy_(vectors.flip(1)[:, :number].T)
    read = reader.features(raw)
    reader.middle.copy_(read.mean(dim=0))
    reader.spread.copy_(read.std(dim=0).clamp_min(1e-6))
    return reader


def _fitted(
    dense: nn.Module,
    rows: Tensor,
    told: Tensor,
    config: VAEConfig,
    generator: torch.Generator,
    progress: Progress,
    stop: Stop,
) -> bool:
    """Train the dense layers, in place; ``False`` if that was ended early."""
    steps = _STEPS * config.n_step
    warm = max(1, round(_WARM * steps))
    optimiser = Adam(dense.parameters(), _RATE, weight_decay=1e-4)
    for step in range(steps):
        # A linear warm-up and a half cosine, as for the rest.
        rising = (step + 1) / warm
        falling = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))
        optimiser.rate = _RATE * (rising if step < warm else falling)
        pick = torch.randint(len(rows), (_BATCH,), generator=generator, device=rows.device)
        optimiser.zero_grad()
        functional.cross_entropy(dense(rows[pick]), told[pick]).backward()
        optimiser.step()
        if not (step + 1) % _TOLD:
            progress("Head", step + 1, steps)
            if stop():
                return False
    return True
