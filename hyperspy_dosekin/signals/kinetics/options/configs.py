# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations of the estimators from the options of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.dose_error import DoseError
from hyperspy_dosekin.kinetics.network.config import FIELD_PROTOCOL, PROTOCOLS, NetworkConfig
from hyperspy_dosekin.signals.kinetics.options.checks import values_for
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions


def exact_config(
    options: FitOptions,
    dose_metadata: Mapping[str, Any] | None = None,
    *,
    by_network: bool = False,
) -> ExactConfig:
    """Options of the exact estimator; the offset goes beside it, pixel by pixel.

    `dose_metadata` is the ``Dose`` node of the series, which may say how well doses are known. A
    network knows no bound on the offset, so that the exact fit it is compared with has none.
    """
    given = options.dose_uncertainty
    given = (dose_metadata or {}).get("uncertainty") if given is None else given
    config = ExactConfig(**values_for(ExactConfig, options), dose_error=DoseError.of(given))
    return replace(config, nonnegative=False) if by_network else config


def network_config(options: FitOptions, offset: np.ndarray | None) -> NetworkConfig:
    """The network's configuration of a protocol, with the user's options on top."""
    if options.exponent == "shared":
        raise ValueError(
            'exponent="shared" is fitted by estimator="exact"; the network fits one exponent '
            "for each window or holds a known one."
        )
    # The networks of a map take known offsets, one for each pixel, with the data.
    of_map = options.spatial == "field"
    return NetworkConfig(
        **{
            **values_for(NetworkConfig, options),
            "offset": None if offset is None or of_map else tuple(offset.tolist()),
            **(FIELD_PROTOCOL if of_map else PROTOCOLS[options.protocol]),
            **options.network,
        }
    )
