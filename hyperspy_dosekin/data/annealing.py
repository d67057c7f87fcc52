# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated annealing series of core-loss spectrum images, and the references behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import toeplitz

from hyperspy_dosekin.numerics.arguments import check_arguments

from .camera import Camera
from .check import checked_channels, checked_sizes, require

if TYPE_CHECKING:
    from hyperspy.signals import Signal1D

#: Names of the classes, in the order in which annealing passes through them.
PHASES = ("fluoride", "oxyfluoride", "hydroxide", "oxide")
UNKNOWN = "unknown"

_EDGE = 688.0
_CHANNELS = 160
_OFFSET, _SCALE = 670.0, 0.5
_REFERENCE_SCALE = 0.1
#: Height of the continuum, its width, and the (position, height, width) in eV of each peak.
_SHAPES: dict[str, tuple[float, float, tuple[tuple[float, float, float], ...]]] = {
    "fluoride": (0.40, 1.5, ((691.0, 0.72, 2.2), (699.0, 0.30, 4.0), (716.0, 0.12, 8.0))),
    "oxyfluoride": (0.38, 2.0, ((690.0, 0.42, 1.8), (694.0, 0.38, 1.8), (704.0, 0.18, 6.0))),
    "hydroxide": (0.42, 3.0, ((693.5, 0.30, 4.5), (708.0, 0.16, 7.0))),
    "oxide": (0.16, 4.0, ((697.0, 0.10, 6.0), (722.0, 0.05, 9.0))),
    UNKNOWN: (0.40, 1.5, ((695.0, 0.55, 2.2), (703.0, 0.55, 2.2))),
}
#: Background before its subtraction, in units of the edges, and its decay.
_BACKGROUND, _DECAY = 2.0, 3.0
#: Energy and half width of the plasmon of plural scattering, eV.
_PLASMON, _PLASMON_WIDTH = 22.0, 4.0
#: Beyond it counts are too large to be drawn; beyond these nothing is left of a spectrum.
_LARGEST_SNR, _LARGEST_DEVIATION = 1e6, 1e3


def phase_spectrum(name: str, energy_ev: np.ndarray) -> np.ndarray:
    """Noise-free edge of a phase, shape of `energy_ev` (eV): a rounded step with peaks."""
    height, width, peaks = _SHAPES[name]
    found = height * (0.5 + np.arctan((energy_ev - _EDGE) / (0.5 * width)) / np.pi)
    found *= (np.maximum(energy_ev, _EDGE) / _EDGE) ** -2.5
    for position, strength, spread in peaks:
        found += strength * np.exp(-0.5 * ((energy_ev - position) / spread) ** 2)
    return found


def reference_spectra(
    sources: Sequence[Any] | None = None, labels: Sequence[Any] | None = None, **options: Any
) -> Signal1D:
    """References of the classes of `annealing_series`, or those from files and signals.

    Parameters
    ----------
    sources, labels
        Files or signals, and the class of each, as for
        `hyperspy_dosekin.reference_spectra`. By default the noise-free spectra behind
        `annealing_series`, on an axis of their own: 0.1 eV a channel, wider than the data.
    **options
        As there, such as ``fwhm_ev`` and ``shift_ev``. For the default spectra also
        ``unknown=True``, which appends the phase that `annealing_series` calls "unknown".

    Returns
    -------
    Signal1D
        Signal type "EELS", ``(reference|energy)``, labels in ``metadata.References.labels``.

    Examples
    --------
    >>> from hyperspy_dosekin.data import reference_spectra
    >>> reference_spectra()
    <EELSSpectrum, title: References, dimensions: (4|1200)>
    """
    from hyperspy_dosekin.signals.classification.references import make_reference_signal
    from hyperspy_dosekin.signals.classification.references import reference_spectra as collect

    if sources is not None:
        return collect(sources, labels, **options)
    names = [*PHASES, UNKNOWN] if options.pop("unknown", False) else list(PHASES)
    if options:
        raise TypeError(f"{sorted(options)} are options for sources only; give files or signals.")
    if labels is None:
        labels = names
    if isinstance(labels, str) or not hasattr(labels, "__len__") or not getattr(labels, "ndim", 1):
        raise TypeError(f"labels={labels!r} must be a list of the classes.")
    if len(labels) != len(names):
        raise ValueError(f"{len(labels)} labels for the {len(names)} references {names}.")
    energy = 650.0 + _REFERENCE_SCALE * np.arange(1200)
    spectra = np.stack([phase_spectrum(name, energy) for name in names])
    signal = make_reference_signal(energy, spectra, labels)
    signal.metadata.set_item("Simulation", {"names": names, "kind": "references"})
    return signal


def annealing_series(
    seed: int = 0,
    *,
    shape: tuple[int, int, int] = (8, 24, 20),
    peak_snr: float = 8.0,
    thickness_variation: float = 0.15,
    energy_jitter: float = 0.25,
    background_variation: float = 0.03,
    unknown_share: float = 0.0,
    thick_background: bool = False,
    plural_scattering: float = 0.0,
    energy_drift: float = 0.0,
    mixed_share: float = 0.0,
    dead_channels: Sequence[int] = (),
    dead_value: float = np.nan,
    lazy: bool = False,
) -> Signal1D:
    """Simulate spectrum images of a film that changes its phase while it is heated.

    Phases differ in the shape of their edge and in its height; thickness, which scales all of
    them, confounds heights. The background has been subtracted, not quite.

    Parameters
    ----------
    seed
        Same seed and options, same data, lazy or not.
    shape
        Frames and pixels (temperature, y, x).
    peak_snr
        Signal-to-noise ratio of one channel at the peak of the first phase, in one pixel.
    thickness_variation
        Relative standard deviation of the thickness over the field, smooth in space.
    energy_jitter
        Standard deviation of the energy shift of a pixel, eV.
    background_variation
        Standard deviation of the residual background in units of the first phase's peak.
    unknown_share
        Share of pixels, in patches, that hold a phase which is not among the references: an edge
        that is shifted and doubled.
    thick_background
        Whether the background before its subtraction, and so its noise, is as thick as the
        specimen; otherwise it is the same everywhere.
    plural_scattering
        Mean number of further inelastic scatterings, t/λ at the mean thickness, with a plasmon at
        22 eV.
    energy_drift
        By how much the energy shifts from frame to frame, eV.
    mixed_share
        Share of pixels that hold the next phase too, half and half.
    dead_channels, dead_value
        Indices of channels that record nothing, and what they hold.
    lazy
        Return a lazy signal, one chunk for each frame, simulated when it is computed.

    Returns
    -------
    EELSSpectrum or LazyEELSSpectrum
        Dimensions ``(x, y, temperature|energy)``. ``metadata.Simulation`` holds the truth, arrays
        (temperature, y, x): ``label``, the index into ``names``; ``scale``; ``shift_ev``;
        ``background``, the height of the residual at the first channel; ``second``, the index of
        the other phase, the same where there is none. `expected` gives the spectra without noise.

    Raises
    ------
    ValueError
        If an option is out of its range, named in the message.

    Examples
    --------
    >>> from hyperspy_dosekin.data import annealing_series
    >>> s = annealing_series(shape=(3, 9, 8))
    >>> s
    <EELSSpectrum, title: Simulated annealing series, dimensions: (8, 9, 3|160)>
    >>> s.metadata.Simulation.names
    ['fluoride', 'oxyfluoride', 'hydroxide', 'oxide']
    """
    check_arguments(annealing_series, locals())
    n_frame, n_y, n_x = checked_sizes(shape, 3, "(temperature, y, x)")
    sizes = (n_frame, n_y, n_x)
    require(seed >= 0, "seed", seed, "must not be negative")
    if not 0 < peak_snr <= _LARGEST_SNR or peak_snr**2 == 0:
        raise ValueError(f"peak_snr={peak_snr} must be positive, and at most {_LARGEST_SNR:g}.")
    for name, value in (
        ("thickness_variation", thickness_variation),
        ("energy_jitter", energy_jitter),
        ("background_variation", background_variation),
    ):
        if not 0 <= value <= _LARGEST_DEVIATION:
            raise ValueError(
                f"{name}={value} must be a standard deviation, zero or more and at most "
                f"{_LARGEST_DEVIATION:g}."
            )
    if not 0 <= plural_scattering <= 100:
        raise ValueError(f"plural_scattering={plural_scattering} must be t/λ, zero to 100.")
    if not abs(energy_drift) <= _LARGEST_DEVIATION:
        raise ValueError(
            f"energy_drift={energy_drift} must be a number of eV, at most {_LARGEST_DEVIATION:g}."
        )
    if not 0 <= mixed_share <= 1:
        raise ValueError(f"mixed_share={mixed_share} must lie between 0 and 1.")
    if not 0 <= unknown_share < 1:
        raise ValueError(f"unknown_share={unknown_share} must lie between 0 and 1.")
    camera = Camera(_CHANNELS, dead_channels=checked_channels(dead_channels), dead_value=dead_value)
    rng = np.random.default_rng(seed)
    label = _labels(rng, sizes, unknown_share)
    scale = np.maximum(1 + thickness_variation * _smooth(rng, sizes, 3.0), 0.2)
    truth = {
        "label": label,
        "scale": scale,
        "shift_ev": energy_jitter * rng.standard_normal(sizes),
        "background": background_variation * rng.standard_normal(sizes),
        "exponent": rng.uniform(1.0, 6.0, sizes),
    }
    truth["shift_ev"] += energy_drift * np.arange(sizes[0])[:, None, None]
    # Drawn apart, so that the rest is the same with and without.
    chosen = np.random.default_rng([int(seed), sizes[0], 1]).random(sizes) < mixed_share
    mixable = chosen & (label < len(PHASES))
    truth["second"] = np.where(mixable, np.where(label == len(PHASES) - 1, 2, label + 1), label)
    names: list[str] = [*PHASES, UNKNOWN] if unknown_share else [*PHASES]
    energy = _OFFSET + _SCALE * np.arange(_CHANNELS)
    peak = phase_spectrum(PHASES[0], energy).max()
    simulation = {
        "seed": int(seed),
        "kind": "annealing series",
        "names": names,
        "peak_snr": float(peak_snr),
        "counts": float(peak_snr**2 * (peak + _BACKGROUND) / peak**2),
        "plural_scattering": float(plural_scattering),
        "thick_background": bool(thick_background),
        **truth,
    }
    if camera.dead_channels:
        simulation["dead_channels"] = list(camera.dead_channels)
    frames = [
        {name: value[i] for name, value in truth.items()} | {"frame": i} for i in range(sizes[0])
    ]
    setup = _Setup(
        energy, names, simulation["counts"], int(seed), camera, plural_scattering, thick_background
    )
    if lazy:
        from hyperspy_dosekin.lazy.making import make_blocks

        data = make_blocks(
            _frame_block,
            (len(frames), *sizes[1:], _CHANNELS),
            (1, -1, -1, -1),
            np.float32,
            source=(frames, setup),
        )
    else:
        data = np.stack([_frame(frame, setup) for frame in frames])
    return _to_signal(data, simulation)


@dataclass(frozen=True, eq=False)
class _Setup:
    """What all frames have in common."""

    energy: np.ndarray
    names: list[str]
    counts: float
    seed: int
    camera: Camera
    plural: float
    thick_background: bool


def _frame_block(part: tuple[slice, ...], source: tuple[list, _Setup]) -> np.ndarray:
    frames, setup = source
    return np.stack([_frame(frame, setup) for frame in frames[part[0]]])


def expected(signal: Signal1D) -> np.ndarray:
    """Noise-free spectra of a simulated annealing series, the shape of its data, float64."""
    known = signal.metadata.Simulation
    energy = signal.axes_manager.signal_axes[0].axis
    truth = {
        name: np.asarray(known.get_item(name))
        for name in ("label", "scale", "shift_ev", "background", "exponent")
    }
    # Series of early versions hold one phase in every pixel.
    truth["second"] = np.asarray(known.get_item("second", truth["label"]))
    plural = float(known.get_item("plural_scattering", 0.0))
    return _expected(truth, energy, list(known.names), plural)


def _expected(
    truth: dict[str, Any], energy: np.ndarray, names: Sequence[str], plural: float
) -> np.ndarray:
    found = np.zeros((*truth["label"].shape, energy.size))
    for of in ("label", "second"):
        for k, name in enumerate(names):
            here = truth[of] == k
            moved = energy - truth["shift_ev"][here][:, None]
            found[here] += 0.5 * phase_spectrum(name, moved) * truth["scale"][here][:, None]
    if plural:
        loss = _SCALE * np.arange(energy.size)
        plasmon = 1 / (1 + ((loss - _PLASMON) / _PLASMON_WIDTH) ** 2)
        smear = toeplitz(plasmon / plasmon.sum(), np.zeros(energy.size))
        found += plural * truth["scale"][..., None] * (found @ smear.T)
    law = (energy / energy[0]) ** -truth["exponent"][..., None]
    return found + truth["background"][..., None] * law


def _frame(truth: dict[str, Any], setup: _Setup) -> np.ndarray:
    """Measured spectra of a frame, ``(y, x, n_channels)``, float32."""
    energy, counts = setup.energy, setup.counts
    background = _BACKGROUND * (energy / energy[0]) ** -_DECAY
    if setup.thick_background:
        background = truth["scale"][..., None] * background
    net = _expected(truth, energy, setup.names, setup.plural)
    rate = counts * np.maximum(net + background, 1e-6)
    # A generator for each frame, so that frames are the same in any order.
    drawn = np.random.default_rng([setup.seed, truth["frame"]]).poisson(rate)
    return setup.camera.finish(drawn / counts - background).astype(np.float32)


def _smooth(rng: np.random.Generator, sizes: tuple[int, ...], length: float) -> np.ndarray:
    """Random fields, smooth in space, of mean 0 and standard deviation 1 over all frames."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(
        rng.standard_normal(sizes), (0, min(length, sizes[1] / 4), min(length, sizes[2] / 4)),
        mode="wrap",
    )  # fmt: skip
    return (field - field.mean()) / max(field.std(), 1e-12)


def _labels(
    rng: np.random.Generator, sizes: tuple[int, int, int], unknown_share: float
) -> np.ndarray:
    """Phases advance with temperature, in patches that keep their place."""
    lasting = _smooth(rng, (1, *sizes[1:]), 2.5)
    progress = np.linspace(-1.4, 2.6, sizes[0])[:, None, None]
    field = progress + 0.8 * (0.85 * lasting + 0.5 * _smooth(rng, sizes, 2.0))
    label = np.digitize(field, [-0.4, 0.7, 1.8])
    if unknown_share:
        patches = _smooth(rng, sizes, 1.5)
        label[patches > np.quantile(patches, 1 - unknown_share)] = len(PHASES)
    return label


def _to_signal(data: Any, simulation: dict[str, Any]) -> Signal1D:
    from hyperspy.signals import LazySignal1D, Signal1D

    axes: list[dict[str, Any]] = [
        {"name": "temperature", "units": "°C", "offset": 100.0, "scale": 100.0, "navigate": True,
         "size": data.shape[0]},
        *(
            {"name": name, "units": "nm", "scale": 2.0, "size": size, "navigate": True}
            for name, size in zip("yx", data.shape[1:3], strict=True)
        ),
        {"name": "Energy loss", "units": "eV", "offset": _OFFSET, "scale": _SCALE,
         "size": _CHANNELS, "navigate": False},
    ]  # fmt: skip
    make = Signal1D if isinstance(data, np.ndarray) else LazySignal1D
    signal = make(
        data,
        axes=axes,
        metadata={
            "General": {"title": "Simulated annealing series"},
            "Signal": {"quantity": "Background-subtracted intensity"},
            "Simulation": simulation,
        },
    )
    signal.set_signal_type("EELS")
    return signal
