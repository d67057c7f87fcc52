# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a fit, checked, and what the estimators get of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signals import BaseSignal

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.laws.prior import Prior
    from hyperspy_dosekin.kinetics.model.config import ExactConfig
    from hyperspy_dosekin.kinetics.network.config import NetworkConfig

ESTIMATORS = ("pinn", "exact")


SPATIAL = ("auto", "mean", "pixel", "field")


PROTOCOLS = ("fast", "paper")


NOISE = ("relative", "absolute")


@dataclass(frozen=True)
class FitOptions:
    """The options of a fit, checked one by one; see `DoseSeries.fit_dose_pinn`."""

    estimator: str | None = None
    spatial: str = "auto"
    protocol: str = "fast"
    offset: Any = None
    exponent: float | str | None = None
    hierarchy: tuple[tuple[str, str], ...] = (("C–O", "C–C"),)
    seeds: tuple[int, ...] = (42, 59, 76, 93, 110)
    prior: Mapping[str, Sequence[float]] | None = field(
        default_factory=lambda: {"log_rate": (0.0, 1.0), "exponent": (1.0, 0.7)}
    )
    loss: str | None = None
    noise: str = "relative"
    dtype: str = "float64"
    intervals: bool = True
    device: str = "auto"
    network: Mapping[str, Any] = field(default_factory=dict)
    law: str | KineticLaw = "power law"

    def __post_init__(self) -> None:
        from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
        from hyperspy_dosekin.signals.kinetics.law_names import is_power_law

        name = kinetic_law(self.law).name
        if not is_power_law(self.law) and self.estimator == "pinn":
            raise ValueError(
                f'estimator="pinn" knows the power law only; fit the law {name!r} with '
                'estimator="exact".'
            )
        if self.estimator is not None:
            _check_choice("estimator", self.estimator, ESTIMATORS)
        _check_choice("spatial", self.spatial, SPATIAL)
        _check_choice("protocol", self.protocol, PROTOCOLS)
        _check_choice("noise", self.noise, NOISE)
        if self.spatial == "pixel" and self.estimator == "pinn":
            raise ValueError(
                'spatial="pixel" fits every pixel with estimator="exact"; the network fits the '
                'mean over space, spatial="mean".'
            )
        object.__setattr__(self, "hierarchy", tuple(tuple(pair) for pair in self.hierarchy or ()))
        object.__setattr__(self, "seeds", tuple(self.seeds))
        if self.prior is not None:
            pairs = {name: tuple(pair) for name, pair in self.prior.items()}
            object.__setattr__(self, "prior", pairs)

    def resolved(self, space_shape: Sequence[int]) -> tuple[str, str]:
        """Spatial mode and estimator for a series with these space axes."""
        spatial = self.spatial
        if spatial == "auto":
            spatial = "pixel" if space_shape and self.estimator != "pinn" else "mean"
        by_network = spatial != "pixel" and self.other_law() is None
        return spatial, self.estimator or ("pinn" if by_network else "exact")

    def other_law(self) -> KineticLaw | None:
        """The law, ``None`` for the power law."""
        from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
        from hyperspy_dosekin.signals.kinetics.law_names import is_power_law

        return None if is_power_law(self.law) else kinetic_law(self.law)

    def as_prior(self) -> Prior | None:
        """The prior of rate and exponent, checked."""
        from hyperspy_dosekin.kinetics.laws.prior import Prior

        if self.prior is None:
            return None
        unknown = set(self.prior) - {"log_rate", "exponent"}
        if unknown:
            raise ValueError(
                f'prior names {sorted(unknown)}; it may have "log_rate" and "exponent", each '
                "(mean, standard deviation), or be None."
            )
        return Prior(**self.prior)


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}.")


def check_network_options(options: FitOptions, estimator: str) -> None:
    """Raise if an option is unknown, or one of the network where there is no network."""
    from hyperspy_dosekin.kinetics.network.config import NetworkConfig

    known = {entry.name for entry in fields(NetworkConfig)}
    unknown = set(options.network) - known
    if unknown:
        raise TypeError(
            f"fit_dose_pinn got the unknown options {sorted(unknown)}; options of the network "
            f"are {sorted(known)}."
        )
    if options.network and estimator != "pinn":
        raise ValueError(
            f"{sorted(options.network)} are options of the network, and this fit is made by the "
            'exact estimator; leave them out, or fit the mean with estimator="pinn".'
        )


def exact_config(options: FitOptions) -> ExactConfig:
    """Options of the exact estimator; the offset goes beside it, pixel by pixel."""
    from hyperspy_dosekin.kinetics.model.config import ExactConfig

    return ExactConfig(
        prior=options.as_prior(),
        exponent=options.exponent,
        hierarchy=options.hierarchy,
        loss=options.loss,
        dtype=options.dtype,
        device=options.device,
        noise=options.noise,
    )


def network_config(options: FitOptions, offset: np.ndarray | None) -> NetworkConfig:
    """The network's configuration of a protocol, with the user's options on top."""
    from hyperspy_dosekin.kinetics.network.config import PROTOCOLS, NetworkConfig

    if options.exponent == "shared":
        raise ValueError(
            'exponent="shared" is fitted by estimator="exact"; the network fits one exponent '
            "for each window or holds a known one."
        )
    return NetworkConfig(
        **{
            "seeds": options.seeds,
            "hierarchy": options.hierarchy,
            "offset": None if offset is None else tuple(offset.tolist()),
            "exponent": options.exponent,
            **PROTOCOLS[options.protocol],
            **options.network,
        }
    )


def known_offset(offset: Any, space: Sequence[int], n_window: int) -> np.ndarray | None:
    """A known offset as an array ``(…space…, window)``.

    Parameters
    ----------
    offset
        Number, array ``(window,)`` or ``(…space…, window)``, or the signal that
        `integrate_windows` made of a fully damaged specimen: a `DoseSeries` counts with the mean
        over its frames.
    space
        Sizes of the space axes of the fit.
    n_window
        Number of windows.

    Raises
    ------
    ValueError
        If the shape does not fit or a value is not finite.
    """
    if offset is None:
        return None
    if isinstance(offset, BaseSignal):
        is_series = offset.metadata.get_item("Signal.signal_type", "") == "DoseSeries"
        offset = np.asarray(offset.data)
        offset = offset.mean(axis=-1) if is_series else offset
    values = np.asarray(offset, dtype=np.float64)
    shape = (*space, n_window)
    try:
        values = np.broadcast_to(values, shape)
    except ValueError as error:
        raise ValueError(
            f"offset of shape {values.shape} does not fit {n_window} windows; give a number, one "
            f"for each window, ({n_window},), or one for each pixel and window, {shape}, in the "
            "unit of the data."
        ) from error
    if not np.all(np.isfinite(values)):
        raise ValueError("offset must be finite, in the unit of the data; None fits it.")
    return np.array(values)
