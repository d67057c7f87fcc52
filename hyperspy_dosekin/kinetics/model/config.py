# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the exact estimator, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves
from hyperspy_dosekin.kinetics.laws.closed_form import ClosedForm
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, Prior
from hyperspy_dosekin.kinetics.laws.registry import kinetic_law
from hyperspy_dosekin.kinetics.model.dose_error import EXACT, DoseError
from hyperspy_dosekin.kinetics.model.parameters import Parameters
from hyperspy_dosekin.numerics.arguments import check_fields, real_numbers

#: The pair of arXiv:2605.01697: C–O bonds go at least as fast as C–C bonds.
DEFAULT_HIERARCHY = (("C–O", "C–C"),)
LOSSES = (None, "huber", "soft_l1")
NOISE = ("absolute", "relative", "floor")
#: Larger ones say the same, nothing, and their squares overflow.
_MOST_ERROR = 1e100
_ZERO_ERROR = "give a standard deviation in the unit of the data, or None"


@dataclass(frozen=True, eq=False)
class ExactConfig:
    """Options of `fit_exact`.

    Parameters
    ----------
    law
        The kinetic law, or its name.
    prior
        Priors of ln k and p; ``None`` for least squares inside the box.
    offset
        Known b, in the unit of the values, broadcastable to ``(n_curve, n_window)``; ``None``
        estimates it. It is worth more than any other knowledge.
    exponent
        Known p, ``"shared"`` for one p common to the windows of a curve, ``None`` for one p each.
    hierarchy
        Pairs of window names (faster, slower): k of the first is held above that of the second by
        a soft prior, one standard deviation per 0.1 in ln k, unless the data make it likelier that
        there is no such pair, to which a tenth of the prior belongs. Pairs with an absent window
        are ignored.
    loss
        ``None`` for squares; ``"huber"`` or ``"soft_l1"`` against outlying frames.
    noise
        ``"absolute"`` takes a given variance as the noise; ``"relative"`` takes it as weights of
        the frames only and the size of the noise from the residuals, which holds also where
        drift or dose errors add to the counting noise; ``"floor"`` takes it for the least that the
        noise can be, so that residuals that are small by luck do not make certainty: the noise is
        the larger one of what is given and what the residuals say. Without a
        variance the three are the same.
    correlated
        Whether the noise of a frame may hang together with that of the frame before, with an
        unknown correlation that is integrated over in the posterior; ``None`` for series of 30
        frames and more, which are long enough to tell.
    nonnegative
        Whether intensities cannot be negative: b ≥ 0, and a + b ≥ 0 where the window grows. A
        small part of the prior is that the bound is met exactly. ``None``: in the windows whose
        values do not contradict it. Not where the offset is known.
    zero_error
        Standard deviation of the zero of the intensities, such as what background removal leaves,
        in the unit of the values and broadcastable to ``(n_curve, n_window)``; the bound is soft
        by so much.
    dose_error
        How well the doses are known.
    held
        Values of parameters of the law that are not estimated, by name.
    dtype
        ``"float64"`` or ``"float32"``; centring is always in float64.
    device
        ``"cpu"``, ``"cuda"`` … or ``"auto"``.
    chunk_size
        Curves × windows that are worked on at once on the processor; bounds the memory. Other
        devices take as many as fill them.
    max_iterations
        Steps at most.

    Raises
    ------
    ValueError
        If an option is not one of those above.
    """

    law: KineticLaw | str = "power law"
    prior: Prior | None = DEFAULT_PRIOR
    offset: ArrayLike | None = None
    exponent: float | Literal["shared"] | None = None
    hierarchy: tuple[tuple[str, str], ...] = ()
    loss: Literal["huber", "soft_l1"] | None = None
    noise: Literal["absolute", "relative", "floor"] = "absolute"
    correlated: bool | None = None
    nonnegative: bool | None = False
    zero_error: ArrayLike | None = None
    dose_error: DoseError = EXACT
    held: tuple[tuple[str, float], ...] = ()
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "cpu"
    chunk_size: int = 32_768
    max_iterations: int = 60

    def __post_init__(self) -> None:
        check_fields(self)
        if self.zero_error is not None and np.any(
            real_numbers("zero_error", self.zero_error, _ZERO_ERROR) < 0
        ):
            raise ValueError(f"zero_error={self.zero_error!r} must not be negative; {_ZERO_ERROR}.")
        if self.zero_error is not None and np.max(self.zero_error, initial=0.0) > _MOST_ERROR:
            object.__setattr__(self, "zero_error", np.minimum(self.zero_error, _MOST_ERROR))
        law = kinetic_law(self.law)
        object.__setattr__(self, "law", law)
        check_exponent(self.exponent)
        names = [parameter.name for parameter in law.parameters]
        if self.exponent is not None and "exponent" not in names:
            raise ValueError(
                f"exponent={self.exponent!r} does not fit the kinetic law {law.name!r}, which "
                f"has the parameters {names}; leave it out, or write what is known into a law."
            )
        if self.dtype == "float32" and not (isinstance(law, ClosedForm) or law.scales):
            raise ValueError(
                f'dtype="float32" is not possible for the kinetic law {law.name!r}, which is '
                'integrated in float64; pass dtype="float64".'
            )
        if self.loss not in LOSSES:
            raise ValueError(f"loss {self.loss!r} is not one of {LOSSES}.")
        if self.noise not in NOISE:
            raise ValueError(f"noise {self.noise!r} is not one of {NOISE}.")
        if self.dtype not in ("float64", "float32"):
            raise ValueError(f'dtype {self.dtype!r} must be "float64" or "float32".')
        if self.chunk_size < 1 or self.max_iterations < 1:
            raise ValueError(
                f"chunk_size {self.chunk_size} and max_iterations {self.max_iterations} must be "
                "at least 1."
            )
        if self.prior is not None and not isinstance(self.prior, Prior):
            raise ValueError(f"prior {self.prior!r} must be a Prior or None.")
        pairs = tuple(tuple(str(name) for name in pair) for pair in self.hierarchy)
        for pair in pairs:
            if len(pair) != 2 or pair[0] == pair[1]:
                raise ValueError(
                    f"hierarchy pair {pair!r} must name two different windows, (faster, slower)."
                )
        object.__setattr__(self, "hierarchy", pairs)

    def coupled(self, window_names: Sequence[str]) -> list[list[int]]:
        """Places of the windows, those together that have to be fitted together.

        Examples
        --------
        >>> config = ExactConfig(hierarchy=(("C–O", "C–C"),))
        >>> config.coupled(("π–π*", "C–C", "C–O", "M–O"))
        [[0], [1, 2], [3]]
        >>> ExactConfig(exponent="shared").coupled(("C–O", "M–O"))
        [[0, 1]]
        """
        names = list(window_names)
        if self.exponent == "shared":
            return [list(range(len(names)))]
        groups = [{place} for place in range(len(names))]
        for pair in self.hierarchy:
            if set(pair) <= set(names):
                ends = {names.index(name) for name in pair}
                joined = set().union(*(group for group in groups if group & ends))
                groups = [*(group for group in groups if not group & ends), joined]
        return sorted(sorted(group) for group in groups)

    def bounded(self, curves: PreparedCurves) -> np.ndarray | None:
        """Windows whose intensity cannot be negative, ``(n_curve, n_window)``, if there are any."""
        if self.nonnegative is False or curves.offset_known:
            return None
        if self.nonnegative:
            return np.ones(curves.unit.shape, dtype=bool)
        return curves.may_be_intensities

    @property
    def parameters(self) -> Parameters:
        """The law with its priors and what is held."""
        held = self.held
        if self.exponent is not None and self.exponent != "shared":
            held = (*held, ("exponent", float(self.exponent)))
        assert isinstance(self.law, KineticLaw)
        return Parameters(self.law, self.prior, held)

    def pairs(self, window_names: Sequence[str]) -> tuple[tuple[int, int], ...]:
        """Pairs of the hierarchy as places of windows, where both are there.

        Raises
        ------
        ValueError
            If there are any and the law has no rate.
        """
        found = tuple(
            (window_names.index(faster), window_names.index(slower))
            for faster, slower in self.hierarchy
            if faster in window_names and slower in window_names
        )
        first = self.parameters.free[0]
        if found and not (first.name == "rate" and first.logarithmic):
            what = "not logarithmic" if first.name == "rate" else repr(first.name)
            raise ValueError(
                f"hierarchy={self.hierarchy!r} compares logarithms of rates, and the first "
                f"parameter of the kinetic law {self.parameters.law.name!r} is {what}; pass "
                'hierarchy=(), or begin the law with a logarithmic LawParameter "rate".'
            )
        return found


def check_exponent(exponent: float | str | None) -> None:
    """Raise unless an exponent option is ``None``, ``"shared"`` or a sensible number."""
    if exponent is None or (isinstance(exponent, str) and exponent == "shared"):
        return
    if isinstance(exponent, str) or not math.isfinite(exponent) or not 0 <= exponent <= 10:
        raise ValueError(
            f"exponent {exponent!r} must be a number in [0, 10], "
            '"shared" for one common to the windows, or None to estimate one each.'
        )
