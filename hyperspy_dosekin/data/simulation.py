# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated dose series as HyperSpy signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from hyperspy_dosekin.numerics.arguments import check_arguments, real_numbers

from .camera import EXPOSURE
from .check import checked_sizes
from .recipe import DEFAULT_DOSE, ENERGY_UNITS, REMEDIES, Recipe
from .scene import Scene
from .truth import describe

if TYPE_CHECKING:
    from hyperspy.signals import Signal1D

_PIXEL_SIZE = 4.0  # nm


def dose_series(
    seed: int = 0,
    *,
    dose: ArrayLike | None = None,
    kinetics: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    t_over_lambda: float = 0.4,
    pre_exposure: float = 0.0,
    processed: bool = False,
    noise: bool = True,
    electrons: float = 1e7,
    gain: float = 1.0,
    read_noise: float = 0.0,
    intensity_variation: float = 0.005,
    drift: ArrayLike = 0.01,
    shift_jitter: float = 0.0,
    spike_rate: float = 0.0,
    spike_height: float = 20.0,
    energy_offset: float = -8.0,
    energy_scale: float = 0.18,
    channels: int = 512,
    zero_loss_fwhm: float = 0.6,
    zero_loss_asymmetry: float = 0.0,
    zero_loss_tail: float = 0.005,
    plasmon_energy: float = 21.5,
    plasmon_width: float = 15.0,
    vibrations: ArrayLike = (),
    temperature: float = 300.0,
    channel_response: Literal["point", "integrated"] = "point",
    energy_units: Literal["eV", "meV"] = "eV",
    pedestal: float = 0.0,
    average_of: int = 1,
    normalise: Literal["none", "maximum", "sum", "exposure"] = "none",
    claimed_noise: Literal["true", "inverse", "counts", "none"] = "true",
    dead_channels: Sequence[int] = (),
    dead_value: float = np.nan,
    dtype: DTypeLike | None = None,
) -> Signal1D:
    r"""Simulate a low-loss EELS dose series of a material like MIL-101(Fe).

    A volume plasmon and an iron edge carry one band in each of the windows
    `hyperspy_dosekin.LOW_LOSS_WINDOWS`; the band in window i holds the share
    :math:`a_i C_i + b_i` of the single scattering, with :math:`dC_i/d\varphi = -k_i C_i^{p_i}`
    [1]_. The defaults resemble the series of that paper. The names are labels of windows.

    Parameters
    ----------
    seed
        Same seed and options, same data.
    dose
        Recorded cumulative doses of the frames in e⁻/Å², ascending. Default: 152…1368 in nine
        steps.
    kinetics
        ``{window: {"k": …, "p": …, "a": …, "b": …}}`` with any of the windows and values to
        change. k is per normalised dose (dose over the largest recorded dose). a and b are shares
        of the undamaged specimen's single scattering; no band's share may become negative.
    t_over_lambda
        Thickness of the undamaged specimen in inelastic mean free paths; 0 is vacuum.
    pre_exposure
        Dose in e⁻/Å² that the specimen received before recording began. It damages the specimen
        and is *not* on the dose axis, as in a real file.
    processed
        Give the single-scattering distribution S per eV, relative to the integrated zero-loss
        peak, that perfect processing would give, instead of raw counts. Its noise is that of the
        counts, channel by channel, and its variance is in ``metadata.Signal.Noise_properties``.
    noise
        Whether there is counting and read noise. Without, the expected values are returned.
    electrons
        Electrons in a spectrum over all energies, scattered or not.
    gain
        Counts per electron.
    read_noise
        Standard deviation of the read noise of a channel, in counts.
    intensity_variation
        Relative standard deviation of the number of electrons from spectrum to spectrum.
    drift
        Drift of the zero-loss peak in eV per frame, or its position in every frame, in eV.
    shift_jitter
        Standard deviation of a further random shift of every spectrum, in eV.
    spike_rate
        Mean number of X-ray spikes in a spectrum, one or two channels wide. Raw counts only.
    spike_height
        Height of a spike in standard deviations of the noise there.
    energy_offset, energy_scale, channels
        Energy axis: first channel and width of a channel in eV, number of channels.
    zero_loss_fwhm
        Full width at half maximum of the Gaussian core of the zero-loss peak, in eV.
    zero_loss_asymmetry
        Decay length in eV of an exponential that draws the core out to the loss side; its
        centroid stays.
    zero_loss_tail
        Share of the zero-loss peak that has Lorentzian tails.
    plasmon_energy, plasmon_width
        Energy and width of the volume plasmon in eV. A narrow plasmon of a thick specimen is higher
        than the zero-loss peak.
    vibrations
        Rows (energy in eV, share of the zero-loss peak, full width at half maximum in eV) of
        vibrational losses. Each has a gain on the other side, weaker by the Boltzmann factor. They
        are no part of t/λ, S and the areas of windows.
    temperature
        Temperature of the specimen in K, for the gains.
    channel_response
        ``"point"``: a channel holds the density at its centre times its width. ``"integrated"``:
        the electrons that fall on it, as in a camera; the difference matters where the zero-loss
        peak is two channels wide.
    energy_units
        Unit of the energy axis of the signal; options are in eV in any case.
    pedestal
        Counts that every channel has without electrons; they have no noise but the read noise.
    average_of
        Exposures of which every spectrum is the mean; `electrons` is that of one of them.
    normalise
        What counts are divided by before they are written: the maximum or the sum of each
        spectrum, or the exposure, 44 s.
    claimed_noise
        What the file says of its noise. ``"true"``: the right linear model of what is above the
        pedestal, where there is one (not where every spectrum is divided by a number of its own).
        ``"inverse"``: electrons per count in place of counts per electron, and nothing of read
        noise, as readers of DigitalMicrograph files write. ``"counts"``: counts of gain 1, whatever
        they are.
        ``"none"``: nothing.
    dead_channels
        Indices of channels that record nothing.
    dead_value
        What dead channels hold.
    dtype
        Default: int32 for counts with noise, which saturate at the limits of the type as a camera
        does; float32 for recorded spectra that are no whole numbers; float64 otherwise.

    Returns
    -------
    EELSSpectrum
        Dimensions ``(n_dose|channels)``, the navigation axis named "dose", in e⁻/Å².
        ``metadata.Simulation`` holds the truth: ``rate``, ``exponent``, ``amplitude``, ``offset``
        (``window_areas = amplitude·integrity + offset``) and ``half_integrity_dose`` by window,
        ``integrity``, ``window_areas`` (of S; ``window_areas_at_resolution`` of S broadened by the
        zero-loss peak) of shape (window, dose), ``t_over_lambda``, ``electrons`` and
        ``zero_loss_position`` by frame, ``dose`` (with pre-exposure) and ``recorded_dose``,
        ``spikes`` (position, channel, width, height), the seed and the version of the recipe;
        ``pedestal``, ``average_of``, ``normalise``, ``claimed_noise``, ``dead_channels`` and
        ``vibrations`` as they were given.

    Raises
    ------
    ValueError
        If an option is out of its range, named in the message.
    TypeError
        If `seed` is not an integer.

    See Also
    --------
    dose_series_image

    References
    ----------
    .. [1] G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).

    Examples
    --------
    >>> from hyperspy_dosekin.data import dose_series
    >>> s = dose_series()
    >>> s
    <EELSSpectrum, title: Simulated low-loss dose series, dimensions: (9|512)>
    >>> truth = s.metadata.Simulation
    >>> truth.window_names
    ['π–π*', 'C–C', 'C–O', 'M–O']
    >>> print(truth.half_integrity_dose.round())  # e⁻/Å²
    [1271.  998.  958. 9482.]
    """
    recipe = Recipe(
        seed=seed,
        dose=DEFAULT_DOSE if dose is None else real_numbers("dose", dose, REMEDIES["dose"]),
        kinetics=kinetics,
        t_over_lambda=t_over_lambda,
        pre_exposure=pre_exposure,
        processed=processed,
        noise=noise,
        electrons=electrons,
        gain=gain,
        read_noise=read_noise,
        intensity_variation=intensity_variation,
        drift=drift,
        shift_jitter=shift_jitter,
        spike_rate=spike_rate,
        spike_height=spike_height,
        energy_offset=energy_offset,
        energy_scale=energy_scale,
        channels=channels,
        zero_loss_fwhm=zero_loss_fwhm,
        zero_loss_asymmetry=zero_loss_asymmetry,
        zero_loss_tail=zero_loss_tail,
        plasmon_energy=plasmon_energy,
        plasmon_width=plasmon_width,
        vibrations=real_numbers("vibrations", vibrations, REMEDIES["vibrations"]),
        temperature=temperature,
        channel_response=channel_response,
        energy_units=energy_units,
        pedestal=pedestal,
        average_of=average_of,
        normalise=normalise,
        claimed_noise=claimed_noise,
        dead_channels=dead_channels,
        dead_value=dead_value,
        dtype=dtype,
    )
    scene = Scene(recipe, (1, 1))
    variance = _eager_variance(scene)
    return _to_signal(
        scene,
        scene.block(scene.whole)[:, 0, 0],
        None if variance is None else variance[:, 0, 0],
        "Simulated low-loss dose series",
    )


def dose_series_image(
    seed: int = 0,
    *,
    shape: tuple[int, int] = (18, 14),
    rate_variation: float = 0.35,
    thickness_variation: float = 0.15,
    electrons: float = 1e6,
    lazy: bool = False,
    chunks: Any = "auto",
    **options: Any,
) -> Signal1D:
    """Simulate a spectrum image at every dose, with rates that vary over the field.

    Parameters
    ----------
    seed
        Same seed and options, same data, with any `chunks` and with `lazy` or without: every
        spectrum has random numbers of its own.
    shape
        Pixels (y, x).
    rate_variation
        Standard deviation of ln k over the field. k given as an array of `shape` in ``kinetics``
        is taken as it is.
    thickness_variation
        Standard deviation of ln t/λ over the field. ``t_over_lambda`` given as an array of `shape`
        is taken as it is; pixels where it is 0 are vacuum.
    electrons
        Electrons in a spectrum.
    lazy
        Return a lazy signal whose blocks are simulated when they are computed. Rates, areas and
        the other truths are held in memory: per spectrum about 15 numbers.
    chunks
        Chunks of the lazy array in (dose, y, x), in any form that dask takes.
    **options
        As for `dose_series`.

    Returns
    -------
    EELSSpectrum or LazyEELSSpectrum
        Dimensions ``(x, y, n_dose|channels)``, which is an array (dose, y, x, energy). In
        ``metadata.Simulation`` maps are (window, y, x), curves (y, x, window, dose), and what
        belongs to a spectrum (dose, y, x).

    Raises
    ------
    ValueError
        If an option is out of its range, named in the message.
    TypeError
        If `seed` is not an integer or an option is not known.

    See Also
    --------
    dose_series

    Examples
    --------
    >>> from hyperspy_dosekin.data import dose_series_image
    >>> s = dose_series_image(shape=(4, 3), lazy=True)
    >>> s
    <LazyEELSSpectrum, title: Simulated low-loss dose series image, dimensions: (3, 4, 9|512)>
    >>> s.metadata.Simulation.rate.shape
    (4, 4, 3)
    """
    check_arguments(dose_series_image, locals())
    n_y, n_x = checked_sizes(shape, 2, "pixels (y, x)")
    for name, value in (
        ("rate_variation", rate_variation),
        ("thickness_variation", thickness_variation),
    ):
        if not 0 <= value <= 100:
            raise ValueError(f"{name}={value!r} must be a standard deviation, 0 to 100.")
    known = set(Recipe.__dataclass_fields__)
    if unknown := sorted(set(options) - known):
        raise TypeError(f"unknown options {unknown}; the known ones are {sorted(known)}.")
    if options.get("dose", DEFAULT_DOSE) is None:
        options.pop("dose")
    recipe = Recipe(seed=seed, electrons=electrons, **options)
    scene = Scene(recipe, (n_y, n_x), rate_variation, thickness_variation)
    if lazy:
        data, variance = _lazy_arrays(scene, chunks)
    else:
        data, variance = scene.block(scene.whole), _eager_variance(scene)
    return _to_signal(scene, data, variance, "Simulated low-loss dose series image")


def _eager_variance(scene: Scene) -> np.ndarray | None:
    if not (scene.recipe.processed and scene.recipe.noise):
        return None
    return scene.block(scene.whole, variance=True)


def _simulate_block(part: tuple[slice, ...], scene: Scene, *, variance: bool) -> np.ndarray:
    return scene.block((part[0], part[1], part[2]), variance=variance)


def _lazy_arrays(scene: Scene, chunks: Any) -> tuple[Any, Any]:
    from hyperspy_dosekin.lazy.making import make_blocks

    recipe = scene.recipe
    # A spectrum is simulated whole.
    wanted = (*(chunks if isinstance(chunks, tuple) else (chunks,) * 3), -1)
    if len(wanted) != 4:
        raise ValueError(f"chunks={chunks!r} must be one size or three, for (dose, y, x).")

    def array(variance: bool) -> Any:
        return make_blocks(
            _simulate_block,
            (*scene.full_shape, recipe.channels),
            wanted,
            recipe.stored,
            source=scene,
            variance=variance,
        )

    return array(False), array(True) if recipe.processed and recipe.noise else None


def _dose_axis(dose: np.ndarray) -> dict[str, Any]:
    axis: dict[str, Any] = {"name": "dose", "units": "e⁻/Å²", "navigate": True}
    steps = np.diff(dose)
    if np.allclose(steps, steps[0], rtol=1e-9, atol=0):
        return axis | {"size": dose.size, "offset": dose[0], "scale": steps.mean()}
    return axis | {"axis": dose}


def _to_signal(scene: Scene, data: Any, variance: Any, title: str) -> Signal1D:
    # HyperSpy takes a second to import: only those who simulate wait for it.
    from hyperspy.signals import LazySignal1D, Signal1D

    recipe = scene.recipe
    image = data.ndim == 4
    axes = [_dose_axis(recipe.dose)]
    if image:
        axes += [
            {"name": name, "units": "nm", "scale": _PIXEL_SIZE, "size": size, "navigate": True}
            for name, size in zip("yx", scene.shape, strict=True)
        ]
    axes.append(
        {
            "name": "Energy loss",
            "units": recipe.energy_units,
            "offset": recipe.energy_offset * ENERGY_UNITS[recipe.energy_units],
            "scale": recipe.energy_scale * ENERGY_UNITS[recipe.energy_units],
            "size": recipe.channels,
            "navigate": False,
        }
    )
    cls = Signal1D if isinstance(data, np.ndarray) else LazySignal1D
    metadata = {
        "General": {"title": title},
        "Signal": {"quantity": "Single scattering (1/eV)"},
        "Acquisition_instrument": {
            "TEM": {
                "beam_energy": 300.0,
                "convergence_angle": 10.0,
                "Detector": {"EELS": {"collection_angle": 20.0, "exposure": EXPOSURE}},
            }
        },
        "Simulation": describe(scene, image=image),
    }
    if not recipe.processed:
        metadata["Signal"]["quantity"], model = recipe.camera.claims()
        if recipe.noise and model is not None:
            metadata["Signal"]["Noise_properties"] = {"Variance_linear_model": model}
    signal = cls(data, axes=axes, metadata=metadata)
    signal.set_signal_type("EELS")
    if variance is not None:
        signal.set_noise_variance(cls(variance, axes=axes))
    return signal
