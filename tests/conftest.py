# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that several parts of the test suite use."""

from pathlib import Path

import pytest


@pytest.fixture
def shared_data(request):
    """Return the path of a file among the shared real data, which not every machine has."""

    def path_of(name: str) -> Path:
        path = Path(request.config.rootpath).parent / "shared" / "data" / name
        if not path.exists():
            pytest.skip(f"{name} is not here")
        return path

    return path_of
