# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import hyperspy.api as hs
import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series, dose_series_image


def test_spectra_and_what_the_dose_changed():
    s = dose_series(processed=True, noise=False)
    figure = s.plot_windows(energies=(0, 30))
    spectra, change = figure.axes[:2]
    energy = s.axes_manager[-1].axis
    inside = (energy >= 0) & (energy <= 30)
    lines = [line for line in spectra.lines if line.get_xdata().__len__() == inside.sum()]
    assert len(lines) == 9
    np.testing.assert_array_equal(lines[3].get_ydata(), s.data[3][inside])
    lines = [line for line in change.lines if line.get_xdata().__len__() == inside.sum()]
    np.testing.assert_allclose(lines[8].get_ydata(), (s.data[8] - s.data[0])[inside], atol=1e-15)
    assert {"π–π*", "C–C", "C–O", "M–O"} <= {text.get_text() for text in spectra.texts}
    assert spectra.get_ylabel() == "Single scattering (1/eV)"
    assert change.get_xlabel() == "Energy loss (eV)"


def test_counts_with_a_zero_loss_peak_are_on_a_logarithm():
    figure = dose_series().plot_windows()
    panels = [axes for axes in figure.axes if axes.get_ylabel() == "Electrons (Counts)"]
    assert panels[0].get_yscale() == "log"
    assert not [axes for axes in figure.axes if axes.get_ylabel() == "Less the first"]
    assert panels[0].get_xlim()[0] < -1, "the zero-loss peak is seen"


def test_images_show_their_mean_and_lazy_ones_are_the_same():
    options = {"shape": (3, 4), "processed": True}
    eager = dose_series_image(2, **options)
    lazy = dose_series_image(2, **options, lazy=True)
    seen = [s.plot_windows().axes[0].lines[5].get_ydata() for s in (eager, lazy)]
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-12)
    energy = eager.axes_manager[-1].axis
    inside = (energy >= 0) & (energy <= 4 / 3 * 25)
    np.testing.assert_allclose(seen[0], eager.data[5].mean(axis=(0, 1))[inside], rtol=1e-12)


def test_names_of_overlapping_windows_do_not_overlap():
    windows = {"first window": (1, 3), "second window": (1.2, 3.2), "third": (20, 25)}
    figure = dose_series(processed=True).plot_windows(windows)
    figure.canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text() in windows]
    boxes = [text.get_window_extent() for text in texts]
    assert len(boxes) == 3
    assert not boxes[0].overlaps(boxes[1])


def test_windows_in_the_units_of_the_axis():
    s = dose_series(processed=True)
    axis = s.axes_manager[-1]
    axis.scale, axis.offset, axis.units = axis.scale / 1000, axis.offset / 1000, "keV"
    figure = s.plot_windows({"all": (0.005, 0.02)})
    assert [text.get_text() for text in figure.axes[0].texts] == ["all"]
    assert figure.axes[0].get_xlim()[1] == pytest.approx(20 * 4 / 3, abs=0.2)


def test_missing_spectra_are_no_reason_to_see_nothing():
    s = dose_series_image(shape=(2, 3), processed=True)
    s.data[:, 1, 2] = np.nan
    line = s.plot_windows().axes[0].lines[0]
    assert np.isfinite(line.get_ydata()).all()


def test_errors_name_what_is_missing():
    with pytest.raises(ValueError, match="8000"):
        dose_series().plot_windows(energies=(8000, 9000))
    s = hs.signals.Signal1D(np.ones((3, 50)))
    s.set_signal_type("EELS")
    with pytest.raises(ValueError, match="dose axis"):
        s.plot_windows()
