# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""classify_vae on HyperSpy signals: right, calibrated, lazy, and clear about bad input."""

import dask.array as da
import exspy
import hyperspy.api as hs
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

import hyperspy_dosekin
from hyperspy_dosekin.classification import fitting, network_training
from hyperspy_dosekin.classification.calibration import calibration_curve
from hyperspy_dosekin.data import annealing_series
from hyperspy_dosekin.data import reference_spectra as simulated_references
from hyperspy_dosekin.data.annealing import expected
from hyperspy_dosekin.signals.classification import latents
from hyperspy_dosekin.signals.classification import references as reading
from hyperspy_dosekin.signals.classification.class_map import ClassMap, LazyClassMap

SHAPE = (5, 13, 11)
QUICK = {"steps": 12, "evaluate_every": 6, "batch_size": 32, "show_progressbar": False}


@pytest.fixture(scope="module")
def series():
    return annealing_series(2, shape=SHAPE)


@pytest.fixture(scope="module")
def fewer():
    """Spectra enough where an option is heard or not."""
    return annealing_series(2, shape=(3, 9, 8))


@pytest.fixture(scope="module")
def references():
    return simulated_references()


@pytest.fixture(scope="module")
def result(series, references):
    options = {"steps": 180, "batch_size": 64, "network": True}
    return series.classify_vae(references, show_progressbar=False, **options)


@pytest.fixture(scope="module")
def label(series):
    return series.metadata.Simulation.label


def in_kev(signal):
    other = signal.deepcopy()
    axis = other.axes_manager[-1]
    axis.offset, axis.scale, axis.units = axis.offset / 1000, axis.scale / 1000, "keV"
    return other


# What it finds


def test_classes_are_right_and_sure_as_they_should_be(result, label):
    found = result.class_map
    assert type(found) is ClassMap
    assert found.names == ("fluoride", "oxyfluoride", "hydroxide", "oxide")
    assert found.data.shape == SHAPE
    assert (found.data == label).mean() > 0.95
    probability = np.moveaxis(result.probability.data, -3, -1).reshape(-1, 4)
    assert probability.sum(1) == pytest.approx(1.0, abs=1e-5)
    # 715 pixels, nearly all of them right
    assert calibration_curve(probability, label.ravel()).error < 0.03


def test_axes_of_the_maps_are_those_of_the_data(result, series):
    frames = series.axes_manager.navigation_axes[2]
    for found in (result.class_map, result.novelty, *result.uncertainty.values()):
        assert found.data.shape == SHAPE
        assert [axis.name for axis in found.axes_manager.signal_axes] == ["x", "y"]
        assert found.axes_manager.signal_axes[0].scale == 2.0
        assert found.axes_manager.navigation_axes[0].name == "temperature"
        assert found.axes_manager.navigation_axes[0].offset == frames.offset
    assert result.probability.data.shape == (5, 4, 13, 11)
    assert result.probability.axes_manager.navigation_axes[0].name == "class"
    assert result.latent.data.shape == (*SHAPE, 16)
    assert result.class_map.fractions().data.shape == (5, 4)


def test_denoised_spectra_are_nearer_to_the_truth_than_principal_components(result, series):
    from hyperspy_dosekin.classification.noise import PrincipalComponents

    truth = expected(series)
    found = result.denoised
    assert type(found) is exspy.signals.EELSSpectrum
    assert found.axes_manager[-1].units == "eV"
    rows = series.data.reshape(-1, 160).astype(float)
    clean = PrincipalComponents.of(rows, 10).clean(rows).reshape(truth.shape)

    def error(data):
        return np.sqrt(np.mean((data - truth) ** 2))

    # A short training; a full one reaches half of it.
    assert error(found.data) < 0.95 * error(clean)
    assert error(found.data) < 0.4 * error(series.data)


def test_uncertainty_is_the_sum_of_its_parts(result):
    parts = {name: signal.data for name, signal in result.uncertainty.items()}
    assert list(parts) == ["encoding", "classifier", "total"]
    assert parts["encoding"] + parts["classifier"] == pytest.approx(parts["total"], abs=1e-5)
    assert min(parts["encoding"].min(), parts["classifier"].min()) >= 0
    probability = np.moveaxis(result.probability.data, -3, -1).astype(float)
    entropy = -(probability * np.log(np.maximum(probability, 1e-12))).sum(-1)
    assert parts["total"] == pytest.approx(entropy, abs=1e-4)


def test_unknown_phases_are_novel_and_known_ones_rarely(result, references):
    other = annealing_series(5, shape=SHAPE, unknown_share=0.3)
    unknown = other.metadata.Simulation.label == 4
    found = other.classify_vae(model=result.model)
    novelty = found.novelty.data
    assert (novelty[unknown] > 2).mean() > 0.6
    # one in a hundred of 500 pixels, with nuisances estimated from 715
    assert (novelty[~unknown] > 2).mean() < 0.04
    rejected = found.class_map_with_unknown(2.0)
    assert rejected.names[-1] == "unknown"
    assert ((rejected.data == 4) == (novelty > 2)).all()
    same = found.class_map_with_unknown(false_alarm_rate=0.01)
    assert (same.data == rejected.data).all()
    for wrong in ({"false_alarm_rate": 0}, {"threshold": np.nan}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            found.class_map_with_unknown(**wrong)


def test_neighbours_help_where_noise_is_strong(result, series, label):
    noisy = series.deepcopy()
    rng = np.random.default_rng(0)
    noisy.data = noisy.data + rng.normal(0, 0.25, noisy.data.shape).astype(np.float32)
    alone = result.model.classify(noisy)
    together = result.model.classify(noisy, spatial="potts")
    right = [(found.class_map.data == label).mean() for found in (alone, together)]
    assert right[1] > right[0] + 0.01
    assert together.spatial_strength > 0
    assert alone.spatial_strength is None
    frames = result.model.classify(noisy, spatial="potts", spatial_frames=True)
    assert (frames.class_map.data != together.class_map.data).any()
    fixed = result.model.classify(noisy, spatial="potts", spatial_strength=0.0)
    assert (fixed.class_map.data == alone.class_map.data).mean() > 0.999


def test_report_says_what_was_found(result):
    report = result.report
    assert report.active_latents >= 2
    assert (report.latent_kl > 0.1).sum() == report.active_latents
    assert report.nuisances["scale_sd"] == pytest.approx(0.15, rel=0.4)
    assert report.nuisances["shift_sd_ev"] == pytest.approx(0.25, rel=0.5)
    assert sum(report.class_share.values()) == pytest.approx(1.0)
    assert report.simulated_accuracy > 0.95
    assert report.calibration_error == pytest.approx(report.calibration.error)
    history = report.history
    assert set(history["training"]) == set(history["validation"])
    assert history["validation"]["total"][-1] < history["validation"]["total"][0]
    text = str(report)
    for word in ("latents", "energy shift", "fluoride", "calibration error"):
        assert word in text
    found = dict(report.to_dataframe().itertuples(index=False))
    assert found["classes"] == ", ".join(report.class_share)
    assert report.to_latex().count("\\\\") == len(found) + 1


# Lazy


def test_lazy_in_lazy_out_and_the_same_numbers(result, series):
    eager = result.model.classify(series, spatial="potts")
    lazy = series.as_lazy()
    lazy.data = lazy.data.rechunk((2, 7, 11, 50))
    found = lazy.classify_vae(model=result.model, spatial="potts", prior=eager.class_share)
    signals = {
        "class_map": LazyClassMap,
        "probability": hs.signals.Signal2D,
        "novelty": hs.signals.Signal2D,
        "denoised": exspy.signals.LazyEELSSpectrum,
        "latent": hs.signals.Signal1D,
    }
    for name, kind in signals.items():
        signal = getattr(found, name)
        assert signal._lazy
        assert isinstance(signal, kind)
        signal.compute(show_progressbar=False)
        expected_data = getattr(eager, name).data
        if name == "class_map":
            # the field is found from the same frames; priors agree
            assert (signal.data == expected_data).mean() > 0.995
        elif name != "probability":
            assert signal.data == pytest.approx(expected_data, rel=1e-3, abs=1e-3)
    assert all(signal._lazy for signal in found.uncertainty.values())
    assert found.class_map.fractions()._lazy
    assert found.class_map_with_unknown()._lazy


def test_training_on_lazy_data_computes_a_sample_only(references):
    computed = []

    def block(block_info=None):
        computed.append(block_info[None]["chunk-location"])
        series = annealing_series(block_info[None]["chunk-location"][0], shape=(1, 15, 10))
        return series.data

    data = da.map_blocks(
        block, chunks=((1,) * 60, (15,), (10,), (160,)), dtype=np.float32, meta=np.empty((0,) * 4)
    )
    signal = exspy.signals.LazyEELSSpectrum(data)
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale, axis.units = 670.0, 0.5, "eV"
    found = signal.classify_vae(references, max_spectra=300, **QUICK)
    # 24 chunks for the training, and as many for the prior.
    assert len(set(computed)) < 50
    before = len(computed)
    class_map = found.class_map
    found.denoised  # noqa: B018 - only makes the graph
    assert len(computed) == before
    class_map.inav[7].compute(show_progressbar=False)
    assert len(computed) == before + 1


# Models


def test_a_saved_model_classifies_as_before(result, series, tmp_path):
    path = tmp_path / "model"
    result.model.save(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        result.model.save(path)
    found = series.classify_vae(model=tmp_path / "model.safetensors", prior="uniform")
    again = series.classify_vae(model=result.model, prior="uniform")
    assert (found.class_map.data == again.class_map.data).all()
    assert repr(found.model) == repr(result.model)


SHARES = (0.4, 0.3, 0.2, 0.1)


@pytest.mark.parametrize(
    "prior",
    [
        "estimated",
        "uniform",
        list(SHARES),
        np.array(SHARES),
        dict(zip(("oxide", "hydroxide", "oxyfluoride", "fluoride"), SHARES, strict=True)),
    ],
    ids=["estimated", "uniform", "list", "array", "mapping"],
)
def test_a_saved_model_keeps_its_settings(result, series, tmp_path, prior):
    # 220 of 715 spectra, so that the sample, and with it the estimate, depends on the settings.
    made = hyperspy_dosekin.DualVAE(prior=prior, seed=np.int64(5), max_spectra=220)
    made._model = result.model.trained
    made.save(tmp_path / "model")
    found = hyperspy_dosekin.DualVAE.load(tmp_path / "model.safetensors")
    shares = found.classify(series).class_share
    assert shares == made.classify(series).class_share
    if isinstance(prior, str) and prior == "estimated":
        assert shares != result.class_share
        return
    kinds = {str: [0.25] * 4, dict: SHARES[::-1]}
    assert list(shares.values()) == pytest.approx(kinds.get(type(prior), SHARES))


def _without_settings(model, folder, settings=None):
    """A file as it was written before settings were saved, or with others."""
    from hyperspy_dosekin.classification.model_file import save_model

    save_model(model.trained, folder / "other.safetensors", settings)
    return folder / "other.safetensors"


def test_a_file_without_settings_has_the_default_ones(result, series, tmp_path):
    found = hyperspy_dosekin.DualVAE.load(_without_settings(result.model, tmp_path))
    # The model of the fixture was trained with the default settings too.
    assert found.classify(series).class_share == result.class_share


@pytest.mark.parametrize(
    "settings",
    [
        {"prior": [1.0, 2.0]},
        {"prior": {"odd": 1.0}},
        {"prior": []},
        {"prior": "odd"},
        {"seed": "odd"},
        {"seed": -1},
        {"max_spectra": None},
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_damage(result, tmp_path, settings):
    path = _without_settings(result.model, tmp_path, settings)
    with pytest.raises(ValueError, match="damaged"):
        hyperspy_dosekin.DualVAE.load(path)


def test_shares_may_be_an_array(fewer, references, result):
    found = fewer.classify_vae(references, prior=np.array(SHARES), **QUICK)
    assert list(found.class_share.values()) == pytest.approx(SHARES)
    again = fewer.classify_vae(model=result.model, prior=np.array(SHARES))
    assert list(again.class_share.values()) == pytest.approx(SHARES)
    for wrong in ({}, [], "odd"):
        with pytest.raises(ValueError, match='must be "estimated", "uniform" or the share'):
            fewer.classify_vae(model=result.model, prior=wrong)


def test_broadening_that_was_found_is_reported(series, fewer, references, result, monkeypatch):
    broad = series.deepcopy()
    # 3.5 eV, the fifth of the six widths that are tried
    sd = 3.5 / np.sqrt(8 * np.log(2)) / 0.5
    rng = np.random.default_rng(1)
    clean = gaussian_filter1d(expected(series), sd, axis=-1)
    broad.data = (clean + rng.normal(0, 0.03, clean.shape)).astype(np.float32)
    read = []
    original = reading._spectra_of
    monkeypatch.setattr(reading, "_spectra_of", lambda *given: read.append(1) or original(*given))
    found = broad.classify_vae(references, fwhm="estimate", **QUICK).report
    # Once, whatever is tried with them.
    assert len(read) == 1
    assert found.fwhm_ev == pytest.approx(3.5)
    assert "3.5 eV FWHM" in str(found)
    given = fewer.classify_vae(references, fwhm=1.0, **QUICK).report
    for report in (given, result.report):
        assert report.fwhm_ev is None
        assert "FWHM" not in str(report)


def test_a_model_of_another_axis_or_scale_is_refused(result, series):
    other = series.isig[:-2]
    with pytest.raises(ValueError, match=r"160 channels from 670 to 749\.5 eV"):
        other.classify_vae(model=result.model)
    moved = series.deepcopy()
    moved.axes_manager[-1].offset += 1.0
    with pytest.raises(ValueError, match=r"671 to 750\.5 eV"):
        moved.classify_vae(model=result.model)
    with pytest.raises(ValueError, match="usual amount"):
        (series * 1000).classify_vae(model=result.model)
    kilo = in_kev(series).classify_vae(model=result.model)
    assert (kilo.class_map.data == result.class_map.data).all()


def test_few_spectra_are_classified_by_a_model_but_not_trained_on(result, series, references):
    few = series.inav[:3, :2, 1]
    with pytest.raises(ValueError, match=r"6 usable spectra are too few.*model="):
        few.classify_vae(references, **QUICK)
    prior = dict(result.class_share)
    found = few.classify_vae(model=result.model, prior=prior)
    assert found.class_map.data.shape == (2, 3)
    assert (found.class_map.data == result.class_map.data[1, :2, :3]).all()
    line = series.inav[:, 2, 1].classify_vae(model=result.model, prior=prior)
    assert line.class_map.data.shape == (1, 11)
    single = series.inav[4, 2, 1].classify_vae(model=result.model, prior=prior)
    assert single.class_map.data.shape == (1, 1)
    assert single.latent.data.shape == (16,)
    assert single.class_map.data[0, 0] == result.class_map.data[1, 2, 4]


def test_another_classifier_reads_the_latents(references, monkeypatch):
    # What the model says of itself is not looked at.
    for part in (fitting, network_training):
        monkeypatch.setattr(part, "_CALIBRATION", 600)
    series = annealing_series(2, shape=(3, 10, 9))
    found = series.classify_vae(
        references, classifier="knn", steps=60, batch_size=64, show_progressbar=False
    )
    assert (found.class_map.data == series.metadata.Simulation.label).mean() > 0.8
    assert found.probability.data.max() < 1


# References


def test_references_in_any_unit_step_and_intensity(fewer, references, result):
    labels = references.metadata.References.labels
    listed = [(in_kev(references) * 50).inav[i] for i in range(4)]
    found = fewer.classify_vae(listed, labels=labels, **QUICK).report
    assert tuple(found.class_share) == tuple(labels)
    assert found.nuisances["scale_mean"] * 50 == pytest.approx(
        result.report.nuisances["scale_mean"], rel=0.05
    )


def test_references_from_files(series, references, tmp_path):
    energy = references.axes_manager[-1].axis
    for i, ending in enumerate(("first.txt", "second_conv.txt", "third.csv")):
        separator = "," if ending.endswith("csv") else " "
        rows = [
            f"{e:.2f}{separator}{v:.6f}" for e, v in zip(energy, references.data[i], strict=True)
        ]
        (tmp_path / ending).write_text("\n".join(["energy mu", *rows]), encoding="utf-8")
    references.inav[3].save(tmp_path / "fourth.hspy")
    names = ["first.txt", "second_conv.txt", "third.csv", "fourth.hspy"]
    found = hyperspy_dosekin.reference_spectra([tmp_path / name for name in names])
    assert found.metadata.References.labels == ["first", "second", "third", "fourth"]
    assert found.data == pytest.approx(references.data, abs=1e-5)
    shifted = hyperspy_dosekin.reference_spectra([tmp_path / "first.txt"], ["a"], shift_ev=2.0)
    assert shifted.axes_manager[-1].offset == pytest.approx(energy[0] + 2.0)


def _crop(references):
    return references.isig[700.0:]


def _other_units(references):
    changed = references.deepcopy()
    changed.axes_manager[-1].units = "nm"
    return changed


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda r: None, {}, "no references"),
        (lambda r: [], {}, "no references"),
        (lambda r: r.inav[:1], {}, "one class"),
        (lambda r: r, {"labels": ["a", "b"]}, "for 4 references"),
        (lambda r: r, {"labels": ["a"] * 4}, "one class"),
        (_crop, {}, "670 to 700 eV is missing"),
        (_other_units, {}, "'nm', which is not an energy"),
        (lambda r: np.ones((2, 7)), {}, "160 channels"),
        (lambda r: r, {"spatial": "odd"}, "spatial='odd'"),
        (lambda r: r, {"classifier": "odd"}, "classifier='odd'"),
        (lambda r: r, {"prior": "odd"}, "prior='odd'"),
        (lambda r: r, {"prior": {}}, r"prior=\{\} must be"),
        (lambda r: r, {"prior": []}, r"prior=\[\] must be"),
        (lambda r: r, {"prior": 0.5}, r"prior=0\.5 must be"),
        (lambda r: r, {"fwhm": -1.0}, "fwhm=-1"),
        (lambda r: r, {"steps": 0}, "steps=0"),
    ],
)
def test_what_cannot_be_used_is_named(series, references, change, options, message):
    with pytest.raises(ValueError, match=message):
        series.classify_vae(change(references), **{**QUICK, **options})


def test_broken_data_are_named(series, references):
    nothing = series.deepcopy()
    nothing.data = np.zeros_like(nothing.data)
    with pytest.raises(ValueError, match="no spectrum holds data"):
        nothing.classify_vae(references, **QUICK)
    with pytest.raises(ValueError, match="too few; the network needs 32"):
        series.isig[:20].classify_vae(references, **QUICK)
    other = series.deepcopy()
    other.data = other.data.astype(complex)
    with pytest.raises(TypeError, match="complex128"):
        hyperspy_dosekin.DualVAE().fit(other, references)
    with pytest.raises(RuntimeError, match="not been trained"):
        hyperspy_dosekin.DualVAE().classify(series)
    with pytest.raises(ValueError, match="cannot be given with model="):
        series.classify_vae(references, model="somewhere")


def test_dead_pixels_have_no_class(result, series):
    broken = series.deepcopy()
    broken.data[1, 2, 3, 40] = np.nan
    broken.data[0, 4] = 0
    found = broken.classify_vae(model=result.model, spatial="potts")
    assert found.class_map.data[1, 2, 3] == -1
    assert (found.class_map.data[0, 4] == -1).all()
    assert (found.class_map.data >= 0).sum() == found.class_map.data.size - 12
    assert np.isnan(found.probability.data[1, :, 2, 3]).all()
    assert np.isnan(found.denoised.data[1, 2, 3]).all()
    assert np.isnan(found.uncertainty["total"].data[0, 4]).all()
    assert found.class_map_with_unknown().data[1, 2, 3] == -1
    assert found.class_map.metadata.Classes.without_data == "none"


def test_interruption_is_marked(fewer, references):
    found = fewer.classify_vae(references, stop=lambda: True, **QUICK)
    assert not found.model.complete
    assert "incomplete" in repr(found)
    assert "interrupted" in str(found.report)
    assert (found.class_map.data >= 0).all()


# Figures


def test_figures_show_every_class(result, monkeypatch):
    # Of all pixels an embedding takes most of the time, and is no more of a figure.
    monkeypatch.setattr(latents, "_EMBEDDED", 150)
    figures = {
        "map": result.plot(),
        "denoised": result.plot_denoised(),
        "latent": result.plot_latent(),
        "silhouette": result.plot_silhouette(),
        "report": result.report.plot(),
        "unknown": result.plot(threshold=1.0),
        "uncertainty": result.plot_uncertainty(),
        "fractions": result.class_map.plot_fractions(),
    }
    for name, figure in figures.items():
        figure.canvas.draw()
        assert figure.axes, name
        if name in ("map", "latent", "denoised", "unknown", "fractions"):
            text = " ".join(t.get_text() for t in figure.legends[0].get_texts())
            assert all(label in text for label in result.names), name
    titles = [axes.get_title() for axes in figures["map"].axes]
    assert titles[0] == "temperature 100 °C"
    shown = figures["unknown"].axes[2].images[0].get_array()
    np.testing.assert_array_equal(shown, result.class_map_with_unknown(1.0).data[2])
    one = result.plot_uncertainty(frames=[2])
    drawn = [axes.images[0].get_array() for axes in one.axes[:3]]
    np.testing.assert_array_equal(drawn[0], result.uncertainty["total"].data[2])
    np.testing.assert_array_equal(drawn[2], result.novelty.data[2])
    with pytest.raises(ValueError, match="frames"):
        result.plot_uncertainty(frames=[5])
    silhouette = result.silhouette()
    assert silhouette["latents"].shape == (5,)
    assert np.nanmax(np.abs(silhouette["latents"])) <= 1
