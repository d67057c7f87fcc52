# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several kinetic laws fitted to the same series, and what they agree on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import check_arguments, short
from hyperspy_dosekin.signals.axes.noise import check_absolute
from hyperspy_dosekin.signals.kinetics.comparison.result import LawComparison
from hyperspy_dosekin.signals.kinetics.data.recorded import law_under
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData, check_dose_rate
from hyperspy_dosekin.signals.kinetics.numbers.pixels import over_pixels
from hyperspy_dosekin.signals.kinetics.options.configs import exact_config
from hyperspy_dosekin.signals.kinetics.options.fit_options import (
    METHOD_OPTIONS,
    NETWORK_OPTIONS,
    FitOptions,
    takes_fit_options,
)
from hyperspy_dosekin.signals.kinetics.options.offset import known_offset
from hyperspy_dosekin.signals.progress import progress_bars
from hyperspy_dosekin.signals.signatures import refuse_unknown

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries

SPATIAL = ("auto", "pixel", "mean")
#: Options of a fit that are not those of a law.
UNUSED = (
    *("estimator", "exponent", "hierarchy", "intervals", "protocol", "seeds"),
    *NETWORK_OPTIONS,
)
_PIXELS = 64


@takes_fit_options("law", *UNUSED)
def compare_laws(
    series: DoseSeries,
    laws: Sequence[str | KineticLaw] | None = None,
    *,
    spatial: str = "auto",
    show_progressbar: bool | None = None,
    **options: Any,
) -> LawComparison:
    """Fit several kinetic laws and say which of them the data can tell apart.

    Laws are compared by their evidence, the probability of the data under a law and its priors:
    a law with more freedom has to earn it. Those within 3 in ln evidence of the best survive. Each
    is fitted as `DoseSeries.fit_dose_pinn` fits it with the same options, but that every pixel has
    a noise of its own and not at least that of all pixels.

    Parameters
    ----------
    series
        A dose series.
    laws
        Names of laws, or laws. ``None`` takes all that are registered, without those that need a
        dose rate where none is recorded, those that a free offset makes senseless (a plateau looks
        like an offset), and those that have more coefficients than there are doses.
    spatial
        ``"auto"`` and ``"pixel"`` compare in every pixel, ``"mean"`` in the mean over space.
    **options
        Options of the fits.
    show_progressbar
        ``None`` takes HyperSpy's preference.

    Returns
    -------
    LawComparison
        Lazy where the series is.

    Raises
    ------
    ValueError
        If fewer than two laws are left to compare, an option is unknown, or there are no priors.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows()
    >>> found = hyperspy_dosekin.compare_laws(s, ["power law", "first order"])
    >>> sorted(found.verdict) == sorted(s.window_names)
    True
    """
    from hyperspy_dosekin.kinetics.comparison.comparison import LAW_FIELDS, compare_block

    check_arguments(compare_laws, locals())
    if not hasattr(series, "fit_dose_pinn") or not hasattr(series, "window_names"):
        raise TypeError(
            f"{short(series)} is no DoseSeries; pass what s.integrate_windows() returns."
        )
    if spatial not in SPATIAL:
        raise ValueError(f"spatial={spatial!r} is not one of {SPATIAL}.")
    refuse_unknown("compare_laws", options, set(METHOD_OPTIONS) - {"law", *UNUSED})
    chosen = FitOptions.of("compare_laws", estimator="exact", hierarchy=(), **options)
    if chosen.prior is None:
        raise ValueError(
            "prior=None leaves nothing to weigh the laws by: the evidence is the probability of "
            "the data before they were seen. Leave prior= out, or give wide priors."
        )
    data = SeriesData.of(series)
    check_absolute(chosen.noise, data.variance)
    if not chosen.processing_error:
        data = replace(data, shared_errors={})
    if spatial == "mean":
        data = data.averaged()
    known = known_offset(chosen.offset, data.space_shape, len(data.window_names))
    scaled = replace(data, dose_scale=chosen.dose_scale)
    kernels = _chosen_laws(laws, scaled, offset_free=known is None)
    config = exact_config(chosen, data.dose_metadata)
    kernel = partial(
        compare_block,
        dose=data.dose,
        window_names=data.window_names,
        laws=kernels,
        config=config,
        dose_scale=chosen.dose_scale,
    )
    sizes = {"l": len(kernels), "f": len(LAW_FIELDS)}
    with progress_bars(show_progressbar) as progress:
        fields = over_pixels(kernel, data, known, "l,f,w", sizes, _PIXELS, progress=progress)
    return LawComparison(data, tuple(law.name for law in kernels), fields, config.dose_error)


def _chosen_laws(
    laws: Sequence[str | KineticLaw] | None, data: SeriesData, *, offset_free: bool
) -> list[KineticLaw]:
    from hyperspy_dosekin.kinetics.laws.registry import KINETIC_LAWS, kinetic_law

    n_dose = np.unique(data.dose).size
    if not n_dose:
        raise ValueError("a series without frames has nothing to compare laws by; record some.")
    if laws is None:
        chosen = [
            law
            for law in KINETIC_LAWS.values()
            if not (offset_free and law.has_plateau)
            and not (law.needs_dose_rate and data.dose_rate is None)
            and not law.needs_series
            and len(law.parameters) + 1 + offset_free <= n_dose
            and len(law.parameters) <= 3
        ]
    else:
        if isinstance(laws, str) or not isinstance(laws, Sequence):
            raise TypeError(f"laws={short(laws)} must be a list of two or more laws, or None.")
        chosen = [law_under(kinetic_law(law), data.conditions, data.scale) for law in laws]
        for law in chosen:
            check_dose_rate(law, data)
    names = [law.name for law in chosen]
    if len(chosen) < 2 or len(set(names)) != len(names):
        raise ValueError(
            f"the laws {names} cannot be compared: give two or more different ones in laws=, with "
            f"no more coefficients than the {n_dose} doses of the series."
        )
    return chosen
