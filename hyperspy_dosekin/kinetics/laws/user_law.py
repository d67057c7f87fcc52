# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A law that a user writes as a function, integrated numerically in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from .contract import KineticLaw
from .parameter import LawParameter


class UserLaw(KineticLaw):
    """A law given as a plain Torch function of integrity, parameters and dose.

    Parameters
    ----------
    function
        ``function(integrity, parameters, dose)`` → loss per normalised dose, ``−dC/dφ``, not
        negative; `parameters` maps names to tensors and all operands broadcast.
    parameters
        The parameters with their boxes, or a mapping ``{name: (lower, upper, start)}``.
    name
        Name for messages and tables.
    tolerance
        Largest error of the integrity in one step of the integration.
    scales
        Whether the function is proportional to the first parameter, ``rate``, and knows no dose;
        the law is then tabulated once, and a hundred times as fast.
    inputs
        Conditions that the function takes as keywords beside the others, such as ``"dose_rate"``,
        ``"temperature"`` or any other of `fit_dose_conditions`; ``"time"`` is the time in seconds
        since the beginning, by the dose rate, which must then be an input, too. Fits of several
        series give them; a fit of one takes them from its metadata, or
        ``law.at({"dose_rate": 5.0}, {}, dose_scale=900.0)`` says them.

    Examples
    --------
    >>> import torch
    >>> law = UserLaw(
    ...     lambda integrity, parameters, dose: parameters["rate"] * integrity,
    ...     parameters={"rate": (0.01, 20.0, 1.0)},
    ...     name="my decay",
    ... )
    >>> dose = torch.tensor([0.5, 1.0], dtype=torch.float64)
    >>> law.solution(dose, {"rate": torch.tensor(1.0)}).numpy().round(5).tolist()
    [0.60653, 0.36788]
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        parameters: Sequence[LawParameter] | Mapping[str, tuple[float, float, float]],
        *,
        name: str = "user law",
        tolerance: float = 1e-8,
        scales: bool = False,
        inputs: Sequence[str] = (),
    ) -> None:
        if isinstance(parameters, Mapping):
            parameters = [LawParameter(key, *box) for key, box in parameters.items()]
        if not tolerance > 0:
            raise ValueError(f"tolerance {tolerance} must be positive, for instance 1e-8.")
        self.function = function
        self.parameters = tuple(parameters)
        self.name = name
        self.tolerance = tolerance
        self.scales = scales
        self.inputs = tuple(name for name in inputs if name != "time")
        self._knows_time = "time" in inputs
        self.lacking = self.inputs
        if self._knows_time and "dose_rate" not in self.inputs:
            raise ValueError(
                f'inputs={tuple(inputs)} has "time", which follows from the dose and the dose '
                'rate; add "dose_rate".'
            )
        if inputs and scales:
            raise ValueError(
                "a law of conditions need not scale with its rate for all of them; leave out "
                "scales=True."
            )

    def at(
        self, conditions: Mapping[str, Any], reference: Mapping[str, Any], dose_scale: float
    ) -> UserLaw:
        """The law under some conditions."""
        if not self.inputs:
            return self
        names = (*self.inputs, *(["time"] if self._knows_time else []))
        found = UserLaw(
            self.function,
            self.parameters,
            name=self.name,
            tolerance=self.tolerance,
            inputs=names,
        )
        found.given = {name: conditions[name] for name in self.inputs}
        found.given_scale, found.lacking = dose_scale, ()
        return found

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """Call the user's function."""
        if not self.inputs:
            return self.function(integrity, parameters, dose)
        if self.lacking:
            raise ValueError(
                f"the kinetic law {self.name!r} needs {', '.join(self.lacking)}; fit series with "
                "fit_dose_conditions, which gives these conditions, or one series that has them in "
                "its metadata, or with law.at(…)."
            )
        known = dict(self.given)
        if self._knows_time:
            known["time"] = dose * (self.given_scale / float(self.given["dose_rate"]))
        return self.function(integrity, parameters, dose, **known)
