# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user wants series to have in common, checked, and how the fit is told of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.kinetics.laws.closed_form import ClosedForm
from hyperspy_dosekin.kinetics.laws.rate_laws import Reversible
from hyperspy_dosekin.kinetics.laws.variants import (
    PRE_EXPOSURE,
    RECOVERY_RATE,
    PreExposed,
    RecoveryRate,
)
from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.signatures import did_you_mean

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.joint.rates import RateModel
    from hyperspy_dosekin.kinetics.model.config import ExactConfig
    from hyperspy_dosekin.kinetics.model.parameters import Parameters

#: All parameters of a law but the rate.
SHAPE = "shape"
#: b/a of windows of the same name.
OFFSET_RATIO = "offset ratio"
#: What can be shared beside parameters of the law, as the user says it.
BESIDE = {
    "rate": "rate",
    "rate ratio": "rate ratio",
    "dose error": "dose error",
    "pre-exposure": PRE_EXPOSURE,
    "recovery rate": RECOVERY_RATE,
    OFFSET_RATIO: OFFSET_RATIO,
}
#: What can be shared of rates, as `RateModel` calls it; only one of them.
RATES = ("rate", "rate ratio", "dose error")


@dataclass(frozen=True)
class Sharing:
    """What is shared.

    Parameters
    ----------
    shape
        Names of parameters of the law, with ``"pre-exposure"`` and ``"recovery rate"``.
    rates
        One of `RATES`, or nothing.
    ratio
        Whether b/a of windows of the same name is the same.
    """

    shape: tuple[str, ...]
    rates: str = ""
    ratio: bool = False

    @classmethod
    def of(cls, share: Sequence[str] | str, parameters: Parameters) -> Sharing:
        """Read what is shared.

        Raises
        ------
        ValueError
            If there is no such thing, or it makes no sense with the law.
        TypeError
            If it is no name.
        """
        one = isinstance(share, str) or not isinstance(share, Iterable)
        given = [share] if one else list(share)
        names = [name for name in given if isinstance(name, str)]
        if len(names) < len(given):
            raise TypeError(f"share={short(share)} must be names of what series share.")
        known = [parameter.name for parameter in parameters.free[1:]]
        law = parameters.law
        if parameters.free[0].name != "rate":
            raise ValueError(
                f"the kinetic law {law.name!r} has no rate as its first parameter; series can "
                "share the shape of a law with a rate only."
            )
        found: list[str] = []
        for name in names:
            if name == SHAPE:
                found += known
            elif name in known or name in BESIDE:
                found.append(BESIDE.get(name, name))
            else:
                possible = [*known, SHAPE, *BESIDE]
                held = [each for each, _ in parameters.held]
                why = "it is given" if name in held else f"what can be shared is {possible}"
                raise ValueError(
                    f"share={name!r} is not possible with the kinetic law {law.name!r}: "
                    f"{why}{did_you_mean(name, possible)}"
                )
        rates = [name for name in dict.fromkeys(found) if name in RATES]
        shape = tuple(n for n in dict.fromkeys(found) if n not in (*RATES, OFFSET_RATIO))
        if len(rates) > 1:
            raise ValueError(f"share={rates} contradict each other; share one of them.")
        if len(shape) > 2:
            raise ValueError(f"share={list(shape)} are too many; share one or two.")
        if RECOVERY_RATE in shape and (not isinstance(law, Reversible) or len(shape) > 1):
            raise ValueError(
                "share='recovery rate' is that of the kinetic law 'reversible', and in the "
                'place of its parameter; pass law="reversible" and no other parameter of it.'
            )
        if PRE_EXPOSURE in shape and not isinstance(law, ClosedForm):
            raise ValueError(
                f"share='pre-exposure' needs a law with a closed form, and {law.name!r} is "
                'integrated numerically; take one such as "power law" or "delayed".'
            )
        missing = [name for name in known if name not in shape and RECOVERY_RATE not in shape]
        ratio = OFFSET_RATIO in found
        if (rates or ratio) and missing:
            raise ValueError(
                f"share={(rates or [OFFSET_RATIO])[0]!r} compares decays of one shape, and windows "
                f'may differ in {missing}; add "shape" to share=.'
            )
        if ratio and rates:
            raise ValueError(
                f"share={[rates[0], OFFSET_RATIO]} cannot be shared together; share one of them, "
                'or say what changes the rates: fit_dose_conditions(offset_ratio="shared").'
            )
        if ratio and law.has_plateau and not law.inputs:
            raise ValueError(
                f"share={OFFSET_RATIO!r} makes no sense with the kinetic law {law.name!r}: its "
                "plateau cannot be told from an offset. Take a law without a plateau."
            )
        return cls(shape, rates[0] if rates else "", ratio)

    def __bool__(self) -> bool:
        """Whether anything is shared."""
        return bool(self.shape or self.rates or self.ratio)

    @property
    def names(self) -> list[str]:
        """What is shared, in words."""
        return [*self.shape, *filter(None, [self.rates]), *[OFFSET_RATIO] * self.ratio]

    @property
    def in_one_unit(self) -> bool:
        """Whether doses of all series are compared."""
        return bool(self.rates) or PRE_EXPOSURE in self.shape or RECOVERY_RATE in self.shape

    def check(self, data: Mapping[str, SeriesData], configs: Mapping[str, ExactConfig]) -> None:
        """Raise where what is shared makes no sense with the series.

        Raises
        ------
        ValueError
            With the remedy.
        """
        units = {name: each.dose_unit for name, each in data.items()}
        if self.in_one_unit and len(set(units.values())) > 1:
            raise ValueError(
                f"share={self.names} compares doses, and those of "
                f"the series are in different units, {units}; convert them."
            )
        if self.rates:
            self._check_rates(data, configs)
        if self.ratio:
            self._check_ratio(data, configs)
        errors = {name: each.dose_error.pre_exposure for name, each in configs.items()}
        if PRE_EXPOSURE in self.shape and not (
            min(errors.values()) > 0 and math.isclose(min(errors.values()), max(errors.values()))
        ):
            raise ValueError(
                f"share='pre-exposure' is one unknown dose before the first frame of all series, "
                f"and how large it may be is said as {errors}; give one number for all, "
                'dose_uncertainty={"pre_exposure": …}, its standard deviation in the unit of the '
                "dose."
            )
        rates = {name: each.dose_rate for name, each in data.items()}
        if RECOVERY_RATE in self.shape and any(rate is None for rate in rates.values()):
            raise ValueError(
                f"share='recovery rate' is a rate in time, and the dose rates are {rates}; set "
                "them with set_dose_axis(dose_rate=…)."
            )

    def _check_ratio(
        self, data: Mapping[str, SeriesData], configs: Mapping[str, ExactConfig]
    ) -> None:
        windows = {name: each.window_names for name, each in data.items()}
        every = [name for each in windows.values() for name in each]
        if len(set(every)) == len(every):
            raise ValueError(
                f"share={OFFSET_RATIO!r} needs a window of the same name in two series, and theirs "
                f"are {windows}; name windows of the same kind alike, or share something else."
            )
        bounded = [name for name, each in configs.items() if each.nonnegative]
        if bounded:
            raise ValueError(
                f"share={OFFSET_RATIO!r} knows no bound of offsets, and nonnegative=True asks for "
                "one; leave it out."
            )

    def _check_rates(
        self, data: Mapping[str, SeriesData], configs: Mapping[str, ExactConfig]
    ) -> None:
        windows = {name: each.window_names for name, each in data.items()}
        every = [name for each in windows.values() for name in each]
        common = [name for name in dict.fromkeys(every) if every.count(name) > 1]
        if not common or (self.rates == "rate ratio" and self.model(data, configs).freedom < 1):
            number = "two windows" if self.rates == "rate ratio" else "a window"
            raise ValueError(
                f"share={self.rates!r} needs {number} of the same name in two series, and theirs "
                f"are {windows}; name windows of the same kind alike, or share something else."
            )
        spread = {name: each.dose_error.scale for name, each in configs.items()}
        if self.rates == "dose error" and not max(spread.values()) > 0:
            raise ValueError(
                "share='dose error' finds the scale of the dose axis of each series within what is "
                "known of it, and the doses are taken as exact; give dose_uncertainty=, its "
                'relative standard deviation, or share="rate".'
            )

    def scale(self, data: Mapping[str, SeriesData], given: float | None) -> float | None:
        """The dose scale of all series; ``None`` where each has its own."""
        shifted = {PRE_EXPOSURE, RECOVERY_RATE} & set(self.shape)
        if given is not None or not shifted:
            return given
        return float(np.exp(np.mean([np.log(each.dose[-1]) for each in data.values()])))

    def config(
        self, config: ExactConfig, each: SeriesData, data: Mapping[str, SeriesData]
    ) -> ExactConfig:
        """The options with a law that has what is shared among its parameters."""
        law, error = config.law, config.dose_error
        if RECOVERY_RATE in self.shape:
            first = next(iter(data.values())).dose_rate
            assert first is not None
            assert each.dose_rate is not None
            law = RecoveryRate(first / each.dose_rate)
        if PRE_EXPOSURE in self.shape:
            assert isinstance(law, ClosedForm)
            recorded = float(each.dose_metadata.get("pre_exposure", 0.0) or 0.0)
            least = -min(recorded, float(each.dose[0])) / each.scale
            law = PreExposed(law, error.pre_exposure / each.scale, least)
            error = replace(error, pre_exposure=0.0)
        return replace(config, law=law, dose_error=error)

    def units(self, data: Mapping[str, SeriesData]) -> dict[str, float]:
        """What shared numbers are in units of: a dose, and one over a time."""
        first = next(iter(data.values()))
        found = {PRE_EXPOSURE: first.scale}
        if first.dose_rate is not None:
            found[RECOVERY_RATE] = first.dose_rate / first.scale
        return found

    def model(
        self, data: Mapping[str, SeriesData], configs: Mapping[str, ExactConfig]
    ) -> RateModel:
        """Which rates have to do with each other."""
        from hyperspy_dosekin.kinetics.joint.rates import RateModel

        return RateModel(
            self.rates,
            tuple(each.window_names for each in data.values()),
            tuple(each.scale for each in data.values()),
            tuple(each.dose_error.scale for each in configs.values()),
        )
