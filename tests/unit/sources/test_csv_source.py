"""The sources csv and tsv: what they tell, what they hand over, and what they refuse."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest

from syncengine.errors import BadRow, SourceError, SpecError, SyncError
from syncengine.model.facts import CsvFormat, Handover, SourceFacts
from syncengine.model.spec import SourceSpec
from syncengine.protocols import ChunkSize, CsvBytes, Source, Whereabouts
from syncengine.sources.csv import PLUGIN
from syncengine.sources.tsv import PLUGIN as TSV


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def a_source(folder: Path, path: str = "x.csv", plugin=PLUGIN, **options: object) -> Source:
    where = Whereabouts(folder=str(folder), roots=())
    return plugin.open_source(SourceSpec(type="csv", options={"path": path, **options}), where)


def a_file(folder: Path, data: str | bytes, name: str = "x.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def facts_of(folder: Path, data: str | bytes, **options: object) -> SourceFacts:
    a_file(folder, data)
    return a_source(folder, **options).describe()


def blocks_of(source: Source) -> list[tuple[str, bytes, int]]:
    """Return (label, all bytes, records) of each part."""
    with source.open(Handover.CSV_BYTES) as payload:
        assert isinstance(payload, CsvBytes)
        chunks = iter(lambda: payload.chunk(ChunkSize()), None)
        return [(chunk.label, b"".join(chunk.blocks()), chunk.records) for chunk in chunks]


def rows_of(source: Source) -> list[tuple[object, ...]]:
    with source.open(Handover.ROWS) as payload:
        return list(payload)


def body(folder: Path, data: str | bytes, **options: object) -> bytes:
    a_file(folder, data)
    ((_, found, _),) = blocks_of(a_source(folder, **options))
    return found


def problem(folder: Path, data: str | bytes, **options: object) -> SyncError:
    a_file(folder, data)
    with pytest.raises(SyncError) as caught:
        rows_of(a_source(folder, **options))
    return caught.value


def test_facts_tell_fields_exact_rows_and_bytes_of_a_small_file(folder):
    facts = facts_of(folder, 'id,"na\nme"\n1,a\n2,"b\nc"\n')

    assert facts == SourceFacts(
        label="x.csv",
        fields=("id", "na\nme"),
        handovers=Handover.ROWS | Handover.CSV_BYTES,
        rows=2,
        exact=True,
        bytes=23,
        csv=CsvFormat(),
    )


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_rows_of_a_large_file_are_estimated_from_its_head(folder, name):
    data = b"id,name\n" + b"".join(b"%d,somebody %d\n" % (n, n * 7919 % 100_000) for n in range(100_000))
    a_file(folder, gzip.compress(data) if name.endswith("gz") else data, name)

    facts = a_source(folder, name).describe()

    assert not facts.exact
    assert facts.rows == pytest.approx(100_000, rel=0.3)


@pytest.mark.parametrize(
    ("data", "options", "found"),
    [
        pytest.param("a,b\n1,2\n", {}, b"1,2\n", id="header-dropped"),
        pytest.param("a,b\n1,2", {}, b"1,2\n", id="last-newline-added"),
        pytest.param("a,b\n", {}, b"", id="header-only"),
        pytest.param("a,b", {}, b"", id="header-without-newline"),
        pytest.param("\ufeffa,b\n1,2\n", {}, b"1,2\n", id="bom"),
        pytest.param("a,b\r\n1,2\r\n", {}, b"1,2\n", id="crlf"),
        pytest.param("a,b\r1,2\r", {}, b"1,2\n", id="cr"),
        pytest.param("a,b\n1,2\r\n3,4\r5,6", {}, b"1,2\n3,4\n5,6\n", id="mixed-line-ends"),
        pytest.param('a,b\r\n1,"x\r\ny"\r\n', {}, b'1,"x\r\ny"\n', id="crlf-in-quotes-is-data"),
        pytest.param("# c\r\n# d\ra,b\n1,2\n", {"skip_lines": 2}, b"1,2\n", id="skipped-lines"),
        pytest.param("1,2\n", {"header": False}, b"1,2\n", id="no-header"),
        pytest.param("é,b\nü,2\n".encode("latin-1"), {"encoding": "latin1"}, "ü,2\n".encode(), id="latin-1"),
        pytest.param(
            "a,b\r\nü,2\r\n".encode("utf-16"), {"encoding": "utf-16"}, "ü,2\n".encode(), id="utf-16"
        ),
        pytest.param('"a\nb",c\n1,2\n', {}, b"1,2\n", id="header-of-two-lines"),
    ],
)
def test_blocks_are_utf8_records_without_header(folder, data, options, found):
    assert body(folder, data, **options) == found


def test_rows_tell_null_from_empty_text(folder):
    a_file(folder, 'a,b,c\n,"",x\n"y""z",p"q"r,NA\n')

    assert rows_of(a_source(folder)) == [(None, "", "x"), ('y"z', "pqr", "NA")]
    assert rows_of(a_source(folder, null="NA")) == [("", "", "x"), ('y"z', "pqr", None)]


def test_tsv_is_csv_with_tabs(folder):
    a_file(folder, "a\tb\n1,5\t2\n", "x.tsv")

    assert rows_of(a_source(folder, "x.tsv", plugin=TSV)) == [("1,5", "2")]


def test_fields_of_a_file_without_header_are_numbered(folder):
    facts = facts_of(folder, "1,2,3\n", header=False)

    assert (facts.fields, facts.named, facts.rows) == (("1", "2", "3"), False, 1)


def test_empty_file_without_header_has_no_fields_and_no_parts(folder):
    a_file(folder, "")
    source = a_source(folder, header=False)

    assert (source.describe().fields, source.describe().rows, blocks_of(source)) == ((), 0, [])


def test_listed_header_names_the_fields(folder):
    facts = facts_of(folder, "1,2\n", header=["a", "b"])

    assert (facts.fields, facts.named, facts.rows) == (("a", "b"), True, 1)


def test_files_of_a_glob_come_in_order_each_with_its_own_order_of_fields(folder):
    a_file(folder, "a,b\n1,2\n", "1.csv")
    a_file(folder, "b,a\n4,3\n", "2.csv")
    source = a_source(folder, "*.csv")

    assert source.describe().label == "2 files: *.csv"
    assert blocks_of(source) == [("1.csv", b"1,2\n", 1), ("2.csv", b"4,3\n", 1)]
    assert rows_of(source) == [("1", "2"), ("3", "4")]


def test_files_of_a_glob_must_have_the_same_fields(folder):
    a_file(folder, "a,b\n", "1.csv")
    a_file(folder, "a,c\n", "2.csv")

    with pytest.raises(SourceError, match=r"2\.csv has other fields than 1\.csv") as caught:
        a_source(folder, "*.csv").describe()
    assert caught.value.detail == "it lacks b; it adds c"


def test_header_with_another_delimiter_gets_a_note(folder):
    assert facts_of(folder, "a;b\n1;2\n").notes == (
        "the header has one field but contains ';': is `delimiter: \";\"` missing?",
    )


@pytest.mark.parametrize(
    ("data", "options", "kind", "text"),
    [
        pytest.param("", {}, SourceError, "is empty: a header line was expected", id="empty"),
        pytest.param(b"\xef\xbb\xbf", {}, SourceError, "is empty: a header line", id="only-a-bom"),
        pytest.param("x\n", {"skip_lines": 3}, SourceError, "empty after the 3 lines", id="all-skipped"),
        pytest.param("a,,b\n", {}, SourceError, "field 2 of the header has no name", id="nameless"),
        pytest.param("a,b,a\n", {}, SourceError, "names a more than once", id="twice"),
        pytest.param("a,b\n".encode("utf-16"), {}, SourceError, "encoding: utf-16", id="utf-16"),
        pytest.param("a,b\n".encode("utf-16-le"), {}, SourceError, "encoding: utf-16-le", id="utf-16-no-bom"),
        pytest.param(
            gzip.compress(b"a,b\n"), {}, SourceError, "compression: gzip", id="gzip-by-another-name"
        ),
        pytest.param("a\0b\n", {}, BadRow, "NUL", id="nul-in-header"),
        pytest.param(b"a,\xff\n", {}, BadRow, "x.csv:1: x.csv is not valid UTF-8", id="bad-utf-8-in-header"),
        pytest.param(
            "a,b\n1,2\n3\n", {}, BadRow, "x.csv:3: the record has 1 field, the header has 2", id="short"
        ),
        pytest.param('a,b\n"x\ny",2\n3,4,5\n', {}, BadRow, "x.csv:4: the record has 3 fields", id="long"),
        pytest.param("a,b\n1,2\n\n", {}, BadRow, "x.csv:3: the record has 1 field", id="blank-line"),
        pytest.param(b'a,b\n1,"x\n\xff"\n', {}, BadRow, "x.csv:3: x.csv is not valid UTF-8", id="bad-utf-8"),
        pytest.param('a,b\n1,"x\n\0"\n', {}, BadRow, "x.csv:3: a field holds a NUL", id="nul"),
        pytest.param(
            'a,b\n1,2\n3,"x\n5,6\n', {}, SourceError, "starts in line 3 has a quoted field that", id="open"
        ),
        pytest.param('a,"b\n1,2\n', {}, SourceError, "starts in line 1 has a quoted field", id="open-header"),
        pytest.param(
            "1,2\n", {"header": ["a"]}, SourceError, "first record has 2 fields, expected", id="names"
        ),
        pytest.param(
            b"a\0\n\0\xff",
            {"encoding": "utf-16-le"},
            SourceError,
            "x.csv:2: x.csv is not valid",
            id="cut-utf-16",
        ),
    ],
)
def test_bad_file_is_an_error_with_its_place(folder, data, options, kind, text):
    error = problem(folder, data, **options)

    assert type(error) is kind
    assert text in str(error)


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ";;"},
        {"delimiter": "é"},
        {"delimiter": "\n"},
        {"delimiter": '"'},
        {"delimiter": "."},
        {"quote": "\\"},
        {"escape": ","},
        {"null": "a,b"},
        {"null": "\\."},
        {"encoding": "utf9"},
        {"encoding": "base64"},
    ],
    ids=str,
)
def test_dialect_that_copy_cannot_take_is_refused(folder, options):
    a_file(folder, "a\n")

    with pytest.raises(SpecError):
        a_source(folder, **options)


@pytest.mark.parametrize("written", ["\t", "\\t", "tab"])
def test_tab_may_be_spelled(folder, written):
    assert facts_of(folder, "a\tb\n", delimiter=written).csv == CsvFormat(delimiter="\t")


def test_locate_counts_header_and_skipped_lines(folder):
    a_file(folder, 'note\n"a\nb",c\n1,2\n3,"x\ny"\n5,6\n')
    with a_source(folder, skip_lines=1).open(Handover.CSV_BYTES) as payload:
        chunk = payload.chunk(ChunkSize())

    assert [chunk.locate(line) for line in (1, 3, 4)] == ["x.csv:4", "x.csv:5", "x.csv:7"]


def test_locate_of_rows_goes_on_through_the_files(folder):
    a_file(folder, "a\n1\n2\n", "1.csv")
    a_file(folder, "a\n3\n", "2.csv")
    with a_source(folder, "*.csv").open(Handover.ROWS) as rows:
        assert [rows.locate(row) for row in (2, 3)] == ["1.csv:3", "2.csv:2"]


def test_bytes_read_ends_at_the_size_of_the_file(folder):
    path = a_file(folder, gzip.compress(b"a\n" + b"1\n" * 1000), "x.csv.gz")
    with a_source(folder, "x.csv.gz").open(Handover.CSV_BYTES) as payload:
        chunk = payload.chunk(ChunkSize())
        for _ in chunk.blocks():
            pass

    assert (payload.bytes_read, chunk.records, chunk.last) == (path.stat().st_size, 1000, True)


def test_field_of_two_megabytes_passes(folder):
    large = "x" * 2_000_000

    assert body(folder, f'a\n"{large}\n"\n') == f'"{large}\n"\n'.encode()
    assert rows_of(a_source(folder)) == [(f"{large}\n",)]


def test_standard_input_is_described_and_read_once(folder, monkeypatch):
    data = b"a,b\n" + b"1,2\n" * 100_000
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    source = a_source(folder, "-")

    facts = source.describe()

    assert (facts.label, facts.fields, facts.rows, facts.reopenable) == (
        "standard input",
        ("a", "b"),
        None,
        False,
    )
    assert blocks_of(source) == [("standard input", data[4:], 100_000)]
    with pytest.raises(SourceError, match="only once"):
        blocks_of(source)
    with pytest.raises(SourceError, match="only once"):
        a_source(folder, "-").describe()
