# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinetics of a dose series while it is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hyperspy_dosekin.numerics.arguments import check_callable, real_number
from hyperspy_dosekin.numerics.html import Html, report
from hyperspy_dosekin.numerics.stream.frames import QUEUE_SIZES, FrameQueue
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.drawing import FigureOptions, drawn, takes_figure_options
from hyperspy_dosekin.signals.kinetics.options.fit_options import takes_fit_options
from hyperspy_dosekin.signals.signatures import refuse_unknown

from .folder import FILES, frames_of_folder
from .posterior import DosePosterior
from .saved import SavedKinetics
from .shown import FollowedFigure, picture_of

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.figure import FigureBase
    from typing_extensions import Unpack

    from hyperspy_dosekin.plotting.kinetics.growing import GrowingPicture

#: What a source may say of a frame.
WHERE = ("index", "time", "dose")


@takes_fit_options()
class LiveKinetics(SavedKinetics):
    """The kinetics of a dose series while it is recorded.

    Frames are given one by one. Their windows are integrated as they come, the posterior of D½ is
    brought up to date, and rules say when the series may stop.

    Parameters
    ----------
    windows
        As for `integrate_windows`; ``None`` for ``hyperspy_dosekin.LOW_LOSS_WINDOWS``.
    dose_rate
        Dose per second. Without it every frame brings its own dose, ``update(frame, dose=…)``.
    frame_time
        Seconds from one frame to the next, during which the beam is on.
    pre_exposure
        Dose before the first frame.
    offset
        Known offset b, in the unit of the areas: as for `DoseSeries.fit_dose_pinn`.
    stop_when
        When to stop: a mapping such as ``{"half_integrity_dose": 0.1}`` (D½ of all windows is known
        to 10 %: one standard deviation of ln D½), ``{"integrity": 0.5, "probability": 0.95}`` (the
        integrity of a window is below 0.5 with that probability) or ``{"dose": 1500}`` (the next
        frame would exceed this dose), each with ``"windows"`` that count, the ``"share"`` of pixels
        of a map (0.9) and the number of frames ``"in_a_row"`` (2); a function of the
        `DosePosterior`; or a list of these.
    energy_axis
        Energies of the channels in eV, or the energy axis of a signal, where frames are arrays.
        Arrays with one value for each window are areas, and need none.
    process
        What is done to a frame by itself, from its zero-loss peak: ``"pedestal"`` subtracts what
        lies below it, ``"align"`` moves the windows with it, ``"normalise"`` divides by its area.
        ``True`` does all three.
    store
        Name of a ``.zspy`` file that is not there yet. Every frame is written to it as it comes,
        and `resume` goes on from it if the process dies. HyperSpy opens it at any time.
    on_update
        Function that is called with each `DosePosterior`; the series stops if it returns ``True``.
    dose_unit
        Unit of the doses.
    budget
        Seconds that the posterior of a map may take after each frame, on as many threads as Torch
        may use. Pixels follow in the order of the age of their answers, and `DosePosterior.age`
        says how old each is; `refresh` brings all of them up to date. ``None`` does so after every
        frame. Series and maps of up to 64 curves (pixels times windows) are always up to date.
    **fit_options
        Options of the fit.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If an argument is not possible, or the law has no posterior that is fast enough.

    Notes
    -----
    The posterior is that of the exact estimator with white noise, over at most 48 bins of dose, so
    that neither time nor memory grow with the series but for the areas. Where the noise of the
    areas is known it is the least that the noise can be (``noise="floor"``), unless another
    ``noise`` is given: residuals that are small by luck must not stop a series. A result is the
    offline fit of all frames. With ``estimator="exact"`` the live posterior knows that intensities
    are not negative; with the network, which is the default for series without space axes, it does
    not.

    Intervals of series that were stopped when they looked good have been tried, see "At the
    microscope" in the user guide: they hold where the noise is known and the rule can be reached
    within the dose.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> live = hyperspy_dosekin.LiveKinetics(
    ...     dose_rate=3.45, frame_time=44.0, estimator="exact", stop_when={"dose": 1000}
    ... )
    >>> for frame in s:
    ...     posterior = live.update(frame)
    ...     if live.stop:
    ...         break
    >>> live.n_frames, live.stopped_by
    (6, 'the dose of 1000 is spent')
    >>> live.result()
    <DoseKinetics, 4 windows, 6 doses, exact estimator...>
    """

    _figure: FollowedFigure | None = None

    def follow(self, source: Iterable[object]) -> Iterator[DosePosterior]:
        """Take frames from a source until it ends or a rule says to stop.

        A thread reads the source; nothing is dropped, and frames that wait when the series stops
        are taken in, too.

        Parameters
        ----------
        source
            Anything that can be iterated over: frames, or mappings with ``"frame"`` and any of
            ``"index"``, ``"time"`` and ``"dose"``.

        Yields
        ------
        DosePosterior
            After each frame.

        Raises
        ------
        TypeError
            If the source cannot be iterated over. What it raises is raised on.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> live = hyperspy_dosekin.LiveKinetics(dose_rate=3.45, frame_time=44.0)
        >>> [posterior.n_frames for posterior in live.follow(s)][-1]
        9
        """
        queue = FrameQueue(iter(source), "block", QUEUE_SIZES["block"], copy=False)
        try:
            while not self.stop:
                arrived = queue.get()
                if arrived is None:
                    return
                yield self._one_of(arrived.data)
            # What has been recorded is not thrown away.
            queue.abandon()
            while queue.waiting:
                yield self._one_of(queue.waiting.popleft().data)
        finally:
            queue.close()

    def run(self, source: Iterable[object]) -> DosePosterior:
        """Take all frames of a source, as `follow` does, and give the last posterior.

        Parameters
        ----------
        source
            As for `follow`.

        Returns
        -------
        DosePosterior
            What is known at the end.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> live = hyperspy_dosekin.LiveKinetics(dose_rate=3.45, frame_time=44.0)
        >>> live.run(s).n_frames
        9
        """
        for _ in self.follow(source):
            pass
        return self.posterior

    def _one_of(self, arrived: object) -> DosePosterior:
        if isinstance(arrived, Mapping):
            told = dict(arrived)
            if "frame" not in told:
                raise ValueError(
                    f'a mapping of the source has {sorted(map(str, told))}, and needs "frame".'
                )
            refuse_unknown("update", {k: v for k, v in told.items() if k != "frame"}, WHERE)
            return self.update(told.pop("frame"), **told)
        return self.update(arrived)

    def watch(
        self,
        folder: str | PathLike[str],
        *,
        pattern: str | Sequence[str] = FILES,
        poll: float = 0.5,
        settle: float = 1.0,
        timeout: float | None = None,
        notice: bool | None = None,
        until: Callable[[], bool] | None = None,
    ) -> Iterator[DosePosterior]:
        """Take the files of a folder as they arrive, until a rule says to stop.

        Files that are there already come first, in the order of their names as people count. A file
        may hold one frame or several. One that cannot be read counts as a broken frame.

        Parameters
        ----------
        folder
            The folder.
        pattern
            Names of the files that count, one pattern or several.
        poll
            Seconds from one look to the next.
        settle
            Seconds for which a file must not have changed: until then it is being written.
        timeout
            Seconds without a new file after which it ends; ``None`` waits until a rule says to
            stop.
        notice
            Whether watchdog notices files at once (``pip install "hyperspy_dosekin[live]"``);
            ``None`` if it is installed. Network drives often need ``False``.
        until
            Asked again and again; it ends once this is ``True``. Frames that have been read by
            then are taken.

        Returns
        -------
        iterator of DosePosterior
            One after each frame; frames are taken where it is iterated over.

        Raises
        ------
        NotADirectoryError
            If there is no such folder.
        ImportError
            If `notice` is ``True`` and watchdog is not installed.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> live = hyperspy_dosekin.LiveKinetics(dose_rate=3.45, frame_time=44.0)
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for place in range(3):
        ...         s.inav[place].save(f"{folder}/frame {place}.hspy")
        ...     watched = live.watch(folder, settle=0.0, timeout=0.0)
        ...     [posterior.n_frames for posterior in watched]
        [1, 2, 3]
        """
        check_callable("until", until)
        source = frames_of_folder(
            folder,
            [pattern] if isinstance(pattern, str) else list(pattern),
            poll=real_number("poll", poll, "give seconds", above=0.0),
            settle=real_number("settle", settle, "give seconds", least=0.0),
            timeout=timeout,
            notice=notice,
            ended=lambda: self.stop or (until is not None and until() is True),
        )
        return self.follow(source)

    # Pictures

    @takes_figure_options
    def plot(self, *, follow: bool = False, **options: Unpack[FigureOptions]) -> FigureBase:
        """Plot the areas, and D½ as it became known; of maps D½ of every pixel.

        Parameters
        ----------
        follow
            Whether the figure is drawn again after every frame, also in a notebook.
        **options
            Of the figure.

        Returns
        -------
        matplotlib.figure.Figure
            On the left the areas against dose, on the right D½ with its 95 % interval against the
            dose at which it was known; the dotted line is where D½ is the dose itself.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> live = hyperspy_dosekin.LiveKinetics(dose_rate=3.45, frame_time=44.0)
        >>> _ = live.run(s)
        >>> len(live.plot().axes)
        2
        """
        from hyperspy_dosekin.plotting.kinetics.growing import plot_growing

        figure = drawn(plot_growing, self.picture(), options)
        if follow:
            self._figure = FollowedFigure(figure, plot_growing)
        return figure

    def _shown(self) -> None:
        if self._figure is not None:
            self._figure.show(self.picture())

    def picture(self) -> GrowingPicture:
        """Take what `plot` draws now.

        Returns
        -------
        GrowingPicture
            Plain numbers, for a figure of your own that is drawn elsewhere, or later.

        Examples
        --------
        >>> live = hyperspy_dosekin.LiveKinetics([(1, 3)], dose_rate=10.0, frame_time=5.0)
        >>> _ = live.update([3.0])
        >>> live.picture().headline
        '1 frames, 50 e⁻/Å²'
        """
        return picture_of(
            self.window_names,
            self._series,
            self.posterior,
            self.history,
            n_space=len(self._space),
            quantity=self._reader.quantity,
        )

    def __repr__(self) -> str:
        """One line."""
        unit = f" {self.dose_unit}" if self.dose_unit else ""
        end = f", {self.posterior.dose:.4g}{unit}" if self.n_frames else ""
        number = len(self.window_names)
        stop = ", STOP" if self.stop else ""
        windows = f"{number} window{'s' * (number != 1)}"
        return printable(f"<LiveKinetics, {windows}, {self.n_frames} frames{end}{stop}>")

    def __str__(self) -> str:
        """What is known, and what came."""
        return printable(f"{self.posterior}\n{self.report}")

    def _repr_html_(self) -> str:
        posterior = Html(self.posterior._repr_html_())
        return report(notes=str(self.report).splitlines(), parts=[posterior])
