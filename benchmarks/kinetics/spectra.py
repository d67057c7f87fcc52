# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of whole spectra: bound, coverage, number of components, and pyglotaran beside them.

    python benchmarks/kinetics/spectra.py [--repeats 100] [--glotaran PYTHON] [--json PATH]

`--glotaran` is the interpreter of an environment with pyglotaran, which is compared on the same
data. Truths are made here with NumPy alone, and the Cramér–Rao bound is that of its own formula.
The second component of the test of their number is so strong that its spectrum is known to a third
of its maximum in a channel, the rates being known ("3 σ").
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.kinetics.spectra.fit import fit_spectra
from hyperspy_dosekin.kinetics.spectra.number import LEVEL, component_tests
from hyperspy_dosekin.kinetics.spectra.problem import SpectraConfig, SpectraProblem
from hyperspy_dosekin.kinetics.spectra.summary import (
    component_interval,
    component_values,
    half_doses,
    integrities,
    spectra_interval,
    spectra_of,
    summary,
)
from hyperspy_dosekin.kinetics.spectra.whitening import whitened

ENERGY = np.linspace(0.0, 50.0, 1000)
RESIDUE = 1 + 2 * np.exp(-0.5 * ((ENERGY - 22) / 8) ** 2)
WINDOWS = ((1, 3), (4, 7), (10, 15), (20, 25))
HALF = Quantity("half_integrity_dose")

# Runs in the other environment, with JSON for YAML, which holds it.
GLOTARAN = r"""
import json, sys, time
import numpy as np, xarray as xr
from glotaran.io import load_model, load_parameters
from glotaran.optimization.optimize import optimize
from glotaran.project.scheme import Scheme
data = np.load(sys.argv[1])
number = int(data["number"])
names = [f"s{i}" for i in range(number + 1)]
lines = ["k_matrix:", "  k:", "    matrix:"]
lines += [f"      ({n}, {n}): kinetic.{i}" for i, n in enumerate(names)]
start = {"compartments": names, "parameters": ["fixed.1"] * len(names)}
parts = {
    "default_megacomplex": "decay",
    "dataset": {"d": {"megacomplex": ["m"], "initial_concentration": "j", "irf": None}},
    "initial_concentration": {"j": start},
    "megacomplex": {"m": {"k_matrix": ["k"], "dimension": "time"}},
}
lines += [f"{name}: {json.dumps(part)}" for name, part in parts.items()]
model = load_model("\n".join(lines), format_name="yml_str")
rates = [["0", 1e-9, {"vary": False}]]
rates += [[str(i + 1), float(k)] for i, k in enumerate(data["start"])]
given = {"fixed": [["1", 1, {"vary": False}]], "kinetic": rates}
parameters = load_parameters(json.dumps(given), format_name="yml_str")
channels = np.arange(data["values"].shape[1], dtype=float)
axes = [("time", data["dose"]), ("spectral", channels)]
values = xr.DataArray(data["values"], coords=axes).to_dataset(name="data")
scheme = Scheme(model=model, parameters=parameters, data={"d": values})
best = np.inf
for _ in range(int(data["repeats"])):
    start = time.process_time()
    result = optimize(scheme, verbose=False, raise_exception=True)
    best = min(best, time.process_time() - start)
found = result.data["d"]
spectra = found.species_associated_spectra.transpose("species", "spectral").values
order = [names.index(str(n)) for n in found.species.values]
optimised = result.optimized_parameters
print(json.dumps({
    "seconds": best,
    "cost": float((found.residual.values**2).sum()),
    "rates": [optimised.get(f"kinetic.{i + 1}").value for i in range(number)],
    "spectra": spectra[np.argsort(order)].tolist(),
}))
"""


def integrity(rate, dose, exponent=1.0):
    if exponent == 1:
        return np.exp(-rate * dose)
    return np.maximum(1 + (exponent - 1) * rate * dose, 0) ** (-1 / (exponent - 1))


def peak(centre, width, height=1.0):
    return height * np.exp(-0.5 * ((ENERGY - centre) / width) ** 2)


def bound(rate, dose, strength):
    """Cramér–Rao bound of the sd of ln D½ at p = 1, for Σ A²/σ² of all channels."""
    step = 1e-5
    slopes = [
        (integrity(rate * np.exp(step), dose) - integrity(rate * np.exp(-step), dose)) / (2 * step),
        (integrity(rate, dose, 1 + step) - integrity(rate, dose, 1 - step)) / (2 * step),
    ]
    basis, _ = np.linalg.qr(np.stack([integrity(rate, dose), np.ones(dose.size)], 1))
    free = np.stack(slopes, 1)
    free = free - basis @ (basis.T @ free)
    slope = np.array([-1.0, np.log(2) / 2])
    return float(np.sqrt(slope @ np.linalg.solve(free.T @ free * strength, slope)))


def beside_glotaran(rows, python):
    """The same data, first order, no priors; times are of the processor, for the second call."""
    for frames, number in ((9, 1), (30, 1), (100, 1), (300, 1), (30, 2), (300, 2)):
        dose = np.arange(1, frames + 1) / frames
        rates = (7.0, 1.5)[-number:]
        parts = (peak(12, 3) - peak(30, 2, 0.5), peak(25, 6))[-number:]
        clean = sum(np.outer(integrity(k, dose), a) for k, a in zip(rates, parts, strict=True))
        values = clean + RESIDUE + 0.02 * np.random.default_rng(0).normal(size=(frames, 1000))
        what = f"{frames} frames × 1000 channels, {number} component{'s' * (number > 1)}"
        config = SpectraConfig("first order", number, None)
        problem = SpectraProblem(dose, values, np.full(values.shape, 4e-4))
        seconds = np.inf
        for _ in range(3):
            start = time.process_time()
            found = fit_spectra(problem, config)
            _ = found.nodes
            seconds = min(seconds, time.process_time() - start)
        measured = integrities(found, dose)
        spectra, _ = spectra_of(found, measured)
        curves = np.concatenate([measured, np.ones((1, frames))])
        cost = ((values - curves.T @ spectra) ** 2).sum()
        if python is None:
            rows.skip(f"{what}: speed beside pyglotaran", asked="≥ 5", unit="×", why="not given")
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.npz"
            start = [0.7 * k for k in rates]
            np.savez(path, values=values, dose=dose, start=start, number=number, repeats=2)
            run = subprocess.run(
                [python, "-W", "ignore", "-c", GLOTARAN, str(path)],
                capture_output=True,
                text=True,
                check=False,
            )
        if run.returncode:
            print(run.stderr[-2000:])
            rows.skip(f"{what}: beside pyglotaran", asked=None, unit="×", why="it failed")
            continue
        other = json.loads(run.stdout.splitlines()[-1])
        order = np.argsort(other["rates"])[::-1]
        # Concentrations add up to 1 there.
        theirs = np.array(other["spectra"])[[*(1 + order), 0]] / (number + 1)
        change = np.abs(spectra - theirs).max() / np.abs(theirs).max()
        rate = np.array(other["rates"])[order]
        rows.add(
            f"{what}: speed beside pyglotaran, intervals among ours",
            asked="≥ 5",
            measured=other["seconds"] / seconds,
            unit="×",
            note=f"{seconds:.3f} s against {other['seconds']:.2f} s",
        )
        rows.add(
            f"{what}: sum of squares over theirs, less 1",
            asked="≤ 0.0001",
            measured=abs(cost / other["cost"] - 1),
            unit="",
        )
        rows.add(
            f"{what}: spectra, largest difference",
            asked="≤ 0.02",
            measured=change,
            unit="",
            note=f"rates {component_values(found)['rate'].round(4)}, theirs {rate.round(4)}",
        )


def of_windows(values, dose, noise):
    """Posterior sd of ln D½ of the default windows, from their areas."""
    width = ENERGY[1] - ENERGY[0]
    inside = [(left <= ENERGY) & (right >= ENERGY) for left, right in WINDOWS]
    areas = np.stack([values[:, where].sum(1) * width for where in inside])
    variance = [np.full(dose.size, where.sum() * (noise * width) ** 2) for where in inside]
    problem = DoseProblem(dose, areas[None], ("1", "2", "3", "4"), np.stack(variance)[None])
    return kinetic_posterior(problem, ExactConfig()).summarise().sd_log_half_dose[0]


def study(rows, repeats):
    """Coverage, bound, and the best window beside the whole spectra."""
    dose = np.arange(1, 10) / 9
    spread = peak(12, 3) - peak(30, 2, 0.5) + peak(20, 10, 0.4)
    inside, bands, total = 0, [], 0
    for rate, noise in ((1.5, 0.02), (2.0, 0.02), (3.0, 0.05)):
        truth = np.log(2) / rate
        errors, own, windows = [], [], []
        for seed in range(repeats):
            random = np.random.default_rng(seed)
            values = np.outer(integrity(rate, dose), spread) + RESIDUE
            values = values + noise * random.normal(size=values.shape)
            problem = SpectraProblem(dose, values, np.full(values.shape, noise**2))
            found = fit_spectra(problem, SpectraConfig(n_component=1))
            lower, upper = component_interval(found, HALF)
            inside += lower[0] < truth < upper[0]
            errors.append(np.log(half_doses(found)[0] / truth))
            low, high = spectra_interval(found)
            true = np.stack([spread, RESIDUE])
            bands.append(((low < true) & (true < high)).mean(1))
            total += 1
            own.append(summary(found).sd_log_half_dose[0])
            windows.append(of_windows(values, dose, noise))
        least = bound(rate, dose, (spread**2).sum() / noise**2)
        best = min(
            bound(
                rate,
                dose,
                spread[where := (left <= ENERGY) & (right >= ENERGY)].sum() ** 2
                / (where.sum() * noise**2),
            )
            for left, right in WINDOWS
        )
        got = np.sqrt(np.mean(np.square(errors)))
        what = f"k = {rate:g}, noise {noise:g}"
        rows.add(
            f"{what}: error of ln D½ over its bound",
            asked="≤ 1.1",
            measured=got / least,
            unit="",
            note=f"bound {least:.3f}, {repeats} repeats",
        )
        rows.add(
            f"{what}: error of ln D½ over the bound of the best default window",
            asked="≤ 0.8",
            measured=got / best,
            unit="",
            note=f"bound {best:.3f}",
        )
        rows.add(
            f"{what}: posterior sd of ln D½ over that of the best default window",
            asked="≤ 0.8",
            measured=np.median(own) / np.median(windows, 0).min(),
            unit="",
            note=f"{np.median(own):.3f} against {np.median(windows, 0).min():.3f}",
        )
    rows.add(
        "interval of D½ holds the truth, least",
        asked="≥ 0.93",
        measured=inside / total,
        unit="",
        note=f"{total} series",
    )
    for name, covered in zip(("component", "residue"), np.mean(bands, 0), strict=True):
        rows.add(f"band of the {name} holds the truth", asked="≥ 0.92", measured=covered, unit="")


def numbers(rows, repeats):
    """Number of components: 1 where there is one, 2 where the second has 3 σ."""
    for frames in (9, 30):
        dose = np.arange(1, frames + 1) / frames
        first = peak(12, 3)
        for rates in ((8.0, 1.0), (8.0, 3.0), (3.0, 0.5)):
            curves = np.stack([np.ones(frames), *(integrity(rate, dose) for rate in rates)], 1)
            basis, _ = np.linalg.qr(curves[:, :2])
            seen = np.linalg.norm(curves[:, 2] - basis @ (basis.T @ curves[:, 2]))
            for strength, number in ((0.0, 1), (3.0, 2)):
                second = peak(30, 2, strength * 0.02 / seen)
                right = 0
                for seed in range(repeats):
                    random = np.random.default_rng(seed)
                    values = np.outer(curves[:, 1], first) + np.outer(curves[:, 2], second)
                    values = values + RESIDUE + 0.02 * random.normal(size=(frames, 1000))
                    right += counted(SpectraProblem(dose, values)) == number
                rows.add(
                    f"{frames} frames, k {rates[0]:g} and {rates[1]:g}, second of {strength:g} σ: "
                    "number right",
                    asked="≥ 0.95",
                    measured=right / repeats,
                    unit="",
                )


def counted(problem):
    """Number of components that the test sees."""
    tests = component_tests(whitened(problem.values, problem.variance))
    return sum(test.p <= LEVEL for test in tests)


def others(rows, repeats):
    """Truths of another kind."""
    dose = np.arange(1, 10) / 9
    truth = np.log(2) / 3
    cases = {
        "counts, 50 at the peak": lambda random: (
            lambda counts: SpectraProblem(dose, counts, counts)
        )(random.poisson(50 * (np.outer(integrity(3, dose), peak(12, 4)) + 0.3)).astype(float)),
        "frames vary by 0.5 %, frame_error=0.005": lambda random: SpectraProblem(
            dose,
            (np.outer(integrity(3, dose), peak(12, 4)) + RESIDUE)
            * (1 + 0.005 * random.normal(size=(9, 1)))
            + 0.01 * random.normal(size=(9, 1000)),
            frame_errors=0.005 * np.eye(9),
        ),
        "channels correlated over 5": lambda random: SpectraProblem(
            dose,
            np.outer(integrity(3, dose), peak(12, 4))
            + RESIDUE
            + 0.02
            * np.apply_along_axis(
                np.convolve, 1, random.normal(size=(9, 1004)), np.ones(5) / 5**0.5, "valid"
            ),
        ),
    }
    for name, make in cases.items():
        inside, one = 0, 0
        for seed in range(repeats):
            problem = make(np.random.default_rng(seed))
            found = fit_spectra(problem, SpectraConfig(n_component=1))
            one += sum(test.p <= 0.01 for test in found.tests) == 1
            lower, upper = component_interval(found, HALF)
            inside += lower[0] < truth < upper[0]
        rows.add(
            f"{name}: interval of D½ holds the truth",
            asked="≥ 0.93",
            measured=inside / repeats,
            unit="",
        )
        rows.add(f"{name}: one component found", asked="≥ 0.95", measured=one / repeats, unit="")
    for residue in (0.0, 0.1, 1.0):
        inside, widths = 0, []
        for seed in range(repeats):
            values = np.outer(integrity(1.0, dose), peak(12, 3)) + residue * peak(14, 6)
            values = values + 0.02 * np.random.default_rng(seed).normal(size=values.shape)
            found = fit_spectra(
                SpectraProblem(dose, values, np.full(values.shape, 4e-4)),
                SpectraConfig(n_component=1, nonnegative=True),
            )
            lower, upper = component_interval(found, HALF)
            inside += lower[0] < np.log(2) < upper[0]
            widths.append(np.log(upper[0] / lower[0]))
        rows.add(
            f"k = 1, residue of {residue:g} not negative: D½ inside",
            asked="≥ 0.93",
            measured=inside / repeats,
            unit="",
            note=f"width {np.median(widths):.2f} in ln D½",
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--glotaran")
    parser.add_argument("--only", nargs="*", default=["glotaran", "study", "numbers", "others"])
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    if "glotaran" in options.only:
        beside_glotaran(rows, options.glotaran)
    if "study" in options.only:
        study(rows, options.repeats)
    if "numbers" in options.only:
        numbers(rows, options.repeats)
    if "others" in options.only:
        others(rows, options.repeats)


if __name__ == "__main__":
    main()
