# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the buttons of the kinetics tool do: fit the network, apply, save, show code."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traits.api as t

from hyperspy_dosekin.gui.kinetics.code import write_code
from hyperspy_dosekin.gui.kinetics.controls import DoseControls, ProcessingControls
from hyperspy_dosekin.gui.kinetics.fit_controls import FitControls
from hyperspy_dosekin.gui.kinetics.history import History
from hyperspy_dosekin.gui.kinetics.live import LiveFit
from hyperspy_dosekin.gui.kinetics.region import Region, index_with
from hyperspy_dosekin.gui.kinetics.windows import KineticsWindows
from hyperspy_dosekin.gui.worker import Worker
from hyperspy_dosekin.numerics.progress import no_progress
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.kinetics.fit import fit_dose_series, fit_series_data
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions
from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics

if TYPE_CHECKING:
    from exspy.signals import EELSSpectrum

_logger = logging.getLogger(__name__)


class KineticsActions(t.HasTraits):
    """The part of `DoseKineticsTool` that acts on the state; errors become its message.

    Attributes
    ----------
    history
        Earlier states of windows and controls; see `undo` and `redo`.
    network
        The network's fit of what is shown; ``None`` without one.
    result
        The `DoseKinetics` that Apply has kept.
    message, level
        What has happened, in words, and whether it is ``"info"`` or ``"error"``.
    path, overwrite
        Where Save writes, and whether it may replace a file.
    """

    windows = t.Instance(KineticsWindows, allow_none=False)
    dose = t.Instance(DoseControls, allow_none=False)
    processing = t.Instance(ProcessingControls, allow_none=False)
    fit = t.Instance(FitControls, allow_none=False)
    region = t.Instance(Region, allow_none=False)
    worker = t.Instance(Worker, allow_none=False)

    #: Spectra that the tool was opened for.
    signal: EELSSpectrum
    #: Areas of the windows as they are shown, and what tells them from others.
    _data: SeriesData | None
    _key: tuple[Any, ...] | None

    #: Whether changes are not to be answered yet.
    _quiet = False

    history = t.Instance(History, allow_none=False)
    live = t.Instance(LiveFit)
    network = t.Instance(DoseKinetics)
    result = t.Instance(DoseKinetics)
    message = t.Str()
    level = t.Enum("info", "error")
    path = t.Str("kinetics.hspy")
    overwrite = t.Bool(False, label="Overwrite")

    def fit_network(self, then_apply: bool = False) -> None:
        """Fit the ensemble of networks in a thread; see `worker` for progress and Stop.

        Parameters
        ----------
        then_apply
            Whether to keep the result.
        """
        if self.live is None or self._data is None:
            self._fail(ValueError("there is nothing to fit yet: see the message above."))
            return
        key, data = self._key, self._data
        try:
            options = self.options("pinn")
            self.worker.start(
                "Network",
                lambda report, stop: fit_series_data(data, options, report=report, stop=stop),
                lambda result: self._network_fitted(result, key, then_apply),
                self._fail,
            )
        except Exception as error:
            self._fail(error)
            return
        self._say("Fitting the network …")

    def _network_fitted(self, result: DoseKinetics, key: object, then_apply: bool) -> None:
        if key != self._key:
            self._say("The network was fitted to an earlier state, and is not shown; fit again.")
            return
        self.network = result
        if then_apply:
            self._keep(result)
        elif result.complete:
            self._say(f"Network fitted: {len(result.estimate.labels)} members.")
        else:
            self._say("The network was stopped: its curves are what it had by then.")

    def stop(self) -> None:
        """Stop what runs."""
        if self.worker.running:
            self.worker.stop()
            self._say(f"Stopping: {self.worker.what} …")

    def apply(self) -> None:
        """Keep the result of the present state as `result`, and as ``s.dose_kinetics``."""
        if self.live is None:
            self._fail(ValueError("there is no result to apply yet: see the message above."))
            return
        if self.fit.extent == "pixels" and self.region.sizes:
            self._apply_to_pixels()
        elif self.fit.estimator == "pinn":
            if self.network is not None:
                self._keep(self.network)
            else:
                self.fit_network(then_apply=True)
        else:
            self._keep(self._exact_result())

    def _apply_to_pixels(self) -> None:
        if self.fit.estimator == "pinn":
            self._fail(
                ValueError(
                    "the network fits the mean of a region; for every pixel choose the exact "
                    "estimator."
                )
            )
            return
        dose, processing = self.dose.arguments(), self.processing.arguments()
        windows = self.windows.as_dict()
        options = self.fit.options(self.windows.names, "exact")
        signal = self.signal

        def work(report: Any, stop: Any) -> DoseKinetics:
            # A new signal with axes of its own, whose data are those of the user's.
            whole = signal.isig[:]
            if dose:
                whole.set_dose_axis(**dose)
            if processing is not None:
                whole = whole.process_low_loss(**processing, show_progressbar=False)
            areas = whole.integrate_windows(windows)
            if areas._lazy:
                areas.compute(show_progressbar=False)
            return fit_dose_series(areas, options, report=report, stop=stop)

        try:
            self.worker.start("Every pixel", work, self._keep, self._fail)
        except RuntimeError as error:
            self._fail(error)
            return
        self._say("Fitting every pixel …")

    def _exact_result(self) -> DoseKinetics:
        """What the methods give for all windows in one call, to the last digit.

        The live fit is put together from calls for a window or two, whose searches end elsewhere
        within their tolerance.
        """
        with warnings.catch_warnings():
            # They are among the notes.
            warnings.simplefilter("ignore", UserWarning)
            if self._data is None:
                raise ValueError("there is nothing to fit yet.")
            return fit_series_data(self._data, self.options(), report=no_progress)

    def _keep(self, result: DoseKinetics) -> None:
        self.result = result
        # Whoever has opened the tool without keeping it finds the result with the signal.
        self.signal.dose_kinetics = result
        partly = "" if result.complete else ", incomplete"
        self._say(f"Applied{partly}: the result is tool.result, and s.dose_kinetics.")

    def save(self) -> None:
        """Save the applied result, or that of the present state, to `path`."""
        result = self.result
        if result is None and self.live is not None:
            result = self.network if self.fit.estimator == "pinn" else self._exact_result()
        if result is None:
            self._fail(ValueError("there is no result to save yet; press Apply first."))
            return
        path = self.path.strip()
        try:
            if not path:
                raise ValueError("type the name of a file, such as kinetics.hspy.")
            if not self.overwrite:
                _refuse_existing(path)
            result.save(path, overwrite=self.overwrite)
        except Exception as error:
            self._fail(error)
            return
        self._say(f"Saved as {path}; hyperspy_dosekin.load gives it back.")

    @property
    def code(self) -> str:
        """The calls that give `result`, beginning with the signal ``s``.

        Raises
        ------
        ValueError
            If the state is not one that can be fitted.
        """
        maps = self.fit.extent == "pixels" and bool(self.region.sizes)
        # A pixel has no space axes left to average over.
        mean = bool(self.region.sizes) and self.region.mode != "pixel"
        options = self.fit.options(
            self.windows.names,
            "exact" if maps else self.fit.estimator,
            spatial="mean" if mean and not maps else "auto",
        )
        return write_code(
            dose=self.dose.arguments(),
            index=None if maps or self.region.mode == "all" else self.index,
            processing=self.processing.arguments(),
            windows=self.windows.as_dict(),
            fit=options.given(),
        )

    def options(self, estimator: str = "exact") -> FitOptions:
        """The options of the fit of what is shown.

        Parameters
        ----------
        estimator
            Who makes the fit.

        Raises
        ------
        ValueError, TypeError
            If an option does not fit.
        """
        return self.fit.options(self.windows.names, estimator, spatial="mean", intervals=True)

    @property
    def index(self) -> tuple[Any, ...] | None:
        """Index of the region for `inav`; ``None`` for a series."""
        return index_with(self.region, self.dose.axis) if self.region.sizes else None

    def attempt(self, action: Any, *arguments: Any) -> bool:
        """Call something a person asked for; an error becomes the message, and ``False``."""
        try:
            action(*arguments)
        except Exception as error:
            self._fail(error)
            return False
        return True

    def undo(self) -> None:
        """Go back by one change of windows or controls."""
        self._travel(self.history.undo)

    def redo(self) -> None:
        """Make the change again that was undone last."""
        self._travel(self.history.redo)

    def _travel(self, go: Callable[[], None]) -> None:
        with self._quietly():
            go()
        self.refresh_spectra()

    def refresh_spectra(self) -> None:
        """Read the spectra again and fit them; made by `DoseKineticsTool`."""
        raise NotImplementedError

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Change several parts before anything is fitted again."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def refuse(self, error: ValueError) -> None:
        """Say why what a person typed is not taken."""
        self._fail(error)

    def _say(self, message: str) -> None:
        self.trait_set(message=message, level="info")

    def _fail(self, error: Exception) -> None:
        _logger.debug("The tool could not do it", exc_info=error)
        text = str(error).strip() or type(error).__name__
        if isinstance(error, KeyError):
            text = str(error.args[0]) if error.args else text
        # What begins with the name of an argument is left as it is.
        if text.split()[0].rstrip(",:").isalpha():
            text = text[0].upper() + text[1:]
        self.trait_set(message=text, level="error")


def _refuse_existing(path: str) -> None:
    given = Path(path)
    whole = given if given.suffix else given.with_suffix(".hspy")
    if whole.exists():
        raise FileExistsError(f"{whole} exists; choose another name, or tick Overwrite.")
