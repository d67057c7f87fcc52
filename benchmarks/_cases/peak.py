# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""C: the zero-loss peak is found, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from _cases.sample import QUIET, eels, factor, listening, refusal, sample, yes
from scipy.special import voigt_profile


def _thick(
    seed: int, thickness, n: int, scale: float, offset: float, width: float, plasmon, electrons
):
    """Plural scattering of a narrow plasmon, by Poisson's law in Fourier space."""
    e = np.arange(n) * scale + offset
    zero = round(-offset / scale)
    z = np.exp(-0.5 * (e / width) ** 2)
    centre, half = plasmon
    p = (e > 0) / (1 + ((e - centre) / half) ** 2)
    z, p = (np.fft.fft(np.roll(a / a.sum(), -zero)) for a in (z, p))
    y = [np.roll(np.fft.ifft(z * np.exp(t * p - t)).real, zero).clip(0) for t in thickness]
    return eels(np.random.default_rng(seed).poisson(electrons * np.array(y)), scale, offset)


def _thickness(rows, what: str, s, truth, within: float = 1.1, **options) -> None:
    with listening() as heard:
        p = s.process_low_loss(**QUIET, **options)
        found = p.processing_diagnostics()["t_over_lambda"]
        if found._lazy:
            found.compute(show_progressbar=False)
    note = ", ".join(f"{value:.3f}" for value in np.ravel(found.data)[:8])
    factor(rows, f"{what}: t/λ over the truth", found.data / np.asarray(truth), within,
           f"{note}. {heard}")  # fmt: skip


@sample("C1 a plasmon above the zero-loss peak")
def plasmon(rows, folder: Path) -> None:
    truth = (0.5, 1, 2, 3)
    _thickness(rows, "C1", _thick(0, truth, 1024, 0.2, -40, 0.42, (15, 0.3), 1e7), truth)


@sample("C1b only thick spectra, a peak of 1.2 eV, lazy")
def only_thick(rows, folder: Path) -> None:
    truth = (2.0, 2.5, 2.8, 3.2)
    s = _thick(1, truth, 1600, 0.15, -25, 0.5, (22.5, 1.0), 1e7)
    _thickness(rows, "C1b", s.as_lazy(), truth)


@sample("C1c one thick spectrum alone, meV")
def one_thick(rows, folder: Path) -> None:
    s = _thick(2, (2.2,), 2000, 0.1, -12, 0.1, (10.5, 0.2), 1e7)
    s = s.inav[0]
    s.axes_manager[-1].scale, s.axes_manager[-1].offset = 100.0, -12e3
    s.axes_manager[-1].units = "meV"
    _thickness(rows, "C1c", s, [2.2])


@sample("C2 a small peak on a pedestal: real ice")
def ice(rows, folder: Path) -> None:
    import hyperspy.api as hs

    s = hs.load(folder / "real" / "amorphous_ice" / "low_loss.msa")
    s.set_signal_type("EELS")
    with listening() as heard:
        p = s.process_low_loss(**QUIET)
    found = p.processing_diagnostics()
    width = float(np.ravel(found["zero_loss_fwhm"].data)[0])
    thick = float(np.ravel(found["t_over_lambda"].data)[0])
    factor(rows, "C2: width over 0.96 eV", width / 0.96, 1.05, f"{width:.3f} eV")
    factor(rows, "C2: t/λ over 0.384", thick / 0.384, 1.05, f"{thick:.3f}")
    yes(rows, "C2: the pedestal is said", "pedestal" in heard, str(heard))


def _on_pedestal(seed, level, electrons, lazy, scale=0.1, sigma=0.4):
    n, offset = 1000, -20.0
    e = np.arange(n) * scale + offset
    rng = np.random.default_rng(seed)
    zero = np.exp(-0.5 * (e / sigma) ** 2)
    loss = (e > 0) * e**2 / ((e**2 - 21.0**2) ** 2 + 12.0**2 * e**2)
    y = zero / zero.sum() + 0.45 * loss / loss.sum()
    s = eels(rng.poisson(electrons * y + level, (3, 4, n)), scale, offset)
    return s.as_lazy() if lazy else s


@sample("C2b pedestals of 5 and of 0.3 times the peak")
def pedestals(rows, folder: Path) -> None:
    truth = np.log(1.45)
    for what, level, electrons, lazy in (("C2b", 8e3, 16e4, False), ("C2b lazy", 300.0, 1e5, True)):
        s = _on_pedestal(3, level, electrons, lazy)
        with listening() as heard:
            p = s.process_low_loss(**QUIET)
            found = p.processing_diagnostics()["t_over_lambda"]
            found.compute(show_progressbar=False) if found._lazy else None
        mean = float(np.mean(found.data))
        factor(
            rows,
            f"{what}: mean t/λ over the truth",
            mean / truth,
            1.1,
            f"{mean:.3f} of {truth:.3f}",
        )
        yes(rows, f"{what}: the pedestal is said", "pedestal" in heard, str(heard))


@sample("C3 dark noise alone: a real spectrum")
def dark(rows, folder: Path) -> None:
    import hyperspy.api as hs

    s = hs.load(folder / "real" / "eels_spectrum.dm3")
    s.set_signal_type("EELS")
    yes(rows, "C3: refused", *refusal(lambda: s.process_low_loss(**QUIET), "zero-loss peak"))


@sample("C3b noise of other kinds: 50 spectra each")
def noises(rows, folder: Path) -> None:
    rng = np.random.default_rng(5)
    drift = np.cumsum(rng.normal(0, 0.3, (50, 1024)), axis=-1)
    lines = 50.0 * (np.arange(1024) % 256 < 128)
    kinds = {
        "normal": 500 + rng.normal(0, 10, (50, 1024)),
        "Poisson of 3": rng.poisson(3.0, (50, 1024)).astype(float),
        "slow drift of the level": 500 + drift + rng.normal(0, 1, (50, 1024)),
        "four ports of other levels": 500 + lines + rng.normal(0, 5, (50, 1024)),
        "zeros": np.zeros((50, 1024)),
        "one value": np.full((50, 1024), 7.0),
        "hot pixels": 500 + rng.normal(0, 5, (50, 1024)) + 2e3 * (rng.random((50, 1024)) < 2e-3),
        "edge of a core loss": rng.poisson(
            1e3 * (np.arange(1024) + 500.0) ** -3 * 500**3 + 300 * (np.arange(1024) > 500),
            (50, 1024),
        ).astype(float),
    }
    for name, spectra in kinds.items():
        number, said = 0, ""
        for row in spectra:
            s = eels(row, 0.5, -100.0)
            with listening():
                ok, said = refusal(lambda s=s: s.process_low_loss(**QUIET))
            number += ok
        rows.add(f"C3b {name}: refused of 50", asked="≥ 50", measured=number, unit="", note=said)


@sample("C4 a fitted peak larger than the spectrum: real aluminium")
def fitted(rows, folder: Path) -> None:
    import hyperspy.api as hs

    path = folder / "real" / "pyTEMlib" / "AL-DFoffset0.00.dm3"
    for model in ("fitted", "reflected", "auto"):
        s = hs.load(path)
        s.set_signal_type("EELS")
        with listening() as heard:
            p = s.process_low_loss(zero_loss=model, **QUIET)
        found = float(np.ravel(p.processing_diagnostics()["t_over_lambda"].data)[0])
        factor(rows, f"C4 {model}: t/λ over 0.18", found / 0.18, 1.08, f"{found:.3f}. {heard}")


@sample("C4b no t/λ below 0 without a word, whatever the model")
def negative(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series

    kinds = {
        "asymmetric, thin": {"t_over_lambda": 0.02, "zero_loss_asymmetry": 0.3},
        "short gain side": {"t_over_lambda": 0.03, "energy_offset": -0.8},
        "coarse, wide tails": {"t_over_lambda": 0.05, "energy_scale": 0.4, "channels": 300,
                               "zero_loss_tail": 0.05},
        "vacuum": {"t_over_lambda": 0.0},
    }  # fmt: skip
    for name, options in kinds.items():
        for model in ("auto", "fitted", "reflected", 1.5):
            s = dose_series(3, **options)
            with listening() as heard:
                ok, said = refusal(lambda s=s, m=model: s.process_low_loss(zero_loss=m, **QUIET))
                if ok:
                    yes(rows, f"C4b {name}, {model}", True, said)
                    continue
                p = s.process_low_loss(zero_loss=model, **QUIET)
            found = p.processing_diagnostics()["t_over_lambda"].data
            mean = float(np.mean(found))
            error = float(np.std(found)) / 3
            # A thousandth is nothing: no zero-loss peak is known as well.
            right = mean > -max(3 * error, 1e-3) or "below zero" in heard
            yes(rows, f"C4b {name}, {model}: not below 0, or said", right, f"{mean:.4f}. {heard}")


@sample("C5 vacuum of EELSfitter: 0 within noise, or a word")
def vacuum(rows, folder: Path) -> None:
    from real_data import VACUUM, eelsfitter

    for name, (limits, windows) in VACUUM.items():
        for model in ("auto", "reflected"):
            s, empty = eelsfitter(folder / "real" / name, limits)
            with listening() as heard:
                p = s.process_low_loss(zero_loss=model, **QUIET)
            areas = p.integrate_windows(dict(zip("abc", windows, strict=True)))
            claimed = areas.metadata.Dosekin.get_item("zero_loss_residue")
            worst = np.abs(areas.data[empty]).max(axis=0)
            said = "tail" in heard or "symmetric" in heard or "gain side" in heard
            inside = claimed is not None and (worst < 3 * np.asarray(claimed)).all()
            yes(rows, f"C5 {name}, {model}: within what is claimed, and said", inside and said,
                f"{worst} of {claimed}. {heard}")  # fmt: skip


@sample("C5b gain-side features are not mirrored")
def gains(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series

    kinds = {
        "meV, 0.1 and 0.18 eV": ((0.1, 3e-3, 0.02), (0.18, 2e-3, 0.02), 0.01, -0.6, "meV"),
        "eV, 0.06 eV strong": ((0.06, 2e-2, 0.015), (0.2, 1e-3, 0.02), 0.005, -0.4, "eV"),
    }
    for name, (first, second, scale, offset, units) in kinds.items():
        width = 4 * scale
        s = dose_series(
            1, energy_scale=scale, energy_offset=offset, channels=1200, energy_units=units,
            zero_loss_fwhm=width, vibrations=[first, second],
        )  # fmt: skip
        with listening() as heard:
            p = s.process_low_loss(**QUIET)
        unit = 1e3 if units == "meV" else 1.0
        area = p.integrate_windows(
            {"first": ((first[0] - first[2]) * unit, (first[0] + first[2]) * unit)}
        ).data.mean()
        # A Lorentzian as wide as said, broadened by the zero-loss peak.
        within = np.linspace(-first[2], first[2], 401)
        share = np.trapezoid(voigt_profile(within, width / 2.355, first[2] / 2), within)
        factor(rows, f"C5b {name}: area of the first over the truth", area / first[1] / share, 1.25,
               f"{area:.2e}. {heard}")  # fmt: skip
