# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs for batches of one size, and which of their spectra hold data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hyperspy_dosekin.classification.labels import NO_CLASS
from hyperspy_dosekin.classification.live.runtimes.runtime import Program
from hyperspy_dosekin.classification.prediction import usable


class LivePrediction(NamedTuple):
    """What is known about a batch.

    Parameters
    ----------
    labels
        Classes, ``(n,)``; −1 for spectra without data.
    probabilities
        Shape ``(n, n_class)``, float32; NaN for those.
    novelty
        −log10 of the false-alarm probability, ``(n,)``, float32, or ``None`` if not compiled in.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    novelty: np.ndarray | None


class Slot:
    """A program, and what is needed to see which of its spectra hold data."""

    def __init__(self, program: Program, probe: np.ndarray) -> None:
        self.size = len(program.spectra)
        self._program, self._probe = program, probe
        self._probed = np.zeros((self.size, 2), np.float32)
        self._clear = np.zeros(self.size, bool)

    def compute(self, spectra: np.ndarray, found: LivePrediction) -> None:
        """Classify as many spectra as the program takes, or fewer."""
        program, number = self._program, len(spectra)
        rows, probability, novelty = program.spectra, program.probability, program.novelty
        probed, clear = self._probed, self._clear
        if number != self.size:
            rows, probability = rows[:number], probability[:number]
            probed, clear = probed[:number], clear[:number]
            novelty = None if novelty is None else novelty[:number]
        np.copyto(rows, spectra, casting="unsafe")
        np.dot(rows, self._probe, probed)
        np.abs(probed, probed)
        np.greater(probed[:, 0], probed[:, 1], clear)
        program.run()
        probability.argmax(1, found.labels)
        np.copyto(found.probabilities, probability)
        if novelty is not None and found.novelty is not None:
            np.copyto(found.novelty, novelty)
        if np.count_nonzero(clear) != number:
            bad = ~clear
            bad[bad] = ~usable(rows[bad])
            found.labels[bad] = NO_CLASS
            found.probabilities[bad] = np.nan
            if found.novelty is not None:
                found.novelty[bad] = np.nan


def make_probe(n_channels: int) -> np.ndarray:
    """Two weighted sums that show at a glance that a spectrum has data, ``(n_channels, 2)``.

    The first has each weight with either sign, so that of a constant nothing but rounding is left,
    far less than the second, a hundredth of the first channel; they are no whole numbers, of which
    sums over a few counts would often be zero. If it is larger, the spectrum is not
    constant; and it is finite, because otherwise the second would be NaN or infinite. What is not
    clear at a glance has to be looked at.
    """
    probe = np.zeros((n_channels, 2), dtype=np.float32)
    rng = np.random.default_rng(0)
    order, half = rng.permutation(n_channels), n_channels // 2
    weights = rng.uniform(0.5, 1.5, half)
    probe[order[:half], 0], probe[order[half : 2 * half], 0] = weights, -weights
    probe[0, 1] = 0.01
    return probe
