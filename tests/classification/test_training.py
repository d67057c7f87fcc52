# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training ends well, whatever ends it; models survive files, and damaged files are refused."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperspy_dosekin.classification.architecture import initialise, make_network
from hyperspy_dosekin.classification.config import LOSS_WEIGHTS, VAEConfig
from hyperspy_dosekin.classification.fitting import fit_model
from hyperspy_dosekin.classification.learning import schedule
from hyperspy_dosekin.classification.model_file import KIND, load_model, save_model
from hyperspy_dosekin.classification.prediction import denoise, predict
from hyperspy_dosekin.classification.settings import FitSettings
from hyperspy_dosekin.classification.shares import chosen_share
from hyperspy_dosekin.classification.simulation import Batch
from hyperspy_dosekin.classification.training import loss_terms

from .problems import draw, make_nuisances, make_references

SHORT = {"steps": 12, "evaluate_every": 4, "batch_size": 32, "reconstruction_size": 16}


@pytest.fixture(scope="module")
def problem():
    references = make_references()
    known = make_nuisances(references)
    spectra, _, label = draw(references, known, 240)
    return references, known, spectra, label


@pytest.fixture(scope="module")
def model(problem):
    references, known, spectra, _ = problem
    return fit_model(
        spectra,
        references,
        FitSettings(classifier="head", network=VAEConfig(**SHORT)),
        nuisances=known,
    )


def batch_for(network_channels=47):
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn((12, network_channels), generator=generator)
    return Batch(rows, 0.5 * rows, torch.arange(12) % 3), (rows[:4], 0.5 * rows[:4])


def gradients(term, network):
    network.zero_grad(set_to_none=True)
    term.backward()
    parts = {"variational", "plain", "decoder", "head", "clean_head", "expected_entropy"}
    return {
        part
        for part in parts
        for p in getattr(network, part).parameters()
        if p.grad is not None and p.grad.abs().max() > 0
    }


@pytest.mark.parametrize(
    ("term", "trained"),
    [
        ("reconstruction", {"variational", "decoder"}),
        ("kl", {"variational"}),
        # the clean latents are a target that stands still
        ("convergence", {"plain"}),
        ("denoising", {"plain", "decoder"}),
        ("classification", {"plain", "head"}),
        # looks on, and shapes no latents
        ("uncertainty", {"clean_head", "expected_entropy"}),
    ],
)
def test_each_term_trains_its_own_parts(term, trained):
    network = make_network(47, 3, 4)
    initialise(network, torch.Generator().manual_seed(0))
    config = VAEConfig(n_latent=4, free_bits=0.0, reconstruction_size=8)
    terms = loss_terms(network, *batch_for(), 2.0, config, torch.Generator().manual_seed(1))
    assert set(terms) == set(LOSS_WEIGHTS)
    assert gradients(terms[term], network) == trained


def test_learning_rate_rises_and_falls_to_zero():
    config = VAEConfig(steps=200)
    rates = np.array([schedule(step, config) for step in range(200)])
    top = rates.argmax()
    assert rates[top] == pytest.approx(config.learning_rate)
    assert 0 < top < 40
    assert (np.diff(rates[:top]) > 0).all()
    assert (np.diff(rates[top + 1 :]) < 0).all()
    assert rates[-1] < 1e-3 * config.learning_rate


def test_same_seed_same_model(problem, model):
    references, known, spectra, _ = problem
    again = fit_model(
        spectra,
        references,
        FitSettings(classifier="head", network=VAEConfig(**SHORT)),
        nuisances=known,
    )
    for name, value in model.weights.items():
        assert (again.weights[name] == value).all()
    other = fit_model(
        spectra,
        references,
        FitSettings(classifier="head", network=VAEConfig(**SHORT, seed=1)),
        nuisances=known,
    )
    assert any((other.weights[name] != value).any() for name, value in model.weights.items())


@pytest.mark.parametrize("how", ["stop", "ctrl-c"])
def test_interruption_keeps_what_is_there(problem, how):
    references, known, spectra, _ = problem

    def progress(what, done, total):
        if how == "ctrl-c" and what == "Training" and done >= 8:
            raise KeyboardInterrupt

    found = fit_model(
        spectra,
        references,
        FitSettings(classifier="head", network=VAEConfig(**{**SHORT, "steps": 4000})),
        nuisances=known,
        progress=progress,
        stop=lambda: how == "stop",
    )
    assert found.report["complete"] is False
    assert found.report["steps"] <= 8
    assert np.isfinite(predict(spectra[:5], model=found)).all()


def test_patience_ends_training_without_calling_it_incomplete(problem):
    references, known, spectra, _ = problem
    config = VAEConfig(**{**SHORT, "steps": 40, "learning_rate": 1e-12, "patience": 2})
    found = fit_model(
        spectra, references, FitSettings(classifier="head", network=config), nuisances=known
    )
    assert found.report["complete"] is True
    assert found.report["steps"] < 20


def test_units_of_the_data_change_nothing(problem, model):
    references, known, spectra, _ = problem
    from hyperspy_dosekin.classification.rescaling import in_units

    scaled = fit_model(
        spectra * 1e4,
        references.scaled(1e4),
        FitSettings(classifier="head", network=VAEConfig(**SHORT)),
        nuisances=in_units(known, 1e4),
    )
    a, b = predict(spectra[:50], model=model), predict(spectra[:50] * 1e4, model=scaled)
    # single precision, over a dozen steps of training
    assert b == pytest.approx(a, rel=0.05, abs=0.05)
    assert denoise(spectra[:9] * 1e4, model=scaled) / 1e4 == pytest.approx(
        denoise(spectra[:9], model=model), abs=0.05
    )


def test_spectra_without_data_give_nan(model):
    spectra = np.ones((2, 3, 47), dtype=np.float32) * np.linspace(0, 1, 47, dtype=np.float32)
    spectra[0, 1, 4] = np.nan
    spectra[1, 2] = 0
    spectra[1, 0] = np.inf
    found = predict(spectra, model=model)
    good = np.array([[True, False, True], [False, True, False]])
    assert (np.isfinite(found).all(-1) == good).all()
    assert (np.isnan(found).all(-1) == ~good).all()
    assert (np.isnan(denoise(spectra, model=model)).all(-1) == ~good).all()
    assert found[good][:, :3].sum(-1) == pytest.approx(1.0, abs=1e-5)


def test_blocks_do_not_matter(problem, model):
    _, _, spectra, _ = problem
    whole = predict(spectra, model=model)
    parts = np.concatenate([predict(part, model=model) for part in np.array_split(spectra, 7)])
    assert parts == pytest.approx(whole, abs=1e-4)


def test_a_pickled_model_is_arrays_only(problem, model):
    _, _, spectra, _ = problem
    before = predict(spectra[:4], model=model)
    sent = pickle.loads(pickle.dumps(model))
    assert "network" not in sent.__dict__
    assert (predict(spectra[:4], model=sent) == before).all()


@pytest.mark.parametrize("how", ["uniform", [1, 1, 2], {"flat": 1.0, "wide": 3.0}, "estimated"])
def test_priors(problem, model, how):
    _, _, spectra, _ = problem
    found = chosen_share(how, model, spectra)
    assert found.sum() == pytest.approx(1.0)
    if not isinstance(how, str):
        truth = {3: [0.25, 0.25, 0.5], 2: [0.0, 0.75, 0.25]}[len(how)]
        assert found == pytest.approx(truth)


@pytest.mark.parametrize(
    ("prior", "message"),
    [([1, 2], "2 shares"), ({"odd": 1}, "odd"), ([-1, 1, 1], "none negative"), ([0, 0, 0], "all")],
)
def test_impossible_priors_are_refused(model, prior, message):
    with pytest.raises(ValueError, match=message):
        chosen_share(prior, model, np.empty((0, 47)))


# Files


def test_a_model_comes_back_from_its_file(problem, model, tmp_path):
    _, _, spectra, _ = problem
    path = tmp_path / "model.safetensors"
    rng = np.random.default_rng(0)
    arrays = {"latents": rng.random((60, 16)), "label": np.arange(60) % 3, "spread": np.ones(16)}
    arrays["latents"] = arrays["latents"][:, : max(int(model.active.sum()), 1)]
    arrays["spread"] = np.ones(arrays["latents"].shape[1])
    neighbours = replace(model, classifier="knn", classifier_arrays=arrays)
    for original in (model, neighbours):
        save_model(original, path)
        found = load_model(path)
        assert found.names == original.names
        assert found.classifier == original.classifier
        if original is model:
            assert (predict(spectra, model=found) == predict(spectra, model=model)).all()
        assert found.report["problems"] == original.report["problems"]
        assert found.nuisances.summary() == original.nuisances.summary()


class _Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a file was executed",))


def test_damaged_and_foreign_files_are_refused(model, tmp_path):
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "model.safetensors"
    save_model(model, path)
    whole = path.read_bytes()
    broken = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"no model at all",
        "pickle": pickle.dumps(_Bomb()),
        "header": whole[:9] + b"xx" + whole[11:],
    }
    for name, content in broken.items():
        other = tmp_path / name
        other.write_bytes(content)
        with pytest.raises(ValueError, match="damaged"):
            load_model(other)
    foreign = tmp_path / "foreign"
    save_file({"a": np.zeros(3)}, foreign)
    with pytest.raises(ValueError, match="no description"):
        load_model(foreign)
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        load_model(tmp_path / "nowhere")

    arrays = load_file(path)
    description = json.loads(_description(path))
    with pytest.raises(ValueError, match="not what was saved"):
        _save_changed(arrays | {"weights/odd": np.zeros(1)}, description, foreign)
    # Files of the first format have no checksum: their parts are looked at all the same.
    del description["checksum"]
    with pytest.raises(ValueError, match="not what was saved"):
        _save_changed(arrays, description, foreign)
    description["format"] = 1

    def changed(**changes):
        save_file(arrays, foreign, {KIND: json.dumps({**description, **changes})})
        return foreign

    with pytest.raises(ValueError, match="format 99"):
        load_model(changed(format=99))
    with pytest.raises(ValueError, match="another kind"):
        load_model(changed(kind="odd"))
    with pytest.raises(ValueError, match="damaged"):
        load_model(changed(model={**description["model"], "names": ["a", "b"]}))
    with pytest.raises(ValueError, match="damaged"):
        load_model(changed(novelty={}, units={}, weights={"odd": 1}))
    with pytest.raises(ValueError, match="recursion"):
        _save_changed(arrays, {}, foreign, text="[" * 100_000 + "]" * 100_000)
    for name, wrong in {
        "novelty/mean": arrays["novelty/mean"][:, :-1],
        "novelty/score": arrays["novelty/score"][:2],
        "units/centre": arrays["units/centre"][:-1],
        "model/latent_kl": arrays["model/latent_kl"][:-1],
        "model/energy_ev": arrays["model/energy_ev"][:-1],
        "noise/offset": arrays["noise/offset"][:-1],
    }.items():
        with pytest.raises(ValueError, match="damaged"):
            _save_changed(arrays | {name: wrong}, description, foreign)
    arrays["units/spread"] = arrays["units/spread"] * np.nan
    with pytest.raises(ValueError, match="NaN"):
        load_model(changed())


def test_model_of_another_machine_finds_its_device_here(model, tmp_path):
    model = replace(model, device="cuda:99")
    save_model(model, tmp_path / "model.safetensors")
    assert load_model(tmp_path / "model.safetensors").device == "auto"


def _save_changed(arrays, description, path, text=None):
    from safetensors.numpy import save_file

    save_file(arrays, path, {KIND: text or json.dumps(description)})
    load_model(path)


def _description(path):
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return file.metadata()[KIND]
