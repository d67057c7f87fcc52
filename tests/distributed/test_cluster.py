# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same calls on a cluster of processes: same numbers, whatever happens to the workers."""

import builtins
import os
import signal
import sys
import threading
import time

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.data import annealing_series, dose_series_image, reference_spectra
from hyperspy_dosekin.lazy.blocks import map_blocks
from tests.patience import EVENT

distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")
# Workers cannot import the tests: their functions travel as code.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

FIT = {"intervals": False, "show_progressbar": False}


def image():
    """A small lazy image, array (9, 7, 6, 512), in six chunks."""
    series = dose_series_image(0, shape=(7, 6)).as_lazy()
    series.data = series.data.rechunk((9, 3, 3, 512))
    return series


def maps_of_chain(series):
    areas = series.process_low_loss(show_progressbar=False).integrate_windows()
    result = areas.fit_dose_pinn(**FIT)
    return [areas.data, result.rate.data, result.exponent.data, result.half_integrity_dose.data]


def equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_chain_gives_bit_by_bit_what_threads_give(client):
    lazy = maps_of_chain(image())
    found = dask.compute(*lazy)
    assert found[1].shape == (4, 7, 6)
    assert np.isfinite(found[1]).all()
    equal(found, dask.compute(*lazy, scheduler="threads"))
    threads = client.run(lambda: __import__("torch").get_num_threads())
    assert set(threads.values()) == {1}


def test_data_that_are_read_from_a_file_of_hyperspy(client, tmp_path):
    # h5py files travel only with the pickler of distributed itself.
    path = tmp_path / "image.hspy"
    dose_series_image(0, shape=(7, 6)).save(path, chunks=(9, 3, 3, 512))
    lazy = maps_of_chain(hs.load(path, lazy=True))
    equal(dask.compute(*lazy), dask.compute(*lazy, scheduler="threads"))


def test_a_client_that_is_not_the_default_gives_the_same(other_client):
    lazy = [image().integrate_windows().fit_dose_pinn(**FIT).half_integrity_dose.data]
    equal(other_client.compute(lazy, sync=True), dask.compute(*lazy, scheduler="threads"))


def test_classification_gives_what_threads_give(client):
    series = annealing_series(1, shape=(3, 9, 8)).as_lazy()
    series.data = series.data.rechunk((1, 5, 8, 160))
    found = series.classify_vae(
        reference_spectra(), steps=12, evaluate_every=6, show_progressbar=False
    )
    lazy = [found.class_map.data, found.novelty.data, found.denoised.data]
    # A product of matrices on another thread may be rounded in another order.
    for one, other in zip(
        dask.compute(*lazy), dask.compute(*lazy, scheduler="threads"), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


class Model:
    """An option that is large, and counts how often a process has received it."""

    def __init__(self):
        self.weights = np.ones(200_000)

    def __setstate__(self, state):
        builtins.received_models = getattr(builtins, "received_models", 0) + 1
        self.__dict__.update(state)


def scale(block, model):
    return block.sum(axis=-1) * model.weights[0]


def test_a_model_is_sent_to_a_worker_once(client):
    data = da.ones((40, 3, 8), chunks=(1, 3, 8))
    lazy = map_blocks(scale, "(e)->()", data, model=Model())
    np.testing.assert_array_equal(lazy.compute(), np.full((40, 3), 8.0))
    received = client.run(lambda: getattr(__import__("builtins"), "received_models", 0))
    assert max(received.values()) == 1
    assert all(number <= 1 for number in received.values())


def slow_sum(block):
    time.sleep(0.05)
    return block.sum(axis=-1)


def wait_for_work(client):
    """Until a worker has something to do."""
    deadline = time.monotonic() + EVENT
    while not any(client.processing().values()) and time.monotonic() < deadline:
        time.sleep(0.02)


class Unusual(Exception):
    """An exception of a kind of its own, with arguments of its own."""

    def __init__(self, code, place):
        super().__init__(code, place)
        self.code = code


def poisoned(block, error):
    if (block < 0).any():
        raise error
    return block.sum(axis=-1)


@pytest.mark.parametrize("error", [ValueError("no such luck"), KeyError("key"), Unusual(7, "x")])
@pytest.mark.parametrize("on_cluster", [True, False])
def test_a_poison_chunk_names_itself(request, error, on_cluster):
    if on_cluster:
        request.getfixturevalue("client")
    values = np.ones((9, 6, 8))
    values[4, 5] = -1
    data = da.from_array(values, chunks=(3, 2, 8))
    lazy = map_blocks(poisoned, "(e)->()", data, method="integrate_windows", error=error)
    with (
        dask.config.set({} if on_cluster else {"scheduler": "threads"}),
        pytest.raises(type(error)) as caught,
    ):
        lazy.compute()
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    if isinstance(error, ValueError) or sys.version_info >= (3, 11):
        assert "integrate_windows failed in the block [3:6, 4:6]" in text
    if isinstance(error, Unusual):
        assert caught.value.code == 7


def test_a_chunk_of_another_length_names_itself(client):
    series = image()
    good = series.data
    series.data = good.map_blocks(
        lambda block, block_id: block[..., :99] if block_id == (0, 1, 1, 0) else block,
        dtype=good.dtype,
        meta=good._meta,
    )
    areas = series.integrate_windows()
    with pytest.raises(ValueError, match=r"(?s)integrate_windows failed.*\[0:9, 3:6, 3:6\]"):
        areas.data.compute()


HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hyperspy_dosekin":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
"""


def test_a_worker_without_the_package_fails_at_once_and_says_so():
    """Whether the graph was made before there was a cluster or with it."""
    from hyperspy_dosekin.windows.definitions import Window
    from hyperspy_dosekin.windows.integrate import integrate
    from hyperspy_dosekin.windows.weights import window_weights

    weights = window_weights(np.arange(8.0), [Window("w", 1, 4)])
    series = da.ones((4, 4), chunks=(2, 4))

    def areas():
        return map_blocks(integrate, "(e)->(w)", series, output_sizes={"w": 1}, weights=weights)

    early = areas()
    before = os.environ.get("OMP_NUM_THREADS")
    with (
        # No copy of a process that has imported us.
        dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(exec, HIDE, {})
        for lazy in (early, areas()):
            with pytest.raises(ModuleNotFoundError, match="on every worker of the cluster"):
                lazy.compute()
    if before is None:
        os.environ.pop("OMP_NUM_THREADS", None)
    assert areas().compute().shape == (4, 1)


def test_a_scheduler_that_closes_ends_the_computation():
    before = os.environ.get("OMP_NUM_THREADS")
    data = da.from_array(np.ones((400, 4, 8)), chunks=(1, 4, 8))
    ended = []

    def compute(lazy):
        try:
            ended.append(lazy.compute())
        except Exception as error:
            ended.append(error)

    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    )
    with distributed.Client(cluster) as client:
        client.wait_for_workers(1, timeout=EVENT)
        lazy = map_blocks(slow_sum, "(e)->()", data)
        thread = threading.Thread(target=compute, args=(lazy,), daemon=True)
        thread.start()
        wait_for_work(client)
        cluster.close()
        thread.join(EVENT)
        assert not thread.is_alive()
    assert isinstance(ended[0], Exception)
    if before is None:
        os.environ.pop("OMP_NUM_THREADS", None)


def test_progress_of_a_cluster_is_shown_and_only_if_wanted(client, capsys):
    series = image()
    series.process_low_loss(show_progressbar=False, survey="all")
    assert capsys.readouterr().out == ""
    series.process_low_loss(show_progressbar=True, survey="all")
    assert "Completed" in capsys.readouterr().out


def test_a_worker_that_is_killed_changes_nothing(client, cluster):
    """The last test, since it ends a worker of the others."""
    data = da.from_array(np.arange(60.0 * 4 * 8).reshape(60, 4, 8), chunks=(1, 4, 8))
    lazy = map_blocks(slow_sum, "(e)->()", data)
    future = client.compute(lazy)
    wait_for_work(client)
    assert not future.done()
    victim = next(iter(cluster.workers.values())).pid
    os.kill(victim, signal.SIGKILL)
    np.testing.assert_array_equal(
        future.result(timeout=EVENT), data.compute(scheduler="threads").sum(-1)
    )
    client.wait_for_workers(2, timeout=EVENT)
    assert victim not in [worker.pid for worker in cluster.workers.values()]
