"""Rows handed over as Python objects: from the API, from an event loop, and from the spec."""

from __future__ import annotations

import asyncio
import threading
from collections import namedtuple
from collections.abc import AsyncIterator, Iterator

import pytest

from syncengine.errors import ConnectionFailed, OptionError, SourceError, SpecError
from syncengine.model.facts import Handover
from syncengine.model.spec import SourceSpec
from syncengine.protocols import Whereabouts
from syncengine.sources import IterableSource, from_async
from syncengine.sources.rows import PLUGIN

Point = namedtuple("Point", "x y")


def rows_of(source: IterableSource) -> list[tuple[object, ...]]:
    with source.open(Handover.ROWS) as rows:
        return list(rows)


@pytest.mark.parametrize(
    ("rows", "fields", "named", "values"),
    [
        pytest.param([{"a": 1}, {"b": 2}], ("a", "b"), True, [(1, None), (None, 2)], id="dicts"),
        pytest.param([(1, 2), [3, 4]], ("1", "2"), False, [(1, 2), (3, 4)], id="tuples-and-lists"),
        pytest.param([Point(1, 2)], ("x", "y"), True, [(1, 2)], id="named-tuples"),
        pytest.param([], (), True, [], id="nothing"),
    ],
)
def test_shape_comes_from_the_first_rows(rows, fields, named, values):
    source = IterableSource(iter(rows))
    facts = source.describe()

    assert (facts.fields, facts.named, facts.rows, facts.exact) == (fields, named, len(rows), True)
    assert rows_of(source) == values


def test_expected_fields_count_among_those_of_dicts():
    assert IterableSource([{"a": 1}], ("b",)).describe().fields == ("a", "b")


def test_generator_is_peeked_not_swallowed_and_read_once():
    taken = 0

    def rows() -> Iterator[dict[str, int]]:
        nonlocal taken
        for taken in range(1, 5001):
            yield {"a": taken}

    source = IterableSource(rows())
    facts = source.describe()

    assert (taken, facts.rows, facts.exact, facts.reopenable) == (1000, None, False, False)
    assert rows_of(source) == [(number,) for number in range(1, 5001)]
    with pytest.raises(SourceError, match="only once"):
        rows_of(source)


def test_list_can_be_read_again():
    source = IterableSource([{"a": 1}] * 2000)

    assert (source.describe().rows, source.describe().exact) == (2000, True)
    assert rows_of(source) == rows_of(source)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": 1}] * 1500 + [{"b": 1}], "row 1501 has the field 'b', which no earlier row has"),
        ([{"a": 1}, (1,)], "row 2 is a tuple, the first one is a mapping"),
        ([(1,), {"a": 1}], "row 2 is a dict, the first one is a tuple or a list"),
        ([(1, 2), (1,)], "row 2 has 1 values, the first one has 2"),
        ([Point(1, 2), (1, 2)], "row 2 is a tuple, the first one is a named tuple of x, y"),
        ([(1, 2), Point(1, 2)], "row 2 is a Point, the first one is a plain tuple"),
        (["ab"], "row 1 is a str, expected were dicts"),
        ([(1,), None], "row 2 is None, expected were dicts"),
        ([{1: 2}], "row 1 has the key 1, which is no text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_odd_row_is_named(rows, message):
    with pytest.raises(SourceError, match=message):
        rows_of(IterableSource(iter(rows)))


@pytest.mark.parametrize("after", [0, 7, 4711])
@pytest.mark.parametrize("kind", [ValueError, ConnectionFailed])
def test_error_of_the_iterator_says_after_which_row(after: int, kind: type[Exception]):
    """An error of another run's is no error of this one's connection either."""

    def rows() -> Iterator[tuple[int]]:
        yield from ((number,) for number in range(after))
        raise kind("no more")

    with pytest.raises(SourceError, match=f"raised {kind.__name__} after row {after}") as caught:
        rows_of(IterableSource(rows()))
    assert caught.value.detail == "no more"
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize("rows", ["x.csv", b"x", {"a": 1}, 5, object()], ids=lambda rows: type(rows).__name__)
def test_what_is_no_iterable_of_rows_is_refused(rows):
    with pytest.raises(OptionError, match="expected was an iterable"):
        IterableSource(rows)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


class Numbers:
    """An async generator that tells whether it was closed, and how far it was read."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count, self.error = count, error
        self.made = 0
        self.closed = False

    async def rows(self) -> AsyncIterator[object]:
        try:
            for number in range(self.count):
                await asyncio.sleep(0)
                self.made += 1
                yield (number,)
            if self.error:
                raise self.error
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [0, 1, 500, 1234])
def test_async_rows_come_in_order_through_another_thread(loop, count):
    numbers = Numbers(count)

    assert list(from_async(numbers.rows(), loop)) == [(number,) for number in range(count)]
    assert numbers.closed


def test_async_generator_is_read_in_bounded_steps_and_closed_when_the_caller_stops(loop):
    numbers = Numbers(100_000)
    rows = from_async(numbers.rows(), loop)
    next(rows)
    rows.close()

    assert (numbers.made, numbers.closed) == (500, True)


def test_async_error_comes_after_the_rows_before_it(loop):
    numbers = Numbers(700, ValueError("no more"))

    with pytest.raises(SourceError, match="raised ValueError after row 700"):
        rows_of(IterableSource(from_async(numbers.rows(), loop)))
    assert numbers.closed


def test_async_rows_need_arun():
    with pytest.raises(OptionError, match="arun"):
        IterableSource(Numbers(1).rows())


def literal(rows: object) -> IterableSource:
    return PLUGIN.open_source(
        SourceSpec(type="rows", options={"rows": rows}), Whereabouts(folder=".", roots=())
    )


def test_rows_of_the_spec_have_the_fields_in_order_of_appearance():
    source = literal([{"b": 1}, {"a": [2], "b": None}])

    assert (source.describe().fields, source.describe().rows) == (("b", "a"), 2)
    assert rows_of(source) == [(1, None), (None, [2])]


@pytest.mark.parametrize("rows", [None, "text", [1], {"a": 1}], ids=repr)
def test_rows_of_the_spec_are_mappings(rows):
    with pytest.raises(SpecError, match="list of mappings"):
        literal(rows)
