# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A, C, D, E: what cameras and readers do to spectra, by spectra of NumPy with their own truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from _cases.sample import QUIET, eels, factor, listening, refusal, sample, spikes_of, yes
from scipy.stats import norm

WINDOWS = {"C–C": (4, 7), "C–O": (10, 15), "M–O": (20, 25)}
#: Energy, standard deviation and mean number of events of losses, and the decay of each.
LINES = ((5.5, 0.8, 0.03, 1.2), (12.5, 1.5, 0.06, 3.0), (22.5, 2.0, 0.2, 0.7))
WIDTH = 0.3


def made(electrons: float = 1e6, frames: int = 9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts ``(frames, 520)`` of 0.2 eV from −20 eV, the peak at channel 100, and true areas."""
    energy = -20 + 0.2 * np.arange(520)
    loss = 0.2 * np.arange(2080)
    expected, areas = [], []
    for frame in range(frames):
        single = np.zeros(loss.size)
        for place, width, number, decay in LINES:
            left = 0.4 + 0.6 * np.exp(-decay * frame / max(frames - 1, 1))
            single += number * left * 0.2 * norm.pdf(loss, place, width) * (loss > 0)
        zero = 0.2 * norm.pdf(energy, 0.3 * np.sin(2 * frame), np.hypot(WIDTH, 0.2 / np.sqrt(12)))
        plural = np.exp(np.fft.rfft(single) - single.sum())
        expected.append(np.fft.irfft(np.fft.rfft(zero, n=loss.size) * plural)[:520])
        areas.append([
            (single * (norm.cdf(b - loss, 0, WIDTH) - norm.cdf(a - loss, 0, WIDTH))).sum()
            for a, b in WINDOWS.values()
        ])  # fmt: skip
    counts = np.random.default_rng(seed).poisson(electrons * np.array(expected).clip(0))
    return counts, np.array(areas)


def _areas(rows, what: str, counts: Any, truth: np.ndarray, *words: str, asked: float = 1.03):
    """Mean areas over the truth, and words that must be said."""
    with listening() as heard:
        processed = eels(counts, 0.2, -20.0, frames="s").process_low_loss(**QUIET)
        found = processed.integrate_windows(WINDOWS)
    values = found.data if found.data.shape[0] == len(WINDOWS) else found.data.T
    factor(
        rows, f"{what}: areas over the truth", values.mean(-1) / truth.mean(0), asked, str(heard)
    )
    if words:
        yes(rows, f"{what}: said", any(word in heard for word in words), str(heard))
    return processed


@sample("A7 spectra of few electrons")
def few(rows, folder: Path) -> None:
    for electrons in (300, 700, 3000):
        for frames in (1, 9, 40):
            false = []
            for seed in range(4):
                with listening():
                    counts = made(electrons, frames, seed)[0]
                    false.append(spikes_of(eels(counts, 0.2, -20.0).process_low_loss(**QUIET)))
            rows.add(f"A7 {electrons} electrons, {frames} spectra: false spikes a spectrum",
                     asked="≤ 0.5", measured=float(np.mean(false)), unit="")  # fmt: skip


@sample("A8 the origin of DigitalMicrograph's scale as an offset of the variance")
def origin(rows, folder: Path) -> None:
    model = "Signal.Noise_properties.Variance_linear_model"
    areas, claimed = [], []
    with listening() as heard:
        for seed in range(10):
            s = eels((11.4 * made(seed=seed)[0]).astype("f4"), 0.2, -20.0)
            s.metadata.set_item(model, {"gain_factor": 0.0877, "gain_offset": -3.0})
            found = s.process_low_loss(**QUIET).integrate_windows(WINDOWS)
            areas.append(found.data)
            claimed.append(found.get_noise_variance().data)
    ratio = np.mean(claimed) / np.var(areas, axis=0, ddof=1).mean()
    factor(rows, "A8: claimed variance over that of repeats", ratio, 2.0, str(heard))


@sample("C6 peaks that are not what they seem")
def strange(rows, folder: Path) -> None:
    counts, _ = made()
    changes = {
        "numbers of 16 bits that begin again": (counts % 65536).astype("u2"),
        "a ghost of a third": counts + np.roll(counts, -30, -1) // 3,
        "a channel of half the gain": counts * np.where(np.arange(520) == 102, 0.5, 1),
    }
    for name, data in changes.items():
        with listening() as heard:
            eels(data, 0.2, -20.0).process_low_loss(**QUIET)
        words = ("too large for the type", "as narrow", "its gain")
        yes(rows, f"C6 {name}: said", any(word in heard for word in words), str(heard))
    s = eels(counts, 0.2, -20.0)
    yes(rows, "C6 losses from 8 eV on: refused", *refusal(
        lambda: s.isig[8.0:].process_low_loss(**QUIET), "no zero-loss peak"))  # fmt: skip


@sample("D5 hot channels, and zeros in the zero-loss peak")
def channels(rows, folder: Path) -> None:
    counts, truth = made()
    more = np.random.default_rng(1).poisson(1.0, (9, 520))
    for name, place, level in (
        ("on the gain side", [38], 3e3),
        ("higher than the peak", [38], 5e5),
        ("a pair on the gain side", [38, 39], 3e3),
        ("in a loss", [162], 3e4),
    ):
        data = counts.copy()
        data[:, place] += np.random.default_rng(2).poisson(level, (9, len(place))) + more[:, place]
        _areas(rows, f"D5 {name}", data, truth, str(place[0]))
    for beside in (-3, 0, 3):
        data = counts.copy()
        data[:, 100 + beside] = 0
        _areas(rows, f"D5 zeros {beside:+d} channels from the peak", data, truth, str(100 + beside))
        data = data.astype(float)
        data[:, 100 + beside] = np.nan
        _areas(rows, f"D5 NaN {beside:+d} channels from the peak", data, truth, str(100 + beside))


@sample("D6 ends that moved spectra do not have, one spectrum without a background")
def ends(rows, folder: Path) -> None:
    counts, truth = made()
    for name, of in (("left", lambda row: slice(0, 3 * row)),
                     ("right", lambda row: slice(520 - 3 * row, 520))):  # fmt: skip
        data = counts.astype(float)
        for row in range(9):
            data[row, of(row)] = np.nan
        _areas(rows, f"D6 {name}", data, truth, "left out")
    energy = 480 + 0.25 * np.arange(600)
    edge = np.where(energy > 532, 600 * np.exp(-(energy - 532) / 30), 0)
    data = np.random.default_rng(0).poisson(2e4 * (energy / 500) ** -3 + edge, (9, 600))
    data[4, :200] = -5
    with listening() as heard:
        eels(data, 0.25, 480.0).process_core_loss(background=(490, 528), **QUIET)
    yes(rows, "D6 one background below zero: said", "below zero in 1 of 9" in heard, str(heard))


@sample("E7 a line scan alone, channels of many widths")
def axes(rows, folder: Path) -> None:
    from hyperspy.axes import DataAxis

    s = eels(np.ones((9, 64)), x="nm")
    with listening() as heard:
        s.set_dose_axis(dose_rate=2.0, frame_time=3.0)
    yes(rows, "E7 an axis in nm taken for the frames: said", "is in nm" in heard, str(heard))
    counts, _ = made()
    processed = eels(counts, 0.2, -20.0, frames="s").process_low_loss(**QUIET)
    processed.set_dose_axis(dose_rate=2.0, frame_time=3.0)
    axis = DataAxis(axis=np.geomspace(0.5, 80, 900), units="eV", name="Energy loss")
    with listening():
        other = processed.interpolate_on_axis(axis, -1, inplace=False)
        ratio = (other.integrate_windows(WINDOWS).data.mean(-1)
                 / processed.integrate_windows(WINDOWS).data.mean(-1))  # fmt: skip
    factor(rows, "E7 interpolated to a geometric axis: areas over those before", ratio, 1.01)
