# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results from files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.signals.kinetics.comparison import NODE as COMPARISON
from hyperspy_dosekin.signals.kinetics.comparison import comparison_of
from hyperspy_dosekin.signals.kinetics.file import FORMAT, NODE, read
from hyperspy_dosekin.signals.kinetics.law_names import law_of_record
from hyperspy_dosekin.signals.kinetics.result import DoseKinetics


def load(path: Any, *, law: str | KineticLaw | None = None) -> Any:
    """Load a result that `DoseKinetics.save` or `LawComparison.save` wrote.

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
    DoseKinetics or LawComparison
        The result, its numbers equal to the last digit.

    Raises
    ------
    ValueError
        If the file holds no such result, one of a later version of this package, or one of
        another law than the one given.

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
    from hyperspy.io import load as load_signal

    series = load_signal(path)
    node = getattr(series, "metadata", None)
    if node is not None and node.has_item(COMPARISON):
        return comparison_of(series)
    if node is None or not node.has_item(NODE):
        raise ValueError(
            f"{path} holds no result of a kinetics fit; it must have been written by "
            "DoseKinetics.save."
        )
    node = node.get_item(NODE)
    if node.format > FORMAT:
        raise ValueError(
            f"{path} has format {node.format}, this version reads up to {FORMAT}; update "
            "hyperspy_dosekin."
        )
    record = json.loads(node.record)
    arrays = {
        name: np.asarray(node.arrays.get_item(f"array_{i}"))
        for i, name in enumerate(record["arrays"])
    }
    del series.metadata.Dosekin
    return DoseKinetics(read(series, record, arrays, law_of_record(record["law"], law)))
