# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What figures and tables of a result say, beyond the numbers in it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.signals.axes.shared_error import attach_shared_errors
from tests.signals.kinetics.kinetics_series import NAMES, SHORT, make_series, values


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def _fit(s, **options):
    return s.fit_dose_pinn(estimator="exact", show_progressbar=False, **options)


@pytest.fixture(scope="module")
def result():
    return _fit(make_series(noise=0.01))


def _words(figure):
    """All that is written in a figure, without line breaks."""
    texts = [text for axes in figure.axes for text in (axes.title, *axes.texts)]
    for legend in figure.legends:
        texts += [legend.get_title(), *legend.get_texts()]
    if figure._supxlabel is not None:
        texts.append(figure._supxlabel)
    return " ".join(text.get_text().replace("\n", " ") for text in texts)


@pytest.mark.parametrize("name", ["plot", "plot_fit"])
def test_curves_go_on_beyond_the_data_and_say_so(result, name):
    draw = getattr(result, name)
    within, beyond = draw(), draw(extent=1.5)
    assert within.axes[0].get_xlim()[1] < 1.1 * result.dose_max
    assert beyond.axes[0].get_xlim()[1] == pytest.approx(1.5 * result.dose_max)
    assert "extrapolated" in _words(beyond)
    assert "extrapolated" not in _words(within)


def test_spots_are_not_called_energy_windows(result):
    spots = _fit(make_series(noise=0.01, names=("100", "200", "300", "400")))
    for of_spots, of_energies in (
        (str(spots), str(result)),
        (_words(spots.plot()), _words(result.plot())),
        (_words(spots.plot_fit()), _words(result.plot_fit())),
        (_words(spots.plot_parameters()), _words(result.plot_parameters())),
    ):
        assert "bond" in of_energies
        assert "energy" not in of_spots


def test_windows_of_ones_own_are_energy_windows_too():
    s = hyperspy_dosekin.data.dose_series(processed=True).integrate_windows({"mine": (4, 7)})
    assert "labels of fixed energy ranges" in str(_fit(s))


def test_a_single_curve_has_no_bar_that_does_not_move(capsys):
    data = values(noise=0.01)
    make_series(data).fit_dose_pinn(estimator="exact", show_progressbar=True)
    assert "pixels" not in capsys.readouterr().err
    image = make_series(np.broadcast_to(data, (3, *data.shape)).copy())
    image.fit_dose_pinn(estimator="exact", intervals=False, show_progressbar=True)
    assert "3/3" in capsys.readouterr().err


def test_the_certificate_reads_as_text():
    short = make_series(noise=0.01).fit_dose_pinn(**SHORT)
    lines = str(short.certificate).splitlines()
    assert [line.split()[0] for line in lines[:4]] == list(NAMES)
    assert f"{short.certificate.loss_ratio[2]:.3g} × exact" in lines[2]
    # So short a training has not ended.
    assert any("Do not use these numbers" in line for line in lines[4:])


def test_lines_run_through_data_without_what_frames_share():
    """A level that is wrong by ten times what the data can be below zero is taken off them."""
    series = make_series(noise=0.002)
    level = np.ones_like(series.data)
    series.data = series.data - 3.0 * level
    attach_shared_errors(series, {"level": level / series.data})
    result = _fit(series, nonnegative=True)
    assert (result.offset.data >= -0.01).all()
    for place, axes in enumerate(zip(*[iter(result.plot_fit().axes)] * 2, strict=True)):
        measured, points = (line.get_ydata() for line in axes[0].lines[:2])
        np.testing.assert_allclose(measured, series.data[place])
        assert (points > measured + 0.4).all()
        assert np.abs(axes[1].lines[-1].get_ydata()).max() < 6


def test_a_sign_that_drift_hides_is_not_said_to_be_known():
    series = make_series(noise=0.03)
    assert "falls or grows" not in str(_fit(series))
    assert "mixed response" in str(_fit(series))
    drift = np.ptp(series.data, axis=-1, keepdims=True) * np.linspace(5, -5, len(series.dose))
    attach_shared_errors(series, {"drift": drift / series.data})
    text = str(_fit(series, hierarchy=()))
    assert "M–O: the data do NOT determine whether the window falls or grows" in text
    assert "mixed response" not in text
