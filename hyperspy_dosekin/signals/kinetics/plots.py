# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a kinetics result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hyperspy_dosekin.signals.kinetics.face import Face

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase


@dataclass(frozen=True, eq=False, repr=False)
class KineticsPlots(Face):
    """Methods of `DoseKinetics` that draw; each fills a picture and hands it to the plotting room.

    Curves need a result without space axes; maps are signals and have their own ``plot()``.
    """

    def plot(self, *, extent: float = 1.0, **options: Any) -> FigureBase:
        """Draw the integrity of every window against dose, with D½; for maps, images of D½.

        Parameters
        ----------
        extent
            How far to draw curves, in units of the largest measured dose; beyond 1 the law is
            extrapolated, and the figure says so. Ignored for maps.
        **options
            Passed to the figure, or to the ``plot`` of the map.

        Returns
        -------
        Figure
            A Matplotlib figure.

        See Also
        --------
        plot_maps : D½, its interval and its flag in one figure.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> result.plot().savefig("integrity.png")  # doctest: +SKIP
        >>> figure = result.plot(extent=1.5)
        """
        if self.numbers.space_shape:
            return _plot_map(self._signal("half_integrity_dose"), options)
        from hyperspy_dosekin.plotting.kinetics.curves import plot_integrity
        from hyperspy_dosekin.signals.kinetics.pictures import curve_picture

        return plot_integrity(curve_picture(self.numbers, extent), **options)

    def plot_fit(self, *, extent: float = 1.0, **options: Any) -> Any:
        """Draw the intensities with their fit, a panel for each window; for maps, side by side.

        Parameters
        ----------
        extent
            How far to draw curves, in units of the largest measured dose. Ignored for maps.
        **options
            Passed to the figure, or to `hyperspy.api.plot.plot_signals`.

        Returns
        -------
        Figure
            A Matplotlib figure; for maps what HyperSpy's ``plot_signals`` returns.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> figure = result.plot_fit()
        """
        if self.numbers.space_shape:
            import hyperspy.api as hs

            data = self.numbers.data
            fitted = self.numbers.estimate.mean_intensity(data.dose)
            shown = [
                self._series(data.values, data.dose, data.title),
                self._series(fitted, data.dose, "fitted"),
            ]
            return hs.plot.plot_signals(shown, **options)
        from hyperspy_dosekin.plotting.kinetics.curves import plot_fit
        from hyperspy_dosekin.signals.kinetics.pictures import curve_picture

        return plot_fit(curve_picture(self.numbers, extent), **options)

    def plot_maps(self, windows: Sequence[str] | None = None, **options: Any) -> FigureBase:
        """Draw maps of D½ where the data determine it, of the width of its interval, and flags.

        One figure without navigator, for a paper; ``half_integrity_dose.plot()`` is the map as a
        signal, to look around in. Lazy results are computed.

        Parameters
        ----------
        windows
            Names of the windows to draw; all by default.
        **options
            Passed to the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Raises
        ------
        ValueError
            If there is no such window, or the result has no map of one or two space axes.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series_image(shape=(3, 2), processed=True)
        >>> result = s.fit_dose_pinn(show_progressbar=False)
        >>> figure = result.plot_maps(["C–C", "C–O"])
        """
        from hyperspy_dosekin.plotting.kinetics.maps import plot_maps
        from hyperspy_dosekin.signals.kinetics.pictures import map_picture

        return plot_maps(map_picture(self.numbers, windows), **options)

    def plot_parameters(self, **options: Any) -> Any:
        """Draw the parameters of the law and D½ of every window; for maps, an image of each.

        Parameters
        ----------
        **options
            Passed to the figure, or to the ``plot`` of the maps.

        Returns
        -------
        Figure or list of Figure
            A list for maps.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> figure = result.plot_parameters()
        """
        if self.numbers.space_shape:
            names = (*self.numbers.parameter_names, "half_integrity_dose")
            return [_plot_map(self._signal(name), options) for name in names]
        from hyperspy_dosekin.plotting.kinetics.parameters import plot_parameters
        from hyperspy_dosekin.signals.kinetics.pictures import parameter_picture

        return plot_parameters(parameter_picture(self.numbers), **options)

    def plot_diagnostics(self, **options: Any) -> FigureBase:
        """Draw the residuals, the loss terms and the learning rate of a network fit.

        Parameters
        ----------
        **options
            Passed to the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(
        ...     seeds=(1, 2), gauss_newton_iterations=3, show_progressbar=False
        ... )
        >>> figure = result.plot_diagnostics()
        """
        from hyperspy_dosekin.plotting.kinetics.diagnostics import plot_diagnostics
        from hyperspy_dosekin.signals.kinetics.pictures import diagnostics_picture

        return plot_diagnostics(diagnostics_picture(self.numbers), **options)

    def plot_ablation(
        self, *, extent: float = 1.5, iterations: int = 40, **options: Any
    ) -> FigureBase:
        """Draw the fit beside a cubic polynomial and the same network without physics.

        Parameters
        ----------
        extent
            How far to extrapolate, in units of the largest measured dose.
        iterations
            Length of the training of the network without physics.
        **options
            Passed to the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(
        ...     seeds=(1, 2), gauss_newton_iterations=3, show_progressbar=False
        ... )
        >>> figure = result.plot_ablation(iterations=3)
        """
        from hyperspy_dosekin.plotting.kinetics.ablation import plot_ablation
        from hyperspy_dosekin.signals.kinetics.pictures import ablation_picture

        return plot_ablation(ablation_picture(self.numbers, extent, iterations), **options)


def _plot_map(signal: Any, options: dict[str, Any]) -> FigureBase:
    signal.plot(**options)
    return signal._plot.signal_plot.figure
