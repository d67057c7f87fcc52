# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools of kinetics that begin with the same signal neither process nor fit it again."""

import hashlib

import exspy
import pytest

from hyperspy_dosekin.gui.kinetics import live

#: Longer than that of a tool, since it is that of all.
_known = live.Memory(2000)
_processed = live.Memory(200)


@pytest.fixture(autouse=True)
def fits_of_tools_are_made_once(request, monkeypatch):
    """Let tools share the memory that each has of its fits; those whose fits are counted do not.

    It goes by everything that a fit depends on, and is the tool's own.
    """
    if "fitted" not in request.fixturenames:
        monkeypatch.setattr(
            live.LiveEstimator, "__init__", lambda estimator: vars(estimator).update(_memory=_known)
        )


@pytest.fixture(autouse=True)
def spectra_are_processed_once(monkeypatch):
    """Remember what was processed by data, axes, metadata and options, with the warnings of it."""
    kind = exspy.signals.EELSSpectrum
    process = kind.process_low_loss

    def remembered(signal, **options):
        told = {name: value for name, value in options.items() if name != "show_progressbar"}
        if signal._lazy or not all(
            isinstance(v, str | float | bool | tuple) for v in told.values()
        ):
            return process(signal, **options)
        key = (
            hashlib.sha256(signal.data.tobytes()).digest(),
            *(signal.data.dtype.str, signal.data.shape),
            *(repr(signal.axes_manager.as_dictionary()), repr(signal.metadata.as_dictionary())),
            repr(sorted(told.items())),
        )
        return _processed.get(key, lambda: process(signal, **options)).deepcopy()

    monkeypatch.setattr(kind, "process_low_loss", remembered)
