# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A law that a user writes as a function, integrated numerically in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from .contract import KineticLaw, LawParameter


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
        function: Callable[[Tensor, Mapping[str, Tensor], Tensor], Tensor],
        parameters: Sequence[LawParameter] | Mapping[str, tuple[float, float, float]],
        *,
        name: str = "user law",
        tolerance: float = 1e-8,
        scales: bool = False,
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

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """Call the user's function."""
        return self.function(integrity, parameters, dose)
