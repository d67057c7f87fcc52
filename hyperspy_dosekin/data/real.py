# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real spectra that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pooch

if TYPE_CHECKING:
    from exspy.signals import EELSSpectrum


def lsmo_line_scan(*, lazy: bool = False) -> EELSSpectrum:
    """Low-loss line scan over a film of La₀.₇Sr₀.₃MnO₃, as a microscope wrote it.

    40 positions, 0.5 eV a channel, a zero-loss peak of 2.2 channels. Part of the film was exposed
    to the beam for long before the scan. The positions differ in thickness and in what they are
    made of, and not in dose: this is **no dose series**. It is here to try the processing on.

    Parameters
    ----------
    lazy
        Do not read the data before they are needed.

    Returns
    -------
    EELSSpectrum or LazyEELSSpectrum
        Dimensions ``(40|460)``, axes "x" in µm and "Energy loss" from −30 to 199.5 eV.

    Raises
    ------
    FileNotFoundError
        If the file of the installed package is missing or has been changed.

    Notes
    -----
    M. Nord, 80 kV, JEOL ARM200cF, Gatan Quantum ER with DualEELS; from the demos of eXSpy
    (github.com/hyperspy/exspy-demos, ``LSMO_linescan_low_loss.hspy``, GPL-3.0-or-later), where it
    was binned. Cropped in energy; intensities are those of the file.

    Examples
    --------
    >>> from hyperspy_dosekin.data import lsmo_line_scan
    >>> lsmo_line_scan()
    <EELSSpectrum, title: LSMO line scan, low loss, dimensions: (40|460)>
    """
    # HyperSpy takes a second to import: only those who load wait for it.
    from hyperspy.io import load

    path = _REGISTRY.fetch("lsmo_line_scan.hspy", downloader=_refuse)
    return load(path, lazy=lazy)


#: What comes with the package. Nothing is downloaded.
_REGISTRY = pooch.create(
    path=Path(__file__).parent,
    base_url="",
    registry={
        "lsmo_line_scan.hspy": (
            "sha256:6754285e9c92384cccccfd4363a2903c840213217b6fb7e8168df00a2d83279e"
        )
    },
)


def _refuse(fname: str, action: Any, pooch: Any, *, check_only: bool | None = None) -> None:
    raise FileNotFoundError(
        f"{fname.lstrip('/')} is missing from the installed package or has been changed; install "
        "hyperspy_dosekin again."
    )
