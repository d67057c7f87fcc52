# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on simulated data, offline: `make demo`.

A dose series and a spectrum image of a beam-sensitive framework are simulated, with their truth.
The series goes from counts to single scattering; windows are integrated and fitted; tables go to
the screen, figures (PNG) and results (.hspy) to the folder `demo_output`. A real line scan, which
is no dose series, is processed too.
"""

import argparse
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

import hyperspy_dosekin

#: Faster decay than the default simulation in three windows, so that the data determine it.
KINETICS = {
    "π–π*": {"k": 1.6, "p": 1.0},
    "C–C": {"k": 2.5, "p": 1.2},
    "C–O": {"k": 4.0, "p": 1.5},
}


def section(title: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}")


def save_figure(figure: plt.Figure, path: Path) -> None:
    figure.savefig(path, dpi=150)
    plt.close(figure)


def one_series(output: Path) -> None:
    """A series of nine spectra, from counts to kinetics by the certified network."""
    section("Dose series: kinetics of four windows")
    counts = hyperspy_dosekin.data.dose_series(seed=1, kinetics=KINETICS, electrons=3e7)
    counts.save(output / "dose_series_counts.hspy", overwrite=True)

    s = hs.load(output / "dose_series_counts.hspy").process_low_loss(show_progressbar=True)
    save_figure(s.plot_processing(), output / "dose_series_processing.png")
    s.save(output / "dose_series.hspy", overwrite=True)
    result = s.fit_dose_pinn(show_progressbar=True)
    print(result)
    truth = s.metadata.Simulation.half_integrity_dose
    names = result.window_names
    print("* Simulated truth of D½ (e⁻/Å²): ", end="")
    print(", ".join(f"{n} {t:.0f}" for n, t in zip(names, truth, strict=True)))

    result.save(output / "dose_series_kinetics.hspy", overwrite=True)
    result.integrity.save(output / "dose_series_integrity.hspy", overwrite=True)
    for name in ("plot", "plot_fit", "plot_parameters", "plot_diagnostics", "plot_ablation"):
        figure = getattr(result, name)()
        save_figure(figure, output / f"dose_series_{name.removeprefix('plot_') or 'plot'}.png")


def what_helps(output: Path) -> None:
    """The same series, with the offsets measured on a specimen that has nothing left to lose."""
    section("The same with a known offset (spectra of a fully damaged specimen)")
    s = hs.load(output / "dose_series.hspy")
    damaged = hyperspy_dosekin.data.dose_series(
        seed=2, kinetics=KINETICS, electrons=3e7, pre_exposure=1e6
    )
    offset = damaged.process_low_loss().integrate_windows()
    result = s.fit_dose_pinn(offset=offset, show_progressbar=True)
    print(result)
    save_figure(result.plot_parameters(), output / "known_offset_parameters.png")


def one_image(output: Path) -> None:
    """A spectrum image with a dose axis: maps of the half-integrity dose, pixel by pixel."""
    section("Spectrum image: a map of D½ for every window")
    s = hyperspy_dosekin.data.dose_series_image(
        seed=2, shape=(24, 32), kinetics=KINETICS, processed=True, electrons=3e7
    )
    result = s.fit_dose_pinn(show_progressbar=True)
    print(result)
    result.save(output / "image_kinetics.hspy", overwrite=True)
    half = result.half_integrity_dose
    half.save(output / "image_half_integrity_dose.hspy", overwrite=True)
    truth = s.metadata.Simulation.half_integrity_dose
    window = result.window_names.index("C–O")
    determined = result.identifiable.data[window]
    error = np.log(half.data[window] / truth[window])[determined]
    print(
        f"* C–O, where determined: ln D½ is off by {np.sqrt(np.mean(error**2)):.3f} rms of the "
        "simulated truth."
    )
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    limits = {"vmin": np.nanmin(truth[window]), "vmax": np.nanmax(truth[window])}
    shown = np.where(determined, half.data[window], np.nan)
    for axis, image, title in (
        (axes[0], truth[window], "simulated truth"),
        (axes[1], half.data[window], "fitted"),
        (axes[2], shown, "fitted, where determined"),
    ):
        drawn = axis.imshow(image, cmap="viridis", **limits)
        axis.set(title=f"C–O: {title}", xlabel="x (pixel)", ylabel="y (pixel)")
    figure.colorbar(drawn, ax=axes, label="Half-integrity dose (e⁻/Å²)")
    save_figure(figure, output / "image_half_integrity_dose.png")


def real_line_scan(output: Path) -> None:
    """Real spectra: thickness and window areas along a line, and no kinetics."""
    section("A real line scan (La0.7Sr0.3MnO3): thickness along the line")
    counts = hyperspy_dosekin.data.lsmo_line_scan()
    print("* Forty places, not frames: there is no dose, and no kinetics are fitted.")
    s = counts.process_low_loss(show_progressbar=True)
    thickness = s.processing_diagnostics()["t_over_lambda"].data
    place = counts.axes_manager[0].axis * 1e3
    windows = {"10–15 eV": (10.0, 15.0), "20–35 eV": (20.0, 35.0)}
    areas = s.integrate_windows(windows).data
    print(f"{'nm':>6s} {'t/λ':>6s}", *(f"{name:>10s}" for name in windows))
    for row in range(0, len(place), 5):
        print(f"{place[row]:6.0f} {thickness[row]:6.3f}", *(f"{a:10.4f}" for a in areas[row]))
    figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
    axis.plot(place, thickness, "o-", ms=4, color="black", label="t/λ")
    for name, column in zip(windows, areas.T, strict=True):
        axis.plot(place, column * thickness[0] / column[0], lw=1, label=f"{name}, scaled")
    axis.set(xlabel="Place on the line (nm)", ylabel="t/λ", ylim=(0, None))
    axis.legend(frameon=False)
    save_figure(figure, output / "real_line_scan.png")
    save_figure(s.plot_processing(20), output / "real_line_scan_processing.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    # The demonstration is about our own messages.
    warnings.filterwarnings("ignore", module="hyperspy")
    hs.set_log_level("ERROR")
    one_series(output)
    what_helps(output)
    one_image(output)
    real_line_scan(output)
    section("Files")
    for path in sorted(output.iterdir()):
        print(path)


if __name__ == "__main__":
    main()
