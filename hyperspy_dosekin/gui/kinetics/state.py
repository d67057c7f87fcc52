# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the kinetics tool: everything it knows and does, without any widget or figure."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import traits.api as t

from hyperspy_dosekin.gui.kinetics.controls import DoseControls, ProcessingControls
from hyperspy_dosekin.gui.kinetics.fit_controls import FitControls
from hyperspy_dosekin.gui.kinetics.following import FollowingActions
from hyperspy_dosekin.gui.kinetics.history import (
    DOSE_CHOICES,
    FIT_CHOICES,
    KEPT_CHOICES,
    Choices,
    History,
)
from hyperspy_dosekin.gui.kinetics.live import LiveAreas, LiveEstimator
from hyperspy_dosekin.gui.kinetics.region import (
    LARGEST_AT_ONCE,
    Prepared,
    Region,
    prepare,
)
from hyperspy_dosekin.gui.kinetics.table import headers_of, live_notes, table_of
from hyperspy_dosekin.gui.kinetics.windows import KineticsWindows
from hyperspy_dosekin.gui.worker import Worker
from hyperspy_dosekin.signals.axes.energy import ev_per_unit
from hyperspy_dosekin.signals.tools import open_tool
from hyperspy_dosekin.windows.definitions import LOW_LOSS_WINDOWS, WindowsLike, parse_windows

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal


class DoseKineticsTool(FollowingActions):
    """Choose windows on the spectra of a dose series and see their kinetics.

    Made by `EELSSpectrum.dose_kinetics_tool`. The signal is never changed. Errors do not leave the
    tool: they are in `message`.

    Parameters
    ----------
    signal
        Spectra with a navigation axis of frames; lazy ones stay lazy, of which what is looked at is
        computed.
    windows
        As for `integrate_windows`.
    **fit_options
        Options of `fit_dose_pinn` to begin with.

    Attributes
    ----------
    windows, dose, processing, fit, region, worker
        The parts of the state, see their classes.
    following
        The folder that is followed: see `follow_folder`.
    history
        Earlier states of windows and controls: see `undo` and `redo`.
    prepared
        Spectra of the region; ``None`` where they could not be made.
    live
        The exact fit that is shown; ``None`` where there is none.
    network
        The network's fit of the same data; ``None`` without one.
    headers, table
        Headers of the columns, and a row of texts for each window.
    result
        The `DoseKinetics` that Apply has kept.
    message, level
        What has happened, in words, and whether it is ``"info"`` or ``"error"``.
    notes
        What is to be said of the data and the numbers.
    seconds
        How long the last answer took.
    """

    prepared = t.Instance(Prepared)
    headers = t.Tuple()
    table = t.Tuple()
    notes = t.Tuple()
    seconds = t.Float(0.0)

    def __init__(
        self, signal: BaseSignal, windows: WindowsLike | None = None, **fit_options: object
    ) -> None:
        if signal.axes_manager.signal_dimension != 1:
            raise ValueError(
                f"the tool needs spectra, and the signal has {signal.axes_manager.signal_dimension}"
                " signal dimensions; transpose it so that energy is the only one."
            )
        dose = DoseControls(signal)
        axis = signal.axes_manager.signal_axes[0]
        unit = ev_per_unit(axis)
        defaults = {
            name: tuple(limit / unit for limit in limits)
            for name, limits in LOW_LOSS_WINDOWS.items()
        }
        chosen = defaults
        if windows is not None:
            chosen = {w.name: (w.left, w.right) for w in parse_windows(windows)}
        self.signal = signal
        self.energy_units = str(axis.units)
        self._estimator = LiveEstimator()
        self._areas: LiveAreas | None = None
        self._data = self._key = None
        self._dose_error: Exception | None = None
        self._pending = False
        self._closed = False
        super().__init__(
            windows=KineticsWindows(axis.axis, chosen, defaults, self.energy_units),
            dose=dose,
            processing=ProcessingControls(signal),
            fit=FitControls(fit_options),
            region=Region(*_space(signal, dose.axis)),
            worker=Worker(),
        )
        self.history = History(Choices(self.windows, self.dose, self.processing, self.fit))
        self._connect()
        self.refresh_spectra()
        if self.level == "error" and self.processing.on and self.prepared is None:
            self._try_unprocessed()

    # What the parts tell

    def _connect(self) -> None:
        for name in ("moved", "listed"):
            self.windows.observe(self._on_windows, name)
        for name in DOSE_CHOICES:
            self.dose.observe(self._on_spectra, name)
        for name in self.processing.editable_traits():
            self.processing.observe(self._on_spectra, name)
        for name in ("mode", "indices", "rectangle"):
            self.region.observe(self._on_region, name)
        for name in FIT_CHOICES:
            self.fit.observe(self._on_fit, name)
        for name in KEPT_CHOICES:
            self.fit.observe(lambda event: self.history.record(), name)
        self.fit.observe(self._on_network_option, "protocol")
        self.worker.observe(self._worker_ended, "running")
        self.signal.axes_manager.events.indices_changed.connect(self._navigated, [])
        self.signal.events.data_changed.connect(self.refresh_spectra, [])

    def close(self) -> None:
        """Stop what runs and follow the signal no more; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self.worker.stop()
        for event, handler in (
            (self.signal.axes_manager.events.indices_changed, self._navigated),
            (self.signal.events.data_changed, self.refresh_spectra),
        ):
            if handler in event.connected:
                event.disconnect(handler)

    def _worker_ended(self, event: object) -> None:
        if self._pending and not self.worker.running:
            self._pending = False
            self.refresh_spectra()

    def _on_windows(self, event: object) -> None:
        if not self._quiet:
            self.refresh_fit()
            self.history.record()

    def _on_spectra(self, event: Any) -> None:
        if event.name == "axis":
            sizes, indices = _space(self.signal, self.dose.axis)
            self.region.sizes = sizes
            with self._quietly():
                whole = Region(sizes, indices)
                self.region.trait_set(indices=whole.indices, rectangle=whole.rectangle)
        if not self._quiet:
            self.refresh_spectra()
            self.history.record()

    def _on_region(self, event: Any) -> None:
        if self._quiet:
            return
        if event.name == "indices":
            self._show_in_navigator()
        shown = {"indices": "pixel", "rectangle": "rectangle"}.get(event.name, self.region.mode)
        if shown == self.region.mode:
            self.refresh_spectra()

    def _on_fit(self, event: object) -> None:
        if not self._quiet:
            self.refresh_fit()
            self.history.record()

    def _on_network_option(self, event: object) -> None:
        self.network = None

    def _navigated(self) -> None:
        """The pointer of a plot of the signal has moved."""
        indices = tuple(np.delete(self.signal.axes_manager.indices, self.dose.axis).tolist())
        if indices != self.region.indices:
            self.region.go_to(indices)

    def _show_in_navigator(self) -> None:
        """Move the pointer of plots of the signal to the pixel."""
        manager = self.signal.axes_manager
        whole = list(self.region.indices)
        whole.insert(self.dose.axis, manager.indices[self.dose.axis])
        if tuple(whole) != tuple(manager.indices):
            manager.indices = tuple(whole)

    # From spectra to fit

    @property
    def is_lazy(self) -> bool:
        """Whether the signal is lazy."""
        return bool(self.signal._lazy)

    def refresh_spectra(self) -> None:
        """Read and process the spectra of the region again, and fit them."""
        started = time.perf_counter()
        self._dose_error = None
        processing = self.processing.arguments()
        try:
            dose = self.dose.arguments()
        except ValueError as error:
            # Spectra can be looked at before the doses are known; the fit has to wait.
            self._dose_error = error
            dose = {"dose": [float(1 + frame) for frame in range(self._n_frame)]}
        known = self._dose_error is None
        work = (self.signal, self._whole_index(), dose, self.dose.axis)
        size = self.signal.axes_manager.signal_axes[0].size * self._n_frame * self.region.n_pixel
        if size <= LARGEST_AT_ONCE:
            try:
                prepared = prepare(*work, processing, has_doses=known)
            except Exception as error:
                self._no_spectra(error)
                return
            self._prepared(prepared, started)
            return
        # A large region is read and processed beside the notebook; what is shown stays until then.
        self._pending = self.worker.running
        if self._pending:
            self._say(f"{self.region.describe()} will be read when “{self.worker.what}” has ended.")
            return
        self._say(f"Reading {self.region.describe()} …")
        self.worker.start(
            "Reading",
            lambda report, stop: prepare(*work, processing, has_doses=known),
            lambda prepared: self._prepared(prepared, time.perf_counter()),
            self._no_spectra,
        )

    @property
    def _n_frame(self) -> int:
        return int(self.signal.axes_manager.navigation_axes[self.dose.axis].size)

    def _whole_index(self) -> tuple[Any, ...]:
        return self.index or (slice(None),)

    def _prepared(self, prepared: Prepared, started: float) -> None:
        self._areas = LiveAreas(prepared.signal)
        # Processing may have cropped the axis.
        self.windows.energies = np.sort(prepared.energy)
        self.prepared = prepared
        self.refresh_fit(started)

    def _no_spectra(self, error: Exception) -> None:
        self._areas = None
        self.prepared = None
        self._no_fit(error)

    def _no_fit(self, error: Exception) -> None:
        self._data = self._key = None
        self.trait_set(live=None, network=None, headers=(), table=(), notes=())
        self._fail(error)

    def _try_unprocessed(self) -> None:
        """Go on with the spectra as they are, where processing cannot be."""
        why = self.message
        self.processing.on = False
        if self.prepared is not None:
            self._say(f"The spectra are shown as they are, because: {why}")

    def refresh_fit(self, started: float | None = None) -> None:
        """Integrate the windows and fit them again; what has not changed is remembered."""
        if self._areas is None or self.prepared is None:
            return
        started = time.perf_counter() if started is None else started
        note = self.windows.note
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                windows = self.windows.as_dict()
                if self._dose_error is not None:
                    raise self._dose_error
                options = self.options()
                data = self._areas.of(windows)
                live = self._estimator.fit(data, options)
        except Exception as error:
            self._no_fit(error)
            return
        key = (data.values.tobytes(), data.dose.tobytes(), tuple(windows), repr(options))
        if key != self._key:
            self.network = None
        self._data, self._key = data, key
        told = dict.fromkeys(
            str(each.message) for each in caught if "deprecated" not in str(each.message).lower()
        )
        lazy = ("Lazy signal: only what is shown is computed, the rest stays lazy.",)
        self.trait_set(
            live=live,
            headers=headers_of(live.kinetics.kinetic_law, live.kinetics.dose_unit),
            table=table_of(live.kinetics.numbers),
            notes=(
                *(lazy if self.is_lazy else ()),
                *self.prepared.notes,
                *told,
                *live_notes(live.kinetics.numbers),
            ),
            seconds=time.perf_counter() - started,
        )
        self._say(note or f"Exact fit of {self.region.describe()}.")

    # What the view calls

    def rename_window(self, old: str, new: str) -> None:
        """Rename a window wherever its name stands.

        Raises
        ------
        ValueError
            As `KineticsWindows.rename`.
        """
        new = str(new).strip()
        self.windows.row(old)
        if new and new not in self.windows.names:
            with self._quietly():
                self.fit.renamed(old, new)
        self.windows.rename(old, new)

    def gui(self, display: bool = True, toolkit: str | None = None) -> object:
        """Show the tool, or return its widgets, as the tools of HyperSpy do; see `open_tool`."""
        shown = open_tool(
            self, "hyperspy_dosekin.DoseKineticsTool", display=display, toolkit=toolkit
        )
        return None if display else shown

    def __repr__(self) -> str:
        """What is looked at, and whether there is a result."""
        kept = repr(self.result) if self.result is not None else "nothing applied yet"
        return f"<DoseKineticsTool, {', '.join(self.windows.names)}; {kept}>"


def _space(signal: BaseSignal, dose_place: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sizes and present indices of the axes that are not the dose, in HyperSpy's order."""
    manager = signal.axes_manager
    axes = [axis for place, axis in enumerate(manager.navigation_axes) if place != dose_place]
    return tuple(int(axis.size) for axis in axes), tuple(int(axis.index) for axis in axes)
