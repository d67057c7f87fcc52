# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small classification to look through, made once; all its sizes differ."""

from functools import cache

import numpy as np

from hyperspy_dosekin.data import annealing_series, reference_spectra

#: Frames, y, x.
SHAPE = (3, 9, 11)
CHANNELS = 160
#: Frame, y, x of a pixel without data.
DEAD = (1, 2, 7)


@cache
def make_series():
    """Spectra with an unknown phase and a dead pixel."""
    series = annealing_series(2, shape=SHAPE, unknown_share=0.15)
    series.data[DEAD] = np.nan
    return series


@cache
def make_result():
    """A classification of them, quickly trained: tests ask what is shown, not if it is right."""
    return make_series().classify_vae(
        reference_spectra(), steps=12, evaluate_every=6, batch_size=32, show_progressbar=False
    )
