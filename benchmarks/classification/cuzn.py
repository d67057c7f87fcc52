# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""classify_vae on a real Cu–Zn spectrum image, against a linear-least-squares map of Cu and Zn.

    python benchmarks/classification/cuzn.py            # 400 training steps
    python benchmarks/classification/cuzn.py --steps 1100
    python benchmarks/classification/cuzn.py --halves   # references of one half, a foreign edge

Needs ../shared/data/real/CuZn_EELS_mapping_tutorial.hspy and is skipped without it.
"""

import argparse
from pathlib import Path

import hyperspy.api as hs
import numpy as np
from scipy.optimize import lsq_linear
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score

DATA = Path(__file__).resolve().parents[3] / "shared/data/real/CuZn_EELS_mapping_tutorial.hspy"
NAMES = ("neither", "Cu-rich", "Zn-rich", "both")
#: Standard errors by which the least-squares map has to be sure.
SURE = 2.0
#: Counts of the camera for an electron, as neighbouring pixels scatter.
GAIN = 3.9
#: Pixels that a reference is the mean of.
REGION = 40
#: Cu share of Cu + Zn above which a pixel is Cu-rich, below which it is Zn-rich, and the amount of
#: both, in units of the thickest part, below which there is neither.
CU_RICH, ZN_RICH, LITTLE = 0.45, 0.2, 0.12


def least_squares(signal):
    """Amounts of Cu and Zn with their standard errors, ``(y, x, 2)`` each.

    A power law fitted before the edges is subtracted; edges are rounded steps.
    """
    energy = signal.axes_manager[-1].axis
    counts = signal.data.astype(float)
    before = (energy > 780) & (energy < 925)
    design = np.vander(np.log(energy), 2)
    logarithm = np.log(np.maximum(counts[..., before], 1)).reshape(-1, before.sum())
    line = np.linalg.lstsq(design[before], logarithm.T, rcond=None)[0]
    edges = counts - np.exp(design @ line).T.reshape(counts.shape)
    steps = [
        (0.5 + np.arctan((energy - start) / 10) / np.pi) * (np.maximum(energy, start) / start) ** -3
        for start in (935.0, 1022.0)
    ]
    used = (energy > 900) & (energy < 1150)
    basis = np.stack(steps, 1)[used]
    rows = edges[..., used].reshape(-1, used.sum())
    amount, _, _, _ = np.linalg.lstsq(basis, rows.T, rcond=None)
    sigma = np.sqrt(((rows - (basis @ amount).T) ** 2).mean(1))
    error = np.sqrt(np.diag(np.linalg.inv(basis.T @ basis))) * sigma[:, None]
    shape = (*counts.shape[:2], 2)
    return edges, amount.T.reshape(shape), error.reshape(shape)


def least_squares_map(signal):
    """Edges, class, and how many standard errors from the next one, of every pixel."""
    edges, amount, error = least_squares(signal)
    # Amounts are thickness times composition: a class is a composition, or nothing at all.
    total = amount.sum(-1)
    total_error = np.sqrt((error**2).sum(-1))
    level = LITTLE * np.quantile(total, 0.95)
    part = amount[..., 0] / np.maximum(total, 1)
    part_error = np.hypot((1 - part) * error[..., 0], part * error[..., 1]) / np.maximum(total, 1)
    nothing = total < level
    expected = np.where(nothing, 0, np.select([part > CU_RICH, part < ZN_RICH], [1, 2], 3))
    far = np.minimum(np.abs(part - CU_RICH), np.abs(part - ZN_RICH)) / part_error
    margin = np.abs(total - level) / total_error
    return edges, amount, expected, np.where(nothing, margin, np.minimum(margin, far))


def cut(signal, data):
    """A signal of the data in the range that is classified."""
    found = signal.deepcopy()
    found.data = np.asarray(data, dtype=np.float32)
    return found.isig[780.0:1300.0]


def surest(rows, expected, margin, number):
    """References: means of the pixels of each kind where the least-squares map is surest."""
    orders = [np.where(expected == k, margin, -np.inf).argsort()[::-1] for k in range(len(NAMES))]
    return np.stack([rows[order[:number]].mean(0) for order in orders])


def foreign(energy, number, rng):
    """Counts of an edge at 855 eV with a white line, as high as half a usual edge."""
    edge = (0.5 + np.arctan((energy - 860) / 5) / np.pi) * (np.maximum(energy, 855) / 855) ** -3
    edge = edge + 0.8 * np.exp(-0.5 * ((energy - 858) / 8) ** 2)
    expected = 500 * rng.lognormal(0, 0.3, (number, 1)) * edge
    return GAIN * rng.poisson(expected / GAIN)


def beyond_any(rows, counts, curves, positive):
    """Share of spectra that no amounts of some curves describe: beyond 99 % of χ², NumPy alone.

    Without a model of distributions: curves may have any amount, the first ``positive`` ones none
    below zero. The noise is that of the counts; its size is that of the middle spectrum.
    """
    main = np.linalg.eigh(np.cov(counts.T))[1][:, -6:]
    middle = counts.mean(0)
    clean = np.maximum((counts - middle) @ main @ main.T + middle, 1)
    least = np.where(np.arange(len(curves)) < positive, 0, -np.inf)
    distance = []
    for row, variance in zip(rows, clean, strict=True):
        design = (curves / np.sqrt(variance)).T
        size = np.linalg.norm(design, axis=0)
        found = lsq_linear(design / size, row / np.sqrt(variance), (least, np.inf), "bvls")
        distance.append(2 * found.cost)
    free = rows.shape[1] - len(curves)
    return np.mean(distance / np.median(distance) > chi2.ppf(0.99, free) / chi2.median(free))


def halves(signal):
    """References from one half of the image, novelty in the other, without and with a stranger."""
    edges, _, expected, margin = least_squares_map(signal)
    counts = cut(signal, signal.data).data.reshape(expected.size, -1).astype(float)
    checked = np.add.outer(np.arange(expected.shape[0]), np.arange(expected.shape[1])) % 2
    upper = np.broadcast_to(np.arange(expected.shape[0])[:, None] >= 25, expected.shape)
    for title, data in (("counts", signal.data), ("background removed", edges)):
        work = cut(signal, data)
        energy = work.axes_manager[-1].axis
        rows = work.data.reshape(-1, energy.size).astype(float)
        for how, other in (("checkerboard", checked.ravel()), ("upper, lower", upper.ravel())):
            of = np.where(other == 0, margin.ravel(), -np.inf)
            references = surest(rows, expected.ravel(), of, 30)
            judged = np.flatnonzero(other)
            smooth = (energy / energy[0]) ** -np.array([[1.0], [5.0]])
            main = np.linalg.svd(rows[other == 0], full_matrices=False)[2][:6]
            for what, curves, positive in (
                ("non-negative mixtures of the references and two smooth curves",
                 np.concatenate([references[1:], references[:1], smooth]), 3),
                ("the six main curves of the other half", main, 0),
            ):  # fmt: skip
                share = beyond_any(rows[judged], counts[judged], curves, positive)
                print(f"{title}, {how}: {what} leave {100 * share:.1f} % beyond 99 % of chance")
            for part in (0.0, 0.1):
                rng = np.random.default_rng(0)
                spectra, strange = rows[judged].copy(), rng.random(judged.size) < part
                spectra[strange] += foreign(energy, strange.sum(), rng)
                half = work.inav[:, :25].deepcopy()
                half.data = spectra.reshape(*half.data.shape).astype(np.float32)
                found = half.classify_vae(
                    references, labels=NAMES, network=False, show_progressbar=False
                )
                novelty = found.novelty.data.ravel()
                auc = roc_auc_score(strange, novelty) if part else np.nan
                print(f"{title}, {how}, {100 * part:.0f} % with a foreign edge: beyond novelty 2 "
                      f"{100 * (novelty[~strange] > 2).mean():.1f} % of the others, AUC {auc:.3f}",
                      flush=True)  # fmt: skip
                for line in (*found.report.problems, *found.report.notes):
                    print("    ", line[:320])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="training steps (default: 400)")
    parser.add_argument("--halves", action="store_true", help="references of one half")
    parser.add_argument("--no-network", action="store_true", help="Bayes' rule alone")
    options = parser.parse_args()
    if not DATA.exists():
        print(f"skipped: {DATA} is not here")
        return
    signal = hs.load(DATA)
    if options.halves:
        halves(signal)
        return
    edges, amount, expected, margin = least_squares_map(signal)
    sure = margin > SURE
    print("least squares:", {n: int((expected == k).sum()) for k, n in enumerate(NAMES)},
          f"sure in {sure.mean():.2f}")  # fmt: skip
    for title, data in (("counts", signal.data), ("background removed", edges)):
        work = cut(signal, data)
        rows = work.data.reshape(-1, work.data.shape[-1])
        references = surest(rows, expected.ravel(), margin.ravel(), REGION)
        training = {"network": False} if options.no_network else {"steps": options.steps}
        found = work.classify_vae(references, labels=NAMES, show_progressbar=False, **training)
        smooth = found.model.classify(work, spatial="potts")
        for name, result in (("pixel", found), ("potts", smooth)):
            agree = result.class_map.data == expected
            print(f"{title}, {name}: agreement {agree[sure].mean():.3f} where sure, "
                  f"{agree.mean():.3f} everywhere")  # fmt: skip
        table = np.zeros((4, 4), int)
        np.add.at(table, (expected[sure], found.class_map.data[sure]), 1)
        print(table)
        for k, name in enumerate(NAMES):
            own = amount[sure & (expected == 0) & (found.class_map.data == k)]
            if len(own) > 1:
                error = own.std(0) / np.sqrt(len(own))
                print(f"{len(own)} pixels with little, taken for {name}: Cu "
                      f"{own[:, 0].mean():.0f} ± {error[0]:.0f}, Zn {own[:, 1].mean():.0f} ± "
                      f"{error[1]:.0f}")  # fmt: skip
        print(f"beyond novelty 2: {100 * (found.novelty.data > 2).mean():.1f} %")
        print(found.report)


if __name__ == "__main__":
    main()
