# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results from files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.signals.files import check_seal, read_signal, seal, told_as_damage
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
#: What makes a result of a file, the seal of the file, and what that should be.
_Stored = tuple[Callable[[], Any], str | None, str]


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
        make, checksum, expected = kind.read(signal, law)
    check_seal(path, checksum, expected, needed=bool(found >= kind.sealed))
    with told_as_damage(path, _NO_DAMAGE):
        result = make()
        # What cannot be shown is no result, whatever its seal says.
        _ = str(result), result._repr_html_()
    return result


def _kinetics(series: BaseSignal, law: str | KineticLaw | None) -> _Stored:
    node = series.metadata.get_item(file.NODE)
    record = json.loads(node.record)
    arrays = {
        name: np.asarray(node.arrays.get_item(f"array_{i}"))
        for i, name in enumerate(record["arrays"])
    }

    def make() -> DoseKinetics:
        known = law_of_record(record["law"], law)
        del series.metadata.Dosekin.kinetics
        return DoseKinetics(file.read(series, record, arrays, known))

    return make, node.get_item("checksum"), seal(series, arrays, node.record)


def _comparison(series: Any, _law: str | KineticLaw | None) -> _Stored:
    found, checksum, expected = comparison_file.stored_comparison(series)
    return lambda: LawComparison(SeriesData.of(series), *found), checksum, expected


def _conditions(signal: Any, law: str | KineticLaw | None) -> _Stored:
    fields, checksum, expected = condition_file.stored_conditions(signal, law)
    return lambda: ConditionKinetics(*fields), checksum, expected


def _spectra(signal: BaseSignal, law: str | KineticLaw | None) -> _Stored:
    def read(series: BaseSignal) -> DoseKinetics:
        return result_of(series, "its maps", law)

    parts, checksum, expected = dose_spectra_file.stored_spectra(signal, law, read)
    return lambda: DoseSpectra(*parts()), checksum, expected


def _joint(signal: BaseSignal, law: str | KineticLaw | None) -> _Stored:
    def read(series: BaseSignal) -> DoseKinetics:
        return result_of(series, "one of its series", law)

    make, checksum, expected = joint_file.stored_joint(signal, read)
    return lambda: JointKinetics(**vars(make())), checksum, expected


def _live(series: BaseSignal, law: str | KineticLaw | None) -> _Stored:
    record, checksum, expected = saved.stored_record(series)

    def make() -> LiveKinetics:
        given = {} if law is None else {"law": law}
        live = LiveKinetics(record["windows"], **arguments_of(record, given))
        saved.restore(live, series, record)
        return live

    return make, checksum, expected


def _plan(series: BaseSignal, _law: str | KineticLaw | None) -> _Stored:
    make, checksum, expected = plan_file.stored_plan(series)
    return lambda: DosePlan(**vars(make())), checksum, expected


@dataclass(frozen=True)
class _Kind:
    """A kind of result in a file.

    Parameters
    ----------
    format
        Version of the layout that is written.
    sealed
        Version from which every file has a seal.
    read
        What reads it from a signal, with the law that the user gave.
    """

    format: int
    sealed: int
    read: Callable[[object, str | KineticLaw | None], _Stored]


#: Kinds of results by their place in the metadata of the signals that they are saved with.
KINDS = {
    file.NODE: _Kind(file.FORMAT, 2, _kinetics),
    comparison_file.NODE: _Kind(comparison_file.FORMAT, 2, _comparison),
    plan_file.NODE: _Kind(plan_file.FORMAT, 1, _plan),
    condition_file.NODE: _Kind(condition_file.FORMAT, 1, _conditions),
    dose_spectra_file.NODE: _Kind(dose_spectra_file.FORMAT, 1, _spectra),
    joint_file.NODE: _Kind(joint_file.FORMAT, 1, _joint),
    saved.NODE: _Kind(saved.FORMAT, 1, _live),
}
