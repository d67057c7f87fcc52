# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trainable classifier of spectra, on HyperSpy signals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.signals._blockwise import map_blocks, sample_rows, share
from hyperspy_dosekin.signals._vae_input import (
    ascending,
    check_axis,
    check_scale,
    check_spectra,
    smoothed,
)
from hyperspy_dosekin.signals.reference_spectra import references_on

if TYPE_CHECKING:
    from hyperspy_dosekin.classification.fitting import FitSettings
    from hyperspy_dosekin.classification.model import Model
    from hyperspy_dosekin.signals._vae_report import VAEReport
    from hyperspy_dosekin.signals.vae_classification import VAEClassification

_logger = logging.getLogger(__name__)

#: Spectra to train on, at most; the nuisances need no more, and the rest is simulated.
MOST_SPECTRA = 20_000
#: Settings that matter for classifying, and are saved with a model.
_SAVED = ("prior", "seed", "max_spectra")


class DualVAE:
    """Dual variational autoencoder and classifier, trained on references and measured spectra.

    The variational encoder reads clean spectra, a plain encoder raw ones, both share the decoder.
    Training spectra of known class are simulated from the references with noise, thickness
    scale, energy jitter and residual background as estimated from the data.

    Parameters
    ----------
    classifier
        ``"head"``, a small dense network trained jointly; ``"gaussian_process"`` or ``"knn"`` on
        the active latents.
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
        Further settings of `hyperspy_dosekin.classification.config.VAEConfig`, such as ``steps``,
        ``n_latent``, ``loss_weights`` or ``patience``.

    References
    ----------
    J. D. Hollenbach et al., doi:10.1038/s41598-024-66902-4.

    Examples
    --------
    >>> import hyperspy_dosekin
    >>> data = hyperspy_dosekin.data
    >>> s = data.annealing_series(shape=(4, 9, 8))
    >>> vae = hyperspy_dosekin.DualVAE(steps=20, evaluate_every=10)
    >>> vae.fit(s, data.reference_spectra(), show_progressbar=False)
    <DualVAE, 4 classes, 160 channels, head>
    >>> vae.classify(s).class_map
    <ClassMap, title: Classes of Simulated annealing series, dimensions: (4|8, 9)>
    """

    def __init__(
        self,
        *,
        classifier: str = "head",
        prior: Any = "estimated",
        n_components: int = 10,
        fwhm: float | str = 0.0,
        max_spectra: int = MOST_SPECTRA,
        seed: int = 0,
        device: Any = "auto",
        **network_options: Any,
    ) -> None:
        from hyperspy_dosekin.classification.config import VAEConfig
        from hyperspy_dosekin.classification.fitting import FitSettings

        if isinstance(fwhm, str) and fwhm != "estimate":
            raise ValueError(f'fwhm={fwhm!r} must be a width in eV or "estimate".')
        if not isinstance(fwhm, str) and not fwhm >= 0:
            raise ValueError(f"fwhm={fwhm} must not be negative.")
        if max_spectra < 200:
            raise ValueError(f"max_spectra={max_spectra} must be at least 200.")
        self._settings: FitSettings = FitSettings(
            classifier=classifier,
            prior=prior,
            n_components=n_components,
            network=VAEConfig(seed=seed, **network_options),
        )
        self._fwhm, self._max_spectra, self._device = fwhm, max_spectra, device
        self._model: Model | None = None

    # Training

    def fit(
        self,
        signal: Any,
        references: Any,
        labels: Sequence[Any] | None = None,
        *,
        clean: Any = None,
        nuisances: Any = None,
        show_progressbar: bool | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> DualVAE:
        """Train on a signal and references; Ctrl-C ends it and keeps the best weights so far.

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
        show_progressbar
            ``None`` takes HyperSpy's preference.
        stop
            Asked now and then; ``True`` ends the training as Ctrl-C does.

        Returns
        -------
        DualVAE
            This object.

        Raises
        ------
        ValueError
            If references or data cannot be used; the message says why.
        """
        from hyperspy_dosekin.classification.architecture import FEWEST_CHANNELS
        from hyperspy_dosekin.classification.fitting import check_sample, fit_model
        from hyperspy_dosekin.classification.model import usable
        from hyperspy_dosekin.numerics.device import resolve_device
        from hyperspy_dosekin.numerics.progress import never_stop
        from hyperspy_dosekin.signals._progress import progress_bars

        check_spectra(signal)
        energy, data = ascending(signal)
        if energy.size < FEWEST_CHANNELS:
            raise ValueError(
                f"{energy.size} channels are too few; the network needs {FEWEST_CHANNELS} at "
                "least: crop less, or do not rebin."
            )
        # References are checked before anything is computed.
        width = 0.0 if isinstance(self._fwhm, str) else float(self._fwhm)
        chosen = references_on(energy, references, labels, fwhm_ev=width)
        arrays = [data]
        if clean is not None:
            if clean.data.shape != signal.data.shape:
                raise ValueError(
                    f"clean has the shape {clean.data.shape}, the data {signal.data.shape}; they "
                    "must be the same."
                )
            arrays.append(ascending(clean)[1])
        rng = np.random.default_rng(self._settings.network.seed)
        rows, _ = sample_rows(arrays, self._max_spectra, rng)
        good = usable(rows[0])
        if not good.any():
            raise ValueError(
                "no spectrum holds data: all are zero, constant or NaN; check the signal."
            )
        rows = [np.asarray(part[good], dtype=np.float64) for part in rows]
        check_sample(rows[0])
        with progress_bars(show_progressbar) as progress:
            if isinstance(self._fwhm, str):
                width = self._estimate_fwhm(rows[0], energy, references, labels)
                chosen = references_on(energy, references, labels, fwhm_ev=width)
            self._model = fit_model(
                rows[0],
                chosen,
                self._settings,
                clean=rows[1] if len(rows) > 1 else None,
                nuisances=nuisances,
                device=resolve_device(self._device),
                progress=progress,
                stop=stop or never_stop,
            )
        report: Any = self._model.report
        report["fwhm_ev"], report["fwhm_estimated"] = width, isinstance(self._fwhm, str)
        return self

    def _estimate_fwhm(
        self, rows: np.ndarray, energy: np.ndarray, references: Any, labels: Any
    ) -> float:
        from hyperspy_dosekin.classification.estimation import likeliest

        step = float(np.median(np.diff(energy)))
        widths = [0.0, *(step * np.array([2.0, 3.0, 4.5, 7.0, 10.0]))]
        candidates = [references_on(energy, references, labels, fwhm_ev=w) for w in widths]
        best = likeliest(rows, candidates, np.random.default_rng(self._settings.network.seed))
        return float(widths[best])

    # Use

    def classify(
        self,
        signal: Any,
        *,
        prior: Any = None,
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

        Raises
        ------
        ValueError
            If the axis or the scale of the signal is another one.
        RuntimeError
            If nothing has been trained.
        """
        from hyperspy_dosekin.classification.fitting import chosen_share
        from hyperspy_dosekin.classification.model import predict, usable
        from hyperspy_dosekin.signals.vae_classification import VAEClassification

        model = self.trained
        check_spectra(signal)
        energy, data = ascending(signal)
        check_axis(model, energy)
        if spatial not in (None, "potts"):
            raise ValueError(f'spatial={spatial!r} must be "potts" or None.')
        rng = np.random.default_rng(self._settings.network.seed)
        rows, _ = sample_rows([data], min(self._max_spectra, 5000), rng)
        sample = rows[0][usable(rows[0])]
        check_scale(model, sample)
        if prior is None:
            prior = self._settings.prior
        model = model.with_share(chosen_share(prior, model, sample.astype(np.float32)))
        packed = map_blocks(
            predict,
            "(e)->(o)",
            data,
            output_sizes={"o": model.n_output},
            output_dtypes=(np.float32,),
            model=share(model, data),
        )
        probability = packed[..., : len(model.names)]
        field = None
        if spatial == "potts":
            probability, field = smoothed(probability, model, spatial_strength, spatial_frames)
        return VAEClassification(self, model, signal, data, packed, probability, field)

    @property
    def trained(self) -> Model:
        """The trained model as arrays.

        Raises
        ------
        RuntimeError
            If nothing has been trained.
        """
        if self._model is None:
            raise RuntimeError("this DualVAE has not been trained; call fit, or DualVAE.load.")
        return self._model

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.trained.names

    @property
    def report(self) -> VAEReport:
        """What the training found out."""
        from hyperspy_dosekin.signals._vae_report import VAEReport

        return VAEReport(self.trained)

    @property
    def complete(self) -> bool:
        """``False`` where the training was interrupted."""
        return bool(self.trained.report.get("complete", True))

    def save(self, path: Any, *, overwrite: bool = False) -> None:
        """Write the model to a ``.safetensors`` file, arrays and a JSON description.

        The settings ``prior``, ``seed`` and ``max_spectra`` go along, so that it classifies the
        same when it is loaded; those of the training alone do not.

        Parameters
        ----------
        path
            File name; ``.safetensors`` is added where there is no extension.
        overwrite
            Whether to replace a file that is there.

        Raises
        ------
        FileExistsError
            If the file is there and is not to be overwritten.
        """
        from hyperspy_dosekin.classification.model_file import save_model

        path = Path(path)
        path = path if path.suffix else path.with_suffix(".safetensors")
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; pass overwrite=True to replace it.")
        settings = {
            "prior": self._settings.prior,
            "seed": int(self._settings.network.seed),
            "max_spectra": int(self._max_spectra),
        }
        save_model(self.trained, path, settings)

    @classmethod
    def load(cls, path: Any) -> DualVAE:
        """Read a model that `save` wrote. Nothing in the file is executed.

        Settings that are not in the file are the default ones.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged or of another kind.
        """
        from hyperspy_dosekin.classification.fitting import chosen_share
        from hyperspy_dosekin.classification.model_file import load_model, load_settings

        path = Path(path)
        model = load_model(path)
        saved = load_settings(path)
        try:
            made = cls(**{name: saved[name] for name in _SAVED if name in saved})
            # Whether they fit is found out now, not with the first spectrum.
            np.random.default_rng(made._settings.network.seed)
            chosen_share(made._settings.prior, model, np.empty((0, model.energy_ev.size)))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is damaged: {error} Save the model again, or train it anew."
            ) from error
        made._model = model
        return made

    def compile(self, runtime: str = "auto") -> Any:
        """Make a classifier for live use, which is not there yet."""
        raise NotImplementedError(
            f"compile(runtime={runtime!r}) is not there yet; classify() is, on whole signals."
        )

    def __repr__(self) -> str:
        """One line: what it tells apart."""
        if self._model is None:
            return "<DualVAE, not trained>"
        state = "" if self.complete else ", incomplete"
        return (
            f"<DualVAE, {len(self.names)} classes, {self.trained.energy_ev.size} channels, "
            f"{self.trained.classifier}{state}>"
        )
