# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a class of ours has beyond what HyperSpy gives it."""

import importlib
import inspect
from dataclasses import dataclass


@dataclass(frozen=True)
class OwnMembers:
    """Function of a class's name; an object, because Sphinx keeps its settings in a file."""

    def __call__(self, name):
        """(attributes, methods) that our package wrote, mixins and all, sorted."""
        return _own_members(name)


def _own_members(name):
    module, _, qualname = name.rpartition(".")
    cls = getattr(importlib.import_module(module), qualname)
    attributes, methods = set(), set()
    for base in inspect.getmro(cls):
        if not base.__module__.startswith("hyperspy_dosekin"):
            continue
        for member, value in vars(base).items():
            if member.startswith("_"):
                continue
            # Of HyperSpy, with a hook that keeps the noise variance in step.
            if not getattr(value, "__module__", "hyperspy_dosekin").startswith("hyperspy_dosekin"):
                continue
            if isinstance(value, property):
                attributes.add(member)
            elif inspect.isroutine(getattr(cls, member)):
                methods.add(member)
    return sorted(attributes), sorted(methods)
