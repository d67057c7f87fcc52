# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from hyperspy_dosekin.data import dose_series_image
from hyperspy_dosekin.plotting.kinetics.maps import plot_maps
from hyperspy_dosekin.plotting.kinetics.pictures.maps import MapPicture

NAMES = ("π–π*", "C–C", "M–O")
SHAPE = (3, 5, 7)


def _picture(**changes):
    """Determined on the left of the first window, all over the second, never in the third."""
    dose = np.linspace(200, 900, np.prod(SHAPE)).reshape(SHAPE)
    identifiable = np.zeros(SHAPE, dtype=bool)
    identifiable[0, :, :3] = True
    identifiable[1] = True
    fitted = np.ones(SHAPE, dtype=bool)
    fitted[:, 4, 6] = False
    fields = {
        "window_names": NAMES,
        "half_dose": np.where(fitted, dose, np.nan),
        "reached": dose < 500,
        "fitted": fitted,
        "identifiable": identifiable & fitted,
        "lower": dose / 1.5,
        "upper": np.where(identifiable, 2 * dose, np.inf),
        "pixel_size": 4.0,
        "units": "nm",
    }
    return MapPicture(**{**fields, **changes})


def _image(panel):
    return np.ma.filled(panel.images[0].get_array().astype(float), np.nan)


def test_the_dose_is_drawn_only_where_it_is_determined():
    picture = _picture()
    figure = plot_maps(picture)
    panels = np.array(figure.axes[:9]).reshape(3, 3)
    np.testing.assert_array_equal(np.isfinite(_image(panels[0, 0])), picture.identifiable[0])
    drawn = picture.identifiable[1]
    np.testing.assert_array_equal(_image(panels[1, 0])[drawn], picture.half_dose[1][drawn])
    assert not np.isfinite(_image(panels[2, 0])).any()
    assert "not determined" in panels[2, 0].texts[0].get_text()


def test_the_states_tell_apart_what_the_flags_say():
    picture = _picture()
    states = picture.states
    assert (states[0][:, 3:][picture.fitted[0][:, 3:]] == 2).all()
    assert (states[:, 4, 6] == 3).all()
    inside = picture.reached[1] & picture.fitted[1]
    assert (states[1][inside] == 0).all()
    assert (states[1][~inside & picture.fitted[1]] == 1).all()
    assert (states[1] == 1).any()
    figure = plot_maps(picture)
    np.testing.assert_array_equal(_image(figure.axes[2]), states[0])


def test_open_intervals_are_the_widest_and_not_blank():
    figure = plot_maps(_picture())
    panels = np.array(figure.axes[:9]).reshape(3, 3)
    closed, opened = _image(panels[1, 1]), _image(panels[2, 1])
    np.testing.assert_allclose(closed[:4], 3.0)  # 2 ÷ 1/1.5
    assert (opened[:4] > panels[2, 1].images[0].norm.vmax).all()
    assert np.isnan(opened[4, 6])
    # One scale for all windows.
    assert len({panels[row, 1].images[0].norm.vmax for row in range(3)}) == 1


def test_without_flags_every_pixel_is_drawn_and_the_figure_says_so():
    figure = plot_maps(_picture(identifiable=None, lower=None, upper=None))
    panels = [axes for axes in figure.axes if axes.images and axes.get_title(loc="left")]
    assert len(panels) == 3
    assert np.isfinite(_image(panels[2])).sum() == 34
    assert "not examined" in figure.legends[0].get_title().get_text().replace("\n", " ")


def test_the_scale_bar_has_a_round_length():
    figure = plot_maps(_picture())
    panel = figure.axes[0]
    (text,) = [text.get_text() for text in panel.texts if "nm" in text.get_text()]
    length = np.ptp(panel.lines[0].get_xdata()) * 4.0
    assert text == "5 nm"
    assert length == pytest.approx(5.0)
    without = plot_maps(_picture(pixel_size=None, units=""))
    assert not [text for axes in without.axes for text in axes.texts if "nm" in text.get_text()]


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="reached"):
        _picture(reached=np.ones((3, 7, 5)))
    with pytest.raises(ValueError, match="window, y, x"):
        _picture(half_dose=np.ones(3))
    with pytest.raises(ValueError, match="both"):
        _picture(upper=None)
    with pytest.raises(ValueError, match="all three"):
        _picture(lower=None, upper=None)


@pytest.fixture(scope="module")
def result():
    image = dose_series_image(
        1, shape=(3, 4), processed=True, electrons=1e8, kinetics={"C–O": {"k": 4.0, "p": 1.5}}
    )
    return image.fit_dose_pinn(show_progressbar=False)


def test_maps_of_a_result(result):
    figure = result.plot_maps(["C–O", "M–O"])
    panels = np.array(figure.axes[:6]).reshape(2, 3)
    assert [panel.get_title(loc="left") for panel in panels[:, 0]] == ["C–O", "M–O"]
    sure = result.identifiable.data[2]
    assert sure.any()
    np.testing.assert_array_equal(
        _image(panels[0, 0])[sure], result.half_integrity_dose.data[2][sure]
    )
    one = result.plot_maps("C–O")
    assert sum(bool(panel.get_title(loc="left")) for panel in one.axes) == 1


def test_a_line_scan_is_a_map_of_one_row(result):
    scan = dose_series_image(1, shape=(3, 4), processed=True).inav[:, 1]
    found = scan.fit_dose_pinn(intervals=False, show_progressbar=False)
    assert _image(found.plot_maps("C–C").axes[0]).shape == (1, 4)


def test_what_has_no_maps_says_so(result):
    with pytest.raises(ValueError, match="nonsense"):
        result.plot_maps(["nonsense"])
    mean = dose_series_image(1, shape=(3, 4), processed=True).fit_dose_pinn(
        spatial="mean", estimator="exact", show_progressbar=False
    )
    with pytest.raises(ValueError, match="space axes"):
        mean.plot_maps()
