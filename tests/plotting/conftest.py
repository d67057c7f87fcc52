# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses

import matplotlib as mpl
import numpy as np
import pytest

from hyperspy_dosekin.kinetics.laws.power_law import half_dose, power_law_integrity
from hyperspy_dosekin.plotting.kinetics.pictures.ablation import AblationPicture
from hyperspy_dosekin.plotting.kinetics.pictures.curves import CurvePicture
from hyperspy_dosekin.plotting.kinetics.pictures.diagnostics import DiagnosticsPicture
from hyperspy_dosekin.plotting.kinetics.pictures.parameters import Estimate, ParameterPicture

N_DOSE, N_GRID, N_RECORD, N_MEMBER = 9, 61, 120, 3
_FOUR = {
    "names": ("π–π*", "C–C", "C–O", "M–O"),
    "rate": np.array([0.9, 0.95, 1.6, 0.12]),
    "exponent": np.array([1.0, 1.2, 1.4, 1.0]),
    "amplitude": np.array([-210.0, 1800.0, 5200.0, 9000.0]),
    "offset": np.array([400.0, 100.0, 250.0, 1000.0]),
}


@pytest.fixture(autouse=True)
def untouched_matplotlib():
    """Figures without a screen, closed afterwards, and no setting changed by any of them."""
    import matplotlib.pyplot as plt

    before_backend = mpl.get_backend()
    plt.switch_backend("agg")
    before = dict(mpl.rcParams)
    yield
    after = dict(mpl.rcParams)
    plt.close("all")
    plt.switch_backend(before_backend)
    assert after == before


def _truth(n_window):
    if n_window == 4:
        return _FOUR
    generator = np.random.default_rng(n_window)
    return {
        "names": tuple(f"({i}{i % 3}0)" for i in range(n_window)),
        "rate": np.linspace(2.0 if n_window == 1 else 0.15, 3.5, n_window),
        "exponent": np.linspace(0.7, 2.0, n_window),
        "amplitude": generator.uniform(500, 5000, n_window),
        "offset": generator.uniform(50, 300, n_window),
    }


def _curve(n_window=4, extent=1.0, **changes):
    """Noisy data, their true law, and intervals that get wider for slow windows."""
    truth = _truth(n_window)
    generator = np.random.default_rng(7)
    dose = 152.0 * np.arange(1, N_DOSE + 1)
    grid = np.linspace(0, extent * dose[-1], N_GRID)
    kinetics = truth["rate"][:, None], truth["exponent"][:, None]
    integrity = power_law_integrity(grid / dose[-1], *kinetics)
    amplitude, offset = truth["amplitude"][:, None], truth["offset"][:, None]
    clean = amplitude * power_law_integrity(dose / dose[-1], *kinetics) + offset
    sigma = 0.02 * np.abs(amplitude) * np.ones(N_DOSE)
    half = half_dose(truth["rate"], truth["exponent"]) * dose[-1]
    # Standard deviation of ln D½: slow windows are not determined.
    width = np.clip(0.08 / truth["rate"] ** 1.5, 0.03, 3)
    band = np.minimum(width, 1)[:, None] * integrity * (1 - integrity)
    fields = {
        "window_names": truth["names"],
        "dose": dose,
        "values": clean + sigma * generator.normal(size=clean.shape),
        "sigma": sigma,
        "grid": grid,
        "fitted": amplitude * integrity + offset,
        "fitted_spread": 0.01 * np.abs(amplitude) * (1 - integrity),
        "integrity": integrity,
        "integrity_spread": 0.2 * band,
        "integrity_lower": np.clip(integrity - 2 * band, 0, 1),
        "integrity_upper": np.clip(integrity + 2 * band, 0, 1),
        "half_dose": half,
        "half_dose_lower": half * np.exp(-1.96 * width),
        "half_dose_upper": np.where(width > 0.5, np.inf, half * np.exp(1.96 * width)),
        "reached": half <= dose[-1],
        "identifiable": width < 0.3,
        "grows": truth["amplitude"] < 0,
        "quantity": "Window area (counts)",
    }
    return CurvePicture(**{"dose_unit": "e⁻/Å²", **fields, **changes})


@pytest.fixture
def curve_picture():
    return _curve


@pytest.fixture
def parameter_picture():
    def build(n_window=4, **changes):
        truth, curve = _truth(n_window), _curve(n_window)

        def estimate(value):
            return Estimate(value=value, spread=0.1 * value, lower=0.7 * value, upper=1.4 * value)

        half = dataclasses.replace(
            estimate(curve.half_dose), lower=curve.half_dose_lower, upper=curve.half_dose_upper
        )
        fields = {
            "window_names": curve.window_names,
            "rate": estimate(truth["rate"]),
            "exponent": estimate(truth["exponent"]),
            "half_dose": half,
            "reached": curve.reached,
            "identifiable": curve.identifiable,
            "grows": curve.grows,
            "dose_max": curve.dose_max,
        }
        return ParameterPicture(**{"dose_unit": "e⁻/Å²", **fields, **changes})

    return build


@pytest.fixture
def diagnostics_picture():
    def build(n_window=4, **changes):
        truth = _truth(n_window)
        generator = np.random.default_rng(3)
        residual = generator.normal(0, 0.1, (n_window, N_DOSE))
        iteration = 100 * np.arange(N_RECORD)
        decay = np.exp(-iteration / 2000)[:, None] * generator.uniform(1, 1.5, (1, N_MEMBER))
        terms = {
            "data": 0.5 * decay + 1e-3,
            "ode": 0.1 * decay**2,
            "monotonicity": np.maximum(1e-3 * decay - 1e-4, 0),
            "boundedness": np.zeros((N_RECORD, N_MEMBER)),
        }
        terms["data"][-20:, 1] = np.nan
        rate = np.where(iteration <= 10_000, 1e-3 * np.exp(-iteration / 3000), np.nan)
        fields = {
            "window_names": truth["names"],
            "dose": 152.0 * np.arange(1, N_DOSE + 1),
            "residual": residual,
            "total_rms": np.sqrt(np.mean(residual**2, axis=0)),
            "iteration": iteration,
            "learning_rate": rate,
            "terms": terms,
            "n_adam": 10_000,
            "member_labels": ("42", "59", "76"),
        }
        return DiagnosticsPicture(**{"dose_unit": "e⁻/Å²", **fields, **changes})

    return build


@pytest.fixture
def ablation_picture():
    def build(n_window=4, **changes):
        curve = _curve(n_window, extent=2.0)
        polynomial = [
            np.polyval(np.polyfit(curve.dose / 1e3, values, 3), curve.grid / 1e3)
            for values in curve.values
        ]
        wave = 1 + 0.3 * np.maximum(curve.grid / curve.dose_max - 1, 0)
        fields = {
            "window_names": curve.window_names,
            "dose": curve.dose,
            "values": curve.values,
            "sigma": curve.sigma,
            "grid": curve.grid,
            "curves": {
                "kinetic law (PINN)": curve.fitted,
                "cubic polynomial": np.array(polynomial),
                "network without physics": curve.fitted * wave,
            },
            "quantity": "Window area (counts)",
        }
        return AblationPicture(**{"dose_unit": "e⁻/Å²", **fields, **changes})

    return build


def _legends(figure):
    found = list(figure.legends)
    for axes in figure.axes:
        if axes.get_legend() is not None:
            found.append(axes.get_legend())
    return found


def _labels_out_of_sight(axes):
    """Labels of ticks outside the limits: they exist, but are not drawn."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        room = 1e-6 * (high - low)
        for minor in (False, True):
            places = axis.get_ticklocs(minor=minor)
            labels = axis.get_ticklabels(minor=minor)
            for place, label in zip(places, labels, strict=False):
                if not low - room <= place <= high + room:
                    yield label


class Reader:
    """What a person reads in a figure, and where it lies."""

    def __init__(self, figure):
        self.figure = figure
        figure.draw_without_rendering()

    @property
    def artists(self):
        import matplotlib.text as mtext

        return [
            artist
            for artist in self.figure.findobj(mtext.Text)
            if artist.get_visible() and artist.get_text()
        ]

    @property
    def text(self):
        """All words, whatever the line breaks."""
        return " ".join(" ".join(a.get_text() for a in self.artists).split())

    @property
    def legend(self):
        """Legend labels in one line each."""
        return [
            " ".join(text.get_text().split())
            for legend in _legends(self.figure)
            for text in legend.get_texts()
        ]

    def check_layout(self):
        """Nothing is cut off, and no legend lies upon a panel or another legend."""
        page = self.figure.bbox.padded(1.5)
        unseen = {label for axes in self.figure.axes for label in _labels_out_of_sight(axes)}
        for artist in set(self.artists) - unseen:
            box = artist.get_window_extent()
            horizontally = page.x0 <= box.x0 and box.x1 <= page.x1
            vertically = page.y0 <= box.y0 and box.y1 <= page.y1
            assert (horizontally, vertically) == (True, True), f"{artist.get_text()!r} is cut off"
        boxes = [legend.get_window_extent() for legend in _legends(self.figure)]
        panels = [axes.get_window_extent().padded(-1) for axes in self.figure.axes]
        for index, box in enumerate(boxes):
            others = panels + boxes[index + 1 :]
            assert not any(box.padded(-1).overlaps(other) for other in others)


@pytest.fixture
def read():
    return Reader
