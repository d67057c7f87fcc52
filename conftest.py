# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for every test and doctest: no window opens, no figure stays, Torch is left as found."""

import functools
import gc
import importlib.util
import logging
import os
import pickle
import sys
from dataclasses import replace

import pytest
import wrapt

# HyperSpy says once per process that numba is missing, which a doctest would take for its output.
logging.getLogger("hyperspy.decorators").setLevel(logging.ERROR)

# Nor does an example have to end in 200 ms, as Hypothesis has it: no test asserts a time.
if importlib.util.find_spec("hypothesis"):
    from hypothesis import settings

    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")

# Before anything imports matplotlib, and inherited by the subprocesses of the tests.
os.environ["MPLBACKEND"] = "Agg"


# Files that are for extras which are not installed.
collect_ignore_glob = [
    place
    for name, place in {
        "traitsui": "hyperspy_dosekin/gui/traitsui/*",
        "libertem": "hyperspy_dosekin/libertem/udf.py",
    }.items()
    if importlib.util.find_spec(name) is None
]


@pytest.fixture(autouse=True)
def names_in_examples(request):
    """Examples in docstrings know what those of HyperSpy know, and this package."""
    if hasattr(request.node, "dtest"):
        import hyperspy.api as hs
        import numpy as np

        import hyperspy_dosekin

        names = {"hs": hs, "np": np, "hyperspy_dosekin": hyperspy_dosekin}
        request.getfixturevalue("doctest_namespace").update(names)


_at_import = {}


@wrapt.when_imported("hyperspy.misc._utils")
def _remember_names(utils):
    """Make each name of metadata once: HyperSpy does at every look, a tenth of the tests' time."""
    make = utils.slugify
    remembered = functools.lru_cache(10_000)(make)

    def slugify(value, valid_variable_name=False):
        return (remembered if type(value) is str else make)(value, valid_variable_name)

    utils.slugify = slugify


@wrapt.when_imported("hyperspy.events")
def _remember_code(events):
    """Read the few lines of code of HyperSpy's events once, not for each of them; leave out what
    only a reader of their docstrings would miss."""
    read = functools.lru_cache(100)(functools.partial(compile, filename="<string>", mode="exec"))
    events.exec = lambda code, *names: exec(read(code), *names)
    events.Events._update_doc = lambda self: None


@wrapt.when_imported("traits.observation._observe")
def _look_for_no_trait_that_is_there(observe):
    """Do not watch for a trait to be added that is there: a quarter of the time a signal takes."""
    from traits.observation._has_traits_helpers import object_has_named_trait
    from traits.observation._named_trait_observer import NamedTraitObserver

    watch = observe._AddOrRemoveNotifier._add_or_remove_extra_graphs

    def watch_if_absent(self):
        of = self.graph.node
        if type(of) is not NamedTraitObserver or not object_has_named_trait(self.object, of.name):
            watch(self)

    observe._AddOrRemoveNotifier._add_or_remove_extra_graphs = watch_if_absent


@wrapt.when_imported("torch")
def _remember_torch(_torch):
    """Keep what Torch's own import leaves: a test may be the first to import it."""
    _at_import.update(_torch_state())


def _torch_state():
    """Global settings of Torch, by name."""
    torch = sys.modules["torch"]
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "thread count": torch.get_num_threads(),
        "deterministic flag": torch.are_deterministic_algorithms_enabled(),
        "gradient mode": torch.is_grad_enabled(),
        "state of the global generator": torch.get_rng_state().numpy().tobytes(),
    }


def _restore_torch(state):
    """Put Torch back, so that one leak fails one test and not all that follow."""
    import numpy as np

    torch = sys.modules["torch"]
    torch.set_default_dtype(state["default dtype"])
    torch.set_default_device(state["default device"])
    torch.set_num_threads(state["thread count"])
    torch.use_deterministic_algorithms(state["deterministic flag"])
    torch.set_grad_enabled(state["gradient mode"])
    generator_state = np.frombuffer(state["state of the global generator"], dtype=np.uint8)
    torch.set_rng_state(torch.from_numpy(generator_state.copy()))


@pytest.fixture(autouse=True)
def torch_leaves_no_trace():
    """Fail a test that changes a global setting of Torch; does not import Torch itself."""
    before = _torch_state() if _at_import else None
    yield
    if not _at_import:
        return
    before = before or _at_import
    after = _torch_state()
    leaked = [name for name in before if before[name] != after[name]]
    if leaked:
        _restore_torch(before)
        pytest.fail(f"Torch's global state was changed: {', '.join(leaked)}.")


@pytest.fixture(autouse=True)
def figures_are_closed():
    """Close what a test has drawn."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


#: Where the longest files are. They come first, so that no worker begins one when the others end.
LONG = (
    "tests/e2e/",
    "tests/test_",
    "tests/signals/",
    "tests/classification/",
    "tests/gui/",
    "tests/faults/",
    "tests/distributed/",
    "tests/fuzz/",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Put the long files first; what is in a file stays in its order."""

    def place(item):
        return next((n for n, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG))

    items.sort(key=place)


def pytest_configure():
    """Search for cycles less often: HyperSpy makes some ten thousand objects for each signal."""
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_finish():
    """Keep what is there for good out of the search for cycles, a quarter of the tests' time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """Do the same after each file, whose fixtures are gone: what is left stays."""
    yield
    if nextitem is None or nextitem.path != item.path:
        pytest_collection_finish()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With ``--dist loadfile``, let all tests in a browser be one file: one browser at a time."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class OneBrowser(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return "tests/e2e" if nodeid.startswith("tests/e2e/") else super()._split_scope(nodeid)

    return OneBrowser(config, log)


_trained = {}


@pytest.fixture(autouse=True)
def examples_train_once(request, monkeypatch):
    """Let examples in docstrings that train the same model on the same data share it."""
    text = getattr(getattr(request.node, "dtest", None), "docstring", "")
    if "classify_vae(" not in text and "DualVAE(" not in text:
        return
    from hyperspy_dosekin.classification import fitting

    train = fitting.fit_model

    def train_or_remember(*problem, device="cpu", progress=None, stop=None, **given):
        key = pickle.dumps((problem, given, str(device)))
        if key not in _trained:
            watchers = {"progress": progress, "stop": stop}
            watchers = {name: each for name, each in watchers.items() if each is not None}
            _trained[key] = train(*problem, device=device, **given, **watchers)
        return replace(_trained[key], report=dict(_trained[key].report))

    monkeypatch.setattr(fitting, "fit_model", train_or_remember)


_joint = {}


@pytest.fixture(autouse=True)
def examples_fit_jointly_once(request, monkeypatch):
    """Let examples in docstrings that fit the same series jointly share what was found."""
    text = getattr(getattr(request.node, "dtest", None), "docstring", "")
    if "fit_dose_jointly(" not in text:
        return
    from hyperspy_dosekin.kinetics.joint import fit as module

    make = module.fit_jointly

    def fit_or_remember(*problem, **options):
        key = pickle.dumps((problem, options))
        if key not in _joint:
            _joint[key] = make(*problem, **options)
        return _joint[key]

    monkeypatch.setattr(module, "fit_jointly", fit_or_remember)
