# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put our methods on exspy's ``EELSSpectrum`` as soon as that class exists.

The signal type ``EELS`` belongs to exspy: a second class registered for it would make HyperSpy pick
one of the two at random. So exspy's own class is extended, in memory, when its module has been
executed. Its lazy twin and every subclass inherit the methods, and files keep saying ``exspy``.

HyperSpy finds this module through an entry point, so everything here runs inside
``import hyperspy.api``: nothing heavy is imported, and nothing may raise.
"""

from __future__ import annotations

import logging
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

_logger = logging.getLogger(__name__)

CLASS_NAME = "EELSSpectrum"
#: Modules that define the class: ``eels`` up to exspy 0.3, ``_eels`` in the layout that follows it.
MODULE_NAMES = ("exspy.signals.eels", "exspy.signals._eels")


def install() -> None:
    """Arrange that the methods are attached once exspy's class exists; harmless when repeated."""
    try:
        for name in MODULE_NAMES:
            _call_when_imported(name)
    except Exception:
        # An error here would come out of `import hyperspy.api`, for people who never asked for us.
        _logger.warning("No methods will be attached to %s.", CLASS_NAME, exc_info=True)


def _call_when_imported(name: str) -> None:
    """Call `_on_import` when module `name` has been executed, or at once if it is imported."""
    from wrapt import register_post_import_hook

    register_post_import_hook(_on_import, name)


def _on_import(module: ModuleType) -> None:
    """Extend the class of `module`, now or, while the class is not defined yet, afterwards."""
    try:
        # vars(), because a deprecated module may forward names with a __getattr__ that warns.
        cls, spec = vars(module).get(CLASS_NAME), module.__spec__
        if cls is not None:
            attach(cls)
        elif spec is not None and getattr(spec, "_initializing", False):
            _call_when_executed(spec)
        else:
            _logger.debug("%s defines no %s.", module.__name__, CLASS_NAME)
    except Exception:
        _logger.warning("No methods were attached to %s.", CLASS_NAME, exc_info=True)


def attach(cls: type) -> None:
    """Set the functions of ``hyperspy_dosekin.signals.eels.METHODS`` on `cls`.

    A name that `cls` has already, from exspy or from HyperSpy, is left as it is.

    Parameters
    ----------
    cls
        The class that gets the methods, each under the name of its function,
        and once more under its alias where it has one.
    """
    from hyperspy_dosekin.signals.axes.variance_hooks import keep_in_step
    from hyperspy_dosekin.signals.eels import ALIASES, METHODS

    for name, function in {**{f.__name__: f for f in METHODS}, **ALIASES}.items():
        present = getattr(cls, name, None)
        if present is None:
            setattr(cls, name, function)
        elif present is not function:
            _logger.debug("%s has its own %s, which stays.", cls.__qualname__, name)
    keep_in_step(cls)


class _WatchedSpec(ModuleSpec):
    """Spec of a module that is being executed; tells us when that has ended.

    ``import exspy.signals.eels`` may be the first import of all. Its first lines import HyperSpy,
    HyperSpy imports us, and the module is in ``sys.modules`` already, but the class statement has
    not been reached, and it is too late for an import hook. Nothing of ours need run again before
    the user calls a method, so retrying at a later import is not enough either. What does happen
    for certain is that the import system sets ``_initializing`` to False on the module's spec when
    it is done, whether execution succeeded or not; a property receives that.
    """

    @property
    def _initializing(self) -> bool:
        return self.__dict__.get("_initializing", False)

    @_initializing.setter
    def _initializing(self, value: bool) -> None:
        self.__dict__["_initializing"] = value
        if not value:
            # If execution failed, the module is gone, and this waits for the next attempt.
            _stop_watching(self)


def _call_when_executed(spec: ModuleSpec) -> None:
    """Call `_on_import` when the module of `spec`, now being executed, is complete."""
    spec.__class__ = _WatchedSpec
    if not getattr(spec, "_initializing", False) and spec.name in sys.modules:
        # Another thread finished the execution before it could see the property.
        _stop_watching(spec)


def _stop_watching(spec: ModuleSpec) -> None:
    """Make a watched spec a plain one again, and attach to what its module holds."""
    spec.__class__ = ModuleSpec
    _call_when_imported(spec.name)
