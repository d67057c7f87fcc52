# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results from files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.signals.files import (
    Stored,
    check_seal,
    read_signal,
    seal,
    stored_beside,
    told_as_damage,
)
from hyperspy_dosekin.signals.kinetics.comparison import file as comparison_file
from hyperspy_dosekin.signals.kinetics.comparison.result import LawComparison
from hyperspy_dosekin.signals.kinetics.conditions import file as condition_file
from hyperspy_dosekin.signals.kinetics.conditions.result import ConditionKinetics
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.kinetics.joint import file as joint_file
from hyperspy_dosekin.signals.kinetics.joint.result import JointKinetics
from hyperspy_dosekin.signals.kinetics.options.law_names import OtherLawError, law_of_record
from hyperspy_dosekin.signals.kinetics.planning import file as plan_file
from hyperspy_dosekin.signals.kinetics.planning.result import DosePlan
from hyperspy_dosekin.signals.kinetics.result import file
from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics
from hyperspy_dosekin.signals.kinetics.spectra import file as dose_spectra_file
from hyperspy_dosekin.signals.kinetics.spectra.result import DoseSpectra
from hyperspy_dosekin.signals.live import saved
from hyperspy_dosekin.signals.live.kinetics import LiveKinetics
from hyperspy_dosekin.signals.live.settings import MissingArgumentError, arguments_of

if TYPE_CHECKING:
    from os import PathLike

    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw

# What a user has to give, and a file does not hold.
_NO_DAMAGE = (OtherLawError, MissingArgumentError)


def load(path: str | PathLike[str], *, law: str | KineticLaw | None = None) -> Any:
    """Load a result that its ``save`` wrote.

    Parameters
    ----------
    path
        A ``.hspy`` or ``.zspy`` file.
    law
        The kinetic law, where the result was fitted with a law of your own that is not registered
        (`hyperspy_dosekin.kinetics.register_law`). Without it such a result has all its maps and
        the intervals of the fit, but no new trajectories, doses or intervals.

    Returns
    -------
    DoseKinetics or another
        What was saved: also a LawComparison, DosePlan, ConditionKinetics, DoseSpectra or
        JointKinetics, its numbers equal to the last digit; or a LiveKinetics, which goes on.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no such result, is damaged or was changed after it was saved, is one of a
        later version of this package, or of another law than the one given.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     result.save(f"{folder}/kinetics.hspy")
    ...     same = hyperspy_dosekin.load(f"{folder}/kinetics.hspy")
    >>> same
    <DoseKinetics, 4 windows, 9 doses, exact estimator>
    """
    return result_of(read_signal(path), path, law)


def result_of(
    signal: BaseSignal, path: str | PathLike[str], law: str | KineticLaw | None = None
) -> Any:
    """The result that a signal from a file holds.

    Parameters
    ----------
    signal
        As HyperSpy reads it.
    path
        The file, for messages.
    law
        As for `load`.

    Raises
    ------
    ValueError
        As for `load`.
    """
    metadata = getattr(signal, "metadata", None)
    node = None if metadata is None else next((n for n in KINDS if metadata.has_item(n)), None)
    if metadata is None or node is None:
        raise ValueError(
            f"{path} holds no result of a kinetics fit; it must have been written by "
            "DoseKinetics.save."
        )
    kind, found = KINDS[node], metadata.get_item(f"{node}.format")
    if not isinstance(found, int | np.integer) or isinstance(found, bool) or found < 1:
        raise ValueError(f"{path} is damaged: its format {found!r} is no number of a version.")
    if found > kind.format:
        raise ValueError(
            f"{path} has format {found!r}, this version reads up to {kind.format}; update "
            "hyperspy_dosekin."
        )
    with told_as_damage(path, _NO_DAMAGE):
        stored = kind.stored_in(signal, node)
    check_seal(path, stored.checksum, stored.expected, needed=bool(found >= kind.sealed))
    with told_as_damage(path, _NO_DAMAGE):
        result = kind.make(signal, stored, law)
        # What cannot be shown is no result, whatever its seal says.
        _ = str(result), result._repr_html_()
    return result


def _stored_kinetics(series: BaseSignal) -> Stored:
    node = series.metadata.get_item(file.NODE)
    record = json.loads(node.record)
    arrays = {
        name: np.asarray(node.arrays.get_item(f"array_{i}"))
        for i, name in enumerate(record["arrays"])
    }
    return Stored(record, arrays, node.get_item("checksum"), seal(series, arrays, node.record))


def _kinetics(series: BaseSignal, stored: Stored, law: str | KineticLaw | None) -> DoseKinetics:
    known = law_of_record(stored.record["law"], law)
    del series.metadata.Dosekin.kinetics
    return DoseKinetics(file.read(series, stored.record, stored.arrays, known))


def _comparison(series: Any, stored: Stored, _law: str | KineticLaw | None) -> LawComparison:
    fields = comparison_file.comparison_fields(series, stored.record, stored.arrays)
    del series.metadata.Dosekin
    return LawComparison(SeriesData.of(series), **fields)


def _conditions(_signal: Any, stored: Stored, law: str | KineticLaw | None) -> ConditionKinetics:
    return ConditionKinetics(**condition_file.condition_fields(stored.record, stored.arrays, law))


def _spectra(signal: BaseSignal, stored: Stored, law: str | KineticLaw | None) -> DoseSpectra:
    maps = signal.metadata.get_item(f"{dose_spectra_file.NODE}.maps")
    return DoseSpectra(
        **dose_spectra_file.spectra_fields(stored.record, stored.arrays, law),
        maps=None if maps is None else result_of(maps, "its maps", law),
    )


def _joint(signal: BaseSignal, stored: Stored, law: str | KineticLaw | None) -> JointKinetics:
    def read(series: BaseSignal) -> DoseKinetics:
        return result_of(series, "one of its series", law)

    return JointKinetics(**joint_file.joint_fields(signal, stored.record, stored.arrays, read))


def _live(series: BaseSignal, stored: Stored, law: str | KineticLaw | None) -> LiveKinetics:
    record, given = stored.record, {} if law is None else {"law": law}
    live = LiveKinetics(record["windows"], **arguments_of(record, given))
    saved.restore(live, series, record)
    return live


def _plan(series: Any, stored: Stored, _law: str | KineticLaw | None) -> DosePlan:
    return DosePlan(**plan_file.plan_fields(series, stored.record))


@dataclass(frozen=True)
class _Kind:
    """A kind of result in a file.

    Parameters
    ----------
    format
        Version of the layout that is written.
    sealed
        Version from which every file has a seal.
    make
        What makes it of a signal and what lies beside it, with the law that the user gave.
    stored
        What reads what lies beside the signal, where it is not laid out as usual.
    """

    format: int
    sealed: int
    make: Callable[[Any, Stored, str | KineticLaw | None], Any]
    stored: Callable[[Any], Stored] | None = None

    def stored_in(self, signal: BaseSignal, node: str) -> Stored:
        """What lies beside a signal."""
        return stored_beside(signal, node) if self.stored is None else self.stored(signal)


#: Kinds of results by their place in the metadata of the signals that they are saved with.
KINDS = {
    file.NODE: _Kind(file.FORMAT, 2, _kinetics, _stored_kinetics),
    comparison_file.NODE: _Kind(
        comparison_file.FORMAT, 2, _comparison, comparison_file.stored_comparison
    ),
    plan_file.NODE: _Kind(plan_file.FORMAT, 1, _plan),
    condition_file.NODE: _Kind(condition_file.FORMAT, 1, _conditions),
    dose_spectra_file.NODE: _Kind(dose_spectra_file.FORMAT, 1, _spectra),
    joint_file.NODE: _Kind(joint_file.FORMAT, 1, _joint),
    saved.NODE: _Kind(saved.FORMAT, 1, _live),
}
