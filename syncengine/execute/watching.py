"""Refuse texts that would lose something on their way into their columns, while they pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from syncengine.errors import BadRow, Location
from syncengine.execute.digits import digits_rule
from syncengine.execute.losses import Rule, rule_for
from syncengine.model.facts import CsvFormat
from syncengine.model.steps import CopyIn, StagedColumn
from syncengine.protocols import CsvChunk, Watch


def rules(column: StagedColumn, *, unstaged: bool) -> list[Rule]:
    """Return what to look at in the texts of a field; `unstaged` ones are not checked for rounding by the server."""
    found = [rule_for(name) for name in column.reads]
    found += [digits_rule(name) for name in column.reads if unstaged]
    return [rule for rule in found if rule is not None]


def loss_of(text: str | None, field: str, rule: Rule) -> BadRow | None:
    """Return the error for a text that would lose something."""
    fault = rule.fault(text) if text is not None else None
    if fault is None:
        return None
    hint = "mend the value or the column's type, or compute the column by an expression under `columns`"
    return BadRow(f"field {field}: {fault}", detail=f"the value is {text!r}", hint=hint)


def watch(part: CsvChunk, step: CopyIn) -> Watch | None:
    """Return what to look out for in a file that is copied as it is."""
    columns = {column.field: column for column in step.columns}
    looks = [
        (place, field, rule)
        for place, field in enumerate(part.fields)
        for rule in rules(columns[field], unstaged=step.counts is not None)
    ]
    if not looks or step.csv is None:
        return None

    def refuse(record: Sequence[str | None], where: Location) -> None:
        for place, field, rule in looks:
            loss = loss_of(record[place], field, rule) if place < len(record) else None
            if loss is not None:
                loss.location = where
                raise loss

    return Watch(
        suspects=suspects((rule for *_, rule in looks), step.csv),
        faults=tuple((place, rule.fault) for place, _, rule in looks),
        refuse=refuse,
    )


def suspects(rules: Iterable[Rule], form: CsvFormat) -> tuple[re.Pattern[bytes], ...] | None:
    """Return the rules' patterns for a dialect; None if its marks may stand in the values that are looked for."""
    if re.search(r"[\w:.+ -]", form.quote + form.delimiter):
        return None
    quote, delimiter = re.escape(form.quote).encode(), re.escape(form.delimiter).encode()
    found: dict[bytes, None] = {}
    for rule in rules:
        if rule.suspects is None:
            return None
        found.update(dict.fromkeys(rule.suspects))
    filled = (text.replace(b"{quote}", quote).replace(b"{delimiter}", delimiter) for text in found)
    return tuple(map(re.compile, filled))
