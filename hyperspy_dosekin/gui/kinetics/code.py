# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls that make what the kinetics tool shows, as text that can be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw

#: Longer calls get one line for each argument.
_WIDTH = 88


def write_code(
    *,
    dose: Mapping[str, object],
    index: tuple[object, ...] | None,
    processing: Mapping[str, object] | None,
    windows: Mapping[str, tuple[float, float]],
    fit: Mapping[str, object],
) -> str:
    """Write the calls, beginning with the signal ``s`` and ending with the ``result``.

    Parameters
    ----------
    dose
        Arguments of `set_dose_axis`; empty for no call.
    index
        Index of `inav`; ``None`` for no call.
    processing
        Arguments of `process_low_loss`; ``None`` for no call.
    windows
        Windows of `integrate_windows`.
    fit
        Arguments of `fit_dose_pinn`.

    Examples
    --------
    >>> print(
    ...     write_code(
    ...         dose={"dose_rate": 3.45, "frame_time": 44.0},
    ...         index=(3, slice(2, 5), slice(None)),
    ...         processing={},
    ...         windows={"C–O": (10.0, 15.0)},
    ...         fit={"estimator": "exact", "offset": 0.0},
    ...     )
    ... )
    s.set_dose_axis(dose_rate=3.45, frame_time=44.0)
    part = s.inav[3, 2:5]
    part = part.process_low_loss()
    windows = {"C–O": (10.0, 15.0)}
    areas = part.integrate_windows(windows)
    result = areas.fit_dose_pinn(estimator="exact", offset=0.0)
    """
    lines, name = [], "s"
    if isinstance(fit.get("law"), KineticLaw):
        lines.append("# law: the one that the tool was opened with")
    if dose:
        lines.append(_call("s.set_dose_axis", dose))
    if index is not None:
        shown = list(index)
        while len(shown) > 1 and shown[-1] == slice(None):
            shown.pop()
        lines.append(f"part = s.inav[{', '.join(map(_index, shown))}]")
        name = "part"
    if processing is not None:
        target = "part" if index is not None else "processed"
        lines.append(_call(f"{target} = {name}.process_low_loss", processing))
        name = target
    lines.append(_windows(windows))
    lines.append(f"areas = {name}.integrate_windows(windows)")
    lines.append(_call("result = areas.fit_dose_pinn", fit))
    return "\n".join(lines)


def write_following_code(
    arguments: Mapping[str, object], folder: str, patterns: Sequence[str], settle: float
) -> str:
    """Write the calls that follow a folder, ending with the ``result``.

    Parameters
    ----------
    arguments
        Those of `LiveKinetics`.
    folder, patterns, settle
        Those of its `watch`.

    Examples
    --------
    >>> print(write_following_code({"dose_rate": 3.45, "frame_time": 44.0}, "run 3", ["*.dm4"], 1))
    import hyperspy_dosekin
    live = hyperspy_dosekin.LiveKinetics(dose_rate=3.45, frame_time=44.0)
    for posterior in live.watch("run 3", pattern=["*.dm4"], settle=1):
        print(posterior)
    result = live.result()
    """
    watch = _call("live.watch", {"folder": folder, "pattern": list(patterns), "settle": settle})
    return "\n".join(
        [
            "import hyperspy_dosekin",
            _call("live = hyperspy_dosekin.LiveKinetics", arguments),
            f"for posterior in {watch.replace('folder=', '', 1)}:",
            "    print(posterior)",
            "result = live.result()",
        ]
    )


def _call(start: str, arguments: Mapping[str, object]) -> str:
    texts = [f"{name}={_literal(value)}" for name, value in arguments.items()]
    line = f"{start}({', '.join(texts)})"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{start}(", *(f"    {text}," for text in texts), ")"])


def _windows(windows: Mapping[str, tuple[float, float]]) -> str:
    texts = [f"{_literal(name)}: {_literal(limits)}" for name, limits in windows.items()]
    line = f"windows = {{{', '.join(texts)}}}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join(["windows = {", *(f"    {text}," for text in texts), "}"])


def _literal(value: Any) -> str:
    """Python's own text of a value; floats so that they come back as they were."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, float):
        # What NumPy calls inf is no name.
        return repr(value) if abs(value) < float("inf") else f'float("{value}")'
    if isinstance(value, KineticLaw):
        # Its code is the user's; what is written here is the name of an argument.
        return "law"
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, tuple):
        inside = ", ".join(map(_literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def _index(index: Any) -> str:
    if isinstance(index, slice):
        ends = ("" if end is None else str(int(end)) for end in (index.start, index.stop))
        return ":".join(ends)
    return str(int(index))
