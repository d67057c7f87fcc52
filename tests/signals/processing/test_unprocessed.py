# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import warnings

import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series
from hyperspy_dosekin.signals.processing.unprocessed import (
    UnprocessedSignalWarning,
    warn_if_unprocessed,
)


def silent(signal):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_unprocessed(signal)


def test_counts_with_a_shifted_peak_are_noticed_once():
    s = dose_series(drift=0.1)
    with pytest.warns(UnprocessedSignalWarning, match=r"counts.*0\.8.*process_low_loss"):
        warn_if_unprocessed(s)
    silent(s)


def test_lazy_data_are_not_read():
    s = dose_series(drift=0.1).as_lazy()
    s.data = s.data.map_blocks(lambda block: 1 / 0, dtype=s.data.dtype, meta=np.empty((0, 0)))
    with pytest.warns(UnprocessedSignalWarning, match="counts"):
        warn_if_unprocessed(s)


def test_a_shifted_peak_alone_and_a_background_alone_are_noticed():
    s = dose_series(drift=0.0, energy_offset=-9.0)
    s.change_dtype("float64")
    s.metadata.Signal.quantity = ""
    silent(s.deepcopy())
    s.axes_manager[-1].offset += 1.5
    with pytest.warns(UnprocessedSignalWarning, match="zero-loss peak is at 1.50 eV"):
        warn_if_unprocessed(s)
    core = hs.signals.Signal1D(1e9 * np.arange(500.0, 600.0) ** -3)
    core.set_signal_type("EELS")
    core.axes_manager[-1].offset, core.axes_manager[-1].units = 500, "eV"
    with pytest.warns(UnprocessedSignalWarning, match="process_core_loss"):
        warn_if_unprocessed(core)


@pytest.mark.parametrize(
    "signal",
    [
        dose_series(drift=0.1).process_low_loss(),
        dose_series(processed=True),
        hs.signals.Signal1D(np.zeros((3, 50))),
    ],
)
def test_processed_spectra_pass(signal):
    silent(signal)
