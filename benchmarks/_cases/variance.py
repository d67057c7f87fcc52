# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""B: the noise variance falls out of step with its data.

Data and variance hold the same numbers, so that what is done to one must have been done to the
other, or the variance must be gone with a warning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from _cases.sample import QUIET, listening, sample, yes


def _alike(rows, what: str, changed: Any, heard: Any, share: float = 1.0) -> None:
    """`share` is what a mean of several leaves of the variance."""
    if changed._lazy:
        changed.compute(show_progressbar=False)
    variance = changed.get_noise_variance()
    data = np.asarray(changed.data, float)
    if variance is None or np.isscalar(variance):
        with listening() as later:
            if hasattr(changed, "window_names"):
                changed.fit_dose_pinn(estimator="exact", **QUIET)
            elif changed.axes_manager.signal_dimension == 1:
                changed.integrate_windows({"w": (10, 15)})
        said = "variance" in heard or "variance" in later
        yes(rows, f"{what}: no variance, said", variance is None and said, f"{heard} {later}")
        return
    if getattr(variance, "_lazy", False):
        variance.compute(show_progressbar=False)
    right = variance.data.shape == data.shape
    right = right and np.allclose(variance.data, share * data, rtol=1e-5)
    yes(rows, f"{what}: variance and data in step", right, f"{variance.data.shape}. {heard}")


def _marked(lazy: bool = False, **options: Any) -> Any:
    from hyperspy_dosekin.data import dose_series

    q = dose_series(**options).process_low_loss(**QUIET)
    mark = np.arange(1.0, len(q.data) + 1)[:, None] * np.ones(q.data.shape[-1])
    q.data[:] = mark
    q.get_noise_variance().data[:] = mark
    return q.as_lazy() if lazy else q


@sample("B1 set_dose_axis, then inav by dose")
def by_dose(rows, folder: Path) -> None:
    for name, lazy in (("B1", False), ("B1 lazy", True)):
        q = _marked(lazy)
        with listening() as heard:
            q.set_dose_axis(dose_rate=3.45, frame_time=44.0, pre_exposure=151.8)
            c = q.inav[600.0:1000.0]
        _alike(rows, name, c, heard)


@sample("B2 stack of frames processed one by one, then windows")
def stacked(rows, folder: Path) -> None:
    import hyperspy.api as hs

    from hyperspy_dosekin.data import dose_series

    with listening() as heard:
        parts = [dose_series().inav[i].process_low_loss(**QUIET).isig[:500] for i in range(9)]
        t = hs.stack(parts)
        found = t.integrate_windows()
    variance = found.get_noise_variance()
    right = variance is None or variance.data.shape == found.data.shape
    whole = dose_series().process_low_loss(**QUIET).integrate_windows()
    yes(rows, "B2: works, variance joined or dropped with a word", right
        and (variance is not None or "variance" in heard), str(heard))  # fmt: skip
    if variance is not None:
        ratio = np.median(variance.data.ravel() / whole.get_noise_variance().data.T.ravel())
        yes(rows, "B2: variance as of the whole", 0.5 < ratio < 2, f"ratio {ratio:.2f}")


#: What HyperSpy can do to spectra; sums of data have sums of variances.
CHANGES = {
    "isig": lambda q: q.isig[10.0:40.0],
    "every other frame": lambda q: q.inav[::2],
    "frames backwards": lambda q: q.inav[::-1],
    "one frame": lambda q: q.inav[3],
    "crop": lambda q: (q.crop(0, 2, 7), q)[1],
    "crop_signal": lambda q: (q.crop_signal(5.0, 50.0), q)[1],
    "split": lambda q: q.split(0, number_of_parts=3)[1],
    "rebin of channels": lambda q: q.rebin(scale=(1, 2)),
    "rebin of frames": lambda q: q.inav[:8].rebin(scale=(2, 1)),
    "sum of frames": lambda q: q.sum(0),
    "mean of frames": lambda q: q.mean(0),
    "transpose": lambda q: q.transpose().transpose(),
    "as_signal1D of frames": lambda q: q.as_signal1D(0),
    "deepcopy": lambda q: q.deepcopy(),
    "lazy and back": lambda q: q.as_lazy(),
    "change_dtype": lambda q: (q.change_dtype("float32"), q)[1],
    "squeeze": lambda q: q.inav[4:5].squeeze(),
    "fold and unfold": lambda q: (q.unfold(), q.fold(), q)[2],
    "isig by channel, then inav": lambda q: q.isig[5:200].inav[2:4],
    "interpolate_on_axis": lambda q: q.interpolate_on_axis(
        q.axes_manager[-1].copy(), -1, inplace=False
    ),
    "plus 0": lambda q: q + 0,
    "plus itself": lambda q: q + q,
    "map": lambda q: q.map(lambda a: a, inplace=False, **QUIET),
    "smooth": lambda q: (q.smooth_savitzky_golay(polynomial_order=1, window_length=5), q)[1],
    "calibrated axes, then inav": lambda q: (
        setattr(q.axes_manager[0], "scale", 2.0), setattr(q.axes_manager[0], "offset", 5.0),
        q.inav[9.0:15.0],
    )[2],
    "stack of two": lambda q: _stack([q, q.deepcopy()]),
    "stack along frames": lambda q: _stack([q.inav[:4], q.inav[4:]], 0),
    "isig of a lazy one": lambda q: q.as_lazy().isig[20:100],
    "align_zero_loss_peak": lambda q: (q.align1D(**QUIET), q)[1],
}  # fmt: skip


def _stack(parts: list[Any], axis: int | None = None) -> Any:
    import hyperspy.api as hs

    return hs.stack(parts, axis=axis, show_progressbar=False)


@sample("B3 what HyperSpy's methods do to both")
def methods(rows, folder: Path) -> None:
    for name, change in CHANGES.items():
        q = _marked()
        with listening() as heard:
            try:
                changed = change(q)
            except Exception as error:
                yes(rows, f"B3 {name}", False, f"{type(error).__name__}: {error}")
                continue
        _alike(rows, f"B3 {name}", changed, heard, 0.5 if name == "rebin of channels" else 1.0)


@sample("B4 areas of windows, sliced, stacked and saved")
def of_areas(rows, folder: Path) -> None:
    import tempfile

    import hyperspy.api as hs

    def marked() -> Any:
        q = _marked().integrate_windows()
        mark = np.arange(1.0, 10.0)[None] + 10 * np.arange(4.0)[:, None]
        q.data[:] = mark
        q.get_noise_variance().data[:] = mark
        return q

    changes = {
        "a window": lambda q: q.inav[1:3],
        "some doses": lambda q: q.isig[300.0:1000.0],
        "joined": lambda q: hs.stack([q.isig[:4], q.isig[4:]], axis=1, show_progressbar=False),
        "windows joined": lambda q: hs.stack(
            [q.inav[:1], q.inav[1:]], axis=0, show_progressbar=False
        ),
        "transposed": lambda q: q.T.T,
        "mean over windows": lambda q: q.mean(0),
    }
    for name, change in changes.items():
        with listening() as heard:
            changed = change(marked())
        _alike(rows, f"B4 {name}", changed, heard)
    with tempfile.TemporaryDirectory() as place, listening() as heard:
        for name, part in (
            ("whole", marked()),
            ("one window, one frame", marked().inav[0].isig[:1]),
        ):
            path = Path(place) / f"{name}.hspy"
            part.save(path)
            again = hs.load(path)
            _alike(rows, f"B4 saved, {name}", again, heard)
            kind = type(again).__name__
            yes(rows, f"B4 saved, {name}: a DoseSeries again", kind == "DoseSeries", kind)
