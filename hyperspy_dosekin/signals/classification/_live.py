# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a trained model to a live classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hyperspy_dosekin.classification.model import Model
    from hyperspy_dosekin.signals.classification.live import LiveClassifier


def compile_live(model: Model, prior: Any, novelty: bool, **settings: Any) -> LiveClassifier:
    """Compile a model under a class prior; `settings` are those of `LiveSettings`."""
    from hyperspy_dosekin.classification.fitting import chosen_share
    from hyperspy_dosekin.classification.live.runtimes.runtime import LiveSettings
    from hyperspy_dosekin.signals.classification.live import LiveClassifier

    if isinstance(prior, str) and prior == "estimated":
        raise ValueError(
            'prior="estimated" needs spectra, and there are none yet; leave it out for the shares '
            "of the training, or give shares."
        )
    if prior is not None:
        nothing = np.empty((0, model.energy_ev.size))
        model = model.with_share(chosen_share(prior, model, nothing))
    return LiveClassifier(model, LiveSettings(**settings), novelty=novelty)
