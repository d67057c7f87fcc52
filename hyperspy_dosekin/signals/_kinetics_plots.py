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
        """Draw the integrity of every window against dose, with D½."""
        from hyperspy_dosekin.plotting.curves import plot_integrity
        from hyperspy_dosekin.signals._pictures import curve_picture

        return plot_integrity(curve_picture(self), **options)

    def plot_fit(self, **options: Any) -> Figure:
        """Draw the intensities with their fit, a panel for each window."""
        from hyperspy_dosekin.plotting.curves import plot_fit
        from hyperspy_dosekin.signals._pictures import curve_picture

        return plot_fit(curve_picture(self), **options)

    def plot_parameters(self, **options: Any) -> Figure:
        """Draw k, p and D½ of every window."""
        from hyperspy_dosekin.plotting.parameters import plot_parameters
        from hyperspy_dosekin.signals._pictures import parameter_picture

        return plot_parameters(parameter_picture(self), **options)

    def plot_diagnostics(self, **options: Any) -> Figure:
        """Draw the residuals, the loss terms and the learning rate of a network fit."""
        from hyperspy_dosekin.plotting.diagnostics import plot_diagnostics
        from hyperspy_dosekin.signals._pictures import diagnostics_picture

        return plot_diagnostics(diagnostics_picture(self), **options)

    def plot_ablation(self, *, extent: float = 1.5, epochs: int = 3000, **options: Any) -> Figure:
        """Draw the fit beside a cubic polynomial and the same network without physics.

        Parameters
        ----------
        extent
            How far to extrapolate, in units of the largest measured dose.
        epochs
            Length of the training of the network without physics.
        options
            Passed to the figure.
        """
        from hyperspy_dosekin.plotting.ablation import plot_ablation
        from hyperspy_dosekin.signals._pictures import ablation_picture

        return plot_ablation(ablation_picture(self, extent, epochs), **options)
