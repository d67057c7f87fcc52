# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a kinetics result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class KineticsPlots:
    """Methods of `DoseKinetics` that draw; each fills a picture and hands it to the plotting room.

    Curves need a result without space axes; maps are signals and have their own ``plot()``.
    """

    def plot(self, **options: Any) -> Figure:
        """Draw the integrity of every window against dose, with D½; for maps, images of D½.

        Parameters
        ----------
        **options
            Passed to the figure, or to the ``plot`` of the map.
        """
        if self.space_shape:
            return _plot_map(self.half_integrity_dose, options)
        from hyperspy_dosekin.plotting.curves import plot_integrity
        from hyperspy_dosekin.signals._pictures import curve_picture

        return plot_integrity(curve_picture(self), **options)

    def plot_fit(self, **options: Any) -> Any:
        """Draw the intensities with their fit, a panel for each window; for maps, side by side.

        Parameters
        ----------
        **options
            Passed to the figure, or to `hyperspy.api.plot.plot_signals`.
        """
        if self.space_shape:
            import hyperspy.api as hs

            return hs.plot.plot_signals([self.data, self.fitted], **options)
        from hyperspy_dosekin.plotting.curves import plot_fit
        from hyperspy_dosekin.signals._pictures import curve_picture

        return plot_fit(curve_picture(self), **options)

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
        """
        if self.space_shape:
            maps = (*self.parameters.values(), self.half_integrity_dose)
            return [_plot_map(signal, options) for signal in maps]
        from hyperspy_dosekin.plotting.parameters import plot_parameters
        from hyperspy_dosekin.signals._pictures import parameter_picture

        return plot_parameters(parameter_picture(self), **options)

    def plot_diagnostics(self, **options: Any) -> Figure:
        """Draw the residuals, the loss terms and the learning rate of a network fit."""
        from hyperspy_dosekin.plotting.diagnostics import plot_diagnostics
        from hyperspy_dosekin.signals._pictures import diagnostics_picture

        return plot_diagnostics(diagnostics_picture(self), **options)

    def plot_ablation(self, *, extent: float = 1.5, iterations: int = 40, **options: Any) -> Figure:
        """Draw the fit beside a cubic polynomial and the same network without physics.

        Parameters
        ----------
        extent
            How far to extrapolate, in units of the largest measured dose.
        iterations
            Length of the training of the network without physics.
        options
            Passed to the figure.
        """
        from hyperspy_dosekin.plotting.ablation import plot_ablation
        from hyperspy_dosekin.signals._pictures import ablation_picture

        return plot_ablation(ablation_picture(self, extent, iterations), **options)


def _plot_map(signal: Any, options: dict[str, Any]) -> Figure:
    signal.plot(**options)
    return signal._plot.signal_plot.figure
