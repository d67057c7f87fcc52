# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Denoise by principal components, with HyperSpy's own decomposition."""

from __future__ import annotations

import numpy as np
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.lazy.blocks import compute


def denoise(signal: BaseSignal, components: int | str) -> BaseSignal:
    """Return a signal rebuilt from its first principal components.

    Parameters
    ----------
    signal
        Spectra over a navigation space; spectra with NaN stay NaN.
    components
        Their number, or ``"auto"`` for the elbow of the scree plot.

    Raises
    ------
    ValueError
        If there are fewer spectra or channels than components, or `components` is something else.
    """
    most = min(signal.axes_manager.navigation_size, signal.axes_manager.signal_size)
    number = most
    if components != "auto":
        if not isinstance(components, int | np.integer) or isinstance(components, bool):
            number = 0
        else:
            number = int(components)
        if number < 1:
            raise ValueError(f"components={components!r} must be 'auto' or a number of components.")
    if most < 2 or number > most:
        raise ValueError(
            f"components={components!r} is more than {most}, the number of spectra or channels; "
            "lower it."
        )
    working = signal.deepcopy()
    (missing,) = compute(np.isnan(signal.data).any(axis=-1))
    # As a signal, since an array would have to be transposed.
    mask = BaseSignal(missing).T if missing.any() else None
    # exspy makes the copy binned; decomposition does not care.
    working.decomposition(
        algorithm="SVD",
        output_dimension=min(number, 50),
        navigation_mask=mask,
        print_info=False,
    )
    if components == "auto":
        number = max(int(working.estimate_elbow_position()), 1)
    denoised = working.get_decomposition_model(number)
    denoised.metadata.set_item("Dosekin", signal.metadata.Dosekin.deepcopy())
    record = denoised.metadata.Dosekin.processing
    record.steps = [*record.steps, "denoise"]
    record.set_item("denoise", {"method": "SVD", "components": number})
    denoised.axes_manager.signal_axes[0].is_binned = signal.axes_manager.signal_axes[0].is_binned
    title = signal.metadata.General.title
    denoised.metadata.General.title = f"{title} denoised" if title else "Denoised"
    return denoised
