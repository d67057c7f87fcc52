# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fuzz test is run, and what it may not find.

``make test`` runs a short profile, the same examples every time. ``make fuzz`` runs as many as one
likes, each round with a seed of its own, and does not stop at a find; see ``run.py``.
"""

import functools
import inspect
import json
import os
import time
import traceback
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import hyperspy_dosekin

OURS = Path(hyperspy_dosekin.__file__).parent
#: How many times the examples of the short profile.
FACTOR = float(os.environ.get("FUZZ_FACTOR", "1"))
#: Seed of a round of the long profile; none in the short one, whose examples never change.
SEED = os.environ.get("FUZZ_SEED")
#: Built-in exceptions that a user can do something about.
CLEAR = (
    *(ValueError, TypeError, KeyError, NotImplementedError, FileNotFoundError),
    # Of properties that a result of this kind does not have.
    AttributeError,
)
#: A sentence, not the number or name that NumPy or a mapping raises.
SHORTEST_MESSAGE = 20

#: File that the long profile adds a line to for each test: how many examples, and what they found.
RECORD = os.environ.get("FUZZ_RECORD")
#: Of one kind of find so many examples are kept.
KEPT = 2


class Material:
    """Draws what a test needs, and remembers it for the record."""

    def __init__(self, data):
        self.data, self.drawn = data, []

    def draw(self, strategy):
        """Draw from a strategy."""
        found = self.data.draw(strategy)
        self.drawn.append(found)
        return found


def fuzz(examples, often=1):
    """Run a test on drawn material, some examples in the short profile.

    In the long one, `often` times as many where an example takes milliseconds.
    """
    number = examples * FACTOR * (often if RECORD else 1)

    def decorate(test):
        state = {"examples": 0, "finds": {}}

        @functools.wraps(test)
        def run_one(data):
            material = Material(data)
            if RECORD is None:
                test(material)
                return
            try:
                test(material)
            except Exception as error:
                if type(error).__module__.startswith("hypothesis"):
                    raise
                kind = kind_of(error)
                state["finds"][kind] = state["finds"].get(kind, 0) + 1
                if state["finds"][kind] <= KEPT:
                    record(
                        test=test.__name__,
                        kind=kind,
                        drawn=[shown(each) for each in material.drawn],
                        trace=traceback.format_exc()[-3000:],
                    )
            state["examples"] += 1

        # Nothing is made smaller in the long profile: that takes longer than to find it again.
        phases = [Phase.generate] if RECORD else list(Phase)
        signature = inspect.Signature(
            [inspect.Parameter("data", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        )
        run_one.__signature__ = signature
        run = settings(
            max_examples=max(1, round(number)),
            deadline=None,
            derandomize=SEED is None,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        )(given(data=st.data())(run_one))
        run = run if SEED is None else seed(int(SEED))(run)

        @functools.wraps(test)
        def whole():
            began = time.process_time()
            run()
            if RECORD is not None:
                seconds = round(time.process_time() - began, 2)
                record(test=test.__name__, seed=SEED, seconds=seconds, **state)

        whole.__signature__ = inspect.Signature()
        return whole

    return decorate


def record(**entry):
    """Add a line to the record."""
    with open(RECORD, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def kind_of(error):
    """What makes two finds the same: the exception and where it came from."""
    cause = error.__cause__ or error
    frames = [
        f for f in traceback.extract_tb(cause.__traceback__) if OURS in Path(f.filename).parents
    ]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "test"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(cause).__name__} {place} {last.name}:{last.lineno} {str(cause)[:60]!r}"


def shown(thing):
    """A thing in few words."""
    if hasattr(thing, "axes_manager"):
        axes = [str(axis.get_axis_dictionary()) for axis in thing.axes_manager._axes]
        metadata = str(thing.metadata.as_dictionary())[:300]
        return f"{type(thing).__name__} {thing.data.dtype} {axes} {metadata}".encode(
            "ascii", "backslashreplace"
        ).decode()
    if isinstance(thing, np.ndarray):
        return f"{thing.dtype} {thing.shape} {thing.ravel()[:6]!r}"
    return ascii(thing)[:300]


class Unclear(AssertionError):
    """A call that failed in a way that tells the user nothing."""


def attempt(call, *inputs, **named):
    """Call a public function; ``None`` where it refuses in clear words.

    Fails where the exception is of another kind or from somewhere else, NumPy warns, or an input
    was changed.
    """
    watched = [*inputs, *named.values()]
    before = [fingerprint(each) for each in watched]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        try:
            found = call(*inputs, **named)
        except Exception as error:
            require_clear(error)
            found = None
    for thing, old in zip(watched, before, strict=True):
        assert same(fingerprint(thing), old), f"an input was changed: {thing!r}"
    return found


def require_clear(error):
    """Raise unless an exception is a built-in one of our making that says what to do."""
    frames = traceback.extract_tb(error.__traceback__)
    where = Path(frames[-1].filename)
    text = str(error.args[0]) if error.args else ""
    said = OURS in where.parents and "raise" in (frames[-1].line or "")
    if type(error) not in CLEAR or not said or len(text) < SHORTEST_MESSAGE:
        raise Unclear(f"{type(error).__name__} from {where.name}: {text!r}") from error


def fingerprint(thing):
    """What must not change of an argument: values, axes and metadata."""
    if hasattr(thing, "axes_manager"):
        data = thing.data
        data = (data.name, data.chunks) if isinstance(data, da.Array) else np.array(data)
        metadata = str(thing.metadata.as_dictionary())
        return data, str(thing.axes_manager.as_dictionary()), metadata
    if isinstance(thing, np.ndarray):
        return thing.copy()
    return repr(thing)


def same(one, other):
    """Whether two things hold the same numbers, NaN being equal to NaN."""
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        try:
            np.testing.assert_array_equal(one, other)
        except AssertionError:
            return False
        return True
    return one == other


def numbers(thing):
    """The numbers of a signal or array, computed where it is lazy."""
    data = getattr(thing, "data", thing)
    return np.asarray(data.compute() if isinstance(data, da.Array) else data)


def parameters_of(function):
    """Names of the arguments that a public function shows, but the first."""
    return list(inspect.signature(function).parameters)[1:]
