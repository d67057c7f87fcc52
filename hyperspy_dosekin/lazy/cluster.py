# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cluster would compute, and how its progress is shown.

Nothing here imports `distributed`: where it has not been imported there is no cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask.config
from dask.base import get_scheduler


def current_client() -> Any:
    """The `distributed.Client` that would compute lazy arrays now, or ``None``."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    client = getattr(get_scheduler(), "__self__", None)
    return client if isinstance(client, getattr(distributed, "Client", ())) else None


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
