# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run every block of Python of the README and of Getting started, as a newcomer would.

Each page has a folder and a process of its own, and its blocks share one namespace, in order:

    python docs/check_first_hour.py                        # with the Python that runs this
    python docs/check_first_hour.py --fresh                # in an environment made for it
    python docs/check_first_hour.py docs/user_guide/*.rst  # other pages

Two kinds of comment in a page are for this script. In reStructuredText they are

    .. supposes:

       code that makes the files which the text takes to be there, run before, in another process

    .. not run: the reason, for the block of Python that follows

and in Markdown the same between <!-- and -->.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIRST_HOUR = (ROOT / "README.md", ROOT / "docs/getting_started.rst")

_RST = re.compile(
    r"^(?P<indent>[ ]*)\.\. (?:code-block:: (?P<language>\w+)|(?P<kind>supposes):"
    r"|not run: (?P<reason>.*))[ ]*$"
)
_MARKDOWN = re.compile(
    r"^(?:```(?P<language>\w+)|<!-- (?:(?P<kind>supposes):|not run: (?P<reason>.*?) ?-->))"
    r"[ ]*$"
)


@dataclass(frozen=True)
class Block:
    """A piece of a page.

    Parameters
    ----------
    kind
        Language of a block of code, or ``"supposes"``.
    code
        Its text, without indentation.
    line
        Line of the page on which the code begins, from 1.
    not_run
        Why it is not run; empty if it is.
    """

    kind: str
    code: str
    line: int
    not_run: str = ""


def blocks(page: Path) -> list[Block]:
    """Blocks of code of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    markdown = page.suffix == ".md"
    pattern = _MARKDOWN if markdown else _RST
    found, reason, place = [], "", 0
    while place < len(lines):
        start = pattern.match(lines[place])
        place += 1
        if start is None:
            continue
        if start["reason"] is not None:
            reason = start["reason"].strip() or "no reason given"
            continue
        begin = place
        if markdown:
            end = "```" if start["language"] else "-->"
            while place < len(lines) and lines[place].rstrip() != end:
                place += 1
        else:
            indent = len(start["indent"])
            while place < len(lines) and (
                not lines[place].strip() or len(lines[place]) - len(lines[place].lstrip()) > indent
            ):
                place += 1
        kind = start["language"] or start["kind"]
        body = lines[begin:place]
        # Options of the directive, such as :caption:.
        while body and not markdown and (not body[0].strip() or re.match(r"\s+:\w+:", body[0])):
            body, begin = body[1:], begin + 1
        code = textwrap.dedent("\n".join(body)).rstrip() + "\n"
        found.append(Block(kind, code, begin + 1, reason if kind == "python" else ""))
        if kind == "python":
            reason = ""
    return found


def run_blocks(page: Path, kinds: tuple[str, ...]) -> None:
    """Run blocks of a page in this process; an error names the line of the page."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.kind not in kinds or block.not_run:
            continue
        code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
        exec(code, namespace)  # the pages are ours


def shorten() -> None:
    """Make the computations of this process short: the blocks have to run, not to be accurate."""
    from functools import partial

    from hyperspy_dosekin import DoseKinetics, data
    from hyperspy_dosekin.classification import fitting
    from hyperspy_dosekin.classification.config import VAEConfig
    from hyperspy_dosekin.classification.estimation import EstimationOptions
    from hyperspy_dosekin.kinetics.field import climb, fields, lengths, population, spine, summary
    from hyperspy_dosekin.kinetics.joint import agreement
    from hyperspy_dosekin.kinetics.network.config import NetworkConfig

    spine._CLIMBS, spine._MOST_STRIDES = 1, 1
    climb._STEPS, population._FIRST_ROUNDS, population._ROUNDS = 2, 1, 1
    fields._DRAWS, agreement._DRAWS = 4, 19
    lengths._LENGTH_ROUNDS, lengths._REPEAT_ROUNDS = 1, 1
    population.fit_population.__kwdefaults__["n_design"], summary.DRAWS = 4, 20
    fitting._CALIBRATION, fitting._FOR_LATENTS = 1000, 2000
    data.annealing_series = partial(data.annealing_series, shape=(5, 10, 9))
    DoseKinetics.plot_ablation.__kwdefaults__["iterations"] = 10
    for settings, most in (
        # One thread: see `_run_fresh`.
        (VAEConfig, {"steps": 10, "threads": 1}),
        (EstimationOptions, {"rounds": 2}),
        (NetworkConfig, {"gauss_newton_iterations": 2, "adam_epochs": 10, "lbfgs_iterations": 5}),
    ):
        settings.__init__ = _at_most(settings.__init__, most)


def _at_most(make: Callable[..., None], most: Mapping[str, int]) -> Callable[..., None]:
    """The ``__init__`` of frozen settings, which then have these numbers at most."""

    @functools.wraps(make)  # options are read from its signature
    def limited(settings: object, *values: object, **named: object) -> None:
        make(settings, *values, **named)
        for name, number in most.items():
            found = getattr(settings, name)
            object.__setattr__(settings, name, number if found is None else min(found, number))

    return limited


def check(page: Path, python: str, *, short: bool = False) -> None:
    """Run the blocks of a page in a folder and in processes of their own.

    Parameters
    ----------
    page
        With code.
    python
        Interpreter.
    short
        Whether to shorten long computations, see `shorten`.

    Raises
    ------
    RuntimeError
        With the output, if a block fails.
    """
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONWARNINGS": "default"}
    environment.pop("PYTHONPATH", None)
    kinds = {block.kind for block in blocks(page)}
    rounds = [("supposes",), ("python",)] if "supposes" in kinds else [("python",)]
    with tempfile.TemporaryDirectory() as folder:
        for round_ in rounds:
            command = [python, str(Path(__file__).resolve()), "--in-this-process", str(page)]
            command += ["--kinds", *round_, *(["--short"] if short else [])]
            result = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            if result.returncode:
                raise RuntimeError(
                    f"{page} does not run ({' and '.join(round_)}):\n"
                    f"{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
                )


def check_forked(pages: list[Path]) -> dict[Path, str]:
    """Run pages in copies of this process, which imports the large packages once for all.

    Less fresh than `check`, and several times faster: for pages that a newcomer does not begin
    with. Long computations are shortened.

    Returns
    -------
    What each page printed before it failed; empty if it ran.
    """
    # A fork takes no threads along.
    importlib.import_module("torch").set_num_threads(1)
    shorten()
    do_what_most_do()
    # The least that scikit-learn allows.
    importlib.import_module("sklearn.manifold").TSNE.__init__.__kwdefaults__["max_iter"] = 250
    # Copies need not look through what is there for good.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return {page: _run_forked(page) for page in pages}


def do_what_most_do() -> None:
    """Do what most pages begin with, so that copies of this process need not import it again."""
    for name in (
        "exspy.signals",
        "hyperspy.api",
        "pandas",
        "hyperspy_gui_ipywidgets",
        "ipympl",
        "distributed",  # asked for its client whenever something lazy is computed
        "torch._dynamo",  # of every optimiser
        "sklearn.manifold",
        "sklearn.neighbors",
    ):
        if importlib.util.find_spec(name.split(".")[0]) is not None:
            importlib.import_module(name)
    import hyperspy_dosekin
    from hyperspy_dosekin import data
    from hyperspy_dosekin.dose.conversion import is_dose_unit

    quiet = {"show_progressbar": False}
    result = data.dose_series().process_low_loss(**quiet).fit_dose_pinn(**quiet)
    images = data.annealing_series()
    classes = images.classify_vae(data.reference_spectra(), **quiet)
    with tempfile.TemporaryDirectory() as folder:
        result.save(f"{folder}/result.hspy")
        hyperspy_dosekin.load(f"{folder}/result.hspy")
        result.plot().savefig(f"{folder}/result.png")
    # Printing imports, too, and units are read once.
    str(result), str(classes), is_dose_unit("MGy")
    importlib.import_module("matplotlib.pyplot").close("all")


def _run_forked(page: Path) -> str:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        for kinds in (("supposes",), ("python",)):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    os.chdir(folder)
                    for stream in (1, 2):
                        os.dup2(output.fileno(), stream)
                    run_blocks(page, kinds)
                    sys.stdout.flush()
                    status = 0
                except BaseException:
                    traceback.print_exc()
                    sys.stderr.flush()
                finally:
                    os._exit(status)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if status < 0:
                return _run_fresh(page)
            if status:
                output.seek(0)
                return output.read().decode(errors="replace")[-4000:] or "no output"
    return ""


def _run_fresh(page: Path) -> str:
    """What a page said in a process of its own.

    Torch has computed in the process that was copied, and in one of some thirty copies a training
    in threads crashed, with one thread of Torch in each: five times where Torch releases
    a shared pointer (``std::_Sp_counted_base::_M_release``) that has been released already. It has
    not been seen in a process that is no copy. A page that crashes is one that crashes here, too.
    """
    try:
        check(page, sys.executable, short=True)
    except RuntimeError as failure:
        return str(failure)
    return ""


def fresh_python(folder: Path) -> str:
    """An interpreter of a new environment in which the page's own command has installed us."""
    commands = [
        line.split("#")[0].strip().removeprefix("$ ")
        for page in FIRST_HOUR
        for block in blocks(page)
        if block.kind in ("bash", "console", "sh")
        for line in block.code.splitlines()
    ]
    install = next(line for line in commands if line.startswith("pip install ."))
    source = folder / "source"
    shutil.copytree(
        ROOT,
        source,
        symlinks=True,
        ignore=shutil.ignore_patterns(
            ".git", ".venv*", "build", "dist", "_build", "*.egg-info", "__pycache__", "demo_output"
        ),
    )
    venv.create(folder / "environment", with_pip=True)
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = folder / "environment" / scripts / "python"
    print(f"{install} (in a new environment; this takes some minutes) ...")
    # The constraints keep the download small: torch for the CPU, where pip finds it.
    environment = {**os.environ, "PIP_CONSTRAINT": str(ROOT / "requirements/constraints.txt")}
    subprocess.run([str(python), "-m", *install.split()], cwd=source, env=environment, check=True)
    return str(python)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=Path, default=list(FIRST_HOUR))
    parser.add_argument("--fresh", action="store_true", help="install into a new environment first")
    parser.add_argument("--forked", type=Path, help="file for what failed; see check_forked")
    parser.add_argument("--in-this-process", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--short", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--kinds", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_this_process:
        if options.short:
            shorten()
        run_blocks(options.in_this_process, tuple(options.kinds))
        return 0
    if options.forked:
        outcome = check_forked([page.resolve() for page in options.pages])
        text = json.dumps({str(page): said for page, said in outcome.items()})
        options.forked.write_text(text, encoding="utf-8")
        return int(any(outcome.values()))
    with tempfile.TemporaryDirectory() as folder:
        python = fresh_python(Path(folder)) if options.fresh else sys.executable
        failed = 0
        for page in options.pages:
            number = sum(block.kind == "python" and not block.not_run for block in blocks(page))
            start = time.perf_counter()
            try:
                check(page.resolve(), python)
            except RuntimeError as error:
                failed += 1
                print(f"FAILED  {error}")
            else:
                print(f"ok      {page}: {number} blocks, {time.perf_counter() - start:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
