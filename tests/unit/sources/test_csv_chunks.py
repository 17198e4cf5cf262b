"""Chunks of CSV files: each record is in one of them, however often a chunk is begun, given up, or gone on behind."""

from __future__ import annotations

import io
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine.model.facts import Handover
from syncengine.model.spec import SourceSpec
from syncengine.protocols import START, ChunkSize, CsvBytes, Position, Source, Whereabouts
from syncengine.sources.csv import PLUGIN

RECORDS = 12
TRIES = st.lists(st.tuples(st.integers(1, 5), st.lists(st.integers(0, 2), max_size=2)), max_size=10)


def a_source(folder: Path, path: str, **options: object) -> Source:
    return PLUGIN.open_source(
        SourceSpec(type="csv", options={"path": path, **options}), Whereabouts(folder=str(folder), roots=())
    )


def from_stdin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    text = "a\n" + "".join(f"{n}\n" for n in range(RECORDS))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    return a_source(folder, "-")


def from_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """The first and the last file, and one between, have no records."""
    for name, found in (("0", []), ("1", range(5)), ("2", []), ("3", range(5, RECORDS)), ("4", [])):
        (folder / f"{name}.csv").write_text("a\n" + "".join(f"{n}\n" for n in found))
    return a_source(folder, "*.csv")


@pytest.mark.parametrize("make", [from_stdin, from_files])
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tries=TRIES)
def test_no_record_is_lost_or_comes_twice_where_chunks_are_begun_anew(
    make: Any, tries: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    passed: list[bytes] = []
    with make(tmp_path, monkeypatch).open(Handover.CSV_BYTES) as payload:
        assert isinstance(payload, CsvBytes)
        for most, given_up in [*tries, *[(RECORDS, [0])] * 4]:
            size = ChunkSize(records=most)
            for blocks in given_up:
                if (chunk := payload.chunk(size)) is None:
                    break
                list(islice(chunk.blocks(), blocks))
                payload.rewind()
            if (chunk := payload.chunk(size)) is None:
                continue
            passed += b"".join(chunk.blocks()).split()

    assert passed == [str(n).encode() for n in range(RECORDS)]


@pytest.mark.parametrize(
    "data",
    [
        b"a\r\nx1\n\\.\r\nx2\nx3\nx4\nx5\n",
        b"a\nx1\r\n\\.\nx2\r\nx3\nx4\r\nx5\n",
        b"a\nx1\nx2\nx3\nx4\nx5\n",
    ],
    ids=["make-up-for-each-other", "mixed", "plain"],
)
def test_what_is_read_behind_any_place_is_the_rest(data: bytes, tmp_path: Path):
    (tmp_path / "x.csv").write_bytes(data)
    source = a_source(tmp_path, "x.csv", header=["a"])
    whole = read(source, START)
    places = ends(source)

    assert len(places) > 1
    for place in places:
        assert read(source, place) == whole[place.records :]


def read(source: Source, after: Position) -> list[bytes]:
    with source.open(Handover.CSV_BYTES, after) as payload:
        assert isinstance(payload, CsvBytes)
        chunks = iter(lambda: payload.chunk(ChunkSize()), None)
        return [line for chunk in chunks for block in chunk.blocks() for line in block.splitlines()]


def ends(source: Source) -> list[Position]:
    with source.open(Handover.CSV_BYTES) as payload:
        assert isinstance(payload, CsvBytes)
        places = []
        while (chunk := payload.chunk(ChunkSize(records=2))) is not None:
            list(chunk.blocks())
            places.append(chunk.end)
        return places
