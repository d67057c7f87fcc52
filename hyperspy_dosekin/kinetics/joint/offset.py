# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of a fit whose law has the offset of the readout in it."""

from __future__ import annotations

from dataclasses import replace

from hyperspy_dosekin.kinetics.laws.with_offset import WithOffset
from hyperspy_dosekin.kinetics.model.config import ExactConfig


def with_offset(config: ExactConfig) -> ExactConfig:
    """Options of a fit with the offset in the law."""
    law = WithOffset(config.parameters.law)
    return replace(config, law=law, offset=0.0, nonnegative=False, zero_error=None, hierarchy=())
