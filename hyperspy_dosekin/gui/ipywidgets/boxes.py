# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boxes of widgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets


class HoldingBox(ipywidgets.VBox):
    """Widgets below each other, and what lives only as long as somebody holds it, such as links."""

    held: tuple[Any, ...] = ()


def row_of(widgets: Sequence[ipywidgets.Widget], **layout: str) -> ipywidgets.HBox:
    """Widgets beside each other, or below where there is no room for them."""
    return ipywidgets.HBox(list(widgets), layout={"flex_flow": "row wrap", **layout})
