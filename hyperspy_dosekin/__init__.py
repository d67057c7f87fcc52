# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dose-dependent degradation kinetics and theory-embedded classification of EELS data.

HyperSpy imports this package at start-up, so it has to stay light: the public names are those of
``__init__.pyi`` and each is imported on first use.
"""

from typing import Any

import lazy_loader

from hyperspy_dosekin import _attach

_lazy_name, _lazy_dir, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Looking up distribution metadata takes milliseconds that few sessions need.
        from importlib.metadata import version

        return version("hyperspy_dosekin")
    return _lazy_name(name)


def __dir__() -> list[str]:
    return sorted({*_lazy_dir(), "__version__"})


_attach.install()
