# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A series that is watched: time and memory of a frame, and intervals of series that were stopped.

    python benchmarks/kinetics/live.py --part speed
    python benchmarks/kinetics/live.py --part stopping --repeats 200

Truths of the second part: "prior" are draws of the prior of the fit (with signal to noise as it
assumes); the others are one curve each, which the prior knows nothing of. The simulator is NumPy.
"""

import argparse
import resource
import time

import numpy as np

from hyperspy_dosekin import LiveKinetics
from hyperspy_dosekin.kinetics.block import block_fields, fit_block
from hyperspy_dosekin.kinetics.live.bins import DoseBins
from hyperspy_dosekin.kinetics.live.posterior import LivePosterior
from hyperspy_dosekin.kinetics.live.rules import STOPPED_WIDER, caution
from hyperspy_dosekin.kinetics.model.config import ExactConfig

STEP, FRAMES, SCALE = 50.0, 40, 1000.0
#: What D½ is to be known to.
WANTED = 0.1
#: Series that are simulated together.
BATCH = 60


def integrity(dose, rate, shape):
    if abs(shape - 1) < 1e-6:
        return np.exp(-rate * dose)
    return np.maximum(1 + (shape - 1) * rate * dose, 0) ** (-1 / (shape - 1))


def half_dose(rate, shape):
    if abs(shape - 1) < 1e-6:
        return np.log(2) / rate
    return (2 ** (shape - 1) - 1) / ((shape - 1) * rate)


CURVES = {"k 1, p 1": (1, 1), "k 3, p 1": (3, 1), "k 2, p 2": (2, 2), "k 2, p .5": (2, 0.5)}


def drawn(kind, random):
    """Rate per dose scale, shape, offset and noise in units of the amplitude."""
    if kind == "prior":
        # Those of the fit end at its bounds, as the draws of others do not.
        while not 0.01 < (rate := np.exp(random.normal(1, 1.75))) < 200:
            pass
        while not 0.1 < (shape := random.normal(1, 0.7)) < 5:
            pass
        return rate, shape, random.uniform(0, 1), np.exp(random.normal(np.log(1 / 50), 0.5))
    rate, shape = CURVES[kind]
    return float(rate), float(shape), 0.3, 0.02


def stopping(repeats, row, known, noise_model, kinds):
    dose = STEP * np.arange(1, FRAMES + 1)
    config = ExactConfig(noise=noise_model, nonnegative=True, correlated=False)
    names = block_fields(config.law)
    fields = ("half_integrity_dose", "half_integrity_dose lower", "half_integrity_dose upper")
    places = [names.index(each) for each in fields]
    for kind in kinds:
        random = np.random.default_rng(5)
        held, ends, whole, final, needed = [], [], [], [], []
        for begin in range(0, repeats, BATCH):
            number = min(BATCH, repeats - begin)
            truths = [drawn(kind, random) for _ in range(number)]
            half = np.array([half_dose(rate / SCALE, shape) for rate, shape, *_ in truths])
            values = np.stack([integrity(dose, r / SCALE, p) + b for r, p, b, _ in truths])
            noise = np.array([each[3] for each in truths])[:, None]
            values = values + noise * random.normal(size=values.shape)
            variance = np.broadcast_to(noise**2, values.shape)
            offset = np.array([each[2] for each in truths]) if known else None
            bins = DoseBins(number)
            live = LivePosterior(config, offset=offset, dose_scale=SCALE)
            good, end = np.zeros(number, int), np.zeros(number, int)
            for place in range(FRAMES):
                bins.add(dose[place], values[:, place], 1 / variance[:, place])
                found = live.estimate(bins.curves(), dose[place])
                factor = 1.0
                if noise_model == "relative":
                    factor = caution(place + 1, 3 + (not known))
                good = np.where(factor * found.sd_log_half_dose <= WANTED, good + 1, 0)
                end = np.where((end == 0) & (good >= row), place + 1, end)
            for last in np.unique(np.concatenate([end[end > 0], [FRAMES]])):
                chosen = np.flatnonzero(end == last) if last < FRAMES else np.arange(number)
                block = fit_block(
                    values[chosen, None, :last],
                    variance[chosen, None, :last],
                    None if offset is None else offset[chosen, None],
                    dose=dose[:last],
                    window_names=("w",),
                    config=config,
                    dose_scale=SCALE,
                )[:, :, 0]
                middle, lower, upper = (block[:, place] * SCALE for place in places)
                above = half[chosen] > middle
                error = np.log(half[chosen] / middle)
                width = np.where(above, np.log(upper / middle), np.log(lower / middle))
                inside = (lower <= half[chosen]) & (half[chosen] <= upper)
                if last == FRAMES:
                    whole.extend(inside[end > 0])
                    final.extend(inside[end == 0])
                    last_ones = end == FRAMES
                    inside, chosen = inside[last_ones], chosen[last_ones]
                    error, width = error[last_ones], width[last_ones]
                held.extend(inside)
                needed.extend(error / width)
                ends.extend([last] * len(chosen))
        final.extend(held)
        print(f"  {kind:10s} coverage of the final interval {np.mean(final):.3f};", end=" ")
        if not ends:
            print("never stopped")
            continue
        share = np.mean(held)
        wider = np.mean(np.array(needed) <= STOPPED_WIDER)
        error = np.sqrt(share * (1 - share) / len(held))
        print(
            f"stopped {len(ends) / repeats:.2f}, of these {share:.3f} ± {error:.3f} "
            f"(with all frames {np.mean(whole):.3f}), frames {np.median(ends):.0f}, dose "
            f"{np.mean(ends) / FRAMES:.2f} of the fixed series; wider by "
            f"{np.quantile(needed, 0.95):.2f} they would hold 0.95, as `LiveKinetics` widens them "
            f"they hold {wider:.3f}",
            flush=True,
        )


def speed(frames):
    random = np.random.default_rng(0)
    energy = np.arange(2048) * 0.02
    dose = np.arange(1, frames + 1) * 2000.0 / max(frames, 100)
    peaks = np.stack([np.exp(-0.5 * ((energy - c) / 1.5) ** 2) for c in (2, 5.5, 12.5, 22.5)])
    levels = np.stack([np.exp(-dose / d) for d in (2000, 900, 500, 300)]) * 300 + 50
    live = LiveKinetics(dose_rate=dose[0], frame_time=1.0, energy_axis=energy, estimator="exact")
    seconds, before = [], None
    for place in range(frames):
        spectrum = random.poisson(levels[:, place] @ peaks)
        start = time.process_time()
        live.update(spectrum)
        seconds.append(time.process_time() - start)
        if place == min(frames // 5, 999):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    ms = 1e3 * np.asarray(seconds)
    print(
        f"4 windows × 2048 channels, {frames} frames: processor {np.median(ms):.1f} ms a frame "
        f"(mean {ms.mean():.1f}, 95 % {np.quantile(ms, 0.95):.1f}); memory grew by {grown:.1f} MB"
    )


def maps(frames=12, side=128):
    random = np.random.default_rng(0)
    live = LiveKinetics(dose_rate=100.0, frame_time=1.0, estimator="exact")
    half = random.uniform(200, 900, (side, side, 4))
    seconds, wall = [], []
    for place in range(frames):
        areas = 0.5 ** (100 * (place + 1) / half) + 0.2 + 0.03 * random.normal(size=half.shape)
        start, begun = time.process_time(), time.perf_counter()
        live.update(areas)
        seconds.append(time.process_time() - start)
        wall.append(time.perf_counter() - begun)
    print(
        f"{side} × {side} pixels × 4 windows: processor {1e3 * np.median(seconds[4:]):.0f} ms, by "
        f"the clock {1e3 * np.median(wall[4:]):.0f} ms a frame"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("speed", "maps", "stopping", "all"), default="all")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--row", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", default=["prior", *CURVES])
    parser.add_argument("--known", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--noise", nargs="+", default=["relative", "floor"])
    options = parser.parse_args()
    if options.part in ("speed", "all"):
        speed(options.frames)
    if options.part in ("maps", "all"):
        maps()
    if options.part in ("stopping", "all"):
        for known in map(bool, options.known):
            for noise in options.noise:
                print(f"stopped at sd {WANTED}, noise={noise!r}, offset known: {known}")
                stopping(options.repeats, options.row, known, noise, options.kinds)


if __name__ == "__main__":
    main()
