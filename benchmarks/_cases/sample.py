# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What samples share: their register, what the package says, and often used signals and figures."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from _table import Rows
from hyperspy.exceptions import VisibleDeprecationWarning

Work = Callable[[Rows, Path], None]

#: Samples by name: the letter and number of the kind, and what is tried.
SAMPLES: dict[str, Work] = {}
QUIET = {"show_progressbar": False}


def sample(name: str) -> Callable[[Work], Work]:
    """Register a sample."""

    def register(work: Work) -> Work:
        SAMPLES[name] = work
        return work

    return register


class Messages(logging.Handler):
    """Keeps what the package says."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def __contains__(self, word: str) -> bool:
        return any(word in text for text in self.texts)

    def __str__(self) -> str:
        """The first words of each, once."""
        short = (" ".join(text.split()) for text in self.texts)
        short = (f"{text[:110]} …" if len(text) > 110 else text for text in short)
        said = " ".join(dict.fromkeys(short))
        return f"Said: {said}" if said else ""


@contextmanager
def listening() -> Iterator[Messages]:
    """Warnings of anybody, and log lines of the package."""
    heard, logger = Messages(), logging.getLogger("hyperspy_dosekin")
    logger.addHandler(heard)
    before, logger.propagate = logger.propagate, False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield heard
        others = (DeprecationWarning, ImportWarning, FutureWarning, VisibleDeprecationWarning)
        heard.texts += [str(one.message) for one in caught if not issubclass(one.category, others)]
    finally:
        logger.removeHandler(heard)
        logger.propagate = before


def yes(rows: Rows, what: str, reached: object, note: str = "") -> None:
    """A row for what is or is not so."""
    rows.add(what, asked="≥ 1", measured=float(bool(reached)), unit="", note=note)


def factor(rows: Rows, what: str, ratio: Any, asked: float = 2.0, note: str = "") -> None:
    """A row for how far ratios are from 1, up or down."""
    ratio = np.asarray(ratio, float).ravel()
    with np.errstate(all="ignore"):
        worst = float(np.max(np.maximum(ratio, 1 / ratio), initial=1.0))
    rows.add(what, asked=f"≤ {asked:g}", measured=worst, unit="×", note=note)


def refusal(work: Callable[[], object], *words: str) -> tuple[bool, str]:
    """Whether `work` is refused with an error that has these words, and what it says."""
    try:
        found = work()
    except (ValueError, TypeError) as error:
        text = " ".join(str(error).split())
        return all(word in text for word in words), f"{type(error).__name__}: {text[:200]}"
    return False, f"gives {found!r}"[:200]


def eels(data: Any, scale: float = 0.2, offset: float = 0.0, units: str = "eV", **axes: Any) -> Any:
    """A signal of EELS spectra as a reader would leave it."""
    import hyperspy.api as hs

    s = hs.signals.Signal1D(np.asarray(data))
    s.set_signal_type("EELS")
    energy = s.axes_manager[-1]
    energy.name, energy.units, energy.scale, energy.offset = "Energy loss", units, scale, offset
    for place, (name, unit) in enumerate(axes.items()):
        s.axes_manager[place].name, s.axes_manager[place].units = name, unit
    return s


def series(dose: Any, values: Any, variance: Any = None, units: str = "e⁻/Å²") -> Any:
    """A `DoseSeries` of curves, ``(n_window, n_dose)``, as the guide makes it."""
    import hyperspy.api as hs

    values = np.atleast_2d(np.asarray(values, float))
    axes = [
        {"size": len(values), "name": "window"},
        {"axis": np.asarray(dose, float), "name": "dose", "units": units},
    ]
    s = hs.signals.Signal1D(values, axes=axes)
    if variance is not None:
        s.set_noise_variance(hs.signals.Signal1D(np.broadcast_to(variance, values.shape).copy()))
    s.set_signal_type("DoseSeries")
    return s


def spikes_of(processed: Any) -> float:
    """Replaced channels a spectrum."""
    found = processed.processing_diagnostics().get("spikes")
    return 0.0 if found is None else float(np.mean(found.data))


def claims(rows: Rows, what: str, make: Callable[[int], Any], repeats: int = 12, **options) -> None:
    """Claimed variance of areas over that of repeats, and false spikes a spectrum."""
    areas, claimed, false = [], [], []
    with listening() as heard:
        for seed in range(repeats):
            processed = make(seed).process_low_loss(**QUIET, **options)
            found = processed.integrate_windows(
                {"low": (4, 7), "middle": (10, 15), "high": (20, 25)}
            )
            variance = found.get_noise_variance()
            areas.append(found.data)
            claimed.append(np.full(found.data.shape, np.nan) if variance is None else variance.data)
            false.append(spikes_of(processed))
    areas, claimed = np.array(areas), np.array(claimed)
    if np.isfinite(claimed).all():
        each = (np.arange(areas.ndim - 1)[:-2] + 1).tolist()
        axes = (0, *each, areas.ndim - 1)
        ratio = claimed.mean(axis=axes) / areas.var(axis=0, ddof=1, keepdims=True).mean(axis=axes)
        note = "; ".join(f"{value:.2f}" for value in np.ravel(ratio))
        factor(
            rows, f"{what}: claimed variance over that of repeats", ratio, 2.0, f"{note}. {heard}"
        )
    else:
        yes(rows, f"{what}: without variance, said", "variance" in heard, str(heard))
    rows.add(f"{what}: false spikes a spectrum", asked="≤ 0.5", measured=np.mean(false), unit="")
