# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, and what may not be imported at the start."""

import ast
import inspect
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import hyperspy_dosekin
from tests.arrows import (
    SPEAK_HYPERSPY,
    arrows_of,
    circles_of,
    imports_by_name,
    imports_of,
    named_in_strings,
    rooms_of,
)
from tests.patience import PROCESS

PACKAGE = Path(hyperspy_dosekin.__file__).parent

#: The arrow of dependence: each part, and the other parts that it may import.
KERNELS = {"windows", "processing", "kinetics", "classification", "plotting", "dose"}
MAY_IMPORT = {
    "numerics": set(),
    "lazy": {"numerics"},
    **{part: {"numerics"} for part in KERNELS},
    "components": {*KERNELS, "numerics"},
    "data": {*KERNELS, "numerics", "components", "signals", "lazy"},
    "libertem": {*KERNELS, "numerics", "signals"},
    "signals": {*KERNELS, "numerics", "components", "lazy"},
    "gui": {*KERNELS, "numerics", "components", "signals", "data", "lazy"},
}
PARTS = sorted(
    path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"
)
HEAVY = ["torch", "sklearn", "matplotlib"]
#: The floors of a house within the house, from the ground up: a room imports from floors below its
#: own, and nothing from its own floor.
FLOORS = {
    "kinetics": [
        {"laws"},
        {"curves", "design"},
        {"model", "simulation"},
        {"estimate"},
        {"posterior", "network"},
        {"identifiability"},
        {"block"},
        {"pooled_noise", "planning", "adequacy", "conditions", "live"},
        {"comparison", "field", "joint", "spectra"},
    ],
    "processing": [
        {"batches", "background", "glitches", "missing", "divided_counts", "spikes"},
        {"shifting"},
        {"low_loss", "core_loss"},
    ],
    "plotting": [
        {"style"},
        {"layout", "scale_bar"},
        {"kinetics", "classification", "spectra"},
    ],
    "signals": [
        {"axes", "progress", "chunk_advice", "signatures", "files", "results"},
        {"drawing"},
        {"kinetics", "processing"},
        {"tools"},
        {"classification", "windows", "spectra"},
        {"eels", "live"},
        {"load"},
    ],
    "signals.kinetics": [
        {"options", "data"},
        {"numbers"},
        {"result"},
        {"fit", "conditions", "spectra"},
        {"dose_series", "joint"},
        {"planning", "comparison"},
    ],
    "gui": [
        {"worker", "opening"},
        {"kinetics", "classification"},
        {"tools"},
        {"ipywidgets", "traitsui"},
    ],
}
#: Folders in which files, and houses in which rooms, import each other in a loop. To be mended: who
#: mends one takes it out here.
CIRCLES_TO_MEND: set[str] = set()
FLOORS_TO_MEND: set[str] = set()
#: Where something is imported by a name in a string, which this file cannot follow: packages of
#: others that may not be installed.
IMPORT_BY_NAME = {
    "classification/live/missing.py",
    "gui/ipywidgets/__init__.py",
    "gui/traitsui/__init__.py",
    "signals/tools.py",
}
TESTS = Path(__file__).parent
#: Folders of tests that belong to no single part: machines, browsers, what is killed or forged.
ACROSS = {"distributed", "e2e", "faults", "fuzz", "gpu"}
#: Houses of which each room has a folder of tests.
MIRRORED = ("signals/kinetics",)


def files_of(part):
    files = [*(PACKAGE / part).rglob("*.py"), *(PACKAGE / part).rglob("*.pyi")]
    assert files
    return files


def python(code, *arguments, **environment):
    """What a fresh interpreter prints, as JSON."""
    result = subprocess.run(
        [sys.executable, "-c", inspect.cleandoc(code), *arguments],
        env={**os.environ, **environment},
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=PROCESS,
    )
    assert result.returncode == 0, result.stderr
    # HyperSpy's log goes to the same stream, before.
    return json.loads(result.stdout.splitlines()[-1])


def test_every_part_has_its_place_in_the_arrow():
    assert set(PARTS) <= set(MAY_IMPORT), "say in MAY_IMPORT where the new part belongs"


def test_arrow_has_no_cycle():
    remaining = dict(MAY_IMPORT)
    while remaining:
        free = {part for part, allowed in remaining.items() if not allowed & set(remaining)}
        assert free, f"cycle among {sorted(remaining)}"
        remaining = {part: allowed for part, allowed in remaining.items() if part not in free}


@pytest.mark.parametrize("part", PARTS)
def test_imports_follow_the_arrow(part):
    allowed = {part, *MAY_IMPORT[part]}
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in files_of(part)
        for name in imports_of(path, PACKAGE.parent)
        if name.startswith("hyperspy_dosekin.")
        and name.split(".")[1] not in {*allowed, "__version__"}
    ]
    assert not wrong


@pytest.fixture(scope="module")
def arrows():
    return arrows_of(PACKAGE)


def test_files_do_not_import_in_circles(arrows):
    """Also not within functions, and not for types only."""
    places = {}
    for circle in circles_of(arrows):
        paths = [module.replace(".", "/") for module in sorted(circle)]
        place = os.path.commonpath(paths).removeprefix("hyperspy_dosekin").strip("/")
        places[place] = paths
    new = {place: circle for place, circle in places.items() if place not in CIRCLES_TO_MEND}
    assert not new, "files import each other in a loop"
    assert set(places) == CIRCLES_TO_MEND, "mended: take it out of CIRCLES_TO_MEND"


@pytest.mark.parametrize("part", sorted(FLOORS))
def test_no_arrow_runs_back_up(part, arrows):
    rooms = rooms_of(arrows, f"hyperspy_dosekin.{part}")
    floor = {room: number for number, names in enumerate(FLOORS[part]) for room in names}
    assert set(floor) == set(rooms), f"say in FLOORS on which floor of {part} the room belongs"
    upwards = sorted(
        f"{room} imports {other}"
        for room, others in rooms.items()
        for other in others
        if floor[other] >= floor[room]
    )
    if part in FLOORS_TO_MEND:
        assert upwards, f"mended: take {part} out of FLOORS_TO_MEND"
    else:
        assert not upwards


@pytest.mark.parametrize("part", sorted(set(PARTS) - set(FLOORS)))
def test_rooms_of_other_parts_are_in_some_order(part, arrows):
    assert not circles_of(rooms_of(arrows, f"hyperspy_dosekin.{part}"))


def test_tests_mirror_the_package():
    rooms = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    strange = {str(room) for room in rooms if not (PACKAGE / room).is_dir()}
    assert strange == ACROSS, "a folder of tests has the name of the folder that it tests"
    for house in MIRRORED:
        parts = {path.parent.relative_to(PACKAGE) for path in (PACKAGE / house).rglob("*.py")}
        assert parts <= rooms, "a new room has a folder of tests"


def test_every_study_is_in_the_list_of_benchmarks(monkeypatch):
    folder = Path(__file__).resolve().parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    listed = {each.script for each in runpy.run_path(str(folder / "run.py"))["BENCHMARKS"]}
    scripts = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert listed == scripts - {"run.py"}


def test_no_module_is_named_in_a_string():
    assert [found for found in named_in_strings(PACKAGE) if found[0] != "_attach.py"] == []
    assert set(imports_by_name(PACKAGE)) == IMPORT_BY_NAME


@pytest.mark.parametrize(
    "text",
    [
        "from house.kitchen import cook",
        "def f():\n    from house.kitchen import cook",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house import kitchen",
        "from .kitchen import cook",
        "from house import cook",
    ],
)
def test_circles_are_seen(tmp_path, text):
    """Proof that the test of circles can fail, whatever the way of the import."""
    house = tmp_path / "house"
    house.mkdir()
    (house / "__init__.py").write_text("")
    (house / "__init__.pyi").write_text("from .kitchen import cook")
    (house / "kitchen.py").write_text("import house.cellar")
    (house / "cellar.py").write_text(text)
    assert circles_of(arrows_of(house)) == {frozenset({"house.kitchen", "house.cellar"})}


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ('load("house.kitchen")', True),
        ('load("house.kitchen:cook")', True),
        ('load("house.kitchen.cook")', True),
        ('load("." + "kitchen", "house")', False),
        ('load(".kitchen", "house")', True),
        ('load("house." + name)', True),
        ('load(f"house.{name}")', True),
        ('raise ValueError("call house.cook")', False),
        ('"""See house.kitchen."""', False),
    ],
)
def test_names_in_strings_are_seen(tmp_path, line, seen):
    house = tmp_path / "house"
    house.mkdir()
    (house / "kitchen.py").write_text("")
    (house / "cellar.py").write_text(line)
    assert bool(list(named_in_strings(house))) is seen


def test_imports_by_name_are_seen(tmp_path):
    """Whatever the string says: it can be put together."""
    house = tmp_path / "house"
    house.mkdir()
    for place, line in enumerate(
        (
            "import importlib\nimportlib.import_module(x)",
            "from importlib import import_module as load\nload(x)",
            "__import__(x)",
            "exec(x)",
        )
    ):
        (house / f"room_{place}.py").write_text(line)
    assert len(set(imports_by_name(house))) == 4


@pytest.mark.parametrize("part", PARTS)
def test_only_the_outer_parts_speak_to_hyperspy(part):
    names = {
        name.split(".")[0] for path in files_of(part) for name in imports_of(path, PACKAGE.parent)
    }
    assert part in SPEAK_HYPERSPY or not names & {"hyperspy", "exspy"}


@pytest.mark.parametrize("part", PARTS)
def test_lazy_is_the_only_doorway_to_dask(part):
    names = {
        name.split(".")[0] for path in files_of(part) for name in imports_of(path, PACKAGE.parent)
    }
    assert part == "lazy" or not names & {"dask", "distributed"}


# HyperSpy and exspy import matplotlib themselves, also when it is we who import HyperSpy. We are to
# blame if, from the import outwards, a file of ours comes before one of theirs.
WATCH_IMPORTS = """
import json, sys
blamed = set()
class Watch:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1) if name in HEAVY else None
        while frame is not None:
            owner = frame.f_globals.get("__name__", "").split(".")[0]
            if owner in ("hyperspy", "exspy"):
                break
            if owner == "hyperspy_dosekin":
                blamed.add(name)
            frame = frame.f_back
sys.meta_path.insert(0, Watch())
"""


def blamed_for(code, *arguments):
    lines = [f"HEAVY = {HEAVY!r}", WATCH_IMPORTS, inspect.cleandoc(code)]
    return python("\n".join([*lines, "print(json.dumps(sorted(blamed)))"]), *arguments)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Files of the two kinds that people open: EELS, and our own."""
    import hyperspy.api as hs

    folder = tmp_path_factory.mktemp("files")
    paths = []
    for signal_type in ("EELS", "DoseSeries"):
        signal = hs.signals.Signal1D([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        signal.set_signal_type(signal_type)
        paths.append(str(folder / f"{signal_type}.hspy"))
        signal.save(paths[-1])
    return paths


def test_start_imports_nothing_heavy_through_us(saved):
    code = """
    import hyperspy.api as hs
    assert "hyperspy_dosekin" in sys.modules
    hs.signals.Signal1D
    for path in sys.argv[1:]:
        signal = hs.load(path)
        signal.as_lazy()
    assert hasattr(hs.load(sys.argv[1]), "fit_dose_pinn")
    assert type(hs.load(sys.argv[2])).__module__.startswith("hyperspy_dosekin")
    """
    assert blamed_for(code, *saved) == []


def test_start_does_not_import_exspy_or_our_parts():
    """The registrations are read, nothing more."""
    code = """
    import json, sys
    import hyperspy.api as hs
    hs.signals
    names = [name for name in sys.modules if name.split(".")[0] in ("exspy", "hyperspy_dosekin")]
    print(json.dumps(sorted(names)))
    """
    assert python(code) == ["hyperspy_dosekin", "hyperspy_dosekin._attach"]


def test_own_import_is_light():
    code = """
    import json, sys
    import hyperspy_dosekin
    names = {name.split(".")[0] for name in sys.modules}
    print(json.dumps(sorted(names & set(sys.argv[1:]))))
    """
    heavy = [*HEAVY, "hyperspy", "exspy", "scipy", "dask", "numpy"]
    assert python(code, *heavy) == []


def test_watch_sees_an_import_through_us(tmp_path):
    """Proof that the test of the start can fail; it looks at who imports, not what."""
    for name in ("matplotlib", "torch"):
        (tmp_path / f"{name}.py").write_text("")
    code = """
    import types
    ours = types.ModuleType("hyperspy_dosekin.heavy")
    sys.path.insert(0, sys.argv[1])
    exec("import importlib, matplotlib; importlib.import_module('torch')", vars(ours))
    """
    assert blamed_for(code, str(tmp_path)) == ["matplotlib", "torch"]


def test_public_names_are_those_of_the_stub():
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="ascii"))
    (listed,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    )
    assert sorted(hyperspy_dosekin.__all__) == sorted(listed)
    assert sorted(dir(hyperspy_dosekin)) == sorted(listed)
    for name in listed:
        assert getattr(hyperspy_dosekin, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        hyperspy_dosekin.nonsense  # noqa: B018
