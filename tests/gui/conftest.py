# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools of kinetics that begin with the same signal do not fit it again."""

import pytest

from hyperspy_dosekin.gui.kinetics import live

#: Longer than that of a tool, since it is that of all.
_known = live.Memory(2000)


@pytest.fixture(autouse=True)
def fits_of_tools_are_made_once(request, monkeypatch):
    """Let tools share the memory that each has of its fits; those whose fits are counted do not.

    It goes by everything that a fit depends on, and is the tool's own.
    """
    if "fitted" not in request.fixturenames:
        monkeypatch.setattr(
            live.LiveEstimator, "__init__", lambda estimator: vars(estimator).update(_memory=_known)
        )
