# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of a map: fit, certificate, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from hyperspy_dosekin.kinetics.network.certificate import Certificate
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.history import History, Recorder
from hyperspy_dosekin.kinetics.network.observer import Observer
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress

from .curves import SharedCurves
from .fields import find_fields
from .network import NetworkCurves
from .network_check import judge, member_crossing, member_integrity, squared_residual
from .population import Population
from .smooth import Bonds
from .training import FieldTask, FieldTraining

# Steps to the fields under the law itself, which have to be the very best.
_EXACT_STEPS = 60

_REMEDY = 'fit with estimator="exact", the field itself'


@dataclass(frozen=True, eq=False)
class FieldNetwork:
    """Networks of one window and group.

    Parameters
    ----------
    config
        The settings of the fit.
    parameters
        Weights of all members, float64, ``(n_member, …)``.
    maps
        ``"rate"``, ``"exponent"``, ``"amplitude"``, ``"offset"``, ``"half_integrity_dose"`` and
        ``"critical_dose"`` of every pixel, doses in units of the dose scale, ``(n_member, n)``
        each.
    field
        The kinetic fields on their scale of estimation, ``(n_member, n, d)``.
    place
        Which pixels they are, ``(n,)``.
    history
        Loss terms by iteration.
    judged
        ``"loss_ratio"``, ``"residual_rms"`` and ``"max_deviation"``, see `Certificate`.
    complete
        ``False`` if the training was ended before its end.
    """

    config: NetworkConfig
    parameters: Mapping[str, np.ndarray]
    maps: Mapping[str, np.ndarray]
    field: np.ndarray
    place: np.ndarray
    history: History
    judged: Mapping[str, float]
    complete: bool


def fit_field_network(
    curves: SharedCurves,
    population: Population,
    places: np.ndarray,
    lengths: tuple[float, ...],
    config: NetworkConfig,
    *,
    device: str = "auto",
    progress: Progress = no_progress,
    stop: Stop = never_stop,
) -> FieldNetwork:
    """Fit the networks of one window of a map.

    Parameters
    ----------
    places
        Where they are, in pixels, ``(n, n_axis)``.
    lengths
        Distance over which neighbours are alike, for each kinetic field.
    config
        Settings, see `FIELD_PROTOCOL`.
    device
        Where the networks are trained: ``"auto"``, ``"cpu"`` or another device of Torch.
    progress, stop
        Told of the steps, and asked now and then.

    Returns
    -------
    FieldNetwork
        The fields begin at the most probable ones under the law itself, as the fast protocol of a
        single curve does; the networks at random.
    """
    shared, bonds = population.shared, Bonds.of(places)
    exact = find_fields(curves, shared, bonds, lengths, steps=_EXACT_STEPS)
    recorder = Recorder(len(config.seeds))
    task = FieldTask(curves, shared, bonds, lengths, config, resolve_device(device))
    training = FieldTraining(task, exact, Observer(recorder, progress, stop))
    training.run()
    network = {name: value.detach() for name, value in training.network.items()}
    fields = torch.stack([task.free(torch.as_tensor(mode.field)) for mode in training.modes])
    a, b = task.readout(network, training.modes)
    rate, exponent = curves.parameters.values(curves.search(fields.movedim(-1, 0)))
    scale, known = curves.scale, curves.offset
    maps = {
        "rate": rate.numpy(),
        "exponent": exponent.expand_as(rate).numpy(),
        "amplitude": scale.unit * a.numpy(),
        "offset": scale.centre + scale.unit * b.numpy()
        if known is None
        else np.broadcast_to(known, a.shape).copy(),
    }
    trained = [
        NetworkCurves.of_member(curves, shared, network, member) for member in range(len(fields))
    ]
    for name, level in (("half_integrity_dose", 0.5), ("critical_dose", float(np.exp(-1.0)))):
        maps[name] = np.stack(
            [
                member_crossing(each, field.T, level, *(maps[n][m] for n in ("rate", "exponent")))
                for m, (each, field) in enumerate(zip(trained, fields, strict=True))
            ]
        )
    judged = judge(task, trained, training.modes, exact)
    return FieldNetwork(
        config,
        {name: value.numpy() for name, value in network.items()},
        maps,
        fields.numpy(),
        curves.alive,
        recorder.history(),
        judged,
        training.complete,
    )


@dataclass(frozen=True, eq=False)
class FieldNetworkFit:
    """Networks of all windows and groups of a map.

    Parameters
    ----------
    networks
        By place of the window and label of the group.
    curves
        The pixels of each, to evaluate the networks on.
    populations
        What they share.
    window_names
        One label for each window.
    space_shape
        Sizes of the space axes.
    dose_scale
        Dose that counts as 1.
    """

    networks: Mapping[tuple[int, int], FieldNetwork]
    curves: Mapping[tuple[int, int], SharedCurves]
    populations: Mapping[tuple[int, int], Population]
    window_names: tuple[str, ...]
    space_shape: tuple[int, ...]
    dose_scale: float

    @property
    def config(self) -> NetworkConfig:
        """The settings of the fit."""
        return next(iter(self.networks.values())).config

    @property
    def complete(self) -> bool:
        """Whether all trainings came to their end."""
        return all(each.complete for each in self.networks.values())

    @property
    def n_member(self) -> int:
        """Number of members."""
        return len(self.config.seeds)

    def map(self, name: str) -> np.ndarray:
        """One of `FieldNetwork.maps` of all pixels, ``(n_member, …space…, window)``."""
        found = {key: each.maps[name].T for key, each in self.networks.items()}
        whole = self._of_pixels(found, self.n_member)
        return np.ascontiguousarray(np.moveaxis(whole, -1, 0))

    def integrity(self, dose: np.ndarray, member: int) -> np.ndarray:
        """Integrity of a member at doses of the series, ``(…space…, window, n_dose)``."""
        normalised = np.asarray(dose, dtype=np.float64) / self.dose_scale
        found = {
            key: member_integrity(*self._member(*key, member), normalised) for key in self.networks
        }
        return self._of_pixels(found, normalised.size)

    def dose_at(self, level: float, member: int) -> np.ndarray:
        """Dose at which a member falls to a level, unit of the series, ``(…space…, window)``."""
        found = {}
        for key in self.networks:
            curves, free, rate, exponent = self._member(*key, member)
            found[key] = member_crossing(curves, free, level, rate, exponent)[:, None]
        return self.dose_scale * self._of_pixels(found, 1)[..., 0]

    def _of_pixels(self, found: Mapping[tuple[int, int], np.ndarray], size: int) -> np.ndarray:
        """What was found of the pixels of each network, ``(…space…, window, size)``."""
        whole = np.full((math.prod(self.space_shape), len(self.window_names), size), np.nan)
        for (window, label), each in found.items():
            whole[self.networks[window, label].place, window] = each
        return whole.reshape(*self.space_shape, *whole.shape[1:])

    def physics_residual(self, normalised_dose: np.ndarray) -> np.ndarray:
        """How far the networks are from the law, root mean square over the pixels.

        Parameters
        ----------
        normalised_dose
            Doses over the largest measured dose, from 0 to 1, ``(n_dose,)``.

        Returns
        -------
        numpy.ndarray
            dC/dφ + k C^p, ``(n_member, n_window, n_dose)``.
        """
        shape = (self.n_member, len(self.window_names), len(normalised_dose))
        squares, number = np.zeros(shape), np.zeros(shape[1])
        for (window, label), each in self.networks.items():
            number[window] += each.place.size
            for member in range(self.n_member):
                curves, free, _, _ = self._member(window, label, member)
                square = squared_residual(curves, free.T, np.asarray(normalised_dose))
                squares[member, window] += square.sum(0)
        return np.sqrt(squares / np.maximum(number, 1)[:, None])

    def _member(
        self, window: int, label: int, member: int
    ) -> tuple[NetworkCurves, torch.Tensor, np.ndarray, np.ndarray]:
        key = window, label
        each = self.networks[key]
        network = {name: torch.as_tensor(value) for name, value in each.parameters.items()}
        curves = NetworkCurves.of_member(
            self.curves[key], self.populations[key].shared, network, member
        )
        free = torch.as_tensor(each.field[member].T.copy())
        return curves, free, each.maps["rate"][member], each.maps["exponent"][member]

    @property
    def history(self) -> History:
        """Loss terms by iteration, the mean over windows and groups."""
        every = [each.history for each in self.networks.values()]
        # All have the same iterations but those that were ended before.
        longest = max(every, key=lambda each: each.iteration.size)
        shape = (longest.iteration.size, self.n_member)
        terms = {}
        for name in longest.terms:
            stack = np.full((len(every), *shape), np.nan)
            for place, each in enumerate(every):
                if name in each.terms:
                    stack[place, : each.iteration.size] = each.terms[name]
            known = np.isfinite(stack)
            sums = np.where(known, stack, 0.0).sum(0)
            terms[name] = np.where(known.any(0), sums / np.maximum(known.sum(0), 1), np.nan)
        return History(longest.iteration, longest.learning_rate, terms, longest.n_adam)

    def certificate(self) -> Certificate:
        """How far the networks are from the exact field, by window: the worst of its groups."""
        worst: dict[str, list[float]] = {
            name: [] for name in ("loss_ratio", "residual_rms", "max_deviation")
        }
        for window in range(len(self.window_names)):
            judged = [each.judged for (w, _), each in self.networks.items() if w == window]
            for name, values in worst.items():
                found = [each[name] for each in judged] or [np.nan]
                # A loss below that of the law is as bad as one above.
                key = (lambda x: abs(np.log(max(x, 1e-12)))) if name == "loss_ratio" else float
                values.append(max(found, key=key))
        arrays = {name: np.array(values) for name, values in worst.items()}
        return Certificate(self.window_names, **arrays, remedy=_REMEDY)
