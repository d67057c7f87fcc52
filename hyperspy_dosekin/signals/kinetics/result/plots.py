# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a kinetics result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from hyperspy.signals import Signal1D

from hyperspy_dosekin.signals.drawing import (
    FigureOptions,
    MapOptions,
    drawn,
    options_of_curves,
    show_maps,
    takes_figure_options,
    takes_map_options,
)
from hyperspy_dosekin.signals.kinetics.result.face import Face

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase
    from typing_extensions import Unpack


@dataclass(frozen=True, eq=False, repr=False)
class KineticsPlots(Face):
    """Methods of `DoseKinetics` that draw; each fills a picture and hands it to the plotting room.

    Curves need a result without space axes; maps are signals and have their own ``plot()``. All
    figures of curves take ``ax=`` (axes to draw in; a figure of several panels takes their place),
    ``fig=`` (an empty figure or subfigure), ``title=``, ``dpi=`` and ``figsize=``, and return the
    figure.
    """

    @takes_map_options
    def plot(self, *, extent: float = 1.0, **options: Unpack[MapOptions]) -> FigureBase:
        """Draw the integrity of every window against dose, with D½; for maps, images of D½.

        Parameters
        ----------
        extent
            How far to draw curves, in units of the largest measured dose; beyond 1 the law is
            extrapolated, and the figure says so. Ignored for maps.
        **options
            Of the figure.

        Returns
        -------
        Figure
            A Matplotlib figure. For maps that of the image: D½ where the data determine it and
            blank elsewhere (all of it after ``intervals=False``), under the name of the window;
            the navigator shows the share of pixels that are determined in each window.

        See Also
        --------
        plot_maps : D½, its interval and its flag in one figure.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> result.plot().savefig("integrity.png")  # doctest: +SKIP
        >>> figure = result.plot(extent=1.5)
        """
        if self.numbers.space_shape:
            return self._plot_map("half_integrity_dose", "plot", options)
        from hyperspy_dosekin.plotting.kinetics.curves import plot_integrity
        from hyperspy_dosekin.signals.kinetics.result.pictures import curve_picture

        given = options_of_curves("plot", options)
        # One panel: it is drawn in the axes themselves.
        given = {"axes" if name == "ax" else name: value for name, value in given.items()}
        return drawn(plot_integrity, curve_picture(self.numbers, extent), given)

    @takes_map_options
    def plot_fit(
        self, *, extent: float = 1.0, **options: Unpack[MapOptions]
    ) -> FigureBase | list[FigureBase]:
        """Draw the intensities with their fit, a panel for each window; for maps, side by side.

        Parameters
        ----------
        extent
            How far to draw curves, in units of the largest measured dose. Ignored for maps.
        **options
            Of the figure.

        Returns
        -------
        Figure or list of Figure
            A Matplotlib figure; for maps those of the data and of the fit.

        Examples
        --------
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
            return show_maps("plot_fit", shown, options, partial(hs.plot.plot_signals, shown))
        from hyperspy_dosekin.plotting.kinetics.curves import plot_fit
        from hyperspy_dosekin.signals.kinetics.result.pictures import curve_picture

        given = options_of_curves("plot_fit", options)
        return drawn(plot_fit, curve_picture(self.numbers, extent, with_band=False), given)

    @takes_figure_options
    def plot_maps(
        self, windows: Sequence[str] | None = None, **options: Unpack[FigureOptions]
    ) -> FigureBase:
        """Draw maps of D½ where the data determine it, of the width of its interval, and flags.

        One figure without navigator, for a paper; ``half_integrity_dose.plot()`` is the map as a
        signal, to look around in. Lazy results are computed.

        Parameters
        ----------
        windows
            Names of the windows to draw; all by default.
        **options
            Of the figure.

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
        >>> s = hyperspy_dosekin.data.dose_series_image(shape=(3, 2), processed=True)
        >>> result = s.fit_dose_pinn(show_progressbar=False)
        >>> figure = result.plot_maps(["C–C", "C–O"])
        """
        from hyperspy_dosekin.plotting.kinetics.maps import plot_maps
        from hyperspy_dosekin.signals.kinetics.result.pictures import map_picture

        return drawn(plot_maps, map_picture(self.numbers, windows), options)

    @takes_map_options
    def plot_parameters(self, **options: Unpack[MapOptions]) -> FigureBase | list[FigureBase]:
        """Draw the parameters of the law and D½ of every window; for maps, an image of each.

        Returns
        -------
        Figure or list of Figure
            A list for maps.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> figure = result.plot_parameters()
        """
        if self.numbers.space_shape:
            names = (*self.numbers.parameter_names, "half_integrity_dose")
            return [self._plot_map(name, "plot_parameters", options) for name in names]
        from hyperspy_dosekin.plotting.kinetics.parameters import plot_parameters
        from hyperspy_dosekin.signals.kinetics.result.pictures import parameter_picture

        given = options_of_curves("plot_parameters", options)
        return drawn(plot_parameters, parameter_picture(self.numbers), given)

    @takes_figure_options
    def plot_diagnostics(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw how far networks are from the law, the loss terms and the learning rate.

        The physics residual dC/dφ + k Cᵖ of each window at the collocation doses (mean over the
        members), and its root mean square over windows.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(
        ...     seeds=(1, 2), gauss_newton_iterations=3, show_progressbar=False
        ... )
        >>> figure = result.plot_diagnostics()
        """
        from hyperspy_dosekin.plotting.kinetics.diagnostics import plot_diagnostics
        from hyperspy_dosekin.signals.kinetics.result.pictures import diagnostics_picture

        return drawn(plot_diagnostics, diagnostics_picture(self.numbers), options)

    @takes_figure_options
    def plot_ablation(
        self, *, extent: float = 1.5, iterations: int = 200, **options: Unpack[FigureOptions]
    ) -> FigureBase:
        """Draw the fit beside a cubic polynomial and the same network without physics.

        Below each panel the distance of each model from the law, dC/dφ + k Cᵖ; above it R². The
        network without physics has neither the law nor the initial condition C(0) = 1.

        Parameters
        ----------
        extent
            How far to extrapolate, in units of the largest measured dose.
        iterations
            Length of the training of the network without physics, by L-BFGS.
        **options
            Of the figure.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(
        ...     seeds=(1, 2), gauss_newton_iterations=3, show_progressbar=False
        ... )
        >>> figure = result.plot_ablation(iterations=3)
        """
        from hyperspy_dosekin.plotting.kinetics.ablation import plot_ablation
        from hyperspy_dosekin.signals.kinetics.result.pictures import ablation_picture

        return drawn(plot_ablation, ablation_picture(self.numbers, extent, iterations), options)

    def _plot_map(self, name: str, method: str, options: MapOptions) -> FigureBase:
        """Show a map as HyperSpy does, with names of windows and a navigator of its own."""
        numbers = self.numbers.computed()
        values = numbers.map(name)
        defaults: dict[str, object] = {}
        if len(numbers.space_shape) == 2:
            # In grey, a blank pixel would look like a large dose.
            defaults["cmap"] = "viridis"
        if numbers.has_intervals:
            known = np.asarray(numbers.map("identifiable"))
            share = 100 * known.reshape(len(known), -1).mean(axis=1)
            # The share of pixels that are determined, against the window.
            defaults["navigator"] = Signal1D(share)
            if name == "half_integrity_dose":
                values = np.where(known, values, np.nan)
        signal = self._map(values, name)
        (figure,) = show_maps(method, [signal], options, signal.plot, **defaults)
        navigator = signal._plot.navigator_plot
        if numbers.has_intervals and navigator is not None and "navigator" not in options:
            navigator.ax.set(title="D½ determined", ylabel="share of pixels (%)")
        return figure
