"""Scales, ticks and labels: what must hold whatever was measured."""

from __future__ import annotations

import itertools
import math

import hypothesis.strategies as st
from hypothesis import assume, given

from bench.report import labels, svg
from bench.report.labels import Label, placed
from bench.report.svg import MOST_TICKS, Scale, tag, tick_text

POSITIVE = st.floats(1e-9, 1e12)
ANY = st.floats(-1e12, 1e12)


@st.composite
def scales(draw: st.DrawFn) -> Scale:
    log = draw(st.booleans())
    values = draw(st.lists(POSITIVE if log else ANY, min_size=1, max_size=20))
    return Scale.over(values, *draw(st.sampled_from([(0.0, 100.0), (290.0, 30.0)])), log=log)


@given(st.lists(POSITIVE, min_size=1), st.booleans())
def test_a_scale_holds_what_it_was_made_over(values: list[float], log: bool) -> None:
    scale = Scale.over(values, 0, 100, log=log)
    assert all(scale.holds(value) and 0 <= scale(value) <= 100 for value in values)


@given(scales())
def test_the_ends_are_where_they_should_be(scale: Scale) -> None:
    assert math.isclose(scale(scale.low), scale.start, abs_tol=1e-6)
    assert math.isclose(scale(scale.high), scale.end, abs_tol=1e-6)


@given(scales(), ANY, ANY)
def test_order_is_kept(scale: Scale, one: float, other: float) -> None:
    lower, upper = sorted((one, other))
    growing = scale.end > scale.start
    assert (scale(lower) <= scale(upper)) if growing else (scale(lower) >= scale(upper))


@given(scales())
def test_ticks_lie_inside_in_order_and_are_few(scale: Scale) -> None:
    ticks = scale.ticks()
    assert len(ticks) <= MOST_TICKS
    assert all(one < other for one, other in itertools.pairwise(ticks))
    slack = 1e-9 * max(abs(scale.low), abs(scale.high))
    assert all(scale.low - slack <= tick <= scale.high + slack for tick in ticks)


@given(scales())
def test_there_are_ticks_to_read_by(scale: Scale) -> None:
    assume(scale.high - scale.low > 1e-6 * max(abs(scale.low), abs(scale.high)))
    assert len(scale.ticks()) >= 2


@given(scales())
def test_linear_ticks_are_round_and_equally_far_apart(scale: Scale) -> None:
    assume(not scale.log and scale.high - scale.low > 1e-3 * max(abs(scale.low), abs(scale.high)))
    steps = [other - one for one, other in itertools.pairwise(scale.ticks())]
    assert all(math.isclose(step, steps[0], rel_tol=1e-5) for step in steps)
    assert round(steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9), 3) in (1, 2, 5)


def test_logarithmic_ticks_by_hand() -> None:
    assert Scale(0.5, 20, 0, 1, log=True).ticks() == [0.5, 1, 2, 5, 10, 20]
    assert Scale(1e-3, 1e6, 0, 1, log=True).ticks() == [1e-3, 1e-1, 1e1, 1e3, 1e5]
    narrow = Scale(0.95, 1.45, 0, 1, log=True).ticks()
    assert [tick_text(value) for value in narrow] == ["1", "1.1", "1.2", "1.3", "1.4"]


def test_a_scale_over_nothing_or_one_value_can_be_used() -> None:
    for values in ([], [3.0], [math.nan, math.inf], [0.0]):
        for log in (True, False):
            scale = Scale.over(values, 0, 100, log=log)
            assert 0 <= scale(1.0) <= 100
            assert scale.low < scale.high


def test_ticks_are_short() -> None:
    assert [tick_text(value) for value in (0.5, 20, 3000, 2e6, 1.2000000000000002)] == ["0.5", "20", "3k", "2M", "1.2"]


@given(st.text())
def test_nothing_gets_out_of_an_element(text: str) -> None:
    made = str(tag("text", text, class_=text))
    assert made.startswith("<text") and made.count("<") == (2 if text else 1)
    assert '"' not in made.removeprefix('<text class="').split('"', 1)[0]
    assert made.count('"') == 2


def test_an_element_by_hand() -> None:
    assert tag("line", x1=1.0, x2=2.345678, class_="a", stroke_width=None) == '<line x1="1" x2="2.35" class="a"/>'
    assert svg.percent(33.33333) == "33.33%"


@given(st.lists(st.tuples(st.floats(60, 500), st.floats(40, 280)), max_size=25))
def test_labels_cover_neither_each_other_nor_the_points(places: list[tuple[float, float]]) -> None:
    points = [Label(f"name_{number}", x, y) for number, (x, y) in enumerate(places)]
    found = placed(points, 40, 540, 30, 290)
    boxes = [labels._box(label) for label in found]
    assert not any(labels._overlap(one, other) for one, other in itertools.combinations(boxes, 2))
    radius = labels.RADIUS
    dots = [(p.x - radius, p.y - radius, p.x + radius, p.y + radius) for p in points]
    assert not any(labels._overlap(box, dot) for box in boxes for dot in dots)
    assert {label.text for label in found} <= {point.text for point in points}


def test_a_label_with_room_is_drawn() -> None:
    assert [label.text for label in placed([Label("alone", 200, 100)], 40, 540, 30, 290)] == ["alone"]
