# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""`process_low_loss` on what real files have: one row for each nuisance, against the truth.

Run ``python benchmarks/processing/nuisances.py``; a minute on one core. A case that fails is a row.
"""

import logging
import warnings

import numpy as np

from hyperspy_dosekin.data import dose_series

DRIFT = np.linspace(-0.4, 0.4, 9)
SEEDS = range(8)
VIBRATIONS = [(0.1, 2e-3, 0.02), (0.18, 1e-3, 0.02)]
#: Options of `dose_series`, by what they bring.
NUISANCES = {
    "the easy case": {},
    "1.5 channels a peak": {
        "energy_scale": 0.4, "channel_response": "integrated", "channels": 256, "drift": DRIFT,
    },
    "2.2 channels a peak": {
        "energy_scale": 0.27, "channel_response": "integrated", "channels": 360, "drift": DRIFT,
    },
    "asymmetric peak": {"zero_loss_asymmetry": 0.2},
    "pedestal and read noise": {"pedestal": 600.0, "read_noise": 100.0},
    "t/λ = 1.5": {"t_over_lambda": 1.5, "channels": 1024},
    "t/λ = 3, narrow plasmon": {
        "t_over_lambda": 3.0, "plasmon_energy": 15.0, "plasmon_width": 0.5, "channels": 1024,
    },
    "gain side of 1.2 eV": {"energy_offset": -1.2},
    "0.05 eV, vibrations": {
        "energy_scale": 0.01, "energy_offset": -0.8, "channels": 2800, "zero_loss_fwhm": 0.05,
        "vibrations": VIBRATIONS, "energy_units": "meV",
    },
    "dead channels, NaN": {"dead_channels": (90, 400)},
    "dead channels, 0": {"dead_channels": (90, 400), "dead_value": 0.0},
    "averages of 16": {"average_of": 16},
    "averages of 16, called counts": {"average_of": 16, "claimed_noise": "counts"},
    "divided by the maximum": {"normalise": "maximum"},
    "the same, called counts": {"normalise": "maximum", "claimed_noise": "counts"},
    "counts a second": {"normalise": "exposure"},
    "gain written as its inverse": {"gain": 7.8, "claimed_noise": "inverse"},
}  # fmt: skip


def measure(options) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Bias of the areas, their scatter over its claim, error of t/λ, false spikes a spectrum."""
    areas, claims, thickness, spikes = [], [], [], []
    for seed in SEEDS:
        s = dose_series(seed, **options)
        truth = s.metadata.Simulation
        processed = s.process_low_loss(show_progressbar=False)
        ev = {"meV": 1e3, "eV": 1.0}[s.axes_manager[-1].units]
        ranges = zip(truth.window_names, np.asarray(truth.window_ranges), strict=True)
        found = processed.integrate_windows({n: tuple(ev * r) for n, r in ranges})
        true = truth.window_areas_at_resolution
        areas.append(found.data / true)
        variance = found.get_noise_variance()
        known = variance is not None and not np.isscalar(variance)
        claims.append(variance.data / true**2 if known else np.full(true.shape, np.nan))
        notes = processed.processing_diagnostics()
        thickness.append(notes["t_over_lambda"].data / truth.t_over_lambda - 1)
        spikes.append(notes["spikes"].data.mean() if "spikes" in notes else 0.0)
    ratios = np.array(areas)
    scatter = np.sqrt(ratios.var(axis=0, ddof=1).mean(axis=-1) / np.mean(claims, axis=(0, 2)))
    bias = ratios.mean(axis=(0, 2)) - 1
    return bias, scatter, float(np.mean(thickness)), float(np.mean(spikes))


def nuisances() -> None:
    """Print the table."""
    print("\nWhat real files have: eight series each, areas against those at resolution")
    print(
        f"  {'':30s} {'bias of π–π*':>12s} {'others, worst':>14s} {'scatter/claimed':>16s} "
        f"{'t/λ':>8s} {'false spikes':>13s}"
    )
    for name, options in NUISANCES.items():
        try:
            bias, scatter, thickness, spikes = measure(options)
        except Exception as error:
            print(f"  {name:30s} {type(error).__name__}: {str(error)[:90]}")
            continue
        worst = bias[1:][np.abs(bias[1:]).argmax()]
        print(
            f"  {name:30s} {bias[0]:12.2%} {worst:14.2%} "
            f"{scatter.min():8.2f}–{scatter.max():<7.2f} {thickness:8.2%} {spikes:13.2f}",
            flush=True,
        )


if __name__ == "__main__":
    import hyperspy.api as hs

    hs.set_log_level("ERROR")
    warnings.simplefilter("ignore")
    logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
    nuisances()
