# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several ways of processing say of the errors that frames share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

#: Names of the errors, by the degree of their polynomial of the dose.
ERROR_NAMES = ("level of processing", "drift of processing", "bend of processing")


def scaled_like(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Values times the factor that brings every curve nearest to its reference.

    Parameters
    ----------
    values, reference
        Areas in any units, ``(…, n_dose)``; NaN where missing.
    """
    known = np.isfinite(values) & np.isfinite(reference)
    first, second = (np.where(known, each, 0.0) for each in (values, reference))
    size = (first**2).sum(axis=-1, keepdims=True)
    factor = (first * second).sum(axis=-1, keepdims=True) / np.where(size > 0, size, 1.0)
    return factor * values


def processing_errors(
    reference: np.ndarray,
    alternatives: Mapping[str, Sequence[np.ndarray]],
    dose: np.ndarray,
) -> dict[str, np.ndarray]:
    """Errors of one standard deviation that frames share, from areas under other choices.

    The deviation of an alternative from the reference, after the units have been made alike, is
    seen as a polynomial of second degree of the dose: what varies faster from frame to frame is
    noise, and is in the variance already. A choice is taken as made by chance among its
    alternatives, so that its variance is the mean of their squares; choices are independent of
    each other.

    Parameters
    ----------
    reference
        Areas as they are fitted, ``(…, n_dose)``.
    alternatives
        For each choice the areas under its alternatives, with all other choices as they are.
    dose
        Doses, ``(n_dose,)``.

    Returns
    -------
    dict
        `ERROR_NAMES`, as many as the doses allow, each of the shape of the areas.
    """
    number = min(len(ERROR_NAMES), dose.size - 1)
    place = dose / dose.max()
    basis = np.linalg.qr(np.vander(place, number, increasing=True))[0]
    squares = np.zeros((*reference.shape[:-1], number))
    for areas in alternatives.values():
        deviations = [
            np.nan_to_num(scaled_like(each, reference) - reference) @ basis for each in areas
        ]
        if deviations:
            squares = squares + np.mean([each**2 for each in deviations], axis=0)
    sizes = np.sqrt(squares)
    return {
        name: sizes[..., degree, np.newaxis] * basis[:, degree]
        for degree, name in enumerate(ERROR_NAMES[:number])
    }
