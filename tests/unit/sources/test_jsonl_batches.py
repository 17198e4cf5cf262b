"""JSON lines by the batch: the fast way gives what the strict one gives, or leaves it to that; places between rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncengine.errors import BadRow, Location
from syncengine.model.facts import Handover
from syncengine.model.spec import SourceSpec
from syncengine.protocols import START, Position, RowBatches, Source, Whereabouts
from syncengine.sources import jsonl
from syncengine.sources._json import parse
from syncengine.sources._jsonfast import FastDecoder
from syncengine.sources._jsonrows import Body

FIELDS = ("a", "b", "é:x")


def strictly(text: bytes, *, partial: bool) -> list[tuple[object, ...]]:
    rows = []
    for _, _, line in Body(text, START).lines():
        record = parse(line, Location("x", 1))
        assert record.keys() <= set(FIELDS)
        absent = [field for field in FIELDS if field not in record] or None
        row = tuple(record.get(field) for field in FIELDS)
        rows.append((*row, absent) if partial else row)
    return rows


def fast(text: bytes, *, partial: bool = False) -> list[tuple[object, ...]] | None:
    return FastDecoder(FIELDS, partial=partial).rows(text, Body(text, START).filled)


NUMBERS = st.sampled_from(
    [
        "0",
        "-0",
        "-0.0",
        "1.10",
        "1e400",
        "1E-7",
        "0.00000001",
        "123456789012345678901234567890",
        "18446744073709551616",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "NaN",
        "Infinity",
        "-Infinity",
        "0e0",
        "1e99999999999999999999",
        "+1",
        "0x1",
        "1_0",
    ]
)
CHARACTERS = st.one_of(
    st.characters(min_codepoint=32, exclude_characters='"\\', exclude_categories=["Cs"]),
    st.sampled_from(
        [
            r"\"",
            r"\\",
            r"\/",
            r"\b",
            r"\f",
            r"\n",
            r"\r",
            r"\t",
            r"\u00e9",
            r"\u003a",
            r"\u003A",
            r"\u0022",
            r"\u0000",
            r"\ud83d\ude00",
            r"\ud83d",
            r"\ude00",
            r"\u0041",
        ]
    ),
    st.sampled_from([": ", '\\":', "\t", "\x00", "\\x", "\x7f", "\u2028", "\ufeff"]),
)
TEXTS = st.lists(CHARACTERS, max_size=6).map(lambda parts: '"' + "".join(parts) + '"')
SPACE = st.sampled_from(["", "", "", " ", "\t", "\r", "\v"])
WORDS = st.sampled_from(["true", "false", "null", "nul"])
KEYS = st.sampled_from(['"a"', '"b"', '"é:x"', '"\\u00e9:x"', '"\\u0061"', '"a"', '"b"', '"c"'])


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(KEYS, SPACE, SPACE, values).map(lambda pair: f"{pair[0]}{pair[1]}:{pair[2]}{pair[3]}")
    return st.lists(pairs, max_size=4).map(lambda found: "{" + ",".join(found) + "}")


def arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=3).map(lambda found: "[" + ", ".join(found) + "]")


VALUES = st.recursive(
    st.one_of(NUMBERS, TEXTS, WORDS), lambda inner: st.one_of(objects(inner), arrays(inner)), max_leaves=6
)
LINES = st.one_of(objects(VALUES), objects(VALUES), st.just(""), st.just(" "), VALUES)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw lines that are mostly JSON, at times with a byte changed, put in or taken out."""
    text = "\n".join(draw(st.lists(LINES, max_size=5))).encode("utf-8", "surrogatepass")
    if text and draw(st.booleans()):
        at = draw(st.integers(0, len(text) - 1))
        some = draw(
            st.sampled_from([b"", b'"', b",", b":", b"{", b"}", b"\n", b"\xff", b"\xed\xa0\x80", b"\\", b"1"])
        )
        text = text[:at] + some + text[at + draw(st.integers(0, 1)) :]
    return text


@settings(max_examples=500, deadline=None)
@given(text=bodies(), partial=st.booleans())
@example(text=b'{"a":1,"a":2,"b":":"}', partial=False)
@example(text=b'{"a":1,"a":2,"b":"\\u003a"}', partial=False)
@example(text=b'{"a":1} {"a":2}\n{"a":\n3}', partial=False)
@example(text=b'{"a":[{"k":1,"k":1}]}', partial=True)
def test_what_the_fast_way_reads_the_strict_one_reads_alike(text, partial):
    rows = fast(text, partial=partial)

    if rows is not None:
        assert repr(rows) == repr(strictly(text, partial=partial))


RECORD = '"a": 1.10, "b": {"k": [1e400, null, true]}, "é:x": "x: \\"y\\" \\n"'
CLEAR = {
    "with-blanks": "{" + RECORD + "}\n",
    "compact": '{"a":1,"b":"x","é:x":null}\n{"a":2,"b":"y","é:x":{"k":":"}}\n',
    "ascii": json.dumps({"a": "ü", "b": "😀", "é:x": 1}) + "\n",
    "slashes": '{"b":"http:\\/\\/x","a":"\\u003cb\\u003e"}'.replace("\\u003", "\\u00e") + "\n",
    "another-order": '{"é:x":1,"b":2,"a":123456789012345678901234567890}\n',
    "keys-lacking": '{"a":1}\n{"b":2}\n{}\n',
    "blank-lines-and-carriage-returns": '\n{"a":1}\r\n \n\n{"b":1}',
    "nothing": "\n\n",
}


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("text", CLEAR.values(), ids=CLEAR)
def test_good_lines_go_the_fast_way(text, partial):
    assert repr(fast(text.encode(), partial=partial)) == repr(strictly(text.encode(), partial=partial))


ODD = {
    "twice": '{"a":1,"a":2}',
    "twice-spelled-otherwise": '{"a":1,"\\u0061":2}',
    "twice-within": '{"a":{"k":{"k":1,"k":2}}}',
    "twice-and-a-key-lacks": '{"a":1,"a":2,"b":3}\n{"a":1}',
    "twice-hidden-by-a-colon": '{"a":1,"a":2,"b":"\\u003a"}',
    "two-in-a-line": '{"a":1} {"a":2}',
    "over-two-lines": '{"a":\n1}',
    "other-field": '{"a":1,"z":2}',
    "nul": '{"a":"\\u0000"}',
    "surrogate": '{"a":"\\ud800"}',
    "not-a-number": '{"a":NaN}',
    "no-object": "[1]",
    "digits": '{"a":' + "9" * 5000 + "}",
    "exponent": '{"a":1e99999999999999999999}',
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_lines_are_left_to_the_strict_way(text):
    assert fast(text.encode()) is None


@pytest.mark.parametrize("name", ['a"b', "a\\b", "\n"])
def test_fields_of_odd_names_are_read_the_strict_way(tmp_path, name):
    (tmp_path / "x.jsonl").write_text(json.dumps({name: 1}) + "\n")

    assert [row for batch in batches(a_source(tmp_path)) for row in batch.rows] == [(1,)]


def a_source(folder: Path, path: str = "x.jsonl", **options: str) -> Source:
    spec = SourceSpec(type="jsonl", options={"path": path, **options})
    return jsonl.PLUGIN.open_source(spec, Whereabouts(folder=str(folder), roots=()))


def batches(source: Source, after: Position = START) -> list:
    with source.open(Handover.ROWS, after) as rows:
        assert isinstance(rows, RowBatches)
        return list(rows.row_batches())


def rows_after(source: Source, place: Position) -> list[object]:
    return [row[0] for batch in batches(source, place) for row in batch.rows]


TEXT = '\n{"a": "é0"}\r\n  \n{"a": "é1"}\n{"a": "é2"}\n\n'


def _plain(folder: Path) -> Source:
    (folder / "x.jsonl").write_text(TEXT, newline="")
    return a_source(folder)


def _marked(folder: Path) -> Source:
    (folder / "x.jsonl").write_text("\ufeff" + TEXT, newline="")
    return a_source(folder)


def _gzip(folder: Path) -> Source:
    (folder / "x.jsonl.gz").write_bytes(gzip.compress(TEXT.encode()))
    return a_source(folder, "x.jsonl.gz")


def _latin(folder: Path) -> Source:
    (folder / "x.jsonl").write_bytes(TEXT.encode("latin-1"))
    return a_source(folder, encoding="latin-1")


def _three_files(folder: Path) -> Source:
    for name, text in (("1", TEXT), ("2", "\n"), ("3", TEXT.replace("é", "è").rstrip())):
        (folder / f"{name}.jsonl").write_text(text, newline="")
    return a_source(folder, "*.jsonl")


MADE = {
    "plain": _plain,
    "byte-order-mark": _marked,
    "gzip": _gzip,
    "latin-1": _latin,
    "three-files": _three_files,
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_reading_goes_on_behind_any_row(tmp_path, make):
    source = make(tmp_path)
    found = rows_after(source, START)
    places = [batch.after(count) for batch in batches(source) for count in range(len(batch.rows) + 1)]

    rest = [rows_after(source, place) for place in places]

    assert len(found) in (3, 6)
    assert found in rest
    assert [] in rest
    assert {tuple(some) for some in rest} == {tuple(found[at:]) for at in range(len(found) + 1)}


@pytest.mark.parametrize(
    ("make", "seeks"), [(_plain, True), (_marked, True), (_gzip, False), (_latin, False)]
)
def test_a_place_has_its_byte_where_the_file_can_be_sought(tmp_path, make, seeks):
    (batch,) = batches(make(tmp_path))

    assert (batch.after(2).offset is not None) == seeks
    assert (batch.after(2).line, batch.after(2).records) == (5, 2)


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_rows_and_records_end_at_the_same_places(tmp_path, make):
    source = make(tmp_path)
    (batch, *_) = batches(source)

    rest = [record.values for record in source.records(batch.after(2))]

    assert [row[0] for row in rest] == rows_after(source, batch.after(2))


def test_a_row_is_located_from_a_place_on(tmp_path):
    source = _three_files(tmp_path)
    first, _, last = batches(source)

    with source.open(Handover.ROWS) as rows:
        assert rows.locate(2) == "1.jsonl:4"
        assert rows.locate(1, first.after(2)) == "1.jsonl:5"
        assert rows.locate(2, first.after(2)) == "3.jsonl:2"
        assert rows.locate(1, last.after(0)) == "3.jsonl:5"


def test_rows_before_a_bad_line_come_before_its_error(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n\n{"a": 2}\n{"a": NaN}\n{"a": 3}\n')
    with a_source(tmp_path).open(Handover.ROWS) as rows:
        found = rows.row_batches()

        batch = next(found)

        assert [*batch.rows] == [(1,), (2,)]
        assert batch.after(2) == Position(records=2, line=4, offset=19)
        with pytest.raises(BadRow, match=r"x\.jsonl:4: NaN"):
            next(found)


def test_lines_cut_anywhere_between_blocks_are_whole(tmp_path, monkeypatch):
    (tmp_path / "x.jsonl").write_text("".join(f'{{"a": "{n}é"}}\n' for n in range(50)))
    source = a_source(tmp_path)
    reader = "syncengine.sources._files.Reader.blocks"
    whole = (tmp_path / "x.jsonl").read_bytes()

    def in_sevens(self, size=0):
        for at in range(0, len(whole), 7):
            self.bytes_read += len(whole[at : at + 7])
            yield whole[at : at + 7]

    monkeypatch.setattr(reader, in_sevens)

    found = batches(source)

    assert [row for batch in found for row in batch.rows] == [(f"{n}é",) for n in range(50)]
    assert found[-1].after(1).offset == len(whole)
