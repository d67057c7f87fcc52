# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dose series from fitted models and from lists of maps."""

import exspy
import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin import dose_series_of

DECAY = np.exp(-np.arange(9) / 4)


def spectra():
    """Two lines on a constant, of which the first decays and the second grows."""
    channel = np.arange(80.0)
    lines = [np.exp(-0.5 * ((channel - centre) / 5) ** 2) for centre in (25, 55)]
    dose = {"size": 9, "name": "dose", "units": "e⁻/Å²", "scale": 100.0, "offset": 100.0}
    values = DECAY[:, None] * lines[0] + (2 - DECAY)[:, None] * lines[1] + 1.0
    return hs.signals.Signal1D(values, axes=[dose, {"size": channel.size}])


@pytest.fixture(scope="module")
def model():
    s = spectra()
    m = s.create_model()
    gaussian = hs.model.components1D.Gaussian
    m.extend([gaussian(A=10, centre=25, sigma=5), gaussian(A=10, centre=55, sigma=5)])
    m.append(hs.model.components1D.Offset())
    for component, name in zip(m, ("first", "second", "rest"), strict=True):
        component.name = name
    m.multifit(show_progressbar=False)
    return m


def test_components_of_a_model(model):
    found = dose_series_of(model)
    assert type(found).__name__ == "DoseSeries"
    assert found.window_names == ("first", "second")
    np.testing.assert_allclose(found.dose, 100.0 * np.arange(1, 10))
    np.testing.assert_allclose(found.data[0] / found.data[0, 0], DECAY / DECAY[0], rtol=1e-3)
    np.testing.assert_allclose(found.data[1], 5 * np.sqrt(2 * np.pi) * (2 - DECAY), rtol=1e-3)
    assert found.get_noise_variance() is not None
    found.fit_dose_pinn(estimator="exact", intervals=False, noise="relative")


def test_components_may_be_chosen(model):
    assert dose_series_of(model, components=["rest"]).window_names == ("rest",)
    with pytest.raises(ValueError, match=r"\['frist'\] are none of"):
        dose_series_of(model, components=["frist"])


def maps(lazy=False):
    """What quantification gives of a map of 2 × 3 pixels with 9 doses."""
    found = []
    for place, element in enumerate(("Fe", "O")):
        data = np.arange(54.0).reshape(2, 3, 9) + 100 * place
        axes = [
            {"size": 2, "name": "y"},
            {"size": 3, "name": "x"},
            {"size": 9, "name": "dose", "units": "e⁻/Å²", "scale": 50.0, "offset": 50.0},
        ]
        s = hs.signals.BaseSignal(data, axes=axes)
        s.metadata.set_item("Sample.elements", [element])
        s.metadata.General.title = f"atomic percent of {element}"
        found.append(s.as_lazy() if lazy else s)
    return found


@pytest.mark.parametrize("lazy", [False, True])
def test_list_of_maps(lazy):
    found = dose_series_of(maps(lazy))
    assert found._lazy == lazy
    assert found.window_names == ("Fe", "O")
    assert found.data.shape == (2, 3, 2, 9)
    np.testing.assert_array_equal(np.asarray(found.data)[1, 2, 1], 145.0 + np.arange(9))
    np.testing.assert_array_equal(found.dose, 50.0 * np.arange(1, 10))


def test_dose_need_not_come_last():
    turned = [s.transpose(signal_axes=("dose",)) for s in maps()]
    found = dose_series_of(turned)
    np.testing.assert_array_equal(found.data, dose_series_of(maps()).data)


def test_edges_of_an_exspy_model():
    """Of a model of EELS these are its edges, without the background."""
    energy = np.arange(600)
    s = exspy.signals.EELSSpectrum(np.ones((4, energy.size)) * 1e4 * (energy + 200.0) ** -1.5)
    s.axes_manager[-1].offset, s.axes_manager[-1].units = 200.0, "eV"
    s.set_microscope_parameters(beam_energy=200, convergence_angle=10, collection_angle=10)
    s.set_dose_axis(dose_rate=1.0, frame_time=10.0)
    s.add_elements(["C"])
    model = s.create_model(GOS="hydrogenic")
    assert dose_series_of(model).window_names == ("C_K",)


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        (3, {}, TypeError, "fitted model, or a list"),
        ([], {}, TypeError, "fitted model, or a list"),
        ([3], {}, TypeError, "fitted model, or a list"),
        (maps(), {"components": ["Fe"]}, ValueError, "those of a model"),
        (maps(), {"dose_axis": "frame"}, ValueError, "no axis is that of dose"),
        ([maps()[0], maps()[1].isig[:4]], {}, ValueError, "other sizes"),
    ],
)
def test_what_cannot_be_is_refused(source, options, error, words):
    with pytest.raises(error, match=words):
        dose_series_of(source, **options)
