# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every public name says what it is, what it takes, what it gives back, and shows it."""

import importlib
import inspect
from pathlib import Path

import pytest

import hyperspy_dosekin
from hyperspy_dosekin.signals import eels

pytest.importorskip("numpydoc")
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate

PACKAGE = Path(hyperspy_dosekin.__file__).parent

#: What numpydoc finds at fault that we take for a fault too. Types stand in the signature only
#: (PR04, RT02, RT03 … are therefore not asked for).
FAULTS = {
    "GL01",  # text begins on the line of the quotes
    "GL02",
    "GL03",  # two blank lines
    "GL06",  # a section that does not exist
    "GL07",  # sections in another order
    "GL08",  # no docstring
    "SS01",  # no summary
    "SS02",  # summary begins without capital
    "SS03",  # summary without full stop
    "SS06",  # summary of several lines
    "PR01",  # parameter not documented
    "PR02",  # parameter that is not there
    "PR03",  # parameters in another order
    "PR07",  # parameter without description
    "RT01",  # what is returned is not documented
    "YD01",
}
#: Of these, what is asked of a method that overrides one: the contract is documented once.
FAULTS_OF_OVERRIDING = {code for code in FAULTS if code[:2] in ("GL", "SS")}


#: Results, which methods make and users do not: the arguments of their constructors are plumbing.
RESULTS = {"DoseKinetics", "LiveClassifier", "LiveStream", "VAEClassification"}


def modules():
    """Every module that has a list of public names."""
    for stub in sorted(PACKAGE.rglob("__init__.pyi")):
        parts = stub.parent.relative_to(PACKAGE.parent).parts
        yield importlib.import_module(".".join(parts))


def is_ours(thing):
    return getattr(thing, "__module__", "").startswith("hyperspy_dosekin")


def members(cls):
    """Public methods and properties that the package wrote, mixins and all, by name."""
    found = {}
    for base in reversed(inspect.getmro(cls)):
        if not is_ours(base):
            continue
        for name, member in vars(base).items():
            function = member.fget if isinstance(member, property) else member
            function = getattr(function, "__func__", function)  # class and static methods
            if not is_ours(function):
                continue  # of HyperSpy, with a hook
            if not name.startswith("_") and (
                inspect.isfunction(function) or isinstance(member, property)
            ):
                found[name] = member
    return found


def public():
    """(name to import by, thing), each thing once."""
    seen = {}
    for module in modules():
        for name in module.__all__:
            thing = getattr(module, name)
            if not (inspect.isclass(thing) or inspect.isfunction(thing)) or id(thing) in seen:
                continue
            seen[id(thing)] = (f"{thing.__module__}.{thing.__qualname__}", thing)
    for function in eels.METHODS:
        seen[id(function)] = (f"{function.__module__}.{function.__qualname__}", function)
    yield from seen.values()


def overrides(cls, name):
    """Whether a base class of any package has that member too."""
    return sum(name in vars(base) for base in inspect.getmro(cls)) > 1


def documented():
    """(name, thing, what would be a fault, whether an example is due)."""
    for name, thing in public():
        # The lazy twin of a class is the class.
        if inspect.isclass(thing) and thing.__name__.startswith("Lazy"):
            continue
        made_elsewhere = inspect.isclass(thing) and (
            thing.__name__ in RESULTS or not is_ours(thing.__init__)
        )
        yield name, thing, FAULTS - {"PR01"} if made_elsewhere else FAULTS, True
        if not inspect.isclass(thing):
            continue
        for member, code in members(thing).items():
            if overrides(thing, member):
                yield f"{name}.{member}", code, FAULTS_OF_OVERRIDING, False
            else:
                yield f"{name}.{member}", code, FAULTS, not isinstance(code, property)


NAMES = {name: rest for name, *rest in documented()}
WITH_EXAMPLE = [name for name, (_, _, due) in NAMES.items() if due]


def errors(thing):
    """What numpydoc has to say, by code."""
    thing = getattr(thing, "__func__", thing)
    return dict(validate(get_doc_object(thing))["errors"])


def test_there_are_names():
    assert len(NAMES) > 100


@pytest.mark.parametrize("name", NAMES)
def test_docstring_is_complete(name):
    thing, faults, _ = NAMES[name]
    assert {code: text for code, text in errors(thing).items() if code in faults} == {}


@pytest.mark.parametrize("name", WITH_EXAMPLE)
def test_docstring_shows_an_example(name):
    assert ">>> " in (inspect.getdoc(NAMES[name][0]) or "")


def test_what_is_missing_is_seen():
    """Proof that the test of completeness can fail."""

    def bare(argument):
        """Return something."""
        return argument

    assert {"PR01", "RT01"} <= set(errors(bare))


def test_reference_lists_every_public_name():
    page = (PACKAGE.parent / "docs/reference/index.rst").read_text(encoding="utf-8")
    listed = {line.split(".")[-1].strip() for line in page.splitlines() if line.startswith("   ")}
    missing = {thing.__name__ for _, thing in public()} - listed
    assert not missing, "add them to docs/reference/index.rst"
