# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file of a package imports which, read from their text and not by importing them."""

import ast
import functools
import re
from collections import defaultdict
from pathlib import Path

#: Functions that import what a string names, and built-in ones that run it.
IMPORTERS = {"import_module", "find_spec", "resolve_name", "run_module", "run_path"}
BUILT_IN = {"__import__", "exec", "eval"}
#: Parts of this package that import HyperSpy; the others run without it.
SPEAK_HYPERSPY = {"signals", "components", "gui", "data", "libertem"}


def module_of(path, root):
    """Dotted name of a file below the folder that holds the package."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path, root):
    """Absolute names of what a file imports, anywhere in it: in functions, and for types only."""
    return _imports_of(path.read_text(encoding="utf-8"), path.relative_to(root).with_suffix(""))


@functools.cache
def _read(text):
    """Imports of a file, lines and texts of strings that are no docstrings, and names it uses."""
    nodes = list(ast.walk(ast.parse(text)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    strings = [
        (node.lineno, node.value)
        for node in nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return imports, strings, attributes, names


def _imports_of(text, inside):
    found, parts = [], list(inside.parts)
    for node in _read(text)[0]:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            found += [f"{module}.{alias.name}" for alias in node.names]
    return found


def arrows_of(package):
    """Modules of a package, each with the set of those that it imports.

    A name that comes through the ``__init__.pyi`` of a folder counts for the file that defines it.
    """
    package = Path(package)
    root = package.parent
    files = {module_of(path, root): path for path in package.rglob("*.py")}
    handed_on = {
        f"{module_of(stub, root)}.{name.rpartition('.')[2]}": name
        for stub in package.rglob("*.pyi")
        for name in imports_of(stub, root)
    }
    arrows = {module: set() for module in files}
    for module, path in files.items():
        for name in imports_of(path, root):
            while name in handed_on:
                name = handed_on[name]
            while name and name not in files:
                name = name.rpartition(".")[0]
            if name and name != module:
                arrows[module].add(name)
    return arrows


def circles_of(arrows):
    """Groups that import each other in a loop, as frozen sets."""
    reach = {}
    for start in arrows:
        seen, waiting = set(), [start]
        while waiting:
            new = arrows.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        reach[start] = seen
    return {
        frozenset(other for other in reach[one] if one in reach[other])
        for one in arrows
        if one in reach[one]
    }


def rooms_of(arrows, folder):
    """The same between the rooms of a folder: its files, and its folders each as one."""
    prefix = f"{folder}."
    rooms = defaultdict(set)
    for module, others in arrows.items():
        if module.startswith(prefix):
            room = module.removeprefix(prefix).split(".")[0]
            found = {o.removeprefix(prefix).split(".")[0] for o in others if o.startswith(prefix)}
            rooms[room] |= found - {room}
    return dict(rooms)


def named_in_strings(package):
    """Strings that name a module of the package, or begin to: ``(file, line, text)``.

    Docstrings may name what they like, and a message may tell a person of a function.
    """
    package = Path(package)
    root = package.parent
    modules = {module_of(path, root) for path in package.rglob("*.py")} - {package.name}
    within = {module.partition(".")[2] for module in modules}
    for path in sorted(package.rglob("*.py")):
        for line, text in _read(path.read_text(encoding="utf-8"))[1]:
            words = re.findall(rf"{package.name}(?:\.\w+)+", text)
            whole = text.strip(".")
            if (
                not modules.isdisjoint(words)
                # One that is put together, one with a name in it, one that is relative.
                or text == f"{package.name}."
                or (words == [text] and text.rpartition(".")[0] in modules)
                or ("." in text and whole in within)
            ):
                yield path.relative_to(package).as_posix(), line, text


def imports_by_name(package):
    """Files that use a function which imports what a string or a variable names."""
    package = Path(package)
    for path in sorted(package.rglob("*.py")):
        imports, _, attributes, names = _read(path.read_text(encoding="utf-8"))
        from_others = [node for node in imports if isinstance(node, ast.ImportFrom)]
        taken = {alias.name for node in from_others for alias in node.names}
        if (attributes | taken) & IMPORTERS or names & BUILT_IN:
            yield path.relative_to(package).as_posix()
