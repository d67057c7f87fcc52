# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small classification and a map to look through; all their sizes differ."""

from functools import cache

import hyperspy.api as hs
import numpy as np

from hyperspy_dosekin.data import annealing_series, reference_spectra

#: Frames, y, x.
SHAPE = (3, 9, 11)
CHANNELS = 160
#: Classes of the map.
NAMES = ["oxide", "metal", "carbide"]
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


def make_map(shape=(2, 5, 7)):
    """Labels at random, as somebody might have drawn them."""
    rng = np.random.default_rng(0)
    signal = hs.signals.Signal2D(rng.integers(-1, 3, shape))
    signal.set_signal_type("ClassMap")
    signal.metadata.set_item("Classes.names", NAMES)
    return signal
