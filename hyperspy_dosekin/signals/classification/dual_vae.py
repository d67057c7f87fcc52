# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trainable classifier of spectra, on HyperSpy signals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hyperspy_dosekin.classification.config import LOSS_WEIGHTS, VAEConfig
from hyperspy_dosekin.lazy.blocks import map_blocks
from hyperspy_dosekin.numerics.arguments import check_arguments, short
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.chunk_advice import advise_on_chunks
from hyperspy_dosekin.signals.classification.references import read_references
from hyperspy_dosekin.signals.classification.spectra import (
    ascending,
    ascending_variance,
    check_axis,
    check_spectra,
    smoothed,
    suited,
)
from hyperspy_dosekin.signals.classification.trained_model import TrainedModel
from hyperspy_dosekin.signals.signatures import (
    documentation_of,
    options_of,
    refuse_unknown,
    takes_options,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.classification.nuisances import Nuisances
    from hyperspy_dosekin.classification.settings import ClassPrior, FitSettings
    from hyperspy_dosekin.signals.classification.result import VAEClassification

Trained = TypeVar("Trained", bound=TrainedModel)

#: Spectra to train on, at most; the nuisances need no more, and the rest is simulated.
MOST_SPECTRA = 20_000

#: Settings of the training, which the model takes beside its own.
_TRAINING_OPTIONS = {
    name: each.replace(default=dict(LOSS_WEIGHTS)) if name == "loss_weights" else each
    for name, each in options_of(VAEConfig).items()
    if name != "seed"
}


def _with_training_options(cls: type[Trained]) -> type[Trained]:
    """Show the settings of the training among those of the class, and in its docstring."""
    show = takes_options(_TRAINING_OPTIONS, documentation_of(VAEConfig, _TRAINING_OPTIONS))
    show(cls.__init__)
    return show(cls)


@_with_training_options
class DualVAE(TrainedModel):
    """Dual variational autoencoder and classifier, trained on references and measured spectra.

    The variational encoder reads clean spectra, a plain encoder raw ones, both share the decoder.
    Training spectra of known class are simulated from the references with noise, thickness
    scale, energy jitter and residual background as estimated from the data.

    Parameters
    ----------
    classifier
        ``"likelihood"``, Bayes' rule with the nuisances that were estimated; ``"head"``, a small
        dense network that learned from it; ``"gaussian_process"`` or ``"knn"`` on the active
        latents. By default the likelihood, and with ``protocol="paper"`` the Gaussian process.
    protocol
        ``"fast"``, or ``"paper"``: the published training, on the measured spectra alone. Its note
        and its weaknesses are in the report.
    network
        ``True`` trains the network at once, ``False`` never; by default it is trained when it is
        first asked for (`train_network`), which the likelihood never does. The other classifiers
        train it at once.
    prior
        Class prior: ``"estimated"`` from the data, ``"uniform"``, or a share for each class, in
        order or by name.
    n_components
        Principal components of the clean version of the data.
    fwhm
        Full width at half maximum, in eV, of a Gaussian to broaden the references with, or
        ``"estimate"`` to find it by how well the broadened references explain the data.
    max_spectra
        Measured spectra to train on, at most; chosen at random.
    seed
        Same seed, data and machine, same model.
    device
        Where to train: ``"auto"``, ``"cpu"`` or another device of Torch.
    **network_options
        Settings of the training, see `VAEConfig`.

    References
    ----------
    J. D. Hollenbach et al., doi:10.1038/s41598-024-66902-4.

    Examples
    --------
    >>> data = hyperspy_dosekin.data
    >>> s = data.annealing_series(shape=(4, 9, 8))
    >>> vae = hyperspy_dosekin.DualVAE(steps=20, evaluate_every=10)
    >>> vae.fit(s, data.reference_spectra(), show_progressbar=False)
    <DualVAE, 4 classes, 160 channels, likelihood>
    >>> vae.classify(s).class_map
    <ClassMap, title: Classes of Simulated annealing series, dimensions: (4|8, 9)>
    """

    def __init__(
        self,
        *,
        classifier: str | None = None,
        protocol: str = "fast",
        network: bool | None = None,
        prior: ClassPrior = "estimated",
        n_components: int = 10,
        fwhm: float | str = 0.0,
        max_spectra: int = MOST_SPECTRA,
        seed: int = 0,
        device: str | torch.device = "auto",
        **network_options: Any,
    ) -> None:
        from hyperspy_dosekin.classification.settings import FitSettings

        refuse_unknown("DualVAE", network_options, _TRAINING_OPTIONS)
        check_arguments(DualVAE.__init__, locals())
        if isinstance(fwhm, str) and fwhm != "estimate":
            raise ValueError(f'fwhm={fwhm!r} must be a width in eV or "estimate".')
        if not isinstance(fwhm, str) and not fwhm >= 0:
            raise ValueError(f"fwhm={fwhm} must not be negative.")
        if max_spectra < 200:
            raise ValueError(f"max_spectra={max_spectra} must be at least 200.")
        self._settings: FitSettings = FitSettings(
            classifier=classifier or ("likelihood" if protocol == "fast" else "gaussian_process"),
            protocol=protocol,
            prior=prior,
            n_components=n_components,
            network=VAEConfig(seed=seed, **network_options),
            with_network=network,
        )
        self._fwhm, self._max_spectra, self._device = fwhm, max_spectra, device

    # Training

    def fit(
        self,
        signal: BaseSignal,
        references: BaseSignal | Sequence[object] | npt.ArrayLike,
        labels: Sequence[object] | None = None,
        *,
        clean: BaseSignal | None = None,
        nuisances: Nuisances | None = None,
        low_loss: BaseSignal | None = None,
        show_progressbar: bool | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> DualVAE:
        """Learn from a signal and references; the network only where the classifier reads it.

        Parameters
        ----------
        signal
            Spectra, any navigation axes, at least 32 channels and 200 spectra. Of a lazy signal
            only a sample is computed.
        references
            A signal ``(reference|energy)``, a list of one-dimensional signals or files, or an
            array on the axis of the data. In any energy unit and step, covering the data.
        labels
            Class of each reference; by default those in its metadata, else titles.
        clean
            Clean version of the signal, of the same shape; by default its leading principal
            components.
        nuisances
            Known `hyperspy_dosekin.classification.nuisances.Nuisances`; by default estimated.
        low_loss
            Low-loss signal of the same region, with its zero-loss peak, for data that were not
            deconvolved: the references are convolved with the mean of it, and pixels may have 40 %
            more or less. Not for references that were measured, which hold plural scattering.
        show_progressbar
            ``None`` takes HyperSpy's preference.
        stop
            Asked now and then; ``True`` ends the estimation early, and the training as Ctrl-C does.

        Returns
        -------
        DualVAE
            This object.

        Raises
        ------
        ValueError
            If references or data cannot be used; the message says why.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> vae = vae.fit(s, references, show_progressbar=False)
        >>> vae
        <DualVAE, 4 classes, 160 channels, likelihood>
        """
        from hyperspy_dosekin.classification.fitting import fit_model
        from hyperspy_dosekin.classification.nuisances import Nuisances
        from hyperspy_dosekin.numerics.device import resolve_device
        from hyperspy_dosekin.numerics.progress import never_stop
        from hyperspy_dosekin.signals.classification.training_data import (
            likeliest_width,
            read_low_loss,
            training_axis,
            training_rows,
        )
        from hyperspy_dosekin.signals.progress import progress_bars

        if nuisances is not None and not isinstance(nuisances, Nuisances):
            raise TypeError(
                f"nuisances={short(nuisances)} must be Nuisances; leave them out, and they are "
                "estimated."
            )
        energy, data = training_axis(signal)
        # References are checked before anything is computed.
        width = 0.0 if isinstance(self._fwhm, str) else float(self._fwhm)
        scattering = read_low_loss(low_loss)
        recorded = replace(read_references(energy, references, labels), scattering=scattering)
        chosen = recorded.on_axis(width)
        rng = np.random.default_rng(self._settings.network.seed)
        rows = training_rows(signal, data, clean, self._max_spectra, rng)
        with progress_bars(show_progressbar) as progress:
            if isinstance(self._fwhm, str):
                seed = self._settings.network.seed
                width, chosen = likeliest_width(rows.spectra, recorded, seed)
            self._model = fit_model(
                rows.spectra,
                chosen,
                self._settings,
                clean=rows.clean,
                nuisances=nuisances,
                variance=rows.variance,
                device=resolve_device(self._device),
                progress=progress,
                stop=stop or never_stop,
            )
        report: Any = self._model.report
        if scattering is not None:
            report["notes"] = [
                *report["notes"],
                "the references are convolved with the low loss, in which there are "
                f"{scattering.strength:.2g} electrons with a loss for each one without.",
            ]
        report["fwhm_ev"], report["fwhm_estimated"] = width, isinstance(self._fwhm, str)
        return self

    # Use

    def classify(
        self,
        signal: BaseSignal,
        *,
        prior: ClassPrior | None = None,
        spatial: str | None = None,
        spatial_strength: float | None = None,
        spatial_frames: bool = False,
    ) -> VAEClassification:
        """Classify the spectra of a signal; lazy in, lazy out.

        Parameters
        ----------
        signal
            Spectra on the energy axis and in the intensity unit of the training.
        prior
            Class prior, in the forms of the constructor; by default the one set there.
            ``"estimated"`` is estimated anew, from at most 5 000 spectra of this signal.
        spatial
            ``"potts"`` lets neighbouring pixels share information; ``None`` takes each for
            itself.
        spatial_strength
            Gain in log-probability from each neighbour of the same class, applied as given. By
            default gains are found by pseudo-likelihood for each pair of classes, and 0.45 of
            them is applied, because neighbours err together.
        spatial_frames
            Whether pixels of successive frames are neighbours too.

        Returns
        -------
        VAEClassification
            Classes, probabilities, uncertainties, novelty; lazy if the signal is.

        Raises
        ------
        ValueError
            If the axis or the scale of the signal is another one.
        RuntimeError
            If nothing has been trained.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> vae = vae.fit(s, references, show_progressbar=False)
        >>> vae.classify(s.inav[:4, :5])
        <VAEClassification, 3×5×4 pixels, 4 classes>
        """
        from hyperspy_dosekin.classification.prediction import predict
        from hyperspy_dosekin.signals.classification.result import VAEClassification

        # What is needed for another training does not travel to where blocks are classified.
        model = replace(self.trained, recipe=None)
        check_spectra(signal)
        energy, data = ascending(signal)
        check_axis(model, energy)
        if spatial not in (None, "potts"):
            raise ValueError(f'spatial={spatial!r} must be "potts" or None.')
        advise_on_chunks(signal, "classify_vae", whole="energy")
        variance = ascending_variance(signal)
        model = suited(
            model,
            data,
            variance,
            prior=self._settings.prior if prior is None else prior,
            most=self._max_spectra,
            rng=np.random.default_rng(self._settings.network.seed),
        )
        packed = map_blocks(
            predict,
            "(e)->(o)" if variance is None else "(e),(e)->(o)",
            *([data] if variance is None else [data, variance]),
            output_sizes={"o": model.n_output},
            output_dtypes=(np.float32,),
            model=model,
        )
        probability = packed[..., : len(model.names)]
        field = None
        if spatial == "potts":
            probability, field = smoothed(probability, model, spatial_strength, spatial_frames)
        return VAEClassification(self, model, signal, data, packed, probability, field, variance)

    def __repr__(self) -> str:
        """One line: what it tells apart."""
        if self._model is None:
            return "<DualVAE, not trained>"
        state = "" if self.complete else ", incomplete"
        return printable(
            f"<DualVAE, {len(self.names)} classes, {self.trained.energy_ev.size} channels, "
            f"{self.trained.classifier}{state}>"
        )


#: All that makes a model, beside what `classify_vae` names itself.
MODEL_OPTIONS = {
    name: each for name, each in options_of(DualVAE).items() if name not in ("classifier", "prior")
}
