# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a `DualVAE` asks of a signal, and what it makes of neighbouring pixels."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.classification import potts
from hyperspy_dosekin.classification.energy_axis import check_energies
from hyperspy_dosekin.lazy.blocks import as_lazy_as, map_blocks, sample_rows
from hyperspy_dosekin.signals.classification.references import energy_of

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.classification.model import Model

#: Largest factor between the spread of the data and that of the spectra trained on.
_SCALE_TOLERANCE = 5.0
_logger = logging.getLogger(__name__)

#: Spectra by which class shares and noise are found, and the zero of the energy.
_FOR_PRIOR, _FOR_ZERO = 5000, 300
#: Pixels from which the strength of neighbours is found.
_FIELD_PIXELS = 60_000


def check_spectra(signal: BaseSignal) -> None:
    """Raise unless the signal holds spectra of real numbers."""
    if signal.axes_manager.signal_dimension != 1:
        raise ValueError(f"{signal} holds no spectra: its signal must have one dimension.")
    if signal.data.dtype.kind not in "fiu":
        raise TypeError(
            f"data of type {signal.data.dtype} are no real numbers; convert them with "
            "s.change_dtype first."
        )
    if 0 in signal.data.shape:
        raise ValueError(
            f"the data have the shape {signal.data.shape}, and nothing in it to classify; an axis "
            "is empty: slice less away."
        )


def ascending(signal: BaseSignal) -> tuple[np.ndarray, Any]:
    """Energies in eV, ascending, and the data in that order."""
    energy = energy_of(signal)
    data = signal.data
    if energy[0] > energy[-1]:
        return energy[::-1], data[..., ::-1]
    return energy, data


def ascending_variance(signal: BaseSignal) -> Any:
    """Noise variance of each channel of a signal, in the order of `ascending`, or ``None``.

    A single number says nothing about how the noise differs, and is left out.
    """
    from hyperspy_dosekin.signals.axes.variance import variance_of

    recorded = variance_of(signal)
    data = getattr(recorded, "data", None)
    if data is None or data.shape != signal.data.shape:
        return None
    energy = energy_of(signal)
    data = data[..., ::-1] if energy[0] > energy[-1] else data
    return as_lazy_as(data, signal.data)


def check_axis(model: Model, energy: np.ndarray) -> None:
    """Refuse energies other than those of the model."""
    check_energies(model.energy_ev, energy, what="signal")


def suited(
    model: Model, data: Any, variance: Any, *, prior: Any, most: int, rng: np.random.Generator
) -> Model:
    """The model with the noise, the zero of the energy and the class shares of spectra.

    Parameters
    ----------
    data, variance
        Spectra, and the noise variance of each channel or ``None``, in the order of `ascending`.
    prior
        Class prior, ``"estimated"``, ``"uniform"`` or shares.
    most
        Spectra that are looked at, at most, and never more than 5 000.

    Raises
    ------
    ValueError
        If intensities have another unit, or the zero is another one and the model reads latents.
    """
    from hyperspy_dosekin.classification.prediction import usable
    from hyperspy_dosekin.classification.shares import chosen_share

    rows, _ = sample_rows(
        [data] if variance is None else [data, variance], min(most, _FOR_PRIOR), rng
    )
    good = usable(rows[0])
    sample, given = rows[0][good].astype(np.float64), None
    if variance is not None:
        given = rows[1][good].astype(np.float64)
        given = given if (np.isfinite(given) & (given >= 0)).all() else None
    check_scale(model, sample)
    model = at_zero(model.with_noise_of(sample, given), sample, given)
    return model.with_share(chosen_share(prior, model, sample, given))


def check_scale(model: Model, sample: np.ndarray) -> None:
    """Refuse intensities of another unit, which would look like another thickness."""
    if not len(sample):
        return
    spread = model.units.apply(sample.astype(np.float64))
    ratio = float(np.median(np.sqrt((spread**2).mean(axis=1))))
    expected = float(model.report.get("typical_spread", 1.0))
    if 1 / _SCALE_TOLERANCE <= ratio / expected <= _SCALE_TOLERANCE:
        return
    raise ValueError(
        f"intensities differ from those of the training by {ratio / expected:.3g} times their "
        "usual amount; process and normalise the signal as the training data were, or train a "
        "new model."
    )


def at_zero(model: Model, sample: np.ndarray, given: np.ndarray | None) -> Model:
    """The model for spectra with the zero of their energy, which may be another one.

    Parameters
    ----------
    sample
        Usable spectra, ``(n, n_channels)``.
    given
        Their noise variances where they are known, or ``None``.

    Raises
    ------
    ValueError
        If the zero is another one and the model reads latents of the network.
    """
    from hyperspy_dosekin.classification.examination import zero_of

    if model.likelihood is None:
        return model
    part = None if given is None else given[:_FOR_ZERO]
    zero = zero_of(sample[:_FOR_ZERO], part, model.likelihood, model.nuisances, model.energy_ev)
    if not zero:
        return model
    problem = (
        f"these spectra lie {zero:+.2f} eV from those of the training: the zero of the energy is "
        "another."
    )
    if model.classifier != "likelihood":
        raise ValueError(f"{problem} Align them, as with s.align1D, or train a new model.")
    problem += " They are classified at that shift; align them to be sure."
    _logger.warning("%s", problem)
    problems = [*model.report.get("problems", ()), problem]
    return replace(model, zero_ev=zero, report={**model.report, "problems": problems})


def smoothed(probability: Any, model: Model, strength: float | None, frames: bool) -> Any:
    """Probabilities of pixels given their neighbours, and the field that was used."""
    lead = probability.ndim - 1
    if lead == 0:
        raise ValueError("there is one spectrum: it has no neighbours; use spatial=None.")
    if frames and lead < 3:
        raise ValueError(
            f"spatial_frames=True, but the signal has {lead} navigation axes and no frames."
        )
    n_core = min(lead, 3 if frames else 2)
    axes = tuple(range(-n_core - 1, -1))
    # Diagonal neighbours are those of the first two axes: x and y.
    axes = axes[::-1]
    if strength is None:
        field = potts.fit_field(_few_frames(probability, n_core), model.share, axes)
    else:
        field = potts.uniform_field(strength, model.share)
    core = ",".join([*"fyx"[-n_core:], "c"])
    smooth = map_blocks(
        potts.apply_field,
        f"({core})->({core})",
        probability,
        output_dtypes=(np.float32,),
        potts=field,
        share=model.share,
        along=axes,
    )
    return smooth, field


def _few_frames(probability: Any, n_core: int) -> np.ndarray:
    """Enough whole frames, evenly chosen, to see what neighbours are like."""
    shape = probability.shape
    frame = int(np.prod(shape[-1 - n_core : -1]))
    stacked = probability.reshape(-1, *shape[-1 - n_core :])
    wanted = max(1, min(len(stacked), _FIELD_PIXELS // frame))
    chosen = np.unique(np.linspace(0, len(stacked) - 1, wanted).round().astype(int))
    return np.asarray(stacked[chosen], dtype=np.float64)
