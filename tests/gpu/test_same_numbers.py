# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A graphics card computes what the processor computes."""

from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest
import torch

from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.fitting import fit_model
from hyperspy_dosekin.classification.noise import NoiseModel
from hyperspy_dosekin.classification.nuisances import Nuisances, background_basis
from hyperspy_dosekin.classification.prediction import denoise, predict
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.settings import FitSettings
from hyperspy_dosekin.classification.simulation import Simulator
from hyperspy_dosekin.data import dose_series_image
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.network.config import PROTOCOLS, NetworkConfig
from hyperspy_dosekin.kinetics.network.fit import fit_network
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.profile import kinetic_profile
from hyperspy_dosekin.kinetics.simulation import draw_prior, simulate_curves
from hyperspy_dosekin.numerics import batching
from hyperspy_dosekin.numerics.batching import map_batches
from hyperspy_dosekin.signals.processing.record import processing_diagnostics
from hyperspy_dosekin.windows.definitions import Window
from hyperspy_dosekin.windows.integrate import integrate, integrate_with_noise
from hyperspy_dosekin.windows.weights import window_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


def _curves(number, windows=3, noise=0.01):
    random = np.random.default_rng(0)
    return simulate_curves(random, *draw_prior(random, (number, windows)), noise=noise)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "uint8", ">i4"])
def test_windows(dtype):
    weights = window_weights(np.arange(300.0), [Window("a", 20.5, 90), Window("b", 150, 190.25)])
    block = np.random.default_rng(0).integers(0, 250, (3, 5, 700, 300)).astype(dtype)
    block = block[..., weights.channels]
    # Float64 there; float32 in windows of up to 128 channels on the processor.
    rtol = 1e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(
        integrate(block, weights, device="cuda"), integrate(block, weights), rtol=rtol
    )
    for ours, theirs in zip(
        integrate_with_noise(block, weights, device="cuda"),
        integrate_with_noise(block, weights),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [{}, {"exponent": "shared"}, {"loss": "huber"}, {"prior": None}, {"offset": 5.0}],
    ids=str,
)
def test_exact_fits(options):
    problem = _curves(3000).problem
    here = fit_exact(problem, ExactConfig(**options))
    there = fit_exact(problem, ExactConfig(**options, device="cuda"))
    np.testing.assert_array_equal(there.dead, here.dead)
    # Deviances of two minimisations agree to their tolerance; flat directions do not.
    different = np.abs(there.objective - here.objective) > 1e-4
    assert different.mean() < 2e-3
    sure = here.converged & there.converged & ~different
    close = np.isclose(there.rate, here.rate, rtol=1e-2)
    assert close[sure].mean() > 0.99


def test_exact_fits_in_single_precision():
    problem = _curves(3000).problem
    here = fit_exact(problem, ExactConfig(dtype="float32"))
    there = fit_exact(problem, ExactConfig(dtype="float32", device="cuda"))
    assert np.mean(np.abs(there.objective - here.objective) < 1e-2) > 0.99


def test_intervals():
    problem = _curves(300).problem
    fit = fit_exact(problem)
    for make, config in (
        (kinetic_posterior, ExactConfig()),
        (kinetic_profile, ExactConfig(prior=None)),
    ):
        start = fit_exact(problem, config) if make is kinetic_profile else fit
        here = make(problem, config, fit=start).interval("half_integrity_dose")
        device = replace(config, device="cuda")
        there = make(problem, device, fit=start).interval("half_integrity_dose")
        width = np.log(here[1] / here[0])
        for ours, theirs in zip(there, here, strict=True):
            with np.errstate(invalid="ignore"):
                apart = np.abs(np.log(ours / theirs)) / width
            assert np.nanquantile(apart, 0.99) < 0.02


def test_networks():
    random = np.random.default_rng(1)
    problem = simulate_curves(
        random, np.array([[2.5, 4.0]]), np.array([[1.3, 1.5]]), noise=0.01
    ).problem
    config = NetworkConfig(**PROTOCOLS["fast"])
    start = fit_exact(problem)
    rates = [
        fit_network(problem, config, start=start, prior=DEFAULT_PRIOR, device=device).rate.mean(0)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(rates[1], rates[0], rtol=1e-2)


@pytest.fixture(scope="module")
def problem():
    energy = 500 + 0.5 * np.arange(47)
    x = np.linspace(-1, 1, 47)
    step = 0.5 * (1 + np.tanh((x + 0.5) / 0.1))
    peaks = [step + np.exp(-0.5 * ((x - c) / w) ** 2) for c, w in ((-0.3, 0.08), (0.1, 0.2))]
    references = ReferenceSet(energy, np.stack([*peaks, 0.4 * step]), np.arange(3), ("a", "b", "c"))
    known = Nuisances(
        noise=NoiseModel(np.full(47, 0.01), 0.004),
        scale_mean=1.0,
        scale_sd=0.15,
        shift_mean_ev=0.0,
        shift_sd_ev=0.4,
        background_basis=background_basis(energy),
        background_mean=np.zeros(2),
        background_covariance=np.diag([0.04**2, 0.005**2]),
        class_share=np.full(3, 1 / 3),
    )
    batch = Simulator(references, known, torch.Generator().manual_seed(0)).draw(4000)
    return batch.raw.double().numpy(), batch.label.numpy(), references, known


def test_training_and_inference(problem):
    spectra, label, references, known = problem
    settings = FitSettings(classifier="head", network=VAEConfig(steps=200))
    accuracy = {}
    for device in ("cpu", "cuda"):
        model = fit_model(spectra, references, settings, nuisances=known, device=device)
        found = predict(spectra, model=model)
        accuracy[device] = np.mean(found[:, :3].argmax(axis=1) == label)
    # Other random numbers: as good, not the same.
    assert accuracy["cuda"] == pytest.approx(accuracy["cpu"], abs=0.02)
    # TF32, which Torch takes for convolutions, has ten bits.
    same = predict(spectra, model=replace(model, device="cpu"))
    np.testing.assert_allclose(found[:, :3], same[:, :3], atol=2e-2)
    np.testing.assert_allclose(
        denoise(spectra, model=model),
        denoise(spectra, model=replace(model, device="cpu")),
        atol=2e-2 * np.abs(spectra).max(),
    )


@pytest.mark.parametrize(("kind", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"align": "linear", "normalise": "total"},
        {"align": "fourier", "resolution": "sharpened"},
        {"background": (3.0, 8.0)},
        {"zero_loss": "fitted", "deconvolve": False},
        {"survey": "sample"},
    ],
    ids=str,
)
def test_low_loss_chain(options, kind, tolerance):
    s = dose_series_image(
        0, shape=(40, 40), channels=1024, energy_scale=0.1, drift=0.02, spike_rate=0.02
    )
    here, there = (
        s.process_low_loss(dtype=kind, device=device, show_progressbar=False, **options)
        for device in ("cpu", "cuda")
    )
    spikes = [processing_diagnostics(each)["spikes"].data for each in (here, there)]
    # Two candidates that are equally far from what is expected may change places.
    same = spikes[0] == spikes[1]
    assert same.mean() > 0.999
    for ours, theirs in (
        (here.data, there.data),
        (here.get_noise_variance().data, there.get_noise_variance().data),
    ):
        assert np.abs(ours - theirs)[same].max() <= tolerance * np.abs(ours).max()


@pytest.mark.parametrize(("kind", "tolerance"), [("float64", 1e-9), ("float32", 1e-6)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reference": (425, 475), "reference_background": (404, 424)},
        {"reference": (425, 475), "align": False, "rebin": 2.0},
    ],
    ids=str,
)
def test_core_loss_chain(options, kind, tolerance):
    random = np.random.default_rng(0)
    energy = 400 + np.arange(512.0)
    moved = energy - random.uniform(-0.8, 0.8, (40, 50, 1))
    expected = 900 * (energy / 400) ** -3 + 900 * np.exp(-0.5 * ((moved - 450) / 4) ** 2)
    counts = random.poisson(expected + 150 / (1 + np.exp(540 - moved))).astype(np.uint16)
    counts[::9, ::7, 110] += 900
    s = hs.signals.Signal1D(counts)
    s.set_signal_type("EELS")
    s.axes_manager[-1].offset, s.axes_manager[-1].units = 400, "eV"
    here, there = (
        s.process_core_loss(
            background=(490, 530), crop=(532, 860), dtype=kind, device=device,
            show_progressbar=False, **options,
        )
        for device in ("cpu", "cuda")
    )  # fmt: skip
    for ours, theirs in (
        (here.data, there.data),
        (here.get_noise_variance().data, there.get_noise_variance().data),
    ):
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(ours).max()


def test_a_batch_larger_than_the_memory(caplog):
    free, _ = torch.cuda.mem_get_info()
    rows = np.random.default_rng(0).random((4096, 8), dtype=np.float32)

    def greedy(part):
        # A tenth of the memory for every hundred rows.
        torch.empty(int(free * len(part) / 1000), dtype=torch.uint8, device="cuda")
        return part.double().sum(1)

    found = map_batches(
        greedy, [rows], np.empty(4096), size=4096, device=torch.device("cuda"), what="test"
    )
    np.testing.assert_allclose(found, rows.astype(float).sum(1), rtol=1e-12)
    assert "did not fit in the memory of cuda" in caplog.text


def test_batches_in_flight_change_nothing(monkeypatch):
    device = torch.device("cuda")
    rows = np.random.default_rng(0).random((2**17, 1024), dtype=np.float32)
    matrix = torch.rand(1024, 1024, device=device)
    found = []
    for flight in (1, 3):
        monkeypatch.setattr(batching, "BATCHES_IN_FLIGHT", flight)
        out = np.empty_like(rows)
        map_batches(
            lambda part: part @ matrix / 512, [rows], out, size=2**14, device=device, what="test"
        )
        found.append(out)
    np.testing.assert_array_equal(*found)
