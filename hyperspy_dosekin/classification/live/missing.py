# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that are not installed with this one."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

#: The extra that brings each package.
EXTRAS = {"onnx": "onnx", "onnxruntime": "onnx", "openvino": "openvino"}


def import_realtime(name: str) -> ModuleType:
    """Import a package of one of the extras for live use.

    Parameters
    ----------
    name
        Name of the package, ``"onnx"``, ``"onnxruntime"`` or ``"openvino"``.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed; the message names the extra.
    ImportError
        If it is installed but does not load.
    """
    remedy = f'pip install "hyperspy_dosekin[{EXTRAS[name]}]"'
    try:
        module = import_module(name)
        if name == "onnx":
            import_module("onnx.numpy_helper")
            import_module("onnx.helper")
        return module
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{name} is not installed; it comes with {remedy}.", name=error.name
        ) from error
    except Exception as error:
        # A missing system library is an OSError; what a broken package raises may be anything.
        raise ImportError(
            f"{name} is installed but does not load ({type(error).__name__}: {error}); install it "
            f"again with {remedy}.",
            name=name,
        ) from error
