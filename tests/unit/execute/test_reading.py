"""Chunks of rows and of Arrow batches: each row is in one of them, however often a chunk is begun or given up."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.errors import SyncError
from syncengine.execute.batches import ArrowChunk
from syncengine.execute.reading import RowChunk, reading
from syncengine.model.facts import Handover
from syncengine.model.steps import CopyIn
from syncengine.protocols import ChunkSize
from syncengine.sources._frames import frame_source
from syncengine.sources._iterable import IterableSource

ROWS = 10


def a_step(handover: Handover) -> CopyIn:
    return CopyIn(title="", sql="", schema="", table="", columns=(), handover=handover)


def once() -> Any:
    return IterableSource((number,) for number in range(ROWS))


def again() -> Any:
    return IterableSource([(number,) for number in range(ROWS)])


def batches() -> Any:
    found = pa.RecordBatch.from_pydict({"n": list(range(ROWS))})
    cut = (found.slice(at, 3) for at in range(0, ROWS, 3))
    return frame_source(pa.RecordBatchReader.from_batches(found.schema, cut))


def rows(chunk: RowChunk | ArrowChunk, most: int | None) -> Iterator[int]:
    """Yield the rows of a chunk, of so many batches at most."""
    for batch in islice(chunk.batches(), most):
        yield from batch.column(0).to_pylist() if isinstance(chunk, ArrowChunk) else (one[0] for one in batch)


# For each chunk how many rows it may have, and how many of its batches are read before it is given up, time after time.
TRIES = st.lists(st.tuples(st.integers(1, 4), st.lists(st.integers(0, 3), max_size=2)), max_size=12)


@pytest.mark.parametrize(
    ("make", "handover"),
    [(once, Handover.ROWS), (again, Handover.ROWS), (batches, Handover.ARROW)],
    ids=["once", "again", "arrow"],
)
@settings(deadline=None)
@given(tries=TRIES)
def test_no_row_is_lost_or_comes_twice_where_chunks_are_begun_anew(make: Any, handover: Handover, tries: Any):
    passed: list[int] = []
    with reading(a_step(handover), make()) as found:
        for most, given_up in [*tries, *[(ROWS, [])] * 2]:
            size = ChunkSize(records=most)
            for batches_read in given_up:
                chunk = found.chunk(size)
                if chunk is None:
                    break
                assert isinstance(chunk, RowChunk | ArrowChunk)
                list(rows(chunk, batches_read))
                found.rewind()
            chunk = found.chunk(size)
            if chunk is None:
                break
            assert isinstance(chunk, RowChunk | ArrowChunk)
            assert chunk.start.records == len(passed)
            passed += rows(chunk, None)
            assert chunk.end.records == len(passed)

    assert passed == list(range(ROWS))


def failing_batches() -> Any:
    found = pa.RecordBatch.from_pydict({"n": list(range(ROWS))})

    def cut() -> Iterator[pa.RecordBatch]:
        yield found.slice(0, 3)
        raise OSError("gone")

    return frame_source(pa.RecordBatchReader.from_batches(found.schema, cut()))


def failing_rows() -> Any:
    def each() -> Iterator[tuple[int]]:
        yield from ((number,) for number in range(5_000))  # more than is looked at beforehand
        raise OSError("gone")

    return IterableSource(each())


@pytest.mark.parametrize(
    ("make", "handover"), [(failing_rows, Handover.ROWS), (failing_batches, Handover.ARROW)]
)
def test_what_has_failed_once_does_not_pass_for_ended(make: Any, handover: Handover):
    with reading(a_step(handover), make()) as found:
        for _ in range(3):
            chunk = found.chunk(ChunkSize())
            with pytest.raises((OSError, SyncError)):
                list(rows(chunk, None))
            assert not chunk.last
            found.rewind()
        chunk = found.chunk(ChunkSize(records=3))
        assert list(rows(chunk, None)) == [0, 1, 2]
        assert not chunk.last
