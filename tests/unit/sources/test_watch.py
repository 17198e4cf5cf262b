"""Records of a CSV file are looked at as its blocks pass, which are not changed by it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.errors import Location, SourceError
from syncengine.model.facts import CsvFormat
from syncengine.protocols import Watch
from syncengine.sources import _framing
from syncengine.sources._normalise import Normaliser
from syncengine.sources._quotes import Piece, Quotes
from syncengine.sources._watch import watched

FORMS = [CsvFormat(), CsvFormat(escape="\\"), CsvFormat(delimiter=";", quote="'", escape="'")]
PATTERN = re.compile(b"x")


def seen(
    blocks: Sequence[bytes], form: CsvFormat, place: int, *, patterns: bool = True
) -> tuple[list[bytes], list[object]]:
    """Return the blocks that came through, and the records handed over: those whose field at `place` holds an x."""
    found: list[object] = []
    watch = Watch(
        suspects=(PATTERN,) if patterns else None,
        faults=((place, lambda text: "x" if "x" in text else None),),
        refuse=lambda record, where: found.append((where.line, record)),
    )
    return [piece.block for piece in watched(pieces(blocks, form), form, "f.csv", 1, watch)], found


def pieces(blocks: Sequence[bytes], form: CsvFormat) -> Iterator[Piece]:
    quotes = Quotes(form)
    for block in blocks:
        quotes.skip(block)
        yield Piece(block, 0, block.count(b"\n"), copy(quotes))


@pytest.mark.parametrize("patterns", [True, False], ids=["patterns", "no-patterns"])
@given(
    text=st.text(alphabet="ax,;\"'\\\n", max_size=60),
    sizes=st.lists(st.integers(1, 20), max_size=8),
    form=st.sampled_from(FORMS),
    place=st.integers(0, 2),
)
def test_the_records_with_a_fault_are_handed_over_however_the_file_is_cut(
    patterns: bool, text: str, sizes: list[int], form: CsvFormat, place: int
):
    try:
        whole = b"".join(Normaliser(form, "f.csv").run([text.encode()]))
    except SourceError:  # a quote is left open
        whole = b"".join(Normaliser(form, "f.csv").run([text.replace(form.quote, "").encode()]))
    blocks, rest = [], whole
    for size in sizes:
        blocks, rest = [*blocks, rest[:size]], rest[size:]
    blocks = [block for block in (*blocks, rest) if block]
    faulty = []
    for line, record in _framing.records([whole], form, "f.csv", 1):
        fields = _framing.fields(record.decode(), form, form.null)
        if place < len(fields) and "x" in (fields[place] or ""):
            faulty.append((line, fields))

    passed, found = seen(blocks, form, place, patterns=patterns)

    assert passed == blocks
    assert found == faulty


def test_the_place_is_the_line_that_the_record_starts_in():
    _, found = seen([b'1,"a\nb"\n2,', b'"c\nx"\n3,d\n'], CsvFormat(), 1)

    assert found == [(3, ["2", "c\nx"])]


def test_what_refuses_ends_it_before_the_block_is_passed_on():
    def refuse(record: Sequence[str | None], where: Location) -> None:
        raise ValueError(str(where))

    watch = Watch(
        suspects=(PATTERN,), faults=((0, lambda text: text if text == "x" else None),), refuse=refuse
    )
    passing = watched(pieces([b"a\n", b"x\n"], CsvFormat()), CsvFormat(), "f.csv", 1, watch)

    assert next(passing).block == b"a\n"
    with pytest.raises(ValueError, match=r"f\.csv:2"):
        next(passing)
