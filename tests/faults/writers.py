# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written while it is killed, and how a whole file is told from a half one.

As a program it does harm to all writers, in one process that has imported everything: each writer
is a child of it, since Python takes seconds to start. It prints what it found as JSON.
"""

import json
import os
import random
import resource
import signal
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np

from hyperspy_dosekin.numerics.files import replaced_when_written

Reader = namedtuple("Reader", "suffix check")


def write_text(path, number):
    with replaced_when_written(path) as beside:
        beside.write_text(f"{number}\n" * 20_000)


def check_text(path):
    lines = path.read_text().splitlines()
    assert len(lines) == 20_000
    assert len(set(lines)) == 1
    return int(lines[0])


def write_folder(path, number):
    with replaced_when_written(path) as beside:
        beside.mkdir()
        for place in range(20):
            (beside / str(place)).write_text(f"{number}\n" * 2_000)


def check_folder(path):
    found = {line for each in path.iterdir() for line in each.read_text().splitlines()}
    assert len(list(path.iterdir())) == 20
    assert all(each.read_text().count("\n") == 2_000 for each in path.iterdir())
    assert len(found) == 1
    return int(found.pop())


_model = []


def a_model():
    if not _model:
        from hyperspy_dosekin.classification.config import VAEConfig
        from hyperspy_dosekin.classification.fitting import FitSettings, fit_model
        from tests.classification.problems import draw, make_nuisances, make_references

        references = make_references()
        known = make_nuisances(references)
        spectra, _, _ = draw(references, known, 200)
        network = VAEConfig(steps=2, evaluate_every=2, batch_size=8, reconstruction_size=4)
        _model.append(
            fit_model(
                spectra,
                references,
                FitSettings(classifier="head", network=network),
                nuisances=known,
            )
        )
    return _model[0]


def write_model(path, number):
    from dataclasses import replace

    from hyperspy_dosekin.classification.model_file import save_model

    save_model(replace(a_model(), report={"number": number, "pad": np.zeros(number)}), path)


def check_model(path):
    from hyperspy_dosekin.classification.model_file import load_model

    return load_model(path).report["number"]


_result = []


def a_result():
    if not _result:
        from hyperspy_dosekin.data import dose_series

        series = dose_series(processed=True).integrate_windows({"C–O": (10, 15)})
        _result.append(series.fit_dose_pinn(estimator="exact", show_progressbar=False))
    return _result[0]


def write_result(path, number):
    from hyperspy_dosekin.signals.kinetics.result import DoseKinetics

    numbers = a_result().numbers
    data = numbers.maps.data
    from dataclasses import replace

    maps = replace(numbers.maps, data=replace(data, title=f"{number}"))
    DoseKinetics(replace(numbers, maps=maps)).save(path, overwrite=True)


def check_result(path):
    import hyperspy_dosekin

    found = hyperspy_dosekin.load(path)
    np.testing.assert_array_equal(found.rate.data, a_result().rate.data)
    return int(found.data.metadata.General.title)


def write_comparison(path, number):
    from dataclasses import replace

    import hyperspy_dosekin

    if not _comparison:
        series = a_result().data
        laws = ["power law", "first order"]
        _comparison.append(hyperspy_dosekin.compare_laws(series, laws, show_progressbar=False))
    found = _comparison[0]
    replace(found, data=replace(found.data, title=f"{number}")).save(path, overwrite=True)


def check_comparison(path):
    import hyperspy_dosekin

    found = hyperspy_dosekin.load(path)
    np.testing.assert_array_equal(found.fields, _comparison[0].fields)
    return int(found.data.title)


_comparison = []

WRITERS = {
    "text": write_text,
    "folder": write_folder,
    "model": write_model,
    "result": write_result,
    "result in a folder": write_result,
    "comparison": write_comparison,
}
READERS = {
    "text": Reader(".txt", check_text),
    "folder": Reader(".zspy", check_folder),
    "model": Reader(".safetensors", check_model),
    "result": Reader(".hspy", check_result),
    "result in a folder": Reader(".zspy", check_result),
    "comparison": Reader(".hspy", check_comparison),
}


def child(work):
    """Run a function in a child, and end it there; the child's number."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        code = work() or 0
    finally:
        os._exit(code)


def killed(name, folder, times, rng):
    """Kill a writer at random moments; numbers of the files that were there afterwards."""
    path = folder / f"target{READERS[name].suffix}"
    write, found = WRITERS[name], []
    write(path, 0)
    start = time.monotonic()
    write(path, 0)
    lasts = time.monotonic() - start

    def write_on():
        for number in range(1, 10_000):
            write(path, number)

    for _ in range(times):
        victim = child(write_on)
        time.sleep(rng.uniform(0, 3 * lasts))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        found.append(READERS[name].check(path))
    return found


def on_a_full_disk(name, folder):
    """Write more than a file may hold; the number and names that are there afterwards."""
    path = folder / f"target{READERS[name].suffix}"
    WRITERS[name](path, 0)

    def write():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try:
            WRITERS[name](path, 1)
        except OSError:
            return 7
        return 0

    _, status = os.waitpid(child(write), 0)
    return {
        "told": os.waitstatus_to_exitcode(status) == 7,
        "old": READERS[name].check(path) == 0,
        "left": sorted(os.listdir(folder)) == [path.name],
    }


def interrupted(name, folder, rng):
    """Interrupt a writer as Ctrl-C does; the number and names that are there afterwards."""
    path = folder / f"target{READERS[name].suffix}"
    WRITERS[name](path, 0)

    def write():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            for number in range(1, 10_000):
                WRITERS[name](path, number)
        except KeyboardInterrupt:
            return 7

    victim = child(write)
    time.sleep(rng.uniform(0.05, 0.3))
    os.kill(victim, signal.SIGINT)
    _, status = os.waitpid(victim, 0)
    READERS[name].check(path)
    return {
        "told": os.waitstatus_to_exitcode(status) == 7,
        "left": sorted(os.listdir(folder)) == [path.name],
    }


def at_once(name, folder, writers=3):
    """Several save to one name at a time; the number and names that are there afterwards."""
    path = folder / f"target{READERS[name].suffix}"
    WRITERS[name](path, 0)

    def write(number):
        for _ in range(3):
            WRITERS[name](path, number)

    children = [child(lambda number=number: write(number)) for number in range(1, writers + 1)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in children]
    return {
        "ended": codes == [0] * writers,
        "one of them": READERS[name].check(path) in range(1, writers + 1),
        "left": sorted(os.listdir(folder)) == [path.name],
    }


def in_a_folder_that_is_read_only(name, folder):
    """Write where one may not; what was raised."""
    path = folder / f"target{READERS[name].suffix}"
    WRITERS[name](path, 0)
    folder.chmod(0o555)
    told = folder.parent / f"told {name}"

    def write():
        if os.getuid() == 0:  # whom nothing is forbidden
            told.touch()
            told.chmod(0o666)
            os.setuid(65534)
        try:
            WRITERS[name](path, 1)
        except OSError as error:
            told.write_text(f"{type(error).__name__}: {error}")

    folder.parent.chmod(0o777)
    os.waitpid(child(write), 0)
    folder.chmod(0o755)
    return {"told": told.read_text(), "old": READERS[name].check(path) == 0}


def main(kills, seed, folder):
    """Do everything to every writer."""
    rng, found = random.Random(seed), {}
    for name in WRITERS:
        places = iter([Path(folder) / f"{name} {number}" for number in range(5)])

        def place(places=places):
            made = next(places)
            made.mkdir()
            return made

        found[name] = {
            "killed": killed(name, place(), kills, rng),
            "full": on_a_full_disk(name, place()),
            "interrupted": interrupted(name, place(), rng),
            "at once": at_once(name, place()),
            "read-only": in_a_folder_that_is_read_only(name, place()),
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
