# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the training of a `DualVAE` found out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.classification.calibration import CalibrationCurve
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.plotting.classification.representations import plot_cosine, plot_report
from hyperspy_dosekin.signals.drawing import FigureOptions, framed, takes_figure_options
from hyperspy_dosekin.signals.results import TabledResult, as_frame

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase
    from pandas import DataFrame
    from typing_extensions import Unpack

    from hyperspy_dosekin.classification.model import Model


class VAEReport(TabledResult):
    """Findings of a training: nuisances, active latents, learning curves, calibration.

    ``print`` it for a table, `plot` draws it.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def active_latents(self) -> int:
        """Number of latents that carry information; fewer than two are a failed fit."""
        return int(self._model.active.sum())

    @property
    def latent_kl(self) -> np.ndarray:
        """Mean KL divergence of each latent, nats, ``(n_latent,)``."""
        return self._model.latent_kl.copy()

    @property
    def nuisances(self) -> dict[str, object]:
        """What single spectra differ by, as estimated: scale, shift (eV), background, noise."""
        return self._model.nuisances.summary()

    @property
    def class_share(self) -> dict[str, float]:
        """Class prior by name."""
        return dict(zip(self._model.names, self._model.share.tolist(), strict=True))

    @property
    def fwhm_ev(self) -> float | None:
        """Broadening of the references found by ``fwhm="estimate"``, FWHM in eV, else ``None``."""
        report = self._model.report
        return float(report["fwhm_ev"]) if report.get("fwhm_estimated", False) else None

    @property
    def history(self) -> Mapping[str, Any]:
        """Loss terms by step: ``"step"``, ``"learning_rate"``, ``"training"``, ``"validation"``."""
        report = self._model.report

        def terms(kind: str) -> dict[str, np.ndarray]:
            prefix = f"{kind}."
            return {n[len(prefix) :]: v for n, v in report.items() if n.startswith(prefix)}

        return {
            "step": report.get("curve_step", np.empty(0)),
            "learning_rate": report.get("curve_learning_rate", np.empty(0)),
            "training": terms("training"),
            "validation": terms("validation"),
        }

    @property
    def calibration(self) -> CalibrationCurve:
        """Accuracy against confidence on new simulated spectra, under a uniform prior."""
        report = self._model.report
        return CalibrationCurve(
            *(report[f"calibration_{name}"] for name in ("confidence", "accuracy", "weight"))
        )

    @property
    def calibration_error(self) -> float:
        """Expected calibration error on new simulated spectra."""
        return float(self._model.report["calibration_error"])

    @property
    def simulated_accuracy(self) -> float:
        """Share of new simulated spectra that are classified right, under a uniform prior."""
        return float(self._model.report["simulated_accuracy"])

    @property
    def temperature(self) -> float:
        """Factor by which the confidence of the classifier was lowered (above 1) or raised."""
        return 1 / self._model.power

    @property
    def complete(self) -> bool:
        """``False`` where the training was interrupted."""
        return bool(self._model.report.get("complete", True))

    @property
    def cosine(self) -> dict[str, float]:
        """Cosine of each class's reference with the mean of its spectra, without backgrounds.

        As the paper compares simulated with measured spectra. NaN for a class of which there are
        too few spectra, or which has no signal.
        """
        found = self._model.report.get("cosine", np.full(len(self._model.names), np.nan))
        return dict(zip(self._model.names, np.asarray(found).tolist(), strict=True))

    @property
    def cosines(self) -> np.ndarray:
        """Cosine of the mean of each class (row) with each reference, ``(n_class, n_class)``."""
        number = len(self._model.names)
        return np.asarray(self._model.report.get("cosines", np.full((number, number), np.nan)))

    @property
    def data_calibration(self) -> CalibrationCurve | None:
        """Accuracy against confidence with the noise and the misfit of the data at hand.

        On the explanations of the measured spectra, to which was added what other spectra leave of
        theirs. What shows in the residuals is in it; a wrong reference that resembles a right one
        is not. ``None`` for models of early files.
        """
        report = self._model.report
        names = ("data_confidence", "data_accuracy", "data_weight")
        if not all(name in report for name in names):
            return None
        return CalibrationCurve(*(report[name] for name in names))

    @property
    def problems(self) -> tuple[str, ...]:
        """What does not fit, in words.

        Classes without signal, collinear or indistinguishable; means that are not like their
        references; another zero of the energy; references in different units; spectra of no class;
        a background as high as the edge; collapsed latents.
        """
        return tuple(self._model.report.get("problems", ()))

    @property
    def confusable(self) -> tuple[str, ...]:
        """Classes that a mixture of two others looks like at the noise of one spectrum."""
        return tuple(self._model.report.get("confusable", ()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of the training, such as that it was the published one."""
        return tuple(self._model.report.get("notes", ()))

    @property
    def seconds(self) -> dict[str, float]:
        """Time that estimation, training and calibration took."""
        return dict(self._model.report.get("seconds", {}))

    def to_dataframe(self) -> DataFrame:
        """Return the findings as a table: what was found, and its value as it is printed."""
        return as_frame(self._findings(), ["finding", "value"])

    def __repr__(self) -> str:
        """One line."""
        return printable(f"<VAEReport, {', '.join(self._model.names)}>")

    def _findings(self) -> list[tuple[str, str]]:
        known = self.nuisances
        network = "not trained; latents ask for it"
        if self._model.has_network:
            steps = self._model.report.get("steps", 0)
            network = (
                f"{self.active_latents} of {self._model.n_latent} latents active, {steps} steps"
            )
        scale = f"{known['scale_mean']:.4g} ± {known['scale_sd']:.2g}, {known['scale_shape']}"
        shift = f"{known['shift_mean_ev']:.2g} ± {known['shift_sd_ev']:.2g} eV"
        found = [
            ("classes", ", ".join(self._model.names)),
            ("network", network),
            ("scale", scale),
            ("energy shift", shift),
        ]
        if self.fwhm_ev is not None:
            found.append(("broadening", f"{self.fwhm_ev:.3g} eV FWHM, estimated"))
        noise = f"gain {known['noise_gain']:.3g}, sd at zero {known['noise_sd_at_zero']:.3g}"
        share = ", ".join(f"{name} {100 * part:.1f} %" for name, part in self.class_share.items())
        simulated = (
            f"accuracy {self.simulated_accuracy:.3f}, calibration error "
            f"{self.calibration_error:.3f}"
        )
        found += [
            ("residual background", f"± {known['background_sd']:.3g}"),
            ("noise", noise),
            ("class prior", share),
            ("on simulations", simulated),
        ]
        looked = self.data_calibration
        if looked is not None:
            found.append(("with what the data leave", f"calibration error {looked.error:.3f}"))
        cosine = ", ".join(f"{name} {value:.4f}" for name, value in self.cosine.items())
        return [*found, ("cosine with its mean", cosine)]

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        table = PrettyTable(["finding", "value"])
        table.align = "l"
        table.add_rows([list(row) for row in self._findings()])
        cut = "The training was interrupted; the best weights so far were kept."
        stopped = [] if self.complete else [cut]
        return [table], [*stopped, *self.notes, *self.confusable, *self.problems]

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw learning curves, activity of the latents and calibration."""
        history = self.history
        draw = partial(
            plot_report,
            history["step"],
            history["training"],
            history["validation"],
            self.latent_kl,
            self.calibration,
        )
        return framed(draw, options)

    @takes_figure_options
    def plot_cosine(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw the cosine of every reference with the mean of the spectra of every class.

        As the paper compares simulated with measured spectra. Means are without backgrounds, and
        references at the shift of the data; a class of which there are too few has none.

        Parameters
        ----------
        **options
            Of the figure.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> c = s.classify_vae(references, network=False, show_progressbar=False)
        >>> figure = c.report.plot_cosine()
        """
        return framed(partial(plot_cosine, self.cosines, self._model.names), options)
