# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents say of the amplitude of a decay, with NumPy and SciPy, for other tests."""

import numpy as np
from scipy import special

MEAN, WIDTH = np.log(50), 2.0


def log_amplitude(explained, variance, norm, freedom=None):
    """Ln of the likelihood with a integrated out over that of the best a; σ given if no freedom."""
    t2 = explained / variance
    hidden = -0.5 * np.log(np.maximum(norm, 1e-30)) - MEAN
    absent = np.exp(-t2 / 2) if freedom is None else (1 + t2 / freedom) ** (-(freedom + 1) / 2)
    x = (0.5 * np.log1p(t2) + hidden) / WIDTH
    seen = np.exp(-(x**2) / 2) / (2 * WIDTH * np.sqrt(1 + t2))
    unseen = special.ndtr((hidden + 0.5) / WIDTH)
    return np.log((1 - absent) * seen + absent * unseen)
