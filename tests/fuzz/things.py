# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user might bring: spectra, doses, windows, axes and metadata of every kind."""

import warnings

import dask.array as da
import exspy
import numpy as np
from hyperspy.roi import RectangularROI, SpanROI
from hypothesis import strategies as st

from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries, LazyDoseSeries
from hyperspy_dosekin.windows.definitions import Window

REAL_TYPES = (
    *("float64", "float32", "uint16", "int32", "uint8", "float16", "int64", "uint64", "int8"),
    *("bool", ">f4", ">u2", "longdouble"),
)
OTHER_TYPES = ("complex64", "complex128", "object", "str", "datetime64[s]")
SPECIAL = (np.nan, np.inf, -np.inf, 1.7e308, -1.7e308, 5e-324, 0.0, -1.0, 3.4e38, 1e-30)
HOSTILE = (
    *("", " ", "dose", "window", "C–O", "<img src=x onerror=alert(1)>", "a\nb", "\x00", "\ud800"),
    *("../../etc", "a" * 300, "💥", "%s{0}", "'; --", "NaN", "1"),
)
#: Things that are no option of anything.
WRONG = (
    *(5, -1, 0, 1.5, True, None, "", "nonsense", np.nan, np.inf, -np.inf, 1e308, 10**400, 2j),
    *((), [], {}, (1, 2, 3), ["a"], [None], {"a": 1}, {1: 2}, [[1, 2], [3]], b"x", object, len),
    *(np.array(3), np.zeros((2, 0)), np.array(["a"]), np.array([np.nan, 1.0]), set(), range(3)),
)

wrong = st.sampled_from(WRONG)
hostile = st.sampled_from(HOSTILE)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def shapes(draw, most=4):
    """Sizes of the navigation axes, zeros and ones among them."""
    ordinary = st.sampled_from((2, 3, 4, 5, 6, 9))
    size = draw(st.sampled_from((ordinary, ordinary, st.sampled_from((0, 1, 1, 2, 3)))))
    shape = tuple(draw(st.lists(size, max_size=most)))
    return shape if np.prod(shape) <= 400 else shape[:2]


@st.composite
def values(draw, shape, types=REAL_TYPES, special=None):
    """An array of a decay with noise, of any type, with whatever else among it."""
    rng = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from(types))
    if dtype == "str":
        return np.full(shape, "a")
    if dtype == "object":
        return np.full(shape, None)
    array = rng.gamma(3.0, 20.0, shape) * np.exp(-np.arange(shape[-1]) / max(shape[-1], 1))
    if dtype.startswith("datetime"):
        return array.astype("int64").astype(dtype)
    scale = draw(st.sampled_from((1.0, 1.0, 1.0, 1e-300, 1e-30, 1e30, 1e300, 0.0)))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if np.dtype(dtype).kind in "fc":
            array = array * scale
        array = np.minimum(array, np.finfo("float64").max)
        if np.dtype(dtype).kind in "iub":
            array = np.clip(array, 0, 100)
        array = array.astype(dtype)
        share = draw(st.sampled_from((0.0, 0.0, 0.02, 0.5, 1.0))) if special is None else special
        if share and array.size and array.dtype.kind in "fc":
            hit = rng.random(shape) < share
            array[hit] = rng.choice(SPECIAL, hit.sum()).astype(array.dtype)
    return array


@st.composite
def energy_axes(draw, n):
    """An axis of energy: descending, uneven, in keV, without units, at odd places."""
    units = draw(st.sampled_from(("eV", "eV", "eV", "keV", "meV", "", None, "nm", "foo/", "%")))
    axis = {"name": draw(st.sampled_from(("Energy loss", "", None, "dose"))), "units": units}
    factor = {"keV": 1e-3, "meV": 1e3}.get(units, 1.0)
    scale = draw(st.sampled_from((0.5, 0.5, 1.0, -0.5, 1e-300, 1e300, 0.05))) * factor
    offset = draw(st.sampled_from((-5.0, -5.0, 0.0, 3.0, 200.0, 1e300))) * factor
    if scale < 0:
        offset = n * -scale
    kind = draw(st.sampled_from(("even", "even", "even", "uneven")))
    if kind == "even" or n < 2:
        return {**axis, "offset": offset, "scale": scale, "size": n}
    steps = 1 + draw(st.sampled_from((0.1, 0.9))) * np.sin(np.arange(n))
    return {**axis, "axis": offset + scale * np.cumsum(steps)}


@st.composite
def navigation_axes(draw, shape):
    """Axes of navigation, with any names and units."""
    names = st.one_of(st.sampled_from(("x", "y", "dose", "frame", "time", "stack")), hostile)
    units = st.sampled_from(("", None, "nm", "s", "e⁻/Å²", "e/nm^2", "?"))
    scale = st.sampled_from((1.0, 1.0, 0.2, -1.0, 1e-300, 1e300))
    return [
        {"size": n, "name": draw(names), "units": draw(units), "scale": draw(scale), "offset": 1.0}
        for n in shape
    ]


KINDS = {
    "EELS": (exspy.signals.EELSSpectrum, exspy.signals.LazyEELSSpectrum),
    "DoseSeries": (DoseSeries, LazyDoseSeries),
}


def made(data, axes, draw, kind="EELS"):
    """A signal, lazy or not, or nothing where HyperSpy has no such signal."""
    lazy = draw(st.booleans())
    # Complex data have no class of this kind.
    if np.iscomplexobj(data):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if lazy:
                sizes = [draw(st.integers(1, max(n, 1))) for n in data.shape]
                data = da.from_array(data, chunks=tuple(sizes))
            return KINDS[kind][lazy](data, axes=axes)
    except Exception:
        return None


@st.composite
def spectra(draw, types=REAL_TYPES + OTHER_TYPES, channels=(0, 1, 2, 3, 7, 30, 64, 64), most=4):
    """Spectra as they might come; ``None`` where HyperSpy itself has none such."""
    n = draw(st.sampled_from(channels))
    shape = draw(shapes(most))
    if len(shape) and draw(st.booleans()):
        names = [{"size": m, "name": name} for m, name in zip(shape, "zyxt", strict=False)]
        names[0]["name"] = draw(st.sampled_from(("dose", "frame", "z")))
    else:
        names = draw(navigation_axes(shape))
    axes = [*({**each, "navigate": True} for each in names), {**draw(energy_axes(n))}]
    axes[-1]["navigate"] = False
    signal = made(draw(values((*shape, n), types)), axes, draw)
    if signal is not None:
        draw(with_metadata(st.just(signal)))
    return signal


@st.composite
def with_metadata(draw, signals):
    """Put into the metadata of a signal what files of unknown origin hold."""
    signal = draw(signals)
    choice = draw(st.sampled_from(("none", "none", "noise", "scalar", "text", "nonsense")))
    metadata = signal.metadata
    if choice == "text":
        metadata.set_item("General.title", draw(hostile))
        metadata.set_item("General.notes", draw(hostile))
        metadata.set_item("Signal.quantity", draw(hostile))
    elif choice == "scalar":
        metadata.set_item(
            "Signal.Noise_properties.variance",
            draw(st.sampled_from((1.0, 0.0, -1.0, np.nan, 1e300))),
        )
    elif choice == "noise" and signal.data.dtype.kind in "iuf":
        noise = signal._deepcopy_with_new_data(abs(signal.data.astype("float64")) + 1.0)
        signal.set_noise_variance(noise)
    elif choice == "nonsense":
        key = draw(
            st.sampled_from(
                (
                    "Dose",
                    "Dose.pre_exposure",
                    "Dose.frame_order",
                    "Dose.window_names",
                    "Dose.window_ranges",
                    "Signal.quantity",
                    "Signal.Noise_properties.variance",
                    "Signal.Noise_properties.Variance_linear_model.gain_factor",
                    "Acquisition_instrument.TEM.beam_current",
                    "Acquisition_instrument.TEM.Detector.EELS.exposure",
                    "General.title",
                )
            )
        )
        metadata.set_item(key, draw(wrong.filter(lambda each: type(each) is not dict)))
    return signal


@st.composite
def doses(draw, n):
    """Doses of n frames, of every kind."""
    rng = np.random.default_rng(draw(seeds))
    rising = np.cumsum(rng.uniform(0.1, 2.0, n)) * draw(
        st.sampled_from((1.0, 100.0, 1e-300, 1e-10, 1e10, 1e300, 1e307))
    )
    kind = draw(
        st.sampled_from(
            ("rising", "rising", "shuffled", "even", "special", "short", "nested", "dask", "wrong")
        )
    )
    if kind == "shuffled":
        return list(rng.permutation(rising))
    if kind == "even":
        return np.arange(n) * draw(st.sampled_from((1, 0, -1, 2**40)))
    if kind == "special" and n:
        rising[rng.integers(n)] = draw(st.sampled_from(SPECIAL))
        return rising
    if kind == "short":
        return rising[:-1]
    if kind == "nested":
        return [list(rising)]
    if kind == "dask":
        return da.from_array(rising, chunks=1) if n else rising
    return draw(wrong) if kind == "wrong" else rising


@st.composite
def limits(draw):
    """A pair of limits."""
    ordinary = st.sampled_from(((1, 3), (4.0, 7.0), (10, 15), (0.5, 1.5), (201, 210)))
    odd = st.tuples(st.sampled_from((*SPECIAL, 3, 7)), st.sampled_from((*SPECIAL, 3, 7)))
    return draw(st.one_of(ordinary, ordinary, odd, wrong))


@st.composite
def windows(draw):
    """Windows, of every form."""
    kind = draw(st.sampled_from(("none", "dict", "dict", "list", "roi", "window", "wrong")))
    if kind == "none":
        return None
    if kind == "dict":
        names = st.one_of(hostile, wrong.filter(lambda each: each.__hash__ is not None))
        return draw(st.dictionaries(names, limits(), max_size=3))
    if kind == "list":
        return draw(st.lists(limits(), max_size=3))
    if kind == "roi":
        ordinary = [SpanROI(4.0, 7.0), SpanROI(10.0, 15.0)]
        return draw(
            st.sampled_from((ordinary, ordinary[0], SpanROI(), [RectangularROI(0, 0, 1, 1)]))
        )
    if kind == "window":
        return [Window("a", 4, 7), ("b", 3)]
    return draw(wrong)


@st.composite
def series(draw, ordinary=True, most=2, types=REAL_TYPES):
    """A dose series, of spectra of no kind in particular.

    An ordinary one can be fitted; any other may hold what it likes.
    """
    n = draw(st.sampled_from((4, 5, 9, 12) if ordinary else (0, 1, 2, 3, 4, 5, 9)))
    space = draw(st.lists(st.sampled_from((1, 2, 3)), max_size=most)) if ordinary else None
    space = tuple(space) if ordinary else draw(shapes(most))
    n_window = draw(st.sampled_from((1, 2, 4)))
    shape = (*space, n_window, n)
    rng = np.random.default_rng(draw(seeds))
    if ordinary:
        dose = np.cumsum(rng.uniform(0.3, 2.0, n)) * draw(st.sampled_from((1.0, 100.0, 1e-6)))
        rate = rng.uniform(0.3, 4.0, shape[:-1])[..., np.newaxis] / dose[-1]
        data = 5.0 + 20.0 * np.exp(-rate * dose) + rng.normal(0, 0.1, shape)
    else:
        data = draw(values(shape, (*types, "complex64")))
        dose = np.arange(1.0, n + 1)
    names = [f"w{place}" for place in range(n_window)]
    axes = [
        {"size": m, "name": name, "navigate": True} for m, name in zip(space, "yxzt", strict=False)
    ]
    axes += [
        {"size": n_window, "name": "window", "navigate": True},
        {"axis": dose, "name": "dose", "units": "e⁻/Å²", "navigate": False}
        if n > 1
        else {"size": n, "name": "dose", "units": "e⁻/Å²", "navigate": False},
    ]
    signal = made(data, axes, draw, "DoseSeries")
    if signal is None:
        return None
    signal.metadata.set_item("Dose.window_names", names)
    if draw(st.booleans()) and data.dtype.kind in "iuf":
        noise = draw(st.sampled_from((0.01, 0.0, np.nan, 1e300))) if not ordinary else 0.01
        signal.set_noise_variance(signal._deepcopy_with_new_data(np.full(data.shape, noise)))
    return signal


def eels(data, **axis):
    """Ordinary spectra, as lazy as the array."""
    lazy = isinstance(data, da.Array)
    signal = (exspy.signals.LazyEELSSpectrum if lazy else exspy.signals.EELSSpectrum)(data)
    energy = signal.axes_manager.signal_axes[0]
    energy.units, energy.scale, energy.offset = (
        "eV",
        axis.get("scale", 0.5),
        axis.get("offset", -5.0),
    )
    return signal
