# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the network fit; the defaults of a protocol are one entry of a table."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hyperspy_dosekin.kinetics.model.config import DEFAULT_HIERARCHY
from hyperspy_dosekin.numerics.arguments import check_fields, real_number, short

#: Random seeds of the five members of the paper's ensemble.
PAPER_SEEDS = (42, 59, 76, 93, 110)

#: Phases of training that there are; `fit.PHASES` has their functions.
PHASE_NAMES = ("adam", "lbfgs", "gauss_newton")

#: Weight of each term in the loss; the weights are applied in one place, `losses.total`.
LOSS_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "data": 1.0,
        "ode": 1.0,
        "monotonicity": 1.0,
        "boundedness": 1.0,
        "hierarchy": 0.1,
        "prior": 1.0,
    }
)

#: Windows whose misfit counts more than once in the data term.
WINDOW_WEIGHTS: Mapping[str, float] = MappingProxyType({"π–π*": 3.0})


@dataclass(frozen=True)
class NetworkConfig:
    """Settings of an ensemble fit.

    Parameters
    ----------
    seeds
        One member for each seed.
    fourier_features
        Number of random frequencies; the network sees their cosines and sines.
    fourier_scale
        Standard deviation of the frequencies, in cycles per normalised dose.
    width, depth
        Units of a hidden layer and number of hidden layers.
    collocation
        Number of normalised doses in (0, 1] at which the rate law is imposed.
    adam_epochs, warmup_epochs
        Length of the Adam phase, and of its linear warm-up.
    learning_rate, minimum_learning_rate
        Start and end of the cosine schedule.
    causal_strength
        ε of the causal weights exp(−ε Σ residual²) of the Adam phase; 0 switches them off.
    lbfgs_iterations, lbfgs_history
        Length of the L-BFGS phase of each member, and how many steps it remembers.
    gauss_newton_iterations, jitter
        Steps of the Levenberg–Marquardt phase, and whether its collocation doses are shifted at
        random before each.
    phases
        Names of the training phases in order, of ``"adam"``, ``"lbfgs"`` and
        ``"gauss_newton"``.
    loss_weights
        Weight of each loss term, by name; see `LOSS_WEIGHTS`.
    window_weights
        Weight of a window in the data term, by window name; 1 for a window not named.
    hierarchy
        Pairs (faster, slower) of window names: a soft prior that the first has the larger rate
        constant. Pairs that name a window which is not there are left out.
    offset
        Known offset b of each window in the unit of the data; ``None`` to fit it.
    exponent
        Known exponent p of all windows; ``None`` to fit it.
    misfit
        Penalty of the data term, ``"log-cosh"`` or ``"square"``.
    weigh_by_variance
        Whether frames count by the inverse of their noise variance, where that is known.
    warm_start
        Whether k, p, a and b start at the most probable values of the exact estimator, and its
        priors join the loss.
    initial_rate, initial_exponent
        Without a warm start, where k (per normalised dose) and p start, before the jitter of
        each member.
    patience
        Stop the Adam phase when the loss of no member has fallen by a thousandth for so many
        epochs; ``None`` runs them all.
    record_every
        Iterations between two entries of the history.
    """

    seeds: tuple[int, ...] = PAPER_SEEDS
    fourier_features: int = 32
    fourier_scale: float = 1.0
    width: int = 64
    depth: int = 5
    collocation: int = 64
    adam_epochs: int = 10_000
    warmup_epochs: int = 1_000
    learning_rate: float = 1e-3
    minimum_learning_rate: float = 1e-6
    causal_strength: float = 1.0
    lbfgs_iterations: int = 2_000
    lbfgs_history: int = 10
    gauss_newton_iterations: int = 60
    jitter: bool = True
    phases: tuple[str, ...] = ("adam", "lbfgs")
    loss_weights: Mapping[str, float] = field(default_factory=lambda: dict(LOSS_WEIGHTS))
    window_weights: Mapping[str, float] = field(default_factory=lambda: dict(WINDOW_WEIGHTS))
    hierarchy: tuple[tuple[str, str], ...] = DEFAULT_HIERARCHY
    offset: tuple[float, ...] | None = None
    exponent: float | None = None
    misfit: str = "log-cosh"
    weigh_by_variance: bool = False
    warm_start: bool = False
    initial_rate: float = 1.0
    initial_exponent: float = 1.0
    patience: int | None = None
    record_every: int = 10

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "seeds", checked_seeds(self.seeds))
        for name in ("loss_weights", "window_weights"):
            _check_weights(name, getattr(self, name))
        if isinstance(self.phases, str) or not isinstance(self.phases, Sequence):
            raise TypeError(
                f"phases={short(self.phases)} must be a sequence of {', '.join(PHASE_NAMES)}."
            )
        object.__setattr__(self, "phases", tuple(self.phases))
        object.__setattr__(self, "hierarchy", checked_pairs(self.hierarchy))
        object.__setattr__(self, "loss_weights", {**LOSS_WEIGHTS, **self.loss_weights})
        unknown = set(self.loss_weights) - set(LOSS_WEIGHTS)
        if unknown:
            raise ValueError(
                f"loss_weights names {sorted(unknown)}; the terms are {list(LOSS_WEIGHTS)}."
            )
        strange = [phase for phase in self.phases if phase not in PHASE_NAMES]
        if strange or not self.phases:
            raise ValueError(
                f"phases={self.phases} must be one or more of {', '.join(map(repr, PHASE_NAMES))}."
            )
        if not self.seeds:
            raise ValueError("seeds is empty; give one whole number for each member.")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {self.seeds} repeat; equal members are no ensemble.")
        for name in ("fourier_features", "width", "depth", "collocation", "record_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        for name in ("adam_epochs", "warmup_epochs", "lbfgs_iterations", "gauss_newton_iterations"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative.")
        for name in ("fourier_scale", "learning_rate", "initial_rate", "initial_exponent"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")
        if self.exponent is not None and not self.exponent > 0:
            raise ValueError(f"exponent={self.exponent} must be positive, or None to fit it.")
        if self.offset is not None:
            object.__setattr__(self, "offset", tuple(float(value) for value in self.offset))
        if self.misfit not in ("log-cosh", "square"):
            raise ValueError(f'misfit={self.misfit!r} must be "log-cosh" or "square".')
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience={self.patience} must be None or at least 1 epoch.")


def checked_pairs(pairs: Any) -> tuple[tuple[str, str], ...]:
    """A hierarchy as pairs (faster, slower) of names.

    Raises
    ------
    TypeError
        If it is none.
    """
    found: Any = () if pairs is None else pairs
    if isinstance(found, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in found
    ):
        return tuple((str(faster), str(slower)) for faster, slower in found)
    raise TypeError(
        f"hierarchy={short(pairs)} must be pairs of window names, ((faster, slower), …), or () "
        "for none."
    )


def checked_seeds(seeds: Any) -> tuple[int, ...]:
    """Seeds as whole numbers.

    Raises
    ------
    TypeError
        If they are none.
    ValueError
        If one is negative.
    """
    try:
        if isinstance(seeds, str | bytes | Mapping | Set):
            raise TypeError
        found = tuple(operator.index(seed) for seed in seeds)
    except TypeError:
        raise TypeError(
            f"seeds={short(seeds)} must be whole numbers, one for each member, such as (1, 2, 3)."
        ) from None
    if any(not 0 <= seed < 2**63 for seed in found):
        raise ValueError(f"seeds={short(seeds)} must be zero or more, and less than 2**63.")
    return found


def _check_weights(name: str, weights: Any) -> None:
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"{name}={short(weights)} must be weights by name, such as {{'data': 1.0}}."
        )
    for each, weight in weights.items():
        if not isinstance(each, str):
            raise TypeError(f"{name} names {short(each)}; names are texts.")
        real_number(f"{name}[{each!r}]", weight, "give a weight, zero or more", least=0.0)


#: Options that a protocol sets, by its name. The paper's are the defaults of `NetworkConfig`.
PROTOCOLS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "paper": MappingProxyType({}),
        "fast": MappingProxyType(
            {
                "phases": ("gauss_newton",),
                # Frequencies of a few cycles in the measured range fit between the doses.
                "fourier_scale": 0.3,
                "collocation": 33,
                "gauss_newton_iterations": 25,
                # Heavy enough that bending away from the law never pays.
                "loss_weights": {"ode": 30.0},
                "misfit": "square",
                "weigh_by_variance": True,
                "warm_start": True,
            }
        ),
    }
)

#: What the network of a map is trained with, in the place of a protocol: the mean of the squared
#: misfits over the noise variance is about 1, which the law has to outweigh.
FIELD_PROTOCOL: Mapping[str, Any] = MappingProxyType(
    {
        **PROTOCOLS["fast"],
        "fourier_features": 8,
        "width": 32,
        "depth": 2,
        "collocation": 400,
        "gauss_newton_iterations": 20,
        "loss_weights": {"ode": 1e4},
    }
)
#: Settings that the network of a map has a use for.
FIELD_SETTINGS = frozenset(
    {
        *("seeds", "fourier_features", "fourier_scale", "width", "depth", "collocation"),
        *("gauss_newton_iterations", "loss_weights", "record_every"),
    }
)
