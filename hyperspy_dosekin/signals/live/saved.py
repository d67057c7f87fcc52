# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A growing series from files: its state, and the frames of a process that died."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hyperspy_dosekin.signals.files import (
    check_seal,
    put_beside,
    read_signal,
    save_signal,
    stored_beside,
    told_as_damage,
)

from .areas import FrameAreas
from .as_series import THICKNESS
from .core import GrowingKinetics
from .fitted import FittedKinetics
from .growing import Incidents
from .like_frames import template_of
from .settings import arguments_of
from .store import FrameStore

if TYPE_CHECKING:
    from os import PathLike

    from hyperspy.signals import BaseSignal

Live = TypeVar("Live", bound="SavedKinetics")

#: Version of the layout of files, and where the state lies in the metadata of its series.
FORMAT, NODE = 1, "Dosekin.live"


class SavedKinetics(FittedKinetics):
    """A growing series that can be saved, and gone on with."""

    def save(self, path: str | PathLike[str], *, overwrite: bool | None = None) -> None:
        """Save the state to a ``.hspy`` or ``.zspy`` file, from which `load` goes on.

        HyperSpy opens the file as the `DoseSeries` of the areas so far. The frames themselves are
        not in it; `store` keeps them.

        Parameters
        ----------
        path
            File name; ``.hspy`` is added where there is no extension.
        overwrite
            As for `hyperspy.signals.BaseSignal.save`.

        Raises
        ------
        ValueError
            If no frame has come that could be used.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> live = hyperspy_dosekin.LiveKinetics(dose_rate=3.45, frame_time=44.0)
        >>> _ = live.run(s.inav[:5])
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     live.save(f"{folder}/live.hspy")
        ...     again = hyperspy_dosekin.LiveKinetics.load(f"{folder}/live.hspy")
        >>> again.update(s.inav[5]).n_frames
        6
        """
        series = self.series
        assert self._series is not None
        record = {
            **self.settings,
            "reader": self._reader.state(),
            "index": self._series.index.tolist(),
            "next": self._numbers.next,
            "stopped_by": self.stopped_by,
            "broken": {str(k): v for k, v in self._incidents.broken.items()},
            "doubled": {str(k): v for k, v in self._incidents.doubled.items()},
            "late": self._incidents.late,
        }
        put_beside(series, NODE, FORMAT, record, {})
        save_signal(series, path, "a live series", overwrite=overwrite)

    @classmethod
    def load(cls: type[Live], path: str | PathLike[str], **arguments: Any) -> Live:
        """Go on from a state that `save` wrote.

        Parameters
        ----------
        path
            The file.
        **arguments
            Arguments in the place of those that were saved; `on_update`, functions of `stop_when`
            and laws of your own are not in the file.

        Returns
        -------
        LiveKinetics
            With all its frames; the next one may come.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is another file, damaged, or needs an argument that it could not hold.

        Examples
        --------
        >>> live = hyperspy_dosekin.LiveKinetics([(1, 3)], dose_rate=10.0, frame_time=5.0)
        >>> _ = live.update([3.0])
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     live.save(f"{folder}/live.hspy")
        ...     again = hyperspy_dosekin.LiveKinetics.load(f"{folder}/live.hspy", offset=0.2)
        >>> again.n_frames
        1
        """
        series = read_signal(path)
        metadata = getattr(series, "metadata", None)
        if metadata is None or not metadata.has_item(NODE):
            raise ValueError(f"{path} was not written by LiveKinetics.save.")
        with told_as_damage(path):
            record, _, checksum, expected = stored_beside(series, NODE)
        check_seal(path, checksum, expected)
        live = cls(record["windows"], **arguments_of(record, arguments))
        with told_as_damage(path):
            restore(live, series, record)
        return live

    @classmethod
    def resume(cls: type[Live], store: str | PathLike[str], **arguments: Any) -> Live:
        """Go on from the frames of a store, after the process died.

        Parameters
        ----------
        store
            The ``.zspy`` file that was given as `store`.
        **arguments
            As for `load`.

        Returns
        -------
        LiveKinetics
            With all frames that had been given to `update`; further ones go to the same file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is another file, or needs an argument that it could not hold.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = f"{folder}/frames.zspy"
        ...     live = hyperspy_dosekin.LiveKinetics(
        ...         [(1, 3)], dose_rate=10.0, frame_time=5.0, store=path
        ...     )
        ...     _ = live.update([3.0]), live.update([2.0])
        ...     again = hyperspy_dosekin.LiveKinetics.resume(path)
        >>> again.n_frames
        2
        """
        held = FrameStore.opened(store)
        live = cls(held.settings["windows"], **arguments_of(held.settings, arguments))
        live._reader.windows_are_in_ev()
        template = template_of(held.path)
        for data, line in held.frames():
            told = {name: line.get(name) for name in ("time", "dose")}
            if line.get("doubled"):
                live._incidents.doubled[line["index"]] = True
            elif data is None:
                live._break(line["index"], "it could not be used when it came")
            elif told["dose"] is None and not live.exposure.step:
                live._break(line["index"], "its dose, which was given with it, is not in the file")
            elif template is None:
                live.update(data, index=line["index"], **told)
            else:
                template.data = data
                live.update(template, index=line["index"], **told)
        live._store = held
        return live


def restore(live: GrowingKinetics, series: BaseSignal, record: Mapping[str, Any]) -> None:
    """Take all frames that a file holds; nothing may have come yet.

    Parameters
    ----------
    live
        A series without frames.
    series, record
        The series of the areas, and the record beside it.
    """
    live._reader.restore(record["reader"])
    variance = series.get_noise_variance()
    values = np.moveaxis(np.asarray(series.data), -1, 0)
    spread = None if variance is None else np.moveaxis(np.asarray(variance.data), -1, 0)
    errors = series.metadata.get_item(THICKNESS)
    thickness = None if errors is None else np.moveaxis(np.asarray(errors), -1, 0)
    doses = np.asarray(series.dose)
    for place, number in enumerate(record["index"]):
        one = FrameAreas(
            values[place],
            None if spread is None else spread[place],
            None if thickness is None else thickness[place],
        )
        live._take(number, float(doses[place]), one, clock.perf_counter())
    live._numbers.next = record["next"]
    live._incidents = Incidents(
        {int(k): v for k, v in record["broken"].items()},
        {int(k): v for k, v in record["doubled"].items()},
        list(record["late"]),
    )
    live.stopped_by = ""
    if record["stopped_by"]:
        live._stop(record["stopped_by"])
