# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a fit: one class for the methods, the estimators, the tool and files."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, Prior
from hyperspy_dosekin.kinetics.model.config import DEFAULT_HIERARCHY, ExactConfig
from hyperspy_dosekin.kinetics.model.dose_error import DoseError
from hyperspy_dosekin.kinetics.network.config import (
    FIELD_SETTINGS,
    PAPER_SEEDS,
    PROTOCOLS,
    NetworkConfig,
    checked_pairs,
    checked_seeds,
)
from hyperspy_dosekin.numerics.arguments import check_fields, short
from hyperspy_dosekin.signals.kinetics.options.checks import (
    check_choice,
    checked_prior,
    checked_scale,
    checked_zero_error,
    values_for,
)
from hyperspy_dosekin.signals.signatures import (
    did_you_mean,
    documentation_of,
    options_of,
    refuse_unknown,
    takes_options,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw

ESTIMATORS = ("pinn", "exact")
SPATIAL = ("auto", "mean", "pixel", "population", "field")
#: Modes in which pixels share something.
SHARED = ("population", "field")


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Options of a fit of dose kinetics, checked.

    A new option is a field here with its entry below. Where `ExactConfig` or `NetworkConfig` has a
    field of the same name it gets the value; methods, tools, files and the reference show it by
    themselves.

    Parameters
    ----------
    estimator
        ``"pinn"``, the ensemble of physics-informed networks, of the mean or with
        ``spatial="field"`` of a map, or ``"exact"``, the closed form of the law. By default the
        network for the mean and the exact estimator for maps and for every law but the power law.
    spatial
        ``"mean"`` averages over all space axes, ``"pixel"`` fits every pixel by itself,
        ``"population"`` with the distribution of parameters over all pixels, which is learned from
        them, and ``"field"`` with its neighbours, which are alike but for interfaces. ``"auto"``
        takes ``"pixel"`` where there are space axes, unless the network is asked for.
    groups
        Phases that have nothing in common, for ``"population"`` and ``"field"``: a `ClassMap` or an
        image of integers, one label for each pixel; pixels of negative label are left out. ``None``
        takes all pixels for one.
    protocol
        How the network is trained: ``"fast"``, from the exact solution and with its priors, or
        ``"paper"``, as published.
    law
        ``"power law"``, ``"first order"``, ``"power law with plateau"``, ``"delayed"`` (nothing
        happens up to a dose), ``"two populations"``, ``"multi-hit"``, ``"stretched"``, a law
        registered under another name, or a law of your own with one to three parameters
        (`hyperspy_dosekin.kinetics.UserLaw` makes one of a function; with ``scales=True``, where
        the rate is proportional to k, it is a hundred times as fast).
    offset
        Known offset b, in the unit of the data: a number, one for each window, one for each pixel
        and window ``(…space…, window)``, or what `integrate_windows` made of a fully damaged
        specimen. ``None`` fits it. Nothing else makes D½ as certain.
    exponent
        Known exponent p of all windows, ``"shared"`` to fit one for all windows of a pixel (exact
        estimator), or ``None`` to fit each.
    hierarchy
        Pairs (faster, slower) of window names: a soft prior that the first degrades with the larger
        rate constant, with a probability of nine tenths: where the data contradict a pair, it is
        let go. A pair whose windows are not there counts for nothing, with a warning unless it is
        the default one.
    seeds
        Random seeds of the networks, one for each member.
    prior
        Normal priors ``{"log_rate": (mean, sd), "exponent": (mean, sd)}`` of ln k and p; by
        default (1, 1.75) and (1, 0.7), k per dose scale. ``None`` for none.
    loss
        ``None`` for squares; ``"huber"`` or ``"soft_l1"`` against outlying frames (exact
        estimator).
    noise
        ``"floor"`` takes a known noise variance as the least that the noise can be: residuals that
        are larger say more, and those that are smaller by luck make no certainty. Of pixels by
        themselves, 32 and more with fewer than 30 frames, the least is what all of them show
        together, where that is more or no variance is known. ``"relative"`` takes a variance as
        weights of the frames only, and the size of the noise from the residuals of each curve;
        ``"absolute"`` takes it as the noise.
    nonnegative
        Whether intensities cannot be negative: b ≥ 0, and a + b ≥ 0 where the window grows (exact
        estimator). It makes D½ much more certain where little is left of a window. ``None``, the
        default, takes it for every window of a pixel whose values may be intensities: no two of
        them are below zero by more than three standard deviations of the noise, as those of
        differences and of standard scores are. Networks and pixels that share a population are
        without it unless it is asked for. A known `offset` needs no bound.
    zero_error
        Standard deviation of the zero of the intensities, in their unit, by which the bound of
        `nonnegative` is soft: a number, or one for each window.
    correlated
        Whether the noise of neighbouring frames may be correlated, by an unknown amount that the
        intervals take into account (exact estimator); ``None`` for series of 30 frames and more.
        ``True`` also says that residuals which follow each other are noise, and not a wrong law.
    dose_scale
        Dose that counts as 1 in rates and in their prior, in the unit of the dose axis; the
        largest measured one if not given. Give one number where series of different length are
        compared or a series grows, so that their numbers and priors are the same.
    dose_uncertainty
        How well the doses are known: the relative standard deviation of their scale, or a mapping
        of ``"scale"``, ``"frame"`` (relative, the reading of each frame), ``"increment"``
        (relative, what each frame received, which adds up) and ``"pre_exposure"`` (in the unit of
        the dose). ``None`` takes ``metadata.Dose.uncertainty``, which `set_dose_axis` writes; 0
        takes the doses as exact.
    processing_error
        Whether errors that the frames share are in the intervals, where the series knows of any:
        `integrate_windows` gives it that of the normalisation, and `DoseKinetics.processing_spread`
        those of all choices of processing.
    dtype
        Precision of the exact estimator, ``"float64"`` or ``"float32"``.
    intervals
        Whether intervals and flags are computed with the fit; without them maps are ready several
        times sooner, and `DoseKinetics.interval` computes them when asked.
    device
        ``"auto"``, ``"cpu"`` or another device of Torch.
    network
        Settings of `NetworkConfig` by name, such as ``adam_epochs``; methods take them as options
        of their own.

    Raises
    ------
    ValueError
        If an option is not one of those above, or two contradict each other.
    TypeError
        If a setting of the network is unknown.

    Examples
    --------
    >>> FitOptions.of(estimator="pinn", adam_epochs=100).network
    {'adam_epochs': 100}
    """

    estimator: str | None = None
    spatial: str = "auto"
    groups: BaseSignal | npt.ArrayLike | None = None
    protocol: str = "fast"
    law: str | KineticLaw = "power law"
    offset: BaseSignal | npt.ArrayLike | None = None
    exponent: float | str | None = None
    hierarchy: Sequence[tuple[str, str]] = DEFAULT_HIERARCHY
    seeds: Sequence[int] = PAPER_SEEDS
    prior: Prior | Mapping[str, Sequence[float]] | None = DEFAULT_PRIOR
    loss: str | None = None
    noise: str = "floor"
    nonnegative: bool | None = None
    zero_error: float | Sequence[float] | None = None
    correlated: bool | None = None
    dose_scale: float | None = None
    dose_uncertainty: float | Mapping[str, float] | None = None
    processing_error: bool = True
    dtype: str = "float64"
    intervals: bool = True
    device: str = "auto"
    network: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, function: str = "fit_dose_pinn", /, **options: Any) -> FitOptions:
        """Options as methods take them: those of the network beside the others.

        Parameters
        ----------
        function
            Name of the method, for messages.
        **options
            The options.
        """
        refuse_unknown(function, options, METHOD_OPTIONS)
        network = {name: options.pop(name) for name in list(options) if name in NETWORK_OPTIONS}
        return cls(**options, network=network)

    def __post_init__(self) -> None:
        check_fields(self)
        if not isinstance(self.network, Mapping):
            raise TypeError(
                f"network={short(self.network)} must be settings of NetworkConfig by name."
            )
        name = self.kinetic_law.name
        if self.other_law() is not None and self.estimator == "pinn":
            raise ValueError(
                f'estimator="pinn" knows the power law only; fit the law {name!r} with '
                'estimator="exact".'
            )
        if self.estimator is not None:
            check_choice("estimator", self.estimator, ESTIMATORS)
        check_choice("spatial", self.spatial, SPATIAL)
        check_choice("protocol", self.protocol, sorted(PROTOCOLS))
        if self.spatial == "pixel" and self.estimator == "pinn":
            raise ValueError(
                'spatial="pixel" fits every pixel with estimator="exact"; the network fits the '
                'mean over space, spatial="mean".'
            )
        if self.spatial in SHARED:
            self._check_shared()
        elif self.groups is not None:
            raise ValueError(
                f"groups are for spatial={' or '.join(map(repr, SHARED))}, not for "
                f"spatial={self.spatial!r}; leave them out."
            )
        refuse_unknown("fit_dose_pinn", self.network, NETWORK_OPTIONS)
        object.__setattr__(self, "network", dict(self.network))
        object.__setattr__(self, "dose_scale", checked_scale(self.dose_scale))
        object.__setattr__(self, "prior", checked_prior(self.prior))
        object.__setattr__(self, "hierarchy", checked_pairs(self.hierarchy))
        object.__setattr__(self, "seeds", checked_seeds(self.seeds))
        DoseError.of(self.dose_uncertainty)
        object.__setattr__(self, "zero_error", checked_zero_error(self.zero_error))
        ExactConfig(**values_for(ExactConfig, self))
        if self.network:
            NetworkConfig(**{**PROTOCOLS[self.protocol], **self.network})

    @property
    def kinetic_law(self) -> KineticLaw:
        """The law."""
        from hyperspy_dosekin.kinetics.laws.registry import kinetic_law

        return kinetic_law(self.law)

    def other_law(self) -> KineticLaw | None:
        """The law, ``None`` for the power law."""
        from hyperspy_dosekin.signals.kinetics.options.law_names import is_power_law

        return None if is_power_law(self.law) else self.kinetic_law

    def as_prior(self) -> Prior | None:
        """The prior of rate and exponent."""
        assert self.prior is None or isinstance(self.prior, Prior)
        return self.prior

    def resolved(self, space_shape: Sequence[int]) -> tuple[str, str]:
        """Spatial mode and estimator for a series with these space axes.

        Raises
        ------
        ValueError
            If an option was given that they have no use for.
        """
        spatial = self.spatial
        if spatial == "auto":
            spatial = "pixel" if space_shape and self.estimator != "pinn" else "mean"
        by_network = spatial == "mean" and self.other_law() is None
        estimator = self.estimator or ("pinn" if by_network else "exact")
        self._refuse_unused(estimator)
        return spatial, estimator

    def _check_shared(self) -> None:
        """Raise where pixels that share something have no use for an option."""
        if self.estimator == "pinn":
            self._check_field_network()
        unused = {
            "exponent": self.exponent == "shared",
            "loss": self.loss is not None,
            "correlated": bool(self.correlated),
            "dtype": self.dtype != "float64",
            "intervals": not self.intervals,
            "hierarchy": tuple(map(tuple, self.hierarchy or ())) not in ((), DEFAULT_HIERARCHY),
        }
        named = [name for name, given in unused.items() if given]
        if named:
            raise ValueError(
                f"{', '.join(f'{name}={getattr(self, name)!r}' for name in named)}: "
                f"spatial={self.spatial!r} has no use for it; leave it out, or fit with "
                'spatial="pixel".'
            )

    def _check_field_network(self) -> None:
        """Raise where the network of a map has no use for an option."""
        if self.spatial != "field":
            raise ValueError(
                f'estimator="pinn" with spatial={self.spatial!r}: pixels without neighbours are no '
                'field for a network; pass spatial="field", or estimator="exact".'
            )
        if self.protocol != "fast":
            raise ValueError(
                f'protocol={self.protocol!r} is that of a single curve; spatial="field" is trained '
                "in one way only, leave it out."
            )
        unused = [name for name in self.network if name not in FIELD_SETTINGS]
        if unused:
            raise ValueError(
                f"{', '.join(map(repr, unused))}: the network of a map has no such setting; it has "
                f"{', '.join(sorted(FIELD_SETTINGS))}."
            )

    def given(self) -> dict[str, Any]:
        """The options that differ from the defaults, by name, as methods take them."""
        default = {entry.name: entry.default for entry in fields(self)}
        named = {name: getattr(self, name) for name in default if name != "network"}
        return {
            **{name: value for name, value in named.items() if not _same(value, default[name])},
            **self.network,
        }

    def _refuse_unused(self, estimator: str) -> None:
        """No option is ignored in silence."""
        unused = [name for name in self.given() if name in unused_by(estimator)]
        whose, remedy = {
            "exact": ("the network", 'fit the mean with estimator="pinn"'),
            "pinn": ("the exact estimator", 'fit with estimator="exact"'),
        }[estimator]
        if unused:
            raise ValueError(
                f"{', '.join(map(repr, unused))}: only {whose} has that option, and this fit is "
                f"made by {'the exact estimator' if estimator == 'exact' else 'the network'}; "
                f"leave it out, or {remedy}."
            )

    def check_windows(self, names: Sequence[str]) -> None:
        """Warn of pairs of the hierarchy whose windows are not there."""
        if self.hierarchy == DEFAULT_HIERARCHY:
            return
        for name in dict.fromkeys(name for pair in self.hierarchy for name in pair):
            if name not in names:
                warnings.warn(
                    f"hierarchy names the window {name!r}, which is not one of "
                    f"{', '.join(map(repr, names))}{did_you_mean(name, names)} The pair counts "
                    "for nothing.",
                    UserWarning,
                    stacklevel=2,
                )


class _ByProtocol:
    """What a signature shows for a default that depends on the protocol."""

    def __repr__(self) -> str:
        return "<by protocol>"


def _network_parameters() -> dict[str, inspect.Parameter]:
    """The settings of the network that are no option of the fit already."""
    own = {entry.name for entry in fields(FitOptions)}
    by_protocol = {name for protocol in PROTOCOLS.values() for name in protocol}
    shown = {}
    for entry in fields(NetworkConfig):
        if entry.name in own:
            continue
        parameter = options_of(NetworkConfig)[entry.name]
        if entry.name in by_protocol:
            parameter = parameter.replace(default=_ByProtocol())
        elif callable(entry.default_factory):
            parameter = parameter.replace(default=entry.default_factory())
        shown[entry.name] = parameter
    return shown


#: Options of the network that methods take beside those of `FitOptions`.
NETWORK_OPTIONS: Mapping[str, inspect.Parameter] = _network_parameters()

#: All options that methods take.
METHOD_OPTIONS: Mapping[str, inspect.Parameter] = {
    **{name: each for name, each in options_of(FitOptions).items() if name != "network"},
    **NETWORK_OPTIONS,
}


def unused_by(estimator: str) -> frozenset[str]:
    """Options that an estimator has no use for."""
    if estimator == "exact":
        return frozenset({"seeds", "protocol", *NETWORK_OPTIONS})
    return frozenset({"loss", "nonnegative", "zero_error", "correlated"})


def takes_fit_options(*but: str) -> Any:
    """Show the options of a fit in the place of the ``**options`` of a method.

    Parameters
    ----------
    *but
        Options that the method does not take.
    """
    shown = {name: each for name, each in METHOD_OPTIONS.items() if name not in but}
    text = documentation_of(FitOptions, shown) + documentation_of(
        NetworkConfig, [name for name in NETWORK_OPTIONS if name in shown]
    )
    return takes_options(shown, text)


def _same(value: object, default: object) -> bool:
    """Whether an option has its default value; a known offset may be an array or a signal."""
    return value is default or (type(value) is type(default) and value == default)
