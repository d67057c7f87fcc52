# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small versions of ``benchmarks/kinetics/misspecification.py``: truths that are not ours."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "kinetics" / "misspecification.py"


@pytest.fixture(scope="module")
def study():
    if not SCRIPT.exists():
        pytest.skip("the benchmarks are not beside the tests")
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("misspecification", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their module up by name.
    sys.modules["misspecification"] = module
    spec.loader.exec_module(module)
    sys.path[:] = before
    yield module
    del sys.modules["misspecification"]


def test_what_is_called_determined_is_right_where_the_law_is(study):
    judged = study.fitted(study.Truth(noise=0.005).draw(400, 21))
    assert judged.kept > 0.08
    assert judged.right > 0.94
    assert 0.92 < judged.covered < 0.98


@pytest.mark.parametrize("case", [{"noise": 0.05}, {"frames": 5}], ids=str)
def test_hardly_anything_is_called_determined_where_the_data_are_poor(study, case):
    assert study.fitted(study.Truth(**case).draw(300, 22)).kept < 0.02


def test_a_decay_that_begins_late_is_rarely_called_determined(study):
    truth = study.Truth("delayed", counting=True)
    assert study.fitted(truth.draw(500, 23)).kept < 0.05


def test_correlated_noise_keeps_the_coverage(study):
    judged = study.fitted(study.Truth(frames=30, correlation=0.9).draw(80, 24))
    assert judged.covered > 0.86


@pytest.mark.parametrize(
    ("law", "offset"),
    [("two populations 80/20", None), ("plateau", 1.0), ("recovery", 1.0), ("recovery", None)],
)
def test_an_average_over_laws_is_right_or_says_that_it_does_not_know(study, law, offset):
    judged = study.averaged(study.Truth(law).draw(32, 25), offset=offset)
    assert judged.kept < study.FEW or judged.right > 0.85
    assert judged.covered > 0.85
    if offset is not None:
        assert judged.kept > 0.15


def test_a_wrong_frame_rarely_makes_certainty(study):
    truth = study.Truth(outlier=5.0, noise=0.005, counting=True)
    judged = study.fitted(truth.draw(300, 26))
    # The first and the last frame have nobody to contradict them.
    assert judged.kept * (1 - judged.right) < study.FEW
    judged = study.fitted(truth.draw(300, 26), loss="soft_l1")
    assert judged.kept * (1 - judged.right) < study.FEW
