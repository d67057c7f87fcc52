# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classifiers of raw latents other than the head of the network.

They are kept as the latents and labels they were fitted to, and made again from those: nothing
is pickled, and a file cannot run code. `LATENT_CLASSIFIERS` holds them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperspy_dosekin.numerics.threads import one_blas_thread

Arrays = Mapping[str, np.ndarray]
Predict = Callable[[np.ndarray], np.ndarray]

#: Of its latents, the ones to which the length scales of a Gaussian process are fitted.
_OPTIMISED = 120
_NEIGHBOURS = 51
_BLOCK = 4096


def _nothing_more(latents: np.ndarray, label: np.ndarray) -> Arrays:
    return {}


@dataclass(frozen=True)
class LatentClassifier:
    """A classifier of raw latents, as what is kept of it and how it is made again.

    Parameters
    ----------
    name
        What users call it, as in ``classify_vae(classifier=name)``.
    samples
        Labelled latents that it is fitted to, at most.
    make
        Takes arrays (``"latents"``, ``(n, n_active)``; ``"label"``, ``(n,)``; ``"spread"``, the
        standard deviation of each latent; and those of `fit`) and returns a function from latents
        ``(m, n_active)`` to probabilities ``(m, n_class)``.
    fit
        Takes latents, in units of their spread, and labels, and returns further arrays to keep.
    calibrated_on
        Simulated spectra on which its temperature is found.
    """

    name: str
    samples: int
    make: Callable[[Arrays], Predict]
    fit: Callable[[np.ndarray, np.ndarray], Arrays] = _nothing_more
    calibrated_on: int | None = None


#: Classifiers by name. Add your own with `register_classifier`.
LATENT_CLASSIFIERS: dict[str, LatentClassifier] = {}


def register_classifier(classifier: LatentClassifier) -> LatentClassifier:
    """Make a classifier known by its name.

    Raises
    ------
    ValueError
        If another one has that name.
    """
    if classifier.name in classifier_names():
        raise ValueError(
            f"a classifier named {classifier.name!r} exists already; give the new one another name."
        )
    LATENT_CLASSIFIERS[classifier.name] = classifier
    return classifier


def classifier_names() -> tuple[str, ...]:
    """Names of all classifiers; ``"head"`` is the one within the network."""
    return ("likelihood", "head", *LATENT_CLASSIFIERS)


def fit_classifier(kind: str, latents: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays that describe a classifier fitted to labelled latents.

    Parameters
    ----------
    kind
        Its name in `LATENT_CLASSIFIERS`.
    latents
        Active latents of simulated spectra, ``(n, n_active)``.
    label
        Their classes, ``(n,)``.
    """
    classifier = LATENT_CLASSIFIERS[kind]
    number = min(classifier.samples, len(latents))
    latents, label = latents[:number], label[:number]
    spread = np.maximum(latents.std(axis=0), 1e-6)
    arrays = {"latents": latents, "label": label, "spread": spread}
    return {**arrays, **classifier.fit(latents / spread, label)}


def make_classifier(kind: str, arrays: Arrays) -> Predict:
    """Function from active latents to probabilities, out of what `fit_classifier` returned."""
    return LATENT_CLASSIFIERS[kind].make(arrays)


def _fit_process(latents: np.ndarray, label: np.ndarray) -> Arrays:
    process = _gaussian_process(optimised=True)
    # Matrices of this size lose time on more than one thread.
    with one_blas_thread():
        process.fit(latents[:_OPTIMISED], label[:_OPTIMISED])
    kernels = process.kernel_.kernels if process.n_classes_ > 2 else [process.kernel_]
    return {"theta": np.stack([kernel.theta for kernel in kernels])}


def _gaussian_process(*, optimised: bool, theta: np.ndarray | None = None) -> Any:
    from sklearn.gaussian_process import GaussianProcessClassifier
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    kernel = ConstantKernel(4.0, (1e-2, 1e3)) * RBF(1.0, (1e-2, 1e2))
    if theta is not None:
        kernel = kernel.clone_with_theta(theta)
    optimiser: Any = "fmin_l_bfgs_b" if optimised else None
    return GaussianProcessClassifier(kernel, optimizer=optimiser, max_iter_predict=50)


def _make_process(arrays: Arrays) -> Predict:
    spread, label = arrays["spread"], arrays["label"]
    latents = arrays["latents"] / spread
    theta = arrays["theta"]
    # One process for each class against the others: each has a kernel of its own.
    pairs = range(1, 2) if len(theta) == 1 else range(len(theta))
    with one_blas_thread():
        processes = [
            _gaussian_process(optimised=False, theta=theta[0 if len(theta) == 1 else k]).fit(
                latents, label == k
            )
            for k in pairs
        ]

    def predict(points: np.ndarray) -> np.ndarray:
        found = np.concatenate(
            [
                np.stack(
                    [p.predict_proba(points[i : i + _BLOCK] / spread)[:, 1] for p in processes], 1
                )
                for i in range(0, len(points), _BLOCK)
            ]
        )
        if found.shape[1] == 1:
            return np.concatenate([1 - found, found], axis=1)
        return found / found.sum(axis=1, keepdims=True)

    return predict


def _make_neighbours(arrays: Arrays) -> Predict:
    from sklearn.neighbors import KNeighborsClassifier

    spread, label = arrays["spread"], arrays["label"]
    number = min(_NEIGHBOURS, len(label))
    neighbours = KNeighborsClassifier(number).fit(arrays["latents"] / spread, label)
    n_class = int(label.max()) + 1

    def predict(points: np.ndarray) -> np.ndarray:
        found = neighbours.predict_proba(points / spread)
        # Never quite sure: it has seen only so many neighbours.
        return (found * number + 1 / n_class) / (number + 1)

    return predict


# A Gaussian process costs the cube of its latents, and is slow to ask.
register_classifier(
    LatentClassifier("gaussian_process", 400, _make_process, _fit_process, calibrated_on=3000)
)
register_classifier(LatentClassifier("knn", 20_000, _make_neighbours))
