# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models to files and back: safetensors with a JSON description. Nothing in a file is executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from hyperspy_dosekin.classification.classifiers import classifier_names
from hyperspy_dosekin.classification.config import VAEConfig
from hyperspy_dosekin.classification.likelihood import Likelihood
from hyperspy_dosekin.classification.mixing import Mixing
from hyperspy_dosekin.classification.model import Model
from hyperspy_dosekin.classification.noise import NoiseModel, PrincipalComponents
from hyperspy_dosekin.classification.novelty import NoveltyScale
from hyperspy_dosekin.classification.nuisances import Nuisances
from hyperspy_dosekin.classification.pixel_noise import PixelNoise
from hyperspy_dosekin.classification.prediction import denoise, encode, predict
from hyperspy_dosekin.classification.recipe import Recipe
from hyperspy_dosekin.classification.references import ReferenceSet
from hyperspy_dosekin.classification.units import NetworkUnits
from hyperspy_dosekin.numerics.device import usable_device
from hyperspy_dosekin.numerics.files import digest, replaced_when_written

#: What such a file says it is, and the version of its layout.
KIND = "hyperspy_dosekin.DualVAE"
FORMAT = 2


def save_model(model: Model, path: Path, settings: Mapping[str, Any] | None = None) -> None:
    """Write a model to a ``.safetensors`` file.

    Parameters
    ----------
    settings
        How it is to classify, apart from the model: what JSON can hold, by name.
    """
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    description: dict[str, Any] = {"kind": KIND, "format": FORMAT}
    if settings is not None:
        description["settings"] = dict(settings)
    _put("units", _parts(model.units), arrays, description)
    nuisances = _parts(model.nuisances)
    del nuisances["noise"]
    _put("nuisances", nuisances, arrays, description)
    _put("noise", _parts(model.nuisances.noise), arrays, description)
    _put("novelty", _parts(model.novelty), arrays, description)
    if model.likelihood is not None:
        likelihood = _parts(model.likelihood)
        noise = _parts(likelihood.pop("noise"))
        _put("pixel_model", _parts(noise.pop("model")), arrays, description)
        _put("pixel_components", _parts(noise.pop("components")), arrays, description)
        _put("pixel_noise", noise, arrays, description)
        _put("mixing", _parts(likelihood.pop("mixing")), arrays, description)
        _put("likelihood", likelihood, arrays, description)
    if model.recipe is not None:
        recipe = _parts(model.recipe)
        known = recipe.pop("references")
        recipe |= {"spectra": known.spectra, "class_of": known.class_of}
        recipe["config"] = _parts(model.recipe.config)
        _put("recipe", recipe, arrays, description)
    _put("weights", dict(model.weights), arrays, description)
    _put("classifier_arrays", dict(model.classifier_arrays), arrays, description)
    _put("report", dict(model.report), arrays, description)
    rest = _parts(model)
    for name in (
        "units", "nuisances", "novelty", "likelihood", "weights", "classifier_arrays", "report",
        "recipe",
    ):  # fmt: skip
        del rest[name]
    _put("model", rest, arrays, description)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    description["checksum"] = digest(arrays, _as_text(description))
    # safetensors keeps texts only, by name.
    text = _as_text(description)
    with replaced_when_written(path) as beside:
        # By Python, so that a full disk is an OSError.
        beside.write_bytes(save(arrays, {KIND: text}))


def load_model(path: Path) -> Model:
    """Read a model that `save_model` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, of another kind, or of a later version of this package.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; give the path that DualVAE.save wrote.")
    arrays, description = _read(path)
    try:
        model = _assemble(arrays, description)
        _try_out(model)
    except Exception as error:
        # Whatever wrong types and shapes lead to.
        raise ValueError(
            f"{path} is damaged: {error}; save the model again, or train it anew."
        ) from error
    return model


def _try_out(model: Model) -> None:
    """Classify one spectrum: what does not go together is found out now, not with the first one."""
    spectrum = np.linspace(1.0, 2.0, model.energy_ev.size)[np.newaxis]
    with np.errstate(all="ignore"):
        found = predict(spectrum, model=model)
        denoised = denoise(spectrum, model=model)
        latents = encode(spectrum, model=model) if model.has_network else None
    if found.shape != (1, model.n_output) or not np.isfinite(found[0, : len(model.names)]).all():
        raise ValueError("its parts do not go together: it gives no probabilities")
    if latents is not None and (model.decode(latents[:1]).shape != spectrum.shape):
        raise ValueError("its parts do not go together: its network gives no spectra")
    if denoised.shape != spectrum.shape:
        raise ValueError("its parts do not go together: it gives no spectra")
    model.nuisances.noise.variance(spectrum)


def load_settings(path: Path) -> dict[str, Any]:
    """Read the settings that `save_model` wrote; empty for a file without.

    Raises
    ------
    ValueError
        If the file is damaged, of another kind, or of a later version of this package.
    """
    found = _read(path)[1].get("settings", {})
    if not isinstance(found, dict):
        raise ValueError(
            f"{path} is damaged: its settings are {found!r}; save the model again, or train it "
            "anew."
        )
    return found


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    foreign = f"{path} is no model of DualVAE.save, or it is damaged"
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(KIND)
            if text is None:
                raise ValueError(f"{foreign}: it has no description of one.")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = json.loads(text)
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError) as error:
        if str(error).startswith(foreign):
            raise
        raise ValueError(f"{foreign}: {error}") from error
    if not isinstance(description, dict) or description.get("kind") != KIND:
        raise ValueError(f"{foreign}: its description is of another kind.")
    found = description.get("format")
    if not isinstance(found, int) or found > FORMAT:
        raise ValueError(
            f"{path} has format {found!r}, this version reads up to {FORMAT}; update "
            "hyperspy_dosekin."
        )
    checksum = description.pop("checksum", None)  # absent from files of format 1
    if (checksum is not None or found > 1) and checksum != digest(arrays, _as_text(description)):
        raise ValueError(
            f"{path} is damaged: its content is not what was saved; save the model again, or "
            "train it anew."
        )
    return arrays, description


def _as_text(description: Mapping[str, Any]) -> str:
    return json.dumps(description, ensure_ascii=False, sort_keys=True)


def _assemble(arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Model:
    noise = _noise("noise", arrays, description)
    nuisances = _get("nuisances", arrays, description)
    nuisances["notes"] = tuple(nuisances.get("notes", ()))
    rest = _get("model", arrays, description)
    rest["names"] = tuple(str(name) for name in rest["names"])
    rest["device"] = usable_device(rest["device"])
    model = Model(
        **rest,
        units=NetworkUnits(**_get("units", arrays, description)),
        nuisances=Nuisances(noise=noise, **nuisances),
        novelty=NoveltyScale(**_get("novelty", arrays, description)),
        likelihood=_likelihood(arrays, description),
        weights=_get("weights", arrays, description),
        classifier_arrays=_get("classifier_arrays", arrays, description),
        report=_get("report", arrays, description),
        recipe=_recipe(arrays, description, rest["energy_ev"], rest["names"]),
    )
    if model.classifier not in classifier_names():
        raise ValueError(f"its classifier {model.classifier!r} is not known")
    _check_shapes(model)
    for name, array in arrays.items():
        if name.startswith("report/cosine"):
            continue  # NaN for a class without signal, or of too few spectra
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity")
    return model


def _noise(
    group: str, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]
) -> NoiseModel:
    parts = _get(group, arrays, description)
    parts.pop("white", None)
    if parts.pop("blur", 0.0) > 0:
        raise ValueError("it is of an early version, which judged blurred noise in another way")
    return NoiseModel(**parts)


def _likelihood(
    arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]
) -> Likelihood | None:
    if "likelihood" not in description:
        return None
    noise = PixelNoise(
        model=_noise("pixel_model", arrays, description),
        components=PrincipalComponents(**_get("pixel_components", arrays, description)),
        **_get("pixel_noise", arrays, description),
    )
    mixing = Mixing(**_get("mixing", arrays, description))
    return Likelihood(noise=noise, mixing=mixing, **_get("likelihood", arrays, description))


def _recipe(
    arrays: Mapping[str, np.ndarray],
    description: Mapping[str, Any],
    energy_ev: np.ndarray,
    names: tuple[str, ...],
) -> Recipe | None:
    if "recipe" not in description:
        return None
    parts = _get("recipe", arrays, description)
    config = VAEConfig(**parts.pop("config"))
    known = ReferenceSet(energy_ev, parts.pop("spectra"), parts.pop("class_of"), names)
    return Recipe(references=known, config=config, **parts)


def _check_shapes(model: Model) -> None:
    n_class, n_channel = len(model.names), model.energy_ev.size
    known, scale = model.nuisances, model.novelty
    n_basis, n_factor = known.background_mean.size, scale.factors.shape[1]
    expected = {
        "energies": (model.energy_ev, (n_channel,)),
        "latents": (model.latent_kl, (model.n_latent,)),
        "shares": (model.share, (n_class,)),
        "centre of the unit": (model.units.centre, (n_channel,)),
        "spread of the unit": (model.units.spread, (n_channel,)),
        "noise": (known.noise.offset, (n_channel,)),
        "backgrounds": (known.background_basis, (n_basis, n_channel)),
        "spread of the backgrounds": (known.background_covariance, (n_basis, n_basis)),
        "means of the classes": (scale.mean, (n_class, n_channel)),
        "spreads of the classes": (scale.sigma, (n_class, n_channel)),
        "factors of the classes": (scale.factors, (n_class, n_factor, n_channel)),
        "centres of distances": (scale.centre, (n_class,)),
        "spreads of distances": (scale.spread, (n_class,)),
        "scores": (scale.score, scale.log_probability.shape),
    }
    if model.likelihood is not None:
        found = model.likelihood
        components, colour = found.noise.components, found.noise.model.colour
        if colour is not None:
            expected["colour of the noise"] = (colour, (n_channel,))
        n_template = found.class_of.size
        expected |= {
            "templates": (found.templates, (n_template, n_channel)),
            "distances": (found.score, found.log_probability.shape),
            "references": (found.mixing.references, (n_class, n_channel)),
            "thresholds": (found.mixing.thresholds, (n_class,)),
            "mean spectrum": (components.mean, (n_channel,)),
            "components": (components.components, (len(components.components), n_channel)),
        }
        if set(found.class_of.tolist()) != set(range(n_class)):
            raise ValueError("its templates are not of its classes")
    for name, (array, shape) in expected.items():
        if array.shape != shape:
            raise ValueError(f"its {name} have the shape {array.shape}, not {shape}")
    usual = model.report.get("typical_spread", 1.0)
    if type(usual) not in (int, float) or not 0 < usual < np.inf or (model.units.spread <= 0).any():
        raise ValueError("the unit of its intensities is no unit")
    steps = np.diff(model.energy_ev.astype(float))
    if not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError("its energies do not follow each other")


def _parts(record: Any) -> dict[str, Any]:
    return {entry.name: getattr(record, entry.name) for entry in fields(record)}


def _put(
    group: str, parts: dict[str, Any], arrays: dict[str, np.ndarray], description: dict[str, Any]
) -> None:
    """Sort the parts of a record: arrays to the arrays, the rest to the description."""
    description[group] = {}
    for name, value in parts.items():
        if isinstance(value, np.ndarray):
            arrays[f"{group}/{name}"] = value
        else:
            description[group][name] = value.item() if isinstance(value, np.generic) else value


def _get(
    group: str, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]
) -> dict[str, Any]:
    prefix = f"{group}/"
    return {
        **description[group],
        **{name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)},
    }
