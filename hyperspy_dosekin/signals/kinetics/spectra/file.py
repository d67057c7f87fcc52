# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of whole spectra to files and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.model.dose_error import DoseError
from hyperspy_dosekin.kinetics.posterior.nodes import Nodes
from hyperspy_dosekin.kinetics.spectra.fit import SpectraFit, spectra_scan
from hyperspy_dosekin.kinetics.spectra.number import ComponentTest
from hyperspy_dosekin.kinetics.spectra.problem import SpectraConfig, SpectraProblem
from hyperspy_dosekin.kinetics.spectra.whitening import WhitenedSpectra
from hyperspy_dosekin.signals.files import put_beside, save_signal
from hyperspy_dosekin.signals.kinetics.options.law_names import law_of_record, law_record
from hyperspy_dosekin.signals.kinetics.result.file import signal_of
from hyperspy_dosekin.signals.kinetics.spectra.numbers import SpectraNumbers
from hyperspy_dosekin.signals.kinetics.spectra.origin import SpectraOrigin

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.signals import BaseSignal

#: Version of the layout of files.
FORMAT = 1
#: Where the result lies in the metadata of the signal that it is saved with.
NODE = "Dosekin.spectra"
# What is kept of an origin by its name.
_ORIGIN = tuple(
    entry.name
    for entry in fields(SpectraOrigin)
    if entry.name not in ("energy_axis", "used", "dose_error")
)
# Options in the order in which they are kept.
_CONFIG = ("n_component", "exponent", "residue", "nonnegative", "noise")


def save_spectra(
    numbers: SpectraNumbers, signal: BaseSignal, path: str | Path, *, overwrite: bool | None
) -> None:
    """Write the numbers with the fitted spectra; see `DoseSpectra.save`."""
    fit, origin, maps = numbers.fit, numbers.origin, numbers.maps
    problem, spectra, nodes = fit.problem, fit.spectra, fit.nodes
    axis = dict(origin.energy_axis)
    arrays = {
        "dose": problem.dose,
        "values": problem.values,
        "variance": spectra.variance,
        "whitened": spectra.values,
        "frame_sd": spectra.frame_sd,
        "channel_sd": spectra.channel_sd,
        "search": fit.search.numpy(),
        "centre": np.zeros(0) if fit.scan.centre is None else fit.scan.centre.numpy(),
        "frame_errors": np.zeros((0, problem.dose.size))
        if problem.frame_errors is None
        else problem.frame_errors,
        "node_weight": nodes.weight.numpy(),
        "node_search": np.stack([row.expand(nodes.weight.shape) for row in nodes.search]),
        "log_evidence": nodes.log_evidence.numpy(),
        "used": origin.used.astype(np.uint8),
        "known_residue": numbers.known_residue,
        "energy": np.asarray(axis.pop("axis", np.zeros(0))),
    }
    config = fit.config
    assert isinstance(config.law, KineticLaw)
    record = {
        "law": law_record(config.law),
        "prior": None if config.prior is None else asdict(config.prior),
        "config": [getattr(config, name) for name in _CONFIG],
        "given_variance": problem.variance is not None,
        "dose_scale": problem.dose_scale,
        "spectra": [spectra.known, spectra.scale, list(spectra.inflation)],
        "tests": [asdict(test) for test in fit.tests],
        "n_component": fit.n_component,
        "ordered": nodes.ordered,
        "n_bound": nodes.n_bound,
        "node_shapes": [list(row.shape) for row in nodes.search],
        "parts": nodes.parts,
        "slices": nodes.slices,
        "energy_axis": axis,
        "dose_error": asdict(origin.dose_error),
        "origin": {name: getattr(origin, name) for name in _ORIGIN},
        "arrays": sorted(arrays),
    }
    beside = {} if maps is None else {"maps": signal_of(maps.numbers)}
    put_beside(signal, NODE, FORMAT, record, arrays, **beside)
    save_signal(signal, path, "a result", overwrite=overwrite)


def spectra_fields(
    record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], law: str | KineticLaw | None
) -> dict[str, Any]:
    """The fields of a result but its maps by name, from the record and the arrays of a file."""
    config = SpectraConfig(
        law=law_of_record(record["law"], law),
        prior=record["prior"] and Prior(**record["prior"]),
        **dict(zip(_CONFIG, record["config"], strict=True)),
    )
    errors = arrays["frame_errors"]
    problem = SpectraProblem(
        arrays["dose"],
        arrays["values"],
        arrays["variance"] if record["given_variance"] else None,
        record["dose_scale"],
        errors if errors.size else None,
    )
    known, scale, inflation = record["spectra"]
    spectra = WhitenedSpectra(
        arrays["whitened"],
        arrays["frame_sd"],
        arrays["channel_sd"],
        arrays["variance"],
        known,
        scale,
        (inflation[0], inflation[1]),
    )
    centre = torch.as_tensor(arrays["centre"]) if errors.size else None
    scan = spectra_scan(problem, config, spectra, record["n_component"], centre)
    fit = SpectraFit(
        problem,
        config,
        spectra,
        tuple(ComponentTest(**test) for test in record["tests"]),
        record["n_component"],
        scan,
        torch.as_tensor(arrays["search"]),
    )
    # The nodes of the fit, so that intervals are the same to the last digit.
    fit.__dict__["nodes"] = Nodes(
        np.zeros(1, dtype=int),
        scan.parameters,  # type: ignore[arg-type]
        _node_search(record, torch.as_tensor(arrays["node_search"])),
        torch.as_tensor(arrays["node_weight"]),
        torch.as_tensor(arrays["log_evidence"]),
        record["ordered"],
        record["n_bound"],
        tuple(record.get("parts", (0,))),
        record.get("slices", 1),
    )
    axis = record["energy_axis"]
    if arrays["energy"].size:
        axis["axis"] = arrays["energy"]
    origin = SpectraOrigin(
        axis,
        arrays["used"].astype(bool),
        dose_error=DoseError(**record["dose_error"]),
        # Older files do not say what was done to the spectra before.
        **{name: record["origin"][name] for name in _ORIGIN if name in record["origin"]},
    )
    return {"fit": fit, "origin": origin, "known_residue": arrays["known_residue"]}


def _node_search(record: Mapping[str, Any], search: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Parameters of the nodes in the shapes that they had; an older file does not say which."""
    shapes = record.get("node_shapes", [row.shape for row in search])
    return tuple(
        row[tuple(slice(0, size) for size in shape)]
        for row, shape in zip(search, shapes, strict=True)
    )
