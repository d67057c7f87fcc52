# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""LiberTEM, where it is installed, and what is said where it is not."""

import importlib.util

import numpy as np
import pytest

import hyperspy_dosekin.libertem as doorway
from hyperspy_dosekin import LiveKinetics
from tests.signals.live.frames import RATE, TIME, WINDOWS, counts, frame, same

INSTALLED = importlib.util.find_spec("libertem") is not None


@pytest.mark.skipif(INSTALLED, reason="LiberTEM is installed")
@pytest.mark.parametrize("name", ["WindowUDF", "follow"])
def test_the_extra_is_named(name):
    assert name in dir(doorway)
    with pytest.raises(ImportError, match=r"hyperspy_dosekin\[libertem\]"):
        getattr(doorway, name)


def test_other_names_are_no_names():
    with pytest.raises(AttributeError, match="nothing"):
        _ = doorway.nothing


@pytest.mark.skipif(not INSTALLED, reason="LiberTEM is not installed")
@pytest.mark.parametrize("space", [(), (3, 2)])
def test_frames_of_libertem_are_those_of_signals(space):
    from libertem.api import Context

    s = counts(7, space=space)
    with Context.make_with("inline") as context:
        # A detector of three rows, which are summed up.
        rows = np.stack([s.data, 0 * s.data, 0 * s.data], axis=-2)
        nav = s.data.shape[:-1] if space else (7, 1)
        data = rows.reshape(*nav, 3, 300)
        dataset = context.load("memory", data=data, sig_dims=2, num_partitions=3)
        live = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, estimator="exact")
        energy = s.axes_manager[-1].axis
        found = list(doorway.follow(live, context, dataset, energy_axis=energy))
    assert len(found) == 7
    other = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, estimator="exact")
    for place in range(7):
        other.update(frame(s, place))
    if space:
        same(live.result(), other.result())
    else:
        np.testing.assert_allclose(live.series.data[0], other.series.data)


LIVE = importlib.util.find_spec("libertem_live") is not None
#: Of a frame of a Merlin detector, 256 × 256 pixels of 16 bits.
HEADER = ",".join(
    [
        *("MQ1", "{number:06d}", "00384", "01", "0256", "0256", "U16", "   1x1", "01"),
        *("2020-05-18 16:51:49.971626", "0.000555", "0", "0", "0"),
        *("0.0",) * 8,
        *("3RX", *("0",) * 26, "MQ1A", "2020-05-18T14:51:49.971626178Z", "555000ns", "12", ""),
    ]
)


def merlin_file(path, spectra):
    """Frames in which one row of the detector has the counts."""
    with path.open("wb") as file:
        for number, spectrum in enumerate(spectra, 1):
            image = np.zeros((256, 256), ">u2")
            image[100] = spectrum
            file.write(HEADER.format(number=number).encode().ljust(384, b"\0"))
            file.write(image.tobytes())


@pytest.mark.skipif(not LIVE, reason="LiberTEM-live is not installed")
@pytest.mark.parametrize("detector", ["memory", "merlin"])
def test_acquisition_of_a_simulated_detector(detector, tmp_path):
    """LiberTEM-live's own simulators; that of Merlin talks through sockets."""
    from libertem_live.api import Hooks, LiveContext
    from libertem_live.detectors.merlin.sim import CameraSim, TriggerClient

    s = counts(7)
    spectra = s.data[:, :256]
    energy = s.axes_manager[-1].axis[:256]
    live = LiveKinetics(WINDOWS, dose_rate=RATE, frame_time=TIME, estimator="exact")
    options = {"nav_shape": (7, 1), "frames_per_partition": 2}
    with LiveContext.make_with("inline") as context:
        if detector == "memory":
            data = np.zeros((7, 1, 3, 256))
            data[:, 0, 1] = spectra
            connection = context.make_connection("memory").open(data=data)
            acquisition = context.make_acquisition(conn=connection, **options)
            found = list(doorway.follow(live, context, acquisition, energy_axis=energy))
        else:
            merlin_file(tmp_path / "frames.mib", spectra)
            ports = {"data_port": 0, "control_port": 0, "trigger_port": 0}
            camera = CameraSim(path=str(tmp_path / "frames.mib"), nav_shape=(7, 1), **ports)
            camera.start()
            camera.wait_for_listen()

            class Trigger(Hooks):
                def on_ready_for_data(self, env):
                    client = TriggerClient(*camera.trigger_t.sockname[:2])
                    client.connect()
                    client.trigger()
                    client.close()

            addresses = {
                "api_host": "127.0.0.1",
                "api_port": camera.control_t.sockname[1],
                "data_host": "127.0.0.1",
                "data_port": camera.server_t.sockname[1],
            }
            try:
                with context.make_connection("merlin").open(**addresses, drain=False) as connection:
                    acquisition = context.make_acquisition(
                        conn=connection, hooks=Trigger(), **options
                    )
                    found = list(doorway.follow(live, context, acquisition, energy_axis=energy))
            finally:
                camera.stop()
    assert [posterior.n_frames for posterior in found] == list(range(1, 8))
    other = LiveKinetics(
        WINDOWS, dose_rate=RATE, frame_time=TIME, energy_axis=energy, estimator="exact"
    )
    for spectrum in spectra:
        other.update(spectrum)
    np.testing.assert_allclose(live.series.data.squeeze(), other.series.data)
