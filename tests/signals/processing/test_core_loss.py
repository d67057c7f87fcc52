# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import logging

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series_image

ROWS, COLUMNS, CHANNELS = 7, 9, 480
ENERGY = 520 + 0.5 * np.arange(CHANNELS)
ROW, COLUMN = np.mgrid[:ROWS, :COLUMNS]
SHIFT = 0.8 * np.sin(COLUMN / 4.0) + 0.5 * ROW / ROWS  # eV
THICKNESS = 1 + 0.3 * np.cos(ROW / 3.0)


def reference(energy):
    """Two white lines near 580 eV, without a continuum, of area 160·√(2π)."""
    first = np.exp(-0.5 * ((energy - 577) / 2) ** 2)
    return 50 * first + 30 * np.exp(-0.5 * ((energy - 586) / 2) ** 2)


def edge(energy):
    rise = 0.5 * (1 + np.tanh((energy - 685) / 1.5))
    return 12 * rise * (np.maximum(energy, 1) / 685) ** -3


def expected():
    energy = ENERGY - SHIFT[..., None]
    background = 300 * (energy / 550) ** -3.0
    return 40 * THICKNESS[..., None] * (background + reference(energy) + edge(energy))


def core_loss(data, scale=0.5, offset=520.0):
    s = hs.signals.Signal1D(data)
    s.set_signal_type("EELS")
    axis = s.axes_manager[-1]
    axis.scale, axis.offset, axis.units, axis.name = scale, offset, "eV", "Energy loss"
    return s


def noisy(seed=0):
    return core_loss(np.random.default_rng(seed).poisson(expected()).astype("uint32"))


CHAIN = {
    "reference": (560, 604),
    "reference_background": (530, 558),
    "background": (640, 676),
    "crop": (677, 737),
}


def test_chain_recovers_edge_shift_and_background():
    s = noisy()
    processed = s.process_core_loss(**CHAIN)
    found = processed.processing_diagnostics()
    shift = -found["shift"].data
    # The unit of the axis is half an eV: 0.1 channels rms.
    assert (shift - (SHIFT - SHIFT.mean())).std() < 0.05
    energy = processed.axes_manager[-1].axis
    assert energy[[0, -1]].tolist() == [677, 737]
    area = reference(ENERGY).sum()
    truth = edge(energy - SHIFT.mean()) / area
    mean = processed.data.reshape(-1, energy.size).mean(axis=0)
    # Noise of the mean of 63 spectra is 2 % of the edge, and there are 121 channels.
    np.testing.assert_allclose(mean, truth, atol=0.1 * truth.max())
    assert np.abs(found["exponent"].data.mean() - 3) < 0.2
    assert list(processed.metadata.Dosekin.processing.steps) == [
        "align", "normalise", "background", "crop",
    ]  # fmt: skip


def test_error_of_the_extrapolated_background_is_propagated():
    flat = np.broadcast_to(40 * (300 * (ENERGY / 550) ** -3.0), (300, CHANNELS))
    s = core_loss(np.random.default_rng(1).poisson(flat).astype("int32"))
    processed = s.process_core_loss(background=(640, 676), crop=(677, 737))
    area = processed.data.sum(axis=-1)
    error = processed.processing_diagnostics()["background_error"].data
    kept = (ENERGY >= 677) & (ENERGY <= 737)
    pull = area / np.sqrt(error**2 + flat[:, kept].sum(axis=-1))
    # 300 spectra: 4 % for the standard deviation, 0.06 for the mean.
    assert pull.std() == pytest.approx(1, abs=0.13)
    assert abs(pull.mean()) < 0.2
    channel = processed.data[:, -1] / np.sqrt(processed.get_noise_variance().data[:, -1])
    assert channel.std() == pytest.approx(1, abs=0.13)


def test_rebinning_sums_counts_and_their_variance():
    s = noisy()
    rebinned = s.process_core_loss(rebin=1.5, align=False)
    assert rebinned.axes_manager[-1].scale == 1.5
    assert rebinned.axes_manager[-1].offset == pytest.approx(520.5)
    np.testing.assert_array_equal(rebinned.data.sum(axis=-1), s.data.sum(axis=-1))
    np.testing.assert_array_equal(rebinned.get_noise_variance().data, rebinned.data)


def test_lazy_is_eager():
    s = noisy()
    eager = s.process_core_loss(**CHAIN, rebin=1.0)
    later = s.as_lazy()
    later.data = da.from_array(s.data, chunks=(3, 4, 100))
    later = later.process_core_loss(**CHAIN, rebin=1.0, show_progressbar=False)
    assert later._lazy
    atol = 1e-6 * np.abs(eager.data).max()
    np.testing.assert_allclose(later.data.compute(), eager.data, atol=atol)
    np.testing.assert_allclose(
        later.get_noise_variance().data.compute(), eager.get_noise_variance().data, rtol=1e-6
    )


def test_normalisation_to_the_zero_loss_peak():
    low = dose_series_image(1, shape=(3, 5), thickness_variation=0.3, drift=0.02)
    processed = low.process_low_loss()
    intensity = low.metadata.Simulation.electrons * np.exp(-low.metadata.Simulation.t_over_lambda)
    s = core_loss(intensity[..., None] * (ENERGY / 520) ** -3.0)
    s.axes_manager[2].name = "dose"
    net = s.process_core_loss(low_loss=processed)
    np.testing.assert_allclose(net.data[..., 0], 1, rtol=0.01)
    with pytest.raises(ValueError, match=r"process_low_loss\(\) returns"):
        s.process_core_loss(low_loss=low)


def test_denoised_beside_raw():
    s = noisy()
    raw, denoised = s.process_core_loss(**CHAIN, components=2)
    truth = core_loss(expected()).process_core_loss(**CHAIN).data
    before, after = ((each.data - truth).std() for each in (raw, denoised))
    # Of 63 spectra two components keep a part of the noise; errors of the background, which are
    # smooth, stay altogether.
    assert after < 0.75 * before
    record = denoised.metadata.Dosekin.processing
    assert record.steps[-1] == "denoise"
    assert record.denoise.components == 2
    assert "denoise" not in raw.metadata.Dosekin.processing.steps
    _, auto = s.process_core_loss(**CHAIN, components="auto")
    assert 1 <= auto.metadata.Dosekin.processing.denoise.components < 20


def test_missing_spectra_are_nan():
    data = expected()
    data[2, 3] = np.nan
    processed, denoised = core_loss(data).process_core_loss(**CHAIN, components=3)
    for each in (processed, denoised):
        assert np.argwhere(np.isnan(each.data).any(axis=-1)).tolist() == [[2, 3]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": (640, 690), "crop": (677, 737)}, "reaches into the edge"),
        ({"background": (640, 676), "edge": 670.0}, "begins at 670"),
        ({"background": (100, 200)}, "no window of the axis"),
        ({"background": (650, 651)}, "at least 4"),
        ({"crop": (700, 600)}, "no window of the axis"),
        ({"background": (590, 640), "reference": (560, 604)}, "overlaps the reference"),
        ({"reference_background": (530, 550)}, "needs reference"),
        (
            {"reference": (560, 604), "reference_background": (530, 570)},
            "reaches into the reference edge",
        ),
        ({"rebin": 0.7}, "no multiple"),
        ({"reference": (700, 740)}, "does not stand out"),
        ({"reference": (560, 604), "max_shift": 30}, "max_shift"),
        ({"components": 0}, "must be 'auto'"),
        ({"components": 4000}, "lower it"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        noisy().process_core_loss(**options)


def test_a_window_that_touches_the_edge_is_noticed(caplog):
    caplog.set_level(logging.WARNING)
    noisy().process_core_loss(background=(640, 676), crop=(677, 737))
    assert not caplog.text
    noisy().process_core_loss(background=(640, 690))
    assert "seems to touch an edge" in caplog.text


def test_nonuniform_axis():
    s = noisy()
    s.axes_manager[-1].convert_to_non_uniform_axis()
    with pytest.raises(ValueError, match="interpolate_on_axis"):
        s.process_core_loss()


def test_a_spike_where_the_background_is_fitted_is_left_out_and_said(caplog):
    energy = np.arange(400.0, 700.0, 0.5)
    mean = 2e4 * (energy / 500) ** -3 + 600 * (energy > 532) * np.exp(-(energy - 532) / 30)
    counts = np.random.default_rng(0).poisson(mean, (4, energy.size)).astype(float)
    options = {"background": (460, 525), "crop": (528, 600)}

    def net(data):
        s = hs.signals.Signal1D(data)
        s.set_signal_type("EELS")
        s.axes_manager[-1].trait_set(offset=400.0, scale=0.5, units="eV")
        return s.process_core_loss(**options).data.sum(axis=-1)

    clean = net(counts)
    assert not caplog.text
    counts[1, 200] += 3e5
    np.testing.assert_allclose(net(counts), clean, rtol=0.05)
    assert "1 of 4 spectra have spikes in background=, 1 channels" in caplog.text


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("width", [1, 2])
def test_a_spike_in_an_edge_is_named_and_a_line_of_some_pixels_is_not(width, lazy, caplog):
    energy = np.arange(400.0, 700.0, 0.5)
    mean = 2e4 * (energy / 500) ** -3 + 600 * (energy > 532) * np.exp(-(energy - 532) / 30)
    mean = np.tile(mean, (5, 6, 1))
    mean[:2] += 9000 * np.exp(-0.5 * ((energy - 560.1) / 0.4) ** 2)
    data = np.random.default_rng(0).poisson(mean).astype(float)

    def process():
        s = hs.signals.Signal1D(data)
        s.set_signal_type("EELS")
        s.axes_manager[-1].trait_set(offset=400.0, scale=0.5, units="eV")
        s = s.as_lazy() if lazy else s
        s.process_core_loss(background=(460, 525), crop=(528, 600), show_progressbar=False)

    process()
    assert not caplog.text
    data[3, 4, 290 : 290 + width] += 3000
    process()
    assert "1 of 30 spectra have something as narrow as a spike" in caplog.text
    assert any(f"{place} eV of spectrum (3, 4)" in caplog.text for place in (545, 545.5))
