# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimators of dose kinetics side by side, on the same simulated curves, in one run.

Run ``python benchmarks/kinetics/run.py``. Curves: nine frames, four windows a pixel, k and p drawn
from the default prior, noise as a share of the amplitude. Every estimator runs on one thread and
on as many of the pixels as it manages in reasonable time; its error is that of these pixels, its
time that of the processor, so that a busy machine does not count. ``--networks`` adds the network
ensembles, and DeepXDE where it is installed (``pip install deepxde scikit-optimize pyaml``);
``--table`` leaves all out but the rows of the table of benchmarks.
"""

import argparse
import importlib.util
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _table import Rows, add_json_option

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.design import cramer_rao
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.power_law import half_dose, power_law_integrity
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, EXPONENT_BOX, LOG_RATE_BOX
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.profile import kinetic_profile
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.kinetics.simulation import SimulatedCurves, draw_prior, simulate_curves
from hyperspy_dosekin.numerics.threads import torch_threads

N_WINDOW = 4
HALF = Quantity("half_integrity_dose")
INTERVALS = ("rate", "exponent", "half_integrity_dose")


@dataclass
class Row:
    """What one estimator did."""

    name: str
    pixels: int
    seconds: float
    rate: np.ndarray
    exponent: np.ndarray


def first(problem: DoseProblem, pixels: int) -> DoseProblem:
    return replace(problem, values=problem.values[:pixels])


def timed(name: str, pixels: int, fit: Callable[[], tuple], repeats: int = 1) -> Row:
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        rate, exponent = fit()
        seconds.append(time.process_time() - started)
    return Row(name, pixels, min(seconds), rate, exponent)


def exact(problem: DoseProblem, config: ExactConfig) -> tuple:
    fit = fit_exact(problem, config)
    return fit.rate, fit.exponent


def scipy_least_squares(problem: DoseProblem) -> tuple:
    """One bounded fit of (ln k, p, a, b) to each curve, from k = p = 1."""
    dose = problem.normalised_dose
    found = np.empty((2, *problem.values.shape[:2]))
    for place in np.ndindex(*problem.values.shape[:2]):
        values = problem.values[place]

        def residual(x, values=values):
            return x[2] * power_law_integrity(dose, np.exp(x[0]), x[1]) + x[3] - values

        low, high = np.array([LOG_RATE_BOX, EXPONENT_BOX, (-np.inf, np.inf), (-np.inf, np.inf)]).T
        start = [0.0, 1.0, values[0] - values[-1], values[-1]]
        solution = least_squares(residual, start, bounds=(low, high)).x
        found[(slice(None), *place)] = np.exp(solution[0]), solution[1]
    return found[0], found[1]


def hyperspy_multifit(problem: DoseProblem) -> tuple:
    """Bounded `multifit` of our component, the plain way to do this in HyperSpy."""
    from hyperspy.signals import Signal1D

    from hyperspy_dosekin.components.power_law_degradation import PowerLawDegradation

    pixels = problem.values.shape[0]
    signal = Signal1D(problem.values)
    axis = signal.axes_manager.signal_axes[0]
    axis.offset, axis.scale = problem.dose[0], np.diff(problem.dose)[0]
    model = signal.create_model()
    component = PowerLawDegradation(dose_max=problem.dose_max)
    model.append(component)
    component.k.bmin, component.k.bmax = np.exp(LOG_RATE_BOX)
    component.p.bmin, component.p.bmax = EXPONENT_BOX
    component.a.value = float(np.ptp(problem.values[0, 0]))
    component.b.value = float(problem.values[0, 0, -1])
    # One warning for every fit that ends at a bound, and one for every missing accelerator.
    for name in ("hyperspy.model", "hyperspy.decorators"):
        logging.getLogger(name).setLevel(logging.ERROR)
    model.multifit(bounded=True, optimizer="lm", show_progressbar=False)
    return tuple(
        np.asarray(parameter.map["values"]).reshape(pixels, N_WINDOW)
        for parameter in (component.k, component.p)
    )


def network(problem: DoseProblem, protocol: str) -> tuple:
    from hyperspy_dosekin.kinetics.network.config import PROTOCOLS, NetworkConfig
    from hyperspy_dosekin.kinetics.network.fit import fit_network

    config = NetworkConfig(**PROTOCOLS[protocol])
    start = fit_exact(problem, ExactConfig()) if config.warm_start else None
    prior = DEFAULT_PRIOR if config.warm_start else None
    fit = fit_network(problem, config, start=start, prior=prior, device="cpu")
    return fit.rate.mean(0, keepdims=True), fit.exponent.mean(0, keepdims=True)


def deepxde(problem: DoseProblem, iterations: int = 10_000) -> tuple:
    """The inverse problem of one pixel the way DeepXDE's examples do it."""
    os.environ.setdefault("DDE_BACKEND", "pytorch")
    import deepxde as dde
    import torch

    dose = problem.normalised_dose[:, None].astype(np.float32)
    values = problem.values[0]
    scores = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True)
    unknown = [dde.Variable(1.0) for _ in range(4 * N_WINDOW)]
    soft = torch.nn.functional.softplus

    def equation(x, y):
        residuals = []
        for window in range(N_WINDOW):
            slope = dde.grad.jacobian(y, x, i=window, j=0)
            decay = soft(unknown[window]) * y[:, window : window + 1].clamp(min=1e-6) ** soft(
                unknown[N_WINDOW + window]
            )
            residuals.append(slope + decay)
        return residuals

    def from_one(x, y):
        return 1 - x * y

    conditions = [
        dde.icbc.PointSetOperatorBC(
            dose,
            scores[window][:, None].astype(np.float32),
            lambda x, y, _, w=window: (
                unknown[2 * N_WINDOW + w] * y[:, w : w + 1] + unknown[3 * N_WINDOW + w]
            ),
        )
        for window in range(N_WINDOW)
    ]
    data = dde.data.PDE(
        dde.geometry.Interval(0, 1),
        equation,
        conditions,
        num_domain=64,
        num_boundary=2,
        anchors=dose,
    )
    net = dde.nn.FNN([1] + [64] * 5 + [N_WINDOW], "tanh", "Glorot normal")
    net.apply_output_transform(from_one)
    model = dde.Model(data, net)
    model.compile("adam", lr=1e-3, external_trainable_variables=unknown)
    model.train(iterations=iterations, verbose=0)
    numbers = np.logaddexp(0, [variable.item() for variable in unknown[: 2 * N_WINDOW]])
    return numbers[None, :N_WINDOW], numbers[None, N_WINDOW:]


def describe(row: Row, curves: SimulatedCurves, bound: np.ndarray) -> str:
    count = row.rate.shape[0]
    error = np.log(half_dose(row.rate, row.exponent)) - curves.log_half_dose[:count]
    error = np.where(np.isfinite(error), error, 10.0)
    sharp = bound[:count] < 0.15
    scaled = np.abs(error[sharp] / bound[:count][sharp])
    ratio = f"{1.4826 * np.median(scaled):8.2f}" if sharp.sum() >= 20 else "       -"
    return (
        f"{row.name:34s}{row.pixels:9d}{row.pixels / row.seconds:12.1f}"
        f"{np.median(np.abs(error)):12.3f}{np.sqrt(np.mean(error**2)):10.3f}{ratio}"
    )


def print_intervals(problem: DoseProblem, truth: np.ndarray) -> None:
    for name, make in (("posterior", kinetic_posterior), ("profile", kinetic_profile)):
        started = time.process_time()
        lower, upper = make(problem).interval(HALF.name)
        seconds = time.process_time() - started
        pixels, covered = truth.shape[0], np.mean((lower <= truth) & (truth <= upper))
        print(
            f"{name + ', 95 % interval of D1/2':34s}{pixels:9d}{pixels / seconds:12.1f}"
            f"   covers {covered:.3f} of {truth.size}",
            flush=True,
        )


def compared(problem: DoseProblem, networks: bool) -> Iterator[Row]:
    """Every estimator in turn."""
    pixels = problem.values.shape[0]
    for dtype in ("float64", "float32"):
        for prior, name in ((DEFAULT_PRIOR, "priors"), (None, "least squares")):
            config = ExactConfig(prior=prior, dtype=dtype)
            exact(first(problem, 512), config)
            yield timed(f"exact, {name}, {dtype}", pixels, partial(exact, problem, config), 3)
    few = first(problem, 100)
    yield timed("SciPy least_squares, one start", 100, partial(scipy_least_squares, few))
    few = first(problem, 25)
    yield timed("HyperSpy multifit, bounded", 25, partial(hyperspy_multifit, few))
    if not networks:
        return
    one = first(problem, 1)
    for protocol in ("fast", "paper"):
        yield timed(f"network, {protocol}, five members", 1, partial(network, one, protocol))
    if importlib.util.find_spec("deepxde"):
        yield timed("DeepXDE, one member", 1, partial(deepxde, one))


def simulated(pixels: int, noise: float) -> SimulatedCurves:
    random = np.random.default_rng(0)
    return simulate_curves(random, *draw_prior(random, (pixels, N_WINDOW)), noise=noise)


def table(rows: Rows, pixels: int, noises: list[float]) -> None:
    """Rows for the table of benchmarks."""
    single = ExactConfig(dtype="float32")
    for noise in noises:
        problem = simulated(pixels, noise).problem
        with torch_threads(1):
            exact(first(problem, 512), single)
            row = timed("", pixels, partial(exact, problem, single), 5)
            few = first(problem, 512)
            fit = fit_exact(few)
            quantities = [Quantity(name) for name in INTERVALS]

            def summarise(few=few, fit=fit, quantities=quantities):
                kinetic_posterior(few, fit=fit).summarise(quantities)
                return None, None

            posterior = timed("", 512, summarise, 3)
        rows.add(
            f"pixel maps, exact fits, kernel, float32, one core, noise {noise:.0%}",
            asked="≥ 40000",
            measured=pixels / row.seconds,
            unit="pixels/s",
            note="processor time, best of 5, four windows a pixel, nine frames",
        )
        rows.add(
            f"pixel maps, posterior with three intervals, one core, noise {noise:.0%}",
            asked=None,
            measured=512 * N_WINDOW / posterior.seconds,
            unit="curves/s",
            note="processor time, best of 3, the estimates given",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pixels", type=int, default=16_384)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.01, 0.05])
    parser.add_argument("--networks", action="store_true", help="fit the network ensembles too")
    parser.add_argument("--table", action="store_true", help="only the rows of the table")
    add_json_option(parser)
    options = parser.parse_args()
    rows = Rows(options.json)
    table(rows, options.pixels, options.noise)
    if options.table:
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for noise in options.noise:
        random = np.random.default_rng(0)
        rate, exponent = draw_prior(random, (options.pixels, N_WINDOW))
        curves = simulate_curves(random, rate, exponent, noise=noise)
        problem = curves.problem
        bound = cramer_rao(problem.normalised_dose, rate, exponent, noise=noise).sd_log_half_dose
        print(f"\nnoise {noise:.1%} of the amplitude; error of ln D1/2 against the truth")
        print(
            f"{'estimator':34s}{'pixels':>9s}{'pixels/s':>12s}{'median':>12s}{'rms':>10s}{'/bound':>8s}"
        )
        with torch_threads(1):
            for row in compared(problem, options.networks):
                print(describe(row, curves, bound), flush=True)
            print_intervals(first(problem, 128), half_dose(rate[:128], exponent[:128]))


if __name__ == "__main__":
    main()
