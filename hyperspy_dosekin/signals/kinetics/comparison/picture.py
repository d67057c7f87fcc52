# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is drawn of several laws."""

from __future__ import annotations

import numpy as np

from hyperspy_dosekin.plotting.kinetics.laws import LawPicture
from hyperspy_dosekin.signals.kinetics.comparison.numbers import ComparisonNumbers, median_of_pixels


def law_picture(numbers: ComparisonNumbers) -> LawPicture:
    """D½ of each law and of their average, for each window."""
    found = numbers.compared
    ends = []
    for p in (0.025, 0.5, 0.975):
        laws = median_of_pixels(np.exp(found.of_laws("log_half_dose", p)))
        mean = median_of_pixels(np.exp(found.average("log_half_dose", p))[np.newaxis])
        ends.append(np.concatenate([laws, mean]))
    return LawPicture(
        window_names=numbers.window_names,
        dose_unit=numbers.data.dose_unit,
        names=(*numbers.laws, "average"),
        lower=ends[0],
        middle=ends[1],
        upper=ends[2],
        weights=np.pad(median_of_pixels(found.weights), ((0, 1), (0, 0)), constant_values=1.0),
        dose_max=float(numbers.data.dose[-1]),
    )
