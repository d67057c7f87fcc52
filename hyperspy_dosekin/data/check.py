# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One form for the errors of options."""

from __future__ import annotations

from typing import Any


def require(condition: bool, name: str, value: Any, constraint: str) -> None:
    """Raise a `ValueError` that names option, value and constraint unless `condition` holds."""
    if not condition:
        raise ValueError(f"{name}={value!r} {constraint}.")
