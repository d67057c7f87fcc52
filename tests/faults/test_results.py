# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Result files: refused formats, silent edits, damage, poor terminals."""

import io
import os
import random
import sys

import h5py
import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.data import dose_series

WINDOWS = {"C–O": (10, 15), "<img src=x onerror=alert(1)>": (20, 25)}


@pytest.fixture(scope="module")
def result():
    series = dose_series(processed=True).integrate_windows(WINDOWS)
    return series.fit_dose_pinn(estimator="exact", show_progressbar=False)


@pytest.fixture(scope="module")
def comparison(result):
    return hyperspy_dosekin.compare_laws(result.data, laws=["first order", "power law"])


@pytest.mark.parametrize("suffix", [".npy", ".rpl", ".emd", ".nxs", ".msa"])
def test_formats_that_lose_the_result_are_refused(result, comparison, suffix, tmp_path):
    for each in (result, comparison):
        with pytest.raises(ValueError, match=r"use \.hspy or \.zspy"):
            each.save(tmp_path / f"result{suffix}")
    assert not os.listdir(tmp_path)


def test_a_point_in_the_name_is_no_extension(result, tmp_path):
    result.save(tmp_path / "dose_1.5")
    assert hyperspy_dosekin.load(tmp_path / "dose_1.5.hspy").window_names == tuple(WINDOWS)


def test_old_file_stays_unless_it_is_to_be_replaced(result, tmp_path, monkeypatch):
    path = tmp_path / "result.hspy"
    path.write_bytes(b"old")
    result.save(path, overwrite=False)
    assert path.read_bytes() == b"old"
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    result.save(path)
    assert path.read_bytes() == b"old"
    result.save(path, overwrite=True)
    hyperspy_dosekin.load(path)
    assert os.listdir(tmp_path) == ["result.hspy"]


@pytest.mark.parametrize("what", ["data", "fields", "record"])
def test_silent_edits_are_found(result, tmp_path, what):
    path = tmp_path / "result.hspy"
    result.save(path)
    with h5py.File(path, "r+") as file:
        experiment = next(iter(file["Experiments"].values()))
        node = experiment["metadata/Dosekin/kinetics"]
        if what == "data":
            experiment["data"][0, 0] *= 1.0001
        elif what == "fields":
            fields = node["arrays/array_0"]
            fields[...] = fields[...] * 1.0001
        else:
            node.attrs["record"] = node.attrs["record"].replace('"floor"', '"absolute"')
    with pytest.raises(ValueError, match=r"result\.hspy is damaged: its numbers are not"):
        hyperspy_dosekin.load(path)


def test_damaged_files_name_themselves(result, comparison, tmp_path):
    for each in (result, comparison):
        path = tmp_path / f"{type(each).__name__}.hspy"
        each.save(path)
        whole = path.read_bytes()
        rng = random.Random(3)
        for _ in range(12):
            start = rng.randrange(len(whole) - 600)
            path.write_bytes(whole[:start] + rng.randbytes(500) + whole[start + 500 :])
            try:
                hyperspy_dosekin.load(path)
            except ValueError as error:
                assert path.name in str(error)  # noqa: PT017
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=path.name):
            hyperspy_dosekin.load(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        hyperspy_dosekin.load(tmp_path / "nowhere.hspy")
    hs.signals.Signal1D(np.zeros(3)).save(tmp_path / "other.hspy")
    with pytest.raises(ValueError, match="holds no result"):
        hyperspy_dosekin.load(tmp_path / "other.hspy")


def test_result_of_another_machine(result, tmp_path):
    from dataclasses import replace

    numbers = result.numbers
    elsewhere = replace(numbers, options=replace(numbers.options, device="cuda:99"))
    type(result)(elsewhere).save(tmp_path / "result.hspy")
    found = hyperspy_dosekin.load(tmp_path / "result.hspy")
    assert found.options.device == "auto"
    found.interval("half_integrity_dose", 0.8)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
def test_any_terminal_shows_a_result(result, monkeypatch, encoding):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding=encoding))
    sys.stdout.write(f"{result}\n{result!r}\n")
    sys.stdout.flush()
    text = shown.getvalue().decode(encoding)
    assert "window" in text
    assert ("C–O" if encoding in ("utf-8", "cp1252") else "C-O") in text


def test_hostile_names_do_not_reach_the_notebook(result, comparison):
    for each in (result, comparison):
        html = each._repr_html_()
        assert "<img" not in html
        assert "&lt;img" in html
