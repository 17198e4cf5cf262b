"""Source type rows: literal rows that stand in the spec itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from syncengine.errors import SpecError
from syncengine.model.spec import SourceSpec
from syncengine.protocols import Whereabouts
from syncengine.sources._iterable import IterableSource


class Rows:
    name = "rows"
    extensions: ClassVar[tuple[str, ...]] = ()
    schemes: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[Mapping[str, object]] = {
        "rows": {
            "title": "Rows",
            "examples": [[{"code": "at", "name": "Austria"}]],
            "type": "array",
            "items": {"type": "object"},
            "description": "Rows as mappings of field to value; a field that a row lacks is NULL.",
        },
    }

    def open_source(self, spec: SourceSpec, where: Whereabouts) -> IterableSource:
        rows = spec.options.get("rows")
        if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
            raise SpecError("`rows` must be a list of mappings of field to value")
        return IterableSource(
            list(rows), expected=where.expected, label=_label(len(rows)), unit="item", json_values=True
        )

    def reopen_source(
        self, spec: SourceSpec, where: Whereabouts, records: Sequence[tuple[str, bytes, bytes]]
    ) -> IterableSource:
        raise AssertionError("rows have no bytes")


def _label(count: int) -> str:
    return "1 row in the spec" if count == 1 else f"{count} rows in the spec"


PLUGIN = Rows()
