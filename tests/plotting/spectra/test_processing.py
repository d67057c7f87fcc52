# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series_image
from hyperspy_dosekin.plotting.spectra.processing import ProcessingStep, plot_steps


@pytest.fixture(scope="module")
def processed():
    s = dose_series_image(0, shape=(3, 4), drift=0.05, spike_rate=2.0)
    return s.process_low_loss(background=(1.6, 2.8))


def test_every_step_has_a_panel(processed):
    figure = processed.plot_processing((3, 1, 6))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "As recorded", "Spikes replaced", "Aligned", "Background subtracted", "Zero-loss peak",
        "Deconvolved", "Normalised",
    ]  # fmt: skip
    assert "(3, 1, 6)" in figure.get_suptitle()
    labels = {text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()}
    assert {"before", "after", "replaced", "fitted background"} <= labels


def test_the_last_panel_shows_the_result(processed):
    figure = processed.plot_processing((3, 1, 6))
    line = figure.axes[-1].lines[0]
    shown = processed.inav[3, 1, 6]
    np.testing.assert_allclose(line.get_ydata(), shown.data, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(line.get_xdata(), processed.axes_manager[-1].axis, atol=1e-9)


def test_core_loss_and_the_pixel_of_the_plot():
    energy = np.arange(400.0, 600.0)
    data = 1e9 * energy**-3 + 5.0 * (energy > 530) + np.zeros((2, 3, 1))
    s = hs.signals.Signal1D(data)
    s.set_signal_type("EELS")
    s.axes_manager[-1].offset, s.axes_manager[-1].units = 400, "eV"
    net = s.process_core_loss(background=(450, 520), crop=(521, 590))
    net.axes_manager.indices = (2, 1)
    figure = net.plot_processing()
    assert "(2, 1)" in figure.get_suptitle()
    np.testing.assert_allclose(figure.axes[-1].lines[1].get_ydata(), net.data[1, 2], atol=1e-9)
    with pytest.raises(ValueError, match="no place"):
        net.plot_processing((5, 5))
    with pytest.raises(ValueError, match="copy"):
        net.deepcopy().plot_processing()


def test_narrow_figures_have_one_column():
    energy = np.arange(10.0)
    step = ProcessingStep("crop", energy, energy, energy[2:], energy[2:])
    figure = plot_steps([step, step], figsize=(3.4, 4))
    assert figure.axes[0].get_subplotspec().get_gridspec().ncols == 1
