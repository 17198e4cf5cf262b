"""What the CSV source reads is what PostgreSQL's own COPY reads, and COPY takes what it hands over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier, Literal

from syncengine.errors import BadRow, SourceError
from syncengine.protocols import START, ChunkSize, CsvChunk
from syncengine.sources._csvchunks import CsvReading, records
from syncengine.sources._csvfile import CsvFile
from syncengine.sources._dialect import layout
from tests.servers import Server

PIECES = [
    "a",
    "b,c",
    ",",
    '"',
    '""',
    "\n",
    "\r\n",
    "\r",
    "\\.",
    "\n\\.\n",
    "\\",
    "'",
    ";",
    "é",
    "NA",
    '"x\ny",z\n',
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=5)
DIALECTS = {
    "default": {},
    "other-escape": {"escape": "\\"},
    "other-marks": {"delimiter": ";", "quote": "'", "escape": '"', "null": "NA"},
}
relaxed = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def conn(server: Server) -> Iterator[psycopg.Connection]:
    """One database for all: every COPY here is rolled back."""
    with server.database() as database:
        yield database.conn


class Chopped:
    """An input that comes in blocks of odd sizes."""

    label = "x.csv"
    compression = "none"

    def __init__(self, data: bytes, sizes: list[int], *, reopenable: bool = True) -> None:
        self._data = data
        self._sizes = sizes
        self.size = len(data)
        self.reopenable = reopenable
        self.bytes_read = 0

    @contextmanager
    def open(self, start: int = 0) -> Iterator[Chopped]:
        self.bytes_read = start
        yield self

    def blocks(self) -> Iterator[bytes]:
        start, turn = self.bytes_read, 0
        while start < len(self._data):
            size = self._sizes[turn % len(self._sizes)]
            block = self._data[start : start + size]
            self.bytes_read += len(block)
            yield block
            start, turn = start + size, turn + 1


def a_file(
    text: str, columns: int, sizes: list[int], *, reopenable: bool = True, **options: object
) -> CsvFile:
    names = [f"c{number}" for number in range(columns)]
    found = Chopped(text.encode(), sizes, reopenable=reopenable)
    return CsvFile(found, layout({"header": names, **options}, ","))


def whole(file: CsvFile) -> CsvChunk:
    """Return a file as one chunk."""
    chunk = CsvReading([file], START).chunk(ChunkSize())
    assert chunk is not None
    return chunk


def copied(
    conn: psycopg.Connection, blocks: Iterator[bytes], columns: int, options: dict[str, str]
) -> object:
    """Return (count, rows) of a COPY, or its SQLSTATE."""
    listed = SQL(", ").join(Identifier(f"c{number}") for number in range(columns))
    typed = SQL(", ").join(SQL("{} text").format(Identifier(f"c{number}")) for number in range(columns))
    marks = [SQL("{} {}").format(SQL(key), Literal(mark)) for key, mark in options.items()]
    into = SQL("COPY t ({}) FROM STDIN ({})").format(listed, SQL(", ").join([SQL("FORMAT csv"), *marks]))
    try:
        with conn.transaction(force_rollback=True), conn.cursor() as cursor:
            cursor.execute(SQL("CREATE TABLE t (n int GENERATED ALWAYS AS IDENTITY, {})").format(typed))
            with cursor.copy(into) as stream:
                for block in blocks:
                    stream.write(block)
            count = cursor.rowcount
            return count, cursor.execute(SQL("SELECT {} FROM t ORDER BY n").format(listed)).fetchall()
    except psycopg.DataError as error:
        return error.sqlstate


def ours(file: CsvFile) -> object:
    try:
        rows = [tuple(values) for values in file.rows(records(file, START))]
    except (BadRow, SourceError):
        return "22P04"
    return len(rows), rows


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=TEXTS, sizes=SIZES)
@relaxed
def test_rows_and_blocks_are_what_copy_reads(conn, dialect, columns, text, sizes):
    options = DIALECTS[dialect]
    sent = whole(a_file(text, columns, sizes, **options))
    try:
        through = copied(conn, sent.blocks(), columns, options)
    except SourceError:
        through = "22P04"
    direct = copied(conn, iter([text.encode()]), columns, options)

    assert through == ours(a_file(text, columns, sizes, **options))
    if not isinstance(through, str):
        assert sent.records == through[0]
    if not isinstance(direct, str) and not (conn.info.server_version < 180000 and "\\." in text):
        assert through == direct


@pytest.mark.every_server
@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("a\n\\.\nb\n", ["a", "\\.", "b"], id="in-the-middle"),
        pytest.param("\\.\nb\n", ["\\.", "b"], id="first-line"),
        pytest.param("a\n\\.", ["a", "\\."], id="last-line-without-newline"),
        pytest.param("a\r\n\\.\r\nb\r\n", ["a", "\\.", "b"], id="crlf"),
        pytest.param("a\r\\.\rb\r", ["a", "\\.", "b"], id="cr"),
        pytest.param('"a\n\\.\nb"\n', ["a\n\\.\nb"], id="inside-quotes"),
        pytest.param('"a\r\n\\.\r\nb"\r\n', ["a\r\n\\.\r\nb"], id="crlf-inside-quotes"),
        pytest.param("\\.\n\\.\n\\.\n", ["\\."] * 3, id="three-in-a-row"),
        pytest.param("\\.x\nx\\.\n", ["\\.x", "x\\."], id="not-alone"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_lone_backslash_dot_never_ends_the_copy(conn, text, values, size):
    _, rows = copied(conn, whole(a_file(text, 1, [size])).blocks(), 1, {})

    assert [value for (value,) in rows] == values


CUTS = st.builds(ChunkSize, records=st.integers(1, 3)) | st.builds(ChunkSize, bytes=st.integers(1, 12))


@pytest.mark.parametrize("reopenable", [True, False], ids=["a-file", "a-pipe"])
@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=TEXTS, sizes=SIZES, size=CUTS, again=st.booleans())
@relaxed
def test_chunks_are_the_whole_and_each_begins_where_it_says(dialect, reopenable, text, sizes, size, again):
    options = DIALECTS[dialect]
    try:
        expected = b"".join(whole(a_file(text, 1, sizes, **options)).blocks())
    except SourceError:
        return
    reading = CsvReading([a_file(text, 1, sizes, reopenable=reopenable, **options)], START)
    found: list[bytes] = []
    while (chunk := reading.chunk(size)) is not None:
        blocks = b"".join(chunk.blocks())
        if again:
            reading.rewind()
            chunk = reading.chunk(size)
            assert chunk is not None
            # Where a chunk of so many bytes ends hangs on how the file is read; where it begins does not.
            blocks, first = b"".join(chunk.blocks()), blocks
            assert blocks.startswith(first) or first.startswith(blocks)
        rest = CsvReading([a_file(text, 1, sizes[::-1], **options)], chunk.start).chunk(ChunkSize())
        assert rest is not None
        assert b"".join(rest.blocks()).startswith(blocks)
        found.append(blocks)

    assert b"".join(found) == expected


def copy_into_numbers(conn: psycopg.Connection, file: CsvChunk) -> None:
    with conn.transaction():
        conn.execute("CREATE TABLE numbers (c0 int, c1 text)")
        with conn.cursor().copy("COPY numbers FROM STDIN (FORMAT csv)") as stream:
            for block in file.blocks():
                stream.write(block)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        pytest.param("1,2\nx,3\n", 2, id="plain"),
        pytest.param('1,"a\nb"\n2,"c\nd"\nx,3\n', 5, id="after-records-of-two-lines"),
        pytest.param('1,"a\r\nb\rc"\r\n2,"c\r\nd"\r\nx,3\r\n', 5, id="crlf-in-quotes"),
        pytest.param('1,2\nx,"a\nb\nc"\n4,5\n', 2, id="the-bad-record-has-three-lines"),
        pytest.param('x,"a\nb\nc"\n4,5\n', 1, id="the-first-record"),
        pytest.param("1,2\n3\n", 2, id="too-few-fields"),
    ],
)
def test_locate_names_the_line_a_refused_record_starts_in(conn, text, start):
    file = whole(a_file(text, 2, [7]))

    with pytest.raises(psycopg.DataError) as caught:
        copy_into_numbers(conn, file)
    line = int(caught.value.diag.context.split("line ")[1].split(",")[0].split(":")[0])

    assert file.locate(line) == f"x.csv:{start}"


def test_records_count_what_copy_counts_with_blank_lines(conn):
    file = whole(a_file("a\n\n\nb\n\n", 1, [4]))

    assert copied(conn, file.blocks(), 1, {}) == (5, [("a",), (None,), (None,), ("b",), (None,)])
    assert file.records == 5
