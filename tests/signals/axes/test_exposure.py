# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What set_dose_axis reads from files, written as their readers leave it."""

import logging
import warnings

import exspy
import hyperspy.api as hs
import numpy as np
import pytest

import hyperspy_dosekin  # noqa: F401 puts the methods on EELSSpectrum

CHARGE_C = 1.602176634e-19
#: As the reader of Velox leaves it: texts in SI units.
VELOX = {
    "Core": {"MetadataDefinitionVersion": "7.9"},
    "Optics": {
        "AccelerationVoltage": "200000",
        "ScreenCurrent": "2.4672221479801257e-010",
        "LastMeasuredScreenCurrent": "3.1e-010",
    },
    "Scan": {"DwellTime": "2e-05", "FrameTime": "0.75"},
}
#: As that of DigitalMicrograph does.
DIGITAL_MICROGRAPH = {
    "ImageList": {
        "TagGroup0": {
            "ImageTags": {
                "Microscope Info": {
                    "Emission Current (µA)": 230.0,
                    "Probe Current (nA)": 0.05,
                    "Probe Size (nm)": 2.0,
                },
                "SI": {"Acquisition": {"Pixel time (s)": 0.02}},
            }
        }
    }
}


def image(original=None, step=1.0, units="nm", n_frame=5):
    """Frames of 4 × 3 pixels."""
    s = exspy.signals.EELSSpectrum(np.ones((n_frame, 4, 3, 16)))
    for axis, name in zip(s.axes_manager._axes, ("frame", "y", "x", "Energy loss"), strict=True):
        axis.name = name
        if name in "xy":
            axis.scale, axis.units = step, units
    s.original_metadata.add_dictionary(original or {})
    return s


def spectra(original=None, n_frame=5):
    s = exspy.signals.EELSSpectrum(np.ones((n_frame, 16)))
    s.axes_manager[0].name = "frame"
    s.original_metadata.add_dictionary(original or {})
    return s


def first_dose(s):
    return float(s.axes_manager["dose"].axis[0])


def test_scan_of_velox(caplog):
    """I · dwell / (e · pixel area), whatever the number of pixels."""
    s = image(VELOX, step=2.0)
    with caplog.at_level(logging.WARNING):
        s.set_dose_axis()
    expected = 2.4672221479801257e-10 * 2e-5 / CHARGE_C / (4 * 100)
    assert first_dose(s) == pytest.approx(expected, rel=1e-9)
    assert "beam_current = 0.2467 nA (original_metadata.Optics.ScreenCurrent)" in caplog.text
    assert "area = 48 nm² (12 pixels of 4 nm²)" in caplog.text
    taken = s.metadata.Dose.taken.as_dictionary()
    assert set(taken) == {"beam_current", "area", "frame_time"}
    assert s.metadata.Dose.area == pytest.approx(48.0)
    assert s.metadata.Dose.frame_time == pytest.approx(12 * 2e-5)


@pytest.mark.parametrize(("units", "step"), [("Å", 20.0), ("µm", 2e-3), ("pm", 2000.0)])
def test_units_of_pixels(units, step):
    s, reference = image(VELOX, step, units), image(VELOX, 2.0)
    s.set_dose_axis()
    reference.set_dose_axis()
    assert first_dose(s) == pytest.approx(first_dose(reference), rel=1e-9)


def test_undersampled_scan_of_digital_micrograph():
    """A probe of 2 nm on steps of 10 nm: what is measured is what the probe meets."""
    s = image(DIGITAL_MICROGRAPH, step=10.0)
    with pytest.warns(UserWarning, match=r"fills only 1/31.8 of a pixel"):
        s.set_dose_axis()
    expected = 0.05e-9 * 0.02 / CHARGE_C / (np.pi * 100)
    assert first_dose(s) == pytest.approx(expected, rel=1e-9)
    mean = image(DIGITAL_MICROGRAPH, step=10.0)
    mean.set_dose_axis(area=12 * 100.0, frame_time=12 * 0.02)
    assert first_dose(s) / first_dose(mean) == pytest.approx(100 / np.pi, rel=1e-9)


def test_oversampled_scan_is_that_of_its_pixels():
    s = image(DIGITAL_MICROGRAPH, step=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s.set_dose_axis()
    assert first_dose(s) == pytest.approx(0.05e-9 * 0.02 / CHARGE_C / 25, rel=1e-9)


def test_spot_without_a_scan():
    s = spectra(DIGITAL_MICROGRAPH)
    s.set_dose_axis(frame_time=3.0)
    assert first_dose(s) == pytest.approx(0.05e-9 * 3 / CHARGE_C / (np.pi * 100), rel=1e-9)


def test_line_wipes_a_strip_of_the_width_of_the_probe():
    s = exspy.signals.EELSSpectrum(np.ones((5, 3, 16)))
    s.axes_manager._axes[0].name = "frame"
    s.axes_manager._axes[1].units, s.axes_manager._axes[1].scale = "nm", 0.5
    s.set_dose_axis(beam_current=50e-12, probe_area=np.pi, frame_time=3 * 0.1)
    # 2 nm wide, 1.5 nm long
    assert first_dose(s) == pytest.approx(50e-12 * 0.3 / CHARGE_C / 300, rel=1e-9)


def test_hyperspys_own_tree_comes_first():
    s = image(VELOX, step=2.0)
    s.metadata.set_item("Acquisition_instrument.TEM.beam_current", 0.1)
    s.metadata.set_item("Acquisition_instrument.TEM.probe_area", 9.0)
    s.metadata.set_item("Acquisition_instrument.TEM.Detector.EELS.dwell_time", 1e-3)
    s.set_dose_axis()
    assert first_dose(s) == pytest.approx(1e-10 * 1e-3 / CHARGE_C / 400, rel=1e-9)


def test_unit_beside_the_number():
    s = spectra()
    s.metadata.set_item("Acquisition_instrument.TEM.beam_current", 50.0)
    s.metadata.set_item("Acquisition_instrument.TEM.beam_current_units", "pA")
    s.set_dose_axis(area=100.0, frame_time=1.0)
    assert first_dose(s) == pytest.approx(50e-12 / CHARGE_C / 1e4, rel=1e-9)


@pytest.mark.parametrize(
    ("tree", "rate"),
    [
        ({"CustomProperties": {"DoseRate": {"type": "double", "value": "3.45e20"}}}, 3.45),
        ({"Optics": {"DoseRate": "3.45e20"}}, 3.45),
        ({"Anything": {"Dose Rate (e-/nm^2/s)": 345.0}}, 3.45),
        ({"Anything": {"dose rate (C/m2/s)": 3.45 * CHARGE_C * 1e20}}, 3.45),
    ],
)
def test_dose_rates_of_files(tree, rate, caplog):
    s = spectra(tree)
    s.set_dose_axis(frame_time=2.0)
    assert first_dose(s) == pytest.approx(2 * rate, rel=1e-9)
    assert "dose_rate = 3.45 e⁻/Å²/s" in caplog.text


def test_rate_on_the_camera_is_no_rate_at_the_specimen():
    s = spectra({"Camera": {"Dose rate (e/pix/s)": 20.0}})
    with pytest.raises(ValueError, match="nothing to compute the dose from"):
        s.set_dose_axis(frame_time=2.0)


def test_what_is_given_wins_over_the_rate_of_the_file():
    s = spectra({"Optics": {"DoseRate": "9e20"}})
    s.set_dose_axis(beam_current=50e-12, area=100.0, frame_time=1.0)
    assert s.metadata.Dose.source == "beam_current"
    assert not s.metadata.Dose.has_item("taken")


def test_stack_has_a_current_for_each_frame(tmp_path):
    """The trees of the files lie below one another after stacking."""
    files = []
    for place in range(4):
        s = exspy.signals.EELSSpectrum(np.ones(16))
        s.original_metadata.add_dictionary({"Optics": {"ScreenCurrent": f"{place + 1}e-10"}})
        files.append(s)
    stacked = hs.stack(files)
    stacked.set_signal_type("EELS")
    stacked.set_dose_axis(area=100.0, frame_time=1.0)
    each = np.arange(1, 5) * 1e-10 / CHARGE_C / 1e4
    np.testing.assert_allclose(stacked.axes_manager["dose"].axis, np.cumsum(each), rtol=1e-9)


@pytest.mark.parametrize("recorded", [5e-11, 5e4])
def test_recorded_currents_that_no_probe_has_are_questioned(recorded):
    """Ampere where HyperSpy has nanoampere, and picoampere."""
    s = spectra()
    s.metadata.set_item("Acquisition_instrument.TEM.beam_current", recorded)
    with pytest.warns(UserWarning, match="another unit than nA"):
        s.set_dose_axis(area=100.0, frame_time=1.0)


def test_small_currents_that_are_given_are_questioned():
    with pytest.warns(UserWarning, match="less than 6242 electrons a second"):
        spectra().set_dose_axis(beam_current=5e-17, area=100.0, frame_time=1.0)


def test_a_rate_that_no_microscope_has_is_questioned():
    s = spectra({"Anything": {"Dose rate (e-/A^2/s)": 3.45e20}})
    with pytest.warns(UserWarning, match="which no microscope has"):
        s.set_dose_axis(frame_time=2.0)


# Before the series


def test_scans_before_the_series():
    s = spectra()
    scan = {"beam_current": 50e-12, "area": 1e4, "time": 2.0, "number": 3}
    s.set_dose_axis(
        dose_rate=1.0,
        frame_time=1.0,
        pre_exposure=[20.0, scan, {"dose_rate": 0.5, "time": 10.0}],
    )
    expected = 20 + 3 * 2 * 50e-12 / CHARGE_C / 1e6 + 5
    assert s.metadata.Dose.pre_exposure == pytest.approx(expected, rel=1e-12)
    assert first_dose(s) == pytest.approx(1 + expected, rel=1e-12)


@pytest.mark.parametrize(
    "told",
    [
        {"time": 3.0},
        {"dose_rate": 3.0},
        {"dose_rate": 3.0, "area": 2.0, "time": 1.0},
        {"dose_rate": 3.0, "time": 1.0, "scans": 3},
        [{"beam_current": 1e-10, "time": 1.0}],
    ],
)
def test_exposures_that_cannot_be_read(told):
    with pytest.raises(ValueError, match="cannot be read; give a fluence"):
        spectra().set_dose_axis(dose_rate=1.0, frame_time=1.0, pre_exposure=told)


def test_numbers_of_exposures_are_checked():
    told = {"dose_rate": -3.0, "time": 1.0}
    with pytest.raises(ValueError, match=r"pre_exposure\['dose_rate'\]= contains -3"):
        spectra().set_dose_axis(dose_rate=1.0, frame_time=1.0, pre_exposure=told)


# The map and the composition


def test_map_and_composition_are_kept(tmp_path):
    s = image()
    relative = np.linspace(0.5, 1.5, 12).reshape(4, 3)
    s.set_dose_axis(dose_rate=1.0, frame_time=1.0, dose_map=relative, composition="H2O")
    np.testing.assert_array_equal(s.metadata.Dose.map, relative)
    assert s.metadata.Dose.composition.as_dictionary() == {"H": 2.0, "O": 1.0}
    s.save(tmp_path / "mapped.hspy")
    loaded = hs.load(tmp_path / "mapped.hspy")
    np.testing.assert_array_equal(loaded.metadata.Dose.map, relative)


def test_map_as_a_signal_and_lazy():
    s = image()
    relative = hs.signals.Signal2D(np.full((4, 3), 2.0))
    s.set_dose_axis(dose_rate=1.0, frame_time=1.0, dose_map=relative.as_lazy())
    np.testing.assert_array_equal(s.metadata.Dose.map, relative.data)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (np.ones((3, 4)), ValueError, r"shape \(3, 4\), but the pixels have the shape \(4, 3\)"),
        (2.0, ValueError, "one relative dose for each pixel"),
        (np.zeros((4, 3)), ValueError, "finite and positive"),
        ([["a"] * 3] * 4, TypeError, "not numeric"),
    ],
)
def test_wrong_maps(wrong, error, message):
    with pytest.raises(error, match=message):
        image().set_dose_axis(dose_rate=1.0, frame_time=1.0, dose_map=wrong)


def test_spectra_have_no_map():
    with pytest.raises(ValueError, match="one relative dose for each pixel"):
        spectra().set_dose_axis(dose_rate=1.0, frame_time=1.0, dose_map=[])


def test_area_and_probe_contradict_each_other():
    with pytest.raises(ValueError, match="contradicts probe_area"):
        spectra().set_dose_axis(beam_current=1e-10, area=1.0, probe_area=1.0, frame_time=1.0)


def test_real_spectrum_image(shared_data):
    """The file says the pixel time and no current: it has to be given."""
    s = hs.stack([hs.load(shared_data("real/EELS_SI.dm4"))] * 3, new_axis_name="frame")
    with pytest.raises(ValueError, match="nothing to compute the dose from"):
        s.set_dose_axis()
    s.set_dose_axis(beam_current=50e-12)
    steps = [axis for axis in s.axes_manager.navigation_axes if axis.name in ("x", "y")]
    assert {axis.units for axis in steps} == {"µm"}
    pixel = 1e6 * np.prod([axis.scale for axis in steps])  # nm²
    expected = 50e-12 * 0.0199501246882793 / CHARGE_C / (pixel * 100)
    assert first_dose(s) == pytest.approx(expected, rel=1e-9)
