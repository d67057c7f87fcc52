# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classifiers of raw latents other than the head of the network.

They are kept as the latents and labels they were fitted to, and made again from those: nothing
is pickled, and a file cannot run code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

#: Labelled latents each classifier is fitted to. A Gaussian process costs their cube.
_SAMPLES = {"gaussian_process": 400, "knn": 20_000}
#: Of those, the ones to which the length scales of a Gaussian process are fitted.
_OPTIMISED = 120
_NEIGHBOURS = 51
_BLOCK = 4096


def fit_classifier(kind: str, latents: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays that describe a classifier fitted to labelled latents.

    Parameters
    ----------
    kind
        ``"gaussian_process"`` or ``"knn"``.
    latents
        Active latents of simulated spectra, ``(n, n_active)``.
    label
        Their classes, ``(n,)``.
    """
    number = min(_SAMPLES[kind], len(latents))
    latents, label = latents[:number], label[:number]
    spread = np.maximum(latents.std(axis=0), 1e-6)
    arrays = {"latents": latents, "label": label, "spread": spread}
    if kind == "gaussian_process":
        small = min(_OPTIMISED, number)
        process = _gaussian_process(optimised=True)
        # Matrices of this size lose time on more than one thread.
        with threadpool_limits(1, user_api="blas"):
            process.fit(latents[:small] / spread, label[:small])
        kernels = process.kernel_.kernels if process.n_classes_ > 2 else [process.kernel_]
        arrays["theta"] = np.stack([kernel.theta for kernel in kernels])
    return arrays


def _gaussian_process(*, optimised: bool, theta: np.ndarray | None = None) -> Any:
    from sklearn.gaussian_process import GaussianProcessClassifier
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    kernel = ConstantKernel(4.0, (1e-2, 1e3)) * RBF(1.0, (1e-2, 1e2))
    if theta is not None:
        kernel = kernel.clone_with_theta(theta)
    optimiser: Any = "fmin_l_bfgs_b" if optimised else None
    return GaussianProcessClassifier(kernel, optimizer=optimiser, max_iter_predict=50)


def _make_process(arrays: Mapping[str, np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    spread, label = arrays["spread"], arrays["label"]
    latents = arrays["latents"] / spread
    theta = arrays["theta"]
    # One process for each class against the others: each has a kernel of its own.
    pairs = range(1, 2) if len(theta) == 1 else range(len(theta))
    with threadpool_limits(1, user_api="blas"):
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


def _make_neighbours(arrays: Mapping[str, np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
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


#: How to make a function from latents to probabilities out of the arrays, by kind.
MAKERS: Mapping[str, Callable[[Mapping[str, np.ndarray]], Callable[[np.ndarray], np.ndarray]]] = {
    "gaussian_process": _make_process,
    "knn": _make_neighbours,
}
