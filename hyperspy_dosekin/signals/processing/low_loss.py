# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From raw counts to the single-scattering distribution: `process_low_loss`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import column
from hyperspy_dosekin.numerics.arguments import check_arguments
from hyperspy_dosekin.numerics.device import tensors_on
from hyperspy_dosekin.processing.low_loss.chain import DIAGNOSTICS, INTENSITIES, process_block
from hyperspy_dosekin.processing.low_loss.options import (
    ALIGNMENTS,
    LowLossChain,
    check_options,
)
from hyperspy_dosekin.processing.spikes.found import THRESHOLD
from hyperspy_dosekin.signals.processing.also_align import align_others, check_others
from hyperspy_dosekin.signals.processing.instrument_warnings import warn_of_instrument
from hyperspy_dosekin.signals.processing.low_loss_background import (
    check_background,
    warn_if_no_tail,
)
from hyperspy_dosekin.signals.processing.low_loss_chain import make_chain, precision
from hyperspy_dosekin.signals.processing.low_loss_steps import low_loss_steps
from hyperspy_dosekin.signals.processing.measured_peak import read_measured, splice
from hyperspy_dosekin.signals.processing.odd_peaks import look_at_bridged
from hyperspy_dosekin.signals.processing.one_pass import Seen, room_for, run_in_one_pass, sample_of
from hyperspy_dosekin.signals.processing.record import make_record
from hyperspy_dosekin.signals.processing.recorded import Recorded, in_unit, read, run_chain
from hyperspy_dosekin.signals.processing.result import processed_signal, result_type
from hyperspy_dosekin.signals.processing.survey import check_found
from hyperspy_dosekin.signals.processing.survey_warnings import warn_of_pedestal, warn_of_trouble
from hyperspy_dosekin.signals.processing.trial import try_out
from hyperspy_dosekin.signals.processing.zero_loss_error import residue_record
from hyperspy_dosekin.signals.processing.zero_loss_model import check_zero_loss, residue_in

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch
    from exspy.signals import EELSSpectrum
    from hyperspy.signal import BaseSignal

#: Quantity of the result, which says that its areas are integrals over energy.
QUANTITY = "Single scattering (1/eV)"


def process_low_loss(
    self: Any,
    *,
    align: bool | str = True,
    spikes: bool = True,
    dark: bool = True,
    background: tuple[float, float] | None = None,
    deconvolve: bool = True,
    normalise: bool | str = True,
    zero_loss: str | float | BaseSignal = "auto",
    zero_loss_range: tuple[float, float] | None = None,
    spike_threshold: float = THRESHOLD,
    resolution: str = "zero_loss",
    also_align: Sequence[BaseSignal] = (),
    vacuum_threshold: float = 0.03,
    survey: str = "auto",
    dtype: npt.DTypeLike | None = None,
    device: str | torch.device = "cpu",
    show_progressbar: bool | None = None,
) -> EELSSpectrum:
    r"""Process low-loss spectra: from counts to the single-scattering distribution S per eV.

    In this order [1]_: the zero-loss peak of every spectrum is found to a small fraction of a
    channel; X-ray spikes are replaced; spectra are moved so that the peak is at 0 eV, in the middle
    of a channel, and cropped to what all of them have; what dark subtraction left is subtracted,
    and a power law if asked for; plural scattering is removed by Fourier-log deconvolution; and
    the result is divided by the area of the zero-loss peak. The integral of S over energy is then
    t/λ, and `integrate_windows` gives :math:`\int S\,dE` of each window.

    Nothing in the signal changes. Lazy signals are looked at once or in part, see `survey`; all
    else is computed when the result is, and is the same as that of eager ones.

    Parameters
    ----------
    align
        How the zero-loss peak is moved to 0 eV. ``True`` is ``"cubic"``: spectra are moved by whole
        channels, deconvolved with the peak where it is in its channel, and moved by the rest, with
        cubics through four channels, once the peak is gone; with straight lines if it stays.
        ``"linear"`` always takes straight lines: areas are the same, narrow lines broader.
        ``"integer"`` leaves out the rest, so that no intensity is ever mixed with another and
        spectra are up to half a channel away from the axis. ``"fourier"`` moves spectra at once, by
        a phase in Fourier space; it needs a zero-loss peak more than three channels wide, and rings
        otherwise. ``False`` leaves spectra and axis where they are.
    spikes
        Replace X-ray spikes of one or two channels. Those within 2.5 widths of the zero-loss peak,
        and holes there, are seen by what other peaks have, bridged in any case, and named.
    dark
        Subtract the mean of the channels further below the zero-loss peak than its tails reach,
        15 widths or 10 eV, if the axis has them: what dark subtraction left over. With a shorter
        gain side the channels three widths below the peak and further are taken if they are flat,
        as a pedestal is and a tail is not.
    background
        Window (left, right), in eV beyond the zero-loss peak, to which a power law is fitted that
        is subtracted from its left end on. It stands for the tail of the zero-loss peak there.
    deconvolve
        Remove plural scattering, and with it the zero-loss peak.
    normalise
        Divide by the area of the zero-loss peak and the width of a channel. ``"total"`` divides by
        the area of the whole spectrum instead, so that areas are per electron: right where what
        dose takes from a window comes back into the zero-loss peak. ``False`` divides by nothing.
    zero_loss
        Where the zero-loss peak comes from. ``"reflected"``: of each spectrum its gain side and
        the mirror image of that, with what the loss side of an asymmetric peak has more, where that
        falls as an exponential; where the gain side has peaks of its own, these are not mirrored,
        and where it ends before its tail does, the tail is continued as a power of the energy, both
        with a warning. ``"fitted"``: a model fitted to the mean of all, as high as each
        spectrum's and nowhere above the mean. ``"auto"``: reflected if the gain side is three
        widths long, else fitted. A number: all below that energy in eV. A signal: a measured peak,
        for example in vacuum, of which the mean is taken, as high as each spectrum's. If the axis
        of the spectra begins beyond the zero-loss peak, the measured one is put before them as it
        is, and should have been recorded with the same exposure.
    zero_loss_range
        Energies (left, right) in eV, on the axis as it is, between which the zero-loss peak is the
        first; by default the whole axis.
    spike_threshold
        Standard deviations by which a spike exceeds what the other spectra, and its neighbours,
        let expect.
    resolution
        ``"zero_loss"`` leaves the energy resolution as it is, the classical choice. Windows then
        lose a little over their limits, for a 0.6 eV zero-loss peak about 2.5 % of π–π* and 1 % of
        C–C. ``"sharpened"`` takes that back to a few per mille; noise of single channels is up to
        twice as large, and correlated, so that the recorded variance of areas is too large.
    also_align
        Core-loss signals with the same navigation shape, recorded at the same time: they are moved
        by the same energy, **in place**.
    vacuum_threshold
        Spectra with a smaller t/λ are marked in the diagnostic ``"vacuum_mask"``. They are
        processed like all others.
    survey
        What is looked at before anything is processed, for the common energy axis, the noise, the
        mean zero-loss peak and the warnings. ``"all"``: every spectrum, for which lazy data are
        read one time more. ``"sample"``: some hundred spectra in 8 places spread over the data,
        whatever the chunks; the zero-loss peaks of all spectra are then found while they are
        processed, so that lazy data are read once. The axis leaves room for a quarter more drift
        than the sample has, and two channels; a spectrum that drifts further repeats the channel
        at its end there. ``"auto"``: all of data up to 1 GiB, a sample of larger ones, lazy or not,
        so that both give the same. With `also_align` all are looked at.
    dtype
        Type of the result: by default float32 for data of that type or of 16 bits or fewer,
        float64 for all others. The latter are computed in single precision, which takes a third
        less time, where that leaves less than a thousandth of the noise in any channel; pass
        ``"float64"`` for double precision in any case.
    device
        Where spectra are processed. ``"cpu"``: by NumPy. ``"cuda"``, ``"cuda:1"``: by Torch on a
        graphics card, batch by batch; ``"auto"``: on a card if there is one. The processor still
        learns from some spectra what they have in common, and decides where a peak is doubtful or
        not the first and where a spectrum may have a spike; of data with a variance of each
        channel, of fewer than 20 spectra, and of those with more components than spectra tell, it
        searches all for spikes. Results are those of NumPy but for rounding. A `torch.device`, also
        that of the processor, is always Torch's.
    show_progressbar
        Whether to show the progress of the first look at lazy data; by default as set in
        HyperSpy's preferences.

    Returns
    -------
    EELSSpectrum or LazyEELSSpectrum
        S, ``metadata.Signal.quantity`` "Single scattering (1/eV)"; with its noise variance where
        that of the data is known. Every step with its parameters and what it found, as signals,
        is in ``metadata.Dosekin.processing``, see `processing_diagnostics` and
        `plot_processing`. Spectra without zero-loss peak, and with NaN, are NaN.

        Since the values are per eV, the energy axis is not binned. eXSpy makes it binned in every
        copy; `integrate_windows` goes by the quantity instead.

    Raises
    ------
    ValueError
        If no spectrum has a zero-loss peak, a window lies outside the axis, there are too few
        channels, the energy axis is not uniform, an option is out of its range, or a device is not
        there.
    TypeError
        If the data are no real numbers or `zero_loss` is of another kind.

    References
    ----------
    .. [1] G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).

    R. F. Egerton, *Electron Energy-Loss Spectroscopy in the Electron Microscope*, chapter 4,
    doi:10.1007/978-1-4419-9583-4.

    Examples
    --------
    >>> from hyperspy_dosekin.data import dose_series
    >>> s = dose_series(t_over_lambda=0.4, spike_rate=0.5)
    >>> processed = s.process_low_loss()
    >>> processed
    <EELSSpectrum, title: Simulated low-loss dose series, dimensions: (9|511)>
    >>> areas = processed.integrate_windows()
    >>> truth = s.metadata.Simulation.window_areas
    >>> bool(abs(areas.data / truth - 1).max() < 0.05)
    True
    """
    check_arguments(process_low_loss, locals())
    given = {
        "align": align,
        "spikes": spikes,
        "dark": dark,
        "background": background,
        "deconvolve": deconvolve,
        "normalise": normalise,
        "zero_loss": zero_loss,
        "zero_loss_range": zero_loss_range,
        "spike_threshold": spike_threshold,
        "resolution": resolution,
        "vacuum_threshold": vacuum_threshold,
        "survey": survey,
        "dtype": dtype,
        "device": device,
    }
    check_zero_loss(zero_loss)
    how = _alignment(align)
    tensors_on(device)
    check_options(resolution, spike_threshold)
    out_type = result_type(self.data.dtype, dtype)
    # A measured peak is as high as these intensities, and not as their counts.
    recorded = read(self, "process_low_loss", as_it_is=hasattr(zero_loss, "axes_manager"))
    recorded = replace(recorded, device=device)
    others = check_others(self, also_align)
    measured = read_measured(zero_loss, recorded) if hasattr(zero_loss, "axes_manager") else None
    search = _search(recorded, zero_loss_range)
    sample = sample_of(recorded, "all" if others else survey)
    looked_at = recorded if sample is None else sample
    looked_at, survey_found = look_at_bridged(
        looked_at, search, show_progressbar, spikes=bool(spikes), part=sample is not None
    )
    recorded = looked_at if sample is None else recorded
    shape = recorded.data.shape[:-1]
    options = {
        "spikes": bool(spikes),
        "dark": bool(dark),
        "threshold": float(spike_threshold),
        "background": None if background is None else tuple(float(limit) for limit in background),
        "deconvolve": bool(deconvolve),
        "normalise": normalise,
        "resolution": resolution,
    }
    spliced = not survey_found.found.any() and measured is not None
    if measured is not None and spliced:
        recorded, peak, origin = splice(recorded, measured)
        length = recorded.energy_ev.size
        # Behind the peak that was put there, only the spectra themselves are returned.
        chain = LowLossChain(
            recorded.scale_ev,
            origin,
            0,
            length,
            gain=survey_found.gain,
            offset=survey_found.offset,
            align="none",
            zero_loss=peak,
            fwhm=measured.fwhm,
            **options,
        )
        # There is nothing to be found on the way.
        sample, seen = None, Seen.nothing(shape)
        position, fwhm = np.full(shape, float(origin)), np.full(shape, measured.fwhm)
        offset_ev = float(recorded.energy_ev[0])
    else:
        check_found(survey_found, looked_at, zero_loss_range)
        warn_of_trouble(survey_found, looked_at)
        if sample is None:
            warn_of_instrument(self, recorded, survey_found)
        room = 0.0 if sample is None else room_for(survey_found)
        options |= precision(recorded, survey_found, out_type, asked=dtype is not None)
        chain = make_chain(recorded, survey_found, how, zero_loss, measured, options, room)
        warn_of_pedestal(survey_found, looked_at, chain.n_dark > 0)
        seen = Seen.of(survey_found)
        position, fwhm = seen.position, seen.fwhm
        offset_ev = (
            float(chain.energy_ev[0]) if how != "none" else float(recorded.energy_ev[chain.start])
        )
    check_background(chain)
    warn_if_no_tail(chain, survey_found)
    residue = None if spliced else residue_in(survey_found, chain, measured=measured is not None)
    single = None if spliced else try_out(chain, survey_found, zero_loss, residue)

    if sample is None:
        spectra, numbers, variance = run_chain(
            process_block,
            recorded,
            position,
            fwhm,
            sizes=(chain.stop - chain.start, len(DIAGNOSTICS)),
            dtype=out_type,
            method="process_low_loss",
            chain=chain,
            device=recorded.device,
        )
    else:
        spectra, numbers, variance, seen = run_in_one_pass(
            recorded, search, survey_found.near, chain, out_type
        )
        position, fwhm = seen.position, seen.fwhm
    # On the axis as it was recorded, so that it says where the peak was.
    moved = -(recorded.energy_ev[0] + seen.position * recorded.scale_ev)
    if spliced:
        moved = np.zeros(shape)
    found = {name: column(numbers, place) for place, name in enumerate(DIAGNOSTICS)}
    for name in INTENSITIES:
        found[name] = in_unit(recorded.unit, found[name])
    if not chain.normalise:
        spectra = in_unit(recorded.unit, spectra)
        variance = in_unit(recorded.unit, variance, power=2)
    steps, diagnostics = low_loss_steps(
        chain, seen, found, moved, offset_ev, zero_loss, zero_loss_range, vacuum_threshold
    )
    record = make_record(self, "process_low_loss", steps, diagnostics)
    if residue is not None and "zero_loss" in record:
        # Numbers over energy, which slices of the result do not part.
        record["zero_loss"]["residue"] = residue_record(residue, single, chain)
    result = processed_signal(
        self,
        spectra,
        variance,
        offset_ev=offset_ev,
        scale_ev=recorded.scale_ev,
        quantity=QUANTITY if chain.normalise else None,
        record=record,
        is_binned=None if not chain.normalise else False,
        # What each step needs in order to be shown again.
        context={
            "chain": chain,
            "position": position,
            "fwhm": fwhm,
            "recorded": recorded,
            # With which the spectra can be processed again, in another way.
            "source": self,
            "options": given,
        },
    )
    if others:
        # The axis is calibrated by what all spectra have in common, and the rest moves them.
        common = offset_ev - float(recorded.energy_ev[chain.start])
        align_others(others, moved - common, common, record)
    return result


def _alignment(align: object) -> str:
    """Return one of `ALIGNMENTS` for what the user gave."""
    if isinstance(align, bool | np.bool_):
        return "cubic" if align else "none"
    if align not in ALIGNMENTS[:-1]:
        raise ValueError(
            f"align={align!r} is none of {ALIGNMENTS[:-1]}; 'cubic' suits all, False leaves "
            "spectra where they are."
        )
    return str(align)


def _search(recorded: Recorded, limits: tuple[float, float] | None) -> slice:
    if limits is None:
        return slice(0, recorded.energy_ev.size)
    left, right = (float(limit) for limit in limits)
    inside = np.flatnonzero((recorded.energy_ev >= left) & (recorded.energy_ev <= right))
    if inside.size < 3:
        raise ValueError(
            f"zero_loss_range=({left:g}, {right:g}) eV holds {inside.size} channel(s) of the axis, "
            f"which runs from {recorded.energy_ev[0]:g} to {recorded.energy_ev[-1]:g} eV; move or "
            "widen it."
        )
    return slice(int(inside[0]), int(inside[-1]) + 1)
