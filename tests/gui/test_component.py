# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The component is operated through HyperSpy's own widgets."""

import hyperspy.api as hs
import numpy as np
import pytest

pytest.importorskip("hyperspy_gui_ipywidgets")

from hyperspy_dosekin.components import PowerLawDegradation


def show(thing):
    return thing.gui(toolkit="ipywidgets", display=False)["ipywidgets"]


def test_parameters_are_linked_both_ways():
    component = PowerLawDegradation(dose_max=1368.0)
    view = show(component)
    names = {name for name in view["wdict"] if name.startswith("parameter_")}
    assert names == {f"parameter_{name}" for name in ("k", "p", "a", "b")}
    view["wdict"]["parameter_k"]["value"].value = 2.5
    assert component.k.value == 2.5
    component.p.value = 1.25
    assert view["wdict"]["parameter_p"]["value"].value == 1.25
    view["wdict"]["active"].value = False
    assert not component.active


def test_range_of_a_slider_can_be_narrowed():
    """The bounds of k span nine decades: with them a slider would be too coarse."""
    component = PowerLawDegradation()
    view = show(component)
    fields = view["wdict"]["parameter_k"]
    fields["max"].value = 5.0
    assert fields["value"].max == 5.0
    assert fields["value"].step < 0.01
    assert component.k.bmax == pytest.approx(1e3), "the slider is narrower, not the fit"


def test_model_shows_it_and_moves_the_curve():
    signal = hs.signals.Signal1D(np.linspace(3.0, 1.0, 9))
    axis = signal.axes_manager[0]
    axis.offset, axis.scale = 152.0, 152.0
    model = signal.create_model()
    component = PowerLawDegradation(dose_max=1368.0)
    model.append(component)
    view = show(model)
    (inner,) = [value for name, value in view["wdict"].items() if name.startswith("component_")]

    def curve():
        model.assign_current_values_to_all()
        return model.as_signal(show_progressbar=False).data

    before = curve()
    inner["parameter_b"]["value"].value = 2.0
    assert curve() - before == pytest.approx(np.full(9, 2.0))
