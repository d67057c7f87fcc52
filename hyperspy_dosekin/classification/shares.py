# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares of the classes among spectra: found, or given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hyperspy_dosekin.classification.calibration import estimate_share
from hyperspy_dosekin.classification.model import Model
from hyperspy_dosekin.classification.settings import plain_prior

#: Fewer spectra say too little about the shares of the classes.
FEWEST_FOR_SHARES = 100
#: A spectrum whose novelty is beyond this does not count for the shares.
_NOT_COUNTED = 3.0


def chosen_share(
    prior: str | Sequence[float] | Mapping[str, float],
    model: Model,
    spectra: np.ndarray,
    given: np.ndarray | None = None,
) -> np.ndarray:
    """Class prior that a user asked for.

    Parameters
    ----------
    prior
        ``"estimated"`` from the spectra, except with the published protocol, ``"uniform"``, or
        shares by class name or in order.
    spectra
        Usable spectra in the units of the model, ``(n, n_channels)``. Fewer than 100 say too
        little: shares that are to be estimated are then those of the model.
    given
        Noise variance of each, of the same shape, where it is known.

    Raises
    ------
    ValueError
        If shares are negative, all zero, or not one for each class.
    """
    n_class = len(model.names)
    prior = plain_prior(prior)
    if isinstance(prior, str):
        uniform = np.full(n_class, 1 / n_class)
        # As published, shares are not looked for: latents of measured spectra that lie elsewhere
        # than those of the references would make one class of nearly all.
        if prior == "uniform" or model.protocol == "paper":
            return uniform
        if len(spectra) < FEWEST_FOR_SHARES:
            return model.share
        log, novelty = model.judged(spectra, given)
        read = None if model.classifier == "likelihood" else model.read(spectra)
        # A phase that is not among the references says nothing about their shares.
        known = novelty <= _NOT_COUNTED
        probability = model.posterior(log, read, share=uniform)
        return estimate_share(probability[known] if known.any() else probability)
    if isinstance(prior, Mapping):
        unknown = sorted(set(prior) - set(model.names))
        if unknown:
            raise ValueError(f"prior names {unknown}; the classes are {list(model.names)}.")
        prior = [prior.get(name, 0.0) for name in model.names]
    share = np.asarray(prior, dtype=np.float64)
    if share.shape != (n_class,):
        raise ValueError(
            f"prior has {share.size} shares, but there are {n_class} classes {list(model.names)}."
        )
    if not (np.isfinite(share).all() and (share >= 0).all() and share.sum() > 0):
        raise ValueError(f"prior={share.tolist()} must be shares, none negative and not all zero.")
    return share / share.sum()
