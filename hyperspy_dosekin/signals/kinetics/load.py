# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results from files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.signals.files import check_seal, read_signal, seal, told_as_damage
from hyperspy_dosekin.signals.kinetics.comparison import NODE as COMPARISON
from hyperspy_dosekin.signals.kinetics.comparison import LawComparison, stored_comparison
from hyperspy_dosekin.signals.kinetics.condition_result import NODE as CONDITIONS
from hyperspy_dosekin.signals.kinetics.condition_result import stored_conditions
from hyperspy_dosekin.signals.kinetics.file import FORMAT, NODE, read
from hyperspy_dosekin.signals.kinetics.law_names import law_of_record
from hyperspy_dosekin.signals.kinetics.planned import NODE as PLAN
from hyperspy_dosekin.signals.kinetics.planned import stored_plan
from hyperspy_dosekin.signals.kinetics.result import DoseKinetics
from hyperspy_dosekin.signals.kinetics.series_data import SeriesData

#: Where results lie in the metadata of the signals that they are saved with.
_NODES = (NODE, COMPARISON, PLAN, CONDITIONS)


def load(path: Any, *, law: str | KineticLaw | None = None) -> Any:
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
    DoseKinetics, LawComparison, DosePlan or ConditionKinetics
        The result, its numbers equal to the last digit.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no such result, is damaged or was changed after it was saved, is one of a
        later version of this package, or of another law than the one given.

    Examples
    --------
    >>> import hyperspy_dosekin
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     result.save(f"{folder}/kinetics.hspy")
    ...     same = hyperspy_dosekin.load(f"{folder}/kinetics.hspy")
    >>> same
    <DoseKinetics, 4 windows, 9 doses, exact estimator>
    """
    series = read_signal(path)
    metadata = getattr(series, "metadata", None)
    nodes = [] if metadata is None else [n for n in _NODES if metadata.has_item(n)]
    if not nodes:
        raise ValueError(
            f"{path} holds no result of a kinetics fit; it must have been written by "
            "DoseKinetics.save."
        )
    node = nodes[0]
    found = series.metadata.get_item(f"{node}.format")
    if not isinstance(found, int | np.integer) or found > FORMAT:
        raise ValueError(
            f"{path} has format {found!r}, this version reads up to {FORMAT}; update "
            "hyperspy_dosekin."
        )
    if node == CONDITIONS:
        with told_as_damage(path):
            found, checksum, expected = stored_conditions(series, law)
        check_seal(path, checksum, expected)
        return found
    if node == PLAN:
        with told_as_damage(path):
            plan, checksum, expected = stored_plan(series)
        check_seal(path, checksum, expected)
        return plan
    if node == COMPARISON:
        with told_as_damage(path):
            found, checksum, expected = stored_comparison(series)
        check_seal(path, checksum, expected)
        with told_as_damage(path):
            return LawComparison(SeriesData.of(series), *found)
    with told_as_damage(path):
        record, arrays, checksum, expected = _stored_result(series)
        named = {name: record["law"][name] for name in ("name", "parameters", "equation")}
    check_seal(path, checksum, expected)
    known = law_of_record(named, law)
    with told_as_damage(path):
        del series.metadata.Dosekin.kinetics
        return DoseKinetics(read(series, record, arrays, known))


def _stored_result(series: Any) -> tuple[dict[str, Any], dict[str, np.ndarray], Any, str]:
    """Record and arrays of a result, its seal and what that should be."""
    node = series.metadata.get_item(NODE)
    record = json.loads(node.record)
    arrays = {
        name: np.asarray(node.arrays.get_item(f"array_{i}"))
        for i, name in enumerate(record["arrays"])
    }
    return record, arrays, node.get_item("checksum"), seal(series, arrays, node.record)
