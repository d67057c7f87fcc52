# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the zero-loss peaks of a block and process it, so that it is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.processing.low_loss.chain import DIAGNOSTICS, process_block
from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.processing.low_loss.survey import SURVEY, survey_low_loss

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

#: What is recorded of each spectrum.
NUMBERS = (*DIAGNOSTICS, *SURVEY)


def look_and_process(
    block: np.ndarray,
    variance: np.ndarray | None = None,
    *,
    chain: LowLossChain,
    widest: float,
    search: slice,
    largest_value: float,
    gain: float = 0.0,
    near: slice | None = None,
    dtype: npt.DTypeLike = np.float64,
    with_variance: bool = False,
    workers: int = 1,
    device: str | torch.device = "cpu",
) -> tuple[np.ndarray, ...]:
    """Run the chain on a block whose zero-loss peaks are not known yet.

    Parameters
    ----------
    block
        Recorded intensities, shape ``(…, n_channels)``.
    variance
        Noise variance of each intensity, shape of `block`, instead of the gain of the chain.
    chain
        The steps. Spectra that move further than its `start` and `stop` leave room for repeat
        the channels at their ends there.
    widest, search, largest_value, gain, near
        As for `survey_low_loss`.
    dtype, with_variance, workers, device
        As for `process_block`.

    Returns
    -------
    spectra : numpy.ndarray
        Shape ``(…, stop - start)``.
    numbers : numpy.ndarray
        The entries of `NUMBERS`, shape ``(…, 14)``; position and width of the peak are NaN where
        there is none.
    variance : numpy.ndarray
        With `with_variance`, shape of the spectra.
    """
    seen, _ = survey_low_loss(
        block,
        widest=widest,
        search=search,
        largest_value=largest_value,
        reach=0,
        gain=gain,
        near=near,
        workers=workers,
        device=device,
    )
    found = seen[..., SURVEY.index("found")] > 0
    for name in ("position", "fwhm"):
        column = seen[..., SURVEY.index(name)]
        column[~found] = np.nan
    spectra, numbers, *rest = process_block(
        block,
        seen[..., SURVEY.index("position")],
        seen[..., SURVEY.index("fwhm")],
        variance,
        chain=chain,
        dtype=dtype,
        with_variance=with_variance,
        workers=workers,
        device=device,
    )
    return spectra, np.concatenate([numbers, seen], axis=-1), *rest
