# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user-defined function of LiberTEM, and what follows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

try:
    from libertem.udf import UDF
except ModuleNotFoundError as error:
    if error.name is None or error.name.split(".")[0] != "libertem":
        raise
    raise ImportError(
        'this needs LiberTEM, which is not installed: pip install "hyperspy_dosekin[libertem]".'
    ) from error

from hyperspy_dosekin.signals.live.areas import FrameAreas
from hyperspy_dosekin.signals.live.kinetics import LiveKinetics
from hyperspy_dosekin.signals.live.posterior import DosePosterior
from hyperspy_dosekin.windows.definitions import WindowsLike, parse_windows
from hyperspy_dosekin.windows.integrate import integrate_with_noise
from hyperspy_dosekin.windows.weights import window_weights


class WindowUDF(UDF):  # pyright: ignore[reportGeneralTypeIssues]
    """Areas of energy windows, with the variance of their counting noise.

    The dispersive axis is the last one of the detector; the others are summed up. The results are
    ``areas`` and ``variance``, one value for each window at every position of the scan.

    Parameters
    ----------
    windows
        As for `integrate_windows`.
    energy_axis
        Energies of the channels in eV.
    gain
        Counts of the detector for an electron: the variance of a channel is its intensity times
        this.

    Examples
    --------
    >>> WindowUDF({"C–O": (10, 15)}, energy_axis)  # doctest: +SKIP
    """

    def __init__(
        self, windows: WindowsLike | None = None, energy_axis: Any = None, gain: float = 1.0
    ) -> None:
        if energy_axis is None:
            raise ValueError("energy_axis=None: give the energy of each channel in eV.")
        limits = {window.name: (window.left, window.right) for window in parse_windows(windows)}
        super().__init__(
            windows=limits, energy_axis=np.asarray(energy_axis, dtype=float), gain=float(gain)
        )

    def get_result_buffers(self) -> dict[str, Any]:
        """Two numbers for each window at every position."""
        number = (len(self.params.windows),)
        return {
            name: self.buffer(kind="nav", extra_shape=number, dtype=np.float64)
            for name in ("areas", "variance")
        }

    def get_task_data(self) -> dict[str, Any]:
        """Weights of the channels."""
        windows = parse_windows(self.params.windows)
        weights = window_weights(self.params.energy_axis, windows, is_binned=True)
        return {"weights": weights}

    def process_partition(self, partition: Any) -> None:
        """Integrate all spectra of a partition."""
        weights = self.task_data.weights
        spectra = np.asarray(partition)
        spectra = spectra.reshape(len(spectra), -1, spectra.shape[-1]).sum(axis=1)
        used = spectra[:, weights.channels]
        areas, variance = integrate_with_noise(used, weights, gain=self.params.gain)
        self.results.areas[:] = areas
        self.results.variance[:] = variance


def follow(
    live: LiveKinetics, context: Any, dataset: Any, *, energy_axis: Any, gain: float = 1.0
) -> Iterator[DosePosterior]:
    """Watch a data set, or an acquisition of LiberTEM-live, frame by frame.

    Parameters
    ----------
    live
        Where frames go; its windows count.
    context
        The context of LiberTEM.
    dataset
        Data set or acquisition; its first scan axis counts the frames, others are space.
    energy_axis, gain
        As for `WindowUDF`.

    Yields
    ------
    DosePosterior
        After each frame that is complete.

    Examples
    --------
    >>> for posterior in follow(live, context, dataset, energy_axis=energies):  # doctest: +SKIP
    ...     print(posterior)
    """
    windows = {window.name: (window.left, window.right) for window in live.windows}
    udf = WindowUDF(windows, energy_axis, gain)
    given = 0
    for part in context.run_udf_iter(dataset=dataset, udf=udf):
        result = part.buffers[0]
        areas, variance = (np.asarray(result[name].data) for name in ("areas", "variance"))
        damage = np.asarray(part.damage.data).reshape(len(areas), -1)
        whole: np.ndarray = np.atleast_1d(damage.all(axis=1))
        while given < len(areas) and whole[given]:
            yield live.update(FrameAreas(areas[given].copy(), variance[given].copy()))
            given += 1
            if live.stop:
                return
