# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Many frames as a few residuals with the same sum of squares.

The step of `gauss_newton` solves a system of the size of the residuals, which is cubic in the
frames. A trajectory is smooth, so that at any dose it is the polynomial through its values at
Chebyshev nodes t: ``C(φ) = L C(t)`` [1]_. With W the weights of the frames and the triangle R of
``W^½ L = QR`` the sum of squares is

.. math:: |W^{1/2} (a L C(t) + b - y)|^2 = |R (a C(t) + b) - Q^T W^{1/2} y|^2 + \text{const},

one residual a node instead of one a frame, with no frame left out. The certificate of a fit does
without: it evaluates the network at every frame.

References
----------
.. [1] J.-P. Berrut, L. N. Trefethen, SIAM Rev. 46, 501 (2004), doi:10.1137/S0036144502417715.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Nodes between the smallest and the largest dose. Of 1 000 frames, trajectories with k up to 5
#: are their polynomials to the last digit, one with k = 100 and p = 3 within 1e-3.
NODES = 40
#: With fewer frames than this the frames themselves are faster.
FEWEST_FRAMES = 64


@dataclass(frozen=True, eq=False)
class Compression:
    """Residuals of the data term as linear in the fitted intensities at nodes.

    Parameters
    ----------
    dose
        Normalised doses of the nodes, ``(n_node,)``.
    to_frames
        L, ``(n_dose, n_node)``.
    mixing
        R of each window, weights included, ``(n_window, n_node, n_node)``.
    scores
        What the residuals are from, ``(n_window, n_node)``.
    """

    dose: np.ndarray
    to_frames: np.ndarray
    mixing: np.ndarray
    scores: np.ndarray


def compress(dose: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> Compression | None:
    """Compress the squared misfits of many frames; ``None`` for few.

    Parameters
    ----------
    dose
        Normalised doses of the frames, ``(n_dose,)``.
    scores, weights
        Standard scores and their weights, ``(n_dose, n_window)``.
    """
    if dose.size < FEWEST_FRAMES:
        return None
    nodes, to_frames = interpolation(dose)
    scale = np.sqrt(weights / weights.size)
    orthogonal, mixing = np.linalg.qr(scale.T[..., None] * to_frames)
    compressed = np.einsum("wdn,dw->wn", orthogonal, scale * scores)
    return Compression(nodes, to_frames, mixing, compressed)


def interpolation(dose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in the range of some doses, ``(n_node,)``, and L, ``(n_dose, n_node)``."""
    angle = (np.arange(NODES) + 0.5) * np.pi / NODES
    lowest, highest = dose.min(), dose.max()
    nodes = lowest + (highest - lowest) * 0.5 * (1 - np.cos(angle))
    # The barycentric weights of these points have a closed form.
    weights = np.where(np.arange(NODES) % 2, -1.0, 1.0) * np.sin(angle)
    distance = dose[:, None] - nodes
    at_node = distance == 0.0
    terms = weights / np.where(at_node, 1.0, distance)
    matrix = terms / terms.sum(axis=1, keepdims=True)
    on = at_node.any(axis=1, keepdims=True)
    return nodes, np.where(on, at_node.astype(float), matrix)
