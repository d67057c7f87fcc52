# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written while it is killed, and how a whole file is told from a half one.

As a program it does harm to all writers, in one process that has imported everything: each writer
is a child of it, since Python takes seconds to start. It prints what it found as JSON.
"""

import itertools
import json
import os
import random
import resource
import signal
import sys
import tempfile
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
        from hyperspy_dosekin.classification.fitting import fit_model
        from hyperspy_dosekin.classification.settings import FitSettings
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


def numbered(number):
    """The result with a number for its title."""
    from dataclasses import replace

    from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics

    numbers = a_result().numbers
    data = replace(numbers.maps.data, title=f"{number}")
    return DoseKinetics(replace(numbers, maps=replace(numbers.maps, data=data)))


def write_result(path, number):
    numbered(number).save(path, overwrite=True)


_tool = []


def write_with_the_tool(path, number):
    if not _tool:
        from hyperspy_dosekin.data import dose_series
        from hyperspy_dosekin.gui.tools import DoseKineticsTool

        _tool.append(DoseKineticsTool(dose_series(processed=True), {"C–O": (10, 15)}))
        _tool[0].overwrite = True
    tool = _tool[0]
    tool.path, tool.result = str(path), numbered(number)
    tool.save()
    assert tool.level == "info", tool.message


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
    """Run a function in a child, and end it there; its number, and a file with what it returned."""
    reader, writer = os.pipe()
    number = os.fork()
    if number:
        os.close(writer)
        return number, os.fdopen(reader)
    said = "nothing"
    try:
        said = work() or "done"
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    finally:
        os.write(writer, said.encode("ascii", "replace"))
        os._exit(0)


def answer_of(started):
    """What a child said when it ended."""
    number, said = started
    with said:
        text = said.read()
    os.waitpid(number, 0)
    return text


def killed(name, folder, times, rng, write=None):
    """Kill a writer at random moments; numbers of the files that were there afterwards."""
    path = folder / f"target{READERS[name].suffix}"
    write, found = write or WRITERS[name], []
    write(path, 0)
    start = time.monotonic()
    write(path, 0)
    lasts = time.monotonic() - start

    def write_on():
        for number in range(1, 10_000):
            write(path, number)

    for _ in range(times):
        victim, said = child(write_on)
        time.sleep(rng.uniform(0, 3 * lasts))
        os.kill(victim, signal.SIGKILL)
        answer_of((victim, said))
        found.append(READERS[name].check(path))
    return found


def killed_while_recording(folder, times, rng):
    """Kill a live series that stores its frames; frames that were taken in, and frames found."""
    import hyperspy.api as hs

    from hyperspy_dosekin import LiveKinetics

    areas = np.stack([100.0 - np.arange(1000), np.full(1000, 50.0)], axis=1)
    spectra = np.random.default_rng(3).poisson(50.0, (1000, 300)).astype(float)

    def record(live, rows, told):
        for number, row in enumerate(rows):
            live.update(row, dose=10.0 * (number + 1))
            os.write(told, b".")

    found = []
    for time_ in range(times):
        path = folder / f"{time_}.zspy"
        reader, told = os.pipe()
        # Areas and spectra in turn.
        rows = spectra if time_ % 2 else areas
        axis = {"energy_axis": np.arange(300) * 0.1} if time_ % 2 else {}
        live = LiveKinetics([(1, 3), (4, 6)], estimator="exact", store=path, **axis)
        victim, said = child(lambda live=live, rows=rows, told=told: record(live, rows, told))
        os.close(told)
        with os.fdopen(reader, "rb") as pipe:
            pipe.read(1)
            time.sleep(rng.uniform(0, 0.3))
            os.kill(victim, signal.SIGKILL)
            taken = 1 + len(pipe.read())
        answer_of((victim, said))
        again = LiveKinetics.resume(path)
        before = again.n_frames
        assert not again.report.missing
        assert not again.report.broken
        again.update(rows[before], dose=10.0 * (before + 1))
        last = LiveKinetics.resume(path)
        assert last.n_frames == before + 1
        np.testing.assert_array_equal(last.dose, 10.0 * np.arange(1, before + 2))
        np.testing.assert_array_equal(hs.load(path).data, rows[: before + 1])
        found.append((taken, before))
    return found


def on_a_full_disk(name, folder):
    """Write more than a file may hold; the number and names that are there afterwards."""
    path = folder / f"target{READERS[name].suffix}"
    WRITERS[name](path, 0)

    def write():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
        WRITERS[name](path, 1)

    return afterwards(name, path, answer_of(child(write)))


def afterwards(name, path, said):
    """What a writer said, the number in the file, and what else is there."""
    left = sorted(set(os.listdir(path.parent)) - {path.name})
    return {"said": said, "number": READERS[name].check(path), "left": left}


def interrupted(name, folder, rng):
    """Interrupt a writer as Ctrl-C does; the number and names that are there afterwards."""
    path = folder / f"target{READERS[name].suffix}"
    WRITERS[name](path, 0)
    start = time.monotonic()
    WRITERS[name](path, 0)
    lasts = time.monotonic() - start
    reader, told = os.pipe()

    def write():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(told, b".")
        for number in range(1, 10_000):
            WRITERS[name](path, number)

    victim, said = child(write)
    os.read(reader, 1)
    time.sleep(rng.uniform(0, 3 * lasts))
    # Python ignores one in fifty, those that come while a weak reference is let go: press again.
    for press in itertools.count():
        if os.waitid(os.P_PID, victim, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            break
        if press % 150 == 0:
            os.kill(victim, signal.SIGINT)
        time.sleep(0.02)
    for end in (reader, told):
        os.close(end)
    return afterwards(name, path, answer_of((victim, said)))


def at_once(name, folder, writers=3):
    """Several save to one name at a time; the number and names that are there afterwards."""
    path = folder / f"target{READERS[name].suffix}"
    WRITERS[name](path, 0)

    def write(number):
        for _ in range(3):
            WRITERS[name](path, number)

    started = [child(lambda number=number: write(number)) for number in range(1, writers + 1)]
    return afterwards(name, path, " ".join(answer_of(each) for each in started))


def in_a_folder_that_is_read_only(name):
    """Write where one may not."""
    # Of all users, unlike the folders of pytest.
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        path = folder / f"target{READERS[name].suffix}"
        WRITERS[name](path, 0)
        folder.chmod(0o555)

        def write():
            if os.getuid() == 0:  # whom nothing is forbidden
                os.setuid(65534)
            WRITERS[name](path, 1)

        said = answer_of(child(write))
        folder.chmod(0o755)
        return afterwards(name, path, said)


def main(kills, seed, folder):
    """Do everything to every writer."""
    rng, found = random.Random(seed), {}
    for name in WRITERS:
        places = iter([Path(folder) / f"{name} {number}" for number in range(4)])

        def place(places=places):
            made = next(places)
            made.mkdir()
            return made

        found[name] = {
            "killed": killed(name, place(), kills, rng),
            "full": on_a_full_disk(name, place()),
            "interrupted": interrupted(name, place(), rng),
            "at once": at_once(name, place()),
            "read-only": in_a_folder_that_is_read_only(name),
        }
    saved, recorded = Path(folder) / "saved by the tool", Path(folder) / "recorded"
    saved.mkdir()
    recorded.mkdir()
    # Its other ends are those of the result that it saves; it tells them instead of raising.
    found["tool"] = killed("result", saved, kills, rng, write_with_the_tool)
    found["live"] = killed_while_recording(recorded, kills, rng)
    found["compiler"] = "torch._dynamo" in sys.modules
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
