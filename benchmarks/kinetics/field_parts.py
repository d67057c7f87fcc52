# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Populations and fields of maps in which nothing decays, or a part of the pixels, or in a jump.

Run ``python benchmarks/kinetics/field_parts.py [--kinds flat vacuum] [--seeds 100 101]``. Maps of
12 to 16 pixels a side, without groups: nothing decays (``flat``), half is vacuum or a support that
does not decay, a particle in vacuum, a hole; amplitudes of two sizes that differ by 100
(``sizes``), or by anything up to that from pixel to pixel (``scatter``). ``jump`` are all pixels
that fall or rise between two frames, or differ in one, which is no decay.
"""

import argparse

import numpy as np
from _truths import power, power_log_half
from fields import series_of, smooth

MODES = ("population", "field")
KINDS = ("flat", "vacuum", "support", "particle", "hole", "sizes", "scatter", "jump")
NOISE, MEANS = (0.005, 0.01, 0.02, 0.03, 0.05), (0.0, 0.4, 0.8)


def decays(kind, seed):
    """A dose series, ln D½ and the pixels that decay."""
    random = np.random.default_rng([77, seed])
    size = int(random.integers(12, 17))
    n_dose = int(random.integers(7, 12))
    shape, dose, noise = (size, size), np.arange(1, n_dose + 1) / n_dose, 0.8 * NOISE[seed % 5]
    log_rate = MEANS[seed % 3] + 0.35 * smooth(random, shape, 3)
    exponent = 1.1 + 0.2 * smooth(random, shape, 3)
    amplitude = 0.8 * (1 + 0.3 * smooth(random, shape, 1))
    offset = 0.5 + 0.15 * smooth(random, shape, 1)
    y, x = np.indices(shape) - (size - 1) / 2
    inside = {
        "flat": np.zeros(shape, bool),
        "vacuum": x < 0,
        "support": x < 0,
        "particle": np.hypot(y, x) < 0.33 * size,
        "hole": np.hypot(y, x) > 0.2 * size,
    }.get(kind, np.ones(shape, bool))
    if kind in ("vacuum", "particle", "hole"):
        offset = offset * inside
    if kind == "sizes":
        amplitude = amplitude * 10 ** (2 * (smooth(random, shape, 2) > 0) - 1.0)
    if kind == "scatter":
        amplitude = amplitude * 10 ** random.uniform(-1, 1, shape)
    curve = power(dose, np.exp(log_rate)[..., None], exponent[..., None])
    values = (amplitude * inside)[..., None] * curve + offset[..., None]
    series = series_of(900 * dose, values + noise * random.standard_normal(values.shape))
    return series, noise, power_log_half(np.exp(log_rate), exponent), inside


def jumps(seed):
    """Dose series of a jump: place and kind, the series, its noise, and where D½ may be."""
    dose = np.arange(1, 10) / 9
    for kind, places in (("spike", (0, 4, 8)), ("fall", (1, 2, 5, 8)), ("rise", (1, 2, 5, 8))):
        for place in places:
            noise = NOISE[seed % 5]
            random = np.random.default_rng([seed, place, int(1e4 * noise)])
            frame = np.arange(9)
            shape = {"spike": frame == place, "fall": frame < place, "rise": frame >= place}[kind]
            amplitude = np.exp(0.2 * random.standard_normal((12, 12, 1)))
            values = np.exp(0.1 * random.standard_normal((12, 12, 1))) + amplitude * shape
            values = values + noise * random.standard_normal(values.shape)
            ends = (np.nan, np.nan) if kind == "spike" else np.log(dose[place - 1 : place + 1])
            yield series_of(900 * dose, values), noise, ends


def fitted(series, noise, given, mode):
    """Ln D½, the flag and the ends of 95 % of a map."""
    if given:
        variance = np.full(series.data.shape, noise**2)
        series.set_noise_variance(series._deepcopy_with_new_data(variance))
    result = series.fit_dose_pinn(spatial=mode, show_progressbar=False)
    lower, upper = (np.log(end.data[0] / 900) for end in result.interval("half_integrity_dose"))
    half = np.log(result.half_integrity_dose.data[0] / 900)
    return half, result.identifiable.data[0], lower, upper


def jump_case(seeds, mode):
    sure, count = 0, 0
    for seed in seeds:
        for series, noise, ends in jumps(seed):
            half, known, _, _ = fitted(series, noise, bool(seed % 2), mode)
            # Right is what is within 0.25 wherever between its frames the jump may be.
            near = np.abs(np.array(ends)[:, None, None] - half).max(0) <= 0.25
            sure, count = sure + (known & ~near).mean(), count + 1
    print(f"jump      {mode:10s} {count} maps: determined and wrong {sure / count:.3f}", flush=True)


def decay_case(kind, seeds, mode):
    rows = []
    for seed in seeds:
        series, noise, half, inside = decays(kind, seed)
        found, known, lower, upper = fitted(series, noise, bool(seed % 2), mode)
        near = known & inside & (np.abs(found - half) < 0.25)
        held = (lower <= half) & (half <= upper)
        rows.append(
            (
                known[inside].mean() if inside.any() else np.nan,
                known[~inside].mean() if not inside.all() else np.nan,
                near.sum() / known.sum() if known.any() else np.nan,
                held[inside].mean() if inside.any() else np.nan,
                known.sum(),
            )
        )
    inside, outside, right, held, number = np.array(rows).T
    whole = np.nansum(right * number) / max(number.sum(), 1)
    print(
        f"{kind:9s} {mode:10s} {len(rows)} maps: determined {inside.mean():.2f}, where nothing "
        f"decays {outside.mean():.3f}; right {whole:.3f} (least {np.nanmin([*right, 1]):.2f}); "
        f"held {held.mean():.3f} (least {held.min():.2f})",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(100, 110)))
    options = parser.parse_args()
    for kind in options.kinds:
        for mode in MODES:
            if kind == "jump":
                jump_case(options.seeds, mode)
            else:
                decay_case(kind, options.seeds, mode)
