# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""D: missing values. E: units and axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from _cases.sample import QUIET, eels, factor, listening, refusal, sample, series, yes


def _with_gaps(change, **options):
    from hyperspy_dosekin.data import dose_series

    s = dose_series(**options)
    s.change_dtype("float32")
    change(s.data)
    return s


def _computed(signal):
    if signal._lazy:
        signal.compute(show_progressbar=False)
    return signal


def _bridged(rows, what: str, s, *words: str, most: float = 0.0) -> None:
    with listening() as heard:
        p = _computed(s.process_low_loss(**QUIET))
    lost = float(np.isnan(p.data).mean())
    rows.add(f"{what}: share of NaN", asked=f"≤ {most:g}", measured=lost, unit="", note=str(heard))
    if words:
        yes(rows, f"{what}: named", any(word in heard for word in words), str(heard))
    from hyperspy_dosekin.data import dose_series

    clean = dose_series().process_low_loss(**QUIET).integrate_windows().data
    ratio = p.integrate_windows().data / clean
    ratio = ratio[np.isfinite(ratio)]
    factor(rows, f"{what}: areas over those without", ratio, 1.01)


@sample("D1 one dead channel")
def dead(rows, folder: Path) -> None:
    def change(data):
        data[:, 400] = np.nan

    _bridged(rows, "D1", _with_gaps(change), "400")


@sample("D1b infinities side by side, lazy")
def infinite(rows, folder: Path) -> None:
    def change(data):
        data[:, 250:253] = np.inf

    _bridged(rows, "D1b", _with_gaps(change).as_lazy(), "250")


@sample("D1c a channel of zeros in counts, and NaN in one frame")
def zeros(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series

    s = dose_series()
    s.data[:, 300] = 0
    _bridged(rows, "D1c zeros", s, "300")

    def change(data):
        data[4, 111] = np.nan

    _bridged(rows, "D1c one value", _with_gaps(change))


@sample("D2 a frame without numbers, ends without numbers")
def frame(rows, folder: Path) -> None:
    def change(data):
        data[5] = np.nan

    s = _with_gaps(change)
    _bridged(rows, "D2 frame", s, "zero-loss peak", "NaN", most=0.112)
    with listening() as heard:
        found = s.process_low_loss(**QUIET).fit_dose_pinn(estimator="exact", **QUIET)
    text = str(found)
    yes(rows, "D2 frame: the others are fitted", np.isfinite(found.rate.data).all(), str(heard))
    yes(rows, "D2 frame: no numbers from nothing", "nan" not in text.split("\n")[4], text[:200])

    def ends(data):
        data[:, :3] = np.nan
        data[:, -7:] = np.nan

    _bridged(rows, "D2 ends", _with_gaps(ends), "left out")


@sample("D3 background window of nothing")
def no_background(rows, folder: Path) -> None:
    energy = 400 + 0.5 * np.arange(400)
    rng = np.random.default_rng(0)
    edge = np.where(energy > 532, 500.0, 0.0)
    for name, lazy in (("D3", False), ("D3 lazy", True)):
        s = eels(rng.normal(edge - 3, 20, (9, 400)), 0.5, 400.0)
        s = s.as_lazy() if lazy else s
        with listening() as heard:
            ok, said = refusal(
                lambda s=s: _computed(s.process_core_loss(background=(430, 520), **QUIET)),
                "background",
            )
        yes(rows, f"{name}: refused, or said", ok or "background" in heard, f"{said}. {heard}")
    s = eels(np.full((9, 400), np.nan), 0.5, 400.0)
    yes(rows, "D3b NaN alone is refused", *refusal(
        lambda: s.process_core_loss(background=(430, 520), **QUIET), "NaN"))  # fmt: skip


@sample("D4 NaN outside what is used; windows without numbers get no advice on dose")
def outside(rows, folder: Path) -> None:
    energy = 400 + 0.5 * np.arange(400)
    expected = 2e4 * (energy / 500) ** -3 + np.where(energy > 532, 600.0, 0.0)
    data = np.random.default_rng(0).poisson(expected, (9, 400)).astype(float)
    options = {"background": (430, 520), "crop": (525, 560), **QUIET}
    with listening():
        clean = eels(data, 0.5, 400.0).process_core_loss(**options)
        data[:, 380:] = np.nan
        data[:, :20] = np.nan
        net = eels(data, 0.5, 400.0).process_core_loss(**options)
    yes(rows, "D4: no NaN, the same numbers", np.allclose(net.data, clean.data, rtol=1e-6))
    dose = np.arange(1.0, 10.0) * 100
    values = np.exp(-np.outer([1, 2, 3], dose) / 1000)
    values[1] = np.nan
    with listening():
        found = series(dose, values).fit_dose_pinn(estimator="exact", **QUIET)
    notes = [line for line in str(found).splitlines() if "2" in line and "more dose" in line]
    yes(rows, "D4: a window of NaN gets no advice on dose", not notes, str(found)[:300])


@sample("E1 dose axes of other units")
def units(rows, folder: Path) -> None:
    dose = np.arange(1.0, 10.0)
    rng = np.random.default_rng(0)
    values = np.exp(-np.outer([1, 2], dose) / 5) + rng.normal(0, 0.01, (2, 9))
    for unit in ("MGy", "C/m²", "s", "frames", "e-/nm2", "kGy", "min", "mC/cm²", "electrons/Å^2"):
        with listening() as heard:
            found = series(dose, values, units=unit).fit_dose_pinn(estimator="exact", **QUIET)
        text = str(found) + repr(found.half_integrity_dose.metadata) + found._repr_html_()
        # e⁻/Å² for one of the unit, where it can be converted.
        per = {"C/m²": 0.062415, "e-/nm2": 0.01, "mC/cm²": 0.62415, "electrons/Å^2": 1.0}.get(unit)
        converted = "e⁻/Å²" in text
        right = unit in text and not converted if per is None else converted or unit in text
        yes(rows, f"E1 {unit}: its own unit, or converted", right, f"{text[:160]}. {heard}")
        true = np.array([5, 2.5]) * np.log(2) * (per if converted and per else 1.0)
        half = found.half_integrity_dose.data
        factor(rows, f"E1 {unit}: D½ over the truth", half / true, 1.2, f"{half}")


@sample("E2 channels joined after processing")
def joined(rows, folder: Path) -> None:
    from hyperspy_dosekin.data import dose_series, dose_series_image

    # A number of channels that 2, 3 and 5 divide.
    p = dose_series().process_low_loss(**QUIET).isig[:510]
    w = {"w": (10, 15)}
    one = p.integrate_windows(w).data
    for name, other in (
        ("E2", p.rebin(scale=(1, 3))),
        ("E2 lazy", p.as_lazy().rebin(scale=(1, 3))),
        ("E2 after isig", p.isig[30:330].rebin(scale=(1, 5))),
        ("E2 new_shape", p.rebin(new_shape=(9, 170))),
    ):
        areas = _computed(other.integrate_windows(w))
        factor(rows, f"{name}: areas over those before", areas.data / one, 1.02)
    image = dose_series_image(shape=(4, 6)).process_low_loss(**QUIET)
    with listening() as heard:
        pixels = image.rebin(scale=(2, 2, 1, 1)).integrate_windows(w).data.mean()
    ratio = pixels / image.integrate_windows(w).data.mean()
    right = min(abs(ratio - 4), abs(ratio - 1)) < 0.02
    yes(rows, "E2 pixels joined: sums of pixels, or means", right, f"ratio {ratio:.3f}. {heard}")
    raw = dose_series().isig[:510]
    a = raw.integrate_windows(w).data
    b = raw.rebin(scale=(1, 3)).integrate_windows(w).data
    factor(rows, "E2 of counts: areas over those before", b / a, 1.02)


@sample("E3 which axis is the frames")
def which_axis(rows, folder: Path) -> None:
    ones = np.ones((4, 5, 64))
    for name, axes, right in (
        ("x in s, y in nm", {"x": "s", "y": "nm"}, "x"),
        ("y in nm, x in s, named alike", {"y": "s", "x": "nm"}, "y"),
        ("i in ms, j in µm", {"i": "ms", "j": "µm"}, "i"),
        ("a in min, b in pixels", {"a": "min", "b": "px"}, "a"),
        ("scan in nm, time without unit", {"time": "", "scan": "nm"}, "time"),
    ):
        for place in (0, 1):
            items = list(axes.items())
            ordered = dict(items if place else items[::-1])
            s = eels(ones, **ordered)
            with listening() as heard:
                s.set_dose_axis(dose_rate=2.0, frame_time=3.0)
            found = [str(axis.name) for axis in s.axes_manager.navigation_axes]
            right_one = "dose" in found and right not in found
            yes(rows, f"E3 {name}, order {place}", right_one, f"{found}. {heard}")
    s = eels(ones)
    with listening() as heard:
        s.set_dose_axis(dose_rate=2.0, frame_time=3.0)
    yes(rows, "E3 axes without names: the choice is said", heard.texts, str(heard))


@sample("E4 an open plot follows set_dose_axis")
def plot(rows, folder: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    from hyperspy_dosekin.data import dose_series, dose_series_image

    frames = eels(np.random.default_rng(0).poisson(50.0, (9, 64)), 0.5, -5.0, frames="s")
    image = dose_series_image(shape=(3, 4))
    for name, s, kwargs in (
        ("E4 frames", frames, {"dose_rate": 3.45, "frame_time": 44.0}),
        ("E4 uneven doses", dose_series(), {"dose": [1, 2, 4, 8, 16, 32, 64, 128, 256]}),
        ("E4 image", image, {"dose_rate": 3.45, "frame_time": 44.0}),
        (
            "E4 with pre-exposure",
            dose_series(),
            {"dose_rate": 1.0, "frame_time": 2.0, "pre_exposure": 70.0},
        ),
    ):
        s.plot()
        with listening() as heard:
            s.set_dose_axis(**kwargs)
        dose = next(axis for axis in s.axes_manager.navigation_axes if axis.name == "dose")
        figure = s._plot.signal_plot

        def shown(plot=figure):
            return np.array(plot.ax_lines[0].line.get_ydata())

        before = shown()
        error = ""
        try:
            dose.index = 5
            s.axes_manager.events.indices_changed.trigger(obj=s.axes_manager)
            after = shown()
            index = tuple(s.axes_manager.indices)[::-1]
            follows = np.allclose(after, s.data[index]) and not np.allclose(before, after)
            dose.value = float(dose.axis[2])
            follows &= dose.index == 2
        except Exception as failure:
            follows, error = False, f"{type(failure).__name__}: {failure}"
        yes(rows, f"{name}: the signal follows", follows, f"{error} {heard}")
        navigator = s._plot.navigator_plot
        text = navigator.ax.get_xlabel() + navigator.ax.get_ylabel() + str(navigator.ax.get_xlim())
        if s.axes_manager.navigation_dimension == 1:
            limits = [navigator.ax.get_xlim(), navigator.ax.get_ylim()]
            reach = [(min(ends), max(ends)) for ends in limits]
            inside = any(a <= dose.axis[0] and b >= 0.99 * dose.axis[-1] for a, b in reach)
            yes(rows, f"{name}: the navigator is in doses", "dose" in text and inside, text)
        plt.close("all")


@sample("E5 a DoseSeries of anything")
def anything(rows, folder: Path) -> None:
    import hyperspy.api as hs

    dose = 152.0 * np.arange(1, 10)
    spots = np.exp(-np.outer([1, 2, 5], dose) / 1000)
    for name, first in (
        ("without a name", {"size": 3}),
        ("called spots", {"size": 3, "name": "spots"}),
        ("called reflection", {"size": 3, "name": "reflection"}),
        ("called line", {"size": 3, "name": "line", "units": "keV"}),
    ):
        axes = [first, {"axis": dose, "name": "dose", "units": "e⁻/Å²"}]
        d = hs.signals.Signal1D(spots, axes=axes)
        d.set_signal_type("DoseSeries")
        d.metadata.set_item("Dose.window_names", ["100", "110", "200"])
        with listening() as heard:
            found = d.fit_dose_pinn(estimator="exact", **QUIET)
        right = found.rate.data.shape == (3,) and "110" in str(found)
        yes(rows, f"E5 {name}: windows, not pixels", right, f"{found.rate}. {heard}")
    d = hs.signals.Signal1D(spots)
    d.set_signal_type("DoseSeries")
    d.axes_manager[-1].name, d.axes_manager[-1].scale = "dose", 152.0
    d.axes_manager[-1].offset = 152.0
    with listening() as heard:
        found = d.fit_dose_pinn(estimator="exact", **QUIET)
    yes(
        rows, "E5 of an array alone: windows, not pixels", found.rate.data.shape == (3,), str(heard)
    )


@sample("E6 currents, chains and names of files")
def mistakes(rows, folder: Path) -> None:
    import tempfile

    import hyperspy.api as hs

    from hyperspy_dosekin.data import dose_series

    for current in (0.05, 5e-6, 50.0, 1e-17):
        s = eels(np.ones((9, 64)))
        with listening() as heard:
            s.set_dose_axis(beam_current=current, area=100.0, frame_time=1.0)
        yes(rows, f"E6 a current of {current:g} A is questioned", "current" in heard, str(heard))
    p = dose_series().process_low_loss(**QUIET)
    yes(rows, "E6 processed twice", *refusal(lambda: p.process_low_loss(**QUIET), "twice"))
    yes(rows, "E6 the other chain after", *refusal(
        lambda: p.process_core_loss(background=(20, 40), **QUIET), "process_low_loss"))  # fmt: skip
    s = dose_series()
    yes(rows, "E6 core-loss chain of a low loss", *refusal(
        lambda: s.process_core_loss(background=(20, 40), **QUIET), "low"))  # fmt: skip
    found = p.integrate_windows().fit_dose_pinn(estimator="exact", **QUIET)
    with tempfile.TemporaryDirectory() as place:
        for name in ("run 3.5 e per A2", "1.2", "sample.v2"):
            found.save(Path(place) / name)
            p.save(Path(place) / (name + ".spectra.hspy"))
            files = sorted(path.name for path in Path(place).iterdir())
            kept = [file for file in files if file.startswith(name)]
            again = hs.load(Path(place) / (name + ".spectra.hspy"))
            yes(
                rows,
                f"E6 name {name!r} stays whole",
                len(kept) > 1 and again.data.shape == p.data.shape,
                str(kept),
            )
