# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a folder: frames are taken as they arrive, by the engine of `LiveKinetics`."""

from __future__ import annotations

from typing import Any

import numpy as np
import traits.api as t

from hyperspy_dosekin.gui.kinetics.actions import KineticsActions
from hyperspy_dosekin.gui.kinetics.code import write_following_code
from hyperspy_dosekin.gui.kinetics.controls import DoseControls, ProcessingControls
from hyperspy_dosekin.plotting.kinetics.growing import GrowingPicture
from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics
from hyperspy_dosekin.signals.live.folder import FILES
from hyperspy_dosekin.signals.live.kinetics import LiveKinetics
from hyperspy_dosekin.signals.live.posterior import DosePosterior

#: Controls of the processing, and the steps that a single frame allows.
_STEPS = {"dark": "pedestal", "align": "align", "normalise": "normalise"}
#: Steps that need the whole series.
_LATER = {
    "deconvolve": "deconvolution",
    "spikes": "removal of spikes",
    "background": "subtraction of a background",
}
#: Doses of a series are evenly spaced to this share of a step.
_EVEN = 1e-6


class Following(t.HasTraits):
    """The folder that is followed, when to stop, and what is known by now.

    Attributes
    ----------
    folder, pattern
        The folder, and names of the files that count, with semicolons between them.
    precision
        Percent to which D½ of all windows is to be known before the series stops; 0 for no rule.
    dose
        Dose that is not to be exceeded, in the unit of the doses; 0 for no rule.
    store
        Name of a ``.zspy`` file that frames are written to as they come; empty for none.
    live
        The `LiveKinetics` that was followed last, or is followed now.
    picture
        What is drawn of it; another one after every frame.
    result
        The fit of all of its frames, once it has ended.
    code
        The calls that do the same.
    """

    folder = t.Str(label="Folder")
    pattern = t.Str("; ".join(FILES), label="Names of files")
    precision = t.Float(0.0, label="Stop at D½ ± (%)")
    dose = t.Float(0.0, label="Stop before dose")
    store = t.Str(label="Keep frames in (.zspy)")
    settle = t.Float(1.0)

    live = t.Instance(LiveKinetics)
    picture = t.Instance(GrowingPicture)
    result = t.Instance(DoseKinetics)
    code = t.Str()

    def rules(self) -> list[dict[str, float]]:
        """When to stop, as `LiveKinetics` takes it.

        Raises
        ------
        ValueError
            If a number is negative.
        """
        rules = []
        for name, value, rule in (
            ("precision", self.precision, {"half_integrity_dose": self.precision / 100}),
            ("dose", self.dose, {"dose": self.dose}),
        ):
            if not value >= 0:
                text = self.trait(name).label
                raise ValueError(f"{text}: {value:g} must be a number above zero, or 0 for never.")
            if value:
                rules.append(rule)
        return rules

    def patterns(self) -> list[str]:
        """Names of the files that count.

        Raises
        ------
        ValueError
            If there is none.
        """
        found = [name.strip() for name in self.pattern.split(";") if name.strip()]
        if not found:
            raise ValueError("type the names of the files that count, such as *.dm4; *.hspy.")
        return found


class FollowingActions(KineticsActions):
    """The part of `DoseKineticsTool` that follows a folder.

    Attributes
    ----------
    following
        Its settings, and what is known by now.
    """

    following = t.Instance(Following, (), allow_none=False)

    def follow_folder(self) -> None:
        """Take the files of the folder as they arrive, with the windows as they are now.

        It goes on, beside everything else, until a rule or Stop ends it. Then `result` is the fit
        of its frames, which Save saves.
        """
        following = self.following
        try:
            folder = following.folder.strip()
            if not folder:
                raise ValueError("type the name of the folder that files arrive in.")
            patterns, settle = following.patterns(), following.settle
            arguments = self._live_arguments()
            live = LiveKinetics(**arguments)

            # The folder is looked at here, so that a wrong one is told at once.
            arriving = live.watch(
                folder,
                pattern=patterns,
                settle=settle,
                until=lambda: self.worker.stopping,
            )
            self.worker.start(
                "Following",
                lambda report, stop: self._follow(live, arriving, report),
                self._followed,
                self._fail,
            )
        except Exception as error:
            self._fail(error)
            return
        code = write_following_code(arguments, folder, patterns, settle)
        following.trait_set(live=live, result=None, code=code)
        late = [
            text
            for name, text in _LATER.items()
            if self.processing.on and getattr(self.processing, name)
        ]
        less = f" One frame alone allows no {' and no '.join(late)}." if late else ""
        self._say(f"Following {folder}: frames are taken as they arrive.{less}")

    @property
    def code(self) -> str:
        """The calls that give `result`, with those that have followed a folder if they did."""
        followed = self.following.result
        if followed is not None and self.result is followed:
            return self.following.code
        return super().code

    def _live_arguments(self) -> dict[str, Any]:
        """Arguments of `LiveKinetics` from the controls."""
        options = self.fit.options(self.windows.names, "exact", spatial="mean")
        rules = self.following.rules()
        found = {
            "windows": self.windows.as_dict(),
            **exposure_of(self.dose),
            "stop_when": rules or None,
            "process": steps_of_frames(self.processing),
            "store": self.following.store.strip() or None,
            **options.given(),
        }
        # The intervals of a result are there whenever they are asked for.
        found.pop("intervals", None)
        return {name: value for name, value in found.items() if value is not None}

    def _follow(self, live: LiveKinetics, arriving: Any, report: Any) -> LiveKinetics:
        """Take the frames, in the thread of the worker."""
        budget = self.following.dose
        for posterior in arriving:
            picture = live.picture()
            self.worker.deliver(lambda p=posterior, shown=picture: self._frame_came(live, p, shown))
            if budget:
                report("Following", min(round(1000 * posterior.dose / budget), 999), 1000)
        return live

    def _frame_came(self, live: LiveKinetics, posterior: DosePosterior, picture: Any) -> None:
        if self.following.live is not live:
            return
        broken = live.report.broken
        last = max(broken, default=None)
        told = "" if last is None else f" Frame {last} is not used: {broken[last]}."
        self._say(f"Following: {posterior.headline}.{told}")
        # Of several that wait only the last is worth drawing.
        if posterior.n_frames == live.n_frames:
            self.following.picture = picture

    def _followed(self, live: LiveKinetics) -> None:
        following = self.following
        if live.n_frames:
            following.picture = live.picture()
        try:
            following.result = live.result(show_progressbar=False)
        except ValueError as error:
            self._say(f"{live.posterior.headline}. There is no fit of them: {error}")
            return
        self.result = following.result
        self._say(
            f"{live.posterior.headline}. The fit of these frames is tool.result; "
            "tool.following.live takes further ones."
        )


def exposure_of(dose: DoseControls) -> dict[str, object]:
    """Arguments of `LiveKinetics` that say how doses follow.

    Raises
    ------
    ValueError
        If the doses of the frames to come do not follow from them.
    """
    if dose.source == "rate":
        given = dose.arguments()
        if dose.at != "end":
            raise ValueError(
                f"the dose of a frame at its {dose.at}: frames that are followed count at their "
                'end; choose "end".'
            )
        return {name: value for name, value in given.items() if name != "axis"}
    doses = np.asarray(dose.doses)
    step = float(np.diff(doses).mean()) if doses.size > 1 else 0.0
    even = step > 0 and np.allclose(np.diff(doses), step, rtol=0, atol=_EVEN * step)
    before = float(doses[0] - step) if even else 0.0
    if not even or before < -_EVEN * step:
        raise ValueError(
            "the doses of the signal do not say how those of the next frames follow: choose dose "
            "rate × frame time."
        )
    # Only the product of rate and time counts where no times are given.
    found = {"dose_rate": step, "frame_time": 1.0, "dose_unit": dose.unit}
    before += dose.pre_exposure - dose.recorded
    return found if before < _EVEN * step else {**found, "pre_exposure": before}


def steps_of_frames(processing: ProcessingControls) -> list[str] | None:
    """Steps that are made of each frame; ``None`` for none."""
    if not processing.on:
        return None
    return [step for name, step in _STEPS.items() if getattr(processing, name)] or None
