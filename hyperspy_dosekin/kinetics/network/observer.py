# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told about, and may end, a training."""

from __future__ import annotations

from dataclasses import dataclass

from hyperspy_dosekin.kinetics.network.architecture import Parameters
from hyperspy_dosekin.kinetics.network.history import Recorder
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress


class Interrupted(Exception):
    """The training ended before its end; carries the last good parameters."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__("training was interrupted")
        self.parameters = parameters


@dataclass(frozen=True)
class Observer:
    """Progress, the wish to stop, and the record of a training."""

    recorder: Recorder
    progress: Progress = no_progress
    stop: Stop = never_stop
