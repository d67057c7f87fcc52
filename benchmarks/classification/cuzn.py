# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""classify_vae on a real Cu–Zn spectrum image, against a linear-least-squares map of Cu and Zn.

    python benchmarks/classification/cuzn.py            # 400 training steps
    python benchmarks/classification/cuzn.py --steps 1100

Needs ../shared/data/real/CuZn_EELS_mapping_tutorial.hspy and is skipped without it.
"""

import argparse
from pathlib import Path

import hyperspy.api as hs
import numpy as np

DATA = Path(__file__).resolve().parents[3] / "shared/data/real/CuZn_EELS_mapping_tutorial.hspy"
NAMES = ("neither", "Cu-rich", "Zn-rich", "both")
#: Standard errors by which the least-squares map has to be sure.
SURE = 2.0
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="training steps (default: 400)")
    options = parser.parse_args()
    if not DATA.exists():
        print(f"skipped: {DATA} is not here")
        return
    signal = hs.load(DATA)
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
    margin = np.where(nothing, margin, np.minimum(margin, far))
    sure = margin > SURE
    print("least squares:", {n: int((expected == k).sum()) for k, n in enumerate(NAMES)},
          f"sure in {sure.mean():.2f}")  # fmt: skip
    for title, data in (("counts", signal.data), ("background removed", edges)):
        work = signal.deepcopy()
        work.data = np.asarray(data, dtype=np.float32)
        work = work.isig[780.0:1300.0]
        rows = work.data
        # A region of each kind: where the least-squares map is surest.
        references = []
        for k in range(4):
            order = np.where(expected == k, margin, -np.inf).ravel().argsort()[::-1][:REGION]
            references.append(rows.reshape(-1, rows.shape[-1])[order].mean(0))
        found = work.classify_vae(
            np.stack(references), labels=NAMES, steps=options.steps, show_progressbar=False
        )
        smooth = found.model.classify(work, spatial="potts")
        for name, result in (("pixel", found), ("potts", smooth)):
            agree = result.class_map.data == expected
            print(f"{title}, {name}: agreement {agree[sure].mean():.3f} where sure, "
                  f"{agree.mean():.3f} everywhere")  # fmt: skip
        table = np.zeros((4, 4), int)
        np.add.at(table, (expected[sure], found.class_map.data[sure]), 1)
        print(table)
        print(found.report)


if __name__ == "__main__":
    main()
