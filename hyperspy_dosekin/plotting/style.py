# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours, labels and layout that all figures share. No global setting is changed."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.units import with_unit

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.text import Text

WINDOW_NOTE = "Window names are labels of fixed energy windows, not bond assignments."
OPTIMISER_SPREAD = "±1 sd optimiser spread, not an uncertainty"
DOUBTFUL_NOTE = "Doubtful: the kinetic law does not describe the data, see check()."
UNTESTED_NOTE = "Whether the data determine D½ was not examined."
BEYOND = "beyond the measured doses"
MIXED = "grows: mixed response"
MIXED_NOTE = (
    "Mixed response: the window grows while C falls, so that C is a monotonic coordinate there "
    "and not a population."
)
NO_DATA = "no data"

#: Colours of M. Okabe & K. Ito, told apart with every common colour vision, without the yellow,
#: which is too pale for a line on white; black comes last, since it also draws reference lines.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F4F24", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "<", "X", ">", "p", "h", "*")
_LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (9, 2)))
#: Line styles of models, whose colours have to differ from each other within one panel.
MODEL_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
GREY = "0.45"
_HATCH: dict[str, Any] = {"facecolor": "0.93", "edgecolor": "0.85", "hatch": "////", "lw": 0}
SMALL = 8.0
TINY = 7.0
#: Mean width of a letter of the default font, in units of its size.
_LETTER_WIDTH = 0.58


@dataclass(frozen=True)
class WindowStyle:
    """How one window is drawn wherever it appears."""

    colour: Any
    marker: str
    line: object


def window_styles(n_window: int) -> list[WindowStyle]:
    """One style for each window: distinct colours up to 8, then a sequential colour map."""
    colours: Sequence[object] = _COLOURS
    if n_window > len(_COLOURS):
        from matplotlib import colormaps

        # The pale end of the map would vanish on white.
        colours = [tuple(c) for c in colormaps["viridis"](np.linspace(0.0, 0.9, n_window))]
    return [
        WindowStyle(colours[i], _MARKERS[i % len(_MARKERS)], _LINES[i % len(_LINES)])
        for i in range(n_window)
    ]


def window_note(energy_windows: bool) -> str:
    """What is to be said of the names of windows; nothing of spots or of lines."""
    return WINDOW_NOTE if energy_windows else ""


def wrap(text: str, characters: int) -> str:
    """Break a text into lines of so many characters; words that are too long are cut."""
    lines = [textwrap.wrap(line, max(characters, 4)) or [""] for line in text.split("\n")]
    return "\n".join(line for group in lines for line in group)


def characters_in(width: float, size: float) -> int:
    """How many letters of a size in points fit into a width in inches."""
    return int(width * 72 / (size * _LETTER_WIDTH))


def dose_text(dose: float) -> str:
    """Dose with three significant digits, without powers of ten where one can do without."""
    if not math.isfinite(dose):
        return "∞" if dose > 0 else "–"
    if dose == 0 or not 1e-3 <= abs(dose) < 1e6:
        return f"{dose:.3g}"
    decimals = 2 - math.floor(math.log10(abs(dose)))
    return f"{round(dose, decimals):.{max(decimals, 0)}f}"


#: Numbers in a decade that axes are labelled at, from many to few.
_IN_A_DECADE = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))


def numbers_in_a_decade(ratio: float, labels: float = math.inf) -> tuple[float, ...]:
    """The multiples of powers of ten to label between two ends of this ratio, so many at most."""
    decades = math.log10(ratio)
    fitting = (each for each in _IN_A_DECADE if decades * len(each) < labels)
    return next(fitting, _IN_A_DECADE[-1])


def plain_numbers(axis: Axis) -> None:
    """Label an axis with numbers as they are written in a text, without powers of ten."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def logarithmic(axis: Axis, labels: float = math.inf) -> None:
    """Label a logarithmic axis, whose limits are set, with plain numbers.

    Parameters
    ----------
    axis
        The axis.
    labels
        How many find room beside each other.
    """
    from matplotlib.ticker import LogLocator

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=numbers_in_a_decade(high / low, labels)))
    plain_numbers(axis)


def dose_label(unit: str) -> str:
    """Label of a dose axis."""
    return with_unit("Cumulative dose", unit)


def interval_label(level: float, method: str) -> str:
    """Name of an interval, such as ``95 % posterior interval``."""
    return f"{100 * level:g} % {method} interval"


def flag(values: np.ndarray | None, index: int, default: bool) -> bool:
    """Entry of an optional boolean array."""
    return default if values is None else bool(values[index])


def doubtful(identifiable: np.ndarray | None, adequate: np.ndarray | None) -> bool:
    """Whether a half-integrity dose is determined under a law that does not describe the data."""
    return adequate is not None and bool(np.any(~adequate & (identifiable is None or identifiable)))


def half_dose_status(
    value: float,
    reached: bool,
    identifiable: bool,
    lower: float | None = None,
    upper: float | None = None,
    *,
    adequate: bool = True,
) -> str:
    """Say in a few words what is known about a half-integrity dose.

    Parameters
    ----------
    value
        D½, NaN where C never falls to ½.
    reached
        Whether it lies in the measured range.
    identifiable
        Whether the data determine it; if they do not, its value is not printed.
    lower, upper
        Its interval, if there is one.
    adequate
        Whether the law describes the data; if not, the value is doubtful.
    """
    span = ""
    if lower is not None and upper is not None and not np.isnan([lower, upper]).any():
        # No-break spaces keep a relation and its number on one line.
        if np.isfinite(upper):
            less = f"<\u00a0{dose_text(upper)}"
            span = f"{dose_text(lower)}–{dose_text(upper)}" if lower > 0 else less
        elif lower > 0:
            span = f">\u00a0{dose_text(lower)}"
    span = f" ({span})" if span else ""
    if not identifiable:
        return f"D½ not determined{span}"
    if not np.isfinite(value):
        return f"D½ not reached in range{span}"
    text = f"D½ = {dose_text(value)}{span}"
    text = text if adequate else f"{text}, doubtful"
    return text if reached else f"{text}, not reached in range"


def shade_beyond(axes: Axes, start: float, stop: float, text: str) -> bool:
    """Shade doses from `start` to `stop` and name them; ``False`` if there are none."""
    if not stop > start * (1 + 1e-9):
        return False
    axes.axvspan(start, stop, **_HATCH, zorder=0)
    axes.axvline(start, color=GREY, lw=0.8, ls=(0, (1, 1)), zorder=1)
    if text:
        # Below the curves, of which the slowest stay high; a narrow strip is left to the left.
        narrow = stop - start < 0.2 * stop
        axes.text(
            0.99 * stop if narrow else (start + stop) / 2,
            0.02,
            text,
            transform=axes.get_xaxis_transform(),
            ha="right" if narrow else "center",
            va="bottom",
            fontsize=TINY,
            color="0.25",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        )
    return True


def data_limits(*arrays: np.ndarray, margin: float = 0.08) -> tuple[float, float] | None:
    """Limits around all finite numbers of some arrays; ``None`` if there are none."""
    parts = [np.asarray(a, dtype=float).ravel() for a in arrays]
    numbers = np.concatenate(parts) if parts else np.empty(0)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return None
    low, high = float(numbers.min()), float(numbers.max())
    room = margin * (high - low) or 0.05 * abs(high) or 0.5
    return low - room, high + room


def say_no_data(axes: Axes) -> None:
    """Write in the middle of an empty panel that it has no data."""
    axes.text(0.5, 0.5, NO_DATA, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set_yticks([])


def draw_interval(
    axes: Axes, row: float, lower: float, upper: float, *, upright: bool = False, **look: Any
) -> bool:
    """Draw an interval; an end that is open or outside the axis becomes an arrow.

    Parameters
    ----------
    axes
        Axes to draw in, with their limits.
    row
        Its height, or its place across where it is upright.
    lower, upper
        Its ends; nothing is drawn if one is NaN.
    upright
        Whether it stands.
    **look
        Of the line and the arrows, such as ``color``.

    Returns
    -------
    bool
        Whether there is an interval.
    """
    first, last = axes.get_ylim() if upright else axes.get_xlim()
    if np.isnan([lower, upper]).any():
        return False
    turn, arrows = (-1, "v^") if upright else (1, "<>")
    axes.plot(
        *(np.clip([lower, upper], first, last), [row, row])[::turn],
        lw=2,
        solid_capstyle="butt",
        zorder=3,
        **look,
    )
    for end, arrow, outside in zip(
        (first, last), arrows, (lower < first, upper > last), strict=True
    ):
        if outside:
            axes.plot(*([end], [row])[::turn], arrow, ms=5.5, clip_on=False, zorder=5, **look)
    return True


def draw_data(
    axes: Axes,
    dose: np.ndarray,
    values: np.ndarray,
    sigma: np.ndarray | None,
    look: WindowStyle,
    shown: dict[str, Any],
) -> None:
    """Draw measured points with their noise, and a cross at the doses of missing frames.

    Parameters
    ----------
    axes
        Axes to draw in.
    dose, values, sigma
        Shape ``(n_dose,)`` each; NaN values are missing frames.
    shown
        Legend entries by label, to which those of the points are added.
    """
    from matplotlib.lines import Line2D

    present = np.isfinite(values)
    points: dict[str, Any] = {
        "ls": "none",
        "marker": look.marker,
        "ms": 4,
        "mec": "black",
        "mew": 0.5,
    }
    error = None if sigma is None else np.nan_to_num(sigma[present])
    axes.errorbar(
        dose[present],
        values[present],
        yerr=error,
        color=look.colour,
        capsize=2,
        elinewidth=1,
        zorder=4,
        **points,
    )
    label = "data" if sigma is None else "data ± noise (1σ)"
    shown[label] = Line2D([], [], **{**points, "marker": "o"}, color="0.4")
    if not present.all():
        cross: dict[str, Any] = {"marker": "x", "ms": 5, "color": GREY, "ls": "none"}
        transform = axes.get_xaxis_transform()
        axes.plot(dose[~present], np.full((~present).sum(), 0.04), transform=transform, **cross)
        shown["missing frame"] = Line2D([], [], **cross)


def hatched() -> Artist:
    """Legend entry of `shade_beyond`."""
    from matplotlib.patches import Patch

    return Patch(**_HATCH)


def as_they_are(texts: Iterable[Text]) -> None:
    """Show texts as they are: names of people's windows and classes may hold dollar signs."""
    for text in texts:
        text.set_parse_math(False)
