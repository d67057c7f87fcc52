# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws without a closed form: a user's own rate, integrated numerically in float64.

The integrator is the Dormand–Prince pair of orders 5 and 4 [1]_ with one step size for the whole
batch, controlled by its worst member and never longer than the distance to the next dose. The
integrity is held at 0 once a law has used it up (extinction).

References
----------
.. [1] J. R. Dormand, P. J. Prince, J. Comput. Appl. Math. 6, 19 (1980),
   doi:10.1016/0771-050X(80)90013-3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from .laws import KineticLaw, LawParameter

_NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# Weights of order 5 minus those of order 4: the error estimate.
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_MAXIMUM_STEPS = 20_000
# Below this step the law is taken to end here (a vertical tangent at extinction, for instance).
_SMALLEST_STEP = 1e-10


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
    ) -> None:
        if isinstance(parameters, Mapping):
            parameters = [LawParameter(key, *box) for key, box in parameters.items()]
        if not tolerance > 0:
            raise ValueError(f"tolerance {tolerance} must be positive, for instance 1e-8.")
        self.function = function
        self.parameters = tuple(parameters)
        self.name = name
        self.tolerance = tolerance

    def rate(self, integrity: Tensor, parameters: Mapping[str, Tensor], dose: Tensor) -> Tensor:
        """Call the user's function."""
        return self.function(integrity, parameters, dose)


def _checked_rate(law: KineticLaw, integrity: Tensor, parameters: Mapping, dose: Tensor) -> Tensor:
    rate = law.rate(integrity.clamp(0.0, 1.0), parameters, dose)
    values = rate.detach()
    where = f"at normalised dose {dose.item():.4g}"
    if torch.isnan(values).any():
        raise ValueError(
            f"kinetic law {law.name!r} returned NaN {where}; make its rate finite for every "
            "integrity in [0, 1] and every parameter in its box."
        )
    if (values < 0).any():
        raise ValueError(
            f"kinetic law {law.name!r} lets the integrity grow {where} (rate "
            f"{values.min().item():.4g}); its function is the loss −dC/dφ and must not be "
            "negative."
        )
    return -rate


def integrate_law(law: KineticLaw, dose: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    """Integrity C(φ) of any law by numerical integration from C(0) = 1.

    Parameters
    ----------
    law
        The law; its `tolerance` (1e-8 if it has none) bounds the error of a step.
    dose
        Normalised doses, shape ``(n_dose,)``, ascending and not negative.
    parameters
        One tensor of the batch shape ``(...)`` for each name; converted to float64.

    Returns
    -------
    C of shape ``(..., n_dose)`` in the type of `dose`, differentiable in the parameters.

    Raises
    ------
    ValueError
        If the doses are not ascending, or the rate is NaN or negative on the way.
    RuntimeError
        If the law is too stiff for the number of steps allowed.
    """
    if dose.ndim != 1 or (dose.numel() and (dose[0] < 0 or (dose.diff() < 0).any())):
        raise ValueError(f"doses {dose.tolist()} must be a not negative, ascending sequence.")
    tolerance = getattr(law, "tolerance", 1e-8)
    double = {name: value.to(torch.float64) for name, value in parameters.items()}
    shape = torch.broadcast_shapes(*(value.shape for value in double.values()))
    reference = next(iter(double.values())) if double else dose
    integrity = torch.ones(shape, dtype=torch.float64, device=reference.device)

    def slope(at: float, state: Tensor) -> Tensor:
        return _checked_rate(law, state, double, torch.as_tensor(at, dtype=torch.float64))

    position, step, count, recorded = 0.0, 1e-3, 0, []
    for target in dose.tolist():
        while position < target:
            length = min(step, target - position)
            stages: list[Tensor] = []
            for node, weights in zip(_NODES, _STAGES, strict=True):
                state = integrity
                for weight, stage in zip(weights, stages, strict=True):
                    if weight:
                        state = state + length * weight * stage
                stages.append(slope(position + node * length, state))
            # The last stage's state is the fifth-order result ("first same as last").
            proposal = state
            error = torch.zeros_like(integrity)
            for weight, stage in zip(_ERROR, stages, strict=True):
                error = error + weight * stage
            worst = (length * error.detach()).abs().max().item() if error.numel() else 0.0
            count += 1
            if worst <= tolerance or length <= _SMALLEST_STEP:
                integrity, position = proposal.clamp(min=0.0), position + length
            factor = 0.9 * (tolerance / max(worst, 1e-300)) ** 0.2
            step = max(length * min(max(factor, 0.2), 5.0), _SMALLEST_STEP)
            if count > _MAXIMUM_STEPS:
                raise RuntimeError(
                    f"kinetic law {law.name!r} needs more than {_MAXIMUM_STEPS} steps; it is too "
                    "stiff for its parameters: narrow their boxes or raise the tolerance."
                )
            if target - position < 1e-14:
                position = target
        recorded.append(integrity)
    return torch.stack(recorded, dim=-1).to(dose.dtype)
