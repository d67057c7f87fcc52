# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many neighbours have one amplitude and offset, and what they then say together.

To the likelihood amplitudes and offsets are independent draws of the population, which is what
tells a fast small decay from a slow large one. In a specimen they follow the thickness: a patch of
n pixels with one amplitude says that only once. Its likelihood, shared out to its pixels, is that
of a pixel whose noise variance is σ²/n, raised to the power 1/n: what the noise leaves open is
still averaged over all pixels, and what the amplitudes leave open over the patches.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from .curves import SharedCurves
from .readout import Shared, Sums, readout_after

# Neighbours are alike as far as their correlation is above this and so many of its standard
# deviations, up to this many pixels and this share of the extent: amplitudes add up to nothing over
# the map.
_LEAST_ALIKE, _DEVIATIONS, _MOST_PIXELS, _MOST_OF_EXTENT = 0.05, 2.0, 12, 0.4


def of_patches(shared: Shared, repeats: float) -> Shared:
    """What pixels share, with the noise of the mean over a patch of so many of them."""
    return shared if repeats == 1 else replace(shared, sigma=shared.sigma / repeats**0.5)


def repeats_of(
    curves: SharedCurves, shared: Shared, field: np.ndarray, places: np.ndarray
) -> float:
    """Pixels that have one amplitude and offset, as a number of them, at least 1.

    Parameters
    ----------
    field
        Kinetic parameters in units of the population, ``(n, d)``.
    places
        Where the pixels are, in pixels, ``(n, n_axis)``.
    """
    free = shared.mean[:, None] + shared.factor @ torch.as_tensor(field.T.copy())
    free = curves.inside(free)[:, None]
    after = readout_after(curves, Sums.of(curves, curves.integrity(free)), free, shared)
    expected = shared.expected(free)
    away = torch.stack([after.amplitude - expected[0], after.offset - expected[1]])[:, 0]
    unit = torch.linalg.cholesky(shared.readout_cov)
    value = torch.linalg.solve_triangular(unit, away, upper=False).numpy()
    return alike(value[:1] if curves.offset is not None else value, places)


def alike(values: np.ndarray, places: np.ndarray) -> float:
    """Sum of the correlations of a pixel with all around it and itself, at least 1.

    Parameters
    ----------
    values
        Independent quantities of unit variance, ``(n_quantity, n)``.
    places
        Where the pixels are, in pixels, ``(n, n_axis)``.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> values = random.standard_normal((2, 1000)).repeat(4, axis=1)
    >>> round(alike(values, np.arange(4000)[:, None]))
    4
    """
    places = places - places.min(axis=0)
    shape = places.max(axis=0) + 1
    grid, there = np.zeros((len(values), *shape)), np.zeros(tuple(shape))
    grid[(slice(None), *places.T)] = values - values.mean(axis=1, keepdims=True)
    there[tuple(places.T)] = 1.0
    # Sums of products over all pairs of pixels at each shift, by Fourier transforms.
    axes, size = tuple(range(-len(shape), 0)), tuple(2 * shape)
    products, pairs = (
        np.fft.irfftn(np.abs(np.fft.rfftn(each, size, axes)) ** 2, size, axes)
        for each in (grid, there)
    )
    products, pairs = products.sum(0).ravel(), pairs.round().ravel()
    if products[0] <= 0:
        return 1.0
    correlation = products / np.maximum(pairs, 1) * (pairs[0] / products[0])
    shifts = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in size), indexing="ij")
    ring = np.sqrt(np.sum(np.square(shifts), axis=0)).round().ravel()
    found = 1.0
    for reach in range(1, int(min(_MOST_PIXELS, _MOST_OF_EXTENT * max(shape))) + 1):
        on = (ring == reach) & (pairs > 0)
        # Every pair is there twice, for a shift and for its opposite.
        number = max(0.5 * pairs[on].sum(), 1.0)
        mean = float((correlation * pairs)[on].sum() / (2 * number))
        if mean < max(_LEAST_ALIKE, _DEVIATIONS / np.sqrt(len(values) * number)):
            break
        found += mean * int(on.sum())
    return found
