# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The method that classifies the pixels of a spectrum image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hyperspy_dosekin.numerics.arguments import check_arguments, check_callable
from hyperspy_dosekin.signals.classification.dual_vae import MODEL_OPTIONS, DualVAE
from hyperspy_dosekin.signals.signatures import documentation_of, refuse_unknown, takes_options

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.classification.nuisances import Nuisances
    from hyperspy_dosekin.classification.settings import ClassPrior
    from hyperspy_dosekin.signals.classification.result import VAEClassification


@takes_options(MODEL_OPTIONS, documentation_of(DualVAE, MODEL_OPTIONS))
def classify_vae(
    self: Any,
    references: BaseSignal | Sequence[object] | npt.ArrayLike | None = None,
    *,
    labels: Sequence[object] | None = None,
    model: DualVAE | str | PathLike[str] | None = None,
    classifier: str | None = None,
    prior: ClassPrior | None = None,
    spatial: str | None = None,
    spatial_strength: float | None = None,
    spatial_frames: bool = False,
    clean: BaseSignal | None = None,
    nuisances: Nuisances | None = None,
    low_loss: BaseSignal | None = None,
    show_progressbar: bool | None = None,
    stop: Callable[[], bool] | None = None,
    **options: Any,
) -> VAEClassification:
    """Name the structure in every pixel from reference spectra, and say how sure that is.

    Noise, thickness scale, energy jitter and residual background are estimated from the data.
    Bayes' rule with them names the pixels. A dual variational autoencoder learns from that and
    from the data; it is trained when latents are first asked for, or at once with another
    classifier. Ctrl-C ends its training and keeps the best weights so far.

    Parameters
    ----------
    references
        Simulated or averaged spectra of at least two classes: a signal ``(reference|energy)``, a
        list of one-dimensional signals or files, or an array on the axis of the data. Energies
        may have any unit of energy and any steps, but must cover the data; intensities may have
        any unit, the same for all.
    labels
        Class of each reference; several of one class span its variation. By default the labels in
        the metadata of the references, else their titles.
    model
        A trained `DualVAE`, or the path of a saved one, instead of references.
    classifier
        ``"likelihood"`` (default), ``"head"``, ``"gaussian_process"`` (default with
        ``protocol="paper"``) or ``"knn"``.
    prior
        Class prior: ``"estimated"`` from the data (default), ``"uniform"``, or shares in order or
        by name. With ``model=`` the default is the setting of that model.
    spatial
        ``"potts"`` lets neighbouring pixels share information; by default each is for itself.
    spatial_strength
        Gain in log-probability from each neighbour of the same class, applied as given. By
        default gains are found by pseudo-likelihood for each pair of classes, and 0.45 of them is
        applied, because neighbours err together.
    spatial_frames
        Whether pixels of successive frames are neighbours too.
    clean
        Clean version of the data, such as a decomposition model; by default ten principal
        components.
    nuisances
        Known nuisances instead of estimated ones.
    low_loss
        Low-loss signal of the same region, with its zero-loss peak, where the data were not
        deconvolved: the references are convolved with it. Not for measured references.
    **options
        Of `DualVAE` and of its training.
    show_progressbar
        ``None`` takes HyperSpy's preference.
    stop
        Asked now and then; ``True`` ends the training early.

    Returns
    -------
    VAEClassification
        Class map, probabilities, uncertainties, novelty, denoised spectra, latents, report and
        figures; lazy if the data are, except for the training on a sample.

    Raises
    ------
    ValueError
        If there are no references nor a model, they are of one class, do not cover the axis, or
        the data cannot be trained on; the message says what to do.
    TypeError
        If an argument is of the wrong kind, or an option is unknown.

    References
    ----------
    J. D. Hollenbach et al., doi:10.1038/s41598-024-66902-4.

    Examples
    --------
    >>> s = hyperspy_dosekin.data.annealing_series(shape=(4, 9, 8))
    >>> references = hyperspy_dosekin.data.reference_spectra()
    >>> c = s.classify_vae(references, steps=20, evaluate_every=10, show_progressbar=False)
    >>> c
    <VAEClassification, 4×9×8 pixels, 4 classes>
    >>> c.class_map.names
    ('fluoride', 'oxyfluoride', 'hydroxide', 'oxide')
    """
    refuse_unknown("classify_vae", options, MODEL_OPTIONS)
    check_arguments(classify_vae, locals())
    check_callable("stop", stop)
    spatially = {
        "spatial": spatial,
        "spatial_strength": spatial_strength,
        "spatial_frames": spatial_frames,
    }
    if spatial not in (None, "potts"):
        raise ValueError(f'spatial={spatial!r} must be "potts" or None.')
    if model is not None:
        unused = {
            "references": references,
            "labels": labels,
            "classifier": classifier,
            "clean": clean,
            "nuisances": nuisances,
            "low_loss": low_loss,
        }
        given = [name for name, value in unused.items() if value is not None] + list(options)
        if given:
            raise ValueError(
                f"{', '.join(given)} cannot be given with model=: it is trained already; leave "
                "them out, or train a new one without model=."
            )
        trained = model if isinstance(model, DualVAE) else DualVAE.load(model)
        return trained.classify(self, prior=prior, **spatially)
    # An array has no truth value, and an empty list is a mistake rather than a wish.
    prior = "estimated" if prior is None else prior
    vae = DualVAE(classifier=classifier, prior=prior, **options)
    vae.fit(
        self,
        references,
        labels,
        clean=clean,
        nuisances=nuisances,
        low_loss=low_loss,
        show_progressbar=show_progressbar,
        stop=stop,
    )
    return vae.classify(self, **spatially)
