# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of one series of a joint fit, with what the other series say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hyperspy_dosekin.kinetics.block import block_fields, examined, fitted, stacked
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.joint.series import JointSeries, joint_nodes
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.posterior.posterior import KineticPosterior
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.joint.fit import JointFit
    from hyperspy_dosekin.kinetics.model.config import ExactConfig

#: What the error is called that all windows of a frame share.
COMMON_MODE = "common mode"


@dataclass(frozen=True, eq=False)
class JointMaps(ExactMaps):
    """Fits of the windows of a series that shares something with others.

    Parameters
    ----------
    nodes
        Posterior of the windows.
    held
        Shared parameters with their common estimates.
    mode
        The same with the values that networks are compared with, where there are networks.
    """

    nodes: Nodes | None = None
    held: tuple[tuple[str, float], ...] = ()
    mode: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of_series(
        cls, data: SeriesData, config: ExactConfig, offset: Any, fit: JointSeries, **rest: Any
    ) -> JointMaps:
        """The numbers of a series.

        Parameters
        ----------
        data
            The series, whose values are replaced by those without their common mode.
        config, offset
            Options, and the known offset.
        fit
            What the joint fit found.
        **rest
            The other fields.
        """
        data = freed_data(data, fit.freed)
        found = fitted(fit.fit) | examined(fit.posterior)
        fields = stacked(found, block_fields(config.parameters.law))[0]
        return cls(data, config, offset, fields, nodes=fit.nodes, **rest)

    @property
    def sharing(self) -> str:
        """What it shares."""
        return "joint"

    @property
    def examined_config(self) -> ExactConfig:
        """Options for the tests of residuals: what others say is not taken from them."""
        return replace(self.config, held=(*self.config.held, *self.held))

    def of_noise_alone(self) -> ExactFit:
        """The fit that networks are compared with: without the errors that frames share."""
        held = (*self.config.held, *self.mode)
        return fit_exact(self.of_networks(), replace(self.series_config, held=held))

    @cached_property
    def posterior(self) -> KineticPosterior:
        """Posterior of the windows."""
        assert self.nodes is not None
        return super().posterior.on([self.nodes])

    def record(self) -> dict[str, object]:
        """What a file has to hold beside the arrays."""
        assert self.nodes is not None
        return {
            "held": self.held,
            "mode": self.mode,
            "notes": self.notes,
            "ordered": self.nodes.ordered,
            "n_bound": self.nodes.n_bound,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that a file has to hold beside the fields."""
        assert self.nodes is not None
        free, others = self.config.parameters.free[1:], self.nodes.search[1:]
        found = {
            f"joint {parameter.name}": parameter.from_search(
                row.reshape(-1) if row.shape[-1] == row.shape[-2] == 1 else row
            ).numpy()
            for parameter, row in zip(free, others, strict=True)
        }
        return found | {
            "joint log rate": self.nodes.search[0].numpy(),
            "joint weight": self.nodes.weight.numpy(),
            "joint evidence": self.nodes.log_evidence.numpy(),
        }

    def restored(self, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> JointMaps:
        """The same with what `record` and `arrays` have written."""
        parameters = self.config.parameters
        nodes = joint_nodes(
            parameters,
            torch.as_tensor(np.asarray(arrays["joint log rate"])),
            [arrays[f"joint {parameter.name}"] for parameter in parameters.free[1:]],
            torch.as_tensor(np.asarray(arrays["joint weight"])),
            np.asarray(arrays["joint evidence"]),
            ordered=record["ordered"],
            n_bound=record["n_bound"],
        )
        held, mode = (
            tuple((name, float(value)) for name, value in record.get(each, ()))
            for each in ("held", "mode")
        )
        return replace(self, nodes=nodes, held=held, mode=mode, notes=tuple(record["notes"]))


def held_of(fit: JointFit, config: ExactConfig) -> tuple[tuple[str, float], ...]:
    """Shared parameters that are parameters of the law, with their common estimates."""
    own = [parameter.name for parameter in config.parameters.free]
    pairs = zip(fit.shape.free, fit.shape.estimate, strict=True)
    return tuple((p.name, value) for p, value in pairs if p.name in own)


def freed_data(data: SeriesData, problem: DoseProblem) -> SeriesData:
    """A series with the values, variance and shared errors of a problem of one curve."""
    errors = {} if problem.shared_error is None else dict(enumerate(problem.shared_error[:, 0]))
    names = list(data.shared_errors)
    names += [f"{COMMON_MODE} {place}" for place in range(1, len(errors) - len(names) + 1)]
    return replace(
        data,
        values=problem.values[0],
        variance=None if problem.variance is None else problem.variance[0],
        shared_errors=dict(zip(names, errors.values(), strict=True)),
    )
