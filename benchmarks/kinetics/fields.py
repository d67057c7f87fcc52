# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels by themselves, with their population, and with their neighbours, against known truths.

Run ``python benchmarks/kinetics/fields.py [--seeds 0 1] [--noise 0.01 0.03 0.05] [--large]``. The
truths are of another kind than the priors: smooth noise, a step of 0.9 in ln k, a particle with a
rim on a support that is left out. ``--kinds phases ramp tails`` are two phases without groups, a
ramp, and log-normal rates of which a few are fast. ``--kinds own even`` are fields of the kind that
is fitted, and smoother ones (powers 2 and 4 of κ² − ∇², no periodic ends). Amplitudes and offsets
vary from pixel to pixel; they are smooth over a pixel, as the thickness is. ``--alike`` are maps of
6 × 6 pixels that have one ln k, or nearly so, on four kinds of doses. ``--large`` measures time and
memory on 64 × 64 pixels with four windows, ``--network`` trains the networks of one map of 32 × 32
pixels and shows their certificate.
"""

import argparse
import resource
import time

import hyperspy.api as hs
import numpy as np
from _truths import power, power_log_half
from scipy.ndimage import gaussian_filter

DOSE = np.arange(1, 10) / 9
MODES = ("pixel", "population", "field")
# Doses over the decay constant, and noise, of pixels that are alike.
ALIKE = {
    "beyond": (np.linspace(1.33, 13.3, 10), 0.02),
    "little": (np.linspace(0.11, 1.0, 9), 0.02),
    "dense": (np.linspace(0.33, 3.0, 9), 0.02),
    "noisy": (np.linspace(0.33, 3.0, 9), 0.05),
}


def smooth(random, shape, width):
    field = gaussian_filter(random.standard_normal(shape), width, mode="wrap")
    return (field - field.mean()) / field.std()


def matern(random, shape, length, power):
    """A field with the spectrum (κ² + q²)^−power, cut out of a larger one; its mean is not 0."""
    q2 = sum(
        np.square(each)
        for each in np.meshgrid(*(2 * np.pi * np.fft.fftfreq(4 * n) for n in shape), indexing="ij")
    )
    spectrum = (8 * (power - 1) / length**2 + q2) ** -float(power)
    spectrum /= spectrum.mean()
    noise = np.fft.fftn(random.standard_normal([4 * n for n in shape]))
    return np.fft.ifftn(noise * np.sqrt(spectrum)).real[tuple(slice(n) for n in shape)]


def truth(kind, seed, size, mean):
    """Ln k, p, a, b and the pixels that count, each ``(size, size)``."""
    random = np.random.default_rng(seed)
    shape = (size, size)
    log_rate = mean + 0.4 * smooth(random, shape, 4)
    exponent = 1.1 + 0.3 * smooth(random, shape, 6)
    inside = np.ones(shape, dtype=bool)
    if kind == "step":
        log_rate += np.where(np.arange(size) < 0.42 * size, 0.7, -0.2)
    if kind == "rim":
        y, x = np.indices(shape) - (size - 1) / 2
        radius = np.hypot(x, y) / (0.46 * size)
        log_rate = mean + 0.15 * smooth(random, shape, 3) + 0.9 * np.clip(4 * radius - 3, 0, 1)
        exponent = 1.0 + 0.4 * radius
        inside = radius < 1
    if kind == "phases":
        island = smooth(random, shape, 3) > 0.3
        log_rate = mean - 0.3 + 0.9 * island + 0.05 * smooth(random, shape, 2)
        exponent = np.where(island, 1.4, 0.9)
    if kind == "ramp":
        along = np.indices(shape).sum(0) / (2 * size - 2) - 0.5
        log_rate, exponent = mean + 1.6 * along, 1.1 - 0.8 * along
    if kind == "tails":
        skewed = np.exp(0.6 * smooth(random, shape, 2))
        log_rate = mean + 0.4 * (skewed - skewed.mean()) / skewed.std()
    if kind in ("own", "even"):
        power = 2 if kind == "own" else 4
        log_rate = mean + 0.4 * matern(random, shape, 10.0, power)
        exponent = np.maximum(1.1 + 0.3 * matern(random, shape, 10.0, power), 0.2)
    amplitude = 0.8 * (1 + 0.3 * smooth(random, shape, 1))
    offset = 0.5 + 0.2 * smooth(random, shape, 1)
    return random, log_rate, exponent, amplitude, offset, inside


def series_of(dose, values):
    """A dose series of values ``(size, size, n_dose)``."""
    axes = [
        *({"size": len(values), "name": name} for name in "yx"),
        {"size": 1, "name": "window"},
        {"axis": dose, "name": "dose"},
    ]
    series = hs.signals.Signal1D(values[:, :, None], axes=axes)
    series.set_signal_type("DoseSeries")
    return series


def simulated(kind, seed, size, mean, noise):
    """A dose series, ln D½ and the pixels that count."""
    random, log_rate, exponent, amplitude, offset, inside = truth(kind, seed, size, mean)
    curve = power(DOSE, np.exp(log_rate)[..., None], exponent[..., None])
    values = amplitude[..., None] * curve + offset[..., None]
    series = series_of(DOSE, values + noise * 0.8 * random.standard_normal(values.shape))
    half = power_log_half(np.exp(log_rate), exponent)
    return series, half, inside


def judged(result, half, inside):
    """Rms error of ln D½, coverage, share determined, and share of these within 0.25."""
    error = np.log(result.half_integrity_dose.data[0]) - half
    lower, upper = (np.log(end.data[0]) for end in result.interval("half_integrity_dose"))
    determined = result.identifiable.data[0] & inside
    covered = (lower <= half) & (half <= upper)
    return (
        float(np.sqrt(np.nanmean(error[inside] ** 2))),
        float(covered[inside].mean()),
        float(determined[inside].mean()),
        float(np.mean(np.abs(error[determined]) < 0.25)) if determined.any() else np.nan,
    )


def case(kind, seed, size, mean, noise):
    """Figures of the three modes and their times."""
    series, half, inside = simulated(kind, seed, size, mean, noise)
    groups = None if inside.all() else np.where(inside, 0, -1)
    found = {}
    for mode in MODES:
        options = {} if mode == "pixel" or groups is None else {"groups": groups}
        start = time.process_time()
        result = series.fit_dose_pinn(spatial=mode, show_progressbar=False, **options)
        found[mode] = (*judged(result, half, inside), time.process_time() - start)
    return found


def accuracy(seeds, noises, size, kinds):
    print("rms of ln D1/2 | coverage of 95 % | determined | of these within 0.25 | CPU seconds")
    every = {mode: [] for mode in MODES}
    for noise in noises:
        for mean in (0.0, 0.4):
            for kind in kinds:
                for seed in seeds:
                    found = case(kind, seed, size, mean, noise)
                    print(f"{100 * noise:.0f} %  mean ln k {mean:.1f}  {kind:6s}  seed {seed}")
                    for mode, row in found.items():
                        every[mode].append((*row, row[0] / found["pixel"][0]))
                        print(f"    {mode:10s}" + "".join(f"{x:8.3f}" for x in row), flush=True)
    print("\nall cases      rms/pixel: mean, worst   coverage: mean, least   right")
    for mode, rows in every.items():
        table = np.array(rows)
        ratio, covered = table[:, 5], table[:, 1]
        # Of all pixels that are called determined.
        right = np.nansum(table[:, 3] * table[:, 2]) / max(np.nansum(table[:, 2]), 1e-9)
        print(
            f"{mode:12s}{ratio.mean():16.2f} {ratio.max():.2f}{covered.mean():18.3f} "
            f"{covered.min():.3f}{right:14.3f}"
        )


def alike(seeds, spreads):
    """Maps of 6 × 6 pixels that have one exponent, and one ln k or a small spread of it."""
    print("cover: mean, least | rms of ln D1/2 | determined | determined and wrong")
    for name, (dose, noise) in ALIKE.items():
        for spread in spreads:
            rows = {mode: [] for mode in MODES[1:]}
            for seed in seeds:
                random = np.random.default_rng(seed)
                rate = np.exp(spread * random.standard_normal((6, 6)))
                exponent = np.ones((6, 6))
                amplitude = np.exp(0.15 * random.standard_normal((6, 6, 1)))
                values = amplitude * (power(dose, rate[..., None], exponent[..., None]) + 0.5)
                series = series_of(dose, values + noise * random.standard_normal(values.shape))
                half, inside = power_log_half(rate, exponent), np.ones((6, 6), dtype=bool)
                for mode, found in rows.items():
                    result = series.fit_dose_pinn(spatial=mode, show_progressbar=False)
                    found.append(judged(result, half, inside))
            for mode, found in rows.items():
                error, covered, known, right = np.array(found).T
                wrong = (known * (1 - np.nan_to_num(right, nan=1.0))).mean()
                print(
                    f"{name:7s} spread {spread:.1f}  {mode:10s} {covered.mean():6.3f} "
                    f"{covered.min():.2f} | {np.sqrt((error**2).mean()):.3f} | {known.mean():.2f} "
                    f"| {wrong:.3f}",
                    flush=True,
                )


def large():
    size = 64
    windows = [simulated("smooth", seed, size, 0.4, 0.02)[0].data for seed in range(4)]
    axes = [
        *({"size": size, "name": name} for name in "yx"),
        {"size": 4, "name": "window"},
        {"axis": DOSE, "name": "dose"},
    ]
    series = hs.signals.Signal1D(np.concatenate(windows, axis=2), axes=axes)
    series.set_signal_type("DoseSeries")
    for mode in MODES:
        start, cpu = time.perf_counter(), time.process_time()
        series.fit_dose_pinn(spatial=mode, show_progressbar=False)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"64 × 64 × 4, {mode:10s}: {time.perf_counter() - start:.0f} s, "
            f"{time.process_time() - cpu:.0f} s of CPU, {memory:.1f} GB at most",
            flush=True,
        )


def network():
    series, half, _ = simulated("smooth", 0, 32, 0.4, 0.01)
    for estimator in ("exact", "pinn"):
        start, cpu = time.perf_counter(), time.process_time()
        result = series.fit_dose_pinn(estimator=estimator, spatial="field", show_progressbar=False)
        print(
            f"32 × 32 × 9, {estimator:5s}: {time.perf_counter() - start:.0f} s, "
            f"{time.process_time() - cpu:.0f} s of CPU; rms of ln D1/2 "
            f"{np.sqrt(np.mean((np.log(result.half_integrity_dose.data[0]) - half) ** 2)):.3f}",
            flush=True,
        )
    print(result.certificate)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.01, 0.03, 0.05])
    parser.add_argument("--kinds", nargs="+", default=["smooth", "step", "rim"])
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--alike", type=float, nargs="*", metavar="SPREAD")
    options = parser.parse_args()
    if options.alike is not None:
        alike(options.seeds, options.alike or [0.0, 0.1, 0.3, 0.5, 1.0])
    elif options.large:
        large()
    elif options.network:
        network()
    else:
        accuracy(options.seeds, options.noise, options.size, options.kinds)
