# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was fitted, and how: the series, the options, the estimate and the networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute, is_lazy
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.kinetics.numbers.estimates import (
    Estimate,
    ExactEstimate,
    FieldNetworkEstimate,
    NetworkEstimate,
)
from hyperspy_dosekin.signals.kinetics.numbers.examination import examined
from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps
from hyperspy_dosekin.signals.kinetics.numbers.selection import ShownEstimate, taken
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions
from hyperspy_dosekin.signals.progress import dask_progress
from hyperspy_dosekin.signals.signatures import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self

    from hyperspy_dosekin.kinetics.field.network_fit import FieldNetworkFit
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
    from hyperspy_dosekin.lazy.arrays import Array
    from hyperspy_dosekin.windows.definitions import Window

#: Number of doses, from zero to the largest measured one, at which integrity is given.
DOSE_GRID = 101


@dataclass(frozen=True, eq=False)
class FittedSeries:
    """A series with what was fitted to it; see `KineticsNumbers`, which has its maps."""

    maps: ExactMaps
    options: FitOptions
    network: NetworkFit | FieldNetworkFit | None = None
    shown: tuple[int, ...] | None = None
    examined: Array | None = None

    @property
    def data(self) -> SeriesData:
        """The fitted series."""
        return self.maps.data if self.shown is None else self.maps.data.select(self.shown)

    @property
    def window_names(self) -> tuple[str, ...]:
        """Labels of the windows."""
        return self.data.window_names

    @property
    def windows(self) -> tuple[Window, ...] | None:
        """The windows, where they are ranges of a spectrum."""
        return self.data.windows

    @property
    def space_shape(self) -> tuple[int, ...]:
        """Sizes of the space axes."""
        return self.maps.data.space_shape

    @property
    def dose(self) -> np.ndarray:
        """Measured cumulative doses, ascending, in `dose_unit`."""
        return self.maps.data.dose

    @property
    def dose_max(self) -> float:
        """Largest measured dose."""
        return float(self.dose[-1])

    @property
    def dose_scale(self) -> float:
        """Dose that counts as 1 in rates and priors."""
        return self.maps.data.scale

    @property
    def dose_unit(self) -> str:
        """Unit of all doses; empty where the series does not say."""
        return self.maps.data.dose_unit

    @property
    def law(self) -> KineticLaw:
        """The law that was fitted."""
        return self.options.kinetic_law

    @property
    def estimate(self) -> Estimate:
        """What the estimator returned, member by member."""
        whole: Estimate = ExactEstimate(self.maps)
        if self.network is not None:
            of_field = self.field_network
            whole = (
                NetworkEstimate(self.required_network())
                if of_field is None
                else FieldNetworkEstimate(of_field)
            )
        return whole if self.shown is None else ShownEstimate(whole, self.shown)

    @property
    def is_lazy(self) -> bool:
        """Whether nothing has been computed yet."""
        return is_lazy(self.maps.fields)

    @property
    def complete(self) -> bool:
        """``False`` where the fit was interrupted."""
        return self.maps.complete and (self.network is None or self.network.complete)

    @property
    def has_intervals(self) -> bool:
        """Whether intervals and flags were computed with the fit."""
        return self.options.intervals

    def computed(self, show_progressbar: bool | None = None) -> Self:
        """The same in memory; itself where it is."""
        if not self.is_lazy:
            return self
        # Together, so that the data are read once.
        with dask_progress(show_progressbar):
            fields, found = compute(self.maps.fields, self._examined)
        return replace(self, maps=replace(self.maps, fields=fields), examined=found)

    @cached_property
    def _examined(self) -> Array:
        return examined(self.maps) if self.examined is None else self.examined

    @property
    def examination(self) -> Any:
        """Tests of the residuals, ``(…space…, field, window)``; lazy where the result is."""
        return taken(self._examined, self.shown, -1)

    def select(self, names: Sequence[str]) -> Self:
        """The numbers of some windows only.

        Raises
        ------
        KeyError
            If there is no such window.
        """
        known = self.window_names
        for name in names:
            if name not in known:
                raise KeyError(
                    f"there is no window {name!r} among {', '.join(map(repr, known))}"
                    f"{did_you_mean(name, known)}"
                )
        places = self.shown or range(len(known))
        return replace(self, shown=tuple(places[known.index(name)] for name in names))

    @property
    def grid(self) -> np.ndarray:
        """Doses from zero to the largest measured one, at which integrity is given."""
        return np.linspace(0.0, self.dose_max, DOSE_GRID)

    @property
    def field_network(self) -> FieldNetworkFit | None:
        """The networks of a map; ``None`` where there are none."""
        if self.network is None or self.maps.sharing in ("", "joint"):
            return None
        from hyperspy_dosekin.kinetics.field.network_fit import FieldNetworkFit

        assert isinstance(self.network, FieldNetworkFit)
        return self.network

    def required_network(self) -> NetworkFit:
        """The trained networks of one curve.

        Raises
        ------
        AttributeError
            If the result does not come from such a network.
        """
        if self.network is None or self.field_network is not None:
            whose = "which has no network" if self.network is None else "which is one of a map"
            raise AttributeError(
                f"this result comes from the {self.estimate.description}, {whose}; "
                'fit with estimator="pinn" and spatial="mean" for one.'
            )
        from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit

        assert isinstance(self.network, NetworkFit)
        return self.network

    def some_network(self) -> NetworkFit | FieldNetworkFit:
        """The trained networks, of one curve or of a map.

        Raises
        ------
        AttributeError
            If the result does not come from a network.
        """
        return self.required_network() if self.field_network is None else self.field_network
