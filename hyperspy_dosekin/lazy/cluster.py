# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster is asked before work is made for it, and how its progress is shown.

Nothing here imports `distributed`: where it has not been imported there is no cluster.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask.config
from dask.base import get_scheduler

_logger = logging.getLogger(__name__)

PACKAGE = "hyperspy_dosekin"
#: Clients whose workers have been asked, while they live.
_checked: weakref.WeakSet[Any] = weakref.WeakSet()


def current_client() -> Any:
    """The `distributed.Client` that would compute lazy arrays now, or ``None``."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    client = getattr(get_scheduler(), "__self__", None)
    return client if isinstance(client, getattr(distributed, "Client", ())) else None


def check_cluster() -> None:
    """Refuse a cluster whose workers do not have this package.

    They are asked once for each client, through functions of the standard library alone, which
    takes some milliseconds. Nobody is asked from within a task, by an asynchronous client, or
    while there are no workers.

    Raises
    ------
    RuntimeError
        If one of them cannot import this package.
    """
    client = current_client()
    if client is None or client in _checked or client.asynchronous or _is_in_a_task():
        return
    answers = dict(client.run(importlib.util.find_spec, PACKAGE, on_error="return"))
    if not answers:
        return
    missing = [
        address
        for address, answer in answers.items()
        if answer is None or isinstance(answer, BaseException)
    ]
    if missing:
        raise RuntimeError(
            f"{len(missing)} of {len(answers)} workers of the cluster, such as {missing[0]}, "
            f"cannot import {PACKAGE}; install it there in the version used here, "
            f"{importlib.metadata.version(PACKAGE)}, and restart them, or close the client to "
            "compute on this machine."
        )
    _warn_of_versions(client)
    _checked.add(client)


def _warn_of_versions(client: Any) -> None:
    here = importlib.metadata.version(PACKAGE)
    there = client.run(importlib.metadata.version, PACKAGE, on_error="return").values()
    others = {version for version in there if isinstance(version, str) and version != here}
    if others:
        _logger.warning(
            "Workers of the cluster have %s %s, and %s is used here: results may differ, or fail.",
            PACKAGE,
            ", ".join(sorted(others)),
            here,
        )


def _is_in_a_task() -> bool:
    """Whether this is a worker at work, which must not wait for others."""
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True


@contextmanager
def shown_progress() -> Iterator[None]:
    """Show the progress of what is computed inside the block, in this process or on a cluster."""
    client = current_client()
    if client is None or client.asynchronous:
        from dask.diagnostics.progress import ProgressBar

        with ProgressBar():
            yield
        return

    # The bar of dask sees nothing of what a cluster does, which has one of its own.
    def get(graph: Any, keys: Any, **options: Any) -> Any:
        from distributed import progress

        futures = client.get(graph, keys, sync=False, **options)
        progress(futures)
        return client.gather(futures)

    with dask.config.set(scheduler=get):
        yield
