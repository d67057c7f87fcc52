# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The device on which Torch computes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_logger = logging.getLogger(__name__)


def present_devices() -> tuple[str, ...]:
    """Names of the devices of this machine that can be computed on, the processor first.

    Examples
    --------
    >>> present_devices()[0]
    'cpu'
    """
    import torch

    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return tuple(names)


def usable_device(device: str) -> str:
    """Return the device if this machine has it, else ``"auto"``.

    For what comes from a file, which may have been written on another machine.

    Parameters
    ----------
    device
        Name of a Torch device, or ``"auto"``.

    Examples
    --------
    >>> usable_device("cuda:99")
    'auto'
    """
    try:
        resolve_device(device, needs_float64=False)
    except ValueError:
        _logger.info("The device %r is not present here; device='auto' is used.", device)
        return "auto"
    return device


def tensors_on(device: str | torch.device) -> torch.device | None:
    """Return the device whose tensors a kernel is to take, or ``None`` for arrays of NumPy.

    For what NumPy does on the processor, so that Torch is not imported for ``"cpu"``.

    Parameters
    ----------
    device
        ``"cpu"`` is NumPy, and so is ``"auto"`` where there is no CUDA device. Any other name, or a
        `torch.device`, also that of the processor, is one of tensors.

    Raises
    ------
    ValueError
        As `resolve_device`.

    Examples
    --------
    >>> import torch
    >>> tensors_on("cpu"), tensors_on(torch.device("cpu"))
    (None, device(type='cpu'))
    """
    if isinstance(device, str) and device == "cpu":
        return None
    chosen = resolve_device(device)
    return None if isinstance(device, str) and chosen.type == "cpu" else chosen


def resolve_device(
    device: str | torch.device = "auto", *, needs_float64: bool = True
) -> torch.device:
    """Return the Torch device that a user asked for.

    Parameters
    ----------
    device
        ``"auto"`` takes CUDA where present, then Apple's MPS where float64 is not needed,
        otherwise the processor. Anything else is passed to `torch.device`.
    needs_float64
        Whether the computation needs float64, which MPS does not have.

    Raises
    ------
    ValueError
        If the device is not known to Torch, not present on this machine, or has no float64 where
        that is needed.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    import torch

    present = present_devices()
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        use_mps = "mps" in present and not needs_float64
        return torch.device("mps" if use_mps else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f'device {device!r} is not known to Torch; use "auto" or one of the devices present, '
            f"{', '.join(present)}."
        ) from error
    kinds = {name.partition(":")[0] for name in present}
    too_far = chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()
    if chosen.type not in kinds or too_far:
        raise ValueError(
            f'device {str(device)!r} is not present on this machine; use device="auto" or one of '
            f"those that are, {', '.join(present)}."
        )
    if chosen.type == "mps" and needs_float64:
        raise ValueError(
            f"device {str(device)!r} has no float64, which this computation needs; use "
            'device="auto" or "cpu".'
        )
    return chosen
