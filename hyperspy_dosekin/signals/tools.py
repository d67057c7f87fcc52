# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the interactive tools.

Tools are built upon signals and not the other way round. HyperSpy finds the view of a tool in its
registry, by the key under which ``hyperspy_extension.yaml`` lists it, when somebody asks for it.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import matplotlib
from hyperspy.defaults_parser import preferences
from hyperspy.ui_registry import get_gui
from traits.api import HasTraits

from hyperspy_dosekin.signals.kinetics.options.fit_options import METHOD_OPTIONS, takes_fit_options
from hyperspy_dosekin.signals.signatures import refuse_unknown

if TYPE_CHECKING:
    from hyperspy_dosekin.windows.definitions import WindowsLike


def open_tool(
    thing: Any, toolkey: str, *, display: bool = True, toolkit: str | None = None, **options: Any
) -> HasTraits | dict[str, object]:
    """Make a tool for a signal or a result, and show it.

    Parameters
    ----------
    thing
        What the tool is opened for.
    toolkey
        Key of the tool in HyperSpy's registry.
    display
        Whether to show it now.
    toolkit
        Of HyperSpy: ``"ipywidgets"``, for notebooks, or ``"traitsui"``, for windows of Qt; ``None``
        takes what fits the session.
    **options
        Of the tool.

    Returns
    -------
    HasTraits or dict
        The state of the tool; with ``display=False`` its widgets, as HyperSpy's own tools do:
        ``{toolkit: {"widget": …, "wdict": …}}``, the state being ``wdict["tool"]``.

    Raises
    ------
    ImportError
        If the widgets are not installed; the message says how to get them.
    """
    opened: list[HasTraits] = []
    shown = get_gui(
        thing, toolkey, display=display, toolkit=usable(toolkit), opened=opened, **options
    )
    return opened[-1] if shown is None else shown


def usable(toolkit: str | None) -> str | None:
    """Toolkit to ask HyperSpy for.

    Windows of Qt belong to a session whose figures are windows of Qt, as of IPython; elsewhere, as
    in a notebook, tools are made of widgets.

    Parameters
    ----------
    toolkit
        What somebody has asked for; ``None`` takes what fits the session.
    """
    if toolkit is not None:
        return toolkit
    windows = "qt" in matplotlib.get_backend().lower() and find_spec("hyperspy_gui_traitsui")
    wanted = getattr(preferences.GUIs, "enable_traitsui_gui", True)
    return "traitsui" if windows and wanted else "ipywidgets"


@takes_fit_options("spatial")
def dose_kinetics_tool(
    self: Any,
    windows: WindowsLike | None = None,
    *,
    display: bool = True,
    toolkit: str | None = None,
    **options: Any,
) -> HasTraits | dict[str, object]:
    """Choose energy windows with the mouse and see the kinetics of each at once, in a notebook.

    The spectra of all frames lie over each other, coloured by dose, with a span for each window to
    be dragged, renamed, added or removed. Below, the area of each window against dose with the
    exact fit and its 95 % interval, and a table of k, p and D½ that says whether the data determine
    D½. Dose axis, processing and what is known before the fit are chosen beside it. Of a spectrum
    image a pixel, a rectangle or all pixels are looked at; the pixel follows the pointer of
    ``s.plot()``.

    The signal is not changed. Apply keeps the result as ``tool.result`` and as ``s.dose_kinetics``,
    and Show code writes the calls that give the same numbers without the tool.

    Parameters
    ----------
    windows
        Windows to begin with, as for `integrate_windows`.
    display
        Whether to show the tool now.
    toolkit
        ``"ipywidgets"``, for notebooks, or ``"traitsui"``, for windows of Qt; by default what fits
        the session.
    **options
        Options of the fit to begin with, see `FitOptions` and `NetworkConfig`.

    Returns
    -------
    DoseKineticsTool or dict
        The state of the tool. With ``display=False`` what HyperSpy's ``gui`` returns:
        ``{toolkit: {"widget": …, "wdict": …}}``, the state being ``wdict["tool"]``.

    Raises
    ------
    ImportError
        Without the extra ``hyperspy_dosekin[gui]``.
    TypeError
        If an option is unknown.
    ValueError
        If the signal has no navigation axis, no window lies on the energy axis, or an option of the
        fit is none that the tool can show.

    Examples
    --------
    >>> from hyperspy_dosekin.data import dose_series
    >>> s = dose_series()
    >>> shown = s.dose_kinetics_tool(display=False)
    >>> tool = shown["ipywidgets"]["wdict"]["tool"]
    >>> tool.windows.set_limits("C–C", 4.2, 6.8)
    >>> print(tool.table[1].window, tool.table[1].half_dose)
    C–C not determined
    >>> tool.close()
    """
    refuse_unknown("dose_kinetics_tool", options, METHOD_OPTIONS)
    return open_tool(
        self,
        "hyperspy_dosekin.DoseKineticsTool",
        display=display,
        toolkit=toolkit,
        windows=windows,
        **options,
    )
