# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that is there already is not lost, and a result that was not saved is told."""

import hyperspy.api as hs
import pytest

from hyperspy_dosekin.signals.files import save_signal


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "signal.hspy"
    save_signal(hs.signals.Signal1D([1.0, 2.0]), path, "a result")
    return path


def first(path):
    return hs.load(path).data[0]


def test_without_anybody_to_answer_the_old_file_stays_with_a_warning(path, monkeypatch, caplog):
    def nobody(question):
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    save_signal(hs.signals.Signal1D([3.0, 4.0]), path, "a result")
    assert first(path) == 1.0
    assert "was kept; a result was NOT saved. Pass overwrite=True" in caplog.text


def test_overwrite_decides_without_a_word(path, caplog):
    save_signal(hs.signals.Signal1D([3.0, 4.0]), path, "a result", overwrite=False)
    assert first(path) == 1.0
    save_signal(hs.signals.Signal1D([3.0, 4.0]), path, "a result", overwrite=True)
    assert first(path) == 3.0
    assert "NOT saved" not in caplog.text
