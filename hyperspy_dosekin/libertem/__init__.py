# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Window areas and live kinetics from LiberTEM, with ``pip install "hyperspy_dosekin[libertem]"``.

`WindowUDF` integrates energy windows of whatever LiberTEM reads or acquires, and `follow` hands the
frames to a `hyperspy_dosekin.LiveKinetics` as they are complete. Both are imported on first use.
"""

from typing import Any

__all__ = ["WindowUDF", "follow"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hyperspy_dosekin.libertem import udf

    return getattr(udf, name)


def __dir__() -> list[str]:
    return sorted(__all__)
