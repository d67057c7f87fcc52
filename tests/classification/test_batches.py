# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch in parts and a small memory change how the network is used, not what comes out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperspy_dosekin.classification.architecture import Encoder, Reader
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.fitting import fit_model
from hyperspy_dosekin.classification.gradients import PartedGradients
from hyperspy_dosekin.classification.prediction import predict
from hyperspy_dosekin.classification.settings import FitSettings
from hyperspy_dosekin.classification.simulation import Batch
from hyperspy_dosekin.numerics import batching

from .problems import draw, make_nuisances, make_references

SHORT = {"steps": 8, "evaluate_every": 4, "batch_size": 32, "reconstruction_size": 16}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def problem():
    references = make_references()
    known = make_nuisances(references)
    return draw(references, known, 240)[0], references, known


def _fitted(problem, **options):
    spectra, references, known = problem
    settings = FitSettings(classifier="head", network=VAEConfig(**{**SHORT, **options}))
    return fit_model(spectra, references, settings, nuisances=known)


@pytest.fixture(scope="module")
def model(problem):
    return _fitted(problem)


def _small_memory(monkeypatch, rows, *, with_gradients=False):
    """A device that holds no more than `rows` spectra (and what gradients of encoders need)."""
    parts = ((Encoder, "forward"), *(() if with_gradients else ((Reader, "features"),)))
    for part, name in parts:
        whole = getattr(part, name)

        def limited(self, spectra, whole=whole):
            if len(spectra) > rows and torch.is_grad_enabled() >= with_gradients:
                raise torch.OutOfMemoryError(f"simulated: {len(spectra)} spectra")
            return whole(self, spectra)

        monkeypatch.setattr(part, name, limited)


def test_the_number_of_threads_does_not_change_the_model(problem, model):
    alone = _fitted(problem, threads=1)
    for name, value in model.weights.items():
        np.testing.assert_array_equal(alone.weights[name], value)


def _linear_loss(weight):
    def loss(batch, measured, generator, parts):
        square = (batch.raw @ weight - batch.clean).square().mean()
        other = (measured[0] @ weight).square().mean()
        return {"square": square, "other": other, "total": square + other}

    return loss


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_of_parts_add_up_to_those_of_the_batch(threads):
    generator = torch.Generator().manual_seed(0)
    raw, target = (torch.randn(24, 3, generator=generator, dtype=torch.double) for _ in range(2))
    weight = torch.randn(3, 3, generator=generator, dtype=torch.double).requires_grad_()
    batch, measured = Batch(raw, target, torch.zeros(24)), (raw[:8], target[:8])
    loss = _linear_loss(weight)
    whole = loss(batch, measured, generator, 1)
    config = VAEConfig(batch_size=24, reconstruction_size=16, threads=threads)
    parted = PartedGradients(loss, [weight], config, CPU)
    terms, gradients = parted(batch, measured)
    parted.close()
    torch.testing.assert_close(terms, {name: term.detach() for name, term in whole.items()})
    torch.testing.assert_close(gradients, torch.autograd.grad(whole["total"], [weight]))
    assert parted.notes == []


def test_a_small_memory_takes_more_parts(caplog):
    weight = torch.ones(3, 3, dtype=torch.double, requires_grad=True)
    raw = torch.arange(96.0, dtype=torch.double).reshape(32, 3)
    batch, measured = Batch(raw, raw, torch.zeros(32)), (raw[:8], raw[:8])
    plain = _linear_loss(weight)

    def limited(part, *others):
        if len(part.raw) > 9:
            raise torch.OutOfMemoryError("simulated")
        return plain(part, *others)

    config = VAEConfig(batch_size=32, reconstruction_size=32)
    parted = PartedGradients(limited, [weight], config, CPU)
    terms, gradients = parted(batch, measured)
    whole = plain(batch, measured, None, 1)
    torch.testing.assert_close(terms["total"], whole["total"].detach())
    torch.testing.assert_close(gradients, torch.autograd.grad(whole["total"], [weight]))
    assert parted.notes == [
        "training: a batch of 16 did not fit in the memory of cpu; went on with 8."
    ]
    assert parted.notes[0] in caplog.text
    parted(batch, measured)
    assert len(parted.notes) == 1
    parted.close()


def test_a_memory_that_is_too_small_is_an_error():
    def never(*_):
        raise torch.OutOfMemoryError("simulated")

    weight, rows = torch.ones(1, requires_grad=True), torch.ones(32, 3)
    parted = PartedGradients(never, [weight], VAEConfig(), CPU)
    with pytest.raises(MemoryError, match=r"training: .* device="):
        parted(Batch(rows, rows, rows), (rows, rows))
    parted.close()


def test_other_errors_of_a_part_pass():
    def wrong(*_):
        raise RuntimeError("shapes do not match")

    weight, rows = torch.ones(1, requires_grad=True), torch.ones(32, 3)
    parted = PartedGradients(wrong, [weight], VAEConfig(), CPU)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        parted(Batch(rows, rows, rows), (rows, rows))
    parted.close()


def test_training_in_a_small_memory_is_noted(problem, model, monkeypatch):
    assert model.report["notes"] == []
    monkeypatch.setattr("hyperspy_dosekin.classification.architecture._BLOCK", 10**6)
    _small_memory(monkeypatch, 150, with_gradients=True)
    found = _fitted(problem, batch_size=512, reconstruction_size=64, steps=2)
    (note,) = found.report["notes"]
    assert note.startswith("training: a batch of 256 did not fit")


@pytest.mark.parametrize("staged", [False, True])
def test_inference_in_a_small_memory_gives_the_same(problem, model, staged, monkeypatch, caplog):
    spectra = problem[0][:150].reshape(3, 50, -1)
    expected = predict(spectra, model=model)
    monkeypatch.setattr(batching, "_overlaps", lambda device: staged)
    monkeypatch.setattr("hyperspy_dosekin.classification.architecture._BLOCK", 10**6)
    _small_memory(monkeypatch, 40)
    # The order of sums in a convolution depends on the batch; float32.
    np.testing.assert_allclose(predict(spectra, model=model), expected, rtol=2e-4, atol=2e-5)
    assert "classification: a batch of 150 did not fit" in caplog.text


def test_a_device_that_is_not_there_is_an_error(model):
    with pytest.raises(ValueError, match="'cuda:99' is not present"):
        replace(model, device="cuda:99").encode(np.zeros((1, 47)))
