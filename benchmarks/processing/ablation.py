# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each part of the search for spikes is worth: figures without it, one after the other.

Run ``python benchmarks/processing/ablation.py``; some minutes on one core.
"""

import contextlib
import logging
import warnings
from unittest.mock import patch

import numpy as np
from accuracy import DRIFT, STRONG, compare, interface, spiked
from simple_finder import find_simply

from hyperspy_dosekin.data import dose_series, dose_series_image
from hyperspy_dosekin.processing.low_loss.survey import survey_low_loss
from hyperspy_dosekin.processing.low_loss.zero_loss import protected_channels
from hyperspy_dosekin.processing.spikes import (
    fitting,
    judging,
    lines,
    noise,
    placed,
    polynomials,
    removal,
    subspace,
)

#: Each with what is put in the place of a part.
PARTS = {
    "all of it": [],
    "neighbouring channels only": [(removal, "learn_subspace", lambda *_, **__: None)],
    "other spectra only": [(fitting, "_DOUBTFUL", np.inf)],
    "no test for lines": [(lines, "_LINE", np.inf)],
    "no robust fit": [(fitting, "CLIPPED", np.inf), (judging, "CLIPPED", np.inf)],
    "no first look at channels": [(removal, "_EAGER", 0.85), (removal, "_ROUNDS", 1)],
    "nothing common is let go": [(removal, "_COMMON", np.inf)],
    "noise as it is said to be": [
        (removal, "calibrate", lambda *_: noise.Calibration()),
        (subspace, "local_scale", lambda score, *_: np.ones(score.shape[-1])),
        (polynomials, "local_scale", lambda score: np.ones_like(score)),
        (noise.Noise, "of_each", lambda self, *_: self),
    ],
}


def series():
    """Spectra of each case, with what is said of the noise."""
    rng = np.random.default_rng(0)
    for electrons in (1e4, 1e5, 1e6, 1e7, 1e8):
        yield f"{electrons:.0e}", [dose_series_image(4, **spiked(8.0, electrons=electrons))], None
    hole = spiked(8.0, t_over_lambda=interface(), thickness_variation=0)
    yield "hole", [dose_series_image(4, **hole)], None
    options = {"kinetics": STRONG, "drift": DRIFT, "spike_rate": 1.0, "spike_height": 8.0}
    for electrons in (1e5, 1e7):
        nine = [dose_series(seed, electrons=electrons, **options) for seed in range(400, 420)]
        yield f"nine {electrons:.0e}", nine, None
    plain = [dose_series_image(4, **spiked(8.0))]
    yield "÷ peak", plain, lambda y: y / y.max(axis=-1, keepdims=True)
    yield "read-out", plain, lambda y: y + rng.normal(0, 143, y.shape)


def rates(s, change) -> tuple[float, float]:
    """Share of spikes that are removed, and of clean channels that are touched."""
    axis = s.axes_manager[-1]
    spectra = s.data.reshape(-1, s.data.shape[-1]).astype(float)
    reach = int(6 / axis.scale)
    numbers, _ = survey_low_loss(
        spectra, widest=reach, search=slice(None), largest_value=np.inf, reach=reach
    )
    position, fwhm = numbers[:, 0], numbers[:, 1]
    spectra = spectra if change is None else change(spectra)
    some = np.arange(len(spectra)).reshape(s.data.shape[:-1])
    some = some[::2, ::5, ::5].ravel() if some.ndim == 3 else some.ravel()
    options = {"gain": 1.0, "offset": 0.0}
    found = removal.learn_subspace(
        spectra[some],
        position[some],
        fwhm[some],
        protected=protected_channels(position[some], fwhm[some]),
        **options,
    )
    touched = np.concatenate(
        [
            removal.remove_spikes(
                spectra[part],
                protected=protected_channels(position[part], fwhm[part]),
                position=position[part],
                subspace=found,
                **options,
            )[1]
            for part in (slice(i, i + 1024) for i in range(0, len(spectra), 1024))
        ]
    )
    hits, where = compare(s, touched, position * axis.scale + axis.offset, fwhm * axis.scale)
    return np.mean(hits), touched[~where].mean()


def simple_rates(s, change, threshold: float) -> tuple[float, float]:
    """The same of medians of neighbouring spectra and channels."""
    axis, shape = s.axes_manager[-1], s.data.shape
    spectra = s.data.reshape(-1, shape[-1]).astype(float)
    reach = int(6 / axis.scale)
    numbers, _ = survey_low_loss(
        spectra, widest=reach, search=slice(None), largest_value=np.inf, reach=reach
    )
    position, fwhm = numbers[:, 0], numbers[:, 1]
    gain = 1.0
    if change is not None:
        spectra = change(spectra)
        # The scatter says the rest.
        gain = float(np.median(spectra)) / 1000
    touched = find_simply(
        spectra.reshape(shape),
        position.reshape(shape[:-1]),
        fwhm.reshape(shape[:-1]),
        gain=gain,
        threshold=threshold,
    ).reshape(spectra.shape)
    hits, where = compare(s, touched, position * axis.scale + axis.offset, fwhm * axis.scale)
    return np.mean(hits), touched[~where].mean()


def damaged() -> float:
    """Share of lines as narrow as the resolution, in single spectra, of 8 to 200 σ, that suffer."""
    rng = np.random.default_rng(5)
    s = dose_series_image(4, **spiked(8.0, spike_rate=0.0))
    mean = dose_series_image(4, **spiked(8.0, spike_rate=0.0), noise=False).data
    mean, spectra = (each.reshape(-1, each.shape[-1]) for each in (mean, s.data.astype(float)))
    numbers, _ = survey_low_loss(
        spectra, widest=33, search=slice(None), largest_value=np.inf, reach=33
    )
    some = np.arange(len(spectra)).reshape(s.data.shape[:-1])[::2, ::5, ::5].ravel()
    position, fwhm = numbers[:, 0], numbers[:, 1]
    options = {"gain": 1.0, "offset": 0.0}
    found = removal.learn_subspace(
        spectra[some], position[some], fwhm[some],
        protected=protected_channels(position[some], fwhm[some]), **options,
    )  # fmt: skip
    rows = rng.permutation(len(spectra))[:1500]
    centre = rng.uniform(60, 505, rows.size)
    height = np.resize([8, 10, 20, 50, 200], rows.size)
    offset = (np.arange(mean.shape[-1]) - centre[:, None]) / (0.6 / 0.18 / 2.3548)
    strength = height * np.sqrt(mean[rows, centre.astype(int)])
    lines = spectra[rows] + rng.poisson(strength[:, None] * np.exp(-0.5 * offset**2))
    touched = removal.remove_spikes(
        lines, protected=protected_channels(position[rows], fwhm[rows]),
        position=position[rows], subspace=found, **options,
    )[1]  # fmt: skip
    return (touched & (np.abs(offset) < 2.5)).any(axis=-1).mean()


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    cases = list(series())
    print("Spikes of 8 σ: removed | clean channels touched, in 1e-5; and lines that suffer")
    print(" " * 27 + "".join(f"{name:>14s}" for name, *_ in cases) + "         lines")
    for name, changes in PARTS.items():
        with contextlib.ExitStack() as stack:
            for where, what, instead in changes:
                stack.enter_context(patch.object(where, what, instead))
            placed.place.cache_clear()
            row = []
            for _, signals, change in cases:
                removed, touched = np.mean([rates(s, change) for s in signals], axis=0)
                row.append(f"{removed:6.1%} |{1e5 * touched:5.1f}")
            print(f"{name:27s}" + "".join(f"{cell:>14s}" for cell in row), end="", flush=True)
            print(f"{damaged():14.1%}", flush=True)
    for threshold in (4.5, 5.0, 5.5):
        print(f"{f'medians, {threshold} σ':27s}", end="")
        for _, signals, change in cases:
            removed, touched = np.mean(
                [simple_rates(s, change, threshold) for s in signals], axis=0
            )
            print(f"{f'{removed:6.1%} |{1e5 * touched:5.1f}':>14s}", end="", flush=True)
        print()


if __name__ == "__main__":
    main()
