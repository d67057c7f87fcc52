# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The old file or the new one, whatever happens in between."""

import os

import numpy as np
import pytest

from hyperspy_dosekin.numerics import files
from hyperspy_dosekin.numerics.files import digest, replaced_when_written, with_extension


def make_folder(path, number):
    path.mkdir()
    for name in ("a", "b"):
        (path / name).write_text(f"{name}{number}")


def content(path):
    if path.is_dir():
        return {each.name: each.read_text() for each in path.iterdir()}
    return path.read_text()


def test_new_file_appears_whole(tmp_path):
    with replaced_when_written(tmp_path / "new.txt") as path:
        path.write_text("new")
        assert path.suffix == ".txt"
        assert not (tmp_path / "new.txt").exists()
    assert content(tmp_path / "new.txt") == "new"
    assert len(os.listdir(tmp_path)) == 1


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "numbers.txt"
    target.write_text("old")

    def write():
        with replaced_when_written(target) as path:
            path.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk"):
        write()
    assert content(target) == "old"
    assert os.listdir(tmp_path) == ["numbers.txt"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_folders_are_replaced(tmp_path, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    target = tmp_path / "store.zspy"
    make_folder(target, 0)
    with replaced_when_written(target) as path:
        make_folder(path, 1)
    assert content(target) == {"a": "a1", "b": "b1"}
    assert os.listdir(tmp_path) == ["store.zspy"]


def test_file_takes_the_place_of_a_folder_and_back(tmp_path):
    target = tmp_path / "x"
    make_folder(target, 0)
    with replaced_when_written(target) as path:
        path.write_text("file")
    assert content(target) == "file"
    with replaced_when_written(target) as path:
        make_folder(path, 1)
    assert content(target) == {"a": "a1", "b": "b1"}
    assert os.listdir(tmp_path) == ["x"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "real.txt")
    with replaced_when_written(link) as path:
        path.write_text("new")
    assert link.is_symlink()
    assert content(tmp_path / "real.txt") == "new"


def test_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="absent"),
        replaced_when_written(tmp_path / "absent" / "x.txt"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fit", "fit.hspy"),
        ("fit.zspy", "fit.zspy"),
        ("fit.HSPY", "fit.HSPY"),
        ("dose 1.5", "dose 1.5.hspy"),
        ("dose_1.5e3", "dose_1.5e3.hspy"),
        ("sample.v2", "sample.v2.hspy"),
        ("300 kV. second", "300 kV. second.hspy"),
    ],
)
def test_extension(name, expected, tmp_path):
    assert with_extension(tmp_path / name, [".hspy", ".zspy"], "a result").name == expected


@pytest.mark.parametrize("suffix", [".npy", ".rpl", ".emd", ".nxs", ".png"])
def test_extension_of_another_format_is_refused(suffix):
    with pytest.raises(ValueError, match=r"cannot hold a result; use \.hspy or \.zspy"):
        with_extension(f"fit{suffix}", [".hspy", ".zspy"], "a result")


def test_digest_sees_every_change_and_nothing_else():
    array = np.arange(6.0).reshape(2, 3)
    first = digest({"a": array, "b": array}, "text")
    assert first == digest({"b": np.asfortranarray(array), "a": array.astype(">f8")}, "text")
    changed = array.copy()
    changed[1, 2] = np.nextafter(changed[1, 2], 9)
    others = [
        digest({"a": array, "b": array}, "texts"),
        digest({"a": changed, "b": array}, "text"),
        digest({"a": array.reshape(3, 2), "b": array}, "text"),
        digest({"a": array.astype(np.float32), "b": array}, "text"),
        digest({"a": array, "c": array}, "text"),
    ]
    assert first not in others
