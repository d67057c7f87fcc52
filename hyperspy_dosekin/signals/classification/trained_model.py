# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a trained `DualVAE` is asked, written to and made into, apart from its classification."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import file_path
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.numerics.files import with_extension
from hyperspy_dosekin.numerics.progress import never_stop
from hyperspy_dosekin.signals.classification.report import VAEReport
from hyperspy_dosekin.signals.progress import progress_bars

if TYPE_CHECKING:
    from os import PathLike
    from typing import TypeVar

    from hyperspy_dosekin.classification.model import Model
    from hyperspy_dosekin.classification.settings import ClassPrior, FitSettings
    from hyperspy_dosekin.signals.classification.live import LiveClassifier
    from hyperspy_dosekin.signals.classification.report import VAEReport

    Loaded = TypeVar("Loaded", bound="TrainedModel")

_logger = logging.getLogger(__name__)
_TRAINING = threading.Lock()
#: Settings that matter for classifying, and are saved with a model.
_SAVED = ("prior", "seed", "max_spectra")


class TrainedModel:
    """Base of `DualVAE`: it sets the settings, and the model once it is trained."""

    _settings: FitSettings
    _max_spectra: int
    _device: Any
    _model: Model | None = None

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
        return VAEReport(self.trained)

    @property
    def complete(self) -> bool:
        """``False`` where the training was interrupted."""
        return bool(self.trained.report.get("complete", True))

    def train_network(
        self,
        *,
        show_progressbar: bool | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> TrainedModel:
        """Train the network now, unless it is there: half a minute of processor or more.

        Bayes' rule, the default, needs none. Latents (``c.latent``, ``c.plot_latent()``,
        ``c.silhouette()``), live use in less than float32 and ``compile(classifier="head")`` call
        this themselves. The network is the same whenever it is trained, and also after `save` and
        `load`. Ctrl-C ends the training and keeps the best weights so far.

        Parameters
        ----------
        show_progressbar
            ``None`` takes HyperSpy's preference.
        stop
            Asked now and then; ``True`` ends the training early.

        Returns
        -------
        DualVAE
            This object.

        Raises
        ------
        RuntimeError
            If nothing has been fitted, or with ``network=False``.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> vae = vae.fit(s, references, show_progressbar=False)
        >>> vae.report.active_latents
        0
        >>> vae.train_network(show_progressbar=False).report.history["step"]
        array([2])
        """
        from hyperspy_dosekin.classification.network_training import with_network

        # Two threads that ask at the same time get one training.
        with _TRAINING:
            model = self.trained
            if not model.has_network:
                device = resolve_device(self._device)
                with progress_bars(show_progressbar) as progress:
                    self._model = with_network(model, device, progress, stop or never_stop)
                before = model.report.get("problems", ())
                if new := [each for each in self.report.problems if each not in before]:
                    _logger.warning("%s", "\n".join(new))
        return self

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the model to a ``.safetensors`` file, arrays and a JSON description.

        The settings ``prior``, ``seed`` and ``max_spectra`` go along, so that it classifies the
        same when it is loaded. Where the network has not been trained yet, its settings, the
        references and up to 2 000 of the measured spectra go along, so that it still can be.

        Parameters
        ----------
        path
            File name; ``.safetensors`` is added where there is no extension.
        overwrite
            Whether to replace a file that is there. Whatever happens meanwhile, the old file or
            the new one is there, whole.

        Raises
        ------
        FileExistsError
            If the file is there and is not to be overwritten.
        ValueError
            If the file name has the extension of another format.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> vae = vae.fit(s, references, show_progressbar=False)
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     vae.save(f"{folder}/phases.safetensors")
        ...     same = hyperspy_dosekin.DualVAE.load(f"{folder}/phases.safetensors")
        >>> same
        <DualVAE, 4 classes, 160 channels, likelihood>
        """
        from hyperspy_dosekin.classification.model_file import save_model

        path = with_extension(path, [".safetensors"], "a model")
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; pass overwrite=True to replace it.")
        settings = {
            "prior": self._settings.prior,
            "seed": int(self._settings.network.seed),
            "max_spectra": int(self._max_spectra),
        }
        save_model(self.trained, path, settings)

    @classmethod
    def load(cls: type[Loaded], path: str | PathLike[str]) -> Loaded:
        """Read a model that `save` wrote. Nothing in the file is executed.

        Settings that are not in the file are the default ones.

        Parameters
        ----------
        path
            A ``.safetensors`` file.

        Returns
        -------
        DualVAE
            Trained.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged or of another kind.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> vae = vae.fit(s, references, show_progressbar=False)
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     vae.save(f"{folder}/phases.safetensors")
        ...     same = hyperspy_dosekin.DualVAE.load(f"{folder}/phases.safetensors")
        >>> same
        <DualVAE, 4 classes, 160 channels, likelihood>
        """
        from hyperspy_dosekin.classification.model_file import load_model, load_settings
        from hyperspy_dosekin.classification.shares import chosen_share

        path = file_path(path, "model")
        model = load_model(path)
        saved = load_settings(path)
        try:
            made = cls(**{name: saved[name] for name in _SAVED if name in saved})
            # Whether they fit is found out now, not with the first spectrum.
            np.random.default_rng(made._settings.network.seed)
            chosen_share(made._settings.prior, model, np.empty((0, model.energy_ev.size)))
            made._model = model
            # Nor is what cannot be shown a report, whatever its checksum says.
            report = made.report
            _ = str(report), report.history, report.seconds, report.calibration.error
        except Exception as error:
            # Whatever wrong types and shapes lead to.
            raise ValueError(
                f"{path} is damaged: {error} Save the model again, or train it anew."
            ) from error
        return made

    def compile(
        self,
        runtime: str = "auto",
        *,
        precision: str = "float32",
        threads: int = 1,
        device: str = "auto",
        prior: ClassPrior | None = None,
        novelty: bool = False,
        classifier: str | None = None,
        batch_sizes: Sequence[int] = (),
        max_accuracy_loss: float = 0.005,
    ) -> LiveClassifier:
        """Make a classifier for live use: one graph from counts to probabilities.

        Parameters
        ----------
        runtime
            ``"torch"``, ``"onnxruntime"``, ``"openvino"``, ``"cuda_graphs"``, or ``"auto"``, which
            measures those that are installed and takes the fastest. The second and third come with
            ``pip install "hyperspy_dosekin[onnx]"`` and ``"hyperspy_dosekin[openvino]"``.
        precision
            ``"float32"``, ``"bfloat16"`` or ``"int8"``. The accuracy of the latter two is compared
            with that of float32 on spectra simulated from the references.
        threads
            Processor threads of one call. More than one rarely pay below some hundred spectra.
        device
            ``"auto"``, ``"cpu"``, ``"cuda"``, or ``"gpu"`` with OpenVINO.
        prior
            Class prior: ``"uniform"`` or shares, in order or by name; by default the one of the
            training, since there is no signal yet to estimate another one from.
        novelty
            Whether the novelty is computed too: the numbers of `classify`.
        classifier
            ``"likelihood"``, Bayes' rule as in `classify`, or ``"head"``, that of the network,
            which learned from it. By default what the model classifies with; in less precise
            arithmetic than float32 the head, and the network is trained now if it has not been.
            A model that was trained with ``network=False`` has the likelihood only.
        batch_sizes
            Numbers of spectra that get buffers of just that size; the first is what ``"auto"``
            measures (32 if there is none).
        max_accuracy_loss
            Share of spectra by which the accuracy may fall with less precise arithmetic.

        Returns
        -------
        LiveClassifier
            What was measured is in its `report`.

        Raises
        ------
        ModuleNotFoundError
            If the package of the runtime is not installed.
        RuntimeError
            If nothing has been trained.
        ValueError
            If the model classifies latents by something else than the head, has no network that
            is needed, if the runtime, precision or device is not there, or if less precise
            arithmetic loses more than allowed.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.annealing_series(shape=(3, 9, 8))
        >>> references = hyperspy_dosekin.data.reference_spectra()
        >>> vae = hyperspy_dosekin.DualVAE(steps=2, evaluate_every=2)
        >>> vae = vae.fit(s, references, show_progressbar=False)
        >>> live = vae.compile("torch")
        >>> labels, probabilities = live.classify(s.data[0, 0])
        >>> probabilities.shape
        (8, 4)
        """
        from hyperspy_dosekin.classification.live.compiled import reads_network
        from hyperspy_dosekin.classification.live.runtimes import runtime_of
        from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings
        from hyperspy_dosekin.classification.shares import chosen_share
        from hyperspy_dosekin.signals.classification.live import LiveClassifier

        if isinstance(prior, str) and prior == "estimated":
            raise ValueError(
                'prior="estimated" needs spectra, and there are none yet; leave it out for the '
                "shares of the training, or give shares."
            )
        model = self.trained
        share = model.share
        if prior is not None:
            share = chosen_share(prior, model, np.empty((0, model.energy_ev.size)))
        settings = LiveSettings(
            runtime=runtime,
            precision=precision,
            threads=threads,
            device=str(device),
            batch_sizes=tuple(batch_sizes),
            max_accuracy_loss=max_accuracy_loss,
        )
        if reads_network(model, precision, classifier) and model.recipe is not None:
            # What cannot be compiled is not trained for.
            if runtime != "auto":
                runtime_of(runtime).check(settings)
            model = self.train_network().trained
        return LiveClassifier(
            model.with_share(share), settings, novelty=novelty, classifier=classifier
        )
