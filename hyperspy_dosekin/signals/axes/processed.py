# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was done to spectra before, as a small record and in words for a paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from hyperspy.misc.utils import DictionaryTreeBrowser
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.signals.axes.recorded_names import words_in

#: Where the record lies in the metadata of a signal.
RECORD = "Dosekin.processing"
#: What is long and not needed to tell what was done: findings, and the rest of the zero-loss peak.
_NOT_TOLD = {"diagnostics", "residue"}
#: In words, the models of the zero-loss peak that `process_low_loss` records.
_PEAKS = {
    "reflected": "its gain side and the mirror image of that",
    "fitted": "a model fitted to the mean of all spectra",
    "measured": "a measured peak",
}
_MOVES = {
    "cubic": "by cubic interpolation",
    "linear": "by linear interpolation",
    "integer": "by whole channels",
    "fourier": "by a phase in Fourier space",
}


def processing_of(signal: BaseSignal) -> dict[str, Any]:
    """The steps that a signal went through, with their settings, as plain values.

    Parameters
    ----------
    signal
        Spectra, or what was made of them.

    Returns
    -------
    dict
        ``chain``, ``version``, ``steps`` and the settings of each step; empty where nothing is
        recorded.
    """
    node = signal.metadata.get_item(RECORD)
    if not isinstance(node, DictionaryTreeBrowser):
        return {}
    record: dict[str, Any] = {"steps": words_in(node.get_item("steps", []))}
    for name in ("chain", "version"):
        record[name] = str(node.get_item(name, ""))
    for name in record["steps"]:
        step = node.get_item(name)
        record[name] = _settings(step) if isinstance(step, DictionaryTreeBrowser) else {}
    return record


def _settings(step: DictionaryTreeBrowser) -> dict[str, object]:
    values = {key: step.get_item(key) for key in step.keys() if key not in _NOT_TOLD}  # noqa: SIM118
    return {key: _plain(value) for key, value in values.items() if not _is_tree(value)}


def _is_tree(value: object) -> bool:
    return isinstance(value, DictionaryTreeBrowser | BaseSignal)


def _plain(value: object) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def processing_words(record: Mapping[str, Any]) -> str:
    """A sentence for a paper that names each step with its settings; empty without a record.

    Parameters
    ----------
    record
        From `processing_of`.
    """
    if not record:
        return ""
    by = record["chain"] + (f" of version {record['version']}" if record["version"] else "")
    told = [_TOLD.get(name, _by_name(name))(record[name]) for name in record["steps"]]
    done = "; ".join(told) or "no step"
    return f"Before this, the spectra were processed by {by}, in this order: {done}."


def _by_name(name: str) -> Callable[[Mapping[str, object]], str]:
    """Words for a step that has no sentence of its own."""

    def told(step: Mapping[str, object]) -> str:
        settings = ", ".join(f"{key} {_shown(value)}" for key, value in step.items())
        return f"{name.replace('_', ' ')}{f' ({settings})' if settings else ''}"

    return told


def _shown(value: object) -> str:
    if isinstance(value, tuple | list):
        return "–".join(_shown(each) for each in value)
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _found(step: Mapping[str, object]) -> str:
    limits = step.get("range", "whole axis")
    where = "on the whole axis" if isinstance(limits, str) else f"in {_shown(limits)} eV"
    return f"the zero-loss peak of each spectrum was found {where}"


def _spikes(step: Mapping[str, object]) -> str:
    text = "X-ray spikes were replaced"
    if "threshold" in step:
        text += f" above {_shown(step['threshold'])} standard deviations"
    if "gain" in step:
        text += f" (noise variance {_shown(step['gain'])} × intensity"
        text += f" + {_shown(step['offset'])})" if step.get("offset") else ")"
    return text


def _aligned(step: Mapping[str, object]) -> str:
    if "reference" in step:
        text = f"spectra were aligned to the edge in {_shown(step['reference'])} eV"
        width = step.get("local_average")
        return text + (f" (local average of {_shown(width)} pixels)" if width else "")
    how = _MOVES.get(str(step.get("method")), "")
    return f"spectra were aligned with the zero-loss peak at 0 eV {how}".rstrip()


def _dark(step: Mapping[str, object]) -> str:
    number = _shown(step.get("channels", "the"))
    return f"the mean of {number} channels below the zero-loss peak was subtracted"


def _background(step: Mapping[str, object]) -> str:
    text = f"a {step.get('model', 'background')} fitted in {_shown(step.get('window', ''))} eV was "
    text += "subtracted"
    return text + (f" (edge at {_shown(step['edge'])} eV)" if "edge" in step else "")


def _zero_loss(step: Mapping[str, object]) -> str:
    model = step.get("model")
    limit = f"all below {_shown(model)} eV"
    words = _PEAKS.get(model, model) if isinstance(model, str) else limit
    return f"the zero-loss peak was taken as {words}"


def _deconvolved(step: Mapping[str, object]) -> str:
    text = f"plural scattering was removed by {step.get('method', 'Fourier-log')} deconvolution"
    kept = step.get("resolution") == "zero_loss"
    return text + (" at the energy resolution of the zero-loss peak" if kept else ", sharpened")


def _normalised(step: Mapping[str, object]) -> str:
    text = f"spectra were divided by the {step.get('to', 'normalisation')}"
    if "window" in step:
        text += f" ({_shown(step['window'])} eV"
        before = step.get("background")
        text += f", above a power law fitted in {_shown(before)} eV)" if before else ")"
    return text


_TOLD: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "zero_loss_peak": _found,
    "spikes": _spikes,
    "align": _aligned,
    "dark": _dark,
    "background": _background,
    "zero_loss": _zero_loss,
    "deconvolve": _deconvolved,
    "normalise": _normalised,
    "live_pedestal": lambda step: "what lies below the zero-loss peak was subtracted",
    "live_align": lambda step: "windows were moved with the zero-loss peak of each frame",
    "live_normalise": lambda step: "areas were divided by that of the zero-loss peak",
    "also_aligned": lambda step: "spectra were moved as the zero-loss peak of the low loss",
    "rebin": lambda step: f"channels were joined to {_shown(step.get('width', ''))} eV",
    "crop": lambda step: f"spectra were cut to {_shown(step.get('range', ''))} eV",
    "denoise": lambda step: (
        f"spectra were rebuilt from {_shown(step.get('components', ''))} principal components"
    ),
}
