"""What a round syncs: the spec, the rows that are there, those that come, what must be there at the end.  Pure."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Row = tuple[int | str, int, str]  # id, hits, payload
# Stands in bad records, and nowhere else.
BAD = "bad"
STORED = 1500
INCOMING = 2500
CHUNK = 400
LOCK_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of sync; `adds` is what makes a second application visible, `keyless` a table without a unique index.

    `bad` records that can't be read stand in the source as well, and as many rows that the table refuses.  `creates`:
    the run makes the table, and infers the types of its columns.  `analyzed`: the server knows that the rows stored lie
    in the order of their keys, so that changes are found in that order.
    """

    name: str
    mode: str = "upsert"
    transaction: str = "all"
    method: str = "staged"
    form: str = "csv"
    adds: bool = True
    keyless: bool = False
    bad: int = 0
    creates: bool = False
    analyzed: bool = True

    @property
    def spec(self) -> dict[str, object]:
        """Return the spec, but for where its source is."""
        execution: dict[str, object] = {"lock_timeout": f"{LOCK_TIMEOUT:.0f}s", "method": self.method}
        if self.transaction == "chunk":
            execution |= {"transaction": "chunk", "chunk_rows": CHUNK}
        target = {"table": "t", "create": True} if self.creates else "t"
        whole: dict[str, object] = {
            "name": "chaos",
            "target": target,
            "mode": self.mode,
            "execution": execution,
        }
        if self.mode == "insert":
            return whole
        whole["conflict_keys"] = ["id"]
        if self.bad or self.creates:
            whole |= {"execution": {**execution, "chunk_rows": CHUNK}}
        if self.bad:
            whole |= {"bad_rows": "quarantine"}
        if self.mode == "mirror":
            return {**whole, "limits": {"max_deletes": "100%"}}
        hits = {"hits": "target.hits + 1"} if self.adds else "hits"
        return {**whole, "update_columns": ["payload", hits]}

    @property
    def ddl(self) -> str:
        key = "" if self.keyless else " PRIMARY KEY"
        hits = "hits int NOT NULL CHECK (hits >= 0)"
        return f"CREATE TABLE t (id bigint NOT NULL{key}, {hits}, payload text NOT NULL)"


CASES = {
    case.name: case
    for case in (
        Case(name="add"),
        Case(name="add-rows", method="rows"),
        Case(name="add-gz", form="csv.gz"),
        Case(name="add-jsonl", form="jsonl", analyzed=False),
        Case(name="set", adds=False, analyzed=False),
        Case(name="mirror", mode="mirror", adds=False),
        Case(name="create", creates=True, adds=False),
        Case(name="create-jsonl", creates=True, adds=False, form="jsonl"),
        Case(name="add-chunks", transaction="chunk"),
        Case(name="add-chunks-gz", transaction="chunk", form="csv.gz"),
        Case(name="add-chunks-jsonl", transaction="chunk", form="jsonl"),
        Case(name="add-bad", bad=3),
        Case(name="add-chunks-bad", transaction="chunk", bad=3),
        Case(name="insert-keyless", mode="insert", method="auto", adds=False, keyless=True),
        Case(
            name="insert-chunks", mode="insert", transaction="chunk", method="auto", adds=False, keyless=True
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The rows of one round: `stored` before it, `incoming` from the source, `final` at its end."""

    case: Case
    stored: tuple[Row, ...]
    incoming: tuple[Row, ...]

    @property
    def final(self) -> tuple[Row, ...]:
        """Return what the table must hold once the source has been applied, exactly once."""
        if self.case.mode == "insert":
            return tuple(sorted(self.stored + self.incoming))
        before = {key: hits for key, hits, _ in self.stored}
        added = {
            key: (key, before[key] + 1 if self.case.adds and key in before else hits, payload)
            for key, hits, payload in self.incoming
        }
        kept = {} if self.case.mode == "mirror" else {row[0]: row for row in self.stored}
        return tuple(sorted((kept | added).values()))

    def strange(self, rows: Iterable[Row]) -> list[Row]:
        """Return rows that a run that is not finished may not leave: neither as before nor as at the end.

        With `transaction: all` a table that mixes the two is strange as a whole.
        """
        found = tuple(sorted(rows))
        if found in (self.stored, self.final):
            return []
        known = Counter(self.stored) | Counter(self.final)
        surplus = Counter(found) - known
        keys = Counter(row[0] for row in found)
        most = Counter(row[0] for row in self.final) | Counter(row[0] for row in self.stored)
        twice = [row for row in found if keys[row[0]] > most[row[0]]]
        mixed = list(found) if self.case.transaction == "all" else []
        return sorted(surplus) or twice or mixed


def world(case: Case, dice: random.Random, *, incoming: int = INCOMING) -> World:
    """Make up rows: about a third of those that come are stored already."""
    stored = [(key, dice.randrange(5), f"old {key}") for key in range(1, 0 if case.creates else STORED + 1)]
    keys = dice.sample(range(STORED // 2, STORED // 2 + incoming * 2), incoming)
    rows = [(key, 1, f"new {key} " + "x" * dice.randrange(60)) for key in keys]
    return World(case=case, stored=tuple(stored), incoming=tuple(rows))


def source_bytes(rows: Sequence[Row], form: str, bad: int = 0) -> bytes:
    """Return a source file's contents; the same rows give the same bytes."""
    text = io.StringIO()
    for number in range(bad):
        at = (number + 1) * len(rows) // (bad + 1)
        rows = [*rows[:at], (BAD, 1, "unreadable"), (-1 - number, -1, BAD), *rows[at:]]
    if form == "jsonl":
        for key, hits, payload in rows:
            text.write(json.dumps({"id": key, "hits": hits, "payload": payload}) + "\n")
    else:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", "hits", "payload"])
        writer.writerows(rows)
    data = text.getvalue().encode()
    return gzip.compress(data, mtime=0) if form.endswith(".gz") else data
