# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas, laws, units and texts as functions of plain arrays: quick, so very many examples."""

import html
from html.parser import HTMLParser

import numpy as np
import torch
from hypothesis import assume
from hypothesis import strategies as st

from hyperspy_dosekin import dose, kinetics
from hyperspy_dosekin.numerics.html import element
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.numerics.typed import number_of, numbers_of
from hyperspy_dosekin.windows.definitions import Window, parse_windows
from hyperspy_dosekin.windows.integrate import integrate
from hyperspy_dosekin.windows.weights import window_weights
from tests.fuzz.fuzzing import attempt, fuzz
from tests.fuzz.test_fits import LAWS
from tests.fuzz.things import REAL_TYPES, SPECIAL, hostile, seeds, values, windows, wrong

special = st.sampled_from((*SPECIAL, 1e300, 3.0, 0.2))


@fuzz(15, often=40)
def test_windows_of_every_form(material):
    found = attempt(parse_windows, material.draw(windows()))
    for window in found or ():
        assert -np.inf < window.left < window.right < np.inf
        assert isinstance(window.name, str)


@st.composite
def axes(draw):
    """Places of channels: even or not, ascending or descending, of every size."""
    rng = np.random.default_rng(draw(seeds))
    steps = draw(st.sampled_from((np.ones, lambda n: rng.uniform(0.1, 2.0, n))))
    axis = draw(st.sampled_from((0.0, -5.0, 280.0))) + np.cumsum(steps(draw(st.integers(2, 40))))
    axis = axis * draw(st.sampled_from((1.0, 0.05, 1e-12, 1e12)))
    return axis[::-1] if draw(st.booleans()) else axis


@fuzz(15, often=40)
def test_areas_are_those_of_the_lines_between_channels(material):
    axis = material.draw(axes())
    low, high = np.sort(
        axis.min() + np.ptp(axis) * np.array([material.draw(st.floats(0, 1)) for _ in range(2)])
    )
    drawn = material.draw(st.sampled_from(((low, high), (axis.min(), axis.max()))))
    weights = attempt(lambda: window_weights(axis, [Window("w", *drawn)]))
    assume(weights is not None)
    shape = material.draw(st.sampled_from(((), (1,), (3,), (0,), (2, 3))))
    data = material.draw(values((*shape, axis.size), REAL_TYPES, special=0.0))
    block = data[..., weights.channels]
    areas = integrate(block, weights)
    # Everything beyond this is at the end of what the type holds.
    exact = data.astype("float64")
    assume(np.abs(exact).max(initial=1.0) < 1e290)
    order = np.argsort(axis)
    points = np.union1d(axis, drawn)
    points = points[(points >= drawn[0]) & (points <= drawn[1])]
    expected = np.empty(shape)
    for place in np.ndindex(*shape):
        expected[place] = np.trapezoid(np.interp(points, axis[order], exact[place][order]), points)
    width = drawn[1] - drawn[0]
    close = width * np.abs(exact).max(initial=0.0)
    np.testing.assert_allclose(areas[..., 0], expected, rtol=1e-6, atol=1e-7 * close + 1e-320)
    rows = block.reshape(-1, block.shape[-1])
    one_by_one = [integrate(row, weights) for row in rows]
    np.testing.assert_allclose(
        areas.reshape(-1, 1), np.reshape(one_by_one, (-1, 1)), rtol=1e-6, atol=1e-7 * close
    )


@fuzz(15, often=40)
def test_what_is_not_finite_stays_where_it_is(material):
    axis = np.arange(12.0)
    weights = window_weights(axis, [Window("a", 0, 3), Window("b", 5.5, 9)])
    data = material.draw(values((4, 12), REAL_TYPES, special=0.0)).astype("float64")
    assume(np.abs(data).max() < 1e290)
    bad = data.copy()
    place = material.draw(st.integers(0, 3)), material.draw(st.integers(0, 11))
    bad[place] = material.draw(st.sampled_from((np.nan, np.inf, -np.inf)))
    whole, spoilt = (integrate(each[:, weights.channels], weights) for each in (data, bad))
    hit = np.zeros((4, 2), dtype=bool)
    hit[place[0]] = [place[1] <= 3, 5 <= place[1] <= 9]
    np.testing.assert_array_equal(np.isfinite(spoilt), ~hit)
    np.testing.assert_array_equal(spoilt[~hit], whole[~hit])


UNITS = ("e⁻/Å²", "e-/nm^2", "C/cm²", "C m-2", "Gy", "MGy", "e⁻/Å²/s", "MGy/s", "eV", "", "kg/")


@fuzz(15, often=15)
def test_units(material):
    value = material.draw(
        st.one_of(values((3,)), special, st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), wrong)
    )
    units = [
        material.draw(st.one_of(*[st.sampled_from(UNITS)] * 3, hostile, wrong)) for _ in range(2)
    ]
    of_material = {
        "beam_energy": material.draw(st.sampled_from((300, 300, 60.0, None, -1, np.nan))),
        "composition": material.draw(st.sampled_from(("H2O", {"C": 1, "H": 2}, None, "", "Xx"))),
    }
    found = attempt(dose.convert, value, *units, **of_material)
    if found is None:
        return
    assert np.shape(found) == np.shape(value)
    back = attempt(dose.convert, found, *units[::-1], **of_material)
    ordinary = np.asarray(np.abs(value), dtype="float64")
    ordinary = (ordinary > 1e-250) & (ordinary < 1e250)
    np.testing.assert_allclose(
        np.asarray(back)[ordinary], np.asarray(value, dtype="float64")[ordinary], rtol=1e-6
    )


FORMULAS = st.one_of(
    st.text("CHONAlTi0123456789.()[]·-+ x", max_size=12),
    st.sampled_from(("H2O", "C2H4", "(C6H10O5)n", "SiO2·2H2O", "UO2", "((C", "C0", "C" * 3000)),
    st.dictionaries(st.sampled_from(("C", "H", "Q", "")), special, max_size=3),
    hostile,
    wrong,
)


@fuzz(15, often=40)
def test_stopping_powers(material):
    composition = material.draw(FORMULAS)
    energy = material.draw(st.one_of(st.sampled_from((80, 300.0)), special, wrong))
    density = material.draw(st.one_of(st.none(), st.just(1.0), special, wrong))
    found = attempt(dose.collision_stopping_power, composition, energy, density=density)
    assert found is None or 0.1 < found < 1000


@fuzz(15, often=10)
def test_laws_fall_from_one(material):
    """Every law: from 1 at dose 0, never up, the same alone or among others, in any unit."""
    law = kinetics.kinetic_law(material.draw(st.sampled_from(LAWS)))
    n = material.draw(st.sampled_from((1, 2, 3)))
    drawn = {}
    for each in law.parameters:
        low, high = (torch.tensor(end, dtype=torch.float64) for end in each.search_box)
        share = [material.draw(st.floats(0, 1)) for _ in range(n)]
        drawn[each.name] = each.from_search(low + (high - low) * torch.tensor(share).double())
    rng = np.random.default_rng(material.draw(seeds))
    scale = material.draw(st.sampled_from((1.0, 1e-6, 3.0)))
    at = torch.tensor(np.concatenate([[0.0], np.sort(rng.uniform(0, scale, 6))]))
    with torch.no_grad():
        found = law.solution(at, drawn)
        assert found.shape == (n, 7)
        assert torch.isfinite(found).all()
        assert (found[:, 0] == 1).all()
        assert (found <= 1 + 1e-6).all()
        assert (found >= -1e-6).all()
        assert (found.diff() <= 1e-6).all()
        torch.testing.assert_close(law.solution(at, drawn), found, rtol=0, atol=0)
        alone = law.solution(at, {name: each[:1] for name, each in drawn.items()})
        torch.testing.assert_close(alone, found[:1], rtol=1e-6, atol=1e-6)
        some = law.solution(at[[0, 3, 6]], drawn)
        torch.testing.assert_close(some, found[:, [0, 3, 6]], rtol=1e-6, atol=1e-6)


TEXTS = st.one_of(hostile, st.text(max_size=20))


class Tags(HTMLParser):
    """The tags of a text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.said = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, attributes))

    def handle_data(self, data):
        self.said.append(data)


@fuzz(15, often=80)
def test_text_is_no_html(material):
    said, told = material.draw(TEXTS), material.draw(TEXTS)
    found = Tags(element("li", said, element("b", said), title=told))
    assert [tag for tag, _ in found.tags] == ["li", "b"]
    assert dict(found.tags[0][1]).get("title", "") == html.unescape(html.escape(told))
    assert "".join(found.said) == 2 * html.unescape(html.escape(said))


@fuzz(15, often=80)
def test_any_terminal_shows_any_text(material):
    text = material.draw(TEXTS)
    for encoding in ("ascii", "cp1252", "cp437", "utf-8", "latin-1", "koi8-r"):
        shown = printable(text, encoding)
        shown.encode(encoding)
        assert printable(shown, encoding) == shown


@fuzz(15, often=80)
def test_numbers_that_are_typed(material):
    number = material.draw(st.one_of(st.floats(-1e30, 1e30), st.integers(-(10**6), 10**6)))
    comma = material.draw(st.booleans())
    typed = repr(number).replace(".", ",") if comma else repr(number)
    assert attempt(number_of, typed) == number
    for read in (number_of, numbers_of):
        attempt(read, material.draw(TEXTS))
