# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file claims of its noise, against what its data show."""

import warnings

import hyperspy.api
import numpy as np
import pytest

import hyperspy_dosekin
from hyperspy_dosekin.data import dose_series, dose_series_image

MODEL = "Signal.Noise_properties.Variance_linear_model"
STILL = {"drift": 0.0, "intensity_variation": 0.0}


def claim(s, **parameters):
    if s.metadata.has_item("Signal.Noise_properties"):
        del s.metadata.Signal.Noise_properties
    s.metadata.set_item(MODEL, {"gain_factor": 1.0, "gain_offset": 0.0, **parameters})
    return s


def dm(seed, **options):
    """Counts with the electrons per count for a gain, as readers of DigitalMicrograph have it."""
    s = dose_series(seed, electrons=1e6, **options)
    s.data = (s.data / 0.1285).astype("f4")
    return claim(s, gain_factor=0.1285)


def with_read_noise(seed, **options):
    s = dose_series(seed, **options)
    s.data = s.data + np.random.default_rng(seed).normal(0, 143, s.data.shape)
    return claim(s)


def averaged(seed, **options):
    s = dose_series(seed, **options)
    s.data = np.mean([dose_series(seed + 100 * i, **options).data for i in range(1, 9)], axis=0)
    return claim(s)


def per_second(seed, **options):
    s = dose_series(seed, **options)
    s.data = s.data / 44.0
    return claim(s)


def normalised(seed, **options):
    s = dose_series(seed, **options)
    s.data = s.data / s.data.max(-1, keepdims=True)
    return claim(s)


def with_wrong_variance(seed, **options):
    s = dose_series(seed, **options)
    s.set_noise_variance(s._deepcopy_with_new_data(5.0 * s.data.mean(axis=0) + 0 * s.data))
    return s


def with_pedestal(seed, **options):
    s = dose_series(seed, electrons=1e6, **options)
    s.data = s.data + 600
    return claim(s)


def honest(seed, **options):
    return dose_series(seed, **options)


def few(seed, **options):
    return dose_series(seed, electrons=2e4, **options)


def subtracted(seed, **options):
    """Less a dark frame that was counted as long, in which there is little."""
    s = dose_series(seed, **options)
    s.data = s.data - np.random.default_rng(seed).poisson(20.0, s.data.shape)
    return claim(s)


WRONG = [dm, with_read_noise, averaged, per_second, normalised, with_wrong_variance, with_pedestal]


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize("make", WRONG)
def test_the_data_win_over_a_wrong_claim(make, lazy):
    s = make(0)
    s = s.as_lazy() if lazy else s
    with pytest.warns(UserWarning, match=r"the noise of the data.*The data are believed"):
        np.asarray(s.integrate_windows().get_noise_variance().data)


@pytest.mark.parametrize("make", [honest, few, subtracted])
def test_honest_claims_are_kept_in_silence(make):
    for seed in range(5):
        s = make(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            s.integrate_windows()
            s.inav[0].integrate_windows()


@pytest.mark.filterwarnings("ignore:the noise of the data")
@pytest.mark.parametrize("make", [*WRONG, honest, few, subtracted])
def test_the_variance_of_areas_is_that_over_repeats(make):
    made = [make(seed, **STILL).integrate_windows() for seed in range(8)]
    over_repeats = np.var([each.data for each in made], axis=0, ddof=1).mean(axis=-1)
    said = np.mean([each.get_noise_variance().data for each in made], axis=(0, 2))
    # 8 repeats of nine frames: 17 % for the variance, 0.5 and 2 are three and six errors away.
    ratio = said / over_repeats
    assert np.all((ratio > 0.5) & (ratio < 2)), ratio


@pytest.mark.filterwarnings("ignore:the noise of the data")
@pytest.mark.parametrize("make", [*WRONG, honest])
def test_lazy_is_eager(make):
    eager = make(1).integrate_windows()
    lazy = make(1).as_lazy().integrate_windows()
    np.testing.assert_allclose(lazy.data.compute(), eager.data)
    variance = lazy.get_noise_variance().data.compute()
    np.testing.assert_allclose(variance, eager.get_noise_variance().data)


def test_the_inverse_is_named_once_and_noted():
    s = dm(0)
    with pytest.warns(
        UserWarning, match=r"0\.1285 is the inverse of the gain, electrons per count"
    ):
        processed = s.process_low_loss()
    noise = processed.metadata.Dosekin.noise
    assert noise.source == "data"
    assert "DigitalMicrograph" in noise.note
    assert noise.gain == pytest.approx(1 / 0.1285, rel=0.25)
    assert noise.claimed_gain == 0.1285
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        areas = processed.integrate_windows()
    assert "DigitalMicrograph" in areas.metadata.Dosekin.noise.note


def test_read_noise_makes_no_spikes():
    s = with_read_noise(0)
    with pytest.warns(UserWarning, match="The data are believed"):
        processed = s.process_low_loss()
    assert processed.processing_diagnostics()["spikes"].data.mean() <= 0.5
    assert processed.metadata.Dosekin.noise.read_noise == pytest.approx(143, rel=0.2)


def test_a_variance_of_zero_where_there_is_no_count():
    s = dose_series(electrons=2e4, seed=1, spike_rate=0.0)
    s.estimate_poissonian_noise_variance()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        processed = s.process_low_loss()
    assert processed.processing_diagnostics()["spikes"].data.max() == 0
    assert processed.get_noise_variance().data.min() >= 0


@pytest.mark.parametrize("kind", ["integers", "quantity"])
def test_counts_stay_counts_when_they_are_aligned_with_others(kind):
    low = dose_series_image(shape=(3, 4))
    core = low.deepcopy()
    core.data = np.random.default_rng(0).poisson(200.0, core.data.shape)
    del core.metadata.Signal.Noise_properties
    core.metadata.Signal.quantity = "" if kind == "integers" else "Electrons (Counts)"
    core.axes_manager[-1].offset = 300.0
    low.process_low_loss(also_align=[core])
    net = core.process_core_loss(background=(310, 330), crop=(335, 360))
    assert net.get_noise_variance() is not None


ABSOLUTE = {"noise": "absolute"}


@pytest.mark.parametrize(
    "fit",
    [
        lambda areas, _: areas.fit_dose_pinn(estimator="exact", **ABSOLUTE),
        lambda areas, _: hyperspy_dosekin.compare_laws(areas, ["first order"], **ABSOLUTE),
        lambda areas, _: hyperspy_dosekin.fit_dose_conditions(
            [areas, areas], conditions={"dose_rate": [1, 5]}, **ABSOLUTE
        ),
        lambda areas, _: hyperspy_dosekin.fit_dose_jointly({"a": areas, "b": areas}, **ABSOLUTE),
        lambda _, spectra: spectra.fit_dose_spectra(1, **ABSOLUTE),
    ],
    ids=["windows", "laws", "conditions", "jointly", "spectra"],
)
@pytest.mark.filterwarnings("ignore:the noise variance of these data is lost")
def test_absolute_noise_needs_a_variance(fit):
    spectra = dose_series(processed=True)
    areas = spectra.integrate_windows()
    del spectra.metadata.Signal.Noise_properties
    with pytest.raises(ValueError, match='noise="absolute" takes the noise variance'):
        fit(areas / areas.isig[0], spectra)


@pytest.mark.parametrize("claim", ["gain", "zeros", "nan"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_claim_of_no_noise_says_nothing(claim, lazy):
    """No recorded spectrum is free of noise: the scatter is taken, and a sentence says so."""
    s = dose_series(3)
    truth = s.process_low_loss().integrate_windows().get_noise_variance().data
    if claim == "gain":
        s.metadata.set_item("Signal.Noise_properties.Variance_linear_model.gain_factor", 0.0)
    else:
        value = 0.0 if claim == "zeros" else np.nan
        s.set_noise_variance(s._deepcopy_with_new_data(np.full(s.data.shape, value)))
    s = s.as_lazy() if lazy else s
    with pytest.warns(UserWarning, match="say that the data have no noise"):
        areas = s.process_low_loss().integrate_windows()
    if lazy:
        areas.compute()
    ratio = areas.get_noise_variance().data / truth
    assert ratio.min() > 0.5
    assert ratio.max() < 2


@pytest.mark.filterwarnings("ignore:the noise of the data")
def test_a_single_spectrum_tells_its_noise_whatever_its_factor():
    s = dose_series(5, electrons=1e6, spike_rate=0.0, **STILL).inav[3]
    s.change_dtype("float64")
    as_counted = s.integrate_windows()
    s.data = s.data / s.data.max()
    normalised = s.integrate_windows()
    share = normalised.data / as_counted.data
    ratio = normalised.get_noise_variance().data / share**2 / as_counted.get_noise_variance().data
    assert ((ratio > 0.3) & (ratio < 4)).all()


def test_drift_is_no_noise():
    still = [dose_series(0, **STILL).inav[frame] for frame in range(9)]
    s = dose_series(0, **STILL)
    drifting = [one.data[40 - 5 * frame : 460 - 5 * frame] for frame, one in enumerate(still)]
    s = s.isig[:420]
    s.data = np.array(drifting)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s.process_low_loss()


@pytest.mark.parametrize(("ratio", "said"), [(0.3, True), (0.5, True), (1.0, False)])
def test_windows_of_interpolated_channels_have_the_noise_that_they_share(ratio, said):
    """Channels a third as wide, between which lines are drawn, share the noise of one."""
    random, channel = np.random.default_rng(4), np.arange(400.0)
    mean = 500 + 3000 * np.exp(-0.5 * ((channel - 200) / 60) ** 2)
    place = np.arange(2, 397, ratio) + 0.37
    spectra = [np.interp(place, channel, random.poisson(mean)) for _ in range(80)]
    s = claim(hyperspy.api.signals.Signal1D(np.array(spectra)))
    s.set_signal_type("EELS")
    s.axes_manager[-1].trait_set(scale=ratio, offset=place[0], units="eV")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        areas = s.integrate_windows({"a": (50.0, 150.0), "b": (180.0, 260.0)})
    assert any("correlated" in str(each.message) for each in caught) == said
    values, variance = (
        each.data.reshape(2, 80) if each.data.shape[0] == 2 else each.data.T
        for each in (areas, areas.get_noise_variance())
    )
    # Eighty repeats know a variance to 16 %; without the shared noise it would be 0.3 and 0.5.
    assert (abs(np.log(variance.mean(axis=1) / values.var(axis=1, ddof=1))) < 0.6).all()
