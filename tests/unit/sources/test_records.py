"""Records as they stand in a source: their lines, bytes and faults, and where reading goes on after one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncengine import registry
from syncengine.model.spec import SourceSpec
from syncengine.protocols import Record, Source, Whereabouts

HEAD = b"a,b,c\n"


def a_source(folder: Path, data: bytes, name: str = "rows.csv", **options: object) -> Source:
    (folder / name).write_bytes(data)
    plugin = registry.source(str(options.pop("type", "csv")))
    spec = SourceSpec(type=plugin.name, options={"path": name, **options})
    return plugin.open_source(spec, Whereabouts(folder=str(folder), roots=(str(folder),)))


def records(folder: Path, data: bytes, **options: object) -> list[Record]:
    return list(a_source(folder, data, **options).records())


# A file's lines after the header, and the records that they make: the line each starts in, and whether it is good.
FRAMED = {
    "plain": (b"1,2,3\n4,5,6\n", [(2, True), (3, True)]),
    "several lines": (b'1,"x\ny",3\n4,5,6\n', [(2, True), (4, True)]),
    "mixed line ends": (b"1,2,3\r\n4,5,6\r7,8,9\n", [(2, True), (3, True), (4, True)]),
    "no line end": (b"1,2,3", [(2, True)]),
    "carriage return in quotes": (b'1,"x\ry",3\n4,5,6\n', [(2, True), (3, True)]),
    "line end of two in quotes": (b'1,"x\r\ny",3\n4,5,6\n', [(2, True), (4, True)]),
    "too few": (b"1,2\n4,5,6\n", [(2, False), (3, True)]),
    "blank": (b"\n4,5,6\n", [(2, False), (3, True)]),
    "end mark": (b"\\.\n4,5,6\n", [(2, False), (3, True)]),
    "too many over two lines": (b'1,"x\ny",3,4\n4,5,6\n', [(2, False), (4, True)]),
    "open to the end": (b'1,"x,3\n4,5,6\n7,8,9\n', [(2, False), (3, True), (4, True)]),
    "open, then quoted neighbours": (b'1,"x,3\n4,"y",6\n7,"z",9\n', [(2, False), (3, True), (4, True)]),
    "two open ones": (b'1,"x,3\n4,5,6\n7,8,9"\n4,5,6\n', [(2, False), (5, True)]),
    "quote within a field": (b'1,x"y"z,3\n', [(2, True)]),
    "nul": (b"1,\0,3\n4,5,6\n", [(2, False), (3, True)]),
    "no UTF-8": (b"1,\xff,3\n4,5,6\n", [(2, False), (3, True)]),
    "no UTF-8 in quotes": (b'1,"\xff\n",3\n4,5,6\n', [(2, False), (4, True)]),
}


@pytest.mark.parametrize(("body", "wanted"), FRAMED.values(), ids=FRAMED)
def test_csv_is_cut_into_records_with_their_lines(
    body: bytes, wanted: list[tuple[int, bool]], tmp_path: Path
):
    found = records(tmp_path, HEAD + body)

    assert [(record.line, record.fault is None) for record in found] == wanted
    assert b"".join(record.raw for record in found) == body
    assert {record.head for record in found} == {HEAD}


def test_escapes_other_than_the_quote_are_heeded(tmp_path: Path):
    found = records(tmp_path, HEAD + b'1,"x\\"\ny",3\n4,5,6\n', escape="\\")

    assert [record.values for record in found] == [("1", 'x"\ny', "3"), ("4", "5", "6")]


def test_fields_come_in_the_order_of_the_first_file(tmp_path: Path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("b,a\n4,3\n")

    found = list(a_source(tmp_path, b"", name="x.txt", path="[12].csv").records())

    assert [record.values for record in found] == [("1", "2"), ("3", "4")]
    assert [(record.number, record.label, record.line) for record in found] == [
        (1, "1.csv", 2),
        (2, "2.csv", 2),
    ]


LINES = st.lists(
    st.sampled_from([b"1,2,3", b'1,"2",3', b'1,"a\nb",3', b'"', b"1,2", b"\xff", b"", b'1,""",3'])
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, end=ENDS)
def test_no_byte_is_lost_and_reading_goes_on_after_any_record(lines: list[bytes], end: bytes, tmp_path: Path):
    body = b"".join(line + end for line in lines)
    source = a_source(tmp_path, HEAD + body)

    found = list(source.records())

    assert b"".join(record.raw for record in found) == body
    assert [record.number for record in found] == list(range(1, len(found) + 1))
    for place, record in enumerate(found, start=1):
        assert (HEAD + body)[record.first : record.last] == record.raw
        rest = list(source.records(record.after, place + 1))
        assert [(item.number, item.line, item.raw) for item in rest] == [
            (item.number, item.line, item.raw) for item in found[place:]
        ]


@pytest.mark.parametrize(
    "encoding", ["latin-1", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp037", "shift-jis"]
)
def test_bytes_of_any_encoding_are_those_of_the_file(encoding: str, tmp_path: Path):
    text = 'a,b,c\n1,"x\ny",3\n4,5\n'
    data = text.encode(encoding)

    found = records(tmp_path, data, encoding=encoding)

    assert [record.values for record in found] == [("1", "x\ny", "3"), None]
    assert found[0].first == len("a,b,c\n".encode(encoding))
    assert data[found[0].first : found[0].last] + found[1].raw == data[found[0].first :]


def test_undecodable_bytes_make_their_record_bad_alone(tmp_path: Path):
    found = records(tmp_path, HEAD + b"1,\x81,3\n4,5,6\n", encoding="cp1252")

    assert [record.sqlstate for record in found] == ["22021", None]


JSON = {
    "good": (b'{"a": 1}\n', [1], [True]),
    "blank lines": (b'\n\n{"a": 1}\n', [3], [True]),
    "no JSON": (b'{"a"}\n{"a": 1}', [1, 2], [False, True]),
    "no object": (b'{"a": 1}\r\n[1]\n', [1, 2], [True, False]),
    "too deep": (b'{"a": 1}\n' + b"[" * 100_000 + b"\n", [1, 2], [True, False]),
    "surrogate": (b'{"a": 1}\n{"a": "\\ud800"}\n', [1, 2], [True, False]),
    "no UTF-8": (b'{"a": "\xff"}\n{"a": 1}\n', [1, 2], [False, True]),
}


@pytest.mark.parametrize(("data", "lines", "good"), JSON.values(), ids=JSON)
def test_json_lines_are_records(data: bytes, lines: list[int], good: list[bool], tmp_path: Path):
    source = a_source(tmp_path, data, name="rows.jsonl", type="jsonl")

    found = list(source.records())

    assert [record.line for record in found] == lines
    assert [record.fault is None for record in found] == good
    assert all(data[record.first : record.last] == record.raw for record in found)
    assert [record.line for record in source.records(found[0].after, 2)] == lines[1:]


def test_rows_of_another_shape_are_bad_records():
    from syncengine.sources import IterableSource

    found = list(IterableSource([{"a": 1}, [2], {"a": 3, "z": 4}, {"a": 5}]).records())

    assert [record.values for record in found] == [(1, None), None, (3, 4), (5, None)]
    assert [record.label for record in found] == ["row 1", "row 2", "row 3", "row 4"]
