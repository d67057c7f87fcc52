# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trained model as plain arrays, and what it says about spectra."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from hyperspy_dosekin.classification.architecture import DualAutoencoder, make_network
from hyperspy_dosekin.classification.calibration import reweighted, softmax
from hyperspy_dosekin.classification.classifiers import LATENT_CLASSIFIERS, make_classifier
from hyperspy_dosekin.classification.likelihood import Likelihood
from hyperspy_dosekin.classification.novelty import NoveltyScale
from hyperspy_dosekin.classification.nuisances import Nuisances, shift_templates
from hyperspy_dosekin.classification.recipe import Recipe
from hyperspy_dosekin.classification.units import NetworkUnits
from hyperspy_dosekin.numerics.batching import map_batches
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.numerics.threads import torch_threads

#: Spectra that go through the network at a time.
_BLOCK, _DEVICE_BLOCK = 1024, 2**16
#: KL divergence in nats from which a latent counts as active.
ACTIVE_KL = 0.1
_TINY = 1e-12
#: Blocks are classified by several threads, and one of them moves the network to a device.
_COPYING = threading.Lock()


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that classifies spectra, as arrays and numbers; it travels to other processes.

    Parameters
    ----------
    names
        Names of the classes.
    energy_ev
        Energies of the channels it was trained on, ``(n_channels,)``.
    units
        Units of the network.
    nuisances
        What it was trained with.
    weights
        Weights of the network by name; empty where there is none.
    n_latent
        Latent variables.
    latent_kl
        Mean KL divergence of each latent in nats, ``(n_latent,)``.
    classifier
        ``"likelihood"``, ``"head"``, ``"gaussian_process"`` or ``"knn"``.
    classifier_arrays
        Arrays of a classifier other than the head.
    power
        Inverse temperature of the probabilities.
    share
        Class prior, ``(n_class,)``.
    novelty
        Scale of the distance to the references, in the form for live use.
    likelihood
        Bayes' rule for single spectra, and the distance to the nearest explanation; ``None`` in
        models of early files.
    zero_ev
        By how many eV the spectra to be classified lie above those of the training.
    protocol
        How the network was trained: ``"fast"`` or ``"paper"``.
    report
        Further findings of the training: numbers, texts and arrays by name.
    device
        Where spectra go through the network; ``"auto"`` is decided on the machine that does it.
    recipe
        What the network is trained on once it is asked for; ``None`` where it never will be.
    """

    names: tuple[str, ...]
    energy_ev: np.ndarray
    units: NetworkUnits
    nuisances: Nuisances
    weights: Mapping[str, np.ndarray]
    n_latent: int
    latent_kl: np.ndarray
    classifier: str
    classifier_arrays: Mapping[str, np.ndarray]
    power: float
    share: np.ndarray
    novelty: NoveltyScale
    likelihood: Likelihood | None = None
    zero_ev: float = 0.0
    protocol: str = "fast"
    report: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    recipe: Recipe | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Arrays only: the network is made again where they arrive."""
        made = ("network", "_predict_latents", "_elsewhere")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    @property
    def active(self) -> np.ndarray:
        """Which latents carry information, ``(n_latent,)``."""
        return self.latent_kl > ACTIVE_KL

    @property
    def n_output(self) -> int:
        """Columns of what `predict` returns."""
        return len(self.names) + 1

    def with_share(self, share: np.ndarray) -> Model:
        """The same model with another class prior."""
        return replace(self, share=np.asarray(share, dtype=np.float64))

    def with_noise_of(self, spectra: np.ndarray, given: np.ndarray | None = None) -> Model:
        """The same model for spectra ``(n, n_channels)`` whose noise may be another one."""
        if self.likelihood is None:
            return self
        noise = self.likelihood.noise.of_others(spectra, given)
        return replace(self, likelihood=replace(self.likelihood, noise=noise))

    def with_network_of(self, other: Model) -> Model:
        """The same model with the network of another one, and what its report says of that."""
        problems = [*self.report.get("problems", ())]
        problems += [each for each in other.report.get("problems", ()) if each not in problems]
        return replace(
            self,
            weights=other.weights,
            n_latent=other.n_latent,
            latent_kl=other.latent_kl,
            power=other.power,
            report={**other.report, "problems": problems},
        )

    @cached_property
    def network(self) -> DualAutoencoder:
        """The network, for inference."""
        directions = self.weights.get("reader.directions", np.empty(0))
        network = make_network(
            len(self.energy_ev), len(self.names), self.n_latent, n_direction=len(directions)
        )
        state = {name: torch.from_numpy(np.array(value)) for name, value in self.weights.items()}
        network.load_state_dict(state)
        return network.eval().requires_grad_(False)

    @cached_property
    def _elsewhere(self) -> dict[torch.device, DualAutoencoder]:
        return {}

    def _network_on(self, device: torch.device) -> DualAutoencoder:
        if device.type == "cpu":
            return self.network
        with _COPYING:
            if device not in self._elsewhere:
                self._elsewhere[device] = copy.deepcopy(self.network).to(device)
            return self._elsewhere[device]

    @cached_property
    def _predict_latents(self) -> Callable[[np.ndarray], np.ndarray] | None:
        if self.classifier not in LATENT_CLASSIFIERS:
            return None
        return make_classifier(self.classifier, self.classifier_arrays)

    def encode(self, spectra: np.ndarray) -> np.ndarray:
        """Raw latents of spectra ``(n, n_channels)``, ``(n, n_latent)``, float32."""
        spectra = self._moved(spectra, -self.zero_ev)
        return self._through("encode_raw", self.units.apply(spectra), self.n_latent)

    def read(self, spectra: np.ndarray) -> np.ndarray:
        """What the network classifies of spectra ``(n, n_channels)``, float32.

        Raw latents for a classifier of those, and where the network has no reader.
        """
        number = len(self.weights.get("reader.directions", ()))
        if not number or self._predict_latents is not None:
            return self.encode(spectra)
        spectra = self._moved(spectra, -self.zero_ev)
        return self._through("read", self.units.apply(spectra), number + 1)

    def log_probability(self, read: np.ndarray) -> np.ndarray:
        """Log-probabilities of what `read` gives, uncalibrated, for a uniform prior."""
        if self._predict_latents is not None:
            # As published all latents are read, those that carry nothing too.
            chosen = self.active if self.protocol == "fast" else np.ones_like(self.active)
            active = read[:, classified_latents(chosen)]
            return np.log(np.maximum(self._predict_latents(active), 1e-6))
        logits = self._through("judge", read, len(self.names)).astype(np.float64)
        return np.log(np.maximum(softmax(logits), _TINY))

    def probability(self, read: np.ndarray, *, share: np.ndarray | None = None) -> np.ndarray:
        """Calibrated probabilities of what `read` gives, under a prior (that of the model)."""
        uniform = softmax(self.power * self.log_probability(read))
        return reweighted(uniform, self.share if share is None else share)

    def judged(
        self, spectra: np.ndarray, given: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-likelihoods of the classes ``(n, n_class)``, and novelty ``(n,)``, of spectra.

        Parameters
        ----------
        spectra
            Shape ``(n, n_channels)``.
        given
            Noise variance of each, of the same shape, or ``None``.
        """
        if self.likelihood is None:
            return self.log_probability(self.read(spectra)), self.novelty.novelty(spectra)
        log, distance = self.likelihood.judged(spectra, given, self.placed, self.energy_ev)
        return log, self.likelihood.novelty(distance)

    def posterior(
        self,
        log_likelihood: np.ndarray,
        read: np.ndarray | None,
        *,
        share: np.ndarray | None = None,
    ) -> np.ndarray:
        """Probabilities by what classifies: the likelihood of the spectra, or the network.

        Parameters
        ----------
        log_likelihood
            Of the classes, ``(n, n_class)``; see `judged`.
        read
            What `read` gives, which the other classifiers need.
        share
            Class prior, by default that of the model.
        """
        if self.classifier == "likelihood" or read is None:
            return reweighted(softmax(log_likelihood), self.share if share is None else share)
        return self.probability(read, share=share)

    @property
    def has_network(self) -> bool:
        """Whether there is a network; without one there are no latents."""
        return bool(self.weights)

    def expected_entropy(self, latents: np.ndarray) -> np.ndarray:
        """Entropy in nats that would be left without noise, ``(n,)``."""
        value = self._through("expected_entropy", latents, 1)[:, 0]
        return np.log(len(self.names)) / (1 + np.exp(-value.astype(np.float64)))

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Spectra of latents, ``(n, n_channels)``, in the units of the data."""
        found = self.units.undo(self._through("decode", latents, len(self.energy_ev)))
        return self._moved(found, self.zero_ev)

    @property
    def placed(self) -> Nuisances:
        """Nuisances of the spectra to be classified: the shift is that from their own zero."""
        moved = self.nuisances.shift_mean_ev + self.zero_ev
        return replace(self.nuisances, shift_mean_ev=moved)

    def _moved(self, spectra: np.ndarray, by_ev: float) -> np.ndarray:
        """Spectra moved up in energy; the end values are held."""
        if not by_ev:
            return spectra
        step = float(np.median(np.diff(self.energy_ev)))
        return shift_templates(spectra, np.array([by_ev / step]))[:, 0]

    def _through(self, part: str, rows: np.ndarray, n_output: int) -> np.ndarray:
        """Apply a part of the network batch by batch."""
        device = resolve_device(self.device, needs_float64=False)
        function = getattr(self._network_on(device), part)
        found = np.empty((len(rows), n_output), dtype=np.float32)
        size = _BLOCK if device.type == "cpu" else _DEVICE_BLOCK
        # Rounded here, since not every device has more than single precision.
        rows = np.asarray(rows, dtype=np.float32)
        with torch_threads(1):
            return map_batches(
                function, [rows], found, size=size, device=device, what="classification"
            )


def classified_latents(active: np.ndarray) -> np.ndarray:
    """Latents that a classifier other than the head reads: the active ones, else all."""
    return active if active.any() else np.ones_like(active)
