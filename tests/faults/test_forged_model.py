# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of trained models, and maps of classes, whose content was changed, with a new seal.

Whatever stands there, loading says that the file is damaged, or what is loaded classifies.
"""

import copy
import json
import random
import warnings

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import hyperspy_dosekin
from hyperspy_dosekin.classification.model_file import KIND, _as_text
from hyperspy_dosekin.data import annealing_series, reference_spectra
from hyperspy_dosekin.numerics.files import digest
from tests.faults.test_forged import WRONG, changed, some_places

pytestmark = pytest.mark.filterwarnings("ignore")
#: Of the second kind only what the first has not.
CLASSIFIERS = {
    "likelihood": None,
    "gaussian_process": ("classifier_arrays", "model", "settings"),
}


@pytest.fixture(scope="module")
def spectra():
    return annealing_series(shape=(1, 3, 2))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Arrays and description of the file of each kind of model."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for kind in CLASSIFIERS:
        made = hyperspy_dosekin.DualVAE(classifier=kind, steps=2, evaluate_every=2, batch_size=16)
        made.fit(annealing_series(shape=(3, 9, 8)), reference_spectra(), show_progressbar=False)
        made.save(folder / f"{kind}.safetensors")
        with safe_open(folder / f"{kind}.safetensors", framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            found[kind] = arrays, json.loads(file.metadata()[KIND])
    return found


def forged(path, arrays, description, spectra):
    """Load a model of these parts and let it classify; whether it was refused, by its name."""
    description = {name: part for name, part in description.items() if name != "checksum"}
    description["checksum"] = digest(arrays, _as_text(description))
    save_file(arrays, path, {KIND: _as_text(description)})
    try:
        made = hyperspy_dosekin.DualVAE.load(path)
    except ValueError as error:
        assert path.name in str(error)  # noqa: PT017
        return True
    assert "<img" not in str(getattr(made, "_repr_html_", made.__repr__)())
    try:
        found = made.classify(spectra)
    except ValueError as error:
        # A model of other spectra: they are refused, not classified.
        assert "of the training" in str(error) or "was trained on" in str(error)  # noqa: PT017
        return False
    assert found.class_map.data.shape == (1, 3, 2)
    str(found), repr(found), str(found.report)
    return False


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_descriptions_of_any_content(stored, kind, spectra, tmp_path):
    arrays, whole = stored[kind]
    rng, path = random.Random(7), tmp_path / "forged.safetensors"
    assert not forged(path, arrays, whole, spectra)
    refused = 0
    left_out = ("checksum", "kind", "report")
    parts = {name: part for name, part in whole.items() if name not in left_out}
    for place in some_places({k: parts[k] for k in CLASSIFIERS[kind] or parts if k in parts}):
        (value,) = rng.sample((KeyError, *WRONG), 1)
        refused += forged(path, arrays, changed(whole, place, value), spectra)
    assert refused


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_arrays_of_any_shape_and_type(stored, kind, spectra, tmp_path):
    whole, description = stored[kind]
    path, rng = tmp_path / "forged.safetensors", random.Random(8)
    weights = [name for name in whole if name.startswith("weights/")]
    # One weight stands for all, which go through the same check.
    names = [name for name in whole if name not in weights] + weights[:1]
    names = [name for name in names if name.split("/")[0] in (CLASSIFIERS[kind] or name)]
    refused = 0
    for name in names:
        array = whole[name]
        choices = (
            None,
            array[..., :0] if array.ndim else array[np.newaxis],
            array[..., np.newaxis],
            array.astype("uint8"),
            np.zeros_like(array),
            (array.astype(float) + np.nan),
        )
        value = rng.choice(choices)
        changed_ = {**whole, name: np.ascontiguousarray(value)}
        if value is None:
            del changed_[name]
        refused += forged(path, changed_, description, spectra)
    assert refused > len(names) // 4


def test_a_report_of_any_content_can_be_shown(stored, spectra, tmp_path):
    arrays, whole = stored["likelihood"]
    rng, path = random.Random(9), tmp_path / "forged.safetensors"
    for place in some_places(whole["report"]):
        (value,) = rng.sample((KeyError, *WRONG), 1)
        description = copy.deepcopy(whole)
        description["report"] = changed(whole["report"], place, value)
        forged(path, arrays, description, spectra)


@pytest.mark.parametrize("names", [5, ["<img src=x onerror=alert(1)>"], [None, [], {}], "ab", {}])
def test_maps_of_classes_with_names_of_any_kind(names, tmp_path):
    s = hs.signals.Signal2D(np.array([[[0, 0, 1], [0, 1, 2]], [[1, 1, 1], [1, 1, -1]]]))
    s.set_signal_type("ClassMap")
    s.metadata.set_item("Classes.names", names)
    s.save(tmp_path / "map.hspy")
    found = hs.load(tmp_path / "map.hspy")
    # Tests of widgets, in the same process, leave another one.
    plt.switch_backend("agg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(isinstance(name, str) for name in found.names)
        share = found.fractions().data
        assert share.shape[-1] == len(found.names)
        # Frames in which no class has a name are NaN, as those without data.
        np.testing.assert_allclose(share[0].sum(axis=-1), 1.0)
        found.plot_fractions()
        found.plot()
