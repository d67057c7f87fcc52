# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress bars the HyperSpy way: `show_progressbar`, with the preference as default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hyperspy_dosekin.numerics.arguments import flag
from hyperspy_dosekin.numerics.progress import Progress, no_progress


@contextmanager
def progress_bars(show_progressbar: bool | None) -> Iterator[Progress]:
    """A reporter of progress that draws one bar for each phase of the work.

    Parameters
    ----------
    show_progressbar
        ``None`` takes HyperSpy's preference.
    """
    if not _wanted(show_progressbar):
        yield no_progress
        return
    from tqdm.auto import tqdm

    bars: dict[str, tqdm] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in bars:
            bars[what] = tqdm(total=total, desc=what)
        bars[what].update(done - bars[what].n)

    try:
        yield report
    finally:
        for bar in bars.values():
            bar.close()


@contextmanager
def dask_progress(show_progressbar: bool | None) -> Iterator[None]:
    """A progress bar for what dask computes inside the block, in this process or on a cluster."""
    if not _wanted(show_progressbar):
        yield
        return
    from hyperspy_dosekin.lazy.cluster import shown_progress

    with shown_progress():
        yield


def _wanted(show_progressbar: bool | None) -> bool:
    if show_progressbar is not None:
        return flag("show_progressbar", show_progressbar)
    from hyperspy.defaults_parser import preferences

    general = preferences.General
    return general is not None and bool(general.show_progressbar)
