# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hyperspy.signals import Signal1D

from hyperspy_dosekin.signals.axes.noise import holds_counts, noise_of

MODEL = "Signal.Noise_properties.Variance_linear_model"


def make(dtype="f4", quantity=None):
    s = Signal1D(np.ones((3, 8), dtype=dtype))
    if quantity is not None:
        s.metadata.Signal.quantity = quantity
    return s


@pytest.mark.parametrize(
    ("dtype", "quantity", "counts"),
    [
        ("i4", None, True),
        (">u2", None, True),
        ("u1", "Intensity (A.U.)", True),
        ("f4", None, False),
        ("f4", "", False),
        ("f4", "Electrons (Counts)", True),
        ("f8", "count", True),
        ("f8", "Intensity", False),
        ("f8", "Accounts", False),
        ("?", None, False),
    ],
)
def test_counts_are_integers_or_named_so(dtype, quantity, counts):
    s = make(dtype, quantity)
    assert holds_counts(s) is counts
    noise = noise_of(s)
    if counts:
        assert (noise.gain, noise.offset, noise.variance) == (1.0, 0.0, None)
    else:
        assert noise is None


def test_a_linear_model_comes_before_counts():
    s = make("i4")
    s.metadata.set_item(MODEL, {"gain_factor": 2.0, "gain_offset": 3.0, "correlation_factor": 0.5})
    assert (noise_of(s).gain, noise_of(s).offset) == (1.0, 1.5)
    s.metadata.set_item(MODEL, {"gain_offset": 3.0})
    assert (noise_of(s).gain, noise_of(s).offset) == (1.0, 3.0)
    # Origin of the intensity scale of a DigitalMicrograph file.
    s.metadata.set_item(MODEL, {"gain_factor": 2.0, "gain_offset": -3.0})
    assert (noise_of(s).gain, noise_of(s).offset) == (2.0, 0.0)


def test_a_number_comes_before_the_model():
    s = make("i4")
    s.metadata.set_item(MODEL, {"gain_factor": 2.0})
    s.set_noise_variance(4)
    assert (noise_of(s).gain, noise_of(s).offset) == (0.0, 4.0)


def test_a_variance_of_each_channel():
    s = make("i4")
    s.set_noise_variance(s.deepcopy())
    assert noise_of(s).variance is s.get_noise_variance().data


def test_bad_variances_are_refused():
    s = make()
    s.set_noise_variance(-1.0)
    with pytest.raises(ValueError, match=r"is -1.0, but must be finite and not negative; set it"):
        noise_of(s)
    s.set_noise_variance(np.nan)
    with pytest.raises(ValueError, match="is nan"):
        noise_of(s)
    s.set_noise_variance(Signal1D(np.ones((3, 4))))
    with pytest.warns(UserWarning, match=r"shape \(3, 4\), but the data have \(3, 8\)"):
        assert noise_of(s) is None
    s = make()
    s.set_noise_variance(1.0)
    s.metadata.Signal.Noise_properties.variance = "large"
    with pytest.raises(TypeError, match="'large', neither a number nor a signal"):
        noise_of(s)


@pytest.mark.parametrize("value", [-1.0, np.nan, 10**400, "1", None])
def test_bad_models_are_refused(value):
    s = make()
    s.metadata.set_item(MODEL, {"gain_factor": 1.0})
    s.metadata.get_item(MODEL).gain_factor = value
    with pytest.raises(ValueError, match=r"Variance_linear_model\.gain_factor is .* not negative"):
        noise_of(s)
