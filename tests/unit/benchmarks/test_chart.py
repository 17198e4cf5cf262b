from xml.etree import ElementTree

import pytest

from benchmarks.chart import LEFT, OURS, Bar, bars
from benchmarks.contenders import ALL, Contender

NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(*items: Bar) -> ElementTree.Element:
    return ElementTree.fromstring(bars("A <title>", "1,000 rows", items, "s"))


def widths(root: ElementTree.Element) -> list[float]:
    return [float(rect.attrib["width"]) for rect in root.findall(f"{NAMESPACE}rect")[1:]]


def test_bars_are_as_long_as_their_values_and_begin_at_zero():
    short, long = widths(drawn(Bar(label="a", value=1.0), Bar(label="b", value=4.0)))

    assert abs(long - 4 * short) < 0.2


def test_the_smallest_stands_first():
    texts = [
        text.text
        for text in drawn(Bar(label="b", value=4.0), Bar(label="a", value=1.0)).iter(f"{NAMESPACE}text")
    ]

    assert texts.index("a") < texts.index("b")


def test_ours_has_a_colour_of_its_own():
    root = drawn(Bar(label="a", value=1.0, ours=True), Bar(label="b", value=4.0))

    assert [rect.attrib["fill"] == OURS for rect in root.findall(f"{NAMESPACE}rect")[1:]] == [True, False]


def test_the_range_of_the_slowest_stays_within_the_picture():
    root = drawn(Bar(label="a", value=1.0, low=0.5, high=9.0))
    right = float(root.attrib["width"])

    assert max(float(text.attrib["x"]) for text in root.iter(f"{NAMESPACE}text")) < right - 50


@pytest.mark.parametrize("contender", ALL.values(), ids=lambda one: one.name)
def test_every_label_fits(contender: Contender):
    # Bold letters of this size are some 7.4 units wide.
    assert len(contender.title) * 7.4 < LEFT


def test_zero_can_be_drawn():
    assert widths(drawn(Bar(label="a", value=0.0))) == [0.0]
