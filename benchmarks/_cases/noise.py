# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A: what a file says of its noise is believed against its data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from _cases.sample import (
    QUIET,
    claims,
    eels,
    factor,
    listening,
    refusal,
    sample,
    series,
    spikes_of,
    yes,
)

MODEL = "Signal.Noise_properties.Variance_linear_model.gain_factor"


@sample("A1 gain written as its inverse")
def inverse(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series

    def make(seed):
        s = dose_series(seed, electrons=1e6)
        s.data = (s.data / 0.1285).astype("f4")
        s.metadata.Signal.Noise_properties.Variance_linear_model.gain_factor = 0.1285
        return s

    claims(rows, "A1", make)


@sample("A1b 40 counts an electron, unsigned, as an image")
def inverse_image(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series_image

    def make(seed):
        s = dose_series_image(
            seed, shape=(2, 3), electrons=2e5, rate_variation=0.0, thickness_variation=0.0
        )
        s.data = (s.data * 40).astype("u4")
        s.metadata.set_item(MODEL, 1 / 40)
        return s

    claims(rows, "A1b", make)


@sample("A1c gain 2.5 of a core loss written as 0.4, lazy")
def inverse_core(rows, folder: Path) -> None:
    energy = 400 + 0.5 * np.arange(400)
    expected = 3e8 * (energy / 400) ** -3.0 / 400 + np.where(energy > 532, 4e4, 0)
    areas, claimed = [], []
    with listening() as heard:
        for seed in range(12):
            rng = np.random.default_rng(seed)
            s = eels((2.5 * rng.poisson(expected, (9, 400))).astype("f4"), 0.5, 400.0)
            s.metadata.set_item(MODEL, 0.4)
            net = s.as_lazy().process_core_loss(
                background=(430, 520), crop=(532, 552), normalise=False, align=False, **QUIET
            )
            found = net.integrate_windows({"O K": (532, 552)})
            found.compute(show_progressbar=False)
            areas.append(found.data)
            # The error of the background is common to all channels, and a diagnostic of its own.
            shared = np.asarray(net.processing_diagnostics()["background_error"].data) ** 2
            claimed.append(found.get_noise_variance().data + shared[np.newaxis])
    ratio = np.mean(claimed) / np.var(areas, ddof=1)
    factor(rows, "A1c: claimed variance over that of repeats", ratio, 2.0, f"{ratio:.2f}. {heard}")


def _same_spikes(rows, what: str, change, **options) -> None:
    from hyperspy_dosekin.data import dose_series

    s = dose_series(spike_rate=1.0, seed=3, **options)
    before = s.process_low_loss(**QUIET)
    other = s.deepcopy()
    other.change_dtype("float64")
    change(other)
    with listening() as heard:
        after = other.process_low_loss(**QUIET)
    first, second = (p.processing_diagnostics()["spikes"].data for p in (before, after))
    same = np.array_equal(first, second)
    yes(rows, f"{what}: the same spikes as before", same, f"{first} and {second}. {heard}")
    a, b = (p.integrate_windows().data for p in (before, after))
    factor(rows, f"{what}: areas over those before", b / a, 1.002)


@sample("A2 spectra divided by their maximum, nothing said of noise")
def divided(rows, folder: Path) -> None:
    def change(s):
        s.data /= s.data.max(-1, keepdims=True)
        del s.metadata.Signal.Noise_properties

    _same_spikes(rows, "A2", change)
    from hyperspy_dosekin.data import dose_series

    def make(seed):
        s = dose_series(seed)
        s.change_dtype("float64")
        change(s)
        return s

    claims(rows, "A2", make)


@sample("A2b divided by the sum, still called counts")
def divided_by_sum(rows, folder: Path) -> None:
    def change(s):
        s.data /= s.data.sum(-1, keepdims=True)

    _same_spikes(rows, "A2b", change)


@sample("A2c divided by a constant and in float32, other sampling")
def divided_float(rows, folder: Path) -> None:
    def change(s):
        s.data /= s.data.mean() * 1e4
        s.change_dtype("float32")

    _same_spikes(rows, "A2c", change, energy_scale=0.1, channels=1000)


@sample("A2d frames divided one by one, exposures 30 × apart")
def divided_apart(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series

    exposures = np.geomspace(1e5, 3e6, 9)

    def make(seed):
        parts = [dose_series(seed * 9 + i, electrons=n).data[i] for i, n in enumerate(exposures)]
        s = dose_series(seed)
        s.data = np.array([part / part.max() for part in parts])
        del s.metadata.Signal.Noise_properties
        return s

    areas, claimed, false = [], [], []
    with listening() as heard:
        for seed in range(12):
            processed = make(seed).process_low_loss(**QUIET)
            found = processed.integrate_windows()
            variance = found.get_noise_variance()
            areas.append(found.data)
            claimed.append(np.nan * found.data if variance is None else variance.data)
            false.append(spikes_of(processed))
    ratio = (np.mean(claimed, axis=0) / np.var(areas, axis=0, ddof=1))[1:].mean(axis=0)
    note = ", ".join(f"{value:.2f}" for value in ratio) + f". {heard}"
    if np.isfinite(ratio).all():
        factor(rows, "A2d: claimed variance over that of repeats, frame by frame", ratio, 2.0, note)
    else:
        yes(rows, "A2d: no variance, said", heard.texts, note)
    rows.add("A2d: false spikes a spectrum", asked="≤ 0.5", measured=np.mean(false), unit="")


@sample("A3 read-out noise that nobody mentions")
def read_noise(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series

    def make(seed):
        s = dose_series(seed)
        s.change_dtype("float64")
        s.data += np.random.default_rng(seed).normal(0, 143, s.data.shape)
        model = s.metadata.Signal.Noise_properties.Variance_linear_model
        model.gain_factor, model.gain_offset = 1.0, 0.0
        return s

    claims(rows, "A3", make)
    _moved(rows, "A3", make(0), dose_series(0))


def _moved(rows, what, s, clean, window=(10, 15)) -> None:
    with listening() as heard:
        area = s.process_low_loss(**QUIET).integrate_windows({"w": window}).data.mean()
    true = clean.process_low_loss(**QUIET).integrate_windows({"w": window}).data.mean()
    factor(rows, f"{what}: mean area of {window} over that without", area / true, 1.02)
    yes(rows, f"{what}: not called saturated", "saturat" not in heard, str(heard))


@sample("A3b pedestal 1000, read-out noise 30, few electrons, lazy")
def read_noise_lazy(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series

    def make(seed):
        s = dose_series(
            seed, electrons=3e5, pedestal=1000.0, read_noise=30.0, claimed_noise="counts"
        )
        return s.as_lazy()

    def computed(seed):
        s = make(seed)
        s.compute(show_progressbar=False)
        return s

    claims(rows, "A3b", computed)
    with listening():
        p = make(0).process_low_loss(**QUIET)
        spikes = p.processing_diagnostics()["spikes"]
        spikes.compute(show_progressbar=False)
    rows.add(
        "A3b lazy: false spikes a spectrum", asked="≤ 0.5", measured=spikes.data.mean(), unit=""
    )
    _moved(rows, "A3b", computed(0), dose_series(0, electrons=3e5))


@sample("A3c read-out noise 12 in a single image of counts, 0.3 eV a channel")
def read_noise_image(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series_image

    options = {"shape": (3, 4), "electrons": 1e5, "energy_scale": 0.3, "channels": 300,
               "rate_variation": 0.0, "thickness_variation": 0.0}  # fmt: skip

    def make(seed):
        return dose_series_image(seed, read_noise=12.0, claimed_noise="counts", **options)

    claims(rows, "A3c", make, repeats=8)
    _moved(rows, "A3c", make(0), dose_series_image(0, **options))


@sample("A3d a scintillator that spreads counts, and means of 16 exposures of it")
def scintillator(rows, folder: Path) -> None:
    from scipy.ndimage import convolve1d

    from hyperspy_dosekin.data import dose_series

    for averaged in (1, 16):
        for electrons in (1e5, 1e6, 1e7):
            false = []
            for seed in range(700, 706):
                rng = np.random.default_rng(seed)
                s = dose_series(seed, electrons=electrons, noise=False)
                counts = rng.poisson(np.maximum(s.data, 0), (averaged, *s.data.shape))
                spread = convolve1d(counts.astype(float), [0.15, 0.7, 0.15], axis=-1)
                s.data = (spread + rng.normal(0, 3.0, spread.shape)).mean(axis=0)
                if s.metadata.has_item("Signal.Noise_properties"):
                    del s.metadata.Signal.Noise_properties
                s.metadata.Signal.quantity = ""
                with listening():
                    false.append(spikes_of(s.process_low_loss(**QUIET)))
            rows.add(f"A3d mean of {averaged}, {electrons:g} electrons: false spikes a spectrum",
                     asked="≤ 0.05", measured=np.mean(false), unit="")  # fmt: skip


def _core(ll, dtype):
    """A core loss of counts for the pixels of a low loss."""
    energy = 500 + 0.5 * np.arange(300)
    expected = 2e4 * (energy / 500) ** -3 + np.where(energy > 532, 600.0, 0.0)
    shape = (*ll.data.shape[:-1], 300)
    return eels(np.random.default_rng(0).poisson(expected, shape).astype(dtype), 0.5, 500.0)


def _stays_counts(rows, what, lazy: bool, dtype: str, gain=None) -> None:
    from hyperspy_dosekin.data import dose_series_image

    ll = dose_series_image(shape=(3, 4), drift=0.0)
    core = _core(ll, dtype)
    if gain:
        core.data = (core.data * gain).astype(dtype)
        core.metadata.set_item(MODEL, gain)
    if lazy:
        ll, core = ll.as_lazy(), core.as_lazy()
    ll.process_low_loss(also_align=[core], **QUIET)
    net = core.process_core_loss(background=(505, 525), normalise=False, align=False, **QUIET)
    yes(
        rows,
        f"{what}: the net core loss has a noise variance",
        net.get_noise_variance() is not None,
    )
    # Without background, whose error all channels share.
    found = core.integrate_windows({"O": (532, 552)})
    values, variance = np.asarray(found.data), np.asarray(found.get_noise_variance().data)
    ratio = variance.mean() / values.var(ddof=1)
    factor(rows, f"{what}: claimed variance over scatter of pixels", ratio, 2.0, f"{ratio:.2f}")


@sample("A4 counts given as also_align")
def counts_stay(rows, folder: Path) -> None:
    _stays_counts(rows, "A4", False, "int32")


@sample("A4b the same, lazy and 16 bits")
def counts_stay_lazy(rows, folder: Path) -> None:
    _stays_counts(rows, "A4b", True, "uint16")


@sample("A4c the same, gain 7 in the file, float32")
def counts_stay_gain(rows, folder: Path) -> None:
    _stays_counts(rows, "A4c", False, "float32", 7.0)


def _no_false_spikes(rows, what, s) -> None:
    with listening() as heard:
        p = s.process_low_loss(**QUIET)
        spikes = p.processing_diagnostics()["spikes"]
        if spikes._lazy:
            spikes.compute(show_progressbar=False)
    rows.add(
        f"{what}: most false spikes in a spectrum", asked="≤ 0", measured=spikes.data.max(), unit=""
    )
    bursts = [text for text in heard.texts if "encountered in" in text]
    yes(rows, f"{what}: no warnings of NumPy", not bursts, str(heard))


@sample("A5 variance 0 where counts are 0")
def zero_variance(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series

    s = dose_series(electrons=2e4, seed=1, spike_rate=0.0)
    s.estimate_poissonian_noise_variance()
    _no_false_spikes(rows, "A5", s)


@sample("A5b the same of 2000 electrons, lazy image")
def zero_variance_lazy(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series_image

    s = dose_series_image(2, shape=(3, 2), electrons=2e3)
    s.estimate_poissonian_noise_variance()
    _no_false_spikes(rows, "A5b", s.as_lazy())


@sample("A5c a variance 100 × too small, zeros in it")
def zero_variance_small(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series

    s = dose_series(electrons=1e5, seed=4)
    s.set_noise_variance(s._deepcopy_with_new_data(s.data / 100.0))
    _no_false_spikes(rows, "A5c", s)


@sample("A6 noise='absolute' without a variance")
def absolute(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series

    areas = dose_series().process_low_loss(**QUIET).integrate_windows()
    dose = np.arange(1.0, 10.0)
    lazy = (areas * 1.0).as_lazy() / areas.as_lazy().isig[0]
    s = dose_series(processed=True)
    del s.metadata.Signal.Noise_properties
    exact = {"estimator": "exact", "noise": "absolute", **QUIET}
    for name, fit in {
        "A6": lambda: (areas / areas.isig[0]).fit_dose_pinn(**exact),
        "A6b plain series": lambda: series(dose, np.exp(-dose / 5)).fit_dose_pinn(**exact),
        "A6c lazy": lambda: lazy.fit_dose_pinn(**exact),
        "A6d spectra": lambda: s.fit_dose_spectra(noise="absolute", **QUIET),
    }.items():
        with listening():
            refused, said = refusal(fit, "variance")
        yes(rows, f"{name}: refused, the variance named", refused, said)
