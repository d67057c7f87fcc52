# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The device on which Torch computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the Torch device that a user asked for.

    Parameters
    ----------
    device
        ``"auto"`` takes CUDA where present, otherwise the CPU. Anything else is passed to
        `torch.device`. Apple's MPS has no float64 and is therefore never chosen by itself.

    Raises
    ------
    ValueError
        If the device is not known to Torch or not present on this machine.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    import torch

    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f'device {device!r} is not known to Torch; use "auto", "cpu" or "cuda".'
        ) from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f'device {device!r} is not present on this machine; use device="auto" or "cpu".'
        )
    return chosen
