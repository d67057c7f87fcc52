# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accuracy of `process_low_loss` and `process_core_loss` against the truth of simulations.

Run ``python benchmarks/processing/accuracy.py``; some minutes on one core: what real files have,
spikes, lines and the power law. With ``--easy`` the easy case without noise and alignment, too.
"""

import argparse
import logging
import warnings

import numpy as np
from nuisances import nuisances
from scipy.optimize import curve_fit
from scipy.stats import poisson

from hyperspy_dosekin.data import dose_series, dose_series_image
from hyperspy_dosekin.processing.background import fit_power_law
from hyperspy_dosekin.processing.core_loss.edge_alignment import align_on_edge

DRIFT = np.linspace(-0.3, 0.3, 9)


def areas(resolution: str) -> None:
    print(f"\nWindow areas, resolution={resolution!r}, no noise, worst of three widths of channels")
    print("  t/λ   bias π–π*  others   at resolution: π–π*  others   change over dose π–π*  others")
    for thickness in (0.2, 0.5, 1.0):
        worst = np.zeros(6)
        for scale in (0.1, 0.15, 0.2):
            s = dose_series(
                1,
                t_over_lambda=thickness,
                drift=DRIFT,
                energy_scale=scale,
                channels=int(92 / scale),
                noise=False,
            )
            truth = s.metadata.Simulation
            found = s.process_low_loss(resolution=resolution).integrate_windows().data
            bias = np.abs(found / truth.window_areas - 1).max(axis=1)
            resolved = np.abs(found / truth.window_areas_at_resolution - 1).max(axis=1)
            change = found / found[:, :1] / (truth.window_areas / truth.window_areas[:, :1]) - 1
            change = np.abs(change).max(axis=1)
            row = [part for x in (bias, resolved, change) for part in (x[0], x[1:].max())]
            worst = np.maximum(worst, row)
        print(
            f"  {thickness:3.1f}   {worst[0]:8.2%} {worst[1]:8.2%}   {worst[2]:18.2%} "
            f"{worst[3]:8.2%}   {worst[4]:18.2%} {worst[5]:8.2%}"
        )


def alignment() -> None:
    print("\nZero-loss alignment, residual rms in channels")
    for electrons in (1e4, 1e5, 1e6):
        s = dose_series_image(
            2, shape=(20, 20), electrons=electrons, drift=DRIFT, shift_jitter=0.05
        )
        shift = s.process_low_loss().processing_diagnostics()["shift"].data
        truth = s.metadata.Simulation.zero_loss_position
        residual = (shift + truth) / s.axes_manager[-1].scale
        print(f"  {electrons:8.0e} electrons: {residual.std():.4f}")
    print("Core-loss alignment, residual rms in channels")
    rng = np.random.default_rng(0)
    channel = np.arange(80)
    row, column = np.mgrid[:30, :40]
    shift = 2.5 * np.sin(column / 14.0) + 1.5 * row / 30
    for snr, width in ((3, 5.0), (3, 8.0), (10, 5.0)):
        lines = ((1.0, 40), (0.6, 52))
        edge = sum(
            height * snr * np.exp(-0.5 * ((channel - centre - shift[..., None]) / width) ** 2)
            for height, centre in lines
        )
        spectra = edge + 30 - 0.1 * channel + rng.standard_normal((30, 40, 80))
        found = align_on_edge(spectra, 1.0, max_shift=10)
        residual = found.position - (shift - shift.mean())
        print(
            f"  peak SNR {snr:2d}, σ = {width:g} channels: {residual.std():.3f} "
            f"(local average of {found.width:g} px)"
        )


#: Rates at which everything is lost within the range of doses.
STRONG = {"π–π*": {"k": 4.0}, "C–C": {"k": 6.0}, "C–O": {"k": 8.0}, "M–O": {"k": 3.0}}


def interface() -> np.ndarray:
    """t/λ of two materials and a hole."""
    thickness = np.full((24, 24), 0.3)
    thickness[:, 12:] = 1.0
    thickness[20:] = 0.0
    return thickness


def spikes() -> None:
    print("\nSpikes of one or two channels away from the zero-loss peak")
    print("  height  electrons  eV/channel   removed   clean channels touched  peak touched")
    for height in (8.0, 12.0, 20.0):
        for electrons, scale in ((1e5, 0.18), (1e6, 0.1), (1e6, 0.18), (1e6, 0.2), (1e7, 0.18)):
            options = spiked(height, energy_scale=scale, electrons=electrons)
            removed, touched, peak = spike_rates(dose_series_image(4, **options))
            print(
                f"  {height:4.0f} σ  {electrons:9.0e}  {scale:9.2f}   {removed:7.2%}   "
                f"{touched:20.4%}  {peak:11d}"
            )
            if height == 8.0:
                removed, touched = ideal_rates(options)
                print(f"      a detector that knows the truth {removed:9.2%}   {touched:20.4%}")
    print("  8 σ in other data")
    for name, options in (
        ("strong damage", {"kinetics": STRONG}),
        ("rates vary by e^±0.8", {"rate_variation": 0.8}),
        ("jitter of 0.3 eV", {"shift_jitter": 0.3}),
        ("two materials and a hole", {"t_over_lambda": interface(), "thickness_variation": 0}),
    ):
        removed, touched, peak = spike_rates(dose_series_image(4, **spiked(8.0, **options)))
        print(f"  {name:33s}  {removed:7.2%}   {touched:20.4%}  {peak:11d}")
    for electrons in (1e5, 1e7):
        rates = [
            spike_rates(
                dose_series(
                    seed, kinetics=STRONG, drift=DRIFT, spike_rate=1.0, spike_height=8.0,
                    electrons=electrons,
                )
            )
            for seed in range(400, 440)
        ]  # fmt: skip
        removed, touched, peak = np.mean(rates, axis=0)
        name = f"nine spectra only, {electrons:.0e} electrons"
        print(f"  {name:33s}  {removed:7.2%}   {touched:20.4%}  {peak:11.0f}")


def spiked(height: float, **options):
    return {
        "shape": (24, 24), "spike_rate": 0.1, "spike_height": height, "drift": DRIFT, **options
    }  # fmt: skip


def ideal_rates(options) -> tuple[float, float]:
    """Share of spikes and of clean channels that the counts of Poisson, mean known, give away.

    A channel is taken for a spike if as many electrons are rarer than 3e-5. Both channels of a
    pair are 8 σ high; that they are next to each other is of no use here.
    """
    s = dose_series_image(4, **options)
    truth = dose_series_image(4, **{**options, "spike_rate": 0.0}, noise=False)
    rare = poisson.sf(s.data - 1, truth.data) < 3e-5
    rare = rare.reshape(-1, rare.shape[-1])
    position = s.metadata.Simulation.zero_loss_position.ravel()
    hits, spiked = compare(s, rare, position, np.full(position.shape, 0.6))
    return np.mean(hits), rare[~spiked].mean()


def lines() -> None:
    """Lines as narrow as the resolution, each in one spectrum that the model has not seen."""
    print("\nLines of 0.6 eV in single spectra: share of those of which something is removed")
    heights = np.array([4, 6, 8, 10, 20, 50, 200])
    print("  electrons  eV/channel " + "".join(f"{height:6d} σ" for height in heights))
    for electrons, scale in ((1e5, 0.18), (1e6, 0.1), (1e6, 0.18), (1e6, 0.2), (1e7, 0.18)):
        options = spiked(8.0, energy_scale=scale, electrons=electrons, spike_rate=0.0)
        s = dose_series_image(4, **options)
        mean = dose_series_image(4, **options, noise=False).data.reshape(-1, s.data.shape[-1])
        context = s.process_low_loss()._dosekin_context
        rng = np.random.default_rng(5)
        spectra = s.data.reshape(mean.shape)
        rows = rng.permutation(len(spectra))[:2100]
        height = np.resize(heights, rows.size)
        centre = rng.uniform(60, 505, rows.size)
        offset = (np.arange(mean.shape[-1]) - centre[:, None]) / (0.6 / scale / 2.3548)
        strength = height * np.sqrt(mean[rows, centre.astype(int)])
        spectra[rows] += rng.poisson(strength[:, None] * np.exp(-0.5 * offset**2))
        near = np.abs(offset) < 2.5
        lost = (touched_in(s, context)[rows] & near).any(axis=-1)
        shares = "".join(f"{lost[height == each].mean():8.1%}" for each in heights)
        print(f"  {electrons:9.0e}  {scale:9.2f} {shares}")


def touched_in(s, context):
    from hyperspy_dosekin.processing.low_loss.chain import process_spectra

    flat = s.data.reshape(-1, s.data.shape[-1])
    position, fwhm = context["position"].ravel(), context["fwhm"].ravel()
    touched = []

    def watch(name, made):
        if name == "spikes":
            touched.append(made["touched"])

    for start in range(0, len(flat), 128):
        part = slice(start, start + 128)
        process_spectra(flat[part], position[part], fwhm[part], chain=context["chain"], watch=watch)
    return np.concatenate(touched)


def spike_rates(s):
    context = s.process_low_loss()._dosekin_context
    axis = s.axes_manager[-1]
    touched = touched_in(s, context)
    position, fwhm = context["position"].ravel(), context["fwhm"].ravel()
    hits, spiked = compare(s, touched, position * axis.scale + axis.offset, fwhm * axis.scale)
    distance = np.abs(np.arange(touched.shape[-1]) - position[:, None]) / fwhm[:, None]
    return np.mean(hits), touched[~spiked].mean(), int(touched[distance < 1.5].sum())


def compare(s, touched, position_ev, fwhm_ev):
    """For each spike away from the zero-loss peak whether all of it is touched; and all spikes."""
    true = s.metadata.Simulation.spikes
    where = np.ravel_multi_index(tuple(true.position.T), s.data.shape[:-1])
    distance = np.abs(s.axes_manager[-1].axis - position_ev[:, None]) / fwhm_ev[:, None]
    spiked = np.zeros(touched.shape, dtype=bool)
    hits = []
    for spectrum, channel, width in zip(where, true.channel, true.width, strict=True):
        part = slice(channel, channel + width)
        spiked[spectrum, part] = True
        if (distance[spectrum, part] > 2.5).all():
            hits.append(touched[spectrum, part].all())
    return hits, spiked


def background() -> None:
    rng = np.random.default_rng(0)
    energy = np.arange(400.0, 800.0, 0.5)
    number = 200
    level, exponent = rng.uniform(50, 2000, number), rng.uniform(2.5, 3.5, number)
    expected = level[:, None] * (energy / 400) ** -exponent[:, None]
    edge = 0.3 * expected * (energy > 460)
    counts = rng.poisson(expected + edge).astype(float)
    window, kept = energy < 450, (energy > 460) & (energy < 560)
    fit = fit_power_law(counts[:, window], energy[window])
    ours = fit.at(energy[kept]).sum(axis=-1)
    worst = 0.0
    for place in range(number):
        sigma = np.sqrt(fit.at(energy[window])[place])

        def model(x, a, r):
            return np.exp(a - r * np.log(x / fit.reference_ev))

        start = (np.log(level[place]), 3.0)
        best, _ = curve_fit(model, energy[window], counts[place, window], start, sigma)
        theirs = model(energy[kept], *best).sum()
        worst = max(worst, abs(theirs - ours[place]) / edge[place, kept].sum())
    area = (counts[:, kept] - fit.at(energy[kept])).sum(axis=-1)
    noise = np.sqrt(fit.area_variance(energy[kept]) + counts[:, kept].sum(axis=-1))
    pull = (area - edge[:, kept].sum(axis=-1)) / noise
    print("\nPower-law background, 200 spectra")
    print(f"  largest difference from SciPy's weighted fit: {worst:.1e} of the edge area")
    print(f"  error of the net area ÷ predicted: {pull.std():.2f} (mean {pull.mean():+.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--easy", action="store_true", help="the easy case, too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("hyperspy_dosekin").setLevel(logging.ERROR)
    nuisances()
    spikes()
    lines()
    background()
    if options.easy:
        for resolution in ("zero_loss", "sharpened"):
            areas(resolution)
        alignment()


if __name__ == "__main__":
    main()
