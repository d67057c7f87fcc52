# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written while it is killed, and how a whole file is told from a half one."""

from collections import namedtuple

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
            (beside / str(place)).write_text(str(number))


def check_folder(path):
    found = {each.read_text() for each in path.iterdir()}
    assert len(list(path.iterdir())) == 20
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


WRITERS = {"text": write_text, "folder": write_folder, "model": write_model}
READERS = {
    "text": Reader(".txt", check_text),
    "folder": Reader(".zspy", check_folder),
    "model": Reader(".safetensors", check_model),
}
