# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controls of dose axis, processing, fit and region, each linked to a trait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets
from link_traits import link

from hyperspy_dosekin.gui.ipywidgets.boxes import row_of
from hyperspy_dosekin.gui.ipywidgets.number import NumberText
from hyperspy_dosekin.gui.tools import DoseKineticsTool

if TYPE_CHECKING:
    from traitlets.utils.bunch import Bunch

_WIDE = {"description_width": "150px"}
_ROW = {"width": "300px"}
_SIDES = {"faster": "Window with the larger rate k", "slower": "Window with the smaller rate k"}


class Controls:
    """Tabs of controls.

    Parameters
    ----------
    tool
        State that they are linked to.
    """

    def __init__(self, tool: DoseKineticsTool) -> None:
        self.tool = tool
        self.wdict: dict[str, object] = {}
        self.links: list[object] = []
        tabs = {
            "Dose": self._dose(),
            "Processing": self._processing(),
            "Fit": self._fit(),
            "Follow": self._follow(),
        }
        self.widget = ipywidgets.Tab(children=list(tabs.values()), titles=tuple(tabs))
        self.widget.layout.width = "100%"

    def _add(self, name: str, owner: object, trait: str, widget: Any) -> Any:
        """Link a widget to a trait, and keep both."""
        shown = "number" if isinstance(widget, NumberText) else "value"
        setattr(widget, shown, getattr(owner, trait))
        widget.add_class(f"dk-{name.replace('_', '-')}")
        self.links.append(link((owner, trait), (widget, shown)))
        self.wdict[name] = widget
        return widget

    def _number(self, name: str, owner: object, trait: str, text: str) -> Any:
        widget = NumberText(self.tool.refuse, description=text, style=_WIDE, layout=_ROW)
        return self._add(name, owner, trait, widget)

    def _box(self, name: str, owner: object, trait: str, text: str) -> Any:
        widget = ipywidgets.Checkbox(description=text, indent=False, layout={"width": "auto"})
        return self._add(name, owner, trait, widget)

    def _choice(self, name: str, owner: object, trait: str, text: str, options: object) -> Any:
        widget = ipywidgets.Dropdown(
            description=text, options=options, style=_WIDE, layout={"width": "380px"}
        )
        return self._add(name, owner, trait, widget)

    def _dose(self) -> Any:
        dose = self.tool.dose
        sources = [("Dose rate × frame time", "rate")]
        if dose.has_dose:
            sources.insert(0, ("Axis of the signal", "signal"))
        source = self._choice("dose_source", dose, "source", "Doses from", sources)
        rows = [source]
        if len(dose.axes) > 1 and not dose.has_dose:
            options = [(text, place) for place, text in enumerate(dose.axes)]
            rows.append(self._choice("dose_axis", dose, "axis", "Axis of frames", options))
        rates = [
            self._number("dose_rate", dose, "dose_rate", dose.trait("dose_rate").label),
            self._number("frame_time", dose, "frame_time", "Frame time (s)"),
        ]
        moment = self._choice(
            "dose_at", dose, "at", "Dose of a frame at its", ["end", "middle", "start"]
        )
        exposure = self._number(
            "pre_exposure", dose, "pre_exposure", dose.trait("pre_exposure").label
        )

        def enable(event: object = None) -> None:
            for widget in (*rates, moment):
                widget.disabled = dose.source != "rate"

        enable()
        dose.observe(enable, "source")
        return ipywidgets.VBox([*rows, *rates, exposure, moment])

    def _processing(self) -> Any:
        processing = self.tool.processing
        on = self._box("process", processing, "on", "Process low loss (counts → single scattering)")
        names = ("align", "spikes", "dark", "deconvolve", "normalise")
        steps = [self._box(name, processing, name, processing.trait(name).label) for name in names]
        background = self._box("background", processing, "background", "Power-law background")
        ends = [
            self._number(f"background_{end}", processing, f"background_{end}", text)
            for end, text in (("left", "from (eV)"), ("right", "to (eV)"))
        ]
        for widget in ends:
            widget.style.description_width = "62px"
            widget.layout.width = "132px"
        resolution = self._choice(
            "resolution",
            processing,
            "resolution",
            "Energy resolution",
            [("as recorded", "zero_loss"), ("sharpened", "sharpened")],
        )

        def enable(event: object = None) -> None:
            for widget in (*steps, background, resolution):
                widget.disabled = not processing.on
            for widget in ends:
                widget.disabled = not (processing.on and processing.background)

        enable()
        processing.observe(enable, "on")
        processing.observe(enable, "background")
        grid = ipywidgets.GridBox(steps, layout={"grid_template_columns": "auto auto"})
        return ipywidgets.VBox([on, grid, row_of([background, *ends]), resolution])

    def _fit(self) -> Any:
        fit = self.tool.fit
        law = self._choice("law", fit, "law", "Kinetic law", fit.laws)
        offset_known = self._box("offset_known", fit, "offset_known", "Offset b known:")
        offset = self._add(
            "offset",
            fit,
            "offset",
            ipywidgets.Text(
                continuous_update=False,
                tooltip="Offset b: a number, or one for each window with semicolons between them",
                layout={"width": "200px"},
            ),
        )
        exponent = self._choice(
            "exponent",
            fit,
            "exponent",
            "Exponent p",
            [("free in each window", "free"), ("known:", "known"), ("shared by all", "shared")],
        )
        exponent.layout.width = "330px"
        value = self._add(
            "exponent_value",
            fit,
            "exponent_value",
            NumberText(self.tool.refuse, tooltip="Exponent p", layout={"width": "80px"}),
        )
        hierarchy = self._box("hierarchy", fit, "hierarchy", "Hierarchy: k of")
        sides = {}
        for side in ("faster", "slower"):
            sides[side] = self._side(side)
        estimator = self._choice(
            "estimator",
            fit,
            "estimator",
            "Apply keeps",
            [("the exact fit", "exact"), ("the network's fit", "pinn")],
        )
        protocol = self._choice(
            "protocol",
            fit,
            "protocol",
            "Network training",
            [("fast (seconds)", "fast"), ("as in the paper (minutes)", "paper")],
        )
        rows = [
            law,
            row_of([offset_known, offset, ipywidgets.Label("(unit of the areas)")]),
            row_of([exponent, value]),
            row_of([hierarchy, sides["faster"], ipywidgets.Label("≥ k of"), sides["slower"]]),
            estimator,
        ]
        if self.tool.region.sizes:
            rows.append(
                self._choice(
                    "extent",
                    fit,
                    "extent",
                    "Apply fits",
                    [("what is shown", "region"), ("every pixel (maps)", "pixels")],
                )
            )
        rows.append(protocol)

        def enable(event: object = None) -> None:
            offset.disabled = not fit.offset_known
            # What the others have no use for.
            for widget in (exponent, hierarchy, estimator, protocol):
                widget.disabled = not fit.is_power_law
            value.disabled = fit.exponent != "known" or exponent.disabled
            for widget in sides.values():
                widget.disabled = not fit.hierarchy or hierarchy.disabled

        enable()
        for name in ("law", "offset_known", "exponent", "hierarchy"):
            fit.observe(enable, name)
        return ipywidgets.VBox(rows)

    def _follow(self) -> object:
        tool, following = self.tool, self.tool.following

        def text(name: str) -> Any:
            widget = ipywidgets.Text(
                description=following.trait(name).label,
                continuous_update=False,
                style=_WIDE,
                layout={"width": "380px"},
            )
            return self._add(f"follow_{name}", following, name, widget)

        rows = [text("folder"), text("pattern")]
        rows += [
            self._number(f"follow_{name}", following, name, following.trait(name).label)
            for name in ("precision", "dose")
        ]
        rows.append(text("store"))
        button = ipywidgets.Button(
            description="Follow this folder",
            tooltip="Take the frames of the folder as they arrive",
            icon="eye",
            layout={"width": "auto"},
        )
        button.add_class("dk-follow-button")
        button.on_click(lambda _: tool.follow_folder())

        def enable(event: object = None) -> None:
            button.disabled = tool.worker.running

        enable()
        tool.worker.observe(enable, "running")
        self.wdict["follow_button"] = button
        return ipywidgets.VBox([*rows, button])

    def _side(self, side: str) -> Any:
        """A choice of windows; its options change with them, which a link does not survive."""
        fit, windows = self.tool.fit, self.tool.windows
        widget = ipywidgets.Dropdown(layout={"width": "110px"}, tooltip=_SIDES[side])
        widget.add_class(f"dk-{side}")
        busy = [False]

        def show(event: object = None) -> None:
            busy[0] = True
            try:
                chosen, names = getattr(fit, side), windows.names
                widget.options = names if chosen in names else (*names, chosen)
                widget.value = chosen
            finally:
                busy[0] = False

        def choose(change: Bunch) -> None:
            if not busy[0] and change["new"] is not None:
                setattr(fit, side, change["new"])

        show()
        widget.observe(choose, "value")
        fit.observe(show, side)
        windows.observe(show, "listed")
        self.wdict[side] = widget
        return widget


class RegionControls:
    """Which pixel, or how many of them: for those who have no mouse, or want a certain one."""

    def __init__(self, tool: DoseKineticsTool) -> None:
        self.tool = tool
        region = tool.region
        self._busy = False
        self.mode = ipywidgets.Dropdown(
            options=[("pixel", "pixel"), ("rectangle", "rectangle"), ("all pixels", "all")],
            value=region.mode,
            tooltip="What the figures show",
            layout={"width": "110px"},
        )
        self.mode.add_class("dk-region")
        self.links = [link((region, "mode"), (self.mode, "value"))]
        self.indices = [
            ipywidgets.BoundedIntText(
                value=index,
                min=0,
                max=size - 1,
                description=f"{name}",
                style={"description_width": "20px"},
                layout={"width": "84px"},
            )
            for name, index, size in zip(
                self._axis_names(), region.indices, region.sizes, strict=True
            )
        ]
        for widget in self.indices:
            widget.add_class("dk-index")
            widget.observe(self._go, "value")
        self.widget = row_of([self.mode, *self.indices])
        region.observe(self._show, "indices")
        region.observe(self._show, "mode")
        self._show()

    def _axis_names(self) -> list[str]:
        axes = self.tool.signal.axes_manager.navigation_axes
        names = [axis.name for place, axis in enumerate(axes) if place != self.tool.dose.axis]
        return [name if isinstance(name, str) and name else "?" for name in names]

    def _go(self, change: Bunch) -> None:
        if not self._busy:
            indices = tuple(widget.value for widget in self.indices)
            self.tool.attempt(self.tool.region.go_to, indices)

    def _show(self, event: object = None) -> None:
        self._busy = True
        try:
            for widget, index in zip(self.indices, self.tool.region.indices, strict=False):
                widget.value = index
                widget.disabled = self.tool.region.mode != "pixel"
        finally:
            self._busy = False
