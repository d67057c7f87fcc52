# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From raw core-loss counts to edges without background: `process_core_loss`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import column, cpu_count, map_blocks
from hyperspy_dosekin.numerics.arguments import check_arguments
from hyperspy_dosekin.numerics.device import tensors_on
from hyperspy_dosekin.processing.core_loss.chain import DIAGNOSTICS, CoreLossChain, process_block
from hyperspy_dosekin.processing.core_loss.edge_alignment import EdgeShifts
from hyperspy_dosekin.processing.core_loss.rebinning import rebin as rebin_block
from hyperspy_dosekin.signals.axes.quantity import holds_channel_contents
from hyperspy_dosekin.signals.processing.core_loss_windows import (
    Window,
    check_positive,
    check_windows,
    look_at_edge,
    refuse_low_loss,
    warn_if_touching,
    window_channels,
)
from hyperspy_dosekin.signals.processing.denoising import denoise
from hyperspy_dosekin.signals.processing.record import make_record, navigation_array
from hyperspy_dosekin.signals.processing.recorded import Recorded, in_unit, read, run_chain
from hyperspy_dosekin.signals.processing.result import processed_signal, result_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import torch
    from exspy.signals import EELSSpectrum
    from hyperspy.signals import BaseSignal


def process_core_loss(
    self: Any,
    *,
    rebin: float | None = None,
    reference: tuple[float, float] | None = None,
    align: bool = True,
    max_shift: float = 5.0,
    local_average: float | None = None,
    normalise: bool = True,
    reference_background: tuple[float, float] | None = None,
    low_loss: BaseSignal | None = None,
    background: tuple[float, float] | None = None,
    edge: float | None = None,
    crop: tuple[float, float] | None = None,
    components: int | str | None = None,
    dtype: npt.DTypeLike | None = None,
    device: str | torch.device = "cpu",
    show_progressbar: bool | None = None,
) -> EELSSpectrum | tuple[EELSSpectrum, BaseSignal]:
    r"""Process core-loss spectra: from counts to edges without background.

    In this order [1]_, and only what is asked for: channels are joined; spectra are aligned on a
    reference edge; they are divided by the area of that edge, or by the zero-loss peak; a
    power-law background is fitted before an edge and subtracted; the energy range is cropped; a
    version denoised by principal components is made.

    Nothing in the signal changes. Lazy signals are read once at once, for the shifts and the mean
    spectrum; all else is computed when the result is.

    Parameters
    ----------
    rebin
        New width of a channel in eV, a multiple of the present one.
    reference
        Window (left, right) in eV around an edge that all spectra have, with room on both sides
        for its shifts.
    align
        Move spectra so that the reference edge is where it is in the mean, to a fraction of a
        channel. The shift of a spectrum is found on the local average around it, over as few
        neighbours as its noise allows; dose frames are not averaged.
    max_shift
        Largest shift in eV.
    local_average
        Standard deviation of the local average, in pixels, instead of the one chosen by noise; 0
        is none.
    normalise
        Divide by the area of the reference window or, if `low_loss` is given, by that of the
        zero-loss peak.
    reference_background
        Window (left, right) in eV of a power law that is subtracted below the reference area.
    low_loss
        Low-loss signal recorded together with this one: what `process_low_loss` returned for it.
    background
        Window (left, right) in eV in which the background is fitted, before the edge.
    edge
        Onset of the edge in eV, which the window must not touch; by default the left end of `crop`.
    crop
        Range (left, right) in eV of the result.
    components
        Number of principal components of a denoised version, or ``"auto"`` for the elbow of the
        scree plot.
    dtype
        Type of the result, as for `process_low_loss`.
    device
        Where spectra are processed. ``"cpu"``: by NumPy. ``"cuda"``, ``"cuda:1"``: by Torch on a
        graphics card, batch by batch; ``"auto"``: on a card if there is one. The processor still
        joins channels, finds the shifts of the reference edge, looks for what warnings tell, draws
        the lines over spikes in a background window and over channels without a number, and makes
        the denoised version. Results are those of NumPy but for rounding; background windows
        without a count take the exponent of the others in their batch, and batches are larger on a
        card. A `torch.device`, also that of the processor, is always Torch's.
    show_progressbar
        Whether to show the progress of the first look at lazy data; by default as set in
        HyperSpy's preferences.

    Returns
    -------
    EELSSpectrum or LazyEELSSpectrum
        The processed spectra; with their noise variance where that of the data is known, the error
        of the extrapolated background included channel by channel. That error is the same for
        neighbouring channels; for the whole range it is the diagnostic ``"background_error"``.
        Steps, parameters and findings are in ``metadata.Dosekin.processing``, see
        `processing_diagnostics` and `plot_processing`.

        With `components`, a pair: the processed spectra, and the denoised ones.

    Raises
    ------
    ValueError
        If a window lies outside the axis or the windows overlap, the reference edge is absent in
        most spectra, the mean of a background window is not positive, the energy axis is not
        uniform, the signal is what `process_low_loss` returned or has the zero-loss peak on its
        axis, an option is out of its range, or a device is
        not there.
    TypeError
        If the data are no real numbers.

    References
    ----------
    .. [1] J. D. Hollenbach et al., Sci. Rep. 14, 17881 (2024), doi:10.1038/s41598-024-66902-4.

    Examples
    --------
    >>> import exspy
    >>> energy = np.arange(400.0, 700.0)
    >>> counts = 1e11 * energy**-3 + 200 * (energy > 530)
    >>> s = exspy.signals.EELSSpectrum(np.tile(counts, (3, 2, 1)))
    >>> s.axes_manager[-1].offset = 400
    >>> s.axes_manager[-1].units = "eV"
    >>> net = s.process_core_loss(background=(450, 520), crop=(525, 650))
    >>> net
    <EELSSpectrum, title: , dimensions: (2, 3|126)>
    >>> print(net.isig[560.0].data[0, 0].round(1))
    200.0
    """
    check_arguments(process_core_loss, locals())
    out_type = result_type(self.data.dtype, dtype)
    tensors_on(device)
    source = read(self, "process_core_loss")
    refuse_low_loss(source)
    is_sum = holds_channel_contents(self)
    recorded, factor = _rebinned(source, rebin, is_sum)
    windows = {
        name: window_channels(recorded, limits, name)
        for name, limits in (
            ("reference", reference),
            ("reference_background", reference_background),
            ("background", background),
            ("crop", crop),
        )
    }
    check_windows(recorded, reference, reference_background, background, edge, crop)
    wants_align = bool(align) and reference is not None and source.data.ndim > 1
    total, shifts = look_at_edge(self, recorded, windows, wants_align, max_shift, local_average,
                          show_progressbar)  # fmt: skip
    position = np.zeros(recorded.data.shape[:-1]) if shifts is None else shifts.position
    for name in ("background", "reference_background"):
        check_positive(recorded, windows[name], total, name)
    if background is not None:
        warn_if_touching(recorded, windows["background"], total)
    n_channels = recorded.energy_ev.size
    start = int(np.ceil(max(-position.min(initial=0.0), 0.0) - 1e-6))
    stop = n_channels - int(np.ceil(max(position.max(initial=0.0), 0.0) - 1e-6))
    kept = windows["crop"] or slice(start, stop)
    kept = slice(max(kept.start, start), min(kept.stop, stop))
    scale: Any = _scale(self, low_loss, normalise)
    if source.unit is not None:
        scale = scale / source.unit
    to_reference = bool(normalise) and reference is not None and low_loss is None
    chain = CoreLossChain(
        energy_ev=recorded.energy_ev,
        gain=np.nan_to_num(recorded.gain, nan=1.0),
        offset=np.nan_to_num(recorded.offset, nan=0.0),
        align=wants_align,
        reference=windows["reference"] if to_reference else None,
        reference_background=windows["reference_background"] if to_reference else None,
        background=windows["background"],
        crop=kept,
        margin=int(np.ceil(np.abs(position).max(initial=0.0))),
    )
    spectra, numbers, variance = run_chain(
        process_block,
        recorded,
        position,
        scale,
        sizes=(kept.stop - kept.start, len(DIAGNOSTICS)),
        dtype=out_type,
        method="process_core_loss",
        chain=chain,
        device=device,
    )
    found = {name: column(numbers, place) for place, name in enumerate(DIAGNOSTICS)}
    found["reference_area"] = in_unit(source.unit, found["reference_area"])
    steps, diagnostics = _steps(
        recorded, chain, factor, reference, reference_background, background, edge, shifts, found,
        scale if low_loss is not None and normalise else None,
    )  # fmt: skip
    record = make_record(self, "process_core_loss", steps, diagnostics)
    result = processed_signal(
        self,
        spectra,
        variance,
        offset_ev=float(recorded.energy_ev[kept.start]),
        scale_ev=recorded.scale_ev,
        quantity="Relative intensity" if to_reference or low_loss is not None else None,
        record=record,
        is_binned=None,
        context={"chain": chain, "position": position, "scale": scale, "recorded": recorded},
    )
    if components is None:
        return result
    return result, denoise(result, components)


def _rebinned(source: Recorded, width: float | None, is_sum: bool) -> tuple[Recorded, int]:
    if width is None:
        return source, 1
    ratio = float(width) / source.scale_ev
    factor = round(min(ratio, 1e15))
    if factor < 1 or abs(ratio - factor) > 1e-6 * factor:
        raise ValueError(
            f"rebin={width:g} eV is no multiple of the channel width {source.scale_ev:g} eV; "
            f"pass for example {max(factor, 1) * source.scale_ev:g}, or use s.rebin(scale=…)."
        )
    n_new = source.energy_ev.size // factor
    if not n_new:
        raise ValueError(
            f"rebin={width:g} eV is wider than the whole axis of {source.energy_ev.size} channels "
            f"of {source.scale_ev:g} eV; pass less."
        )
    common = {
        "output_sizes": {"f": n_new},
        "eager_options": {"workers": cpu_count()},
        "factor": factor,
    }
    data = map_blocks(rebin_block, "(e)->(f)", source.data, **common, mean=not is_sum)
    variance = source.variance
    if variance is not None:
        variance = map_blocks(rebin_block, "(e)->(f)", variance, **common)
        variance = variance if is_sum else variance / factor**2
    energy = source.energy_ev[: n_new * factor].reshape(n_new, factor).mean(axis=-1)
    share = 1 if is_sum else factor
    return replace(
        source,
        data=data,
        energy_ev=energy,
        scale_ev=source.scale_ev * factor,
        gain=source.gain / share,
        offset=source.offset * factor if is_sum else source.offset / factor,
        variance=variance,
    ), factor


def _scale(signal: BaseSignal, low_loss: Any, normalise: bool) -> object:
    """Numbers to divide by, of the navigation shape in array order."""
    if low_loss is None or not normalise:
        return np.ones(signal.data.shape[:-1])
    place = "Dosekin.processing.zero_loss.diagnostics.zero_loss_intensity"
    shown = low_loss.metadata.get_item(place) if hasattr(low_loss, "metadata") else None
    if shown is None:
        raise ValueError(
            "low_loss has no intensity of the zero-loss peak in metadata.Dosekin.processing; pass "
            "what low_loss.process_low_loss() returns."
        )
    if low_loss.axes_manager.navigation_shape != signal.axes_manager.navigation_shape:
        raise ValueError(
            f"low_loss has the navigation shape {low_loss.axes_manager.navigation_shape}, this "
            f"signal {signal.axes_manager.navigation_shape}; pass spectra recorded together."
        )
    return navigation_array(low_loss, shown)


def _steps(
    recorded: Recorded,
    chain: CoreLossChain,
    factor: int,
    reference: Window | None,
    reference_background: Window | None,
    background: Window | None,
    edge: float | None,
    shifts: EdgeShifts | None,
    found: Mapping[str, object],
    zero_loss: object,
) -> tuple[dict[str, dict[str, object]], dict[str, dict[str, tuple[object, str]]]]:
    """Parameters and diagnostics of each step that was done, in order."""
    steps: dict[str, dict[str, Any]] = {}
    diagnostics: dict[str, dict[str, tuple[object, str]]] = {}
    if factor > 1:
        steps["rebin"] = {"factor": factor, "width": recorded.scale_ev}
    if shifts is not None:
        steps["align"] = {
            "reference": reference,
            "local_average": shifts.width,
            "expected_error": shifts.error * recorded.scale_ev,
        }
        diagnostics["align"] = {
            "shift": (-shifts.position * recorded.scale_ev, "Shift (eV)"),
            "reference_signal_to_noise": (shifts.signal_to_noise, "Signal to noise"),
        }
    if chain.reference is not None:
        steps["normalise"] = {"to": "reference area", "window": reference}
        if reference_background is not None:
            steps["normalise"]["background"] = reference_background
        diagnostics["normalise"] = {"reference_area": (found["reference_area"], "Area")}
    elif zero_loss is not None:
        steps["normalise"] = {"to": "zero-loss peak"}
        diagnostics["normalise"] = {"zero_loss_intensity": (zero_loss, "Intensity (counts)")}
    if background is not None:
        steps["background"] = {"model": "power law", "window": background}
        if edge is not None:
            steps["background"]["edge"] = float(edge)
        diagnostics["background"] = {
            "exponent": (found["exponent"], "Exponent"),
            "background_level": (found["background_level"], "Background"),
            "background_error": (found["background_error"], "Standard error of the area"),
        }
    kept = chain.energy_ev[chain.crop]
    steps["crop"] = {"range": (float(kept[0]), float(kept[-1]))}
    return steps, diagnostics
