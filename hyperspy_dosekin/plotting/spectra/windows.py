# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figure of spectra by dose, and of the windows in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.plotting import layout, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

#: Ratio of the largest to the middle intensity from which only a logarithm shows both.
_LOG_RATIO = 50.0
#: Lines beyond which each dose would only hide its neighbours.
_MOST_LINES = 40
#: Low end of a colour scale of doses; the pale end of the map would vanish on white.
_PALE = 0.92


def plot_spectra(
    energy_ev: np.ndarray,
    spectra: np.ndarray,
    dose: np.ndarray,
    windows: Mapping[str, tuple[float, float]],
    *,
    dose_unit: str = "",
    quantity: str = "Intensity",
    difference: bool | None = None,
    logarithmic: bool | None = None,
    title: str = "",
    fig: FigureBase | None = None,
    figsize: tuple[float, float] | None = None,
) -> FigureBase:
    """Draw spectra coloured by dose, with windows shaded, and what each dose has changed.

    Parameters
    ----------
    energy_ev
        Energies in eV, ``(n_channels,)``.
    spectra
        Intensities, ``(n_dose, n_channels)``.
    dose
        Doses of the spectra, ``(n_dose,)``, in `dose_unit`.
    windows
        Limits in eV, by name; those outside the energies are left out.
    dose_unit
        Unit of the doses.
    quantity
        Label of the intensities with their unit.
    difference
        Whether a second panel shows each spectrum less the first; by default unless intensities
        are on a logarithmic axis.
    logarithmic
        Whether intensities are on a logarithmic axis; by default where the largest of them would
        hide all others, as a zero-loss peak does.
    title
        Title of the figure; none if empty.
    fig
        Empty figure or subfigure to draw in, instead of a new one.
    figsize
        Width and height in inches.

    Returns
    -------
    The figure.

    Examples
    --------
    >>> from hyperspy_dosekin.plotting import plot_spectra
    >>> energy, dose = np.linspace(1, 30, 60), np.array([100.0, 200.0])
    >>> spectra = np.exp(-energy / 20) * np.array([[1.0], [0.8]])
    >>> figure = plot_spectra(energy, spectra, dose, {"C–O": (10, 15)})
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    if logarithmic is None:
        sizes = np.abs(spectra[np.isfinite(spectra)])
        logarithmic = bool(sizes.size and sizes.max() > _LOG_RATIO * np.median(sizes) > 0)
    difference = (not logarithmic if difference is None else difference) and len(spectra) > 1
    figure = layout.new_figure(fig, figsize, (7.0, 5.6 if difference else 3.8))
    rows = 2 if difference else 1
    panels: Any = figure.subplots(
        rows, 1, sharex=True, squeeze=False, height_ratios=[3, 2][:rows]
    ).ravel()
    colours = _dose_colours()
    scale = Normalize(float(dose.min()), float(dose.max()))
    chosen = np.unique(np.linspace(0, len(spectra) - 1, min(len(spectra), _MOST_LINES)).round())
    parts = [spectra, spectra - spectra[0]]
    for axes, rows_of in zip(panels, parts, strict=False):
        for index in chosen.astype(int):
            colour = colours(scale(dose[index]))
            axes.plot(energy_ev, rows_of[index], color=colour, lw=1.0)
        axes.tick_params(labelsize=style.SMALL)
        axes.margins(x=0)
    inside = _shade(panels, windows, (float(energy_ev[0]), float(energy_ev[-1])))
    _names(panels[0], inside)
    if logarithmic:
        panels[0].set_yscale("log")
        positive = spectra[spectra > 0]
        panels[0].set_ylim(bottom=np.quantile(positive, 0.005) / 2 if positive.size else None)
    else:
        panels[0].axhline(0, color="black", lw=0.6)
    panels[0].set_ylabel(style.wrap(quantity or "Intensity", 28), fontsize=9)
    if difference:
        panels[1].axhline(0, color="black", lw=0.6)
        panels[1].set_ylabel("Less the first", fontsize=9)
        if logarithmic:
            panels[1].set_yscale("symlog", linthresh=_threshold(parts[1]))
    panels[-1].set_xlabel("Energy loss (eV)", fontsize=9)
    drawn = ScalarMappable(scale, ListedColormap(colours(np.linspace(0, 1, 256))))
    bar = figure.colorbar(drawn, ax=list(panels), fraction=0.04, pad=0.02)
    bar.set_label(style.dose_label(dose_unit), fontsize=9)
    bar.ax.tick_params(labelsize=style.SMALL)
    figure.supxlabel(
        style.WINDOW_NOTE if inside else "", x=0.01, ha="left", fontsize=style.TINY, color="0.3"
    )
    layout.put_title(figure, title)
    figure.align_ylabels()
    return figure


def _dose_colours() -> Any:
    from matplotlib import colormaps

    whole = colormaps["viridis"]
    return lambda share: whole(_PALE * np.asarray(share))


def _threshold(change: np.ndarray) -> float:
    """Where the linear middle of a symmetric logarithm ends."""
    sizes = np.abs(change[np.isfinite(change)])
    sizes = sizes[sizes > 0]
    return float(np.median(sizes)) if sizes.size else 1.0


def _shade(
    panels: Any, windows: Mapping[str, tuple[float, float]], limits: tuple[float, float]
) -> dict[str, tuple[float, float]]:
    """Shade the windows that lie in sight, and give them."""
    inside = {
        name: (max(left, limits[0]), min(right, limits[1]))
        for name, (left, right) in windows.items()
        if left < limits[1] and right > limits[0]
    }
    looks = style.window_styles(max(len(windows), 1))
    for (name, _), look in zip(windows.items(), looks, strict=True):
        if name in inside:
            for axes in panels:
                axes.axvspan(*inside[name], color=look.colour, alpha=0.13, lw=0, zorder=0)
    return inside


def _names(axes: Axes, inside: Mapping[str, tuple[float, float]]) -> None:
    """Write the names of windows above them; those that would overlap go one line up."""
    left, right = axes.get_xlim()
    width = layout.size_of(axes.figure)[0] * 0.75
    ends: list[float] = []
    for name, limits in sorted(inside.items(), key=lambda item: sum(item[1])):
        middle = (sum(limits) / 2 - left) / (right - left)
        half = 0.5 * len(name) / style.characters_in(width, style.SMALL)
        free = [line for line, end in enumerate(ends) if end < middle - half]
        line = free[0] if free else len(ends)
        if not free:
            ends.append(0.0)
        ends[line] = middle + half
        axes.annotate(
            name,
            (middle, 1),
            xycoords="axes fraction",
            xytext=(0, 3 + 1.3 * style.SMALL * line),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=style.SMALL,
        )
