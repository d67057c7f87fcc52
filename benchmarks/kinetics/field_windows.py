# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of a pixel that go together, against each window by itself, on truths of NumPy.

Run ``python benchmarks/kinetics/field_windows.py [--seeds 0 1] [--cases ...]``. Two windows, the
second with more noise. ln k of both correlates as told; exponents are of their own. In ``thick``
amplitudes and offsets of both follow the thickness; in ``frames`` four fifths of the noise of a
frame are the same in both; in ``gain`` every frame of a pixel is wrong by 2 % in both; in
``phases`` two phases without groups are fast in the one window where they are slow in the other; in
``grows`` the second window grows. ``--field`` fits fields on smooth truths.
"""

import argparse

import hyperspy.api as hs
import numpy as np
from _truths import power, power_log_half
from fields import DOSE, smooth

CASES = {
    "none": {},
    "half": {"together": 0.5},
    "strong": {"together": 0.9},
    "against": {"together": -0.7},
    "thick": {"thick": 0.3},
    "thick strong": {"thick": 0.3, "together": 0.9},
    "frames": {"frames": 0.8},
    "gain": {"gain": 0.02},
    "gain strong": {"gain": 0.02, "together": 0.9},
    "phases": {"phases": True},
    "grows": {"together": 0.9, "grows": True},
}
NOISE = np.array([[0.008], [0.032]])


def simulated(
    seed, size, *, together=0.0, thick=0.0, frames=0.0, gain=0.0, phases=False, grows=False,
    width=0.0,
):  # fmt: skip
    """Values ``(size, size, 2, n_dose)`` and ln D½ ``(2, size, size)``."""
    random = np.random.default_rng(seed)

    def field():
        shape = (size, size)
        return smooth(random, shape, width) if width else random.standard_normal(shape)

    first, own = field(), field()
    other = together * first + np.sqrt(1 - together**2) * own
    log_rate = 0.2 + 0.4 * np.stack([first, other], -1)
    if phases:
        island = smooth(random, (size, size), 2) > 0.2
        log_rate = 0.2 + 0.1 * np.stack([first, own], -1)
        log_rate += np.where(island, 0.4, -0.4)[..., None] * [1.0, -1.0]
    exponent = (1.1 + 0.25 * np.stack([field(), field()], -1)).clip(0.15, 2.5)
    amplitude = 0.8 * (1 + 0.2 * random.standard_normal((size, size, 2)))
    offset = 0.5 + 0.1 * random.standard_normal((size, size, 2))
    if grows:
        amplitude[..., 1] *= -1
        offset[..., 1] += 1
    through = np.exp(thick * random.standard_normal((size, size, 1)))
    curve = power(DOSE, np.exp(log_rate)[..., None], exponent[..., None])
    values = (amplitude * through)[..., None] * curve + (offset * through)[..., None]
    values = values * (1 + gain * random.standard_normal((size, size, 1, len(DOSE))))
    common = random.standard_normal((size, size, 1, len(DOSE)))
    noise = np.sqrt(frames) * common + np.sqrt(1 - frames) * random.standard_normal(values.shape)
    half = power_log_half(np.exp(log_rate), exponent)
    return values + NOISE * noise, np.moveaxis(half, -1, 0)


def series_of(values):
    axes = [
        *({"size": size, "name": name} for size, name in zip(values.shape, "yx", strict=False)),
        {"size": values.shape[2], "name": "window"},
        {"axis": DOSE, "name": "dose"},
    ]
    series = hs.signals.Signal1D(values, axes=axes)
    series.set_signal_type("DoseSeries")
    return series


def judged(result, half):
    """Rms error, coverage, share determined, and of these within 0.25, of each window."""
    error = np.log(result.half_integrity_dose.data) - half
    lower, upper = (np.log(end.data) for end in result.interval("half_integrity_dose"))
    inside = ((lower <= half) & (half <= upper)).mean((1, 2))
    known = result.identifiable.data
    right = (known & (np.abs(error) < 0.25)).sum((1, 2)) / np.maximum(known.sum((1, 2)), 1)
    return np.stack([np.sqrt(np.nanmean(error**2, (1, 2))), inside, known.mean((1, 2)), right])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--size", type=int, default=18)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--field", action="store_true")
    options = parser.parse_args()
    spatial, width = ("field", 3.0) if options.field else ("population", 0.0)
    quiet = {"spatial": spatial, "show_progressbar": False}
    print("alone -> together of each window: rms of ln D1/2 | coverage | determined | right")
    for case in options.cases:
        every, found = [], []
        for seed in options.seeds:
            values, half = simulated(seed, options.size, width=width, **CASES[case])
            alone = [
                judged(series_of(values[:, :, [w]]).fit_dose_pinn(**quiet), half[[w]])
                for w in range(2)
            ]
            result = series_of(values).fit_dose_pinn(**quiet)
            every.append(np.stack([np.concatenate(alone, 1), judged(result, half)]))
            found.append(result.population.between["1", "2", "", "rate"])
        mean = np.mean(every, axis=0)
        told = ", ".join(f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in found)
        print(f"{case:13s} ln k: {told}")
        for window in range(2):
            parts = (f"{a:.3f} -> {b:.3f}" for a, b in zip(*mean[:, :, window], strict=True))
            print("    " + " | ".join(parts), flush=True)


if __name__ == "__main__":
    main()
