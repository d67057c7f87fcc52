# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network is trained when it is asked for, once, and always to the same."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hyperspy_dosekin import DualVAE
from hyperspy_dosekin.classification import recipe
from hyperspy_dosekin.data import annealing_series, reference_spectra

SHAPE = (3, 9, 8)
SHORT = {"steps": 6, "evaluate_every": 3, "batch_size": 32, "reconstruction_size": 16}


@pytest.fixture(scope="module")
def series():
    return annealing_series(4, shape=SHAPE)


@pytest.fixture(scope="module")
def fitted(series):
    """Trained but for its network; each test takes a copy."""
    return DualVAE(**SHORT).fit(series, reference_spectra(), show_progressbar=False)


@pytest.fixture
def vae(fitted):
    return pickle.loads(pickle.dumps(fitted))


@pytest.fixture(scope="module")
def at_once(series):
    return series.classify_vae(reference_spectra(), network=True, show_progressbar=False, **SHORT)


def test_latents_train_it_and_nothing_else_changes(vae, series, at_once):
    found = vae.classify(series)
    names = ("probability", "novelty", "composition", "denoised")
    before = {name: getattr(found, name).data for name in names}
    assert not vae.trained.has_network
    assert "not trained" in str(found.report)
    assert found.report.plot().axes
    assert found.plot_denoised().axes
    assert not vae.trained.has_network
    latents = found.latent.data
    assert (latents == at_once.latent.data).all()
    assert "6 steps" in str(found.report)
    assert found.report.history["training"]["denoising"].shape == (2,)
    assert found.report.active_latents == at_once.report.active_latents
    for name in names:
        assert (getattr(found, name).data == before[name]).all()
        assert (getattr(at_once, name).data == before[name]).all()
    assert found.silhouette()["latents"].shape == (3,)
    assert vae.train_network() is vae


def test_a_saved_model_trains_the_same(vae, series, at_once, tmp_path):
    vae.save(tmp_path / "later")
    again = DualVAE.load(tmp_path / "later.safetensors")
    assert not again.trained.has_network
    assert (again.classify(series).latent.data == at_once.latent.data).all()
    # And is saved with it, then.
    again.save(tmp_path / "trained")
    trained = DualVAE.load(tmp_path / "trained.safetensors")
    assert trained.trained.has_network
    assert (trained.classify(series).latent.data == at_once.latent.data).all()


def test_live_use_of_the_head_trains_it(vae, series, at_once):
    with pytest.raises(ValueError, match="'tensorrt'"):
        vae.compile("tensorrt", classifier="head")
    vae.compile("torch")
    assert not vae.trained.has_network
    rows = series.data.reshape(-1, series.data.shape[-1])
    prior = dict(vae.report.class_share)
    found = vae.compile("torch", classifier="head", prior=prior).classify(rows)[1]
    assert vae.trained.has_network
    same = at_once.model.compile("torch", classifier="head", prior=prior).classify(rows)[1]
    assert (found == same).all()


def test_threads_that_ask_together_get_one_training(vae, series, monkeypatch):
    from hyperspy_dosekin.classification import network_training

    train, times = network_training.train_network, []
    monkeypatch.setattr(
        network_training, "train_network", lambda *args: times.append(1) or train(*args)
    )
    results = [vae.classify(series) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        latents = list(pool.map(lambda found: found.latent.data, results))
    assert len(times) == 1
    assert (latents[0] == latents[2]).all()


def test_the_training_is_shown_and_can_be_ended(vae, capsys):
    asked = []
    vae.train_network(show_progressbar=True, stop=lambda: not asked.append(1))
    assert "Training" in "".join(capsys.readouterr())
    assert asked == [1]
    assert not vae.complete
    assert vae.report.history["step"].tolist() == [3]


def test_lazy_spectra_have_lazy_latents(vae, series, at_once):
    found = vae.classify(series.as_lazy()).latent
    assert found._lazy
    assert np.asarray(found.data) == pytest.approx(at_once.latent.data, abs=1e-4)


def test_what_is_kept_for_it_stays_at_home(series, monkeypatch):
    monkeypatch.setattr(recipe, "KEPT", 50)
    found = series.classify_vae(reference_spectra(), show_progressbar=False, **SHORT)
    assert found.model.trained.recipe.raw.shape == (50, series.data.shape[-1])
    assert found._trained.recipe is None
    never = DualVAE(network=False).fit(series, reference_spectra(), show_progressbar=False)
    assert never.trained.recipe is None
    with pytest.raises(RuntimeError, match="network=False"):
        never.train_network()
    with pytest.raises(RuntimeError, match="not been trained"):
        DualVAE().train_network()
