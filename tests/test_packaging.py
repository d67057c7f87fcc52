# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheel works where nothing else of the repository is, and the packaging files agree."""

import ast
import hashlib
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.arrows import SPEAK_HYPERSPY
from tests.patience import PROCESS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest there

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hyperspy_dosekin"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, TOOLS = PYPROJECT["project"], PYPROJECT["tool"]

#: Used through HyperSpy alone: the class that we extend, and the reading of files.
USED_THROUGH_HYPERSPY = {"exspy"}
MODULE_NAMES = {
    "lazy-loader": "lazy_loader",
    "rosettasciio": "rsciio",
    "scikit-learn": "sklearn",
}


def requirements(name):
    """Requirements of a file of the folder requirements, by canonical name."""
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(each.name): each for each in found}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, so that no leftovers get in and none are made."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(PACKAGE, source / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", source / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "hyperspy_extension.yaml"):
        shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    target = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", target, source)
    (path,) = target.iterdir()
    return path


def pip(*arguments):
    result = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PROCESS,
    )
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def clean_python(wheel, tmp_path_factory):
    """Interpreter that has our wheel and what we depend on, but not the installation under test.

    The packages of the present environment are put on its path *after* its own. Since only the
    folder is named, files in it that extend the path (``*.pth``) are not read, and with them goes
    an editable installation of ours.
    """
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=PROCESS
    )
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    paths = {"base": str(folder), "platbase": str(folder)}
    site_packages = Path(sysconfig.get_path("purelib", vars=paths))
    pip("install", "--no-deps", "--no-index", "--no-compile", "--target", site_packages, wheel)
    present = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "environment.pth").write_text("\n".join(present) + "\n", encoding="utf-8")
    return python, site_packages


def run(clean_python, code, *arguments):
    python, site_packages = clean_python
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [python, "-c", inspect.cleandoc(code), *arguments],
        cwd=site_packages.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PROCESS,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    code = {name for name in sizes if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix in {".py", ".pyi", ".yaml", ".typed", ".hspy"}
    }
    needed = ("__init__.pyi", "py.typed", "hyperspy_extension.yaml", "gui/__init__.py")
    assert {f"hyperspy_dosekin/{name}" for name in needed} < expected
    assert code == expected
    assert any(name.endswith("licenses/LICENSE") for name in sizes)
    # Code and one small real file: no file that is large, and no large number of them.
    assert max(sizes.values()) < 100_000
    assert wheel.stat().st_size < 1_600_000


#: Several questions to one process, since what the package imports takes seconds.
QUESTIONS = """
import importlib, json, pathlib, sys
found = {}

# What a user meets first, before anything of ours has been asked for.
import hyperspy.api as hs
signal = hs.signals.Signal1D([[1.0, 2.0, 4.0, 8.0], [1.0, 3.0, 9.0, 27.0]])
signal.set_signal_type("EELS")
signal.axes_manager[-1].units = "eV"
signal.set_dose_axis([10.0, 20.0])
areas = signal.integrate_windows({"all": (0.0, 3.0)})
plain = hs.signals.Signal1D([[1.0, 2.0, 3.0]])
plain.set_signal_type("DoseSeries")
found["types"] = [type(each).__name__ for each in (areas, plain, plain.as_lazy())]
found["base"] = type(signal).__module__
hs.print_known_signal_types()

# The state of a tool is changed without widgets.
import numpy as np
from hyperspy_dosekin.gui.tools import ClassificationExplorer
classes = hs.signals.Signal2D(np.array([[0, 1, 1], [1, 0, -1]]))
classes.set_signal_type("ClassMap")
ClassificationExplorer(classes).x = 0
found["widgets"] = sorted({"ipywidgets", "ipympl", "link_traits"} & set(sys.modules))

from importlib.metadata import version
import hyperspy_dosekin
found["file"] = hyperspy_dosekin.__file__
folder = pathlib.Path(hyperspy_dosekin.__file__).parent
found["version"] = [hyperspy_dosekin.__version__, version("hyperspy_dosekin")]
found["registered"] = folder.joinpath("hyperspy_extension.yaml").is_file()

paths = [path for path in folder.rglob("*.py") if path != folder / "__init__.py"]
names = []
for path in paths:
    parts = path.relative_to(folder.parent).with_suffix("").parts
    names.append(".".join(part for part in parts if part != "__init__"))
    try:
        module = importlib.import_module(names[-1])
        for public in getattr(module, "__all__", ()):
            getattr(module, public)
    except ImportError as error:
        # Without the extra that they are for, modules say which it is.
        if "hyperspy_dosekin[" not in str(error):
            raise
found["modules"] = len(names)

# Once more, where there is no HyperSpy.
asked = []
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("hyperspy", "exspy"):
            asked.append(name)
            raise ModuleNotFoundError(name)
for name in list(sys.modules):
    if name.split(".")[0] in ("hyperspy", "exspy", "hyperspy_dosekin"):
        del sys.modules[name]
sys.meta_path.insert(0, Hidden())
inner = [name for name in names if name.split(".")[1] in sys.argv[1:]]
for name in inner:
    importlib.import_module(name)
found["inner"] = len(inner)
found["asked"] = asked
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def answers(clean_python):
    """What is found in the clean environment."""
    inner = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - SPEAK_HYPERSPY
    *said, last = run(clean_python, QUESTIONS, *inner).splitlines()
    return {**json.loads(last), "said": "\n".join(said)}


def test_wheel_extends_hyperspy_in_a_clean_environment(answers, clean_python):
    assert answers["base"].startswith("exspy.signals.")
    assert answers["types"] == ["DoseSeries", "DoseSeries", "LazyDoseSeries"]
    assert re.search(r"\|\s*DoseSeries\s*\|", answers["said"])
    assert answers["version"][0] == answers["version"][1]
    assert answers["registered"] is True
    assert Path(answers["file"]).parents[1].resolve() == clean_python[1].resolve()


def test_tools_import_no_widgets(answers):
    """By neither tool, of which both are in one module."""
    assert answers["widgets"] == []


def test_every_module_of_the_wheel_can_be_imported(answers):
    modules = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]
    assert answers["modules"] == len(modules)


def test_inner_parts_run_without_hyperspy(answers):
    """Every module of them is imported, and nobody asks for HyperSpy by any way."""
    modules = [
        path
        for path in PACKAGE.rglob("*.py")
        if path.parent != PACKAGE and path.relative_to(PACKAGE).parts[0] not in SPEAK_HYPERSPY
    ]
    assert answers["inner"] == len(modules)
    assert answers["asked"] == []


def test_without_the_wheel_the_clean_environment_has_nothing_of_ours(clean_python, tmp_path):
    """Proof that the tests of the wheel do not see the installation under test."""
    _, site_packages = clean_python
    code = f"""
    import sys
    sys.path.remove({str(site_packages)!r})
    import importlib.util
    print(importlib.util.find_spec("hyperspy_dosekin"), importlib.util.find_spec("hyperspy").name)
    """
    assert run(clean_python, code).split() == ["None", "hyperspy"]


def test_top_level_registration_is_a_link_to_that_of_the_package():
    link, target = ROOT / "hyperspy_extension.yaml", PACKAGE / "hyperspy_extension.yaml"
    if link.is_symlink():
        assert os.readlink(link) == "hyperspy_dosekin/hyperspy_extension.yaml"
    # A source distribution holds a copy.
    assert link.read_bytes() == target.read_bytes()


def registration():
    return yaml.safe_load((PACKAGE / "hyperspy_extension.yaml").read_text(encoding="utf-8"))


def test_registered_signals_are_what_is_said_of_them():
    signals = registration()["signals"]
    assert "EELSSpectrum" not in signals, "exspy's own"
    for name, entry in signals.items():
        cls = getattr(importlib.import_module(entry["module"]), name)
        assert cls._signal_type == entry["signal_type"]
        # HyperSpy gives a class of -1, whose axes may be any, to no signal: it is found by its 0.
        assert max(cls._signal_dimension, 0) == entry["signal_dimension"]
        assert cls._lazy == entry["lazy"]
        assert cls._dtype == entry["dtype"]
        twin = name.removeprefix("Lazy") if entry["lazy"] else f"Lazy{name}"
        assert {**signals[twin], "lazy": entry["lazy"]} == entry


def test_registered_components_have_their_identifier():
    for identifier, entry in registration()["components1D"].items():
        cls = getattr(importlib.import_module(entry["module"]), entry["class"])
        assert cls()._id_name == identifier


def test_registered_tool_keys_would_be_seen():
    """HyperSpy drops tool keys that do not start with the plain entry point."""
    names = PROJECT["entry-points"]["hyperspy.extensions"]
    assert "hyperspy_dosekin" in names
    assert any(name.startswith("hyperspy_dosekin.") for name in names), "not imported by HyperSpy"
    for key in registration().get("GUI", {}).get("toolkeys", []):
        assert key.split(".")[0] in names


def test_lower_bounds_are_the_tested_ones():
    tested = requirements("lower.txt")
    declared = {
        canonicalize_name(each.name): each for each in map(Requirement, PROJECT["dependencies"])
    }
    assert set(tested) == set(declared)
    for name, requirement in declared.items():
        (bound,) = requirement.specifier
        assert bound.operator == ">=", f"needless upper bound of {name}"
        assert f"=={bound.version}" == str(tested[name].specifier)


def test_constraints_hold_every_dependency_and_torch_first():
    constraints = requirements("constraints.txt")
    extras = PROJECT["optional-dependencies"]
    # Too large for every environment, and not used by the tests; or names of others.
    left_out = {
        "all",
        "realtime",
        "libertem",
        "live",
        "gui-jupyter",
        "gui-traitsui",
        "onnx",
        "openvino",
        "speed",
    }
    installed = [names for extra, names in extras.items() if extra not in left_out]
    assert next(iter(constraints)) == "torch"
    for requirement in map(Requirement, [*PROJECT["dependencies"], *chain(*installed)]):
        (exact,) = constraints[canonicalize_name(requirement.name)].specifier
        assert exact.operator == "=="
        assert requirement.specifier.contains(exact.version, prereleases=True)


def test_declared_dependencies_are_those_that_are_imported():
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "hyperspy_dosekin"}
    names = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    declared = {MODULE_NAMES.get(name, name) for name in names}
    extras = chain(*PROJECT["optional-dependencies"].values())
    optional = {canonicalize_name(Requirement(line).name).replace("-", "_") for line in extras}
    assert imported - optional - declared == set(), "imported, not declared"
    assert declared - imported - USED_THROUGH_HYPERSPY == set(), "declared, not imported"


def test_citation_says_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == TOOLS["setuptools_scm"]["fallback_version"]
    assert citation["license"] == PROJECT["license"]


def test_address_is_the_same_everywhere():
    """The repository is named in files that cannot ask each other."""
    home = PROJECT["urls"]["Source"]
    name = home.removeprefix("https://github.com/")
    for path in ("README.md", "conda-recipe/meta.yaml"):
        text = (ROOT / path).read_text(encoding="utf-8")
        found = re.findall(r"(?:github|githubusercontent)\.com/([\w-]+/hyperspy_dosekin)", text)
        assert found, path
        assert set(found) == {name}, path


def test_pictures_of_the_readme_are_there():
    """Addresses are absolute, so that the package index shows the pictures."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", text)
    assert pictures
    for address in pictures:
        assert address.startswith("https://raw.githubusercontent.com/"), address
        assert (ROOT / address.split("/main/")[1]).is_file(), address


def test_actions_of_workflows_are_pinned():
    """A tag of an action can be moved by whoever owns it, a commit cannot."""
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        used = re.findall(r"uses: (\S+)(.*)", text)
        assert used
        for name, comment in used:
            if not name.startswith("./"):
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name), f"{path.name}: {name}"
                assert re.fullmatch(r"  # v\d+\.\d+\.\d+", comment), f"{path.name}: {name}"


def test_conda_recipe_is_filled_for_a_release(tmp_path):
    distribution = tmp_path / "hyperspy_dosekin-1.2.3.tar.gz"
    distribution.write_bytes(b"source")
    target = tmp_path / "recipe" / "meta.yaml"
    command = [sys.executable, ROOT / "conda-recipe" / "fill.py", distribution, target]
    subprocess.run(command, check=True, timeout=PROCESS)
    text = target.read_text(encoding="utf-8")
    assert '{% set version = "1.2.3" %}' in text
    assert f"sha256: {hashlib.sha256(b'source').hexdigest()}" in text
    # What is no template is YAML, with each package once.
    plain = re.sub(r"{{.*?}}", "x", re.sub(r"{%.*?%}", "", text))
    names = [line.split()[0] for line in yaml.safe_load(plain)["requirements"]["run"]]
    assert len(set(names)) == len(names)


def test_conda_recipe_asks_for_the_same_versions():
    names = {"dask": "dask-core", "hyperspy": "hyperspy-base", "matplotlib": "matplotlib-base"}
    names["torch"] = "pytorch"
    text = (ROOT / "conda-recipe" / "meta.yaml").read_text(encoding="utf-8")
    found = dict(re.findall(r"^    - ([\w-]+) >=([\d.]+)$", text, re.MULTILINE))
    for requirement in map(Requirement, PROJECT["dependencies"]):
        (bound,) = requirement.specifier
        assert found[names.get(requirement.name, requirement.name)] == bound.version
