# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of two worker processes, started once for each file."""

import multiprocessing
import os

import dask
import pytest

from tests.patience import EVENT

distributed = pytest.importorskip("distributed")

#: Settings of threads that a cluster leaves in the environment of this process.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes with one thread each."""
    # Before the cluster changes the environment that Torch reads its number of threads from.
    import torch  # noqa: F401

    before = {name: os.environ.get(name) for name in THREADS}
    method = "spawn"
    if "forkserver" in multiprocessing.get_all_start_methods():
        from multiprocessing import forkserver

        # Workers, and the one that takes the place of a killed one, are copies of one process
        # that has imported, and not computed.
        method = "forkserver"
        os.environ.update(dict.fromkeys(THREADS, "1"))
        forkserver.set_forkserver_preload(["distributed", "hyperspy_dosekin.signals.eels", "torch"])
        forkserver.ensure_running()
    settings = {
        "distributed.worker.multiprocessing-method": method,
        "distributed.scheduler.allowed-failures": 2,
        "distributed.worker.daemon": True,
        "distributed.comm.timeouts.connect": "20s",
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as started,
    ):
        yield started
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture
def client(cluster):
    """The client that computes everything while it is there."""
    with distributed.Client(cluster) as made:
        made.wait_for_workers(2, timeout=EVENT)
        yield made


@pytest.fixture
def other_client(cluster):
    """A client that computes only what is given to it."""
    with distributed.Client(cluster, set_as_default=False) as made:
        made.wait_for_workers(2, timeout=EVENT)
        yield made
