"""Source type jsonl: JSON Lines, one object a line."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from typing import ClassVar

from msgspec import Struct

from syncengine.errors import BadRow, Location, SourceError, SpecError
from syncengine.model.facts import Handover, SourceFacts
from syncengine.model.spec import SourceSpec
from syncengine.protocols import START, Payload, Position, Record, Whereabouts
from syncengine.sources._files import Input, stamp_of, steady
from syncengine.sources._json import parse
from syncengine.sources._jsonrows import JsonRows, PartialJsonRows, lines
from syncengine.sources._kept import BytesInput
from syncengine.sources._paths import PATH_OPTIONS, inputs, source_label
from syncengine.sources._text import check_plain_text, codec_name, utf8

SAMPLE_RECORDS = 10_000
SAMPLE_BYTES = 8 * 1024 * 1024
SAMPLE_LIMIT = 64 * 1024 * 1024


class JsonLines:
    name = "jsonl"
    extensions = ("jsonl", "ndjson", "json")
    schemes: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[Mapping[str, object]] = {
        **PATH_OPTIONS,
        "absent": {
            "title": "Absent keys",
            "enum": ["null", "keep", None],
            "enumDescriptions": ["It is NULL.", "The stored value stays as it is.", "It is NULL."],
            "default": "null",
            "description": "A key that a record lacks: NULL, or `keep` leaves the stored value as it is.",
        },
    }

    def open_source(self, spec: SourceSpec, where: Whereabouts) -> JsonLinesSource:
        options = spec.options
        if "path" not in options:
            raise SpecError("a jsonl source needs a `path`")
        path, compression = str(options["path"]), options.get("compression")
        found = inputs(path, None if compression is None else str(compression), where)
        encoding = codec_name(str(options.get("encoding", "utf-8")))
        partial = options.get("absent") == "keep"
        return JsonLinesSource(found, encoding, source_label(path, found), where.expected, partial=partial)

    def reopen_source(
        self, spec: SourceSpec, where: Whereabouts, records: Sequence[tuple[str, bytes, bytes]]
    ) -> JsonLinesSource:
        options = spec.options
        found = [BytesInput(label, raw) for label, _, raw in records]
        encoding = codec_name(str(options.get("encoding", "utf-8")))
        partial = options.get("absent") == "keep"
        return JsonLinesSource(found, encoding, f"{len(found)} records", where.expected, partial=partial)


class _Sample(Struct, frozen=True, kw_only=True):
    """What the sample tells.  `fields` come in the order they first turn up."""

    fields: tuple[str, ...]
    rows: int
    stored: int
    exact: bool


class JsonLinesSource:
    """One or more files of JSON Lines.  Its fields are the keys of a sample, and those the spec expects."""

    def __init__(
        self,
        found: Sequence[Input],
        encoding: str,
        label: str,
        expected: tuple[str, ...] = (),
        *,
        partial: bool = False,
    ) -> None:
        self._inputs = tuple(found)
        self._encoding = encoding
        self._label = label
        self._expected = expected
        self._partial = partial

    def describe(self) -> SourceFacts:
        return self._facts

    def stamp(self) -> str | None:
        return stamp_of(self._inputs)

    @contextmanager
    def open(self, handover: Handover, after: Position = START) -> Iterator[Payload]:
        if handover is not Handover.ROWS:
            raise ValueError(f"a jsonl source has no hand-over {handover}")
        with steady(self._inputs):
            yield self._rows(after)

    def _rows(self, after: Position) -> JsonRows:
        rows = PartialJsonRows if self._partial else JsonRows
        return rows(self._inputs, self._encoding, self._facts.fields, after)

    @cached_property
    def _facts(self) -> SourceFacts:
        sample = self._sample()
        sizes = [found.size for found in self._inputs]
        size = sum(known or 0 for known in sizes) if None not in sizes else None
        guess = None if size is None or not sample.stored else sample.rows * size // sample.stored
        kinds = dict.fromkeys(found.compression for found in self._inputs if found.compression != "none")
        notes = [f"compressed with {kind}" for kind in kinds]
        notes += [f"encoding {self._encoding}"] if self._encoding != "utf-8" else []
        notes += [] if sample.exact else [f"fields from the first {sample.rows} records"]
        return SourceFacts(
            label=self._label,
            fields=sample.fields,
            handovers=Handover.ROWS,
            rows=sample.rows if sample.exact else guess,
            exact=sample.exact,
            bytes=size,
            reopenable=all(found.reopenable for found in self._inputs),
            json_values=True,
            partial=self._partial,
            notes=tuple(notes),
        )

    def records(
        self, after: Position = START, number: int = 1, *, accepted: bool = False
    ) -> Generator[Record, None, None]:
        return self._rows(START).records(after, number)

    def _sample(self) -> _Sample:
        fields: dict[str, None] = {}
        rows = length = stored = 0
        exact = True
        bad: BadRow | None = None
        for record, size, used in self._sampled():
            if (rows >= SAMPLE_RECORDS and length >= SAMPLE_BYTES) or length >= SAMPLE_LIMIT:
                exact = False
                break
            rows, length, stored = rows + 1, length + size, used
            # A line that can't be read is met again, and told of, when the rows are.
            if isinstance(record, BadRow):
                bad = bad or record
            else:
                fields.update(dict.fromkeys(record))
        if bad is not None and not fields:
            raise bad
        fields.update(dict.fromkeys(self._expected))
        return _Sample(fields=tuple(fields), rows=rows, stored=stored, exact=exact)

    def _sampled(self) -> Iterator[tuple[dict[str, object] | BadRow, int, int]]:
        """Yield records with their length and the stored bytes used so far."""
        before = 0
        for found in self._inputs:
            used = 0
            for record, size, used in self._sampled_from(found):
                yield record, size, before + used
            before += used

    def _sampled_from(self, found: Input) -> Iterator[tuple[dict[str, object] | BadRow, int, int]]:
        used = 0

        def blocks() -> Iterator[bytes]:
            nonlocal used
            for block, stored in sample:
                if not used:
                    self._check_head(block, found.label)
                used = stored
                yield block

        with closing(found.sample()) as sample:
            for number, line in lines(utf8(blocks(), self._encoding, found.label), found.label):
                try:
                    yield parse(line, Location(found.label, number)), len(line), used
                except BadRow as error:
                    yield error, len(line), used

    def _check_head(self, head: bytes, label: str) -> None:
        if self._encoding != "utf-8":
            return
        check_plain_text(head, label)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            raise SourceError(
                f"{label} holds a JSON array",
                detail="a source of JSON needs one object a line (JSON Lines)",
                hint=f"jq -c '.[]' {label} > rows.jsonl",
                location=Location(label, 1),
            )


PLUGIN = JsonLines()
