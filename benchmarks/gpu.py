# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A graphics card against the processor: the tests of ``tests/gpu``, and a row for every kernel.

Run ``python benchmarks/gpu.py``, or ``make bench-gpu``; under eight minutes. Without a CUDA device
it says so, names every row as not measured, and ends with status 1. ``--trial`` runs all rows but
CUDA graphs with few data and Torch on the processor in place of the card: the script is tried out,
its figures mean nothing.
"""

import argparse
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _table import Rows, add_json_option, machine

HERE = Path(__file__).resolve().parent
HALF = "half_integrity_dose"
#: A kernel at work on a device, by name or as Torch has it; results are compared if arrays.
Work = Callable[[Any], Any]


@dataclass(frozen=True)
class Kernel:
    """What takes ``device=``, and what is asked of it.

    Parameters
    ----------
    what
        In words.
    unit
        What is counted.
    made
        Makes so many data; returns how many units that are, and the work.
    number
        Of data; and with ``--trial``.
    asked, gain
        Units a second on the card; times two cores.
    both
        Whether the processor does the same, for a ratio.
    """

    what: str
    unit: str
    made: Callable[[int], tuple[int, Work]]
    number: tuple[int, int]
    asked: str | None = None
    gain: str | None = None
    both: bool = True

    @property
    def rows(self) -> Iterator[tuple[str, str | None, str]]:
        """Name, bound and unit of each row."""
        yield f"{self.what}, GPU", self.asked, f"{self.unit}/s"
        if self.both:
            yield f"{self.what}, two cores", None, f"{self.unit}/s"
            yield f"{self.what}, GPU against two cores", self.gain, "×"


def curves(pixels: int) -> Any:
    """Four windows of nine frames each, with noise of 1 %."""
    from hyperspy_dosekin.kinetics.simulation import draw_prior, simulate_curves

    random = np.random.default_rng(0)
    return simulate_curves(random, *draw_prior(random, (pixels, 4)), noise=0.01).problem


def exact_maps(pixels: int, kind: str = "float32") -> tuple[int, Work]:
    from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
    from hyperspy_dosekin.kinetics.model.config import ExactConfig

    problem = curves(pixels)
    return (
        pixels,
        lambda device: fit_exact(problem, ExactConfig(dtype=kind, device=str(device))).objective,
    )


def intervals(pixels: int, profile: bool = False) -> tuple[int, Work]:
    from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
    from hyperspy_dosekin.kinetics.model.config import ExactConfig
    from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
    from hyperspy_dosekin.kinetics.posterior.profile import kinetic_profile
    from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

    problem, options = curves(pixels), {"prior": None} if profile else {}
    fit = fit_exact(problem, ExactConfig(**options))

    def work(device: Any) -> Any:
        config = ExactConfig(**options, device=str(device))
        if profile:
            return kinetic_profile(problem, config, fit=fit).interval(HALF)
        names = (HALF, "rate", "exponent")
        return kinetic_posterior(problem, config, fit=fit).summarise([Quantity(n) for n in names])

    return 4 * pixels, work


def maps(side: int, **options: Any) -> tuple[int, Work]:
    """Fits of a simulated image, or of a single series."""
    from hyperspy_dosekin.data import dose_series, dose_series_image

    areas = (
        dose_series_image(2, shape=(side, side), processed=True)
        if side
        else dose_series(0, processed=True)
    )
    return max(side**2, 1), lambda device: areas.fit_dose_pinn(
        device=str(device), show_progressbar=False, **options
    )


def field_network(side: int) -> tuple[int, Work]:
    """A network for each window of a map; the field, which the processor makes, is given."""
    from hyperspy_dosekin.data import dose_series_image
    from hyperspy_dosekin.kinetics.network.config import NetworkConfig
    from hyperspy_dosekin.signals.kinetics.numbers.field_networks import fit_field_networks

    areas = dose_series_image(2, shape=(side, side), processed=True)
    field = areas.fit_dose_pinn(estimator="exact", spatial="field", show_progressbar=False)
    config = NetworkConfig(seeds=(0,), gauss_newton_iterations=5)
    return side**2, lambda device: fit_field_networks(field.numbers.maps, config, str(device))


def repeated(block: Any, number: int) -> Any:
    """An image of at least so many spectra."""
    import hyperspy.api as hs

    each = block.axes_manager.navigation_size
    return hs.stack([block] * max(number // each, 1), show_progressbar=False)


def low_loss(number: int) -> tuple[int, Work]:
    """The chain, with noise variance, on spectra of 2 048 channels."""
    from hyperspy_dosekin.data import dose_series_image

    block = dose_series_image(1, shape=(8, 8), channels=2048, energy_scale=0.05, drift=0.02)
    image = repeated(block, number)
    return (
        image.axes_manager.navigation_size,
        lambda device: (
            image.process_low_loss(dtype="float32", device=device, show_progressbar=False).data
        ),
    )


def core_loss(number: int) -> tuple[int, Work]:
    """A power law and a crop, with noise variance and alignment, on spectra of 1 024 channels."""
    import hyperspy.api as hs

    random = np.random.default_rng(0)
    energy = 400 + 0.5 * np.arange(1024)
    moved = energy - random.uniform(-0.8, 0.8, (16, 32, 1))
    expected = 900 * (energy / 400) ** -3 + 900 * np.exp(-0.5 * ((moved - 450) / 4) ** 2)
    counts = random.poisson(expected + 150 / (1 + np.exp(540 - moved))).astype(np.uint16)
    block = hs.signals.Signal1D(counts)
    block.set_signal_type("EELS")
    axis = block.axes_manager[-1]
    axis.offset, axis.scale, axis.units = 400, 0.5, "eV"
    image = repeated(block, number)
    return image.axes_manager.navigation_size, lambda device: image.process_core_loss(
        background=(490, 530), crop=(532, 860), reference=(425, 475),
        reference_background=(404, 424), dtype="float32", device=device, show_progressbar=False,
    ).data  # fmt: skip


def windows(number: int) -> tuple[int, Work]:
    """Four windows of 2 048 channels, with noise variance."""
    from hyperspy_dosekin.windows.definitions import Window
    from hyperspy_dosekin.windows.integrate import integrate_with_noise
    from hyperspy_dosekin.windows.weights import window_weights

    chosen = [Window(name, 400.0 * i + 50.5, 400.0 * i + 390) for i, name in enumerate("abcd")]
    weights = window_weights(np.arange(2048.0), chosen)
    block = np.random.default_rng(0).integers(0, 250, (number, 2048)).astype(np.uint16)
    block = block[..., weights.channels]
    return number, lambda device: integrate_with_noise(block, weights, device=device)[0]


KERNELS = (
    Kernel(
        "exact fits of maps, float32", "pixels", exact_maps, (2**20, 32), "≥ 2000000", both=False
    ),
    Kernel(
        "exact fits of maps, float64", "pixels", partial(exact_maps, kind="float64"),
        (2**17, 32),
    ),
    Kernel(
        "posterior with three intervals", "curves", intervals, (2**16, 8), "≥ 200000", both=False
    ),
    Kernel("profile", "curves", partial(intervals, profile=True), (2**12, 8)),
    Kernel("map with intervals and flags", "pixels", partial(maps, estimator="exact"), (64, 4)),
    Kernel(
        "map of another law, with intervals", "pixels",
        partial(maps, estimator="exact", law="delayed"), (8, 2),
    ),
    Kernel("network of one series", "fits", partial(maps, estimator="pinn"), (0, 0)),
    Kernel("network of a field, 5 steps", "pixels", field_network, (8, 3)),
    Kernel("low-loss chain, float32", "spectra", low_loss, (2**16, 576), gain="≥ 10"),
    Kernel("core-loss chain, float32", "spectra", core_loss, (2**16, 512)),
    Kernel("sums over four windows", "spectra", windows, (2**17, 512)),
)  # fmt: skip


def measured(rows: Rows, kernel: Kernel, card: Any, trial: bool) -> None:
    """The rows of a kernel: least times on the clock, the first call left out."""
    number, work = kernel.made(kernel.number[trial])
    rates, found = {}, {}
    for where in (card, "cpu") if kernel.both else (card,):
        # Once before: kernels are loaded, and memory is taken.
        times = []
        for _ in range(2 if trial else 4 if where == card else 2):
            started = time.perf_counter()
            found[where] = work(where)
            times.append(time.perf_counter() - started)
        rates[where] = number / min(times[1:])
    values = [rates[card], *([rates["cpu"], rates[card] / rates["cpu"]] if kernel.both else [])]
    for (what, asked, unit), value in zip(kernel.rows, values, strict=True):
        note = f"{number} {kernel.unit}, on the clock, from arrays to arrays"
        rows.add(what, asked=None if trial else asked, measured=value, unit=unit, note=note)
    if kernel.both and isinstance(found["cpu"], np.ndarray):
        apart = np.nanmax(np.abs(found[card] - found["cpu"])) / np.nanmax(np.abs(found["cpu"]))
        what = f"{kernel.what}, largest difference"
        rows.add(what, asked=None, measured=apart, unit="of the largest value")


def script(name: str) -> dict:
    """Functions of another benchmark."""
    return runpy.run_path(str(HERE / name))


def training(rows: Rows) -> None:
    """`classify_vae` with the network."""
    trained = script("classification/annealing.py")["trained"]
    for device in ("cpu", "cuda"):
        trained(rows, device)
    found = {row.what: row.measured for row in rows.kept if "training" in row.what}
    slow, fast = found["VAE training, two cores"], found["VAE training, GPU"]
    rows.add(
        "VAE training, GPU against two cores", asked="≥ 5", measured=slow / fast, unit="×",
        note="on the clock, in one run",
    )  # fmt: skip


def live(rows: Rows) -> None:
    """A recording of the kernels against the same kernels called one by one."""
    from hyperspy_dosekin.classification.live.compiled import CompiledClassifier
    from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings

    model, spectra, _ = script("classification/live.py")["make_problem"]()
    for number in (32, 4096):
        least = {}
        for name in ("torch", "cuda_graphs"):
            settings = LiveSettings(runtime=name, device="cuda", batch_sizes=(number,))
            classify = CompiledClassifier(model, settings, classifier="head").classify
            times = []
            for _ in range(300):
                started = time.perf_counter()
                classify(spectra[:number])
                times.append(time.perf_counter() - started)
            least[name] = 1e3 * min(times)
            asked = "≤ 0.05" if name == "cuda_graphs" and number == 32 else None
            rows.add(
                f"live classification, batch {number}, {name} on the GPU", asked=asked,
                measured=least[name], unit="ms", note="on the clock, least of 300",
            )  # fmt: skip
        rows.add(
            f"live classification, batch {number}, CUDA graphs against plain", asked=None,
            measured=least["torch"] / least["cuda_graphs"], unit="×",
        )  # fmt: skip


def skipped(rows: Rows) -> None:
    """Every row as not measured."""
    named = [row for kernel in KERNELS for row in kernel.rows]
    named += [
        ("VAE training, GPU", "≤ 5", "s"),
        ("VAE training, GPU against two cores", "≥ 5", "×"),
    ]
    for number, asked in ((32, "≤ 0.05"), (4096, None)):
        name = f"live classification, batch {number}, "
        named += [(f"{name}cuda_graphs on the GPU", asked, "ms")]
        named += [(f"{name}CUDA graphs against plain", None, "×")]
    for what, asked, unit in named:
        rows.skip(what, asked=asked, unit=unit, why="no CUDA device here")


def main() -> int:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trial", action="store_true", help="few data, without a card")
    add_json_option(parser)
    options = parser.parse_args()
    started, present = time.perf_counter(), torch.cuda.is_available()
    print("\n".join(machine()), flush=True)
    rows, status = Rows(options.json), 0
    if not options.trial:
        tests = [sys.executable, "-m", "pytest", "-q", "-rs", str(HERE.parent / "tests" / "gpu")]
        status = subprocess.run(tests, check=False).returncode
    if options.trial or present:
        for kernel in KERNELS:
            measured(rows, kernel, torch.device("cpu") if options.trial else "cuda", options.trial)
    if options.trial:
        return 0
    if present:
        training(rows)
        live(rows)
    else:
        skipped(rows)
    print("\n== table")
    for row in rows.kept:
        print(row)
    print(f"{time.perf_counter() - started:.0f} s")
    if not present:
        print(
            f"There is no CUDA device here that Torch {torch.__version__} can use, so that nothing "
            "was measured. Run this on a machine with one, with a CUDA build of Torch.",
            file=sys.stderr,
        )
    return status if present else 1


if __name__ == "__main__":
    sys.exit(main())
