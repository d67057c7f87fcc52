# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real cameras, files and specimens add to the simulation, against independent numbers."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.signal import find_peaks
from scipy.stats import norm, poisson

from hyperspy_dosekin.data import dose_series, dose_series_image

QUIET = {"noise": False, "intensity_variation": 0.0, "drift": 0.0}
VACUUM = QUIET | {"t_over_lambda": 0.0, "zero_loss_tail": 0.0, "electrons": 1.0}
#: Spectra that differ by their noise only: 600 of 200 channels.
REPEATS = {
    "shape": (20, 15),
    "dose": [100, 200],
    "kinetics": {name: {"k": 0.0} for name in ("π–π*", "C–C", "C–O", "M–O")},
    "rate_variation": 0.0,
    "thickness_variation": 0.0,
    "intensity_variation": 0.0,
    "drift": 0.0,
    "channels": 200,
    "electrons": 2e5,
}


def energies(s):
    return s.axes_manager.signal_axes[0].axis


@pytest.mark.parametrize("position", [-0.5, -0.2, 0.0, 0.37])
def test_integrated_channels_hold_the_electrons_that_fall_on_them(position):
    """FWHM of 1.5 channels, the peak anywhere in its channel, against the normal distribution."""
    scale, sigma = 0.4, 0.6 / np.sqrt(8 * np.log(2))
    options = VACUUM | {"energy_scale": scale, "drift": [position * scale] * 9}
    s = dose_series(channel_response="integrated", **options)
    edges = np.append(energies(s) - scale / 2, energies(s)[-1] + scale / 2)
    expected = np.diff(norm.cdf(edges, position * scale, sigma))
    np.testing.assert_allclose(s.data[0], expected, atol=1e-9)
    # Centres of channels do not do for a peak like this.
    point = dose_series(**options).data[0]
    assert np.abs(point - expected).max() > 0.02 * expected.max()


def test_integrated_channels_change_nothing_where_the_peak_is_well_sampled():
    options = VACUUM | {"energy_scale": 0.02, "channels": 1024, "energy_offset": -4.0}
    point = dose_series(**options).data[0]
    integrated = dose_series(channel_response="integrated", **options).data[0]
    np.testing.assert_allclose(integrated, point, atol=1e-3 * point.max())


@pytest.mark.parametrize("thickness", [1.0, 3.0])
def test_thick_specimens(thickness):
    """Al-like: t/λ follows from the zero-loss peak, and orders from Poisson's law."""
    options = QUIET | {"plasmon_energy": 15.0, "plasmon_width": 0.5, "electrons": 1e6}
    # No bands: a plasmon alone, which makes its orders separate peaks.
    none = {name: {"a": 0.0, "b": 0.0} for name in ("π–π*", "C–C", "C–O", "M–O")}
    axis = {"energy_offset": -20.0, "energy_scale": 0.1, "channels": 3200}
    s = dose_series(kinetics=none, t_over_lambda=thickness, zero_loss_tail=0.0, **axis, **options)
    truth, energy = s.metadata.Simulation, energies(s)
    assert truth.t_over_lambda == pytest.approx(thickness)
    total, zero_loss = s.data[0].sum(), s.data[0, np.abs(energy) < 1.5].sum()
    assert total == pytest.approx(1e6, rel=2e-3)
    assert np.log(1e6 / zero_loss) == pytest.approx(thickness, abs=2e-3)
    peaks, _ = find_peaks(s.data[0], height=2e-3 * s.data[0].max(), distance=60)
    found = energy[peaks][:4]
    # Heights of orders also fall with their width, positions do not.
    np.testing.assert_allclose(found, 15.0 * np.arange(4), atol=0.2)
    around = [s.data[0, np.abs(energy - 15.0 * n) < 7.5].sum() for n in range(4)]
    expected = poisson.pmf(np.arange(4), thickness) * 1e6
    # The tails of the plasmon and the iron edge go to other places.
    np.testing.assert_allclose(around, expected, rtol=0.12)
    assert (s.data[0].argmax() > np.abs(energy).argmin() + 10) == (thickness == 3.0)
    # Nothing wraps around to before the zero-loss peak.
    assert s.data[0, energy < -5].sum() < 1e-6 * total


def test_gains_obey_detailed_balance():
    lines = [(0.1, 0.01, 1e-4), (0.18, 0.004, 1e-4)]
    axis = {"energy_offset": -0.4, "energy_scale": 0.002, "channels": 600, "zero_loss_fwhm": 0.01}
    options = VACUUM | axis | {"temperature": 400.0}
    s = dose_series(vibrations=lines, **options)
    extra, energy = s.data[0] - dose_series(**options).data[0], energies(s)

    def area(centre):
        return extra[np.abs(energy - centre) < 0.02].sum()

    for position, share, _ in lines:
        ratio = area(-position) / area(position)
        assert ratio == pytest.approx(np.exp(-position / (8.617e-5 * 400.0)), rel=0.05)
        # Less what is scattered twice.
        assert area(position) == pytest.approx(share, rel=0.03)
    assert s.data[0].sum() == pytest.approx(1.0, abs=2e-3)
    np.testing.assert_array_equal(
        s.metadata.Simulation.window_areas, dose_series(**options).metadata.Simulation.window_areas
    )


def test_energies_in_millielectronvolts():
    s, same = (dose_series(2, energy_units=units) for units in ("meV", "eV"))
    axis = s.axes_manager[-1]
    assert (axis.units, axis.offset, axis.scale) == ("meV", -8000.0, pytest.approx(180.0))
    np.testing.assert_array_equal(s.data, same.data)


CAMERA = {"gain": 3.0, "read_noise": 20.0, "pedestal": 150.0}


@pytest.mark.parametrize(
    "options",
    [
        CAMERA,
        CAMERA | {"average_of": 4},
        CAMERA | {"average_of": 4, "normalise": "exposure"},
        {"gain": 0.5, "pedestal": 10.0},
    ],
)
def test_noise_is_poissons_and_gausss_and_the_file_says_so(options):
    s = dose_series_image(3, **REPEATS, **options)
    expected = dose_series_image(3, noise=False, **REPEATS, **options)
    scatter = s.data - expected.data
    above = expected - options.get("pedestal", 0.0) / (44.0 if "normalise" in options else 1.0)
    s.estimate_poissonian_noise_variance(expected_value=above)
    variance = s.get_noise_variance().data.reshape(-1, 200)[0]
    # 600 repeats: the mean of squares is known to 6 %, its average over 200 channels to 0.4 %.
    ratio = (scatter.reshape(-1, 200) ** 2).mean(axis=0) / variance
    # Rounding to whole counts adds a twelfth, which matters to the lowest variances only.
    assert ratio.mean() == pytest.approx(1.0, abs=0.03)
    assert scatter.mean() == pytest.approx(0.0, abs=0.05 * np.sqrt(variance.mean()))


def test_pedestal_is_added_once():
    plain, raised = (dose_series(pedestal=value, **QUIET).data for value in (0.0, 600.0))
    np.testing.assert_allclose(raised - plain, 600.0, atol=1e-6)


@pytest.mark.parametrize("claim", ["inverse", "counts", "none"])
def test_what_the_file_claims_is_not_what_it_is(claim):
    s = dose_series(5, gain=7.8, read_noise=4.0, claimed_noise=claim)
    true = dose_series(5, gain=7.8, read_noise=4.0)
    np.testing.assert_array_equal(s.data, true.data)
    model = s.metadata.get_item("Signal.Noise_properties.Variance_linear_model.gain_factor", None)
    assert model == {"inverse": pytest.approx(1 / 7.8), "counts": 1.0, "none": None}[claim]


@pytest.mark.parametrize("normalise", ["maximum", "sum"])
def test_normalised_counts(normalise):
    raw = dose_series(4, spike_rate=1.0)
    s = dose_series(4, spike_rate=1.0, normalise=normalise, dtype="float64")
    factor = getattr(raw.data, {"maximum": "max", "sum": "sum"}[normalise])(axis=-1, keepdims=True)
    # Counts are whole numbers in one of them only.
    np.testing.assert_allclose(s.data * factor, raw.data, rtol=1e-6, atol=0.51)
    assert s.metadata.Signal.quantity == "Intensity"
    assert not s.metadata.has_item("Signal.Noise_properties")
    claimed = dose_series(4, normalise=normalise, claimed_noise="counts")
    assert claimed.metadata.Signal.quantity == "Electrons (Counts)"
    assert claimed.data.dtype == np.float32


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "f"), (0.0, "i")])
def test_dead_channels(value, kind):
    options = {"dead_channels": [40, 400], "dead_value": value}
    s, whole = dose_series(6, **options), dose_series(6)
    assert s.data.dtype.kind == kind
    np.testing.assert_array_equal(s.data[:, [40, 400]], value)
    alive = np.delete(np.arange(512), [40, 400])
    np.testing.assert_array_equal(s.data[:, alive], whole.data[:, alive].astype(s.data.dtype))
    assert s.metadata.Simulation.dead_channels == [40, 400]


def test_all_of_it_lazily_and_through_a_file(tmp_path):
    options = {
        "shape": (3, 4), "channels": 128, "zero_loss_asymmetry": 0.1, "pedestal": 30.0,
        "read_noise": 5.0, "average_of": 3, "normalise": "sum", "claimed_noise": "counts",
        "dead_channels": (7,), "channel_response": "integrated", "energy_scale": 0.4,
        "vibrations": [(0.4, 0.01, 0.1)], "t_over_lambda": 2.0, "spike_rate": 0.5,
    }  # fmt: skip
    eager, lazy = (dose_series_image(9, lazy=lazy, **options) for lazy in (False, True))
    np.testing.assert_array_equal(lazy.data.compute(), eager.data)
    eager.save(tmp_path / "s.hspy")
    again = hs.load(tmp_path / "s.hspy").metadata.Simulation
    assert (again.pedestal, again.average_of, again.normalise) == (30.0, 3, "sum")
    np.testing.assert_array_equal(again.vibrations, options["vibrations"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pedestal": np.nan}, "pedestal"),
        ({"average_of": 0}, "average_of=0"),
        ({"normalise": "mean"}, "normalise='mean'.*maximum"),
        ({"claimed_noise": "dm"}, "claimed_noise='dm'.*inverse"),
        ({"dead_channels": [512]}, "0…511"),
        ({"dead_channels": [0.5]}, "dead_channels"),
        ({"vibrations": [(0.1, 0.2)]}, "vibrations"),
        ({"vibrations": [(0.1, -0.2, 0.0)]}, "vibrations"),
        ({"temperature": 0.0}, "temperature=0.0 must be positive"),
        ({"plasmon_width": 0.0}, "plasmon_width"),
        ({"channel_response": "mean"}, "channel_response"),
        ({"energy_units": "keV"}, "energy_units"),
        ({"processed": True, "pedestal": 5.0}, "raw counts"),
        ({"processed": True, "dead_channels": [3]}, "raw counts"),
        ({"average_of": 2, "dtype": "int32"}, "averaged"),
        ({"dead_channels": [3], "dtype": "int32"}, "NaN"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        dose_series(**options)
