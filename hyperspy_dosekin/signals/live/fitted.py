# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a growing series gives when it is asked: its areas, its fit, its posterior of all pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hyperspy_dosekin.kinetics.live.rules import STOPPED_WIDER
from hyperspy_dosekin.signals.kinetics.fit import fit_dose_series
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions, takes_fit_options

from .as_series import as_dose_series
from .core import GrowingKinetics
from .posterior import DosePosterior, widened

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries
    from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics


class FittedKinetics(GrowingKinetics):
    """A growing series that can be fitted."""

    def refresh(self) -> DosePosterior:
        """Bring the posterior of all pixels of a map up to date, whatever `budget` is.

        Returns
        -------
        DosePosterior
            What is known now.

        Examples
        --------
        >>> live = hyperspy_dosekin.LiveKinetics([(1, 3)], dose_rate=10.0, frame_time=5.0)
        >>> live.update([3.0]).n_frames, int(live.refresh().age[0])
        (1, 0)
        """
        if self._engine is not None:
            dose = float(self.dose[-1])
            self.posterior = self._posterior_of(self._engine.update(dose), dose)
            if self._judge.certain and self._engine.caution > 1:
                self.posterior = widened(self.posterior, STOPPED_WIDER)
            self.posterior = replace(self.posterior, stopped_by=self.stopped_by)
            self._shown()
        return self.posterior

    @property
    def series(self) -> DoseSeries:
        """The areas so far, as `integrate_windows` makes them of the whole series.

        Raises
        ------
        ValueError
            If no frame has come that could be used, or two have the same dose.
        """
        if self._series is None:
            raise ValueError("no frame has come yet that could be used; give some to update().")
        return as_dose_series(self._series, self._reader, self.exposure, self.dose_unit)

    @takes_fit_options()
    def result(self, *, show_progressbar: bool | None = None, **fit_options: Any) -> DoseKinetics:
        """Fit all frames so far, as `DoseSeries.fit_dose_pinn` does afterwards.

        Parameters
        ----------
        **fit_options
            Options of the fit in the place of those given before.
        show_progressbar
            Whether to show progress; ``None`` takes HyperSpy's preference.

        Returns
        -------
        DoseKinetics
            The result.

        Raises
        ------
        ValueError
            If there are too few frames for the law, or two have the same dose.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> live = hyperspy_dosekin.LiveKinetics(
        ...     dose_rate=3.45, frame_time=44.0, estimator="exact"
        ... )
        >>> for frame in s:
        ...     _ = live.update(frame)
        >>> live.result()
        <DoseKinetics, 4 windows, 9 doses, exact estimator...>
        """
        options = self.options
        if fit_options:
            options = FitOptions.of("result", **{**options.given(), **fit_options})
        if self._series is not None and len(self._series.dose) < 2:
            raise ValueError("one frame is too few to fit; give further ones to update().")
        return fit_dose_series(self.series, options, show_progressbar=show_progressbar)
