# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of every kind of result whose content was changed, and the seal made anew.

Whatever stands there, loading says that the file is damaged, or what is loaded can be shown.
``FAULT_PLACES=1000`` changes every place of a record, and not some drawn ones.
"""

import copy
import json
import os
import random

import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.data import dose_series
from hyperspy_dosekin.signals.load import KINDS as STORED
from hyperspy_dosekin.signals.load import result_of
from tests.signals.live.frames import counts, watched

#: Places of a record that are changed.
PLACES = int(os.environ.get("FAULT_PLACES", "40"))
WRONG = (None, "text", -1, 1.5, float("nan"), float("inf"), [], {}, [[]], True, "ln")


@pytest.fixture(scope="module")
def results():
    """One of each kind."""
    series = dose_series(processed=True).integrate_windows({"C–O": (10, 15), "w": (20, 25)})
    others = [dose_series(processed=True, seed=n).integrate_windows() for n in range(4)]
    quiet = {"show_progressbar": False}
    return {
        "result": series.fit_dose_pinn(estimator="exact", **quiet),
        "comparison": hyperspy_dosekin.compare_laws(series, ["power law", "first order"], **quiet),
        "plan": hyperspy_dosekin.plan_dose_series(
            400.0, noise=0.01, dose_budget=1500.0, n_simulated=8
        ),
        "conditions": hyperspy_dosekin.fit_dose_conditions(
            others,
            conditions={"gas": ["air", "air", "none", "none"]},
            windows="C–O",
            n_draws=200,
            **quiet,
        ),
        "spectra": dose_series(processed=True).fit_dose_spectra(1, energy_range=(8.0, 20.0)),
        "joint": hyperspy_dosekin.fit_dose_jointly(
            {"one": others[0], "other": others[1].inav[:2]}, **quiet
        ),
        "live": watched(counts(6), stop_when={"dose": 1400}),
    }


KINDS = ("result", "comparison", "plan", "conditions", "spectra", "joint", "live")
#: Those whose files HyperSpy writes fast. For the others it is enough to change what it has read.
WRITTEN = ("result", "comparison", "plan")


@pytest.fixture(scope="module")
def stored(results, tmp_path_factory):
    """The signals in the files, by kind."""
    folder = tmp_path_factory.mktemp("forged")
    found = {}
    for kind in KINDS:
        results[kind].save(folder / f"{kind}.hspy")
        found[kind] = hs.load(folder / f"{kind}.hspy")
    return found


def node_of(signal):
    """Where the result is in the metadata."""
    return signal.metadata.get_item(kind_of(signal))


def kind_of(signal):
    return next(name for name in STORED if signal.metadata.has_item(name))


def seal(signal):
    """Put the seal on whatever is there, where that can be read at all."""
    kind = kind_of(signal)
    try:
        node_of(signal).checksum = STORED[kind].stored_in(signal, kind).expected
    except Exception:
        return


def places(record, above=()):
    """Paths of everything in a record."""
    parts = record.items() if isinstance(record, dict) else enumerate(record)
    for key, value in parts:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from list(places(value, (*above, key)))[:8]


def some_places(record):
    """So many of them, drawn where there are more."""
    every = list(places(record))
    chosen = random.Random(6).sample(range(len(every)), min(PLACES, len(every)))
    return [every[place] for place in sorted(chosen)]


def changed(record, place, value):
    """A copy of a record with another thing at a place, or without it."""
    made = copy.deepcopy(record)
    parent = made
    for key in place[:-1]:
        parent = parent[key]
    if value is KeyError:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return made


def read(signal, path, written=True):
    """Load a file, and show what it holds; whether it was refused, by its name.

    Where it is not written, what HyperSpy would read of the file is given to what makes the result
    of it, and is not to be used any more.
    """
    seal(signal)
    if written:
        signal.save(path, overwrite=True)
    try:
        found = hyperspy_dosekin.load(path) if written else result_of(signal, path)
    except ValueError as error:
        assert path.name in str(error)  # noqa: PT017
        return True
    str(found), found._repr_html_()
    return False


pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("kind", KINDS)
def test_records_of_any_content(stored, kind, tmp_path):
    signal, rng = stored[kind].deepcopy(), random.Random(5)
    node, text = node_of(signal), "laws" if kind == "comparison" else "record"
    record = json.loads(node.get_item(text))
    assert not read(signal, tmp_path / "whole.hspy")
    refused = 0
    for place in some_places(record):
        for value in rng.sample((KeyError, *WRONG), 2 if kind == "plan" else 1):
            node.set_item(text, json.dumps(changed(record, place, value)))
            refused += read(signal.deepcopy(), tmp_path / "forged.hspy", written=False)
    assert refused
    assert read(signal, tmp_path / "forged.hspy") == read(signal, tmp_path / "forged.hspy", False)


@pytest.mark.parametrize("kind", KINDS)
def test_records_that_are_none(stored, kind, tmp_path):
    for text in ("", "null", "[]", "3", "{", "[" * 100_000, '"text"'):
        signal = stored[kind].deepcopy()
        node_of(signal).set_item("laws" if kind == "comparison" else "record", text)
        assert read(signal, tmp_path / "forged.hspy", kind in WRITTEN), text[:9]


@pytest.mark.parametrize("kind", KINDS)
def test_formats_of_other_versions(stored, kind, tmp_path):
    newest = STORED[kind_of(stored[kind])].format
    for found in (newest + 1, 99, 0, -1, 1.5, "2", None, float("nan"), True):
        signal = stored[kind].deepcopy()
        node_of(signal).format = found
        assert read(signal, tmp_path / "forged.hspy", kind in WRITTEN), found


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_its_seal_is_refused(stored, kind, tmp_path):
    signal = stored[kind].deepcopy()
    del node_of(signal).checksum
    signal.save(tmp_path / "bare.hspy")
    with pytest.raises(ValueError, match=r"bare\.hspy is damaged"):
        hyperspy_dosekin.load(tmp_path / "bare.hspy")


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_any_shape_and_type(stored, kind, tmp_path):
    whole = stored[kind].data
    for data in (
        whole[..., :-1],
        whole.astype(complex),
        whole.astype("float32"),
        np.full_like(whole, np.nan),
        np.full_like(whole, np.inf),
        whole[..., np.newaxis],
    ):
        signal = hs.signals.BaseSignal(data)
        signal.metadata.add_dictionary(stored[kind].metadata.as_dictionary())
        read(signal, tmp_path / "forged.hspy", kind in WRITTEN)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_any_shape_and_type(stored, kind, tmp_path):
    for name, whole in arrays_of(stored[kind]).items():
        for array in (whole[..., :0], whole.astype("S4"), whole[..., np.newaxis], whole + np.nan):
            signal = stored[kind].deepcopy()
            node_of(signal).set_item(name, array)
            read(signal, tmp_path / "forged.hspy", kind in WRITTEN)


def arrays_of(signal):
    """Arrays beside the record, by place in the metadata."""
    node = node_of(signal).as_dictionary()
    found = {name: value for name, value in node.items() if isinstance(value, np.ndarray)}
    for name, value in node.get("arrays", {}).items():
        found[f"arrays.{name}"] = np.asarray(value)
    return found
