# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the networks of a map: one loss, minimised in turns over weights and fields.

The weights move by Levenberg and Marquardt's method, all members at once, the fields by Newton's.
The loss is the misfit of the frames, with amplitude and offset of each pixel free within their
population, the squared residual of the law, and the prior of smooth fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.network.architecture import (
    DenseRecord,
    Parameters,
    dense_layers,
    trainable,
)
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.gauss_newton import FIRST_DAMPING, damped_step
from hyperspy_dosekin.kinetics.network.linearisation import Layers, Linearisation
from hyperspy_dosekin.kinetics.network.observer import Observer

from .curves import SharedCurves
from .fields import Mode, find_fields
from .network import NetworkCurves, law_residual, trajectory
from .readout import Shared, Sums, readout_after
from .smooth import Bonds

# Share of the steps in which the network learns the law alone, and turns that follow.
_LAW_ALONE, _TURNS = 0.6, 2
# Steps of Newton's method in a turn; the fields begin near where they end.
_FIELD_STEPS = 3
# Pixels whose frames are in a step, and points at which a step has to lower the loss.
_PIXELS, _CHECKS = 32, 1200
# One in so many points of the law lies anywhere in the population, as wide as that, the others as
# near to the fields as this; in standard deviations of the population.
_EVERYWHERE, _WIDE, _NEAR = 3, 1.3, 0.3


@dataclass(frozen=True, eq=False)
class FieldTask:
    """What the network of one window and group is trained on.

    Parameters
    ----------
    curves, shared, bonds
        The pixels, what they share, and their neighbours.
    lengths
        Length of each field.
    config
        Settings.
    device
        Where the network is trained.
    """

    curves: SharedCurves
    shared: Shared
    bonds: Bonds
    lengths: tuple[float, ...]
    config: NetworkConfig
    device: torch.device

    def free(self, field: Tensor) -> Tensor:
        """Parameters on their scale of estimation, ``(…, d)``, of fields in population units."""
        free = self.shared.mean.to(field) + field @ self.shared.factor.to(field).T
        return self.curves.inside(free.movedim(-1, 0)).movedim(0, -1)

    def readout(self, network: Parameters, modes: list[Mode]) -> tuple[Tensor, Tensor]:
        """Amplitude and offset of pixels after their data, ``(n_member, n)``, in common units."""
        found = []
        for member, mode in enumerate(modes):
            curves = NetworkCurves.of_member(self.curves, self.shared, network, member)
            free = self.free(torch.as_tensor(mode.field)).T
            with torch.no_grad():
                sums = Sums.of(curves, curves.integrity(free))
                after = readout_after(curves, sums, free, self.shared)
            found.append(torch.stack([after.amplitude, after.offset]))
        amplitude, offset = torch.stack(found, 1)
        return amplitude, offset


@dataclass(frozen=True, eq=False)
class _Batch:
    """Points of a step: frames of some pixels first, then the law anywhere.

    Parameters
    ----------
    dose, free
        ``(n_member, n)`` and ``(n_member, n, d)``.
    amplitude, offset, values, weight
        Of the frames, ``(n_member or 1, first)``; the weight over the standard deviation of noise.
    """

    dose: Tensor
    free: Tensor
    amplitude: Tensor
    offset: Tensor
    values: Tensor
    weight: Tensor

    @property
    def first(self) -> int:
        """Number of frames."""
        return self.values.shape[1]

    def of_members(self, members: Tensor) -> _Batch:
        """The points of some members."""
        every = (getattr(self, each.name) for each in fields(self))
        return _Batch(*(each[members] if len(each) > 1 else each for each in every))


class FieldTraining:
    """The turns of a training.

    Parameters
    ----------
    task
        What is trained.
    start
        Fields to begin with.
    observer
        Who is told, and may end it.
    """

    def __init__(self, task: FieldTask, start: Mode, observer: Observer) -> None:
        config = task.config
        members = []
        for seed in config.seeds:
            generator = torch.Generator().manual_seed(seed)
            members.append(dense_layers(config, 1, generator, task.curves.n_parameter))
        self.task, self.observer = task, observer
        self.network = {name: torch.stack([m[name] for m in members]) for name in members[0]}
        self.modes = [start] * len(members)
        self.complete = True
        self._random = torch.Generator().manual_seed(config.seeds[0])
        like = self.network["frequencies"]
        self._damping = torch.full((len(members),), FIRST_DAMPING, dtype=like.dtype)
        self._damping = self._damping.to(task.device)

    def run(self) -> None:
        """Train, unless it is ended before; what is there by then is kept."""
        length = self.task.config.gauss_newton_iterations
        law = math.ceil(_LAW_ALONE * length)
        turns = [law, *np.diff(np.linspace(law, length, _TURNS + 1).astype(int)).tolist()]
        step = 0
        try:
            for turn, number in enumerate(turns):
                readout = self.task.readout(self.network, self.modes) if turn else None
                for _ in range(number):
                    self.observer.progress("network", step, length)
                    if self.observer.stop():
                        self.complete = False
                        return
                    self._step(step, readout)
                    step += 1
                if turn:
                    self._settle_fields()
        except KeyboardInterrupt:
            self.complete = False
        self.observer.progress("network", length, length)

    def _settle_fields(self) -> None:
        task = self.task
        found = []
        for member, mode in enumerate(self.modes):
            curves = NetworkCurves.of_member(task.curves, task.shared, self.network, member)
            found.append(
                find_fields(curves, task.shared, task.bonds, task.lengths, mode, steps=_FIELD_STEPS)
            )
        self.modes = found

    def _points(self, number: int, field: Tensor) -> tuple[Tensor, Tensor]:
        """Doses and parameters at which the law is imposed, near the fields and anywhere."""
        random, (n_member, n, d) = self._random, field.shape
        scatter = torch.randn(n_member, number, d, generator=random, dtype=field.dtype)
        own = field[:, torch.randint(n, (number,), generator=random)]
        wide = (torch.arange(number) % _EVERYWHERE == 0)[None, :, None]
        free = self.task.free(torch.where(wide, _WIDE * scatter, own + _NEAR * scatter))
        within = torch.rand(number, generator=random, dtype=field.dtype)
        dose = (torch.randperm(number, generator=random) + within) / number
        return (dose * self.task.curves.dose[-1]).expand(n_member, -1), free

    def _batch(self, field: Tensor, number: int, readout: tuple[Tensor, Tensor] | None) -> _Batch:
        curves, task = self.task.curves, self.task
        dose, free = self._points(number, field)
        nothing = dose[:1, :0]
        a = b = values = weight = nothing
        if readout is not None:
            chosen = torch.randint(curves.number, (_PIXELS,), generator=self._random)
            n_dose = len(curves.dose)
            a, b = (each[:, chosen].repeat_interleave(n_dose, 1) for each in readout)
            values, weight = (
                each[:, chosen].T.reshape(1, -1) for each in (curves.values, curves.weight)
            )
            weight = weight.sqrt() / task.shared.sigma
            own = task.free(field[:, chosen]).repeat_interleave(n_dose, 1)
            dose = torch.cat([curves.dose.repeat(_PIXELS).expand(len(field), -1), dose], 1)
            free = torch.cat([own, free], 1)
        moved = (each.to(task.device) for each in (dose, free, a, b, values, weight))
        return _Batch(*moved)

    def _residuals(
        self, network: Parameters, batch: _Batch, tape: list[DenseRecord] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Residuals of frames and law, half of whose squares add up to the terms of the loss."""
        task, first = self.task, batch.first
        value, slope = trajectory(
            network, task.curves, task.shared, batch.dose, batch.free, first, tape
        )
        misfit = batch.weight * (batch.amplitude * value[:, :first] + batch.offset - batch.values)
        reach = float(task.curves.dose[-1])
        residual = law_residual(task.curves, batch.free[:, first:], value[:, first:], slope, reach)
        weights, number = task.config.loss_weights, residual.shape[1]
        # Frames that are missing have no weight.
        present = (batch.weight > 0).sum().clamp(min=1)
        return (
            misfit * torch.sqrt(weights["data"] / present),
            residual * math.sqrt(weights["ode"] / number),
        )

    def _step(self, step: int, readout: tuple[Tensor, Tensor] | None) -> None:
        field = torch.stack([torch.as_tensor(mode.field) for mode in self.modes])
        batch = self._batch(field, self.task.config.collocation, readout)
        check = self._batch(field, _CHECKS, None)
        # The frames of a step are in its check, too.
        if batch.first:
            first = batch.first
            check = replace(
                batch,
                dose=torch.cat([batch.dose[:, :first], check.dose], 1),
                free=torch.cat([batch.free[:, :first], check.free], 1),
            )
        network = {name: value.to(self.task.device) for name, value in self.network.items()}

        def linearised(leaves: Parameters) -> Linearisation:
            tape: list[DenseRecord] = []
            residuals = torch.cat(self._residuals(leaves, batch, tape), 1)
            layers = Layers.of(residuals[..., None], tape, batch.first)

            def transposed(dual: Tensor, members: Tensor) -> Parameters:
                return layers.transposed(dual[:, None], members)

            return Linearisation(residuals, layers.gram(), transposed)

        def loss_of(trial: Parameters, members: Tensor) -> Tensor:
            parts = self._residuals(trial, check.of_members(members))
            return sum((0.5 * part.square().sum(1) for part in parts), start=torch.zeros(()))

        if step % self.task.config.record_every == 0:
            with torch.no_grad():
                terms = (0.5 * part.square().sum(1) for part in self._residuals(network, check))
            weights = self.task.config.loss_weights
            data, law = (
                term / weights[name] for name, term in zip(("data", "ode"), terms, strict=True)
            )
            prior = [self._prior(mode) for mode in self.modes]
            every = {"data": data, "ode": law, "prior": torch.tensor(prior)}
            self.observer.recorder.add(step, every, list(range(len(prior))))
        network, self._damping, *_ = damped_step(
            network, linearised, loss_of, trainable(network), self._damping
        )
        self.network = {name: value.detach().cpu() for name, value in network.items()}

    def _prior(self, mode: Mode) -> float:
        """Half of the square that the fields have under their prior, for one frame of a pixel."""
        roots = self.task.bonds.roots(mode.lengths, mode.weight)
        square = sum(
            float(((r @ row) ** 2).sum()) for r, row in zip(roots, mode.field.T, strict=True)
        )
        return 0.5 * square / float((self.task.curves.weight > 0).sum())
