# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The noise that is claimed for windows of spectra that were interpolated.

    python benchmarks/processing/interpolated.py

Spectra, plural scattering and counts are NumPy's. They are moved by linear interpolation to
channels of 0.3 to 3 times the width, as intensities or as counts in a channel, and are said to be
counts. *Claimed*: variance of the areas of three windows over that of 60 repeats, least and most.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from scipy.stats import norm

import hyperspy_dosekin  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option

WINDOWS = {"3–7": (3, 7), "10–15": (10, 15), "20–25": (20, 25)}
LINES = ((5.5, 1.0, 0.05), (12.5, 2.0, 0.1), (22.0, 3.0, 0.3), (33.0, 8.0, 0.1))
WIDTH, SPECTRA, ELECTRONS = 0.2, 60, 3e6


def interpolated(ratio: float, *, counts: bool):
    """Spectra on channels `ratio` times as wide, said to be counts."""
    energy, loss = -20 + WIDTH * np.arange(450), WIDTH * np.arange(1500)
    single = sum(area * norm.pdf(loss, middle, width) * WIDTH for middle, width, area in LINES)
    peak = np.fft.rfft(norm.pdf(energy, scale=0.4) * WIDTH, loss.size)
    mean = np.fft.irfft(peak * np.exp(np.fft.rfft(single) - single.sum()))[: energy.size]
    shape = (SPECTRA, energy.size)
    drawn = np.random.default_rng(0).poisson(ELECTRONS * mean.clip(0), shape)
    place = np.arange(energy[3], energy[-3], WIDTH * ratio) + 0.37 * WIDTH
    data = np.array([np.interp(place, energy, row) for row in drawn])
    s = hs.signals.Signal1D(data * ratio if counts else data)
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(name="E", units="eV", scale=WIDTH * ratio, offset=place[0])
    noise = {"gain_factor": 1.0, "gain_offset": 0.0, "correlation_factor": 1.0}
    s.metadata.set_item("Signal.Noise_properties.Variance_linear_model", noise)
    return s


def claimed(s) -> np.ndarray:
    """Variance that is claimed over that of repeats, window by window."""
    areas = s.integrate_windows(WINDOWS)
    values, variance = (
        each.data if each.data.shape[-1] == len(WINDOWS) else each.data.T
        for each in (areas, areas.get_noise_variance())
    )
    return variance.mean(axis=0) / values.var(axis=0, ddof=1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_json_option(parser)
    rows = Rows(parser.parse_args().json)
    warnings.simplefilter("ignore")
    logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
    for counts in (False, True):
        for ratio in (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0):
            s = interpolated(ratio, counts=counts)
            raw, processed = claimed(s), claimed(s.process_low_loss(show_progressbar=False))
            every = np.concatenate([raw, processed])
            rows.add(
                f"interpolated {ratio:g} ×, {'counts in channels' if counts else 'intensities'}",
                asked="≤ 2", measured=np.exp(np.abs(np.log(every)).max()), unit="×",
                note=f"claimed {raw.min():.2f} to {raw.max():.2f} as recorded, "
                f"{processed.min():.2f} to {processed.max():.2f} processed",
            )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
