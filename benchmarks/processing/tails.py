# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Window areas above zero-loss peaks of many kinds, beside what is claimed of them.

    python benchmarks/processing/tails.py
    python benchmarks/processing/tails.py --folder FOLDER     # with the recorded peaks of real/
    python benchmarks/processing/tails.py --kinds exponentials skewer student scintillator spread

Peaks and losses are of NumPy and SciPy. Asymmetric: an exponentially modified Gaussian (``asym``),
a quarter of it on a Gaussian (``mixed``), a skewed one, two Gaussians. With wings: a Voigt profile,
a tenth in a Lorentzian (``lorentz``), the same cut off (``cut``) and twice as high on the loss side
(``lopsided``), and the tails of a camera that fall as 1/x^1.5. 0.05 to 0.2 eV a channel, gain sides
of 1.2 to 40 eV, losses with a plasmon, without, and none at all. The truth is the single
scattering at the resolution of the peak, from the energy that the package takes for 0. Of a peak
with a core and a tail the resolution may be that of the core or of both, so that areas between the
two are right. ``--kinds`` takes others: two exponentials on a Gaussian, a peak skewed more,
Student's t, a scintillator's exponential halo on a pedestal, a point spread of two Lorentzians, a
shoulder on the gain side; three that were tried at the end of an earlier work, and looked at since:
a logistic peak, one that drift has smeared, three Gaussians; and three that were tried once when
all was done: a split Lorentzian, a top hat smeared by a Voigt profile, a bump beside the peak.
Those have channels of 0.01 to 0.3 eV, read-out noise, and losses of 0.1 to 1.5 mean free
paths. *Held*: within 1.96 of what
noise and ``zero_loss_residue`` claim together.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.special import voigt_profile
from scipy.stats import exponnorm, logistic, norm, skewnorm, t

import hyperspy_dosekin  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option
from real_data import VACUUM, eelsfitter
from real_peaks import peaks

WINDOWS = {"3–5": (3, 5), "4–7": (4, 7), "7–10": (7, 10), "10–15": (10, 15)}
SIZES = (0.2, 0.3, 0.4, 0.5, 0.6)
FINE = np.linspace(-80, 100, 90001)
#: Other shapes and gain sides, and shapes that were tried once at the end.
FRESH = ("exponentials", "skewer", "student", "scintillator", "spread", "gain shoulder")
ONCE = ("logistic", "smeared", "three gaussians")
LAST_ONES = ("split lorentzian", "top hat", "bump")
#: Of the last ones: widths of channels, factors of the losses, and read-out noise in electrons.
LAST_SCALES, THICKNESSES, READOUT = (0.01, 0.3, 0.03, 0.15, 0.07), (0.2, 0.6, 3.0, 1.0, 2.0), 15.0
FRESH_FIRSTS = (-20.0, -6.0, -4.0, -2.0, -1.5)
#: Losses: energy, standard deviation in eV, and mean number of events.
LOSSES = {
    "plasmon": ((5.5, 1.2, 0.02), (12.5, 2.2, 0.06), (22, 3.5, 0.35), (35, 9, 0.07)),
    "no plasmon": ((9, 2.5, 0.03), (28, 10, 0.2)),
    "vacuum": (),
}
#: Standard deviation of the core in eV, last energy, electrons and spectra.
CORE, LAST, ELECTRONS, SPECTRA = 0.25, 60.0, 5e6, 3
#: First energies in eV, each with the widths of the channels in turn.
FIRSTS, SCALES = (-10.0, -40.0, -5.0, -3.0, -1.2), (0.05, 0.1, 0.2)
ORDINARY = ("gauss", "asym", "mixed", "skewed", "double")
WINGED = ("lorentz", "voigt", "cut", "lopsided", "camera")


def shares(kind: str, size: float) -> np.ndarray:
    """The peak on `FINE`; `size` is that of its tail in eV."""
    gauss = norm.pdf(FINE, scale=CORE)
    if kind == "gauss":
        return norm.pdf(FINE, scale=CORE * (0.6 + size))
    if kind == "exponentials":
        first, second = (exponnorm.pdf(FINE, each * size / CORE, scale=CORE) for each in (0.5, 1.6))
        return 0.6 * first + 0.25 * second + 0.15 * gauss
    if kind == "skewer":
        return skewnorm.pdf(FINE, 5, scale=1.3 * CORE + size)
    if kind == "student":
        return t.pdf(FINE, 2.2 + 4 * size, scale=CORE)
    if kind == "scintillator":
        halo = np.exp(-np.abs(FINE) / (2.5 * size))
        return 0.9 * gauss / gauss.sum() + 0.1 * halo / halo.sum() + 4e-8
    if kind == "spread":
        near, far = (1 / (1 + (FINE / (each * size)) ** 2) for each in (0.6, 4.0))
        return 0.85 * gauss / gauss.sum() + 0.12 * near / near.sum() + 0.03 * far / far.sum()
    if kind == "gain shoulder":
        return 0.9 * gauss + 0.1 * norm.pdf(FINE, loc=-1.4 * size, scale=1.3 * CORE)
    if kind == "logistic":
        return logistic.pdf(FINE, scale=0.5 * CORE + 0.15 * size)
    if kind == "smeared":
        first, last = (norm.cdf(FINE + sign * size, scale=CORE) for sign in (-1, 1))
        return last - first
    if kind == "three gaussians":
        near = norm.pdf(FINE, loc=1.2 * size, scale=2 * CORE)
        return 0.85 * gauss + 0.1 * near + 0.05 * norm.pdf(FINE, scale=4 * size)
    if kind == "split lorentzian":
        half = np.where(FINE < 0, 0.35 * size, 0.6 * size)
        return gaussian_filter1d(1 / (1 + (FINE / half) ** 2), 0.12 / (FINE[1] - FINE[0]))
    if kind == "top hat":
        width = round(2.4 * size / (FINE[1] - FINE[0]))
        return uniform_filter1d(voigt_profile(FINE, 0.18, 0.02), width, mode="constant")
    if kind == "bump":
        return 0.975 * gauss + 0.025 * norm.pdf(FINE, loc=0.9 + size, scale=0.3)
    if kind == "asym":
        return exponnorm.pdf(FINE, size / CORE, scale=CORE)
    if kind == "mixed":
        return 0.75 * gauss + 0.25 * exponnorm.pdf(FINE, size / CORE, scale=CORE)
    if kind == "skewed":
        return skewnorm.pdf(FINE, 3, scale=CORE + size)
    if kind == "double":
        return 0.87 * gauss + 0.13 * norm.pdf(FINE, loc=1.5 * size, scale=1.5 * CORE)
    if kind == "voigt":
        return voigt_profile(FINE, CORE, 0.25 * size)
    if kind == "camera":
        wings = 1 / (1 + np.abs(FINE / 0.3) ** 1.5)
        return gauss / gauss.sum() + 0.05 * size * wings / wings.sum()
    wings = 1 / (1 + (2 * FINE / size) ** 2)
    if kind == "cut":
        wings *= np.exp(-((FINE / (10 * size)) ** 2))
    if kind == "lopsided":
        wings *= 1.5 + 0.5 * np.tanh(FINE / CORE)
    return 0.9 * gauss / gauss.sum() + 0.1 * wings / wings.sum()


def spectra(
    place: np.ndarray, total: np.ndarray, energy: np.ndarray, losses: str,
    random: np.random.Generator, thickness: float = 1.0, readout: float = 0.0,
):  # fmt: skip
    """Signal, and function of a distribution that gives the true areas from an energy.

    The peak is given by its distribution `total` at `place`, the signal has channels `energy`.
    """
    scale = energy[1] - energy[0]
    edges = [np.interp(energy + sign * scale / 2, place, total) for sign in (1, -1)]
    # Long enough for what scatters again and again.
    loss = scale * np.arange(max(4 * energy.size, int(250 / scale)))
    single = np.zeros(loss.size)
    for middle, width, area in LOSSES[losses]:
        line = norm.pdf(loss, middle, width) * (loss > 1)
        single += thickness * area * line / line.sum()
    plural = np.exp(np.fft.rfft(single) - single.sum())
    mean = np.fft.irfft(np.fft.rfft(edges[0] - edges[1], n=loss.size) * plural)[: energy.size]
    counts = random.poisson(ELECTRONS * mean.clip(0), (SPECTRA, energy.size))
    s = hs.signals.Signal1D(counts + random.normal(0, readout, counts.shape) if readout else counts)
    s.set_signal_type("EELS")
    if readout:
        model = {"gain_factor": 1.0, "gain_offset": readout**2, "correlation_factor": 1.0}
        s.metadata.set_item("Signal.Noise_properties.Variance_linear_model", model)
    axis = s.axes_manager[-1]
    axis.name, axis.units, axis.scale, axis.offset = "Energy loss", "eV", scale, energy[0]

    def areas(f: Callable, ends: np.ndarray) -> np.ndarray:
        return np.array([(single * (f(b - loss) - f(a - loss))).sum() for a, b in ends])

    return s, areas


def measure(
    place: np.ndarray, total: np.ndarray, energy: np.ndarray, losses: str,
    random: np.random.Generator, core: Callable | None = None, windows: dict = WINDOWS,
    **others: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Of each window: whether it is held, its error, what is claimed of the peak, and the truth.

    `core` is the distribution of the narrow part of the peak, if it has one.
    """
    s, areas = spectra(place, total, energy, losses, random, **others)
    processed = s.process_low_loss(show_progressbar=False)
    found = processed.integrate_windows(windows)
    zero = -float(np.median(processed.processing_diagnostics()["shift"].data))
    ends = np.array(list(windows.values())) + zero
    shapes = [lambda x: np.interp(x, place, total), *([] if core is None else [core])]
    truth = np.array([areas(shape, ends) for shape in shapes])
    # A plain signal has the window as its last navigation axis, the first of the array.
    values, variance = (
        (each.data.T if each.data.shape[0] != SPECTRA else each.data).mean(axis=0)
        for each in (found, found.get_noise_variance())
    )
    left = np.asarray(found.metadata.get_item("Dosekin.zero_loss_residue", [0.0] * len(windows)))
    # No count says no more than that there are few.
    claim = np.sqrt(variance / SPECTRA + left**2 + (3 / ELECTRONS / SPECTRA) ** 2)
    away = values - np.clip(values, truth.min(axis=0), truth.max(axis=0))
    return {"held": np.abs(away) < 1.96 * claim, "away": away, "left": left, "claim": claim,
            "truth": truth[0]}  # fmt: skip


def drawn(kind: str, size: float, first: float, scale: float, losses: str) -> dict:
    """Measure one peak of a kind."""
    named = [ord(letter) for letter in f"{kind}{losses}"]
    random = np.random.default_rng(
        [*named, *(round(1000 * each) for each in (size, -first, scale))]
    )
    cored = ("mixed", "double", "voigt", "lorentz", "cut", "lopsided", "camera",
             "exponentials", "scintillator", "spread", "gain shoulder", "bump")  # fmt: skip
    core = (lambda x: norm.cdf(x, scale=CORE)) if kind in cored else None
    peak = shares(kind, size)
    energy = first + scale * (np.arange(round((LAST - first) / scale)) + random.uniform(-0.5, 0.5))
    place = FINE - FINE[peak.argmax()]
    others = {}
    if kind in LAST_ONES:
        others = {"thickness": THICKNESSES[SIZES.index(size)], "readout": READOUT}
    return measure(place, np.cumsum(peak) / peak.sum(), energy, losses, random, core, **others)


def recorded(folder: Path) -> Iterator[tuple[str, list[dict]]]:
    """Measure recorded peaks: those of a line scan, and of vacuum with its tails as they are."""
    energy, shapes = peaks(folder / "real" / "LSMO_linescan_low_loss.hspy")
    each = [(energy, shape, WINDOWS) for shape in shapes[::4]]
    yield "line scan", _recorded(each)
    for name, (limits, windows) in VACUUM.items():
        s, empty = eelsfitter(folder / "real" / name, limits)
        energy = s.axes_manager[-1].axis
        each = []
        for row in s.data[empty]:
            top = int(row.argmax())
            # Beyond the peak its noise would be taken for its tail.
            smooth = uniform_filter1d(row - max(np.sort(row)[: row.size // 50].mean(), 0), 15)
            near = np.abs(np.arange(row.size) - top) < 3 * (row > row.max() / 2).sum()
            shape = np.where(near, row, smooth).clip(0)
            named = {f"{left:g}–{right:g}": (left, right) for left, right in windows}
            each.append((energy, shape / shape.sum(), named))
        yield name, _recorded(each)


def _recorded(each: list[tuple]) -> list[dict]:
    found = []
    for seed, (energy, shape, windows) in enumerate(each):
        scale = energy[1] - energy[0]
        place = np.append(energy, energy[-1] + scale) - scale / 2
        total = np.append(0.0, np.cumsum(shape))
        found += [
            measure(place, total, energy, losses, np.random.default_rng([seed, n]), None, windows)
            for n, losses in enumerate(LOSSES)
        ]
    return found


def summary(found: list[dict], names: Iterable[str] = WINDOWS) -> tuple[float, str]:
    """Share of windows that are held, and each window in words."""
    held, away, left, truth = (np.array([each[key] for each in found]) for key in
                               ("held", "away", "left", "truth"))  # fmt: skip
    notes = []
    for place, name in enumerate(names):
        unit = "%" if truth[:, place].min() > 1e-5 else "1e-5"
        scale = 100 / truth[:, place] if unit == "%" else np.full(len(truth), 1e5)
        off, claim = (scale * np.abs(each[:, place]) for each in (away, left))
        notes.append(
            f"{name} eV {held[:, place].mean():.2f} (off by {np.median(off):.2g}, up to "
            f"{off.max():.2g} {unit}; {np.median(claim):.2g} claimed of the peak)"
        )
    return float(held.mean()), ", ".join(notes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="holds real/")
    parser.add_argument("--kinds", nargs="+", choices=ORDINARY + WINGED + FRESH + ONCE + LAST_ONES,
                        default=ORDINARY + WINGED)  # fmt: skip
    parser.add_argument("--raw", type=Path, help="JSON file for all numbers")
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    warnings.simplefilter("ignore")
    logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
    raw, empty = {}, []
    for kind in options.kinds:
        every = []
        for losses in LOSSES:
            for first in FIRSTS if kind in ORDINARY + WINGED else FRESH_FIRSTS:
                scales = LAST_SCALES if kind in LAST_ONES else SCALES
                some = [drawn(kind, size, first, scales[place % len(scales)], losses)
                        for place, size in enumerate(SIZES)]  # fmt: skip
                raw[f"{kind}|{losses}|{first}"] = [
                    {key: each[key].tolist() for key in each} for each in some
                ]
                (every if LOSSES[losses] else empty).extend(some)
        share, note = summary(every)
        rows.add(f"{kind}: windows held", asked="≥ 0.9", measured=share, unit="", note=note)
    share, note = summary(empty)
    rows.add("vacuum of these kinds: windows held", asked="≥ 0.9", measured=share, unit="",
             note=note)  # fmt: skip
    for name, found in recorded(options.folder) if options.folder else ():
        ends = VACUUM[name][1] if name in VACUUM else WINDOWS.values()
        share, note = summary(found, [f"{left:g}–{right:g}" for left, right in ends])
        rows.add(f"{name}: windows held", asked="≥ 0.9", measured=share, unit="", note=note)
    if options.raw:
        options.raw.write_text(json.dumps(raw))
    return 0


if __name__ == "__main__":
    sys.exit(main())
