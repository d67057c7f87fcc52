# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods are on exspy's EELSSpectrum whatever is imported first, and whoever lays out exspy.

Import order needs fresh interpreters. Two layouts of exspy are tried: the
one that is installed, and a stub of the next one. The stub's module `exspy.signals._eels` imports
HyperSpy before it defines the class, so that HyperSpy, and we, are imported in the middle of it.
"""

import copy
import inspect
import logging
import pickle
import shutil
import sys
import threading
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import cloudpickle
import exspy
import h5py
import hyperspy.api as hs
import pytest
import yaml

import hyperspy_dosekin
from hyperspy_dosekin import _attach
from tests import fresh

PACKAGE = Path(hyperspy_dosekin.__file__).parent
NEXT_EXSPY = {
    "exspy/__init__.py": """
        import lazy_loader
        __version__ = "0.4.0"
        __getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["signals"])
        """,
    "exspy/signals/__init__.py": """
        import lazy_loader
        __getattr__, __dir__, __all__ = lazy_loader.attach(
            __name__, submod_attrs={"_eels": ["EELSSpectrum", "LazyEELSSpectrum"]}
        )
        """,
    "exspy/signals/_eels.py": """
        import hyperspy.api as hs
        from hyperspy.signals import LazySignal1D, Signal1D

        import os
        if os.environ.get("BREAK_EXSPY"):
            raise RuntimeError("broken on request")

        class EELSSpectrum(Signal1D):
            _signal_type = "EELS"

        class LazyEELSSpectrum(EELSSpectrum, LazySignal1D):
            pass
        """,
}

# The class is looked at before anything else can be imported that might repair a missed hook.
FIRST_LOOK = """
import {first}
import exspy
cls = exspy.signals.EELSSpectrum
found = hasattr(cls, "integrate_windows")
"""
ALL_ROUTES = """
assert found, "not attached"
import sys
import hyperspy.api as hs
from hyperspy_dosekin.signals.eels import METHODS
assert sys.modules[cls.__module__].__file__.startswith({where!r})

class Mine(cls):
    def integrate_windows(self):
        return "mine"

by_type = hs.signals.Signal1D([[1.0, 2.0, 3.0]])
by_type.set_signal_type("EELS")
loaded = hs.load({path!r})
lazily_loaded = hs.load({path!r}, lazy=True)
signals = [
    by_type, by_type.as_lazy(), by_type.inav[0], by_type.deepcopy(), cls([1.0, 2.0]),
    loaded, lazily_loaded, hs.signals.Signal1D([1.0]).as_lazy(),
]
assert not hasattr(signals.pop(), METHODS[0].__name__), "attached to every signal"
classes = {{type(signal) for signal in signals}} | {{cls, exspy.signals.LazyEELSSpectrum}}
assert all(c.__module__ == cls.__module__ for c in classes), classes
assert len(classes) == 2, classes
assert len(METHODS) >= 3
for function in METHODS:
    assert all(getattr(c, function.__name__) is function for c in classes), function
assert Mine([1.0]).integrate_windows() == "mine"
assert Mine.set_dose_axis is cls.set_dose_axis
assert type(sys.modules[cls.__module__].__spec__).__name__ == "ModuleSpec", "left something"
"""
FIRST_IMPORTS = ["hyperspy.api", "exspy", "exspy.signals", "{class_module}", "hyperspy_dosekin"]


def run(code, path=(), **environment):
    """Run `code` where none of the three has been imported, in the first of `path`."""
    return fresh.run(code, path, path[0] if path else PACKAGE.parent, **environment)


@pytest.fixture(scope="module")
def next_exspy(tmp_path_factory):
    """Folder with the stub of the next exspy."""
    folder = tmp_path_factory.mktemp("next")
    for name, text in NEXT_EXSPY.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(inspect.cleandoc(text) + "\n", encoding="utf-8")
    # The rest of exspy's registrations stays, because GUI packages rely on its tool keys.
    registered = yaml.safe_load(
        Path(exspy.__file__).with_name("hyperspy_extension.yaml").read_text(encoding="utf-8")
    )
    for name in ("EELSSpectrum", "LazyEELSSpectrum"):
        registered["signals"][name]["module"] = "exspy.signals._eels"
    (folder / "exspy" / "hyperspy_extension.yaml").write_text(yaml.safe_dump(registered))
    return folder


@pytest.fixture(scope="module")
def eels_file(tmp_path_factory):
    """A file of signal type EELS, as exspy's own class saves it."""
    path = tmp_path_factory.mktemp("files") / "series.hspy"
    exspy.signals.EELSSpectrum([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).save(path)
    return path


@pytest.mark.parametrize("first", FIRST_IMPORTS)
@pytest.mark.parametrize("layout", ["installed", "next"])
def test_methods_are_there_after_any_first_import(layout, first, next_exspy, eels_file, tmp_path):
    if layout == "next":
        path, class_module, where = [next_exspy], "exspy.signals._eels", str(next_exspy)
    else:
        path, where = [tmp_path], str(Path(exspy.__file__).parent)
        class_module = exspy.signals.EELSSpectrum.__module__
    code = FIRST_LOOK.format(first=first.format(class_module=class_module))
    result = run(code + ALL_ROUTES.format(where=where, path=str(eels_file)), path)
    assert result.returncode == 0, result.stderr
    assert "hyperspy_dosekin" not in result.stderr, result.stderr


@pytest.mark.parametrize("first", ["exspy", "exspy.signals._eels"])
def test_stub_really_is_half_executed_when_the_hook_fires(first, next_exspy, tmp_path):
    """Without the part that waits for the end of the execution, the methods are missing."""
    naive = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, naive, ignore=shutil.ignore_patterns("__pycache__"))
    source = (naive / "_attach.py").read_text(encoding="utf-8")
    waiting = "    spec.__class__ = _WatchedSpec\n"
    assert source.count(waiting) == 1
    (naive / "_attach.py").write_text(source.replace(waiting, ""), encoding="utf-8")
    code = FIRST_LOOK.format(first=first) + "print(found)"
    result = run(code, [tmp_path, next_exspy])
    assert result.stdout.strip() == "False", result.stderr


def test_methods_are_attached_when_a_failed_import_is_repeated(next_exspy):
    code = """
    import os
    os.environ["BREAK_EXSPY"] = "1"
    try:
        import exspy.signals._eels
    except RuntimeError as error:
        assert "broken on request" in str(error)
    else:
        raise AssertionError("the stub did not fail")
    del os.environ["BREAK_EXSPY"]
    import exspy.signals._eels as module
    assert hasattr(module.EELSSpectrum, "integrate_windows")
    """
    result = run(code, [next_exspy])
    assert result.returncode == 0, result.stderr


def test_nothing_of_ours_can_break_the_import_of_hyperspy(tmp_path, next_exspy):
    """Not even a wrapt that cannot be imported, or a broken module of our own methods."""
    code = """
    import sys
    sys.modules[{missing!r}] = None
    import exspy
    import hyperspy.api as hs
    signal = hs.signals.Signal1D([1.0, 2.0, 3.0])
    signal.set_signal_type("EELS")
    assert type(signal) is exspy.signals.EELSSpectrum
    assert not hasattr(signal, "integrate_windows")
    """
    for missing in ("wrapt", "hyperspy_dosekin.signals.eels"):
        for path in ([tmp_path], [next_exspy]):
            result = run(code.format(missing=missing), path)
            assert result.returncode == 0, result.stderr
            assert "No methods" in result.stderr


def method_named(name):
    def function(self):
        """Do nothing."""

    function.__name__ = name
    return function


@pytest.fixture
def methods(monkeypatch):
    """Stand-ins for our methods."""
    functions = (method_named("one"), method_named("two"), method_named("three"))
    monkeypatch.setattr("hyperspy_dosekin.signals.eels.METHODS", functions)
    return functions


def test_names_of_exspy_stay(methods, caplog):
    class Base:
        def one(self):
            return "HyperSpy's"

    class Spectrum(Base):
        def two(self):
            return "exspy's"

    with caplog.at_level(logging.DEBUG, logger=_attach.__name__):
        _attach.attach(Spectrum)
        assert [record.levelname for record in caplog.records] == ["DEBUG", "DEBUG"]
        _attach.attach(Spectrum)
    assert (Spectrum().one(), Spectrum().two()) == ("HyperSpy's", "exspy's")
    assert Spectrum.three is methods[2]
    assert len(caplog.records) == 4, "our own method was taken for another's"


def module_in_execution(monkeypatch, name):
    module = types.ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__spec__._initializing = True
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.mark.parametrize("name", _attach.MODULE_NAMES)
def test_half_executed_module_is_extended_when_it_is_complete(methods, monkeypatch, name):
    module = module_in_execution(monkeypatch, name)
    _attach.install()
    assert module.__spec__._initializing
    module.EELSSpectrum = type("EELSSpectrum", (), {})
    assert not hasattr(module.EELSSpectrum, "one")
    module.__spec__._initializing = False
    assert module.EELSSpectrum.one is methods[0]
    assert type(module.__spec__) is ModuleSpec
    assert module.__spec__._initializing is False


def test_repeated_start_of_the_execution_is_not_its_end(methods, monkeypatch):
    module = module_in_execution(monkeypatch, _attach.MODULE_NAMES[1])
    _attach._on_import(module)
    module.EELSSpectrum = type("EELSSpectrum", (), {})
    module.__spec__._initializing = True
    assert not hasattr(module.EELSSpectrum, "one")
    module.__spec__._initializing = False
    assert hasattr(module.EELSSpectrum, "one")


def test_errors_are_logged_and_not_raised(monkeypatch, caplog):
    """The same as in fresh interpreters, where nobody measures the coverage."""
    module = types.ModuleType(_attach.MODULE_NAMES[0])
    module.EELSSpectrum = type("EELSSpectrum", (), {})
    monkeypatch.setitem(sys.modules, "hyperspy_dosekin.signals.eels", None)
    _attach._on_import(module)
    monkeypatch.setitem(sys.modules, "wrapt", None)
    _attach.install()
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert all(record.exc_info for record in caplog.records)


def test_execution_that_ends_in_another_thread_meanwhile_is_noticed(methods, monkeypatch):
    """It ends after the class was found missing, and before the spec is watched."""
    module = module_in_execution(monkeypatch, _attach.MODULE_NAMES[1])
    wait = _attach._call_when_executed

    def finish():
        module.EELSSpectrum = type("EELSSpectrum", (), {})
        module.__spec__._initializing = False

    def finish_elsewhere_then_wait(spec):
        thread = threading.Thread(target=finish)
        thread.start()
        thread.join()
        wait(spec)

    monkeypatch.setattr(_attach, "_call_when_executed", finish_elsewhere_then_wait)
    _attach._on_import(module)
    assert module.EELSSpectrum.one is methods[0]
    assert type(module.__spec__) is ModuleSpec


def test_module_without_the_class_is_left_alone(monkeypatch, caplog):
    """A deprecated module that forwards names must not be made to warn."""
    module = types.ModuleType(_attach.MODULE_NAMES[0])

    def forward(name):
        raise AssertionError(f"asked for {name}")

    module.__getattr__ = forward
    module.__spec__ = ModuleSpec(module.__name__, None)
    with caplog.at_level(logging.DEBUG, logger=_attach.__name__):
        _attach._on_import(module)
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


def test_signature_and_help_are_those_of_the_function():
    from hyperspy_dosekin.signals.eels import METHODS

    for function in METHODS:
        method = getattr(exspy.signals.EELSSpectrum, function.__name__)
        assert inspect.signature(method) == inspect.signature(function)
        assert len(inspect.getdoc(method)) > 200
        assert method.__module__.startswith("hyperspy_dosekin")


def test_public_arguments_have_their_names():
    spectrum = exspy.signals.EELSSpectrum([1.0, 2.0])
    contract = {
        "set_dose_axis": [
            *("dose", "axis", "dose_rate", "frame_time", "beam_current", "area", "pre_exposure")
        ],
        "integrate_windows": ["windows", "dose_axis"],
        "fit_dose_pinn": ["windows"],
    }
    for name, arguments in contract.items():
        parameters = inspect.signature(getattr(spectrum, name)).parameters
        assert set(arguments) <= set(parameters), name
        assert next(iter(parameters)) == arguments[0]
        assert all(
            parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD)
            for parameter in list(parameters.values())[1:]
        )


def test_saved_files_stay_exspys(tmp_path):
    signal = exspy.signals.EELSSpectrum([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    signal.set_dose_axis([10.0, 20.0])
    for each in (signal, signal.as_lazy()):
        path = tmp_path / f"lazy-{each._lazy}.hspy"
        each.save(path)
        with h5py.File(path) as file:
            (experiment,) = file["Experiments"].values()
            assert experiment.attrs["package"] == "exspy"
        loaded = hs.load(path)
        assert type(loaded) is exspy.signals.EELSSpectrum
        assert loaded.axes_manager["dose"].units == signal.axes_manager["dose"].units


def test_signals_are_copied_as_before():
    signal = exspy.signals.EELSSpectrum([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    for twin in (copy.deepcopy(signal), signal.deepcopy()):
        assert type(twin) is type(signal)
        assert (twin.data == signal.data).all()
        assert twin.set_dose_axis.__func__ is signal.set_dose_axis.__func__


def test_class_and_methods_are_pickled_by_reference():
    """Signals themselves cannot be pickled in HyperSpy; what dask sends to workers can."""
    cls = exspy.signals.EELSSpectrum
    for thing in (cls, cls.integrate_windows, cls.fit_dose_pinn):
        for pickler in (pickle, cloudpickle):
            sent = pickler.dumps(thing)
            assert len(sent) < 200, "sent by value"
            assert pickle.loads(sent) is thing
